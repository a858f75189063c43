// Palette: all colours of the page, for light and dark. Series colours that stand in one view are told apart by people with
// protanopia, deuteranopia and tritanopia, and all but Muted stand out from the background by 3 : 1; test/unit/palette.test.ts
// holds them to that, by a simulation of each vision. Within each hue they are as far apart as a search by these rules found.
// Meaning never hangs on colour alone: legends, titles and the table say the same.

export interface Palette {
  dark: boolean;
  background: string;
  raised: string; // panels, gutters
  line: string; // rules and grid
  text: string;
  faint: string; // secondary text: 4.5 : 1 at least
  focus: string;
  selection: string;
  gap: string; // hatching
  series: string[]; // by Series below
}

// What a colour stands for, the same in all views.
export const Series = {
  Out: 0,
  In: 1,
  Within: 2,
  Forward: 3,
  Backward: 4,
  Stall: 5,
  Other: 6,
  Muted: 7, // filtered out, queued, not known
  Hidden: 8,
  Exposed: 9,
  // From here on tags: tagSeries + tag.
  Tags: 10,
} as const;

// The colour of a tag (trace::Tag), the same wherever it appears.
export function TagSeries(tag: number): number {
  return Series.Tags + (tag < 9 ? tag : 0);
}

export const lightPalette: Palette = {
  dark: false,
  background: '#ffffff',
  raised: '#f6f7f9',
  line: '#dde1e7',
  text: '#1b1f27',
  faint: '#5a6372',
  focus: '#0b5cad',
  selection: '#111722',
  gap: '#8b93a1',
  series: [
    '#299ae8', '#e67400', '#9d5cb8', '#4587ba', '#0b5a8e', '#d81037', '#8a929e', '#b9c1ce', '#007c6e', '#d81037',
    // none, parameter, gradient, optimizer, activation, saved, reload, workspace, client
    '#8c94a0', '#395cb4', '#967101', '#8f69c2', '#009e5e', '#299ae8', '#e67400', '#5e6404', '#ae487e',
  ],
};

export const darkPalette: Palette = {
  dark: true,
  background: '#12151b',
  raised: '#1a1e26',
  line: '#2d333e',
  text: '#e8ebf0',
  faint: '#a0a9b8',
  focus: '#7ab8f5',
  selection: '#ffffff',
  gap: '#6d7686',
  series: [
    '#016dbd', '#f17800', '#d28fef', '#62a7e0', '#3279af', '#dc2023', '#7a818d', '#3b414c', '#00d2bc', '#dc2023',
    '#646b77', '#79a0ff', '#957000', '#9d78d0', '#2bd48a', '#016dbd', '#f17800', '#b8c342', '#fc90c9',
  ],
};

// As RGBA in the byte order of ImageData, alpha 255.
export function Rgba(color: string): number {
  const number = Number.parseInt(color.slice(1), 16);
  return (255 << 24 | (number & 255) << 16 | (number & 0xff00) | number >> 16) >>> 0;
}
