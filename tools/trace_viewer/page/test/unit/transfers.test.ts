// Copies, stalls, ops, steps and exposure of small traces whose figures are known.
import { expect, test } from 'vitest';
import { Derived } from '../../src/derive/derived.ts';
import { TotalLength } from '../../src/derive/intervals.ts';
import { StorageName } from '../../src/derive/storages.ts';
import { QueueDepth } from '../../src/derive/transfers.ts';
import { Direction, Event, StallCause } from '../../src/vocabulary.ts';
import { MakeTrace, type RecordLike } from './fixture.ts';

function Copy(number: number, direction: number, storage: number, bytes: number, asked: number, begun: number, ended: number): RecordLike[] {
  const one = { detail: direction, subject: number };
  return [
    { ...one, time: asked, event: Event.TransferStorage, value: storage },
    { ...one, time: asked, event: Event.TransferAsk, value: bytes },
    { ...one, time: begun, event: Event.TransferBegin, value: bytes },
    { ...one, time: ended, event: Event.TransferEnd, value: bytes },
  ];
}

function Sorted(records: RecordLike[]): RecordLike[] {
  return records.map((record, i) => ({ record, i })).sort((a, b) => a.record.time - b.record.time || a.i - b.i).map(({ record }) => record);
}

test('the four phases of copies', () => {
  const derived = new Derived(MakeTrace(Sorted([
    { time: 0, event: Event.StorageRegister, tag: 4, label: 'probs', subject: 3, value: 4096 },
    ...Copy(0, Direction.Out, 3, 4096, 10, 20, 50),
    ...Copy(1, Direction.In, 3, 4096, 100, 105, 130), // ahead of need: the unpack comes later
    { time: 160, event: Event.Unpack, subject: 3 },
    { time: 200, event: Event.Unpack, subject: 5 },
    ...Copy(2, Direction.In, 5, 64, 200, 210, 220), // asked for by the unpack before it
    ...Copy(3, Direction.In, 6, 64, 230, 240, 250), // never needed
    { time: 300, event: Event.TransferAsk, detail: Direction.Out, subject: 4, value: 8 },
  ])));
  const { transfers, storages } = derived;
  expect([...transfers.asked.slice(0, 5)]).toEqual([10, 100, 200, 230, 300]);
  expect([...transfers.begun.slice(0, 4)]).toEqual([20, 105, 210, 240]);
  expect([...transfers.ended.slice(0, 4)]).toEqual([50, 130, 220, 250]);
  expect([...transfers.consumed.slice(0, 3)]).toEqual([100, 160, 220]);
  expect(transfers.demanded[1]).toBe(160);
  expect(transfers.demanded[2]).toBe(200);
  expect(transfers.consumed[3]).toBeNaN();
  expect(transfers.ended[4]).toBeNaN();
  expect(transfers.tag[0]).toBe(4);
  expect(StorageName(derived.trace, storages, transfers.storage[0]!)).toBe('probs');
  expect(StorageName(derived.trace, storages, 5)).toBe('storage 5.1');
});

test('a copy that failed was never on the wire, and nothing consumes it', () => {
  const { transfers } = new Derived(MakeTrace(Sorted([
    { time: 10, event: Event.TransferStorage, detail: Direction.Out, subject: 0, value: 3 },
    { time: 10, event: Event.TransferAsk, detail: Direction.Out, subject: 0, value: 4096 },
    { time: 30, event: Event.TransferEnd, detail: Direction.Out, subject: 0, value: 0 },
    ...Copy(1, Direction.In, 3, 4096, 40, 45, 50),
    ...Copy(2, Direction.Out, 4, 0, 60, 65, 70), // of nothing, and nothing failed
  ])));
  expect([...transfers.failed.slice(0, 3)]).toEqual([1, 0, 0]);
  expect(transfers.begun[0]).toBeNaN();
  expect(transfers.ended[0]).toBe(30);
  expect(transfers.consumed[0]).toBeNaN();
  expect(transfers.bytes[0]).toBe(0);
});

test('the call stack of a record is the one that says its event, subject and time', () => {
  const { stacks } = new Derived(MakeTrace([
    { time: 5, event: Event.CallStack, detail: Event.StorageRegister, subject: 3, value: 1 },
    { time: 5, event: Event.StorageRegister, subject: 3, label: 'main.cc:12\nrun.cc:7' },
    { time: 9, event: Event.CallStack, detail: Event.Pack, subject: 3, value: 2 },
    { time: 9, event: Event.Pack, subject: 3, label: 'other.cc:1' },
  ]));
  expect(stacks.Of(Event.StorageRegister, 3, 5)).toBe('main.cc:12\nrun.cc:7');
  expect(stacks.Of(Event.Pack, 3, 9)).toBe('other.cc:1');
  expect(stacks.Of(Event.Pack, 3, 5)).toBe('');
  expect(stacks.Of(Event.StorageRegister, 4, 5)).toBe('');
});

