// Bytes in memory as a storage: small images that are there whole, and images of specs.

import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import type { Storage } from './io.ts';

export class MemoryStorage implements Storage {
  private room: Uint8Array;
  private length: number;

  constructor(
    bytes: Uint8Array = new Uint8Array(),
    readonly readOnly = false,
  ) {
    this.room = bytes;
    this.length = bytes.length;
  }

  get size(): number {
    return this.length;
  }

  /** What it holds: a live view. */
  get bytes(): Uint8Array {
    return this.room.subarray(0, this.length);
  }

  private resize(size: number): void {
    if (size > this.room.length) {
      const room = new Uint8Array(Math.max(size, Math.min(2 * this.room.length, this.room.length + (64 << 20))));
      room.set(this.bytes);
      this.room = room;
    }
    if (size < this.length) this.room.fill(0, size, this.length);
    this.length = size;
  }

  private change(done: BlockDone, action: () => void): void {
    if (this.readOnly) return done(new BlockError('the file is read-only'));
    action();
    done(null);
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    if (!(offset >= 0) || offset + into.length > this.length) return done(new BlockError(`the file ends at ${this.length}`));
    into.set(this.room.subarray(offset, offset + into.length));
    done(null);
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.change(done, () => {
      if (offset + data.length > this.length) this.resize(offset + data.length);
      this.room.set(data, offset);
    });
  }

  flush(done: BlockDone): void {
    done(null);
  }

  truncate(size: number, done: BlockDone): void {
    this.change(done, () => this.resize(size));
  }

  discard(_offset: number, _length: number, done: BlockDone): void {
    done(null);
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.change(done, () => {
      if (offset + length > this.length) this.resize(offset + length);
      this.room.fill(0, offset, offset + length);
    });
  }
}
