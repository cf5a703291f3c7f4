// A disk image of some format: what the guest's disk holds, by accesses to the storage that the image is kept in.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { ImageError, type Io, start, type Step } from './io.ts';

/** What a part of a disk is made of. "hole": nothing there, it reads as the backing image or as zeros. */
export interface Extent {
  /** Bytes from the place asked for. */
  length: number;
  kind: 'data' | 'zero' | 'hole';
}

/** A snapshot that an image holds inside. */
export interface SnapshotInfo {
  id: string;
  name: string;
  /** Bytes of the saved machine state. */
  vmStateSize: number;
  /** Seconds since 1970, and the nanoseconds beside. */
  date: number;
  dateNs: number;
  /** Running time of the guest, ns. */
  vmClockNs: bigint;
}

/** What `tabvisor-img info` tells of an image, beside its size. */
export interface ImageDetails {
  clusterSize?: number;
  backingFile?: string;
  backingFormat?: string;
  snapshots?: SnapshotInfo[];
  /** Lines of "Format specific information", QEMU's names. */
  specific?: Record<string, string | number | boolean>;
}

/** A transfer between the disk and pieces of memory, as BlockBackend's readv and writev have them. */
export type VectorIo = (offset: number, pieces: readonly Uint8Array[]) => Io<void>;

export abstract class Image {
  abstract readonly format: string;
  /** Bytes of the guest's disk. */
  abstract readonly size: number;
  readonly readOnly: boolean;

  constructor(readOnly: boolean) {
    this.readOnly = readOnly;
  }

  /** Fill `into`. The range lies on the disk. */
  abstract read(offset: number, into: Uint8Array): Io<void>;

  /** Write to the disk; called only if not read-only, one write at a time, without reads beside it. */
  // eslint-disable-next-line require-yield
  *write(_offset: number, _data: Uint8Array): Io<void> {
    throw new ImageError(`an image of format ${this.format} cannot be written`);
  }

  /** Without a copy, where the format and what lies beneath allow it; the rules are those of read() and write(). */
  get readv(): VectorIo | undefined {
    return undefined;
  }

  get writev(): VectorIo | undefined {
    return undefined;
  }

  /** Make all that was written safe. */
  *flush(): Io<void> {}

  /** The contents of a range are not needed any more. Nothing need happen. */
  *discard(_offset: number, _length: number): Io<void> {}

  *writeZeroes(offset: number, length: number, _mayUnmap: boolean): Io<void> {
    const zeros = new Uint8Array(Math.min(length, 1 << 20));
    for (let at = 0; at < length; at += zeros.length) yield* this.write(offset + at, zeros.subarray(0, Math.min(zeros.length, length - at)));
  }

  /** What stands at a place, and how far at least it goes on. */
  // eslint-disable-next-line require-yield
  *status(_offset: number, length: number): Io<Extent> {
    return { length, kind: 'data' };
  }

  details(): ImageDetails {
    return {};
  }
}

/**
 * The disk of an image as devices want it. Reads run beside each other; a write, which may change the image's tables, runs alone.
 * All begin in the order in which they came.
 */
export class ImageDisk implements BlockBackend {
  private readonly waiting: { exclusive: boolean; begin: () => void }[] = [];
  private readers = 0;
  private writing = false;
  private serving = false;

  readonly readv: BlockBackend['readv'];
  readonly writev: BlockBackend['writev'];

  constructor(readonly image: Image) {
    const { readv, writev } = image;
    const bytes = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, { length }) => sum + length, 0);
    if (readv) this.readv = (offset, pieces, done) => this.enqueue(false, offset, bytes(pieces), () => readv.call(image, offset, pieces), done);
    if (writev) this.writev = (offset, pieces, done) => this.enqueue(true, offset, bytes(pieces), () => writev.call(image, offset, pieces), done);
  }

  get size(): number {
    return this.image.size;
  }

  get readOnly(): boolean {
    return this.image.readOnly;
  }

  private enqueue(exclusive: boolean, offset: number, length: number, io: () => Io<void>, done: BlockDone): void {
    if (exclusive && this.readOnly) return done(new BlockError('the disk is read-only'));
    if (!(offset >= 0) || offset + length > this.size) return done(new BlockError(`${length} bytes at ${offset} are not on a disk of ${this.size}`));
    this.waiting.push({
      exclusive,
      begin: () =>
        start(io(), (error) => {
          if (exclusive) this.writing = false;
          else this.readers--;
          done(error);
          this.next();
        }),
    });
    this.next();
  }

  /** Begin what may run. Not re-entered: requests that end at once, and what their end asks for, take no stack. */
  private next(): void {
    if (this.serving) return;
    this.serving = true;
    for (let first = this.waiting[0]; first && !this.writing && !(first.exclusive && this.readers > 0); first = this.waiting[0]) {
      this.waiting.shift();
      if (first.exclusive) this.writing = true;
      else this.readers++;
      first.begin();
    }
    this.serving = false;
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    this.enqueue(false, offset, into.length, () => this.image.read(offset, into), done);
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.enqueue(true, offset, data.length, () => this.image.write(offset, data), done);
  }

  flush(done: BlockDone): void {
    if (this.readOnly) return done(null);
    this.enqueue(true, 0, 0, () => this.image.flush(), done);
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.enqueue(true, offset, length, () => this.image.discard(offset, length), done);
  }

  writeZeroes(offset: number, length: number, mayUnmap: boolean, done: BlockDone): void {
    this.enqueue(true, offset, length, () => this.image.writeZeroes(offset, length, mayUnmap), done);
  }
}

/** One piece of a range that crosses units of a table. */
export interface Piece {
  /** The unit, and where in it the piece begins. */
  index: number;
  inside: number;
  /** Where in the range it begins. */
  at: number;
  length: number;
}

/** Cut a range at the borders of units. */
export function* pieces(offset: number, length: number, unit: number): Generator<Piece> {
  for (let at = 0; at < length; ) {
    const index = Math.floor((offset + at) / unit);
    const inside = offset + at - index * unit;
    const n = Math.min(unit - inside, length - at);
    yield { index, inside, at, length: n };
    at += n;
  }
}

/** Whether all bytes are 0. */
export function isZero(bytes: Uint8Array): boolean {
  for (let n = 0; n < bytes.length; n++) if (bytes[n] !== 0) return false;
  return true;
}

/** An access as a step: storage.read and the like with their arguments bound. */
export type { Step };
