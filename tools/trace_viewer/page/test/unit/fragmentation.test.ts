// Holes and pins against an array of bytes; samples against the layout of their instants.

import { describe, expect, test } from 'vitest';
import { DeriveBlocks } from '../../src/derive/blocks.ts';
import { DeriveRefusals, LayoutAfter, SampleHoles, TierLimit } from '../../src/derive/fragmentation.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import type { LiveBlock } from './random_trace.ts';
import { RandomPoolTrace } from './random_trace.ts';

const seeds = Array.from({ length: 12 }, (_, i) => i + 1);
const unit = 512; // all offsets and sizes of the random traces are multiples of it

// The lengths of the runs of free units, by marking every unit that a block covers.
function FreeRuns(live: LiveBlock[], limit: number): number[] {
  const used = new Uint8Array(limit / unit);
  for (const block of live) used.fill(1, block.offset / unit, (block.offset + block.bytes) / unit);
  const runs: number[] = [];
  let run = 0;
  for (const unitUsed of [...used, 1]) {
    if (unitUsed === 0) ++run;
    else if (run > 0) {
      runs.push(run * unit);
      run = 0;
    }
  }
  return runs;
}

describe('the layout of a tier', () => {
  test.each(seeds)('has the holes that are left, and what each pin would free (seed %i)', seed => {
    const { trace, liveAfter } = RandomPoolTrace(seed, 200);
    const blocks = DeriveBlocks(trace);
    for (const tier of [0, 1]) {
      const limit = TierLimit(trace, blocks, tier);
      for (let record = 0; record < trace.columns.count; record += 11) {
        const live = liveAfter[record]!.filter(block => block.tier === tier);
        const layout = LayoutAfter(blocks, tier, limit, record);
        const runs = FreeRuns(live, limit);
        expect(layout.holes.map(hole => hole.bytes)).toEqual(runs);
        expect(layout.largest).toBe(Math.max(0, ...runs));
        expect(layout.free).toBe(limit - live.reduce((sum, block) => sum + block.bytes, 0));
        expect(layout.pins.length).toBe(Math.max(0, runs.length - 1));
        for (const pin of layout.pins) { // without its blocks, and no fewer of them, there is one hole less, of that size
          const offsets = pin.blocks.map(block => blocks.offset[block]!);
          const without = FreeRuns(live.filter(block => !offsets.includes(block.offset)), limit);
          expect(without.length).toBe(runs.length - 1);
          expect(without).toContain(pin.joined);
          expect(pin.bytes).toBe(pin.blocks.reduce((sum, block) => sum + blocks.bytes[block]!, 0));
          const allButOne = FreeRuns(live.filter(block => !offsets.slice(1).includes(block.offset)), limit);
          expect(allButOne.length).toBe(runs.length);
        }
        for (let i = 1; i < layout.pins.length; ++i) {
          expect(layout.pins[i]!.joined).toBeLessThanOrEqual(layout.pins[i - 1]!.joined);
        }
      }
    }
  });

  test.each(seeds)('is sampled at the end of each slice (seed %i)', seed => {
    const { trace } = RandomPoolTrace(seed, 200);
    const blocks = DeriveBlocks(trace);
    for (const tier of [0, 1]) {
      const limit = TierLimit(trace, blocks, tier);
      const slices = 23;
      const begin = seed % 2 === 0 ? 0 : trace.duration * 0.3;
      const end = seed % 2 === 0 ? trace.duration : trace.duration * 0.6;
      const samples = SampleHoles(blocks, tier, limit, begin, end, slices);
      for (let slice = 0; slice < slices; ++slice) {
        const until = begin + ((end - begin) * (slice + 1)) / slices;
        const layout = LayoutAfter(blocks, tier, limit, trace.columns.time.findLastIndex(time => time <= until));
        expect(samples.free[slice]).toBe(layout.free);
        expect(samples.largest[slice]).toBe(layout.largest);
      }
    }
  });

  test('ends at the capacity of the summary, else at what was reserved', () => {
    const records = [
      { time: 0, event: Event.PoolReserve, subject: 0, value: 4096 },
      { time: 1, event: Event.PoolAllocate, tag: 4, subject: 0, value: 512 },
      { time: 2, event: Event.PoolRelease, subject: 0, value: 1024 },
      { time: 3, event: Event.PoolReserve, subject: 0, value: 2048 },
    ];
    const trace = MakeTrace(records);
    expect(TierLimit(trace, DeriveBlocks(trace), 0)).toBe(5120);
    const known = MakeTrace(records, { tiers: [{ tier: 'device', capacity: 9000 } as never] });
    expect(TierLimit(known, DeriveBlocks(known), 0)).toBe(9000);
  });
});

test('refusals are the requests of one tier that found it full', () => {
  const trace = MakeTrace([
    { time: 5, event: Event.PoolFull, tag: 6, detail: 0, subject: 100, value: 4096 },
    { time: 6, event: Event.PoolFull, tag: 5, detail: 1, subject: 100, value: 512 },
  ]);
  expect(DeriveRefusals(trace, 0)).toEqual([{ record: 0, time: 5, asked: 4096, tag: 6 }]);
});
