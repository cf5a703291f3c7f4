// The host's end of a serial line whose bytes go through the rings in shared memory, to and from whoever shows the machine.

import type { CharBackend } from '../../devices/interfaces.ts';
import { Control, type ByteRing, serialRings } from '../../machine/protocol.ts';

export class RingBackend implements CharBackend {
  private readonly toHost: ByteRing;
  private readonly toGuest: ByteRing;
  private readonly output: Int32Array;
  private hasOutput = false;

  /** @param buffer the machine's shared memory  @param port number of the serial port, 0 to 3 */
  constructor(buffer: ArrayBufferLike, port: number) {
    ({ toHost: this.toHost, toGuest: this.toGuest } = serialRings(buffer, port));
    this.output = new Int32Array(buffer, Control.OUTPUT, 1);
  }

  write(byte: number): boolean {
    const hadRoom = this.toHost.push(byte);
    // A full ring must be emptied before the guest can go on: do not wait for the end of the slice.
    if (!hadRoom) this.flush();
    else this.hasOutput = true;
    return hadRoom;
  }

  read(): number {
    return this.toGuest.shift();
  }

  /** True once for each break the user sent. */
  takeBreak(): boolean {
    return this.toGuest.takeBreak();
  }

  /** Wake the reader if bytes were written since the last call. Called once a slice, because a notification costs more than a byte. */
  flush(): void {
    if (!this.hasOutput) return;
    this.hasOutput = false;
    Atomics.add(this.output, 0, 1);
    Atomics.notify(this.output, 0);
  }
}
