// Waits panel: how much of the copying was hidden and how much exposed in the time that is shown, and what was waited for, by
// cause, bytes and waiter.

import type { Derived } from '../derive/derived.ts';
import type { LabelPatterns } from '../derive/label_patterns.ts';
import { GroupWaits, LengthWithin, type WaitGroup } from '../derive/waits.ts';
import { DrawMessage, DrawText } from '../draw/chart.ts';
import { FormatCount, FormatDuration, FormatPercent } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { fonts, type Surface } from '../draw/surface.ts';
import { copyCauses } from '../vocabulary.ts';
import { AddChoice } from './controls.ts';
import { KeepsStall } from './filtering.ts';
import { IsMarked, Stepped, type Filter, type Item, type State, type Table, type View, type ViewFactory,
  type Viewport } from './view.ts';

const top = 58;
const rowHeight = 20;

export const WaitsView: ViewFactory = ({ derived }) => {
  const { time, stalls } = derived.trace.meta.summary;
  return time.transfer_ns > 0 || stalls.count > 0 ? new WaitsPanel(derived) : null;
};

class WaitsPanel implements View {
  readonly id = 'waits';
  readonly title = 'Waits';
  readonly about = 'Hidden against exposed time, and what was waited for: cause, bytes, and the operator that waited.';
  readonly placement = 'panel';
  readonly filtered = ['tag', 'size'] as const;
  readonly height = 260;
  readonly legend = [
    { name: 'copies hidden', color: Series.Hidden },
    { name: 'waited for a copy', color: Series.Exposed },
    { name: 'waited for something else', color: Series.Other },
  ];
  private kept: { key: string; filter: Filter; groups: WaitGroup[] } | null = null;

  private isInFull = false;

  constructor(private readonly derived: Derived) {}

  controls(parent: HTMLElement, redraw: () => void): void {
    AddChoice(parent, 'Names', ['numbers as *', 'in full'], 0, at => {
      this.isInFull = at === 1;
      redraw();
    });
  }

  private Groups(viewport: Viewport, state: State): WaitGroup[] {
    const { stalls, waiters, storages } = this.derived;
    const { filter } = state;
    const key = `${this.isInFull} ${viewport.begin} ${viewport.end}`;
    if (this.kept?.key !== key || this.kept.filter !== filter) {
      const Keeps = (k: number): boolean => KeepsStall(filter, stalls, storages, k);
      this.kept = { key, filter, groups: GroupWaits(stalls, waiters, this.patterns, viewport.begin, viewport.end, Keeps) };
    }
    return this.kept.groups;
  }

  private get patterns(): LabelPatterns {
    return this.isInFull ? this.derived.labelsInFull : this.derived.patterns;
  }

  private Label(pattern: number, without: string): string {
    return this.patterns.names[pattern] || without;
  }

  private Cause(group: WaitGroup): string {
    return this.derived.trace.meta.vocabulary.stall_causes[group.cause] ?? `cause ${group.cause}`;
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    const { context, palette, width, height } = surface;
    this.DrawShares(surface, viewport);
    const groups = this.Groups(viewport, state);
    if (groups.length === 0) {
      DrawMessage(surface, 'Nothing was waited for in the time that is shown.');
      return;
    }
    const nameWidth = Math.min(430, width * 0.52);
    const shown = groups.slice(0, Math.max(1, Math.floor((height - top) / rowHeight)));
    const most = Math.max(1, shown[0]!.ns);
    shown.forEach((group, i) => {
      const y = top + i * rowHeight;
      const what = this.Label(group.name, 'memory');
      const text = `${this.Label(group.waiter, 'no operator')} waited for ${what}: ${this.Cause(group)}`;
      DrawText(surface, text, 10, y + 8, nameWidth, palette.text);
      const barWidth = (group.ns / most) * (width - nameWidth - 170);
      context.fillStyle = palette.series[copyCauses.has(group.cause) ? Series.Exposed : Series.Other]!;
      context.fillRect(nameWidth + 16, y + 1, Math.max(1, barWidth), rowHeight - 6);
      DrawText(surface, `${FormatDuration(group.ns)}, ${FormatCount(group.count)} times`, nameWidth + 22 + barWidth, y + 8, 140,
        palette.faint);
      if (!IsMarked(state, this.id, group.longest)) return;
      context.strokeStyle = palette.selection;
      context.strokeRect(4.5, y - 2.5, width - 9, rowHeight - 1);
    });
  }

