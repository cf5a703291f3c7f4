// A compressed file as a storage that can be read anywhere, without unpacking it to somewhere: gzip (RFC 1952) and Zstandard (RFC 8878).
//
// When it is opened the whole file is decompressed once, because only so its true size is known; checkpoints of the decompressor's state
// are kept on the way. A read starts at the checkpoint before it. Memory is bounded: once there are too many checkpoints
// every other is dropped.

import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { ImageError, type Io, start, type Storage } from './io.ts';
import { ReadOnlyStorage } from './read-only-storage.ts';

/** A decompressor that goes forward. */
export interface Unpacker {
  /** Bytes of output so far. */
  readonly position: number;
  /** The next output, valid until the next call; null at the end. */
  next(): Io<Uint8Array | null>;
  /** What is needed to go on from here, and how many bytes of memory it takes. */
  checkpoint(): { resume: () => Unpacker; bytes: number } | undefined;
}

interface Checkpoint {
  at: number;
  resume: () => Unpacker;
  bytes: number;
}

/** Memory for checkpoints, and output between them at first. */
const CHECKPOINT_BYTES = 32 << 20;
const SPACING = 1 << 20;
/** Decompressed pieces that are kept. */
const PIECE = 128 << 10;
const KEPT_PIECES = 256;
/** A file that unpacks to more than this is taken for a trap: it would be looked through whole. */
const MAX_UNPACKED = 16 * 2 ** 30;

export class UnpackedStorage extends ReadOnlyStorage {
  size = 0;
  private checkpoints: Checkpoint[] = [];
  private readonly pieces = new Map<number, Uint8Array>();
  /** Goes on where the last read ended. */
  private current: Unpacker | undefined;
  private readonly waiting: (() => void)[] = [];
  private busy = false;

  private constructor(private readonly from: () => Unpacker) {
    super('a compressed file cannot be written');
  }

  /**
   * @param from a decompressor at the start
   * @param progress called now and then while the file is looked through
   * @param limit bytes that it may unpack to
   */
  static *open(from: () => Unpacker, progress: (unpacked: number) => void = () => {}, limit = MAX_UNPACKED): Io<UnpackedStorage> {
    const storage = new UnpackedStorage(from);
    const unpacker = from();
    let spacing = SPACING;
    let bytes = 0;
    let last = 0;
    for (;;) {
      if (unpacker.position - last >= spacing) {
        const checkpoint = unpacker.checkpoint();
        if (checkpoint) {
          storage.checkpoints.push({ at: unpacker.position, ...checkpoint });
          bytes += checkpoint.bytes;
          last = unpacker.position;
          progress(last);
        }
        while (bytes > CHECKPOINT_BYTES && storage.checkpoints.length > 1) {
          spacing *= 2;
          storage.checkpoints = storage.checkpoints.filter((_, n) => n % 2 === 1);
          bytes = storage.checkpoints.reduce((sum, one) => sum + one.bytes, 0);
        }
      }
      if ((yield* unpacker.next()) === null) break;
      if (unpacker.position > limit) throw new ImageError(`it unpacks to more than ${limit / 2 ** 30} GiB, which is refused: unpack it first`);
    }
    storage.size = unpacker.position;
    return storage;
  }

  /** A decompressor at this place or before it. */
  private unpackerFor(at: number): Unpacker {
    let best: Checkpoint | undefined;
    for (const checkpoint of this.checkpoints) if (checkpoint.at <= at) best = checkpoint;
    const { current } = this;
    if (current && current.position <= at && current.position >= (best?.at ?? 0)) return current;
    return best ? best.resume() : this.from();
  }

  private *piece(index: number): Io<Uint8Array> {
    const known = this.pieces.get(index);
    if (known) {
      this.pieces.delete(index);
      this.pieces.set(index, known);
      return known;
    }
    const start = index * PIECE;
    const length = Math.min(PIECE, this.size - start);
    const piece = new Uint8Array(length);
    const unpacker = this.unpackerFor(start);
    this.current = undefined;
    // Output comes in portions of any size: the part of each that belongs here.
    let filled = 0;
    while (filled < length) {
      const at = unpacker.position;
      const portion = yield* unpacker.next();
      if (portion === null) throw new ImageError('the compressed file has changed');
      const skip = start + filled - at;
      if (skip >= portion.length) continue;
      const part = portion.subarray(skip, skip + length - filled);
      piece.set(part, filled);
      filled += part.length;
      this.keepRest(portion, at, index + 1);
    }
    this.current = unpacker;
    this.keep(index, piece);
    return piece;
  }

  /** Whole pieces that a portion holds beyond the one that was wanted. */
  private keepRest(portion: Uint8Array, at: number, index: number): void {
    for (let next = index; (next + 1) * PIECE <= at + portion.length; next++) {
      if (next * PIECE >= at) this.keep(next, portion.slice(next * PIECE - at, (next + 1) * PIECE - at));
    }
  }

  private keep(index: number, piece: Uint8Array): void {
    this.pieces.set(index, piece);
    for (const key of this.pieces.keys()) {
      if (this.pieces.size <= KEPT_PIECES) break;
      this.pieces.delete(key);
    }
  }

  private *fill(offset: number, into: Uint8Array): Io<void> {
    for (let at = 0; at < into.length; ) {
      const index = Math.floor((offset + at) / PIECE);
      const piece = yield* this.piece(index);
      const part = piece.subarray(offset + at - index * PIECE, offset + into.length - index * PIECE);
      into.set(part, at);
      at += part.length;
    }
  }

  /** One read at a time: they share the decompressor. */
  read(offset: number, into: Uint8Array, done: BlockDone): void {
    if (!(offset >= 0) || offset + into.length > this.size) return done(new BlockError(`the file ends at ${this.size}`));
    this.waiting.push(() =>
      start(this.fill(offset, into), (error) => {
        this.busy = false;
        done(error);
        this.next();
      }),
    );
    this.next();
  }

  private serving = false;

  private next(): void {
    if (this.serving) return;
    this.serving = true;
    while (!this.busy && this.waiting.length > 0) {
      this.busy = true;
      this.waiting.shift()!();
    }
    this.serving = false;
  }
}

/** Input of a decompressor: a window over the packed file that moves forward. */
export class PackedInput {
  /** Bytes that are there, and the place of the first in the file. */
  bytes: Uint8Array = new Uint8Array();
  start: number;

  constructor(
    private readonly storage: Storage,
    at = 0,
  ) {
    this.start = at;
  }

  /** Nothing is behind `bytes`. */
  get ended(): boolean {
    return this.start + this.bytes.length >= this.storage.size;
  }

  /** Forget what is before `used`, and read on until there are at least `least` bytes, or the end is reached. */
  *more(used: number, least: number): Io<void> {
    const rest = this.bytes.subarray(used);
    this.start += used;
    const behind = this.start + rest.length;
    const length = Math.min(Math.max(least - rest.length, 256 << 10), this.storage.size - behind);
    const bytes = new Uint8Array(rest.length + Math.max(0, length));
    bytes.set(rest);
    if (length > 0) yield (done) => this.storage.read(behind, bytes.subarray(rest.length), done);
    this.bytes = bytes;
  }
}
