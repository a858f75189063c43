// A large trace: opening, panning and zooming.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdTimes, pages, records, type Opened } from './pages.ts';

const mostScript = 16; // ms of a frame, while panning. Zooming's figure is printed, and has no limit.

function Percentile(numbers: number[], share: number): number {
  return [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))]!;
}

describe('a large trace', () => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await pages.Open(pages.Page('large'));
  });
  afterAll(() => opened.Close());

  test('opens with every lane drawn, and asks for nothing', async () => {
    const { page } = opened;
    const at = await page.evaluate(() => performance.getEntriesByName('tierlib-drawn')[0]!.startTime);
    console.log(`opened ${records} records in ${at.toFixed(0)} ms`);
    if (holdTimes) expect(at).toBeLessThan(records > 1_500_000 ? 10_000 : 2000);
    // Each lane has colours on it that are not the grid's.
    const lanes = await page.$$eval('.timeline canvas[tabindex]', all => all.map(canvas => canvas.id));
    expect(lanes.length).toBeGreaterThan(4);
    for (const lane of lanes) expect(await opened.Colours(`#${lane}`), lane).toBeGreaterThan(2);
    await opened.Settle();
    expect(await opened.Shifts()).toEqual([]);
    expect(opened.requests).toEqual([opened.requests[0]]);
    expect(opened.requests[0]).toMatch(/^file:/);
    expect(opened.errors).toEqual([]);
  });

  test.each([[1340, 872], [2300, 1412]])('pans and zooms at %i x %i, and nothing shifts', async (width, height) => {
    const { page } = opened;
    await page.setViewportSize({ width, height });
    await page.keyboard.press('0');
    await opened.Settle();
    await opened.Shifts(); // of the page's size
    const box = (await page.locator('#view-ops').boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + 8);
    // Each turn of the wheel is a frame: the browser hands it over when it begins one.
    const Wheel = async (x: number, y: number, times: number) => {
      for (let i = 0; i < times; ++i) await page.mouse.wheel(x, y);
    };
    const Zoom = async (by: number, times: number) => {
      await page.keyboard.down('Control');
      await Wheel(0, by, times);
      await page.keyboard.up('Control');
    };
    const times = await opened.FrameTimes(async Name => {
      for (let level = 0; level < 2; ++level) {
        await Name('zoom');
        await Zoom(-12, 12);
        await Name('waiting');
        await opened.Settle();
        await Name('pan');
        await Wheel(40, 0, 14);
        await Wheel(-40, 0, 6);
      }
    });
    for (const name of ['pan', 'zoom']) {
      const frames = times.get(name) ?? [];
      console.log(`${name} at ${width} x ${height}: ${frames.length} frames, p50 ${Percentile(frames, 0.5).toFixed(1)} ms, ` +
        `p95 ${Percentile(frames, 0.95).toFixed(1)} ms of script`);
      expect(frames.length).toBeGreaterThanOrEqual(20);
      if (holdTimes && name === 'pan') expect(Percentile(frames, 0.95)).toBeLessThanOrEqual(mostScript);
    }
    expect(await opened.Shifts()).toEqual([]);
    expect(opened.errors).toEqual([]);
  });
});
