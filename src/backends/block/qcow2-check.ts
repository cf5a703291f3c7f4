// Whether a qcow2 image is whole: who points at which cluster is counted, and compared with the refcounts. As `qemu-img check`.

import { ImageError, type Io, readView, type Storage } from './io.ts';
import { type Qcow2Header, readQcow2Header, readSnapshots } from './qcow2-header.ts';
import { getRefcount, Refcounts } from './qcow2-refcounts.ts';
import { COMPRESSED, COPIED, entryOffset } from './qcow2.ts';

export interface CheckResult {
  /** One line for each thing that is wrong. */
  messages: string[];
  corruptions: number;
  leaks: number;
  allocated: number;
  total: number;
  fragmented: number;
  compressed: number;
  /** Bytes up to the end of the last cluster in use. */
  imageEnd: number;
}

/** Lines that are kept. */
const MOST_MESSAGES = 1000;

class Qcow2Check {
  readonly result: CheckResult = { messages: [], corruptions: 0, leaks: 0, allocated: 0, total: 0, fragmented: 0, compressed: 0, imageEnd: 0 };
  private readonly users: Uint32Array;
  private readonly clusterSize: number;
  private readonly clusters: number;

  constructor(
    private readonly storage: Storage,
    private readonly header: Qcow2Header,
  ) {
    this.clusterSize = header.clusterSize;
    this.clusters = Math.ceil(storage.size / this.clusterSize);
    this.users = new Uint32Array(this.clusters);
    this.result.total = Math.ceil(header.size / this.clusterSize);
  }

  private say(message: string): void {
    if (this.result.messages.length < MOST_MESSAGES) this.result.messages.push(message);
  }

  private corrupt(message: string): void {
    this.result.corruptions++;
    this.say(`ERROR ${message}`);
  }

  /** Count a user of all clusters of a range. @returns whether it is in the file */
  private use(offset: number, length: number, what: string): boolean {
    if (length === 0) return true;
    if (offset + length > this.clusters * this.clusterSize) {
      this.corrupt(`${what} at 0x${offset.toString(16)} is beyond the end of the file`);
      return false;
    }
    for (let n = Math.floor(offset / this.clusterSize); n <= Math.floor((offset + length - 1) / this.clusterSize); n++) this.users[n]++;
    return true;
  }

  *run(): Io<CheckResult> {
    const { header, clusterSize, result } = this;
    this.use(0, clusterSize, 'the header');
    const snapshots = yield* readSnapshots(this.storage, header);
    const active = yield* this.l1(header.l1Offset, header.l1Size, true);
    for (const snapshot of snapshots) {
      if (snapshot.l1Offset % clusterSize) this.corrupt(`the L1 table of snapshot ${snapshot.id} is not at the start of a cluster`);
      else yield* this.l1(snapshot.l1Offset, snapshot.l1Size, false);
    }
    if (snapshots.length > 0) {
      let length = 0;
      for (let n = 0; n < header.snapshotCount; n++) {
        const view = yield* readView(this.storage, header.snapshotsOffset + length, 40, 'a snapshot');
        length += 8 * Math.ceil((40 + view.getUint32(36) + view.getUint16(12) + view.getUint16(14)) / 8);
      }
      this.use(header.snapshotsOffset, length, 'the snapshot table');
    }
    this.use(header.refcountTableOffset, header.refcountTableClusters * clusterSize, 'the refcount table');
    const refcounts = new Refcounts(this.storage, header);
    yield* refcounts.load();
    for (const [n, offset] of refcounts.blocks.entries()) {
      if (offset === 0) continue;
      if (offset % clusterSize) this.corrupt(`refcount block ${n} is not at the start of a cluster`);
      else this.use(offset, clusterSize, `refcount block ${n}`);
    }

    const perBlock = (clusterSize * 8) >> header.refcountOrder;
    let last = -1;
    for (let start = 0; start < this.clusters; start += perBlock) {
      const offset = refcounts.blocks[start / perBlock] ?? 0;
      const usable = offset !== 0 && offset % clusterSize === 0 && offset + clusterSize <= this.storage.size;
      const block = usable ? yield* readView(this.storage, offset, clusterSize, 'a refcount block') : undefined;
      for (let n = start; n < Math.min(start + perBlock, this.clusters); n++) {
        const count = block ? getRefcount(block, n - start, header.refcountOrder) : 0;
        const users = this.users[n];
        if (count > 0 || users > 0) last = n;
        if (count === users) continue;
        if (count > users) {
          result.leaks++;
          this.say(`Leaked cluster ${n} refcount=${count} reference=${users}`);
        } else this.corrupt(`cluster ${n} refcount=${count} reference=${users}`);
      }
    }
    result.imageEnd = (last + 1) * clusterSize;
    yield* this.copiedFlags(active, refcounts);
    return result;
  }

