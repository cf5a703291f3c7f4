// Who uses which cluster of a qcow2 image, and where there are free ones: "Refcount table" and "Refcount blocks" in QEMU's
// docs/interop/qcow2.txt.

import { ImageError, type Io, readView, type Storage } from './io.ts';
import { AT_REFCOUNT_TABLE_OFFSET, type Qcow2Header } from './qcow2-header.ts';
import { TableCache } from './qcow2-tables.ts';

const OFFSET_MASK = ~0x1ffn;

/** A refcount in a block. */
export function getRefcount(block: DataView, index: number, order: number): number {
  switch (order) {
    case 3:
      return block.getUint8(index);
    case 4:
      return block.getUint16(2 * index);
    case 5:
      return block.getUint32(4 * index);
    case 6:
      return Number(block.getBigUint64(8 * index));
    default: {
      const bit = index << order;
      return (block.getUint8(bit >> 3) >> (bit & 7)) & ((1 << (1 << order)) - 1);
    }
  }
}

export function setRefcount(block: DataView, index: number, order: number, value: number): void {
  switch (order) {
    case 3:
      return block.setUint8(index, value);
    case 4:
      return block.setUint16(2 * index, value);
    case 5:
      return block.setUint32(4 * index, value);
    case 6:
      return block.setBigUint64(8 * index, BigInt(value));
    default: {
      const bit = index << order;
      const mask = ((1 << (1 << order)) - 1) << (bit & 7);
      block.setUint8(bit >> 3, (block.getUint8(bit >> 3) & ~mask) | (value << (bit & 7)));
    }
  }
}

export class Refcounts {
  private readonly cache: TableCache;
  /** Offsets of the blocks. */
  private table: Float64Array = new Float64Array();
  private tableDirty = false;
  private readonly perBlock: number;
  /** No cluster below this is free. */
  private hint = 0;

  constructor(
    private readonly storage: Storage,
    private readonly header: Qcow2Header,
  ) {
    this.cache = new TableCache(storage, header.clusterSize, 'a refcount block');
    this.perBlock = (header.clusterSize * 8) >> header.refcountOrder;
  }

  *load(): Io<void> {
    const { header } = this;
    const view = yield* readView(this.storage, header.refcountTableOffset, header.refcountTableClusters * header.clusterSize, 'the refcount table');
    this.table = new Float64Array(view.byteLength / 8);
    for (let n = 0; n < this.table.length; n++) this.table[n] = Number(view.getBigUint64(8 * n) & OFFSET_MASK);
  }

  /** Offsets of all refcount blocks, 0 where there is none. */
  get blocks(): Float64Array {
    return this.table;
  }

  *get(cluster: number): Io<number> {
    const offset = this.table[Math.floor(cluster / this.perBlock)] ?? 0;
    if (offset === 0) return 0;
    return getRefcount(yield* this.cache.get(offset), cluster % this.perBlock, this.header.refcountOrder);
  }

  private *set(cluster: number, value: number): Io<void> {
    const offset = this.table[Math.floor(cluster / this.perBlock)];
    const block = yield* this.cache.get(offset);
    setRefcount(block, cluster % this.perBlock, this.header.refcountOrder, value);
    this.cache.changed(offset, block);
  }

  /** Take a number of free clusters that follow each other. @returns the offset of the first */
  *allocate(count = 1): Io<number> {
    for (;;) {
      let first = this.hint;
      let found = 0;
      for (let cluster = first; found < count; cluster++) {
        if ((yield* this.get(cluster)) === 0) found++;
        else {
          // The hint moves only over what is not free.
          if (found === 0 && cluster === this.hint) this.hint++;
          first = cluster + 1;
          found = 0;
        }
      }
      if (!(yield* this.haveBlocks(first, count))) continue;
      for (let n = 0; n < count; n++) yield* this.set(first + n, 1);
      if (first === this.hint) this.hint += count;
      return first * this.header.clusterSize;
    }
  }

