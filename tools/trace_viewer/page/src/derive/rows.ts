// Spans that may overlap, laid into rows in which none do: each goes to the first row that is free when it begins. Where all
// rows are taken it goes to the last one, drawn from where that becomes free. Or each row has a meaning, and `rowOf` says it.

import type { Spans } from '../draw/pyramid.ts';
import { SortBy } from './order.ts';

// Things with a begin and an end, in the order of their begin. `key` finds them again where they came from.
export interface Entries {
  begin: Float64Array;
  end: Float64Array;
  category: Uint8Array;
  key: Uint32Array;
}

// Entries of these keys, in their order; begins, ends and categories are by key.
export function EntriesOf(key: Uint32Array, begin: Float64Array, end: Float64Array, category: Uint8Array): Entries {
  const count = key.length;
  const entries = { begin: new Float64Array(count), end: new Float64Array(count), category: new Uint8Array(count), key };
  for (let i = 0; i < count; ++i) {
    const k = key[i]!;
    entries.begin[i] = begin[k]!;
    entries.end[i] = end[k]!;
    entries.category[i] = category[k]!;
  }
  return entries;
}

// The keys 0 ... begin.length - 1 with `kind[key] === wanted`, in the order of their begin; without `kind` all of them.
export function KeysByBegin(begin: Float64Array, kind: ArrayLike<number> | null = null, wanted = 0): Uint32Array {
  const count = begin.length;
  const keys = new Uint32Array(count);
  let size = 0;
  for (let i = 0; i < count; ++i) if (kind === null || kind[i] === wanted) keys[size++] = i;
  return SortBy(size === count ? keys : keys.slice(0, size), begin);
}

export interface Row {
  spans: Spans;
  entry: Uint32Array; // of each span: its position in the entries
}

export function LayIntoRows(entries: Entries, most: number, rowOf?: (key: number) => number): Row[] {
  const count = entries.begin.length;
  const places = new Uint8Array(count);
  const sizes = rowOf === undefined ? PlaceWhereFree(entries, most, places) : new Array<number>(most).fill(0);
  if (rowOf !== undefined) {
    for (let i = 0; i < count; ++i) {
      const row = Math.min(rowOf(entries.key[i]!), most - 1);
      places[i] = row;
      ++sizes[row]!;
    }
  }
  const rows = sizes.map(size => ({
    spans: { begin: new Float64Array(size), end: new Float64Array(size), category: new Uint8Array(size) },
    entry: new Uint32Array(size),
  }));
  rows.forEach((row, number) => FillRow(row, entries, places, number));
  return rows;
}

// Puts the row of each entry into `places`, and returns how many each row has.
function PlaceWhereFree(entries: Entries, most: number, places: Uint8Array): number[] {
  const free = new Float64Array(most).fill(-Infinity); // when each row is
  const sizes = new Uint32Array(most);
  let used = 0;
  for (let i = 0; i < places.length; ++i) {
    const begin = entries.begin[i]!;
    let row = 0;
    while (row < used && free[row]! > begin) ++row;
    if (row === used) {
      if (used < most) ++used;
      else row = most - 1;
    }
    places[i] = row;
    free[row] = Math.max(free[row]!, entries.end[i]!);
    ++sizes[row]!;
  }
  return [...sizes.subarray(0, used)];
}

function FillRow({ spans, entry }: Row, entries: Entries, places: Uint8Array, number: number): void {
  let at = 0;
  let last = 0;
  for (let i = 0; i < places.length; ++i) {
    if (places[i] !== number) continue;
    last = Math.max(entries.end[i]!, last);
    spans.begin[at] = Math.max(entries.begin[i]!, at === 0 ? 0 : spans.end[at - 1]!);
    spans.end[at] = last;
    spans.category[at] = entries.category[i]!;
    entry[at++] = i;
  }
}
