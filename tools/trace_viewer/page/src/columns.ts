// Decoding of a column: base64 of a zlib stream, into an array of the column's type. What the browser inflates is taken piece by
// piece as it comes, so neither the inflated bytes of a column nor its numbers are ever there twice: memory that is touched for the
// first time costs more than the decoding.

export function Base64Bytes(text: string): Uint8Array<ArrayBuffer> {
  const direct = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  if (direct !== undefined) return direct.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; ++i) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const slice = 32 * 1024; // compressed bytes that are handed over at once

// Calls `take` with the inflated bytes of the text, one piece after the other; a piece is valid during the call only. Rejects where
// the text holds no whole stream.
async function Inflate(text: string, take: (piece: Uint8Array) => void): Promise<void> {
  const bytes = Base64Bytes(text.trim());
  const stream = new DecompressionStream('deflate');
  const writer = stream.writable.getWriter();
  const Write = async () => {
    for (let at = 0; at < bytes.length; at += slice) await writer.write(bytes.subarray(at, at + slice));
    await writer.close();
  };
  const written = Write();
  written.catch(() => undefined); // the reader is told the same
  const reader = stream.readable.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) take(read.value);
  await written;
}

// Varints from pieces of a stream: one may begin in a piece and end in another.
export class Varints {
  private numbers = new Float64Array(64 * 1024); // of one piece, used again for the next
  private number = 0; // the part of it that was read
  private scale = 1;

  // The numbers that end in this piece; valid until the next call.
  Take(piece: Uint8Array): Float64Array {
    if (this.numbers.length < piece.length) this.numbers = new Float64Array(piece.length);
    const numbers = this.numbers;
    let { number, scale } = this;
    let size = 0;
    for (let i = 0; i < piece.length; ++i) {
      const byte = piece[i]!;
      if (byte < 128) {
        numbers[size++] = number + byte * scale;
        number = 0;
        scale = 1;
      } else {
        number += (byte - 128) * scale;
        scale *= 128;
      }
    }
    this.number = number;
    this.scale = scale;
    return numbers.subarray(0, size);
  }
}

// Bytes into `column`; returns how many there are, which is more than fit where the text has too many.
export async function DecodeBytes(text: string, column: Uint8Array): Promise<number> {
  let size = 0;
  await Inflate(text, piece => {
    if (size < column.length) column.set(piece.subarray(0, column.length - size), size);
    size += piece.length;
  });
  return size;
}

export async function DecodeText(text: string): Promise<string> {
  const decoder = new TextDecoder();
  const parts: string[] = [];
  await Inflate(text, piece => parts.push(decoder.decode(piece, { stream: true })));
  return parts.join('') + decoder.decode();
}

// The columns below have zeros for what a text does not have, and nothing of what it has beyond their length.

export async function DecodeNumbers(text: string, count: number): Promise<Uint32Array> {
  const column = new Uint32Array(count);
  let at = 0;
  await EachNumbers(text, numbers => (at = Store(column, at, numbers)));
  return column;
}

// Sums of the numbers up to each.
export async function DecodeTimes(text: string, count: number): Promise<Float64Array> {
  const column = new Float64Array(count);
  let at = 0;
  await EachNumbers(text, numbers => (at = StoreSums(column, at, numbers)));
  return column.fill(at === 0 ? 0 : column[at - 1]!, at);
}

// Sums of the differences (zigzag) of the records of each event.
export async function DecodeDifferences(text: string, event: Uint8Array): Promise<Float64Array> {
  const column = new Float64Array(event.length);
  const last = new Float64Array(256);
  let at = 0;
  await EachNumbers(text, numbers => (at = StoreDifferences(column, at, numbers, event, last)));
  while (at < column.length) at = StoreDifferences(column, at, new Float64Array(Math.min(4096, column.length - at)), event, last);
  return column;
}

async function EachNumbers(text: string, take: (numbers: Float64Array) => void): Promise<void> {
  const varints = new Varints();
  await Inflate(text, piece => take(varints.Take(piece)));
}

// What follows runs once for each piece, so that it is soon machine code: stores from `at` on, and returns where it ends.

function Store(column: Uint32Array, at: number, numbers: Float64Array): number {
  const size = Math.min(numbers.length, column.length - at);
  for (let i = 0; i < size; ++i) column[at + i] = numbers[i]!;
  return at + size;
}

function StoreSums(column: Float64Array, at: number, numbers: Float64Array): number {
  const size = Math.min(numbers.length, column.length - at);
  let sum = at === 0 ? 0 : column[at - 1]!;
  for (let i = 0; i < size; ++i) column[at + i] = sum += numbers[i]!;
  return at + size;
}

function StoreDifferences(column: Float64Array, at: number, numbers: Float64Array, event: Uint8Array, last: Float64Array): number {
  const size = Math.min(numbers.length, column.length - at);
  for (let i = 0; i < size; ++i) {
    const half = numbers[i]! * 0.5;
    const whole = Math.floor(half);
    const code = event[at + i]!;
    const number = last[code]! + (half === whole ? whole : -whole - 1);
    column[at + i] = number;
    last[code] = number;
  }
  return at + size;
}
