// A disk in a file whose bytes are the disk's ("raw"), under Node.

import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { type BlockBackend, type BlockDone, BlockError } from '../src/devices/interfaces.ts';

/** Bytes of zeros that are written at once. */
const ZEROS = new Uint8Array(1 << 20);

export class RawFile implements BlockBackend {
  private readonly file: number;
  readonly size: number;

  /** @throws what opening the file throws, and an Error if it is not a plain file */
  constructor(
    path: string,
    readonly readOnly: boolean,
  ) {
    this.file = openSync(path, readOnly ? 'r' : 'r+');
    const stat = fstatSync(this.file);
    this.size = stat.size;
    if (stat.isFile()) return;
    this.close();
    throw new Error('it is not a plain file');
  }

  close(): void {
    closeSync(this.file);
  }

  /** Do something with the file; what goes wrong becomes the guest's I/O error. */
  private attempt(done: BlockDone, action: () => void): void {
    let failure: BlockError | null = null;
    try {
      action();
    } catch (error) {
      failure = error instanceof BlockError ? error : new BlockError(error instanceof Error ? error.message : String(error));
    }
    done(failure);
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    this.attempt(done, () => {
      for (let at = 0; at < into.length; ) {
        const n = readSync(this.file, into, at, into.length - at, offset + at);
        if (n === 0) throw new BlockError('the file has become shorter');
        at += n;
      }
    });
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.attempt(done, () => this.put(offset, data));
  }

  private put(offset: number, data: Uint8Array): void {
    if (this.readOnly) throw new BlockError('the disk is read-only');
    // Beyond its end the file would grow.
    if (offset + data.length > this.size) throw new BlockError(`${data.length} bytes at ${offset} are not on a disk of ${this.size}`);
    for (let at = 0; at < data.length; ) at += writeSync(this.file, data, at, data.length - at, offset + at);
  }

  flush(done: BlockDone): void {
    this.attempt(done, () => {
      if (!this.readOnly) fdatasyncSync(this.file);
    });
  }

  /** Node has no call that gives a file's blocks back, and the contents may be anything: they stay. */
  discard(_offset: number, _length: number, done: BlockDone): void {
    done(null);
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.attempt(done, () => {
      for (let at = 0; at < length; at += ZEROS.length) this.put(offset + at, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
    });
  }
}
