// Tables of items and rows, as elements and as CSV.

import { FormatBytes, FormatCount, FormatDuration, FormatInstant, FormatRate } from '../draw/format.ts';
import { sinceStart, type Column, type Item, type Table } from '../views/view.ts';
import { Make } from './dom.ts';

export function CellText(cell: string | number, column: Column): string {
  if (typeof cell === 'string') return cell;
  if (Number.isNaN(cell)) return 'not in the trace';
  if (column.unit === 'ns') return FormatDuration(cell);
  if (column.unit === sinceStart) return FormatInstant(cell);
  if (column.unit === 'bytes') return FormatBytes(cell);
  if (column.unit === 'bytes/s') return FormatRate(cell);
  const text = Number.isInteger(cell) ? FormatCount(cell) : `${Number(cell.toPrecision(4))}`;
  return column.unit === '' ? text : `${text} ${column.unit}`;
}

export function RowsTable(table: Table, select: (item: Item) => void): HTMLElement {
  const caption = Make('caption', {}, table.caption, ' ',
    Make('span', {}, table.total > table.rows.length
      ? `the first ${FormatCount(table.rows.length)} of ${FormatCount(table.total)} in view`
      : `${FormatCount(table.total)} in view`));
  if (table.rows.length === 0) {
    return Make('p', { class: 'empty' }, `${table.caption}: nothing in this range of time and with this filter.`);
  }
  const head = Make('tr', {}, ...table.columns.map(column =>
    Make('th', { scope: 'col', class: column.numeric ? 'numeric' : '' }, column.title)));
  const body = Make('tbody');
  table.rows.forEach((row, at) => {
    const item = table.items?.[at] ?? null;
    body.append(Make('tr', {}, ...row.map((cell, i) => {
      const column = table.columns[i]!;
      const text = CellText(cell, column);
      const content = i === 0 && item !== null
        ? Make('button', { type: 'button', 'data-item': `${item.view}.${item.key}`, onclick: () => select(item) }, text || '-') : text;
      return Make('td', { class: column.numeric ? 'numeric' : '' }, content);
    })));
  });
  return Make('table', { class: 'rows' }, caption, Make('thead', {}, head), body);
}

// Shows a table in place of the one that is there. Who is on a row with the keyboard stays on it, or on what is in its place.
export function ShowTable(parent: HTMLElement, table: Table, select: (item: Item) => void): void {
  const Buttons = () => [...parent.querySelectorAll<HTMLButtonElement>('tbody button')];
  const before = Buttons();
  const at = before.findIndex(button => button === document.activeElement);
  const item = before[at]?.dataset['item'];
  parent.replaceChildren(RowsTable(table, select));
  if (at < 0) return;
  const now = Buttons();
  const place = now.find(button => button.dataset['item'] === item) ?? now[Math.min(at, now.length - 1)] ?? parent;
  place.focus({ preventScroll: true });
}

export function DetailsTable(item: Item, storage: string): HTMLElement {
  const body = Make('tbody');
  const Add = (name: string, text: string) =>
    body.append(Make('tr', {}, Make('th', { scope: 'row' }, name), Make('td', {}, text)));
  Add('Begin', FormatInstant(item.begin));
  for (const [name, text] of item.details) Add(name, text);
  if (storage !== '') Add('Storage', storage);
  return Make('table', { class: 'rows' }, Make('caption', {}, item.title), body);
}

// The phases of an item to scale, one line each.
export function PhasesTable(item: Item): HTMLElement | null {
  const phases = item.phases ?? [];
  if (phases.length === 0) return null;
  const first = Math.min(...phases.map(phase => phase.begin));
  const length = Math.max(1, Math.max(...phases.map(phase => phase.end)) - first);
  const body = Make('tbody');
  for (const phase of phases) {
    const bar = Make('i', { 'data-series': `${phase.color}` });
    const share = (phase.end - phase.begin) / length;
    bar.style.marginLeft = `${Math.min(99.5, (100 * (phase.begin - first)) / length)}%`;
    bar.style.width = `${Math.max(0.5, 100 * share)}%`;
    body.append(Make('tr', {},
      Make('th', { scope: 'row' }, phase.name),
      Make('td', { class: 'numeric' }, phase.end > phase.begin ? FormatDuration(phase.end - phase.begin) : 'at once'),
      Make('td', { class: 'numeric' }, FormatInstant(phase.begin)),
      Make('td', { class: 'scale' }, bar)));
  }
  const titles = ['Phase', 'Length', 'From', 'To scale'];
  return Make('table', { class: 'rows phases' }, Make('caption', {}, 'Phases'),
    Make('thead', {}, Make('tr', {}, ...titles.map((title, i) =>
      Make('th', { scope: 'col', class: i === 1 || i === 2 ? 'numeric' : '' }, title)))),
    body);
}

// RFC 4180, with a header line; units stand in the header. Numbers as they are. What a spreadsheet would take for a formula
// gets an apostrophe before it.
export function Csv(table: Table): string {
  const Quoted = (cell: string | number): string => {
    if (typeof cell === 'number') return Number.isNaN(cell) ? '' : `${cell}`;
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const header = table.columns.map(column => Quoted(column.unit === '' ? column.title : `${column.title} (${column.unit})`));
  return [header, ...table.rows.map(row => row.map(Quoted))].map(line => line.join(',')).join('\r\n') + '\r\n';
}
