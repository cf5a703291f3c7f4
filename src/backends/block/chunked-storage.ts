// Bytes that come from afar in chunks: only what is touched is fetched, what was fetched is kept for a while, and what is read in sequence is
// fetched ahead. Read only. Beneath it are HTTP (http-storage.ts) and files of the browser (blob-storage.ts).

import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { ReadOnlyStorage } from './read-only-storage.ts';

export const CHUNK = 256 << 10;
/** Chunks that are kept: 64 MiB. */
const KEPT = 256;
/** Chunks that one fetch brings at most, when reading goes on where it was. */
const AHEAD = 8;

/** Gets a part of the bytes; rejects with what is to be told. */
export type Fetch = (offset: number, length: number) => Promise<Uint8Array>;

export class ChunkedStorage extends ReadOnlyStorage {
  private readonly chunks = new Map<number, Promise<Uint8Array>>();
  /** The chunk behind the last that was read. */
  private expected = -1;
  private streak = 0;

  constructor(
    readonly size: number,
    private readonly fetch: Fetch,
  ) {
    super('the file can only be read');
  }

  /** A chunk, from memory or from afar; one fetch for all that want it. */
  private chunk(index: number): Promise<Uint8Array> {
    const known = this.chunks.get(index);
    if (known) {
      this.chunks.delete(index);
      this.chunks.set(index, known);
      return known;
    }
    // As many as are not there yet, growing while reading goes on in sequence.
    let many = 1;
    while (many < this.streak && (index + many) * CHUNK < this.size && !this.chunks.has(index + many)) many++;
    const start = index * CHUNK;
    const length = Math.min(many * CHUNK, this.size - start);
    const whole = this.fetch(start, length);
    for (let n = 0; n < many; n++) {
      // A copy, so that no chunk keeps all of them in memory.
      const part = whole.then((bytes) => (many === 1 ? bytes : bytes.slice(n * CHUNK, (n + 1) * CHUNK)));
      this.chunks.set(index + n, part);
      // What failed is asked for again the next time.
      part.catch(() => this.chunks.get(index + n) === part && this.chunks.delete(index + n));
    }
    for (const key of this.chunks.keys()) {
      if (this.chunks.size <= KEPT) break;
      this.chunks.delete(key);
    }
    return this.chunks.get(index)!;
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    if (!(offset >= 0) || offset + into.length > this.size) return done(new BlockError(`the file ends at ${this.size}`));
    this.fill(offset, into).then(
      () => done(null),
      (error: unknown) => done(error instanceof BlockError ? error : new BlockError(error instanceof Error ? error.message : String(error))),
    );
  }

  private async fill(offset: number, into: Uint8Array): Promise<void> {
    const first = Math.floor(offset / CHUNK);
    const last = Math.floor((offset + Math.max(0, into.length - 1)) / CHUNK);
    this.streak = first === this.expected || first === this.expected - 1 ? Math.min(AHEAD, this.streak + (last >= this.expected ? 1 : 0)) : last - first + 1;
    this.expected = last + 1;
    const parts = [];
    for (let index = first; index <= last; index++) parts.push(this.chunk(index));
    (await Promise.all(parts)).forEach((bytes, n) => {
      const start = (first + n) * CHUNK;
      const from = Math.max(offset, start);
      const to = Math.min(offset + into.length, start + bytes.length);
      into.set(bytes.subarray(from - start, to - start), from - offset);
    });
  }
}
