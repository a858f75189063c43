// Tiles: what a view draws along the time axis, kept as pictures. A pan draws tiles of equal length at another place and makes only
// those that come into view; a change of scale, palette or filter makes one picture of all that is shown, and the tiles when
// nothing else is to be done: while one zooms every picture is shown once, and a tile for each 256 pixels would be waste.
//
// Invariants
//   I1  Tile i shows the time from i * length to (i + 1) * length, and the whole picture begins at a pixel of the tiles: so pixels
//       are those of the same instants wherever they are drawn, and nothing shimmers while panning.
//   I2  All that is kept has the kept scale, size and version.

import type { Viewport } from '../views/view.ts';
import { PrepareSurface, type Surface } from './surface.ts';

const tileWidth = 256; // CSS pixels
const most = 32; // tiles that are kept: of more than any screen is wide, those that were drawn last

export class Tiles {
  private kept = new Map<number, HTMLCanvasElement>();
  private spare: HTMLCanvasElement[] = []; // of dropped tiles: a canvas costs more to make than to draw on again
  private whole: { canvas: HTMLCanvasElement; at: number; width: number } | null = null; // of the last change; at: pixels
  private nsForPixel = 0;
  private version = '';
  private isPreparing = false;

  // `render` draws a picture on a clear surface: all of its viewport.
  constructor(private readonly render: (surface: Surface, viewport: Viewport) => void) {}

  // `version` stands for all that decides about the pixels besides time, scale, size and palette.
  Draw(surface: Surface, viewport: Viewport, version: string): void {
    const { context, height, ratio, palette } = surface;
    const nsForPixel = (viewport.end - viewport.begin) / viewport.width;
    if (!(nsForPixel > 0)) return;
    const whole = `${version} ${height} ${ratio} ${palette.dark}`;
    // A pan leaves the scale as it is but for rounding.
    const isNew = this.version !== whole || Math.abs(nsForPixel - this.nsForPixel) > 1e-9 * nsForPixel;
    if (isNew) {
      this.spare.push(...this.kept.values());
      this.kept.clear();
      this.nsForPixel = nsForPixel;
      this.version = whole;
    }
    const length = tileWidth * this.nsForPixel;
    const first = Math.floor(viewport.begin / length);
    const last = Math.floor(viewport.end / length);
    const at = Math.round((viewport.begin / this.nsForPixel) * ratio);
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (isNew || (this.whole?.at === at && this.whole.width === viewport.width)) {
      context.drawImage(this.Whole(surface, viewport.width, at, isNew), 0, 0);
    } else {
      for (let tile = first; tile <= last; ++tile) {
        const picture = this.Picture(surface, tile, length);
        context.drawImage(picture, Math.round(((tile * length - viewport.begin) / this.nsForPixel) * ratio), 0);
      }
    }
    context.restore();
    this.Prepare(surface, first - 1, last + 1, length);
  }

  // The picture of all that is shown, from the pixel `at` on.
  private Whole(surface: Surface, width: number, at: number, isNew: boolean): HTMLCanvasElement {
    const { height, ratio, palette } = surface;
    const canvas = this.whole?.canvas ?? document.createElement('canvas');
    if (isNew) {
      const begin = (at / ratio) * this.nsForPixel;
      this.render(PrepareSurface(canvas, width, height, palette, ratio), { begin, end: begin + width * this.nsForPixel, width });
      this.whole = { canvas, at, width };
    }
    return canvas;
  }

  // Makes the tiles of what is shown and those beside it when nothing else is to be done, one at a time: a pan finds them there.
  private Prepare(surface: Surface, from: number, to: number, length: number): void {
    const missing: number[] = [];
    for (let tile = from; tile <= to; ++tile) if (!this.kept.has(tile)) missing.push(tile);
    if (this.isPreparing || missing.length === 0) return;
    const { version, nsForPixel } = this;
    this.isPreparing = true;
    globalThis.requestIdleCallback?.(() => {
      this.isPreparing = false;
      if (this.version !== version || this.nsForPixel !== nsForPixel) return;
      this.Picture(surface, missing[0]!, length);
      this.Prepare(surface, from, to, length);
    });
  }

  private Picture(surface: Surface, tile: number, length: number): HTMLCanvasElement {
    let canvas = this.kept.get(tile);
    if (canvas !== undefined) {
      this.kept.delete(tile); // and to the end: it was drawn last
    } else {
      const { height, ratio, palette } = surface;
      canvas = this.spare.pop() ?? document.createElement('canvas');
      const picture = PrepareSurface(canvas, tileWidth, height, palette, ratio);
      this.render(picture, { begin: tile * length, end: (tile + 1) * length, width: tileWidth });
    }
    this.kept.set(tile, canvas);
    if (this.kept.size > most) {
      const [oldest, picture] = this.kept.entries().next().value!;
      this.kept.delete(oldest);
      this.spare.push(picture);
    }
    return canvas;
  }
}
