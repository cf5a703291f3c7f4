// QEMU's isa-debug-exit: a write of v to its ports ends the emulator with status (v << 1) | 1.
// QEMU, hw/misc/debugexit.c: any width, reads give 0.

import type { AccessSize, PortDevice } from './interfaces.ts';

/** QEMU's defaults. */
export const DEBUG_EXIT_IOBASE = 0x501;
export const DEBUG_EXIT_IOSIZE = 2;

export class IsaDebugExit implements PortDevice {
  /** @param onExit gets the exit status, 0-255 as a process has it */
  constructor(private readonly onExit: (status: number) => void) {}

  readPort(_port: number, _size: AccessSize): number {
    return 0;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.onExit(((value << 1) | 1) & 0xff);
  }
}
