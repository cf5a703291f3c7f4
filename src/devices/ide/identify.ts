// The answers to IDENTIFY DEVICE and IDENTIFY PACKET DEVICE.
// ATA/ATAPI-6 (T13/1410D), sections 8.15 and 8.16. Values are QEMU's, which guests know.

import { SECTOR } from './ata.ts';
import type { Geometry } from './geometry.ts';

export const FIRMWARE_REVISION = '2.5+';
/** Sectors that READ and WRITE MULTIPLE move in one block at most. */
export const MAX_MULTIPLE = 16;
const MAX_LBA28 = 0x0fffffff;

class IdentifyData {
  readonly bytes = new Uint8Array(SECTOR);
  private readonly view = new DataView(this.bytes.buffer);

  set(word: number, ...values: number[]): void {
    values.forEach((value, i) => this.view.setUint16(2 * (word + i), value, true));
  }

  set32(word: number, value: number): void {
    this.view.setUint32(2 * word, value, true);
  }

  /** Text, padded with blanks, the first character of each pair in the high byte. */
  text(word: number, words: number, text: string): void {
    for (let i = 0; i < 2 * words; i++) {
      const code = text.charCodeAt(i);
      this.bytes[2 * word + (i ^ 1)] = code > 0x20 && code < 0x7f ? code : 0x20;
    }
  }
}

export interface DiskIdentity {
  serial: string;
  model: string;
  /** Bytes, a power of two from SECTOR on. */
  physicalBlockSize: number;
  /** Of the disk, and as INITIALIZE DEVICE PARAMETERS left it. */
  geometry: Geometry;
  current: Geometry;
  sectors: number;
  multiple: number;
  writeCache: boolean;
  smart: boolean;
  modes: readonly [single: number, multi: number, ultra: number];
}

export function identifyDisk(disk: DiskIdentity): Uint8Array<ArrayBuffer> {
  const d = new IdentifyData();
  const { geometry, current, modes } = disk;
  d.set(0, 0x0040);
  d.set(1, geometry.cylinders);
  d.set(3, geometry.heads, 512 * geometry.sectors, 512, geometry.sectors);
  d.text(10, 10, disk.serial);
  d.set(20, 3, 512, 4);
  d.text(23, 4, FIRMWARE_REVISION);
  d.text(27, 20, disk.model);
  d.set(47, 0x8000 | MAX_MULTIPLE, 1, (1 << 11) | (1 << 9) | (1 << 8));
  d.set(51, 0x200, 0x200, 7);
  d.set(54, current.cylinders, current.heads, current.sectors);
  d.set32(57, current.cylinders * current.heads * current.sectors);
  if (disk.multiple) d.set(59, 0x100 | disk.multiple);
  d.set32(60, Math.min(disk.sectors, MAX_LBA28));
  d.set(62, modes[0], modes[1], 3, 120, 120, 120, 120);
  // TRIM: what was trimmed may be read as anything, but always as the same.
  d.set(69, 1 << 14);
  d.set(169, 1);
  // Logical sectors per physical one, as a power of two; bit 13: more than one may be. QEMU sets it always.
  d.set(106, 0x6000 | Math.log2(disk.physicalBlockSize / SECTOR));
  d.set(80, 0xf0, 0x16);
  // NOP, write cache, SMART; 48-bit addresses and FLUSH CACHE in words 83 and 86.
  d.set(82, (1 << 14) | (1 << 5) | 1, (1 << 14) | (1 << 13) | (1 << 12) | (1 << 10), 1 << 14);
  d.set(85, (1 << 14) | (disk.writeCache ? 1 << 5 : 0) | (disk.smart ? 1 : 0), (1 << 13) | (1 << 12) | (1 << 10), 1 << 14, modes[2]);
  d.set(93, 1 | (1 << 14) | 0x2000);
  d.set32(100, disk.sectors % 2 ** 32);
  d.set32(102, Math.floor(disk.sectors / 2 ** 32));
  return d.bytes;
}

export function identifyPacketDevice(serial: string, model: string, modes: readonly [number, number, number]): Uint8Array<ArrayBuffer> {
  const d = new IdentifyData();
  // Packet device, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes
  d.set(0, 0x85c0);
  d.text(10, 10, serial);
  d.set(20, 3, 512, 4);
  d.text(23, 4, FIRMWARE_REVISION);
  d.text(27, 20, model);
  d.set(48, 1, (1 << 9) | (1 << 8));
  d.set(53, 7);
  d.set(62, modes[0], modes[1], 3, 0xb4, 0xb4, 0x12c, 0xb4);
  d.set(71, 30, 30);
  d.set(80, 0x1e);
  d.set(88, modes[2]);
  return d.bytes;
}
