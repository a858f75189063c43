// Link panel: how fast copies of each size went in the time that is shown, against the link's ceiling, and what their overhead
// cost.

import { CalibratedCeilings, DeriveLink, type Ceiling, type Link, type SizeClass } from '../derive/link.ts';
import type { Derived } from '../derive/derived.ts';
import { ByteTicks } from '../draw/axis.ts';
import { DrawDashed, DrawLevel, DrawMessage, DrawText, DrawTextOver, type Frame } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatPercent, FormatRate } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { fonts, type Surface } from '../draw/surface.ts';
import { directionNames } from '../vocabulary.ts';
import { KeepsTransfer } from './filtering.ts';
import { IsMarked, noFilter, Stepped, type Filter, type Item, type LegendEntry, type State, type Table, type View,
  type ViewFactory, type Viewport } from './view.ts';

const shortNames = ['out', 'in', 'within'];
const directionSeries = [Series.Out, Series.In, Series.Within];

export const EfficiencyView: ViewFactory = ({ derived }) => {
  const { transfers } = derived.trace.meta.summary;
  return transfers.out.count + transfers.in.count + transfers.within.count > 0 ? new EfficiencyPanel(derived) : null;
};

class EfficiencyPanel implements View {
  readonly id = 'link';
  readonly title = 'Link';
  readonly about = 'How fast copies of each size went, against the fastest that the link does.';
  readonly placement = 'panel';
  readonly filtered = ['tag', 'size', 'tier'] as const;
  readonly height = 260;
  readonly legend: LegendEntry[];
  private kept: { begin: number; end: number; link: Link } | null = null;
  private shown: Filter = noFilter;
  private frame: Frame = { left: 0, top: 0, width: 0, height: 0 };
  private readonly calibrated: ReadonlyMap<number, number>;

  constructor(private readonly derived: Derived) {
    this.calibrated = CalibratedCeilings(derived.trace.meta);
    const { transfers } = derived.trace.meta.summary;
    this.legend = [transfers.out, transfers.in, transfers.within].flatMap(({ count }, direction) =>
      (count > 0 ? [{ name: directionNames[direction]!, color: directionSeries[direction]! }] : []));
  }

  private LinkIn(viewport: Viewport): Link {
    const { begin, end } = viewport;
    if (this.kept === null || this.kept.begin !== begin || this.kept.end !== end) {
      const { transfers } = this.derived;
      const Keeps = (k: number): boolean => KeepsTransfer(this.shown, transfers, k);
      this.kept = { begin, end, link: DeriveLink(transfers, begin, end, Keeps, this.calibrated) };
    }
    return this.kept.link;
  }

  filter(filter: Filter): void {
    this.shown = filter;
    this.kept = null;
  }

