// Lanes of stalls: each stream has one, and where there are more than fit, the last has all that are left.

import { expect, test } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import { StallsView } from '../../src/views/stalls_view.ts';
import { noFilter, type State, type View } from '../../src/views/view.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace, type RecordLike } from './fixture.ts';

// One stall of each stream, one after the other.
function Lanes(streams: number): View[] {
  const records: RecordLike[] = [];
  for (let stream = 0; stream < streams; ++stream) {
    records.push({ time: 100 * stream, event: Event.StallBegin, detail: 2, subject: 1, value: stream });
    records.push({ time: 100 * stream + 50, event: Event.StallEnd, detail: 2, subject: 1, value: 50 });
  }
  const trace = MakeTrace(records);
  const lanes = StallsView({ trace, derived: new Derived(trace), other: null, select: () => undefined, show: () => undefined });
  return [lanes ?? []].flat();
}

const state: State = { item: null, hover: null, storage: 0, cursor: 0, filter: noFilter };
const viewport = { begin: 0, end: 10_000, width: 1000 };

test.each([1, 2, 16, 17, 40])('stalls of all of %i streams are in a lane', streams => {
  const lanes = Lanes(streams);
  expect(lanes.length).toBe(Math.min(streams, 17));
  expect(new Set(lanes.map(lane => lane.id)).size).toBe(lanes.length);
  const seen = lanes.flatMap(lane => lane.rows(viewport, state, 100).items!.map(item => {
    expect(item!.view).toBe(lane.id);
    expect(lane.find!(item!.key)).toMatchObject({ key: item!.key });
    return Object.fromEntries(item!.details)['Stream'];
  }));
  expect(seen).toEqual(Array.from({ length: streams }, (_, stream) => `${stream}`));
});

test('the lane of those without one of their own says what it is', () => {
  expect(Lanes(16).at(-1)!.title).toBe('Stalls of stream 15');
  expect(Lanes(17).at(-1)!.title).toBe('Stalls of 1 other stream');
  const last = Lanes(40).at(-1)!;
  expect(last.title).toBe('Stalls of 24 other streams');
  expect(last.about).toContain('no lane of its own');
});
