// VHDX images of Hyper-V, read only: Microsoft's [MS-VHDX]. Numbers are little endian.
//
// The file's regions are the metadata and the block allocation table (BAT): for each block its state and its place, with entries for sector
// bitmaps between, which only differencing images use. An image whose log was not written back is refused.

import { type Extent, Image, type ImageDetails, pieces } from './image.ts';
import { exact, ImageError, type Io, readBytes, readView, type Storage } from './io.ts';

const KIB = 1024;
const MIB = KIB * KIB;
const HEADERS = [64 * KIB, 128 * KIB];
const REGION_TABLE = 192 * KIB;
const REGION_BAT = '2dc27766-f623-4200-9d64-115e9bfd4a08';
const REGION_METADATA = '8b7ca206-4790-4b9a-b8fe-575f050f886e';
const ITEM_FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const ITEM_VIRTUAL_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
const ITEM_LOGICAL_SECTOR_SIZE = '8141bf1d-a96f-4709-ba47-f233a8faab5f';
/** States of a block, 2.5.1.1. */
const FULLY_PRESENT = 6;
const PARTIALLY_PRESENT = 7;
const MAX_BAT_BYTES = 128 << 20;

export const VHDX_SIGNATURE = 'vhdxfile';

const text = (view: DataView, at: number, length: number): string => String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));

