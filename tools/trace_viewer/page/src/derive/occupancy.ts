// Occupancy: the bytes of a tier that are handed out, by tag, after each record of its pool. It counts as
// src/trace/summary.cc does, so that its peak is the summary's; the bytes by tag add up to the total at any instant.

import { CounterPyramid, LowerBound } from '../draw/pyramid.ts';
import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import { RecordsOf } from './records.ts';

export const tagCount = 9; // a tag beyond that counts as none
const tierCount = 4;
const checkpointEvery = 32;

export class Occupancy {
  readonly pyramid: CounterPyramid;

  constructor(
    readonly tier: number,
    readonly time: Float64Array, // of each change
    readonly record: Uint32Array,
    readonly total: Float64Array, // bytes after it
    private readonly tag: Uint8Array,
    private readonly checkpoints: Float64Array, // bytes by tag after the changes 31, 63, 95 ...
    readonly peak: number, // the position with the most bytes, the first of equals; -1: never any
    readonly consistent: boolean, // false: more was freed than handed out, so records are missing
  ) {
    this.pyramid = new CounterPyramid({ time, value: total });
  }

  get count(): number {
    return this.time.length;
  }

  get peakBytes(): number {
    return this.peak < 0 ? 0 : this.total[this.peak]!;
  }

  // The tags of its changes, in the order of their codes.
  UsedTags(): number[] {
    const isUsed = new Uint8Array(tagCount);
    for (let i = 0; i < this.tag.length; ++i) isUsed[this.tag[i]!] = 1;
    return [...isUsed.keys()].filter(tag => isUsed[tag] === 1);
  }

  // The position of the change that holds at `time`; -1: before the first.
  At(time: number): number {
    return LowerBound(this.time, time, true) - 1;
  }

  // The bytes of each tag after the change at `position`, into `bytes`. Their sum is total[position].
  ByTag(position: number, bytes: Float64Array): void {
    const base = Math.floor((position + 1) / checkpointEvery); // checkpoints before this position's
    if (base === 0) bytes.fill(0);
    else bytes.set(this.checkpoints.subarray((base - 1) * tagCount, base * tagCount));
    for (let i = base * checkpointEvery; i <= position; ++i) {
      bytes[this.tag[i]!]! += this.total[i]! - (i === 0 ? 0 : this.total[i - 1]!);
    }
  }
}

// One for each tier that was used, in the order of their codes.
export function DeriveOccupancy(trace: Trace): Occupancy[] {
  const { event, tag, detail, value, time } = trace.columns;
  const changes = RecordsOf(trace.columns, Event.PoolAllocate, Event.PoolFree);
  const sizes = new Uint32Array(65536); // by tier
  for (let at = 0; at < changes.length; ++at) ++sizes[detail[changes[at]!]!]!;
  const tiers: Occupancy[] = [];
  for (let tier = 0; tier < tierCount; ++tier) {
    const size = sizes[tier]!;
    if (size === 0) continue;
    const times = new Float64Array(size);
    const records = new Uint32Array(size);
    const totals = new Float64Array(size);
    const tags = new Uint8Array(size);
    const checkpoints = new Float64Array(Math.floor(size / checkpointEvery) * tagCount);
    const byTag = new Float64Array(tagCount);
    let total = 0;
    let consistent = true;
    let peak = -1;
    let next = 0;
    for (let at = 0; at < changes.length; ++at) {
      const i = changes[at]!;
      if (detail[i] !== tier) continue;
      const change = event[i] === Event.PoolAllocate ? value[i]! : -value[i]!;
      const tagOfChange = tag[i]! < tagCount ? tag[i]! : 0;
      total += change;
      byTag[tagOfChange]! += change;
      if (total < 0 || byTag[tagOfChange]! < 0) consistent = false;
      else if (total > (peak < 0 ? 0 : totals[peak]!)) peak = next;
      times[next] = time[i]!;
      records[next] = i;
      totals[next] = total;
      tags[next] = tagOfChange;
      ++next;
      if (next % checkpointEvery !== 0) continue;
      const first = (next / checkpointEvery - 1) * tagCount;
      for (let each = 0; each < tagCount; ++each) checkpoints[first + each] = byTag[each]!;
    }
    tiers.push(new Occupancy(tier, times, records, totals, tags, checkpoints, peak, consistent));
  }
  return tiers;
}

// The stacks of `width` equal columns of a range of time, each that of the instant at which the tier held the most: calls `take`
// for the columns from `first` to before `last`, which show the same instant, with its bytes by tag. Columns before the first
// change have none. `bytes` is the same array at each call.
export function ForEachStack(
  occupancy: Occupancy, begin: number, end: number, width: number,
  take: (first: number, last: number, bytes: Float64Array) => void,
): void {
  const bytes = new Float64Array(tagCount);
  const positions = occupancy.pyramid.MostByColumn(begin, end, width);
  for (let first = 0, last = 0; first < width; first = last) {
    const position = positions[first]!;
    for (last = first + 1; last < width && positions[last] === position; ++last);
    if (position < 0) continue;
    occupancy.ByTag(position, bytes);
    take(first, last, bytes);
  }
}
