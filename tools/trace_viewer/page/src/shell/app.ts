// App: the page around a trace. It owns the state (time range, selection, filter, theme), gives it to the views, and is the
// one place where keys, buttons and gestures meet.

import type { Derived } from '../derive/derived.ts';
import { StorageId, StorageName } from '../derive/storages.ts';
import { FormatCount, FormatDuration } from '../draw/format.ts';
import { panelFactories, timelineFactories } from '../views/index.ts';
import { noFilter, type Filter, type Item, type LegendEntry, type State, type View, type ViewContext, type ViewFactory } from '../views/view.ts';
import { Event } from '../vocabulary.ts';
import { ReadLink, WriteLink } from './deep_link.ts';
import { Dock } from './dock.ts';
import { Make } from './dom.ts';
import { Download, DownloadPicture, ExportDialog, PictureOf } from './export.ts';
import { FigureStrip, FigureTables } from './figures.ts';
import { FilterForm, FilterText } from './filter_form.ts';
import { HelpDialog } from './help.ts';
import { ListenToKeys, type Binding } from './keyboard.ts';
import { Legend, PaintLegends } from './legend.ts';
import { ProblemsText } from './problems.ts';
import { Search } from './search.ts';
import { Csv, DetailsTable, PhasesTable, ShowTable } from './tables.ts';
import { ThemeChoice } from './theme.ts';
import { Timeline } from './timeline.ts';
import { Tooltip } from './tooltip.ts';
import { TimeRange } from './viewport.ts';
import { DividerOf } from './divider.ts';

const rowsShown = 200;
const csvRows = 1_000_000;
const slowDelay = 200; // ms until tables and the address follow what is shown

export class App {
  private readonly range: TimeRange;
  private readonly views: View[];
  private readonly panels: View[];
  private readonly timeline: Timeline;
  private readonly dock: Dock;
  private readonly search: Search;
  private readonly filterForm: FilterForm;
  private readonly theme: ThemeChoice;
  private readonly tooltip = new Tooltip();
  private readonly status = Make('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  private readonly selectionPanel: HTMLElement;
  private readonly rowsPanel: HTMLElement;
  private readonly filterButton = Make('button', { type: 'button', onclick: () => this.filterForm.Open() }, 'Filter');
  private readonly themeButton = Make('button', { type: 'button', class: 'theme', onclick: () => this.theme.Next() });
  private readonly bindings: Binding[];
  private readonly chartBindings: Binding[]; // before those, while a panel's chart has the focus
  private readonly help: HTMLDialogElement;
  private readonly exports: HTMLDialogElement;
  private state: State = { item: null, hover: null, storage: 0, cursor: 0, filter: noFilter };
  private active: View | null = null; // whose rows are shown and which the keys move in
  private frame = 0;
  private slow: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly derived: Derived, other: Derived | null, private readonly root: HTMLElement) {
    const { trace } = derived;
    this.range = new TimeRange(trace.duration, trace.meta.gaps.some(gap => gap.end === null));
    const context: ViewContext = {
      trace, derived, other,
      select: item => this.Select(item, true),
      show: (begin, end) => {
        this.range.Show(begin, end);
        this.Changed();
      },
    };
    this.views = MakeViews(timelineFactories, context);
    this.panels = MakeViews(panelFactories, context);
    this.state.cursor = PeakTime(trace.meta.summary.tiers);
    this.dock = new Dock({
      changed: () => this.Changed(),
      selected: item => this.Select(item, true),
      hovered: (item, x, y) => this.tooltip.Show(item, x, y),
      redraw: () => this.Redraw(),
      busy: () => this.MarkBusy(),
    });
    this.selectionPanel = this.dock.AddTab('selection', 'Selection');
    this.rowsPanel = this.dock.AddTab('rows', 'In view');
    for (const panel of this.panels) this.dock.AddView(panel);
    this.dock.AddTab('figures', 'All figures').append(FigureTables(trace.meta.summary));
    this.dock.AddTab('problems', 'Gaps and problems').append(ProblemsText(trace.meta));
    this.timeline = new Timeline(this.range, this.range.Within(1), trace.meta.gaps, this.views, {
      changed: () => this.Changed(),
      hovered: (item, x, y) => this.Hover(item, x, y),
      clicked: (view, item, time, twice) => this.Clicked(view, item, time, twice),
      focused: view => this.Activate(view),
    }, () => this.Redraw());
    this.search = new Search(trace.labels, direction => this.Go(direction), () => this.Changed());
    this.filterForm = new FilterForm(trace.meta.vocabulary, filter => this.Filter(filter));
    this.exports = this.MakeExports();
    this.bindings = this.MakeBindings();
    this.chartBindings = this.MakeChartBindings();
    this.help = HelpDialog([...this.bindings, ...this.chartBindings], [...this.views, ...this.panels]);
    this.theme = new ThemeChoice(() => this.Themed());
    this.Build();
    this.Open();
  }

