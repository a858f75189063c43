// Comparison panel: this trace (A) and the one of --compare (B), step by step, with the medians of both and what each label
// waits for or moves more.

import { Compare, metrics, type Comparison, type LabelDifference, type Metric, type StepFigures } from '../derive/compare.ts';
import type { Derived } from '../derive/derived.ts';
import { Quantile } from '../derive/link.ts';
import { RoundTicks, ByteTicks } from '../draw/axis.ts';
import { DrawLevel, DrawMessage, DrawText, DrawTextOver, type Frame } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { fonts, type Surface } from '../draw/surface.ts';
import { AddChoice } from './controls.ts';
import { Lazily, type Item, type State, type Table, type View, type ViewFactory, type Viewport } from './view.ts';

export const CompareView: ViewFactory = ({ derived, other }) => (other === null ? null : new ComparePanel(derived, other));

const series = [Series.Out, Series.In]; // A, B

// The largest value, unless a few are far above the rest: then what three quarters stay below, and a third more.
function ScaleTop(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const most = sorted[sorted.length - 1]!;
  const usual = Quantile(sorted, 0.75);
  return Math.max(1, most > 2.5 * usual && usual > 0 ? 1.33 * usual : 1.05 * most);
}

class ComparePanel implements View {
  readonly id = 'compare';
  readonly title = 'Comparison';
  readonly about = 'Two traces step by step: medians of their steps, and what each label has more of.';
  readonly placement = 'panel';
  readonly filtered = [] as const;
  readonly height = 260;
  readonly legend;
  private metric: Metric = 'step';
  private showsLabels = false; // in the table
  private readonly comparison = Lazily((): Comparison => Compare(this.a.stepFigures, this.b.stepFigures));
  private frame: Frame = { left: 0, top: 0, width: 1, height: 1 };

  constructor(private readonly a: Derived, private readonly b: Derived) {
    this.legend = [
      { name: `A: ${a.trace.meta.name}`, color: series[0]! },
      { name: `B: ${b.trace.meta.name}`, color: series[1]! },
    ];
  }

  controls(parent: HTMLElement, redraw: () => void): void {
    AddChoice(parent, 'Show', metrics.map(metric => metric.title), 0, at => {
      this.metric = metrics[at]!.name;
      redraw();
    });
    AddChoice(parent, 'Table', ['medians of the steps', 'by label'], 0, at => {
      this.showsLabels = at === 1;
      redraw();
    });
  }

  private Format(metric: Metric, value: number): string {
    return metrics.find(one => one.name === metric)!.unit === 'ns' ? FormatDuration(value) : FormatBytes(value);
  }

