import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { I8254, PIT_FREQUENCY } from './i8254.ts';

let clock: VirtualClock;
let pit: I8254;
let edges: number[];
let irq: boolean;
const out = (port: number, value: number) => pit.writePort(port, 1, value);
const inb = (port: number) => pit.readPort(port, 1);
/** Go to the middle of a CLK period, n periods on. */
const ticks = (n: number) => clock.advance(Math.round((n * 1e9) / PIT_FREQUENCY));
const count = (channel: number) => {
  out(0x43, channel << 6);
  return inb(0x40 + channel) | (inb(0x40 + channel) << 8);
};
const status = (channel: number) => {
  out(0x43, 0xe0 | (2 << channel));
  return inb(0x40 + channel);
};

beforeEach(() => {
  clock = new VirtualClock(0);
  edges = [];
  irq = false;
  pit = new I8254(clock, {
    set(level) {
      if (level && !irq) edges.push(clock.now());
      irq = level;
    },
  });
  clock.advance(419);
});

describe('8254 channel 0', () => {
  it('mode 0: OUT rises count + 1 CLK periods after the count was written, once', () => {
    out(0x43, 0x30);
    expect(irq).toBe(false);
    out(0x40, 100);
    out(0x40, 0);
    ticks(100);
    expect(irq).toBe(false);
    ticks(1);
    expect(irq).toBe(true);
    clock.advance(1e9);
    expect(edges.length).toBe(1);
    expect(clock.nextDeadline()).toBe(Infinity);
  });

  it('mode 2: interrupts at the programmed rate without drift', () => {
    const hz250 = Math.round(PIT_FREQUENCY / 250);
    out(0x43, 0x34);
    out(0x40, hz250 & 0xff);
    out(0x40, hz250 >> 8);
    const start = clock.now();
    edges.length = 0;
    clock.advance(10e9);
    expect(edges.length).toBe(Math.floor((10 * PIT_FREQUENCY) / hz250));
    const last = edges[edges.length - 1] - start;
    expect(Math.abs(last - (edges.length * hz250 * 1e9) / PIT_FREQUENCY)).toBeLessThan(2000);
  });

  it('mode 2: a new count is taken when the period ends', () => {
    out(0x43, 0x34);
    out(0x40, 0);
    out(0x40, 4); // 1024
    ticks(101);
    out(0x40, 100);
    out(0x40, 0);
    expect(status(0) & 0x40).toBe(0x40);
    expect(count(0)).toBe(1024 - 100);
    edges.length = 0;
    ticks(1024 - 100);
    expect(edges.length).toBe(1);
    expect(count(0)).toBe(100);
    expect(status(0) & 0x40).toBe(0);
    ticks(1000);
    expect(edges.length).toBe(11);
  });

  it('mode 3: a square wave that counts by two', () => {
    out(0x43, 0x36);
    out(0x40, 10);
    out(0x40, 0);
    ticks(1);
    const seen: number[] = [];
    const wave: number[] = [];
    for (let i = 0; i < 10; i++) {
      seen.push(count(0));
      wave.push(status(0) >> 7);
      ticks(1);
    }
    expect(seen).toEqual([10, 8, 6, 4, 2, 10, 8, 6, 4, 2]);
    expect(wave).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
  });

  it('mode 4: every written count strobes once (Linux one-shot ticks)', () => {
    out(0x43, 0x38);
    expect(irq).toBe(true);
    edges.length = 0;
    for (let i = 1; i <= 3; i++) {
      out(0x40, 0x10);
      out(0x40, 0x27);
      clock.advance(20e6);
      expect(edges.length).toBe(i);
    }
  });

  it('a late timer makes one interrupt, not a burst', () => {
    out(0x43, 0x34);
    out(0x40, 0xa9);
    out(0x40, 0x04);
    edges.length = 0;
    clock.skipTo(1e9);
    clock.runExpired();
    expect(edges.length).toBe(1);
    clock.advance(10e6);
    expect(edges.length).toBe(11);
  });
});

