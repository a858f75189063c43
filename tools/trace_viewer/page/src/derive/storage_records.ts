// Which records name each storage, in order: what a lineage, and the costs of moving it, are read from.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';

// Those of storage s are record[first[s]] ... record[first[s + 1] - 1]. A Derive is listed for both of its storages, a
// transfer's records for the storage whose bytes it copies (the first of them, where it carries several).
export interface StorageRecords {
  first: Uint32Array;
  record: Uint32Array;
  persistent: Uint8Array; // by storage; 1: its owner keeps it on the device
  adopted: Uint8Array; // 1: the program's own memory
}

// Whether a record's subject is a storage.
const namesStorage = new Uint8Array(256);
for (const event of [
  Event.StorageRegister, Event.StorageRetire, Event.StorageWrite, Event.Derive, Event.Residency, Event.Recomputes, Event.Pack,
  Event.Decision, Event.Unpack, Event.Drop, Event.Replay, Event.TakeBack, Event.Reload, Event.ReloadInVain, Event.Freed,
  Event.FreedNothing, Event.Reconsider, Event.StallBegin, Event.StallEnd,
]) {
  namesStorage[event] = 1;
}

// The records of each storage, counted in a first pass and put into their places in a second.
export function DeriveStorageRecords(trace: Trace): StorageRecords {
  const { count, event, subject, value, detail } = trace.columns;
  const size = Math.max(1, trace.meta.storages);
  const storageOfTransfer = new Uint32Array(trace.meta.transfers);
  const persistent = new Uint8Array(size);
  const adopted = new Uint8Array(size);
  for (let i = 0; i < count; ++i) {
    if (event[i] === Event.TransferStorage) {
      if (storageOfTransfer[subject[i]!] === 0) storageOfTransfer[subject[i]!] = value[i]!;
    } else if (event[i] === Event.StorageRegister && subject[i]! < size) {
      persistent[subject[i]!] = detail[i]! & 1;
      adopted[subject[i]!] = detail[i]! >= 256 ? 1 : 0;
    }
  }
  const first = new Uint32Array(size + 1);
  let record = new Uint32Array(0);
  for (const isCounting of [true, false]) {
    const next = isCounting ? first.subarray(1) : first.slice(0, size);
    const Take = (storage: number, i: number): void => {
      if (!(storage > 0 && storage < size)) return;
      const at = next[storage]!++;
      if (!isCounting) record[at] = i;
    };
    for (let i = 0; i < count; ++i) {
      const code = event[i]!;
      if (namesStorage[code] === 1) {
        Take(subject[i]!, i);
        if (code === Event.Derive && value[i] !== subject[i]) Take(value[i]!, i);
      } else if (code >= Event.TransferAsk && code <= Event.TransferStorage) {
        Take(storageOfTransfer[subject[i]!] ?? 0, i);
      }
    }
    if (!isCounting) break;
    for (let storage = 0; storage < size; ++storage) first[storage + 1]! += first[storage]!;
    record = new Uint32Array(first[size]!);
  }
  return { first, record, persistent, adopted };
}
