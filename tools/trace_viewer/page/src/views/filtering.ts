// What the filter keeps of each kind of thing: by its tag, its size and its tier, as far as it has them. What it lacks does not
// keep it from being shown.

import type { Blocks } from '../derive/blocks.ts';
import type { Stalls } from '../derive/stalls.ts';
import type { Storages } from '../derive/storages.ts';
import type { Transfers } from '../derive/transfers.ts';
import { Direction, Tier } from '../vocabulary.ts';
import { noFilter, type Filter, type Filterable } from './view.ts';

// For the help.
export function FilterNote(filtered: readonly Filterable[]): string {
  return filtered.length === 0 ? 'Not filtered.' : `Filtered by ${filtered.join(', ')}.`;
}

export function KeepsTag(filter: Filter, tag: number): boolean {
  return filter.tags === null || filter.tags.has(tag);
}

export function KeepsSize(filter: Filter, bytes: number): boolean {
  return bytes >= filter.minimum_bytes && bytes <= filter.maximum_bytes;
}

export function KeepsTier(filter: Filter, tier: number): boolean {
  return filter.tiers === null || filter.tiers.has(tier);
}

// A copy is of the tiers at its two ends: the device, and but for one within it pinned memory.
function KeepsDirection(filter: Filter, direction: number): boolean {
  return KeepsTier(filter, Tier.Device) || (direction !== Direction.Within && KeepsTier(filter, Tier.Pinned));
}

export function KeepsTransfer(filter: Filter, transfers: Transfers, k: number): boolean {
  return KeepsTag(filter, transfers.tag[k]!) && KeepsSize(filter, transfers.bytes[k]!) &&
    KeepsDirection(filter, transfers.direction[k]!);
}

// A copy out of so many bytes of a storage with this tag that was not made: it would have been of the same tiers.
export function KeepsAvoided(filter: Filter, tag: number, bytes: number): boolean {
  return KeepsTag(filter, tag) && KeepsSize(filter, bytes) && KeepsDirection(filter, Direction.Out);
}

export function KeepsBlock(filter: Filter, blocks: Blocks, block: number): boolean {
  return filter === noFilter || // what it nearly always is, and there are many blocks
    (KeepsTag(filter, blocks.tag[block]!) && KeepsSize(filter, blocks.bytes[block]!) && KeepsTier(filter, blocks.tier[block]!));
}

// A stall is of the size of the storage that was waited for: who waits for memory waits for none, and of some no size is known.
export function KeepsStall(filter: Filter, stalls: Stalls, storages: Storages, k: number): boolean {
  const bytes = storages.bytes[stalls.storage[k]!]!;
  return KeepsTag(filter, stalls.tag[k]!) && (bytes === 0 || KeepsSize(filter, bytes));
}
