// A picture from the grid against one of the rectangles themselves: it shows whatever is there, at most a column beside it.
import { expect, test } from 'vitest';
import { Cells } from '../../src/draw/cells.ts';
import type { Raster } from '../../src/draw/raster.ts';
import { Random } from './random.ts';

const rows = 8;
const duration = 4096;

test('every rectangle is seen at every zoom, and nothing else', () => {
  const random = new Random(31);
  for (let round = 0; round < 60; ++round) {
    const cells = new Cells(rows, 512, duration);
    const boxes = Array.from({ length: 1 + random.Below(30) }, () => {
      const begin = random.Below(duration);
      const top = random.Below(rows);
      return { begin, end: begin + random.Below(300), top, bottom: top + 1 + random.Below(3), code: 1 + random.Below(5) };
    });
    const Of = (take: (box: (typeof boxes)[number]) => number) => Float64Array.from([...boxes, boxes[0]!], take); // the last is not asked for
    cells.Fill(Uint32Array.from(boxes, (_, i) => i), {
      begin: Of(box => box.begin), end: Of(box => box.end), bottom: Of(box => 2 * (rows - box.bottom)),
      height: Of(box => 2 * (box.bottom - box.top)), code: Uint8Array.from([...boxes.map(box => box.code), 9]),
    }, 2 * rows);
    cells.Finish();
    const width = 16 + random.Below(200);
    const begin = random.Below(2000) - 100;
    const end = begin + width * (8 + random.Below(60)); // a pixel is a column of 8 ns, or more
    expect(cells.Suits(width / (end - begin))).toBe(true);
    const raster = { width, height: rows, pixels: new Uint32Array(width * rows) } as unknown as Raster;
    cells.Paint(raster, begin, end, Uint32Array.of(0, 11, 12, 13, 14, 15));
    const nsForPixel = (end - begin) / width;
    for (let row = 0; row < rows; ++row) {
      for (let x = 0; x < width; ++x) {
        const from = begin + x * nsForPixel;
        const pixel = raster.pixels[row * width + x]!;
        const In = (slack: number) => boxes.filter(box => row >= box.top && row < box.bottom &&
          box.begin < from + nsForPixel + slack && Math.max(box.end, box.begin + 1) > from - slack);
        // Seen wherever one is in the middle of the pixel; never further away than two columns of the level.
        const certain = boxes.some(box => row >= box.top && row < box.bottom && box.begin <= from && box.end >= from + nsForPixel);
        if (certain && from >= 0 && from + nsForPixel < duration) expect(pixel).not.toBe(0);
        if (pixel !== 0) expect(In(2 * nsForPixel + 16).map(box => box.code + 10)).toContain(pixel);
      }
    }
    // None is lost, however short.
    for (const box of boxes) {
      if (box.begin < begin + 3 * nsForPixel || box.begin > end - 3 * nsForPixel || box.begin > duration - 3 * nsForPixel) continue;
      const x = Math.floor((box.begin - begin) / nsForPixel);
      const near = [x - 2, x - 1, x, x + 1, x + 2].map(at => raster.pixels[box.top * width + at]);
      expect(near.some(pixel => pixel !== 0)).toBe(true);
    }
  }
});
