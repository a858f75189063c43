// Random traces for tests: a pool of blocks that come and go, storages that are saved, copied and used again. They keep the
// rules of real ones, and each seed gives the same trace.

import type { Trace } from '../../src/model.ts';
import type { RecordLike } from './fixture.ts';
import { MakeTrace } from './fixture.ts';
import { Event } from '../../src/vocabulary.ts';

// SplitMix32: numbers in [0, 1).
export function Random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

export interface LiveBlock {
  tier: number;
  tag: number;
  offset: number;
  bytes: number;
  storage: number;
}

export interface RandomTrace {
  trace: Trace;
  // What each tier holds after each record, by going over them one after the other.
  liveAfter: LiveBlock[][];
}

export function RandomPoolTrace(seed: number, length: number): RandomTrace {
  const random = Random(seed);
  const Below = (limit: number): number => Math.floor(random() * limit);
  const records: RecordLike[] = [];
  const liveAfter: LiveBlock[][] = [];
  let live: LiveBlock[] = [];
  let time = 0;
  let storages = 0;
  const Put = (record: Omit<RecordLike, 'time'>): void => {
    time += Below(3) * Below(50); // some at the same instant
    records.push({ time, ...record });
    liveAfter.push(live.slice());
  };
  while (records.length < length) {
    const tier = Below(3) === 0 ? 1 : 0;
    if (random() < 0.55 && storages < 60) {
      const bytes = (1 + Below(8)) * 512;
      const ofTier = live.filter(block => block.tier === tier);
      let offset = Below(40) * 512;
      while (ofTier.some(block => offset < block.offset + block.bytes && block.offset < offset + bytes)) offset += 512;
      const tag = Below(9);
      const named = tier === 0 && random() < 0.8;
      const block: LiveBlock = { tier, tag, offset, bytes, storage: named ? ++storages : 0 };
      live = [...live, block];
      Put({ event: Event.PoolAllocate, tag, detail: tier, subject: offset, value: bytes });
      if (named) {
        Put({ event: Event.StorageRegister, tag, detail: Below(2), label: `layer${Below(5)}`, subject: storages,
              value: bytes - Below(2) * 100 });
      }
    } else if (live.length > 0) {
      const block = live[Below(live.length)]!;
      live = live.filter(other => other !== block);
      Put({ event: Event.PoolFree, tag: block.tag, detail: block.tier, subject: block.offset, value: block.bytes });
    } else if (storages >= 60) {
      break;
    }
  }
  return { trace: MakeTrace(records), liveAfter };
}

// Steps with operators, saved values, edges, copies and stalls, at instants that all differ: times are the records' positions.
export function RandomRunTrace(seed: number, length: number): Trace {
  const random = Random(seed);
  const Below = (limit: number): number => Math.floor(random() * limit);
  const records: RecordLike[] = [];
  const Put = (record: Omit<RecordLike, 'time'>): void => void records.push({ time: records.length * 10, ...record });
  const storages = 30;
  let transfers = 0;
  let ops = 0;
  let step = Below(3);
  let inStep = false;
  const flying: { number: number; direction: number; bytes: number; begun: boolean }[] = [];
  for (let storage = 1; storage <= storages; ++storage) {
    Put({ event: Event.StorageRegister, tag: Below(9), detail: Below(6) === 0 ? 1 : 0, label: `w${Below(6)}`, subject: storage,
          value: 512 * (1 + Below(64)) });
  }
  while (records.length < length) {
    const storage = 1 + Below(storages);
    const label = `v${Below(5)}`;
    const bytes = 1 + Below(1 << (1 + Below(18)));
    switch (Below(11)) {
      case 0:
        Put({ event: inStep ? Event.StepEnd : Event.StepBegin, subject: inStep ? step++ : step });
        inStep = !inStep;
        break;
      case 1: Put({ event: Event.Derive, detail: Below(2), label: 'contiguous', subject: storage, value: 1 + Below(storages) }); break;
      case 2: Put({ event: Event.Residency, detail: Below(7) * 256 + Below(7), subject: storage, value: bytes }); break;
      case 3: Put({ event: Event.Decision, tag: 5, detail: Below(6) * 256 + Below(11), label, subject: storage, value: bytes }); break;
      case 4: Put({ event: Event.Pack, tag: 5, label, subject: storage, value: bytes }); break;
      case 5: Put({ event: [Event.Unpack, Event.Drop, Event.StorageWrite, Event.Recomputes][Below(4)]!, subject: storage }); break;
      case 6: {
        const transfer = { number: transfers++, direction: Below(3), bytes, begun: false };
        if (transfers > 60) break;
        flying.push(transfer);
        Put({ event: Event.TransferStorage, detail: transfer.direction, subject: transfer.number, value: storage });
        Put({ event: Event.TransferAsk, detail: transfer.direction, subject: transfer.number, value: bytes });
        break;
      }
      case 7:
      case 8: {
        const transfer = flying[Below(flying.length)];
        if (transfer === undefined) break;
        Put({ event: transfer.begun ? Event.TransferEnd : Event.TransferBegin, detail: transfer.direction, subject: transfer.number,
              value: transfer.bytes });
        if (transfer.begun) flying.splice(flying.indexOf(transfer), 1);
        transfer.begun = true;
        break;
      }
      case 9:
        Put(Below(2) === 0
          ? { event: Event.StallBegin, detail: Below(3), subject: Below(3), value: 1 + Below(3) }
          : { event: Event.StallEnd, detail: Below(6), label: Below(2) === 0 ? label : '', subject: Below(2) === 0 ? storage : Below(3),
              value: Below(200) });
        break;
      default: Put({ event: Event.OpBegin, label: `op${Below(4)}`, subject: ops++, value: Below(4) }); break;
    }
  }
  return MakeTrace(records);
}
