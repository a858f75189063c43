// Traces for tests: made of records as a program would write them, without the page's encoding.

import type { Summary, Trace } from '../../src/model.ts';
import type { Vocabulary } from '../../src/vocabulary.ts';

export interface RecordLike {
  time: number;
  event: number;
  tag?: number;
  detail?: number;
  label?: string;
  subject?: number;
  value?: number;
}

export const vocabulary: Vocabulary = {
  events: [],
  tags: ['none', 'parameter', 'gradient', 'optimizer', 'activation', 'saved', 'reload', 'workspace', 'client'],
  stall_causes: ['allocation', 'copy out tail', 'late copy in', 'write fence', 'host pool', 'producer', 'disk', 'contention', 'checksum'],
  actions: ['keep', 'move', 'reference', 'replay', 'frees nothing', 'recompute'],
  reasons: ['mode', 'policy', 'too small', 'host full', 'persistent', 'same storage', 'lineage', 'memory short', 'cheaper',
    'claimed', 'peak'],
  tiers: ['device', 'pinned', 'pageable', 'file'],
};

// A trace of these records, which must be in the order of time. Storages and transfers are dense numbers already.
export function MakeTrace(records: RecordLike[], summary: Partial<Summary> = {}): Trace {
  const labels = [''];
  const Label = (text: string | undefined): number => {
    if (text === undefined || text === '') return 0;
    const found = labels.indexOf(text);
    if (found >= 0) return found;
    labels.push(text);
    return labels.length - 1;
  };
  const count = records.length;
  const trace: Trace = {
    meta: {
      format: 1,
      name: 'fixture.tlt',
      records: count,
      storages: 64,
      transfers: 64,
      gaps: [],
      vocabulary,
      summary: summary as Summary,
    },
    columns: {
      count,
      time: Float64Array.from(records, record => record.time),
      event: Uint8Array.from(records, record => record.event),
      tag: Uint8Array.from(records, record => record.tag ?? 0),
      detail: Uint16Array.from(records, record => record.detail ?? 0),
      label: Uint32Array.from(records, record => Label(record.label)),
      subject: Float64Array.from(records, record => record.subject ?? 0),
      value: Float64Array.from(records, record => record.value ?? 0),
    },
    labels,
    slots: Uint32Array.from({ length: 64 }, (_, i) => i),
    generations: new Uint32Array(64).fill(1),
    duration: Math.max(1, count === 0 ? 1 : records[count - 1]!.time),
  };
  return trace;
}
