import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { APIC_EOI, ApicBus, LocalApic } from './local-apic.ts';
import { TestCpu } from './testing.ts';

let clock: VirtualClock;
let bus: ApicBus;
let cpus: TestCpu[];
let apics: LocalApic[];
let eois: number[];
const write = (register: number, value: number, cpu = 0) => apics[cpu].writeMmio(register, 4, value >>> 0);
const read = (register: number, cpu = 0) => apics[cpu].readMmio(register, 4) >>> 0;
const requests = () => apics.map((apic) => apic.interruptRequest());

beforeEach(() => {
  clock = new VirtualClock(0);
  bus = new ApicBus();
  eois = [];
  bus.onEoi = (vector) => eois.push(vector);
  // 3 GHz: a cycle is no whole number of nanoseconds.
  cpus = [0, 1, 2].map(() => new TestCpu(() => BigInt(clock.now()) * 3n));
  apics = cpus.map((cpu, i) => new LocalApic(i, clock, bus, cpu, 3e9, () => {}));
  for (let i = 0; i < 3; i++) write(0xf0, 0x1ff, i);
});

describe('registers', () => {
  it('after reset', () => {
    apics[0].reset();
    expect(read(0x20)).toBe(0);
    expect(read(0x20, 2)).toBe(0x02000000);
    expect(read(0x30)).toBe(0x00050014);
    expect(read(0xe0)).toBe(0xffffffff);
    expect(read(0xf0)).toBe(0xff);
    for (const lvt of [0x320, 0x330, 0x340, 0x360, 0x370]) expect(read(lvt)).toBe(0x10000);
    // Virtual wire mode on the boot processor only.
    expect(read(0x350)).toBe(0x700);
    expect(read(0x380)).toBe(0);
  });

  it('keep the LVT masked while disabled by software', () => {
    write(0x370, 0xfe);
    expect(read(0x370)).toBe(0xfe);
    write(0xf0, 0xff);
    expect(read(0x370)).toBe(0x100fe);
    write(0x370, 0x20);
    expect(read(0x370)).toBe(0x10020);
  });

  it('ICR keeps what can be written; delivery status stays idle', () => {
    write(0x310, 0xffffffff);
    expect(read(0x310)).toBe(0xff000000);
    write(0x300, 0x000c08f1);
    expect(read(0x300)).toBe(0x000c08f1);
  });

  it('tells of illegal registers and vectors in ESR, which a write latches', () => {
    read(0x3f0);
    write(0x300, 0x00040005); // self IPI, vector 5
    expect(read(0x280)).toBe(0);
    write(0x280, 0);
    expect(read(0x280)).toBe(0xa0);
    write(0x280, 0);
    expect(read(0x280)).toBe(0);
  });

  it('raises the error vector', () => {
    write(0x370, 0xfe);
    write(0x300, 0x00040005);
    expect(apics[0].interruptRequest()).toBe(0xfe);
  });
});

describe('priorities', () => {
  const self = (vector: number) => write(0x300, 0x00040000 | vector);

  it('the highest vector first; its class holds back others until EOI', () => {
    self(0x41);
    self(0x52);
    self(0x45);
    expect(apics[0].acknowledge()).toBe(0x52);
    expect(read(0xa0)).toBe(0x50);
    expect(apics[0].acknowledge()).toBe(-1);
    self(0x5f);
    expect(apics[0].acknowledge()).toBe(-1);
    self(0x60);
    expect(apics[0].acknowledge()).toBe(0x60);
    write(APIC_EOI, 0);
    expect(read(0xa0)).toBe(0x50);
    write(APIC_EOI, 0);
    expect(apics[0].acknowledge()).toBe(0x5f);
    write(APIC_EOI, 0);
    expect(apics[0].acknowledge()).toBe(0x45);
    expect(read(0x100 + 0x20)).toBe(1 << 5);
    expect(read(0x200 + 0x20)).toBe(1 << 1);
    expect(eois).toEqual([]);
  });

  it('TPR and CR8 are the same', () => {
    apics[0].cr8 = 5;
    expect(read(0x80)).toBe(0x50);
    self(0x5f);
    expect(apics[0].interruptRequest()).toBe(-1);
    write(0x80, 0x4f);
    expect(apics[0].cr8).toBe(4);
    expect(read(0xa0)).toBe(0x4f);
    expect(apics[0].interruptRequest()).toBe(0x5f);
  });

  it('a level-triggered vector is broadcast at EOI', () => {
    bus.deliver({ destination: 1, logical: false, mode: 0, vector: 0x61, level: true });
    expect(read(0x180 + 0x30, 1)).toBe(2);
    expect(apics[1].acknowledge()).toBe(0x61);
    write(APIC_EOI, 0, 1);
    expect(eois).toEqual([0x61]);
  });

  it('accepts nothing while disabled by software, but NMI, INIT and SIPI', () => {
    write(0xf0, 0xff, 1);
    for (const mode of [0, 1, 4, 5, 6]) bus.deliver({ destination: 1, logical: false, mode, vector: 0x31, level: false });
    write(0xf0, 0x1ff, 1);
    expect(apics[1].interruptRequest()).toBe(-1);
    expect(cpus[1].log).toEqual(['nmi', 'init', 'sipi 49']);
  });
});

