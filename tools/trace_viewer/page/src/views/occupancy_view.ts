// Occupancy of each tier over time, as areas by tag on top of each other: they add up to what the tier holds. A pixel shows the
// instant of it at which the tier held the most.

import { ForEachStack, tagCount, type Occupancy } from '../derive/occupancy.ts';
import { ByteTicks } from '../draw/axis.ts';
import { DrawDashed, DrawText, DrawTextOver } from '../draw/chart.ts';
import { FormatBytes, FormatDuration } from '../draw/format.ts';
import { Rgba, Series, TagSeries } from '../draw/palette.ts';
import { ClearRaster, type Raster } from '../draw/raster.ts';
import type { Surface } from '../draw/surface.ts';
import { Tiles } from '../draw/tiles.ts';
import type { Trace } from '../model.ts';
import { KeepsTag, KeepsTier } from './filtering.ts';
import { sinceStart, TimeToX, XToTime, type Column, type Filter, type Item, type LegendEntry, type State, type Table, type View,
  type ViewFactory, type Viewport } from './view.ts';

const inset = 14; // pixels above the highest value, for the peak's text

export const OccupancyViews: ViewFactory = ({ trace, derived }) =>
  derived.occupancies.map(occupancy => new OccupancyView(trace, occupancy));

class OccupancyView implements View {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly placement = 'timeline';
  readonly filtered = ['tag', 'tier'] as const;
  readonly height = 104;
  readonly legend: LegendEntry[];
  private readonly tier: string;
  private readonly capacity: number; // 0: not known
  private readonly top: number; // bytes at the upper end of the scale
  private readonly tags: number[]; // that ever held something
  private shownTags: ReadonlySet<number> = new Set();
  private raster: Raster | null = null; // for one picture after the other
  private readonly tiles = new Tiles((surface, viewport) => this.DrawAreas(surface, viewport));

  constructor(private readonly trace: Trace, private readonly occupancy: Occupancy) {
    const { vocabulary, summary } = trace.meta;
    this.tier = vocabulary.tiers[occupancy.tier] ?? `tier ${occupancy.tier}`;
    this.id = `occupancy-${this.tier}`;
    this.title = `Held: ${this.tier}`;
    this.about = `Bytes that the ${this.tier} tier holds, by tag; the areas add up to its total.`;
    this.capacity = summary.tiers?.find(tier => tier.tier === this.tier)?.capacity ?? 0;
    const peak = Math.max(1, occupancy.peakBytes);
    this.top = this.capacity > 0 && this.capacity < 1.4 * peak ? Math.max(peak, this.capacity) : 1.02 * peak;
    this.tags = occupancy.UsedTags();
    this.legend = this.tags.map(tag => ({ name: vocabulary.tags[tag] ?? `tag ${tag}`, color: TagSeries(tag), group: 'Bytes' }));
  }

  note(state: State): string {
    const { occupancy } = this;
    if (!occupancy.consistent) return 'records are missing: too low';
    if (state.hover === null) return `peak ${FormatBytes(occupancy.peakBytes)}`;
    const at = occupancy.At(state.hover.begin);
    return `peak ${FormatBytes(occupancy.peakBytes)}, here ${FormatBytes(at < 0 ? 0 : occupancy.total[at]!)}`;
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    this.shownTags = new Set(this.Kept(state.filter));
    this.tiles.Draw(surface, viewport, [...this.shownTags].join(' '));
    this.DrawScale(surface);
    this.DrawCapacity(surface, viewport);
    this.DrawPeak(surface, viewport);
  }

  // The tags that are told apart: none where the tier is filtered out.
  private Kept(filter: Filter): number[] {
    return KeepsTier(filter, this.occupancy.tier) ? this.tags.filter(tag => KeepsTag(filter, tag)) : [];
  }

  // The y of the upper end of so many bytes.
  private Y(bytes: number, height: number): number {
    return height - (bytes / this.top) * (height - inset);
  }

  private DrawAreas(surface: Surface, viewport: Viewport): void {
    const { context, palette, ratio } = surface;
    const raster = this.raster = ClearRaster(this.raster, surface.width * ratio, surface.height * ratio);
    const colors = this.tags.map(tag => Rgba(palette.series[this.shownTags.has(tag) ? TagSeries(tag) : Series.Muted]!));
    // Nobody knows what is held after the last record.
    const known = Math.ceil(TimeToX({ ...viewport, width: raster.width }, this.trace.duration));
    ForEachStack(this.occupancy, viewport.begin, viewport.end, raster.width, (first, end, bytes) => {
      const last = Math.min(end, known);
      if (last <= first) return;
      let sum = 0;
      let bottom = raster.height;
      this.tags.forEach((tag, i) => {
        sum += bytes[tag]!;
        const top = Math.round(this.Y(sum, surface.height) * ratio); // rounded sums: neighbouring areas without a seam
        if (top < bottom) raster.Fill(first, top, last, bottom, colors[i]!);
        bottom = top;
      });
    });
    raster.Put(context, 0, 0);
  }

  // Over the areas, faint: where values are read off.
  private DrawScale(surface: Surface): void {
    const { context, palette, width, height } = surface;
    for (const tick of ByteTicks(0, this.top, Math.max(1, Math.floor(height / 30)))) {
      if (tick === 0) continue;
      const y = Math.round(this.Y(tick, height));
      context.globalAlpha = 0.35;
      context.fillStyle = palette.background;
      context.fillRect(0, y, width, 1);
      context.globalAlpha = 1;
      context.fillStyle = palette.text;
      context.fillRect(width - 5, y, 5, 1);
      DrawTextOver(surface, FormatBytes(tick), width - 8, y, 'right');
    }
  }

