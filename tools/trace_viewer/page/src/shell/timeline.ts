// Timeline: the views that share the time axis, one row each, under an overview of the whole trace and the axis. It owns their
// canvases, and says through TimelineEvents what was done to them; what is shown is told to Draw.

import { RoundTicks } from '../draw/axis.ts';
import { FormatDuration } from '../draw/format.ts';
import { DrawGaps } from '../draw/gaps.ts';
import type { Palette } from '../draw/palette.ts';
import { PrepareSurface, type Surface } from '../draw/surface.ts';
import type { Gap } from '../model.ts';
import { TimeToX, XToTime, type Item, type State, type View, type Viewport } from '../views/view.ts';
import { Make } from './dom.ts';
import { ListenToGestures } from './gestures.ts';
import type { TimeRange } from './viewport.ts';

export interface TimelineEvents {
  changed: () => void; // the time range was moved
  hovered: (item: Item | null, x: number, y: number) => void; // client coordinates
  clicked: (view: View, item: Item | null, time: number, twice: boolean) => void;
  focused: (view: View) => void;
}

interface Row {
  view: View;
  element: HTMLElement;
  canvas: HTMLCanvasElement;
  note: HTMLElement;
  stale: boolean; // drawn for another state than the one of now
}

const axisHeight = 24;
const strips = 5; // of the overview
const stripHeight = 5;
const overviewHeight = 2 * 2 + strips * stripHeight;

export class Timeline {
  readonly element = Make('section', { class: 'timeline', 'aria-label': 'Timeline' });
  width = 1; // of the plots
  private readonly rows: Row[] = [];
  private readonly axis = Make('canvas', { 'aria-hidden': 'true' });
  private readonly overview = Make('canvas', { 'aria-hidden': 'true' });
  private readonly axisGutter = Make('p');
  private readonly overlay = Make('div', { class: 'overlay' });
  private readonly pointerLine = Make('div', { class: 'cursor pointer' });
  private readonly cursorLine = Make('div', { class: 'cursor' });
  private readonly bandMark = Make('div', { class: 'band' });
  private overviewImage: { key: string; image: HTMLCanvasElement } | null = null;
  private drawn: { viewport: Viewport; state: State; palette: Palette } | null = null;

  constructor(private readonly range: TimeRange, private readonly whole: Viewport, private readonly gaps: Gap[],
      views: View[], private readonly events: TimelineEvents, private readonly resized: () => void) {
    const plot = Make('div', { class: 'plot' }, this.overview, this.axis);
    const gutter = Make('div', { class: 'gutter' }, Make('h2', {}, 'Time'), this.axisGutter);
    this.element.append(Make('div', { class: 'row top' }, gutter, plot), this.overlay);
    this.overlay.append(this.bandMark, this.pointerLine, this.cursorLine);
    for (const view of views) this.AddRow(view);
    this.ListenToOverview();
    ListenToGestures(this.axis, this.GesturesOf(null), true);
    new ResizeObserver(() => this.Measure()).observe(plot);
    this.element.addEventListener('scroll', () => this.DrawStale());
    this.plot = plot;
  }

  private readonly plot: HTMLElement;

  // True where the width changed.
  private Measure(): void {
    const width = this.plot.clientWidth;
    if (width === this.width || width === 0) return;
    this.width = width;
    this.resized();
  }

  MeasureNow(): void {
    this.width = Math.max(1, this.plot.clientWidth);
  }

  private AddRow(view: View): void {
    const canvas = Make('canvas', {
      tabindex: '0', role: 'application', 'aria-roledescription': 'timeline', id: `view-${view.id}`,
      'aria-label': `${view.title}. ${view.about}`,
    });
    const note = Make('p');
    const gutter = Make('div', { class: 'gutter', title: view.about }, Make('h2', {}, view.title), note);
    const element = Make('div', { class: 'row' }, gutter, Make('div', { class: 'plot' }, canvas));
    canvas.addEventListener('focus', () => this.events.focused(view));
    ListenToGestures(canvas, this.GesturesOf(view), false);
    this.element.append(element);
    this.rows.push({ view, element, canvas, note, stale: true });
  }

