// Every panel and timeline of tiers, drawn on a context that writes down what it is told: nothing is drawn at a place that is no
// number, no text shows "NaN" or "undefined", and what can be seen can be selected, found again and read in the table.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import { lightPalette } from '../../src/draw/palette.ts';
import type { Summary, Trace } from '../../src/model.ts';
import { CompareView } from '../../src/views/compare_view.ts';
import { EfficiencyView } from '../../src/views/efficiency_view.ts';
import { FragmentationViews } from '../../src/views/fragmentation_view.ts';
import { HolesView } from '../../src/views/holes_view.ts';
import { LineageView } from '../../src/views/lineage_view.ts';
import { OccupancyViews } from '../../src/views/occupancy_view.ts';
import { PeakView } from '../../src/views/peak_view.ts';
import type { Item, State, Table, View, ViewContext, ViewFactory } from '../../src/views/view.ts';
import { noFilter } from '../../src/views/view.ts';
import { WaitsView } from '../../src/views/waits_view.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { RecordingSurface } from './recording_surface.ts';
import { RandomPoolTrace, RandomRunTrace } from './random_trace.ts';

const factories: ViewFactory[] = [OccupancyViews, FragmentationViews, PeakView, HolesView, LineageView, EfficiencyView, WaitsView, CompareView];

// What views make pictures with.
const pictures = RecordingSurface(1, 1, false);
beforeAll(() => {
  vi.stubGlobal('document', { createElement: () => ({ style: {}, getContext: () => pictures.surface.context }) });
  vi.stubGlobal('ImageData', class {
    readonly data: Uint8ClampedArray;
    constructor(width: number, height: number) {
      this.data = new Uint8ClampedArray(4 * width * height);
    }
  });
});
afterEach(() => expect(pictures.wrong).toEqual([]));
afterAll(() => vi.unstubAllGlobals());

const figures = { count: 1, bytes: 1, unfinished: 0, finished_bytes: 1, busy_ns: 1, bytes_per_second: 1 };

function ContextOf(trace: Trace, other: Trace | null): ViewContext {
  for (const one of [trace, other]) {
    if (one === null) continue;
    one.meta.summary = {
      time: { compute_ns: 0, unknown_ns: 0, transfer_ns: 1, exposed_ns: 1, hidden_ns: 0 },
      stalls: { count: 1, total_ns: 1, by_storage: [] }, transfers: { out: figures, in: figures, within: figures },
      tiers: [{ tier: 'device', capacity: 40000 }],
    } as unknown as Summary;
  }
  return {
    trace, derived: new Derived(trace), other: other === null ? null : new Derived(other), select: () => undefined,
    show: () => undefined,
  };
}

function ViewsOf(context: ViewContext): View[] {
  return factories.flatMap(factory => {
    const made = factory(context);
    return made === null ? [] : Array.isArray(made) ? made : [made];
  });
}

function StateAt(cursor: number, item: Item | null, storage: number): State {
  return { item, hover: item, storage, cursor, filter: noFilter };
}

function ExpectSound(table: Table): void {
  for (const row of table.rows) {
    expect(row.length).toBe(table.columns.length);
    row.forEach((cell, i) => {
      expect(typeof cell === 'number' || typeof cell === 'string').toBe(true);
      if (typeof cell === 'string') expect(cell).not.toMatch(/NaN|undefined|Infinity/);
      else expect(table.columns[i]!.numeric).toBe(true);
    });
  }
  expect(table.rows.length).toBeLessThanOrEqual(Math.max(table.total, 0));
  if (table.items !== undefined) expect(table.items.length).toBe(table.rows.length);
}

const traces: [string, () => Trace][] = [
  ['a pool', () => RandomPoolTrace(5, 400).trace],
  ['a run', () => RandomRunTrace(6, 900)],
  ['nothing', () => MakeTrace([])],
  ['one block that stays', () => MakeTrace([
    { time: 0, event: Event.PoolAllocate, tag: 4, subject: 0, value: 512 }, { time: 0, event: Event.OpBegin },
  ])],
  ['more freed than handed out', () => MakeTrace([
    { time: 3, event: Event.PoolFree, tag: 4, subject: 512, value: 512 },
    { time: 4, event: Event.PoolAllocate, tag: 200, subject: 0, value: 100 },
    { time: 4, event: Event.PoolFull, tag: 4, subject: 9, value: 4096 },
  ])],
  ['events about unknown storages and transfers', () => MakeTrace([
    { time: 1, event: Event.TransferEnd, detail: 9, subject: 3, value: 9 },
    { time: 2, event: Event.Decision, detail: 65535, subject: 0, value: 1 },
    { time: 2, event: Event.Decision, detail: 3 * 256, subject: 5, value: 0 },
    { time: 3, event: Event.StallEnd, detail: 2, subject: 5, value: 1 },
    { time: 3, event: Event.PoolAllocate, detail: 99, tag: 4, subject: 0, value: 100 },
  ])],
];

