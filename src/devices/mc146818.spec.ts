import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { Mc146818 } from './mc146818.ts';

let clock: VirtualClock;
let rtc: Mc146818;
let irq: boolean;
const get = (index: number) => {
  rtc.writePort(0x70, 1, index);
  return rtc.readPort(0x71, 1);
};
const set = (index: number, value: number) => {
  rtc.writePort(0x70, 1, index);
  rtc.writePort(0x71, 1, value);
};
const date = () => [0x32, 9, 8, 7, 4, 2, 0].map(get);

beforeEach(() => {
  clock = new VirtualClock(0);
  irq = false;
  rtc = new Mc146818(clock, { set: (level) => (irq = level) }, Date.UTC(2024, 1, 28, 23, 59, 58, 500));
});

describe('calendar', () => {
  it('shows the date handed in, in BCD and 24 hours', () => {
    expect(date()).toEqual([0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58]);
    expect(get(6)).toBe(4); // a Wednesday
    expect(get(0x37)).toBe(0x20);
    clock.advance(0.5e9);
    expect(get(0)).toBe(0x59);
    clock.advance(1e9);
    expect(date()).toEqual([0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00]);
    clock.advance(86400e9);
    expect(date()).toEqual([0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00]);
  });

  it('shows binary and 12-hour formats', () => {
    set(0x0b, 0x04);
    expect(get(4)).toBe(0x80 | 11);
    expect(get(2)).toBe(59);
    set(0x0b, 0x00);
    expect(get(4)).toBe(0x80 | 0x11);
    clock.advance(2e9);
    expect(get(4)).toBe(0x12); // midnight is 12 AM
  });

  it('is set under SET, and goes on from there', () => {
    set(0x0b, 0x82);
    clock.advance(5e9);
    for (const [index, value] of [[0x32, 0x19], [9, 0x99], [8, 0x12], [7, 0x31], [4, 0x23], [2, 0x59], [0, 0x59]]) set(index, value);
    set(0x0b, 0x02);
    expect(date()).toEqual([0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59]);
    clock.advance(1e9);
    expect(date()).toEqual([0x20, 0x00, 0x01, 0x01, 0, 0, 0]);
  });

  it('starts half a second after the divider leaves its reset', () => {
    set(0x0a, 0x70);
    set(0, 0x10);
    set(0x0a, 0x26);
    clock.advance(0.49e9);
    expect(get(0)).toBe(0x10);
    clock.advance(0.02e9);
    expect(get(0)).toBe(0x11);
  });

  it('announces an update with UIP for 244 us', () => {
    expect(get(0x0a)).toBe(0x26);
    clock.advance(0.5e9 - 244_000);
    expect(get(0x0a)).toBe(0xa6);
    clock.advance(244_000);
    expect(get(0x0a)).toBe(0x26);
  });

  it('register D says that battery and memory are good', () => {
    expect(get(0x0d)).toBe(0x80);
  });
});

describe('interrupts', () => {
  it('periodic: at 1024 Hz by default, until register C is read', () => {
    set(0x0b, 0x42);
    let count = 0;
    for (let i = 0; i < 10000; i++) {
      clock.advance(100_000);
      if (irq) {
        count++;
        expect(get(0x0c) & 0xc0).toBe(0xc0);
        expect(irq).toBe(false);
      }
    }
    expect(count).toBe(1024);
  });

  it('periodic: is not repeated before register C was read', () => {
    set(0x0b, 0x42);
    clock.advance(1e6);
    expect(irq).toBe(true);
    expect(clock.nextDeadline()).toBe(Infinity);
  });

  it('update-ended: once a second', () => {
    set(0x0b, 0x12);
    clock.advance(0.49e9);
    expect(irq).toBe(false);
    clock.advance(0.02e9);
    expect(irq).toBe(true);
    expect(get(0x0c) & 0x90).toBe(0x90);
    expect(get(0x0c) & 0x90).toBe(0);
    clock.advance(1e9);
    expect(irq).toBe(true);
  });

  it('flags are set with interrupts disabled, too', () => {
    clock.advance(1e9);
    expect(get(0x0c)).toBe(0x50);
    expect(irq).toBe(false);
  });

  it('alarm: at the time of day, with wildcards from C0h', () => {
    set(1, 0x05);
    set(3, 0x01);
    set(5, 0x00);
    get(0x0c);
    set(0x0b, 0x22);
    clock.advance(66e9);
    expect(irq).toBe(false);
    clock.advance(1e9);
    expect(irq).toBe(true);
    expect(get(0x0c) & 0x20).toBe(0x20);
    set(3, 0xff);
    set(5, 0xff);
    clock.advance(60e9);
    expect(irq).toBe(true);
    get(0x0c);
    set(1, 0xff);
    clock.advance(1e9);
    expect(irq).toBe(true);
  });
});

describe('CMOS memory', () => {
  it('holds what the machine stored, and what the guest writes', () => {
    rtc.setContents({ ramBelow4G: 512 << 20, ramAbove4G: 0, cpus: 2 });
    expect([0x15, 0x16, 0x17, 0x18].map(get)).toEqual([0x80, 0x02, 0xff, 0xff]);
    expect(get(0x34) | (get(0x35) << 8)).toBe(((512 - 16) << 20) >> 16);
    expect(get(0x5f)).toBe(1);
    set(0x0f, 0x0a);
    rtc.reset();
    expect(get(0x0f)).toBe(0x0a);
  });

  it('bit 7 of the index port masks NMI', () => {
    rtc.writePort(0x70, 1, 0x8f);
    expect(rtc.nmiMasked).toBe(true);
    rtc.writePort(0x70, 1, 0x0f);
    expect(rtc.nmiMasked).toBe(false);
    expect(rtc.readPort(0x70, 1)).toBe(0xff);
  });
});

it('goes on from a saved state', () => {
  set(0x0b, 0x12);
  clock.advance(0.4e9);
  const saved = rtc.save();
  const other = new Mc146818(clock, { set() {} }, 0);
  other.load(saved);
  clock.advance(0.2e9);
  other.writePort(0x70, 1, 0x0c);
  expect(other.readPort(0x71, 1) & 0x90).toBe(0x90);
});
