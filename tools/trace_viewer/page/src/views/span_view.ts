// SpanView: a timeline view of things with a begin and an end, in one or a few rows. Steps, ops, copies, stalls and instants
// are SpanViews over different entries; what differs is in a SpanSource.

import { LayIntoRows, type Entries } from '../derive/rows.ts';
import { DrawTextOver } from '../draw/chart.ts';
import { FormatCount } from '../draw/format.ts';
import { Series, type Palette } from '../draw/palette.ts';
import { CounterPyramid, SpanPyramid, type Counter } from '../draw/pyramid.ts';
import { DrawMarks, DrawSpans, type SpanStyle } from '../draw/spans.ts';
import type { Surface } from '../draw/surface.ts';
import { Lazily, noFilter, TimeToX, XToTime, type Column, type Filter, type Filterable, type Item, type LegendEntry, type State,
  type Table, type View, type Viewport } from './view.ts';

export interface SpanSource {
  id: string;
  title: string;
  about: string;
  legend?: LegendEntry[];
  rows: number; // most
  rowHeight: number;
  rowOf?: (key: number) => number; // the row of each; else rows fill as they are needed
  series: number[]; // of each category
  entries: () => Entries; // all, in the order of their begin
  keeps?: (key: number, filter: Filter) => boolean; // without it the filter changes nothing
  filtered?: readonly Filterable[]; // by what `keeps` decides
  name: (key: number) => string; // short: what is written on the span
  label?: (key: number) => number; // for search; 0: none
  storage?: (key: number) => number; // 0: none
  item: (key: number) => Item; // with all its details
  columns: Column[];
  cells: (key: number) => (string | number)[];
  depth?: { counter: () => Counter; title: string }; // drawn above the rows as an area, to the scale of its largest value
  note?: (state: State) => string;
}

interface Lane {
  pyramid: SpanPyramid;
  keys: Uint32Array;
}

const reach = 4; // pixels around a span that still hit it
const depthHeight = 22;
const rowGap = 2;
const margin = 5;

export class SpanView implements View {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly placement = 'timeline';
  readonly filtered: readonly Filterable[];
  readonly legend: LegendEntry[];
  readonly height: number;
  private readonly all: () => Entries;
  private readonly depth: () => CounterPyramid | null;
  private shown: Filter = noFilter;
  private lanes: Lane[] | null = null;
  private marks: { storage: number; lanes: Lane[]; spans: Uint32Array[] } | null = null;

  constructor(private readonly source: SpanSource) {
    this.id = source.id;
    this.title = source.title;
    this.about = source.about;
    this.legend = source.legend ?? [];
    this.filtered = source.filtered ?? [];
    this.all = Lazily(source.entries);
    this.depth = Lazily(() => (source.depth === undefined ? null : new CounterPyramid(source.depth.counter())));
    const rows = Math.max(1, this.Lanes().length);
    this.height = 2 * margin + rows * source.rowHeight + (rows - 1) * rowGap + this.Top() - margin;
  }

  get count(): number {
    return this.all().begin.length;
  }

  note(state: State): string {
    const note = this.source.note?.(state) ?? '';
    const depth = this.depth();
    if (depth === null) return note;
    const most = depth.Most(-Infinity, Infinity);
    return `${note}\n${this.source.depth!.title}: at most ${most < 0 ? 0 : depth.counter.value[most]}`;
  }

  private Top(): number {
    return margin + (this.source.depth === undefined ? 0 : depthHeight + 3);
  }

  private Lanes(): Lane[] {
    if (this.lanes === null) {
      const entries = this.Kept();
      this.lanes = LayIntoRows(entries, this.source.rows, this.source.rowOf).map(({ spans, entry }) => ({
        pyramid: new SpanPyramid(spans),
        keys: Picked(entries.key, entry),
      }));
    }
    return this.lanes;
  }

  private Kept(): Entries {
    const all = this.all();
    const { keeps } = this.source;
    if (keeps === undefined || this.shown === noFilter) return all;
    const positions: number[] = [];
    for (let i = 0; i < all.key.length; ++i) if (keeps(all.key[i]!, this.shown)) positions.push(i);
    return {
      begin: Float64Array.from(positions, i => all.begin[i]!),
      end: Float64Array.from(positions, i => all.end[i]!),
      category: Uint8Array.from(positions, i => all.category[i]!),
      key: Uint32Array.from(positions, i => all.key[i]!),
    };
  }

