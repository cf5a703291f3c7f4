// Port 80h: firmware writes its progress there, and everybody writes to it to lose a microsecond. Nothing answers reads.
// IBM PC AT Technical Reference, "manufacturing test port".

import type { AccessSize, PortDevice } from './interfaces.ts';

export const POST_PORT = 0x80;

export class PostPort implements PortDevice {
  /** The last code written. */
  code = 0;

  readPort(_port: number, _size: AccessSize): number {
    return 0xff;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.code = value;
  }
}
