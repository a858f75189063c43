// Lineage panel: of the selected storage, what it was made from and what was made from it, where its bytes were and when they
// were copied, and each copy that was avoided with the key that justified it. Without a selection: what was avoided, by key.

import type { Derived } from '../derive/derived.ts';
import type { LabelPatterns } from '../derive/label_patterns.ts';
import { DeriveAvoided, IsAvoided, KeyOf, LineageOf, residencyNames, type Avoided, type Edge, type Key,
  type Lineage } from '../derive/lineage.ts';
import { StorageId, StorageName } from '../derive/storages.ts';
import { DrawMessage, DrawText } from '../draw/chart.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatInstant } from '../draw/format.ts';
import { Series } from '../draw/palette.ts';
import { fonts, type Surface } from '../draw/surface.ts';
import { Make } from '../shell/dom.ts';
import { Direction, directionNames, Event } from '../vocabulary.ts';
import { AddChoice } from './controls.ts';
import { KeepsAvoided } from './filtering.ts';
import { DrawEdges, DrawLife } from './lineage_drawing.ts';
import { IsMarked, noFilter, sinceStart, Stepped, type Filter, type Item, type State, type Table, type View, type ViewFactory,
  type Viewport } from './view.ts';

const rowHeight = 20;
const top = 34;

export const LineageView: ViewFactory = ({ derived }) =>
  (derived.trace.columns.event.includes(Event.Decision) ? new LineagePanel(derived) : null);

// One line of a storage's story.
interface Fact {
  record: number;
  what: string;
  bytes: number; // NaN: none
  detail: string;
}

class LineagePanel implements View {
  readonly id = 'lineage';
  readonly title = 'Lineage';
  readonly about = 'The selected storage: what it is made from, its copies, and why copies were avoided.';
  readonly placement = 'panel';
  readonly filtered = ['tag', 'size', 'tier'] as const;
  readonly height = 260;
  readonly legend = [
    { name: 'identity', color: Series.Hidden, group: 'Not copied, by' },
    { name: 'lineage', color: Series.Within, group: 'Not copied, by' },
    { name: 'recompute', color: Series.Backward, group: 'Not copied, by' },
    { name: 'frees nothing', color: Series.Other, group: 'Not copied, by' },
    { name: 'on the device', color: Series.Forward, group: 'Bytes' },
    { name: 'being copied', color: Series.Out, group: 'Bytes' },
    { name: 'on both', color: Series.Hidden, group: 'Bytes' },
    { name: 'on the host only', color: Series.In, group: 'Bytes' },
    { name: 'nowhere: made again', color: Series.Muted, group: 'Bytes' },
    { name: 'copy failed', color: Series.Stall, group: 'Bytes' },
  ];
  private kept: { storage: number; lineage: Lineage; facts: Fact[] } | null = null;
  private avoided: { begin: number; end: number; groups: Avoided[] } | null = null;
  private boxes: { storage: number; x: number; y: number; width: number; height: number }[] = [];

  private isInFull = false;
  private shown: Filter = noFilter;

  constructor(private readonly derived: Derived) {}

  controls(parent: HTMLElement, redraw: () => void): void {
    AddChoice(parent, 'Names', ['numbers as *', 'in full'], 0, at => {
      this.isInFull = at === 1;
      this.avoided = null;
      redraw();
    });
    parent.append(Make('p', { class: 'empty' }, this.about));
  }

  private Of(storage: number): { lineage: Lineage; facts: Fact[] } {
    if (this.kept?.storage !== storage) {
      const lineage = LineageOf(this.derived.trace, this.derived.storageRecords, storage);
      this.kept = { storage, lineage, facts: this.FactsOf(lineage) };
    }
    return this.kept;
  }

  private Groups(begin: number, end: number): Avoided[] {
    if (this.avoided === null || this.avoided.begin !== begin || this.avoided.end !== end) {
      const { trace, storages } = this.derived;
      const { subject, value } = trace.columns;
      const Keeps = (record: number): boolean => KeepsAvoided(this.shown, storages.tag[subject[record]!]!, value[record]!);
      this.avoided = { begin, end, groups: DeriveAvoided(trace, this.patterns, begin, end, Keeps) };
    }
    return this.avoided.groups;
  }

  filter(filter: Filter): void {
    this.shown = filter;
    this.avoided = null;
  }

  private get patterns(): LabelPatterns {
    return this.isInFull ? this.derived.labelsInFull : this.derived.patterns;
  }

