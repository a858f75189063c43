// Stalls: times in which a stream of the program waited, with the cause and for what. Times are as the summary takes them: the
// length that the end says, back from the end.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import { RecordsOf } from './records.ts';
import type { Storages } from './storages.ts';

export interface Stalls {
  count: number; // in the order of their ends
  begin: Float64Array;
  end: Float64Array;
  cause: Uint8Array;
  stream: Float64Array; // of the StallBegin that belongs to it; -1: not in the trace
  storage: Uint32Array; // waited for; 0: none
  label: Uint32Array; // its own, or that of its storage
  tag: Uint8Array; // of the storage, or else of the record
}

export function DeriveStalls(trace: Trace, storages: Storages): Stalls {
  const { time, event, tag, detail, label, subject, value } = trace.columns;
  const causes = trace.meta.vocabulary.stall_causes.length;
  const records = RecordsOf(trace.columns, Event.StallBegin, Event.StallEnd);
  let count = 0;
  for (let k = 0; k < records.length; ++k) if (event[records[k]!] === Event.StallEnd && detail[records[k]!]! < causes) ++count;
  const out: Stalls = {
    count,
    begin: new Float64Array(count),
    end: new Float64Array(count),
    cause: new Uint8Array(count),
    stream: new Float64Array(count).fill(-1),
    storage: new Uint32Array(count),
    label: new Uint32Array(count),
    tag: new Uint8Array(count),
  };
  const open = new Map<number, number[]>(); // by storage and cause: records of stalls that began and have not ended
  let at = 0;
  for (let k = 0; k < records.length; ++k) {
    const i = records[k]!;
    const key = subject[i]! * 256 + (detail[i]! & 255);
    if (event[i] === Event.StallBegin) {
      const begins = open.get(key);
      if (begins === undefined) open.set(key, [i]);
      else begins.push(i);
    } else if (event[i] === Event.StallEnd && detail[i]! < causes) {
      const storage = subject[i]!;
      out.begin[at] = time[i]! - value[i]!;
      out.end[at] = time[i]!;
      out.cause[at] = detail[i]!;
      const begin = TakeNearest(open.get(key) ?? [], begun => Math.abs(time[begun]! - out.begin[at]!));
      out.stream[at] = begin === undefined ? -1 : value[begin]!;
      out.storage[at] = storage;
      out.label[at] = label[i] !== 0 ? label[i]! : storages.label[storage]!;
      out.tag[at++] = storage !== 0 && storages.tag[storage] !== 0 ? storages.tag[storage]! : tag[i]!;
    }
  }
  return out;
}

// Streams may wait for the same storage at once: of the begins that fit, the one at the right distance belongs to the end.
function TakeNearest(records: number[], Distance: (record: number) => number): number | undefined {
  let best = 0;
  for (let i = 1; i < records.length; ++i) if (Distance(records[i]!) < Distance(records[best]!)) best = i;
  return records.splice(best, 1)[0];
}
