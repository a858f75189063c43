// Mouse, touch pad and touch on a timeline: drag pans, shift and drag (or a drag on the axis) zooms to a range, the wheel
// scrolls the list of views, sideways it pans, with Ctrl or Alt (and as a pinch on a touch pad) it zooms; two fingers on a
// touch screen zoom by how far apart they are and pan by where they are.

export interface GestureTarget {
  Pan: (share: number) => void;
  Zoom: (factor: number, at: number) => void;
  ShowShares: (begin: number, end: number) => void; // shares of the width
  Band: (begin: number, end: number | null) => void; // while a range is dragged; null: no more
  Hover: (x: number | null, y: number) => void; // CSS pixels in the element
  Click: (x: number, y: number, twice: boolean) => void;
}

const clickReach = 4; // pixels a pointer may move in a click
const leastPinch = 10; // pixels: fingers that are closer count as so far apart

interface Place {
  x: number; // CSS pixels in the element
  y: number;
}

// Two fingers: the middle between them, and how far apart they are.
interface Pinch {
  x: number;
  distance: number;
}

// Of the first two of them; null where there are not two.
function PinchOf(pointers: ReadonlyMap<number, Place>): Pinch | null {
  const [a, b] = [...pointers.values()];
  if (a === undefined || b === undefined) return null;
  return { x: (a.x + b.x) / 2, distance: Math.max(leastPinch, Math.hypot(a.x - b.x, a.y - b.y)) };
}

export function ListenToGestures(element: HTMLElement, target: GestureTarget, dragSelects: boolean): void {
  const pointers = new Map<number, Place>(); // those that are down
  let press: (Place & { range: boolean; moved: boolean }) | null = null; // one pointer, from where it went down
  let pinch: Pinch | null = null;

  const PlaceOf = (event: MouseEvent) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top, width: Math.max(1, box.width) };
  };

  element.addEventListener('wheel', event => {
    const { x, width } = PlaceOf(event);
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? width : 1;
    if (event.ctrlKey || event.metaKey || event.altKey) {
      event.preventDefault();
      target.Zoom(Math.exp(Math.max(-0.6, Math.min(0.6, event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.003)))), x / width);
      return;
    }
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (sideways === 0 || (!event.shiftKey && Math.abs(event.deltaY) > Math.abs(event.deltaX))) return;
    event.preventDefault();
    target.Pan((sideways * unit) / width);
  }, { passive: false });

  element.addEventListener('pointerdown', event => {
    if (event.button !== 0) return;
    const { x, y } = PlaceOf(event);
    pointers.set(event.pointerId, { x, y });
    element.setPointerCapture(event.pointerId);
    pinch = PinchOf(pointers);
    press = pinch === null ? { x, y, range: dragSelects || event.shiftKey, moved: false } : null;
    if (pinch !== null) target.Band(0, null);
  });

  element.addEventListener('pointermove', event => {
    const { x, y, width } = PlaceOf(event);
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      target.Hover(x, y);
      return;
    }
    pointers.set(event.pointerId, { x, y });
    if (pinch !== null) {
      const now = PinchOf(pointers)!;
      target.Zoom(pinch.distance / now.distance, pinch.x / width); // what is between the fingers stays there,
      target.Pan((pinch.x - now.x) / width); // and goes where they go
      pinch = now;
      return;
    }
    if (press === null) return;
    if (Math.hypot(x - press.x, y - press.y) > clickReach) press.moved = true;
    if (!press.moved) return;
    if (press.range) target.Band(press.x / width, x / width);
    else target.Pan((before.x - x) / width);
  });

  const End = (event: PointerEvent, done: boolean) => {
    if (!pointers.delete(event.pointerId)) return;
    if (pinch !== null) {
      pinch = PinchOf(pointers);
      const [last] = pointers.values();
      // A finger that stays goes on as a drag, and is no click when it is lifted.
      if (pinch === null && last !== undefined) press = { ...last, range: false, moved: true };
      return;
    }
    const { x, width } = PlaceOf(event);
    const ended = press;
    press = null;
    target.Band(0, null);
    if (!done || ended === null) return;
    if (!ended.moved) target.Click(ended.x, ended.y, false);
    else if (ended.range) target.ShowShares(Math.min(ended.x, x) / width, Math.max(ended.x, x) / width);
  };
  element.addEventListener('pointerup', event => End(event, true));
  element.addEventListener('pointercancel', event => End(event, false));
  element.addEventListener('pointerleave', () => target.Hover(null, 0));
  element.addEventListener('dblclick', event => {
    const { x, y } = PlaceOf(event);
    target.Click(x, y, true);
  });

  // Safari tells of a pinch on a touch pad by events of its own. On its touch screens it sends them besides those of pointers.
  let scale = 1;
  element.addEventListener('gesturestart', event => {
    event.preventDefault();
    scale = 1;
  });
  element.addEventListener('gesturechange', event => {
    event.preventDefault();
    const gesture = event as MouseEvent & { scale: number };
    const { x, width } = PlaceOf(gesture);
    if (pointers.size === 0) target.Zoom(scale / gesture.scale, x / width);
    scale = gesture.scale;
  });
}
