// The PC without a CPU: the port and register sequences with which Linux finds and calibrates its hardware.

import { beforeEach, describe, expect, it } from 'vitest';
import { RawMemory } from '../backends/block/raw-memory.ts';
import { Mem, Pmap } from '../core/layout.ts';
import { FloppyDrive } from '../devices/floppy/drive.ts';
import { IdeCd } from '../devices/ide/atapi.ts';
import { IdeDisk } from '../devices/ide/disk.ts';
import { PciFunction } from '../devices/pci.ts';
import { TestCpu } from '../devices/testing.ts';
import { VirtualClock } from './clock.ts';
import { Pc, type PcOptions } from './pc.ts';

const RAM = 16 << 20;
const TSC_FREQUENCY = 2e9;

const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });
let clock: VirtualClock;
let cpus: TestCpu[];
let pc: Pc;
let events: string[];
let output: string;
let input: number[];

function build(count = 1, more: Partial<PcOptions> = {}): Pc {
  clock = new VirtualClock(0);
  cpus = Array.from({ length: count }, () => new TestCpu(() => BigInt(clock.now() * (TSC_FREQUENCY / 1e9))));
  events = [];
  output = '';
  input = [];
  return new Pc({
    memory,
    ramSize: RAM,
    clock,
    cpuPorts: cpus,
    serial: [
      {
        write: (byte) => {
          output += String.fromCharCode(byte);
          return true;
        },
        read: () => input.shift() ?? -1,
      },
    ],
    tscFrequency: TSC_FREQUENCY,
    wallClockMs: Date.UTC(2024, 5, 1, 12, 0, 0),
    debugExit: { iobase: 0xf4, iosize: 4 },
    onPowerOff: () => events.push('off'),
    onReset: () => events.push('reset'),
    onExit: (status) => events.push(`exit ${status}`),
    ...more,
  });
}

const inb = (port: number) => pc.ioRead(port, 1);
const outb = (port: number, value: number) => pc.ioWrite(port, 1, value);
const inl = (port: number) => pc.ioRead(port, 4);
const outl = (port: number, value: number) => pc.ioWrite(port, 4, value);
const apicRead = (register: number, cpu = 0) => pc.mmioRead((0xfee00000 + register) | 0, 0, 4, cpu);
const apicWrite = (register: number, value: number, cpu = 0) => pc.mmioWrite((0xfee00000 + register) | 0, 0, 4, value, cpu);
function ioApicWrite(register: number, value: number): void {
  pc.mmioWrite(0xfec00000, 0, 4, register);
  pc.mmioWrite(0xfec00010, 0, 4, value);
}
function ioApicRead(register: number): number {
  pc.mmioWrite(0xfec00000, 0, 4, register);
  return pc.mmioRead(0xfec00010, 0, 4);
}
const configAddress = (slot: number, fn: number, register: number) => (0x80000000 | (slot << 11) | (fn << 8) | (register & 0xfc)) >>> 0;
function config(slot: number, fn: number, register: number): number {
  outl(0xcf8, configAddress(slot, fn, register));
  return inl(0xcfc);
}

beforeEach(() => {
  pc = build();
});