describe.each(traces)('of a trace with %s', (_name, Make) => {
  test('views draw at places that are numbers, at any size, and their tables are sound', () => {
    const context = ContextOf(Make(), Make());
    const { duration } = context.trace;
    for (const view of ViewsOf(context)) {
      for (const [width, height] of [[900, 190], [1900, 400], [40, 20]] as const) {
        for (const [begin, end] of [[0, duration], [duration * 0.4, duration * 0.41], [-duration, 2 * duration]] as const) {
          const viewport = { begin, end, width };
          for (const state of [StateAt(0, null, 0), StateAt(duration / 2, null, 3), StateAt(duration, null, 7)]) {
            const drawn = RecordingSurface(width, height, width > 1000);
            view.draw(drawn.surface, viewport, state);
            expect(drawn.wrong, view.id).toEqual([]);
            expect(drawn.texts.filter(text => /NaN|undefined|Infinity/.test(text)), view.id).toEqual([]);
            expect(view.note?.(state) ?? '').not.toMatch(/NaN|undefined/);
            ExpectSound(view.rows(viewport, state, 25));
          }
        }
      }
    }
  });

  test('what is hit can be selected, and the keyboard reaches all of it', () => {
    const context = ContextOf(Make(), Make());
    const viewport = { begin: 0, end: context.trace.duration, width: 900 };
    const checked = new Set<string>();
    const Check = (view: View, item: Item): void => {
      if (checked.has(`${item.view} ${item.key}`)) return;
      checked.add(`${item.view} ${item.key}`);
      expect(item.view).toBe(view.id);
      expect(item.begin).toBeLessThanOrEqual(item.end);
      expect([item.title, ...item.details.flat()].join(' ')).not.toMatch(/NaN|undefined|Infinity/);
      expect(item.key).toBeGreaterThanOrEqual(0); // deep links have no sign
      if (view.find !== undefined) expect(view.find(item.key)).toMatchObject({ key: item.key, title: item.title });
      if (checked.size % 9 !== 0) return;
      const drawn = RecordingSurface(900, 190, false);
      view.draw(drawn.surface, viewport, StateAt(viewport.end / 2, item, item.storage));
      expect(drawn.wrong, view.id).toEqual([]);
      view.draw(drawn.surface, viewport, StateAt(viewport.end / 2, null, 0));
    };
    for (const [view, storage] of ViewsOf(context).flatMap(one => [[one, 0], [one, 3]] as [View, number][])) {
      const state = StateAt(viewport.end / 2, null, storage);
      view.draw(RecordingSurface(900, 190, false).surface, viewport, state);
      const hit = new Map<number, string>();
      for (let y = 3; y < 190; y += 13) {
        for (let x = 3; x < 900; x += 37) {
          const item = view.hit(x, y, viewport, state);
          if (item !== null) hit.set(item.key, item.title);
        }
      }
      const seen = new Map<number, Item>();
      for (let item = view.neighbour!(null, 1, viewport, state); item !== null && seen.size < 5000;) {
        expect(seen.has(item.key)).toBe(false);
        seen.set(item.key, item);
        item = view.neighbour!(item, 1, viewport, state);
      }
      for (const [key, title] of hit) expect(seen.get(key)?.title, `${view.id} ${key}`).toBe(title);
      // And back, from the last to the first.
      const back: number[] = [];
      for (let item = [...seen.values()].at(-1) ?? null; item !== null && back.length < 5000;) {
        back.unshift(item.key);
        item = view.neighbour!(item, -1, viewport, state);
      }
      expect(back, view.id).toEqual([...seen.keys()]);
      for (const item of seen.values()) Check(view, item);
      const table = view.rows(viewport, state, 5);
      if (table.rows.length > 0 && table.items !== undefined) expect(seen.size).toBeGreaterThan(0);
    }
  });
});

