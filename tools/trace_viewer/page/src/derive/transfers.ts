// Copies with their four phases: asked, queued (asked to begun), on the wire (begun to ended), and consumed: the first instant
// at which the program had asked for the bytes and they were there.
//
// A copy in is consumed by the unpack that asked for it, which is the unpack recorded last before it where that is of the same
// storage; else (it came ahead of need) by the next unpack of the storage. A copy out is consumed when its storage is asked
// for again by a copy in. By transfer number of the page.
//
// A copy that was refused or failed was asked for and has an end with no bytes: it was never on the wire, and nothing consumes it.

import type { Trace } from '../model.ts';
import { Direction, Event } from '../vocabulary.ts';
import { RecordsOf } from './records.ts';
import type { Storages } from './storages.ts';

export interface Transfers {
  count: number;
  direction: Uint8Array; // vocabulary.ts; 255: not known
  bytes: Float64Array;
  asked: Float64Array; // ns; NaN in these four: not in the trace
  begun: Float64Array;
  ended: Float64Array;
  consumed: Float64Array;
  demanded: Float64Array; // when the program asked for it; NaN: never
  storage: Uint32Array; // the first of those it carries; 0: not known
  storages: Uint32Array; // how many it carries
  label: Uint32Array; // of the first storage
  tag: Uint8Array;
  failed: Uint8Array; // 1 where none of its bytes arrived
}

export function DeriveTransfers(trace: Trace, storages: Storages): Transfers {
  const { time, event, detail, subject, value } = trace.columns;
  const count = trace.meta.transfers;
  const Times = () => new Float64Array(count).fill(NaN);
  const out: Transfers = {
    count,
    direction: new Uint8Array(count).fill(255),
    bytes: new Float64Array(count),
    asked: Times(),
    begun: Times(),
    ended: Times(),
    consumed: Times(),
    demanded: Times(),
    storage: new Uint32Array(count),
    storages: new Uint32Array(count),
    label: new Uint32Array(count),
    tag: new Uint8Array(count),
    failed: new Uint8Array(count),
  };
  // Of each storage, the latest transfer that waits to be demanded; of each transfer, the one before it that does too.
  const waitingIn = new Int32Array(Math.max(1, trace.meta.storages)).fill(-1);
  const waitingOut = new Int32Array(Math.max(1, trace.meta.storages)).fill(-1);
  const before = new Int32Array(count).fill(-1);
  const Demand = (waiting: Int32Array, storage: number, at: number) => {
    for (let transfer = waiting[storage]!; transfer >= 0; transfer = before[transfer]!) out.demanded[transfer] = at;
    waiting[storage] = -1;
  };
  let unpacked = 0;
  let unpackedAt = 0;
  const records = RecordsOf(trace.columns, Event.TransferStorage, Event.TransferAsk, Event.TransferBegin, Event.TransferEnd, Event.Unpack);
  for (let at = 0; at < records.length; ++at) {
    const i = records[at]!;
    const number = subject[i]!;
    switch (event[i]) {
      case Event.TransferStorage:
        if (out.storages[number]!++ === 0) out.storage[number] = value[i]!;
        break;
      case Event.TransferAsk: {
        out.asked[number] = time[i]!;
        out.direction[number] = detail[i]!;
        out.bytes[number] = value[i]!;
        const storage = out.storage[number]!;
        if (storage === 0 || !(detail[i]! <= Direction.In)) break;
        if (detail[i] === Direction.In) {
          Demand(waitingOut, storage, time[i]!);
          if (unpacked === storage) {
            out.demanded[number] = unpackedAt;
            break;
          }
        }
        const waiting = detail[i] === Direction.In ? waitingIn : waitingOut;
        before[number] = waiting[storage]!;
        waiting[storage] = number;
        break;
      }
      case Event.TransferBegin:
        out.begun[number] = time[i]!;
        out.direction[number] = detail[i]!;
        out.bytes[number] = value[i]!;
        break;
      case Event.TransferEnd:
        out.ended[number] = time[i]!;
        if (EndsFailed(value[i]!, out.bytes[number]!, !Number.isNaN(out.begun[number]!))) out.failed[number] = 1;
        out.direction[number] = detail[i]!;
        out.bytes[number] = value[i]!;
        break;
      case Event.Unpack:
        unpacked = number;
        unpackedAt = time[i]!;
        Demand(waitingIn, number, time[i]!);
        break;
      default:
    }
  }
  for (let i = 0; i < count; ++i) {
    out.label[i] = storages.label[out.storage[i]!]!;
    out.tag[i] = storages.tag[out.storage[i]!]!;
    // NaN where one of the two is.
    out.consumed[i] = out.failed[i] === 1 ? NaN : Math.max(out.demanded[i]!, out.ended[i]!);
  }
  return out;
}

// Whether a copy that ended with `bytes` failed: bytes were asked for, it was never on the wire, and none arrived.
export function EndsFailed(bytes: number, asked: number, hasBegun: boolean): boolean {
  return bytes === 0 && asked > 0 && !hasBegun;
}

export interface Queue {
  time: Float64Array;
  value: Float64Array; // transfers asked for and not yet begun
}

// How many transfers of a direction wait, over time.
export function QueueDepth(transfers: Transfers, direction: number): Queue {
  const { count, direction: directions } = transfers;
  const asked = new Float64Array(count);
  const begun = new Float64Array(count);
  let size = 0;
  for (let i = 0; i < count; ++i) {
    const from = transfers.asked[i]!;
    const to = transfers.begun[i]!;
    if (directions[i] !== direction || !(to > from)) continue;
    asked[size] = from;
    begun[size++] = to;
  }
  asked.subarray(0, size).sort();
  begun.subarray(0, size).sort();
  const time = new Float64Array(2 * size);
  const value = new Float64Array(2 * size);
  let depth = 0;
  let left = 0;
  let right = 0;
  for (let i = 0; i < 2 * size; ++i) {
    // At one instant what begins leaves before what is asked comes.
    const comes = left < size && asked[left]! < begun[right]!;
    time[i] = comes ? asked[left++]! : begun[right++]!;
    value[i] = depth += comes ? 1 : -1;
  }
  return { time, value };
}