describe('interrupts', () => {
  it('a kernel booted directly gets 8259 interrupts in virtual wire mode', () => {
    pc.setUpForDirectBoot();
    outb(0x21, 0xfa);
    outb(0x43, 0x34);
    outb(0x40, 0xa9);
    outb(0x40, 0x04);
    clock.advance(1.1e6);
    expect(cpus[0].pending).toBe(true);
    expect(pc.acknowledgeInterrupt(0)).toBe(0x08);
    expect(cpus[0].pending).toBe(false);
    outb(0x20, 0x20);
    clock.advance(1e6);
    expect(cpus[0].pending).toBe(true);
    // Masking takes the request back.
    outb(0x21, 0xff);
    expect(cpus[0].pending).toBe(false);
    expect(pc.acknowledgeInterrupt(0)).toBe(-1);
  });

  it('the timer ticks through I/O APIC pin 2 (Linux check_timer)', () => {
    pc.setUpForDirectBoot();
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    apicWrite(0xf0, 0x1ff);
    apicWrite(0xe0, 0xffffffff);
    apicWrite(0xd0, 0x01000000);
    apicWrite(0x350, 0x10700);
    expect(ioApicRead(1)).toBe(0x00170020);
    ioApicWrite(0x10 + 5, 0x01000000);
    ioApicWrite(0x10 + 4, 0x00000830);
    outb(0x43, 0x34);
    outb(0x40, 0x9b);
    outb(0x40, 0x12);
    let ticks = 0;
    for (let i = 0; i < 100; i++) {
      clock.advance(1e6);
      if (!cpus[0].pending) continue;
      expect(pc.acknowledgeInterrupt(0)).toBe(0x30);
      apicWrite(0xb0, 0);
      ticks++;
    }
    expect(ticks).toBeGreaterThanOrEqual(25);
    expect(ticks).toBeLessThanOrEqual(26);
  });

  it('a local APIC interrupt comes before the 8259, and TPR holds back only the APIC', () => {
    pc.setUpForDirectBoot();
    outb(0x21, 0xef);
    apicWrite(0xf0, 0x1ff);
    apicWrite(0x350, 0x700);
    apicWrite(0x300, 0x00040055); // self IPI
    pc.ioWrite(0x3f9, 1, 2); // transmitter empty: IRQ 4
    expect(pc.acknowledgeInterrupt(0)).toBe(0x55);
    expect(cpus[0].pending).toBe(true);
    expect(pc.acknowledgeInterrupt(0)).toBe(0x0c);
    apicWrite(0xb0, 0);
    pc.writeCr8(0, 6);
    expect(apicRead(0x80)).toBe(0x60);
    apicWrite(0x300, 0x00040055);
    expect(cpus[0].pending).toBe(false);
    pc.writeCr8(0, 4);
    expect(cpus[0].pending).toBe(true);
  });

  it('a disabled APIC leaves the 8259 wired to the CPU', () => {
    pc.setUpForDirectBoot();
    const base = pc.readMsr(0, 0x1b)!;
    expect(base).toBe(0xfee00900n);
    expect(pc.writeMsr(0, 0x1b, base & ~0x800n)).toBe(true);
    expect(apicRead(0x30)).toBe(0xffffffff);
    outb(0x21, 0xef);
    outb(0x3f9, 2);
    expect(pc.acknowledgeInterrupt(0)).toBe(0x0c);
    expect(pc.writeMsr(0, 0x1b, base | 0x400n)).toBe(false);
    expect(pc.writeMsr(0, 0x1b, base)).toBe(true);
    expect(apicRead(0x30)).toBe(0x00050014);
  });

  it('starts an application processor with INIT and two SIPIs', () => {
    pc = build(2);
    expect(apicRead(0x20, 1)).toBe(0x01000000);
    expect(pc.readMsr(1, 0x1b)).toBe(0xfee00800n);
    apicWrite(0x310, 0x01000000);
    apicWrite(0x300, 0x0000c500);
    apicWrite(0x300, 0x00008500);
    apicWrite(0x300, 0x00000608);
    expect(apicRead(0x300) & 0x1000).toBe(0);
    apicWrite(0x300, 0x00000608);
    expect(cpus[1].log.filter((e) => e !== 'map')).toEqual(['a20 true', 'init', 'sipi 8', 'sipi 8']);
    expect(cpus[0].log).not.toContain('init');
  });

  it('a PCI interrupt goes through PIRQ routing to I/O APIC and 8259', () => {
    pc.setUpForDirectBoot();
    outl(0xcf8, configAddress(1, 0, 0x60));
    expect(inl(0xcfc)).toBe(0x0b0b0a0a);
    outb(0xa1, 0xf7);
    pc.isaBridge.setPirq(2, true);
    expect(pc.acknowledgeInterrupt(0)).toBe(0x73);
    pc.isaBridge.setPirq(2, false);
    outb(0xcfe, 0x80);
    pc.isaBridge.setPirq(2, true);
    expect(pc.irqs.level(11)).toBe(false);
  });
});

