// The two buffers of a TCP connection: bytes sent and not acknowledged, and bytes that came before their turn.

import { seqAdd, seqDiff } from './tcp-segment.ts';

/** Bytes are collected in blocks: a far end may send single bytes, and a block that is used again saves making one, which takes ten times as long as filling it. */
const BLOCK = 65536;
const SMALL_BLOCK = 4096;
/** Blocks kept for all connections. */
const MAX_SPARE = 32;
const spare: Uint8Array[] = [];

/** Bytes in order, read at any place, dropped at the front. */
export class SendBuffer {
  private chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are gone. */
  private skip = 0;
  length = 0;

  /** Bytes in use of the last chunk; all others are full. */
  private lastUsed = 0;

  /** Copies. */
  push(bytes: Uint8Array): void {
    this.length += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      let last = this.chunks.at(-1);
      if (!last || this.lastUsed === last.length) {
        // A connection that carries little needs little.
        last = this.length > SMALL_BLOCK ? (spare.pop() ?? new Uint8Array(BLOCK)) : new Uint8Array(SMALL_BLOCK);
        this.chunks.push(last);
        this.lastUsed = 0;
      }
      const part = Math.min(bytes.length - at, last.length - this.lastUsed);
      last.set(bytes.subarray(at, at + part), this.lastUsed);
      this.lastUsed += part;
      at += part;
    }
  }

  /** Copy `length` bytes, `from` bytes behind the front, to a place. */
  copy(from: number, length: number, to: Uint8Array, at: number): void {
    let skip = this.skip + from;
    for (const chunk of this.chunks) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      const part = Math.min(length, chunk.length - skip);
      to.set(chunk.subarray(skip, skip + part), at);
      at += part;
      length -= part;
      skip = 0;
      if (length === 0) return;
    }
  }

  drop(bytes: number): void {
    this.length -= bytes;
    this.skip += bytes;
    let gone = 0;
    while (gone < this.chunks.length && this.skip >= this.chunks[gone].length) {
      this.skip -= this.chunks[gone].length;
      giveBack(this.chunks[gone++]);
    }
    if (gone > 0) this.chunks.splice(0, gone);
    // All is sent: the last block begins anew.
    if (this.length === 0) this.clear();
  }

  /** Nothing is to be sent any more. */
  clear(): void {
    for (const chunk of this.chunks) giveBack(chunk);
    this.chunks = [];
    this.length = this.skip = this.lastUsed = 0;
  }
}

function giveBack(block: Uint8Array): void {
  if (block.length === BLOCK && spare.length < MAX_SPARE) spare.push(block);
}

/** Pieces at most: a guest may send single bytes. */
const MAX_PIECES = 128;

/** Data beyond the next byte expected. All of it lies within the window; what is too much is dropped, and comes again. */
export class OutOfOrder {
  private pieces: { seq: number; data: Uint8Array }[] = [];

  get isEmpty(): boolean {
    return this.pieces.length === 0;
  }

  /** Keep data (a copy) that begins at seq. */
  add(seq: number, data: Uint8Array): void {
    if (data.length === 0) return;
    let at = this.pieces.findIndex((piece) => seqDiff(seq, piece.seq) < 0);
    if (at < 0) at = this.pieces.length;
    const before = this.pieces[at - 1];
    if (before) {
      const overlap = seqDiff(seqAdd(before.seq, before.data.length), seq);
      if (overlap >= data.length) return;
      if (overlap > 0) {
        data = data.subarray(overlap);
        seq = seqAdd(seq, overlap);
      }
    }
    // What this piece covers goes; of the last one it touches, its own end may be left out.
    while (at < this.pieces.length) {
      const next = this.pieces[at];
      const overlap = seqDiff(seqAdd(seq, data.length), next.seq);
      if (overlap <= 0) break;
      if (overlap >= next.data.length) this.pieces.splice(at, 1);
      else {
        data = data.subarray(0, data.length - overlap);
        break;
      }
    }
    if (data.length > 0 && this.pieces.length < MAX_PIECES) this.pieces.splice(at, 0, { seq, data: data.slice() });
  }

  /** Data that begins at or before seq, without what lies before seq; undefined if there is a gap. */
  take(seq: number): Uint8Array | undefined {
    while (this.pieces.length > 0) {
      const first = this.pieces[0];
      const skip = seqDiff(seq, first.seq);
      if (skip < 0) return undefined;
      this.pieces.shift();
      if (skip < first.data.length) return first.data.subarray(skip);
    }
    return undefined;
  }

  clear(): void {
    this.pieces = [];
  }
}
