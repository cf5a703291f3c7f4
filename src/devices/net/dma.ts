// What a bus-mastering card does to guest memory. A card that is led outside RAM reads all ones and writes into nothing, as on
// a bus where nobody answers; so does one whose bus mastering is off.

import { type GuestMemory, GuestMemoryError } from '../interfaces.ts';
import { copyBytes } from '../shared-copy.ts';

export class Dma {
  /** @param enabled whether the function may be bus master now */
  constructor(
    private readonly memory: GuestMemory,
    private readonly enabled: () => boolean,
  ) {}

  /** @returns false if there was nothing to be reached */
  private reach(action: () => void): boolean {
    if (!this.enabled()) return false;
    try {
      action();
      return true;
    } catch (error) {
      if (error instanceof GuestMemoryError) return false;
      throw error;
    }
  }

  /** Fill `into`, not in shared memory, from guest-physical `address`. */
  read(address: number, into: Uint8Array): boolean {
    const read = this.reach(() => copyBytes(into, this.memory.bytes(address, into.length)));
    if (!read) into.fill(0xff);
    return read;
  }

  write(address: number, data: Uint8Array): boolean {
    return this.reach(() => this.memory.write(address, data));
  }

  read32(address: number): number {
    let value = 0xffffffff;
    this.reach(() => (value = this.memory.read32(address)));
    return value;
  }

  write32(address: number, value: number): boolean {
    return this.reach(() => this.memory.write32(address, value));
  }
}
