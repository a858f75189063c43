// Mouse, touch pad and touch.

import { test, type ExpectStatic } from 'vitest';
import { pages, type Opened } from './pages.ts';

test.concurrent('mouse: zoom to a range, select, drag, zoom by wheel', async ({ expect }) => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  const [begin, end] = await opened.Range();
  const box = (await page.locator('#view-copies-in').boundingBox())!;
  const y = box.y + box.height - 12;
  await page.keyboard.down('Shift');
  await page.mouse.move(box.x + box.width * 0.25, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  const [from, to] = await opened.Range();
  const length = end - begin;
  expect(Math.abs(from - (begin + length * 0.25))).toBeLessThan(length * 0.01);
  expect(Math.abs(to - (begin + length * 0.5))).toBeLessThan(length * 0.01);
  await page.mouse.move(box.x + 200, y);
  await page.mouse.down();
  await page.mouse.move(box.x + 300, y, { steps: 4 });
  await page.mouse.up();
  const [dragged] = await opened.Range();
  expect(Math.abs(dragged - (from - (to - from) * 100 / box.width))).toBeLessThan((to - from) * 0.02);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -100);
  await page.keyboard.up('Control');
  const [near, far] = await opened.Range();
  expect(far - near).toBeLessThan(to - from);
  // A click at the middle of an item selects it.
  await page.keyboard.press('0');
  await page.focus('#view-copies-in');
  await page.keyboard.press(']');
  await page.keyboard.press('z');
  await page.keyboard.press('Escape');
  await page.mouse.click(box.x + box.width / 2, y);
  expect(await opened.Item()).toMatch(/^copies-in\.\d+/);
  await opened.Close();
});

const Length = ([begin, end]: [number, number]) => end - begin;

// Until the page shows this range, but for a hundredth of it: what the browser hands over of wheels and fingers comes with the next
// frame.
async function ExpectRange(expect: ExpectStatic, opened: Opened, expected: [number, number]): Promise<void> {
  await expect.poll(async () => {
    const [begin, end] = await opened.Range();
    return Math.max(Math.abs(begin - expected[0]), Math.abs(end - expected[1])) / Length(expected);
  }, { timeout: 10_000 }).toBeLessThan(0.01);
}

// Shows the middle of the trace, with room on both sides, and returns what is shown.
async function InTheMiddle(opened: Opened): Promise<[number, number]> {
  await opened.page.keyboard.press('0');
  for (let i = 0; i < 4; ++i) await opened.page.keyboard.press('+');
  return opened.Range();
}

test.concurrent('touch pad: two fingers pan and scroll, a pinch zooms', async ({ expect }) => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  const [begin, end] = await InTheMiddle(opened);
  const length = end - begin;
  const box = (await page.locator('#view-copies-in').boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.25, box.y + box.height / 2);
  // A pinch reaches the page as a wheel with Ctrl, in small steps.
  await page.keyboard.down('Control');
  for (let i = 0; i < 10; ++i) await page.mouse.wheel(0, -5);
  const factor = Math.exp(-0.5);
  await ExpectRange(expect, opened, [begin + length * 0.25 * (1 - factor), end - length * 0.75 * (1 - factor)]);
  for (let i = 0; i < 10; ++i) await page.mouse.wheel(0, 5);
  await page.keyboard.up('Control');
  await ExpectRange(expect, opened, [begin, end]);
  expect(await page.evaluate(() => visualViewport!.scale)).toBe(1);
  // Two fingers sideways, never quite level.
  for (let i = 0; i < 10; ++i) await page.mouse.wheel(box.width / 100, i % 2 === 0 ? 1 : -1);
  await ExpectRange(expect, opened, [begin + length * 0.1, end + length * 0.1]);
  // Up and down they scroll the lanes, and time stays.
  const before = await opened.Range();
  await page.mouse.wheel(0, 200);
  await page.waitForFunction(() => document.querySelector('.timeline')!.scrollTop > 50);
  expect(await opened.Range()).toEqual(before);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('touch: one finger drags and taps, two zoom and pan', async ({ expect }) => {
  const opened = await pages.Open(pages.Page('small'), { hasTouch: true });
  const { page } = opened;
  const session = await page.context().newCDPSession(page);
  const box = (await page.locator('#view-copies-in').boundingBox())!;
  const y = box.y + box.height - 12;
  // Fingers at shares of the width; they are lifted together.
  const Touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...shares: number[]) =>
    session.send('Input.dispatchTouchEvent', { type, touchPoints: shares.map((share, id) => ({ x: box.x + box.width * share, y, id })) });
  const [begin, end] = await InTheMiddle(opened);
  const length = end - begin;
  // Apart: what is between them stays there.
  await Touch('touchStart', 0.3);
  await Touch('touchStart', 0.3, 0.5);
  for (const by of [0.025, 0.05, 0.075, 0.1]) await Touch('touchMove', 0.3 - by, 0.5 + by);
  await ExpectRange(expect, opened, [begin + length * 0.2, end - length * 0.3]);
  // Side by side: it goes with them.
  for (const by of [0.05, 0.1, 0.15, 0.2]) await Touch('touchMove', 0.2 + by, 0.6 + by);
  await ExpectRange(expect, opened, [begin + length * 0.1, begin + length * 0.6]);
  await Touch('touchEnd');
  expect(await opened.Item()).toBe('');
  const before = await opened.Range();
  // Two fingers that do not move are no clicks.
  await page.focus('#view-copies-in');
  await page.keyboard.press(']');
  await page.keyboard.press('z');
  await page.keyboard.press('Escape');
  const zoomed = await opened.Range();
  expect(Length(zoomed)).toBeLessThan(Length(before));
  await Touch('touchStart', 0.5);
  await Touch('touchStart', 0.5, 0.52);
  await Touch('touchEnd');
  expect(await opened.Item()).toBe('');
  expect(await opened.Range()).toEqual(zoomed);
  // One finger: a tap selects, a drag pans.
  await Touch('touchStart', 0.5);
  await Touch('touchEnd');
  await expect.poll(() => opened.Item()).toMatch(/^copies-in\.\d+$/);
  await Touch('touchStart', 0.5);
  for (const share of [0.45, 0.4, 0.35, 0.3]) await Touch('touchMove', share);
  await Touch('touchEnd');
  const shift = Length(zoomed) * 0.2;
  await ExpectRange(expect, opened, [zoomed[0] + shift, zoomed[1] + shift]);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});
