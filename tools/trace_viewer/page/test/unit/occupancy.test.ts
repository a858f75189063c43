// Occupancy, blocks and the shares of an instant, against lists of live blocks kept by going over the records.

import { describe, expect, test } from 'vitest';
import { DeriveBlocks, LiveAfter } from '../../src/derive/blocks.ts';
import { DeriveLabelPatterns } from '../../src/derive/label_patterns.ts';
import { DeriveOccupancy, ForEachStack, tagCount } from '../../src/derive/occupancy.ts';
import type { Share } from '../../src/derive/peak.ts';
import { SharesAfter } from '../../src/derive/peak.ts';
import { DeriveStorages } from '../../src/derive/storages.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { Random, RandomPoolTrace } from './random_trace.ts';

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

function Sum(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

describe('occupancy', () => {
  test.each(seeds)('is what is live, by tag, after every record (seed %i)', seed => {
    const { trace, liveAfter } = RandomPoolTrace(seed, 300);
    const bytes = new Float64Array(tagCount);
    for (const occupancy of DeriveOccupancy(trace)) {
      let peak = 0;
      for (let position = 0; position < occupancy.count; ++position) {
        const live = liveAfter[occupancy.record[position]!]!.filter(block => block.tier === occupancy.tier);
        occupancy.ByTag(position, bytes);
        for (let tag = 0; tag < tagCount; ++tag) {
          expect(bytes[tag]).toBe(Sum(live.filter(block => block.tag === tag).map(block => block.bytes)));
        }
        expect(occupancy.total[position]).toBe(Sum(bytes));
        peak = Math.max(peak, Sum(live.map(block => block.bytes)));
      }
      expect(occupancy.peakBytes).toBe(peak);
      expect(occupancy.consistent).toBe(true);
    }
  });

  test.each(seeds)('stacks add up to the most of each pixel column (seed %i)', seed => {
    const { trace } = RandomPoolTrace(seed, 300);
    const random = Random(seed);
    for (const occupancy of DeriveOccupancy(trace)) {
      const begin = random() * trace.duration * 0.5;
      const end = begin + 1 + random() * trace.duration;
      const width = 37;
      const columns = new Float64Array(width * tagCount);
      ForEachStack(occupancy, begin, end, width, (first, last, bytes) => {
        for (let column = first; column < last; ++column) columns.set(bytes, column * tagCount);
      });
      for (let column = 0; column < width; ++column) {
        const from = begin + ((end - begin) * column) / width;
        const to = begin + ((end - begin) * (column + 1)) / width;
        let expected = 0;
        for (let i = 0; i < occupancy.count; ++i) { // it holds from its time until the next one's
          const until = occupancy.time[i + 1] ?? Infinity;
          if (occupancy.time[i]! < to && (until > from || occupancy.time[i]! >= from)) {
            expected = Math.max(expected, occupancy.total[i]!);
          }
        }
        expect(Sum(columns.subarray(column * tagCount, (column + 1) * tagCount))).toBe(expected);
      }
    }
  });

  test('says that records are missing where more is freed than was handed out', () => {
    const occupancy = DeriveOccupancy(MakeTrace([
      { time: 0, event: Event.PoolAllocate, tag: 4, subject: 0, value: 512 },
      { time: 1, event: Event.PoolFree, tag: 5, subject: 512, value: 512 },
    ]));
    expect(occupancy[0]!.consistent).toBe(false);
    expect(occupancy[0]!.peakBytes).toBe(512);
  });

  test('of a trace without a pool is none', () => {
    expect(DeriveOccupancy(MakeTrace([]))).toEqual([]);
  });
});

describe('blocks', () => {
  test.each(seeds)('live after a record are those that were, with their owners (seed %i)', seed => {
    const { trace, liveAfter } = RandomPoolTrace(seed, 300);
    const blocks = DeriveBlocks(trace);
    expect(blocks.strayFrees).toBe(0);
    for (let record = 0; record < trace.columns.count; record += 7) {
      for (const tier of [0, 1]) {
        const expected = liveAfter[record]!.filter(block => block.tier === tier).sort((a, b) => a.offset - b.offset);
        const found = [...LiveAfter(blocks, tier, record)].map(block => ({
          tier,
          tag: blocks.tag[block],
          offset: blocks.offset[block],
          bytes: blocks.bytes[block],
          storage: blocks.storage[block],
        }));
        expect(found).toEqual(expected);
      }
    }
  });

  test('are named by the copy or replay that follows, and not twice', () => {
    const blocks = DeriveBlocks(MakeTrace([
      { time: 0, event: Event.PoolAllocate, tag: 5, detail: 1, subject: 0, value: 512 },
      { time: 1, event: Event.TransferStorage, detail: 0, subject: 0, value: 7 },
      { time: 2, event: Event.PoolAllocate, tag: 6, subject: 0, value: 512 },
      { time: 3, event: Event.TransferStorage, detail: 1, subject: 1, value: 8 },
      { time: 4, event: Event.TransferStorage, detail: 1, subject: 2, value: 9 },
      { time: 5, event: Event.PoolAllocate, tag: 6, subject: 512, value: 512 },
      { time: 6, event: Event.Replay, tag: 6, subject: 10, value: 300 },
      { time: 7, event: Event.PoolAllocate, tag: 6, subject: 1024, value: 512 },
      { time: 8, event: Event.PoolFree, tag: 6, subject: 1024, value: 512 },
      { time: 9, event: Event.Replay, tag: 6, subject: 11, value: 300 },
      { time: 10, event: Event.PoolFree, tag: 6, subject: 4096, value: 512 },
    ]));
    expect([...blocks.storage]).toEqual([7, 8, 10, 0]);
    expect(blocks.strayFrees).toBe(1);
  });
});

describe('shares of an instant', () => {
  test.each(seeds)('add up at every node, and to the counter (seed %i)', seed => {
    const { trace, liveAfter } = RandomPoolTrace(seed, 300);
    const blocks = DeriveBlocks(trace);
    const storages = DeriveStorages(trace);
    const patterns = DeriveLabelPatterns(trace.labels);
    const Check = (share: Share): void => {
      if (share.children.length === 0) return;
      expect(share.bytes).toBe(Sum(share.children.map(child => child.bytes)));
      share.children.forEach(Check);
    };
    for (const occupancy of DeriveOccupancy(trace)) {
      for (let position = 0; position < occupancy.count; position += 5) {
        const root = SharesAfter(trace, blocks, storages, patterns, occupancy.tier, occupancy.record[position]!);
        expect(root.bytes).toBe(occupancy.total[position]);
        Check(root);
        const live = liveAfter[occupancy.record[position]!]!.filter(block => block.tier === occupancy.tier);
        for (const ofTag of root.children) {
          const ofThis = live.filter(block => block.tag === ofTag.tag);
          expect(ofTag.bytes).toBe(Sum(ofThis.map(block => block.bytes)));
          const names = new Set(ofThis.map(block => block.storage === 0 ? 'no storage named' : 'layer*'));
          expect(new Set(ofTag.children.map(share => share.name))).toEqual(names);
        }
      }
    }
  });
});
