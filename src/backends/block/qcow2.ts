// qcow2 images, versions 2 and 3: QEMU's docs/interop/qcow2.txt.
//
// The disk is cut into clusters. An L1 table points at L2 tables, and these at clusters of the file; what is not there comes from the
// backing image. Refcounts say how many tables point at a cluster. Changed tables are kept in memory and reach the file in an order that
// leaves it whole at any moment: refcounts, then L2 tables, then the L1 table, and only then clusters that nothing points at any more are free.

import { type Extent, Image, type ImageDetails, isZero, pieces } from './image.ts';
import { inflateRaw } from './inflate.ts';
import { ImageError, type Io, readView, type Storage } from './io.ts';
import {
  COMPATIBLE_LAZY_REFCOUNTS, INCOMPATIBLE_CORRUPT, INCOMPATIBLE_DIRTY, type Qcow2Header, type Qcow2Snapshot, readQcow2Header, readSnapshots,
} from './qcow2-header.ts';
import { Refcounts } from './qcow2-refcounts.ts';
import { TableCache } from './qcow2-tables.ts';
import { decompressZstd } from './zstd.ts';

/** Entries of L1 and L2 tables, upper 32 bits: the refcount is exactly 1; the cluster is compressed. And the lower: it reads as zeros. */
export const COPIED = 0x80000000;
export const COMPRESSED = 0x40000000;
export const ZERO = 1;
/** Bits 9 to 55 of an entry are an offset in the file. */
export const entryOffset = (high: number, low: number): number => (high & 0x00ffffff) * 2 ** 32 + (low & ~0x1ff) + ((low & ~0x1ff) < 0 ? 2 ** 32 : 0);

/** Decompressed clusters that are kept. */
const KEPT_CLUSTERS = 4;

/** Where a part of the disk is. */
type Place =
  | { kind: 'hole' | 'zero'; length: number }
  | { kind: 'data'; at: number; length: number }
  | { kind: 'compressed'; high: number; low: number; inside: number; length: number };

export class Qcow2Image extends Image {
  readonly format = 'qcow2';
  readonly size: number;
  private readonly l2: TableCache;
  private readonly refcounts: Refcounts;
  private l1Dirty = false;
  /** Clusters that the tables in memory point at no more, but those in the file still may. */
  private freed: number[] = [];
  /** Compressed clusters, by their entry. */
  private readonly unpacked = new Map<number, Uint8Array>();
  private readonly perTable: number;

  private constructor(
    private readonly storage: Storage,
    readonly header: Qcow2Header,
    readonly snapshots: readonly Qcow2Snapshot[],
    /** Pairs of upper and lower 32 bits. */
    readonly l1: Uint32Array,
    readonly backing: Image | undefined,
    readOnly: boolean,
    size: number,
  ) {
    super(readOnly);
    this.size = Math.ceil(size / 512) * 512;
    this.l2 = new TableCache(storage, header.clusterSize, 'an L2 table');
    this.refcounts = new Refcounts(storage, header);
    this.perTable = header.clusterSize / 8;
  }

  /**
   * @param openBacking opens the backing file by the name and format that the image gives
   * @param snapshot read this internal snapshot, by id or name
   */
  static *open(
    storage: Storage,
    readOnly: boolean,
    openBacking: (name: string, format: string | undefined) => Io<Image>,
    snapshot?: string,
  ): Io<Qcow2Image> {
    const header = yield* readQcow2Header(storage);
    const snapshots = yield* readSnapshots(storage, header);
    let { l1Offset, l1Size, size } = header;
    if (snapshot !== undefined) {
      const found = snapshots.find(({ id }) => id === snapshot) ?? snapshots.find(({ name }) => name === snapshot);
      if (!found) throw new ImageError(`there is no snapshot "${snapshot}"`);
      ({ l1Offset, l1Size, diskSize: size } = found);
      if (l1Size * (header.clusterSize / 8) * header.clusterSize < size) throw new ImageError('the L1 table of the snapshot is too small');
      readOnly = true;
    }
    if (!readOnly) {
      if (header.incompatible & INCOMPATIBLE_CORRUPT) throw new ImageError('it is marked as corrupt and can only be read: "qemu-img check -r all" repairs it');
      if (header.incompatible & INCOMPATIBLE_DIRTY) throw new ImageError('its refcounts are out of date (lazy_refcounts) and it can only be read: "qemu-img check -r all" repairs it');
      if (header.bitmaps) throw new ImageError('it holds dirty bitmaps, which are not supported, and can only be read');
    }
    const view = yield* readView(storage, l1Offset, 8 * l1Size, 'the L1 table');
    const l1 = new Uint32Array(2 * l1Size);
    for (let n = 0; n < l1.length; n++) l1[n] = view.getUint32(4 * n);
    const backing = header.backingFile === undefined ? undefined : yield* openBacking(header.backingFile, header.backingFormat);
    const image = new Qcow2Image(storage, header, snapshots, l1, backing, readOnly, size);
    if (!readOnly) yield* image.refcounts.load();
    return image;
  }

