// Ops and steps: what the program was doing. An op is paired by its number, as the summary pairs it.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';
import { NumberMap } from './number_map.ts';
import { CountOf, RecordsOf } from './records.ts';

export interface Ops {
  count: number; // in the order of their ends
  begin: Float64Array;
  end: Float64Array;
  number: Float64Array;
  stream: Float64Array; // -1: not in the trace
  backward: Uint8Array; // 1 where it is
  label: Uint32Array;
}

export function DeriveOps(trace: Trace): Ops {
  const { time, event, detail, label, subject, value } = trace.columns;
  const most = CountOf(trace.columns, Event.OpEnd);
  const out: Ops = {
    count: 0,
    begin: new Float64Array(most),
    end: new Float64Array(most),
    number: new Float64Array(most),
    stream: new Float64Array(most),
    backward: new Uint8Array(most),
    label: new Uint32Array(most),
  };
  const begins = new NumberMap(); // by op number: the record that began it
  const records = RecordsOf(trace.columns, Event.OpBegin, Event.OpEnd);
  for (let k = 0; k < records.length; ++k) {
    const i = records[k]!;
    if (event[i] === Event.OpBegin) {
      begins.Set(subject[i]!, i);
    } else {
      const begin = begins.Take(subject[i]!);
      if (begin < 0) continue;
      const at = out.count++;
      out.begin[at] = time[begin]!;
      out.end[at] = time[i]!;
      out.number[at] = subject[i]!;
      out.stream[at] = value[begin] === 0 ? -1 : value[begin]!;
      out.backward[at] = detail[i] === 1 ? 1 : 0;
      out.label[at] = label[i]!;
    }
  }
  const { count } = out;
  return count === most ? out : {
    count, begin: out.begin.slice(0, count), end: out.end.slice(0, count), number: out.number.slice(0, count),
    stream: out.stream.slice(0, count), backward: out.backward.slice(0, count), label: out.label.slice(0, count),
  };
}

export interface Steps {
  count: number; // finished and unfinished
  number: Float64Array;
  begin: Float64Array;
  backward: Float64Array; // when its backward began; NaN: not in the trace
  end: Float64Array; // of an unfinished one: where the next began, or the trace ended
  finished: Uint8Array;
}

export function DeriveSteps(trace: Trace): Steps {
  const { time, event, subject } = trace.columns;
  const steps: { number: number; begin: number; backward: number; end: number; finished: boolean }[] = [];
  let open: (typeof steps)[number] | null = null;
  for (const i of RecordsOf(trace.columns, Event.StepBegin, Event.BackwardBegin, Event.StepEnd)) {
    switch (event[i]) {
      case Event.StepBegin:
        if (open !== null) open.end = time[i]!;
        open = { number: subject[i]!, begin: time[i]!, backward: NaN, end: trace.duration, finished: false };
        steps.push(open);
        break;
      case Event.BackwardBegin:
        if (open !== null && Number.isNaN(open.backward)) open.backward = time[i]!;
        break;
      case Event.StepEnd:
        if (open === null) break;
        open.end = time[i]!;
        open.finished = true;
        open = null;
        break;
      default:
    }
  }
  return {
    count: steps.length,
    number: Float64Array.from(steps, step => step.number),
    begin: Float64Array.from(steps, step => step.begin),
    backward: Float64Array.from(steps, step => step.backward),
    end: Float64Array.from(steps, step => step.end),
    finished: Uint8Array.from(steps, step => (step.finished ? 1 : 0)),
  };
}
