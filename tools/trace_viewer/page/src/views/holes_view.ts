// Holes panel: a tier's addresses at the cursor from end to end, its holes, and the blocks that keep two of them apart.

import type { Derived } from '../derive/derived.ts';
import { DeriveRefusals, LayoutAfter, SampleHoles, TierLimit, type Hole, type HoleSamples, type Layout,
  type Pin } from '../derive/fragmentation.ts';
import { LiveAfter } from '../derive/blocks.ts';
import { BlockName } from '../derive/peak.ts';
import { DrawText } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatInstant, FormatPercent } from '../draw/format.ts';
import { DrawGaps } from '../draw/gaps.ts';
import { Series, TagSeries } from '../draw/palette.ts';
import { LowerBound } from '../draw/pyramid.ts';
import { fonts, Hatch, type Surface } from '../draw/surface.ts';
import { AddChoice } from './controls.ts';
import { KeepsBlock, KeepsSize, KeepsTier } from './filtering.ts';
import { IsMarked, Stepped, type Filter, type Item, type State, type Table, type View, type ViewFactory,
  type Viewport } from './view.ts';

const bandTop = 58;
const bandHeight = 34;

export const HolesView: ViewFactory = ({ derived }) => (derived.occupancies.length === 0 ? null : new HolesPanel(derived));

// A part of the addresses that can be selected: a hole, what keeps two holes apart, or another block.
interface Part {
  key: number; // of its item
  offset: number;
  bytes: number;
  item: (state: State) => Item;
}

// What the panel shows of an instant.
interface Instant {
  key: string;
  layout: Layout;
  live: Uint32Array;
  parts: Part[]; // in the order of addresses
}

class HolesPanel implements View {
  readonly id = 'holes';
  readonly title = 'Holes';
  readonly about = 'The addresses of a tier at the cursor: its holes, and which blocks keep them apart.';
  readonly placement = 'panel';
  readonly filtered = ['tag', 'size', 'tier'] as const;
  readonly height = 260;
  readonly legend = [
    { name: 'largest hole', color: Series.Hidden },
    { name: 'free', color: Series.Muted },
    { name: 'underlined: keep two holes apart', color: Series.Stall },
  ];
  private tier: number;
  private readonly limits = new Map<number, number>();
  private samples: { key: string; samples: HoleSamples } | null = null;
  private kept: Instant | null = null;
  private width = 1;

  constructor(private readonly derived: Derived) {
    this.tier = derived.occupancies[0]!.tier;
  }

  controls(parent: HTMLElement, redraw: () => void): void {
    const { occupancies, trace } = this.derived;
    AddChoice(parent, 'Tier', occupancies.map(one => trace.meta.vocabulary.tiers[one.tier] ?? ''), 0, at => {
      this.tier = occupancies[at]!.tier;
      redraw();
    });
  }

  private Limit(): number {
    let limit = this.limits.get(this.tier);
    if (limit === undefined) this.limits.set(this.tier, (limit = TierLimit(this.derived.trace, this.derived.blocks, this.tier)));
    return limit;
  }

  private SamplesIn(viewport: Viewport, slices: number): HoleSamples {
    const begin = Math.max(0, viewport.begin);
    const end = Math.max(begin, Math.min(this.derived.trace.duration, viewport.end));
    const key = `${this.tier} ${begin} ${end} ${slices}`;
    if (this.samples?.key !== key) {
      this.samples = { key, samples: SampleHoles(this.derived.blocks, this.tier, this.Limit(), begin, end, slices) };
    }
    return this.samples.samples;
  }

  private At(cursor: number): Instant {
    const key = `${this.tier} ${cursor}`;
    if (this.kept?.key !== key) {
      const { trace, blocks } = this.derived;
      const record = LowerBound(trace.columns.time, cursor, true) - 1;
      const layout = LayoutAfter(blocks, this.tier, this.Limit(), record);
      const live = LiveAfter(blocks, this.tier, record);
      this.kept = { key, layout, live, parts: this.PartsOf(layout, live) };
    }
    return this.kept;
  }

