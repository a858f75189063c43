// Call stacks: a CallStack record stands before the record that it belongs to, has its time, and says its event and subject.
// Traces have them only where the program was told to write them.

import type { Trace } from '../model.ts';
import { Event } from '../vocabulary.ts';

export interface Stacks {
  // The frames, one a line, of the record with this event and subject at `time`; "": none.
  Of(event: number, subject: number, time: number): string;
}

export function DeriveStacks(trace: Trace): Stacks {
  const { count, event, detail, subject, value, time } = trace.columns;
  const found = new Map<string, { time: number; label: number }[]>();
  for (let i = 0; i < count; ++i) {
    if (event[i] !== Event.CallStack) continue;
    const key = `${detail[i]} ${subject[i]}`;
    const stack = { time: time[i]!, label: value[i]! };
    const list = found.get(key);
    if (list === undefined) found.set(key, [stack]);
    else list.push(stack);
  }
  return {
    Of(wanted, of, at) {
      const stack = found.get(`${wanted} ${of}`)?.find(candidate => candidate.time === at);
      return stack === undefined ? '' : trace.labels[stack.label] ?? '';
    },
  };
}
