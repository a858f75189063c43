// Ops of each stream: what the device computed, by name.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { StreamLanes, StreamText } from '../derive/stream_lanes.ts';
import { FormatDuration } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type ViewFactory } from './view.ts';

export const OpsView: ViewFactory = ({ trace, derived }) => {
  const { ops } = derived;
  if (ops.count === 0) return null;
  const Name = (k: number) => trace.labels[ops.label[k]!] || `op ${ops.number[k]}`;
  const Part = (k: number) => (ops.backward[k] === 1 ? 'backward' : 'forward');
  const streams = new StreamLanes(ops.stream);
  return streams.lanes.map(lane => new SpanView({
    id: streams.Id('ops', lane),
    title: streams.Title('Ops', lane),
    about: `What the device computed: ops of the program, forward and backward. ${streams.Note(lane)}`.trimEnd(),
    legend: [{ name: 'forward', color: Series.Forward, group: 'Steps, ops' }, { name: 'backward', color: Series.Backward, group: 'Steps, ops' }],
    rows: 3,
    rowHeight: 16,
    series: [Series.Forward, Series.Backward],
    entries: () => EntriesOf(KeysByBegin(ops.begin, streams.of, lane), ops.begin, ops.end, ops.backward),
    name: Name,
    label: k => ops.label[k]!,
    item: k => ({
      view: streams.Id('ops', lane),
      key: k,
      begin: ops.begin[k]!,
      end: ops.end[k]!,
      title: Name(k),
      details: [
        ['Op', `${ops.number[k]}`],
        ['Part', Part(k)],
        ['Length', FormatDuration(ops.end[k]! - ops.begin[k]!)],
        ['Stream', StreamText(ops.stream[k]!)],
      ],
      storage: 0,
    }),
    columns: [
      { title: 'Op', unit: '', numeric: false },
      { title: 'Part', unit: '', numeric: false },
      { title: 'Begin', unit: sinceStart, numeric: true },
      { title: 'Length', unit: 'ns', numeric: true },
    ],
    cells: k => [Name(k), Part(k), ops.begin[k]!, ops.end[k]! - ops.begin[k]!],
  }));
};
