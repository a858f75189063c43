// The help: what every key and gesture does, and what every view shows. Made of the same tables that the page works by.

import { FilterNote } from '../views/filtering.ts';
import type { View } from '../views/view.ts';
import { Make } from './dom.ts';
import { ShownKey, type Binding } from './keyboard.ts';

const gestures: [string, string][] = [
  ['Drag', 'Pan'],
  ['Shift and drag, or drag on the axis', 'Zoom to a range'],
  ['Ctrl and wheel, or pinch', 'Zoom'],
  ['Two fingers on a touch screen', 'Zoom and pan'],
  ['Shift and wheel, or wheel sideways', 'Pan'],
  ['Click', 'Select, and put the cursor there'],
  ['Double click', 'Zoom to what is there'],
];

export function HelpDialog(bindings: Binding[], views: View[]): HTMLDialogElement {
  const Table = (rows: [Node | string, string][]) => Make('table', {},
    Make('tbody', {}, ...rows.map(([left, right]) => Make('tr', {}, Make('td', {}, left), Make('td', {}, right)))));
  const Keys = (binding: Binding) => {
    const keys = Make('span');
    for (const key of binding.keys) keys.append(Make('kbd', {}, ShownKey(key)), ' ');
    return keys;
  };
  const columns = Make('div', { class: 'columns' });
  for (const group of ['Time', 'Items', 'Chart of a panel', 'Page'] as const) {
    columns.append(Make('section', {}, Make('h3', {}, group),
      Table(bindings.filter(binding => binding.group === group).map(binding => [Keys(binding), binding.text]))));
  }
  columns.append(Make('section', {}, Make('h3', {}, 'Mouse, touch pad and touch'), Table(gestures)));
  columns.append(Make('section', {}, Make('h3', {}, 'Views'),
    Table(views.map(view => [view.title, `${view.about} ${FilterNote(view.filtered)}`]))));
  const dialog = Make('dialog', { class: 'wide', 'aria-labelledby': 'help-title' });
  dialog.append(
    Make('div', { class: 'heading' }, Make('h2', { id: 'help-title' }, 'Help'),
      Make('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Close')),
    Make('p', {}, 'Hatched parts are gaps: records are missing there. The address of the page names what is shown; copy it to come back.'),
    columns);
  return dialog;
}
