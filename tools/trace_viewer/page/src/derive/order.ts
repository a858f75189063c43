// Sorting of positions by a number that each has. What a trace is made of is nearly in order (a few streams, each in its own), so
// this merges the runs that are there: what sort() takes n log n calls of a function for is here one or two passes.

// Sorts `keys` in place by `numbers[key]`, ascending; equal ones stay in their order.
export function SortBy(keys: Uint32Array, numbers: Float64Array): Uint32Array {
  let runs = RunsOf(keys, numbers);
  let from = keys;
  let to = runs.length > 1 ? new Uint32Array(keys.length) : keys;
  while (runs.length > 1) {
    const next: number[] = [];
    for (let i = 0; i < runs.length; i += 2) {
      const middle = runs[i + 1] ?? keys.length;
      Merge(from, runs[i]!, middle, runs[i + 2] ?? keys.length, numbers, to);
      next.push(runs[i]!);
    }
    runs = next;
    [from, to] = [to, from];
  }
  if (from !== keys) keys.set(from);
  return keys;
}

// Where each ascending run begins.
function RunsOf(keys: Uint32Array, numbers: Float64Array): number[] {
  const runs: number[] = [];
  let last = -Infinity;
  for (let i = 0; i < keys.length; ++i) {
    const number = numbers[keys[i]!]!;
    if (number < last || i === 0) runs.push(i);
    last = number;
  }
  return runs;
}

// The runs [begin, middle) and [middle, end) of `from` as one, at the same place of `to`.
function Merge(from: Uint32Array, begin: number, middle: number, end: number, numbers: Float64Array, to: Uint32Array): void {
  let left = begin;
  let right = middle;
  for (let i = begin; i < end; ++i) {
    const isLeft = left < middle && (right >= end || numbers[from[left]!]! <= numbers[from[right]!]!);
    to[i] = from[isLeft ? left++ : right++]!;
  }
}