  override details(): ImageDetails {
    const { header } = this;
    return {
      clusterSize: header.clusterSize,
      backingFile: header.backingFile,
      backingFormat: header.backingFormat,
      snapshots: [...this.snapshots],
      specific: {
        compat: header.version === 2 ? '0.10' : '1.1',
        'compression type': header.compression,
        ...(header.version === 3 ? { 'lazy refcounts': (header.compatible & COMPATIBLE_LAZY_REFCOUNTS) !== 0n } : {}),
        'refcount bits': 1 << header.refcountOrder,
        ...(header.version === 3 ? { corrupt: (header.incompatible & INCOMPATIBLE_CORRUPT) !== 0n, 'extended l2': false } : {}),
      },
    };
  }

  // Reading

  /** What is at a place of the disk, and how far it goes on in the same way. */
  private *locate(offset: number, length: number): Io<Place> {
    const { clusterSize } = this.header;
    const index = Math.floor(offset / clusterSize);
    const inside = offset % clusterSize;
    const l1Index = Math.floor(index / this.perTable);
    const first = index % this.perTable;
    const tableEnd = (this.perTable - first) * clusterSize - inside;
    const most = Math.min(length, tableEnd);
    const table = entryOffset(this.l1[2 * l1Index], this.l1[2 * l1Index + 1]);
    if (table === 0) return { kind: 'hole', length: most };
    const view = yield* this.l2.get(table);
    const high = view.getUint32(8 * first);
    const low = view.getUint32(8 * first + 4);
    if (high & COMPRESSED) return { kind: 'compressed', high, low, inside, length: Math.min(most, clusterSize - inside) };
    const kind = this.kind(high, low);
    const at = entryOffset(high, low);
    // As many of the next clusters as lie behind this one in the same way.
    let n = 1;
    for (; n * clusterSize - inside < most; n++) {
      const nextHigh = view.getUint32(8 * (first + n));
      const nextLow = view.getUint32(8 * (first + n) + 4);
      if (nextHigh & COMPRESSED || this.kind(nextHigh, nextLow) !== kind) break;
      if (kind === 'data' && entryOffset(nextHigh, nextLow) !== at + n * clusterSize) break;
    }
    const reach = Math.min(most, n * clusterSize - inside);
    if (kind !== 'data') return { kind, length: reach };
    if (at % clusterSize) throw new ImageError(`a cluster at ${at} is not at the start of one`);
    return { kind, at: at + inside, length: reach };
  }

  private kind(high: number, low: number): 'hole' | 'zero' | 'data' {
    if (low & ZERO && this.header.version === 3) return 'zero';
    return entryOffset(high, low) === 0 ? 'hole' : 'data';
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (let done = 0; done < into.length; ) {
      const place = yield* this.locate(offset + done, into.length - done);
      const part = into.subarray(done, done + place.length);
      yield* this.readPlace(place, offset + done, part);
      done += place.length;
    }
  }