  private DrawCapacity(surface: Surface, viewport: Viewport): void {
    if (this.capacity === 0) return;
    const { context, palette, width, height } = surface;
    const y = this.Y(this.capacity, height);
    if (this.capacity <= this.top) DrawDashed(surface, 0, width, y, palette.text);
    const text = `capacity ${FormatBytes(this.capacity)}${this.capacity <= this.top ? '' : ', above this scale'}`;
    // At the left, or where the peak's text is there, at the right.
    const peak = this.occupancy.peak < 0 ? -1 : TimeToX(viewport, this.occupancy.time[this.occupancy.peak]!);
    const isLeft = peak < 0 || peak > context.measureText(text).width + 20;
    DrawText(surface, text, isLeft ? 6 : width - 70, Math.max(7, y - 7), width - 80, palette.faint, undefined, isLeft ? 'left' : 'right');
  }

  private DrawPeak(surface: Surface, viewport: Viewport): void {
    const { occupancy } = this;
    if (occupancy.peak < 0) return;
    const x = TimeToX(viewport, occupancy.time[occupancy.peak]!);
    if (x < 0 || x > viewport.width) return;
    const { context, palette, height } = surface;
    const y = this.Y(occupancy.peakBytes, height);
    context.fillStyle = palette.text;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 5, y - 8);
    context.lineTo(x + 5, y - 8);
    context.fill();
    const isLeft = x < viewport.width / 2;
    const text = `peak ${FormatBytes(occupancy.peakBytes)}`;
    DrawTextOver(surface, text, isLeft ? x + 9 : x - 9, y - 7, isLeft ? 'left' : 'right');
  }

  private ItemAt(position: number): Item {
    const { occupancy, trace } = this;
    const bytes = new Float64Array(tagCount);
    occupancy.ByTag(position, bytes);
    const total = occupancy.total[position]!;
    const details: [string, string][] = [['In all', FormatBytes(total)]];
    for (const tag of this.tags) {
      if (bytes[tag] !== 0) details.push([trace.meta.vocabulary.tags[tag] ?? `tag ${tag}`, FormatBytes(bytes[tag]!)]);
    }
    if (this.capacity > 0) details.push(['Of the capacity', `${((100 * total) / this.capacity).toFixed(1)} %`]);
    const begin = occupancy.time[position]!;
    const end = position + 1 < occupancy.count ? occupancy.time[position + 1]! : trace.duration;
    details.push(['For', FormatDuration(end - begin)]);
    return {
      view: this.id, key: position, begin, end, storage: 0, details,
      title: `${this.tier} holds ${FormatBytes(total)}${position === occupancy.peak ? ', its peak' : ''}`,
    };
  }

  hit(x: number, _y: number, viewport: Viewport): Item | null {
    const from = XToTime(viewport, Math.floor(x));
    const position = this.occupancy.pyramid.Most(from, XToTime(viewport, Math.floor(x) + 1));
    return position < 0 ? null : this.ItemAt(position);
  }

  find(key: number): Item | null {
    return key >= 0 && key < this.occupancy.count && Number.isInteger(key) ? this.ItemAt(key) : null;
  }

  neighbour(item: Item | null, direction: -1 | 1, viewport: Viewport): Item | null {
    if (item === null) return this.find(Math.max(0, this.occupancy.At(viewport.begin)));
    return this.find(item.key + direction);
  }

  // What is drawn: of each of `limit` equal parts of the time in view, the instant with the most bytes.
  rows(viewport: Viewport, state: State, limit: number): Table {
    const { occupancy, trace } = this;
    const tags = this.Kept(state.filter);
    const columns: Column[] = [
      { title: 'Time', unit: sinceStart, numeric: true },
      { title: 'In all', unit: 'bytes', numeric: true },
      ...tags.map(tag => ({ title: trace.meta.vocabulary.tags[tag] ?? `tag ${tag}`, unit: 'bytes', numeric: true })),
    ];
    const positions: number[] = [];
    const first = Math.max(0, occupancy.At(viewport.begin));
    const last = occupancy.At(viewport.end);
    const inView = KeepsTier(state.filter, occupancy.tier) ? Math.max(0, last - first + 1) : 0;
    if (inView <= limit) {
      for (let position = first; position < first + inView; ++position) positions.push(position);
    } else {
      for (let part = 0; part < limit; ++part) {
        const length = (viewport.end - viewport.begin) / limit;
        const position = occupancy.pyramid.Most(viewport.begin + part * length, viewport.begin + (part + 1) * length);
        if (position >= 0 && position !== positions[positions.length - 1]) positions.push(position);
      }
    }
    const bytes = new Float64Array(tagCount);
    const rows = positions.map(position => {
      occupancy.ByTag(position, bytes);
      return [occupancy.time[position]!, occupancy.total[position]!, ...tags.map(tag => bytes[tag]!)];
    });
    return {
      caption: `Bytes that ${this.tier} holds, at the highest instants`,
      columns, rows, total: inView, items: positions.map(position => this.ItemAt(position)),
    };
  }
}
