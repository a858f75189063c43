// The codes of the page are those of the event table, and the sums of causes those of the summary.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Event } from '../../src/vocabulary.ts';

const root = new URL('../../../../../', import.meta.url);

test('every event of events.def has its code here', () => {
  const rows = readFileSync(new URL('src/trace/events.def', root), 'utf8')
    .matchAll(/^TIERLIB_EVENT\((\w+), (\d+),/gm);
  const expected = Object.fromEntries([...rows].map(row => [row[1]!, Number(row[2])]));
  expect(Object.keys(expected).length).toBeGreaterThan(20);
  expect(Event).toMatchObject(expected);
  expect(new Set(Object.values(Event)).size).toBe(Object.keys(Event).length);
});
