// Drawing of a row of spans at any zoom. Where there are few for the pixels each is a rectangle, with its name where that
// fits. Where there are many, each column of pixels has the colour of what covers the most of it, more or less opaque by how
// much of it is covered: a strip one pixel high is made and stretched.

import { fan, LowerBound, type SpanPyramid } from './pyramid.ts';
import { Rgba } from './palette.ts';
import { FitText, type Surface } from './surface.ts';
import type { Viewport } from '../views/view.ts';

export interface SpanStyle {
  colors: string[]; // by category
  inks: string[]; // of names, by category
  name: (span: number) => string; // of a span of the pyramid
}

const mostRectangles = 1; // for each pixel of width
const nodesForPixel = 4;

let strip: { canvas: HTMLCanvasElement; context: CanvasRenderingContext2D; image: ImageData } | null = null;

function Strip(width: number) {
  if (strip === null || strip.canvas.width !== width) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true })!;
    strip = { canvas, context, image: context.createImageData(width, 1) };
  }
  return strip;
}

export function DrawSpans(surface: Surface, viewport: Viewport, pyramid: SpanPyramid, y: number, height: number,
    style: SpanStyle): void {
  const first = pyramid.FirstEndingAfter(viewport.begin - OnePixel(viewport));
  const last = pyramid.FirstBeginningAt(viewport.end);
  if (last <= first) return;
  if (last - first <= mostRectangles * viewport.width) {
    DrawRectangles(surface, viewport, pyramid, first, last, y, height, style);
  } else {
    DrawStrip(surface, viewport, pyramid, first, last, y, height, style);
  }
}

function OnePixel(viewport: Viewport): number {
  return (viewport.end - viewport.begin) / viewport.width;
}

function DrawRectangles(surface: Surface, viewport: Viewport, pyramid: SpanPyramid, first: number, last: number, y: number,
    height: number, style: SpanStyle): void {
  const { begin, end, category } = pyramid.spans;
  const context = surface.context;
  const scale = viewport.width / (viewport.end - viewport.begin);
  const names: { x: number; width: number; span: number }[] = [];
  let color = -1;
  for (let i = first; i < last; ++i) {
    const x = Math.max(-1, (begin[i]! - viewport.begin) * scale);
    const right = Math.min(viewport.width + 1, (end[i]! - viewport.begin) * scale);
    // A gap of half a pixel parts neighbours that are wide enough to lose it.
    const width = Math.max(1, right - x - (right - x > 3 ? 0.5 : 0));
    if (category[i] !== color) context.fillStyle = style.colors[(color = category[i]!)]!;
    context.fillRect(x, y, width, height);
    if (width > 24) names.push({ x: Math.max(0, x), width: right - Math.max(0, x), span: i });
  }
  if (height < 12) return;
  for (const { x, width, span } of names) {
    const text = FitText(surface, style.name(span), width - 8);
    if (text === '') continue;
    context.fillStyle = style.inks[category[span]!]!;
    context.fillText(text, x + 4, y + height / 2 + 0.5);
  }
}

// The lowest level with at most `nodesForPixel` nodes for each pixel.
function LevelFor(pyramid: SpanPyramid, spans: number, width: number): number {
  let level = 0;
  for (let nodes = spans; nodes > nodesForPixel * width && level + 1 < pyramid.levels.length; nodes /= fan) ++level;
  return level;
}

const noWeights = { covered: new Float32Array(0), best: new Float32Array(0), category: new Uint8Array(0) };
let weights = noWeights;

function DrawStrip(surface: Surface, viewport: Viewport, pyramid: SpanPyramid, first: number, last: number, y: number,
    height: number, style: SpanStyle): void {
  const columns = Math.max(1, Math.round(viewport.width * surface.ratio));
  if (weights.covered.length !== columns) {
    weights = { covered: new Float32Array(columns), best: new Float32Array(columns), category: new Uint8Array(columns) };
  }
  const { covered, best, category } = weights;
  covered.fill(0);
  best.fill(0);
  const number = LevelFor(pyramid, last - first, columns);
  const level = pyramid.levels[number]!;
  const size = fan ** number;
  const from = Math.floor(first / size);
  const to = Math.min(level.begin.length, Math.ceil(last / size));
  const scale = columns / (viewport.end - viewport.begin);
  for (let node = from; node < to; ++node) {
    const left = (level.begin[node]! - viewport.begin) * scale;
    const right = (level.end[node]! - viewport.begin) * scale;
    const firstColumn = Math.max(0, Math.floor(left));
    const lastColumn = Math.min(columns - 1, Math.floor(right));
    const kind = level.category[node]!;
    const whole = level.covered[node]! * scale; // in columns
    if (firstColumn >= lastColumn) {
      if (firstColumn === lastColumn) AddTo(firstColumn, Math.max(whole, 0.02), kind);
      continue;
    }
    const density = whole / (right - left);
    for (let column = firstColumn; column <= lastColumn; ++column) {
      const part = Math.min(right, column + 1) - Math.max(left, column);
      AddTo(column, Math.max(0.02, density * part), kind);
    }
  }
  function AddTo(column: number, amount: number, kind: number) {
    covered[column]! += amount;
    if (amount > best[column]!) {
      best[column] = amount;
      category[column] = kind;
    }
  }
  const { canvas, context, image } = Strip(columns);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = style.colors.map(color => Rgba(color) & 0xffffff);
  for (let column = 0; column < columns; ++column) {
    const part = covered[column]!;
    const alpha = part === 0 ? 0 : Math.round(255 * Math.min(1, 0.3 + 0.7 * part));
    pixels[column] = (alpha << 24 | colors[category[column]!]!) >>> 0;
  }
  context.putImageData(image, 0, 0);
  surface.context.imageSmoothingEnabled = false;
  surface.context.drawImage(canvas, 0, 0, columns, 1, 0, y, viewport.width, height);
}

// Ticks at the positions in `marked` (ascending span numbers) that are in view, one for each pixel at most.
export function DrawMarks(surface: Surface, viewport: Viewport, pyramid: SpanPyramid, marked: Uint32Array, y: number,
    height: number): void {
  const first = LowerBound(marked, pyramid.FirstEndingAfter(viewport.begin), false);
  const context = surface.context;
  context.fillStyle = surface.palette.selection;
  const scale = viewport.width / (viewport.end - viewport.begin);
  let drawn = -2;
  for (let i = first; i < marked.length; ++i) {
    const span = marked[i]!;
    const x = Math.max(0, (pyramid.spans.begin[span]! - viewport.begin) * scale);
    if (x > viewport.width) break;
    if (x < drawn + 1) continue;
    const width = Math.max(2, (pyramid.spans.end[span]! - viewport.begin) * scale - x);
    context.fillRect(x, y + height, Math.min(width, viewport.width - x), 2);
    drawn = x;
  }
}