  private *readPlace(place: Place, offset: number, part: Uint8Array): Io<void> {
    switch (place.kind) {
      case 'zero':
        part.fill(0);
        return;
      case 'hole':
        return yield* this.readBacking(offset, part);
      case 'data':
        if (place.at + part.length > this.storage.size) throw new ImageError(`the image is cut off: a cluster is at ${place.at} in a file of ${this.storage.size} bytes`);
        yield (done) => this.storage.read(place.at, part, done);
        return;
      case 'compressed': {
        const cluster = yield* this.unpack(place.high, place.low);
        part.set(cluster.subarray(place.inside, place.inside + part.length));
      }
    }
  }

  private *readBacking(offset: number, part: Uint8Array): Io<void> {
    const there = this.backing ? Math.max(0, Math.min(part.length, this.backing.size - offset)) : 0;
    if (there > 0) yield* this.backing!.read(offset, part.subarray(0, there));
    part.fill(0, there);
  }

  /** Place in the file of a compressed cluster: "Compressed Clusters Descriptor". Its length is up to the end of its last sector. */
  private compressedPlace(high: number, low: number): { at: number; length: number } {
    const descriptor = (BigInt(high & ~(COPIED | COMPRESSED)) << 32n) | BigInt(low);
    const x = BigInt(62 - (this.header.clusterBits - 8));
    const at = Number(descriptor & ((1n << x) - 1n));
    const sectors = Number(descriptor >> x) + 1;
    return { at, length: sectors * 512 - (at % 512) };
  }

  private *unpack(high: number, low: number): Io<Uint8Array> {
    const { storage, header, unpacked } = this;
    const { at, length } = this.compressedPlace(high, low);
    const known = unpacked.get(at);
    if (known) return known;
    // The last cluster's last sector may be cut short.
    const there = Math.min(length, storage.size - at);
    if (there <= 0) throw new ImageError(`the image is cut off: a compressed cluster is at ${at} in a file of ${storage.size} bytes`);
    const packed = new Uint8Array(there);
    yield (done) => storage.read(at, packed, done);
    const cluster = header.compression === 'zstd' ? decompressZstd(packed, header.clusterSize) : inflateRaw(packed, header.clusterSize);
    unpacked.set(at, cluster);
    for (const key of unpacked.keys()) {
      if (unpacked.size <= KEPT_CLUSTERS) break;
      unpacked.delete(key);
    }
    return cluster;
  }

  override *status(offset: number, length: number): Io<Extent> {
    const place = yield* this.locate(offset, length);
    if (place.kind !== 'hole') return { length: place.length, kind: place.kind === 'zero' ? 'zero' : 'data' };
    const there = this.backing ? Math.min(place.length, this.backing.size - offset) : 0;
    return there > 0 ? yield* this.backing!.status(offset, there) : { length: place.length, kind: 'hole' };
  }

  /** The same of this image alone: "hole" is what the backing image has to give. */
  *ownStatus(offset: number, length: number): Io<Extent> {
    const place = yield* this.locate(offset, length);
    return { length: place.length, kind: place.kind === 'compressed' ? 'data' : place.kind };
  }

  // Writing

  override *write(offset: number, data: Uint8Array): Io<void> {
    const { clusterSize } = this.header;
    for (const piece of pieces(offset, data.length, clusterSize)) {
      yield* this.writeCluster(piece.index, piece.inside, data.subarray(piece.at, piece.at + piece.length));
      yield* this.boundDirty();
    }
  }

  /** So many changed tables that memory asks for writing them. */
  private *boundDirty(): Io<void> {
    if (this.l2.dirty >= this.l2.capacity || this.refcounts.full || this.freed.length > 100_000) yield* this.flush();
  }

