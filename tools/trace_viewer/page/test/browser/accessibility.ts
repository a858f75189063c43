// What axe-core finds wrong with the page for people who use it with a screen reader or need contrast: nothing, in every tab and
// every dialog, and where there is no trace to show.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { pages, type Opened } from './pages.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Axe {
  run: (within: string, options: object) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

async function Violations(opened: Opened, within: string): Promise<string[]> {
  if (!(await opened.page.evaluate(() => 'axe' in window))) await opened.page.evaluate(axe);
  return opened.page.evaluate(async where => {
    const results = await (window as unknown as { axe: Axe }).axe.run(where, { resultTypes: ['violations'] });
    return results.violations.map(violation => `${violation.id}: ${violation.nodes[0]?.html}`);
  }, within);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.concurrent(`axe finds nothing, in ${colorScheme}`, async () => {
    const opened = await pages.Open(pages.Page('small', 'other'), { colorScheme });
    const { page } = opened;
    for (let i = 0; i < 8; ++i) await page.keyboard.press('+'); // a few dozen rows say what thousands would
    await page.focus('#view-copies-in');
    await page.keyboard.press(']');
    await opened.Settle();
    expect(await Violations(opened, 'html')).toEqual([]);
    const tabs = await page.$$('[role=tab]');
    expect(tabs.length).toBe(10);
    for (const tab of tabs) {
      await tab.click();
      await opened.Settle();
      expect(await Violations(opened, '.dock'), await tab.textContent() ?? '').toEqual([]);
    }
    for (const key of ['?', 'f', 'e']) {
      await page.keyboard.press(key);
      expect(await page.locator('dialog[open]').count()).toBe(1);
      expect(await Violations(opened, 'dialog[open]'), key).toEqual([]);
      await page.keyboard.press('Escape');
    }
    await opened.Close();
  });

  test.concurrent(`axe finds nothing where there is no trace to show, in ${colorScheme}`, async () => {
    for (const { path } of pages.Traceless()) {
      const opened = await pages.Open(path, { colorScheme });
      expect(await opened.Text('[role=alert]')).not.toBe('');
      expect(await Violations(opened, 'html'), path).toEqual([]);
      await opened.Close();
    }
  });
}
