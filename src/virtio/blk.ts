// Block device: a disk whose requests come through a queue.
// Virtio 1.2, section 5.2 (Block Device).

import { type AccessSize, type BlockBackend, type BlockDone, GuestMemoryError } from '../devices/interfaces.ts';
import { VirtioDevice, VirtioType } from './device.ts';
import type { Chain, Virtqueue } from './queue.ts';

/** Unit of positions and lengths, bytes. */
export const SECTOR = 512;

export const VIRTIO_BLK_F_SEG_MAX = 1n << 2n;
export const VIRTIO_BLK_F_GEOMETRY = 1n << 4n;
export const VIRTIO_BLK_F_RO = 1n << 5n;
export const VIRTIO_BLK_F_BLK_SIZE = 1n << 6n;
export const VIRTIO_BLK_F_FLUSH = 1n << 9n;
export const VIRTIO_BLK_F_TOPOLOGY = 1n << 10n;
export const VIRTIO_BLK_F_CONFIG_WCE = 1n << 11n;
export const VIRTIO_BLK_F_DISCARD = 1n << 13n;
export const VIRTIO_BLK_F_WRITE_ZEROES = 1n << 14n;

/** Request types, 5.2.6. */
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;

export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;

/** Offset of "writeback" in struct virtio_blk_config, 5.2.4. */
const CONFIG_WRITEBACK = 32;
/** struct virtio_blk_req up to the data: le32 type, le32 reserved, le64 sector. */
const HEADER = 16;
/** Bytes of the answer to GET_ID. */
const ID_LENGTH = 20;
/** struct virtio_blk_discard_write_zeroes: le64 sector, le32 num_sectors, le32 flags. */
const RANGE = 16;
const RANGE_UNMAP = 1;

const QUEUE_SIZE = 256;
/** Bytes that move at once, so that a request of any length needs little memory. */
const CHUNK = 1 << 18;
/** Buffers of that size that are kept for later: a guest that once had a full queue under way shall not hold them for ever. */
const SPARE = 64;
/** Sectors of one discard, and of one write-zeroes, which takes time: 16 MiB. */
const MAX_DISCARD = 0x3fffff;
const MAX_WRITE_ZEROES = (16 << 20) / SECTOR;
const MAX_DISCARD_RANGES = 16;

export interface VirtioBlkOptions {
  /** The disk's serial number, up to 20 characters. */
  serial?: string;
  /** Offer these. */
  discard?: boolean;
  writeZeroes?: boolean;
  /** Entries of the queue, a power of two from 4 on. */
  queueSize?: number;
  /** Bytes of a block, in whole ones of which the driver reads and writes; and of what lies beneath, which it is only told. Powers of two from SECTOR on. */
  logicalBlockSize?: number;
  physicalBlockSize?: number;
  /** Bytes of which the driver does well, and best, to read and write whole multiples; whole blocks, the first at most 65,535 of them. 0: it is not told. */
  minIoSize?: number;
  optIoSize?: number;
  /** What old systems divide the disk by; 65,535 cylinders, 255 heads and sectors at most. Without it the driver is told of none. */
  geometry?: { cylinders: number; heads: number; sectors: number };
  /** Offer the driver to switch between writing back and writing through. */
  configWce?: boolean;
}

/** A request that fails, with its status. */
class RequestError extends Error {
  constructor(readonly status: number) {
    super();
  }
}

export class VirtioBlk extends VirtioDevice {
  private readonly serial: Uint8Array;
  /** Bytes of a block. */
  private readonly blockSize: number;
  /** Buffers that no request has now: fresh memory costs more than what it is filled with. */
  private readonly spare: Uint8Array[] = [];