describe('time', () => {
  it('LAPIC timer runs at 1 GHz over the divider', () => {
    apicWrite(0xf0, 0x1ff);
    apicWrite(0x3e0, 0x3);
    apicWrite(0x320, 0x000000ec);
    apicWrite(0x380, 1000);
    clock.advance(8000);
    expect(apicRead(0x390)).toBe(500);
    clock.advance(8000);
    expect(apicRead(0x390)).toBe(0);
    expect(pc.acknowledgeInterrupt(0)).toBe(0xec);
    clock.advance(1e9);
    expect(cpus[0].pending).toBe(false);
  });

  it('TSC deadline fires at the deadline and then reads 0', () => {
    apicWrite(0xf0, 0x1ff);
    apicWrite(0x320, 0x000400ec);
    expect(pc.writeMsr(0, 0x6e0, cpus[0].tsc() + 2_000_001n)).toBe(true);
    clock.advance(1e6);
    expect(cpus[0].pending).toBe(false);
    clock.advance(1);
    expect(cpus[0].pending).toBe(true);
    expect(pc.readMsr(0, 0x6e0)).toBe(0n);
  });

  it('ACPI PM timer agrees with the PIT (Linux tsc_refine, verify_pmtmr_rate)', () => {
    pc.setUpForDirectBoot();
    outb(0x61, 0x01);
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    const start = inl(0x608);
    while (!(inb(0x61) & 0x20)) clock.advance(500);
    const ticks = (inl(0x608) - start) & 0xffffff;
    expect(Math.abs(ticks - 3 * 65536)).toBeLessThan(20);
  });

  it('kvm-clock gives the clock', () => {
    clock.advance(5e6);
    expect(pc.writeMsr(0, 0x4b564d01, 0x10001n)).toBe(true);
    const view = new DataView(memory.buffer, Mem.RAM + 0x10000, 32);
    const mul = BigInt(view.getUint32(24, true));
    const shift = view.getInt8(28);
    clock.advance(1234567);
    let delta = cpus[0].tsc() - view.getBigUint64(8, true);
    delta = shift < 0 ? delta >> BigInt(-shift) : delta << BigInt(shift);
    const ns = Number(view.getBigUint64(16, true) + ((delta * mul) >> 32n));
    expect(Math.abs(ns - clock.now())).toBeLessThanOrEqual(1);
    expect(view.getUint32(0, true) & 1).toBe(0);
    expect(view.getUint8(29)).toBe(1);
    expect(pc.writeMsr(0, 0x4b564d00, 0x20000n)).toBe(true);
    expect(new DataView(memory.buffer, Mem.RAM + 0x20000, 12).getUint32(4, true)).toBe(Date.UTC(2024, 5, 1, 12, 0, 0) / 1000);
    expect(pc.writeMsr(0, 0x4b564d02, 0n)).toBe(false);
    expect(pc.readMsr(0, 0x4b564d02)).toBeUndefined();
  });

  it('the RTC is read once UIP is clear', () => {
    const cmos = (index: number) => {
      outb(0x70, index);
      return inb(0x71);
    };
    expect(cmos(0x0a) & 0x80).toBe(0);
    expect([9, 8, 7, 4, 2, 0].map(cmos)).toEqual([0x24, 0x06, 0x01, 0x12, 0x00, 0x00]);
  });
});

describe('PCI', () => {
  it('passes the type 1 check and shows the chipset', () => {
    outb(0xcfb, 0x01);
    const saved = inl(0xcf8);
    outl(0xcf8, 0x80000000);
    expect(inl(0xcf8)).toBe(0x80000000);
    outl(0xcf8, saved);
    expect(config(0, 0, 0)).toBe(0x12378086);
    expect(config(1, 0, 0)).toBe(0x70008086);
    expect(config(1, 0, 0x0c) >>> 16).toBe(0x80);
    expect(config(1, 1, 0)).toBe(0x70108086);
    expect(config(1, 2, 0)).toBe(0xffffffff);
    expect(config(1, 3, 0)).toBe(0x71138086);
    expect(config(2, 0, 0)).toBe(0xffffffff);
    outl(0xcf8, configAddress(1, 3, 8));
    expect(pc.ioRead(0xcfe, 2)).toBe(0x0680);
    expect(inb(0xcfc)).toBe(3);
    expect(inb(0xcf8)).toBe(0xff);
  });

  it('bus 1 is empty', () => {
    outl(0xcf8, 0x80010000);
    expect(inl(0xcfc)).toBe(0xffffffff);
  });
});

