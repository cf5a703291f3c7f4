import { beforeEach, describe, expect, it } from 'vitest';
import { Bus } from '../machine/bus.ts';
import { VirtualClock } from '../machine/clock.ts';
import { GPE0_BASE, Piix4Pm } from './piix4-pm.ts';
import { TestLine } from './testing.ts';

let clock: VirtualClock;
let bus: Bus;
let sci: TestLine;
let pm: Piix4Pm;
let off: number;
const BASE = 0xb000;
const STS = BASE;
const EN = BASE + 2;
const CNT = BASE + 4;
const TMR = BASE + 8;

beforeEach(() => {
  clock = new VirtualClock(0);
  bus = new Bus();
  sci = new TestLine();
  off = 0;
  pm = new Piix4Pm(clock, sci, bus, () => off++);
  bus.mapPorts('gpe', pm, GPE0_BASE, 4);
  bus.mapPorts('apm', pm, 0xb2, 2);
  pm.writeConfig(0x40, 4, BASE);
  pm.writeConfig(0x80, 1, 1);
});

describe('configuration', () => {
  it('maps its ports at PMBASE while enabled', () => {
    expect(pm.get32(0)).toBe(0x71138086);
    expect(pm.get32(0x40)).toBe(BASE | 1);
    expect(bus.ioRead(CNT, 2)).toBe(0);
    pm.writeConfig(0x80, 1, 0);
    expect(bus.ioRead(CNT, 2)).toBe(0xffff);
    pm.writeConfig(0x80, 1, 1);
    pm.writeConfig(0x40, 4, 0x600);
    expect(bus.ioRead(CNT, 2)).toBe(0xffff);
    expect(bus.ioRead(0x604, 2)).toBe(0);
  });
});

describe('PM timer', () => {
  it('counts at 3.579545 MHz in 24 bits', () => {
    clock.advance(1e9);
    expect(bus.ioRead(TMR, 4)).toBe(3579545);
    clock.advance(4e9);
    expect(bus.ioRead(TMR, 4)).toBe((5 * 3579545) & 0xffffff);
    expect(bus.ioRead(TMR, 1)).toBe((5 * 3579545) & 0xff);
    expect(bus.ioRead(TMR + 2, 1)).toBe(((5 * 3579545) >> 16) & 0xff);
  });

  it('sets TMROF when its highest bit changes, every 2.34 s', () => {
    clock.advance(2.343e9);
    expect(bus.ioRead(STS, 2)).toBe(0);
    clock.advance(0.001e9);
    expect(bus.ioRead(STS, 2)).toBe(1);
    bus.ioWrite(STS, 2, 1);
    expect(bus.ioRead(STS, 2)).toBe(0);
    clock.advance(2.344e9);
    expect(bus.ioRead(STS, 2)).toBe(1);
  });

  it('raises SCI at the overflow, in time', () => {
    bus.ioWrite(0xb2, 1, 0xf1);
    bus.ioWrite(EN, 2, 1);
    clock.advance(2.343e9);
    expect(sci.level).toBe(false);
    clock.advance(0.001e9);
    expect(sci.level).toBe(true);
    bus.ioWrite(STS, 2, 1);
    expect(sci.level).toBe(false);
    clock.advance(2.3435e9);
    expect(sci.edges).toBe(2);
  });
});

describe('events', () => {
  it('ACPI is switched by the SMI command port', () => {
    expect(bus.ioRead(CNT, 2) & 1).toBe(0);
    bus.ioWrite(0xb2, 1, 0xf1);
    expect(bus.ioRead(CNT, 2) & 1).toBe(1);
    expect(bus.ioRead(0xb2, 1)).toBe(0xf1);
    bus.ioWrite(0xb2, 1, 0xf0);
    expect(bus.ioRead(CNT, 2) & 1).toBe(0);
  });

  it('the power button raises SCI if enabled, and in ACPI mode only', () => {
    pm.powerButton();
    expect(bus.ioRead(STS, 2)).toBe(0x100);
    bus.ioWrite(EN, 2, 0x100);
    expect(sci.level).toBe(false);
    bus.ioWrite(0xb2, 1, 0xf1);
    expect(sci.level).toBe(true);
    bus.ioWrite(STS + 1, 1, 0x01);
    expect(sci.level).toBe(false);
  });

  it('general-purpose events raise SCI', () => {
    bus.ioWrite(0xb2, 1, 0xf1);
    bus.ioWrite(GPE0_BASE + 2, 1, 0x02);
    pm.raiseGpe(1);
    expect(sci.level).toBe(true);
    expect(bus.ioRead(GPE0_BASE, 4)).toBe(0x00020002);
    bus.ioWrite(GPE0_BASE, 1, 0x02);
    expect(sci.level).toBe(false);
  });

  it('sleep type 0 is soft-off, others do nothing', () => {
    bus.ioWrite(CNT, 2, 0x2401);
    expect(off).toBe(0);
    expect(bus.ioRead(CNT, 2)).toBe(0x0401);
    bus.ioWrite(CNT, 2, 0x0001);
    expect(off).toBe(0);
    bus.ioWrite(CNT, 2, 0x2001);
    expect(off).toBe(1);
  });
});

it('goes on from a saved state', () => {
  bus.ioWrite(0xb2, 1, 0xf1);
  bus.ioWrite(EN, 2, 0x101);
  const saved = structuredClone(pm.save());
  const other = new Piix4Pm(clock, sci, new Bus(), () => {});
  other.load(saved);
  expect(other.save()).toEqual(saved);
  clock.advance(2.4e9);
  expect(sci.level).toBe(true);
});
