// Peak explainer: what a tier holds at its peak, or at the cursor, as a treemap by tag, label and block, whose sum is the tier's
// counter; and the cheapest set of saved values to have away then.

import { hierarchy, treemap, treemapSquarify, type HierarchyRectangularNode } from 'd3-hierarchy';
import type { Derived } from '../derive/derived.ts';
import type { Occupancy } from '../derive/occupancy.ts';
import { CheapestSet, OffloadCandidates, PeakWithout, type Candidate, type Lowered, type OffloadSet } from '../derive/offload_set.ts';
import { BlockName, SharesAfter, type Share } from '../derive/peak.ts';
import { DrawMessage, DrawText, FitEnd } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatInstant, FormatPercent } from '../draw/format.ts';
import { Series, TagSeries } from '../draw/palette.ts';
import { fonts, Hatch, type Surface } from '../draw/surface.ts';
import { Tier } from '../vocabulary.ts';
import { AddChoice, AddNumber } from './controls.ts';
import { KeepsBlock } from './filtering.ts';
import { InkOn } from './span_view.ts';
import { IsMarked, Stepped, type Filter, type Item, type LegendEntry, type State, type Table, type View, type ViewFactory,
  type Viewport } from './view.ts';

const headHeight = 40; // of the two lines above the treemap

export const PeakView: ViewFactory = ({ derived }) =>
  (derived.occupancies.some(occupancy => occupancy.peak >= 0) ? new PeakPanel(derived) : null);

interface Explained {
  key: string;
  position: number; // in the occupancy
  root: Share;
  candidates: Candidate[];
  set: OffloadSet;
  lowered: Lowered;
  isChosen: Set<number>; // blocks
}

type Node = HierarchyRectangularNode<Share>;

const groupHead = 15; // pixels

// Whether a label with several blocks is large enough for a line with its name above them.
function HasHead(node: Node): boolean {
  return node.depth === 2 && node.data.children.length > 1 && node.x1 - node.x0 > 90 && node.y1 - node.y0 > 3 * groupHead;
}

class PeakPanel implements View {
  readonly id = 'peak';
  readonly title = 'Peak';
  readonly about = 'What a tier holds at its peak or at the cursor, and what it would take to hold less.';
  readonly placement = 'panel';
  readonly filtered = ['tag', 'size', 'tier'] as const;
  readonly height = 260;
  readonly legend: LegendEntry[];
  private occupancy: Occupancy;
  private isAtCursor = false;
  private percent = 10; // of what is held, to have away
  private showsSet = true; // in the table
  private explained: Explained | null = null;
  private drawn: { key: string; leaves: Node[] } | null = null;

  constructor(private readonly derived: Derived) {
    this.occupancy = derived.occupancies.find(occupancy => occupancy.peak >= 0)!;
    const tags = new Set(derived.occupancies.flatMap(occupancy => occupancy.UsedTags()));
    this.legend = [
      ...[...tags].sort((a, b) => a - b).map(tag => ({ name: derived.trace.meta.vocabulary.tags[tag] ?? '', color: TagSeries(tag) })),
      { name: 'hatched: in the cheapest set', color: Series.Muted, hatched: true },
    ];
  }

  controls(parent: HTMLElement, redraw: () => void): void {
    const { occupancies, trace } = this.derived;
    AddChoice(parent, 'Tier', occupancies.map(one => trace.meta.vocabulary.tiers[one.tier] ?? ''),
      occupancies.indexOf(this.occupancy), at => {
        this.occupancy = occupancies[at]!;
        redraw();
      });
    AddChoice(parent, 'At', ['its peak', 'the cursor'], 0, at => {
      this.isAtCursor = at === 1;
      redraw();
    });
    AddNumber(parent, 'To hold', '% less', this.percent, 0, 100, value => {
      this.percent = value;
      redraw();
    });
    AddChoice(parent, 'Table', ['cheapest set to offload', 'what is held'], 0, at => {
      this.showsSet = at === 0;
      redraw();
    });
  }

  private Explain(state: State): Explained | null {
    const { derived, occupancy } = this;
    const position = this.isAtCursor ? occupancy.At(state.cursor) : occupancy.peak;
    if (position < 0) return null;
    const key = `${occupancy.tier} ${position} ${this.percent}`;
    if (this.explained?.key === key) return this.explained;
    const { trace, blocks, storages, storageRecords, patterns } = derived;
    const record = occupancy.record[position]!;
    const root = SharesAfter(trace, blocks, storages, patterns, occupancy.tier, record);
    const candidates = occupancy.tier !== Tier.Device ? []
      : OffloadCandidates(trace, blocks, storageRecords, occupancy.tier, record);
    const set = CheapestSet(candidates, Math.ceil((root.bytes * this.percent) / 100));
    const lowered = PeakWithout(trace, occupancy, blocks, storageRecords, set.chosen, record);
    this.explained = {
      key, position, root, candidates, set, lowered, isChosen: new Set(set.chosen.map(candidate => candidate.block)),
    };
    return this.explained;
  }