  private Name(storage: number): string {
    return StorageName(this.derived.trace, this.derived.storages, storage);
  }

  draw(surface: Surface, viewport: Viewport, state: State): void {
    this.boxes = [];
    if (state.storage === 0) this.DrawAvoided(surface, viewport);
    else this.DrawLineage(surface, state);
    this.DrawMarks(surface, state);
  }

  private DrawMarks({ context, palette }: Surface, state: State): void {
    context.strokeStyle = palette.selection;
    for (const { storage, x, y, width, height } of this.boxes) {
      if (storage !== 0 && IsMarked(state, this.id, storage)) context.strokeRect(x + 1.5, y - 1.5, width - 3, height + 3);
    }
  }

  private DrawLineage(surface: Surface, state: State): void {
    const { lineage } = this.Of(state.storage);
    const { trace, storages } = this.derived;
    const { palette, width, height } = surface;
    const bytes = storages.bytes[state.storage]!;
    const half = Math.max(40, Math.min(height - 96, height * 0.55));
    DrawText(surface, this.Name(state.storage), 10, 14, width * 0.6, palette.text, fonts.strong);
    const kind = this.derived.storageRecords.persistent[state.storage] === 1 ? 'stays on the device' : 'may leave the device';
    DrawText(surface, `${StorageId(trace, state.storage)}, ${FormatBytes(bytes)}, ${kind}`, width - 10, 14, width * 0.38, palette.faint,
      fonts.small, 'right');
    this.boxes = DrawEdges(surface, { left: 10, top: 28, width: width - 20, height: half - 28 }, lineage, {
      name: storage => this.Name(storage),
      way: edge => this.WayText(edge),
      packs: lineage.packs.map(record => trace.labels[trace.columns.label[record]!] ?? ''),
    });
    DrawLife(surface, { left: 10, top: half + 6, width: width - 20, height: height - half - 10 }, lineage, trace, IsAvoided);
  }

  private WayText(edge: Edge): string {
    const way = this.derived.trace.labels[edge.label] || 'made from';
    return edge.isCopy ? way : `${way}, one way`;
  }

  // Bars: bytes of avoided copies by label and key, in the time that is shown.
  private DrawAvoided(surface: Surface, viewport: Viewport): void {
    const { context, palette, width, height } = surface;
    const groups = this.Groups(viewport.begin, viewport.end);
    if (groups.length === 0) {
      DrawMessage(surface, 'No copy was avoided in the time that is shown. Select a storage to see its lineage.');
      return;
    }
    const all = groups.reduce((sum, group) => sum + group.bytes, 0);
    DrawText(surface, `${FormatBytes(all)} not copied in the time that is shown, by what they were saved for and why. Select a ` +
      'storage to see its lineage.', 10, 14, width - 20, palette.text, fonts.body);
    const nameWidth = Math.min(240, width * 0.3);
    const valueWidth = 240;
    const barWidth = width - nameWidth - valueWidth - 30;
    const shown = groups.slice(0, Math.max(1, Math.floor((height - top) / rowHeight)));
    const most = Math.max(1, ...shown.map(group => group.bytes));
    shown.forEach((group, i) => {
      const y = top + i * rowHeight;
      const { storage, key } = this.LargestOf(group);
      DrawText(surface, this.patterns.names[group.name] || this.Name(storage), 10, y + 8, nameWidth, palette.text);
      context.fillStyle = palette.series[this.KeySeries(key.name)]!;
      context.fillRect(nameWidth + 16, y + 1, Math.max(1, (group.bytes / most) * barWidth), rowHeight - 6);
      DrawText(surface, `${FormatBytes(group.bytes)}, ${FormatCount(group.count)} times: ${key.name}`,
        nameWidth + 22 + (group.bytes / most) * barWidth, y + 8, valueWidth, palette.faint);
      this.boxes.push({ storage, x: 0, y, width, height: rowHeight });
    });
  }

  private KeySeries(name: Key['name']): number {
    switch (name) {
      case 'identity': return Series.Hidden;
      case 'lineage': return Series.Within;
      case 'recompute': return Series.Backward;
      default: return Series.Other;
    }
  }

  private LargestOf(group: Avoided): { storage: number; key: Key } {
    const { trace, storageRecords } = this.derived;
    return { storage: trace.columns.subject[group.largest]!, key: KeyOf(trace, storageRecords, group.largest) };
  }

