// The figures of the run: a strip of the most important ones, and all of them as tables. They are those of
// `tierlib-trace summary --json`, whose object the page carries; elements say in data-figure which field they show, and in
// data-value its number as it is there.

import { FormatBytes, FormatCount, FormatDuration, FormatRate } from '../draw/format.ts';
import type { Summary } from '../model.ts';
import { Make } from './dom.ts';

type Kind = 'bytes' | 'ns' | 'count' | 'rate';

function Text(number: number, kind: Kind): string {
  if (kind === 'bytes') return FormatBytes(number);
  if (kind === 'ns') return FormatDuration(number);
  return kind === 'rate' ? FormatRate(number) : FormatCount(number);
}

// The number at a path such as "tiers.0.peak_bytes"; NaN where there is none.
export function FieldOf(summary: Summary, path: string): number {
  let at: unknown = summary;
  for (const name of path.split('.')) at = (at as Record<string, unknown> | null | undefined)?.[name];
  return typeof at === 'number' ? at : NaN;
}

export function FigureStrip(summary: Summary): HTMLElement {
  const strip = Make('dl', { class: 'figures' });
  // `more`: what there is no room for.
  const Add = (title: string, path: string, kind: Kind, sub: string, more = sub) => {
    const number = FieldOf(summary, path);
    if (Number.isNaN(number)) return;
    strip.append(Make('div', { class: 'figure' },
      Make('dt', {}, title),
      Make('dd', { 'data-figure': path, 'data-value': `${number}` }, Text(number, kind)),
      Make('dd', { class: 'sub', title: more }, sub)));
  };
  const { steps, bytes, stalls, time, transfers } = summary;
  const avoided = bytes.avoided.identity + bytes.avoided.lineage + bytes.avoided.recompute + bytes.avoided.frees_nothing;
  const { slowest } = steps;
  Add('Median step', 'steps.median_ns', 'ns', slowest === null ? 'no finished step' : `slowest ${FormatDuration(slowest.ns)}`,
    slowest === null ? '' : `Of ${FormatCount(steps.count)} steps; the slowest is step ${slowest.step}`);
  Add('Moved to the host', 'bytes.moved', 'bytes', `instead of ${FormatBytes(bytes.naive)}`,
    `${FormatBytes(bytes.naive)} had each saved value been moved by itself`);
  Add('Avoided by identity', 'bytes.avoided.identity', 'bytes', `${FormatBytes(avoided)} in all`, `${FormatBytes(avoided)} avoided in all`);
  Add('Avoided by lineage', 'bytes.avoided.lineage', 'bytes', `${FormatBytes(bytes.replayed)} made again`);
  Add('Copied in', 'transfers.in.bytes', 'bytes', `at ${FormatRate(transfers.in.bytes_per_second)}`);
  Add('Hidden copy time', 'time.hidden_ns', 'ns', `${FormatDuration(time.exposed_ns)} exposed`);
  Add('Stalled', 'stalls.total_ns', 'ns', `${FormatCount(stalls.count)} stalls`, `${FormatCount(stalls.count)} stalls of all streams together`);
  summary.tiers.slice(0, 2).forEach((tier, i) =>
    Add(`Peak, ${tier.tier}`, `tiers.${i}.peak_bytes`, 'bytes',
      tier.capacity > 0 ? `of ${FormatBytes(tier.capacity)}` : 'capacity not known'));
  return strip;
}

