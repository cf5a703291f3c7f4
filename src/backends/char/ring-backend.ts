// The host's end of a serial line whose bytes go through the rings in shared memory, to and from whoever shows the machine.

import type { CharBackend } from '../../devices/interfaces.ts';
import { Control, type ByteRing, serialRings } from '../../machine/protocol.ts';

export class RingBackend implements CharBackend {
  private readonly toHost: ByteRing;
  private readonly toGuest: ByteRing;
  private readonly output: Int32Array;
  private hasOutput = false;
  /** What found no room in the ring. */
  private readonly held: number[] = [];

  /**
   * @param buffer the machine's shared memory  @param port number of the rings: a serial port's, or a chardev's
   * @param holds take every byte at once, so that the guest does not see how fast the reader is; the machine must wait while isFull
   */
  constructor(buffer: ArrayBufferLike, port: number, private readonly holds = false) {
    ({ toHost: this.toHost, toGuest: this.toGuest } = serialRings(buffer, port));
    this.output = new Int32Array(buffer, Control.OUTPUT, 1);
  }

  write(byte: number): boolean {
    if (this.holds && (this.held.length > 0 || this.toHost.room === 0)) {
      this.held.push(byte);
      return true;
    }
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

  /** Of the terminal at the other end, once it has said so. */
  size(): { cols: number; rows: number } | undefined {
    const { size } = this.toGuest;
    return size.cols && size.rows ? size : undefined;
  }

  /** The reader has to make room before the guest goes on. */
  get isFull(): boolean {
    return this.held.length > 0;
  }

  /** Wake the reader if bytes were written since the last call. Called once a slice, because a notification costs more than a byte. */
  flush(): void {
    if (this.held.length > 0 && this.toHost.room > 0) {
      this.held.splice(0, this.toHost.write(Uint8Array.from(this.held)));
      this.hasOutput = true;
    }
    if (!this.hasOutput) return;
    this.hasOutput = false;
    Atomics.add(this.output, 0, 1);
    Atomics.notify(this.output, 0);
  }
}