  // What justified the decision, in words.
  private KeyText(key: Key): string {
    const { time, event, detail, value } = this.derived.trace.columns;
    const at = key.record < 0 ? '' : FormatInstant(time[key.record]!);
    switch (key.name) {
      case 'identity':
        return key.record < 0 ? 'identity: the host has these bytes; the copy is before the trace'
          : `identity: the host has these bytes by the ${event[key.record] === Event.Decision ? 'move decided' : 'copy asked for'} at ${at}`;
      case 'lineage': {
        if (key.source === 0) return 'lineage: made again; the source is not in the trace';
        const steps = key.chain.map(edge => this.WayText(edge)).join(', then ');
        return `lineage: made again from ${this.Name(key.source)} by ${steps}`;
      }
      case 'frees nothing':
        return key.record < 0 ? 'frees nothing: it stays on the device' : `frees nothing: registered at ${at} to stay on the device`;
      case 'recompute': {
        if (key.record < 0) return 'recompute: the program makes it again';
        if ((detail[key.record]! & 1) === 1) return `recompute: the program always makes it again, as it said at ${at}`;
        const cost = value[key.record]! > 0 ? `in ${FormatDuration(value[key.record]!)}` : 'in a time not known';
        return `recompute: the program makes it again ${cost}, as it said at ${at}`;
      }
      default:
        return 'the trace does not say why';
    }
  }

  private FactsOf(lineage: Lineage): Fact[] {
    const { trace, storageRecords } = this.derived;
    const { value, detail, label } = trace.columns;
    const facts: Fact[] = [];
    const Add = (record: number, what: string, bytes: number, text: string): void => {
      if (record >= 0) facts.push({ record, what, bytes, detail: text });
    };
    const Label = (record: number): string => trace.labels[label[record]!] ?? '';
    Add(lineage.registered, 'registered', lineage.registered < 0 ? NaN : value[lineage.registered]!,
      storageRecords.adopted[lineage.storage] === 1 ? 'memory of the program' : 'memory of the pool');
    Add(lineage.retired, 'retired', NaN, 'its owner is done with it');
    for (const edge of lineage.sources) Add(edge.record, 'made from', NaN, `${this.Name(edge.source)} by ${this.WayText(edge)}`);
    for (const edge of lineage.derived) Add(edge.record, 'source of', NaN, `${this.Name(edge.derived)} by ${this.WayText(edge)}`);
    for (const record of lineage.packs) Add(record, 'saved', value[record]!, `for ${Label(record)}`);
    for (const record of lineage.unpacks) Add(record, 'used', value[record]!, '');
    for (const record of lineage.drops) Add(record, 'dropped', NaN, '');
    for (const record of lineage.writes) Add(record, 'written', NaN, `version ${value[record]}`);
    for (const record of lineage.replays) {
      Add(record, 'made again', value[record]!, detail[record] === 1 ? 'by the program' : 'from its source');
    }
    for (const record of lineage.path) {
      const [from, to] = [detail[record]! >> 8, detail[record]! & 255];
      Add(record, 'bytes moved', value[record]!, `${residencyNames[from] ?? from} to ${residencyNames[to] ?? to}`);
    }
    for (const record of lineage.moves) Add(record, ...this.MoveText(record));
    for (const copy of lineage.copies) {
      const took = copy.failed ? `failed ${FormatDuration(trace.columns.time[copy.ended]! - trace.columns.time[copy.record]!)} after it was asked for: none of its bytes arrived`
        : copy.begun < 0 || copy.ended < 0 ? 'its end is not in the trace'
        : `on the wire for ${FormatDuration(trace.columns.time[copy.ended]! - trace.columns.time[copy.begun]!)}`;
      const what = copy.direction === Direction.Out ? 'copied out' : copy.direction === Direction.In ? 'copied in' : 'copied';
      Add(copy.record, copy.failed ? `not ${what}` : what, copy.bytes, `${directionNames[copy.direction] ?? ''}, ${took}`);
    }
    for (const record of lineage.decisions) {
      const action = detail[record]! >> 8;
      const { actions, reasons } = trace.meta.vocabulary;
      const what = `decided: ${actions[action] ?? action}`;
      const why = IsAvoided(action) ? this.KeyText(KeyOf(trace, storageRecords, record)) : (reasons[detail[record]! & 255] ?? '');
      Add(record, what, value[record]!, why);
    }
    return facts.sort((a, b) => a.record - b.record);
  }

