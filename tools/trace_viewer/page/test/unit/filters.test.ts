// The filter acts on every view whose things have a tag, a size or a tier, and the views that say so are those on which it does.

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import type { Summary, Trace } from '../../src/model.ts';
import { FilterNote } from '../../src/views/filtering.ts';
import { panelFactories, timelineFactories } from '../../src/views/index.ts';
import { noFilter, type Filter, type Filterable, type State, type View } from '../../src/views/view.ts';
import { Event, Tier } from '../../src/vocabulary.ts';
import { MakeTrace, type RecordLike } from './fixture.ts';
import { RecordingSurface } from './recording_surface.ts';

beforeAll(() => {
  vi.stubGlobal('document', { createElement: () => ({ style: {}, getContext: () => RecordingSurface(1, 1, false).surface.context }) });
  vi.stubGlobal('ImageData', class {
    readonly data: Uint8ClampedArray;
    constructor(width: number, height: number) {
      this.data = new Uint8ClampedArray(4 * width * height);
    }
  });
});
afterAll(() => vi.unstubAllGlobals());

const figures = { count: 1, bytes: 1, unfinished: 0, finished_bytes: 1, busy_ns: 1, bytes_per_second: 1 };

// Of each kind of thing two: the first small and of tag 4, the second large and of tag 5.
function Everything(): Trace {
  const records: RecordLike[] = [];
  const Put = (record: Omit<RecordLike, 'time'>): void => void records.push({ time: 100 * records.length, ...record });
  Put({ event: Event.StepBegin, subject: 1 });
  for (const [at, bytes] of [1000, 8000].entries()) {
    const [storage, tag] = [at + 1, at + 4];
    Put({ event: Event.PoolAllocate, tag, subject: 10_000 * (at + 1), value: bytes }); // with a hole on both sides
    Put({ event: Event.StorageRegister, tag, label: ['query', 'key'][at]!, subject: storage, value: bytes });
    Put({ event: Event.Decision, tag: 5, detail: 2 * 256 + 5, label: ['query', 'key'][at]!, subject: storage, value: bytes });
    for (const direction of [0, 1, 2]) {
      const transfer = 3 * at + direction;
      Put({ event: Event.TransferStorage, detail: direction, subject: transfer, value: storage });
      for (const event of [Event.TransferAsk, Event.TransferBegin, Event.TransferEnd]) {
        Put({ event, detail: direction, subject: transfer, value: bytes });
      }
    }
    Put({ event: Event.OpBegin, label: 'mm', subject: at });
    Put({ event: Event.OpEnd, label: 'mm', subject: at });
    Put({ event: Event.StallBegin, tag, detail: 2, subject: storage, value: 7 });
    Put({ event: Event.StallEnd, tag, detail: 2, subject: storage, value: 100 });
    Put({ event: Event.PoolFull, tag, detail: 0, subject: 0, value: 10 * bytes });
  }
  Put({ event: Event.StallEnd, tag: 6, detail: 0, subject: 0, value: 50 }); // for memory: of no storage
  Put({ event: Event.StepEnd, subject: 1 });
  const trace = MakeTrace(records);
  trace.meta.transfers = 6;
  trace.meta.summary = {
    time: { compute_ns: 0, unknown_ns: 0, transfer_ns: 1, exposed_ns: 1, hidden_ns: 1 },
    stalls: { count: 1, total_ns: 1, by_storage: [] }, transfers: { out: figures, in: figures, within: figures },
    tiers: [{ tier: 'device', capacity: 40_000 }],
  } as unknown as Summary;
  return trace;
}

function Views(): { views: View[]; end: number } {
  const trace = Everything();
  const other = new Derived(Everything());
  const context = { trace, derived: new Derived(trace), other, select: () => undefined, show: () => undefined };
  return { views: [...timelineFactories, ...panelFactories].flatMap(factory => factory(context) ?? []), end: trace.duration };
}

// What a view tells with a filter: its rows, and how many are drawn in which colour.
function Told(view: View, end: number, filter: Filter): { rows: (string | number)[][]; total: number; all: string } {
  const viewport = { begin: 0, end, width: 900 };
  const state: State = { item: null, hover: null, storage: 0, cursor: end - 1, filter };
  view.filter?.(filter);
  const drawn = RecordingSurface(900, 240, false);
  view.draw(drawn.surface, viewport, state);
  const { rows, total, columns } = view.rows(viewport, state, 50);
  return { rows, total, all: JSON.stringify([columns, rows, total, drawn.fills, drawn.texts]) };
}

const nothing: Record<Filterable, Filter> = {
  tag: { ...noFilter, tags: new Set() }, size: { ...noFilter, minimum_bytes: 1e15 }, tier: { ...noFilter, tiers: new Set() },
};

test('a view is changed by what it says the filter goes by, and by nothing else', () => {
  const { views, end } = Views();
  expect(views.map(view => view.id)).toEqual(['steps', 'ops', 'copies-out', 'copies-in', 'copies-within', 'stalls-0', 'stalls-1',
    'exposure', 'occupancy-device', 'map-device', 'peak', 'holes', 'lineage', 'link', 'waits', 'compare']);
  for (const view of views) {
    const whole = Told(view, end, noFilter);
    const acts = (['tag', 'size', 'tier'] as const).filter(kind => Told(view, end, nothing[kind]).all !== whole.all);
    if (view.id === 'stalls-0') expect(acts, view.id).toEqual(['tag']); // of no stream: for memory, which is of no size
    else expect(acts, view.id).toEqual(view.filtered);
    expect(Told(view, end, noFilter).all, view.id).toBe(whole.all);
  }
});

const small: Filter = { ...noFilter, maximum_bytes: 2000 };
const ofTag4: Filter = { ...noFilter, tags: new Set([4]) };
const Only = (tier: number): Filter => ({ ...noFilter, tiers: new Set([tier]) });

test('each table has what the filter keeps', () => {
  const { views, end } = Views();
  const Total = (id: string, filter: Filter) => Told(views.find(view => view.id === id)!, end, filter).total;
  const filters = [noFilter, small, ofTag4, Only(Tier.Device), Only(Tier.Pinned), Only(Tier.File)];
  const Totals = (id: string) => filters.map(filter => Total(id, filter));
  expect(Totals('copies-out')).toEqual([2, 1, 1, 2, 2, 0]);
  expect(Totals('copies-within')).toEqual([2, 1, 1, 2, 0, 0]);
  expect(Totals('link')).toEqual([6, 3, 3, 6, 4, 0]); // classes of size, by direction
  expect(Totals('lineage')).toEqual([2, 1, 1, 2, 2, 0]);
  expect(Totals('stalls-1')).toEqual([2, 1, 1, 2, 2, 2]);
  expect(Totals('waits')).toEqual([3, 2, 1, 3, 3, 3]); // of no size: stays
  expect(Totals('map-device')).toEqual([2, 1, 1, 2, 0, 0]);
  expect(Totals('holes')).toEqual([2, 1, 1, 2, 0, 0]); // blocks that keep holes apart
  const held = Total('occupancy-device', noFilter);
  expect(held).toBeGreaterThan(0);
  expect(Totals('occupancy-device')).toEqual([held, held, held, held, 0, 0]);
});

test('the help says of each view by what', () => {
  expect(FilterNote(['tag', 'tier'])).toBe('Filtered by tag, tier.');
  expect(FilterNote([])).toBe('Not filtered.');
});