  // Keys: even ones are holes, odd ones blocks.
  private PartsOf(layout: Layout, live: Uint32Array): Part[] {
    const { offset, bytes } = this.derived.blocks;
    const parts: Part[] = layout.holes.map((hole, at) =>
      ({ key: 2 * at, offset: hole.offset, bytes: hole.bytes, item: state => this.HoleItem(hole, at, state) }));
    const isInPin = new Set<number>();
    for (const pin of layout.pins) {
      for (const block of pin.blocks) isInPin.add(block);
      parts.push({ key: 2 * pin.blocks[0]! + 1, offset: pin.offset, bytes: pin.bytes, item: state => this.PinItem(pin, state) });
    }
    for (const block of live) {
      if (isInPin.has(block)) continue;
      parts.push({ key: 2 * block + 1, offset: offset[block]!, bytes: bytes[block]!, item: () => this.BlockItem(block) });
    }
    return parts.sort((a, b) => a.offset - b.offset);
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    const { context, palette, width, height } = surface;
    this.width = width;
    const { layout, live, parts } = this.At(state.cursor);
    const { trace, blocks } = this.derived;
    const tier = trace.meta.vocabulary.tiers[this.tier] ?? '';
    const used = layout.limit - layout.free;
    DrawText(surface, `${tier} at ${FormatInstant(state.cursor)}: ${FormatBytes(layout.free)} of ${FormatBytes(layout.limit)} free in ` +
      `${FormatCount(layout.holes.length)} holes, the largest ${FormatBytes(layout.largest)} ` +
      `(${FormatPercent(layout.largest, layout.free)} of what is free)`, 10, 13, width - 20, palette.text, fonts.body);
    const pin = layout.pins[0];
    DrawText(surface, pin === undefined ? `Nothing keeps two holes apart; ${FormatBytes(used)} is handed out.`
      : `Without ${this.PinName(pin)} (${FormatBytes(pin.bytes)}) two holes were one of ${FormatBytes(pin.joined)}.`,
    10, 31, width - 20, palette.faint);
    const X = (bytes: number): number => 10 + (bytes / layout.limit) * (width - 20);
    context.fillStyle = palette.raised;
    context.fillRect(10, bandTop, width - 20, bandHeight);
    const { filter } = state;
    layout.holes.forEach((hole, i) => {
      if (!KeepsSize(filter, hole.bytes) || !KeepsTier(filter, this.tier)) return;
      if (i === layout.largestHole) {
        context.fillStyle = palette.series[Series.Hidden]!;
        context.globalAlpha = 0.35;
        context.fillRect(X(hole.offset), bandTop, Math.max(1, X(hole.offset + hole.bytes) - X(hole.offset)), bandHeight);
        context.globalAlpha = 1;
      } else {
        Hatch(surface, X(hole.offset), bandTop, X(hole.offset + hole.bytes) - X(hole.offset), bandHeight);
      }
    });
    for (const block of live) {
      const left = X(blocks.offset[block]!);
      context.fillStyle = palette.series[KeepsBlock(filter, blocks, block) ? TagSeries(blocks.tag[block]!) : Series.Muted]!;
      context.fillRect(left, bandTop, Math.max(0.5, X(blocks.offset[block]! + blocks.bytes[block]!) - left - 0.5), bandHeight);
    }
    context.fillStyle = palette.series[Series.Stall]!;
    for (const { offset, bytes } of this.PinsKept(layout, filter).slice(0, 50)) {
      context.fillRect(X(offset), bandTop + bandHeight + 2, Math.max(2, X(offset + bytes) - X(offset)), 3);
    }
    context.strokeStyle = palette.selection;
    context.lineWidth = 2;
    for (const { key, offset, bytes } of parts) {
      if (!IsMarked(state, this.id, key)) continue;
      context.strokeRect(X(offset) - 1, bandTop - 1, Math.max(2, X(offset + bytes) - X(offset)) + 2, bandHeight + 2);
    }
    context.lineWidth = 1;
    DrawText(surface, '0', 10, bandTop + bandHeight + 16, 60, palette.faint);
    DrawText(surface, FormatBytes(layout.limit), width - 10, bandTop + bandHeight + 16, 90, palette.faint, fonts.small, 'right');
    this.DrawHistory(surface, viewport, state, bandTop + bandHeight + 30, height - 8);
  }

  // Over the time that is shown: free bytes and of those the largest hole.
  private DrawHistory(surface: Surface, viewport: Viewport, state: State, top: number, bottom: number): void {
    const { context, palette, width } = surface;
    if (bottom - top < 24) return;
    const columns = Math.max(1, Math.floor(width - 20));
    const samples = this.SamplesIn(viewport, columns);
    const high = bottom - top - 14;
    const limit = samples.free.reduce((most, value) => Math.max(most, value), 1);
    const X = (ns: number): number => 10 + ((ns - viewport.begin) / (viewport.end - viewport.begin)) * columns;
    const left = X(samples.begin);
    const columnWidth = (X(samples.end) - left) / columns;
    for (const [values, series] of [[samples.free, Series.Muted], [samples.largest, Series.Hidden]] as const) {
      context.fillStyle = palette.series[series]!;
      context.beginPath();
      context.moveTo(left, bottom);
      values.forEach((value, i) => {
        const y = bottom - (value / limit) * high;
        context.lineTo(left + i * columnWidth, y);
        context.lineTo(left + (i + 1) * columnWidth, y);
      });
      context.lineTo(left + columns * columnWidth, bottom);
      context.fill();
    }
    const { gaps } = this.derived.trace.meta;
    DrawGaps(surface, gaps, viewport, { left: 10, top, width: columns, height: bottom - top });
    context.fillStyle = palette.selection;
    const cursor = Math.round(X(state.cursor));
    if (cursor >= 10 && cursor <= 10 + columns) context.fillRect(cursor, top, 1, bottom - top);
    const missing = gaps.length === 0 ? '' : '; hatched: records are missing';
    DrawText(surface, `free, and of that the largest hole, over the time shown (at most ${FormatBytes(limit)}${missing})`, 10, top + 5,
      width - 20, palette.faint);
  }

