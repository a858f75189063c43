// Hidden against exposed: when copies cost nothing, because no stream waited for one, and when they did.

import { EntriesOf, KeysByBegin } from '../derive/rows.ts';
import { FormatDuration } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type ViewFactory } from './view.ts';

const kinds = ['hidden', 'exposed', 'not known'];
const abouts = [
  'A copy was under way and no stream waited for one',
  'A stream waited for a copy',
  'No op ran and nothing was waited for',
];

export const ExposureView: ViewFactory = ({ trace, derived }) => {
  const time = trace.meta.summary.time;
  if (time.transfer_ns === 0 && time.exposed_ns === 0) return null;
  // Of kind after kind; keys are positions in it.
  const { hidden, exposed, unknown } = derived.exposure;
  const kindsOf = [hidden, exposed, unknown];
  const first = [0, hidden.begin.length, hidden.begin.length + exposed.begin.length];
  const Kind = (k: number) => (k >= first[2]! ? 2 : k >= first[1]! ? 1 : 0);
  const Begin = (k: number) => kindsOf[Kind(k)]!.begin[k - first[Kind(k)]!]!;
  const End = (k: number) => kindsOf[Kind(k)]!.end[k - first[Kind(k)]!]!;
  const count = first[2]! + unknown.begin.length;
  return new SpanView({
    id: 'exposure',
    title: 'Hidden and exposed',
    about: 'When copies were hidden behind other work, and when a stream waited for one.',
    legend: [
      { name: 'copy hidden', color: Series.Hidden, group: 'Time' },
      { name: 'copy exposed', color: Series.Exposed, group: 'Time' },
      { name: 'no op, no wait', color: Series.Muted, group: 'Time' },
    ],
    rows: 3,
    rowHeight: 10,
    rowOf: Kind,
    series: [Series.Hidden, Series.Exposed, Series.Muted],
    entries: () => {
      const category = new Uint8Array(count).fill(1, first[1], first[2]).fill(2, first[2]);
      const Joined = (parts: Float64Array[]) => {
        const joined = new Float64Array(count);
        parts.forEach((part, kind) => joined.set(part, first[kind]));
        return joined;
      };
      const begin = Joined(kindsOf.map(kind => kind.begin));
      return EntriesOf(KeysByBegin(begin), begin, Joined(kindsOf.map(kind => kind.end)), category);
    },
    name: k => kinds[Kind(k)]!,
    note: () => `${FormatDuration(time.hidden_ns)} hidden, ${FormatDuration(time.exposed_ns)} exposed`,
    item: k => ({
      view: 'exposure',
      key: k,
      begin: Begin(k),
      end: End(k),
      title: `Time ${kinds[Kind(k)]!}`,
      details: [
        ['What it is', abouts[Kind(k)]!],
        ['Length', FormatDuration(End(k) - Begin(k))],
      ],
      storage: 0,
    }),
    columns: [
      { title: 'Kind', unit: '', numeric: false },
      { title: 'Begin', unit: sinceStart, numeric: true },
      { title: 'Length', unit: 'ns', numeric: true },
    ],
    cells: k => [kinds[Kind(k)]!, Begin(k), End(k) - Begin(k)],
  });
};
