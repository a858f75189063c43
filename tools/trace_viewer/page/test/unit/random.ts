// Random numbers for tests: the same from the same seed (mulberry32, Tommy Ettinger's public domain generator).

export class Random {
  constructor(private state: number) {}

  // From 0 to below 1.
  Next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  // A whole number from 0 to below `bound`.
  Below(bound: number): number {
    return Math.floor(this.Next() * bound);
  }
}
