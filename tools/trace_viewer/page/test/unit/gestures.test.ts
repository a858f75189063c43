// Fingers in every order in which they come and go, and a pinch as Safari tells it: what a browser under test cannot be made to do.

import { beforeEach, expect, test } from 'vitest';
import { ListenToGestures } from '../../src/shell/gestures.ts';

const width = 1000;
let listeners: Map<string, (event: object) => void>;
let done: string[];

function Listen(dragSelects = false): void {
  listeners = new Map();
  done = [];
  const element = {
    addEventListener: (name: string, listener: (event: object) => void) => listeners.set(name, listener),
    getBoundingClientRect: () => ({ left: 100, top: 50, width }),
    setPointerCapture: () => undefined,
  };
  const Rounded = (...numbers: number[]) => numbers.map(number => number.toFixed(3)).join(' ');
  ListenToGestures(element as unknown as HTMLElement, {
    Pan: share => done.push(`pan ${Rounded(share)}`),
    Zoom: (factor, at) => done.push(`zoom ${Rounded(factor, at)}`),
    ShowShares: (begin, end) => done.push(`show ${Rounded(begin, end)}`),
    Band: (begin, end) => done.push(end === null ? 'no band' : `band ${Rounded(begin, end)}`),
    Hover: () => undefined,
    Click: (x, y, twice) => done.push(`click ${x} ${y}${twice ? ' twice' : ''}`),
  }, dragSelects);
}

// An event of a pointer at a place in the element; returns what it did.
function Send(name: string, pointerId: number, x: number, y = 10, more: object = {}): string[] {
  done = [];
  listeners.get(name)!({ pointerId, clientX: 100 + x, clientY: 50 + y, button: 0, shiftKey: false, preventDefault: () => undefined, ...more });
  return done;
}

beforeEach(() => Listen());

test('two fingers zoom by their distance and pan by their middle', () => {
  Send('pointerdown', 1, 400);
  Send('pointerdown', 2, 600);
  expect(Send('pointermove', 2, 800)).toEqual(['zoom 0.500 0.500', 'pan -0.100']);
  expect(Send('pointermove', 1, 600)).toEqual(['zoom 2.000 0.600', 'pan -0.100']);
  expect(Send('pointermove', 2, 600, 210)).toEqual(['zoom 1.000 0.700', 'pan 0.100']); // below each other: as far apart
});

test('a finger that stays goes on as a drag, and its end is no click', () => {
  Send('pointerdown', 1, 400);
  Send('pointerdown', 2, 600);
  expect(Send('pointerup', 2, 600)).toEqual([]);
  expect(Send('pointermove', 1, 390)).toEqual(['pan 0.010']);
  expect(Send('pointerup', 1, 390)).toEqual(['no band']);
  Send('pointerdown', 1, 400);
  Send('pointerdown', 2, 600);
  Send('pointerup', 1, 400);
  expect(Send('pointerup', 2, 600)).toEqual(['no band']);
});

test('a second finger ends a drag of a range, and a third changes nothing', () => {
  Listen(true);
  Send('pointerdown', 1, 400);
  expect(Send('pointermove', 1, 500)).toEqual(['band 0.400 0.500']);
  expect(Send('pointerdown', 2, 700)).toEqual(['no band']);
  Send('pointerdown', 3, 100);
  expect(Send('pointermove', 3, 900)).toEqual(['zoom 1.000 0.600', 'pan 0.000']);
  expect(Send('pointerup', 1, 500)).toEqual([]);
  expect(Send('pointermove', 2, 800)).toEqual(['zoom 2.000 0.800', 'pan -0.050']); // of the two that are left: no jump
  expect(Send('pointercancel', 2, 800)).toEqual([]);
  expect(Send('pointerup', 3, 900)).toEqual(['no band']);
});

test('one finger clicks or drags', () => {
  Send('pointerdown', 1, 400);
  Send('pointermove', 1, 402);
  expect(Send('pointerup', 1, 402)).toEqual(['no band', 'click 400 10']);
  Send('pointerdown', 1, 400);
  expect(Send('pointercancel', 1, 400)).toEqual(['no band']); // the browser scrolls
  Send('pointerdown', 1, 400, 10, { shiftKey: true });
  Send('pointermove', 1, 300);
  expect(Send('pointerup', 1, 300)).toEqual(['no band', 'show 0.300 0.400']);
});

test('a pinch on a touch pad, as Safari tells it', () => {
  let prevented = 0;
  const Gesture = (name: string, scale: number) => Send(name, 0, 500, 10, { scale, preventDefault: () => ++prevented });
  Gesture('gesturestart', 1);
  expect(Gesture('gesturechange', 1.25)).toEqual(['zoom 0.800 0.500']);
  expect(Gesture('gesturechange', 2.5)).toEqual(['zoom 0.500 0.500']);
  Gesture('gesturestart', 1);
  expect(Gesture('gesturechange', 2)).toEqual(['zoom 0.500 0.500']);
  expect(prevented).toBe(5); // else the whole page would be zoomed
  Send('pointerdown', 1, 400);
  expect(Gesture('gesturechange', 4)).toEqual([]); // its pointers say it too
});
