// The cheapest set to offload: which saved values to have away at one instant, so that a tier holds so many bytes less then, for
// the fewest bytes moved over the link.
//
// A value can be away where it is packed and nothing has unpacked it yet. What that moves:
//   0            nobody unpacks it any more, or it can be made again: from a source that nobody writes until then and whose
//                bytes are on the host, or stay on the device; or by the program
//   its block    the host has the bytes already: back in only
//   twice that   out and in
// Whole blocks are counted: what rounding adds would make many small values look cheaper than a large one, and each is a copy.
// Bytes of storages that stay on the device, and of what is not saved, cannot go.
//
// Exact, by a table over what is freed in units of the blocks' common divisor, where that table is small enough. Else the better of
// the same in coarser units, each block counted as the whole units that it has at least, and of the greedy answer (least moved per
// byte freed first, then without what is not needed). `bound` says how few bytes any set would move, so one sees what exactness
// could still gain.

import { LowerBound } from '../draw/pyramid.ts';
import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import type { Blocks } from './blocks.ts';
import { LiveAfter } from './blocks.ts';
import type { Occupancy } from './occupancy.ts';
import type { StorageRecords } from './storage_records.ts';

export type Way = 'not used again' | 'made again from another storage' | 'computed again by the program' | 'on the host already' |
  'copied out and in';

export interface Candidate {
  block: number;
  storage: number;
  freed: number; // bytes
  moved: number; // bytes
  way: Way;
}

const residencyBoth = 2;
const residencyHost = 3;

// What can be away from the device after record `record`, in the order of addresses.
export function OffloadCandidates(
  trace: Trace, blocks: Blocks, records: StorageRecords, tier: number, record: number,
): Candidate[] {
  const candidates: Candidate[] = [];
  for (const block of LiveAfter(blocks, tier, record)) {
    const storage = blocks.storage[block]!;
    if (storage === 0 || records.persistent[storage] === 1) continue;
    const way = WayOf(trace, records, storage, record);
    if (way === null) continue;
    const freed = blocks.bytes[block]!;
    candidates.push({ block, storage, freed, moved: way === 'copied out and in' ? 2 * freed : way === 'on the host already' ? freed : 0, way });
  }
  return candidates;
}

// null: it cannot be away.
function WayOf(trace: Trace, records: StorageRecords, storage: number, record: number): Way | null {
  const { event, detail, subject, value } = trace.columns;
  let saved = 0; // handles
  let onHost = false;
  let computed = false;
  let nextUse = -1;
  const sources: { storage: number; record: number }[] = [];
  for (let at = records.first[storage]!; at < records.first[storage + 1]!; ++at) {
    const i = records.record[at]!;
    const code = event[i];
    if (i > record) {
      if (code !== Event.Unpack) continue;
      nextUse = i;
      break;
    }
    if (code === Event.Pack) ++saved;
    else if (code === Event.Drop) --saved;
    else if (code === Event.Residency) onHost = (detail[i]! & 255) === residencyBoth || (detail[i]! & 255) === residencyHost;
    else if (code === Event.StorageWrite) onHost = false;
    else if (code === Event.Recomputes) computed = true;
    else if (code === Event.Derive && subject[i] === storage) sources.push({ storage: value[i]!, record: i });
  }
  if (saved <= 0) return null;
  if (nextUse < 0) return 'not used again';
  if (sources.some(source => IsThere(trace, records, source.storage, source.record, record, nextUse))) {
    return 'made again from another storage';
  }
  if (computed) return 'computed again by the program';
  return onHost ? 'on the host already' : 'copied out and in';
}

// Whether the bytes that a storage was derived from at `derived` are there, elsewhere than in memory that would have to go too,
// from `record` until `until`.
function IsThere(
  trace: Trace, records: StorageRecords, source: number, derived: number, record: number, until: number,
): boolean {
  const { event, detail } = trace.columns;
  let onHost = false;
  let retired = false;
  for (let at = records.first[source]!; at < records.first[source + 1]!; ++at) {
    const i = records.record[at]!;
    if (i > until) break;
    if (event[i] === Event.StorageWrite && i > derived) return false;
    if (event[i] === Event.StorageRetire) retired = true;
    if (event[i] === Event.Residency && i <= record) {
      onHost = (detail[i]! & 255) === residencyBoth || (detail[i]! & 255) === residencyHost;
    }
  }
  return onHost || (records.persistent[source] === 1 && !retired);
}

export interface OffloadSet {
  chosen: Candidate[]; // least moved per byte freed first
  freed: number; // bytes
  moved: number; // bytes
  enough: boolean; // false: all candidates together do not free that much; chosen is all of them
  exact: boolean; // no set that frees enough moves less
  bound: number; // no set that frees enough moves less than so many bytes
}

const mostCells = 20_000_000; // of the table

export function CheapestSet(candidates: readonly Candidate[], target: number): OffloadSet {
  const byRatio = [...candidates].sort((a, b) => a.moved / a.freed - b.moved / b.freed || b.freed - a.freed);
  const all = byRatio.reduce((sum, candidate) => sum + candidate.freed, 0);
  if (all < target || target <= 0) {
    const chosen = target <= 0 ? [] : byRatio;
    const moved = chosen.reduce((sum, candidate) => sum + candidate.moved, 0);
    return { chosen, freed: target <= 0 ? 0 : all, moved, enough: target <= 0, exact: true, bound: moved };
  }
  const divisor = byRatio.reduce((unit, candidate) => CommonDivisor(unit, candidate.freed), 0);
  const unit = Math.max(divisor, Math.ceil((target * byRatio.length) / mostCells));
  const Moved = (taken: Uint8Array): number => byRatio.reduce((sum, candidate, i) => sum + taken[i]! * candidate.moved, 0);
  let taken = Tabulate(byRatio, target, unit);
  const isExact = unit === divisor;
  if (!isExact) {
    const greedy = Greedy(byRatio, target);
    if (taken === null || Moved(greedy) < Moved(taken)) taken = greedy;
  }
  const chosen = byRatio.filter((_, i) => taken![i] === 1);
  const moved = Moved(taken!);
  const bound = isExact ? moved : Math.min(moved, Math.ceil(new Divisible(byRatio).Cost(target)));
  return {
    chosen, freed: chosen.reduce((sum, candidate) => sum + candidate.freed, 0), moved, enough: true, exact: moved === bound, bound,
  };
}

