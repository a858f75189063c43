// Cells: rectangles of address x time, painted once into a grid of small numbers, with grids of half, a quarter ... of its
// columns. A picture of any range of time that is not finer than the grid costs as much as its pixels, however many rectangles
// there are. Row 0 is at the top.

import type { Raster } from './raster.ts';

// What a grid is painted with, by key.
export interface Rectangles {
  begin: Float64Array; // ns
  end: Float64Array;
  bottom: Float64Array;
  height: Float64Array;
  code: Uint8Array;
}

export class Cells {
  readonly levels: Uint8Array[]; // [0] is the finest; each has half the columns of the one before. 0: nothing is there
  private readonly scale: number; // columns of the finest for each ns

  // `columns`: a power of two.
  constructor(readonly rows: number, readonly columns: number, duration: number) {
    this.levels = [new Uint8Array(rows * columns)];
    this.scale = columns / duration;
  }

  // The rectangles with these keys one over the other: [begin, end) ns x [bottom, bottom + height) of `tall`, which the rows
  // divide, from below; at least one cell where any part of it lies inside. All in one loop: numbers that go from one function to
  // another are boxed until both are machine code.
  Fill(keys: Uint32Array, { begin, end, bottom, height, code }: Rectangles, tall: number): void {
    const { rows, columns, scale } = this;
    const cells = this.levels[0]!;
    const rowsForOne = rows / tall;
    for (let k = 0; k < keys.length; ++k) {
      const i = keys[k]!;
      const kind = code[i]!;
      const x = Math.max(0, Math.floor(begin[i]! * scale));
      const endX = Math.min(columns, Math.max(Math.round(end[i]! * scale), x + 1));
      const low = rows - bottom[i]! * rowsForOne;
      const y = Math.max(0, Math.floor(low - height[i]! * rowsForOne));
      const endY = Math.min(rows, Math.max(Math.round(low), y + 1));
      if (endX - x > 32) {
        for (let row = y; row < endY; ++row) cells.fill(kind, row * columns + x, row * columns + endX);
      } else {
        for (let row = y; row < endY; ++row) for (let at = row * columns + x; at < row * columns + endX; ++at) cells[at] = kind;
      }
    }
  }

  // Makes the coarser grids, once all is painted. A cell has what its first half has, or else its second.
  Finish(): void {
    for (let columns = this.columns; columns > 1; columns /= 2) this.levels.push(Halved(this.levels[this.levels.length - 1]!));
  }

  // Whether a picture with so many pixels for each ns is not finer than the grid.
  Suits(pixelsForNs: number): boolean {
    return pixelsForNs <= this.scale;
  }

  // Paints [begin, end) ns over the whole raster, which is as high as the grid. `colors` by code; [0]: where nothing is.
  Paint(raster: Raster, begin: number, end: number, colors: Uint32Array): void {
    const pixelsForNs = raster.width / (end - begin);
    let level = 0;
    let columns = this.columns;
    while (level + 1 < this.levels.length && (this.scale * columns) / this.columns / 2 >= pixelsForNs) {
      ++level;
      columns /= 2;
    }
    const cells = this.levels[level]!;
    const scale = (this.scale * columns) / this.columns;
    // A pixel covers parts of three columns at most.
    const first = new Int32Array(raster.width);
    const middle = new Int32Array(raster.width);
    const last = new Int32Array(raster.width);
    for (let x = 0; x < raster.width; ++x) {
      const from = Math.floor((begin + x / pixelsForNs) * scale);
      const to = Math.ceil((begin + (x + 1) / pixelsForNs) * scale) - 1;
      first[x] = from < 0 || from >= columns ? -1 : from;
      last[x] = to < 0 || to >= columns ? first[x]! : to;
      middle[x] = first[x]! < last[x]! ? first[x]! + 1 : first[x]!;
    }
    const { pixels, width } = raster;
    for (let row = 0; row < raster.height; ++row) {
      const base = row * columns;
      const out = row * width;
      for (let x = 0; x < width; ++x) {
        const from = first[x]!;
        const code = from < 0 ? 0 : cells[base + from]! || cells[base + middle[x]!]! || cells[base + last[x]!]!;
        pixels[out + x] = colors[code]!;
      }
    }
  }
}

function Halved(below: Uint8Array): Uint8Array {
  const above = new Uint8Array(below.length / 2);
  for (let i = 0; i < above.length; ++i) above[i] = below[2 * i]! || below[2 * i + 1]!;
  return above;
}
