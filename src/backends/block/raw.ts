// Raw images: the file's bytes are the disk's. ISO 9660 images are raw too. As in QEMU, a file that ends within a sector is filled up with zeros.

import { BlockError } from '../../devices/interfaces.ts';
import { type Extent, Image, type VectorIo } from './image.ts';
import type { Io, Storage } from './io.ts';

const SECTOR = 512;

export class RawImage extends Image {
  readonly format = 'raw';
  readonly size: number;

  constructor(
    private readonly storage: Storage,
    readOnly: boolean,
    /**
     * Given where the format was guessed: whether a first sector still says "raw". A guest that writes the mark of another format there would have
     * its disk opened as that the next time, with a file of the host as backing image; it gets an error, as from QEMU.
     */
    private readonly staysRaw?: (head: Uint8Array) => boolean,
  ) {
    super(readOnly);
    this.size = Math.ceil(storage.size / SECTOR) * SECTOR;
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    const { storage } = this;
    const there = Math.max(0, Math.min(into.length, storage.size - offset));
    if (there > 0) yield (done) => storage.read(offset, into.subarray(0, there), done);
    into.fill(0, there);
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    if (offset < SECTOR && this.staysRaw) {
      const head = new Uint8Array(SECTOR);
      if (offset > 0) yield* this.read(0, head.subarray(0, offset));
      head.set(data.subarray(0, SECTOR - offset), offset);
      if (!this.staysRaw(head)) throw new BlockError('the first sector would make it an image of another format; format=raw in the machine line allows that');
    }
    yield (done) => this.storage.write(offset, data, done);
  }

  override get readv(): VectorIo | undefined {
    // What ends within a sector is filled up.
    return this.storage.readv && this.size === this.storage.size ? this.readPieces : undefined;
  }

  override get writev(): VectorIo | undefined {
    return this.storage.writev && this.writePieces;
  }

  private *readPieces(offset: number, pieces: readonly Uint8Array[]): Io<void> {
    yield (done) => this.storage.readv!(offset, pieces, done);
  }

  private *writePieces(offset: number, pieces: readonly Uint8Array[]): Io<void> {
    if (offset >= SECTOR || !this.staysRaw) {
      yield (done) => this.storage.writev!(offset, pieces, done);
      return;
    }
    // A copy, which stays as it was looked at.
    const data = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) {
      data.set(piece, at);
      at += piece.length;
    }
    yield* this.write(offset, data);
  }

  override *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
  }

  override *discard(offset: number, length: number): Io<void> {
    yield (done) => this.storage.discard(offset, length, done);
  }

  override *writeZeroes(offset: number, length: number, mayUnmap: boolean): Io<void> {
    yield (done) => this.storage.writeZeroes(offset, length, mayUnmap, done);
  }

  override *status(_offset: number, length: number): Io<Extent> {
    return { length, kind: 'data' };
  }
}
