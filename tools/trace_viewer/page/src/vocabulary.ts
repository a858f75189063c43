// Codes of records as src/trace/events.def and src/trace/event.h number them. Codes never change their meaning;
// test/unit/vocabulary.test.ts holds this table against events.def. What people read (names) comes with the page's data.

export const Event = {
  StepBegin: 1,
  BackwardBegin: 2,
  StepEnd: 3,
  StorageRegister: 10,
  StorageRetire: 11,
  StorageWrite: 12,
  Derive: 13,
  Residency: 14,
  Recomputes: 15,
  FreedNothing: 16,
  PoolReserve: 20,
  PoolRelease: 21,
  PoolAllocate: 22,
  PoolFree: 23,
  PoolFull: 24,
  HostFallback: 25,
  Pack: 30,
  Decision: 31,
  Unpack: 32,
  Drop: 33,
  Replay: 34,
  TakeBack: 35,
  Reload: 36,
  ReloadInVain: 37,
  Freed: 38,
  Reconsider: 39,
  TransferAsk: 40,
  TransferBegin: 41,
  TransferEnd: 42,
  TransferStorage: 43,
  StallBegin: 50,
  StallEnd: 51,
  OpBegin: 60,
  OpEnd: 61,
  CallStack: 70, // not in traces of every version
} as const;

// "CopyDirection" of a transfer.
export const Direction = { Out: 0, In: 1, Within: 2 } as const;
export const directionNames = ['device to host', 'host to device', 'within the device'];

// Causes of a stall that a copy is to blame for (as src/trace/summary.cc has them).
export const StallCause = {
  Allocation: 0, CopyOutTail: 1, LateCopyIn: 2, WriteFence: 3, HostPool: 4, Producer: 5, Disk: 6, Contention: 7, Checksum: 8,
} as const;
export const copyCauses: ReadonlySet<number> = new Set([StallCause.CopyOutTail, StallCause.LateCopyIn, StallCause.WriteFence]);

export const Tier = { Device: 0, Pinned: 1, Pageable: 2, File: 3 } as const;

// What was decided about a packed value: Decision's detail is action * 256 + reason.
export const Action = { Keep: 0, Move: 1, Reference: 2, Replay: 3, FreesNothing: 4, Recompute: 5 } as const;

export interface EventRow {
  code: number;
  name: string; // "transfer begin"
  subject: string; // what the fields hold, in words
  value: string;
  detail: string;
}

// Names as the program that wrote the page has them.
export interface Vocabulary {
  events: EventRow[];
  tags: string[];
  stall_causes: string[];
  actions: string[];
  reasons: string[];
  tiers: string[];
}
