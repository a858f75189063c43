// Fragmentation: address x time. Each block of a tier's pool from when to when it was handed out, where it lies; what is free
// between them shows as background. Requests that found no room are marks at the top.

import { DeriveRefusals, LayoutAfter, TierLimit, type Layout, type Refusal } from '../derive/fragmentation.ts';
import type { Derived } from '../derive/derived.ts';
import { BlockName } from '../derive/peak.ts';
import { DrawTextOver } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration } from '../draw/format.ts';
import { Rgba, Series, TagSeries } from '../draw/palette.ts';
import { LowerBound } from '../draw/pyramid.ts';
import { Cells } from '../draw/cells.ts';
import { ClearRaster, type Raster } from '../draw/raster.ts';
import type { Surface } from '../draw/surface.ts';
import { Tiles } from '../draw/tiles.ts';
import { KeepsBlock, KeepsSize, KeepsTag, KeepsTier } from './filtering.ts';
import { Lazily, noFilter, sinceStart, TimeToX, XToTime, type Filter, type Item, type State, type Table, type View, type ViewFactory,
  type Viewport } from './view.ts';

const markHeight = 10; // of the strip for refusals
const chunk = 256; // blocks of which the latest end is kept
const reach = 4;

export const FragmentationViews: ViewFactory = ({ derived }) =>
  derived.occupancies.map(occupancy => new FragmentationView(derived, occupancy.tier));

// The blocks of one tier, and of each `chunk` of them the latest end: so a time range is drawn without looking at those before.
interface TierBlocks {
  block: Uint32Array; // in the order in which they were handed out
  begin: Float64Array;
  latestEnd: Float64Array;
  limit: number; // bytes at the upper end of the map: what the tier ever used
}

class FragmentationView implements View {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly placement = 'timeline';
  readonly filtered = ['tag', 'size', 'tier'] as const;
  readonly height = 132;
  private readonly tier: string;
  private shown: Filter = noFilter;
  private filters = 0; // how often the filter changed
  private cells: Cells | null = null;
  private codes: Uint8Array | null = null;
  private raster: Raster | null = null; // for one picture after the other
  private readonly tiles = new Tiles((surface, viewport) => this.DrawBlocks(surface, viewport));
  private layout: { time: number; layout: Layout } | null = null;
  private readonly mine = Lazily(() => this.CollectBlocks());
  private readonly refusals = Lazily(() => DeriveRefusals(this.derived.trace, this.code));
  private readonly order = Lazily(() => this.OrderByTime());
  private readonly limit = Lazily(() => TierLimit(this.derived.trace, this.derived.blocks, this.code));

  constructor(private readonly derived: Derived, private readonly code: number) {
    this.tier = derived.trace.meta.vocabulary.tiers[code] ?? `tier ${code}`;
    this.id = `map-${this.tier}`;
    this.title = `Map: ${this.tier}`;
    this.about = `Where the blocks of the ${this.tier} tier lie, by address and time. Free bytes between them are holes.`;
  }

  note(state: State): string {
    const layout = this.LayoutAt(state.cursor);
    const times = this.refusals().length;
    return times > 0 ? `hole ${FormatBytes(layout.largest)}, full ${FormatCount(times)} times` : `largest hole ${FormatBytes(layout.largest)}`;
  }

  private CollectBlocks(): TierBlocks {
    const { count, tier, offset, bytes, begin: begins, end: ends } = this.derived.blocks;
    const block = new Uint32Array(count);
    const begin = new Float64Array(count);
    const latestEnd = new Float64Array(Math.ceil(count / chunk));
    let size = 0;
    let limit = 1;
    for (let i = 0; i < count; ++i) {
      if (tier[i] !== this.code) continue;
      const of = Math.floor(size / chunk);
      latestEnd[of] = Math.max(latestEnd[of]!, ends[i]!);
      limit = Math.max(limit, offset[i]! + bytes[i]!);
      begin[size] = begins[i]!;
      block[size++] = i;
    }
    return { block: block.slice(0, size), begin: begin.slice(0, size), latestEnd, limit };
  }

