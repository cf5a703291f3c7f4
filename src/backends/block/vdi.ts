// VDI images of VirtualBox, dynamic and fixed: VDICore.h of VirtualBox (VDIHEADER1), and what QEMU accepts of it (version 1.1).
//
// A map tells for each block of 1 MiB where in the data area it is.

import { type Extent, Image, type ImageDetails, isZero, pieces } from './image.ts';
import { ImageError, type Io, readView, type Storage } from './io.ts';

export const VDI_SIGNATURE = 0xbeda107f;
const VERSION_1_1 = 0x00010001;
const HEADER = 512;
/** Entries of the map: never written; discarded, reads as zeros. */
export const VDI_UNALLOCATED = 0xffffffff;
export const VDI_DISCARDED = 0xfffffffe;
/** Blocks of QEMU's limit. */
const MAX_BLOCKS = 0x1fffffff;
const AT_BLOCKS_ALLOCATED = 0x184;

export class VdiImage extends Image {
  readonly format = 'vdi';
  private mapDirty = false;

  private constructor(
    private readonly storage: Storage,
    readOnly: boolean,
    readonly size: number,
    readonly blockSize: number,
    private readonly mapOffset: number,
    private readonly dataOffset: number,
    readonly map: Uint32Array,
    private allocated: number,
    private readonly fixed: boolean,
  ) {
    super(readOnly);
  }

  static *open(storage: Storage, readOnly: boolean): Io<VdiImage> {
    const view = yield* readView(storage, 0, HEADER, 'the header');
    const u32 = (at: number): number => view.getUint32(at, true);
    if (u32(0x40) !== VDI_SIGNATURE) throw new ImageError('it is not a VDI image');
    if (u32(0x44) !== VERSION_1_1) throw new ImageError(`version ${u32(0x44) >>> 16}.${u32(0x44) & 0xffff} is not supported`);
    const type = u32(0x4c);
    if (type !== 1 && type !== 2) throw new ImageError(`images of type ${type} (undo, differencing) are not supported`);
    const mapOffset = u32(0x154);
    const dataOffset = u32(0x158);
    const sectorSize = u32(0x168);
    const size = Number(view.getBigUint64(0x170, true));
    const blockSize = u32(0x178);
    const blocks = u32(0x180);
    const allocated = u32(AT_BLOCKS_ALLOCATED);
    if (sectorSize !== 512) throw new ImageError(`sectors of ${sectorSize} bytes are not supported`);
    if (blockSize < 512 || blockSize & (blockSize - 1)) throw new ImageError(`blocks of ${blockSize} bytes are not possible`);
    if (u32(0x17c) !== 0) throw new ImageError('extra data in blocks is not supported');
    if (blocks > MAX_BLOCKS || size > blocks * blockSize) throw new ImageError('the disk is larger than its blocks');
    if (dataOffset % 512 || mapOffset % 512) throw new ImageError('map or data are not at the start of a sector');
    if (view.getBigUint64(0x1a8, true) !== 0n || view.getBigUint64(0x1b0, true) !== 0n) {
      // UUID of the snapshot and of the parent: QEMU refuses them too.
      throw new ImageError('differencing images are not supported');
    }
    const bytes = yield* readView(storage, mapOffset, 4 * blocks, 'the block map');
    const map = new Uint32Array(blocks);
    for (let n = 0; n < blocks; n++) map[n] = bytes.getUint32(4 * n, true);
    return new VdiImage(storage, readOnly, Math.ceil(size / 512) * 512, blockSize, mapOffset, dataOffset, map, allocated, type === 2);
  }

  override details(): ImageDetails {
    return { clusterSize: this.blockSize };
  }

  private place(entry: number): number {
    return this.dataOffset + entry * this.blockSize;
  }