  // What a record of a move says: what happened, bytes, more.
  private MoveText(record: number): [string, number, string] {
    const { event, value, detail } = this.derived.trace.columns;
    const bytes = value[record]!;
    switch (event[record]) {
      case Event.Freed: return ['freed', bytes, detail[record] === 1 ? 'it is made again' : 'the host has the bytes'];
      case Event.FreedNothing: return ['freed nothing', bytes, 'it was moved all the same'];
      case Event.Reload:
        return ['brought back', bytes, ['when it was asked for', 'before it was asked for', 'when it was asked for: too late to be ahead'][detail[record]!] ?? ''];
      case Event.ReloadInVain: return ['brought back in vain', bytes, 'nobody used it'];
      default: return ['decided again', bytes, ''];
    }
  }

  private StorageItem(storage: number): Item {
    const { trace, storages } = this.derived;
    const begin = Number.isNaN(storages.registered[storage]!) ? 0 : storages.registered[storage]!;
    const end = Number.isNaN(storages.retired[storage]!) ? trace.duration : storages.retired[storage]!;
    const lineage = LineageOf(trace, this.derived.storageRecords, storage);
    const avoided = lineage.decisions.filter(record => IsAvoided(trace.columns.detail[record]! >> 8));
    const failed = lineage.copies.filter(copy => copy.failed).length;
    return {
      view: this.id, key: storage, begin, end, storage, title: this.Name(storage),
      details: [
        ['Bytes', FormatBytes(storages.bytes[storage]!)],
        ['Saved', `${lineage.packs.length} times`],
        ['Copied', `${lineage.copies.length - failed} times${failed === 0 ? '' : `, ${failed} failed`}`],
        ['Copies avoided', avoided.length === 0 ? 'none'
          : avoided.map(record => this.KeyText(KeyOf(trace, this.derived.storageRecords, record))).slice(0, 3).join('; ')],
      ],
    };
  }

  hit(x: number, y: number): Item | null {
    const box = this.boxes.find(one => x >= one.x && x < one.x + one.width && y >= one.y && y < one.y + one.height);
    return box === undefined || box.storage === 0 ? null : this.StorageItem(box.storage);
  }

  find(key: number): Item | null {
    return Number.isInteger(key) && key > 0 && key < this.derived.trace.meta.storages ? this.StorageItem(key) : null;
  }

  neighbour(item: Item | null, direction: -1 | 1): Item | null {
    const storages = [...new Set(this.boxes.map(box => box.storage))].filter(storage => storage !== 0);
    const next = Stepped(storages, item === null ? -1 : storages.indexOf(item.storage), direction);
    return next === null ? null : this.StorageItem(next);
  }

  rows(viewport: Viewport, state: State, limit: number): Table {
    return state.storage === 0 ? this.AvoidedRows(viewport, limit) : this.FactRows(state.storage, limit);
  }

  private AvoidedRows(viewport: Viewport, limit: number): Table {
    const groups = this.Groups(viewport.begin, viewport.end);
    const shown = groups.slice(0, limit).map(group => ({ group, ...this.LargestOf(group) }));
    return {
      caption: 'Copies avoided',
      columns: [
        { title: 'Saved as', unit: '', numeric: false },
        { title: 'Not copied', unit: 'bytes', numeric: true },
        { title: 'Times', unit: '', numeric: true },
        { title: 'The largest, by', unit: '', numeric: false },
      ],
      rows: shown.map(({ group, storage, key }) =>
        [this.patterns.names[group.name] || this.Name(storage), group.bytes, group.count, this.KeyText(key)]),
      total: groups.length,
      items: shown.map(({ storage }) => (storage === 0 ? null : this.StorageItem(storage))),
    };
  }

  private FactRows(storage: number, limit: number): Table {
    const { facts } = this.Of(storage);
    return {
      caption: `What happened to ${this.Name(storage)}`,
      columns: [
        { title: 'What', unit: '', numeric: false },
        { title: 'Time', unit: sinceStart, numeric: true },
        { title: 'Bytes', unit: 'bytes', numeric: true },
        { title: 'More', unit: '', numeric: false },
      ],
      rows: facts.slice(0, limit).map(fact =>
        [fact.what, this.derived.trace.columns.time[fact.record]!, Number.isNaN(fact.bytes) ? '' : fact.bytes, fact.detail]),
      total: facts.length,
    };
  }
}
