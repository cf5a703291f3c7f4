// The sizes of a disk's blocks: properties that all of QEMU's disks have (QEMU 7.2, include/hw/block/block.h and hw/block/block.c), with
// its bounds. What a guest learns of them is the disk's own matter.

import { SECTOR } from '../../virtio/blk.ts';
import { OptionError } from './error.ts';
import { bytes } from './values.ts';

/** The largest block. */
const MAX_BLOCK_SIZE = 2 << 20;

/** What -device X,help says of them. */
export const BLOCK_SIZES = {
  logical_block_size: 'bytes of a block, the least that is read and written, a power of two from 512 to 2097152 (default 512)',
  physical_block_size: 'bytes that the guest best writes at once, as large or larger (default 512)',
  min_io_size: 'the least bytes that the guest does well to read and write, whole blocks (default 0: it is not told)',
  opt_io_size: 'the bytes that it does best to, whole blocks (default 0: it is not told)',
};

/** Bytes, each. */
export interface BlockSizes {
  logical: number;
  physical: number;
  /** 0: the guest is not told. */
  minIo: number;
  optIo: number;
}

/** @throws OptionError where QEMU does not start */
export function blockSizes(fields: ReadonlyMap<string, string>, written: string): BlockSizes {
  const value = (key: keyof typeof BLOCK_SIZES): number => bytes(fields.get(key) ?? '0', written);
  const block = (key: 'logical_block_size' | 'physical_block_size'): number => {
    // 0 is QEMU's default.
    const size = value(key) || SECTOR;
    if (size < SECTOR || size > MAX_BLOCK_SIZE || size & (size - 1)) throw new OptionError(written, `${key} must be a power of two from ${SECTOR} to ${MAX_BLOCK_SIZE}`);
    return size;
  };
  const [logical, physical] = [block('logical_block_size'), block('physical_block_size')];
  if (logical > physical) throw new OptionError(written, 'logical_block_size is larger than physical_block_size', `Add physical_block_size=${logical}.`);
  const whole = (key: 'min_io_size' | 'opt_io_size'): number => {
    const size = value(key);
    if (size % logical) throw new OptionError(written, `${key} must be a multiple of the block's ${logical} bytes`);
    return size;
  };
  const [minIo, optIo] = [whole('min_io_size'), whole('opt_io_size')];
  // A virtio disk tells it in 16 bits; QEMU holds all to that.
  if (minIo / logical > 0xffff) throw new OptionError(written, `min_io_size must be ${0xffff} blocks at most`);
  return { logical, physical, minIo, optIo };
}

/** The same of disks whose block is one sector. @param largest physical block, bytes */
export function sectorSizes(fields: ReadonlyMap<string, string>, written: string, largest = MAX_BLOCK_SIZE): BlockSizes {
  const sizes = blockSizes(fields, written);
  if (sizes.logical !== SECTOR) throw new OptionError(written, `logical_block_size must be ${SECTOR}`, 'A virtio-blk-pci may have larger blocks.');
  if (sizes.physical > largest) throw new OptionError(written, `physical_block_size must be ${largest}`);
  return sizes;
}
