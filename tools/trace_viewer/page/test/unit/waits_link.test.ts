// Waiters, groups of waits and link efficiency, against going over the records by hand.

import { describe, expect, test } from 'vitest';
import { DeriveLabelPatterns, LabelsThemselves } from '../../src/derive/label_patterns.ts';
import { CalibratedCeilings, DeriveLink, Quantile } from '../../src/derive/link.ts';
import { DeriveStalls } from '../../src/derive/stalls.ts';
import { DeriveStorages } from '../../src/derive/storages.ts';
import { DeriveTransfers } from '../../src/derive/transfers.ts';
import { DeriveWaiters, GroupWaits, LengthWithin } from '../../src/derive/waits.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { Random, RandomRunTrace } from './random_trace.ts';

const seeds = Array.from({ length: 15 }, (_, i) => i + 1);

describe('waits', () => {
  test.each(seeds)('have the operator that began next on their stream, and groups add up (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 400);
    const { count, event, label, time, value } = trace.columns;
    const stalls = DeriveStalls(trace, DeriveStorages(trace));
    const waiters = DeriveWaiters(trace, stalls);
    const running = new Set([...value].filter((_, record) => event[record] === Event.OpBegin));
    for (let i = 0; i < stalls.count; ++i) {
      let expected = 0;
      for (let record = 0; record < count && expected === 0; ++record) {
        if (event[record] !== Event.OpBegin || time[record]! < stalls.end[i]!) continue;
        const stream = value[record]!;
        if (stream === 0 || !running.has(stalls.stream[i]!) || stream === stalls.stream[i]!) expected = label[record]!;
      }
      expect(waiters[i]).toBe(expected);
    }
    const patterns = seed % 2 === 0 ? DeriveLabelPatterns(trace.labels) : LabelsThemselves(trace.labels);
    const begin = trace.duration * 0.2;
    const end = trace.duration * 0.7;
    const groups = GroupWaits(stalls, waiters, patterns, begin, end, () => true);
    const seen = [...Array(stalls.count).keys()].filter(i => stalls.end[i]! >= begin && stalls.begin[i]! <= end);
    expect(groups.reduce((sum, group) => sum + group.count, 0)).toBe(seen.length);
    for (const group of groups) {
      const same = seen.filter(i => stalls.cause[i] === group.cause &&
        patterns.names[patterns.of[stalls.label[i]!]!] === patterns.names[group.name] && patterns.of[waiters[i]!] === group.waiter);
      const lengths = same.map(i => stalls.end[i]! - stalls.begin[i]!);
      expect(group.count).toBe(same.length);
      expect(group.ns).toBe(lengths.reduce((a, b) => a + b, 0));
      expect(stalls.end[group.longest]! - stalls.begin[group.longest]!).toBe(Math.max(...lengths));
      expect(same).toContain(group.longest);
    }
    for (let i = 1; i < groups.length; ++i) expect(groups[i]!.ns).toBeLessThanOrEqual(groups[i - 1]!.ns);
  });

  test('of two streams, each has its own operators; where one is not known, any do', () => {
    const stall = { detail: 2, subject: 1 };
    const Waiters = (...values: number[]) => {
      const trace = MakeTrace([
        { time: 0, event: Event.StallBegin, ...stall, value: 1 }, { time: 1, event: Event.StallBegin, ...stall, value: 2 },
        { time: 10, event: Event.StallEnd, ...stall, value: 10 }, { time: 12, event: Event.StallEnd, ...stall, value: 11 },
        { time: 20, event: Event.StallEnd, detail: 4, value: 5 }, // of a stream that is not in the trace
        ...values.map((value, i) => ({ time: 30 + i, event: Event.OpBegin, label: `op${i}`, subject: i, value })),
      ]);
      return [...DeriveWaiters(trace, DeriveStalls(trace, DeriveStorages(trace)))].map(label => trace.labels[label]);
    };
    expect(Waiters(2, 3, 1)).toEqual(['op2', 'op0', 'op0']);
    expect(Waiters(2, 3, 2)).toEqual(['op0', 'op0', 'op0']); // the first waited on a stream that runs nothing
    expect(Waiters(1)).toEqual(['op0', 'op0', 'op0']);
    expect(Waiters(3, 1)).toEqual(['op1', 'op0', 'op0']);
    expect(Waiters(0, 1)).toEqual(['op0', 'op0', 'op0']);
  });

  test('patterns put the numbers in labels together, and nothing else', () => {
    const { of, names } = DeriveLabelPatterns(['', 'h.0.mlp', 'h.11.mlp', 'h.0.attn', 'mlp', '7']);
    expect([...of].map(pattern => names[pattern])).toEqual(['', 'h.*.mlp', 'h.*.mlp', 'h.*.attn', 'mlp', '*']);
    expect(of[1]).toBe(of[2]);
    expect(new Set(of).size).toBe(names.length);
  });

  test('lengths within a range are those of the parts in it', () => {
    const intervals = { begin: Float64Array.of(0, 10, 20), end: Float64Array.of(5, 18, 30) };
    expect(LengthWithin(intervals, 3, 25)).toBe(2 + 8 + 5);
    expect(LengthWithin(intervals, 5, 10)).toBe(0);
  });
});

