// Lineages against the records picked out one by one, chains against trying every path, and the keys of avoided copies.

import { describe, expect, test } from 'vitest';
import { DeriveLabelPatterns, LabelsThemselves } from '../../src/derive/label_patterns.ts';
import type { Edge } from '../../src/derive/lineage.ts';
import { ChainToBytes, DeriveAvoided, IsAvoided, KeyOf, LineageOf } from '../../src/derive/lineage.ts';
import { DeriveStorageRecords } from '../../src/derive/storage_records.ts';
import type { Trace } from '../../src/model.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { RandomRunTrace } from './random_trace.ts';

const seeds = Array.from({ length: 15 }, (_, i) => i + 1);

function RecordsWhere(trace: Trace, accept: (i: number) => boolean): number[] {
  return [...Array(trace.columns.count).keys()].filter(accept);
}

// The length of the shortest path from `storage` to bytes, by trying all paths; Infinity: none.
function ShortestPath(trace: Trace, storage: number, record: number, visited: number[] = []): number {
  const { event, detail, subject, value } = trace.columns;
  const HasBytes = (one: number): boolean => {
    const registered = RecordsWhere(trace, i => event[i] === Event.StorageRegister && subject[i] === one);
    if (registered.some(i => (detail[i]! & 1) === 1)) return true;
    const moves = RecordsWhere(trace, i => i < record && event[i] === Event.Residency && subject[i] === one);
    return moves.length > 0 && [1, 2, 3].includes(detail[moves[moves.length - 1]!]! & 255);
  };
  if (visited.length > 0 && HasBytes(storage)) return visited.length;
  let shortest = Infinity;
  if (visited.length >= 4) return shortest; // longer ones are not tried
  for (const i of RecordsWhere(trace, j => j < record && event[j] === Event.Derive)) {
    const next = subject[i] === storage ? value[i]! : value[i] === storage && detail[i] === 0 ? subject[i]! : storage;
    if (next === storage || visited.includes(next)) continue;
    shortest = Math.min(shortest, ShortestPath(trace, next, record, [...visited, storage]));
  }
  return shortest;
}

test('what moving a storage came to is in its lineage, in order', () => {
  const moves = [Event.Freed, Event.Reconsider, Event.Reload, Event.ReloadInVain, Event.FreedNothing];
  const trace = MakeTrace([
    { time: 0, event: Event.StorageRegister, subject: 3, value: 64 },
    ...moves.map((event, i) => ({ time: 1 + i, event, subject: 3, value: 64 })),
    { time: 9, event: Event.Freed, subject: 4, value: 32 },
  ]);
  const records = DeriveStorageRecords(trace);
  expect(LineageOf(trace, records, 3).moves.map(record => trace.columns.event[record])).toEqual(moves);
  expect(LineageOf(trace, records, 4).moves).toEqual([6]);
});

describe('the lineage of a storage', () => {
  test.each(seeds)('has its records, each once and in order (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 500);
    const { event, subject, value, detail } = trace.columns;
    const records = DeriveStorageRecords(trace);
    for (let storage = 1; storage <= 30; storage += 4) {
      const lineage = LineageOf(trace, records, storage);
      const Of = (code: number) => RecordsWhere(trace, i => event[i] === code && subject[i] === storage);
      expect(lineage.packs).toEqual(Of(Event.Pack));
      expect(lineage.unpacks).toEqual(Of(Event.Unpack));
      expect(lineage.drops).toEqual(Of(Event.Drop));
      expect(lineage.writes).toEqual(Of(Event.StorageWrite));
      expect(lineage.decisions).toEqual(Of(Event.Decision));
      expect(lineage.path).toEqual(Of(Event.Residency));
      expect(lineage.registered).toBe(Of(Event.StorageRegister)[0]);
      expect(lineage.sources.map(edge => edge.record)).toEqual(Of(Event.Derive));
      expect(lineage.derived.map(edge => edge.record)).toEqual(
        RecordsWhere(trace, i => event[i] === Event.Derive && value[i] === storage && subject[i] !== storage));
      const carried = RecordsWhere(trace, i => event[i] === Event.TransferStorage && value[i] === storage).map(i => subject[i]);
      expect(lineage.copies.map(copy => copy.transfer)).toEqual(carried);
      for (const copy of lineage.copies) {
        expect(copy.ended).toBe(RecordsWhere(trace, i => event[i] === Event.TransferEnd && subject[i] === copy.transfer)[0] ?? -1);
        expect(copy.direction).toBe(detail[copy.record]);
        expect(copy.failed).toBe(copy.ended >= 0 && value[copy.ended] === 0 && copy.bytes > 0 && copy.begun < 0);
      }
    }
  });

  test.each(seeds)('has the shortest chain to bytes that are there (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 160);
    const records = DeriveStorageRecords(trace);
    for (let storage = 1; storage <= 30; storage += 2) {
      const chain = ChainToBytes(trace, records, storage, trace.columns.count);
      const shortest = ShortestPath(trace, storage, trace.columns.count);
      if (chain.length <= 4) expect(chain.length === 0 ? Infinity : chain.length).toBe(shortest);
      let at = storage;
      for (const edge of chain) { // it is a path, against an edge's direction only where that is a copy
        expect([edge.derived, edge.source]).toContain(at);
        if (edge.derived !== at) expect(edge.isCopy).toBe(true);
        at = edge.derived === at ? edge.source : edge.derived;
      }
    }
  });
});

