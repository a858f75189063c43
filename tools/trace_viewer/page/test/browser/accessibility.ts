// What axe-core finds wrong with the page for people who use it with a screen reader or need contrast: nothing, in every tab and
// every dialog.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { pages, type Opened } from './pages.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Axe {
  run: (within: string, options: object) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

async function Violations(opened: Opened, within: string, options: object): Promise<string[]> {
  if (!(await opened.page.evaluate(() => 'axe' in window))) await opened.page.evaluate(axe);
  return opened.page.evaluate(async ([where, chosen]) => {
    const results = await (window as unknown as { axe: Axe }).axe.run(where, chosen);
    return results.violations.map(violation => `${violation.id}: ${violation.nodes[0]?.html}`);
  }, [within, options] as const);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.concurrent(`axe finds nothing, in ${colorScheme}`, async () => {
    const opened = await pages.Open(pages.Page('small', 'other'), { colorScheme });
    const { page } = opened;
    // Only colours differ in the dark.
    const rules = { resultTypes: ['violations'], ...(colorScheme === 'light' ? {} : { runOnly: ['color-contrast'] }) };
    for (let i = 0; i < 8; ++i) await page.keyboard.press('+'); // a few dozen rows say what thousands would
    await page.focus('#view-copies-in');
    await page.keyboard.press(']');
    await opened.Settle();
    expect(await Violations(opened, 'html', rules)).toEqual([]);
    const tabs = await page.$$('[role=tab]');
    for (const tab of colorScheme === 'light' ? tabs : tabs.slice(0, 3)) {
      await tab.click();
      await opened.Settle();
      expect(await Violations(opened, '.dock', rules), await tab.textContent() ?? '').toEqual([]);
    }
    for (const key of ['?', 'f', 'e']) {
      await page.keyboard.press(key);
      expect(await page.locator('dialog[open]').count()).toBe(1);
      expect(await Violations(opened, 'dialog[open]', rules), key).toEqual([]);
      await page.keyboard.press('Escape');
    }
    await opened.Close();
  });
}
