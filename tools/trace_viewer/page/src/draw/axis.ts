// Axes: round positions for ticks of time, bytes and plain numbers, and the drawing of a value axis within a surface.

import { FormatBytes } from './format.ts';
import type { Surface } from './surface.ts';

// Positions at multiples of 1, 2 or 5 times a power of ten: at most about `most` between `begin` and `end`.
export function RoundTicks(begin: number, end: number, most: number): number[] {
  if (!(end > begin) || most < 1) return [];
  const rough = (end - begin) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= rough)!;
  return Multiples(begin, end, step);
}

// The same at multiples of a power of two: for bytes.
export function ByteTicks(begin: number, end: number, most: number): number[] {
  if (!(end > begin) || most < 1) return [];
  const step = 2 ** Math.ceil(Math.log2((end - begin) / most));
  return Multiples(begin, end, step);
}

function Multiples(begin: number, end: number, step: number): number[] {
  const ticks: number[] = [];
  const first = Math.ceil(begin / step);
  const last = Math.floor(end / step);
  for (let i = first; i <= last && ticks.length < 1000; ++i) ticks.push(i * step);
  return ticks;
}

// Grid lines with bytes at their right end, for a scale from 0 at the bottom to `top` at the top of the surface.
export function DrawByteAxis(surface: Surface, top: number, inset = 0): void {
  const { context, width, height, palette } = surface;
  for (const tick of ByteTicks(0, top, Math.max(1, Math.floor((height - inset) / 28)))) {
    const y = Math.round(height - (tick / top) * (height - inset)) - 0.5;
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    if (tick === 0) continue;
    context.fillStyle = palette.faint;
    context.textAlign = 'right';
    context.fillText(FormatBytes(tick), width - 4, y + 7);
    context.textAlign = 'left';
  }
}
