// Lineage: of one storage, what it was made from, what was saved of it, where its bytes went, and of each copy that was avoided
// the key that justified it. Read from the records of the storage (storage_records.ts) when asked for.

import type { Trace } from '../model.ts';
import { Action, Direction, Event } from '../vocabulary.ts';
import type { LabelPatterns } from './label_patterns.ts';
import type { StorageRecords } from './storage_records.ts';
import { EndsFailed } from './transfers.ts';

// storage/residency.h: where the bytes of a saved storage are.
export const residencyNames = ['device', 'leaving', 'both', 'host', 'replayable', 'replayed', 'lost'];
export const Residency = { Device: 0, Leaving: 1, Both: 2, Host: 3, Replayable: 4, Replayed: 5, Lost: 6 } as const;

export interface Edge {
  record: number;
  derived: number; // storage
  source: number;
  label: number; // of the way: "contiguous"
  isCopy: boolean; // the same elements in another order: works both ways
}

export interface Copy {
  record: number; // that asked for it
  transfer: number;
  direction: number;
  bytes: number;
  begun: number; // record; -1: not in the trace
  ended: number;
  failed: boolean; // none of its bytes arrived: it was refused or failed
}

export interface Lineage {
  storage: number;
  registered: number; // record; -1: not in the trace
  retired: number;
  sources: Edge[];
  derived: Edge[];
  packs: number[]; // records
  unpacks: number[];
  drops: number[];
  writes: number[];
  replays: number[];
  decisions: number[];
  copies: Copy[];
  path: number[]; // records of its residency
  moves: number[]; // records of what moving it came to: Freed, FreedNothing, Reload, ReloadInVain, Reconsider
}

export function LineageOf(trace: Trace, records: StorageRecords, storage: number): Lineage {
  const { event, detail, subject, value } = trace.columns;
  const lineage: Lineage = {
    storage, registered: -1, retired: -1, sources: [], derived: [], packs: [], unpacks: [], drops: [], writes: [], replays: [],
    decisions: [], copies: [], path: [], moves: [],
  };
  const copies = new Map<number, Copy>();
  for (let at = records.first[storage]!; at < records.first[storage + 1]!; ++at) {
    const i = records.record[at]!;
    switch (event[i]) {
      case Event.StorageRegister: lineage.registered = i; break;
      case Event.StorageRetire: lineage.retired = i; break;
      case Event.Derive:
        (subject[i] === storage ? lineage.sources : lineage.derived).push(EdgeOf(trace, i));
        break;
      case Event.Pack: lineage.packs.push(i); break;
      case Event.Unpack: lineage.unpacks.push(i); break;
      case Event.Drop: lineage.drops.push(i); break;
      case Event.StorageWrite: lineage.writes.push(i); break;
      case Event.Replay: lineage.replays.push(i); break;
      case Event.Decision: lineage.decisions.push(i); break;
      case Event.Residency: lineage.path.push(i); break;
      case Event.Freed:
      case Event.FreedNothing:
      case Event.Reload:
      case Event.ReloadInVain:
      case Event.Reconsider:
        lineage.moves.push(i);
        break;
      case Event.TransferAsk: {
        const copy = { record: i, transfer: subject[i]!, direction: detail[i]!, bytes: value[i]!, begun: -1, ended: -1, failed: false };
        copies.set(copy.transfer, copy);
        lineage.copies.push(copy);
        break;
      }
      case Event.TransferBegin: {
        const copy = copies.get(subject[i]!);
        if (copy !== undefined) copy.begun = i;
        break;
      }
      case Event.TransferEnd: {
        const copy = copies.get(subject[i]!);
        if (copy === undefined) break;
        copy.ended = i;
        copy.failed = EndsFailed(value[i]!, copy.bytes, copy.begun >= 0);
        break;
      }
      default:
    }
  }
  return lineage;
}

function EdgeOf(trace: Trace, record: number): Edge {
  const { subject, value, label, detail } = trace.columns;
  return { record, derived: subject[record]!, source: value[record]!, label: label[record]!, isCopy: detail[record] === 0 };
}

// Why a copy was not made.
export interface Key {
  name: 'identity' | 'lineage' | 'frees nothing' | 'recompute' | 'none'; // none: nothing in the trace says why
  // What the storage is made from, from the storage on; the last one's bytes are there.
  chain: Edge[];
  source: number; // of lineage: the storage at the chain's end; 0: none
  record: number; // that justifies it: the copy out, the registration, the program's promise; -1: not in the trace
}

export function IsAvoided(action: number): boolean {
  return action === Action.Reference || action === Action.Replay || action === Action.FreesNothing || action === Action.Recompute;
}

