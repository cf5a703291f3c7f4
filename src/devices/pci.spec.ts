import { beforeEach, describe, expect, it } from 'vitest';
import { Bus } from '../machine/bus.ts';
import { PciBus, PciFunction } from './pci.ts';

class TestCard extends PciFunction {
  readonly accesses: string[] = [];
  constructor(name = 'card') {
    super(name, { vendor: 0x1234, device: 0x5678, class: 0x0200, revision: 9, interruptPin: 1 });
    const ports = {
      readPort: (port: number) => 0x40 + port,
      writePort: (port: number, size: number, value: number) => void this.accesses.push(`out ${port} ${size} ${value}`),
    };
    const registers = {
      readMmio: (offset: number) => 0x1000 + offset,
      writeMmio: (offset: number, size: number, value: number) => void this.accesses.push(`mov ${offset} ${size} ${value}`),
    };
    this.addBar(0, { kind: 'io', size: 32, device: ports, width: 2 });
    this.addBar(1, { kind: 'memory', size: 0x2000, device: registers });
    this.addRom(Uint8Array.from({ length: 3000 }, (_, i) => i & 0xff));
    this.addBar(4, { kind: 'memory', size: 0x10000, device: registers, prefetchable: true, wide: true });
  }
}

let bus: Bus;
let pci: PciBus;
let card: TestCard;
let pirqs: string[];
const select = (register: number, slot = 3) => pci.writePort(0xcf8, 4, (0x80000000 | (slot << 11) | (register & 0xfc)) >>> 0);
const read = (register: number, size: 1 | 2 | 4 = 4) => {
  select(register);
  return pci.readPort(0xcfc + (register & 3), size);
};
const write = (register: number, value: number, size: 1 | 2 | 4 = 4) => {
  select(register);
  pci.writePort(0xcfc + (register & 3), size, value >>> 0);
};

beforeEach(() => {
  bus = new Bus();
  pirqs = [];
  pci = new PciBus(bus, (pirq, level) => pirqs.push(`${'ABCD'[pirq]}${level ? '+' : '-'}`));
  card = new TestCard();
  pci.add(3, 0, card);
});

describe('configuration space', () => {
  it('shows an expansion ROM where firmware puts it', () => {
    write(0x30, 0xffffffff);
    expect(read(0x30)).toBe(0xfffff001);
    write(0x30, 0xfeb00001);
    expect(bus.mmioRead(0xfeb00004, 4) >>> 0).toBe(0xffffffff);
    write(4, 2, 2);
    expect(bus.mmioRead(0xfeb00004, 4) >>> 0).toBe(0x07060504);
    expect(bus.mmioRead(0xfeb00ff0, 1) & 0xff).toBe(0);
    write(0x30, 0xfeb00000);
    expect(bus.mmioRead(0xfeb00004, 4) >>> 0).toBe(0xffffffff);
    write(0x30, 0xfeb00001);
    card.reset();
    expect([read(0x30), bus.mmioRead(0xfeb00004, 4) >>> 0]).toEqual([0, 0xffffffff]);
  });

  it('is read in bytes, words and double words', () => {
    expect(read(0)).toBe(0x56781234);
    expect(read(2, 2)).toBe(0x5678);
    expect(read(3, 1)).toBe(0x56);
    expect(read(8)).toBe(0x02000009);
    expect(read(0x2c)).toBe(0x11001af4);
  });

  it('keeps only what is writable', () => {
    write(0, 0);
    expect(read(0)).toBe(0x56781234);
    write(4, 0xffffffff);
    expect(read(4, 2)).toBe(0x0507);
    write(0x3c, 0xffff);
    expect(read(0x3c, 2)).toBe(0x01ff);
  });

  it('needs the enable bit, and a function to answer', () => {
    select(0);
    pci.writePort(0xcf8, 4, 0x00001800);
    expect(pci.readPort(0xcfc, 4)).toBe(0xffffffff);
    select(0, 4);
    expect(pci.readPort(0xcfc, 4)).toBe(0xffffffff);
  });

  it('refuses two functions in one place', () => {
    expect(() => pci.add(3, 0, new TestCard('other'))).toThrow('already holds card');
  });
});

describe('base address registers', () => {
  it('tell their size', () => {
    for (const register of [0x10, 0x14, 0x20, 0x24, 0x18]) write(register, 0xffffffff);
    expect(read(0x10)).toBe(0xffffffe1);
    expect(read(0x14)).toBe(0xffffe000);
    expect(read(0x20)).toBe(0xffff000c);
    expect(read(0x24)).toBe(0xffffffff);
    expect(read(0x18)).toBe(0);
  });

  it('map the device while the command register allows it', () => {
    write(0x10, 0xc000);
    write(0x14, 0xfebf0000);
    expect(bus.ioRead(0xc002, 1)).toBe(0xff);
    write(4, 3);
    expect(bus.ioRead(0xc002, 1)).toBe(0x42);
    bus.ioWrite(0xc004, 4, 0x00020001);
    expect(bus.mmioRead(0xfebf1004, 4)).toBe(0x2004);
    bus.mmioWrite(0xfebf0008, 2, 7);
    expect(card.accesses).toEqual(['out 4 2 1', 'out 6 2 2', 'mov 8 2 7']);
    write(0x10, 0xd000);
    expect(bus.ioRead(0xc002, 1)).toBe(0xff);
    expect(bus.ioRead(0xd002, 1)).toBe(0x42);
    write(4, 2);
    expect(bus.ioRead(0xd002, 1)).toBe(0xff);
    expect(bus.mmioRead(0xfebf0000, 4)).toBe(0x1000);
    card.reset();
    expect(bus.mmioRead(0xfebf0000, 4)).toBe(0xffffffff);
    expect(read(0x10)).toBe(1);
  });

  it('leave the ports of others alone', () => {
    bus.mapPorts('fixed', { readPort: () => 0x11, writePort() {} }, 0x60, 1);
    write(0x10, 0x60);
    write(4, 1);
    expect(bus.ioRead(0x60, 1)).toBe(0x11);
    expect(bus.ioRead(0x61, 1)).toBe(0x41);
    write(4, 0);
    expect(bus.ioRead(0x60, 1)).toBe(0x11);
    expect(bus.ioRead(0x61, 1)).toBe(0xff);
  });
});

