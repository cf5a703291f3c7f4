import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { IoApic } from './io-apic.ts';
import { APIC_EOI, ApicBus, LocalApic } from './local-apic.ts';
import { TestCpu } from './testing.ts';

let bus: ApicBus;
let cpu: TestCpu;
let apic: LocalApic;
let io: IoApic;

const read = (register: number) => {
  io.writeMmio(0x00, 4, register);
  return io.readMmio(0x10, 4) >>> 0;
};
const write = (register: number, value: number) => {
  io.writeMmio(0x00, 4, register);
  io.writeMmio(0x10, 4, value >>> 0);
};
const entry = (pin: number, low: number, high = 0) => {
  write(0x11 + 2 * pin, high);
  write(0x10 + 2 * pin, low);
};

beforeEach(() => {
  bus = new ApicBus();
  cpu = new TestCpu();
  apic = new LocalApic(0, new VirtualClock(0), bus, cpu, 1e9, () => {});
  apic.writeMmio(0xf0, 4, 0x1ff);
  io = new IoApic(bus);
});

describe('registers', () => {
  it('ID, version, arbitration', () => {
    write(0, 0xff000000);
    expect(read(0)).toBe(0x0f000000);
    expect(read(1)).toBe(0x00170020);
    expect(read(2)).toBe(0x0f000000);
    expect(read(0x80)).toBe(0);
    expect(io.readMmio(0, 4)).toBe(0x80);
  });

  it('entries are masked after reset and keep their read-only bits', () => {
    for (let pin = 0; pin < 24; pin++) expect(read(0x10 + 2 * pin)).toBe(0x10000);
    entry(3, 0xffffffff, 0xffffffff);
    expect(read(0x16)).toBe(0x1afff);
    expect(read(0x17)).toBe(0xff000000);
  });
});

describe('edge-triggered pins', () => {
  it('send one message for each rising edge', () => {
    entry(4, 0x41);
    io.setPin(4, true);
    expect(apic.acknowledge()).toBe(0x41);
    apic.writeMmio(APIC_EOI, 4, 0);
    io.setPin(4, true);
    expect(apic.interruptRequest()).toBe(-1);
    io.setPin(4, false);
    io.setPin(4, true);
    expect(apic.interruptRequest()).toBe(0x41);
  });

  it('lose edges while masked', () => {
    entry(4, 0x10041);
    io.setPin(4, true);
    entry(4, 0x41);
    expect(apic.interruptRequest()).toBe(-1);
  });

  it('deliver NMI and ExtINT', () => {
    entry(4, 0x400);
    io.setPin(4, true);
    expect(cpu.log).toEqual(['nmi']);
    apic.writeMmio(0x350, 4, 0x10000);
    entry(0, 0x700);
    io.setPin(0, true);
    expect(apic.acceptsPic()).toBe(true);
  });
});

describe('level-triggered pins', () => {
  it('hold remote IRR until EOI and come again while the level stays', () => {
    entry(10, 0x8061);
    io.setPin(10, true);
    expect(read(0x24)).toBe(0xc061);
    expect(apic.acknowledge()).toBe(0x61);
    io.setPin(10, true);
    expect(apic.interruptRequest()).toBe(-1);
    apic.writeMmio(APIC_EOI, 4, 0);
    expect(apic.acknowledge()).toBe(0x61);
    io.setPin(10, false);
    apic.writeMmio(APIC_EOI, 4, 0);
    expect(apic.interruptRequest()).toBe(-1);
    expect(read(0x24)).toBe(0x8061);
  });

  it('wait while masked, and come when unmasked', () => {
    entry(10, 0x18061);
    io.setPin(10, true);
    expect(apic.interruptRequest()).toBe(-1);
    entry(10, 0x8061);
    expect(apic.interruptRequest()).toBe(0x61);
  });

  it('the EOI register ends them too', () => {
    entry(10, 0x8061);
    io.setPin(10, true);
    io.setPin(10, false);
    io.writeMmio(0x40, 4, 0x61);
    expect(read(0x24)).toBe(0x8061);
  });

  it('switching to edge clears remote IRR', () => {
    entry(10, 0x8061);
    io.setPin(10, true);
    entry(10, 0x10061);
    expect(read(0x24)).toBe(0x10061);
  });
});

it('goes on from a saved state', () => {
  entry(10, 0x8061);
  io.setPin(10, true);
  const other = new IoApic(new ApicBus());
  other.load(structuredClone(io.save()));
  expect(other.save()).toEqual(io.save());
});
