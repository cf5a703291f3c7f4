// VHD images of Virtual PC and Hyper-V, fixed and dynamic: Microsoft's "Virtual Hard Disk Image Format Specification", version 1.0.
// Numbers are big endian. QEMU calls the format "vpc".
//
// Dynamic: the block allocation table (BAT) has the sector of each block of 2 MiB; a block begins with a bitmap of the sectors that are there.

import { type Extent, Image, type ImageDetails, isZero, pieces } from './image.ts';
import { ImageError, type Io, readBytes, readView, type Storage } from './io.ts';

const SECTOR = 512;
const UNUSED = 0xffffffff;
/** "Disk Type". */
const FIXED = 2;
const DYNAMIC = 3;
const MAX_GEOMETRY = 65535 * 16 * 255;

/** Programs whose images are as long as "Current Size" says; others go by cylinders, heads and sectors, as Virtual PC does. */
const BY_SIZE = ['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS', 'wa\0\0'];

export const isVhdFooter = (bytes: Uint8Array): boolean => String.fromCharCode(...bytes.subarray(0, 8)) === 'conectix';

/** One's complement of the sum of all bytes but the checksum's own. */
function checksum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  bytes.forEach((byte, n) => (sum += n >= at && n < at + 4 ? 0 : byte));
  return ~sum >>> 0;
}

interface Footer {
  size: number;
  type: number;
  dynamicOffset: number;
}

function parseFooter(bytes: Uint8Array): Footer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SECTOR);
  if (!isVhdFooter(bytes)) throw new ImageError('it is not a VHD image');
  if (view.getUint32(0x40) !== checksum(bytes.subarray(0, SECTOR), 0x40)) throw new ImageError('the checksum of the footer is wrong');
  const sectors = view.getUint16(0x38) * bytes[0x3a] * bytes[0x3b];
  const application = String.fromCharCode(...bytes.subarray(0x1c, 0x20));
  const currentSize = Number(view.getBigUint64(0x30));
  const size = BY_SIZE.includes(application) || sectors === MAX_GEOMETRY || sectors === 0 ? Math.floor(currentSize / SECTOR) * SECTOR : sectors * SECTOR;
  return { size, type: view.getUint32(0x3c), dynamicOffset: Number(view.getBigUint64(0x10)) };
}

/** The disk of a fixed image, up to its footer. */
class VhdFixed extends Image {
  readonly format = 'vpc';

  constructor(
    private readonly storage: Storage,
    readOnly: boolean,
    readonly size: number,
  ) {
    super(readOnly);
    if (size > storage.size - SECTOR) throw new ImageError(`the image is cut off: a disk of ${size} bytes in a file of ${storage.size}`);
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    yield (done) => this.storage.read(offset, into, done);
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    yield (done) => this.storage.write(offset, data, done);
  }

  override *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
  }
}

class VhdDynamic extends Image {
  readonly format = 'vpc';
  private readonly bitmaps = new Map<number, Uint8Array>();
  private readonly bitmapSize: number;
  /** Where the next block goes: the place of the footer. */
  private end: number;
  private readonly batDirty = new Set<number>();

  constructor(
    private readonly storage: Storage,
    readOnly: boolean,
    readonly size: number,
    private readonly footer: Uint8Array,
    private readonly blockSize: number,
    private readonly batOffset: number,
    private readonly bat: Uint32Array,
  ) {
    super(readOnly);
    this.bitmapSize = SECTOR * Math.ceil(blockSize / SECTOR / 8 / SECTOR);
    let end = SECTOR * Math.ceil((batOffset + 4 * bat.length) / SECTOR);
    for (const entry of bat) if (entry !== UNUSED) end = Math.max(end, entry * SECTOR + this.bitmapSize + blockSize);
    this.end = end;
  }

  override details(): ImageDetails {
    return { clusterSize: this.blockSize };
  }

  /** The bitmap of a block that is there: most significant bit first. */
  private *bitmap(index: number): Io<Uint8Array> {
    const known = this.bitmaps.get(index);
    if (known) return known;
    const bitmap = yield* readBytes(this.storage, this.bat[index] * SECTOR, this.bitmapSize, `block ${index}`);
    if (this.bitmaps.size >= 1024) this.bitmaps.clear();
    this.bitmaps.set(index, bitmap);
    return bitmap;
  }

