// Colours: text on them and around them can be read, marks can be seen on the background, and those that stand in one view for
// different things are told apart by people with each kind of colour blindness.

import { describe, expect, test } from 'vitest';
import { darkPalette, lightPalette, Rgba, Series, TagSeries } from '../../src/draw/palette.ts';
import { InkOn } from '../../src/views/span_view.ts';
import { vocabulary } from './fixture.ts';

type Triple = [number, number, number];

// Of sRGB, as linear light.
function Linear(color: string): Triple {
  return [1, 3, 5].map(at => {
    const share = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Triple;
}

// As WCAG 2.1 defines it.
function Contrast(a: string, b: string): number {
  const Luminance = (color: string) => {
    const [red, green, blue] = Linear(color);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark, light] = [Luminance(a), Luminance(b)].sort((x, y) => x - y);
  return (light! + 0.05) / (dark! + 0.05);
}

// What people see without one kind of cones: Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color
// Vision Deficiency", 2009, table 1, severity 1; on linear light.
const visions: Record<string, [Triple, Triple, Triple]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

// Oklab (Ottosson, 2020): distances in it are how different colours look.
function Oklab([red, green, blue]: Triple): Triple {
  const long = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
  const middle = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
  const short = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
  return [
    0.2104542553 * long + 0.793617785 * middle - 0.0040720468 * short,
    1.9779984951 * long - 2.428592205 * middle + 0.4505937099 * short,
    0.0259040371 * long + 0.7827717662 * middle - 0.808675766 * short,
  ];
}

function Difference(a: string, b: string, vision: [Triple, Triple, Triple]): number {
  const [x, y] = [a, b].map(color => {
    const light = Linear(color);
    return Oklab(vision.map(row => Math.min(1, Math.max(0, row.reduce((sum, part, i) => sum + part * light[i]!, 0)))) as Triple);
  });
  return Math.hypot(...x!.map((part, i) => part - y![i]!));
}

// What stands beside each other in one view.
const together: Record<string, number[]> = {
  'bytes by tag': vocabulary.tags.map((_, tag) => TagSeries(tag)),
  'steps and ops': [Series.Forward, Series.Backward],
  copies: [Series.Out, Series.In, Series.Within, Series.Muted, Series.Stall],
  stalls: [Series.Exposed, Series.Other, Series.Out, Series.In, TagSeries(7), TagSeries(8), TagSeries(1)],
  time: [Series.Hidden, Series.Exposed, Series.Muted],
  waits: [Series.Hidden, Series.Exposed, Series.Other],
  'where bytes are': [Series.Forward, Series.Out, Series.Hidden, Series.In, Series.Muted, Series.Stall],
  'why copies were avoided': [Series.Hidden, Series.Within, Series.Backward, Series.Other],
  holes: [Series.Hidden, Series.Muted, Series.Stall],
  comparison: [Series.Out, Series.In],
};
const leastDifference = 0.06; // in Oklab, where 0.02 is about what one notices side by side: marks are thin, and stand apart

describe.each([['light', lightPalette], ['dark', darkPalette]] as const)('the %s palette', (_, palette) => {
  test('has text that can be read, on its grounds and on its colours', () => {
    for (const ink of [palette.text, palette.faint, palette.focus]) {
      expect(Contrast(ink, palette.background)).toBeGreaterThan(4.5);
      expect(Contrast(ink, palette.raised)).toBeGreaterThan(4.5);
    }
    for (const color of palette.series) expect(Contrast(InkOn(color), color), color).toBeGreaterThan(4.5);
  });

  test('has marks that stand out from the background', () => {
    palette.series.forEach((color, series) => {
      // What was filtered out stands back.
      expect(Contrast(color, palette.background), `series ${series}`).toBeGreaterThan(series === Series.Muted ? 1.5 : 3);
    });
    for (const color of [palette.focus, palette.selection, palette.gap]) {
      expect(Contrast(color, palette.background)).toBeGreaterThan(3);
    }
  });

  for (const [vision, matrix] of Object.entries(visions)) {
    test(`has colours that are told apart, with ${vision}`, () => {
      for (const [view, series] of Object.entries(together)) {
        for (const a of series) {
          for (const b of series) {
            if (a >= b) continue;
            const difference = Difference(palette.series[a]!, palette.series[b]!, matrix);
            expect(difference, `${view}: ${palette.series[a]} and ${palette.series[b]}`).toBeGreaterThan(leastDifference);
          }
        }
      }
    });
  }
});

test('both palettes have all series, and their bytes are those of ImageData', () => {
  expect(lightPalette.series.length).toBe(darkPalette.series.length);
  expect(lightPalette.series.length).toBe(TagSeries(vocabulary.tags.length - 1) + 1);
  expect(Rgba('#0a1b2c')).toBe(0xff2c1b0a);
});
