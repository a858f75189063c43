// The cheapest set against every subset; what a value's way costs against traces that say it; the lowered peak against
// adding up block by block.

import { describe, expect, test } from 'vitest';
import { DeriveBlocks } from '../../src/derive/blocks.ts';
import { DeriveOccupancy } from '../../src/derive/occupancy.ts';
import type { Candidate, Way } from '../../src/derive/offload_set.ts';
import { CheapestSet, OffloadCandidates, PeakWithout } from '../../src/derive/offload_set.ts';
import { DeriveStorageRecords } from '../../src/derive/storage_records.ts';
import { Event } from '../../src/vocabulary.ts';
import type { RecordLike } from './fixture.ts';
import { MakeTrace } from './fixture.ts';
import { Random } from './random_trace.ts';

function RandomCandidates(random: () => number, size: number): Candidate[] {
  return Array.from({ length: size }, (_, block) => {
    const freed = 1 + Math.floor(random() * 40);
    return { block, storage: block + 1, freed, moved: Math.floor(random() * 3) * freed, way: 'copied out and in' as Way };
  });
}

function LeastMoved(candidates: Candidate[], target: number): number {
  let least = Infinity;
  for (let subset = 0; subset < 1 << candidates.length; ++subset) {
    let freed = 0;
    let moved = 0;
    candidates.forEach((candidate, i) => {
      if ((subset >> i & 1) === 0) return;
      freed += candidate.freed;
      moved += candidate.moved;
    });
    if (freed >= target && moved < least) least = moved;
  }
  return least;
}

describe('the cheapest set', () => {
  test.each(Array.from({ length: 40 }, (_, i) => i + 1))('moves as little as any set that frees enough (seed %i)', seed => {
    const random = Random(seed);
    const candidates = RandomCandidates(random, 1 + Math.floor(random() * 11));
    const all = candidates.reduce((sum, candidate) => sum + candidate.freed, 0);
    for (const part of [0, 0.1, 0.4, 0.8, 1, 1.1]) {
      const target = Math.ceil(all * part);
      const set = CheapestSet(candidates, target);
      expect(set.freed).toBe(set.chosen.reduce((sum, candidate) => sum + candidate.freed, 0));
      expect(set.moved).toBe(set.chosen.reduce((sum, candidate) => sum + candidate.moved, 0));
      expect(set.enough).toBe(target <= all);
      if (!set.enough) continue;
      expect(set.freed).toBeGreaterThanOrEqual(target);
      expect(set.exact).toBe(true);
      expect(set.moved).toBe(LeastMoved(candidates, target));
    }
  });

  test.each([1, 2])('of many candidates is bounded in time, and says how near it is (seed %i)', seed => {
    const random = Random(seed);
    const candidates = RandomCandidates(random, 1500).map(({ freed, ...rest }) =>
      ({ ...rest, freed: freed * 100_003 + 512 * Math.floor(random() * 9), moved: 2 * freed * 100_003 }));
    const all = candidates.reduce((sum, candidate) => sum + candidate.freed, 0);
    for (const part of [0.01, 0.5, 0.999, 1]) {
      const target = Math.floor(all * part);
      const set = CheapestSet(candidates, target);
      expect(set.freed).toBeGreaterThanOrEqual(target);
      expect(set.bound).toBeLessThanOrEqual(set.moved);
      expect(set.moved).toBeLessThanOrEqual(set.bound * 1.01 + 1);
      // What divisible candidates would cost, the cheapest for their bytes first: no set moves less.
      let need = target;
      let divisible = 0;
      for (const { freed, moved } of [...candidates].sort((a, b) => a.moved / a.freed - b.moved / b.freed)) {
        divisible += moved * Math.min(1, need / freed);
        if ((need -= freed) <= 0) break;
      }
      expect(Math.abs(set.bound - divisible)).toBeLessThanOrEqual(1);
    }
  });

  test('of a few blocks without a common divisor is near the least', () => {
    const candidates = [96, 96, 96, 86, 32, 32, 4, 1].map((mib, block) => {
      const freed = mib * 2 ** 20 + (mib === 86 ? 1 : 0);
      return { block, storage: block + 1, freed, moved: 2 * freed, way: 'copied out and in' as Way };
    });
    const set = CheapestSet(candidates, 150 * 2 ** 20 - 1024);
    expect(set.moved).toBe(2 * (150 * 2 ** 20 + 1)); // 86, 32 and 32; greedy would take 192
  });
});

// A storage 1 of 512 bytes that is saved, with `before` the instant in question, and `after` it.
function WayThere(before: RecordLike[], after: RecordLike[]): { way: Way | undefined; moved: number | undefined } {
  const records: RecordLike[] = [
    { time: 0, event: Event.PoolAllocate, tag: 4, subject: 0, value: 512 },
    { time: 0, event: Event.StorageRegister, tag: 4, subject: 1, value: 500 },
    ...before,
    { time: 50, event: Event.OpBegin },
    ...after,
  ];
  const trace = MakeTrace(records);
  const candidates = OffloadCandidates(trace, DeriveBlocks(trace), DeriveStorageRecords(trace), 0,
    before.length + 2);
  return { way: candidates[0]?.way, moved: candidates[0]?.moved };
}