  /** Runs of sectors of a block that are all there or all not. Ranges may begin and end inside sectors. */
  private *runs(bitmap: Uint8Array, inside: number, length: number): Generator<{ there: boolean; from: number; length: number }> {
    const bit = (sector: number): boolean => (bitmap[sector >> 3] & (0x80 >> (sector & 7))) !== 0;
    for (let at = inside; at < inside + length; ) {
      const there = bit(Math.floor(at / SECTOR));
      let sector = Math.floor(at / SECTOR) + 1;
      while (sector * SECTOR < inside + length && bit(sector) === there) sector++;
      const to = Math.min(inside + length, sector * SECTOR);
      yield { there, from: at, length: to - at };
      at = to;
    }
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, into.length, this.blockSize)) {
      if (this.bat[index] === UNUSED) {
        into.fill(0, at, at + length);
        continue;
      }
      const data = this.bat[index] * SECTOR + this.bitmapSize;
      for (const run of this.runs(yield* this.bitmap(index), inside, length)) {
        const part = into.subarray(at + run.from - inside, at + run.from - inside + run.length);
        if (!run.there) part.fill(0);
        else if (data + run.from + run.length > this.storage.size) throw new ImageError(`the image is cut off: block ${index} is at ${data} in a file of ${this.storage.size} bytes`);
        else yield (done) => this.storage.read(data + run.from, part, done);
      }
    }
  }

  override *status(offset: number, length: number): Io<Extent> {
    const index = Math.floor(offset / this.blockSize);
    const inside = offset % this.blockSize;
    const there = this.bat[index] !== UNUSED;
    if (there) {
      const n = Math.min(length, this.blockSize - inside);
      const [run] = this.runs(yield* this.bitmap(index), inside, n);
      return { length: run.length, kind: run.there ? 'data' : 'hole' };
    }
    let n = 1;
    while (n * this.blockSize - inside < length && this.bat[index + n] === UNUSED) n++;
    return { length: Math.min(length, n * this.blockSize - inside), kind: 'hole' };
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, data.length, this.blockSize)) {
      const part = data.subarray(at, at + length);
      if (this.bat[index] === UNUSED) {
        if (isZero(part)) continue;
        yield* this.addBlock(index);
      }
      const start = this.bat[index] * SECTOR;
      const bitmap = yield* this.bitmap(index);
      // Sectors that were not there read as zeros; a new block is all there, so this is for those of other programs.
      const first = Math.floor(inside / SECTOR);
      const last = Math.floor((inside + length - 1) / SECTOR);
      let changed = false;
      for (let sector = first; sector <= last; sector++) {
        if (bitmap[sector >> 3] & (0x80 >> (sector & 7))) continue;
        if (sector * SECTOR < inside || (sector + 1) * SECTOR > inside + length) {
          yield (done) => this.storage.write(start + this.bitmapSize + sector * SECTOR, new Uint8Array(SECTOR), done);
        }
        bitmap[sector >> 3] |= 0x80 >> (sector & 7);
        changed = true;
      }
      yield (done) => this.storage.write(start + this.bitmapSize + inside, part, done);
      if (changed) yield (done) => this.storage.write(start, bitmap, done);
    }
  }

  /** A block of zeros where the footer was, and the footer behind it. */
  private *addBlock(index: number): Io<void> {
    const start = this.end;
    const bitmap = new Uint8Array(this.bitmapSize).fill(0xff);
    const { storage, footer } = this;
    const end = start + this.bitmapSize + this.blockSize;
    yield (done) => storage.write(end, footer, done);
    const block = new Uint8Array(this.bitmapSize + this.blockSize);
    block.set(bitmap);
    yield (done) => storage.write(start, block, done);
    this.end = end;
    this.bat[index] = start / SECTOR;
    this.bitmaps.set(index, bitmap);
    this.batDirty.add(index);
  }

  override *writeZeroes(offset: number, length: number, mayUnmap: boolean): Io<void> {
    for (const { index, inside, length: n } of pieces(offset, length, this.blockSize)) {
      if (this.bat[index] !== UNUSED) yield* super.writeZeroes(index * this.blockSize + inside, n, mayUnmap);
    }
  }

  /** Blocks before the table that points at them. */
  override *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
    if (this.batDirty.size === 0) return;
    for (const index of this.batDirty) {
      const view = new DataView(new ArrayBuffer(4));
      view.setUint32(0, this.bat[index]);
      yield (done) => this.storage.write(this.batOffset + 4 * index, new Uint8Array(view.buffer), done);
    }
    this.batDirty.clear();
    yield (done) => this.storage.flush(done);
  }
}