  *read(offset: number, into: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, into.length, this.blockSize)) {
      const entry = this.map[index];
      const part = into.subarray(at, at + length);
      if (entry >= VDI_DISCARDED) {
        part.fill(0);
        continue;
      }
      const place = this.place(entry) + inside;
      if (place + length > this.storage.size) throw new ImageError(`the image is cut off: block ${index} is at ${place} in a file of ${this.storage.size} bytes`);
      yield (done) => this.storage.read(place, part, done);
    }
  }

  override *status(offset: number, length: number): Io<Extent> {
    const index = Math.floor(offset / this.blockSize);
    const inside = offset % this.blockSize;
    const there = this.map[index] < VDI_DISCARDED;
    let n = 1;
    while (n * this.blockSize - inside < length && index + n < this.map.length && this.map[index + n] < VDI_DISCARDED === there) n++;
    return { length: Math.min(length, n * this.blockSize - inside), kind: there ? 'data' : 'hole' };
  }

  override *write(offset: number, data: Uint8Array): Io<void> {
    for (const { index, inside, at, length } of pieces(offset, data.length, this.blockSize)) {
      const part = data.subarray(at, at + length);
      const entry = this.map[index];
      if (entry < VDI_DISCARDED) {
        yield (done) => this.storage.write(this.place(entry) + inside, part, done);
        continue;
      }
      if (isZero(part)) continue;
      // A new block behind the last, whole; what the file has there now is not known to be zeros.
      const fresh = this.allocated;
      const block = new Uint8Array(this.blockSize);
      block.set(part, inside);
      yield (done) => this.storage.write(this.place(fresh), block, done);
      this.map[index] = fresh;
      this.allocated++;
      this.mapDirty = true;
    }
  }

  override *writeZeroes(offset: number, length: number, mayUnmap: boolean): Io<void> {
    // Blocks that are not there are left out by write().
    for (const { index, inside, length: n } of pieces(offset, length, this.blockSize)) {
      if (this.map[index] < VDI_DISCARDED) yield* super.writeZeroes(index * this.blockSize + inside, n, mayUnmap);
    }
  }

  /** Blocks, then the map, then the count. */
  override *flush(): Io<void> {
    yield (done) => this.storage.flush(done);
    if (!this.mapDirty) return;
    const view = new DataView(new ArrayBuffer(512 * Math.ceil((4 * this.map.length) / 512)));
    for (let n = 0; n < view.byteLength / 4; n++) view.setUint32(4 * n, n < this.map.length ? this.map[n] : VDI_UNALLOCATED, true);
    yield (done) => this.storage.write(this.mapOffset, new Uint8Array(view.buffer), done);
    const count = new DataView(new ArrayBuffer(4));
    count.setUint32(0, this.allocated, true);
    yield (done) => this.storage.write(AT_BLOCKS_ALLOCATED, new Uint8Array(count.buffer), done);
    this.mapDirty = false;
    yield (done) => this.storage.flush(done);
  }

  /** Entries of the map that point at no block of the file, or at one that another has too. */
  wrongBlocks(): number {
    const seen = new Set<number>();
    let wrong = 0;
    for (const entry of this.map) {
      if (entry >= VDI_DISCARDED) continue;
      if (entry >= this.allocated || seen.has(entry)) wrong++;
      seen.add(entry);
    }
    if (seen.size !== this.allocated && !this.fixed) wrong++;
    return wrong;
  }

  get allocatedBlocks(): number {
    return this.map.reduce((sum, entry) => sum + (entry < VDI_DISCARDED ? 1 : 0), 0);
  }
}

/** Make an empty image in an empty storage. @param fixed all blocks are there from the start */
export function* createVdi(storage: Storage, size: number, fixed: boolean, uuid: () => Uint8Array): Io<void> {
  const blockSize = 1 << 20;
  const blocks = Math.ceil(size / blockSize);
  if (blocks > MAX_BLOCKS) throw new ImageError('the disk is too large for this format');
  const mapBytes = 512 * Math.ceil((4 * blocks) / 512);
  const dataOffset = HEADER + mapBytes;
  const bytes = new Uint8Array(dataOffset);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('<<< QEMU VM Virtual Disk Image >>>\n'));
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  u32(0x40, VDI_SIGNATURE);
  u32(0x44, VERSION_1_1);
  u32(0x48, 0x180);
  u32(0x4c, fixed ? 2 : 1);
  u32(0x154, HEADER);
  u32(0x158, dataOffset);
  u32(0x168, 512);
  view.setBigUint64(0x170, BigInt(size), true);
  u32(0x178, blockSize);
  u32(0x180, blocks);
  u32(AT_BLOCKS_ALLOCATED, fixed ? blocks : 0);
  bytes.set(uuid(), 0x188);
  bytes.set(uuid(), 0x198);
  for (let n = 0; n < mapBytes / 4; n++) u32(HEADER + 4 * n, fixed && n < blocks ? n : VDI_UNALLOCATED);
  yield (done) => storage.write(0, bytes, done);
  if (fixed) yield (done) => storage.truncate(dataOffset + blocks * blockSize, done);
  yield (done) => storage.flush(done);
}
