// Block device: a disk whose requests come through a queue.
// Virtio 1.2, section 5.2 (Block Device).

import { BlockError, type BlockBackend } from '../devices/interfaces.ts';
import { VirtioDevice, VirtioType } from './device.ts';
import type { Chain, Virtqueue } from './queue.ts';

/** Unit of positions and lengths, bytes. */
export const SECTOR = 512;

export const VIRTIO_BLK_F_SEG_MAX = 1n << 2n;
export const VIRTIO_BLK_F_RO = 1n << 5n;
export const VIRTIO_BLK_F_BLK_SIZE = 1n << 6n;
export const VIRTIO_BLK_F_FLUSH = 1n << 9n;
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
/** Sectors of one discard, and of one write-zeroes, which takes time: 16 MiB. */
const MAX_DISCARD = 0x3fffff;
const MAX_WRITE_ZEROES = (16 << 20) / SECTOR;
const MAX_DISCARD_RANGES = 16;

export interface VirtioBlkOptions {
  /** The disk's serial number, up to 20 characters. */
  serial?: string;
}

/** A request that fails, with its status. */
class RequestError extends Error {
  constructor(readonly status: number) {
    super();
  }
}

export class VirtioBlk extends VirtioDevice {
  private readonly serial: Uint8Array;

  constructor(
    private readonly disk: BlockBackend,
    { serial = '' }: VirtioBlkOptions = {},
  ) {
    const writable = disk.readOnly ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
    super({
      name: 'virtio-blk',
      type: VirtioType.BLOCK,
      pciClass: 0x0100,
      queues: [QUEUE_SIZE],
      features: VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH | writable,
      configLength: 60,
    });
    this.serial = new TextEncoder().encode(serial).slice(0, ID_LENGTH);
    // struct virtio_blk_config, 5.2.4. What belongs to features that are not offered stays 0.
    const config = new DataView(this.config.buffer);
    config.setBigUint64(0, BigInt(this.sectors), true); // capacity
    config.setUint32(12, QUEUE_SIZE - 2, true); // seg_max: beside header and status
    config.setUint32(20, SECTOR, true); // blk_size
    if (disk.readOnly) return;
    config.setUint32(36, MAX_DISCARD, true); // max_discard_sectors
    config.setUint32(40, MAX_DISCARD_RANGES, true); // max_discard_seg
    config.setUint32(44, 1, true); // discard_sector_alignment
    config.setUint32(48, MAX_WRITE_ZEROES, true); // max_write_zeroes_sectors
    config.setUint32(52, 1, true); // max_write_zeroes_seg
    config.setUint8(56, 1); // write_zeroes_may_unmap
  }

  /** Whole sectors of the disk. */
  private get sectors(): number {
    return Math.floor(this.disk.size / SECTOR);
  }

  protected notified(index: number): void {
    this.serve(index, (chain, queue) => this.request(chain, queue));
  }

  private request(chain: Chain, queue: Virtqueue): number {
    const dataLength = chain.writableLength - 1;
    if (chain.readableLength < HEADER || dataLength < 0) {
      queue.fail('a block request without header or status');
      return 0;
    }
    const header = new DataView(chain.read(0, HEADER).buffer);
    let status = VIRTIO_BLK_S_OK;
    try {
      this.perform(header.getUint32(0, true), header.getBigUint64(8, true), chain, dataLength);
    } catch (error) {
      if (error instanceof RequestError) status = error.status;
      else if (error instanceof BlockError) status = VIRTIO_BLK_S_IOERR;
      else throw error;
    }
    chain.write(dataLength, Uint8Array.of(status));
    // The status is the last byte, and all up to it counts as written, as in QEMU: a driver goes by the status.
    return chain.writableLength;
  }

  /** @param length bytes of the writable part before the status */
  private perform(type: number, sector: bigint, chain: Chain, length: number): void {
    switch (type) {
      case VIRTIO_BLK_T_IN: {
        const start = this.range(sector, length);
        for (let at = 0; at < length; at += CHUNK) {
          const bytes = new Uint8Array(Math.min(CHUNK, length - at));
          this.disk.read(start + at, bytes);
          chain.write(at, bytes);
        }
        return;
      }
      case VIRTIO_BLK_T_OUT: {
        this.mustBeWritable();
        const total = chain.readableLength - HEADER;
        const start = this.range(sector, total);
        for (let at = 0; at < total; at += CHUNK) this.disk.write(start + at, chain.read(HEADER + at, Math.min(CHUNK, total - at)));
        this.writeThrough();
        return;
      }
      case VIRTIO_BLK_T_FLUSH:
        this.disk.flush();
        return;
      case VIRTIO_BLK_T_GET_ID: {
        const id = new Uint8Array(Math.min(ID_LENGTH, length));
        id.set(this.serial.subarray(0, id.length));
        chain.write(0, id);
        return;
      }
      case VIRTIO_BLK_T_DISCARD:
      case VIRTIO_BLK_T_WRITE_ZEROES:
        this.ranges(type, chain);
        return;
      default:
        throw new RequestError(VIRTIO_BLK_S_UNSUPP);
    }
  }

  /** DISCARD and WRITE ZEROES: all ranges are checked before the first is touched. */
  private ranges(type: number, chain: Chain): void {
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
    for (const [start, bytes, unmap] of work) {
      if (discard) this.disk.discard(start, bytes);
      else this.disk.writeZeroes(start, bytes, unmap);
      this.charge(bytes);
    }
    this.writeThrough();
  }

  /** Byte offset of a range that must lie on the disk, in whole sectors. */
  private range(sector: bigint, length: number): number {
    if (length % SECTOR || sector + BigInt(length / SECTOR) > BigInt(this.sectors)) throw new RequestError(VIRTIO_BLK_S_IOERR);
    return Number(sector) * SECTOR;
  }

  private mustBeWritable(): void {
    if (this.disk.readOnly) throw new RequestError(VIRTIO_BLK_S_IOERR);
  }

  /** A driver that cannot flush expects what was written to be safe (5.2.6.2). */
  private writeThrough(): void {
    if (!(this.features & VIRTIO_BLK_F_FLUSH)) this.disk.flush();
  }
}
