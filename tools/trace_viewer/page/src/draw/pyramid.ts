// SpanPyramid: spans of time that do not overlap, in order, with sums over 8, 64, 512 ... of them, so that any time range is
// drawn from a few nodes for each pixel however many spans lie in it. CounterPyramid: the same for a quantity that holds its
// value until the next change, with the largest value of each node.

export const fan = 8;

export interface Spans {
  begin: Float64Array; // ascending
  end: Float64Array; // ascending too: the spans do not overlap; end >= begin
  category: Uint8Array; // a colour, 0 ... 31
}

// Sums of `fan` to the power of its level neighbouring spans.
interface Level {
  begin: Float64Array; // of the first
  end: Float64Array; // of the last
  covered: Float64Array; // time that spans cover
  category: Uint8Array; // that covers the most of it
}

export class SpanPyramid {
  readonly levels: Level[];

  constructor(readonly spans: Spans) {
    const count = spans.begin.length;
    const covered = new Float64Array(count);
    for (let i = 0; i < count; ++i) covered[i] = spans.end[i]! - spans.begin[i]!;
    this.levels = [{ begin: spans.begin, end: spans.end, covered, category: spans.category }];
    for (let below = this.levels[0]!; below.begin.length > 1; below = this.levels[this.levels.length - 1]!) {
      this.levels.push(Above(below));
    }
  }

  get count(): number {
    return this.spans.begin.length;
  }

  // The first span that ends after `time`.
  FirstEndingAfter(time: number): number {
    return LowerBound(this.spans.end, time, true);
  }

  // The first span that begins at or after `time`.
  FirstBeginningAt(time: number): number {
    return LowerBound(this.spans.begin, time, false);
  }

  // The span at `time`, or the nearest one within `reach`; -1: none.
  At(time: number, reach: number): number {
    const { begin, end } = this.spans;
    const after = LowerBound(end, time, false);
    let best = -1;
    let distance = reach;
    for (const candidate of [after, after - 1]) {
      if (candidate < 0 || candidate >= this.count) continue;
      const away = Math.max(0, begin[candidate]! - time, time - end[candidate]!);
      if (away <= distance) {
        distance = away;
        best = candidate;
      }
    }
    return best;
  }
}

function Above(below: Level): Level {
  const count = Math.ceil(below.begin.length / fan);
  const level: Level = {
    begin: new Float64Array(count),
    end: new Float64Array(count),
    covered: new Float64Array(count),
    category: new Uint8Array(count),
  };
  const weights = new Float64Array(256);
  for (let node = 0; node < count; ++node) {
    const first = node * fan;
    const last = Math.min(first + fan, below.begin.length);
    let covered = 0;
    let best = below.category[first]!;
    for (let i = first; i < last; ++i) {
      covered += below.covered[i]!;
      const category = below.category[i]!;
      weights[category]! += below.covered[i]! + 1e-3; // spans without length count a little
      if (weights[category]! > weights[best]!) best = category;
    }
    for (let i = first; i < last; ++i) weights[below.category[i]!] = 0;
    level.begin[node] = below.begin[first]!;
    level.end[node] = below.end[last - 1]!;
    level.covered[node] = covered;
    level.category[node] = best;
  }
  return level;
}

// The first position in ascending `numbers` with a number >= `bound`, or > `bound` where `above` says so.
export function LowerBound(numbers: ArrayLike<number>, bound: number, above: boolean): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const number = numbers[middle]!;
    if (number < bound || (above && number === bound)) low = middle + 1;
    else high = middle;
  }
  return low;
}

// LowerBound from `from` on, for a bound that is probably near.
function Gallop(numbers: Float64Array, from: number, bound: number): number {
  let low = from;
  let step = 1;
  while (low + step < numbers.length && numbers[low + step - 1]! < bound) {
    low += step;
    step *= 2;
  }
  let high = Math.min(numbers.length, low + step);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A quantity over time: `value[i]` from `time[i]` until `time[i + 1]`; 0 before the first.
export interface Counter {
  time: Float64Array; // ascending
  value: Float64Array;
}

export class CounterPyramid {
  private readonly most: Uint32Array[] = []; // by level: position of the largest value of each node

  constructor(readonly counter: Counter) {
    const value = counter.value;
    let below: Uint32Array | null = null;
    for (let size = Math.ceil(value.length / fan); size > 0; size = size === 1 ? 0 : Math.ceil(size / fan)) {
      const level: Uint32Array = new Uint32Array(size);
      const length: number = below === null ? value.length : below.length;
      for (let node = 0; node < size; ++node) {
        let best = -1;
        for (let i = node * fan; i < Math.min(length, (node + 1) * fan); ++i) {
          const position: number = below === null ? i : below[i]!;
          if (best < 0 || value[position]! > value[best]!) best = position;
        }
        level[node] = best;
      }
      this.most.push(level);
      below = level;
    }
  }

  // The position of the value that holds at `time`; -1 before the first.
  At(time: number): number {
    return LowerBound(this.counter.time, time, true) - 1;
  }

  // The position with the largest value that holds at some instant from `begin` to before `end`; -1 where none does.
  Most(begin: number, end: number): number {
    return this.MostOf(Math.max(0, this.At(begin)), LowerBound(this.counter.time, end, false));
  }

  // Most() of each of `columns` equal parts of a range of time, in one walk along it.
  MostByColumn(begin: number, end: number, columns: number): Int32Array {
    const time = this.counter.time;
    const found = new Int32Array(columns);
    let first = this.At(begin);
    for (let column = 0; column < columns; ++column) {
      const to = begin + ((end - begin) * (column + 1)) / columns;
      let last = Gallop(time, Math.max(0, first), to);
      found[column] = this.MostOf(Math.max(0, first), last);
      while (last < time.length && time[last]! <= to) ++last;
      first = last - 1;
    }
    return found;
  }

  // The position with the largest value from `first` to before `last`; -1: none.
  private MostOf(first: number, last: number): number {
    const value = this.counter.value;
    let best = -1;
    const Take = (position: number) => {
      if (best < 0 || value[position]! > value[best]!) best = position;
    };
    while (first < last) {
      let level = -1; // single values
      let size = 1;
      while (level + 1 < this.most.length && first % (size * fan) === 0 && first + size * fan <= last) {
        ++level;
        size *= fan;
      }
      Take(level < 0 ? first : this.most[level]![first / size]!);
      first += size;
    }
    return best;
  }
}