  // The keys of all items with when each begins.
  private OrderByTime(): { keys: Uint32Array; time: Float64Array } {
    const { block, begin } = this.mine();
    const refusals = this.refusals();
    const keys = new Uint32Array(block.length + refusals.length);
    const time = new Float64Array(keys.length);
    for (let at = 0, i = 0, j = 0; at < keys.length; ++at) {
      const isBlock = i < block.length && (j === refusals.length || begin[i]! <= refusals[j]!.time);
      time[at] = isBlock ? begin[i]! : refusals[j]!.time;
      keys[at] = isBlock ? block[i++]! : this.derived.blocks.count + j++;
    }
    return { keys, time };
  }

  // Calls `take` for the blocks that are there at some instant of the range.
  private ForEachIn(begin: number, end: number, take: (block: number) => void): void {
    const { blocks } = this.derived;
    const mine = this.mine();
    const last = LowerBound(mine.begin, end, true);
    for (let i = 0; i < last; ++i) {
      if (i % chunk === 0 && mine.latestEnd[i / chunk]! < begin) {
        i += chunk - 1;
        continue;
      }
      const block = mine.block[i]!;
      if (blocks.end[block]! >= begin) take(block);
    }
  }

  private Keeps(block: number): boolean {
    return KeepsBlock(this.shown, this.derived.blocks, block);
  }

  private KeepsRefusal({ tag, asked }: Refusal): boolean {
    return KeepsTag(this.shown, tag) && KeepsSize(this.shown, asked) && KeepsTier(this.shown, this.code);
  }

  filter(filter: Filter): void {
    this.shown = filter;
    ++this.filters;
    this.cells = null;
    this.codes = null;
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    this.tiles.Draw(surface, viewport, `${this.filters}`);
    this.DrawRefusals(surface, viewport);
    DrawTextOver(surface, FormatBytes(this.mine().limit), surface.width - 4, markHeight + 8, 'right');
    DrawTextOver(surface, 'address 0', surface.width - 4, surface.height - 7, 'right');
    if (state.storage !== 0) this.OutlineStorage(surface, viewport, state.storage);
    for (const item of [state.item, state.hover]) if (item?.view === this.id) this.Outline(surface, viewport, item.key);
  }

  private DrawBlocks(surface: Surface, viewport: Viewport): void {
    const { palette, ratio, context } = surface;
    const raster = this.raster = ClearRaster(this.raster, surface.width * ratio, (surface.height - markHeight) * ratio);
    const { width, height } = raster;
    const colors = Uint32Array.from([0, ...palette.series.map(Rgba)]);
    const pixelsForNs = width / (viewport.end - viewport.begin);
    const cells = this.CellsOf(height);
    if (cells.Suits(pixelsForNs)) cells.Paint(raster, viewport.begin, viewport.end, colors);
    else this.PaintBlocks(raster, viewport, pixelsForNs, height / this.mine().limit, colors);
    raster.Put(context, 0, Math.round(markHeight * ratio));
  }

  // Block for block: where few are in view.
  private PaintBlocks(raster: Raster, viewport: Viewport, pixelsForNs: number, pixelsForByte: number, colors: Uint32Array): void {
    const { blocks } = this.derived;
    const codes = this.Codes();
    this.ForEachIn(viewport.begin, viewport.end, block => {
      const bottom = raster.height - blocks.offset[block]! * pixelsForByte;
      raster.Fill((blocks.begin[block]! - viewport.begin) * pixelsForNs, bottom - blocks.bytes[block]! * pixelsForByte,
        (Math.min(blocks.end[block]!, viewport.end) - viewport.begin) * pixelsForNs, bottom, colors[codes[block]!]!);
    });
  }

  private SeriesOf(block: number): number {
    return this.Keeps(block) ? TagSeries(this.derived.blocks.tag[block]!) : Series.Muted;
  }

  // By block, with the filter of now: series, plus one.
  private Codes(): Uint8Array {
    if (this.codes === null) {
      const { block } = this.mine();
      const { count, tag } = this.derived.blocks;
      const isAll = this.shown === noFilter; // what it nearly always is, and no size is asked for
      const codes = this.codes = new Uint8Array(count);
      for (let i = 0; i < block.length; ++i) {
        const one = block[i]!;
        codes[one] = 1 + (isAll ? TagSeries(tag[one]!) : this.SeriesOf(one));
      }
    }
    return this.codes;
  }

