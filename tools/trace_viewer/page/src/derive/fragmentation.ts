// Fragmentation: where a tier's pool is free between its blocks, which blocks keep two holes apart, and why requests found no
// room although there were enough free bytes.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import type { Blocks } from './blocks.ts';
import { LiveAfter } from './blocks.ts';
import { RecordsOf } from './records.ts';

export interface Hole {
  offset: number;
  bytes: number;
  below: number; // the block that ends where it begins; -1: the beginning of the tier
  above: number; // the block that begins where it ends; -1: the end of what the tier may grow to
}

// Neighbouring blocks that keep two holes apart: without them these were one of `joined` bytes.
export interface Pin {
  blocks: number[]; // in the order of addresses, without a hole between them
  bytes: number; // of the blocks
  offset: number;
  joined: number;
}

export interface Layout {
  holes: Hole[]; // in the order of addresses, the last one being what was never handed out above all blocks, if any
  free: number; // their sum
  largest: number;
  largestHole: number; // which one; -1: none
  extent: number; // the end of the highest block
  limit: number; // the end of the tier: its capacity, or where that is not known the most that was ever reserved or used
  pins: Pin[]; // by `joined`, largest first
}

// The end of the tier: what it may grow to.
export function TierLimit(trace: Trace, blocks: Blocks, tier: number): number {
  const { event, subject, value } = trace.columns;
  const known = trace.meta.summary.tiers?.find(one => one.tier === trace.meta.vocabulary.tiers[tier])?.capacity ?? 0;
  let reserved = 0;
  let limit = known;
  for (let block = 0; block < blocks.count; ++block) {
    if (blocks.tier[block] === tier) limit = Math.max(limit, blocks.offset[block]! + blocks.bytes[block]!);
  }
  if (known > 0) return limit;
  for (const i of RecordsOf(trace.columns, Event.PoolReserve, Event.PoolRelease)) {
    if (subject[i] !== tier) continue;
    reserved += event[i] === Event.PoolReserve ? value[i]! : -value[i]!;
    limit = Math.max(limit, reserved);
  }
  return limit;
}

// After record `record`.
export function LayoutAfter(blocks: Blocks, tier: number, limit: number, record: number): Layout {
  return LayoutOf(blocks, LiveAfter(blocks, tier, record), limit);
}

function LayoutOf(blocks: Blocks, live: ArrayLike<number>, limit: number): Layout {
  const holes: Hole[] = [];
  const pins: Pin[] = [];
  let end = 0;
  let below = -1;
  let run: number[] = []; // blocks since the last hole
  for (let i = 0; i <= live.length; ++i) {
    const above = i < live.length ? live[i]! : -1;
    const begin = above < 0 ? Math.max(limit, end) : blocks.offset[above]!;
    if (begin > end) {
      const hole = { offset: end, bytes: begin - end, below, above };
      const last = holes[holes.length - 1];
      if (last !== undefined) pins.push(PinBetween(last, hole, run));
      holes.push(hole);
      run = [];
    }
    if (above < 0) break;
    run.push(above);
    end = Math.max(end, blocks.offset[above]! + blocks.bytes[above]!);
    below = above;
  }
  pins.sort((a, b) => b.joined - a.joined || a.bytes - b.bytes || a.offset - b.offset);
  let largestHole = -1;
  let free = 0;
  holes.forEach((hole, i) => {
    free += hole.bytes;
    if (largestHole < 0 || hole.bytes > holes[largestHole]!.bytes) largestHole = i;
  });
  const largest = largestHole < 0 ? 0 : holes[largestHole]!.bytes;
  return { holes, free, largest, largestHole, extent: end, limit, pins };
}

function PinBetween(below: Hole, above: Hole, blocks: number[]): Pin {
  const offset = below.offset + below.bytes;
  return { blocks, bytes: above.offset - offset, offset, joined: above.offset + above.bytes - below.offset };
}

// A request that the tier had no room for.
export interface Refusal {
  record: number;
  time: number;
  asked: number; // bytes
  tag: number;
}

export function DeriveRefusals(trace: Trace, tier: number): Refusal[] {
  const { detail, value, time, tag } = trace.columns;
  const refusals: Refusal[] = [];
  for (const i of RecordsOf(trace.columns, Event.PoolFull)) {
    if (detail[i] === tier) refusals.push({ record: i, time: time[i]!, asked: value[i]!, tag: tag[i]! });
  }
  return refusals;
}

// Free bytes and the largest hole at the end of each of `slices` equal parts of the time from `begin` to `end`.
export interface HoleSamples {
  begin: number;
  end: number;
  free: Float64Array;
  largest: Float64Array;
}

export function SampleHoles(
  blocks: Blocks, tier: number, limit: number, begin: number, end: number, slices: number,
): HoleSamples {
  const samples = { begin, end, free: new Float64Array(slices), largest: new Float64Array(slices) };
  const changes = ChangesOf(blocks, tier, end);
  let live = new Uint32Array(64); // in the order of addresses
  let size = 0;
  let next = 0;
  for (let slice = 0; slice < slices; ++slice) {
    const until = begin + ((end - begin) * (slice + 1)) / slices;
    for (; next < changes.length; ++next) {
      const change = changes[next]!;
      const block = change >>> 1;
      const taken = (change & 1) === 0;
      if ((taken ? blocks.begin[block]! : blocks.end[block]!) > until) break;
      const at = Place(blocks, live, size, blocks.offset[block]!);
      if (taken) {
        if (size === live.length) {
          const larger = new Uint32Array(2 * size);
          larger.set(live);
          live = larger;
        }
        live.copyWithin(at + 1, at, size++);
        live[at] = block;
      } else if (live[at] === block) {
        live.copyWithin(at, at + 1, size--);
      }
    }
    let top = 0;
    for (let i = 0; i <= size; ++i) {
      const bottom = i === size ? Math.max(limit, top) : blocks.offset[live[i]!]!;
      if (bottom > top) {
        samples.free[slice]! += bottom - top;
        samples.largest[slice] = Math.max(samples.largest[slice]!, bottom - top);
      }
      if (i < size) top = Math.max(top, bottom + blocks.bytes[live[i]!]!);
    }
  }
  return samples;
}

// The first of the `size` blocks whose offset is not below `offset`.
function Place(blocks: Blocks, live: Uint32Array, size: number, offset: number): number {
  let low = 0;
  let high = size;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocks.offset[live[middle]!]! < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

// 2 * block where it is taken and 2 * block + 1 where it is freed, in the order of the records, up to `until`.
function ChangesOf(blocks: Blocks, tier: number, until: number): Uint32Array {
  const freed: number[] = [];
  for (let block = 0; block < blocks.count; ++block) {
    if (blocks.tier[block] === tier && blocks.end[block]! <= until) freed.push(block);
  }
  const byFree = Uint32Array.from(freed).sort((a, b) => blocks.freed[a]! - blocks.freed[b]!);
  const changes = new Uint32Array(blocks.count + byFree.length);
  let size = 0;
  let next = 0;
  for (let block = 0; block < blocks.count; ++block) {
    if (blocks.tier[block] !== tier || blocks.begin[block]! > until) continue;
    while (next < byFree.length && blocks.freed[byFree[next]!]! < blocks.taken[block]!) changes[size++] = 2 * byFree[next++]! + 1;
    changes[size++] = 2 * block;
  }
  while (next < byFree.length) changes[size++] = 2 * byFree[next++]! + 1;
  return changes.subarray(0, size);
}