describe('a value can be away', () => {
  const pack = { time: 10, event: Event.Pack, subject: 1, value: 500 };
  const unpack = { time: 60, event: Event.Unpack, subject: 1, value: 500 };
  const source = { time: 1, event: Event.StorageRegister, detail: 1, subject: 2, value: 500 };
  const derive = { time: 2, event: Event.Derive, subject: 1, value: 2 };

  test('not at all where nothing has saved it, or its handle is gone', () => {
    expect(WayThere([], [unpack]).way).toBeUndefined();
    expect(WayThere([pack, { time: 20, event: Event.Drop, subject: 1 }], []).way).toBeUndefined();
  });
  test('by two copies', () => expect(WayThere([pack], [unpack])).toEqual({ way: 'copied out and in', moved: 1024 }));
  test('by one copy where the host has it, and not after a write', () => {
    const both = { time: 20, event: Event.Residency, detail: 1 * 256 + 2, subject: 1, value: 500 };
    expect(WayThere([pack, both], [unpack])).toEqual({ way: 'on the host already', moved: 512 });
    const write = { time: 21, event: Event.StorageWrite, subject: 1, value: 2 };
    expect(WayThere([pack, both, write], [unpack])).toEqual({ way: 'copied out and in', moved: 1024 });
  });
  test('for nothing where nobody uses it again', () => {
    expect(WayThere([pack], [])).toEqual({ way: 'not used again', moved: 0 });
  });
  test('for nothing where its source stays, and not where that is written or retired before', () => {
    expect(WayThere([source, derive, pack], [unpack])).toEqual({ way: 'made again from another storage', moved: 0 });
    const write = { time: 55, event: Event.StorageWrite, subject: 2, value: 2 };
    expect(WayThere([source, derive, pack], [write, unpack]).way).toBe('copied out and in');
    const retire = { time: 55, event: Event.StorageRetire, subject: 2, value: 500 };
    expect(WayThere([source, derive, pack], [retire, unpack]).way).toBe('copied out and in');
  });
  test('for nothing where the program computes it again', () => {
    const recomputes = { time: 5, event: Event.Recomputes, subject: 1, value: 100 };
    expect(WayThere([recomputes, pack], [unpack])).toEqual({ way: 'computed again by the program', moved: 0 });
  });
  test('not at all where its owner keeps it on the device', () => {
    const trace = MakeTrace([
      { time: 0, event: Event.PoolAllocate, tag: 1, subject: 0, value: 512 },
      { time: 0, event: Event.StorageRegister, tag: 1, detail: 1, subject: 1, value: 500 },
      { time: 1, event: Event.Pack, subject: 1, value: 500 },
      { time: 2, event: Event.Unpack, subject: 1, value: 500 },
    ]);
    expect(OffloadCandidates(trace, DeriveBlocks(trace), DeriveStorageRecords(trace), 0, 2)).toEqual([]);
  });
});

test('the lowered peak is that of the bytes without the chosen blocks, from their pack to their use', () => {
  for (let seed = 1; seed <= 30; ++seed) {
    const random = Random(seed);
    const records: RecordLike[] = [];
    const blocks = Array.from({ length: 12 }, (_, i) => {
      const [taken, packed, used, freed] = Array.from({ length: 4 }, () => 1 + Math.floor(random() * 400)).sort((a, b) => a - b);
      return { storage: i + 1, bytes: 1 + Math.floor(random() * 50), taken: taken!, packed: packed!, used: used!, freed: freed! };
    });
    for (const { storage, bytes, taken, packed, used, freed } of blocks) {
      records.push({ time: taken, event: Event.PoolAllocate, tag: 4, subject: storage * 100, value: bytes },
        { time: taken, event: Event.StorageRegister, tag: 4, subject: storage, value: bytes },
        { time: packed, event: Event.Pack, subject: storage, value: bytes },
        { time: used, event: Event.Unpack, subject: storage, value: bytes },
        { time: freed, event: Event.PoolFree, tag: 4, subject: storage * 100, value: bytes });
    }
    records.forEach((record, i) => (record.time = record.time * 100 + i)); // all at instants of their own
    records.sort((a, b) => a.time - b.time);
    const trace = MakeTrace(records);
    const derived = DeriveBlocks(trace);
    const occupancy = DeriveOccupancy(trace)[0]!;
    const storageRecords = DeriveStorageRecords(trace);
    const record = occupancy.record[occupancy.peak]!;
    const candidates = OffloadCandidates(trace, derived, storageRecords, 0, record);
    const chosen = candidates.filter(() => random() < 0.5);
    const away = new Set(chosen.map(candidate => candidate.storage));
    let expected = 0;
    for (let i = 0; i < records.length; ++i) {
      let bytes = 0;
      for (const block of blocks) {
        const Seen = (event: number) => records.slice(0, i + 1).some(one => one.event === event &&
          (event === Event.PoolAllocate || event === Event.PoolFree ? one.subject! / 100 : one.subject) === block.storage);
        const usedBefore = records.slice(0, record + 1).some(one => one.event === Event.Unpack && one.subject === block.storage);
        const isAway = away.has(block.storage) && (usedBefore ? i >= record : Seen(Event.Pack) && !Seen(Event.Unpack));
        if (Seen(Event.PoolAllocate) && !Seen(Event.PoolFree) && !isAway) bytes += block.bytes;
      }
      expected = Math.max(expected, bytes);
    }
    expect(PeakWithout(trace, occupancy, derived, storageRecords, chosen, record).bytes).toBe(expected);
  }
});
