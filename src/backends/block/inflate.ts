// The decompressor for DEFLATE, RFC 1951, and its wrapping in RFC 1950 (zlib).
//
// It stands here instead of a library because of what images need and no library offers: it stops after any symbol, its state is
// a small value that can be put aside, and decompression goes on from there (random access in a .gz); it answers at once; and it
// never writes more than it was given room for.

import { ImageError } from './io.ts';

/** A distance reaches back at most this far. */
export const WINDOW = 32768;
/** Bits that are looked up at once; longer codes are walked. */
const FAST = 10;
/** Input bytes that a symbol takes at most (15 + 5 + 15 + 13 bits, beside what is in the bit buffer), and the head of a dynamic block. */
const SYMBOL_BYTES = 8;
const HEAD_BYTES = 640;
/** Output of a symbol at most. */
const MOST = 258;
const FAST_MASK = (1 << FAST) - 1;

const LENGTH_BASE = Uint16Array.of(3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258);
const LENGTH_EXTRA = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0);
const DISTANCE_BASE = Uint16Array.of(
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
);
const DISTANCE_EXTRA = Uint8Array.of(0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13);
/** Order of the code lengths' code lengths, 3.2.7. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A canonical Huffman code. */
interface Code {
  /** By the next FAST bits: symbol << 4 | length; 0 if the code is longer, or none. */
  fast: Uint16Array;
  /** How many codes have each length, and all symbols in order. */
  counts: Uint16Array;
  symbols: Uint16Array;
}

function makeCode(lengths: Uint8Array): Code {
  const counts = new Uint16Array(16);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  let left = 1;
  const offsets = new Uint16Array(17);
  const next = new Uint16Array(16);
  let code = 0;
  for (let n = 1; n < 16; n++) {
    left = 2 * left - counts[n];
    if (left < 0) throw new ImageError('compressed data is damaged: a code has too many words');
    offsets[n + 1] = offsets[n] + counts[n];
    code = (code + counts[n - 1]) << 1;
    next[n] = code;
  }
  const symbols = new Uint16Array(lengths.length);
  const fast = new Uint16Array(1 << FAST);
  lengths.forEach((length, symbol) => {
    if (length === 0) return;
    symbols[offsets[length]++] = symbol;
    let word = next[length]++;
    if (length > FAST) return;
    // Codes come with their first bit lowest.
    let reversed = 0;
    for (let n = 0; n < length; n++, word >>= 1) reversed = (reversed << 1) | (word & 1);
    for (let at = reversed; at < 1 << FAST; at += 1 << length) fast[at] = (symbol << 4) | length;
  });
  return { fast, counts, symbols };
}

/** A code longer than FAST, of at least 15 bits: as in `fast`, symbol << 4 | length. */
function walkBits({ counts, symbols }: Code, bits: number): number {
  let word = 0;
  let first = 0;
  let index = 0;
  for (let n = 1; n < 16; n++) {
    word |= bits & 1;
    bits >>>= 1;
    const many = counts[n];
    if (word - many < first) return (symbols[index + word - first] << 4) | n;
    index += many;
    first = (first + many) << 1;
    word <<= 1;
  }
  throw new ImageError('compressed data is damaged: a code that is none');
}

const fixed = ((): { literal: Code; distance: Code } => {
  const lengths = new Uint8Array(288);
  for (let n = 0; n < 288; n++) lengths[n] = n < 144 ? 8 : n < 256 ? 9 : n < 280 ? 7 : 8;
  return { literal: makeCode(lengths), distance: makeCode(new Uint8Array(30).fill(5)) };
})();

const enum Mode {
  HEAD,
  STORED,
  CODES,
  END,
}

/** All that decompression needs to go on, beside its place in the input and the last 32 KiB of its output. */
export interface InflateState {
  mode: Mode;
  last: boolean;
  bits: number;
  count: number;
  stored: number;
  /** A match that did not fit. */
  length: number;
  distance: number;
  literalCode: Code;
  distanceCode: Code;
}

export class Inflate {
  private s: InflateState;
  /** Places behind what was taken and what was given. */
  inAt = 0;
  outAt = 0;

  constructor(state?: InflateState) {
    this.s = state
      ? { ...state }
      : { mode: Mode.HEAD, last: false, bits: 0, count: 0, stored: 0, length: 0, distance: 0, literalCode: fixed.literal, distanceCode: fixed.distance };
  }

  save(): InflateState {
    return { ...this.s };
  }

  /** Whole bytes that have been taken, but belong to what follows the compressed data. */
  get unused(): number {
    return this.s.count >> 3;
  }

