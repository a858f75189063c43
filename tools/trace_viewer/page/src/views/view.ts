// View: one way of looking at a trace. Everything that the page shows of the records is a View; the shell owns the time
// range, the selection, the filter, the keyboard, the table and the exports, and asks views through this interface alone.
//
// To add a view: a pure derivation in src/derive/NAME.ts (no DOM, tested in test/unit/NAME.test.ts), a file
// src/views/NAME.ts with a ViewFactory, and its line in src/views/index.ts.
//
// Rules
//   V1  A view is made when the page opens, so its factory does nothing costly: derive at the first draw or rows() (Lazily
//       below). The factory returns null where the trace has nothing for it and it should not be offered.
//   V2  draw() takes at most a few ms at any zoom, with any number of records: it draws what one pixel can show.
//   V3  Coordinates are CSS pixels within the view's own surface. A timeline's x is the shared time axis: TimeToX.
//   V4  What can be seen can be read: rows() has the figures of what is drawn, for screen readers and CSV.
//   V5  Texts from the trace go through textContent or fillText, never through markup.

import type { Derived } from '../derive/derived.ts';
import type { Surface } from '../draw/surface.ts';
import type { Trace } from '../model.ts';

// The part of time that is shown: ns since the first record, and how many CSS pixels wide it is drawn.
export interface Viewport {
  begin: number;
  end: number;
  width: number;
}

export function TimeToX(viewport: Viewport, time: number): number {
  return ((time - viewport.begin) / (viewport.end - viewport.begin)) * viewport.width;
}

export function XToTime(viewport: Viewport, x: number): number {
  return viewport.begin + (x / viewport.width) * (viewport.end - viewport.begin);
}

// A thing that can be selected. `key` tells items of one view apart, and names them in deep links.
export interface Item {
  view: string; // the view's id
  key: number;
  begin: number; // ns since the first record; `end` is the same for an instant
  end: number;
  title: string; // "copy out of layer3.weight"
  details: [string, string][]; // what the selection's table shows: name, text with its unit
  storage: number; // 0: none
  // What it went through, in the order of time; drawn to scale beside the details. `end` is the same for an instant.
  phases?: { name: string; begin: number; end: number; color: number }[];
}

// What is shown of all views. null: everything.
export interface Filter {
  tags: ReadonlySet<number> | null;
  tiers: ReadonlySet<number> | null;
  minimum_bytes: number;
  maximum_bytes: number; // Infinity: no limit
}

// What a filter may tell the things of a view apart by.
export type Filterable = 'tag' | 'size' | 'tier';

export const noFilter: Filter = { tags: null, tiers: null, minimum_bytes: 0, maximum_bytes: Infinity };

export interface State {
  item: Item | null; // selected
  hover: Item | null; // under the pointer
  storage: number; // of the selected item; 0: none. Views mark what belongs to it
  cursor: number; // the instant that panels tell about: where the pointer or the keyboard cursor was put; ns
  filter: Filter;
}

export interface Column {
  title: string;
  unit: string; // "ns", "bytes", "bytes/s", sinceStart, any other text; "": none
  numeric: boolean;
}

// The unit of an instant: ns since the first record.
export const sinceStart = 'ns since start';

// Cells are numbers in the column's unit, or texts. `rows` are at most `limit` of the request; `total` says how many
// there are. `items[i]` is what row i selects.
export interface Table {
  caption: string;
  columns: Column[];
  rows: (string | number)[][];
  total: number;
  items?: (Item | null)[];
}

export interface LegendEntry {
  name: string;
  color: number; // of the palette's series
  hatched?: boolean;
  group?: string; // entries of several views that stand together, under this name
}

export interface View {
  readonly id: string; // in deep links: never changes
  readonly title: string;
  readonly about: string; // one sentence for the help and for screen readers
  readonly placement: 'timeline' | 'panel';
  readonly filtered: readonly Filterable[]; // by what the filter acts here; it leaves a view without such things as it is
  readonly height: number; // CSS pixels of a timeline view; a panel takes what it is given
  readonly legend?: LegendEntry[];
  // One or two smaller lines under a timeline's title, as "peak 1.2 GiB". Fixed for the trace, or by state.
  note?(state: State): string;
  draw(surface: Surface, viewport: Viewport, state: State): void;
  // Draws what matters of it into a strip of the overview of the whole trace.
  sketch?(surface: Surface, viewport: Viewport, y: number, height: number): void;
  hit(x: number, y: number, viewport: Viewport, state: State): Item | null;
  rows(viewport: Viewport, state: State, limit: number): Table;
  // The item before (-1) or after (+1) `item`, or the first in view where it is null; for the keyboard.
  neighbour?(item: Item | null, direction: -1 | 1, viewport: Viewport, state: State): Item | null;
  // The item with this key, for deep links and search. null: none.
  find?(key: number): Item | null;
  // The first item that begins after `time` (or, with -1, the last that begins before it) and whose label is one of these.
  search?(labels: ReadonlySet<number>, time: number, direction: -1 | 1): Item | null;
  // Called once when the filter changes, before the next draw.
  filter?(filter: Filter): void;
  // Controls of a panel (labelled form elements). `redraw` asks for a draw.
  controls?(parent: HTMLElement, redraw: () => void): void;
}

export interface ViewContext {
  trace: Trace;
  derived: Derived; // of `trace`
  other: Derived | null; // of the trace of --compare
  select: (item: Item | null) => void;
  show: (begin: number, end: number) => void; // changes the time range
}

export type ViewFactory = (context: ViewContext) => View | View[] | null;

// Whether an item of a view is the selected one or under the pointer. Panels outline it.
export function IsMarked(state: State, view: string, key: number): boolean {
  return [state.item, state.hover].some(item => item?.view === view && item.key === key);
}

// What comes after (1) or before (-1) position `at` of a list, or its first where that is none (-1): for neighbour().
export function Stepped<T>(list: readonly T[], at: number, direction: -1 | 1): T | null {
  return list[at < 0 ? 0 : at + direction] ?? null;
}

// A value that is made when it is first asked for.
export function Lazily<T>(make: () => T): () => T {
  let value: { made: T } | null = null;
  return () => (value ??= { made: make() }).made;
}
