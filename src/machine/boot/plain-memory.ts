// Guest memory that is a plain array, for specs of the loaders.

import { type GuestMemory, GuestMemoryError } from '../../devices/interfaces.ts';

export class PlainMemory implements GuestMemory {
  readonly all: Uint8Array;
  private readonly view: DataView;

  constructor(readonly size: number) {
    this.all = new Uint8Array(size);
    this.view = new DataView(this.all.buffer);
  }

  read8 = (address: number) => this.view.getUint8(this.check(address, 1));
  read16 = (address: number) => this.view.getUint16(this.check(address, 2), true);
  read32 = (address: number) => this.view.getUint32(this.check(address, 4), true);
  read64 = (address: number) => this.view.getBigUint64(this.check(address, 8), true);
  write8 = (address: number, value: number) => this.view.setUint8(this.check(address, 1), value);
  write16 = (address: number, value: number) => this.view.setUint16(this.check(address, 2), value, true);
  write32 = (address: number, value: number) => this.view.setUint32(this.check(address, 4), value, true);
  write64 = (address: number, value: bigint) => this.view.setBigUint64(this.check(address, 8), value, true);
  bytes = (address: number, length: number) => this.all.subarray(this.check(address, length), address + length);
  write = (address: number, data: Uint8Array) => this.all.set(data, this.check(address, data.length));
  written = (address: number, length: number) => void this.check(address, length);

  /** The text that ends with a zero byte. */
  text(address: number): string {
    return new TextDecoder().decode(this.all.subarray(address, this.all.indexOf(0, address)));
  }

  check(address: number, length: number): number {
    if (!(address >= 0 && length >= 0 && address + length <= this.size)) throw new GuestMemoryError(address, length);
    return address;
  }
}