  filter(filter: Filter): void {
    this.shown = filter;
    if (this.source.keeps !== undefined) this.lanes = null;
  }

  private RowY(row: number): number {
    return this.Top() + row * (this.source.rowHeight + rowGap);
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    this.DrawDepth(surface, viewport);
    const lanes = this.Lanes();
    lanes.forEach((lane, row) => {
      DrawSpans(surface, viewport, lane.pyramid, this.RowY(row), this.source.rowHeight, this.Style(surface.palette, lane));
    });
    if (state.storage !== 0 && this.source.storage !== undefined) {
      this.Marks(state.storage).forEach((spans, row) =>
        DrawMarks(surface, viewport, lanes[row]!.pyramid, spans, this.RowY(row), this.source.rowHeight - 1));
    }
    if (state.item?.view === this.id) this.Outline(surface, viewport, state.item, 2);
    if (state.hover?.view === this.id && state.hover.key !== state.item?.key) this.Outline(surface, viewport, state.hover, 1);
  }

  sketch(surface: Surface, viewport: Viewport, y: number, height: number): void {
    for (const lane of this.Lanes()) DrawSpans(surface, viewport, lane.pyramid, y, height, this.Style(surface.palette, lane));
  }

  private Style(palette: Palette, lane: Lane): SpanStyle {
    const colors = this.source.series.map(series => palette.series[series]!);
    return { colors, inks: colors.map(color => InkOn(color)), name: span => this.source.name(lane.keys[span]!) };
  }

  private DrawDepth(surface: Surface, viewport: Viewport): void {
    const depth = this.depth();
    if (depth === null || depth.counter.value.length === 0) return;
    const { context, palette } = surface;
    const most = depth.counter.value[depth.Most(-Infinity, Infinity)]!;
    context.fillStyle = palette.series[Series.Muted]!;
    // One path: a rectangle for each pixel would cost most of a frame.
    const columns = depth.MostByColumn(viewport.begin, viewport.end, Math.round(viewport.width));
    const bottom = margin + depthHeight;
    context.beginPath();
    context.moveTo(0, bottom);
    for (let first = 0, last = 0; first < columns.length; first = last) {
      const position = columns[first]!;
      for (last = first + 1; last < columns.length && columns[last] === position; ++last);
      const value = position < 0 ? 0 : depth.counter.value[position]!;
      const y = value <= 0 ? bottom : bottom - Math.max(1, (value / most) * depthHeight);
      context.lineTo(first, y);
      context.lineTo(last, y);
    }
    context.lineTo(columns.length, bottom);
    context.fill();
    context.fillStyle = palette.text; // the scale's upper end
    context.fillRect(surface.width - 5, margin, 5, 1);
    DrawTextOver(surface, `${FormatCount(most)} ${this.source.depth!.title}`, surface.width - 8, margin + 4, 'right');
  }

  // Where the entries of a storage are, by row; kept until another storage is selected.
  private Marks(storage: number): Uint32Array[] {
    const lanes = this.Lanes();
    if (this.marks === null || this.marks.storage !== storage || this.marks.lanes !== lanes) {
      const spans = lanes.map(lane => {
        const found: number[] = [];
        for (let i = 0; i < lane.keys.length; ++i) if (this.source.storage!(lane.keys[i]!) === storage) found.push(i);
        return Uint32Array.from(found);
      });
      this.marks = { storage, lanes, spans };
    }
    return this.marks.spans;
  }

  private Outline(surface: Surface, viewport: Viewport, item: Item, lineWidth: number): void {
    const place = this.PlaceOf(item.key, item.begin);
    if (place === null) return;
    const spans = this.Lanes()[place.row]!.pyramid.spans;
    const x = TimeToX(viewport, spans.begin[place.span]!);
    const right = TimeToX(viewport, spans.end[place.span]!);
    if (lineWidth === 2) this.DrawPhases(surface, viewport, item, this.RowY(place.row));
    const { context, palette } = surface;
    const left = Math.max(-4, x);
    const width = Math.max(3, Math.min(viewport.width + 4, right) - left);
    if (right < -2 || x > viewport.width + 2) return;
    context.strokeStyle = palette.background;
    context.lineWidth = lineWidth + 2;
    context.strokeRect(left, this.RowY(place.row), width, this.source.rowHeight);
    context.strokeStyle = palette.selection;
    context.lineWidth = lineWidth;
    context.strokeRect(left, this.RowY(place.row), width, this.source.rowHeight);
  }

