// A sparse extent of a VMDK image, "Hosted Sparse Extents" and "Stream-Optimized Compressed Sparse Extents" in VMware's "Virtual Disk
// Format 5.0". Numbers are little endian, places are sectors of 512 bytes.
//
// The grain directory points at grain tables, and these at grains of 64 KiB; there is a second copy of both.

import { type Extent, isZero, pieces } from './image.ts';
import { inflateZlib } from './inflate.ts';
import { exact, ImageError, type Io, readBytes, readView, type Storage } from './io.ts';
import type { VmdkExtent } from './vmdk.ts';

/** "KDMV", as it stands in the file. */
export const VMDK_MAGIC = 0x4b444d56;
const SECTOR = 512;
const FLAG_REDUNDANT = 1 << 1;
const FLAG_ZEROED_GRAINS = 1 << 2;
const FLAG_COMPRESSED = 1 << 16;
/** The directory is at the end of the file: see the footer. */
const AT_END = 0xffffffffffffffffn;
const MAX_DIRECTORY_BYTES = 64 << 20;
const MAX_TABLES = 8192;
const KEPT_GRAINS = 4;

export class SparseExtent implements VmdkExtent {
  private readonly tables = new Map<number, Uint32Array>();
  private readonly changed = new Set<number>();
  private readonly unpacked = new Map<number, Uint8Array>();
  /** Where the next grain goes, bytes; 0 until one is needed. */
  private end = 0;
  descriptor = '';

  private constructor(
    private readonly storage: Storage,
    public size: number,
    readonly grainSize: number,
    private readonly perTable: number,
    private readonly directory: Uint32Array,
    private readonly redundant: Uint32Array | undefined,
    private readonly compressed: boolean,
    private readonly zeroedGrains: boolean,
  ) {}

  get writable(): boolean {
    return !this.compressed;
  }

  static *open(storage: Storage, readOnly: boolean): Io<SparseExtent> {
    let view = yield* readView(storage, 0, SECTOR, 'the header');
    const u64 = (at: number): bigint => view.getBigUint64(at, true);
    const descriptorOffset = exact(u64(28), 'the offset of the descriptor');
    const descriptorSize = exact(u64(36), 'the size of the descriptor');
    if (u64(56) === AT_END) {
      // Footer marker, footer, end-of-stream marker.
      view = yield* readView(storage, storage.size - 2 * SECTOR, SECTOR, 'the footer');
      if (view.getUint32(0) !== VMDK_MAGIC) throw new ImageError('the image is cut off: its footer is missing');
    }
    const version = view.getUint32(4, true);
    if (version < 1 || version > 3) throw new ImageError(`version ${version} is not supported`);
    const flags = view.getUint32(8, true);
    const capacity = exact(u64(12) * 512n, 'the size of the disk');
    const grainSectors = exact(u64(20), 'the size of grains');
    const perTable = view.getUint32(44, true);
    if (grainSectors < 1 || grainSectors > 4096 || grainSectors & (grainSectors - 1)) throw new ImageError(`grains of ${grainSectors} sectors are not possible`);
    if (perTable < 1 || perTable > 512) throw new ImageError(`grain tables of ${perTable} entries are not possible`);
    const compressed = (flags & FLAG_COMPRESSED) !== 0;
    if (compressed && view.getUint16(77, true) !== 1) throw new ImageError('the compression is not known');
    const grainSize = grainSectors * SECTOR;
    const entries = Math.ceil(capacity / grainSize / perTable);
    if (4 * entries > MAX_DIRECTORY_BYTES) throw new ImageError('the grain directory is too large');
    function* directoryAt(offset: bigint): Io<Uint32Array> {
      const bytes = yield* readView(storage, exact(offset * 512n, 'the offset of the grain directory'), 4 * entries, 'the grain directory');
      return Uint32Array.from({ length: entries }, (_, n) => bytes.getUint32(4 * n, true));
    }
    const directory = yield* directoryAt(u64(56));
    const redundant = flags & FLAG_REDUNDANT && !readOnly ? yield* directoryAt(u64(48)) : undefined;
    const extent = new SparseExtent(storage, capacity, grainSize, perTable, directory, redundant, compressed, (flags & FLAG_ZEROED_GRAINS) !== 0);
    if (descriptorOffset > 0) {
      if (descriptorSize > 2048) throw new ImageError('the descriptor is too large');
      const bytes = yield* readBytes(storage, descriptorOffset * SECTOR, descriptorSize * SECTOR, 'the descriptor');
      const zero = bytes.indexOf(0);
      extent.descriptor = new TextDecoder().decode(zero < 0 ? bytes : bytes.subarray(0, zero));
    }
    return extent;
  }

