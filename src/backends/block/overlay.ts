// A disk over another that is never changed: what the guest writes goes into clusters of its own, kept in a store that survives the page.
//
// Changed clusters wait in memory until the guest flushes, or there are many. A flush is done when the store has said that they are safe. When the
// store refuses them (it is full), the guest gets an error; they stay in memory and are offered again at the next flush, so that nothing is
// lost that was written, and nothing was called safe that is not.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { pieces } from './image.ts';

export const CLUSTER = 64 << 10;
/** Changed clusters in memory above which they are stored without being asked; and above which, if that fails, writes fail. 16 and 64 MiB. */
const MANY = 256;
const MOST = 1024;
/** Clusters of one transaction. */
const BATCH = 64;
/** Unchanged clusters that are kept. */
const KEPT = 256;
/** How long a change waits at most for a flush, ms: the user may close the page. */
const LONGEST_MS = 1000;

/** Where clusters are kept, by their number. An empty value stands for a cluster of zeros. */
export interface ClusterStore {
  keys(): Promise<number[]>;
  get(clusters: number[]): Promise<(Uint8Array | undefined)[]>;
  /** All or none; when it resolves they are safe, also if the process is killed. */
  put(entries: [number, Uint8Array][]): Promise<void>;
}

const ZEROS = new Uint8Array();

