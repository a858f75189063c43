// Dock: tabs under the timeline. Some hold tables that the app fills, the others a panel view with its table beside it.

import type { Palette } from '../draw/palette.ts';
import { PrepareSurface } from '../draw/surface.ts';
import type { Item, State, View, Viewport } from '../views/view.ts';
import { Make } from './dom.ts';
import { ListenToGestures } from './gestures.ts';
import { Legend } from './legend.ts';
import { ShowTable } from './tables.ts';

export interface DockEvents {
  changed: () => void; // another tab was chosen, or the dock's size
  selected: (item: Item) => void;
  hovered: (item: Item | null, x: number, y: number) => void;
  redraw: () => void;
  busy: () => void; // isBusy may be another
}

interface Tab {
  id: string;
  title: string;
  button: HTMLButtonElement;
  panel: HTMLElement;
  view: View | null;
  canvas: HTMLCanvasElement | null;
  table: HTMLElement | null;
  pending: ReturnType<typeof setTimeout> | null;
}

// What a picture was drawn for.
interface Picture {
  tab: Tab;
  viewport: Viewport;
  state: State;
  palette: Palette;
  width: number;
  height: number;
}

const panelRows = 200;
const pictureDelay = 60; // ms until a panel follows the timeline while that is moved
const tableDelay = 150; // ms until a table follows what is shown

