// Figures of steps and their comparison, against sums over the records of each step.

import { describe, expect, test } from 'vitest';
import type { StepFigures } from '../../src/derive/compare.ts';
import { Compare, DeriveStepFigures, Median, metrics } from '../../src/derive/compare.ts';
import { DeriveOccupancy } from '../../src/derive/occupancy.ts';
import { DeriveSteps } from '../../src/derive/ops.ts';
import { DeriveStalls } from '../../src/derive/stalls.ts';
import { DeriveStorages } from '../../src/derive/storages.ts';
import { DeriveTransfers } from '../../src/derive/transfers.ts';
import type { Trace } from '../../src/model.ts';
import { Event } from '../../src/vocabulary.ts';
import { MakeTrace } from './fixture.ts';
import { RandomRunTrace } from './random_trace.ts';

const seeds = Array.from({ length: 15 }, (_, i) => i + 1);

function FiguresOf(trace: Trace): StepFigures {
  const storages = DeriveStorages(trace);
  return DeriveStepFigures(trace, DeriveSteps(trace), DeriveTransfers(trace, storages), DeriveStalls(trace, storages),
    DeriveOccupancy(trace)[0]);
}

// Begin and end records of the steps that have both.
function FinishedSteps(trace: Trace): [number, number][] {
  const steps: [number, number][] = [];
  let begin = -1;
  trace.columns.event.forEach((event, i) => {
    if (event === Event.StepBegin) begin = i;
    if (event !== Event.StepEnd || begin < 0) return;
    steps.push([begin, i]);
    begin = -1;
  });
  return steps;
}

describe('figures of steps', () => {
  test.each(seeds)('are sums over the records of each (seed %i)', seed => {
    const trace = RandomRunTrace(seed, 900);
    const { event, detail, value, time } = trace.columns;
    const figures = FiguresOf(trace);
    const steps = FinishedSteps(trace);
    expect(figures.number.length).toBe(steps.length);
    steps.forEach(([begin, end], step) => {
      const Sum = (accept: (i: number) => boolean): number => {
        let sum = 0;
        for (let i = begin; i <= end; ++i) if (accept(i)) sum += value[i]!;
        return sum;
      };
      expect(figures.figures.step[step]).toBe(time[end]! - time[begin]!);
      expect(figures.figures.stalled[step]).toBe(Sum(i => event[i] === Event.StallEnd));
      expect(figures.figures.out[step]).toBe(Sum(i => event[i] === Event.TransferAsk && detail[i] === 0));
      expect(figures.figures.in[step]).toBe(Sum(i => event[i] === Event.TransferAsk && detail[i] === 1));
      expect(figures.figures.avoided[step]).toBe(Sum(i => event[i] === Event.Decision && [2, 3, 4, 5].includes(detail[i]! >> 8)));
    });
    const All = (which: 'stalled' | 'moved') => [...figures.labels.values()].reduce((sum, one) => sum + one[which], 0);
    expect(All('stalled')).toBe(figures.figures.stalled.reduce((a, b) => a + b, 0));
    expect(All('moved')).toBe([...figures.figures.out, ...figures.figures.in].reduce((a, b) => a + b, 0));
  });

  test('have the most that the device held within each', () => {
    const trace = MakeTrace([
      { time: 0, event: Event.PoolAllocate, tag: 4, subject: 0, value: 1000 },
      { time: 2, event: Event.PoolAllocate, tag: 4, subject: 9000, value: 9000 },
      { time: 4, event: Event.PoolFree, tag: 4, subject: 9000, value: 9000 },
      { time: 10, event: Event.StepBegin, subject: 0 },
      { time: 20, event: Event.PoolAllocate, tag: 4, subject: 2000, value: 500 },
      { time: 30, event: Event.PoolFree, tag: 4, subject: 2000, value: 500 },
      { time: 40, event: Event.StepEnd, subject: 0 },
      { time: 50, event: Event.PoolAllocate, tag: 4, subject: 3000, value: 7000 },
    ]);
    expect([...FiguresOf(trace).figures.peak]).toEqual([1500]);
  });
});

test('what ends with a step is a part of it', () => {
  const trace = MakeTrace([
    { time: 10, event: Event.StepBegin, subject: 0 },
    { time: 10, event: Event.StallEnd, detail: 2, value: 3 },
    { time: 40, event: Event.StallEnd, detail: 2, value: 5 },
    { time: 40, event: Event.StepEnd, subject: 0 },
    { time: 41, event: Event.StallEnd, detail: 2, value: 7 },
  ]);
  expect([...FiguresOf(trace).figures.stalled]).toEqual([8]);
});

describe('a comparison', () => {
  test.each(seeds)('of a trace with itself shows no difference (seed %i)', seed => {
    const figures = FiguresOf(RandomRunTrace(seed, 600));
    const comparison = Compare(figures, figures);
    expect(comparison.onlyA + comparison.onlyB).toBe(0);
    for (const { a, b } of comparison.differences) expect(a).toBe(b);
    for (const { stalled, moved } of comparison.labels) expect([stalled[0], moved[0]]).toEqual([stalled[1], moved[1]]);
  });

  test.each(seeds)('takes medians over the steps that both have (seed %i)', seed => {
    const a = FiguresOf(RandomRunTrace(seed, 900));
    const b = FiguresOf(RandomRunTrace(seed + 100, 700));
    const comparison = Compare(a, b);
    const common = [...a.number].filter(number => b.number.includes(number));
    expect(comparison.aligned).toBe(common.length > 0 ? 'number' : 'position');
    expect(comparison.pairs.length).toBe(common.length > 0 ? common.length : Math.min(a.number.length, b.number.length));
    for (const { metric, a: ofA, b: ofB } of comparison.differences) {
      expect(ofA).toBe(Median(comparison.pairs.map(([i]) => a.figures[metric][i]!)));
      expect(ofB).toBe(Median(comparison.pairs.map(([, j]) => b.figures[metric][j]!)));
    }
    if (comparison.aligned === 'number') for (const [i, j] of comparison.pairs) expect(a.number[i]).toBe(b.number[j]);
    expect(comparison.differences.map(one => one.metric)).toEqual(metrics.map(metric => metric.name));
  });

  test('finds what a label has more of, and aligns by position where no number is common', () => {
    const Run = (step: number, ns: number) => MakeTrace([
      { time: 0, event: Event.StepBegin, subject: step },
      { time: 500, event: Event.StallEnd, detail: 2, label: 'mlp', value: ns },
      { time: 600, event: Event.StallEnd, detail: 2, label: 'norm', value: 10 },
      { time: 1000, event: Event.StepEnd, subject: step },
    ]);
    const comparison = Compare(FiguresOf(Run(3, 100)), FiguresOf(Run(8, 260)));
    expect(comparison.aligned).toBe('position');
    expect(comparison.labels[0]).toMatchObject({ label: 'mlp', stalled: [100, 260] });
    expect(comparison.differences.find(one => one.metric === 'stalled')).toMatchObject({ a: 110, b: 270 });
  });

  test('of medians is that of the middle', () => {
    expect([Median([]), Median([3]), Median([1, 9]), Median([5, 1, 9])]).toEqual([0, 3, 5, 5]);
  });
});
