// What all storages have in common that can only be read.

import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import type { Storage } from './io.ts';

export abstract class ReadOnlyStorage implements Storage {
  readonly readOnly = true;
  abstract readonly size: number;

  /** @param why what is told to who writes all the same */
  constructor(private readonly why: string) {}

  abstract read(offset: number, into: Uint8Array, done: BlockDone): void;

  private refuse(done: BlockDone): void {
    done(new BlockError(this.why));
  }

  write(_offset: number, _data: Uint8Array, done: BlockDone): void {
    this.refuse(done);
  }

  flush(done: BlockDone): void {
    done(null);
  }

  truncate(_size: number, done: BlockDone): void {
    this.refuse(done);
  }

  discard(_offset: number, _length: number, done: BlockDone): void {
    this.refuse(done);
  }

  writeZeroes(_offset: number, _length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.refuse(done);
  }
}
