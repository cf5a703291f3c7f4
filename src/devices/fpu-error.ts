// The coprocessor's error line in the PC's way: FERR# raises IRQ 13, and a write to port F0h takes it back.
// 82371SB (PIIX3) datasheet, section 2.5.4 (coprocessor error register).

import type { AccessSize, IrqLine, PortDevice } from './interfaces.ts';

export const COPROCESSOR_ERROR = 0xf0;

export class FpuError implements PortDevice {
  constructor(private readonly irq13: IrqLine) {}

  /** The CPU's FERR#, with CR0.NE clear. */
  raise(): void {
    this.irq13.set(true);
  }

  readPort(_port: number, _size: AccessSize): number {
    return 0xff;
  }

  writePort(_port: number, _size: AccessSize, _value: number): void {
    this.irq13.set(false);
  }
}