  /** Sectors of the grains that a table of the directory points at. */
  private *table(index: number): Io<Uint32Array | undefined> {
    const known = this.tables.get(index);
    if (known) return known;
    const sector = this.directory[index];
    if (sector === 0) return undefined;
    const bytes = yield* readView(this.storage, sector * SECTOR, 4 * this.perTable, 'a grain table');
    const meanwhile = this.tables.get(index);
    if (meanwhile) return meanwhile;
    const table = Uint32Array.from({ length: this.perTable }, (_, n) => bytes.getUint32(4 * n, true));
    for (const key of this.tables.keys()) {
      if (this.tables.size < MAX_TABLES) break;
      if (!this.changed.has(key)) this.tables.delete(key);
    }
    this.tables.set(index, table);
    return table;
  }

  /** Sector of a grain, 0 if it is not there or reads as zeros. */
  private *grain(index: number): Io<number> {
    const table = yield* this.table(Math.floor(index / this.perTable));
    const sector = table?.[index % this.perTable] ?? 0;
    return sector === 1 && this.zeroedGrains ? 0 : sector;
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, into.length, this.grainSize)) {
      const part = into.subarray(at, at + length);
      const sector = yield* this.grain(index);
      if (sector === 0) part.fill(0);
      else if (this.compressed) part.set((yield* this.unpack(index, sector)).subarray(inside, inside + length));
      else {
        const place = sector * SECTOR + inside;
        if (place + length > this.storage.size) throw new ImageError(`the image is cut off: a grain is at ${place} in a file of ${this.storage.size} bytes`);
        yield (done) => this.storage.read(place, part, done);
      }
    }
  }

  private *unpack(index: number, sector: number): Io<Uint8Array> {
    const known = this.unpacked.get(sector);
    if (known) return known;
    // The grain's marker: sector on the disk, bytes of compressed data.
    const marker = yield* readView(this.storage, sector * SECTOR, 12, 'a compressed grain');
    const length = marker.getUint32(8, true);
    if (Number(marker.getBigUint64(0, true)) !== (index * this.grainSize) / SECTOR) throw new ImageError(`a compressed grain at ${sector * SECTOR} is of another place on the disk`);
    if (length > 2 * this.grainSize + 1024) throw new ImageError(`a compressed grain of ${length} bytes is not possible`);
    const packed = yield* readBytes(this.storage, sector * SECTOR + 12, length, 'a compressed grain');
    const grain = new Uint8Array(this.grainSize);
    grain.set(inflateZlib(packed, this.grainSize));
    this.unpacked.set(sector, grain);
    for (const key of this.unpacked.keys()) {
      if (this.unpacked.size <= KEPT_GRAINS) break;
      this.unpacked.delete(key);
    }
    return grain;
  }

  *status(offset: number, length: number): Io<Extent> {
    const { grainSize } = this;
    const index = Math.floor(offset / grainSize);
    const inside = offset % grainSize;
    const there = (yield* this.grain(index)) !== 0;
    let n = 1;
    while (n * grainSize - inside < length && (index + n) * grainSize < this.size && ((yield* this.grain(index + n)) !== 0) === there) n++;
    return { length: Math.min(length, n * grainSize - inside), kind: there ? 'data' : 'hole' };
  }

  *write(offset: number, data: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, data.length, this.grainSize)) {
      const part = data.subarray(at, at + length);
      const sector = yield* this.grain(index);
      if (sector !== 0) {
        yield (done) => this.storage.write(sector * SECTOR + inside, part, done);
        continue;
      }
      if (isZero(part)) continue;
      const which = Math.floor(index / this.perTable);
      const table = yield* this.table(which);
      if (!table) throw new ImageError('a grain table is missing, and the image cannot grow there');
      if (this.end === 0) this.end = Math.ceil(this.storage.size / this.grainSize) * this.grainSize;
      const place = this.end;
      const grain = new Uint8Array(this.grainSize);
      grain.set(part, inside);
      yield (done) => this.storage.write(place, grain, done);
      this.end += this.grainSize;
      table[index % this.perTable] = place / SECTOR;
      this.changed.add(which);
      if (this.changed.size >= MAX_TABLES / 2) yield* this.flush();
    }
  }

  *writeZeroes(offset: number, length: number): Io<void> {
    const zeros = new Uint8Array(this.grainSize);
    for (const { index, inside, length: n } of pieces(offset, length, this.grainSize)) {
      const sector = yield* this.grain(index);
      if (sector !== 0) yield (done) => this.storage.write(sector * SECTOR + inside, zeros.subarray(0, n), done);
    }
  }

  /** Grains before the tables that point at them. */
  *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
    if (this.changed.size === 0) return;
    for (const which of this.changed) {
      const view = new DataView(new ArrayBuffer(4 * this.perTable));
      this.tables.get(which)!.forEach((sector, n) => view.setUint32(4 * n, sector, true));
      for (const directory of [this.directory, this.redundant]) {
        const sector = directory?.[which] ?? 0;
        if (sector !== 0) yield (done) => this.storage.write(sector * SECTOR, new Uint8Array(view.buffer), done);
      }
    }
    this.changed.clear();
    yield (done) => this.storage.flush(done);
  }

  /** Grains whose place is not in the file. */
  *wrongGrains(): Io<number> {
    let wrong = 0;
    const grains = Math.ceil(this.size / this.grainSize);
    for (let index = 0; index < grains; index++) {
      if (this.directory[Math.floor(index / this.perTable)] === 0) {
        index += this.perTable - (index % this.perTable) - 1;
        continue;
      }
      const sector = yield* this.grain(index);
      if (sector !== 0 && sector * SECTOR >= this.storage.size) wrong++;
    }
    return wrong;
  }
}

