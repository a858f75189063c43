// Comparison of two traces, step by step: figures of each step, their medians, and what each label had more or less of.

import type { Trace } from '../model.ts';
import { Direction, Event, Tier } from '../vocabulary.ts';
import { IsAvoided } from './lineage.ts';
import type { Occupancy } from './occupancy.ts';
import type { Steps } from './ops.ts';
import type { Stalls } from './stalls.ts';
import type { Transfers } from './transfers.ts';

export type Unit = 'ns' | 'bytes';

export const metrics = [
  { name: 'step', title: 'Step time', unit: 'ns' },
  { name: 'stalled', title: 'Waited for', unit: 'ns' },
  { name: 'out', title: 'Copied to the host', unit: 'bytes' },
  { name: 'in', title: 'Copied to the device', unit: 'bytes' },
  { name: 'avoided', title: 'Copies avoided', unit: 'bytes' },
  { name: 'peak', title: 'Peak on the device', unit: 'bytes' },
] as const satisfies { name: string; title: string; unit: Unit }[];

export type Metric = (typeof metrics)[number]['name'];

// Of one label, over all finished steps.
export interface LabelFigures {
  stalled: number; // ns
  moved: number; // bytes, both directions
}

export interface StepFigures {
  number: Float64Array; // of the finished steps
  begin: Float64Array;
  end: Float64Array;
  figures: Record<Metric, Float64Array>;
  labels: Map<string, LabelFigures>;
}

export function DeriveStepFigures(
  trace: Trace, steps: Steps, transfers: Transfers, stalls: Stalls, device: Occupancy | undefined,
): StepFigures {
  const finished = Uint32Array.from([...steps.finished.keys()].filter(step => steps.finished[step] === 1));
  const Figures = () => new Float64Array(finished.length);
  const out: StepFigures = {
    number: Float64Array.from(finished, step => steps.number[step]!),
    begin: Float64Array.from(finished, step => steps.begin[step]!),
    end: Float64Array.from(finished, step => steps.end[step]!),
    figures: { step: Figures(), stalled: Figures(), out: Figures(), in: Figures(), avoided: Figures(), peak: Figures() },
    labels: new Map(),
  };
  const byLabel: (LabelFigures | undefined)[] = [];
  const OfLabel = (label: number): LabelFigures => (byLabel[label] ??= { stalled: 0, moved: 0 });
  const StepAt = (time: number): number => {
    let low = 0;
    let high = out.begin.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (out.end[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return low < out.begin.length && out.begin[low]! <= time ? low : -1;
  };
  for (let i = 0; i < stalls.count; ++i) {
    const step = StepAt(stalls.end[i]!);
    if (step < 0) continue;
    out.figures.stalled[step]! += stalls.end[i]! - stalls.begin[i]!;
    OfLabel(stalls.label[i]!).stalled += stalls.end[i]! - stalls.begin[i]!;
  }
  for (let i = 0; i < transfers.count; ++i) {
    const step = StepAt(transfers.asked[i]!);
    if (step < 0 || transfers.direction[i] === Direction.Within) continue;
    out.figures[transfers.direction[i] === Direction.Out ? 'out' : 'in'][step]! += transfers.bytes[i]!;
    OfLabel(transfers.label[i]!).moved += transfers.bytes[i]!;
  }
  const { count, event, detail, value, time } = trace.columns;
  for (let i = 0; i < count; ++i) {
    if (event[i] !== Event.Decision || !IsAvoided(detail[i]! >> 8)) continue;
    const step = StepAt(time[i]!);
    if (step >= 0) out.figures.avoided[step]! += value[i]!;
  }
  for (let step = 0; step < finished.length; ++step) {
    out.figures.step[step] = out.end[step]! - out.begin[step]!;
    if (device === undefined || device.tier !== Tier.Device) continue;
    const position = device.pyramid.Most(out.begin[step]!, out.end[step]!);
    out.figures.peak[step] = position < 0 ? 0 : device.total[position]!;
  }
  byLabel.forEach((figures, label) => {
    if (figures !== undefined) out.labels.set(trace.labels[label]!, figures);
  });
  return out;
}

export function Median(numbers: Iterable<number>): number {
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface Difference {
  metric: Metric;
  a: number; // median over the steps that both have
  b: number;
}

export interface LabelDifference {
  label: string;
  stalled: [number, number]; // mean ns a step, of a and b
  moved: [number, number]; // mean bytes a step
}

export interface Comparison {
  // By step number; 'position': they have no number in common, so the first is compared with the first, and so on.
  aligned: 'number' | 'position';
  pairs: [number, number][]; // positions in a and b
  onlyA: number; // steps without a partner
  onlyB: number;
  differences: Difference[];
  labels: LabelDifference[]; // by what the label changed of the time waited for, then of the bytes moved
}

export function Compare(a: StepFigures, b: StepFigures): Comparison {
  const { aligned, pairs } = Align(a, b);
  const differences = metrics.map(({ name }): Difference => ({
    metric: name,
    a: Median(pairs.map(([i]) => a.figures[name][i]!)),
    b: Median(pairs.map(([, j]) => b.figures[name][j]!)),
  }));
  const names = new Set([...a.labels.keys(), ...b.labels.keys()]);
  const Mean = (figures: StepFigures, label: string, which: keyof LabelFigures): number =>
    figures.number.length === 0 ? 0 : (figures.labels.get(label)?.[which] ?? 0) / figures.number.length;
  const labels = [...names].map((label): LabelDifference => ({
    label,
    stalled: [Mean(a, label, 'stalled'), Mean(b, label, 'stalled')],
    moved: [Mean(a, label, 'moved'), Mean(b, label, 'moved')],
  }));
  const Change = ([from, to]: [number, number]): number => Math.abs(to - from);
  labels.sort((x, y) => Change(y.stalled) - Change(x.stalled) || Change(y.moved) - Change(x.moved) || (x.label < y.label ? -1 : 1));
  return {
    aligned, pairs, onlyA: a.number.length - pairs.length, onlyB: b.number.length - pairs.length, differences, labels,
  };
}

function Align(a: StepFigures, b: StepFigures): { aligned: 'number' | 'position'; pairs: [number, number][] } {
  const inB = new Map<number, number>();
  b.number.forEach((number, j) => {
    if (!inB.has(number)) inB.set(number, j);
  });
  const pairs: [number, number][] = [];
  a.number.forEach((number, i) => {
    const j = inB.get(number);
    if (j === undefined) return;
    inB.delete(number);
    pairs.push([i, j]);
  });
  if (pairs.length > 0) return { aligned: 'number', pairs };
  const both = Math.min(a.number.length, b.number.length);
  return { aligned: 'position', pairs: Array.from({ length: both }, (_, i) => [i, i]) };
}