export function FigureTables(summary: Summary): HTMLElement {
  const tables = Make('div', { class: 'figuretable' });
  const Table = (caption: string, rows: [string, string, Kind][]) => {
    const body = Make('tbody');
    for (const [title, path, kind] of rows) {
      const number = FieldOf(summary, path);
      if (Number.isNaN(number)) continue;
      body.append(Make('tr', {}, Make('th', { scope: 'row' }, title),
        Make('td', { class: 'numeric', 'data-figure': path, 'data-value': `${number}`, title: `${number}` }, Text(number, kind))));
    }
    if (body.childElementCount > 0) tables.append(Make('table', {}, Make('caption', {}, caption), body));
  };
  Table('Run', [['Length', 'duration_ns', 'ns'], ['Records', 'records', 'count'], ['Records dropped', 'dropped', 'count'],
    ['Steps', 'steps.count', 'count'], ['Unfinished steps', 'steps.unfinished', 'count'], ['Median step', 'steps.median_ns', 'ns'],
    ['Slowest step', 'steps.slowest.ns', 'ns'], ['Problems of the file', 'problems.count', 'count']]);
  Table('Packed values', [['Packs', 'bytes.packs', 'count'], ['Unpacks', 'bytes.unpacks', 'count'],
    ['Each copied by itself', 'bytes.naive', 'bytes'], ['Moved', 'bytes.moved', 'bytes'],
    ['Avoided by identity', 'bytes.avoided.identity', 'bytes'], ['Avoided by lineage', 'bytes.avoided.lineage', 'bytes'],
    ['Avoided by recompute', 'bytes.avoided.recompute', 'bytes'], ['Would free nothing', 'bytes.avoided.frees_nothing', 'bytes'],
    ['Kept', 'bytes.kept', 'bytes'], ['Replayed', 'bytes.replayed', 'bytes'], ['Recomputed', 'bytes.recomputed', 'bytes'],
    ['Decided again later', 'bytes.reconsidered', 'bytes'], ['Freed on the device', 'bytes.freed', 'bytes'],
    ['Moved, and freed nothing', 'bytes.freed_nothing', 'bytes'],
    ['Copied back', 'bytes.moved_in', 'bytes'], ['Ahead of being asked for', 'bytes.prefetched', 'bytes'],
    ['Ahead in vain', 'bytes.prefetched_in_vain', 'bytes'], ['Asked for first', 'bytes.prefetch_missed', 'bytes'],
    ['Had back without a copy', 'bytes.taken_back', 'bytes']]);
  for (const [name, title] of [['out', 'Copies out'], ['in', 'Copies in'], ['within', 'Copies within']] as const) {
    if (summary.transfers[name].count === 0) continue;
    Table(title, [['Copies', `transfers.${name}.count`, 'count'], ['Bytes', `transfers.${name}.bytes`, 'bytes'],
      ['Failed', `transfers.${name}.failed`, 'count'], ['Unfinished', `transfers.${name}.unfinished`, 'count'],
      ['Busy', `transfers.${name}.busy_ns`, 'ns'], ['Rate while busy', `transfers.${name}.bytes_per_second`, 'rate'],
      ['Ceiling of the link', `transfers.${name}.ceiling_bytes_per_second`, 'rate']]);
  }
  Table('Time, all streams', [['An op ran', 'time.compute_ns', 'ns'], ['A copy was under way', 'time.transfer_ns', 'ns'],
    ['Copies hidden', 'time.hidden_ns', 'ns'], ['Copies exposed', 'time.exposed_ns', 'ns'], ['Not known', 'time.unknown_ns', 'ns'],
    ['Stalls', 'stalls.count', 'count'], ['Stalled', 'stalls.total_ns', 'ns']]);
  summary.tiers.forEach((tier, i) => Table(`Tier ${tier.tier}`, [['Capacity', `tiers.${i}.capacity`, 'bytes'],
    ['Peak', `tiers.${i}.peak_bytes`, 'bytes'], ['Peak at', `tiers.${i}.peak_time_ns`, 'ns'],
    ['Reserved then', `tiers.${i}.reserved_at_peak`, 'bytes'], ['Reserved and unused then', `tiers.${i}.unused_at_peak`, 'bytes'],
    ['Without a tag then', `tiers.${i}.untagged_at_peak`, 'bytes'],
    ['Live at the end', `tiers.${i}.live_at_end`, 'bytes'], ['Times full', `tiers.${i}.times_full`, 'count']]));
  // What the slowest steps had more of than the median one.
  (summary.steps.slow ?? []).slice(0, 4).forEach((slow, i) => Table(`Slow step ${slow.step}, more than the median`, [
    ['Length', `steps.slow.${i}.ns`, 'ns'],
    ...slow.more_than_median.map((more, j): [string, string, Kind] =>
      [`${more.what} ${more.name}`, `steps.slow.${i}.more_than_median.${j}.amount`, more.unit === 'ns' ? 'ns' : 'bytes']),
  ]));
  return tables;
}
