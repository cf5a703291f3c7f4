// Decompressing a gzip file piece by piece: RFC 1952. Members that follow each other are one file; zeros behind the last are padding.

import { Inflate, type InflateState, WINDOW } from './inflate.ts';
import { ImageError, type Io, type Storage } from './io.ts';
import { PackedInput, type Unpacker } from './unpacked.ts';

const OUT = 128 << 10;
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
/** Bytes of a member's header at most: names of files and the like. */
const MAX_HEADER = 200 << 10;

const CRC_TABLES = ((): Uint32Array[] => {
  const first = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  const tables = [first];
  for (let k = 1; k < 4; k++) tables.push(tables[k - 1].map((value) => (value >>> 8) ^ first[value & 0xff]));
  return tables;
})();

/** CRC-32 of ISO 3309, going on from that of what came before; four bytes at a time. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [t0, t1, t2, t3] = CRC_TABLES;
  let crc = ~before;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc = t3[crc & 0xff] ^ t2[(crc >>> 8) & 0xff] ^ t1[(crc >>> 16) & 0xff] ^ t0[crc >>> 24];
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;

/** State between two portions of output. */
interface State {
  position: number;
  inputAt: number;
  /** Undefined between members. */
  inflate: InflateState | undefined;
  history: Uint8Array;
  crc: number;
  length: number;
  first: boolean;
}

export class GzipUnpacker implements Unpacker {
  position = 0;
  private readonly input: PackedInput;
  private inflate: Inflate | undefined;
  private readonly out = new Uint8Array(WINDOW + OUT);
  /** End of the output in `out`; up to WINDOW bytes before it are history. */
  private end = 0;
  private crc = 0;
  private length = 0;
  private first = true;

  constructor(
    private readonly storage: Storage,
    state?: State,
  ) {
    this.input = new PackedInput(storage, state?.inputAt);
    if (!state) return;
    this.position = state.position;
    this.inflate = state.inflate && new Inflate(state.inflate);
    this.out.set(state.history);
    this.end = state.history.length;
    this.crc = state.crc;
    this.length = state.length;
    this.first = state.first;
  }

  checkpoint(): { resume: () => Unpacker; bytes: number } {
    const state: State = {
      position: this.position,
      inputAt: this.input.start + (this.inflate?.inAt ?? 0),
      inflate: this.inflate?.save(),
      history: this.out.slice(Math.max(0, this.end - WINDOW), this.end),
      crc: this.crc,
      length: this.length,
      first: this.first,
    };
    return { resume: () => new GzipUnpacker(this.storage, state), bytes: WINDOW + 16384 };
  }

  *next(): Io<Uint8Array | null> {
    const { input, out } = this;
    // Keep the history, at the start of the buffer.
    if (this.end > WINDOW) {
      out.copyWithin(0, this.end - WINDOW, this.end);
      this.end = WINDOW;
    }
    for (;;) {
      if (!this.inflate && !(yield* this.header())) return null;
      const inflate = this.inflate!;
      inflate.outAt = this.end;
      const result = inflate.run(input.bytes, input.ended, out, Math.max(0, this.end - Math.min(WINDOW, this.length)), this.end + OUT);
      const portion = out.subarray(this.end, inflate.outAt);
      this.crc = crc32(portion, this.crc);
      this.length += portion.length;
      this.position += portion.length;
      this.end = inflate.outAt;
      if (result === 'input') {
        yield* input.more(inflate.inAt, 64 << 10);
        inflate.inAt = 0;
      } else if (result === 'end') yield* this.trailer(inflate.inAt - inflate.unused);
      if (portion.length > 0) return portion;
    }
  }

  /** The start of a member. @returns false at the end of the file */
  private *header(): Io<boolean> {
    const { input } = this;
    yield* input.more(0, MAX_HEADER);
    const { bytes } = input;
    if (!this.first && bytes.every((byte) => byte === 0)) return false;
    const short = (): never => {
      throw new ImageError('the gzip file is cut off');
    };
    if (bytes.length < 10) return short();
    if (!isGzip(bytes)) throw new ImageError(this.first ? 'it is not a gzip file' : 'there is something else behind the gzip file');
    const flags = bytes[3];
    let at = 10;
    if (flags & FEXTRA) at += 2 + (bytes[at] | (bytes[at + 1] << 8));
    for (const flag of [FNAME, FCOMMENT]) {
      if (!(flags & flag)) continue;
      const zero = bytes.indexOf(0, at);
      if (zero < 0) return short();
      at = zero + 1;
    }
    if (flags & FHCRC) at += 2;
    if (at > bytes.length) return short();
    this.first = false;
    this.inflate = new Inflate();
    this.inflate.inAt = at;
    this.crc = 0;
    this.length = 0;
    return true;
  }

  private *trailer(at: number): Io<void> {
    const { input } = this;
    yield* input.more(at, 8);
    const { bytes } = input;
    if (bytes.length < 8) throw new ImageError('the gzip file is cut off');
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    if (view.getUint32(0, true) !== this.crc) throw new ImageError('the gzip file is damaged: its checksum is wrong');
    if (view.getUint32(4, true) !== this.length % 2 ** 32) throw new ImageError('the gzip file is damaged: its length is wrong');
    yield* input.more(8, 1);
    this.inflate = undefined;
  }
}
