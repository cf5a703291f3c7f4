// QEMU's isa-debugcon (the "Bochs debug port"): a byte written to the port is a character of a log.
// QEMU, hw/char/debugcon.c. Reads give a constant, by which firmware knows that it is there.

import type { AccessSize, CharBackend, PortDevice } from './interfaces.ts';

/** QEMU's default. SeaBIOS writes to 402h. */
export const DEBUGCON_IOBASE = 0xe9;
const DEBUGCON_READBACK = 0xe9;

/** Characters kept while the host's end is full. */
const QUEUE_LIMIT = 1 << 16;

export class IsaDebugcon implements PortDevice {
  private queue: number[] = [];

  constructor(private readonly backend: CharBackend) {}

  readPort(_port: number, _size: AccessSize): number {
    return DEBUGCON_READBACK;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.poll();
    if (this.queue.length === 0 && this.backend.write(value & 0xff)) return;
    // The port cannot make the CPU wait: what is too much is lost.
    if (this.queue.length < QUEUE_LIMIT) this.queue.push(value & 0xff);
  }

  /** Send what had to wait: to be called now and then. */
  poll(): void {
    if (this.queue.length === 0) return;
    let sent = 0;
    while (sent < this.queue.length && this.backend.write(this.queue[sent])) sent++;
    if (sent > 0) this.queue = this.queue.slice(sent);
  }
}