// Of a Decision that avoided a copy.
export function KeyOf(trace: Trace, records: StorageRecords, decision: number): Key {
  const storage = trace.columns.subject[decision]!;
  switch (trace.columns.detail[decision]! >> 8) {
    case Action.Reference:
      return { name: 'identity', chain: [], source: 0, record: LastBefore(trace, records, storage, decision, IsCopyOut) };
    case Action.FreesNothing:
      return { name: 'frees nothing', chain: [], source: 0, record: LastBefore(trace, records, storage, decision,
        (event) => event === Event.StorageRegister) };
    case Action.Recompute:
      return { name: 'recompute', chain: [], source: 0, record: LastBefore(trace, records, storage, decision,
        (event) => event === Event.Recomputes) };
    case Action.Replay: {
      const chain = ChainToBytes(trace, records, storage, decision);
      const last = chain[chain.length - 1];
      const source = last === undefined ? 0 : EndOf(chain, storage);
      return { name: 'lineage', chain, source, record: last?.record ?? -1 };
    }
    default:
      return { name: 'none', chain: [], source: 0, record: -1 };
  }
}

function IsCopyOut(event: number, detail: number): boolean {
  return (event === Event.TransferAsk && detail === Direction.Out) || (event === Event.Decision && detail >> 8 === Action.Move);
}

function LastBefore(
  trace: Trace, records: StorageRecords, storage: number, record: number, accept: (event: number, detail: number) => boolean,
): number {
  const { event, detail } = trace.columns;
  let last = -1;
  for (let at = records.first[storage]!; at < records.first[storage + 1]! && records.record[at]! < record; ++at) {
    const i = records.record[at]!;
    if (accept(event[i]!, detail[i]!)) last = i;
  }
  return last;
}

// The storage at the end of a chain that begins with `storage`.
function EndOf(chain: readonly Edge[], storage: number): number {
  return chain.reduce((at, edge) => (edge.derived === at ? edge.source : edge.derived), storage);
}

// The fewest edges from `storage` to one whose bytes are on the host or stay on the device, by what is known before `record`;
// of equally long ones that which was told last. Empty: none.
export function ChainToBytes(trace: Trace, records: StorageRecords, storage: number, record: number): Edge[] {
  const { event } = trace.columns;
  const cameBy = new Map<number, { edge: Edge; from: number }>();
  const seen = new Set([storage]);
  const most = 4096; // storages: a chain is a few edges long, and the budget keeps any trace from taking long
  let front = [storage];
  while (front.length > 0 && seen.size < most) {
    const next: number[] = [];
    for (const at of front) {
      for (let j = records.first[at + 1]! - 1; j >= records.first[at]!; --j) {
        const i = records.record[j]!;
        if (i >= record || event[i] !== Event.Derive) continue;
        const edge = EdgeOf(trace, i);
        const other = edge.derived === at ? edge.source : edge.derived;
        if (seen.has(other) || (edge.derived !== at && !edge.isCopy)) continue;
        seen.add(other);
        cameBy.set(other, { edge, from: at });
        if (HasBytes(trace, records, other, record)) {
          const chain: Edge[] = [];
          for (let end = other; end !== storage; end = cameBy.get(end)!.from) chain.unshift(cameBy.get(end)!.edge);
          return chain;
        }
        next.push(other);
      }
    }
    front = next;
  }
  return [];
}

function HasBytes(trace: Trace, records: StorageRecords, storage: number, record: number): boolean {
  if (records.persistent[storage] === 1) return true;
  const last = LastBefore(trace, records, storage, record, event => event === Event.Residency);
  if (last < 0) return false;
  const at = trace.columns.detail[last]! & 255;
  return at === Residency.Leaving || at === Residency.Both || at === Residency.Host;
}

// Avoided copies with one key and one name.
export interface Avoided {
  action: number;
  reason: number;
  name: number; // of the storage: a pattern
  count: number;
  bytes: number;
  largest: number; // the Decision with the most bytes
}

// Of the decisions from `begin` to `end` that `keeps` keeps; most bytes first.
export function DeriveAvoided(
  trace: Trace, patterns: LabelPatterns, begin: number, end: number, keeps: (record: number) => boolean,
): Avoided[] {
  const { count, event, detail, label, value, time } = trace.columns;
  const groups = new Map<number, Avoided>();
  for (let i = 0; i < count; ++i) {
    if (event[i] !== Event.Decision || time[i]! < begin || time[i]! > end) continue;
    const action = detail[i]! >> 8;
    if (!IsAvoided(action) || !keeps(i)) continue;
    const name = patterns.of[label[i]!]!;
    const key = name * 65536 + detail[i]!;
    let group = groups.get(key);
    if (group === undefined) {
      group = { action, reason: detail[i]! & 255, name, count: 0, bytes: 0, largest: i };
      groups.set(key, group);
    }
    ++group.count;
    group.bytes += value[i]!;
    if (value[i]! > value[group.largest]!) group.largest = i;
  }
  return [...groups.values()].sort((a, b) => b.bytes - a.bytes || a.largest - b.largest);
}