  private Build(): void {
    const { meta } = this.derived.trace;
    document.title = `${meta.name} - tierlib trace`;
    const where = Whereabouts(this.derived);
    // A sign needs a name; a word is one.
    const Button = (text: string, title: string, run: () => void) => Make('button',
      { type: 'button', title, onclick: run, ...(text.length === 1 ? { 'aria-label': title } : {}) }, text);
    const bar = Make('header', { class: 'bar' },
      Make('h1', { title: meta.name }, meta.name.split('/').pop() ?? meta.name),
      Make('p', { class: 'where', title: where }, where),
      this.search.element,
      this.filterButton,
      Make('div', { class: 'group' },
        Button('−', 'Zoom out (-)', () => this.Move(() => this.range.Zoom(1.6, 0.5))),
        Button('+', 'Zoom in (+)', () => this.Move(() => this.range.Zoom(1 / 1.6, 0.5))),
        Button('Fit', 'Show the whole trace (0)', () => this.Move(() => this.range.Fit()))),
      Button('Export', 'Export (e)', () => this.exports.showModal()),
      this.themeButton,
      Button('?', 'Help (?)', () => this.help.showModal()));
    const app = Make('main', { class: 'app' });
    const middle = Make('div', { class: 'middle' }, this.timeline.element, Legend(this.Entries()));
    app.append(bar, FigureStrip(meta.summary), middle, DividerOf(app), this.dock.element);
    this.root.replaceChildren(app, this.status, this.tooltip.element, this.filterForm.dialog, this.exports, this.help);
    PaintLegends(this.theme.palette);
    ListenToKeys(() => (this.dock.focused === null ? this.bindings : [...this.chartBindings, ...this.bindings]));
    addEventListener('hashchange', () => this.FollowLink());
  }

  // The legend of the timeline.
  private Entries(): LegendEntry[] {
    return this.views.flatMap(view => view.legend ?? []);
  }

  // The first picture: everything in view, all lanes drawn.
  private Open(): void {
    this.dock.Show(this.panels[0]?.id ?? 'figures');
    this.Activate(this.views[0] ?? null);
    this.ShowSelection();
    this.timeline.MeasureNow();
    this.FollowLink();
    this.timeline.Draw(this.state, this.theme.palette, true);
    this.Redraw(); // the panel too, once the timeline is there
  }

  private FollowLink(): void {
    const link = ReadLink(location.hash);
    if (link === null || location.hash === this.Address()) return;
    this.range.Show(link.begin, link.end);
    if (link.filter !== null) this.filterForm.Take(link.filter);
    if (link.search !== null) this.search.Take(link.search);
    if (link.tab !== null) this.dock.Show(link.tab);
    if (link.item !== null) {
      const { view, key } = link.item;
      const item = [...this.views, ...this.panels].find(candidate => candidate.id === view)?.find?.(key) ?? null;
      if (item !== null) this.Select(item, Number.isNaN(link.begin));
    }
    this.Changed();
  }

  private Address(): string {
    const { item, filter } = this.state;
    return WriteLink({
      begin: this.range.begin,
      end: this.range.end,
      item: item === null ? null : { view: item.view, key: item.key },
      filter,
      search: this.search.text,
      tab: this.dock.shown,
    });
  }

  // --- drawing ---

