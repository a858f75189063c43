// A legend: what the colours of a view mean. Swatches follow the palette when the theme changes.

import type { Palette } from '../draw/palette.ts';
import type { LegendEntry } from '../views/view.ts';
import { Make } from './dom.ts';

// Each entry once, by the name of its group ("": none). Those that several views have come after those of one.
export function GroupsOf(entries: LegendEntry[]): [string, LegendEntry[]][] {
  const groups = new Map<string, Map<string, LegendEntry>>();
  for (const entry of entries) {
    const group = groups.get(entry.group ?? '') ?? new Map<string, LegendEntry>();
    const key = `${entry.name} ${entry.color}`;
    group.delete(key);
    groups.set(entry.group ?? '', group.set(key, entry));
  }
  return [...groups].map(([name, group]) => [name, [...group.values()]]);
}

export function Legend(entries: LegendEntry[]): HTMLElement {
  return Make('div', { class: 'legend' }, ...GroupsOf(entries).map(([name, group]) => Make('div', {},
    ...(name === '' ? [] : [Make('strong', {}, name)]),
    ...group.map(entry =>
      Make('span', {}, Make('i', { 'data-series': `${entry.color}`, 'data-hatched': entry.hatched === true }), entry.name)))));
}

// Colours all legends of the page.
export function PaintLegends(palette: Palette): void {
  for (const swatch of document.querySelectorAll<HTMLElement>('[data-series]')) {
    swatch.style.backgroundColor = palette.series[Number(swatch.dataset['series'])] ?? '';
  }
}
