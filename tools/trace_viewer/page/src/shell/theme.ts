// Light or dark: as the system says, or as was chosen. Chosen once, kept for the next page where the browser lets it.

import { darkPalette, lightPalette, type Palette } from '../draw/palette.ts';

export type Theme = 'auto' | 'light' | 'dark';
const key = 'tierlib-trace-theme';

export class ThemeChoice {
  choice: Theme = 'auto';
  private readonly system = matchMedia('(prefers-color-scheme: dark)');

  constructor(private readonly changed: () => void) {
    try {
      const kept = localStorage.getItem(key);
      if (kept === 'light' || kept === 'dark') this.choice = kept;
    } catch {
      // A page from a file may have no storage: the system's theme it is.
    }
    this.system.addEventListener('change', () => this.Apply());
    this.Apply();
  }

  get palette(): Palette {
    const dark = this.choice === 'dark' || (this.choice === 'auto' && this.system.matches);
    return dark ? darkPalette : lightPalette;
  }

  Next(): void {
    this.choice = this.choice === 'auto' ? 'light' : this.choice === 'light' ? 'dark' : 'auto';
    try {
      localStorage.setItem(key, this.choice);
    } catch {
      // As above.
    }
    this.Apply();
  }

  private Apply(): void {
    const palette = this.palette;
    const style = document.documentElement.style;
    style.colorScheme = palette.dark ? 'dark' : 'light';
    for (const name of ['background', 'raised', 'line', 'text', 'faint', 'focus', 'selection', 'gap'] as const) {
      style.setProperty(`--${name}`, palette[name]);
    }
    this.changed();
  }
}
