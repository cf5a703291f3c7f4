// Interrupt routing of QEMU's pc: ISA interrupt n goes to pin n of the 8259 pair and to pin n of the I/O APIC, but interrupt 0
// to pin 2. PCI interrupts come in as ISA interrupts, through the PIIX3.

import type { IrqLine } from '../devices/interfaces.ts';

const ISA_IRQS = 16;

/** Where interrupt requests go. */
export interface InterruptSinks {
  pic: { setIrq(irq: number, level: boolean): void };
  ioApic: { setPin(pin: number, level: boolean): void };
}

/** I/O APIC pin (global system interrupt) of an ISA interrupt. */
export function gsiOfIsa(irq: number): number {
  return irq === 0 ? 2 : irq;
}

export class IrqRouting {
  /** How many sources hold each ISA interrupt up. */
  private readonly holders = new Uint8Array(ISA_IRQS);

  constructor(private readonly sinks: InterruptSinks) {}

  /** A wire to an ISA interrupt. Each caller gets its own; the interrupt is up while any of them is. */
  line(irq: number): IrqLine {
    if (irq < 0 || irq >= ISA_IRQS || irq === 2) throw new RangeError(`ISA interrupt ${irq} does not exist`);
    let up = false;
    return {
      set: (level) => {
        if (level === up) return;
        up = level;
        const before = this.holders[irq] > 0;
        this.holders[irq] += level ? 1 : -1;
        const after = this.holders[irq] > 0;
        if (after !== before) this.drive(irq, after);
      },
    };
  }

  private drive(irq: number, level: boolean): void {
    this.sinks.pic.setIrq(irq, level);
    this.sinks.ioApic.setPin(gsiOfIsa(irq), level);
  }

  /** Level of an ISA interrupt. */
  level(irq: number): boolean {
    return this.holders[irq] > 0;
  }
}