  // Two lines for people: what is held, and what it would take to hold less.
  private Lines(explained: Explained): [string, string] {
    const { occupancy, derived } = this;
    const { root, set, lowered, position, candidates } = explained;
    const tier = derived.trace.meta.vocabulary.tiers[occupancy.tier] ?? '';
    const total = occupancy.total[position]!;
    const parts = root.children.map(share => `${share.name} ${FormatPercent(share.bytes, root.bytes)}`).join(', ');
    const missing = total === root.bytes ? '' : `; ${FormatBytes(Math.abs(total - root.bytes))} of it in blocks that the trace lacks`;
    const held = `${tier} holds ${FormatBytes(total)} at ${FormatInstant(occupancy.time[position]!)}: ${parts}${missing}`;
    if (occupancy.tier !== Tier.Device) return [held, 'Bytes here have left the device already: nothing to offload'];
    if (candidates.length === 0) return [held, 'Nothing of it is saved and could be away: it is in use, or stays on the device'];
    const values = `${FormatCount(set.chosen.length)} saved ${set.chosen.length === 1 ? 'value' : 'values'}`;
    if (!set.enough) {
      return [held, `${FormatPercent(set.freed, total)} less is all that could be away: ${values}, ${FormatBytes(set.moved)} moved`];
    }
    const exact = set.exact ? 'no set moves less' : `no set moves less than ${FormatBytes(set.bound)}`;
    return [held, `${FormatBytes(set.freed)} less: ${values} away, ${FormatBytes(set.moved)} moved (${exact}); the peak would then be ` +
      `${FormatBytes(lowered.bytes)} at ${FormatInstant(lowered.time)}`];
  }

  draw(surface: Surface, _viewport: Viewport, state: State): void {
    const { width, height, palette } = surface;
    const explained = this.Explain(state);
    if (explained === null || explained.root.bytes === 0) {
      this.drawn = null;
      DrawMessage(surface, 'Nothing is held at the cursor: move it, or choose the peak.');
      return;
    }
    const [held, less] = this.Lines(explained);
    DrawText(surface, held, 10, 12, width - 20, palette.text, fonts.body);
    DrawText(surface, less, 10, 29, width - 20, palette.faint);
    const key = `${explained.key} ${width} ${height}`;
    if (this.drawn?.key !== key) this.drawn = { key, leaves: this.LayOut(explained.root, width, height) };
    for (const leaf of this.drawn.leaves) this.DrawLeaf(surface, leaf, explained, state);
    this.DrawHeads(surface);
  }

  private LayOut(root: Share, width: number, height: number): Node[] {
    const tree = hierarchy(root, share => (share.children.length > 0 ? share.children : undefined));
    tree.sum(share => (share.block >= 0 ? share.bytes : 0));
    const laid = treemap<Share>().tile(treemapSquarify).size([width - 20, Math.max(10, height - headHeight - 6)])
      .paddingInner(node => (node.depth === 0 ? 3 : 1)).paddingTop(node => (HasHead(node as Node) ? groupHead : 0)).round(false)(tree);
    return laid.leaves();
  }

