// Stalls of each stream: when it waited, why, and for what. Where there are very many streams the last lane has those of all others.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { StorageName } from '../derive/storages.ts';
import { FormatDuration } from '../draw/format.ts';
import { Series, TagSeries } from '../draw/palette.ts';
import { copyCauses, StallCause } from '../vocabulary.ts';
import { KeepsStall } from './filtering.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type LegendEntry, type ViewFactory } from './view.ts';

const ownLanes = 16; // most streams with a lane of their own

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
  const streams = [...new Set(stalls.stream)].sort((a, b) => a - b);
  const laneOf = new Map(streams.map((stream, i) => [stream, Math.min(i, ownLanes)]));
  const lanes = Uint8Array.from(stalls.stream, stream => laneOf.get(stream)!);
  const Id = (lane: number) => (streams.length === 1 ? 'stalls' : `stalls-${lane}`);
  const Title = (lane: number) => {
    if (streams.length === 1) return 'Stalls';
    const others = streams.length - ownLanes;
    if (lane === ownLanes) return `Stalls of ${others} other stream${others === 1 ? '' : 's'}`;
    return streams[lane]! < 0 ? 'Stalls, stream not known' : `Stalls of stream ${streams[lane]}`;
  };
  return [...new Set(laneOf.values())].map(lane => new SpanView({
    id: Id(lane),
    title: Title(lane),
    about: lane < ownLanes ? 'Times in which a stream of the program waited, with the cause and for what.'
      : `Times in which any stream waited that has no lane of its own: all after the first ${ownLanes}.`,
    legend,
    rows: 2,
    rowHeight: 16,
    series: seriesOfCause,
    entries: () => EntriesOf(KeysByBegin(stalls.begin, lanes, lane), stalls.begin, stalls.end, stalls.cause),
    keeps: (k, filter) => KeepsStall(filter, stalls, storages, k),
    filtered: ['tag', 'size'],
    name: Name,
    label: k => stalls.label[k]!,
    storage: k => stalls.storage[k]!,
    item: k => ({
      view: Id(lane),
      key: k,
      begin: stalls.begin[k]!,
      end: stalls.end[k]!,
      title: `Stall: ${causes[stalls.cause[k]!]} of ${Name(k)}`,
      details: [
        ['Cause', causes[stalls.cause[k]!] ?? 'not known'],
        ['Waited for', Name(k)],
        ['Length', FormatDuration(stalls.end[k]! - stalls.begin[k]!)],
        ['Stream', stalls.stream[k]! < 0 ? 'not in the trace' : `${stalls.stream[k]}`],
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
