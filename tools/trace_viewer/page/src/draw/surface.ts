// Surface: a canvas with its size in CSS pixels, its 2d context scaled so that one unit is one CSS pixel, and the palette to
// draw with. Text is drawn in the page's type scale.

import type { Palette } from './palette.ts';

export interface Surface {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  ratio: number; // device pixels per CSS pixel
  palette: Palette;
}

const family = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
export const fonts = { small: `11px ${family}`, body: `13px ${family}`, strong: `600 13px ${family}` };

// Makes the canvas `width` x `height` CSS pixels, clears it and gives what to draw with.
export function PrepareSurface(
  canvas: HTMLCanvasElement, width: number, height: number, palette: Palette, ratio = globalThis.devicePixelRatio || 1,
): Surface {
  const pixels = { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) };
  if (canvas.width !== pixels.width || canvas.height !== pixels.height) {
    canvas.width = pixels.width;
    canvas.height = pixels.height;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d')!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = fonts.small;
  context.textBaseline = 'middle';
  return { context, width, height, ratio, palette };
}

const widths = new Map<string, Map<string, number>>(); // by font, then text
const mostWidths = 20_000;

// The width of a text in the font of now. Asking the browser costs as much as drawing the text, and frame after frame asks the same.
export function TextWidth(context: CanvasRenderingContext2D, text: string): number {
  let known = widths.get(context.font);
  if (known === undefined) widths.set(context.font, (known = new Map()));
  let width = known.get(text);
  if (width === undefined) {
    if (known.size >= mostWidths) known.clear();
    known.set(text, (width = context.measureText(text).width));
  }
  return width;
}

// A text that fits into `width` pixels: cut with an ellipsis, or nothing where hardly a letter fits.
export function FitText(surface: Surface, text: string, width: number): string {
  const context = surface.context;
  if (width < 14) return '';
  if (TextWidth(context, text) <= width) return text;
  let low = 0;
  let high = Math.min(text.length, Math.ceil(width / 3));
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (TextWidth(context, text.slice(0, middle) + '…') <= width) low = middle;
    else high = middle - 1;
  }
  return low < 5 ? '' : text.slice(0, low) + '…';
}

// Fills a rectangle with diagonal lines: where records are missing, or an area stands for no measured value.
export function Hatch(surface: Surface, x: number, y: number, width: number, height: number): void {
  if (width <= 0 || height <= 0) return;
  const context = surface.context;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = surface.palette.gap;
  context.lineWidth = 1;
  context.beginPath();
  for (let offset = -height; offset < width; offset += 6) {
    context.moveTo(x + offset, y + height);
    context.lineTo(x + offset + height, y);
  }
  context.stroke();
  context.restore();
}
