// What is under the pointer, beside it. The table says the same of what is selected.

import type { Item } from '../views/view.ts';
import { Make } from './dom.ts';

const distance = 14;

export class Tooltip {
  readonly element = Make('div', { class: 'tooltip', 'aria-hidden': 'true' });
  private item: Item | null = null;

  // At client coordinates; null hides it.
  Show(item: Item | null, x: number, y: number): void {
    const style = this.element.style;
    if (item === null) {
      style.visibility = 'hidden';
      this.item = null;
      return;
    }
    if (item.key !== this.item?.key || item.view !== this.item.view) {
      this.element.replaceChildren(Make('strong', {}, item.title),
        ...item.details.map(([name, text]) => Make('span', {}, `${name}: ${text}`)));
      this.item = item;
    }
    const left = Math.min(x + distance, innerWidth - this.element.offsetWidth - 8);
    const below = y + distance + this.element.offsetHeight < innerHeight;
    const top = below ? y + distance : y - distance - this.element.offsetHeight;
    style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
    style.visibility = 'visible';
  }
}
