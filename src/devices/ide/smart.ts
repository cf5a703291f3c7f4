// SMART: a disk that is always well.
// ATA/ATAPI-6 (T13/1410D), section 8.52; attributes as in QEMU.

import { SECTOR } from './ata.ts';

const ENABLE = 0xd8;
/** Key in LBA mid and high. */
const KEY_MID = 0x4f;
const KEY_HIGH = 0xc2;

/** ID, flags, value, worst, raw (low byte), threshold. */
const ATTRIBUTES: readonly [id: number, flags: number, value: number, worst: number, raw: number, threshold: number][] = [
  [0x01, 0x0003, 100, 100, 0, 0x06], // raw read error rate
  [0x03, 0x0003, 100, 100, 0, 0x00], // spin-up time
  [0x04, 0x0002, 100, 100, 100, 0x14], // start/stop count
  [0x05, 0x0003, 100, 100, 0, 0x24], // reallocated sectors
  [0x09, 0x0003, 100, 100, 1, 0x00], // power-on hours
  [0x0c, 0x0003, 100, 100, 0, 0x00], // power cycles
  [0xbe, 0x0003, 69, 69, 31, 0x32], // air flow temperature
];

/** The sum of a data structure's 512 bytes is 0. */
function sealed(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  bytes[SECTOR - 1] = -bytes.subarray(0, SECTOR - 1).reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}

function attributes(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SECTOR);
  bytes[0] = 1;
  ATTRIBUTES.forEach(([id, flags, value, worst, raw], n) => bytes.set([id, flags & 0xff, flags >> 8, value, worst, raw], 2 + 12 * n));
  bytes[362] = 0x02; // off-line collection: completed
  bytes[366] = 0x01; // it takes a second
  bytes[367] = 0x10 | 0x02 | 0x01; // what can be asked for: execute off-line immediate, self-test
  bytes[368] = 0x03; // attributes are saved
  bytes[370] = 0x01; // error log
  bytes[372] = 2; // minutes of the short self-test
  bytes[373] = 54; // and of the extended one
  return sealed(bytes);
}

function thresholds(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SECTOR);
  bytes[0] = 1;
  ATTRIBUTES.forEach(([id, , , , , threshold], n) => bytes.set([id, threshold], 2 + 12 * n));
  return sealed(bytes);
}

function log(address: number): Uint8Array<ArrayBuffer> | 'refused' {
  const bytes = new Uint8Array(SECTOR);
  switch (address) {
    case 0x00: // directory: version, and a sector each of summary error log and self-test log
      bytes[0] = 1;
      bytes[2] = bytes[12] = 1;
      return bytes;
    case 0x01: // errors: none
      bytes[0] = 1;
      return sealed(bytes);
    case 0x06: // self-tests: none
      bytes[0] = 1;
      return sealed(bytes);
  }
  return 'refused';
}

/** SMART, by its subcommand in the features register. What it gives is data, or how it ended. */
export function smartCommand(
  t: { features: number; count: number; lbaLow: number; lbaMid: number; lbaHigh: number },
  s: { smart: boolean; smartAutosave: boolean },
): Uint8Array<ArrayBuffer> | 'done' | 'refused' {
  if (t.lbaMid !== KEY_MID || t.lbaHigh !== KEY_HIGH || (!s.smart && t.features !== ENABLE)) return 'refused';
  switch (t.features) {
    case 0xd0:
      return attributes();
    case 0xd1:
      return thresholds();
    case 0xd2:
      if (t.count !== 0 && t.count !== 0xf1) return 'refused';
      s.smartAutosave = t.count !== 0;
      return 'done';
    case 0xd4: // execute off-line immediate: the tests end at once
      return [0, 1, 2].includes(t.lbaLow) ? 'done' : 'refused';
    case 0xd5:
      return log(t.lbaLow);
    case ENABLE:
      s.smart = true;
      return 'done';
    case 0xd9:
      s.smart = false;
      return 'done';
    case 0xda: // return status: the key says that no threshold is exceeded
      return 'done';
  }
  return 'refused';
}