// Of the sets that free at least the target, in whole units, one that moves the least; null: none does.
function Tabulate(byRatio: readonly Candidate[], target: number, unit: number): Uint8Array | null {
  const need = Math.ceil(target / unit);
  // least[f]: the fewest bytes moved to free at least f units, with the candidates so far.
  const least = new Float64Array(need + 1).fill(Infinity);
  least[0] = 0;
  const isTaken = byRatio.map(candidate => {
    const freed = Math.floor(candidate.freed / unit);
    const taken = new Uint8Array(need + 1); // whether the candidate is in that set
    for (let f = freed === 0 ? 0 : need; f > 0; --f) { // downwards: each candidate once
      const moved = least[Math.max(0, f - freed)]! + candidate.moved;
      if (moved >= least[f]!) continue;
      least[f] = moved;
      taken[f] = 1;
    }
    return taken;
  });
  if (least[need] === Infinity) return null;
  const chosen = new Uint8Array(byRatio.length);
  for (let i = byRatio.length - 1, f = need; i >= 0; --i) {
    if (isTaken[i]![f] === 0) continue;
    chosen[i] = 1;
    f = Math.max(0, f - Math.floor(byRatio[i]!.freed / unit));
  }
  return chosen;
}

function CommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

// Sums over candidates in the order of what they move per byte freed.
class Divisible {
  private readonly freed: Float64Array; // by the first i of them
  private readonly moved: Float64Array;

  constructor(private readonly byRatio: readonly Candidate[]) {
    this.freed = new Float64Array(byRatio.length + 1);
    this.moved = new Float64Array(byRatio.length + 1);
    byRatio.forEach((candidate, i) => {
      this.freed[i + 1] = this.freed[i]! + candidate.freed;
      this.moved[i + 1] = this.moved[i]! + candidate.moved;
    });
  }

  // The least that must be moved to free `need`, were they divisible: a bound for whole ones.
  Cost(need: number): number {
    const whole = LowerBound(this.freed, need, false) - 1; // these do not suffice, one more does
    if (whole >= this.byRatio.length) return Infinity;
    const part = (need - this.freed[whole]!) / this.byRatio[whole]!.freed;
    return this.moved[whole]! + part * this.byRatio[whole]!.moved;
  }
}

function Greedy(byRatio: readonly Candidate[], target: number): Uint8Array {
  const taken = new Uint8Array(byRatio.length);
  let freed = 0;
  for (let i = 0; i < byRatio.length && freed < target; ++i) {
    taken[i] = 1;
    freed += byRatio[i]!.freed;
  }
  // The last one may make some of the others superfluous: the dearest go first.
  const dearest = [...taken.keys()].filter(i => taken[i] === 1).sort((a, b) => byRatio[b]!.moved - byRatio[a]!.moved);
  for (const i of dearest) {
    if (freed - byRatio[i]!.freed < target) continue;
    taken[i] = 0;
    freed -= byRatio[i]!.freed;
  }
  return taken;
}

export interface Lowered {
  bytes: number; // the peak that remains
  time: number; // when
}

// The tier's peak were the chosen blocks away from when they were packed until they were used again; those that were used in
// between, from record `record` on.
export function PeakWithout(
  trace: Trace, occupancy: Occupancy, blocks: Blocks, records: StorageRecords, chosen: readonly Candidate[], record: number,
): Lowered {
  const { event } = trace.columns;
  const changes: { record: number; bytes: number }[] = [];
  for (const { block, storage } of chosen) {
    let packed = record;
    let used = blocks.freed[block]!;
    for (let at = records.first[storage + 1]! - 1; at >= records.first[storage]!; --at) {
      const i = records.record[at]!;
      if (i < blocks.taken[block]!) break;
      if (event[i] === Event.Unpack && i > record) used = Math.min(used, i);
      if (event[i] === Event.Unpack && i <= record) break; // it was on the device for that one
      if (event[i] === Event.Pack && i <= record) packed = i;
    }
    changes.push({ record: packed, bytes: -blocks.bytes[block]! }, { record: used, bytes: blocks.bytes[block]! });
  }
  changes.sort((a, b) => a.record - b.record);
  const lowered = { bytes: 0, time: 0 };
  let away = 0;
  let next = 0;
  const Take = (position: number): void => {
    const bytes = (occupancy.total[position] ?? 0) + away;
    if (bytes > lowered.bytes) {
      lowered.bytes = bytes;
      lowered.time = occupancy.time[position]!;
    }
  };
  for (let position = 0; position < occupancy.count; ++position) {
    // A block that is back at a record counts from it on, one that is freed at it no longer.
    for (; next < changes.length && changes[next]!.record <= occupancy.record[position]!; ++next) {
      away += changes[next]!.bytes;
      if (changes[next]!.bytes > 0 && changes[next]!.record < occupancy.record[position]!) Take(position - 1);
    }
    Take(position);
  }
  return lowered;
}
