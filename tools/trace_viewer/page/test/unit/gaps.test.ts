// Gaps are drawn: where records are missing a hatched part lies over what is there, in every picture over time.

import { expect, test } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import { DrawGaps } from '../../src/draw/gaps.ts';
import type { Gap, Trace } from '../../src/model.ts';
import { HolesView } from '../../src/views/holes_view.ts';
import { LineageView } from '../../src/views/lineage_view.ts';
import { noFilter, type State, type View, type ViewFactory } from '../../src/views/view.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { RecordingSurface } from './recording_surface.ts';

const gaps: Gap[] = [
  { begin: -50, end: 100, reason: 'overwritten', what: 'the ring went round' },
  { begin: 400, end: 500, reason: 'dropped', what: '17 records are missing' },
  { begin: 600, end: 600, reason: 'dropped', what: 'one record is missing' },
  { begin: 900, end: null, reason: 'truncated', what: 'the program did not end the trace' },
];
const frame = { left: 20, top: 5, width: 1000, height: 40 };

// Left and width of each.
function Hatched(begin: number, end: number, drawn: readonly Gap[] = gaps): [number, number][] {
  const recorded = RecordingSurface(1100, 60, false);
  DrawGaps(recorded.surface, drawn, { begin, end, width: 1 }, frame);
  for (const [, top, , height] of recorded.hatched) expect([top, height]).toEqual([frame.top, frame.height]);
  return recorded.hatched.map(([left, , width]) => [left, width]);
}

test('each gap is hatched from its begin to its end, one without an end to the edge, and the shortest is seen', () => {
  expect(Hatched(0, 1000)).toEqual([[20, 100], [420, 100], [620, 3], [920, 100]]);
  expect(Hatched(0, 1000, [])).toEqual([]);
});

test('gaps that begin or end beyond what is shown are cut at its edges, and others are not drawn', () => {
  expect(Hatched(450, 550)).toEqual([[20, 500]]); // none at the left edge for what lies before it
  expect(Hatched(550, 590)).toEqual([]);
  expect(Hatched(950, 1050)).toEqual([[20, 1000]]);
});

function Panel(factory: ViewFactory): { panel: View; trace: Trace } {
  const trace = MakeTrace([
    { time: 0, event: Event.StorageRegister, subject: 3, value: 4096 },
    { time: 0, event: Event.PoolAllocate, tag: 4, subject: 0, value: 4096 },
    { time: 300, event: Event.Decision, detail: 2 * 256, subject: 3, value: 4096 },
    { time: 1000, event: Event.StorageRetire, subject: 3 },
  ]);
  trace.meta.gaps = gaps;
  const panel = factory({ trace, derived: new Derived(trace), other: null, select: () => undefined, show: () => undefined }) as View;
  return { panel, trace };
}

const state: State = { item: null, hover: null, storage: 3, cursor: 500, filter: noFilter };

test('the history of holes has its gaps, and says what they are', () => {
  const { panel, trace } = Panel(HolesView);
  const Draw = () => {
    const recorded = RecordingSurface(1020, 240, false);
    panel.draw(recorded.surface, { begin: 0, end: 1000, width: 1020 }, state);
    return recorded;
  };
  const drawn = Draw();
  expect(drawn.hatched.map(([left, , width]) => [left, width])).toEqual([[10, 100], [410, 100], [610, 3], [910, 100]]);
  expect(drawn.texts.filter(text => text.includes('hatched: records are missing'))).toHaveLength(1);
  trace.meta.gaps = [];
  expect(Draw().hatched).toEqual([]);
});

test('the life of a storage has its gaps', () => {
  const { panel } = Panel(LineageView);
  const recorded = RecordingSurface(1096, 240, false); // 10 at each side, 76 for the names of rows
  panel.draw(recorded.surface, { begin: 0, end: 1000, width: 1096 }, state);
  expect(recorded.hatched.map(([left, , width]) => [left, width])).toEqual([[86, 100], [486, 100], [686, 3], [986, 100]]);
});
