// The keyboard: every function of the page by a key. The help shows this table, and the keys do what it says.

export interface Binding {
  keys: string[]; // as KeyName gives them
  text: string;
  group: 'Time' | 'Items' | 'Chart of a panel' | 'Page';
  run: () => void;
}

// "Shift+ArrowLeft", "?": the shift of a character that needs it does not count.
export function KeyName(event: { key: string; shiftKey: boolean; altKey: boolean; ctrlKey: boolean; metaKey: boolean }): string {
  const shift = event.shiftKey && event.key.length > 1 ? 'Shift+' : '';
  const alt = event.altKey ? 'Alt+' : '';
  const control = event.ctrlKey || event.metaKey ? 'Control+' : '';
  return `${control}${alt}${shift}${event.key}`;
}

export function ShownKey(key: string): string {
  return key.replace('ArrowLeft', '←').replace('ArrowRight', '→').replace('ArrowUp', '↑').replace('ArrowDown', '↓')
    .replace('Escape', 'Esc').replaceAll('+', ' + ').replace(/^ \+ $/, '+');
}

// Where the keys belong to the element itself.
function TakesKeys(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

const scrolling = ['ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End'];

// Whether a key scrolls what has the focus: a text or a table that is longer than its place.
function Scrolls(target: Element | null, key: string): boolean {
  return target !== null && target.matches('[role=tabpanel], [role=region]') && target.scrollHeight > target.clientHeight &&
    scrolling.includes(key);
}

export function ListenToKeys(bindings: () => Binding[]): void {
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || TakesKeys(event.target) || document.querySelector('dialog[open]') !== null) return;
    const name = KeyName(event);
    const target = event.target instanceof Element ? event.target : null;
    // Enter and space press what has the focus; arrows move within lists of tabs and along the divider.
    if ((name === 'Enter' || name === ' ') && target?.closest('button, [role=tab], a') !== null && target !== null) return;
    if (name.startsWith('Arrow') && target?.closest('[role=tablist], [role=separator]')) return;
    if (Scrolls(target, name)) return;
    const binding = bindings().find(candidate => candidate.keys.includes(name));
    if (binding === undefined) return;
    event.preventDefault();
    binding.run();
  });
}
