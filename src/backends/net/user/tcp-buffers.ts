// The two buffers of a TCP connection: bytes sent and not acknowledged, and bytes that came before their turn.

import { seqAdd, seqDiff } from './tcp-segment.ts';

/** Pieces shorter than this are collected in blocks: a far end may send single bytes. */
const SMALL = 2048;
const BLOCK = 16384;

/** Bytes in order, read at any place, dropped at the front. */
export class SendBuffer {
  private chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are gone. */
  private skip = 0;
  length = 0;

  /** Where small pieces are collected, and how much of it is in use: the last chunk is a view of it. */
  private block = new Uint8Array(0);
  private blockUsed = 0;

  /** The bytes are the buffer's from now on. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.length += bytes.length;
    if (bytes.length >= SMALL) {
      this.chunks.push(bytes);
      return;
    }
    const last = this.chunks.at(-1);
    const goesOn = last?.buffer === this.block.buffer && this.blockUsed + bytes.length <= this.block.length;
    if (!goesOn) {
      this.block = new Uint8Array(BLOCK);
      this.blockUsed = 0;
    }
    this.block.set(bytes, this.blockUsed);
    this.blockUsed += bytes.length;
    if (goesOn) this.chunks[this.chunks.length - 1] = this.block.subarray(last!.byteOffset, this.blockUsed);
    else this.chunks.push(this.block.subarray(0, this.blockUsed));
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
    while (gone < this.chunks.length && this.skip >= this.chunks[gone].length) this.skip -= this.chunks[gone++].length;
    if (gone > 0) this.chunks.splice(0, gone);
  }
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
