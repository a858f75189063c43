// Kept pictures of a lane: they are where their time is, cover all that is shown, and are made again only where they must be.

import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { darkPalette, lightPalette } from '../../src/draw/palette.ts';
import type { Surface } from '../../src/draw/surface.ts';
import { Tiles } from '../../src/draw/tiles.ts';
import { TimeToX, type Viewport } from '../../src/views/view.ts';
import { Random } from './random_trace.ts';

interface Picture {
  viewport: Viewport | null;
}

let idle: (() => void)[] = [];
beforeEach(() => {
  idle = [];
  vi.stubGlobal('document', {
    createElement: () => {
      const picture = {
        viewport: null, style: {},
        getContext: () => ({ setTransform: () => undefined, clearRect: () => undefined, picture }),
      };
      return picture;
    },
  });
  vi.stubGlobal('requestIdleCallback', (call: () => void) => idle.push(call));
});
afterAll(() => vi.unstubAllGlobals());

class Lane {
  made = 0;
  drawn: { picture: Picture; x: number }[] = [];
  readonly tiles = new Tiles((surface, viewport) => {
    ++this.made;
    (surface.context as unknown as { picture: Picture }).picture.viewport = viewport;
  });

  // Draws, and returns how many pictures were made for it.
  Draw(viewport: Viewport, version = '', ratio = 1, palette = lightPalette): number {
    const context = {
      save: () => undefined, restore: () => undefined, setTransform: () => undefined,
      drawImage: (picture: Picture, x: number) => this.drawn.push({ picture, x }),
    } as unknown as CanvasRenderingContext2D;
    const before = this.made;
    this.drawn = [];
    this.tiles.Draw({ context, width: viewport.width, height: 100, ratio, palette } satisfies Surface, viewport, version);
    return this.made - before;
  }
}

test.each([1, 2, 3, 4, 5, 6])('pictures are where their time is, and cover what is shown (seed %i)', seed => {
  const random = Random(seed);
  const lane = new Lane();
  let viewport = { begin: random() * 1e9, end: 2e9, width: 900 + Math.floor(random() * 900) };
  const ratio = seed % 2 === 0 ? 1 : 1.5;
  for (let i = 0; i < 60; ++i) {
    const length = (viewport.end - viewport.begin) * (random() < 0.3 ? 0.3 + 1.5 * random() : 1);
    const begin = viewport.begin + (random() - 0.5) * length;
    viewport = { ...viewport, begin, end: begin + length };
    lane.Draw(viewport, '', ratio);
    let covered = -Infinity;
    for (const { picture, x } of lane.drawn) {
      const tile = picture.viewport!;
      expect(Math.abs(x / ratio - TimeToX(viewport, tile.begin))).toBeLessThanOrEqual(0.51);
      const pixels = (tile.begin / (length / viewport.width)) * ratio; // every picture begins at a pixel of the same grid
      expect(Math.abs(pixels - Math.round(pixels))).toBeLessThan(1e-3);
      expect((tile.end - tile.begin) / tile.width / (length / viewport.width)).toBeCloseTo(1, 6);
      if (covered !== -Infinity) expect(TimeToX(viewport, tile.begin)).toBeCloseTo(TimeToX(viewport, covered), 3);
      covered = tile.end;
    }
    expect(TimeToX(viewport, lane.drawn[0]!.picture.viewport!.begin)).toBeLessThanOrEqual(0.501);
    expect(TimeToX(viewport, covered)).toBeGreaterThanOrEqual(viewport.width - 0.501);
  }
});

// Until nothing is to be done.
function Idle(): void {
  while (idle.length > 0) idle.splice(0).forEach(call => call());
}

test('a pan makes only what comes into view, and nothing where that was prepared', () => {
  const lane = new Lane();
  const At = (begin: number): Viewport => ({ begin, end: begin + 1000, width: 1000 });
  expect(lane.Draw(At(0))).toBe(1); // all of it as one
  expect(lane.Draw(At(0.2))).toBe(0); // the same pixels
  expect(lane.Draw(At(20))).toBe(4);
  expect(lane.Draw(At(300))).toBe(2); // 1024 ... 1535
  expect(lane.Draw(At(20))).toBe(0);
  Idle();
  expect(lane.Draw(At(-200))).toBe(0); // made while nothing else was to be done
});

test('what was changed is there in tiles when it is panned after a while', () => {
  const lane = new Lane();
  lane.Draw({ begin: 0, end: 1000, width: 1000 });
  const before = lane.made;
  Idle();
  expect(lane.made).toBe(before + 6);
  expect(lane.Draw({ begin: 100, end: 1100, width: 1000 })).toBe(0);
  // Of a scale that is gone nothing is made.
  lane.Draw({ begin: 0, end: 2000, width: 1000 });
  lane.Draw({ begin: 0, end: 1500, width: 1000 });
  const made = lane.made;
  idle.splice(0).forEach(call => call());
  expect(lane.made).toBe(made);
});

test('another scale, version, palette, ratio or size makes all of it again', () => {
  const lane = new Lane();
  const viewport = { begin: 0, end: 1000, width: 1000 };
  lane.Draw(viewport);
  expect(lane.Draw(viewport)).toBe(0);
  expect(lane.Draw({ ...viewport, end: 1001 })).toBe(1);
  expect(lane.Draw(viewport)).toBe(1);
  expect(lane.Draw(viewport, 'filtered')).toBe(1);
  expect(lane.Draw(viewport, 'filtered', 2)).toBe(1);
  expect(lane.Draw(viewport, 'filtered', 2, darkPalette)).toBe(1);
  expect(lane.Draw({ begin: 0, end: 2000, width: 2000 }, 'filtered', 2, darkPalette)).toBeGreaterThan(0);
});

test('a zoom draws on one canvas, and canvases of tiles that were dropped are used again', () => {
  const lane = new Lane();
  const canvases = new Set<Picture>();
  for (let length = 1000; length < 2000; length += 10) {
    lane.Draw({ begin: 0, end: length, width: 1000 });
    for (const { picture } of lane.drawn) canvases.add(picture);
  }
  expect(canvases.size).toBe(1);
  for (let length = 1000; length < 2000; length += 10) {
    lane.Draw({ begin: 0, end: length, width: 1000 });
    lane.Draw({ begin: 100, end: 100 + length, width: 1000 });
    for (const { picture } of lane.drawn) canvases.add(picture);
  }
  expect(canvases.size).toBe(1 + 5);
});

test('as many are kept as a screen needs, and no more', () => {
  const lane = new Lane();
  for (let begin = 0; begin < 100_000; begin += 1000) lane.Draw({ begin, end: begin + 1000, width: 1000 });
  expect(lane.Draw({ begin: 1000, end: 2000, width: 1000 })).toBe(5);
});