export function* openVhd(storage: Storage, readOnly: boolean): Io<Image> {
  // A dynamic image has a copy of its footer at the start.
  let bytes = yield* readBytes(storage, 0, SECTOR, 'the header');
  if (!isVhdFooter(bytes)) bytes = yield* readBytes(storage, storage.size - SECTOR, SECTOR, 'the footer');
  const footer = parseFooter(bytes);
  if (footer.type === FIXED) return new VhdFixed(storage, readOnly, footer.size);
  if (footer.type !== DYNAMIC) throw new ImageError(footer.type === 4 ? 'differencing images are not supported' : `images of type ${footer.type} are not known`);
  const header = yield* readBytes(storage, footer.dynamicOffset, 1024, 'the dynamic header');
  if (String.fromCharCode(...header.subarray(0, 8)) !== 'cxsparse') throw new ImageError('the dynamic header is not where it should be');
  const view = new DataView(header.buffer);
  if (view.getUint32(0x24) !== checksum(header, 0x24)) throw new ImageError('the checksum of the dynamic header is wrong');
  const batOffset = Number(view.getBigUint64(0x10));
  const entries = view.getUint32(0x1c);
  const blockSize = view.getUint32(0x20);
  if (blockSize < SECTOR || blockSize & (blockSize - 1)) throw new ImageError(`blocks of ${blockSize} bytes are not possible`);
  if (entries * blockSize < footer.size) throw new ImageError('the table is too small for the disk');
  const table = yield* readView(storage, batOffset, 4 * entries, 'the block allocation table');
  const bat = new Uint32Array(entries);
  for (let n = 0; n < entries; n++) bat[n] = table.getUint32(4 * n);
  return new VhdDynamic(storage, readOnly, footer.size, bytes, blockSize, batOffset, bat);
}

/** "CHS Calculation" of the specification's appendix. */
function geometry(sectors: number): [cylinders: number, heads: number, sectorsPerTrack: number] {
  const total = Math.min(sectors, MAX_GEOMETRY);
  if (total > 65535 * 16 * 63) return [Math.floor(Math.floor(total / 255) / 16), 16, 255];
  let perTrack = 17;
  let cylinderHeads = Math.floor(total / perTrack);
  let heads = Math.max(4, Math.floor((cylinderHeads + 1023) / 1024));
  if (cylinderHeads >= heads * 1024 || heads > 16) {
    perTrack = 31;
    heads = 16;
    cylinderHeads = Math.floor(total / perTrack);
  }
  if (cylinderHeads >= heads * 1024) {
    perTrack = 63;
    heads = 16;
    cylinderHeads = Math.floor(total / perTrack);
  }
  return [Math.floor(cylinderHeads / heads), heads, perTrack];
}

/** Make an empty image in an empty storage. Its size is kept to the sector (QEMU's force_size=on). */
export function* createVhd(storage: Storage, size: number, fixed: boolean, uuid: () => Uint8Array, secondsSince2000: number): Io<void> {
  size = Math.ceil(size / SECTOR) * SECTOR;
  const blockSize = 2 << 20;
  const entries = Math.ceil(size / blockSize);
  if (size > 2040 * 2 ** 30) throw new ImageError('a VHD image has at most 2040 GiB');
  const footer = new Uint8Array(SECTOR);
  const view = new DataView(footer.buffer);
  const text = (at: number, value: string, into = footer): void => into.set(new TextEncoder().encode(value), at);
  text(0, 'conectix');
  view.setUint32(0x08, 2);
  view.setUint32(0x0c, 0x00010000);
  view.setBigUint64(0x10, fixed ? 0xffffffffffffffffn : BigInt(SECTOR));
  view.setUint32(0x18, secondsSince2000);
  text(0x1c, 'qem2');
  view.setUint32(0x20, 0x00050003);
  text(0x24, 'Wi2k');
  view.setBigUint64(0x28, BigInt(size));
  view.setBigUint64(0x30, BigInt(size));
  const [cylinders, heads, perTrack] = geometry(size / SECTOR);
  view.setUint16(0x38, cylinders);
  footer[0x3a] = heads;
  footer[0x3b] = perTrack;
  view.setUint32(0x3c, fixed ? FIXED : DYNAMIC);
  footer.set(uuid(), 0x44);
  view.setUint32(0x40, checksum(footer, 0x40));
  if (fixed) {
    yield (done) => storage.truncate(size, done);
    yield (done) => storage.write(size, footer, done);
  } else {
    const batBytes = SECTOR * Math.ceil((4 * entries) / SECTOR);
    const bytes = new Uint8Array(SECTOR + 1024 + batBytes + SECTOR).fill(0xff);
    bytes.set(footer);
    bytes.set(footer, bytes.length - SECTOR);
    const header = bytes.subarray(SECTOR, SECTOR + 1024).fill(0);
    const fields = new DataView(header.buffer, header.byteOffset, 1024);
    text(0, 'cxsparse', header);
    fields.setBigUint64(0x08, 0xffffffffffffffffn);
    fields.setBigUint64(0x10, BigInt(SECTOR + 1024));
    fields.setUint32(0x18, 0x00010000);
    fields.setUint32(0x1c, entries);
    fields.setUint32(0x20, blockSize);
    fields.setUint32(0x24, checksum(header, 0x24));
    yield (done) => storage.write(0, bytes, done);
  }
  yield (done) => storage.flush(done);
}
