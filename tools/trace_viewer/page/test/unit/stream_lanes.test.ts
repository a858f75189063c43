// Lanes of ops and stalls: each stream has one, and where there are more than fit, the last has all that are left.

import { expect, test } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import { OpsView } from '../../src/views/ops_view.ts';
import { StallsView } from '../../src/views/stalls_view.ts';
import { noFilter, type State, type View, type ViewFactory } from '../../src/views/view.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace, type RecordLike } from './fixture.ts';

// One op and one stall of each stream, one after the other.
function Lanes(factory: ViewFactory, streams: number): View[] {
  const records: RecordLike[] = [];
  for (let stream = 1; stream <= streams; ++stream) {
    records.push({ time: 100 * stream - 20, event: Event.OpBegin, subject: stream, value: stream });
    records.push({ time: 100 * stream - 10, event: Event.OpEnd, subject: stream, value: stream });
    records.push({ time: 100 * stream, event: Event.StallBegin, detail: 2, subject: 1, value: stream });
    records.push({ time: 100 * stream + 50, event: Event.StallEnd, detail: 2, subject: 1, value: 50 });
  }
  const trace = MakeTrace(records);
  const lanes = factory({ trace, derived: new Derived(trace), other: null, select: () => undefined, show: () => undefined });
  return [lanes ?? []].flat();
}

const state: State = { item: null, hover: null, storage: 0, cursor: 0, filter: noFilter };
const viewport = { begin: 0, end: 10_000, width: 1000 };

const kinds: [string, ViewFactory][] = [['Ops', OpsView], ['Stalls', StallsView]];
const cases = kinds.flatMap(([name, factory]) => [1, 2, 16, 17, 40].map((streams): [string, number, ViewFactory] => [name, streams, factory]));

test.each(cases)('%s of all of %i streams are in a lane', (_, streams, factory) => {
  const lanes = Lanes(factory, streams);
  expect(lanes.length).toBe(Math.min(streams, 17));
  expect(new Set(lanes.map(lane => lane.id)).size).toBe(lanes.length);
  const seen = lanes.flatMap(lane => lane.rows(viewport, state, 100).items!.map(item => {
    expect(item!.view).toBe(lane.id);
    expect(lane.find!(item!.key)).toMatchObject({ key: item!.key });
    return Object.fromEntries(item!.details)['Stream'];
  }));
  expect(seen).toEqual(Array.from({ length: streams }, (_, at) => `${at + 1}`));
});

test.each(kinds)('the lane of %s without one of their own says what it is', (name, factory) => {
  expect(Lanes(factory, 1).at(-1)!.title).toBe(name);
  expect(Lanes(factory, 16).at(-1)!.title).toBe(`${name} of stream 16`);
  expect(Lanes(factory, 17).at(-1)!.title).toBe(`${name} of 1 other stream`);
  const last = Lanes(factory, 40).at(-1)!;
  expect(last.title).toBe(`${name} of 24 other streams`);
  expect(last.about).toContain('no lane of their own');
});

test('ops of a trace from before streams were in it are of none', () => {
  const trace = MakeTrace([{ time: 0, event: Event.OpBegin, subject: 1 }, { time: 5, event: Event.OpEnd, subject: 1 }]);
  const lane = OpsView({ trace, derived: new Derived(trace), other: null, select: () => undefined, show: () => undefined }) as View[];
  expect(lane.map(view => view.id)).toEqual(['ops']);
  expect(Object.fromEntries(lane[0]!.find!(0)!.details)['Stream']).toBe('not in the trace');
});