  // Sizes from the smallest class to above the largest, each power of two as wide.
  private Scale(link: Link): { least: number; classes: number; top: number } {
    const powers = link.classes.map(one => Math.log2(one.least));
    const least = Math.min(...powers);
    const rates = [...link.ceilings.values()].map(ceiling => ceiling.bytesPerSecond);
    const top = 1.08 * Math.max(...rates, ...link.classes.map(one => one.fast)); // copies may beat what was calibrated
    return { least, classes: Math.max(...powers) - least + 1, top };
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    const { palette, width, height } = surface;
    const link = this.LinkIn(viewport);
    if (link.classes.length === 0) {
      DrawMessage(surface, 'No copy began and ended in the time that is shown.');
      return;
    }
    const frame = { left: 74, top: 52, width: width - 106, height: Math.max(30, height - 86) };
    this.frame = frame;
    const { least, classes, top } = this.Scale(link);
    DrawText(surface, this.Headline(link), 10, 12, width - 20, palette.text, fonts.body);
    DrawText(surface, this.CeilingNote(link), 10, 29, width - 20, palette.faint);
    for (const tick of ByteTicks(0, top, Math.max(2, Math.floor(frame.height / 22)))) {
      DrawLevel(surface, frame, frame.top + frame.height * (1 - tick / top), FormatRate(tick));
    }
    const every = Math.max(1, Math.ceil((classes * 62) / frame.width));
    for (let i = 0; i <= classes; i += every) {
      DrawText(surface, FormatBytes(2 ** (least + i)), frame.left + (i / classes) * frame.width, frame.top + frame.height + 11, 70,
        palette.faint, fonts.small, 'center');
    }
    DrawText(surface, 'size of a copy; how many at each bar', frame.left + frame.width / 2, frame.top + frame.height + 26, 300, palette.faint, fonts.small,
      'center');
    let labelled = -100;
    for (const [direction, ceiling] of [...link.ceilings].sort((a, b) => b[1].bytesPerSecond - a[1].bytesPerSecond)) {
      const y = frame.top + frame.height * (1 - ceiling.bytesPerSecond / top);
      DrawDashed(surface, frame.left, frame.left + frame.width, y, palette.series[directionSeries[direction]!]!);
      if (Math.abs(y - labelled) < 13) continue; // on top of each other: the table has both
      labelled = y;
      DrawTextOver(surface, this.CeilingText(direction, ceiling), frame.left + 6, y - 7);
    }
    const isFew = link.ceilings.size;
    [...link.ceilings.keys()].sort().forEach((direction, lane) => {
      for (const one of link.classes) {
        if (one.direction === direction) this.DrawClass(surface, one, { least, classes, top }, lane, isFew, state);
      }
    });
  }

  private CeilingText(direction: number, ceiling: Ceiling): string {
    return `${directionNames[direction]}: ${ceiling.measured ? 'calibrated ceiling' : 'best observed'} ${FormatRate(ceiling.bytesPerSecond)}`;
  }

  private Headline(link: Link): string {
    const lost = link.classes.reduce((sum, one) => sum + one.lost, 0);
    const ns = link.classes.reduce((sum, one) => sum + one.ns, 0);
    if (lost === 0) return `All of the ${FormatDuration(ns)} on the wire is what the ceiling takes`;
    const worst = link.classes.reduce((a, b) => (b.lost > a.lost ? b : a));
    return `${FormatDuration(lost)} of ${FormatDuration(ns)} on the wire is beyond what the ceiling would take ` +
      `(${FormatPercent(lost, ns)}), most of it in copies of ${FormatBytes(worst.least)} to ${FormatBytes(2 * worst.least)}`;
  }

  // What the dashed lines are.
  private CeilingNote(link: Link): string {
    const observed = [...link.ceilings].filter(([, ceiling]) => !ceiling.measured).map(([direction]) => directionNames[direction]);
    if (observed.length === 0) return 'Dashed: the ceiling, as the program calibrated it';
    if (observed.length === link.ceilings.size) {
      return 'Dashed: the fastest copy of the trace, for no ceiling of its link was calibrated';
    }
    return `Dashed: the ceiling, as the program calibrated it; ${observed.join(' and ')}: the fastest copy of the trace`;
  }

  private Column(one: SizeClass, scale: { least: number; classes: number }, lane: number, lanes: number): [number, number] {
    const cell = this.frame.width / scale.classes;
    const part = Math.min(42, (cell * 0.86) / lanes);
    const middle = this.frame.left + (Math.log2(one.least) - scale.least + 0.5) * cell;
    return [middle + (lane - lanes / 2) * part, part - 2];
  }

  // A bar from the slowest to the fastest tenth, and a line at the median.
  private DrawClass(
    surface: Surface, one: SizeClass, scale: { least: number; classes: number; top: number }, lane: number, lanes: number, state: State,
  ): void {
    const { context, palette } = surface;
    const { frame } = this;
    const Y = (rate: number): number => frame.top + frame.height * (1 - rate / scale.top);
    const [x, width] = this.Column(one, scale, lane, lanes);
    const color = palette.series[directionSeries[one.direction]!]!;
    context.fillStyle = color;
    context.globalAlpha = 0.4;
    context.fillRect(x, Y(one.fast), width, Math.max(2, Y(one.slow) - Y(one.fast)));
    context.globalAlpha = 1;
    context.fillRect(x, Y(one.median) - 1.5, width, 3);
    const count = FormatCount(one.count);
    if (context.measureText(count).width < width) {
      const below = Math.max(Y(one.slow), Y(one.median) + 1.5) + 8;
      const y = below + 6 <= frame.top + frame.height ? below : Math.min(Y(one.fast), Y(one.median) - 1.5) - 8;
      DrawText(surface, count, x + width / 2, y, 60, palette.faint, fonts.small, 'center');
    }
    if (!IsMarked(state, this.id, this.Key(one))) return;
    context.strokeStyle = palette.selection;
    context.strokeRect(x - 1.5, Y(one.fast) - 1.5, width + 3, Math.max(2, Y(one.slow) - Y(one.fast)) + 3);
  }

