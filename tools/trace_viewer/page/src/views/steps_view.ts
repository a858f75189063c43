// Steps of the program: forward and backward of each.

import { FormatDuration } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { SpanView } from './span_view.ts';
import { sinceStart, type ViewFactory } from './view.ts';

export const StepsView: ViewFactory = ({ derived }) => {
  const { steps } = derived;
  if (steps.count === 0) return null;
  // Keys: step * 2 for forward, + 1 for backward.
  const begin: number[] = [];
  const end: number[] = [];
  const category: number[] = [];
  const key: number[] = [];
  for (let i = 0; i < steps.count; ++i) {
    const split = Number.isNaN(steps.backward[i]!) ? steps.end[i]! : steps.backward[i]!;
    begin.push(steps.begin[i]!);
    end.push(split);
    category.push(0);
    key.push(2 * i);
    if (Number.isNaN(steps.backward[i]!)) continue;
    begin.push(split);
    end.push(steps.end[i]!);
    category.push(1);
    key.push(2 * i + 1);
  }
  const Begin = (k: number) => ((k & 1) === 1 ? steps.backward[k >> 1]! : steps.begin[k >> 1]!);
  const End = (k: number) => ((k & 1) === 1 || Number.isNaN(steps.backward[k >> 1]!) ? steps.end[k >> 1]! : steps.backward[k >> 1]!);
  const Part = (k: number) => ((k & 1) === 1 ? 'backward' : 'forward');
  return new SpanView({
    id: 'steps',
    title: 'Steps',
    about: 'Steps of the program, forward and backward.',
    legend: [{ name: 'forward', color: Series.Forward, group: 'Steps, ops' }, { name: 'backward', color: Series.Backward, group: 'Steps, ops' }],
    rows: 1,
    rowHeight: 18,
    series: [Series.Forward, Series.Backward],
    entries: () => ({
      begin: Float64Array.from(begin),
      end: Float64Array.from(end),
      category: Uint8Array.from(category),
      key: Uint32Array.from(key),
    }),
    name: k => ((k & 1) === 1 ? 'backward' : `step ${steps.number[k >> 1]}`),
    item: k => ({
      view: 'steps',
      key: k,
      begin: Begin(k),
      end: End(k),
      title: `Step ${steps.number[k >> 1]}, ${Part(k)}`,
      details: [
        ['Part', Part(k)],
        ['Length of the part', FormatDuration(End(k) - Begin(k))],
        ['Length of the step', FormatDuration(steps.end[k >> 1]! - steps.begin[k >> 1]!)],
        ['Finished', steps.finished[k >> 1] === 1 ? 'yes' : 'no: its end is not in the trace'],
      ],
      storage: 0,
    }),
    columns: [
      { title: 'Step', unit: '', numeric: true },
      { title: 'Part', unit: '', numeric: false },
      { title: 'Begin', unit: sinceStart, numeric: true },
      { title: 'Length', unit: 'ns', numeric: true },
    ],
    cells: k => [steps.number[k >> 1]!, Part(k), Begin(k), End(k) - Begin(k)],
  });
};