describe('avoided copies', () => {
  test.each(seeds)('are all listed, with their bytes (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 600);
    const { event, detail, label, value, time } = trace.columns;
    const patterns = seed % 2 === 0 ? DeriveLabelPatterns(trace.labels) : LabelsThemselves(trace.labels);
    const begin = trace.duration * 0.1;
    const end = trace.duration * 0.8;
    const least = seed % 3 === 0 ? 200 : 0;
    const avoided = RecordsWhere(trace, i =>
      event[i] === Event.Decision && detail[i]! >> 8 >= 2 && time[i]! >= begin && time[i]! <= end && value[i]! >= least);
    const groups = DeriveAvoided(trace, patterns, begin, end, i => value[i]! >= least);
    expect(groups.reduce((sum, group) => sum + group.count, 0)).toBe(avoided.length);
    for (const group of groups) {
      const same = avoided.filter(i => patterns.of[label[i]!] === group.name && detail[i] === group.action * 256 + group.reason);
      expect(group.count).toBe(same.length);
      expect(group.bytes).toBe(same.reduce((sum, i) => sum + value[i]!, 0));
      expect(value[group.largest]).toBe(Math.max(...same.map(i => value[i]!)));
    }
  });

  const decision = (action: number) => ({ time: 90, event: Event.Decision, detail: action * 256, subject: 1, value: 512 });

  test('of identity have the copy that the host has', () => {
    const trace = MakeTrace([
      { time: 1, event: Event.TransferStorage, detail: 0, subject: 0, value: 1 },
      { time: 2, event: Event.TransferAsk, detail: 0, subject: 0, value: 512 },
      decision(2),
      { time: 91, event: Event.TransferStorage, detail: 0, subject: 1, value: 1 },
      { time: 92, event: Event.TransferAsk, detail: 0, subject: 1, value: 512 },
    ]);
    expect(KeyOf(trace, DeriveStorageRecords(trace), 2)).toMatchObject({ name: 'identity', record: 1 });
  });
  test('of lineage have the way to the source', () => {
    const trace = MakeTrace([
      { time: 1, event: Event.Residency, detail: 1, subject: 3, value: 512 },
      { time: 2, event: Event.Derive, detail: 1, label: 'silu', subject: 2, value: 3 },
      { time: 3, event: Event.Derive, detail: 0, label: 'contiguous', subject: 1, value: 2 },
      decision(3),
    ]);
    const key = KeyOf(trace, DeriveStorageRecords(trace), 3);
    expect(key).toMatchObject({ name: 'lineage', source: 3 });
    expect(key.chain.map((edge: Edge) => [edge.derived, edge.source])).toEqual([[1, 2], [2, 3]]);
  });
  test('that free nothing have the registration, and recomputed ones the promise', () => {
    const trace = MakeTrace([
      { time: 1, event: Event.StorageRegister, detail: 1, subject: 1, value: 512 },
      { time: 2, event: Event.Recomputes, detail: 1, subject: 1 },
      decision(4), { ...decision(5), time: 91 }, { ...decision(3), time: 92 },
    ]);
    const records = DeriveStorageRecords(trace);
    expect(KeyOf(trace, records, 2)).toMatchObject({ name: 'frees nothing', record: 0 });
    expect(KeyOf(trace, records, 3)).toMatchObject({ name: 'recompute', record: 1 });
    expect(KeyOf(trace, records, 4)).toMatchObject({ name: 'lineage', chain: [], source: 0, record: -1 });
  });
  test('are those decided neither kept nor moved', () => {
    expect([0, 1, 2, 3, 4, 5].map(IsAvoided)).toEqual([false, false, true, true, true, true]);
  });
});
