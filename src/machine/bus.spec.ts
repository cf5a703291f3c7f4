import { beforeEach, describe, expect, it } from 'vitest';
import { Bus } from './bus.ts';

let bus: Bus;
let log: string[];

class Ports {
  readPort(port: number, size: number): number {
    log.push(`r${port.toString(16)}.${size}`);
    return 0x11223344 + port;
  }
  writePort(port: number, size: number, value: number): void {
    log.push(`w${port.toString(16)}.${size}=${value.toString(16)}`);
  }
}

beforeEach(() => {
  bus = new Bus();
  log = [];
});

describe('ports', () => {
  it('split accesses wider than the device, low part first', () => {
    bus.mapPorts('byte', new Ports(), 0x10, 4);
    bus.mapPorts('word', new Ports(), 0x20, 4, 2);
    bus.mapPorts('dword', new Ports(), 0x30, 4, 4);
    bus.ioWrite(0x10, 4, 0xddccbbaa);
    bus.ioWrite(0x20, 4, 0xddccbbaa);
    bus.ioWrite(0x30, 4, 0xddccbbaa);
    expect(log).toEqual(['w10.1=aa', 'w11.1=bb', 'w12.1=cc', 'w13.1=dd', 'w20.2=bbaa', 'w22.2=ddcc', 'w30.4=ddccbbaa']);
    expect(bus.ioRead(0x10, 2)).toBe(0x5554);
    expect(bus.ioRead(0x30, 4)).toBe(0x11223374);
  });

  it('split accesses that leave a device', () => {
    bus.mapPorts('dword', new Ports(), 0x30, 4, 4);
    bus.mapPorts('byte', new Ports(), 0x34, 1);
    expect(bus.ioRead(0x33, 2)).toBe(0x7877);
    expect(bus.ioRead(0x34, 2)).toBe(0xff78);
    expect(log).toEqual(['r33.1', 'r34.1', 'r34.1']);
  });

  it('wrap at the end of the port space and read as ones where nobody is', () => {
    bus.mapPorts('first', new Ports(), 0, 1);
    expect(bus.ioRead(0xffff, 2)).toBe(0x44ff);
    expect(bus.ioRead(0x500, 4)).toBe(0xffffffff);
    bus.ioWrite(0x500, 4, 0);
    expect(bus.unclaimed).toBe(9);
  });

  it('keep their first owner; what was hidden comes back', () => {
    bus.mapPorts('a', { readPort: () => 1, writePort() {} }, 0x100, 8);
    bus.mapPorts('b', { readPort: () => 2, writePort() {} }, 0x104, 8);
    expect([0x103, 0x104, 0x108].map((port) => bus.ioRead(port, 1))).toEqual([1, 1, 2]);
    bus.unmapPorts(0x100, 8);
    expect([0x103, 0x104, 0x108].map((port) => bus.ioRead(port, 1))).toEqual([0xff, 2, 2]);
    bus.mapPorts('c', { readPort: () => 3, writePort() {} }, 0x103, 1);
    expect(bus.ioRead(0x103, 1)).toBe(3);
    expect(() => bus.mapPorts('d', new Ports(), 0xffff, 2)).toThrow(RangeError);
  });
});

describe('memory-mapped registers', () => {
  it('get offsets, and values of the access size', () => {
    const registers = {
      readMmio: (offset: number, size: number) => (log.push(`r${offset}.${size}`), 0xfffffff0 + offset),
      writeMmio: (offset: number, size: number, value: number) => void log.push(`w${offset}.${size}=${value.toString(16)}`),
    };
    bus.mapMmio('a', registers, 0xfebf0000, 0x1000);
    expect(bus.mmioRead(0xfebf0004, 1)).toBe(0xf4);
    expect(bus.mmioRead(0xfebf0004, 4)).toBe(0xfffffff4);
    bus.mmioWrite(0xfebf0ffe, 2, 0x12345678);
    expect(bus.mmioRead(0xfebf1000, 2)).toBe(0xffff);
    expect(log).toEqual(['r4.1', 'r4.4', 'w4094.2=5678']);
    bus.unmapMmio(0xfebf0000, 0x1000);
    expect(bus.mmioRead(0xfebf0004, 4)).toBe(0xffffffff);
  });
});

it('counts accesses by device', () => {
  bus.mapPorts('a', new Ports(), 0x10, 4);
  bus.ioRead(0x10, 1);
  bus.ioWrite(0x10, 2, 0);
  expect(bus.statistics()).toEqual([{ name: 'a', kind: 'ports', base: 0x10, length: 4, reads: 1, writes: 2 }]);
});
