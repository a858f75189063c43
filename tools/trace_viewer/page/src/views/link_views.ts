// Copies by link: out of the device, into it, and within it. A span is a copy on the wire; the area above counts those that
// were asked for and wait. The selected copy shows all its four phases in the table.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { StorageName } from '../derive/storages.ts';
import { QueueDepth, type Transfers } from '../derive/transfers.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatRate } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import type { Spans } from '../draw/pyramid.ts';
import { Direction } from '../vocabulary.ts';
import { KeepsTransfer } from './filtering.ts';
import { SpanView } from './span_view.ts';
import { Lazily, sinceStart, type Item, type ViewContext, type ViewFactory } from './view.ts';

interface Link {
  id: string;
  direction: number;
  title: string;
  verb: string;
  legend: string;
  series: number;
}

const links: Link[] = [
  { id: 'copies-out', direction: Direction.Out, title: 'Copies out', verb: 'Copy out of', legend: 'out', series: Series.Out },
  { id: 'copies-in', direction: Direction.In, title: 'Copies in', verb: 'Copy in of', legend: 'in', series: Series.In },
  { id: 'copies-within', direction: Direction.Within, title: 'Copies within', verb: 'Copy within the device of',
    legend: 'within', series: Series.Within },
];

export const LinkViews: ViewFactory = context => {
  const transfers = context.derived.transfers;
  const present = new Set<number>();
  for (let i = 0; i < transfers.count; ++i) present.add(transfers.direction[i]!);
  const spans = Lazily(() => SpansOf(transfers));
  return links.filter(link => present.has(link.direction)).map(link => LinkView(context, link, spans));
};

// From when to when a transfer is drawn: on the wire, or where that is not in the trace the instant that is.
function Begin(transfers: Transfers, k: number): number {
  return FirstNumber(transfers.begun[k]!, transfers.asked[k]!, transfers.ended[k]!);
}
function End(transfers: Transfers, k: number): number {
  const begin = Begin(transfers, k);
  return Math.max(begin, FirstNumber(transfers.ended[k]!, begin));
}
function FirstNumber(first: number, second: number, third = NaN): number {
  if (!Number.isNaN(first)) return first;
  if (!Number.isNaN(second)) return second;
  return Number.isNaN(third) ? 0 : third;
}

// By transfer: what is drawn, and in which colour.
function SpansOf(transfers: Transfers): Spans {
  const { count, begun, asked, ended, failed } = transfers;
  const spans = { begin: new Float64Array(count), end: new Float64Array(count), category: new Uint8Array(count) };
  for (let k = 0; k < count; ++k) {
    const begin = FirstNumber(begun[k]!, asked[k]!, ended[k]!);
    spans.begin[k] = begin;
    spans.end[k] = Math.max(begin, FirstNumber(ended[k]!, begin));
    spans.category[k] = failed[k] === 1 ? 2 : Number.isNaN(ended[k]!) ? 1 : 0;
  }
  return spans;
}

function LinkView({ trace, derived }: ViewContext, link: Link, spans: () => Spans): SpanView {
  const { transfers, storages } = derived;
  const tags = trace.meta.vocabulary.tags;
  const StorageText = (k: number) => {
    const more = transfers.storages[k]! > 1 ? ` and ${transfers.storages[k]! - 1} more` : '';
    return StorageName(trace, storages, transfers.storage[k]!) + more;
  };
  const finished = Figures(transfers, link.direction);
  return new SpanView({
    id: link.id,
    title: link.title,
    about: `Copies ${['from the device to the host', 'from the host to the device', 'within the device'][link.direction]}: ` +
      'spans are on the wire, the area above counts those that wait for it.',
    legend: [
      { name: link.legend, color: link.series, group: 'Copies' },
      { name: 'queued', color: Series.Muted, group: 'Copies' },
      ...(finished.failed > 0 ? [{ name: 'failed', color: Series.Stall, group: 'Copies' }] : []),
    ],
    rows: 3,
    rowHeight: 18,
    series: [link.series, Series.Muted, Series.Stall],
    // Without an end it was never seen on the wire.
    entries: () => {
      const { begin, end, category } = spans();
      return EntriesOf(KeysByBegin(begin, transfers.direction, link.direction), begin, end, category);
    },
    keeps: (k, filter) => KeepsTransfer(filter, transfers, k),
    filtered: ['tag', 'size', 'tier'],
    name: StorageText,
    label: k => transfers.label[k]!,
    storage: k => transfers.storage[k]!,
    item: k => TransferItem(trace.meta.vocabulary.tags, transfers, link, k, StorageText(k)),
    depth: { counter: () => QueueDepth(transfers, link.direction), title: 'queued' },
    note: () => (finished.busy === 0 ? '' : `${FormatBytes(finished.bytes)} in ${FormatCount(finished.count)} copies` +
      (finished.failed === 0 ? '' : `, ${FormatCount(finished.failed)} failed`)),
    columns: [
      { title: 'Storage', unit: '', numeric: false },
      { title: 'Tag', unit: '', numeric: false },
      { title: 'Size', unit: 'bytes', numeric: true },
      { title: 'Asked', unit: sinceStart, numeric: true },
      { title: 'On the wire', unit: sinceStart, numeric: true },
      { title: 'Ended', unit: sinceStart, numeric: true },
      { title: 'Consumed', unit: sinceStart, numeric: true },
    ],
    cells: k => [StorageText(k), tags[transfers.tag[k]!] ?? '', transfers.bytes[k]!, transfers.asked[k]!, transfers.begun[k]!,
      transfers.ended[k]!, transfers.consumed[k]!],
  });
}