describe('addressing', () => {
  it('shorthands', () => {
    write(0x300, 0x00080031);
    expect(requests()).toEqual([0x31, 0x31, 0x31]);
    write(0x300, 0x000c0042);
    expect(requests()).toEqual([0x31, 0x42, 0x42]);
  });

  it('physical, and physical broadcast', () => {
    write(0x310, 0x02000000);
    write(0x300, 0x31);
    expect(requests()).toEqual([-1, -1, 0x31]);
    write(0x310, 0xff000000);
    write(0x300, 0x32);
    expect(requests()).toEqual([0x32, 0x32, 0x32]);
  });

  it('logical, flat and cluster model', () => {
    for (let i = 0; i < 3; i++) write(0xd0, 0x01000000 << i, i);
    write(0x310, 0x05000000);
    write(0x300, 0x831);
    expect(requests()).toEqual([0x31, -1, 0x31]);
    for (let i = 0; i < 3; i++) {
      write(0xe0, 0x0fffffff, i);
      write(0xd0, i === 2 ? 0x21000000 : 0x11000000, i);
    }
    write(0x310, 0x21000000);
    write(0x300, 0x841);
    expect(requests()).toEqual([0x31, -1, 0x41]);
  });

  it('lowest priority goes to one CPU, the least busy', () => {
    write(0x80, 0x30, 0);
    write(0x80, 0x20, 1);
    write(0x80, 0x50, 2);
    bus.deliver({ destination: 0xff, logical: true, mode: 1, vector: 0x61, level: false });
    expect(requests()).toEqual([-1, 0x61, -1]);
  });

  it('INIT resets the APIC but for its ID', () => {
    write(0x20, 0x07000000, 1);
    write(0x310, 0x07000000);
    write(0x300, 0x4500);
    expect(read(0xf0, 1)).toBe(0xff);
    expect(read(0x20, 1)).toBe(0x07000000);
    // De-assert does nothing.
    write(0x300, 0x8500);
    expect(cpus[1].log).toEqual(['init']);
  });
});

describe('message-signalled interrupts', () => {
  it('go to a CPU by its ID, or to several by logical destination', () => {
    bus.deliverMsi(0xfee01000, 0x41);
    expect(requests()).toEqual([-1, 0x41, -1]);
    write(0xd0, 0x04000000, 2);
    bus.deliverMsi(0xfee04004, 0x52);
    expect(requests()).toEqual([-1, 0x41, 0x52]);
    bus.deliverMsi(0xfeeff000, 0x63);
    expect(requests()).toEqual([0x63, 0x63, 0x63]);
  });

  it('are edge-triggered unless they say otherwise, and lost elsewhere', () => {
    bus.deliverMsi(0xfee00000, 0x41);
    bus.deliverMsi(0xfee00000, 0xc042);
    expect(read(0x1a0)).toBe(0b100);
    bus.deliverMsi(0xfed00000, 0x50);
    bus.deliverMsi(0, 0x50);
    expect(requests()[0]).toBe(0x42);
    bus.deliverMsi(0xfee00000, 0x400);
    expect(cpus[0].log).toEqual(['nmi']);
  });
});

