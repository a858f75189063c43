// The border between timeline and dock: dragged, or moved with the arrow keys.

import { Make } from './dom.ts';

const least = 120;
const step = 24;

export function DividerOf(app: HTMLElement): HTMLElement {
  let size = 288;
  const divider = Make('div', {
    class: 'divider', role: 'separator', tabindex: '0', 'aria-orientation': 'horizontal', 'aria-label': 'Height of the panels',
  });
  const Set = (wanted: number) => {
    const most = Math.max(least, innerHeight - 260);
    size = Math.min(most, Math.max(least, wanted));
    app.style.setProperty('--dock', `${size}px`);
    divider.setAttribute('aria-valuenow', `${Math.round(size)}`);
    divider.setAttribute('aria-valuemin', `${least}`);
    divider.setAttribute('aria-valuemax', `${Math.round(most)}`);
  };
  Set(Math.min(innerHeight * 0.4, Math.max(size, innerHeight * 0.33)));
  divider.addEventListener('pointerdown', event => divider.setPointerCapture(event.pointerId));
  divider.addEventListener('pointermove', event => {
    if (divider.hasPointerCapture(event.pointerId)) Set(innerHeight - event.clientY);
  });
  divider.addEventListener('keydown', event => {
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    Set(size + (event.key === 'ArrowUp' ? step : -step));
  });
  return divider;
}