function Figures(transfers: Transfers, direction: number) {
  const figures = { count: 0, bytes: 0, busy: 0, failed: 0 };
  for (let i = 0; i < transfers.count; ++i) {
    if (transfers.direction[i] !== direction) continue;
    ++figures.count;
    figures.failed += transfers.failed[i]!;
    figures.bytes += transfers.bytes[i]!;
    figures.busy += FirstNumber(transfers.ended[i]! - transfers.begun[i]!, 0);
  }
  return figures;
}

function TransferItem(tags: string[], transfers: Transfers, link: Link, k: number, storage: string): Item {
  const Span = (from: number, to: number) =>
    Number.isNaN(from) || Number.isNaN(to) ? 'not in the trace' : FormatDuration(Math.max(0, to - from));
  const wire = transfers.ended[k]! - transfers.begun[k]!;
  const consumed = transfers.consumed[k]!;
  const late = transfers.ended[k]! - transfers.demanded[k]!;
  return {
    view: link.id,
    key: k,
    begin: Begin(transfers, k),
    end: End(transfers, k),
    title: transfers.failed[k] === 1 ? `Failed: ${link.verb.toLowerCase()} ${storage}` : `${link.verb} ${storage}`,
    details: [
      ...(transfers.failed[k] === 1 ? [['Outcome', 'none of its bytes arrived: the copy was refused or failed'] as [string, string]] : []),
      ['Size', FormatBytes(transfers.bytes[k]!)],
      ['Tag', tags[transfers.tag[k]!] ?? 'not known'],
      ['Queued for', Span(transfers.asked[k]!, transfers.begun[k]!)],
      ['On the wire for', Span(transfers.begun[k]!, transfers.ended[k]!)],
      ['Rate on the wire', wire > 0 ? FormatRate((transfers.bytes[k]! * 1e9) / wire) : 'not measured'],
      ['Consumed', Number.isNaN(consumed) ? 'not in the trace' : `${FormatDuration(consumed - transfers.ended[k]!)} after its end`],
      ...(link.direction === Direction.In && !Number.isNaN(late)
        ? [[late > 0 ? 'Late by' : 'Early by', FormatDuration(Math.abs(late))] as [string, string]]
        : []),
    ],
    storage: transfers.storage[k]!,
    phases: Phases(transfers, link, k),
  };
}

// The four phases, without those that the trace does not have. Between the end and being consumed the bytes lay ready.
function Phases(transfers: Transfers, link: Link, k: number): NonNullable<Item['phases']> {
  const [asked, begun, ended, consumed] = [transfers.asked[k]!, transfers.begun[k]!, transfers.ended[k]!, transfers.consumed[k]!];
  const phases = [
    { name: '1 asked', begin: asked, end: asked, color: Series.Other },
    { name: '2 queued', begin: asked, end: Math.max(asked, begun), color: Series.Muted },
    { name: '3 on the wire', begin: begun, end: ended, color: link.series },
    { name: '4 ready, then consumed', begin: ended, end: consumed, color: Series.Hidden },
  ];
  return phases.filter(phase => !Number.isNaN(phase.begin) && !Number.isNaN(phase.end));
}
