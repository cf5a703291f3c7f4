// The decompressor for Zstandard, RFC 8878: frames of blocks.
//
// It stands here instead of a library for the same reasons as inflate.ts: between two blocks its state can be put aside and taken up
// again (random access in a .zst), sizes that a header claims are checked before room is made, and it never writes more than it was
// given room for. Dictionaries are not supported.

import { ImageError } from './io.ts';
import { damaged, fseTable, type FseTable, type HuffmanTable, readFse, readHuffman, ReverseBits, rleTable } from './zstd-entropy.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
/** Bytes of a block's contents at most (3.1.1.2.4). */
export const BLOCK = 128 * 1024;
/** As zstd(1) without --long=28 and above. */
export const MAX_WINDOW = 128 << 20;

/** Literals lengths, match lengths: first values of their codes and extra bits, 3.1.1.3.2.1.1. */
const LL_BASE = Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536);
const LL_BITS = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
const ML_BASE = Int32Array.from([
  ...Array.from({ length: 32 }, (_, n) => n + 3),
  35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539,
]);
const ML_BITS = Uint8Array.from([...Array<number>(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
/** Default distributions, 3.1.1.3.2.2. */
const DEFAULTS = {
  literals: fseTable([4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6),
  offsets: fseTable([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5),
  matches: fseTable([1, 4, 3, 2, 2, 2, 2, 2, 2, ...Array<number>(37).fill(1), -1, -1, -1, -1, -1, -1, -1], 6),
};
const TABLES = [
  { name: 'literals', accuracy: 9, symbols: 35 },
  { name: 'offsets', accuracy: 8, symbols: 31 },
  { name: 'matches', accuracy: 9, symbols: 52 },
] as const;

/** What a frame's header says. */
export interface Frame {
  /** Bytes that a match reaches back at most. */
  window: number;
  /** Bytes of the contents, if it says so. */
  contentSize: number | undefined;
  /** The contents' hash stands behind them. */
  checksum: boolean;
  /** Bytes of the header. */
  length: number;
}

/** A frame's header at a place of the input; 18 bytes are enough. A skippable frame gives the bytes to skip. */
export function readFrame(input: Uint8Array, at: number): Frame | { skip: number } {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const short = (): never => damaged('it ends too early');
  if (at + 6 > input.length) short();
  const magic = view.getUint32(at, true);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) return at + 8 > input.length ? short() : { skip: 8 + view.getUint32(at + 4, true) };
  if (magic !== MAGIC) damaged('a frame without its magic number');
  const descriptor = input[at + 4];
  if (descriptor & 8) damaged('a reserved bit is set');
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3];
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6];
  const length = 5 + (single ? 0 : 1) + dictionary + sizeBytes;
  if (at + length > input.length) short();
  let window = 0;
  let place = at + 5;
  if (!single) {
    const byte = input[place++];
    const base = 2 ** (10 + (byte >> 3));
    window = base + (base / 8) * (byte & 7);
  }
  for (let n = 0; n < dictionary; n++) if (input[place + n] !== 0) throw new ImageError('the data is compressed with a dictionary, which is not supported');
  place += dictionary;
  const contentSize =
    sizeBytes === 0 ? undefined
    : sizeBytes === 1 ? input[place]
    : sizeBytes === 2 ? view.getUint16(place, true) + 256
    : sizeBytes === 4 ? view.getUint32(place, true)
    : Number(view.getBigUint64(place, true));
  if (single) window = contentSize!;
  return { window, contentSize, checksum: (descriptor & 4) !== 0, length };
}

/** What blocks of a frame hand on to the next, beside the contents. Tables are never changed, only replaced. */
export interface BlockState {
  huffman: HuffmanTable | undefined;
  literals: FseTable | undefined;
  offsets: FseTable | undefined;
  matches: FseTable | undefined;
  repeat: readonly [number, number, number];
}

export const FIRST_BLOCK: BlockState = { huffman: undefined, literals: undefined, offsets: undefined, matches: undefined, repeat: [1, 4, 8] };

/** A block's header: 3 bytes. */
export function readBlockHeader(input: Uint8Array, at: number): { last: boolean; type: number; size: number; stored: number } {
  if (at + 3 > input.length) damaged('it ends too early');
  const head = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16);
  const type = (head >> 1) & 3;
  const size = head >> 3;
  if (type === 3) damaged('a block of reserved type');
  if (size > BLOCK) damaged('a block that is too large');
  return { last: (head & 1) !== 0, type, size, stored: type === 1 ? 1 : size };
}

/**
 * Decompress a block.
 * @param out its output so far ends at `to`, and reaches back to `from`; there is room up to `end`
 * @returns the state for the next block and the place behind what was written
 */
export function decodeBlock(
  state: BlockState, type: number, input: Uint8Array, at: number, size: number, out: Uint8Array, from: number, to: number, end: number,
): [BlockState, number] {
  if (type !== 2) {
    if (to + size > end) damaged('it gives more than it may');
    if (type === 0) out.set(input.subarray(at, at + size), to);
    else out.fill(input[at], to, to + size);
    return [state, to + size];
  }
  const stop = at + size;
  const next = { ...state };
  const [literals, sequencesAt] = readLiterals(next, input, at, stop);
  const behind = readSequences(next, input, sequencesAt, stop, literals, out, from, to, Math.min(end, to + BLOCK));
  return [next, behind];
}

/** 3.1.1.3.1. */
function readLiterals(next: BlockState, input: Uint8Array, at: number, stop: number): [Uint8Array, number] {
  if (at >= stop) damaged('a block that ends too early');
  const head = input[at];
  const type = head & 3;
  const format = (head >> 2) & 3;
  const word = head | (input[at + 1] << 8) | (input[at + 2] << 16);
  if (type < 2) {
    const length = format === 1 ? 2 : format === 3 ? 3 : 1;
    const size = format === 1 ? (word & 0xffff) >> 4 : format === 3 ? (word & 0xffffff) >> 4 : head >> 3;
    const start = at + length;
    const behind = start + (type === 0 ? size : 1);
    if (size > BLOCK || behind > stop) damaged('literals that are cut off');
    return [type === 0 ? input.subarray(start, behind) : new Uint8Array(size).fill(input[start]), behind];
  }
  const length = format < 2 ? 3 : format + 2;
  const bits = format < 2 ? 10 : format === 2 ? 14 : 18;
  // 28 to 36 bits behind the first 4.
  const high = word / 16 + (input[at + 3] ?? 0) * 2 ** 20 + (length === 5 ? (input[at + 4] ?? 0) * 2 ** 28 : 0);
  const fields = Math.floor(high);
  const size = fields % 2 ** bits;
  const packed = Math.floor(fields / 2 ** bits) % 2 ** bits;
  let place = at + length;
  const behind = place + packed;
  if (size > BLOCK || behind > stop) damaged('literals that are cut off');
  if (type === 2) [next.huffman, place] = readHuffman(input, place, behind);
  const table = next.huffman;
  if (!table) return damaged('literals without a code');
  const literals = new Uint8Array(size);
  if (format === 0) decodeHuffman(table, input, place, behind, literals, 0, size);
  else {
    if (place + 6 > behind) damaged('literals that are cut off');
    const each = (size + 3) >> 2;
    let start = place + 6;
    for (let n = 0; n < 4; n++) {
      const streamEnd = n < 3 ? start + (input[place + 2 * n] | (input[place + 2 * n + 1] << 8)) : behind;
      if (streamEnd > behind || n * each > size) damaged('literals that are cut off');
      decodeHuffman(table, input, start, streamEnd, literals, n * each, n < 3 ? Math.min(size, (n + 1) * each) : size);
      start = streamEnd;
    }
  }
  return [literals, behind];
}

function decodeHuffman({ bits, symbols, lengths }: HuffmanTable, input: Uint8Array, start: number, stop: number, out: Uint8Array, from: number, to: number): void {
  const stream = new ReverseBits(input, start, stop);
  for (let at = from; at < to; at++) {
    const index = stream.peek(bits);
    out[at] = symbols[index];
    stream.left -= lengths[index];
  }
  if (stream.left !== 0) damaged('literals that do not add up');
}

/** 3.1.1.3.2, and 3.1.1.4 (Sequence Execution). */
function readSequences(
  next: BlockState, input: Uint8Array, at: number, stop: number, literals: Uint8Array, out: Uint8Array, from: number, to: number, end: number,
): number {
  if (at >= stop) damaged('a block that ends too early');
  let taken = 0;
  const copyLiterals = (length: number): void => {
    if (taken + length > literals.length) damaged('more literals than there are');
    if (to + length > end) damaged('it gives more than it may');
    if (length < 32) for (let k = 0; k < length; k++) out[to + k] = literals[taken + k];
    else out.set(literals.subarray(taken, taken + length), to);
    taken += length;
    to += length;
  };
  let count = input[at++];
  if (count >= 128) {
    if (at + 2 > stop) damaged('a block that ends too early');
    count = count < 255 ? ((count - 128) << 8) + input[at++] : input[at++] + (input[at++] << 8) + 0x7f00;
  }
  if (count > 0) {
    if (at >= stop) damaged('a block that ends too early');
    const modes = input[at++];
    if (modes & 3) damaged('a reserved bit is set');
    TABLES.forEach(({ name, accuracy, symbols }, n) => {
      const mode = (modes >> (6 - 2 * n)) & 3;
      if (mode === 0) next[name] = DEFAULTS[name];
      else if (mode === 1) {
        if (at >= stop || input[at] > symbols) damaged('a symbol that is none');
        next[name] = rleTable(input[at++]);
      } else if (mode === 2) [next[name], at] = readFse(input, at, stop, accuracy, symbols);
      else if (!next[name]) damaged('a table to repeat that is not there');
    });
    const ll = next.literals!;
    const of = next.offsets!;
    const ml = next.matches!;
    let [first, second, third] = next.repeat;
    const stream = new ReverseBits(input, at, stop);
    let llState = stream.take(ll.accuracy);
    let ofState = stream.take(of.accuracy);
    let mlState = stream.take(ml.accuracy);
    for (let n = 0; n < count; n++) {
      const ofCode = of.symbols[ofState];
      const mlCode = ml.symbols[mlState];
      const llCode = ll.symbols[llState];
      const value = (1 << ofCode >>> 0) + stream.take(ofCode);
      const matchLength = ML_BASE[mlCode] + stream.take(ML_BITS[mlCode]);
      const literalLength = LL_BASE[llCode] + stream.take(LL_BITS[llCode]);
      let offset: number;
      if (value > 3) {
        offset = value - 3;
        third = second;
        second = first;
        first = offset;
      } else {
        // 3.1.1.5: which of the last offsets; without literals they shift by one.
        const which = value - 1 + (literalLength === 0 ? 1 : 0);
        offset = which === 0 ? first : which === 1 ? second : which === 2 ? third : first - 1;
        if (which > 1) third = second;
        if (which > 0) {
          second = first;
          first = offset;
        }
      }
      if (stream.left < 0) damaged('sequences that end too early');
      copyLiterals(literalLength);
      if (offset <= 0 || offset > to - from) damaged('a distance beyond the beginning');
      if (to + matchLength > end) damaged('it gives more than it may');
      const source = to - offset;
      if (matchLength < 64) for (let k = 0; k < matchLength; k++) out[to + k] = out[source + k];
      else if (offset === 1) out.fill(out[source], to, to + matchLength);
      else if (offset >= matchLength) out.copyWithin(to, source, source + matchLength);
      else for (let k = 0; k < matchLength; k++) out[to + k] = out[source + k];
      to += matchLength;
      if (n + 1 === count) break;
      llState = ll.bases[llState] + stream.take(ll.bits[llState]);
      mlState = ml.bases[mlState] + stream.take(ml.bits[mlState]);
      ofState = of.bases[ofState] + stream.take(of.bits[ofState]);
    }
    if (stream.left !== 0) damaged('sequences that do not add up');
    next.repeat = [first, second, third];
  }
  copyLiterals(literals.length - taken);
  return to;
}

/** Decompress one frame whose result has a known length. What stands behind it is not looked at. */
export function decompressZstd(input: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  let frame = readFrame(input, 0);
  while ('skip' in frame) {
    at += frame.skip;
    frame = readFrame(input, at);
  }
  at += frame.length;
  let state = FIRST_BLOCK;
  let to = 0;
  for (let last = false; !last; ) {
    const block = readBlockHeader(input, at);
    at += 3;
    if (at + block.stored > input.length) damaged('it ends too early');
    [state, to] = decodeBlock(state, block.type, input, at, block.size, out, 0, to, length);
    at += block.stored;
    last = block.last;
  }
  if (to !== length) damaged(`it gives ${to} bytes, not ${length}`);
  return out;
}
