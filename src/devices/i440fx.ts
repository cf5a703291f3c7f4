// Host bridge: who answers reads and writes between 0xA0000 and 0xFFFFF.
// Intel 82441FX (PMC) datasheet (290549), sections 3.2.18 (PAM) and 3.2.21 (SMRAM).

import { PciFunction } from './pci.ts';

/** PAM0 (only its upper half is used, for F0000-FFFFF) to PAM6. */
export const PAM0 = 0x59;
export const PAM6 = 0x5f;
export const SMRAM = 0x72;

const SMRAM_G_SMRAME = 0x08;
const SMRAM_D_LCK = 0x10;
const SMRAM_D_CLS = 0x20;
const SMRAM_D_OPEN = 0x40;

/** The memory map, as the bridge changes it. */
export interface ShadowMap {
  /** Whether reads and writes of a range between 0xC0000 and 0xFFFFF go to RAM (else to ROM and nowhere). */
  setShadow(start: number, length: number, read: boolean, write: boolean): void;
  /** Whether 0xA0000-0xBFFFF is RAM instead of the VGA window. */
  setSmram(open: boolean): void;
}

/** The ranges in register order: PAM0 high, PAM1 low, PAM1 high, and so on. */
const SEGMENTS: [start: number, length: number][] = [
  [0xf0000, 0x10000],
  ...Array.from({ length: 12 }, (_, i): [number, number] => [0xc0000 + 0x4000 * i, 0x4000]),
];

export class I440fx extends PciFunction {
  constructor(private readonly map: ShadowMap) {
    super('i440fx', { vendor: 0x8086, device: 0x1237, class: 0x0600, revision: 2 });
    // The bridge always answers memory and is always a master.
    this.writable[0x04] = 0;
    this.writable.fill(0x33, PAM0, PAM6 + 1);
    this.writable[PAM0] = 0x30;
    this.writable[SMRAM] = 0x7f;
    this.reset();
  }

  override reset(): void {
    super.reset();
    this.set16(0x04, 0x0006);
    this.set16(0x06, 0x0280);
    this.config.fill(0, PAM0, PAM6 + 1);
    this.config[SMRAM] = 0x02;
    this.apply();
  }

  override writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    const smram = this.config[SMRAM];
    super.writeConfig(offset, size, value);
    if (smram & SMRAM_D_LCK) {
      // Once locked, only D_CLS and the lock itself remain as they were written.
      this.config[SMRAM] = (smram & ~SMRAM_D_CLS) | (this.config[SMRAM] & SMRAM_D_CLS);
    } else if (this.config[SMRAM] & SMRAM_D_LCK) {
      this.config[SMRAM] &= ~SMRAM_D_OPEN;
    }
    if (offset + size > PAM0 && offset <= SMRAM) this.apply();
  }

  private apply(): void {
    SEGMENTS.forEach(([start, length], i) => {
      const bits = this.config[PAM0 + ((i + 1) >> 1)] >> (i & 1 ? 0 : 4);
      this.map.setShadow(start, length, (bits & 1) !== 0, (bits & 2) !== 0);
    });
    const smram = this.config[SMRAM];
    this.map.setSmram((smram & (SMRAM_D_OPEN | SMRAM_G_SMRAME)) === (SMRAM_D_OPEN | SMRAM_G_SMRAME));
  }

  override load(state: unknown): void {
    super.load(state);
    this.apply();
  }
}
