// Tables of a qcow2 image, a cluster each, kept in memory while they are used: L2 tables and refcount blocks.
// Changes stay in memory until writeBack(), because the order in which tables reach the file decides whether it is whole after a crash.

import { ImageError, type Io, readBytes, type Storage } from './io.ts';

interface Entry {
  view: DataView;
  dirty: boolean;
}

/** Bytes of tables that are kept, and how many at least. */
const KEPT_BYTES = 8 << 20;
const KEPT_LEAST = 4;

export class TableCache {
  private readonly entries = new Map<number, Entry>();
  /** How many are changed. */
  dirty = 0;
  readonly capacity: number;

  constructor(
    private readonly storage: Storage,
    private readonly clusterSize: number,
    private readonly what: string,
  ) {
    this.capacity = Math.max(KEPT_LEAST, KEPT_BYTES / clusterSize);
  }

  /** The table at an offset of the file. */
  *get(offset: number): Io<DataView> {
    const known = this.entries.get(offset);
    if (known) {
      this.entries.delete(offset);
      this.entries.set(offset, known);
      return known.view;
    }
    if (offset === 0 || offset % this.clusterSize) throw new ImageError(`${this.what} at ${offset} is not at the start of a cluster`);
    const bytes = yield* readBytes(this.storage, offset, this.clusterSize, this.what);
    // Another reader may have been quicker.
    const meanwhile = this.entries.get(offset);
    if (meanwhile) return meanwhile.view;
    return this.keep(offset, new DataView(bytes.buffer), false);
  }

  private keep(offset: number, view: DataView, dirty: boolean): DataView {
    this.entries.set(offset, { view, dirty });
    if (dirty) this.dirty++;
    for (const [at, entry] of this.entries) {
      if (this.entries.size <= this.capacity) break;
      if (!entry.dirty && at !== offset) this.entries.delete(at);
    }
    return view;
  }

  /** A table that is new, or takes a new place. */
  add(offset: number, view = new DataView(new ArrayBuffer(this.clusterSize))): DataView {
    this.drop(offset);
    return this.keep(offset, view, true);
  }

  /** The table at an offset was changed. It is in memory: get() gave it, and nothing else was asked for since. */
  changed(offset: number, view: DataView): void {
    const entry = this.entries.get(offset);
    if (!entry) {
      this.keep(offset, view, true);
    } else if (!entry.dirty) {
      entry.dirty = true;
      this.dirty++;
    }
  }

  /** Forget a table that is none any more. */
  drop(offset: number): void {
    if (this.entries.get(offset)?.dirty) this.dirty--;
    this.entries.delete(offset);
  }

  *writeBack(): Io<void> {
    if (this.dirty === 0) return;
    for (const [offset, entry] of this.entries) {
      if (!entry.dirty) continue;
      yield (done) => this.storage.write(offset, new Uint8Array(entry.view.buffer), done);
      entry.dirty = false;
      this.dirty--;
    }
  }
}