  // One bar: hidden and exposed, of all copying and waiting for it.
  private DrawShares(surface: Surface, viewport: Viewport): void {
    const { context, palette, width } = surface;
    const { exposure } = this.derived;
    const hidden = LengthWithin(exposure.hidden, viewport.begin, viewport.end);
    const exposed = LengthWithin(exposure.exposed, viewport.begin, viewport.end);
    const all = hidden + exposed;
    DrawText(surface, all === 0 ? 'No copy was under way in the time that is shown'
      : `Copies cost nothing for ${FormatDuration(hidden)} and were waited for ${FormatDuration(exposed)}: ` +
        `${FormatPercent(hidden, all)} hidden`, 10, 13, width - 20, palette.text, fonts.body);
    if (all === 0) return;
    const part = (hidden / all) * (width - 20);
    context.fillStyle = palette.series[Series.Hidden]!;
    context.fillRect(10, 26, part, 16);
    context.fillStyle = palette.series[Series.Exposed]!;
    context.fillRect(10 + part, 26, width - 20 - part, 16);
  }

  private GroupItem(group: WaitGroup): Item {
    const { stalls } = this.derived;
    const longest = group.longest;
    return {
      view: this.id, key: longest, begin: stalls.begin[longest]!, end: stalls.end[longest]!, storage: stalls.storage[longest]!,
      title: `${this.Label(group.waiter, 'A stream')} waited for ${this.Label(group.name, 'memory')}`,
      details: [
        ['Cause', this.Cause(group)],
        ['In all', `${FormatDuration(group.ns)}, ${FormatCount(group.count)} times`],
        ['The longest, shown here', FormatDuration(stalls.end[longest]! - stalls.begin[longest]!)],
        ['Counts as', copyCauses.has(group.cause) ? 'exposed copy' : 'another wait'],
      ],
    };
  }

  hit(_x: number, y: number, viewport: Viewport, state: State): Item | null {
    const group = this.Groups(viewport, state)[Math.floor((y - top + 2) / rowHeight)];
    return y < top || group === undefined ? null : this.GroupItem(group);
  }

  neighbour(item: Item | null, direction: -1 | 1, viewport: Viewport, state: State): Item | null {
    const groups = this.Groups(viewport, state);
    const next = Stepped(groups, groups.findIndex(group => group.longest === item?.key), direction);
    return next === null ? null : this.GroupItem(next);
  }

  rows(viewport: Viewport, state: State, limit: number): Table {
    const groups = this.Groups(viewport, state);
    return {
      caption: 'Waits in the time that is shown',
      columns: [
        { title: 'Waiter', unit: '', numeric: false },
        { title: 'Waited for', unit: '', numeric: false },
        { title: 'Cause', unit: '', numeric: false },
        { title: 'Times', unit: '', numeric: true },
        { title: 'In all', unit: 'ns', numeric: true },
        { title: 'Longest', unit: 'ns', numeric: true },
      ],
      rows: groups.slice(0, limit).map(group => [
        this.Label(group.waiter, 'no operator after it'), this.Label(group.name, 'memory'), this.Cause(group), group.count, group.ns,
        this.derived.stalls.end[group.longest]! - this.derived.stalls.begin[group.longest]!,
      ]),
      total: groups.length,
      items: groups.slice(0, limit).map(group => this.GroupItem(group)),
    };
  }
}
