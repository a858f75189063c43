// How the browser's trace becomes times of frames; without a browser.

import { expect, test } from 'vitest';
import { ScriptByFrame } from './script_by_frame.ts';

test('all script since the frame before belongs to a frame, once', () => {
  const At = (name: string, ts: number, tdur: number, tid = 1) => ({ name, ts, dur: tdur, tdur, tid });
  expect(ScriptByFrame([
    At('EventDispatch', 0, 900), // before the first name
    At('frames of pan', 1000, 0),
    At('EventDispatch', 2000, 500), // the wheel, and within it the listener
    At('FunctionCall', 2010, 480),
    At('TimerFire', 3000, 700),
    At('Layout', 3800, 9000), // no script
    At('FireAnimationFrame', 4000, 3000),
    At('FunctionCall', 4001, 2900),
    At('EventDispatch', 4500, 100, 2), // of another thread, meanwhile
    At('FireAnimationFrame', 9000, 2000),
    At('TimerFire', 12_000, 5000), // after the last frame of its name
    At('frames of zoom', 20_000, 0),
    At('FireAnimationFrame', 21_000, 4000),
  ])).toEqual(new Map([['pan', [4.2, 2.1]], ['zoom', [4]]]));
});
