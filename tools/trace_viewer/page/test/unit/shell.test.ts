// What the shell decides without a browser: links, sizes, tables, ranges of time, numbers.
import { expect, test } from 'vitest';
import { RoundTicks, ByteTicks } from '../../src/draw/axis.ts';
import { FormatBytes, FormatCount, FormatDuration, FormatInstant, FormatPercent } from '../../src/draw/format.ts';
import { ReadLink, WriteLink } from '../../src/shell/deep_link.ts';
import { FieldOf } from '../../src/shell/figures.ts';
import { FilterText, ParseBytes, SizeText } from '../../src/shell/filter_form.ts';
import { KeyName } from '../../src/shell/keyboard.ts';
import { CellText, Csv } from '../../src/shell/tables.ts';
import { TimeRange } from '../../src/shell/viewport.ts';
import { noFilter, sinceStart } from '../../src/views/view.ts';
import type { Summary } from '../../src/model.ts';

test('a link comes back as it was, and others are ignored', () => {
  const filter = { tags: new Set([1, 4]), tiers: new Set<number>(), minimum_bytes: 65536, maximum_bytes: 1331.5 };
  const link = { begin: 1200, end: 99000, item: { view: 'copies-out', key: 12 }, filter, search: 'a&b=c +%20é<', tab: 'figures' };
  expect(ReadLink(WriteLink(link))).toEqual(link);
  expect(WriteLink(link)).toMatch(/^#t=1200-99000&item=copies-out\.12&tags=1\.4&tiers=&from=65536&to=1331\.5&search=[^&=#]+&tab=figures$/);
  expect(ReadLink('#t=-5-70')).toEqual({ begin: -5, end: 70, item: null, filter: null, search: null, tab: null });
  expect(ReadLink('')).toBeNull();
  expect(ReadLink('#section')).toBeNull();
  expect(ReadLink('#item=<b>.1&t=x')).toBeNull();
});

test('the filter of a link is what it says of it, and what is none is ignored', () => {
  expect(ReadLink('#tags=4')?.filter).toEqual({ ...noFilter, tags: new Set([4]) });
  expect(ReadLink('#tiers=')?.filter).toEqual({ ...noFilter, tiers: new Set() });
  expect(ReadLink('#to=512')?.filter).toEqual({ ...noFilter, maximum_bytes: 512 });
  for (const none of ['#tags=saved', '#tags=1.', '#tiers=-1', '#from=-4', '#from=', '#to=1e9', '#from=0']) expect(ReadLink(none)).toBeNull();
  expect(ReadLink('#t=0-5&from=x')?.filter).toBeNull();
  const none = { begin: NaN, end: NaN, item: null, filter: noFilter, search: '', tab: null };
  expect(WriteLink(none)).toBe('#');
  // Half a character is no text, and a search has an end.
  expect(ReadLink(WriteLink({ ...none, search: `x\ud800y${'😀'.repeat(900)}` }))?.search).toBe(`xy${'😀'.repeat(499)}`);
  expect(ReadLink('#search=')).toMatchObject({ search: '', filter: null });
});

test('sizes as people write them', () => {
  expect(ParseBytes('64 KiB')).toBe(65536);
  expect(ParseBytes('1.5mib')).toBe(1.5 * 1024 ** 2);
  expect(ParseBytes(' 12 ')).toBe(12);
  for (const bad of ['', 'abc', '-3', '1 KiBB', '1e9', '12 furlongs', 'constructor']) expect(ParseBytes(bad)).toBeNull();
  expect(ParseBytes('1 constructor')).toBeNull();
  for (const bytes of [1, 512, 65536, 1331.5, 3 * 2 ** 30, 2 ** 30 + 1]) expect(ParseBytes(SizeText(bytes))).toBe(bytes);
  expect(SizeText(1536 * 1024)).toBe('1536 KiB');
  expect(FilterText(noFilter)).toBe('Filter');
  expect(FilterText({ ...noFilter, tags: new Set([1]), minimum_bytes: 65536 })).toBe('Filter: 1 tag, from 64 KiB');
});

test('CSV quotes what must be quoted, and defuses formulas', () => {
  const table = {
    caption: '', total: 2,
    columns: [{ title: 'Name', unit: '', numeric: false }, { title: 'Size', unit: 'bytes', numeric: true }],
    rows: [['a,"b"\n', 12.5], ['=1+1', NaN]],
  };
  expect(Csv(table)).toBe('Name,Size (bytes)\r\n"a,""b""\n",12.5\r\n\'=1+1,\r\n');
});

test('cells in their units', () => {
  const Column = (unit: string) => ({ title: '', unit, numeric: true });
  expect(CellText(2048, Column('bytes'))).toBe('2 KiB');
  expect(CellText(2_000_000, Column('ns'))).toBe('2 ms');
  expect(CellText(107_482_113_000, Column(sinceStart))).toBe('107.482113 s');
  expect(CellText(NaN, Column('ns'))).toBe('not in the trace');
  expect(CellText('<b>', Column(''))).toBe('<b>');
});

test('numbers as the command writes them', () => {
  expect(FormatCount(1234567)).toBe('1,234,567');
  expect(FormatBytes(1023)).toBe('1023 B');
  expect(FormatBytes(1000 * 1024)).toBe('1000 KiB');
  expect(FormatBytes(1023.5 * 1024)).toBe('1 MiB');
  expect(FormatBytes(9.996 * 1024)).toBe('10 KiB');
  expect(FormatBytes(1536)).toBe('1.5 KiB');
  expect(FormatBytes(0)).toBe('0 B');
  expect(FormatDuration(0)).toBe('0 s');
  expect(FormatDuration(17)).toBe('17 ns');
  expect(FormatDuration(214_000_000)).toBe('214 ms');
  expect(FormatDuration(99.96e6)).toBe('100 ms');
  expect(FormatDuration(599e9)).toBe('599 s');
  expect(FormatDuration(744e9)).toBe('12.4 min');
  expect(FormatDuration(7200e9)).toBe('2 h');
  expect(FormatInstant(1)).toBe('0.000000 s');
  expect(FormatPercent(1, 1000)).toBe('<1 %');
});

test('a range of time stays on the trace and is never too narrow', () => {
  const range = new TimeRange(1_000_000, false);
  const whole = range.length;
  range.Zoom(0.5, 0);
  expect(range.begin).toBeCloseTo(-4000);
  expect(range.length).toBeCloseTo(whole / 2);
  range.Pan(-10);
  expect(range.begin).toBeCloseTo(-4000);
  range.Pan(1e12);
  expect(range.end).toBeCloseTo(1_004_000);
  range.Zoom(1e-12, 0.5);
  expect(range.length).toBeCloseTo(100);
  range.Zoom(1e12, 0.5);
  expect(range.length).toBeCloseTo(whole);
  range.Show(NaN, 5);
  expect(range.length).toBeCloseTo(whole);
  range.Show(500, 700);
  range.Reveal(600, 610);
  expect(range.begin).toBeCloseTo(500);
  range.Reveal(9000, 9010);
  expect(range.begin).toBeLessThan(9000);
  expect(range.end).toBeGreaterThan(9010);
  const open = new TimeRange(1_000_000, true);
  expect(open.end).toBeGreaterThan(1_020_000);
});

test('ticks are round, in range and not too many', () => {
  for (const [begin, end] of [[0, 1], [-3e9, 7e12], [1e12, 1e12 + 500]] as const) {
    const ticks = RoundTicks(begin, end, 10);
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length).toBeLessThanOrEqual(11);
    for (const tick of ticks) expect(tick >= begin && tick <= end).toBe(true);
  }
  expect(ByteTicks(0, 5 * 2 ** 30, 3)).toEqual([0, 2 ** 31, 2 ** 32]);
  expect(RoundTicks(5, 5, 10)).toEqual([]);
});

test('keys have one name each', () => {
  const Key = (key: string, more = {}) =>
    KeyName({ key, shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, ...more });
  expect(Key('?', { shiftKey: true })).toBe('?');
  expect(Key('ArrowLeft', { shiftKey: true })).toBe('Shift+ArrowLeft');
  expect(Key('f', { ctrlKey: true })).toBe('Control+f');
});

test('figures are fields of the summary', () => {
  const summary = { tiers: [{ peak_bytes: 5 }], steps: { slowest: null } } as unknown as Summary;
  expect(FieldOf(summary, 'tiers.0.peak_bytes')).toBe(5);
  expect(FieldOf(summary, 'steps.slowest.ns')).toBeNaN();
  expect(FieldOf(summary, 'nothing.here')).toBeNaN();
});
