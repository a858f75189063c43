// Intervals and rows against one flag for each unit of time.
import { expect, test } from 'vitest';
import { Both, Outside, TotalLength, UnionOf, type Intervals } from '../../src/derive/intervals.ts';
import { NumberMap } from '../../src/derive/number_map.ts';
import { SortBy } from '../../src/derive/order.ts';
import { CountOf, RecordsOf } from '../../src/derive/records.ts';
import { EntriesOf, KeysByBegin, LayIntoRows } from '../../src/derive/rows.ts';
import { MakeTrace } from './fixture.ts';
import { Random } from './random.ts';

const end = 60;

function Flags(intervals: { begin: ArrayLike<number>; end: ArrayLike<number> }): boolean[] {
  const flags = new Array<boolean>(end).fill(false);
  for (let i = 0; i < intervals.begin.length; ++i) {
    for (let at = intervals.begin[i]!; at < intervals.end[i]!; ++at) flags[at] = true;
  }
  return flags;
}

function RandomIntervals(random: Random) {
  const count = random.Below(12);
  const begin = Float64Array.from({ length: count }, () => random.Below(end - 1));
  return { begin, end: begin.map(from => (random.Below(9) === 0 ? NaN : Math.min(end, from + random.Below(9) - 1))) };
}

function IsUnion(intervals: Intervals): boolean {
  return intervals.begin.every((from, i) => from < intervals.end[i]! && (i === 0 || intervals.end[i - 1]! < from));
}

test('unions and what lies outside', () => {
  const random = new Random(11);
  for (let round = 0; round < 500; ++round) {
    const one = RandomIntervals(random);
    const two = RandomIntervals(random);
    const a = UnionOf(one.begin, one.end);
    const b = UnionOf(two.begin, two.end);
    expect(IsUnion(a)).toBe(true);
    expect(Flags(a)).toEqual(Flags(one));
    expect(TotalLength(a)).toBe(Flags(one).filter(flag => flag).length);
    const both = Both(a, b);
    expect(IsUnion(both)).toBe(true);
    expect(Flags(both)).toEqual(Flags(one).map((flag, at) => flag || Flags(two)[at]));
    const leftOut = Uint8Array.from(one.begin, () => random.Below(2));
    expect(Flags(UnionOf(one.begin, one.end, leftOut)))
      .toEqual(Flags({ begin: one.begin.filter((_, i) => leftOut[i] === 0), end: one.end.filter((_, i) => leftOut[i] === 0) }));
    const outside = Outside(a, b);
    expect(IsUnion(outside)).toBe(true);
    expect(Flags(outside)).toEqual(Flags(one).map((flag, at) => flag && !Flags(two)[at]));
  }
});

test('rows hold every entry once, and none overlap', () => {
  const random = new Random(12);
  for (let round = 0; round < 200; ++round) {
    const count = random.Below(40);
    const begins = Float64Array.from({ length: count }, () => random.Below(100)).sort();
    const entries = {
      begin: begins,
      end: begins.map(from => from + random.Below(20)),
      category: new Uint8Array(count),
      key: Uint32Array.from({ length: count }, (_, i) => i),
    };
    const most = 1 + random.Below(4);
    const rows = LayIntoRows(entries, most);
    expect(rows.length).toBeLessThanOrEqual(most);
    expect(rows.flatMap(row => [...row.entry]).sort((a, b) => a - b)).toEqual([...entries.key]);
    rows.forEach((row, number) => {
      const { begin, end: ends } = row.spans;
      for (let i = 0; i < begin.length; ++i) {
        expect(ends[i]).toBeGreaterThanOrEqual(begin[i]!);
        if (i > 0) expect(begin[i]).toBeGreaterThanOrEqual(ends[i - 1]!);
        if (number + 1 < most) expect(begin[i]).toBe(entries.begin[row.entry[i]!]);
      }
    });
  }
});

test('a row that has a meaning holds what it says', () => {
  const entries = {
    begin: Float64Array.of(0, 1, 2), end: Float64Array.of(5, 6, 7), category: new Uint8Array(3), key: Uint32Array.of(10, 11, 12),
  };
  const rows = LayIntoRows(entries, 3, key => (key === 11 ? 2 : 0));
  expect(rows.map(row => [...row.entry])).toEqual([[0, 2], [], [1]]);
});

test('keys by begin keep the order of those that begin together', () => {
  const begin = Float64Array.of(3, 1, 3, 1, 0);
  const keys = KeysByBegin(begin, [7, 7, 7, 7, 8], 7);
  expect([...keys]).toEqual([1, 3, 0, 2]);
  const entries = EntriesOf(keys, begin, Float64Array.of(3, 2, 5, 4, 4), Uint8Array.of(1, 2, 3, 4, 5));
  expect([...entries.begin]).toEqual([1, 1, 3, 3]);
  expect([...entries.end]).toEqual([2, 4, 3, 5]);
  expect([...entries.category]).toEqual([2, 4, 1, 3]);
  expect([...KeysByBegin(Float64Array.of(0, 1, 2, 3))]).toEqual([0, 1, 2, 3]);
});

test('positions are sorted as sort() does it', () => {
  const random = new Random(13);
  for (let round = 0; round < 300; ++round) {
    const numbers = Float64Array.from({ length: random.Below(70) }, () => random.Below(1 + random.Below(90)));
    if (round % 3 === 0) numbers.subarray(random.Below(numbers.length + 1)).sort(); // a long run at the end
    const keys = Uint32Array.from(numbers, (_, i) => i);
    expect([...SortBy(keys.slice(), numbers)]).toEqual([...keys].sort((a, b) => numbers[a]! - numbers[b]! || a - b));
  }
});

test('a map of numbers is a Map', () => {
  const random = new Random(14);
  const expected = new Map<number, number>();
  const map = new NumberMap();
  for (let round = 0; round < 30_000; ++round) {
    // Many at first and few later; multiples of large powers of two, as addresses are.
    const key = random.Below(4000) * [1, 512, 2 ** 21, 2 ** 36][random.Below(4)]!;
    if (random.Below(10) < (round < 15_000 ? 7 : 3)) {
      map.Set(key, round);
      expected.set(key, round);
    } else {
      expect(map.Take(key)).toBe(expected.get(key) ?? -1);
      expected.delete(key);
    }
    const other = random.Below(4000) * 512;
    expect(map.Get(other)).toBe(expected.get(other) ?? -1);
  }
  for (const [key, value] of expected) expect(map.Get(key)).toBe(value);
});

test('the records of events are all of them, in order', () => {
  const trace = MakeTrace([3, 5, 3, 9, 5, 5].map((event, time) => ({ time, event })));
  expect([...RecordsOf(trace.columns, 3, 9)]).toEqual([0, 2, 3]);
  expect([...RecordsOf(trace.columns, 5)]).toEqual([1, 4, 5]);
  expect([...RecordsOf(trace.columns, 4)]).toEqual([]);
  expect(CountOf(trace.columns, 3, 5, 4)).toBe(5);
});
