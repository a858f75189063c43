// What the page holds: the numbers of the summary, texts that try to be markup and stay text, a policy that forbids everything
// else, links, exports, and what it says where a trace is missing.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pages, payloads } from './pages.ts';

test.concurrent('numbers on the page are those of summary --json', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const summary = pages.Summary('small');
  const figures = await opened.page.$$eval('[data-figure]', elements =>
    elements.map(element => [element.getAttribute('data-figure')!, element.getAttribute('data-value')!] as const));
  expect(figures.length).toBeGreaterThan(40);
  for (const [path, value] of figures) {
    let at: unknown = summary;
    for (const name of path.split('.')) at = (at as Record<string, unknown>)[name];
    expect(Number(value), path).toBe(at);
  }
  await opened.Close();
});

test.concurrent('50 hostile labels stay text', async () => {
  expect(payloads.length).toBe(50);
  const opened = await pages.Open(pages.Page('hostile'));
  const { page } = opened;
  const Elements = () => page.evaluate(() => document.querySelectorAll('img, svg, iframe, object, embed, video, audio, marquee, ' +
    'details, base, template, math, form[action], link[href^=http], #page script, #page style').length);
  await page.focus('#view-ops');
  await page.click('#tab-rows');
  await opened.Settle();
  const rows = await page.$$eval('#panel-rows tbody tr td:first-child', cells => cells.map(cell => cell.textContent));
  for (const payload of payloads) expect(rows).toContain(payload);
  // Through every item, its tooltip, and every tab.
  for (let i = 0; i < payloads.length; ++i) await page.keyboard.press(']');
  const box = (await page.locator('#view-ops').boundingBox())!;
  for (let x = 0; x < box.width; x += 40) await page.mouse.move(box.x + x, box.y + 10);
  for (const tab of await page.$$('[role=tab]')) {
    await tab.click();
    await opened.Settle();
  }
  expect(await Elements()).toBe(0);
  expect(await page.evaluate(() => 'hurt' in window)).toBe(false);
  expect(opened.requests.length).toBe(1);
  expect(opened.errors).toEqual([]);
  // The trace was not closed: that is said, and drawn as a gap.
  expect(await opened.Text('#panel-problems')).toContain('truncated');
  await opened.Close();
});

test.concurrent('the policy forbids everything else', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const policy = await opened.page.getAttribute('meta[http-equiv=Content-Security-Policy]', 'content');
  expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; img-src data: blob:; base-uri 'none'; form-action 'none'$/);
  const forbidden = await opened.page.evaluate(async () => {
    const found: string[] = [];
    document.addEventListener('securitypolicyviolation', event => found.push(event.effectiveDirective));
    const script = document.createElement('script');
    script.textContent = 'window.hurt = 1';
    document.body.append(script);
    const style = document.createElement('style');
    style.textContent = '* { display: none }';
    document.body.append(style);
    const image = document.createElement('img');
    image.src = 'https://example.com/x.png';
    document.body.append(image);
    const frame = document.createElement('iframe');
    frame.src = 'https://example.com/';
    document.body.append(frame);
    const asked = await fetch('https://example.com/').then(() => 'answered', () => 'refused');
    try {
      new WebSocket('wss://example.com/');
    } catch {
      // Reported as the others are.
    }
    document.body.insertAdjacentHTML('beforeend', '<p onclick="window.hurt = 1" id="inline">x</p>');
    document.getElementById('inline')!.click();
    const kinds = 6; // of those that are expected: until they are reported, and a moment for one more
    for (let i = 0; i < 100 && new Set(found).size < kinds; ++i) await new Promise(resolve => setTimeout(resolve, 50));
    await new Promise(resolve => setTimeout(resolve, 50));
    return { found: [...new Set(found)].sort(), asked, hurt: 'hurt' in window };
  });
  expect(forbidden.hurt).toBe(false);
  expect(forbidden.asked).toBe('refused');
  expect(forbidden.found).toEqual(['connect-src', 'frame-src', 'img-src', 'script-src-attr', 'script-src-elem', 'style-src-elem']);
  expect(opened.answered.filter(address => !address.startsWith('file:'))).toEqual([]);
  await opened.Close();
});