test('how many copies wait', () => {
  const { transfers } = new Derived(MakeTrace(Sorted([
    ...Copy(0, Direction.Out, 1, 8, 0, 10, 20), ...Copy(1, Direction.Out, 2, 8, 5, 20, 30), ...Copy(2, Direction.In, 2, 8, 6, 7, 30),
    ...Copy(3, Direction.Out, 2, 8, 20, 30, 31), ...Copy(4, Direction.Out, 2, 8, 40, 40, 41),
  ])));
  const queue = QueueDepth(transfers, Direction.Out);
  expect([...queue.time]).toEqual([0, 5, 10, 20, 20, 30]);
  expect([...queue.value]).toEqual([1, 2, 1, 0, 1, 0]);
});

test('a stall is as long as its end says, on the stream of its begin', () => {
  const { stalls } = new Derived(MakeTrace([
    { time: 0, event: Event.StorageRegister, tag: 3, label: 'weights', subject: 2, value: 8 },
    { time: 10, event: Event.StallBegin, detail: StallCause.LateCopyIn, subject: 2, value: 77 },
    { time: 12, event: Event.StallBegin, detail: StallCause.Allocation, tag: 7, subject: 0, value: 78 },
    { time: 25, event: Event.StallEnd, detail: StallCause.LateCopyIn, subject: 2, value: 15 },
    { time: 30, event: Event.StallEnd, detail: StallCause.Allocation, tag: 7, subject: 0, value: 18, label: 'op' },
    { time: 40, event: Event.StallEnd, detail: StallCause.Producer, subject: 9, value: 5 },
    { time: 50, event: Event.StallEnd, detail: 99, subject: 9, value: 5 },
  ]));
  expect(stalls.count).toBe(3);
  expect([...stalls.begin]).toEqual([10, 12, 35]);
  expect([...stalls.end]).toEqual([25, 30, 40]);
  expect([...stalls.stream]).toEqual([77, 78, -1]);
  expect([...stalls.tag]).toEqual([3, 7, 0]);
  expect([...stalls.label].map(label => label !== 0)).toEqual([true, true, false]);
});

test('of the stalls for one storage each end belongs to the begin at its distance', () => {
  const late = { detail: StallCause.LateCopyIn, subject: 2 };
  const { stalls } = new Derived(MakeTrace([
    { ...late, time: 10, event: Event.StallBegin, value: 77 },
    { ...late, time: 20, event: Event.StallBegin, value: 78 },
    { ...late, time: 30, event: Event.StallEnd, value: 10 },
    { ...late, time: 40, event: Event.StallEnd, value: 30 },
  ]));
  expect([...stalls.stream]).toEqual([78, 77]);
});

test('ops by number and steps with their backward', () => {
  const { ops, steps } = new Derived(MakeTrace([
    { time: 0, event: Event.StepBegin, subject: 7 },
    { time: 1, event: Event.OpBegin, subject: 1, label: 'matmul', value: 5 },
    { time: 2, event: Event.OpBegin, subject: 2, detail: 1 },
    { time: 4, event: Event.OpEnd, subject: 2, detail: 1 },
    { time: 5, event: Event.BackwardBegin, subject: 7 },
    { time: 6, event: Event.OpEnd, subject: 1, label: 'matmul' },
    { time: 7, event: Event.OpEnd, subject: 3 },
    { time: 7, event: Event.OpEnd, subject: 1 },
    { time: 9, event: Event.StepEnd, subject: 7 },
    { time: 10, event: Event.StepBegin, subject: 8 },
    { time: 12, event: Event.StepBegin, subject: 9 },
    { time: 20, event: Event.OpBegin, subject: 4 },
  ]));
  expect(ops.count).toBe(2);
  expect([...ops.begin.slice(0, 2)]).toEqual([2, 1]);
  expect([...ops.end.slice(0, 2)]).toEqual([4, 6]);
  expect([...ops.stream]).toEqual([-1, 5]);
  expect([...steps.number]).toEqual([7, 8, 9]);
  expect([...steps.end]).toEqual([9, 12, 20]);
  expect([...steps.finished]).toEqual([1, 0, 0]);
  expect(steps.backward[0]).toBe(5);
});

test('hidden, exposed and unknown time as the summary counts them', () => {
  const { exposure } = new Derived(MakeTrace(Sorted([
    ...Copy(0, Direction.Out, 1, 8, 0, 10, 30),
    ...Copy(1, Direction.In, 1, 8, 0, 20, 50),
    ...Copy(2, Direction.Within, 1, 8, 0, 90, 95),
    { time: 60, event: Event.StallEnd, detail: StallCause.LateCopyIn, subject: 1, value: 20 },
    { time: 80, event: Event.StallEnd, detail: StallCause.Producer, subject: 1, value: 10 },
    { time: 0, event: Event.OpBegin, subject: 1 },
    { time: 40, event: Event.OpEnd, subject: 1 },
    { time: 100, event: Event.StepEnd, subject: 1 },
  ])));
  expect(TotalLength(exposure.transfer)).toBe(40);
  expect(TotalLength(exposure.exposed)).toBe(20);
  expect(TotalLength(exposure.hidden)).toBe(30);
  expect(TotalLength(exposure.compute)).toBe(40);
  expect(TotalLength(exposure.unknown)).toBe(30); // 60 to 70 and 80 to 100
});