describe('timer', () => {
  it('one-shot, with all dividers', () => {
    const dividers: [number, number][] = [[0, 2], [1, 4], [2, 8], [3, 16], [8, 32], [9, 64], [10, 128], [11, 1]];
    for (const [value, divider] of dividers) {
      write(0x3e0, value);
      write(0x320, 0x40);
      write(0x380, 100);
      clock.advance(50 * divider);
      expect(read(0x390)).toBe(50);
      clock.advance(50 * divider - 1);
      expect(apics[0].interruptRequest()).toBe(-1);
      clock.advance(1);
      expect(apics[0].acknowledge()).toBe(0x40);
      expect(read(0x390)).toBe(0);
      write(APIC_EOI, 0);
    }
  });

  it('periodic, and stops at 0', () => {
    write(0x3e0, 11);
    write(0x320, 0x20040);
    write(0x380, 1000);
    let count = 0;
    for (let i = 0; i < 100; i++) {
      clock.advance(500);
      if (apics[0].acknowledge() < 0) continue;
      write(APIC_EOI, 0);
      count++;
    }
    expect(count).toBe(50);
    write(0x380, 0);
    clock.advance(5000);
    expect(apics[0].interruptRequest()).toBe(-1);
    expect(clock.nextDeadline()).toBe(Infinity);
  });

  it('masked: counts, and interrupts nobody', () => {
    write(0x3e0, 11);
    write(0x320, 0x10040);
    write(0x380, 1000);
    clock.advance(400);
    expect(read(0x390)).toBe(600);
    clock.advance(1000);
    expect(apics[0].interruptRequest()).toBe(-1);
  });

  it('TSC deadline: never early, at once when past, disarmed by 0 and by a change of mode', () => {
    write(0x320, 0x40040);
    apics[0].tscDeadline = 3001n;
    clock.advance(1000);
    expect(apics[0].interruptRequest()).toBe(-1);
    clock.advance(1);
    expect(apics[0].acknowledge()).toBe(0x40);
    expect(apics[0].tscDeadline).toBe(0n);
    write(APIC_EOI, 0);
    apics[0].tscDeadline = 1n;
    expect(apics[0].acknowledge()).toBe(0x40);
    write(APIC_EOI, 0);
    apics[0].tscDeadline = 100000n;
    expect(apics[0].tscDeadline).toBe(100000n);
    write(0x380, 55);
    expect(read(0x380)).toBe(0);
    apics[0].tscDeadline = 0n;
    expect(clock.nextDeadline()).toBe(Infinity);
    apics[0].tscDeadline = 100000n;
    write(0x320, 0x00040);
    expect(clock.nextDeadline()).toBe(Infinity);
    apics[0].tscDeadline = 100000n;
    expect(apics[0].tscDeadline).toBe(0n);
  });
});

describe('LINT pins', () => {
  it('LINT0 as ExtINT lets the 8259 through, masked it does not', () => {
    write(0x350, 0x700);
    expect(apics[0].acceptsPic()).toBe(true);
    write(0x350, 0x10700);
    expect(apics[0].acceptsPic()).toBe(false);
    bus.deliver({ destination: 0, logical: false, mode: 7, vector: 0, level: false });
    expect(apics[0].acceptsPic()).toBe(true);
    apics[0].picAcknowledged();
    expect(apics[0].acceptsPic()).toBe(false);
  });

  it('LINT0 as fixed interrupt (Linux: "Virtual Wire IRQ")', () => {
    write(0x350, 0x31);
    apics[0].setLint0(true);
    expect(apics[0].acknowledge()).toBe(0x31);
    write(APIC_EOI, 0);
    expect(apics[0].interruptRequest()).toBe(-1);
  });

  it('LINT1 as NMI', () => {
    apics[0].setLint1(true);
    apics[0].setLint1(false);
    expect(cpus[0].log).toEqual([]);
    write(0x360, 0x400);
    apics[0].setLint1(true);
    expect(cpus[0].log).toEqual(['nmi']);
  });
});

it('goes on from a saved state', () => {
  write(0x3e0, 11);
  write(0x320, 0x20040);
  write(0x380, 1000);
  write(0x300, 0x00040055);
  clock.advance(300);
  const saved = structuredClone(apics[0].save());
  const other = new LocalApic(0, clock, new ApicBus(), cpus[0], 3e9, () => {});
  other.load(saved);
  expect(other.save()).toEqual(saved);
  expect(other.acknowledge()).toBe(0x55);
  other.writeMmio(APIC_EOI, 4, 0);
  clock.advance(700);
  expect(other.acknowledge()).toBe(0x40);
});
