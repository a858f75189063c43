// Link efficiency: how fast copies of each size went, against the fastest that the link does. Where the trace does not say
// what that is, the fastest copy of the trace stands for it, and is called so.

import type { Meta } from '../model.ts';
import { Direction } from '../vocabulary.ts';
import type { Transfers } from './transfers.ts';

// Copies of one direction whose sizes lie from `least` bytes to below twice that.
export interface SizeClass {
  direction: number;
  least: number; // a power of two
  count: number;
  bytes: number;
  ns: number; // their durations
  slow: number; // bytes per second that a tenth of them stays below,
  median: number;
  fast: number; // and that a tenth exceeds
  lost: number; // ns beyond what the ceiling would have taken
}

export interface Link {
  ceilings: Map<number, Ceiling>; // by direction
  classes: SizeClass[]; // by direction, then size
}

export interface Ceiling {
  bytesPerSecond: number;
  measured: boolean; // a calibration that the trace has; false: the fastest copy of the trace
}

// The calibrated ceilings of a trace: bytes per second by direction, without those that it does not have.
export function CalibratedCeilings({ ceiling_bytes_per_s: ceiling }: Meta): Map<number, number> {
  const ceilings = new Map<number, number>();
  for (const [direction, rate] of [[Direction.Out, ceiling?.out], [Direction.In, ceiling?.in]] as const) {
    if (typeof rate === 'number' && rate > 0) ceilings.set(direction, rate);
  }
  return ceilings;
}

// Of the copies that overlap the time from `begin` to `end` and that `keeps` keeps; the ceilings are those of the whole trace.
// `calibrated`: bytes per second by direction, where the trace has them.
export function DeriveLink(
  transfers: Transfers, begin: number, end: number, keeps: (transfer: number) => boolean, calibrated: ReadonlyMap<number, number>,
): Link {
  const rates = new Map<number, { direction: number; least: number; rate: number[]; bytes: number; ns: number }>();
  const fastest = new Map<number, number>();
  for (let i = 0; i < transfers.count; ++i) {
    const ns = transfers.ended[i]! - transfers.begun[i]!;
    const bytes = transfers.bytes[i]!;
    if (!(ns > 0) || !(bytes > 0)) continue; // one without begin or end too
    const direction = transfers.direction[i]!;
    const rate = (bytes * 1e9) / ns;
    fastest.set(direction, Math.max(fastest.get(direction) ?? 0, rate));
    if (transfers.ended[i]! < begin || transfers.begun[i]! > end || !keeps(i)) continue;
    const power = Math.floor(Math.log2(bytes));
    const key = direction * 64 + power;
    let sum = rates.get(key);
    if (sum === undefined) rates.set(key, (sum = { direction, least: 2 ** power, rate: [], bytes: 0, ns: 0 }));
    sum.rate.push(rate);
    sum.bytes += bytes;
    sum.ns += ns;
  }
  const ceilings = new Map<number, Ceiling>();
  for (const [direction, rate] of fastest) {
    const known = calibrated.get(direction);
    ceilings.set(direction, known === undefined ? { bytesPerSecond: rate, measured: false } : { bytesPerSecond: known, measured: true });
  }
  const classes = [...rates.entries()].sort((a, b) => a[0] - b[0]).map(([, sum]): SizeClass => {
    const sorted = Float64Array.from(sum.rate).sort();
    const least = (sum.bytes * 1e9) / ceilings.get(sum.direction)!.bytesPerSecond;
    return {
      direction: sum.direction,
      least: sum.least,
      count: sorted.length,
      bytes: sum.bytes,
      ns: sum.ns,
      slow: Quantile(sorted, 0.1),
      median: Quantile(sorted, 0.5),
      fast: Quantile(sorted, 0.9),
      lost: Math.max(0, sum.ns - least),
    };
  });
  return { ceilings, classes };
}

// Of ascending numbers, at least one; between two of them on the line through both.
export function Quantile(sorted: ArrayLike<number>, part: number): number {
  const at = (sorted.length - 1) * part;
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (at - below);
}