  private HoleItem(hole: Hole, at: number, state: State): Item {
    const { layout } = this.At(state.cursor);
    const { trace, blocks, storages } = this.derived;
    const Neighbour = (block: number, none: string): string =>
      (block < 0 ? none : `${BlockName(trace, blocks, storages, block)}, ${FormatBytes(blocks.bytes[block]!)}`);
    return {
      view: this.id, key: 2 * at, begin: state.cursor, end: state.cursor, storage: 0,
      title: `Hole of ${FormatBytes(hole.bytes)}${at === layout.largestHole ? ', the largest' : ''}`,
      details: [
        ['Address in the tier', `${hole.offset} to ${hole.offset + hole.bytes}`],
        ['Below it', Neighbour(hole.below, 'the beginning of the tier')],
        ['Above it', Neighbour(hole.above, 'the end of the tier')],
      ],
    };
  }

  // Of a block that keeps no holes apart.
  private BlockItem(block: number): Item {
    const { trace, blocks, storages } = this.derived;
    const end = Math.min(blocks.end[block]!, trace.duration);
    return {
      view: this.id, key: 2 * block + 1, begin: blocks.begin[block]!, end, storage: blocks.storage[block]!,
      title: `Block of ${BlockName(trace, blocks, storages, block)}`,
      details: [
        ['Bytes', FormatBytes(blocks.bytes[block]!)],
        ['Tag', trace.meta.vocabulary.tags[blocks.tag[block]!] ?? `tag ${blocks.tag[block]}`],
        ['Address in the tier', `${blocks.offset[block]} to ${blocks.offset[block]! + blocks.bytes[block]!}`],
      ],
    };
  }

  // Those with a block that the filter keeps.
  private PinsKept(layout: Layout, filter: Filter): Pin[] {
    return layout.pins.filter(pin => pin.blocks.some(block => KeepsBlock(filter, this.derived.blocks, block)));
  }

  private PinName({ blocks: run }: Pin): string {
    const { trace, blocks, storages } = this.derived;
    const names = [...new Set(run.map(block => BlockName(trace, blocks, storages, block)))];
    return names.length <= 2 ? names.join(' and ') : `${names[0]} and ${FormatCount(run.length - 1)} more`;
  }

  private PinItem(pin: Pin, state: State): Item {
    const { trace, blocks } = this.derived;
    const first = pin.blocks[0]!;
    const begin = pin.blocks.reduce((latest, block) => Math.max(latest, blocks.begin[block]!), 0);
    const goes = pin.blocks.reduce((latest, block) => Math.max(latest, blocks.end[block]!), 0);
    const end = Math.min(goes, trace.duration);
    return {
      view: this.id, key: 2 * first + 1, begin, end, storage: blocks.storage[first]!,
      title: `${this.PinName(pin)} ${pin.blocks.length === 1 ? 'keeps' : 'keep'} two holes apart`,
      details: [
        ['Blocks', FormatCount(pin.blocks.length)],
        ['Bytes', FormatBytes(pin.bytes)],
        ['Without them one hole of', FormatBytes(pin.joined)],
        ['The last of them goes', goes === Infinity ? 'not within the trace' : `${FormatDuration(end - state.cursor)} after the cursor`],
      ],
    };
  }

  hit(x: number, y: number, _viewport: Viewport, state: State): Item | null {
    if (y < bandTop || y > bandTop + bandHeight + 8) return null;
    const { layout, parts } = this.At(state.cursor);
    const bytes = ((x - 10) / (this.width - 20)) * layout.limit;
    return parts.find(part => bytes >= part.offset && bytes < part.offset + part.bytes)?.item(state) ?? null;
  }

  neighbour(item: Item | null, direction: -1 | 1, _viewport: Viewport, state: State): Item | null {
    const { parts } = this.At(state.cursor);
    return Stepped(parts, parts.findIndex(part => part.key === item?.key), direction)?.item(state) ?? null;
  }

  // The blocks that keep holes apart, and where the tier was full when.
  rows(_viewport: Viewport, state: State, limit: number): Table {
    const { layout } = this.At(state.cursor);
    const pins = this.PinsKept(layout, state.filter);
    const shown = pins.slice(0, limit);
    const full = DeriveRefusals(this.derived.trace, this.tier).length;
    return {
      caption: `Blocks that keep two holes apart at the cursor${full > 0 ? `; it was full ${FormatCount(full)} times` : ''}`,
      columns: [
        { title: 'Blocks of', unit: '', numeric: false },
        { title: 'Blocks', unit: '', numeric: true },
        { title: 'Size', unit: 'bytes', numeric: true },
        { title: 'Address', unit: 'bytes', numeric: true },
        { title: 'Joined hole', unit: 'bytes', numeric: true },
      ],
      rows: shown.map(pin => [this.PinName(pin), pin.blocks.length, pin.bytes, pin.offset, pin.joined]),
      total: pins.length,
      items: shown.map(pin => this.PinItem(pin, state)),
    };
  }
}