  // All blocks in a grid of so many rows, with the codes of now.
  private CellsOf(rows: number): Cells {
    if (this.cells?.rows !== rows) {
      const { blocks, trace } = this.derived;
      const { block, limit } = this.mine();
      // Finer pictures are painted block for block: for each pixel few begin then.
      const columns = 2 ** Math.min(16, Math.max(11, Math.ceil(Math.log2(block.length / 8 + 1))));
      this.cells = new Cells(rows, columns, trace.duration);
      const { begin, end, offset: bottom, bytes: height } = blocks;
      this.cells.Fill(block, { begin, end, bottom, height, code: this.Codes() }, limit);
      this.cells.Finish();
    }
    return this.cells;
  }

  private DrawRefusals(surface: Surface, viewport: Viewport): void {
    const { context, palette } = surface;
    // Those that are filtered out first: under the others.
    for (const isKept of [false, true]) {
      context.fillStyle = palette.series[isKept ? Series.Stall : Series.Muted]!;
      this.DrawMarks(surface, viewport, this.refusals().filter(refusal => this.KeepsRefusal(refusal) === isKept));
    }
  }

  private DrawMarks({ context }: Surface, viewport: Viewport, refusals: Refusal[]): void {
    let last = -2;
    for (const refusal of refusals) {
      const x = Math.round(TimeToX(viewport, refusal.time));
      if (x < last + 2 || x < 0 || x > viewport.width) continue;
      last = x;
      context.beginPath();
      context.moveTo(x - 4, 1);
      context.lineTo(x + 4, 1);
      context.lineTo(x, markHeight - 1);
      context.fill();
    }
  }

  private Box(surface: { height: number }, viewport: Viewport, block: number): [number, number, number, number] {
    const { blocks } = this.derived;
    const pixelsForByte = (surface.height - markHeight) / this.mine().limit;
    const left = Math.max(-2, TimeToX(viewport, blocks.begin[block]!));
    const right = Math.min(viewport.width + 2, TimeToX(viewport, Math.min(blocks.end[block]!, this.derived.trace.duration)));
    const bottom = surface.height - blocks.offset[block]! * pixelsForByte;
    return [left, bottom - blocks.bytes[block]! * pixelsForByte, right, bottom];
  }

  private Outline(surface: Surface, viewport: Viewport, key: number): void {
    if (key >= this.derived.blocks.count) return; // a refusal
    const { context, palette } = surface;
    const [left, top, right, bottom] = this.Box(surface, viewport, key);
    context.strokeStyle = palette.selection;
    context.lineWidth = 2;
    context.strokeRect(left - 1, top - 1, Math.max(2, right - left) + 2, Math.max(2, bottom - top) + 2);
    context.lineWidth = 1;
  }

  private OutlineStorage(surface: Surface, viewport: Viewport, storage: number): void {
    this.ForEachIn(viewport.begin, viewport.end, block => {
      if (this.derived.blocks.storage[block] === storage) this.Outline(surface, viewport, block);
    });
  }

  private LayoutAt(time: number): Layout {
    if (this.layout?.time !== time) {
      const record = LowerBound(this.derived.trace.columns.time, time, true) - 1;
      this.layout = { time, layout: LayoutAfter(this.derived.blocks, this.code, this.limit(), record) };
    }
    return this.layout.layout;
  }

  private BlockItem(block: number): Item {
    const { trace, blocks, storages } = this.derived;
    const end = Math.min(blocks.end[block]!, trace.duration);
    const name = BlockName(trace, blocks, storages, block);
    return {
      view: this.id, key: block, begin: blocks.begin[block]!, end, storage: blocks.storage[block]!,
      title: `${this.tier} block of ${name}`,
      details: [
        ['Bytes', FormatBytes(blocks.bytes[block]!)],
        ['Tag', trace.meta.vocabulary.tags[blocks.tag[block]!] ?? `tag ${blocks.tag[block]}`],
        ['Address in the tier', `${blocks.offset[block]} to ${blocks.offset[block]! + blocks.bytes[block]!}`],
        ['Handed out for', blocks.end[block] === Infinity ? 'the rest of the trace' : FormatDuration(end - blocks.begin[block]!)],
      ],
    };
  }