describe('serial console', () => {
  it('is found as a 16550A (Linux 8250 autoconfig)', () => {
    const base = 0x3f8;
    outb(base + 1, 0);
    expect(inb(base + 1) & 0x0f).toBe(0);
    outb(base + 1, 0x0f);
    expect(inb(base + 1) & 0x0f).toBe(0x0f);
    outb(base + 1, 0);
    outb(base + 4, 0x10 | 0x0a);
    expect(inb(base + 6) & 0xf0).toBe(0x90);
    outb(base + 4, 0);
    outb(base + 2, 1);
    expect(inb(base + 2) >> 6).toBe(3);
    for (const c of 'ok\n') {
      expect(inb(base + 5) & 0x60).toBe(0x60);
      outb(base, c.charCodeAt(0));
    }
    expect(output).toBe('ok\n');
  });

  it('brings input with an interrupt', () => {
    pc.setUpForDirectBoot();
    outb(0x21, 0xef);
    outb(0x3fa, 0x81);
    outb(0x3f9, 0x05);
    input.push(65);
    pc.poll();
    expect(cpus[0].pending).toBe(false);
    clock.advance(10e6);
    expect(pc.acknowledgeInterrupt(0)).toBe(0x0c);
    expect(inb(0x3fa)).toBe(0xcc);
    expect(inb(0x3f8)).toBe(65);
    expect(inb(0x3fa)).toBe(0xc1);
  });
});

describe('reset, power and exit', () => {
  it('has four ways to reset', () => {
    outb(0x64, 0xfe);
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    outb(0x92, 0x03);
    outb(0x64, 0xd1);
    outb(0x60, 0xfe);
    expect(events).toEqual(['reset', 'reset', 'reset', 'reset']);
  });

  it('powers off through PM1_CNT', () => {
    pc.setUpForDirectBoot();
    outb(0xb2, 0xf1);
    expect(pc.ioRead(0x604, 2) & 1).toBe(1);
    pc.ioWrite(0x604, 2, 0x2001);
    expect(events).toEqual(['off']);
  });

  it('the power button raises SCI at IRQ 9', () => {
    pc.setUpForDirectBoot();
    outb(0xa1, 0xfd);
    outb(0xb2, 0xf1);
    pc.ioWrite(0x602, 2, 0x0100);
    expect(cpus[0].pending).toBe(false);
    pc.powerButton();
    expect(pc.acknowledgeInterrupt(0)).toBe(0x71);
    expect(pc.ioRead(0x600, 2) & 0x0100).toBe(0x0100);
    pc.ioWrite(0x600, 2, 0x0100);
    expect(pc.irqs.level(9)).toBe(false);
  });

  it('isa-debug-exit ends with (v << 1) | 1', () => {
    outl(0xf4, 0x10);
    expect(events).toEqual(['exit 33']);
  });

  it('A20 follows port 92h and the keyboard controller', () => {
    outb(0x92, 0x00);
    outb(0x92, 0x02);
    outb(0x64, 0xdd);
    outb(0x64, 0xd1);
    outb(0x60, 0xdf);
    expect(cpus[0].log.filter((e) => e.startsWith('a20'))).toEqual(['a20 true', 'a20 false', 'a20 true', 'a20 false', 'a20 true']);
  });

  it('reset brings every device back', () => {
    const fresh = pc.save();
    pc.setUpForDirectBoot();
    outb(0x21, 0);
    apicWrite(0xf0, 0x1ff);
    apicWrite(0x300, 0x00040055);
    outb(0x3f9, 0x0f);
    outb(0x92, 0);
    expect(cpus[0].pending).toBe(true);
    pc.reset();
    expect(cpus[0].pending).toBe(false);
    expect(pc.save()).toEqual(fresh);
  });
});

