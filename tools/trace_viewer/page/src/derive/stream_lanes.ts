// Lanes by stream, of things that each belong to one. Where there are very many streams the last lane has those of all others.

const ownLanes = 16; // most streams with a lane of their own

export class StreamLanes {
  readonly lanes: number[]; // those that there are, by stream
  readonly of: Uint8Array; // the lane of each thing
  private readonly streams: number[];

  // The stream of each thing; -1: not in the trace.
  constructor(stream: Float64Array) {
    this.streams = [...new Set(stream)].sort((a, b) => a - b);
    const laneOf = new Map(this.streams.map((number, i) => [number, Math.min(i, ownLanes)]));
    this.lanes = [...new Set(laneOf.values())];
    this.of = Uint8Array.from(stream, number => laneOf.get(number)!);
  }

  // "stalls-2", or "stalls" where there is one stream.
  Id(things: string, lane: number): string {
    return this.streams.length === 1 ? things : `${things}-${lane}`;
  }

  // "Stalls of stream 3", or "Stalls" where there is one stream.
  Title(things: string, lane: number): string {
    if (this.streams.length === 1) return things;
    const others = this.streams.length - ownLanes;
    if (lane === ownLanes) return `${things} of ${others} other stream${others === 1 ? '' : 's'}`;
    return this.streams[lane]! < 0 ? `${things}, stream not known` : `${things} of stream ${this.streams[lane]}`;
  }

  // What is said of a lane that is not of one stream; '' of others.
  Note(lane: number): string {
    return lane === ownLanes ? `Of streams that have no lane of their own: all after the first ${ownLanes}.` : '';
  }
}

export function StreamText(stream: number): string {
  return stream < 0 ? 'not in the trace' : `${stream}`;
}
