// Controls of panels: labelled form elements.

import { Make } from '../shell/dom.ts';

// A choice of one; `changed` is told the position.
export function AddChoice(parent: HTMLElement, label: string, options: string[], chosen: number, changed: (at: number) => void): void {
  const select = Make('select', { onchange: () => changed(select.selectedIndex) }, ...options.map(text => Make('option', {}, text)));
  select.selectedIndex = chosen;
  parent.append(Make('label', {}, label, select));
}

// A number from `least` to `most`.
export function AddNumber(
  parent: HTMLElement, label: string, unit: string, value: number, least: number, most: number, changed: (value: number) => void,
): void {
  const input = Make('input', {
    type: 'number', min: `${least}`, max: `${most}`, value: `${value}`, step: 'any',
    oninput: () => {
      const number = input.valueAsNumber;
      if (number >= least && number <= most) changed(number);
    },
  });
  parent.append(Make('label', {}, label, input, unit));
}
