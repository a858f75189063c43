// The keyboard reaches every function, and the help names every key.

import { expect, test } from 'vitest';
import { pages } from './pages.ts';

test.concurrent('the keyboard alone reaches every function', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  const whole = await opened.Range();
  const Length = ([begin, end]: [number, number]) => end - begin;
  let shown = whole;
  const Expect = async (key: string, holds: (before: [number, number], after: [number, number]) => boolean) => {
    const before = shown;
    await page.keyboard.press(key);
    shown = await opened.Range();
    expect(holds(before, shown), key).toBe(true);
  };
  // Time.
  for (const key of ['+', '=', 'w']) await Expect(key, (before, after) => Length(after) < Length(before));
  await Expect('s', (before, after) => Length(after) > Length(before));
  for (let i = 0; i < 4; ++i) await Expect('+', (before, after) => Length(after) < Length(before));
  for (const key of ['ArrowRight', 'd', 'Shift+ArrowRight', 'PageDown']) await Expect(key, (before, after) => after[0] > before[0]);
  for (const key of ['ArrowLeft', 'a', 'Shift+ArrowLeft', 'PageUp']) await Expect(key, (before, after) => after[0] < before[0]);
  await Expect('End', (before, after) => after[1] >= whole[1] - 2 && Length(after) < Length(whole) && before[1] < after[1]);
  await Expect('Home', (_, after) => after[0] < whole[0] + 0.1 * Length(whole));
  await Expect('-', (before, after) => Length(after) > Length(before));
  await Expect('0', (_, after) => Math.abs(Length(after) - Length(whole)) < 3);
  // Items.
  await page.keyboard.press('1'); // the selection's tab
  for (let i = 0; i < 2; ++i) await page.keyboard.press('ArrowDown');
  expect(await page.evaluate(() => document.activeElement?.id)).toMatch(/^view-/);
  await page.keyboard.press('Enter');
  const first = await opened.Text('#panel-selection caption');
  expect(first).not.toBe('');
  const Item = () => opened.Item();
  const one = await Item();
  await page.keyboard.press(']');
  expect(await Item()).not.toBe(one);
  await page.keyboard.press('[');
  expect(await Item()).toBe(one);
  await Expect('z', (before, after) => Length(after) < Length(before));
  await page.keyboard.press('Escape');
  expect(await Item()).toBe('');
  expect(await opened.Text('#panel-selection')).toContain('Nothing is selected');
  const view = await page.evaluate(() => document.activeElement?.id);
  await page.keyboard.press('ArrowUp');
  expect(await page.evaluate(() => document.activeElement?.id)).not.toBe(view);
  const status = () => opened.Text('[role=status]');
  await page.keyboard.press('.');
  const cursor = await status();
  expect(cursor).toMatch(/^Cursor at/);
  await page.keyboard.press(',');
  expect(await status()).not.toBe(cursor);
  // Search.
  await page.keyboard.press('0');
  await page.keyboard.press('/');
  await page.keyboard.type('layer');
  await page.keyboard.press('Enter');
  const found = await Item();
  expect(found).not.toBe('');
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  expect(await Item()).not.toBe(found);
  await page.keyboard.press('N');
  expect(await Item()).toBe(found);
  // The page.
  const theme = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await theme();
  await page.keyboard.press('t');
  await page.keyboard.press('t');
  expect(await theme()).not.toBe(light);
  await page.keyboard.press('t');
  const tabs = await page.$$eval('[role=tab]', all => all.map(tab => tab.id));
  for (let i = 0; i < Math.min(9, tabs.length); ++i) {
    await page.keyboard.press(`${i + 1}`);
    expect(await page.locator(`#${tabs[i]}`).getAttribute('aria-selected')).toBe('true');
  }
  await page.focus(`#${tabs[0]}`);
  await page.keyboard.press('ArrowRight');
  expect(await page.locator('[role=tab][aria-selected=true]').getAttribute('id')).not.toBe(tabs[tabs.length >= 9 ? 8 : tabs.length - 1]);
  await page.focus('[role=separator]');
  const height = await page.getAttribute('[role=separator]', 'aria-valuenow');
  await page.keyboard.press('ArrowUp');
  expect(await page.getAttribute('[role=separator]', 'aria-valuenow')).not.toBe(height);
  // The filter, by tabbing through its form.
  await page.keyboard.press('f');
  await page.keyboard.press('Space'); // the first tag
  for (let i = 0; i < 40 && await page.evaluate(() => document.activeElement?.getAttribute('placeholder')) !== 'as 64 KiB'; ++i) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.type('nonsense');
  await page.keyboard.press('Enter');
  expect(await opened.Text('dialog[open] [role=alert]')).toContain('"nonsense" is no size');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('1 MiB');
  await page.keyboard.press('Enter');
  expect(await page.locator('dialog[open]').count()).toBe(0);
  expect(await page.locator('button[aria-pressed=true]').textContent()).toBe('Filter: 8 tags, from 1 MiB');
  // The rows of a table select what they stand for.
  await page.focus('#view-copies-out');
  await page.keyboard.press('2');
  await opened.Settle();
  const before = await Item();
  await page.focus('#panel-rows tbody tr:nth-child(3) button');
  await page.keyboard.press('Enter');
  const chosen = await Item();
  expect(chosen).not.toBe(before);
  expect(chosen).toMatch(/^copies-out/);
  // The table is another one now, and who is on its row still is.
  await opened.Settle();
  expect(await page.evaluate(() => document.activeElement?.matches('#panel-rows tbody button'))).toBe(true);
  expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset['item'])).toBe(chosen);
  await opened.Close();
});

test.concurrent('every key of the help is bound once, and every view is told of', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  await page.keyboard.press('?');
  const keys = await page.$$eval('dialog[open] kbd', all => all.map(key => key.textContent));
  expect(keys.length).toBeGreaterThan(30);
  expect(new Set(keys).size).toBe(keys.length);
  const titles = await page.$$eval('.timeline canvas[tabindex]', all => all.map(view => view.getAttribute('aria-label')!.split('.')[0]!));
  const help = await opened.Text('dialog[open]');
  for (const title of titles) expect(help).toContain(title);
  await opened.Close();
});