describe('8254 reading', () => {
  it('latches a count until both bytes are read', () => {
    out(0x43, 0x34);
    out(0x40, 0xff);
    out(0x40, 0xff);
    ticks(256);
    out(0x43, 0x00);
    ticks(1000);
    out(0x43, 0x00);
    expect(inb(0x40) | (inb(0x40) << 8)).toBe(0xffff - 255);
    expect(inb(0x40) | (inb(0x40) << 8)).toBe(0xffff - 1255);
  });

  it('reads single bytes in LSB or MSB mode', () => {
    out(0x43, 0x20 | 0x04);
    out(0x40, 0x12);
    ticks(1);
    expect(inb(0x40)).toBe(0x12);
    ticks(1);
    expect(inb(0x40)).toBe(0x11);
    out(0x43, 0x14);
    out(0x40, 0x34);
    ticks(1);
    expect(inb(0x40)).toBe(0x34);
    expect(inb(0x40)).toBe(0x34);
  });

  it('read-back gives status first, then the count', () => {
    out(0x43, 0xb6);
    out(0x42, 0x00);
    out(0x42, 0x10);
    out(0x43, 0xc8);
    expect(inb(0x42)).toBe(0x40 | 0x80 | 0x30 | 0x06);
    expect(inb(0x42) | (inb(0x42) << 8)).toBe(0x1000);
  });

  it('status tells of a count not yet loaded', () => {
    out(0x43, 0x30);
    expect(status(0)).toBe(0x70);
    out(0x40, 1);
    out(0x40, 1);
    ticks(1);
    expect(status(0)).toBe(0x30);
    ticks(257);
    expect(status(0)).toBe(0xb0);
  });

  it('counts in BCD', () => {
    out(0x43, 0x35);
    out(0x40, 0x00);
    out(0x40, 0x10);
    ticks(2);
    expect(count(0)).toBe(0x0999);
    out(0x43, 0x31);
    out(0x40, 0x00);
    out(0x40, 0x00);
    ticks(2);
    expect(count(0)).toBe(0x9999);
  });
});

describe('8254 channel 2 and port 61h', () => {
  it('calibrates: the gate starts mode 0, bit 5 shows the end (Linux pit_calibrate_tsc)', () => {
    out(0x61, (inb(0x61) & ~0x02) | 0x01);
    out(0x43, 0xb0);
    const latch = Math.floor(PIT_FREQUENCY / (1000 / 50));
    out(0x42, latch & 0xff);
    out(0x42, latch >> 8);
    const start = clock.now();
    while (!(inb(0x61) & 0x20)) clock.advance(1000);
    expect(Math.abs(clock.now() - start - 50e6)).toBeLessThan(5000);
  });

  it('reads MSB after MSB without latching (Linux quick_pit_calibrate)', () => {
    out(0x61, 0x01);
    out(0x43, 0xb0);
    out(0x42, 0xff);
    out(0x42, 0xff);
    ticks(1);
    inb(0x42);
    expect(inb(0x42)).toBe(0xff);
    ticks(256);
    inb(0x42);
    expect(inb(0x42)).toBe(0xfe);
  });

  it('a low gate holds mode 0 and goes on afterwards', () => {
    out(0x61, 0x01);
    out(0x43, 0xb0);
    out(0x42, 100);
    out(0x42, 0);
    ticks(41);
    out(0x61, 0x00);
    ticks(1000);
    expect(count(2)).toBe(60);
    expect(inb(0x61) & 0x20).toBe(0);
    out(0x61, 0x01);
    ticks(59);
    expect(inb(0x61) & 0x20).toBe(0);
    ticks(1);
    expect(inb(0x61) & 0x20).toBe(0x20);
  });

  it('mode 1 and 5 wait for a rising gate', () => {
    out(0x43, 0xb2);
    out(0x42, 10);
    out(0x42, 0);
    ticks(50);
    expect(inb(0x61) & 0x20).toBe(0x20);
    out(0x61, 1);
    ticks(1);
    expect(inb(0x61) & 0x20).toBe(0);
    ticks(10);
    expect(inb(0x61) & 0x20).toBe(0x20);
    out(0x61, 0);
    out(0x43, 0xba);
    out(0x42, 10);
    out(0x42, 0);
    out(0x61, 1);
    ticks(11);
    expect(inb(0x61) & 0x20).toBe(0);
    ticks(1);
    expect(inb(0x61) & 0x20).toBe(0x20);
  });

  it('keeps gate and speaker bits and toggles the refresh bit', () => {
    out(0x61, 0xff);
    expect(inb(0x61) & 0x0f).toBe(0x0f);
    const first = inb(0x61) & 0x10;
    clock.advance(15085);
    expect(inb(0x61) & 0x10).toBe(first ^ 0x10);
  });

  it('tells the speaker its frequency', () => {
    const calls: [boolean, number][] = [];
    pit = new I8254(clock, { set() {} }, (on, hz) => calls.push([on, Math.round(hz)]));
    out(0x43, 0xb6);
    out(0x42, 1193 & 0xff);
    out(0x42, 1193 >> 8);
    out(0x61, 3);
    expect(calls.at(-1)).toEqual([true, 1000]);
    out(0x61, 0);
    expect(calls.at(-1)).toEqual([false, 0]);
  });
});

it('goes on from a saved state', () => {
  out(0x43, 0x34);
  out(0x40, 0);
  out(0x40, 4);
  ticks(300);
  const saved = structuredClone(pit.save());
  const other = new I8254(clock, { set: (level) => level && edges.push(-1) });
  other.load(saved);
  expect(other.save()).toEqual(saved);
  edges.length = 0;
  ticks(1024);
  expect(edges.filter((e) => e === -1).length).toBe(1);
});
