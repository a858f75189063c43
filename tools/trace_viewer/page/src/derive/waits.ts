// Waits: who waited. The waiter of a stall is the operator that begins next on its stream after it ends: what the stream could
// not go on with. That of any stream counts where the stream of one of the two is not in the trace, or runs no operators (tierlib's
// own, on which the host waits for the disk).

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import type { Intervals } from './intervals.ts';
import type { LabelPatterns } from './label_patterns.ts';
import type { Stalls } from './stalls.ts';

// The label of each stall's waiter; 0: no operator began after it, or the trace has none.
export function DeriveWaiters(trace: Trace, stalls: Stalls): Uint32Array {
  const { count, event, label, time, value } = trace.columns;
  const waiters = new Uint32Array(stalls.count);
  const waiting = new Map<number, number[]>(); // by stream: stalls that have ended and have none
  const Meet = (stream: number, waiter: number) => {
    for (const stall of waiting.get(stream) ?? []) waiters[stall] = waiter;
    waiting.delete(stream);
  };
  const running = new Set<number>(); // streams that run operators
  for (let i = 0; i < count; ++i) if (event[i] === Event.OpBegin) running.add(value[i]!);
  let next = 0; // stalls before it have ended
  for (let i = 0; i < count; ++i) {
    if (event[i] !== Event.OpBegin) continue;
    for (; next < stalls.count && stalls.end[next]! <= time[i]!; ++next) {
      const stream = running.has(stalls.stream[next]!) ? stalls.stream[next]! : -1;
      const known = waiting.get(stream);
      if (known === undefined) waiting.set(stream, [next]);
      else known.push(next);
    }
    if (waiting.size === 0) continue;
    const streams = value[i] === 0 ? [...waiting.keys()] : [value[i]!, -1]; // an op's 0 is not known, a stall's -1 is of no stream that runs any
    for (const stream of streams) Meet(stream, label[i]!);
  }
  return waiters;
}

// Stalls with one cause, for bytes with one name, of operators with one name: a label, or a pattern of labels.
export interface WaitGroup {
  cause: number;
  name: number; // of the bytes: a pattern
  waiter: number; // of the operator: a pattern
  count: number;
  ns: number;
  longest: number; // which stall
}

// Of the stalls that `keeps` keeps and that overlap the time from `begin` to `end`, each counted whole; most time first.
export function GroupWaits(
  stalls: Stalls, waiters: Uint32Array, patterns: LabelPatterns, begin: number, end: number, keeps: (stall: number) => boolean,
): WaitGroup[] {
  const groups = new Map<number, Map<number, WaitGroup>>(); // by cause and bytes, then waiter
  const all: WaitGroup[] = [];
  for (let i = 0; i < stalls.count; ++i) {
    if (stalls.end[i]! < begin || stalls.begin[i]! > end || !keeps(i)) continue;
    const name = patterns.of[stalls.label[i]!]!;
    const waiter = patterns.of[waiters[i]!]!;
    const key = stalls.cause[i]! * 2 ** 32 + name;
    let byWaiter = groups.get(key);
    if (byWaiter === undefined) groups.set(key, (byWaiter = new Map()));
    let group = byWaiter.get(waiter);
    if (group === undefined) {
      group = { cause: stalls.cause[i]!, name, waiter, count: 0, ns: 0, longest: i };
      byWaiter.set(waiter, group);
      all.push(group);
    }
    const ns = stalls.end[i]! - stalls.begin[i]!;
    ++group.count;
    group.ns += ns;
    if (ns > stalls.end[group.longest]! - stalls.begin[group.longest]!) group.longest = i;
  }
  return all.sort((a, b) => b.ns - a.ns);
}

// How much of the intervals lies between `from` and `to`.
export function LengthWithin(intervals: Intervals, from: number, to: number): number {
  let length = 0;
  for (let i = 0; i < intervals.begin.length; ++i) {
    length += Math.max(0, Math.min(intervals.end[i]!, to) - Math.max(intervals.begin[i]!, from));
  }
  return length;
}
