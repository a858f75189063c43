// Where the time went, as lengths of unions of intervals: transfer = a copy between device and host was under way; exposed = a
// stream waited for a copy; hidden = transfer while none did; unknown = no op ran and nothing was waited for. The sums are those
// of `tierlib-trace summary` (src/trace/summary.cc, FinishTime).

import { copyCauses, Direction } from '../vocabulary.ts';
import { Both, Outside, UnionOf, type Intervals } from './intervals.ts';
import type { Ops } from './ops.ts';
import type { Stalls } from './stalls.ts';
import type { Transfers } from './transfers.ts';

export interface Exposure {
  transfer: Intervals;
  exposed: Intervals;
  hidden: Intervals;
  compute: Intervals;
  unknown: Intervals; // empty in a trace without ops
}

export function DeriveExposure(transfers: Transfers, stalls: Stalls, ops: Ops, duration: number): Exposure {
  // An interval without an end is empty, and so counts for nothing.
  // Each direction by itself: its copies are in order, and those of two directions are not.
  const { begun, ended, direction: way } = transfers;
  const transfer = Both(UnionOf(begun, ended, Is(way, direction => direction !== Direction.Out)),
    UnionOf(begun, ended, Is(way, direction => direction === Direction.Out || direction === Direction.Within)));
  const exposed = UnionOf(stalls.begin, stalls.end, Is(stalls.cause, cause => !copyCauses.has(cause)));
  const compute = UnionOf(ops.begin, ops.end);
  const busy = Both(compute, UnionOf(stalls.begin, stalls.end));
  const whole = { begin: Float64Array.of(0), end: Float64Array.of(duration) };
  const none = { begin: new Float64Array(0), end: new Float64Array(0) };
  return {
    transfer,
    exposed,
    hidden: Outside(transfer, exposed),
    compute,
    unknown: compute.begin.length === 0 ? none : Outside(whole, busy),
  };
}

// 1 where it is, of codes below 256.
function Is(codes: Uint8Array, is: (code: number) => boolean): Uint8Array {
  const byCode = Uint8Array.from({ length: 256 }, (_, code) => (is(code) ? 1 : 0));
  const flags = new Uint8Array(codes.length);
  for (let i = 0; i < codes.length; ++i) flags[i] = byCode[codes[i]!]!;
  return flags;
}
