// QEMU's isa-debugcon (the "Bochs debug port"): a byte written to the port is a character of a log.
// QEMU, hw/char/debugcon.c. Reads give a constant, by which firmware knows that it is there.

import type { AccessSize, CharBackend, PortDevice } from './interfaces.ts';

/** QEMU's default. SeaBIOS writes to 402h. */
export const DEBUGCON_IOBASE = 0xe9;
const DEBUGCON_READBACK = 0xe9;

export class IsaDebugcon implements PortDevice {
  constructor(private readonly backend: CharBackend) {}

  readPort(_port: number, _size: AccessSize): number {
    return DEBUGCON_READBACK;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    // The port cannot make the CPU wait: while the host's end is full, characters are lost.
    this.backend.write(value & 0xff);
  }
}