  // What the selected item went through before and after it was on the wire: a line from when it was asked for, and one to when
  // it was consumed.
  private DrawPhases(surface: Surface, viewport: Viewport, item: Item, y: number): void {
    const { context, palette } = surface;
    const middle = y + this.source.rowHeight / 2;
    for (const phase of item.phases ?? []) {
      if (phase.begin >= item.begin && phase.end <= item.end) continue; // the span itself
      const left = Math.max(-4, TimeToX(viewport, phase.begin));
      const right = Math.min(viewport.width + 4, TimeToX(viewport, phase.end));
      if (right < left) continue;
      context.fillStyle = palette.background;
      context.fillRect(left - 1, middle - 3, right - left + 2, 6);
      context.fillStyle = palette.selection;
      context.fillRect(left, middle - 1, Math.max(1, right - left), 2);
      context.fillRect(phase.begin < item.begin ? left : right - 2, middle - 6, 2, 12);
    }
  }

  // The row and span of an entry that begins at `begin`.
  private PlaceOf(key: number, begin: number): { row: number; span: number } | null {
    const lanes = this.Lanes();
    for (let row = 0; row < lanes.length; ++row) {
      const { pyramid, keys } = lanes[row]!;
      // Those of the last row may be drawn later than they begin.
      for (let span = pyramid.FirstBeginningAt(begin); span < keys.length; ++span) {
        if (keys[span] === key) return { row, span };
        if (row + 1 < this.source.rows && pyramid.spans.begin[span]! > begin) break;
      }
    }
    return null;
  }

  hit(x: number, y: number, viewport: Viewport): Item | null {
    const lanes = this.Lanes();
    const row = Math.floor((y - this.Top()) / (this.source.rowHeight + rowGap));
    const lane = lanes[row];
    if (lane === undefined) return null;
    const nsForPixel = (viewport.end - viewport.begin) / viewport.width;
    const span = lane.pyramid.At(XToTime(viewport, x), reach * nsForPixel);
    return span < 0 ? null : this.source.item(lane.keys[span]!);
  }

  rows(viewport: Viewport, _state: State, limit: number): Table {
    const entries = this.Kept();
    const keys: number[] = [];
    let total = 0;
    const last = entries.begin.length;
    for (let i = 0; i < last && entries.begin[i]! <= viewport.end; ++i) {
      if (entries.end[i]! < viewport.begin) continue;
      if (++total <= limit) keys.push(entries.key[i]!);
    }
    return {
      caption: this.title,
      columns: this.source.columns,
      rows: keys.map(this.source.cells),
      items: keys.map(this.source.item),
      total,
    };
  }

  neighbour(item: Item | null, direction: -1 | 1, viewport: Viewport): Item | null {
    const { begin, end, key } = this.Kept();
    let at = -1;
    if (item !== null) at = key.indexOf(item.key);
    if (at >= 0) at += direction;
    else for (at = 0; at < begin.length && end[at]! < viewport.begin; ++at);
    return at < 0 || at >= begin.length ? null : this.source.item(key[at]!);
  }

  find(key: number): Item | null {
    return this.all().key.includes(key) ? this.source.item(key) : null;
  }

  search(labels: ReadonlySet<number>, time: number, direction: -1 | 1): Item | null {
    const label = this.source.label;
    if (label === undefined) return null;
    const { begin, key } = this.Kept();
    const first = direction === 1 ? 0 : begin.length - 1;
    for (let i = first; i >= 0 && i < begin.length; i += direction) {
      if (direction * (begin[i]! - time) > 0 && labels.has(label(key[i]!))) return this.source.item(key[i]!);
    }
    return null;
  }
}

function Picked(keys: Uint32Array, at: Uint32Array): Uint32Array {
  const picked = new Uint32Array(at.length);
  for (let i = 0; i < at.length; ++i) picked[i] = keys[at[i]!]!;
  return picked;
}

// Black or white, whichever can be read on the colour.
export function InkOn(color: string): string {
  const number = Number.parseInt(color.slice(1), 16);
  const Linear = (part: number) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * Linear(number >> 16) + 0.7152 * Linear((number >> 8) & 255) + 0.0722 * Linear(number & 255);
  return luminance > 0.179 ? '#000000' : '#ffffff';
}