  private *writeCluster(index: number, inside: number, data: Uint8Array): Io<void> {
    const { clusterSize } = this.header;
    const { view, at: table } = yield* this.ownTable(index);
    const slot = 8 * (index % this.perTable);
    const high = view.getUint32(slot);
    const low = view.getUint32(slot + 4);
    const host = entryOffset(high, low);
    const kind = high & COMPRESSED ? 'compressed' : this.kind(high, low);
    if (kind === 'data' && high & COPIED) {
      yield (done) => this.storage.write(host + inside, data, done);
      return;
    }
    // A cluster that is there but reads as zeros may be used again.
    const reuse = kind === 'zero' && host !== 0 && (high & COPIED) !== 0;
    const target = reuse ? host : yield* this.refcounts.allocate();
    let whole = data;
    if (data.length < clusterSize) {
      whole = new Uint8Array(clusterSize);
      const start = index * clusterSize;
      yield* this.read(start, whole.subarray(0, Math.min(clusterSize, this.size - start)));
      const fresh = !reuse && target >= this.storage.size && isZero(whole);
      if (fresh) {
        // Nothing but zeros around, and the file grows with zeros.
        yield (done) => this.storage.truncate(target + clusterSize, done);
        yield (done) => this.storage.write(target + inside, data, done);
        whole = new Uint8Array();
      } else whole.set(data, inside);
    }
    if (whole.length > 0) yield (done) => this.storage.write(target, whole, done);
    yield* this.setEntry(table, slot, COPIED + Math.floor(target / 2 ** 32), target % 2 ** 32);
    if (!reuse) this.release(high, low);
  }

  /** Bytes that are free behind the last compressed cluster. */
  private packedAt = 0;
  private packedEnd = 0;