  private Change(from: number, to: number): string {
    if (from === to) return 'no difference';
    if (from === 0) return 'from nothing';
    const percent = (100 * (to - from)) / from;
    return `${percent > 0 ? '+' : ''}${Math.abs(percent) < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
  }

  draw(surface: Surface, _viewport: Viewport, state: State): void {
    const { palette, width, height } = surface;
    const comparison = this.comparison();
    const { metric } = this;
    if (comparison.pairs.length === 0) {
      DrawMessage(surface, 'No step begins and ends in both traces: there is nothing to compare.');
      return;
    }
    const { a, b } = comparison.differences.find(one => one.metric === metric)!;
    const title = metrics.find(one => one.name === metric)!.title;
    DrawText(surface, `${title}, median of ${FormatCount(comparison.pairs.length)} steps: A ${this.Format(metric, a)}, ` +
      `B ${this.Format(metric, b)}, ${this.Change(a, b)}`, 10, 12, width - 20, palette.text, fonts.body);
    const alone = comparison.onlyA + comparison.onlyB;
    DrawText(surface, `Aligned by ${comparison.aligned === 'number' ? 'step number' : 'position: no step number is in both'}` +
      (alone > 0 ? `; ${comparison.onlyA} steps only in A, ${comparison.onlyB} only in B` : ''), 10, 29, width - 20, palette.faint);
    const frame = { left: 74, top: 48, width: width - 90, height: Math.max(30, height - 78) };
    this.frame = frame;
    const ofA = comparison.pairs.map(([i]) => this.a.stepFigures.figures[metric][i]!);
    const ofB = comparison.pairs.map(([, j]) => this.b.stepFigures.figures[metric][j]!);
    const top = ScaleTop([...ofA, ...ofB]);
    const Ticks = metrics.find(one => one.name === metric)!.unit === 'ns' ? RoundTicks : ByteTicks;
    for (const tick of Ticks(0, top, Math.max(2, Math.floor(frame.height / 30)))) {
      DrawLevel(surface, frame, frame.top + frame.height * (1 - tick / top), this.Format(metric, tick));
    }
    this.DrawSteps(surface, ofA, top, 0);
    this.DrawSteps(surface, ofB, top, 1);
    this.DrawNumbers(surface, comparison);
    for (const item of [state.item, state.hover]) if (item?.view === this.id) this.DrawMark(surface, item.key);
  }

  // Of each pixel column the largest and the smallest value, and a line through few steps.
  private DrawSteps(surface: Surface, values: number[], top: number, which: 0 | 1): void {
    const { context, palette } = surface;
    const { frame } = this;
    const Y = (value: number): number => frame.top + frame.height * (1 - Math.min(1, value / top));
    context.strokeStyle = context.fillStyle = palette.series[series[which]!]!;
    context.lineWidth = which === 0 ? 2 : 1.5;
    if (which === 1) context.setLineDash([5, 3]); // told apart without colour
    context.beginPath();
    if (values.length <= frame.width) {
      values.forEach((value, i) => {
        if (i === 0) context.moveTo(this.X(i, values.length), Y(value));
        else context.lineTo(this.X(i, values.length), Y(value));
      });
    } else {
      for (let x = 0; x < frame.width; ++x) {
        const part = values.slice(Math.floor((x * values.length) / frame.width), Math.floor(((x + 1) * values.length) / frame.width));
        if (part.length === 0) continue;
        context.moveTo(frame.left + x + 0.5, Y(Math.max(...part)));
        context.lineTo(frame.left + x + 0.5, Y(Math.min(...part)) + 1);
      }
    }
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
    values.forEach((value, i) => { // beyond the scale: an arrow, with the value
      if (value <= top) return;
      const x = this.X(i, values.length) + 5 * which - 2;
      context.beginPath();
      context.moveTo(x, frame.top - 4);
      context.lineTo(x - 4, frame.top + 3);
      context.lineTo(x + 4, frame.top + 3);
      context.fill();
      if (values.length < frame.width / 60) {
        DrawTextOver(surface, this.Format(this.metric, value), x + 8, frame.top + 1 + 13 * which);
      }
    });
    if (values.length > frame.width / 8) return;
    context.fillStyle = palette.series[series[which]!]!;
    values.forEach((value, i) => {
      if (value > top) return;
      context.beginPath();
      if (which === 0) context.arc(this.X(i, values.length), Y(value), 3, 0, 2 * Math.PI);
      else context.rect(this.X(i, values.length) - 2.5, Y(value) - 2.5, 5, 5);
      context.fill();
    });
  }

  private X(i: number, count: number): number {
    return this.frame.left + ((i + 0.5) / count) * this.frame.width;
  }

  private DrawNumbers(surface: Surface, { pairs }: Comparison): void {
    const every = Math.max(1, Math.ceil((pairs.length * 44) / this.frame.width));
    for (let i = 0; i < pairs.length; i += every) {
      DrawText(surface, `${this.a.stepFigures.number[pairs[i]![0]]}`, this.X(i, pairs.length), this.frame.top + this.frame.height + 10, 44,
        surface.palette.faint, fonts.small, 'center');
    }
    DrawText(surface, 'step', this.frame.left + this.frame.width / 2, this.frame.top + this.frame.height + 23, 60, surface.palette.faint,
      fonts.small, 'center');
  }

  private DrawMark(surface: Surface, pair: number): void {
    const { context, palette } = surface;
    context.fillStyle = palette.selection;
    context.globalAlpha = 0.25;
    const count = this.comparison().pairs.length;
    context.fillRect(this.X(pair, count) - Math.max(1, this.frame.width / count / 2), this.frame.top,
      Math.max(2, this.frame.width / count), this.frame.height);
    context.globalAlpha = 1;
  }

  // A step of both: selecting it shows its time in this trace.
  private PairItem(at: number): Item | null {
    const { pairs } = this.comparison();
    if (!(at >= 0 && at < pairs.length)) return null;
    const [i, j] = pairs[at]!;
    const { a, b } = this;
    const Both = (figures: (one: StepFigures, position: number) => number, metric: Metric): string => {
      const [from, to] = [figures(a.stepFigures, i), figures(b.stepFigures, j)];
      return `${this.Format(metric, from)} and ${this.Format(metric, to)}, ${this.Change(from, to)}`;
    };
    return {
      view: this.id, key: at, begin: a.stepFigures.begin[i]!, end: a.stepFigures.end[i]!, storage: 0,
      title: `Step ${a.stepFigures.number[i]} of A and ${b.stepFigures.number[j]} of B`,
      details: metrics.map(({ name, title }): [string, string] => [title, Both((one, position) => one.figures[name][position]!, name)]),
    };
  }

  hit(x: number, y: number): Item | null {
    const { left, top, width, height } = this.frame;
    if (x < left || x > left + width || y < top || y > top + height) return null;
    return this.PairItem(Math.floor(((x - left) / width) * this.comparison().pairs.length));
  }

  find(key: number): Item | null {
    return Number.isInteger(key) ? this.PairItem(key) : null;
  }

  neighbour(item: Item | null, direction: -1 | 1): Item | null {
    return this.PairItem(item === null ? 0 : item.key + direction);
  }

  rows(_viewport: Viewport, _state: State, limit: number): Table {
    return this.showsLabels ? this.LabelRows(limit) : this.MedianRows();
  }

  private MedianRows(): Table {
    const { differences } = this.comparison();
    return {
      caption: 'Medians of the steps that both have',
      columns: [
        { title: 'Of a step', unit: '', numeric: false },
        { title: 'A', unit: '', numeric: true },
        { title: 'B', unit: '', numeric: true },
        { title: 'Change', unit: '', numeric: true },
      ],
      rows: differences.map(({ metric, a, b }) => [
        metrics.find(one => one.name === metric)!.title, this.Format(metric, a), this.Format(metric, b), this.Change(a, b),
      ]),
      total: differences.length,
    };
  }

  private LabelRows(limit: number): Table {
    const changed = this.comparison().labels.filter(({ stalled, moved }: LabelDifference) =>
      stalled[0] !== stalled[1] || moved[0] !== moved[1]);
    return {
      caption: 'What labels have more or less of, a step on average',
      columns: [
        { title: 'Label', unit: '', numeric: false },
        { title: 'Waited for, A', unit: 'ns', numeric: true },
        { title: 'B', unit: 'ns', numeric: true },
        { title: 'Moved, A', unit: 'bytes', numeric: true },
        { title: 'B', unit: 'bytes', numeric: true },
      ],
      rows: changed.slice(0, limit).map(({ label, stalled, moved }) =>
        [label || 'no label', stalled[0], stalled[1], moved[0], moved[1]]),
      total: changed.length,
    };
  }
}