describe('memory map', () => {
  const pmap = () => new Uint32Array(memory.buffer, Mem.PMAP, Mem.PMAP_SIZE / 4);

  it('has RAM, the VGA hole, ROM and nothing behind', () => {
    const map = pmap();
    expect(map[0]).toBe(Mem.RAM | Pmap.READ | Pmap.WRITE);
    expect(map[0x9f]).toBe((Mem.RAM + 0x9f000) | 3);
    expect(map[0xa0]).toBe(0);
    expect(map[0xc0]).toBe(Mem.ROM | Pmap.READ);
    expect(map[0xff]).toBe((Mem.ROM + 0x3f000) | Pmap.READ);
    expect(map[0x100]).toBe((Mem.RAM + 0x100000) | 3);
    expect(map[RAM / 4096 - 1]).toBe((Mem.RAM + RAM - 4096) | 3);
    expect(map[RAM / 4096]).toBe(0);
  });

  it('PAM registers switch shadow RAM', () => {
    outl(0xcf8, configAddress(0, 0, 0x58));
    outb(0xcfd, 0x30);
    expect(pmap()[0xf0]).toBe((Mem.RAM + 0xf0000) | 3);
    outb(0xcfd, 0x10);
    expect(pmap()[0xff]).toBe((Mem.RAM + 0xff000) | Pmap.READ);
    // Writes only: reads come from ROM, writes go beneath.
    outb(0xcfd, 0x20);
    expect(pmap()[0xf0]).toBe((Mem.ROM + 0x30000) | Pmap.READ);
    pc.mmioWrite(0xf0010, 0, 4, 0x12345678);
    outb(0xcfd, 0x30);
    expect(new DataView(memory.buffer).getUint32(Mem.RAM + 0xf0010, true)).toBe(0x12345678);
    outb(0xcfe, 0x03);
    expect(pmap()[0xc3]).toBe((Mem.RAM + 0xc3000) | 3);
    expect(pmap()[0xc4]).toBe((Mem.ROM + 0x4000) | 1);
  });

  it('unclaimed addresses read as ones', () => {
    expect(inb(0x1234)).toBe(0xff);
    expect(pc.ioRead(0xabc0, 2)).toBe(0xffff);
    expect(inl(0xfffc)).toBe(0xffffffff);
    expect(pc.mmioRead(0xa0000, 0, 4)).toBe(0xffffffff);
    expect(pc.mmioRead(0, 1, 2)).toBe(0xffff);
  });
});

describe('PCI devices', () => {
  class Card extends PciFunction {
    constructor(name: string, ports: number, size: number) {
      super(name, { vendor: 0x1234, device: 1, class: 0x00ff, interruptPin: 1 });
      const registers = { readMmio: () => size, writeMmio() {} };
      this.addBar(0, { kind: 'io', size: ports, device: { readPort: () => ports, writePort() {} } });
      this.addBar(2, { kind: 'memory', size, device: registers, wide: true });
      this.addMsix(4, 2);
    }
    interrupt(): void {
      this.msix!.notify(1);
    }
  }

  it('are plugged into the first free slot or where they belong', () => {
    const names = () => pc.pci.list().map(({ slot, device }) => `${slot} ${device.name}`).slice(4);
    pc.plug(new Card('c', 4, 16), { slot: 3, fn: 0 });
    pc.plug(new Card('a', 4, 16));
    pc.plug(new Card('b', 4, 16));
    expect(names()).toEqual(['2 a', '3 c', '4 b']);
    for (let n = 5; n < 32; n++) pc.plug(new Card(`${n}`, 4, 16));
    expect(() => pc.plug(new Card('z', 4, 16))).toThrow('no free PCI slot');
  });

  it('have places without firmware, and interrupt by messages', () => {
    const small = new Card('small', 4, 16);
    const large = new Card('large', 64, 0x10000);
    pc.plug(small);
    pc.plug(large);
    pc.reset();
    pc.setUpForDirectBoot();
    expect([large.get32(0x18), small.get32(0x18)].map((bar) => bar >>> 0)).toEqual([0xe0000004, 0xe0012004]);
    expect(pc.mmioRead(0xe0000000, 0, 4)).toBe(0x10000);
    expect(pc.mmioRead(0xe0012000, 0, 4)).toBe(16);
    expect(pc.ioRead(0xc000, 4)).toBe(64);
    // Behind the 16 ports of the IDE function
    expect(pc.ioRead(0xc050, 4)).toBe(4);
    apicWrite(0xf0, 0x1ff);
    small.writeConfig(4, 2, 7);
    const table = small.get32(0x20) & ~15;
    pc.mmioWrite(table + 16, 0, 4, 0xfee00000);
    pc.mmioWrite(table + 24, 0, 4, 0x61);
    pc.mmioWrite(table + 28, 0, 4, 0);
    small.writeConfig(0x42, 2, 0x8000);
    small.interrupt();
    expect(pc.acknowledgeInterrupt(0)).toBe(0x61);
  });
});

