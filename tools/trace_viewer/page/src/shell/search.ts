// Search by name: the labels that have a text in them, and going from one item with such a label to the next.

import { FormatCount } from '../draw/format.ts';
import type { Item, View } from '../views/view.ts';
import { Make } from './dom.ts';

export class Search {
  readonly input = Make('input', { type: 'search', placeholder: 'Search names  ( / )', 'aria-label': 'Search names', spellcheck: 'false' });
  private readonly output = Make('output', { 'aria-live': 'polite' });
  readonly element = Make('div', { class: 'search', role: 'search' }, this.input,
    Make('button', { type: 'button', 'aria-label': 'Previous match', title: 'Previous match (N)', onclick: () => this.go(-1) }, '↑'),
    Make('button', { type: 'button', 'aria-label': 'Next match', title: 'Next match (n)', onclick: () => this.go(1) }, '↓'),
    this.output);
  private matches = new Set<number>();

  // `changed`: what is searched for is another text.
  constructor(private readonly labels: string[], private readonly go: (direction: -1 | 1) => void,
      private readonly changed: () => void) {
    this.input.addEventListener('input', () => this.Update());
    this.input.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault();
        go(event.shiftKey ? -1 : 1);
      } else if (event.key === 'Escape') {
        this.input.blur();
      }
    });
  }

  get text(): string {
    return this.input.value.trim();
  }

  // Searches for a text that was not typed.
  Take(text: string): void {
    this.input.value = text;
    this.Update();
  }

  private Update(): void {
    const text = this.text.toLowerCase();
    this.matches = new Set();
    if (text !== '') {
      this.labels.forEach((label, i) => {
        if (i > 0 && label.toLowerCase().includes(text)) this.matches.add(i);
      });
    }
    this.Say(text === '' ? '' : this.matches.size === 0 ? 'no such name' : `${FormatCount(this.matches.size)} name${this.matches.size === 1 ? '' : 's'}`);
    this.changed();
  }

  Say(text: string): void {
    this.output.textContent = text;
  }

  // The nearest match of any view after (or before) `time`; over the end it begins again.
  Find(views: View[], time: number, direction: -1 | 1): Item | null {
    if (this.matches.size === 0) return null;
    for (const from of [time, direction === 1 ? -Infinity : Infinity]) {
      let best: Item | null = null;
      for (const view of views) {
        const item = view.search?.(this.matches, from, direction) ?? null;
        if (item !== null && (best === null || direction * (item.begin - best.begin) < 0)) best = item;
      }
      if (best !== null) return best;
    }
    return null;
  }
}