  /**
   * Decompress from `input` at inAt into `out` at outAt, up to outEnd. What stands before outAt, from outStart, is the output so far.
   * @param ended there is no input beyond this
   * @throws ImageError for data that cannot be
   */
  run(input: Uint8Array, ended: boolean, out: Uint8Array, outStart: number, outEnd: number): 'input' | 'output' | 'end' {
    const { s } = this;
    let { bits, count } = s;
    let at = this.inAt;
    let to = this.outAt;
    const size = input.length;
    const fail = (why: string): never => {
      throw new ImageError(`compressed data is damaged: ${why}`);
    };
    const need = (n: number): void => {
      while (count < n) {
        if (at >= size) fail('it ends too early');
        bits |= input[at++] << count;
        count += 8;
      }
    };
    const take = (n: number): number => {
      if (n === 0) return 0;
      need(n);
      const value = bits & ((1 << n) - 1);
      bits >>>= n;
      count -= n;
      return value;
    };
    const walk = (code: Code): number => {
      let word = 0;
      let first = 0;
      let index = 0;
      for (let n = 1; n < 16; n++) {
        word |= take(1);
        const many = code.counts[n];
        if (word - many < first) return code.symbols[index + word - first];
        index += many;
        first = (first + many) << 1;
        word <<= 1;
      }
      return fail('a code that is none');
    };
    const symbol = (code: Code): number => {
      while (count < 15 && at < size) {
        bits |= input[at++] << count;
        count += 8;
      }
      const entry = code.fast[bits & ((1 << FAST) - 1)];
      const length = entry & 15;
      if (length === 0 || length > count) return walk(code);
      bits >>>= length;
      count -= length;
      return entry >> 4;
    };
    const leave = <T>(result: T): T => {
      s.bits = bits;
      s.count = count;
      this.inAt = at;
      this.outAt = to;
      return result;
    };

    for (;;) {
      if (s.mode === Mode.END) return leave('end' as const);
      if (s.mode === Mode.HEAD) {
        if (!ended && size - at < HEAD_BYTES) return leave('input' as const);
        s.last = take(1) === 1;
        const type = take(2);
        if (type === 0) {
          bits >>>= count & 7;
          count &= ~7;
          s.stored = take(16);
          if (take(16) !== (s.stored ^ 0xffff)) fail('the length of a stored block');
          s.mode = Mode.STORED;
        } else if (type === 1) {
          s.literalCode = fixed.literal;
          s.distanceCode = fixed.distance;
          s.mode = Mode.CODES;
        } else if (type === 2) {
          const literals = take(5) + 257;
          const distances = take(5) + 1;
          const many = take(4) + 4;
          if (literals > 286 || distances > 30) fail('too many codes');
          const lengthLengths = new Uint8Array(19);
          for (let n = 0; n < many; n++) lengthLengths[ORDER[n]] = take(3);
          const lengthCode = makeCode(lengthLengths);
          const lengths = new Uint8Array(literals + distances);
          for (let n = 0; n < lengths.length; ) {
            const word = symbol(lengthCode);
            if (word < 16) {
              lengths[n++] = word;
              continue;
            }
            if (word === 16 && n === 0) fail('a repetition of nothing');
            const value = word === 16 ? lengths[n - 1] : 0;
            const times = word === 16 ? 3 + take(2) : word === 17 ? 3 + take(3) : 11 + take(7);
            if (n + times > lengths.length) fail('a repetition too long');
            lengths.fill(value, n, n + times);
            n += times;
          }
          if (lengths[256] === 0) fail('a block that cannot end');
          s.literalCode = makeCode(lengths.subarray(0, literals));
          s.distanceCode = makeCode(lengths.subarray(literals));
          s.mode = Mode.CODES;
        } else fail('a block of unknown type');
      }
      if (s.mode === Mode.STORED) {
        while (s.stored > 0) {
          if (to >= outEnd) return leave('output' as const);
          if (count > 0) {
            out[to++] = take(8);
            s.stored--;
            continue;
          }
          const n = Math.min(s.stored, outEnd - to, size - at);
          if (n === 0) {
            if (ended) fail('it ends too early');
            return leave('input' as const);
          }
          out.set(input.subarray(at, at + n), to);
          at += n;
          to += n;
          s.stored -= n;
        }
        s.mode = s.last ? Mode.END : Mode.HEAD;
        continue;
      }
      // Most of the way: with input and room enough for any symbol nothing needs to be asked.
      if (s.length === 0 && at + SYMBOL_BYTES <= size && to + MOST <= outEnd) {
        s.bits = bits;
        s.count = count;
        this.inAt = at;
        this.outAt = to;
        this.runFast(input, out, outStart, outEnd);
        ({ bits, count } = s);
        at = this.inAt;
        to = this.outAt;
        if (s.mode !== Mode.CODES) continue;
      }
      const { literalCode, distanceCode } = s;
      for (;;) {
        if (s.length > 0) {
          const n = Math.min(s.length, outEnd - to);
          const from = to - s.distance;
          if (s.distance === 1) out.fill(out[from], to, to + n);
          else if (s.distance >= n) out.copyWithin(to, from, from + n);
          else for (let k = 0; k < n; k++) out[to + k] = out[from + k];
          to += n;
          s.length -= n;
        }
        if (to >= outEnd && s.length > 0) return leave('output' as const);
        if (!ended && size - at < SYMBOL_BYTES) return leave('input' as const);
        // The room is looked at only for a symbol that needs some, so that the end of a block that fills it up is seen.
        const before = { bits, count, at };
        const word = symbol(literalCode);
        if (word < 256) {
          if (to >= outEnd) {
            ({ bits, count, at } = before);
            return leave('output' as const);
          }
          out[to++] = word;
          continue;
        }
        if (word === 256) {
          s.mode = s.last ? Mode.END : Mode.HEAD;
          break;
        }
        const index = word - 257;
        if (index >= 29) fail('a length that is none');
        s.length = LENGTH_BASE[index] + take(LENGTH_EXTRA[index]);
        const which = symbol(distanceCode);
        if (which >= 30) fail('a distance that is none');
        s.distance = DISTANCE_BASE[which] + take(DISTANCE_EXTRA[which]);
        if (s.distance > to - outStart) fail('a distance beyond the beginning');
      }
    }
  }