  constructor(
    private readonly disk: BlockBackend,
    {
      serial = '', discard = true, writeZeroes = true, queueSize = QUEUE_SIZE, logicalBlockSize = SECTOR, physicalBlockSize = logicalBlockSize, minIoSize = 0, optIoSize = 0,
      configWce = true, geometry,
    }: VirtioBlkOptions = {},
  ) {
    const writable = disk.readOnly ? VIRTIO_BLK_F_RO : (discard ? VIRTIO_BLK_F_DISCARD : 0n) | (writeZeroes ? VIRTIO_BLK_F_WRITE_ZEROES : 0n);
    super({
      name: 'virtio-blk',
      type: VirtioType.BLOCK,
      pciClass: 0x0100,
      queues: [queueSize],
      features: VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_TOPOLOGY | (geometry ? VIRTIO_BLK_F_GEOMETRY : 0n) | (configWce ? VIRTIO_BLK_F_CONFIG_WCE : 0n) | writable,
      configLength: 60,
    });
    this.blockSize = logicalBlockSize;
    this.serial = new TextEncoder().encode(serial).slice(0, ID_LENGTH);
    // struct virtio_blk_config, 5.2.4. What belongs to features that are not offered stays 0, but for num_queues, as in QEMU.
    const config = new DataView(this.config.buffer);
    config.setBigUint64(0, BigInt(this.sectors), true); // capacity
    config.setUint32(12, queueSize - 2, true); // seg_max: beside header and status
    if (geometry) {
      config.setUint16(16, geometry.cylinders, true);
      config.setUint8(18, geometry.heads);
      // With large blocks a track has whole ones. The condition is QEMU's (hw/block/virtio-blk.c): a geometry that the disk's size goes with is left alone.
      const isWhole = Math.floor(Math.floor(disk.size / geometry.heads) / geometry.sectors) % logicalBlockSize === 0;
      config.setUint8(19, isWhole ? geometry.sectors : geometry.sectors & ~(logicalBlockSize / SECTOR - 1));
    }
    config.setUint32(20, logicalBlockSize, true); // blk_size
    config.setUint8(24, Math.log2(physicalBlockSize / logicalBlockSize)); // physical_block_exp
    config.setUint16(26, minIoSize / logicalBlockSize, true); // min_io_size
    config.setUint32(28, optIoSize / logicalBlockSize, true); // opt_io_size
    config.setUint8(CONFIG_WRITEBACK, 1);
    config.setUint16(34, 1, true); // num_queues
    if (writable & VIRTIO_BLK_F_DISCARD) {
      config.setUint32(36, MAX_DISCARD, true); // max_discard_sectors
      config.setUint32(40, MAX_DISCARD_RANGES, true); // max_discard_seg
      config.setUint32(44, logicalBlockSize / SECTOR, true); // discard_sector_alignment
    }
    if (writable & VIRTIO_BLK_F_WRITE_ZEROES) {
      config.setUint32(48, MAX_WRITE_ZEROES, true); // max_write_zeroes_sectors
      config.setUint32(52, 1, true); // max_write_zeroes_seg
      config.setUint8(56, 1); // write_zeroes_may_unmap
    }
  }

  /** Sectors of the disk, in whole blocks. */
  private get sectors(): number {
    return Math.floor(this.disk.size / this.blockSize) * (this.blockSize / SECTOR);
  }

  /** The driver may write one field, "writeback". */
  override writeConfig(offset: number, size: AccessSize, value: number): void {
    const byte = CONFIG_WRITEBACK - offset;
    if (byte < 0 || byte >= size || !(this.features & VIRTIO_BLK_F_CONFIG_WCE)) return;
    this.config[CONFIG_WRITEBACK] = (value >>> (8 * byte)) & 0xff ? 1 : 0;
  }

  override setFeatures(features: bigint): void {
    super.setFeatures(features);
    // 5.2.5.2: who may switch but not flush begins with writing through.
    this.config[CONFIG_WRITEBACK] = (features & (VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_FLUSH)) === VIRTIO_BLK_F_CONFIG_WCE ? 0 : 1;
  }

  protected override onReset(): void {
    this.config[CONFIG_WRITEBACK] = 1;
  }

  protected notified(index: number): void {
    this.serve(index, (chain, queue) => this.request(index, chain, queue));
  }

