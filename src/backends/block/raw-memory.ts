// A disk in memory: its bytes as they are ("raw"), gone when the machine is.

import { type BlockBackend, BlockError } from '../../devices/interfaces.ts';

export class RawMemory implements BlockBackend {
  /** @param bytes the disk's contents; a write changes them */
  constructor(
    readonly bytes: Uint8Array,
    readonly readOnly = false,
  ) {}

  get size(): number {
    return this.bytes.length;
  }

  private part(offset: number, length: number): Uint8Array {
    if (offset < 0 || offset + length > this.size) throw new BlockError(`${length} bytes at ${offset} are not on a disk of ${this.size}`);
    return this.bytes.subarray(offset, offset + length);
  }

  private writablePart(offset: number, length: number): Uint8Array {
    if (this.readOnly) throw new BlockError('the disk is read-only');
    return this.part(offset, length);
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.part(offset, into.length));
  }

  write(offset: number, data: Uint8Array): void {
    this.writablePart(offset, data.length).set(data);
  }

  flush(): void {}

  discard(offset: number, length: number): void {
    this.writeZeroes(offset, length);
  }

  writeZeroes(offset: number, length: number): void {
    this.writablePart(offset, length).fill(0);
  }
}