export class OverlayDisk implements BlockBackend {
  readonly readOnly = false;
  /** Clusters that the store has. */
  private readonly stored = new Set<number>();
  /** Changed ones that it does not have so. */
  private readonly dirty = new Map<number, Uint8Array>();
  /** What is on its way into the store: what changes meanwhile is a copy. */
  private committing = new Map<number, Uint8Array>();
  private readonly clean = new Map<number, Uint8Array>();
  private readonly loading = new Map<number, Promise<Uint8Array>>();
  private commits: Promise<void> = Promise.resolve();
  private timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    private readonly base: BlockBackend,
    private readonly store: ClusterStore,
    /** Told when the store refuses, with its error, and when it takes clusters again. */
    private readonly onStore: (error: unknown | null) => void,
  ) {}

  static async open(base: BlockBackend, store: ClusterStore, onStore: (error: unknown | null) => void = () => {}): Promise<OverlayDisk> {
    const disk = new OverlayDisk(base, store, onStore);
    for (const key of await store.keys()) disk.stored.add(key);
    return disk;
  }

  get size(): number {
    return this.base.size;
  }

  private run(work: Promise<void>, done: BlockDone): void {
    work.then(
      () => done(null),
      (error: unknown) => done(error instanceof BlockError ? error : new BlockError(error instanceof Error ? error.message : String(error))),
    );
  }

  private check(offset: number, length: number, done: BlockDone): boolean {
    if (offset >= 0 && offset + length <= this.size) return true;
    done(new BlockError(`${length} bytes at ${offset} are not on a disk of ${this.size}`));
    return false;
  }

  private baseRead(offset: number, into: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => this.base.read(offset, into, (error) => (error ? reject(error) : resolve())));
  }

  /** A cluster as it is in memory, if it is. */
  private inMemory(cluster: number): Uint8Array | undefined {
    return this.dirty.get(cluster) ?? this.committing.get(cluster) ?? this.clean.get(cluster);
  }

  private keep(cluster: number, bytes: Uint8Array): void {
    this.clean.delete(cluster);
    this.clean.set(cluster, bytes);
    for (const key of this.clean.keys()) {
      if (this.clean.size <= KEPT) break;
      this.clean.delete(key);
    }
  }

  // Reading

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    if (this.check(offset, into.length, done)) this.run(this.readAsync(offset, into), done);
  }

  private async readAsync(offset: number, into: Uint8Array): Promise<void> {
    const work: Promise<void>[] = [];
    const wanted: { cluster: number; inside: number; part: Uint8Array }[] = [];
    // Neighbours that only the base has are read from it at once.
    let run: { offset: number; at: number; length: number } | undefined;
    const endRun = (): void => {
      if (run) work.push(this.baseRead(run.offset, into.subarray(run.at, run.at + run.length)));
      run = undefined;
    };
    for (const { index, inside, at, length } of pieces(offset, into.length, CLUSTER)) {
      const part = into.subarray(at, at + length);
      const known = this.inMemory(index);
      if (!known && !this.stored.has(index) && !this.loading.has(index)) {
        if (run) run.length += length;
        else run = { offset: offset + at, at, length };
        continue;
      }
      endRun();
      if (known) {
        if (known.length === 0) part.fill(0);
        else part.set(known.subarray(inside, inside + length));
      } else wanted.push({ cluster: index, inside, part });
    }
    endRun();
    if (wanted.length > 0) work.push(this.readStored(wanted));
    await Promise.all(work);
  }

  private async readStored(wanted: { cluster: number; inside: number; part: Uint8Array }[]): Promise<void> {
    const clusters = await Promise.all(this.load(wanted.map(({ cluster }) => cluster)));
    wanted.forEach(({ inside, part }, n) => {
      if (clusters[n].length === 0) part.fill(0);
      else part.set(clusters[n].subarray(inside, inside + part.length));
    });
  }

  /** Clusters that are not in memory, those of the store in one transaction. */
  private load(clusters: number[]): Promise<Uint8Array>[] {
    const missing = clusters.filter((cluster) => !this.loading.has(cluster) && this.stored.has(cluster));
    if (missing.length > 0) {
      const all = this.store.get(missing);
      missing.forEach((cluster, n) => {
        this.loading.set(cluster, all.then((values) => {
          const bytes = values[n];
          if (!bytes || (bytes.length !== CLUSTER && bytes.length !== 0)) throw new BlockError('a part of what was written is missing from the browser\'s storage');
          return bytes;
        }));
      });
    }
    for (const cluster of clusters) {
      if (this.loading.has(cluster)) continue;
      const bytes = new Uint8Array(CLUSTER);
      const start = cluster * CLUSTER;
      this.loading.set(cluster, this.baseRead(start, bytes.subarray(0, Math.min(CLUSTER, this.size - start))).then(() => bytes));
      missing.push(cluster);
    }
    for (const cluster of missing) {
      const loading = this.loading.get(cluster)!;
      const settled = (): void => {
        if (this.loading.get(cluster) === loading) this.loading.delete(cluster);
      };
      loading.then((bytes) => {
        settled();
        if (!this.dirty.has(cluster) && !this.committing.has(cluster) && this.stored.has(cluster)) this.keep(cluster, bytes);
      }, settled);
    }
    return clusters.map((cluster) => this.loading.get(cluster)!);
  }

  // Writing

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    if (this.check(offset, data.length, done)) this.run(this.writeAsync(offset, data), done);
  }

  private async writeAsync(offset: number, data: Uint8Array): Promise<void> {
    await this.room();
    const work: Promise<void>[] = [];
    for (const { index, inside, at, length } of pieces(offset, data.length, CLUSTER)) {
      const part = data.subarray(at, at + length);
      if (this.change(index, inside, part)) continue;
      // Around the part is what was there before.
      work.push(Promise.all(this.load([index])).then(([bytes]) => {
        if (!this.change(index, inside, part)) {
          this.dirty.set(index, bytes.length === 0 ? new Uint8Array(CLUSTER) : bytes.slice());
          this.change(index, inside, part);
        }
      }));
    }
    await Promise.all(work);
    this.changed();
  }

  /** Change a cluster that is in memory, or all of one. @returns false if it has to be loaded first */
  private change(cluster: number, inside: number, part: Uint8Array): boolean {
    let bytes = this.dirty.get(cluster);
    if (!bytes || bytes.length === 0) {
      if (part.length === CLUSTER) bytes = new Uint8Array(CLUSTER);
      else {
        const known = this.inMemory(cluster);
        if (!known) return false;
        bytes = known.length === 0 ? new Uint8Array(CLUSTER) : known.slice();
      }
      this.dirty.set(cluster, bytes);
      this.clean.delete(cluster);
    }
    bytes.set(part, inside);
    return true;
  }

  /** Wait until there is room for more changes. */
  private async room(): Promise<void> {
    if (this.dirty.size + this.committing.size >= MOST) await this.commit();
  }

  private changed(): void {
    if (this.dirty.size >= MANY) void this.commit().catch(() => {});
    else {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        void this.commit().catch(() => {});
      }, LONGEST_MS);
    }
  }

  discard(offset: number, length: number, done: BlockDone): void {
    // What is not a whole cluster may stay.
    const first = Math.ceil(offset / CLUSTER) * CLUSTER;
    const last = offset + length === this.size ? offset + length : Math.floor((offset + length) / CLUSTER) * CLUSTER;
    if (last > first) this.writeZeroes(first, last - first, true, done);
    else done(null);
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    if (this.check(offset, length, done)) this.run(this.zeroAsync(offset, length), done);
  }

  private async zeroAsync(offset: number, length: number): Promise<void> {
    await this.room();
    for (const { index, inside, length: n } of pieces(offset, length, CLUSTER)) {
      if (n === CLUSTER || (inside === 0 && offset + length === this.size && index === Math.floor((this.size - 1) / CLUSTER))) {
        // A load that is under way must not bring back what was there.
        this.loading.delete(index);
        this.dirty.set(index, ZEROS);
        this.clean.delete(index);
      } else await this.writeAsync(index * CLUSTER + inside, new Uint8Array(n));
      if (this.dirty.size >= MOST) await this.commit();
    }
    this.changed();
  }

  flush(done: BlockDone): void {
    this.run(this.commit(), done);
  }

  /** Store all that is changed now. One at a time: what is asked for meanwhile comes behind. */
  private commit(): Promise<void> {
    const mine = this.commits.then(() => this.commitNow());
    this.commits = mine.catch(() => {});
    return mine;
  }

  private async commitNow(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.committing = new Map(this.dirty);
    this.dirty.clear();
    const entries = [...this.committing];
    try {
      for (let at = 0; at < entries.length; at += BATCH) {
        const batch = entries.slice(at, at + BATCH);
        await this.store.put(batch);
        for (const [cluster, bytes] of batch) {
          this.stored.add(cluster);
          this.committing.delete(cluster);
          if (!this.dirty.has(cluster)) this.keep(cluster, bytes);
        }
      }
      if (entries.length > 0) this.onStore(null);
    } catch (error) {
      // What was changed again since is newer.
      for (const [cluster, bytes] of this.committing) if (!this.dirty.has(cluster)) this.dirty.set(cluster, bytes);
      this.onStore(error);
      throw new BlockError(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    } finally {
      this.committing = new Map();
    }
  }
}
