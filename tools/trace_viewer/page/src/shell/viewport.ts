// TimeRange: the part of time that is shown, with the rules of moving it: never narrower than 100 ns, never off the trace.

import type { Viewport } from '../views/view.ts';

const narrowest = 100; // ns

export class TimeRange {
  begin: number;
  end: number;
  private readonly first: number;
  private readonly last: number;

  // `open`: records are missing after the end, so a little of that is shown.
  constructor(duration: number, open: boolean) {
    this.first = -0.004 * duration;
    this.last = duration * (open ? 1.03 : 1.004);
    this.begin = this.first;
    this.end = this.last;
  }

  get length(): number {
    return this.end - this.begin;
  }

  Within(width: number): Viewport {
    return { begin: this.begin, end: this.end, width: Math.max(1, width) };
  }

  Show(begin: number, end: number): void {
    if (!(Number.isFinite(begin) && Number.isFinite(end))) return;
    const whole = this.last - this.first;
    const length = Math.min(whole, Math.max(end - begin, Math.min(narrowest, whole)));
    const middle = (begin + end) / 2;
    this.begin = Math.min(this.last - length, Math.max(this.first, middle - length / 2));
    this.end = this.begin + length;
  }

  Fit(): void {
    this.Show(this.first, this.last);
  }

  // By a share of what is shown.
  Pan(share: number): void {
    const by = share * this.length;
    this.Show(this.begin + by, this.end + by);
  }

  // Shows `factor` times as much, with the instant `at` (a share of the width) where it was.
  Zoom(factor: number, at: number): void {
    const whole = this.last - this.first;
    const length = Math.min(whole, Math.max(narrowest, this.length * factor));
    const begin = this.begin + (this.length - length) * at;
    this.Show(begin, begin + length);
  }

  // Brings an interval into view: as it is where it is in view already, else in the middle.
  Reveal(begin: number, end: number): void {
    if (begin >= this.begin && end <= this.end) return;
    const length = Math.max(this.length, (end - begin) * 1.2);
    const middle = (begin + end) / 2;
    this.Show(middle - length / 2, middle + length / 2);
  }
}