  /** Whether there are blocks for these clusters; if not one is made, and they have to be looked for again. */
  private *haveBlocks(first: number, count: number): Io<boolean> {
    for (let index = Math.floor(first / this.perBlock); index <= Math.floor((first + count - 1) / this.perBlock); index++) {
      if (index >= this.table.length) {
        yield* this.growTable(index);
        return false;
      }
      if (this.table[index] !== 0) continue;
      // A new block lies in the first free cluster of those that it counts, and counts itself.
      const cluster = Math.max(first, index * this.perBlock);
      const offset = cluster * this.header.clusterSize;
      setRefcount(this.cache.add(offset), cluster % this.perBlock, this.header.refcountOrder, 1);
      this.table[index] = offset;
      this.tableDirty = true;
      return false;
    }
    return true;
  }

  /** The table is too short: a longer one, behind everything that the old one can count, with blocks for itself. */
  private *growTable(index: number): Io<void> {
    const { header, perBlock } = this;
    const { clusterSize } = header;
    const start = this.table.length * perBlock;
    let blocks = 1;
    let clusters = 0;
    for (let again = true; again; ) {
      const entries = Math.max(Math.ceil(this.table.length * 1.5), index + 1, this.table.length + blocks + 1);
      clusters = Math.ceil((8 * entries) / clusterSize);
      const needed = Math.ceil((blocks + clusters) / perBlock);
      again = needed > blocks;
      blocks = Math.max(blocks, needed);
    }
    if (clusters * clusterSize > 8 << 20) throw new ImageError('the refcount table cannot grow any more');
    const table = new Float64Array((clusters * clusterSize) / 8);
    table.set(this.table);
    for (let n = 0; n < blocks; n++) {
      const offset = (start + n) * clusterSize;
      const block = this.cache.add(offset);
      table[this.table.length + n] = offset;
      for (let k = 0; k < perBlock && n * perBlock + k < blocks + clusters; k++) setRefcount(block, k, header.refcountOrder, 1);
    }
    const old = { offset: header.refcountTableOffset, clusters: header.refcountTableClusters };
    this.table = table;
    header.refcountTableOffset = (start + blocks) * clusterSize;
    header.refcountTableClusters = clusters;
    this.tableDirty = true;
    yield* this.writeBack();
    yield (done) => this.storage.flush(done);
    const fields = new DataView(new ArrayBuffer(12));
    fields.setBigUint64(0, BigInt(header.refcountTableOffset));
    fields.setUint32(8, clusters);
    yield (done) => this.storage.write(AT_REFCOUNT_TABLE_OFFSET, new Uint8Array(fields.buffer), done);
    yield (done) => this.storage.flush(done);
    for (let n = 0; n < old.clusters; n++) yield* this.release(old.offset / clusterSize + n);
  }

  /** One user more of a cluster that is in use. */
  *share(cluster: number): Io<void> {
    const count = (yield* this.get(cluster)) + 1;
    if (count >= 2 ** 2 ** this.header.refcountOrder) throw new ImageError(`cluster ${cluster} has too many users for its refcount`);
    yield* this.set(cluster, count);
  }

  /** One user less of a cluster. */
  *release(cluster: number): Io<void> {
    const count = yield* this.get(cluster);
    if (count === 0) throw new ImageError(`cluster ${cluster} is used, but its refcount is 0`);
    yield* this.set(cluster, count - 1);
    if (count === 1) this.hint = Math.min(this.hint, cluster);
  }

  get dirty(): number {
    return this.cache.dirty;
  }

  get full(): boolean {
    return this.cache.dirty >= this.cache.capacity;
  }

  *writeBack(): Io<void> {
    yield* this.cache.writeBack();
    if (!this.tableDirty) return;
    const view = new DataView(new ArrayBuffer(8 * this.table.length));
    this.table.forEach((offset, n) => view.setBigUint64(8 * n, BigInt(offset)));
    yield (done) => this.storage.write(this.header.refcountTableOffset, new Uint8Array(view.buffer), done);
    this.tableDirty = false;
  }
}
