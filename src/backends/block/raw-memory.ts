// A disk in memory: its bytes as they are ("raw"), gone when the machine is.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';

export class RawMemory implements BlockBackend {
  /** @param bytes the disk's contents; a write changes them */
  constructor(
    readonly bytes: Uint8Array,
    readonly readOnly = false,
  ) {}

  get size(): number {
    return this.bytes.length;
  }

  /** Do something with a part of the disk, if it may be done. */
  private access(offset: number, length: number, writes: boolean, done: BlockDone, action: (part: Uint8Array) => void): void {
    if (writes && this.readOnly) return done(new BlockError('the disk is read-only'));
    if (offset < 0 || offset + length > this.size) return done(new BlockError(`${length} bytes at ${offset} are not on a disk of ${this.size}`));
    action(this.bytes.subarray(offset, offset + length));
    done(null);
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    this.access(offset, into.length, false, done, (part) => into.set(part));
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.access(offset, data.length, true, done, (part) => part.set(data));
  }

  flush(done: BlockDone): void {
    done(null);
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.writeZeroes(offset, length, true, done);
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.access(offset, length, true, done, (part) => part.fill(0));
  }
}
