// Raw images: the file's bytes are the disk's. ISO 9660 images are raw too. As in QEMU, a file that ends within a sector is filled up with zeros.

import { type Extent, Image } from './image.ts';
import type { Io, Storage } from './io.ts';

const SECTOR = 512;

export class RawImage extends Image {
  readonly format = 'raw';
  readonly size: number;

  constructor(
    private readonly storage: Storage,
    readOnly: boolean,
    /** The part of the storage that the disk is; without it, all. */
    private readonly start = 0,
    length = storage.size - start,
  ) {
    super(readOnly);
    this.size = Math.ceil(length / SECTOR) * SECTOR;
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    const { storage, start } = this;
    const there = Math.max(0, Math.min(into.length, storage.size - start - offset));
    if (there > 0) yield (done) => storage.read(start + offset, into.subarray(0, there), done);
    into.fill(0, there);
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    yield (done) => this.storage.write(this.start + offset, data, done);
  }

  override *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
  }

  override *discard(offset: number, length: number): Io<void> {
    yield (done) => this.storage.discard(this.start + offset, length, done);
  }

  override *writeZeroes(offset: number, length: number, mayUnmap: boolean): Io<void> {
    yield (done) => this.storage.writeZeroes(this.start + offset, length, mayUnmap, done);
  }

  override *status(offset: number, length: number): Io<Extent> {
    return { length, kind: 'data' };
  }
}