it('counts accesses of each device', () => {
  inb(0x3fd);
  inb(0x3fd);
  outb(0x80, 1);
  apicRead(0x30);
  const count = (name: string) => pc.statistics().find((entry) => entry.name === name)!;
  expect(count('serial0')).toMatchObject({ reads: 2, writes: 0, base: 0x3f8 });
  expect(count('port 80h')).toMatchObject({ reads: 0, writes: 1 });
  expect(count('local-apic').reads).toBeGreaterThan(0);
});

it('goes on from a saved state in another machine', () => {
  pc.setUpForDirectBoot();
  outb(0x21, 0xfa);
  apicWrite(0xf0, 0x1ff);
  apicWrite(0x350, 0x700);
  apicWrite(0x300, 0x00040055);
  clock.advance(123e6);
  const saved = structuredClone(pc.save());
  const savedClock = clock.save();
  pc = build();
  clock.load(savedClock);
  pc.load(saved);
  expect(pc.save()).toEqual(saved);
  expect(cpus[0].pending).toBe(true);
  expect(pc.acknowledgeInterrupt(0)).toBe(0x55);
  expect(pc.acknowledgeInterrupt(0)).toBe(0x08);
  outb(0x20, 0x20);
  clock.advance(60e6);
  expect(pc.acknowledgeInterrupt(0)).toBe(0x08);
});

it('no access of a guest, however odd, harms the machine', () => {
  const disk = () => new RawMemory(new Uint8Array(1 << 20));
  pc = build(2, {
    ide: [new IdeDisk(disk(), { serial: 'x', geometry: { cylinders: 2, heads: 16, sectors: 63, translation: 0 } }), null, new IdeCd(disk(), { serial: 'y' }), null],
    floppies: [new FloppyDrive(disk()), null],
    vga: { rom: new Uint8Array(0x8000) }, debugcon: { iobase: 0x402, backend: { write: () => true, read: () => -1 } },
  });
  pc.setUpForDirectBoot();
  let seed = 12345;
  const random = (n: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const ranges = pc.statistics();
  const sizes = [1, 2, 4] as const;
  for (let i = 0; i < 60000; i++) {
    const { kind, base, length } = ranges[random(ranges.length)];
    const size = sizes[random(3)];
    const at = base + random(Math.min(length, 0x400)) - (random(20) === 0 ? 2 : 0);
    const value = random(2) ? random(256) : random(2 ** 32);
    const write = random(2) === 0;
    if (kind === 'ports') {
      if (write) pc.ioWrite(at, size, value);
      else expect(pc.ioRead(at, size)).toBeLessThan(2 ** (8 * size));
    } else if (write) {
      pc.mmioWrite(at | 0, 0, size, value, i & 1);
    } else {
      expect(pc.mmioRead(at | 0, 0, size, i & 1)).toBeLessThan(2 ** (8 * size));
    }
    if (random(8) === 0) pc.writeMsr(i & 1, [0x1b, 0x6e0, 0x11, 0x12, 0x4b564d00, 0x4b564d01][random(6)], (BigInt(random(2 ** 32)) << BigInt(random(33))) | BigInt(random(4096)));
    if (random(8) === 0) pc.acknowledgeInterrupt(i & 1);
    if (random(16) === 0) input.push(random(256));
    if (random(64) === 0) {
      clock.advance(random(1e6));
      pc.poll();
    }
    if (random(5000) === 0) pc.load(structuredClone(pc.save()));
  }
  pc.reset();
  expect(cpus.map((cpu) => cpu.pending)).toEqual([false, false]);
});