/** A GUID as it is written: the first three groups are numbers. */
function guid(view: DataView, at: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const tail = Array.from({ length: 8 }, (_, n) => hex(view.getUint8(at + 8 + n), 2)).join('');
  return `${hex(view.getUint32(at, true), 8)}-${hex(view.getUint16(at + 4, true), 4)}-${hex(view.getUint16(at + 6, true), 4)}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
  return n;
});

/** CRC-32C of bytes whose own field, 4 bytes at offset 4, counts as zero. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  bytes.forEach((byte, n) => (crc = CRC_TABLE[(crc ^ (n >= 4 && n < 8 ? 0 : byte)) & 0xff] ^ (crc >>> 8)));
  return ~crc >>> 0;
}

export class VhdxImage extends Image {
  readonly format = 'vhdx';

  private constructor(
    private readonly storage: Storage,
    readonly size: number,
    private readonly blockSize: number,
    /** Places of blocks, bytes; 0 where there is none. */
    private readonly blocks: Float64Array,
  ) {
    super(true);
  }

  static *open(storage: Storage, readOnly: boolean): Io<VhdxImage> {
    if (!readOnly) throw new ImageError('images of this format can only be read');
    if (text(yield* readView(storage, 0, 8, 'the header'), 0, 8) !== VHDX_SIGNATURE) throw new ImageError('it is not a VHDX image');
    // Of the two headers the whole one with the larger sequence number is valid.
    let current: { sequence: bigint; log: string } | undefined;
    for (const at of HEADERS) {
      const bytes = yield* readBytes(storage, at, 4 * KIB, 'the header');
      const header = new DataView(bytes.buffer);
      if (text(header, 0, 4) !== 'head' || header.getUint32(4, true) !== crc32c(bytes)) continue;
      const sequence = header.getBigUint64(8, true);
      if (header.getUint16(66, true) !== 1) throw new ImageError(`version ${header.getUint16(66, true)} is not supported`);
      if (!current || sequence > current.sequence) current = { sequence, log: guid(header, 48) };
    }
    if (!current) throw new ImageError('both headers are damaged');
    if (!/^[0-]+$/.test(current.log)) throw new ImageError('it was not closed, and its log has to be written back: "qemu-img check -r all" does so');

    const regionBytes = yield* readBytes(storage, REGION_TABLE, 64 * KIB, 'the region table');
    const regions = new DataView(regionBytes.buffer);
    if (text(regions, 0, 4) !== 'regi' || regions.getUint32(4, true) !== crc32c(regionBytes)) throw new ImageError('the region table is damaged');
    const found = new Map<string, { at: number; length: number }>();
    const many = regions.getUint32(8, true);
    if (many > 2047) throw new ImageError('the region table is damaged');
    for (let n = 0; n < many; n++) {
      const entry = 16 + 32 * n;
      const name = guid(regions, entry);
      if (name !== REGION_BAT && name !== REGION_METADATA && regions.getUint32(entry + 28, true) & 1) throw new ImageError(`it needs a region that is not known (${name})`);
      found.set(name, { at: exact(regions.getBigUint64(entry + 16, true), 'the offset of a region'), length: regions.getUint32(entry + 24, true) });
    }
    const bat = found.get(REGION_BAT);
    const metadata = found.get(REGION_METADATA);
    if (!bat || !metadata) throw new ImageError('a region is missing');
    const table = yield* readView(storage, metadata.at, 64 * KIB, 'the metadata');
    if (text(table, 0, 8) !== 'metadata') throw new ImageError('the metadata are damaged');
    const items = new Map<string, DataView>();
    for (let n = 0; n < Math.min(2047, table.getUint16(10, true)); n++) {
      const entry = 32 + 32 * n;
      const length = Math.min(16, table.getUint32(entry + 20, true));
      items.set(guid(table, entry), yield* readView(storage, metadata.at + table.getUint32(entry + 16, true), length, 'the metadata'));
    }
    const item = (name: string, length: number): DataView => {
      const view = items.get(name);
      if (!view || view.byteLength < length) throw new ImageError('a part of the metadata is missing');
      return view;
    };
    const parameters = item(ITEM_FILE_PARAMETERS, 8);
    const blockSize = parameters.getUint32(0, true);
    if (parameters.getUint32(4, true) & 2) throw new ImageError('differencing images are not supported');
    if (blockSize < MIB || blockSize > 256 * MIB || blockSize & (blockSize - 1)) throw new ImageError(`blocks of ${blockSize} bytes are not possible`);
    const size = exact(item(ITEM_VIRTUAL_DISK_SIZE, 8).getBigUint64(0, true), 'the size of the disk');
    const sectorSize = item(ITEM_LOGICAL_SECTOR_SIZE, 4).getUint32(0, true);
    if (sectorSize !== 512 && sectorSize !== 4096) throw new ImageError(`sectors of ${sectorSize} bytes are not possible`);
    if (size % 512) throw new ImageError('the size of the disk is no number of sectors');

    // One sector bitmap for each 2^23 sectors of the disk, behind the blocks that it belongs to (2.5.1).
    const chunkRatio = (2 ** 23 * sectorSize) / blockSize;
    const count = Math.ceil(size / blockSize);
    const entries = count + Math.floor(Math.max(0, count - 1) / chunkRatio);
    if (8 * entries > Math.min(bat.length, MAX_BAT_BYTES)) throw new ImageError('the block allocation table is too small or too large');
    const view = yield* readView(storage, bat.at, 8 * entries, 'the block allocation table');
    const blocks = new Float64Array(count);
    for (let n = 0; n < count; n++) {
      const at = 8 * (n + Math.floor(n / chunkRatio));
      const low = view.getUint32(at, true);
      const state = low & 7;
      if (state === PARTIALLY_PRESENT) throw new ImageError('differencing images are not supported');
      if (state === FULLY_PRESENT) blocks[n] = ((low >>> 20) + view.getUint32(at + 4, true) * 4096) * MIB;
      else if (state > 3) throw new ImageError(`block ${n} is in a state that is not known (${state})`);
    }
    return new VhdxImage(storage, size, blockSize, blocks);
  }

  override details(): ImageDetails {
    return { clusterSize: this.blockSize };
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, into.length, this.blockSize)) {
      const part = into.subarray(at, at + length);
      const place = this.blocks[index];
      if (place === 0) part.fill(0);
      else if (place + inside + length > this.storage.size) throw new ImageError(`the image is cut off: block ${index} is at ${place} in a file of ${this.storage.size} bytes`);
      else yield (done) => this.storage.read(place + inside, part, done);
    }
  }

  override *status(offset: number, length: number): Io<Extent> {
    const index = Math.floor(offset / this.blockSize);
    const inside = offset % this.blockSize;
    const there = this.blocks[index] !== 0;
    let n = 1;
    while (n * this.blockSize - inside < length && index + n < this.blocks.length && (this.blocks[index + n] !== 0) === there) n++;
    return { length: Math.min(length, n * this.blockSize - inside), kind: there ? 'data' : 'hole' };
  }
}
