// Parts of which records are missing are seen as such: every lane, the axis and the overview are hatched there, and nowhere else.

import { expect, test } from 'vitest';
import type { Gap } from '../../src/model.ts';
import { pages, WithMeta, type Opened } from './pages.ts';

function WithGaps(as: string, gaps: (duration: number) => Gap[]): string {
  return pages.Changed('small', as, html => WithMeta(html, meta => ({ gaps: gaps(meta.summary.duration_ns) })));
}

const drawnOnTime = '.timeline canvas';

// The columns of pixels of each canvas of the timeline: a hash of each, or 0 where all its pixels are alike.
async function Columns(opened: Opened): Promise<number[][]> {
  const { page } = opened;
  await opened.Settle();
  // Lanes are drawn when they come into view.
  for (const lane of await page.$$(drawnOnTime)) await lane.scrollIntoViewIfNeeded();
  await page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve, 50))));
  return page.$$eval(drawnOnTime, all => all.map(element => {
    const { width, height } = element as HTMLCanvasElement;
    const pixels = new Uint32Array((element as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height).data.buffer);
    return Array.from({ length: width }, (_, x) => {
      let hash = 0;
      let isPlain = true;
      for (let at = x; at < width * height; at += width) {
        hash = Math.imul(hash ^ pixels[at]!, 0x01000193) + 1;
        isPlain &&= pixels[at] === pixels[x];
      }
      return isPlain ? 0 : hash;
    });
  }));
}

test.concurrent('gaps are hatched in every lane, and nothing else is', async () => {
  const { duration_ns: duration } = pages.Summary('small');
  const whole = WithGaps('whole', () => []);
  const holed = WithGaps('holed', length => [
    { begin: -1000, end: length * 0.1, reason: 'overwritten', what: 'the ring went round' },
    { begin: length * 0.4, end: length * 0.5, reason: 'dropped', what: '17 records are missing' },
    { begin: length * 0.7, end: length * 0.7, reason: 'dropped', what: 'one record is missing' },
    { begin: length * 0.9, end: null, reason: 'truncated', what: 'the program did not end the trace' },
  ]);
  const pictures: number[][][] = [];
  for (const path of [whole, holed]) {
    const opened = await pages.Open(path, { fragment: `#t=0-${duration}`, height: 1800 });
    pictures.push(await Columns(opened));
    expect(await opened.Range()).toEqual([0, duration]);
    await opened.Close();
  }
  const [before, after] = pictures as [number[][], number[][]];
  expect(after.length).toBeGreaterThan(8);
  after.forEach((canvas, i) => {
    if (i === 0) return; // the overview, which shows all of the time: below
    const width = canvas.length;
    const differs = canvas.flatMap((column, x) => (column === before[i]![x] ? [] : [x / width]));
    const Near = (share: number, other: number) => Math.abs(share - other) < 4 / width;
    const IsIn = (x: number, slack: number) => ([[0, 0.1], [0.4, 0.5], [0.9, 1]] as const).some(([from, to]) =>
      x > from - slack && x < to + slack);
    expect(differs.filter(x => !IsIn(x, 4 / width) && !Near(x, 0.7)), `canvas ${i}`).toEqual([]);
    const kept = canvas.flatMap((column, x) => (column === before[i]![x] ? [x / width] : []));
    expect(kept.filter(x => IsIn(x, -8 / width)), `canvas ${i}`).toEqual([]);
    expect(differs.some(x => Near(x, 0.7)), `canvas ${i}`).toBe(true);
  });
  const overview = after[0]!.flatMap((column, x) => (column === before[0]![x] ? [] : [x / after[0]!.length]));
  for (const share of [0.05, 0.45, 0.95]) expect(overview.some(x => Math.abs(x - share) < 0.02), `${share}`).toBe(true);
});

test.concurrent('a trace that was not ended is hatched after its last record', async () => {
  const opened = await pages.Open(pages.Page('hostile'), { height: 1800 });
  const { duration_ns: duration } = pages.Summary('hostile');
  const [begin, end] = await opened.Range();
  expect(end).toBeGreaterThan(duration * 1.01);
  const lanes = await Columns(opened);
  lanes.slice(1).forEach((columns, i) => {
    const first = Math.ceil(((duration - begin) / (end - begin)) * columns.length) + 2;
    expect(columns.length - first).toBeGreaterThan(10);
    for (let x = first; x < columns.length; ++x) expect(columns[x], `canvas ${i + 1} at ${x}`).not.toBe(0);
  });
  await opened.Close();
});
