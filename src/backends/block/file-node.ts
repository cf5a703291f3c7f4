// A file of the host as a storage, under Node. All accesses are done at once.

import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, readvSync, writeSync, writevSync } from 'node:fs';
import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { lockImageFile } from './file-lock-node.ts';
import type { Storage } from './io.ts';

/** Pieces of one system call at most, limits.h. */
const IOV_MAX = 1024;
/** Bytes of zeros that are written at once. */
const ZEROS = new Uint8Array(1 << 20);

export class FileStorage implements Storage {
  private readonly file: number;
  private length: number;

  /**
   * @param flags of open(): "r+" by default, "r" if read-only
   * @throws what opening the file throws, and an Error if it is not a plain file
   */
  constructor(
    readonly path: string,
    readonly readOnly: boolean,
    flags: string | number = readOnly ? 'r' : 'r+',
  ) {
    this.file = openSync(path, flags);
    const stat = fstatSync(this.file);
    this.length = stat.size;
    if (stat.isFile()) return;
    this.close();
    throw new Error('it is not a plain file');
  }

  get size(): number {
    return this.length;
  }

  /**
   * Keep other processes out until it is closed: several may read it, or one may write it.
   * @returns why there are no locks here, undefined if it is locked
   * @throws ImageInUse
   */
  lock(): string | undefined {
    return lockImageFile(this.file, this.path, !this.readOnly);
  }

  /** Bytes that the file takes on the host. */
  get allocated(): number {
    return fstatSync(this.file).blocks * 512;
  }

  close(): void {
    closeSync(this.file);
  }

  /** Do something with the file; what goes wrong becomes an I/O error. */
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

  readv(offset: number, pieces: readonly Uint8Array[], done: BlockDone): void {
    this.attempt(done, () => this.inGroups(offset, pieces, (group, at) => {
      const n = readvSync(this.file, group, at);
      if (n === 0) throw new BlockError('the file has become shorter');
      return n;
    }));
  }

  writev(offset: number, pieces: readonly Uint8Array[], done: BlockDone): void {
    this.attempt(done, () => {
      if (this.readOnly) throw new BlockError('the file is read-only');
      const end = this.inGroups(offset, pieces, (group, at) => writevSync(this.file, group, at));
      this.length = Math.max(this.length, end);
    });
  }

  /**
   * Give pieces to a system call, which may do less than it was given.
   * @returns where the last of them ended
   */
  private inGroups(offset: number, pieces: readonly Uint8Array[], move: (group: Uint8Array[], at: number) => number): number {
    let left = pieces.slice();
    while (left.length > 0) {
      const group = left.slice(0, IOV_MAX);
      let moved = move(group, offset);
      offset += moved;
      let whole = 0;
      while (whole < left.length && moved >= left[whole].length) moved -= left[whole++].length;
      left = left.slice(whole);
      if (moved > 0) left[0] = left[0].subarray(moved);
    }
    return offset;
  }

  private put(offset: number, data: Uint8Array): void {
    if (this.readOnly) throw new BlockError('the file is read-only');
    for (let at = 0; at < data.length; ) at += writeSync(this.file, data, at, data.length - at, offset + at);
    this.length = Math.max(this.length, offset + data.length);
  }

  flush(done: BlockDone): void {
    this.attempt(done, () => {
      if (!this.readOnly) fdatasyncSync(this.file);
    });
  }

  truncate(size: number, done: BlockDone): void {
    this.attempt(done, () => {
      ftruncateSync(this.file, size);
      this.length = size;
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
