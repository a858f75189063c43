// How long scripts take in each frame, of a trace that the browser writes of itself.

// An event of the browser's trace, in us.
export interface TraceEvent {
  name: string;
  ts: number;
  dur?: number;
  tdur?: number; // of the processor
  tid?: number;
}

const scripts = new Set(['FireAnimationFrame', 'EventDispatch', 'TimerFire', 'FireIdleCallback', 'FunctionCall', 'RunMicrotasks']);

// ms of script of each frame, by the last mark "frames of NAME". An animation frame's script ends what belongs to it.
export function ScriptByFrame(events: TraceEvent[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  let name = '';
  let script = 0; // us since the last frame
  const until = new Map<number, number>(); // by thread: when the last event that was counted ended; those within it are part of it
  for (const event of events.sort((x, y) => x.ts - y.ts || (y.dur ?? 0) - (x.dur ?? 0))) {
    if (event.name.startsWith('frames of ')) {
      name = event.name.slice('frames of '.length);
      script = 0;
    }
    const thread = event.tid ?? 0;
    if (!scripts.has(event.name) || event.tdur === undefined || event.ts < (until.get(thread) ?? 0)) continue;
    until.set(thread, event.ts + (event.dur ?? event.tdur));
    script += event.tdur;
    if (event.name !== 'FireAnimationFrame') continue;
    times.set(name, [...(times.get(name) ?? []), script / 1000]);
    script = 0;
  }
  return times;
}