test.concurrent('a deep link opens what it names', async () => {
  const opened = await pages.Open(pages.Page('small'), { fragment: '#t=1000000-9000000&item=copies-out.3&tab=selection' });
  expect(await opened.Range()).toEqual([1_000_000, 9_000_000]);
  expect(await opened.Text('#panel-selection caption')).toContain('Copy out of');
  await opened.Settle();
  expect(opened.page.url()).toContain('item=copies-out.3');
  await opened.page.evaluate(() => (location.hash = '#t=2000000-3000000'));
  await opened.page.waitForFunction(() => document.getElementById('page')!.dataset['address']!.startsWith('#t=2000000-3000000'));
  await opened.page.keyboard.press('+');
  await opened.Settle();
  expect(opened.page.url()).toContain(`t=${(await opened.Range()).join('-')}&item=copies-out.3`);
  await opened.Close();
});

test.concurrent('a deep link has the filter and the search, and opens with them', async () => {
  const opened = await pages.Open(pages.Page('small'), { fragment: '#tags=4.5.99&tiers=0&from=67108864&search=layers.1.&tab=rows' });
  const { page } = opened;
  const Pressed = () => opened.Text('header button[aria-pressed=true]');
  expect(await Pressed()).toBe('Filter: 2 tags, 1 tier, from 64 MiB');
  expect(await page.inputValue('input[type=search]')).toBe('layers.1.');
  expect(await opened.Text('.search output')).toMatch(/\d names?/);
  await page.keyboard.press('f'); // the form says the same
  const boxes = await page.$$eval('dialog[open] fieldset', sets => sets.map(set => set.querySelectorAll(':checked').length));
  expect(boxes.slice(0, 2)).toEqual([2, 1]);
  expect(await page.inputValue('dialog[open] input[placeholder="as 64 KiB"]')).toBe('64 MiB');
  await page.keyboard.press('Escape');
  await page.focus('#view-copies-out');
  await opened.Settle();
  const rows = await page.$$eval('#panel-rows tbody tr', all => all.map(row => row.children[2]!.textContent!));
  expect(rows.length).toBeGreaterThan(10);
  for (const size of rows) expect(Number(/^(\d+) MiB$/.exec(size)?.[1]), size).toBeGreaterThanOrEqual(64);
  const address = page.url().slice(page.url().indexOf('#'));
  expect(address).toMatch(/&tags=4\.5&tiers=0&from=67108864&search=layers\.1\.&tab=rows$/);
  // A page that is open follows one, and what it names nothing of stays.
  await page.evaluate(() => (location.hash = '#tiers=1&to=4096'));
  await page.waitForFunction(() => document.querySelector('header button[aria-pressed=true]')?.textContent === 'Filter: 1 tier, to 4 KiB');
  expect(await page.inputValue('input[type=search]')).toBe('layers.1.');
  await page.fill('input[type=search]', 'weight & co');
  await opened.Settle();
  expect(page.url()).toContain('&tiers=1&to=4096&search=weight%20%26%20co&tab=rows');
  await page.keyboard.press('Escape');
  await page.keyboard.press('f');
  await page.click('dialog[open] button:text-is("Show everything")');
  await opened.Settle();
  expect(page.url()).not.toMatch(/tags|tiers|from|to=/);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('exports are a picture and a table', async () => {
  const opened = await pages.Open(pages.Page('small'));
  const { page } = opened;
  await page.focus('#view-copies-out');
  const Export = async (title: string) => {
    await page.keyboard.press('e');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`dialog[open] button:text-is("${title}")`)]);
    return { name: download.suggestedFilename(), bytes: readFileSync((await download.path())!) };
  };
  const picture = await Export('Timeline as PNG');
  expect(picture.name).toBe('small.tlt-timeline.png');
  expect(picture.bytes.subarray(1, 4).toString()).toBe('PNG');
  expect(picture.bytes.readUInt32BE(16)).toBeGreaterThan(1200); // its width
  const table = await Export('Rows of the active view as CSV');
  expect(table.name).toBe('small.tlt-copies-out.csv');
  const lines = table.bytes.toString().trimEnd().split('\r\n');
  expect(lines[0]).toBe('Storage,Tag,Size (bytes),Asked (ns since start),On the wire (ns since start),Ended (ns since start),' +
    'Consumed (ns since start)');
  const summary = pages.Summary('small');
  expect(lines.length - 1).toBe(summary.transfers.out.count);
  expect(opened.errors).toEqual([]);
  await opened.Close();
});

test.concurrent('a page without a trace, without records, or a cut one, says so', async () => {
  for (const { path, says } of pages.Traceless()) {
    const opened = await pages.Open(path);
    expect(await opened.Text('[role=alert]')).toContain(says);
    await opened.Close();
  }
});