  private DrawLeaf(surface: Surface, leaf: Node, explained: Explained, state: State): void {
    const { context, palette } = surface;
    const [x, y] = [leaf.x0 + 10, leaf.y0 + headHeight];
    const [w, h] = [leaf.x1 - leaf.x0, leaf.y1 - leaf.y0];
    const share = leaf.data;
    const isShown = KeepsBlock(state.filter, this.derived.blocks, share.block);
    const color = palette.series[isShown ? TagSeries(share.tag) : Series.Muted]!;
    context.fillStyle = color;
    context.fillRect(x, y, Math.max(w, 0.5), Math.max(h, 0.5));
    if (explained.isChosen.has(share.block) && w > 3 && h > 3) Hatch(surface, x, y, w, h);
    // Under a line with the label's pattern only the numbers that it stands for are news.
    const isUnderHead = leaf.parent !== null && HasHead(leaf.parent);
    const name = isUnderHead ? (share.name.match(/\d+/g) ?? []).join(', ') : FitEnd(surface, share.name, w - 8);
    const size = FormatBytes(share.bytes);
    const lines = name === '' ? [size] : [name, size];
    lines.forEach((line, i) => {
      const isFitting = w > context.measureText(line).width + 8 || (i === 0 && w > 46);
      if (isFitting && h > 14 + 13 * i) DrawText(surface, line, x + 5, y + 9 + 13 * i, w - 8, InkOn(color));
    });
    const isOfStorage = state.storage !== 0 && this.derived.blocks.storage[share.block] === state.storage;
    if (isOfStorage || IsMarked(state, this.id, share.block)) {
      context.strokeStyle = palette.selection;
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, Math.max(1, w - 2), Math.max(1, h - 2));
      context.lineWidth = 1;
    }
  }

  // The names of labels with several blocks.
  private DrawHeads(surface: Surface): void {
    const { palette } = surface;
    const groups = new Set(this.drawn!.leaves.map(leaf => leaf.ancestors().find(node => node.depth === 2)!));
    for (const group of groups) {
      if (!HasHead(group)) continue;
      const width = group.x1 - group.x0;
      const text = `${group.data.name}, ${FormatCount(group.data.children.length)} blocks, ${FormatBytes(group.data.bytes)}`;
      DrawText(surface, text, group.x0 + 12, group.y0 + headHeight + groupHead / 2, width - 6, palette.text);
    }
  }

  private BlockItem(block: number): Item {
    const { trace, blocks, storages } = this.derived;
    const name = BlockName(trace, blocks, storages, block);
    const end = Math.min(blocks.end[block]!, trace.duration);
    const details: [string, string][] = [
      ['Bytes', FormatBytes(blocks.bytes[block]!)],
      ['Tag', trace.meta.vocabulary.tags[blocks.tag[block]!] ?? ''],
      ['Handed out for', FormatDuration(end - blocks.begin[block]!)],
    ];
    const candidate = this.explained?.candidates.find(one => one.block === block);
    details.push(['To have it away', candidate === undefined ? 'not possible at that instant: it is not saved, or stays there'
      : `${candidate.way}: ${FormatBytes(candidate.moved)} moved`]);
    return {
      view: this.id, key: block, begin: blocks.begin[block]!, end, title: `Held for ${name}`, details,
      storage: blocks.storage[block]!,
    };
  }

  hit(x: number, y: number): Item | null {
    const leaf = this.drawn?.leaves.find(one =>
      x >= one.x0 + 10 && x < one.x1 + 10 && y >= one.y0 + headHeight && y < one.y1 + headHeight);
    return leaf === undefined ? null : this.BlockItem(leaf.data.block);
  }

  find(key: number): Item | null {
    return Number.isInteger(key) && key >= 0 && key < this.derived.blocks.count ? this.BlockItem(key) : null;
  }

  // From the largest block to the smallest.
  neighbour(item: Item | null, direction: -1 | 1): Item | null {
    const leaves = this.drawn?.leaves ?? [];
    const order = leaves.map(leaf => leaf.data).sort((a, b) => b.bytes - a.bytes || a.block - b.block);
    const next = Stepped(order, order.findIndex(share => share.block === item?.key), direction);
    return next === null ? null : this.BlockItem(next.block);
  }

  rows(_viewport: Viewport, state: State, limit: number): Table {
    const explained = this.Explain(state);
    if (explained === null) return { caption: 'What is held', columns: [], rows: [], total: 0 };
    return this.showsSet ? this.SetRows(explained, state.filter, limit) : this.HeldRows(explained, state.filter, limit);
  }

  private SetRows({ set }: Explained, filter: Filter, limit: number): Table {
    const { trace, blocks, storages } = this.derived;
    let freed = 0; // by all of the set, whatever is filtered out of the table
    const kept = set.chosen.map(one => ({ one, freed: (freed += one.freed) }))
      .filter(({ one }) => KeepsBlock(filter, blocks, one.block));
    const shown = kept.slice(0, limit);
    return {
      caption: `The cheapest set to hold ${this.percent} % less, ${set.exact ? 'exact' : 'greedy'}`,
      columns: [
        { title: 'Saved value', unit: '', numeric: false },
        { title: 'Frees', unit: 'bytes', numeric: true },
        { title: 'Moves', unit: 'bytes', numeric: true },
        { title: 'Frees so far', unit: 'bytes', numeric: true },
        { title: 'How', unit: '', numeric: false },
      ],
      rows: shown.map(({ one, freed: soFar }) =>
        [BlockName(trace, blocks, storages, one.block), one.freed, one.moved, soFar, one.way]),
      total: kept.length,
      items: shown.map(({ one }) => this.BlockItem(one.block)),
    };
  }

  private HeldRows({ root }: Explained, filter: Filter, limit: number): Table {
    const labels = root.children.flatMap(tag => tag.children.map(share => {
      const held = share.children.filter(leaf => KeepsBlock(filter, this.derived.blocks, leaf.block));
      return { tag, share, held, bytes: held.reduce((sum, leaf) => sum + leaf.bytes, 0) };
    })).filter(({ held }) => held.length > 0);
    labels.sort((a, b) => b.bytes - a.bytes);
    const shown = labels.slice(0, limit);
    return {
      caption: `${FormatBytes(root.bytes)} held, by label`,
      columns: [
        { title: 'Label', unit: '', numeric: false },
        { title: 'Tag', unit: '', numeric: false },
        { title: 'Blocks', unit: '', numeric: true },
        { title: 'Size', unit: 'bytes', numeric: true },
        { title: 'Share', unit: '%', numeric: true },
      ],
      rows: shown.map(({ tag, share, held, bytes }) => [share.name, tag.name, held.length, bytes, (100 * bytes) / root.bytes]),
      total: labels.length,
      items: shown.map(({ held }) => this.BlockItem(held[0]!.block)),
    };
  }
}
