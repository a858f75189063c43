// The records of some events, in order: what a derivation goes through. The one loop over all records is here, where it soon runs
// as machine code; each derivation with its own took most of the time in which a large trace opened.

import type { Columns } from '../model.ts';

const counts = new WeakMap<Uint8Array, Uint32Array>(); // of each event, by the column of events

function CountsOf(event: Uint8Array): Uint32Array {
  let found = counts.get(event);
  if (found === undefined) {
    found = new Uint32Array(256);
    for (let i = 0; i < event.length; ++i) ++found[event[i]!]!;
    counts.set(event, found);
  }
  return found;
}

// How many records these events have.
export function CountOf(columns: Columns, ...events: number[]): number {
  const found = CountsOf(columns.event);
  return events.reduce((sum, event) => sum + found[event]!, 0);
}

// The positions of the records with one of these events (each named once), ascending.
export function RecordsOf(columns: Columns, ...events: number[]): Uint32Array {
  const records = new Uint32Array(CountOf(columns, ...events));
  const isWanted = new Uint8Array(256);
  for (const event of events) isWanted[event] = 1;
  FillRecords(columns.event, isWanted, records);
  return records;
}

function FillRecords(event: Uint8Array, isWanted: Uint8Array, records: Uint32Array): void {
  let size = 0;
  for (let i = 0; size < records.length; ++i) {
    records[size] = i;
    size += isWanted[event[i]!]!;
  }
}
