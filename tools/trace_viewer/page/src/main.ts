// The page's program: reads the data that the page carries, and shows it. Where that fails it says why in one line.

import { Derived } from './derive/derived.ts';
import { DecodeTrace, type PartSource } from './model.ts';
import { App } from './shell/app.ts';
import { Make } from './shell/dom.ts';

// The elements of trace `number`. Each is read once and then removed: the texts take as much memory as the data.
function PartsOf(number: number): PartSource {
  return part => {
    const element = document.getElementById(`trace-${number}-${part}`);
    const text = element?.textContent ?? null;
    element?.remove();
    return text;
  };
}

function Notice(text: string): HTMLElement {
  return Make('main', {}, Make('h1', { class: 'visually-hidden' }, 'tierlib trace'),
    Make('p', { class: 'notice error', role: 'alert' }, text));
}

async function Run(): Promise<void> {
  const root = document.getElementById('page')!;
  if (document.getElementById('trace-0-meta') === null) {
    root.replaceChildren(Notice('This page has no trace in it. Make one that has with: tierlib-trace view FILE'));
    return;
  }
  try {
    const compared = document.getElementById('trace-1-meta') !== null;
    const trace = await DecodeTrace(PartsOf(0));
    const other = compared ? new Derived(await DecodeTrace(PartsOf(1))) : null;
    if (trace.columns.count === 0) {
      const more = trace.meta.summary.problems.list.map(problem => ` ${problem.what}.`).join('');
      root.replaceChildren(Notice(`${trace.meta.name} has no records: nothing was traced.${more}`));
      return;
    }
    new App(new Derived(trace), other, root);
    performance.mark('tierlib-drawn'); // every lane with its records is on its canvas
  } catch (error) {
    root.replaceChildren(Notice(`The trace cannot be shown: ${error instanceof Error ? error.message : String(error)}`));
    throw error;
  }
}

void Run();
