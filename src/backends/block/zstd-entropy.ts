// The two entropy codes of Zstandard, RFC 8878: FSE (4.1) and Huffman (4.2), and the bit streams that are read from their end.

import { ImageError } from './io.ts';

export function damaged(why: string): never {
  throw new ImageError(`compressed data is damaged: ${why}`);
}

/** Place of the highest bit that is set, of a number above 0. */
export const highBit = (value: number): number => 31 - Math.clz32(value);

/** Bits of a part of the input, from its last byte's highest set bit towards its start (4.1). */
export class ReverseBits {
  /** Bits that are left; below 0 once more was taken than there is. */
  left: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly start: number,
    end: number,
  ) {
    if (end <= start || bytes[end - 1] === 0) damaged('a bit stream without its mark');
    this.left = 8 * (end - start - 1) + highBit(bytes[end - 1]);
  }

  /** The next bits, at most 24, without taking them; zeros beyond the start. */
  peek(n: number): number {
    const from = this.left - n;
    if (from < 0) return this.left <= 0 ? 0 : (this.at(0) & ((1 << this.left) - 1)) << -from;
    return this.at(from) & ((1 << n) - 1);
  }

  /** At least 24 bits from a bit on; only those before the end count. */
  private at(bit: number): number {
    const byte = this.start + (bit >> 3);
    const { bytes } = this;
    if (byte + 3 < bytes.length) return (bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16) | (bytes[byte + 3] << 24)) >>> (bit & 7);
    let word = 0;
    for (let n = bytes.length - 1; n >= byte; n--) word = (word << 8) | bytes[n];
    return word >>> (bit & 7);
  }

  /** At most 31 bits. */
  take(n: number): number {
    if (n > 24) {
      const high = this.take(n - 16);
      return high * 65536 + this.take(16);
    }
    const value = this.peek(n);
    this.left -= n;
    return value;
  }
}

/** A decoding table of FSE: for each state its symbol, the bits to read, and what they are added to. */
export interface FseTable {
  accuracy: number;
  symbols: Uint8Array;
  bits: Uint8Array;
  bases: Uint16Array;
}

/** 4.1.1: from probabilities, -1 meaning "less than 1". */
export function fseTable(probabilities: readonly number[], accuracy: number): FseTable {
  const size = 1 << accuracy;
  const symbols = new Uint8Array(size);
  const next = new Uint16Array(probabilities.length);
  let high = size;
  probabilities.forEach((p, symbol) => {
    if (p === -1) {
      symbols[--high] = symbol;
      next[symbol] = 1;
    } else next[symbol] = p;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  probabilities.forEach((p, symbol) => {
    for (let n = 0; n < p; n++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= high);
    }
  });
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const value = next[symbols[state]]++;
    bits[state] = accuracy - highBit(value);
    bases[state] = (value << bits[state]) - size;
  }
  return { accuracy, symbols, bits, bases };
}

/** A table that always gives one symbol. */
export function rleTable(symbol: number): FseTable {
  return { accuracy: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), bases: new Uint16Array(1) };
}

/** Read the description of a table. @returns the table and the place behind it */
export function readFse(bytes: Uint8Array, start: number, end: number, maxAccuracy: number, maxSymbol: number): [FseTable, number] {
  let bit = 8 * start;
  const peek = (n: number): number => {
    const byte = bit >> 3;
    const word = (byte < end ? bytes[byte] : 0) | ((byte + 1 < end ? bytes[byte + 1] : 0) << 8) | ((byte + 2 < end ? bytes[byte + 2] : 0) << 16);
    return (word >>> (bit & 7)) & ((1 << n) - 1);
  };
  const accuracy = peek(4) + 5;
  bit += 4;
  if (accuracy > maxAccuracy) damaged('a table that is too fine');
  const probabilities: number[] = [];
  let left = 1 << accuracy;
  while (left > 0) {
    if (probabilities.length > maxSymbol) damaged('a table of too many symbols');
    const n = highBit(left + 1) + 1;
    let value = peek(n);
    const mask = (1 << (n - 1)) - 1;
    const threshold = (1 << n) - 1 - (left + 1);
    if ((value & mask) < threshold) {
      value &= mask;
      bit += n - 1;
    } else {
      if (value > mask) value -= threshold;
      bit += n;
    }
    const p = value - 1;
    left -= Math.abs(p);
    probabilities.push(p);
    if (p !== 0) continue;
    for (let more = 3; more === 3; ) {
      more = peek(2);
      bit += 2;
      for (let k = 0; k < more; k++) probabilities.push(0);
      if (probabilities.length > maxSymbol + 1) damaged('a table of too many symbols');
    }
  }
  const behind = (bit + 7) >> 3;
  if (left < 0 || behind > end) damaged('a table that does not add up');
  return [fseTable(probabilities, accuracy), behind];
}

/** A decoding table of Huffman's code: by the next `bits` bits the symbol and its length. */
export interface HuffmanTable {
  bits: number;
  symbols: Uint8Array;
  lengths: Uint8Array;
}

/** 4.2.1: read the description of a table. @returns the table and the place behind it */
export function readHuffman(bytes: Uint8Array, start: number, end: number): [HuffmanTable, number] {
  if (start >= end) damaged('a block that ends too early');
  const head = bytes[start];
  const weights: number[] = [];
  let behind = start + 1;
  if (head >= 128) {
    const many = head - 127;
    behind += (many + 1) >> 1;
    if (behind > end) damaged('a block that ends too early');
    for (let n = 0; n < many; n++) weights.push((bytes[start + 1 + (n >> 1)] >> (n & 1 ? 0 : 4)) & 15);
  } else {
    behind += head;
    if (behind > end) damaged('a block that ends too early');
    const [table, at] = readFse(bytes, start + 1, behind, 6, 12);
    const stream = new ReverseBits(bytes, at, behind);
    // Two states take turns, until the stream is used up.
    const states = [stream.take(table.accuracy), stream.take(table.accuracy)];
    if (stream.left < 0) damaged('weights that end too early');
    for (let n = 0; ; n ^= 1) {
      if (weights.length > 254) damaged('too many weights');
      const state = states[n];
      weights.push(table.symbols[state]);
      const bits = table.bits[state];
      if (bits > stream.left) {
        weights.push(table.symbols[states[n ^ 1]]);
        break;
      }
      states[n] = table.bases[state] + stream.take(bits);
    }
  }
  let sum = 0;
  for (const weight of weights) {
    if (weight > 11) damaged('a code word that is too long');
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) damaged('a code without words');
  // The last symbol's weight is what makes the sum a power of two.
  const bits = highBit(sum) + 1;
  const rest = (1 << bits) - sum;
  if (bits > 11 || rest & (rest - 1)) damaged('code words that do not add up');
  weights.push(highBit(rest) + 1);
  if (weights.length > 256) damaged('too many code words');
  const symbols = new Uint8Array(1 << bits);
  const lengths = new Uint8Array(1 << bits);
  let at = 0;
  for (let weight = 1; weight <= bits; weight++) {
    weights.forEach((w, symbol) => {
      if (w !== weight) return;
      const many = 1 << (weight - 1);
      symbols.fill(symbol, at, at + many);
      lengths.fill(bits + 1 - weight, at, at + many);
      at += many;
    });
  }
  return [{ bits, symbols, lengths }, behind];
}
