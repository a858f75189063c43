// A map from numbers to positions, for addresses and the like, which come and go by the hundred thousand: a Map boxes each of them.
// Open addressing with linear probing; what is taken out is filled from behind, so that only what is there is ever looked at.

const empty = -1;

export class NumberMap {
  private keys = new Float64Array(1024);
  private values = new Int32Array(1024).fill(empty);
  private size = 0;

  // The position at `key`; -1: none.
  Get(key: number): number {
    return this.values[this.Find(key)]!;
  }

  // `value`: 0 or more.
  Set(key: number, value: number): void {
    let at = this.Find(key);
    if (this.values[at] === empty) {
      if (2 * ++this.size > this.values.length) {
        this.Grow();
        at = this.Find(key);
      }
      this.keys[at] = key;
    }
    this.values[at] = value;
  }

  // Takes `key` out and returns what was there; -1: nothing.
  Take(key: number): number {
    const { keys, values } = this;
    const mask = values.length - 1;
    let hole = this.Find(key);
    const value = values[hole]!;
    if (value === empty) return empty;
    --this.size;
    for (let at = (hole + 1) & mask; values[at] !== empty; at = (at + 1) & mask) {
      // It may move into the hole unless its own place lies behind that.
      if (((at - Place(keys[at]!, mask)) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at]!;
      values[hole] = values[at]!;
      hole = at;
    }
    values[hole] = empty;
    return value;
  }

  // Where `key` is, or is to be put.
  private Find(key: number): number {
    const { keys, values } = this;
    const mask = values.length - 1;
    let at = Place(key, mask);
    while (values[at] !== empty && keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  private Grow(): void {
    const { keys, values } = this;
    this.keys = new Float64Array(2 * keys.length);
    this.values = new Int32Array(2 * values.length).fill(empty);
    for (let i = 0; i < values.length; ++i) {
      if (values[i] === empty) continue;
      const at = this.Find(keys[i]!);
      this.keys[at] = keys[i]!;
      this.values[at] = values[i]!;
    }
  }
}

// Addresses are multiples of powers of two: the upper bits of both halves are mixed into the lower ones.
function Place(key: number, mask: number): number {
  let mixed = Math.imul((key % 4294967296) ^ Math.imul((key / 4294967296) | 0, 0x85ebca6b), 0x9e3779b1);
  mixed ^= mixed >>> 15;
  return Math.imul(mixed, 0x85ebca6b) >>> 7 & mask;
}