  // Keys of refusals follow those of blocks.
  private RefusalItem(at: number): Item {
    const refusal = this.refusals()[at]!;
    const layout = this.LayoutBefore(refusal);
    const isFragmented = layout.free >= refusal.asked;
    return {
      view: this.id, key: this.derived.blocks.count + at, begin: refusal.time, end: refusal.time, storage: 0,
      title: `${this.tier} had no room for ${FormatBytes(refusal.asked)}`,
      details: [
        ['Why', isFragmented ? 'enough is free, and no hole is large enough' : 'so much is not free'],
        ['Free', FormatBytes(layout.free)],
        ['Largest hole', FormatBytes(layout.largest)],
        ['Holes', `${layout.holes.length}`],
        ['Asked for as', this.derived.trace.meta.vocabulary.tags[refusal.tag] ?? `tag ${refusal.tag}`],
      ],
    };
  }

  private LayoutBefore(refusal: Refusal): Layout {
    return LayoutAfter(this.derived.blocks, this.code, this.limit(), refusal.record);
  }

  hit(x: number, y: number, viewport: Viewport): Item | null {
    if (y < markHeight) {
      const refusals = this.refusals();
      const at = refusals.findIndex(refusal => Math.abs(TimeToX(viewport, refusal.time) - x) <= reach);
      return at < 0 ? null : this.RefusalItem(at);
    }
    const { blocks } = this.derived;
    const from = XToTime(viewport, x - 0.5);
    const to = XToTime(viewport, x + 0.5);
    let best = -1;
    let distance = reach;
    this.ForEachIn(from, to, block => {
      const [, top, , bottom] = this.Box(this, viewport, block);
      const away = Math.max(0, top - y, y - bottom);
      if (away > distance || (away === distance && best >= 0 && blocks.bytes[block]! <= blocks.bytes[best]!)) return;
      best = block;
      distance = away;
    });
    return best < 0 ? null : this.BlockItem(best);
  }

  find(key: number): Item | null {
    const { blocks } = this.derived;
    if (!Number.isInteger(key) || key < 0) return null;
    if (key >= blocks.count) return key - blocks.count < this.refusals().length ? this.RefusalItem(key - blocks.count) : null;
    return blocks.tier[key] === this.code ? this.BlockItem(key) : null;
  }

  // In the order of time; at one instant blocks before refusals.
  neighbour(item: Item | null, direction: -1 | 1, viewport: Viewport): Item | null {
    const { keys, time } = this.order();
    const at = item === null ? LowerBound(time, viewport.begin, false) : keys.indexOf(item.key) + direction;
    return at >= 0 && at < keys.length ? this.find(keys[at]!) : null;
  }

  search(labels: ReadonlySet<number>, time: number, direction: -1 | 1): Item | null {
    const { blocks, storages } = this.derived;
    const { block, begin } = this.mine();
    const first = direction > 0 ? LowerBound(begin, time, true) : LowerBound(begin, time, false) - 1;
    for (let at = first; at >= 0 && at < block.length; at += direction) {
      const label = storages.label[blocks.storage[block[at]!]!]!;
      if (label !== 0 && labels.has(label)) return this.BlockItem(block[at]!);
    }
    return null;
  }

  // The largest blocks in view.
  rows(viewport: Viewport, _state: State, limit: number): Table {
    const { trace, blocks, storages } = this.derived;
    const seen: number[] = [];
    this.ForEachIn(viewport.begin, viewport.end, block => {
      if (this.Keeps(block)) seen.push(block);
    });
    const largest = Uint32Array.from(seen).sort((a, b) => blocks.bytes[b]! - blocks.bytes[a]! || a - b).subarray(0, limit);
    const rows = Array.from(largest, block => [
      BlockName(trace, blocks, storages, block), trace.meta.vocabulary.tags[blocks.tag[block]!] ?? '', blocks.bytes[block]!,
      blocks.offset[block]!, blocks.begin[block]!, blocks.end[block] === Infinity ? NaN : blocks.end[block]!,
    ]);
    return {
      caption: `Blocks of ${this.tier}, largest first`,
      columns: [
        { title: 'Storage', unit: '', numeric: false },
        { title: 'Tag', unit: '', numeric: false },
        { title: 'Size', unit: 'bytes', numeric: true },
        { title: 'Address', unit: 'bytes', numeric: true },
        { title: 'Handed out', unit: sinceStart, numeric: true },
        { title: 'Freed', unit: sinceStart, numeric: true },
      ],
      rows, total: seen.length, items: Array.from(largest, block => this.BlockItem(block)),
    };
  }
}