  private Redraw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.Draw();
    });
  }

  private Draw(): void {
    this.timeline.Draw(this.state, this.theme.palette, false);
    this.dock.Draw(this.range.Within(this.timeline.width), this.state, this.theme.palette);
    this.MarkBusy();
  }

  // Until pictures, tables and the address are those of what is shown.
  private MarkBusy(): void {
    if (this.slow !== null || this.frame !== 0 || this.dock.isBusy) this.root.setAttribute('aria-busy', 'true');
    else this.root.removeAttribute('aria-busy');
  }

  // The time range, the filter or the selection is another: draws soon, and lets the slower parts follow.
  private Changed(): void {
    this.Redraw();
    // Browsers let a page change its address a few times a second only; here it stands at once, for programs that drive the page.
    this.root.dataset['address'] = this.Address();
    if (this.slow !== null) clearTimeout(this.slow);
    this.slow = setTimeout(() => {
      this.slow = null;
      this.ShowRows();
      try {
        history.replaceState(null, '', this.Address());
      } catch {
        // Browsers that refuse this for files: the page works without an address for each view.
      }
      this.MarkBusy();
    }, slowDelay);
    this.MarkBusy();
  }

  private Themed(): void {
    const names = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };
    // Also called while this object is made.
    const theme = this.theme as ThemeChoice | undefined;
    this.themeButton.textContent = names[theme?.choice ?? 'auto'];
    this.themeButton.title = 'Light, dark, or as the system (t)';
    if (theme === undefined) return;
    PaintLegends(theme.palette);
    this.Redraw();
  }

  private Move(move: () => void): void {
    move();
    this.Changed();
  }

  // --- selection ---

  private Activate(view: View | null): void {
    if (this.active === view) return;
    this.active = view;
    this.timeline.MarkActive(view);
    this.Changed();
  }

  private Hover(item: Item | null, x: number, y: number): void {
    this.tooltip.Show(item, x, y);
    if (item?.key === this.state.hover?.key && item?.view === this.state.hover?.view) return;
    this.state = { ...this.state, hover: item };
    this.Redraw();
  }

  private Clicked(view: View, item: Item | null, time: number, twice: boolean): void {
    this.Activate(view);
    this.state = { ...this.state, cursor: Math.min(this.derived.trace.duration, Math.max(0, time)) };
    if (twice) this.ZoomTo(item);
    else this.Select(item, false);
  }

  private Select(item: Item | null, reveal: boolean): void {
    this.state = { ...this.state, item, storage: item?.storage ?? 0 };
    if (item !== null) {
      const view = this.views.find(candidate => candidate.id === item.view);
      if (view !== undefined) this.Activate(view);
      if (reveal) {
        this.range.Reveal(item.begin, item.end);
        // Within the item it stays where it is: what panels tell of that instant goes on being told.
        const { cursor } = this.state;
        if (cursor < item.begin || cursor > item.end) this.state.cursor = Math.max(0, item.begin);
      }
      this.Announce(item);
      if (this.dock.shown === 'figures' || this.dock.shown === 'problems') this.dock.Show('selection');
    }
    this.ShowSelection();
    this.Changed();
  }

  private Announce(item: Item): void {
    this.status.textContent = `${item.title}. ${item.details.map(([name, text]) => `${name}: ${text}`).join('. ')}`;
  }

  private ShowSelection(): void {
    const { item } = this.state;
    if (item === null) {
      this.selectionPanel.replaceChildren(Make('p', { class: 'empty' },
        'Nothing is selected. Click something on the timeline, or press Enter or ] in a view.'));
      return;
    }
    const { trace, storages } = this.derived;
    const storage = item.storage <= 0 ? '' : `${StorageName(trace, storages, item.storage)} (${StorageId(trace, item.storage)})`;
    const made = item.storage <= 0 ? '' :
      this.derived.stacks.Of(Event.StorageRegister, item.storage, storages.registered[item.storage]!);
    const beside = Make('div', {}, PhasesTable(item) ?? '');
    if (made !== '') beside.append(Make('h3', {}, 'Where its storage was registered'), Make('pre', {}, made));
    this.selectionPanel.replaceChildren(Make('div', { class: 'split' }, DetailsTable(item, storage), beside));
    PaintLegends(this.theme.palette);
  }

  private ShowRows(): void {
    if (this.dock.shown !== 'rows') return;
    const view = this.active;
    if (view === null) {
      this.rowsPanel.replaceChildren(Make('p', { class: 'empty' }, 'This trace has nothing for the timeline.'));
      return;
    }
    const table = view.rows(this.range.Within(this.timeline.width), this.state, rowsShown);
    ShowTable(this.rowsPanel, table, item => this.Select(item, true));
  }

  // --- what keys and buttons do ---

  private Step(direction: -1 | 1): void {
    const panel = this.dock.focused;
    if (panel !== null) return this.StepInPanel(panel, direction);
    const item = this.active === null ? null : this.Neighbour(this.active, direction);
    if (item !== null) this.Select(item, true);
  }

  // Says where there is none.
  private Neighbour(view: View, direction: -1 | 1): Item | null {
    if (view.neighbour === undefined) return null;
    const current = this.state.item?.view === view.id ? this.state.item : null;
    const item = view.neighbour(current, direction, this.range.Within(this.timeline.width), this.state);
    if (item === null) this.status.textContent = `${view.title}: nothing ${direction === 1 ? 'after' : 'before'} this.`;
    return item;
  }

  // What the panel tells of stays: the time that is shown, the cursor, the storage. So its picture does, and all of it is reached.
  private StepInPanel(panel: View, direction: -1 | 1): void {
    const item = this.Neighbour(panel, direction);
    if (item === null) return;
    this.state = { ...this.state, item };
    this.Announce(item);
    this.ShowSelection();
    this.Changed();
  }

  // What a click on the selected item of the panel does; its first item where none is selected.
  private ChooseInPanel(panel: View): void {
    const { item } = this.state;
    if (item?.view === panel.id) this.Select(item, true);
    else this.StepInPanel(panel, 1);
  }

  private StepView(direction: -1 | 1): void {
    if (this.views.length === 0) return;
    const at = this.active === null ? -1 : this.views.indexOf(this.active);
    const view = this.views[Math.min(this.views.length - 1, Math.max(0, at + direction))]!;
    this.timeline.Focus(view);
    this.Activate(view);
  }

  private ZoomTo(item: Item | null): void {
    if (item === null) return;
    const length = Math.max(item.end - item.begin, 200);
    this.range.Show(item.begin - length * 0.5, item.end + length * 0.5);
    this.Select(item, false);
  }

  private MoveCursor(share: number): void {
    const cursor = this.state.cursor + share * this.range.length;
    this.state = { ...this.state, cursor: Math.min(this.derived.trace.duration, Math.max(0, cursor)) };
    this.range.Reveal(this.state.cursor, this.state.cursor);
    this.status.textContent = `Cursor at ${FormatDuration(this.state.cursor)}`;
    this.Changed();
  }

  private Go(direction: -1 | 1): void {
    const from = this.state.item?.begin ?? this.range.begin;
    const item = this.search.Find(this.views, from, direction);
    if (item !== null) this.Select(item, true);
    else this.search.Say('no match in the views');
  }

  private Filter(filter: Filter): void {
    this.state = { ...this.state, filter };
    for (const view of [...this.views, ...this.panels]) view.filter?.(filter);
    this.filterButton.textContent = FilterText(filter);
    this.filterButton.setAttribute('aria-pressed', `${filter !== noFilter}`);
    this.Changed();
  }

  private MakeExports(): HTMLDialogElement {
    const { meta } = this.derived.trace;
    const base = (meta.name.split('/').pop() ?? 'trace').replace(/[^A-Za-z0-9._-]/g, '_');
    const Range = () => `${FormatDuration(Math.max(0, this.range.begin))} to ${FormatDuration(this.range.end)}`;
    return ExportDialog([
      {
        title: 'Timeline as PNG',
        run: () => DownloadPicture(`${base}-timeline.png`,
          PictureOf(this.timeline.Pictures(), `${meta.name}: ${Range()}`, this.Entries(), this.theme.palette)),
      },
      {
        title: 'Panel as PNG',
        run: () => {
          const { view, canvas } = this.dock;
          if (view === null || canvas === null) {
            this.status.textContent = 'The tab that is open has no picture.';
            return;
          }
          DownloadPicture(`${base}-${view.id}.png`,
            PictureOf([{ title: view.title, note: '', canvas }], `${meta.name}: ${view.title}`, view.legend ?? [], this.theme.palette));
        },
      },
      { title: 'Rows of the active view as CSV', run: () => this.DownloadRows(base, this.active) },
      { title: 'Rows of the panel as CSV', run: () => this.DownloadRows(base, this.dock.view ?? this.active) },
    ]);
  }

  private DownloadRows(base: string, view: View | null): void {
    if (view === null) return;
    const table = view.rows(this.range.Within(this.timeline.width), this.state, csvRows);
    Download(`${base}-${view.id}.csv`, new Blob([Csv(table)], { type: 'text/csv' }));
  }

  private MakeBindings(): Binding[] {
    const Time = (keys: string[], text: string, move: () => void): Binding =>
      ({ keys, text, group: 'Time', run: () => this.Move(move) });
    const Items = (keys: string[], text: string, run: () => void): Binding => ({ keys, text, group: 'Items', run });
    const Page = (keys: string[], text: string, run: () => void): Binding => ({ keys, text, group: 'Page', run });
    const tabs = this.dock.titles.map(({ id, title }, i) => Page([`${i + 1}`], `Panel: ${title}`, () => this.dock.Show(id)));
    return [
      Time(['ArrowLeft', 'a'], 'Pan left', () => this.range.Pan(-0.15)),
      Time(['ArrowRight', 'd'], 'Pan right', () => this.range.Pan(0.15)),
      Time(['Shift+ArrowLeft', 'PageUp'], 'A screen to the left', () => this.range.Pan(-0.9)),
      Time(['Shift+ArrowRight', 'PageDown'], 'A screen to the right', () => this.range.Pan(0.9)),
      Time(['+', '=', 'w'], 'Zoom in', () => this.range.Zoom(1 / 1.6, 0.5)),
      Time(['-', 's'], 'Zoom out', () => this.range.Zoom(1.6, 0.5)),
      Time(['0'], 'Show the whole trace', () => this.range.Fit()),
      Time(['Home'], 'To the beginning', () => this.range.Show(-this.range.length * 0.01, this.range.length * 0.99)),
      Time(['End'], 'To the end', () => this.range.Pan(1e12)),
      Items(['ArrowDown', 'j'], 'Next view', () => this.StepView(1)),
      Items(['ArrowUp', 'k'], 'View before', () => this.StepView(-1)),
      Items([']', 'Enter'], 'Next item of the view', () => this.Step(1)),
      Items(['['], 'Item before', () => this.Step(-1)),
      Items(['z'], 'Zoom to the selection', () => this.ZoomTo(this.state.item)),
      Items(['Escape'], 'Select nothing', () => this.Select(null, false)),
      Items(['.', 'Alt+ArrowRight'], 'Move the cursor right', () => this.MoveCursor(0.02)),
      Items([',', 'Alt+ArrowLeft'], 'Move the cursor left', () => this.MoveCursor(-0.02)),
      Items(['n'], 'Next match of the search', () => this.Go(1)),
      Items(['N'], 'Match before', () => this.Go(-1)),
      Page(['p'], 'To the chart of the panel, or its text', () => this.dock.Focus()),
      Page(['/'], 'Search', () => this.search.input.focus()),
      Page(['f'], 'Filter', () => this.filterForm.Open()),
      Page(['e'], 'Export', () => this.exports.showModal()),
      Page(['t'], 'Light, dark, or as the system', () => this.theme.Next()),
      Page(['?'], 'Help', () => this.help.showModal()),
      ...tabs.slice(0, 9),
    ];
  }

  private MakeChartBindings(): Binding[] {
    const Chart = (keys: string[], text: string, run: (panel: View) => void): Binding => ({
      keys, text, group: 'Chart of a panel',
      run: () => {
        const panel = this.dock.focused;
        if (panel !== null) run(panel);
      },
    });
    return [
      Chart(['ArrowRight', 'ArrowDown'], 'Next item of the panel', panel => this.StepInPanel(panel, 1)),
      Chart(['ArrowLeft', 'ArrowUp'], 'Item before', panel => this.StepInPanel(panel, -1)),
      Chart(['Enter'], 'Go to the selected item, as a click does', panel => this.ChooseInPanel(panel)),
    ];
  }
}

function MakeViews(factories: ViewFactory[], context: ViewContext): View[] {
  return factories.flatMap(factory => factory(context) ?? []);
}

// When the first tier held the most: what panels tell of until the cursor is put elsewhere.
function PeakTime(tiers: { peak_time_ns: number }[]): number {
  return tiers[0]?.peak_time_ns ?? 0;
}

function Whereabouts({ trace }: Derived): string {
  const { summary } = trace.meta;
  return [
    summary.device,
    `rank ${summary.rank}`,
    `process ${summary.process_id}`,
    new Date(summary.start_wall_ns / 1e6).toISOString().replace('T', ' ').slice(0, 19),
    `${FormatCount(summary.records)} records`,
    FormatDuration(summary.duration_ns),
  ].filter(text => text !== '').join('  ·  ');
}
