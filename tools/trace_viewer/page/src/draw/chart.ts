// Parts that charts share: messages in place of a chart, bars with their label and value, and labelled axes.

import { fonts, type Surface } from './surface.ts';
import { FitText, TextWidth } from './surface.ts';

// Where there is nothing to draw: says why, in the middle.
export function DrawMessage(surface: Surface, text: string): void {
  const { context, width, height, palette } = surface;
  context.font = fonts.body;
  context.fillStyle = palette.faint;
  context.textAlign = 'center';
  context.fillText(FitText(surface, text, width - 24), width / 2, height / 2);
  context.textAlign = 'left';
  context.font = fonts.small;
}

// A text at (x, y), cut to `width`.
export function DrawText(
  surface: Surface, text: string, x: number, y: number, width: number, color: string, font = fonts.small,
  align: 'left' | 'right' | 'center' = 'left',
): void {
  const { context } = surface;
  context.font = font;
  context.fillStyle = color;
  context.textAlign = align;
  context.fillText(FitText(surface, text, width), x, y);
  context.textAlign = 'left';
  context.font = fonts.small;
}

// The end of a text that fits into `width` pixels: names of neighbours begin alike and end apart.
export function FitEnd(surface: Surface, text: string, width: number): string {
  const { context } = surface;
  if (TextWidth(context, text) <= width) return text;
  let low = 0; // characters that fit
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (TextWidth(context, '…' + text.slice(text.length - middle)) <= width) low = middle;
    else high = middle - 1;
  }
  const end = text.slice(text.length - low).replace(/^[._/]+/, '');
  return end.length < 6 ? '' : '…' + end;
}

// A text over what is drawn already, with a rim that keeps it readable on any colour.
export function DrawTextOver(surface: Surface, text: string, x: number, y: number, align: 'left' | 'right' = 'left'): void {
  const { context, palette } = surface;
  context.textAlign = align;
  context.lineJoin = 'round';
  context.strokeStyle = palette.background;
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = palette.text;
  context.fillText(text, x, y);
  context.lineWidth = 1;
  context.textAlign = 'left';
}

// A part of a surface.
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
}

// A horizontal line with its value at the left end.
export function DrawLevel(surface: Surface, frame: Frame, y: number, text: string): void {
  const { context, palette } = surface;
  context.fillStyle = palette.line;
  context.fillRect(frame.left, Math.round(y), frame.width, 1);
  DrawText(surface, text, frame.left - 6, Math.round(y), frame.left - 8, palette.faint, fonts.small, 'right');
}

// A dashed horizontal line across the frame.
export function DrawDashed(surface: Surface, x: number, right: number, y: number, color: string): void {
  const { context } = surface;
  context.save();
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(x, Math.round(y) + 0.5);
  context.lineTo(right, Math.round(y) + 0.5);
  context.stroke();
  context.restore();
}