  private GesturesOf(view: View | null) {
    return {
      Pan: (share: number) => this.Moved(() => this.range.Pan(share)),
      Zoom: (factor: number, at: number) => this.Moved(() => this.range.Zoom(factor, at)),
      ShowShares: (begin: number, end: number) => this.Moved(() => {
        const from = this.range.begin;
        const length = this.range.length;
        this.range.Show(from + begin * length, from + end * length);
      }),
      Band: (begin: number, end: number | null) => this.ShowBand(begin, end),
      Hover: (x: number | null, y: number) => this.Hover(view, x, y),
      Click: (x: number, y: number, twice: boolean) => {
        if (view === null) return;
        const viewport = this.range.Within(this.width);
        this.events.clicked(view, this.Hit(view, x, y, viewport), XToTime(viewport, x), twice);
      },
    };
  }

  private Moved(move: () => void): void {
    move();
    this.events.changed();
  }

  private Hit(view: View, x: number, y: number, viewport: Viewport): Item | null {
    return this.drawn === null ? null : view.hit(x, y, viewport, this.drawn.state);
  }

  private ShowBand(begin: number, end: number | null): void {
    const style = this.bandMark.style;
    style.visibility = end === null ? 'hidden' : 'visible';
    if (end === null) return;
    style.transform = `translateX(${Math.min(begin, end) * this.width}px)`;
    style.width = `${Math.abs(end - begin) * this.width}px`;
  }

  private Hover(view: View | null, x: number | null, y: number): void {
    const style = this.pointerLine.style;
    style.visibility = x === null ? 'hidden' : 'visible';
    if (x === null) {
      this.events.hovered(null, 0, 0);
      return;
    }
    style.transform = `translateX(${Math.round(x)}px)`;
    const viewport = this.range.Within(this.width);
    const row = this.rows.find(candidate => candidate.view === view);
    if (row === undefined) return;
    const box = row.canvas.getBoundingClientRect();
    this.events.hovered(this.Hit(row.view, x, y, viewport), box.left + x, box.top + y);
  }

  // The overview is dragged to where one wants to look.
  private ListenToOverview(): void {
    const Show = (event: PointerEvent) => {
      const share = (event.clientX - this.overview.getBoundingClientRect().left) / this.width;
      const middle = this.whole.begin + share * (this.whole.end - this.whole.begin);
      this.Moved(() => this.range.Show(middle - this.range.length / 2, middle + this.range.length / 2));
    };
    this.overview.addEventListener('pointerdown', event => {
      this.overview.setPointerCapture(event.pointerId);
      Show(event);
    });
    this.overview.addEventListener('pointermove', event => {
      if (this.overview.hasPointerCapture(event.pointerId)) Show(event);
    });
  }

  Focus(view: View): void {
    const row = this.rows.find(candidate => candidate.view === view);
    row?.canvas.focus({ preventScroll: true });
    row?.element.scrollIntoView({ block: 'nearest' });
  }

  MarkActive(view: View | null): void {
    for (const row of this.rows) row.element.classList.toggle('active', row.view === view);
  }

  // Draws what can be seen; `all` draws the rest too.
  Draw(state: State, palette: Palette, all: boolean): void {
    const viewport = this.range.Within(this.width);
    this.drawn = { viewport, state, palette };
    this.DrawAxis(viewport, palette);
    this.DrawOverview(palette);
    for (const row of this.rows) row.stale = true;
    if (all) for (const row of this.rows) this.DrawRow(row);
    else this.DrawStale();
    const cursor = this.cursorLine.style;
    const x = TimeToX(viewport, state.cursor);
    cursor.visibility = x >= 0 && x <= this.width ? 'visible' : 'hidden';
    cursor.transform = `translateX(${Math.round(x)}px)`;
    this.overlay.style.height = `${this.element.scrollHeight}px`;
  }

  private DrawStale(): void {
    const top = this.element.scrollTop;
    const bottom = top + this.element.clientHeight;
    for (const row of this.rows) {
      const y = row.element.offsetTop;
      if (row.stale && y < bottom && y + row.element.offsetHeight > top) this.DrawRow(row);
    }
  }