  private Key(one: SizeClass): number {
    return one.direction * 64 + Math.log2(one.least);
  }

  private ClassItem(one: SizeClass, link: Link, viewport: Viewport): Item {
    const ceiling = link.ceilings.get(one.direction)!;
    return {
      view: this.id, key: this.Key(one), begin: viewport.begin, end: viewport.end, storage: 0,
      title: `Copies ${directionNames[one.direction]} of ${FormatBytes(one.least)} to ${FormatBytes(2 * one.least)}`,
      details: [
        ['Copies', `${FormatCount(one.count)}, ${FormatBytes(one.bytes)}`],
        ['Median', `${FormatRate(one.median)}, ${FormatPercent(one.median, ceiling.bytesPerSecond)} of the ceiling`],
        ['Slowest tenth below', FormatRate(one.slow)],
        ['Fastest tenth above', FormatRate(one.fast)],
        ['Ceiling', this.CeilingText(one.direction, ceiling)],
        ['Beyond what the ceiling takes', FormatDuration(one.lost)],
      ],
    };
  }

  hit(x: number, y: number, viewport: Viewport): Item | null {
    const link = this.LinkIn(viewport);
    if (link.classes.length === 0 || y < this.frame.top || y > this.frame.top + this.frame.height) return null;
    const scale = this.Scale(link);
    const directions = [...link.ceilings.keys()].sort();
    for (const one of link.classes) {
      const [left, width] = this.Column(one, scale, directions.indexOf(one.direction), directions.length);
      if (x >= left - 1 && x <= left + width + 1) return this.ClassItem(one, link, viewport);
    }
    return null;
  }

  neighbour(item: Item | null, direction: -1 | 1, viewport: Viewport): Item | null {
    const link = this.LinkIn(viewport);
    const next = Stepped(link.classes, link.classes.findIndex(one => this.Key(one) === item?.key), direction);
    return next === null ? null : this.ClassItem(next, link, viewport);
  }

  rows(viewport: Viewport, _state: State, limit: number): Table {
    const link = this.LinkIn(viewport);
    return {
      caption: 'Copies by size, against the ceiling',
      columns: [
        { title: 'Direction', unit: '', numeric: false },
        { title: 'Size from', unit: 'bytes', numeric: true },
        { title: 'Copies', unit: '', numeric: true },
        { title: 'In all', unit: 'bytes', numeric: true },
        { title: 'On the wire', unit: 'ns', numeric: true },
        { title: 'Median', unit: 'bytes/s', numeric: true },
        { title: 'Ceiling', unit: 'bytes/s', numeric: true },
        { title: 'Of it', unit: '%', numeric: true },
        { title: 'Beyond it', unit: 'ns', numeric: true },
        { title: 'The ceiling is', unit: '', numeric: false },
      ],
      rows: link.classes.slice(0, limit).map(one => {
        const ceiling = link.ceilings.get(one.direction)!;
        return [
          shortNames[one.direction] ?? '', one.least, one.count, one.bytes, one.ns, one.median, ceiling.bytesPerSecond,
          (100 * one.median) / ceiling.bytesPerSecond, one.lost, ceiling.measured ? 'calibrated' : 'the fastest copy',
        ];
      }),
      total: link.classes.length,
      items: link.classes.slice(0, limit).map(one => this.ClassItem(one, link, viewport)),
    };
  }
}
