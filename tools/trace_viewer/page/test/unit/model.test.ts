// Decoding of the page's data against an encoding made here by its description.
import { deflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Base64Bytes, DecodeDifferences, DecodeNumbers, DecodeTimes, Varints } from '../../src/columns.ts';
import { DecodeTrace, type Meta } from '../../src/model.ts';
import { Random } from './random.ts';
import { vocabulary } from './fixture.ts';

function Varint(number: bigint): number[] {
  const bytes: number[] = [];
  for (; number >= 128n; number >>= 7n) bytes.push(Number(number & 127n) | 128);
  return [...bytes, Number(number)];
}

function Differences(numbers: number[], event: number[]): number[] {
  const last = new Map<number, bigint>();
  return numbers.flatMap((number, i) => {
    const difference = BigInt(number) - (last.get(event[i]!) ?? 0n);
    last.set(event[i]!, BigInt(number));
    return Varint(difference < 0n ? -difference * 2n - 1n : difference * 2n);
  });
}

function Packed(bytes: number[] | string): string {
  return deflateSync(typeof bytes === 'string' ? bytes : Uint8Array.from(bytes)).toString('base64');
}

function RandomParts(count: number, seed: number) {
  const random = new Random(seed);
  const Numbers = (make: () => number) => Array.from({ length: count }, make);
  const times: number[] = [];
  let time = 0;
  for (let i = 0; i < count; ++i) {
    if (i > 0) time += random.Below(4) === 0 ? random.Below(2 ** 40) : random.Below(100);
    times.push(time);
  }
  const wide = () => (random.Below(3) === 0 ? random.Below(2) * 2 ** 51 : random.Below(2 ** random.Below(50)));
  const event = Numbers(() => 1 + random.Below(61));
  const records = {
    time: times,
    event,
    tag: Numbers(() => random.Below(9)),
    detail: Numbers(() => random.Below(65536)),
    label: Numbers(() => random.Below(3)),
    subject: Numbers(wide),
    value: Numbers(wide),
  };
  const labels = ['', '</script><b>', '"quoted" \u2028'];
  const meta: Meta = {
    format: 1, name: 'x.tlt', records: count, storages: 2, transfers: 0, gaps: [], vocabulary, summary: {} as Meta['summary'],
  };
  const parts: Record<string, string> = {
    meta: JSON.stringify(meta),
    time: Packed(times.flatMap((at, i) => Varint(BigInt(at - (i === 0 ? 0 : times[i - 1]!))))),
    event: Packed(event),
    tag: Packed(records.tag),
    detail: Packed(records.detail.flatMap(number => [number & 255, number >> 8])),
    label: Packed(records.label.flatMap(number => Varint(BigInt(number)))),
    subject: Packed(Differences(records.subject, event)),
    value: Packed(Differences(records.value, event)),
    slots: Packed([...Varint(0n), ...Varint(4_000_000_000n)]),
    generations: Packed([0, 7]),
    labels: Packed(JSON.stringify(labels)),
  };
  return { records, parts, labels };
}

test('every column comes back as it was', async () => {
  const { records, parts, labels } = RandomParts(3000, 5);
  const trace = await DecodeTrace(part => parts[part] ?? null);
  for (const name of ['time', 'event', 'tag', 'detail', 'label', 'subject', 'value'] as const) {
    expect([...trace.columns[name]], name).toEqual(records[name]);
  }
  expect(trace.labels).toEqual(labels);
  expect([...trace.slots]).toEqual([0, 4_000_000_000]);
  expect([...trace.generations]).toEqual([0, 7]);
  expect(trace.duration).toBe(records.time.at(-1));
});

test('a page without one part, of another format or cut says so', async () => {
  const { parts } = RandomParts(10, 6);
  await expect(DecodeTrace(part => (part === 'value' ? null : parts[part]!))).rejects.toThrow('no data "value"');
  const other = JSON.stringify({ ...JSON.parse(parts['meta']!), format: 2 });
  await expect(DecodeTrace(part => (part === 'meta' ? other : parts[part]!))).rejects.toThrow('format 2');
  const more = JSON.stringify({ ...JSON.parse(parts['meta']!), records: 11 });
  await expect(DecodeTrace(part => (part === 'meta' ? more : parts[part]!))).rejects.toThrow('not 11');
});

test('an empty trace has nothing and a length', async () => {
  const { parts } = RandomParts(0, 7);
  const trace = await DecodeTrace(part => parts[part] ?? null);
  expect(trace.columns.count).toBe(0);
  expect(trace.duration).toBe(1);
});

test('varints at their borders, cut into pieces anywhere', () => {
  const numbers = [0, 127, 128, 2 ** 14, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 52 + 1, 2 ** 53 - 1];
  const bytes = Uint8Array.from(numbers.flatMap(number => Varint(BigInt(number))));
  for (let cut = 0; cut <= bytes.length; ++cut) {
    const varints = new Varints();
    expect([...varints.Take(bytes.subarray(0, cut)), ...varints.Take(bytes.subarray(cut))]).toEqual(numbers);
  }
  expect([...new Varints().Take(new Uint8Array(100_000))]).toEqual(new Array(100_000).fill(0)); // more than it has room for at first
});

test('columns have zeros beyond the end of their data, and nothing beyond their own', async () => {
  expect([...await DecodeNumbers(Packed([5, 6, 7]), 5)]).toEqual([5, 6, 7, 0, 0]);
  expect([...await DecodeNumbers(Packed([5, 6, 7]), 2)]).toEqual([5, 6]);
  expect([...await DecodeTimes(Packed([5, 6, 7]), 5)]).toEqual([5, 11, 18, 18, 18]);
  expect([...await DecodeTimes(Packed([5, 6, 7]), 2)]).toEqual([5, 11]);
  expect([...await DecodeDifferences(Packed([4, 6, 1]), Uint8Array.of(1, 2, 1, 2, 1))]).toEqual([2, 3, 1, 3, 1]);
  expect([...await DecodeDifferences(Packed([4, 6, 1]), Uint8Array.of(1, 2))]).toEqual([2, 3]);
  await expect(DecodeNumbers(Packed([5, 6, 7]).slice(0, 8), 3)).rejects.toThrow();
  await expect(DecodeNumbers('AAAA', 3)).rejects.toThrow();
});

test('base64 of every length', () => {
  for (let length = 0; length < 20; ++length) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 77 + 200) & 255);
    expect([...Base64Bytes(Buffer.from(bytes).toString('base64'))]).toEqual([...bytes]);
  }
});
