// The keyboard reaches every function, and the help names every key. Nothing here is clicked, and nothing gets the focus but by keys.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pages, type Opened } from './pages.ts';

// Presses a key until an element that matches has the focus.
async function Until({ page }: Opened, key: string, selector: string): Promise<void> {
  const IsThere = () => page.evaluate(wanted => document.activeElement?.matches(wanted) === true, selector);
  for (let i = 0; i < 120 && !(await IsThere()); ++i) await page.keyboard.press(key);
  expect(await IsThere(), `${key} until ${selector}`).toBe(true);
}

// By the dialog of exports: the name of the file that comes, and its bytes.
async function Export(opened: Opened, title: string): Promise<{ name: string; bytes: Buffer }> {
  const { page } = opened;
  await page.keyboard.press('e');
  expect(await page.locator('dialog[open]').count()).toBe(1);
  const Chosen = () => page.evaluate(() => document.activeElement?.textContent);
  for (let i = 0; i < 8 && (await Chosen()) !== title; ++i) await page.keyboard.press('Tab');
  expect(await Chosen()).toBe(title);
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  expect(await page.locator('dialog[open]').count()).toBe(0);
  return { name: download.suggestedFilename(), bytes: readFileSync((await download.path())!) };
}

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
  await Until(opened, 'Tab', '[role=tab]');
  await page.keyboard.press('ArrowRight');
  expect(await page.locator('[role=tab][aria-selected=true]').getAttribute('id')).not.toBe(tabs[tabs.length >= 9 ? 8 : tabs.length - 1]);
  await Until(opened, 'Shift+Tab', '[role=separator]');
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
  await Until(opened, 'Shift+Tab', '#view-copies-out');
  await page.keyboard.press('2');
  await opened.Settle();
  const before = await Item();
  await page.keyboard.press('p'); // past the other views, each of which would be the active one
  await Until(opened, 'Tab', '#panel-rows tbody tr:nth-child(3) button');
  await page.keyboard.press('Enter');
  const chosen = await Item();
  expect(chosen).not.toBe(before);
  expect(chosen).toMatch(/^copies-out/);
  // The table is another one now, and who is on its row still is.
  await opened.Settle();
  expect(await page.evaluate(() => document.activeElement?.matches('#panel-rows tbody button'))).toBe(true);
  expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset['item'])).toBe(chosen);
  // Exports.
  const picture = await Export(opened, 'Timeline as PNG');
  expect(picture.name).toBe('small.tlt-timeline.png');
  expect(picture.bytes.subarray(1, 4).toString()).toBe('PNG');
  const table = await Export(opened, 'Rows of the active view as CSV');
  expect(table.name).toBe('small.tlt-copies-out.csv');
  expect(table.bytes.toString()).toMatch(/^Storage,Tag,Size/);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('the keyboard alone selects what a panel shows, works its controls and exports it', async () => {
  const opened = await pages.Open(pages.Page('small', 'other'), { height: 1100 });
  const { page } = opened;
  const GoTo = async (panel: string) => {
    await Until(opened, 'Tab', '[role=tab]');
    await Until(opened, 'ArrowRight', `#tab-${panel}`);
    await opened.Settle();
  };
  // The first items of the panel, by an arrow key.
  const Walk = async (panel: string, most: number) => {
    await Until(opened, 'Tab', `#panel-${panel} canvas`);
    const before = await opened.Range();
    const found: string[] = [];
    for (let i = 0; i < most; ++i) {
      await page.keyboard.press(i % 2 === 0 ? 'ArrowRight' : 'ArrowDown');
      const item = await opened.Item();
      if (item === found.at(-1)) break; // the last
      found.push(item);
    }
    expect(await opened.Text('[role=status]')).not.toBe('');
    for (const item of found) expect(item).toMatch(new RegExp(`^${panel}\\.\\d+$`));
    expect(new Set(found).size).toBe(found.length);
    expect(found.length, panel).toBeGreaterThan(1);
    expect(await opened.Range()).toEqual(before); // the picture stays while one walks through it
    await page.keyboard.press('ArrowLeft');
    expect(await opened.Item()).toBe(found.at(-2));
    await page.keyboard.press(']');
    await page.keyboard.press('[');
    expect(await opened.Item()).toBe(found.at(-2));
    return found;
  };
  const Pixels = (panel: string) =>
    page.locator(`#panel-${panel} canvas`).evaluate(canvas => (canvas as HTMLCanvasElement).toDataURL());

  await GoTo('holes');
  const [first] = await Walk('holes', 6);
  // On to a hole, and to a block: keys of items are even for holes.
  for (const kind of [0, 1]) {
    const Is = async () => Number((await opened.Item()).split('.')[1]) % 2 === kind;
    for (let i = 0; i < 1000 && !(await Is()); ++i) await page.keyboard.press('ArrowRight');
    expect(await Is(), `${kind}`).toBe(true);
  }
  await opened.Settle();
  const marked = await Pixels('holes');
  await page.keyboard.press('Enter'); // to the block: it was there at the cursor, so that instant goes on being told of
  await opened.Settle();
  expect(await Pixels('holes')).toBe(marked);
  await page.keyboard.press('Escape');
  expect(await opened.Item()).toBe('');
  await opened.Settle();
  expect(await Pixels('holes')).not.toBe(marked); // what is selected can be seen
  await page.keyboard.press('Enter'); // as a view: the first item
  expect(await opened.Item()).toBe(first);
  await page.keyboard.press('Escape');

  await GoTo('peak');
  const Offered = () => page.$$eval('#panel-peak tbody button', all => all.map(button => (button as HTMLElement).dataset['item']));
  const offered = await Offered();
  const blocks = await Walk('peak', 12);
  expect(blocks.some(item => !offered.includes(item))).toBe(true); // also blocks that no row of the table stands for
  const Caption = (text: string) =>
    page.waitForFunction(wanted => document.querySelector('#panel-peak caption')?.textContent?.includes(wanted), text);
  await Until(opened, 'Shift+Tab', '#panel-peak label:last-child select');
  await page.keyboard.press('ArrowDown');
  await Caption('held, by label');
  await page.keyboard.press('ArrowUp');
  await Until(opened, 'Shift+Tab', '#panel-peak input[type=number]');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('1');
  await Caption('hold 1 % less');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('ArrowDown'); // the next tier
  await page.waitForFunction(before => [...document.querySelectorAll<HTMLElement>('#panel-peak tbody button')]
    .every(button => !before.includes(button.dataset['item'])), offered);
  await page.keyboard.press('ArrowUp');

  await GoTo('lineage');
  await page.keyboard.press('Escape');
  await opened.Settle();
  const storages = await Walk('lineage', 6);
  await page.keyboard.press('Enter'); // as a click: its lineage
  await page.waitForFunction(() => document.querySelector('#panel-lineage caption')?.textContent?.startsWith('What happened to'));
  expect(await opened.Item()).toBe(storages.at(-2));
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelector('#panel-lineage caption')?.textContent?.startsWith('Copies avoided'));

  for (const panel of ['link', 'waits', 'compare']) {
    await GoTo(panel);
    await Walk(panel, 6);
    await page.keyboard.press('Escape');
  }
  // From anywhere to the chart, and out of it to the timeline.
  await page.keyboard.press('j');
  await Until(opened, 'Tab', '#view-ops');
  await page.keyboard.press('p');
  expect(await page.evaluate(() => document.activeElement?.matches('#panel-compare canvas'))).toBe(true);
  const picture = await Export(opened, 'Panel as PNG');
  expect(picture.name).toBe('small.tlt-compare.png');
  expect(picture.bytes.subarray(1, 4).toString()).toBe('PNG');
  const table = await Export(opened, 'Rows of the panel as CSV');
  expect(table.name).toBe('small.tlt-compare.csv');
  expect(table.bytes.toString()).toMatch(/^Of a step,A,B,Change/);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('arrows scroll a text that has the focus and is longer than its place', async () => {
  const opened = await pages.Open(pages.Page('small'), { fragment: '#tab=figures' });
  const { page } = opened;
  await page.keyboard.press('p');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('panel-figures');
  await page.keyboard.press('ArrowDown');
  await page.waitForFunction(() => document.getElementById('panel-figures')!.scrollTop > 0);
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('panel-figures');
  await opened.Close();
});

test.concurrent('every key of the help is bound once, and every view is told of', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  await page.keyboard.press('?');
  const groups = await page.$$eval('dialog[open] section', all => all.map(section => ({
    title: section.querySelector('h3')!.textContent, keys: [...section.querySelectorAll('kbd')].map(key => key.textContent),
  })));
  // A chart that has the focus has keys of its own, before those of the page.
  const chart = groups.filter(group => group.title === 'Chart of a panel').flatMap(group => group.keys);
  expect(chart).toEqual(['→', '↓', '←', '↑', 'Enter']);
  const keys = groups.filter(group => group.title !== 'Chart of a panel').flatMap(group => group.keys);
  expect(keys.length).toBeGreaterThan(30);
  expect(new Set(keys).size).toBe(keys.length);
  const titles = await page.$$eval('.timeline canvas[tabindex]', all => all.map(view => view.getAttribute('aria-label')!.split('.')[0]!));
  const help = await opened.Text('dialog[open]');
  for (const title of titles) expect(help).toContain(title);
  await opened.Close();
});