  /** Begin a request; its end may come at once or later, in any order. */
  private request(index: number, chain: Chain, queue: Virtqueue): number | undefined {
    const dataLength = chain.writableLength - 1;
    if (chain.readableLength < HEADER || dataLength < 0) {
      queue.fail('a block request without header or status');
      return 0;
    }
    const end = (status: number): void => {
      // A driver that reset the device has its memory back.
      if (!queue.holds(chain)) return;
      if (!this.reaches(queue, () => chain.write(dataLength, Uint8Array.of(status)))) return;
      // The status is the last byte, and all up to it counts as written, as in QEMU: a driver goes by the status.
      this.finish(index, chain, chain.writableLength);
    };
    const done: BlockDone = (error) => end(error ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
    const header = new DataView(chain.read(0, HEADER).buffer);
    try {
      this.perform(header.getUint32(0, true), header.getBigUint64(8, true), chain, queue, dataLength, done);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      end(error.status);
    }
    return undefined;
  }

  /**
   * @param length bytes of the writable part before the status
   * @throws RequestError before anything has been asked of the disk
   */
  private perform(type: number, sector: bigint, chain: Chain, queue: Virtqueue, length: number, done: BlockDone): void {
    /** The driver still waits: a request that goes on in parts stops otherwise. */
    const wanted = (): boolean => queue.holds(chain);
    switch (type) {
      case VIRTIO_BLK_T_IN: {
        const start = this.range(sector, length);
        if (this.disk.readv) {
          this.disk.readv(start, chain.writableViews(0, length), (error) => {
            chain.wrote(0, length);
            done(error);
          });
          return;
        }
        inTurn(Math.ceil(length / CHUNK), done, (part, next) => {
          const at = part * CHUNK;
          const buffer = this.buffer();
          const bytes = buffer.subarray(0, Math.min(CHUNK, length - at));
          this.disk.read(start + at, bytes, (error) => {
            if (wanted() && !error && !this.reaches(queue, () => chain.write(at, bytes))) return;
            this.release(buffer);
            if (wanted()) next(error);
          });
        });
        return;
      }
      case VIRTIO_BLK_T_OUT: {
        this.mustBeWritable();
        const total = chain.readableLength - HEADER;
        const start = this.range(sector, total);
        if (this.disk.writev) {
          this.disk.writev(start, chain.readableViews(HEADER, total), this.writeThrough(done));
          return;
        }
        inTurn(Math.ceil(total / CHUNK), this.writeThrough(done), (part, next) => {
          if (!wanted()) return;
          const at = part * CHUNK;
          const buffer = this.buffer();
          const bytes = buffer.subarray(0, Math.min(CHUNK, total - at));
          if (!this.reaches(queue, () => chain.readInto(HEADER + at, bytes))) return;
          this.disk.write(start + at, bytes, (error) => {
            this.release(buffer);
            next(error);
          });
        });
        return;
      }
      case VIRTIO_BLK_T_FLUSH:
        this.disk.flush(done);
        return;
      case VIRTIO_BLK_T_GET_ID: {
        const id = new Uint8Array(Math.min(ID_LENGTH, length));
        id.set(this.serial.subarray(0, id.length));
        chain.write(0, id);
        done(null);
        return;
      }
      case VIRTIO_BLK_T_DISCARD:
      case VIRTIO_BLK_T_WRITE_ZEROES:
        this.ranges(type, chain, wanted, done);
        return;
      default:
        throw new RequestError(VIRTIO_BLK_S_UNSUPP);
    }
  }

  /** A buffer of CHUNK bytes. */
  private buffer(): Uint8Array {
    return this.spare.pop() ?? new Uint8Array(CHUNK);
  }

  private release(buffer: Uint8Array): void {
    if (this.spare.length < SPARE) this.spare.push(buffer);
  }

  /** Access guest memory for a request that was begun earlier. False: its memory is no RAM any more, because the guest has changed the map. */
  private reaches(queue: Virtqueue, access: () => void): boolean {
    try {
      access();
      return true;
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
      queue.fail(error.message);
      return false;
    }
  }

  /** DISCARD and WRITE ZEROES: all ranges are checked before the first is touched. */
  private ranges(type: number, chain: Chain, wanted: () => boolean, done: BlockDone): void {
    const discard = type === VIRTIO_BLK_T_DISCARD;
    if (!(this.features & (discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))) throw new RequestError(VIRTIO_BLK_S_UNSUPP);
    this.mustBeWritable();
    const length = chain.readableLength - HEADER;
    const most = RANGE * (discard ? MAX_DISCARD_RANGES : 1);
    if (length === 0 || length % RANGE || length > most) throw new RequestError(VIRTIO_BLK_S_IOERR);
    const view = new DataView(chain.read(HEADER, length).buffer);
    const work: [start: number, bytes: number, unmap: boolean][] = [];
    for (let at = 0; at < length; at += RANGE) {
      const sectors = view.getUint32(at + 8, true);
      const flags = view.getUint32(at + 12, true);
      // 5.2.6.2: reserved flags, and unmap with discard, are not supported.
      if (flags & ~RANGE_UNMAP || (discard && flags)) throw new RequestError(VIRTIO_BLK_S_UNSUPP);
      if (sectors > (discard ? MAX_DISCARD : MAX_WRITE_ZEROES)) throw new RequestError(VIRTIO_BLK_S_IOERR);
      work.push([this.range(view.getBigUint64(at, true), sectors * SECTOR), sectors * SECTOR, flags !== 0]);
    }
    inTurn(work.length, this.writeThrough(done), (n, next) => {
      if (!wanted()) return;
      const [start, bytes, unmap] = work[n];
      this.charge(bytes);
      if (discard) this.disk.discard(start, bytes, next);
      else this.disk.writeZeroes(start, bytes, unmap, next);
    });
  }

  /** Byte offset of a range that must lie on the disk, in whole blocks. */
  private range(sector: bigint, length: number): number {
    if (length % this.blockSize || sector % BigInt(this.blockSize / SECTOR) || sector + BigInt(length / SECTOR) > BigInt(this.sectors)) throw new RequestError(VIRTIO_BLK_S_IOERR);
    return Number(sector) * SECTOR;
  }

  private mustBeWritable(): void {
    if (this.disk.readOnly) throw new RequestError(VIRTIO_BLK_S_IOERR);
  }

  /** The end of a write. A driver that cannot flush, or has switched to writing through, expects what was written to be safe (5.2.6.2). */
  private writeThrough(done: BlockDone): BlockDone {
    if (this.features & VIRTIO_BLK_F_CONFIG_WCE ? this.config[CONFIG_WRITEBACK] !== 0 : this.features & VIRTIO_BLK_F_FLUSH) return done;
    return (error) => (error ? done(error) : this.disk.flush(done));
  }
}

/**
 * Do `count` steps, one when the one before it has ended, up to the first error. Steps that end at once take no stack.
 * A step that does not call `next` any more ends all.
 */
function inTurn(count: number, done: BlockDone, step: (n: number, next: BlockDone) => void): void {
  let n = 0;
  let running = false;
  let ready = true;
  const run = (): void => {
    running = true;
    while (ready && n < count) {
      ready = false;
      step(n++, next);
    }
    running = false;
    if (ready) done(null);
  };
  const next: BlockDone = (error) => {
    if (error) return done(error);
    ready = true;
    if (!running) run();
  };
  run();
}
