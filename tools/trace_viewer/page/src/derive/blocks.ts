// Blocks: from when until when each block of each tier's pool was handed out, and whose bytes were in it.
//
// A record of the pool does not say who asks. What follows it does: the registration of a storage, a copy of one, or a replay
// writes its record right after its block's, under one lock. So the owner of a block is the storage of the next such record
// of the block's tag, and blocks without one have none (0).

import type { Trace } from '../model.ts';
import { Direction, Event, Tier } from '../vocabulary.ts';
import { NumberMap } from './number_map.ts';
import { CountOf, RecordsOf } from './records.ts';

const tagCount = 256;
const tagSaved = 5;
const tagReload = 6;
const replayed = 5; // of Residency

export interface Blocks {
  count: number; // in the order in which they were handed out
  tier: Uint8Array;
  tag: Uint8Array;
  offset: Float64Array;
  bytes: Float64Array;
  storage: Uint32Array; // whose bytes; 0: not known
  taken: Uint32Array; // the record; `freed` is the number of records where there is none
  freed: Uint32Array;
  begin: Float64Array; // their times; `end` is Infinity where it is still there at the end
  end: Float64Array;
  strayFrees: number; // frees of blocks that the trace does not have: records are missing
}

export function DeriveBlocks(trace: Trace): Blocks {
  const { count, event, tag, detail, subject, value, time } = trace.columns;
  const size = CountOf(trace.columns, Event.PoolAllocate);
  const blocks: Blocks = {
    count: size,
    tier: new Uint8Array(size),
    tag: new Uint8Array(size),
    offset: new Float64Array(size),
    bytes: new Float64Array(size),
    storage: new Uint32Array(size),
    taken: new Uint32Array(size),
    freed: new Uint32Array(size).fill(count),
    begin: new Float64Array(size),
    end: new Float64Array(size).fill(Infinity),
    strayFrees: 0,
  };
  const live = [new NumberMap(), new NumberMap(), new NumberMap(), new NumberMap()]; // blocks of each tier, by offset
  const nameless = new Int32Array(live.length * tagCount).fill(-1); // the last block of each tier and tag, until it is named
  const Name = (tier: number, blockTag: number, bytes: number, storage: number): boolean => {
    const block = nameless[tier * tagCount + blockTag]!;
    if (block < 0 || blocks.bytes[block]! < bytes) return false;
    blocks.storage[block] = storage;
    nameless[tier * tagCount + blockTag] = -1;
    return true;
  };
  let next = 0;
  const records = RecordsOf(trace.columns, Event.PoolAllocate, Event.PoolFree, Event.StorageRegister, Event.TransferStorage,
    Event.Replay, Event.TakeBack, Event.Residency);
  for (let at = 0; at < records.length; ++at) {
    const i = records[at]!;
    switch (event[i]) {
      case Event.PoolAllocate: {
        const tier = detail[i]!;
        const block = next++;
        blocks.tier[block] = tier;
        blocks.tag[block] = tag[i]!;
        blocks.offset[block] = subject[i]!;
        blocks.bytes[block] = value[i]!;
        blocks.taken[block] = i;
        blocks.begin[block] = time[i]!;
        if (tier >= live.length) break;
        live[tier]!.Set(subject[i]!, block);
        nameless[tier * tagCount + tag[i]!] = block;
        break;
      }
      case Event.PoolFree: {
        const tier = detail[i]!;
        const block = tier < live.length ? live[tier]!.Take(subject[i]!) : -1;
        if (block < 0) {
          ++blocks.strayFrees;
          break;
        }
        blocks.freed[block] = i;
        blocks.end[block] = time[i]!;
        const slot = tier * tagCount + blocks.tag[block]!;
        if (nameless[slot] === block) nameless[slot] = -1;
        break;
      }
      case Event.StorageRegister:
        if (detail[i]! < 256) Name(Tier.Device, tag[i]!, value[i]!, subject[i]!);
        break;
      case Event.TransferStorage:
        if (detail[i] === Direction.In) {
          Name(Tier.Device, tagReload, 0, value[i]!);
        } else if (detail[i] === Direction.Out) {
          void (Name(Tier.Pinned, tagSaved, 0, value[i]!) || Name(Tier.Pageable, tagSaved, 0, value[i]!) ||
                Name(Tier.File, tagSaved, 0, value[i]!));
        }
        break;
      case Event.Replay:
      case Event.TakeBack:
        Name(Tier.Device, tagReload, value[i]!, subject[i]!);
        break;
      case Event.Residency:
        if ((detail[i]! & 255) === replayed) Name(Tier.Device, tagReload, 0, subject[i]!);
        break;
      default:
        break;
    }
  }
  return blocks;
}

// The blocks of `tier` that were there right after record `record`, in the order of their addresses.
export function LiveAfter(blocks: Blocks, tier: number, record: number): Uint32Array<ArrayBuffer> {
  const { count, taken, freed, offset } = blocks;
  const found: number[] = [];
  for (let block = 0; block < count && taken[block]! <= record; ++block) {
    if (freed[block]! > record && blocks.tier[block] === tier) found.push(block);
  }
  return Uint32Array.from(found).sort((a, b) => offset[a]! - offset[b]!);
}
