// System control port A: fast A20 gate and fast reset.
// IBM PS/2 Hardware Interface Technical Reference, "System Control Port A"; also 82371AB datasheet, section 4.2.7.

import type { AccessSize, PortDevice, Snapshotable } from './interfaces.ts';

export const PORT92 = 0x92;

const FAST_RESET = 0x01;
const ALT_A20_GATE = 0x02;

export class Port92 implements PortDevice, Snapshotable {
  private value = ALT_A20_GATE;

  constructor(
    private readonly setA20: (enabled: boolean) => void,
    private readonly onReset: () => void,
  ) {}

  readPort(_port: number, _size: AccessSize): number {
    return this.value;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    const before = this.value;
    this.value = value;
    this.setA20((value & ALT_A20_GATE) !== 0);
    if (value & ~before & FAST_RESET) this.onReset();
  }

  reset(): void {
    this.value = ALT_A20_GATE;
  }

  save(): { value: number } {
    return { value: this.value };
  }

  load(state: unknown): void {
    this.value = (state as { value: number }).value;
  }
}
