// What a trace says of each storage: its name, tag and size, and how long it was there. By storage number of the page;
// storage 0 is none.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import { RecordsOf } from './records.ts';

export interface Storages {
  label: Uint32Array; // of its registration, or of the first record that names it
  tag: Uint8Array;
  bytes: Float64Array;
  registered: Float64Array; // ns; NaN: before the trace began
  retired: Float64Array; // ns; NaN: not in the trace
}

export function DeriveStorages(trace: Trace): Storages {
  const { time, event, tag, label, subject, value } = trace.columns;
  const size = Math.max(1, trace.meta.storages);
  const storages: Storages = {
    label: new Uint32Array(size),
    tag: new Uint8Array(size),
    bytes: new Float64Array(size),
    registered: new Float64Array(size).fill(NaN),
    retired: new Float64Array(size).fill(NaN),
  };
  const records = RecordsOf(trace.columns, Event.StorageRegister, Event.StorageRetire, Event.Pack, Event.Decision, Event.Unpack);
  for (let at = 0; at < records.length; ++at) {
    const i = records[at]!;
    const storage = subject[i]!;
    switch (event[i]) {
      case Event.StorageRegister:
        if (label[i] !== 0) storages.label[storage] = label[i]!;
        storages.tag[storage] = tag[i]!;
        storages.bytes[storage] = value[i]!;
        storages.registered[storage] = time[i]!;
        break;
      case Event.StorageRetire:
        storages.retired[storage] = time[i]!;
        break;
      case Event.Pack:
      case Event.Decision:
      case Event.Unpack:
        if (storages.label[storage] === 0) storages.label[storage] = label[i]!;
        break;
      default:
    }
  }
  return storages;
}

// "layer3.weight", or its number where it has no name.
export function StorageName(trace: Trace, storages: Storages, storage: number): string {
  if (storage <= 0) return 'no storage';
  const label = trace.labels[storages.label[storage]!] ?? '';
  return label !== '' ? label : StorageId(trace, storage);
}

// Slot and generation, as messages of tierlib name a storage.
export function StorageId(trace: Trace, storage: number): string {
  return `storage ${trace.slots[storage]}.${trace.generations[storage]}`;
}
