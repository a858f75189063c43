// The filter's dialog: tags, tiers and sizes that all views show.

import { FormatBytes } from '../draw/format.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { noFilter, type Filter } from '../views/view.ts';
import { Make } from './dom.ts';

const units = new Map([['', 1], ['b', 1], ['kib', 1024], ['mib', 1024 ** 2], ['gib', 1024 ** 3], ['tib', 1024 ** 4], ['kb', 1e3],
  ['mb', 1e6], ['gb', 1e9]]);

// "64 KiB" as bytes; null where it is no size.
export function ParseBytes(text: string): number | null {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = units.get(parts?.[2]?.toLowerCase() ?? '');
  return parts === null || unit === undefined ? null : Number(parts[1]) * unit;
}

// A size as ParseBytes reads it, to the byte: "64 KiB", or where it is no such multiple the bytes.
export function SizeText(bytes: number): string {
  for (const [unit, size] of [['GiB', 1024 ** 3], ['MiB', 1024 ** 2], ['KiB', 1024]] as const) {
    if (bytes > 0 && bytes % size === 0) return `${bytes / size} ${unit}`;
  }
  return `${bytes}`;
}

export class FilterForm {
  private readonly problem = Make('p', { class: 'error-text', role: 'alert' });
  private readonly tags: HTMLInputElement[];
  private readonly tiers: HTMLInputElement[];
  private readonly least = Make('input', { type: 'text', placeholder: 'as 64 KiB', size: '10' });
  private readonly most = Make('input', { type: 'text', placeholder: 'no limit', size: '10' });
  readonly dialog = Make('dialog', { 'aria-labelledby': 'filter-title' });

  constructor(vocabulary: Vocabulary, private readonly apply: (filter: Filter) => void) {
    const Boxes = (names: string[]) => names.map(() => Make('input', { type: 'checkbox', checked: true }));
    this.tags = Boxes(vocabulary.tags);
    this.tiers = Boxes(vocabulary.tiers);
    const Group = (title: string, boxes: HTMLInputElement[], names: string[]) =>
      Make('fieldset', {}, Make('legend', {}, title), ...boxes.map((box, i) => Make('label', {}, box, names[i]!)));
    const form = Make('form', { method: 'dialog', onsubmit: (event: Event) => this.Submit(event) },
      Make('h2', { id: 'filter-title' }, 'Filter'),
      Group('Tags', this.tags, vocabulary.tags),
      Group('Tiers', this.tiers, vocabulary.tiers),
      Make('fieldset', {}, Make('legend', {}, 'Sizes'), Make('label', {}, 'From', this.least), Make('label', {}, 'to', this.most)),
      this.problem,
      Make('div', { class: 'actions' },
        Make('button', { type: 'submit' }, 'Apply'),
        Make('button', { type: 'button', onclick: () => this.Reset() }, 'Show everything'),
        Make('button', { type: 'button', onclick: () => this.dialog.close() }, 'Cancel')));
    this.dialog.append(form);
  }

  Open(): void {
    this.problem.textContent = '';
    this.dialog.showModal();
  }

  // Applies a filter that did not come from the form, as far as this trace has its tags and tiers, and shows it in the form.
  Take(filter: Filter): void {
    const Check = (boxes: HTMLInputElement[], chosen: ReadonlySet<number> | null) =>
      boxes.forEach((box, i) => (box.checked = chosen === null || chosen.has(i)));
    Check(this.tags, filter.tags);
    Check(this.tiers, filter.tiers);
    this.least.value = filter.minimum_bytes === 0 ? '' : SizeText(filter.minimum_bytes);
    this.most.value = filter.maximum_bytes === Infinity ? '' : SizeText(filter.maximum_bytes);
    this.Apply(filter.minimum_bytes, filter.maximum_bytes);
  }

  private Reset(): void {
    this.dialog.close();
    this.Take(noFilter);
  }

  private Submit(event: Event): void {
    const Size = (input: HTMLInputElement, without: number) => {
      const bytes = input.value.trim() === '' ? without : ParseBytes(input.value);
      if (bytes === null) {
        this.problem.textContent = `"${input.value}" is no size: write a number with a unit, as 64 KiB or 1.5 GiB.`;
        input.focus();
        event.preventDefault();
      }
      return bytes;
    };
    const least = Size(this.least, 0);
    const most = least === null ? null : Size(this.most, Infinity);
    if (least !== null && most !== null) this.Apply(least, most);
  }

  // What the boxes say, with these sizes.
  private Apply(least: number, most: number): void {
    const Chosen = (boxes: HTMLInputElement[]) => {
      const chosen = boxes.flatMap((box, i) => (box.checked ? [i] : []));
      return chosen.length === boxes.length ? null : new Set(chosen);
    };
    const filter = { tags: Chosen(this.tags), tiers: Chosen(this.tiers), minimum_bytes: least, maximum_bytes: most };
    this.apply(IsNothing(filter) ? noFilter : filter);
  }
}

function IsNothing(filter: Filter): boolean {
  return filter.tags === null && filter.tiers === null && filter.minimum_bytes === 0 && filter.maximum_bytes === Infinity;
}

// "Filter: 3 tags, from 64 KiB"; "Filter" where there is none.
export function FilterText(filter: Filter): string {
  const parts: string[] = [];
  if (filter.tags !== null) parts.push(`${filter.tags.size} tag${filter.tags.size === 1 ? '' : 's'}`);
  if (filter.tiers !== null) parts.push(`${filter.tiers.size} tier${filter.tiers.size === 1 ? '' : 's'}`);
  if (filter.minimum_bytes > 0) parts.push(`from ${FormatBytes(filter.minimum_bytes)}`);
  if (filter.maximum_bytes !== Infinity) parts.push(`to ${FormatBytes(filter.maximum_bytes)}`);
  return parts.length === 0 ? 'Filter' : `Filter: ${parts.join(', ')}`;
}
