// Raster: rectangles painted into pixels one by one. Drawing a million rectangles on a canvas takes seconds; most of them share
// a pixel, and here each costs as much as the pixels that it covers.

export class Raster {
  readonly pixels: Uint32Array<ArrayBuffer>;
  private readonly image: ImageData;

  constructor(readonly width: number, readonly height: number) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer as ArrayBuffer);
  }

  // [left, right) x [top, bottom), clipped; at least one pixel where any part of it lies inside. `rgba` as palette.ts has it.
  Fill(left: number, top: number, right: number, bottom: number, rgba: number): void {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const endX = Math.min(this.width, Math.max(Math.round(right), x + 1));
    const endY = Math.min(this.height, Math.max(Math.round(bottom), y + 1));
    if (endX === x + 1) { // one column: what most rectangles are where there are many
      for (let at = y * this.width + x; at < endY * this.width; at += this.width) this.pixels[at] = rgba;
      return;
    }
    if (endX <= x) return;
    for (let row = y; row < endY; ++row) this.pixels.fill(rgba, row * this.width + x, row * this.width + endX);
  }

  // Puts the pixels at (x, y) of the canvas, in its own pixels: the transform does not apply, and what was there goes.
  Put(context: CanvasRenderingContext2D, x: number, y: number): void {
    context.putImageData(this.image, x, y);
  }
}

// A clear raster of that size: `last` again where it has it.
export function ClearRaster(last: Raster | null, width: number, height: number): Raster {
  const size = { width: Math.max(1, Math.round(width)), height: Math.max(1, Math.round(height)) };
  if (last === null || last.width !== size.width || last.height !== size.height) return new Raster(size.width, size.height);
  last.pixels.fill(0);
  return last;
}
