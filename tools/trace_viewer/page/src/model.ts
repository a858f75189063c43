// Trace: the records of one trace as typed columns, and what else the page carries of it. Everything that is drawn is
// derived from it (src/derive); nothing here is ever changed after DecodeTrace.
//
// The page has, for trace n, elements `trace-n-meta` (JSON) and `trace-n-COLUMN` (base64 of a zlib stream). The writer is
// tools/trace_viewer/page_data.cc; both sides describe the columns alike:
//   time     varint, ns since the record before (the first: 0)
//   event    one byte          tag    one byte          detail   two bytes, little endian
//   label    varint, an index into the labels (0: none)
//   subject  zigzag varint, difference from the last record of the same event
//   value    the same; of a CallStack the index of its label
//   slots, generations  varint, of each storage
//   labels   JSON, an array of strings
// Storages and transfers are numbered 0, 1, 2 ... in the order of their first record, wherever a record names one
// (subject or value); so arrays by storage or transfer are dense. Storage 0 stands for none. Numbers above 2^51 stand as
// 2^51, times above 2^52 as 2^52.

import { DecodeBytes, DecodeDifferences, DecodeNumbers, DecodeText, DecodeTimes } from './columns.ts';
import type { Vocabulary } from './vocabulary.ts';

export interface Columns {
  count: number;
  time: Float64Array; // ns since the first record, ascending
  event: Uint8Array;
  tag: Uint8Array;
  detail: Uint16Array;
  label: Uint32Array;
  subject: Float64Array;
  value: Float64Array;
}

// A part of the time of which records are missing. `end` is null where nobody knows when it ended.
export interface Gap {
  begin: number; // ns since the first record
  end: number | null;
  reason: string; // "truncated", "dropped", "overwritten" ...
  what: string; // one line for people
}

// The object of `tierlib-trace summary --json`, as far as the page shows it.
export interface Summary {
  schema_version: number;
  file: string;
  device: string;
  device_capacity: number;
  pinned_capacity: number;
  rank: number;
  process_id: number;
  start_wall_ns: number;
  duration_ns: number;
  records: number;
  closed: boolean;
  dropped: number;
  steps: {
    count: number;
    unfinished: number;
    median_ns: number;
    slowest: { step: number; ns: number } | null;
    slow?: { step: number; ns: number; more_than_median: { what: string; name: string; unit: string; amount: number }[] }[];
  };
  bytes: {
    packs: number;
    unpacks: number;
    naive: number;
    moved: number;
    avoided: { identity: number; lineage: number; recompute: number; frees_nothing: number };
    kept: number;
    replayed: number;
    recomputed: number;
    recomputes: number;
    reconsidered: number;
    freed: number;
    freed_made_again: number;
    freed_nothing: number;
    moved_in: number;
    taken_back: number;
    prefetched: number;
    prefetched_in_vain: number;
    prefetch_missed: number;
    decisions: { action: string; reason: string; count: number; bytes: number }[];
  };
  transfers: Record<'out' | 'in' | 'within', TransferFigures>;
  time: { compute_ns: number; unknown_ns: number; transfer_ns: number; exposed_ns: number; hidden_ns: number };
  stalls: { count: number; total_ns: number; by_storage: { storage: string; cause: string; count: number; ns: number }[] };
  tiers: {
    tier: string;
    capacity: number;
    peak_bytes: number;
    peak_time_ns: number;
    peak_by_tag: Record<string, number>;
    live_at_end: number;
    times_full: number;
    consistent: boolean;
  }[];
  problems: { count: number; list: { offset: number; what: string }[] };
}

export interface TransferFigures {
  count: number;
  bytes: number;
  unfinished: number;
  finished_bytes: number;
  busy_ns: number;
  bytes_per_second: number;
}

export interface Meta {
  format: number; // of the page's data: 1
  name: string; // of the file
  records: number;
  storages: number;
  transfers: number;
  gaps: Gap[];
  // What the link does at best, bytes per second, where it was calibrated; null: not known. Not in traces of every version.
  ceiling_bytes_per_s?: { out: number | null; in: number | null };
  vocabulary: Vocabulary;
  summary: Summary;
}

export interface Trace {
  meta: Meta;
  columns: Columns;
  labels: string[]; // [0] is ""
  slots: Uint32Array; // by storage
  generations: Uint32Array;
  duration: number; // ns, at least 1
}

export const dataFormat = 1;

// Where the parts of a trace come from: the text of an element, or null where there is none.
export type PartSource = (part: string) => string | null;

// Throws an Error with one line where the page is not whole, or of another version than its program.
export async function DecodeTrace(part: PartSource): Promise<Trace> {
  const Text = (name: string): string => {
    const text = part(name);
    if (text === null) throw new Error(`The page has no data "${name}": write it again with tierlib-trace view.`);
    return text;
  };
  const meta = JSON.parse(Text('meta')) as Meta;
  if (meta.format !== dataFormat) {
    throw new Error(`The data has format ${meta.format} and the page reads ${dataFormat}: write it again with tierlib-trace view.`);
  }
  const count = meta.records;
  const event = new Uint8Array(count);
  const tag = new Uint8Array(count);
  const detail = new Uint16Array(count); // little endian, as everything that browsers run on
  for (const [name, bytes] of [['event', event], ['tag', tag], ['detail', new Uint8Array(detail.buffer)]] as const) {
    const size = await DecodeBytes(Text(name), bytes);
    if (size !== bytes.length) throw new Error(`The page's data "${name}" has ${size} bytes and not ${bytes.length}: the file was cut.`);
  }
  const columns: Columns = {
    count, event, tag, detail,
    time: await DecodeTimes(Text('time'), count),
    label: await DecodeNumbers(Text('label'), count),
    subject: await DecodeDifferences(Text('subject'), event),
    value: await DecodeDifferences(Text('value'), event),
  };
  return {
    meta,
    columns,
    labels: JSON.parse(await DecodeText(Text('labels'))) as string[],
    slots: await DecodeNumbers(Text('slots'), meta.storages),
    generations: await DecodeNumbers(Text('generations'), meta.storages),
    duration: Math.max(1, count === 0 ? 1 : columns.time[count - 1]!),
  };
}
