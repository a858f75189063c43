// The panels: each opens, draws, and lets one select what it shows; its table follows, and its controls change what it explains.

import { expect, test } from 'vitest';
import { pages, WithMeta, type Opened } from './pages.ts';

test.concurrent('every panel draws, says what it draws in its table, and selects what is clicked', async () => {
  const opened = await pages.Open(pages.Page('medium', 'other'), { height: 1100 });
  const { page } = opened;
  for (const panel of ['holes', 'peak', 'lineage', 'link', 'waits', 'compare']) {
    await page.click(`#tab-${panel}`);
    await opened.Settle();
    expect(await opened.Shifts(), panel).toEqual([]);
    expect(await opened.Colours(`#panel-${panel} canvas`), panel).toBeGreaterThan(5);
    expect(await page.locator(`#panel-${panel} tbody tr`).count(), panel).toBeGreaterThan(0);
    const box = (await page.locator(`#panel-${panel} canvas`).boundingBox())!;
    for (let part = 1; part < 40 && !(await opened.Item()).startsWith(`${panel}.`); ++part) { // along a diagonal, until something is there
      await page.mouse.click(box.x + (box.width * part) / 40, box.y + (box.height * part) / 40);
    }
    expect(await opened.Item(), panel).toMatch(new RegExp(`^${panel}\\.\\d+$`));
    await page.keyboard.press('Escape');
  }
  expect(opened.errors).toEqual([]);
  expect(opened.requests.length).toBe(1);
  await opened.Close();
});

test.concurrent('a panel is busy until its table is that of what is shown', async () => {
  const opened = await pages.Open(pages.Page('small'), { fragment: '#tab=waits', slowTables: true });
  const Rows = () => opened.page.$$eval('#panel-waits tbody tr', rows => rows.map(row => row.textContent).join());
  await opened.Settle();
  const whole = await Rows();
  expect(whole).not.toBe('');
  for (let i = 0; i < 4; ++i) await opened.page.keyboard.press('+');
  await opened.Settle();
  expect(await Rows()).not.toBe(whole);
  await opened.page.locator('#panel-waits').getByRole('combobox', { name: 'Names' }).selectOption('in full');
  const patterns = await Rows();
  await opened.Settle();
  expect(await Rows()).not.toBe(patterns);
  await opened.Close();
});

test.concurrent('the controls of the peak change what is explained', async () => {
  const opened = await pages.Open(pages.Page('medium', 'other'), { fragment: '#tab=peak' });
  const { page } = opened;
  await opened.Settle();
  const Rows = () => page.$$eval('#panel-peak tbody tr', rows => rows.map(row => row.textContent));
  const set = await Rows();
  await page.fill('#panel-peak input[type=number]', '1');
  await page.waitForFunction(before => document.querySelector('#panel-peak caption')?.textContent?.includes('hold 1 % less') &&
    document.querySelector('#panel-peak tbody')?.textContent !== before, set.join(''));
  await page.locator('#panel-peak').getByRole('combobox', { name: 'Table' }).selectOption('what is held');
  await page.waitForFunction(() => document.querySelector('#panel-peak caption')?.textContent?.includes('held, by label'));
  expect((await Rows()).join(' ')).toContain('layers.*.weight');
  await page.locator('#panel-peak').getByRole('combobox', { name: 'Tier' }).selectOption('pinned');
  await page.waitForFunction(() => document.querySelector('#panel-peak tbody')?.textContent?.includes('layers.*.weight') === false);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('the link is measured against its ceiling, or where there is none against the fastest copy', async () => {
  const Rows = async (opened: Opened) => {
    await opened.Settle();
    return opened.page.$$eval('#panel-link tbody tr', rows => rows.map(row => [...row.children].map(cell => cell.textContent ?? '')));
  };
  for (const [name, out, outIs] of [['calibrated', 20 * 2 ** 30, 'calibrated'], ['uncalibrated', null, 'the fastest copy']] as const) {
    const path = pages.Changed('small', name, html => WithMeta(html, () => ({ ceiling_bytes_per_s: { out, in: null } })));
    const opened = await pages.Open(path, { fragment: '#tab=link' });
    const rows = await Rows(opened);
    const Of = (direction: string) => rows.filter(row => row[0] === direction);
    expect(Of('out').length).toBeGreaterThan(0);
    expect(Of('in').length).toBeGreaterThan(0);
    for (const row of Of('out')) {
      expect(row.at(-1)).toBe(outIs);
      if (out !== null) expect(row[6]).toBe('20 GiB/s');
    }
    for (const row of Of('in')) expect(row.at(-1)).toBe('the fastest copy');
    expect(opened.errors).toEqual([]);
    await opened.Close();
  }
});
