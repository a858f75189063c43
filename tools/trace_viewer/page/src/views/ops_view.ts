// Ops of the program: what the device computed, by name.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { FormatDuration } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type ViewFactory } from './view.ts';

export const OpsView: ViewFactory = ({ trace, derived }) => {
  const { ops } = derived;
  if (ops.count === 0) return null;
  const Name = (k: number) => trace.labels[ops.label[k]!] || `op ${ops.number[k]}`;
  const Part = (k: number) => (ops.backward[k] === 1 ? 'backward' : 'forward');
  return new SpanView({
    id: 'ops',
    title: 'Ops',
    about: 'What the device computed: ops of the program, forward and backward.',
    legend: [{ name: 'forward', color: Series.Forward, group: 'Steps, ops' }, { name: 'backward', color: Series.Backward, group: 'Steps, ops' }],
    rows: 3,
    rowHeight: 16,
    series: [Series.Forward, Series.Backward],
    entries: () => EntriesOf(KeysByBegin(ops.begin), ops.begin, ops.end, ops.backward),
    name: Name,
    label: k => ops.label[k]!,
    item: k => ({
      view: 'ops',
      key: k,
      begin: ops.begin[k]!,
      end: ops.end[k]!,
      title: Name(k),
      details: [
        ['Op', `${ops.number[k]}`],
        ['Part', Part(k)],
        ['Length', FormatDuration(ops.end[k]! - ops.begin[k]!)],
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
  });
};
