// Pyramids against loops over everything.
import { expect, test } from 'vitest';
import { CounterPyramid, fan, LowerBound, SpanPyramid } from '../../src/draw/pyramid.ts';
import { Random } from './random.ts';

function RandomSpans(random: Random, count: number) {
  const begin = new Float64Array(count);
  const end = new Float64Array(count);
  const category = new Uint8Array(count);
  let time = 0;
  for (let i = 0; i < count; ++i) {
    begin[i] = time += random.Below(5);
    end[i] = time += random.Below(4);
    category[i] = random.Below(4);
  }
  return { begin, end, category };
}

test('each node has the sums of its spans', () => {
  const random = new Random(1);
  for (const count of [1, 2, fan, fan + 1, 700]) {
    const spans = RandomSpans(random, count);
    const pyramid = new SpanPyramid(spans);
    expect(pyramid.levels.at(-1)!.begin.length).toBe(1);
    pyramid.levels.forEach((level, number) => {
      const size = fan ** number;
      expect(level.begin.length).toBe(Math.ceil(count / size));
      for (let node = 0; node < level.begin.length; ++node) {
        const first = node * size;
        const last = Math.min(count, first + size);
        let covered = 0;
        for (let i = first; i < last; ++i) covered += spans.end[i]! - spans.begin[i]!;
        expect(level.begin[node]).toBe(spans.begin[first]);
        expect(level.end[node]).toBe(spans.end[last - 1]);
        expect(level.covered[node]).toBe(covered);
        expect([...spans.category.subarray(first, last)]).toContain(level.category[node]);
      }
    });
  }
});

test('one level up the category is the one that covers the most', () => {
  const pyramid = new SpanPyramid({
    begin: Float64Array.of(0, 10, 20), end: Float64Array.of(4, 14, 25), category: Uint8Array.of(1, 1, 2),
  });
  expect(pyramid.levels[1]!.category[0]).toBe(1);
});

test('the span at a time, or the nearest within reach', () => {
  const random = new Random(2);
  const spans = RandomSpans(random, 300);
  const pyramid = new SpanPyramid(spans);
  for (let round = 0; round < 1000; ++round) {
    const time = random.Next() * 1500 - 10;
    const Away = (i: number) => Math.max(0, spans.begin[i]! - time, time - spans.end[i]!);
    const nearest = Math.min(...spans.begin.map((_, i) => Away(i)));
    const found = pyramid.At(time, 2);
    if (nearest > 2) expect(found).toBe(-1);
    else expect(Away(found)).toBe(nearest);
  }
});

test('the first position at or above a bound', () => {
  const numbers = [1, 1, 2, 5, 5, 5, 9];
  for (let bound = 0; bound < 11; ++bound) {
    const At = numbers.findIndex(number => number >= bound);
    const Above = numbers.findIndex(number => number > bound);
    expect(LowerBound(numbers, bound, false)).toBe(At < 0 ? numbers.length : At);
    expect(LowerBound(numbers, bound, true)).toBe(Above < 0 ? numbers.length : Above);
  }
});

test('the largest value that holds in a range of time', () => {
  const random = new Random(3);
  for (const count of [1, 7, 9, 65, 900]) {
    const time = Float64Array.from({ length: count }, (_, i) => 2 * i - (i % 5 === 3 ? 2 : 0)); // some at one instant
    const value = Float64Array.from({ length: count }, () => random.Below(1000));
    const pyramid = new CounterPyramid({ time, value });
    for (let round = 0; round < 300; ++round) {
      const begin = random.Below(2 * count + 6) - 3;
      const end = begin + 1 + random.Below(2 * count);
      // A value holds in the range if it was set before its end and not replaced by its begin.
      let expected = -Infinity;
      for (let i = 0; i < count; ++i) {
        const replaced = i + 1 < count ? time[i + 1]! : Infinity;
        if (time[i]! < end && replaced > begin) expected = Math.max(expected, value[i]!);
      }
      const columns = pyramid.MostByColumn(begin, end, 7);
      for (let column = 0; column < 7; ++column) {
        const Edge = (at: number) => begin + ((end - begin) * at) / 7;
        expect(columns[column]).toBe(pyramid.Most(Edge(column), Edge(column + 1)));
      }
      const found = pyramid.Most(begin, end);
      if (expected === -Infinity) expect(found).toBe(-1);
      else expect(value[found]).toBe(expected);
    }
  }
});
