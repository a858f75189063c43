// Stalls of each stream: when it waited, why, and for what.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { StorageName } from '../derive/storages.ts';
import { StreamLanes, StreamText } from '../derive/stream_lanes.ts';
import { FormatDuration } from '../draw/format.ts';
import { Series, TagSeries } from '../draw/palette.ts';
import { copyCauses, StallCause } from '../vocabulary.ts';
import { KeepsStall } from './filtering.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type LegendEntry, type ViewFactory } from './view.ts';

// By cause: copies are to blame for the red ones.
const kinds: { causes: number[]; name: string; color: number }[] = [
  { causes: [...copyCauses], name: 'for a copy', color: Series.Exposed },
  { causes: [StallCause.Allocation], name: 'for memory', color: TagSeries(7) },
  { causes: [StallCause.HostPool], name: 'for the host pool', color: TagSeries(8) },
  { causes: [StallCause.Producer], name: 'for another stream', color: Series.Other },
  { causes: [StallCause.Disk], name: 'for the disk', color: Series.In },
  { causes: [StallCause.Contention], name: 'for copies of others', color: Series.Out },
  { causes: [StallCause.Checksum], name: 'for checksums', color: TagSeries(1) },
];

export const StallsView: ViewFactory = ({ trace, derived }) => {
  const { stalls, storages } = derived;
  if (stalls.count === 0) return null;
  const causes = trace.meta.vocabulary.stall_causes;
  const Name = (k: number) =>
    stalls.label[k] !== 0 ? trace.labels[stalls.label[k]!]! : StorageName(trace, storages, stalls.storage[k]!);
  const seriesOfCause = causes.map((_, cause) => kinds.find(kind => kind.causes.includes(cause))?.color ?? Series.Other);
  const present = [...new Set(stalls.cause)];
  const legend = kinds.filter(kind => kind.causes.some(cause => present.includes(cause)))
    .map(({ name, color }): LegendEntry => ({ name, color, group: 'Stalls' }));
  const streams = new StreamLanes(stalls.stream);
  return streams.lanes.map(lane => new SpanView({
    id: streams.Id('stalls', lane),
    title: streams.Title('Stalls', lane),
    about: `Times in which a stream of the program waited, with the cause and for what. ${streams.Note(lane)}`.trimEnd(),
    legend,
    rows: 2,
    rowHeight: 16,
    series: seriesOfCause,
    entries: () => EntriesOf(KeysByBegin(stalls.begin, streams.of, lane), stalls.begin, stalls.end, stalls.cause),
    keeps: (k, filter) => KeepsStall(filter, stalls, storages, k),
    filtered: ['tag', 'size'],
    name: Name,
    label: k => stalls.label[k]!,
    storage: k => stalls.storage[k]!,
    item: k => ({
      view: streams.Id('stalls', lane),
      key: k,
      begin: stalls.begin[k]!,
      end: stalls.end[k]!,
      title: `Stall: ${causes[stalls.cause[k]!]} of ${Name(k)}`,
      details: [
        ['Cause', causes[stalls.cause[k]!] ?? 'not known'],
        ['Waited for', Name(k)],
        ['Length', FormatDuration(stalls.end[k]! - stalls.begin[k]!)],
        ['Stream', StreamText(stalls.stream[k]!)],
      ],
      storage: stalls.storage[k]!,
    }),
    columns: [
      { title: 'Waited for', unit: '', numeric: false },
      { title: 'Cause', unit: '', numeric: false },
      { title: 'Begin', unit: sinceStart, numeric: true },
      { title: 'Length', unit: 'ns', numeric: true },
    ],
    cells: k => [Name(k), causes[stalls.cause[k]!] ?? '', stalls.begin[k]!, stalls.end[k]! - stalls.begin[k]!],
  }));
};