describe('link efficiency', () => {
  test.each(seeds)('by size is that of the copies with begin and end (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 900);
    const { count, event, detail, subject, value, time } = trace.columns;
    const copies: { direction: number; bytes: number; ns: number }[] = [];
    for (let i = 0; i < count; ++i) {
      if (event[i] !== Event.TransferEnd) continue;
      for (let j = 0; j < i; ++j) {
        if (event[j] !== Event.TransferBegin || subject[j] !== subject[i]) continue;
        copies.push({ direction: detail[i]!, bytes: value[i]!, ns: time[i]! - time[j]! });
      }
    }
    const transfers = DeriveTransfers(trace, DeriveStorages(trace));
    const least = seed % 3 === 0 ? 1000 : 0;
    const all = copies.slice(); // the ceiling is that of all of them
    copies.splice(0, copies.length, ...all.filter(copy => copy.bytes >= least));
    const link = DeriveLink(transfers, 0, trace.duration, i => transfers.bytes[i]! >= least, new Map([[1, 5e9]]));
    expect(link.classes.reduce((sum, one) => sum + one.count, 0)).toBe(copies.length);
    for (const one of link.classes) {
      const same = copies.filter(copy => copy.direction === one.direction && copy.bytes >= one.least && copy.bytes < 2 * one.least);
      const rates = same.map(copy => copy.bytes * 1e9 / copy.ns).sort((a, b) => a - b);
      expect(one.count).toBe(same.length);
      expect(one.bytes).toBe(same.reduce((sum, copy) => sum + copy.bytes, 0));
      expect(one.ns).toBe(same.reduce((sum, copy) => sum + copy.ns, 0));
      const middle = rates.length % 2 === 1 ? rates[rates.length >> 1]!
        : (rates[rates.length / 2 - 1]! + rates[rates.length / 2]!) / 2;
      expect(one.median / middle).toBeCloseTo(1, 12);
      expect(one.slow).toBeLessThanOrEqual(one.median);
      expect(one.fast).toBeGreaterThanOrEqual(one.median);
      const ceiling = link.ceilings.get(one.direction)!;
      expect(ceiling.measured).toBe(one.direction === 1);
      expect(ceiling.bytesPerSecond).toBe(one.direction === 1 ? 5e9
        : Math.max(...all.filter(copy => copy.direction === one.direction).map(copy => copy.bytes * 1e9 / copy.ns)));
      expect(one.lost).toBeCloseTo(Math.max(0, one.ns - one.bytes * 1e9 / ceiling.bytesPerSecond), 6);
    }
  });

  test('ceilings are those that the trace has', () => {
    const { meta } = RandomRunTrace(1, 10);
    const Of = (ceiling: { out: number | null; in: number | null } | undefined) =>
      [...CalibratedCeilings(ceiling === undefined ? meta : { ...meta, ceiling_bytes_per_s: ceiling })];
    expect(Of(undefined)).toEqual([]);
    expect(Of({ out: null, in: null })).toEqual([]);
    expect(Of({ out: 25e9, in: 0 })).toEqual([[0, 25e9]]);
    expect(Of({ out: 25e9, in: 12e9 })).toEqual([[0, 25e9], [1, 12e9]]);
  });

  test('quantiles lie between neighbours', () => {
    const random = Random(3);
    const sorted = Float64Array.from({ length: 11 }, random).sort();
    expect(Quantile(sorted, 0)).toBe(sorted[0]);
    expect(Quantile(sorted, 1)).toBe(sorted[10]);
    expect(Quantile(sorted, 0.25)).toBeCloseTo((sorted[2]! + sorted[3]!) / 2, 12);
    expect(Quantile([4], 0.9)).toBe(4);
  });
});