  private DrawRow(row: Row): void {
    if (this.drawn === null) return;
    const { viewport, state, palette } = this.drawn;
    const surface = PrepareSurface(row.canvas, this.width, row.view.height, palette);
    this.DrawGrid(surface, viewport);
    row.view.draw(surface, viewport, state);
    this.DrawGaps(surface, viewport);
    const note = row.view.note?.(state) ?? '';
    if (row.note.textContent !== note) row.note.textContent = note;
    row.stale = false;
  }

  private DrawGrid(surface: Surface, viewport: Viewport): void {
    surface.context.fillStyle = surface.palette.line;
    for (const tick of this.Ticks(viewport)) {
      surface.context.fillRect(Math.round(TimeToX(viewport, tick)), 0, 1, surface.height);
    }
  }

  private DrawGaps(surface: Surface, viewport: Viewport): void {
    DrawGaps(surface, this.gaps, viewport, { left: 0, top: 0, width: surface.width, height: surface.height });
  }

  private Ticks(viewport: Viewport): number[] {
    return RoundTicks(viewport.begin, viewport.end, Math.max(1, Math.floor(this.width / 110)));
  }

  private DrawAxis(viewport: Viewport, palette: Palette): void {
    const surface = PrepareSurface(this.axis, this.width, axisHeight, palette);
    const { context } = surface;
    const ticks = this.Ticks(viewport);
    const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : viewport.end - viewport.begin;
    for (const tick of ticks) {
      const x = Math.round(TimeToX(viewport, tick));
      context.fillStyle = palette.line;
      context.fillRect(x, axisHeight - 6, 1, 6);
      context.fillStyle = palette.faint;
      const text = TimeText(tick, step, Math.max(...ticks.map(Math.abs)));
      if (x + 4 + context.measureText(text).width <= this.width) context.fillText(text, x + 4, axisHeight / 2 + 1);
    }
    this.axisGutter.textContent = `${FormatDuration(viewport.end - viewport.begin)} shown`;
    this.DrawGaps(surface, viewport);
  }

  // All of the trace at once, drawn once, with the part that is shown left bright.
  private DrawOverview(palette: Palette): void {
    const ratio = globalThis.devicePixelRatio || 1;
    const key = `${this.width} ${ratio} ${palette.dark}`;
    if (this.overviewImage?.key !== key) {
      const image = document.createElement('canvas');
      const surface = PrepareSurface(image, this.width, overviewHeight, palette);
      const sketched = this.rows.filter(row => row.view.sketch !== undefined).slice(0, strips);
      sketched.forEach((row, i) =>
        row.view.sketch!(surface, { ...this.whole, width: this.width }, 2 + i * stripHeight, stripHeight - 1));
      this.DrawGaps(surface, { ...this.whole, width: this.width });
      this.overviewImage = { key, image };
    }
    const { context, width } = PrepareSurface(this.overview, this.width, overviewHeight, palette);
    context.drawImage(this.overviewImage.image, 0, 0, width, overviewHeight);
    const left = TimeToX({ ...this.whole, width }, this.range.begin);
    const right = Math.max(left + 3, TimeToX({ ...this.whole, width }, this.range.end));
    context.fillStyle = palette.raised;
    context.globalAlpha = 0.72;
    context.fillRect(0, 0, left, overviewHeight);
    context.fillRect(right, 0, width - right, overviewHeight);
    context.globalAlpha = 1;
    context.strokeStyle = palette.focus;
    context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), overviewHeight - 1);
    context.fillStyle = palette.line;
    context.fillRect(0, overviewHeight - 1, width, 1);
  }

  // The canvases with their titles, for the export as a picture.
  Pictures(): { title: string; note: string; canvas: HTMLCanvasElement }[] {
    for (const row of this.rows) if (row.stale) this.DrawRow(row);
    return [
      { title: 'Time', note: this.axisGutter.textContent ?? '', canvas: this.axis },
      ...this.rows.map(row => ({ title: row.view.title, note: row.note.textContent ?? '', canvas: row.canvas })),
    ];
  }
}

// A tick's time, in the unit of the largest one in view and with the digits that tell neighbours apart.
function TimeText(time: number, step: number, largest: number): string {
  const [size, unit] = largest >= 1e9 ? [1e9, 's'] : largest >= 1e6 ? [1e6, 'ms'] : largest >= 1e3 ? [1e3, 'µs'] : [1, 'ns'];
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9)));
  return `${(time / size).toFixed(digits)} ${unit}`;
}
