// A disk in a file whose bytes are the disk's ("raw"), under Node.

import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { type BlockBackend, BlockError } from '../src/devices/interfaces.ts';

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
  private attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw new BlockError(error instanceof Error ? error.message : String(error));
    }
  }

  read(offset: number, into: Uint8Array): void {
    for (let at = 0; at < into.length; ) {
      const n = this.attempt(() => readSync(this.file, into, at, into.length - at, offset + at));
      if (n === 0) throw new BlockError('the file has become shorter');
      at += n;
    }
  }

  write(offset: number, data: Uint8Array): void {
    if (this.readOnly) throw new BlockError('the disk is read-only');
    // Beyond its end the file would grow.
    if (offset + data.length > this.size) throw new BlockError(`${data.length} bytes at ${offset} are not on a disk of ${this.size}`);
    for (let at = 0; at < data.length; ) at += this.attempt(() => writeSync(this.file, data, at, data.length - at, offset + at));
  }

  flush(): void {
    if (!this.readOnly) this.attempt(() => fdatasyncSync(this.file));
  }

  /** Node has no call that gives a file's blocks back, and the contents may be anything: they stay. */
  discard(): void {}

  writeZeroes(offset: number, length: number): void {
    for (let at = 0; at < length; at += ZEROS.length) this.write(offset + at, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
  }
}