describe('INTx', () => {
  it('goes to the PIRQ of slot and pin, shared by several functions', () => {
    const other = new TestCard('other');
    pci.add(7, 0, other);
    card.intx.set(true);
    other.intx.set(true);
    card.intx.set(false);
    other.intx.set(false);
    expect(pirqs).toEqual(['C+', 'C-']);
    expect([PciBus.pirqOf(1, 0), PciBus.pirqOf(2, 0), PciBus.pirqOf(2, 3), PciBus.pirqOf(0, 0)]).toEqual([0, 1, 0, 3]);
  });

  it('shows in status and can be disabled in command', () => {
    card.intx.set(true);
    expect(read(6, 2) & 8).toBe(8);
    write(4, 0x400, 2);
    expect(pirqs).toEqual(['C+', 'C-']);
    expect(read(6, 2) & 8).toBe(8);
    write(4, 0, 2);
    expect(pirqs.at(-1)).toBe('C+');
  });
});

it('goes on from a saved state, mappings included', () => {
  write(0x10, 0xc000);
  write(4, 1);
  card.intx.set(true);
  const saved = structuredClone(pci.save());
  const otherBus = new Bus();
  const levels: boolean[] = [];
  const other = new PciBus(otherBus, (_, level) => levels.push(level));
  other.add(3, 0, new TestCard());
  other.load(saved);
  expect(otherBus.ioRead(0xc001, 1)).toBe(0x41);
  expect(levels).toEqual([true]);
  expect(() => new PciBus(otherBus, () => {}).load(saved)).toThrow('3.0');
});

describe('capabilities', () => {
  class CapableCard extends PciFunction {
    constructor() {
      super('capable', { vendor: 0x1234, device: 0x5679, class: 0x0200, interruptPin: 1 });
      this.addCapability(0x09, Uint8Array.of(5, 1, 2), Uint8Array.of(0, 0xff, 0));
      this.addMsix(2, 3);
      this.reset();
    }
    interrupt(vector: number): void {
      this.intx.set(true);
      this.msix!.notify(vector);
    }
  }
  let messages: string[];
  beforeEach(() => {
    messages = [];
    pci.onMessage = (address, data) => messages.push(`${address.toString(16)} ${data}`);
    pci.add(5, 0, new CapableCard());
  });
  const at5 = (register: number) => pci.writePort(0xcf8, 4, (0x80000000 | (5 << 11) | (register & 0xfc)) >>> 0);
  const read5 = (register: number, size: 1 | 2 | 4) => {
    at5(register);
    return pci.readPort(0xcfc + (register & 3), size);
  };
  const write5 = (register: number, size: 1 | 2 | 4, value: number) => {
    at5(register);
    pci.writePort(0xcfc + (register & 3), size, value);
  };

  it('form a list, and come back at a reset', () => {
    expect(read5(0x06, 2) & 0x10).toBe(0x10);
    expect(read5(0x34, 1)).toBe(0x40);
    expect(read5(0x40, 4)).toBe(0x01054809);
    expect(read5(0x48, 4)).toBe(0x00020011);
    expect(read5(0x4c, 4)).toBe(2);
    expect(read5(0x50, 4)).toBe(0x802);
    write5(0x40, 4, 0xffffffff);
    expect(read5(0x40, 4)).toBe(0xff054809);
    write5(0x4a, 2, 0xffff);
    expect(read5(0x4a, 2)).toBe(0xc002);
    pci.reset();
    expect(read5(0x40, 4)).toBe(0x01054809);
    expect(read5(0x4a, 2)).toBe(2);
    expect(read5(0x06, 2) & 0x10).toBe(0x10);
  });

  it('MSI-X takes the place of INTx, and needs bus mastering', () => {
    const device = pci.get(5, 0) as CapableCard;
    write5(0x18, 4, 0xe0000000);
    write5(0x04, 2, 2);
    device.interrupt(1);
    expect(pirqs).toEqual(['A+']);
    write5(0x4a, 2, 0x8000);
    expect(pirqs).toEqual(['A+', 'A-']);
    bus.mmioWrite(0xe0000010, 4, 0xfee01000);
    bus.mmioWrite(0xe0000018, 4, 0x41);
    bus.mmioWrite(0xe000001c, 4, 0);
    device.interrupt(1);
    expect(messages).toEqual([]);
    write5(0x04, 2, 6);
    device.interrupt(1);
    expect(messages).toEqual(['fee01000 65']);
    write5(0x4a, 2, 0);
    expect(pirqs.at(-1)).toBe('A+');
  });
});
