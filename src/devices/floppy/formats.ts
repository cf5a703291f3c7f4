// Formats of diskettes, by size, and the drives that take them.
// Sizes and data rates: Intel 82077AA datasheet (290166), table 2-3; the larger ones that formatting programs made: QEMU, hw/block/fdc.c.

/** Drives by what CMOS calls them. */
export type DriveType = 'none' | '120' | '144' | '288';

/** Drive types in CMOS byte 10h. */
export const CMOS_DRIVE_TYPE: Record<DriveType, number> = { none: 0, 120: 2, 144: 4, 288: 5 };

/** Data rates as in the low bits of CCR and DSR. */
export const RATE_500K = 0;
export const RATE_300K = 1;
export const RATE_250K = 2;
export const RATE_1M = 3;

export interface FloppyFormat {
  drive: DriveType;
  sectors: number;
  cylinders: number;
  heads: number;
  rate: number;
}

const format = (drive: DriveType, rate: number, ...shapes: [sectors: number, cylinders: number, heads?: number][]): FloppyFormat[] =>
  shapes.map(([sectors, cylinders, heads = 2]) => ({ drive, sectors, cylinders, heads, rate }));

/** In the order in which they are tried. */
export const FORMATS: readonly FloppyFormat[] = [
  ...format('144', RATE_500K, [18, 80], [20, 80], [21, 80], [21, 82], [21, 83], [22, 80], [23, 80], [24, 80]),
  ...format('288', RATE_1M, [36, 80], [39, 80], [40, 80], [44, 80], [48, 80]),
  ...format('144', RATE_250K, [9, 80], [10, 80], [10, 82], [10, 83], [13, 80], [14, 80]),
  ...format('120', RATE_500K, [15, 80], [18, 80], [18, 82], [18, 83], [20, 80]),
  ...format('120', RATE_250K, [9, 80], [11, 80]),
  ...format('120', RATE_300K, [9, 40], [9, 40, 1], [10, 41], [10, 42]),
  ...format('120', RATE_250K, [8, 40], [8, 40, 1]),
  ...format('144', RATE_250K, [9, 80, 1]),
];

/** Sector counts of the formats, for whoever wants to know whether an image can be a diskette's. */
export const formatSectors = ({ sectors, cylinders, heads }: FloppyFormat): number => sectors * cylinders * heads;

/**
 * The format of an image, as QEMU finds it: the first one of exactly its size; otherwise the first of the drive, and an image that is
 * shorter ends early.
 * @param drive the drive's type, or 'auto' for one that is made for the image
 */
export function formatOf(bytes: number, drive: DriveType | 'auto'): FloppyFormat {
  const takes = (candidate: FloppyFormat): boolean => drive === 'auto' || candidate.drive === drive || (drive === '288' && candidate.drive === '144');
  const sectors = Math.floor(bytes / 512);
  return FORMATS.find((candidate) => takes(candidate) && formatSectors(candidate) === sectors) ?? FORMATS.find(takes)!;
}