  /** An L1 table and what it points at. @returns its entries */
  private *l1(offset: number, size: number, active: boolean): Io<Uint32Array> {
    const entries = new Uint32Array(2 * size);
    if (!this.use(offset, 8 * size, 'an L1 table')) return entries;
    const view = yield* readView(this.storage, offset, 8 * size, 'an L1 table');
    for (let n = 0; n < entries.length; n++) entries[n] = view.getUint32(4 * n);
    let expected = 0;
    for (let n = 0; n < size; n++) {
      const table = entryOffset(entries[2 * n], entries[2 * n + 1]);
      if (table === 0) continue;
      if (table % this.clusterSize) {
        this.corrupt(`an L2 table at 0x${table.toString(16)} is not at the start of a cluster`);
        continue;
      }
      if (!this.use(table, this.clusterSize, 'an L2 table')) continue;
      expected = yield* this.l2(table, active, expected);
    }
    return entries;
  }

  private *l2(table: number, active: boolean, expected: number): Io<number> {
    const { clusterSize, header, result } = this;
    const view = yield* readView(this.storage, table, clusterSize, 'an L2 table');
    for (let at = 0; at < clusterSize; at += 8) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high & COMPRESSED) {
        const x = BigInt(62 - (header.clusterBits - 8));
        const descriptor = ((BigInt(high & ~(COPIED | COMPRESSED)) << 32n) | BigInt(low)) & ((1n << 62n) - 1n);
        const place = Number(descriptor & ((1n << x) - 1n));
        const sectors = Number(descriptor >> x) + 1;
        if (high & COPIED) this.corrupt(`a compressed cluster at 0x${place.toString(16)} is marked as copied`);
        // The last sector may reach beyond the end of the file, whose last cluster it still is in.
        this.use(place, sectors * 512 - (place % 512), 'a compressed cluster');
        if (!active) continue;
        result.allocated++;
        result.compressed++;
        result.fragmented++;
        continue;
      }
      const host = entryOffset(high, low);
      if (host === 0) continue;
      if (host % clusterSize) {
        this.corrupt(`a cluster at 0x${host.toString(16)} is not at the start of one`);
        continue;
      }
      this.use(host, clusterSize, 'a cluster');
      if (!active || (low & 1 && header.version === 3)) continue;
      result.allocated++;
      if (expected !== 0 && host !== expected) result.fragmented++;
      expected = host + clusterSize;
    }
    return expected;
  }

  /** "Copied" must stand exactly where a refcount is 1, in the tables that are in use. */
  private *copiedFlags(l1: Uint32Array, refcounts: Refcounts): Io<void> {
    const { clusterSize } = this;
    const check = function* (this: Qcow2Check, high: number, host: number, what: string): Io<void> {
      if (host % clusterSize || host + clusterSize > this.clusters * clusterSize) return;
      const count = yield* refcounts.get(host / clusterSize);
      if ((count === 1) !== ((high & COPIED) !== 0)) this.corrupt(`OFLAG_COPIED ${what} at 0x${host.toString(16)} refcount=${count}`);
    };
    for (let n = 0; n < l1.length; n += 2) {
      const table = entryOffset(l1[n], l1[n + 1]);
      if (table === 0 || table % clusterSize || table + clusterSize > this.storage.size) continue;
      yield* check.call(this, l1[n], table, 'L2 table');
      const view = yield* readView(this.storage, table, clusterSize, 'an L2 table');
      for (let at = 0; at < clusterSize; at += 8) {
        const high = view.getUint32(at);
        const host = entryOffset(high, view.getUint32(at + 4));
        if (!(high & COMPRESSED) && host !== 0) yield* check.call(this, high, host, 'data cluster');
      }
    }
  }
}

/** @throws ImageError if it is no qcow2 image, or so damaged that it cannot be looked through */
export function* checkQcow2(storage: Storage): Io<CheckResult> {
  const header = yield* readQcow2Header(storage);
  if (Math.ceil(storage.size / header.clusterSize) > 2 ** 29) throw new ImageError('it has too many clusters to be counted');
  return yield* new Qcow2Check(storage, header).run();
}
