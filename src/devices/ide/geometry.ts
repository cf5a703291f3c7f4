// Cylinders, heads and sectors of a disk, and what CMOS says of them.
// ATA/ATAPI-6, annex B (CHS limits); which geometry and translation a disk gets: QEMU, hw/block/hd-geometry.c; the CMOS bytes: QEMU,
// hw/i386/pc.c, and SeaBIOS, src/hw/rtc.h.

import { SECTOR } from './ata.ts';

export interface Geometry {
  cylinders: number;
  heads: number;
  sectors: number;
  /** How the BIOS shows it to DOS: 0 as it is, 1 LBA assisted, 2 large. */
  translation: 0 | 1 | 2;
}

const MAX_CYLINDERS = 16383;
/** What fits int 13h without translation. */
const BIOS_CYLINDERS = 1024;
const PARTITION_TABLE = 0x1be;

/**
 * Geometry of a disk of so many sectors.
 * @param boot its first sector, whose partition table may tell by which geometry the disk was divided
 */
export function guessGeometry(total: number, boot: Uint8Array): Geometry {
  const logical = partitionGeometry(total, boot);
  if (logical && logical.heads <= 16) return { ...logical, translation: 0 };
  const heads = 16;
  const sectors = 63;
  const cylinders = Math.min(MAX_CYLINDERS, Math.max(2, Math.floor(total / (heads * sectors))));
  // More than 16 heads: the table was written through a translation.
  if (logical) return { cylinders, heads, sectors, translation: cylinders * heads <= 131072 ? 2 : 1 };
  return { cylinders, heads, sectors, translation: cylinders <= BIOS_CYLINDERS ? 0 : 1 };
}

/** The geometry in which the first partition that ends on a full cylinder was written. */
function partitionGeometry(total: number, boot: Uint8Array): { cylinders: number; heads: number; sectors: number } | null {
  if (boot.length < SECTOR || boot[510] !== 0x55 || boot[511] !== 0xaa) return null;
  const view = new DataView(boot.buffer, boot.byteOffset, SECTOR);
  for (let n = 0; n < 4; n++) {
    const at = PARTITION_TABLE + 16 * n;
    const endHead = boot[at + 5];
    const sectors = boot[at + 6] & 63;
    if (view.getUint32(at + 12, true) === 0 || endHead === 0 || sectors === 0) continue;
    const heads = endHead + 1;
    const cylinders = Math.floor(total / (heads * sectors));
    if (cylinders >= 1 && cylinders <= MAX_CYLINDERS) return { cylinders, heads, sectors };
  }
  return null;
}

/** CMOS bytes about up to four disks, in the order of the channels; null: no disk there. */
export function geometryCmos(disks: readonly (Geometry | null)[]): [index: number, value: number][] {
  const bytes: [number, number][] = [];
  let types = 0;
  [0x1b, 0x24].forEach((base, n) => {
    const disk = disks[n];
    if (!disk) return;
    const { cylinders, heads, sectors } = disk;
    // Type 15 in the nibble, 47 in the extended byte: the figures are as given.
    types |= n === 0 ? 0xf0 : 0x0f;
    bytes.push([0x19 + n, 47]);
    const low = cylinders & 0xff;
    const high = cylinders >> 8;
    [low, high, heads, 0xff, 0xff, 0xc0 | (heads > 8 ? 8 : 0), low, high, sectors].forEach((value, i) => bytes.push([base + i, value]));
  });
  bytes.push([0x12, types]);
  bytes.push([0x39, disks.reduce((all, disk, n) => all | ((disk?.translation ?? 0) << (2 * n)), 0)]);
  return bytes;
}