  /**
   * Write a whole cluster in compressed form, where there was nothing yet. Compressed clusters lie behind each other without gaps, so that
   * several may share a cluster of the file.
   * @param packed raw DEFLATE data, made with a window of 4 KiB at most, shorter than a cluster
   */
  *writeCompressed(offset: number, packed: Uint8Array): Io<void> {
    const { clusterSize, clusterBits } = this.header;
    const { view, at: table } = yield* this.ownTable(offset / clusterSize);
    const slot = 8 * ((offset / clusterSize) % this.perTable);
    if (view.getUint32(slot) !== 0 || view.getUint32(slot + 4) !== 0) throw new ImageError('there is a cluster already');
    let shared = this.packedAt % clusterSize !== 0;
    if (this.packedAt + packed.length > this.packedEnd) {
      const more = yield* this.refcounts.allocate();
      if (more !== this.packedEnd || !shared) {
        this.packedAt = more;
        shared = false;
      }
      this.packedEnd = more + clusterSize;
    }
    const at = this.packedAt;
    if (shared) yield* this.refcounts.share(Math.floor(at / clusterSize));
    this.packedAt += packed.length;
    yield (done) => this.storage.write(at, packed, done);
    const sectors = Math.floor((at + packed.length - 1) / 512) - Math.floor(at / 512);
    const entry = (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(at);
    yield* this.setEntry(table, slot, Number(entry >> 32n), Number(entry & 0xffffffffn));
    yield* this.boundDirty();
  }

  private *setEntry(table: number, slot: number, high: number, low: number): Io<void> {
    const view = yield* this.l2.get(table);
    view.setUint32(slot, high);
    view.setUint32(slot + 4, low);
    this.l2.changed(table, view);
  }

  /** Give up what an entry points at. It is free once the entry's end is in the file. */
  private release(high: number, low: number): void {
    const { clusterSize } = this.header;
    if (high & COMPRESSED) {
      const { at, length } = this.compressedPlace(high, low);
      for (let n = Math.floor(at / clusterSize); n <= Math.floor((at + length - 1) / clusterSize); n++) this.freed.push(n);
      this.unpacked.delete(at);
      return;
    }
    const host = entryOffset(high, low);
    if (host !== 0) this.freed.push(host / clusterSize);
  }

  /** The L2 table for a cluster, one that no snapshot has too. */
  private *ownTable(index: number): Io<{ view: DataView; at: number }> {
    const l1Index = Math.floor(index / this.perTable);
    const high = this.l1[2 * l1Index];
    const old = entryOffset(high, this.l1[2 * l1Index + 1]);
    if (old !== 0 && high & COPIED) return { view: yield* this.l2.get(old), at: old };
    const copy = old === 0 ? undefined : new DataView(new Uint8Array((yield* this.l2.get(old)).buffer).slice().buffer);
    const at = yield* this.refcounts.allocate();
    const view = this.l2.add(at, copy);
    this.l1[2 * l1Index] = COPIED + Math.floor(at / 2 ** 32);
    this.l1[2 * l1Index + 1] = at % 2 ** 32;
    this.l1Dirty = true;
    if (old !== 0) this.freed.push(old / this.header.clusterSize);
    return { view, at };
  }

  override *discard(offset: number, length: number): Io<void> {
    // Version 2 cannot say that a cluster hides its backing.
    if (this.header.version === 2 && this.backing) return;
    yield* this.clear(offset, length, true);
  }

  override *writeZeroes(offset: number, length: number, mayUnmap: boolean): Io<void> {
    const { clusterSize, version } = this.header;
    const first = Math.min(offset + length, Math.ceil(offset / clusterSize) * clusterSize);
    // The last cluster of the disk may be a part of one.
    const last = offset + length === this.size ? offset + length : Math.max(first, Math.floor((offset + length) / clusterSize) * clusterSize);
    if (version === 2 && (this.backing || !mayUnmap)) return yield* super.writeZeroes(offset, length, mayUnmap);
    if (first > offset) yield* this.zeroPart(offset, first - offset);
    if (last > first) yield* this.clear(first, last - first, mayUnmap);
    if (offset + length > last) yield* this.zeroPart(last, offset + length - last);
  }

  /** Zeros in a part of a cluster; nothing to do where it reads as zeros. */
  private *zeroPart(offset: number, length: number): Io<void> {
    const place = yield* this.locate(offset, length);
    if (place.kind === 'zero' || (place.kind === 'hole' && !this.backing)) return;
    yield* this.write(offset, new Uint8Array(length));
  }

  /** Let whole clusters read as zeros; parts of clusters at the ends are left alone, but for the end of the disk. */
  private *clear(offset: number, length: number, free: boolean): Io<void> {
    const { clusterSize, version } = this.header;
    const end = offset + length === this.size ? Math.ceil(this.size / clusterSize) : Math.floor((offset + length) / clusterSize);
    for (let index = Math.ceil(offset / clusterSize); index < end; ) {
      const l1Index = Math.floor(index / this.perTable);
      if (!this.backing && entryOffset(this.l1[2 * l1Index], this.l1[2 * l1Index + 1]) === 0) {
        index = (l1Index + 1) * this.perTable;
        continue;
      }
      const { at: table } = yield* this.ownTable(index);
      const view = yield* this.l2.get(table);
      const slot = 8 * (index % this.perTable);
      const high = view.getUint32(slot);
      const low = view.getUint32(slot + 4);
      const kind = high & COMPRESSED ? 'compressed' : this.kind(high, low);
      const keep = !free && kind === 'data' && (high & COPIED) !== 0 && version === 3;
      if (keep) yield* this.setEntry(table, slot, high, (low | ZERO) >>> 0);
      else if (kind === 'data' || kind === 'compressed' || (kind === 'hole' && this.backing) || (free && entryOffset(high, low) !== 0)) {
        yield* this.setEntry(table, slot, 0, version === 3 && (this.backing || kind !== 'hole') ? ZERO : 0);
        this.release(high, low);
      }
      yield* this.boundDirty();
      index++;
    }
  }

  /** Tables to the file, in order, and everything safe. */
  override *flush(): Io<void> {
    if (this.readOnly) return;
    const barrier = function* (storage: Storage): Io<void> {
      yield (done) => storage.flush(done);
    };
    if (this.l2.dirty > 0 || this.refcounts.dirty > 0 || this.l1Dirty) {
      yield* this.refcounts.writeBack();
      yield* barrier(this.storage);
      const l1Dirty = this.l1Dirty;
      if (this.l2.dirty > 0) {
        yield* this.l2.writeBack();
        if (l1Dirty) yield* barrier(this.storage);
      }
      if (l1Dirty) {
        const view = new DataView(new ArrayBuffer(4 * this.l1.length));
        this.l1.forEach((word, n) => view.setUint32(4 * n, word));
        yield (done) => this.storage.write(this.header.l1Offset, new Uint8Array(view.buffer), done);
        this.l1Dirty = false;
      }
    }
    yield* barrier(this.storage);
    if (this.freed.length === 0) return;
    const freed = this.freed;
    this.freed = [];
    for (const cluster of freed) yield* this.refcounts.release(cluster);
    yield* this.refcounts.writeBack();
  }
}