test('the keyboard reaches requests that found no room, among the blocks by time', () => {
  const context = ContextOf(MakeTrace([
    { time: 1, event: Event.PoolAllocate, tag: 4, subject: 0, value: 512 },
    { time: 5, event: Event.PoolFull, tag: 4, subject: 0, value: 40000 },
    { time: 5, event: Event.PoolAllocate, tag: 4, subject: 512, value: 512 },
    { time: 9, event: Event.PoolFull, tag: 4, subject: 0, value: 50000 },
  ]), null);
  const [view] = [FragmentationViews(context)].flat() as View[];
  const viewport = { begin: 0, end: 10, width: 900 };
  const state = StateAt(0, null, 0);
  const Titles = (first: Item | null, direction: -1 | 1): string[] => {
    const titles: string[] = [];
    for (let item = first; item !== null; item = view!.neighbour!(item, direction, viewport, state)) titles.push(item.title);
    return titles;
  };
  const refusal = view!.hit(810, 3, viewport, state);
  expect(refusal?.title).toBe('device had no room for 48.8 KiB');
  const titles = Titles(view!.neighbour!(null, 1, viewport, state), 1);
  expect(titles.map(title => /^device (block|had)/.exec(title)?.[1])).toEqual(['block', 'block', 'had', 'had']);
  expect(Titles(refusal, -1)).toEqual([...titles].reverse());
});

test('the table of occupancy has the figures that are drawn', () => {
  const context = ContextOf(RandomPoolTrace(9, 300).trace, null);
  for (const view of [OccupancyViews(context)].flat() as View[]) {
    const table = view.rows({ begin: 0, end: context.trace.duration, width: 900 }, StateAt(0, null, 0), 10_000);
    for (const row of table.rows) expect((row.slice(2) as number[]).reduce((a, b) => a + b, 0)).toBe(row[1]);
    const most = table.rows.reduce((peak, row) => Math.max(peak, row[1] as number), 0);
    const tier = context.derived.occupancies.find(one => view.id.endsWith(context.trace.meta.vocabulary.tiers[one.tier]!))!;
    expect(most).toBe(tier.peakBytes);
  }
});

test('the lineage says of a copy that failed that it did, and of one without an end that', () => {
  const Copy = (transfer: number, time: number, end: { time: number; value: number } | null) => [
    { time, event: Event.TransferStorage, detail: 0, subject: transfer, value: 3 },
    { time, event: Event.TransferAsk, detail: 0, subject: transfer, value: 4096 },
    ...(end === null ? [] : [{ ...end, event: Event.TransferEnd, detail: 0, subject: transfer }]),
  ];
  const trace = MakeTrace([
    { time: 1, event: Event.StorageRegister, subject: 3, value: 4096 },
    { time: 2, event: Event.Decision, detail: 256, subject: 3, value: 4096 },
    ...Copy(0, 10, { time: 2010, value: 0 }),
    ...Copy(1, 3000, null),
  ]);
  const context = ContextOf(trace, null);
  const panel = LineageView(context) as View;
  const viewport = { begin: 0, end: trace.duration, width: 900 };
  const rows = panel.rows(viewport, StateAt(0, null, 3), 20).rows.filter(row => /copied/.test(String(row[0])));
  expect(rows).toEqual([
    ['not copied out', 10, 4096, 'device to host, failed 2 µs after it was asked for: none of its bytes arrived'],
    ['copied out', 3000, 4096, 'device to host, its end is not in the trace'],
  ]);
  expect(panel.find!(3)!.details).toContainEqual(['Copied', '1 times, 1 failed']);
  // It is drawn too, in the colour of what went wrong.
  const drawn = RecordingSurface(900, 260, false);
  const colors: unknown[] = [];
  drawn.surface.context = new Proxy(drawn.surface.context, {
    set: (target, name, value) => {
      if (name === 'fillStyle') colors.push(value);
      return Reflect.set(target, name, value);
    },
  });
  panel.draw(drawn.surface, viewport, StateAt(0, null, 3));
  expect(colors).toContain(lightPalette.series[5]);
});

test('views without anything to show are not offered', () => {
  const context = ContextOf(MakeTrace([]), null);
  expect(OccupancyViews(context)).toEqual([]);
  expect([PeakView, HolesView, LineageView, CompareView].map(factory => factory(context))).toEqual([null, null, null, null]);
});
