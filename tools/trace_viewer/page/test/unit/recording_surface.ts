// A surface whose context writes down what it is told.

import { darkPalette, lightPalette } from '../../src/draw/palette.ts';
import type { Surface } from '../../src/draw/surface.ts';

export interface Drawn {
  surface: Surface;
  texts: string[];
  fills: string[]; // colours, in the order in which they were chosen
  hatched: [number, number, number, number][]; // rectangles: left, top, width, height
  wrong: string[]; // calls with a place that is no number, properties without a value
}

export function RecordingSurface(width: number, height: number, dark: boolean): Drawn {
  const drawn: Drawn = { texts: [], fills: [], hatched: [], wrong: [], surface: null as never };
  const context = new Proxy({} as Record<string, unknown>, {
    get: (target, name: string) => target[name] ?? ((...given: unknown[]) => {
      if (given.some(one => typeof one === 'number' && !Number.isFinite(one))) drawn.wrong.push(`${name}(${given.join(', ')})`);
      if (name === 'rect') drawn.hatched.push(given as Drawn['hatched'][number]); // what Hatch fills
      if (name === 'fillText') drawn.texts.push(String(given[0]));
      if (name === 'measureText') return { width: 6 * String(given[0]).length };
      return undefined;
    }),
    set: (target, name: string, value: unknown) => {
      if (value === undefined) drawn.wrong.push(name);
      if (name === 'fillStyle') drawn.fills.push(String(value));
      target[name] = value;
      return true;
    },
  });
  drawn.surface = {
    context: context as unknown as CanvasRenderingContext2D, width, height, ratio: 1, palette: dark ? darkPalette : lightPalette,
  };
  return drawn;
}
