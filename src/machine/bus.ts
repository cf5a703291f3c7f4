// The I/O port space and the memory-mapped registers: who answers which address.
// To add a device is one line: mapPorts() or mapMmio().

import type { AccessSize, MmioDevice, PortDevice } from '../devices/interfaces.ts';
import type { PciAddressSpaces } from '../devices/pci.ts';

/** Accesses that a device has seen. */
export interface AccessCount {
  name: string;
  kind: 'ports' | 'memory';
  /** First port, or guest-physical address. */
  base: number;
  length: number;
  reads: number;
  writes: number;
}

interface PortRegion extends AccessCount {
  device: PortDevice;
  /** Widest access that the device takes as one. */
  width: AccessSize;
}

interface MmioRegion extends AccessCount {
  device: MmioDevice;
}

const PORTS = 0x10000;

export class Bus implements PciAddressSpaces {
  /** Index in `regions` of each port's owner; 0 for nobody. */
  private readonly owners = new Uint16Array(PORTS);
  private readonly regions: (PortRegion | undefined)[] = [undefined];
  private mmio: MmioRegion[] = [];
  private lastMmio: MmioRegion | undefined;
  /** Accesses that nobody answered. */
  unclaimed = 0;

  /**
   * Give ports to a device. A port that has an owner keeps it, whatever a guest puts into its base address registers.
   * @param width widest access the device takes whole; wider ones reach it in parts, low part first, as on the ISA bus
   */
  mapPorts(name: string, device: PortDevice, base: number, length: number, width: AccessSize = 1): void {
    if (base < 0 || length <= 0 || base + length > PORTS) throw new RangeError(`${name}: ports 0x${base.toString(16)} + ${length} are outside the port space`);
    let index = this.regions.indexOf(undefined, 1);
    if (index < 0) index = this.regions.length;
    this.regions[index] = { name, kind: 'ports', base, length, device, width, reads: 0, writes: 0 };
    for (let port = base; port < base + length; port++) if (this.owners[port] === 0) this.owners[port] = index;
  }

  /** Take back what mapPorts() gave. */
  unmapPorts(base: number, length: number): void {
    const index = this.regions.findIndex((region) => region?.base === base && region.length === length);
    if (index < 0) return;
    this.regions[index] = undefined;
    for (let port = base; port < base + length; port++) {
      if (this.owners[port] !== index) continue;
      const next = this.regions.findIndex((region) => region && port >= region.base && port < region.base + region.length);
      this.owners[port] = Math.max(0, next);
    }
  }

  mapMmio(name: string, device: MmioDevice, base: number, length: number): void {
    this.mmio.push({ name, kind: 'memory', base, length, device, reads: 0, writes: 0 });
  }

  unmapMmio(base: number, length: number): void {
    this.mmio = this.mmio.filter((region) => region.base !== base || region.length !== length);
    this.lastMmio = undefined;
  }

  /** Read from a port; all ones where nobody answers. */
  ioRead(port: number, size: AccessSize): number {
    const region = this.regions[this.owners[port]];
    if (region !== undefined) {
      if (size === 1 || (size <= region.width && port + size <= region.base + region.length)) {
        region.reads++;
        const value = region.device.readPort(port, size);
        return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value >>> 0;
      }
    } else if (size === 1) {
      this.unclaimed++;
      return 0xff;
    }
    const half = (size >> 1) as AccessSize;
    const low = this.ioRead(port, half);
    return (low | (this.ioRead((port + half) & 0xffff, half) << (8 * half))) >>> 0;
  }

  ioWrite(port: number, size: AccessSize, value: number): void {
    const region = this.regions[this.owners[port]];
    if (region !== undefined) {
      if (size === 1 || (size <= region.width && port + size <= region.base + region.length)) {
        region.writes++;
        region.device.writePort(port, size, size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value >>> 0);
        return;
      }
    } else if (size === 1) {
      this.unclaimed++;
      return;
    }
    const half = (size >> 1) as AccessSize;
    this.ioWrite(port, half, value);
    this.ioWrite((port + half) & 0xffff, half, value >>> (8 * half));
  }

  private findMmio(address: number): MmioRegion | undefined {
    const last = this.lastMmio;
    if (last !== undefined && address >= last.base && address < last.base + last.length) return last;
    for (const region of this.mmio) {
      if (address >= region.base && address < region.base + region.length) return (this.lastMmio = region);
    }
    return undefined;
  }

  /** Does a device answer at this guest-physical address? */
  hasMmio(address: number): boolean {
    return this.findMmio(address) !== undefined;
  }

  /** Read device registers at a guest-physical address; all ones where nobody answers. */
  mmioRead(address: number, size: AccessSize): number {
    const region = this.findMmio(address);
    const ones = size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
    if (region === undefined) {
      this.unclaimed++;
      return ones;
    }
    region.reads++;
    return (region.device.readMmio(address - region.base, size) & ones) >>> 0;
  }

  mmioWrite(address: number, size: AccessSize, value: number): void {
    const region = this.findMmio(address);
    if (region === undefined) {
      this.unclaimed++;
      return;
    }
    region.writes++;
    region.device.writeMmio(address - region.base, size, size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value >>> 0);
  }

  /** What each device has seen since it was mapped. */
  statistics(): AccessCount[] {
    const all: (AccessCount | undefined)[] = [...this.regions, ...this.mmio];
    return all
      .filter((region) => region !== undefined)
      .map(({ name, kind, base, length, reads, writes }) => ({ name, kind, base, length, reads, writes }));
  }
}
