// PCI-to-ISA bridge: routing of the PCI interrupts to ISA ones, and the reset control register.
// Intel 82371SB (PIIX3) datasheet (290550), sections 2.2.10 (PIRQ route control) and 2.5.7 (reset control).

import type { AccessSize, PortDevice, Snapshotable } from './interfaces.ts';
import { PciFunction } from './pci.ts';

export const PIRQRCA = 0x60;
export const PIRQRCD = 0x63;
export const RESET_CONTROL = 0xcf9;

const PIRQ_DISABLE = 0x80;
const RCR_SYSTEM_RESET = 0x02;
const RCR_RESET_CPU = 0x04;

/** Values after reset, other than 0, as in the datasheet and in QEMU. */
const RESET_VALUES: [register: number, value: number][] = [
  [0x04, 0x07],
  [0x07, 0x02],
  [0x4c, 0x4d],
  [0x4e, 0x03],
  [0x60, PIRQ_DISABLE],
  [0x61, PIRQ_DISABLE],
  [0x62, PIRQ_DISABLE],
  [0x63, PIRQ_DISABLE],
  [0x69, 0x02],
  [0x70, 0x80],
  [0x76, 0x0c],
  [0x77, 0x0c],
  [0x78, 0x02],
  [0xa0, 0x08],
  [0xa8, 0x0f],
];

/** ISA interrupts that a PIRQ may be routed to. */
const ROUTABLE = 0xdef8;

export class Piix3 extends PciFunction implements PortDevice, Snapshotable {
  private readonly pirq = [false, false, false, false];
  private readonly driven = [-1, -1, -1, -1];
  private resetControl = 0;

  /**
   * @param setIrq level of an ISA interrupt as driven by one PIRQ (0-3)
   * @param onReset called when software asks for a reset of the machine
   */
  constructor(
    private readonly setIrq: (pirq: number, irq: number, level: boolean) => void,
    private readonly onReset: () => void,
  ) {
    super('piix3', { vendor: 0x8086, device: 0x7000, class: 0x0601, multifunction: true });
    this.writable[0x04] = 0;
    for (const [start, end] of [[0x4c, 0x4f], [0x60, 0x63], [0x69, 0x6a], [0x70, 0x71], [0x76, 0x82], [0xa0, 0xaf]]) {
      this.writable.fill(0xff, start, end + 1);
    }
    this.writable.fill(0x8f, PIRQRCA, PIRQRCD + 1);
    this.reset();
  }

  override reset(): void {
    super.reset();
    this.config.fill(0, 0x40);
    for (const [register, value] of RESET_VALUES) this.config[register] = value;
    this.resetControl = 0;
    this.route();
  }

  /** ISA interrupt of a PIRQ, or -1. */
  irqOf(pirq: number): number {
    const route = this.config[PIRQRCA + pirq];
    const irq = route & 0x0f;
    return route & PIRQ_DISABLE || !(ROUTABLE & (1 << irq)) ? -1 : irq;
  }

  /** Level of PIRQ A-D (0-3). */
  setPirq(pirq: number, level: boolean): void {
    this.pirq[pirq] = level;
    this.route();
  }

  private route(): void {
    for (let pirq = 0; pirq < 4; pirq++) {
      const irq = this.pirq[pirq] ? this.irqOf(pirq) : -1;
      const before = this.driven[pirq];
      if (irq === before) continue;
      this.driven[pirq] = irq;
      if (before >= 0) this.setIrq(pirq, before, false);
      if (irq >= 0) this.setIrq(pirq, irq, true);
    }
  }

  protected override onConfigWrite(offset: number, size: number): void {
    if (offset <= PIRQRCD && offset + size > PIRQRCA) this.route();
  }

  /** Port CF9h. */
  readPort(_port: number, _size: AccessSize): number {
    return this.resetControl;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    // RCPU resets on its rising edge; the type bit chooses hard or soft reset, which is the same to this machine.
    const trigger = value & RCR_RESET_CPU && !(this.resetControl & RCR_RESET_CPU);
    this.resetControl = value & (RCR_SYSTEM_RESET | RCR_RESET_CPU);
    if (trigger) this.onReset();
  }

  override save(): unknown {
    return { function: super.save(), pirq: [...this.pirq], resetControl: this.resetControl };
  }

  override load(state: unknown): void {
    const saved = state as { function: unknown; pirq: boolean[]; resetControl: number };
    super.load(saved.function);
    saved.pirq.forEach((level, i) => (this.pirq[i] = level));
    this.resetControl = saved.resetControl;
    this.route();
  }
}
