// Unions of intervals of time and lengths of them, as src/base/intervals.h has them: [begin, end), empty where not end > begin
// (so also where one of them is NaN).

import { SortBy } from './order.ts';

export interface Intervals {
  begin: Float64Array; // ascending
  end: Float64Array;
}

// What at least one of the given intervals covers: ascending and apart. Of those with `isLeftOut` nothing.
export function UnionOf(begin: Float64Array, end: Float64Array, isLeftOut: Uint8Array | null = null): Intervals {
  const outBegin = new Float64Array(begin.length);
  const outEnd = new Float64Array(begin.length);
  let size = 0;
  for (let i = 0; i < begin.length; ++i) {
    const from = begin[i]!;
    const to = end[i]!;
    if (!(to > from) || (isLeftOut !== null && isLeftOut[i] === 1)) continue;
    if (size > 0 && from < outBegin[size - 1]!) return UnionOfUnsorted(begin, end, isLeftOut);
    if (size > 0 && from <= outEnd[size - 1]!) {
      if (to > outEnd[size - 1]!) outEnd[size - 1] = to;
    } else {
      outBegin[size] = from;
      outEnd[size++] = to;
    }
  }
  return { begin: outBegin.subarray(0, size), end: outEnd.subarray(0, size) };
}

function UnionOfUnsorted(begin: Float64Array, end: Float64Array, isLeftOut: Uint8Array | null): Intervals {
  const order = new Uint32Array(begin.length);
  let count = 0;
  for (let i = 0; i < begin.length; ++i) if (end[i]! > begin[i]! && isLeftOut?.[i] !== 1) order[count++] = i;
  const sorted = SortBy(order.subarray(0, count), begin);
  const From = (times: Float64Array): Float64Array => {
    const taken = new Float64Array(count);
    for (let i = 0; i < count; ++i) taken[i] = times[sorted[i]!]!;
    return taken;
  };
  return UnionOf(From(begin), From(end));
}

// What at least one of both covers.
export function Both(a: Intervals, b: Intervals): Intervals {
  const count = a.begin.length + b.begin.length;
  const begin = new Float64Array(count);
  const end = new Float64Array(count);
  for (let i = 0, left = 0, right = 0; i < count; ++i) {
    const isLeft = right === b.begin.length || (left < a.begin.length && a.begin[left]! <= b.begin[right]!);
    begin[i] = isLeft ? a.begin[left]! : b.begin[right]!;
    end[i] = isLeft ? a.end[left++]! : b.end[right++]!;
  }
  return UnionOf(begin, end);
}

export function TotalLength(united: Intervals): number {
  let total = 0;
  for (let i = 0; i < united.begin.length; ++i) total += united.end[i]! - united.begin[i]!;
  return total;
}

// The parts of `united` that `others` do not cover. Both as UnionOf gives them.
export function Outside(united: Intervals, others: Intervals): Intervals {
  const begin = new Float64Array(united.begin.length + others.begin.length); // each of the others parts one at most
  const end = new Float64Array(begin.length);
  let size = 0;
  let other = 0;
  for (let i = 0; i < united.begin.length; ++i) {
    let from = united.begin[i]!;
    const to = united.end[i]!;
    while (other < others.begin.length && others.end[other]! <= from) ++other;
    for (let j = other; from < to; ++j) {
      if (j === others.begin.length || others.begin[j]! >= to) {
        begin[size] = from;
        end[size++] = to;
        break;
      }
      if (others.begin[j]! > from) {
        begin[size] = from;
        end[size++] = others.begin[j]!;
      }
      from = Math.max(from, others.end[j]!);
    }
  }
  return { begin: begin.subarray(0, size), end: end.subarray(0, size) };
}