export class Dock {
  readonly list = Make('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Panels' });
  readonly element = Make('section', { class: 'dock', 'aria-label': 'Details' }, this.list);
  private readonly tabs: Tab[] = [];
  private current: Tab | null = null;
  private drawn: { viewport: Viewport; state: State } | null = null;
  private picture: Picture | null = null;
  private waiting: ReturnType<typeof setTimeout> | null = null;
  private asked = false; // by the panel itself

  constructor(private readonly events: DockEvents) {
    this.list.addEventListener('keydown', event => {
      const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
      if (by === 0 || this.current === null) return;
      event.preventDefault();
      const next = this.tabs[(this.tabs.indexOf(this.current) + by + this.tabs.length) % this.tabs.length]!;
      this.Show(next.id);
      next.button.focus();
    });
    new ResizeObserver(() => this.events.redraw()).observe(this.element);
  }

  // A tab whose content the caller owns.
  AddTab(id: string, title: string): HTMLElement {
    return this.Add(id, title, null).panel;
  }

  AddView(view: View): void {
    const tab = this.Add(view.id, view.title, view);
    const canvas = Make('canvas', {
      tabindex: '0', role: 'application', 'aria-roledescription': 'chart', 'aria-label': `${view.title}. ${view.about}`,
    });
    const controls = Make('div', { class: 'controls' });
    view.controls?.(controls, () => {
      this.asked = true;
      this.events.redraw();
      this.events.busy();
    });
    const plot = Make('div', { class: 'plot' }, canvas);
    tab.table = Make('div', { class: 'panel-table', tabindex: '0', role: 'region', 'aria-label': `${view.title}: figures` });
    tab.canvas = canvas;
    tab.panel.classList.add('drawn');
    if (controls.childElementCount === 0) controls.append(Make('p', { class: 'empty' }, view.about));
    tab.panel.append(controls, Make('div', { class: 'beside' }, plot, tab.table));
    if (view.legend !== undefined && view.legend.length > 0) tab.panel.append(Legend(view.legend));
    ListenToGestures(canvas, {
      Pan: () => undefined,
      Zoom: () => undefined,
      ShowShares: () => undefined,
      Band: () => undefined,
      Hover: (x, y) => {
        const box = canvas.getBoundingClientRect();
        this.events.hovered(x === null ? null : this.Hit(tab, x, y), box.left + (x ?? 0), box.top + y);
      },
      Click: (x, y) => {
        const item = this.Hit(tab, x, y);
        if (item !== null) this.events.selected(item);
      },
    }, false);
  }

  private Hit(tab: Tab, x: number, y: number): Item | null {
    if (this.drawn === null || tab.view === null || tab.canvas === null) return null;
    return tab.view.hit(x, y, { ...this.drawn.viewport, width: tab.canvas.clientWidth }, this.drawn.state);
  }

  private Add(id: string, title: string, view: View | null): Tab {
    const button = Make('button', {
      type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': `panel-${id}`, 'aria-selected': 'false', tabindex: '-1',
      onclick: () => this.Show(id), 'data-title': title,
    }, title);
    const panel = Make('div', {
      class: 'panel', role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}`, hidden: true, tabindex: '0',
    });
    this.list.append(button);
    this.element.append(panel);
    const tab: Tab = { id, title, button, panel, view, canvas: null, table: null, pending: null };
    this.tabs.push(tab);
    return tab;
  }

  get shown(): string {
    return this.current?.id ?? '';
  }

  get titles(): { id: string; title: string }[] {
    return this.tabs.map(({ id, title }) => ({ id, title }));
  }

  // The view of the tab that is shown, if it has one.
  get view(): View | null {
    return this.current?.view ?? null;
  }

  // The view of the tab that is shown where its chart has the focus of the keyboard.
  get focused(): View | null {
    const canvas = this.canvas;
    return canvas !== null && document.activeElement === canvas ? this.view : null;
  }

  // The keyboard goes to what the tab shows: its chart, or its text.
  Focus(): void {
    (this.canvas ?? this.current?.panel)?.focus({ preventScroll: true });
  }

  get canvas(): HTMLCanvasElement | null {
    return this.current?.canvas ?? null;
  }

  Show(id: string): void {
    const tab = this.tabs.find(candidate => candidate.id === id);
    if (tab === undefined || tab === this.current) return;
    this.current = tab;
    this.picture = null;
    for (const other of this.tabs) {
      other.panel.hidden = other !== tab;
      other.button.setAttribute('aria-selected', `${other === tab}`);
      other.button.tabIndex = other === tab ? 0 : -1;
    }
    this.events.changed();
  }

  // Draws the panel view that is shown.
  Draw(viewport: Viewport, state: State, palette: Palette): void {
    this.drawn = { viewport, state };
    const { asked, current: tab } = this;
    this.asked = false;
    if (tab === null || tab.view === null || tab.canvas === null) return;
    const plot = tab.canvas.parentElement!;
    const width = plot.clientWidth;
    const height = plot.clientHeight;
    if (width === 0 || height === 0) return;
    const last = this.picture;
    const next = { tab, viewport, state, palette, width, height };
    const canvas = tab.canvas;
    const isSame = !asked && last !== null && last.tab === tab && last.palette === palette && last.width === width &&
      last.height === height && IsSameButHover(last.state, state);
    const isStill = isSame && last.viewport.begin === viewport.begin && last.viewport.end === viewport.end;
    const draw = () => {
      this.waiting = null;
      this.picture = next;
      tab.view!.draw(PrepareSurface(canvas, width, height, palette), { ...viewport, width }, state);
      if (!isStill) this.FillTableSoon(tab);
      this.events.busy();
    };
    if (this.waiting !== null) clearTimeout(this.waiting);
    this.waiting = null;
    if (isStill) {
      if (last.state.hover?.view === tab.id || state.hover?.view === tab.id) draw();
    } else if (isSame) {
      // Where nothing but the time range changed the picture may wait: the timeline moves without it.
      this.waiting = setTimeout(draw, pictureDelay);
    } else {
      draw();
    }
  }

  // Whether the picture or the table is not yet that of what is shown.
  get isBusy(): boolean {
    return this.asked || this.waiting !== null || (this.current?.pending ?? null) !== null;
  }

  private FillTableSoon(tab: Tab): void {
    if (tab.pending !== null) clearTimeout(tab.pending);
    tab.pending = setTimeout(() => {
      tab.pending = null;
      if (this.drawn !== null && tab.view !== null && tab.table !== null && tab === this.current) {
        ShowTable(tab.table, tab.view.rows(this.drawn.viewport, this.drawn.state, panelRows), this.events.selected);
      }
      this.events.busy();
    }, tableDelay);
  }
}

function IsSameButHover(a: State, b: State): boolean {
  return a.item === b.item && a.storage === b.storage && a.cursor === b.cursor && a.filter === b.filter;
}