  /** Symbols of a block, as long as there is input and room for any. Its numbers are in locals of their own, which no closure shares. */
  private runFast(input: Uint8Array, out: Uint8Array, outStart: number, outEnd: number): void {
    const { s } = this;
    let { bits, count } = s;
    let at = this.inAt;
    let to = this.outAt;
    const inStop = input.length - SYMBOL_BYTES;
    const outStop = outEnd - MOST;
    const { literalCode, distanceCode } = s;
    const literals = literalCode.fast;
    const distances = distanceCode.fast;
    while (at <= inStop && to <= outStop) {
      while (count < 15) {
        bits |= input[at++] << count;
        count += 8;
      }
      let entry = literals[bits & FAST_MASK];
      if (entry === 0) entry = walkBits(literalCode, bits);
      bits >>>= entry & 15;
      count -= entry & 15;
      const word = entry >> 4;
      if (word < 256) {
        out[to++] = word;
        continue;
      }
      if (word === 256) {
        s.mode = s.last ? Mode.END : Mode.HEAD;
        break;
      }
      if (word > 285) throw new ImageError('compressed data is damaged: a length that is none');
      const lengthBits = LENGTH_EXTRA[word - 257];
      while (count < lengthBits) {
        bits |= input[at++] << count;
        count += 8;
      }
      const length = LENGTH_BASE[word - 257] + (bits & ((1 << lengthBits) - 1));
      bits >>>= lengthBits;
      count -= lengthBits;
      while (count < 15) {
        bits |= input[at++] << count;
        count += 8;
      }
      entry = distances[bits & FAST_MASK];
      if (entry === 0) entry = walkBits(distanceCode, bits);
      bits >>>= entry & 15;
      count -= entry & 15;
      const which = entry >> 4;
      if (which > 29) throw new ImageError('compressed data is damaged: a distance that is none');
      const distanceBits = DISTANCE_EXTRA[which];
      while (count < distanceBits) {
        bits |= input[at++] << count;
        count += 8;
      }
      const distance = DISTANCE_BASE[which] + (bits & ((1 << distanceBits) - 1));
      bits >>>= distanceBits;
      count -= distanceBits;
      const from = to - distance;
      if (from < outStart) throw new ImageError('compressed data is damaged: a distance beyond the beginning');
      if (length > 64 && distance === 1) out.fill(out[from], to, to + length);
      else for (let k = 0; k < length; k++) out[to + k] = out[from + k];
      to += length;
    }
    s.bits = bits;
    s.count = count;
    this.inAt = at;
    this.outAt = to;
  }
}

/** Decompress data whose result has a known length. @throws ImageError if the result is shorter or longer, or the data damaged */
export function inflateRaw(input: Uint8Array, length: number, anyTail = true): Uint8Array {
  const out = new Uint8Array(length);
  const inflate = new Inflate();
  const result = inflate.run(input, true, out, 0, length);
  // Some writers leave the data open once the result is whole.
  if (inflate.outAt !== length) throw new ImageError(`compressed data is damaged: it gives ${inflate.outAt} bytes, not ${length}`);
  if (result !== 'end' && !anyTail) throw new ImageError(`compressed data is damaged: it gives more than ${length} bytes`);
  return out;
}

export function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let at = 0; at < bytes.length; ) {
    for (const end = Math.min(at + 3800, bytes.length); at < end; at++) {
      a += bytes[at];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

/** The same with zlib's header and checksum around it (RFC 1950). The result may be shorter than `most`. */
export function inflateZlib(input: Uint8Array, most: number): Uint8Array {
  if (input.length < 6 || (input[0] & 15) !== 8 || ((input[0] << 8) | input[1]) % 31 !== 0 || input[1] & 0x20) throw new ImageError('compressed data is damaged: it has no zlib header');
  const out = new Uint8Array(most);
  const inflate = new Inflate();
  const body = input.subarray(2);
  if (inflate.run(body, true, out, 0, most) !== 'end') throw new ImageError(`compressed data is damaged: it gives more than ${most} bytes`);
  const at = inflate.inAt - inflate.unused;
  const result = out.subarray(0, inflate.outAt);
  if (at + 4 > body.length || new DataView(body.buffer, body.byteOffset).getUint32(at) !== adler32(result)) throw new ImageError('compressed data is damaged: its checksum is wrong');
  return result;
}