/** Make an empty image of one sparse file in an empty storage. @param name of the file, for the descriptor */
export function* createVmdk(storage: Storage, size: number, name: string, random: () => number): Io<void> {
  const grainSectors = 128;
  const perTable = 512;
  const tableSectors = 4;
  const sectors = Math.ceil(size / SECTOR);
  const tables = Math.ceil(sectors / grainSectors / perTable);
  const directorySectors = Math.ceil((4 * tables) / SECTOR);
  if (4 * tables > MAX_DIRECTORY_BYTES || sectors > 0xffffffff) throw new ImageError('the disk is too large for this format');
  const redundantAt = 21;
  const directoryAt = redundantAt + directorySectors + tableSectors * tables;
  const tablesEnd = directoryAt + directorySectors + tableSectors * tables;
  const overhead = Math.ceil(tablesEnd / grainSectors) * grainSectors;
  const header = new Uint8Array(redundantAt * SECTOR);
  const view = new DataView(header.buffer);
  view.setUint32(0, VMDK_MAGIC);
  view.setUint32(4, 1, true);
  view.setUint32(8, 3, true);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  u64(12, sectors);
  u64(20, grainSectors);
  u64(28, 1);
  u64(36, redundantAt - 1);
  view.setUint32(44, perTable, true);
  u64(48, redundantAt);
  u64(56, directoryAt);
  u64(64, overhead);
  // Characters that a transfer as text would change.
  header.set([0x0a, 0x20, 0x0d, 0x0a], 73);
  const cylinders = Math.min(Math.floor(sectors / 63 / 16), 16383);
  header.set(
    new TextEncoder().encode(
      '# Disk DescriptorFile\nversion=1\n' +
        `CID=${(random() >>> 0).toString(16).padStart(8, '0')}\nparentCID=ffffffff\ncreateType="monolithicSparse"\n\n` +
        `# Extent description\nRW ${sectors} SPARSE "${name.replaceAll('"', '')}"\n\n# The Disk Data Base\n#DDB\n\n` +
        `ddb.virtualHWVersion = "4"\nddb.geometry.cylinders = "${cylinders}"\nddb.geometry.heads = "16"\nddb.geometry.sectors = "63"\nddb.adapterType = "ide"\n`,
    ),
    SECTOR,
  );
  yield (done) => storage.write(0, header, done);
  yield (done) => storage.truncate(overhead * SECTOR, done);
  for (const at of [redundantAt, directoryAt]) {
    const directory = new DataView(new ArrayBuffer(directorySectors * SECTOR));
    for (let n = 0; n < tables; n++) directory.setUint32(4 * n, at + directorySectors + tableSectors * n, true);
    yield (done) => storage.write(at * SECTOR, new Uint8Array(directory.buffer), done);
  }
  yield (done) => storage.flush(done);
}
