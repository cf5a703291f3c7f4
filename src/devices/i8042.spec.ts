import { beforeEach, describe, expect, it } from 'vitest';
import { I8042 } from './i8042.ts';
import { VirtualClock } from '../machine/clock.ts';
import { keyNamed } from './keys.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';
import { TestLine } from './testing.ts';

let irq1: TestLine;
let irq12: TestLine;
let a20: boolean[];
let resets: number;
let keyboard: Ps2Keyboard;
let kbc: I8042;
const press = (name: string) => keyboard.key(keyNamed(name)!, true);
const release = (name: string) => keyboard.key(keyNamed(name)!, false);
const status = () => kbc.readPort(0x64, 1);
const command = (value: number) => kbc.writePort(0x64, 1, value);
const data = (value: number) => kbc.writePort(0x60, 1, value);
/** All bytes that wait. */
const drain = () => {
  const bytes: number[] = [];
  while (status() & 1) bytes.push(kbc.readPort(0x60, 1));
  return bytes;
};

beforeEach(() => {
  irq1 = new TestLine();
  irq12 = new TestLine();
  a20 = [];
  resets = 0;
  keyboard = new Ps2Keyboard(new VirtualClock(0));
  kbc = new I8042(
    irq1,
    irq12,
    (enabled) => a20.push(enabled),
    () => resets++,
    keyboard,
  );
});

describe('controller', () => {
  it('passes the probe of Linux', () => {
    expect(drain()).toEqual([]); // flush
    command(0x20);
    expect(drain()).toEqual([0x03]);
    command(0x60);
    data(0x43);
    command(0x20);
    expect(drain()).toEqual([0x43]);
    // The aux port: loop and test.
    command(0xd3);
    data(0x5a);
    expect(status() & 0x21).toBe(0x21);
    expect(irq12.level).toBe(true);
    expect(drain()).toEqual([0x5a]);
    command(0xa9);
    expect(drain()).toEqual([0x00]);
    command(0xa7);
    command(0x20);
    expect(drain()).toEqual([0x63]);
    command(0xa8);
    command(0x20);
    expect(drain()).toEqual([0x43]);
  });

  it('tests itself and sets the system flag', () => {
    expect(status() & 0x04).toBe(0);
    command(0xaa);
    expect(drain()).toEqual([0x55]);
    expect(status() & 0x04).toBe(0x04);
    command(0xab);
    expect(drain()).toEqual([0x00]);
  });

  it('tells commands from data', () => {
    command(0xae);
    expect(status() & 0x08).toBe(0x08);
    data(0xee);
    expect(status() & 0x08).toBe(0);
  });

  it('has the A20 gate and the reset line', () => {
    command(0xd0);
    expect(drain()).toEqual([0xcf]);
    command(0xd1);
    data(0xdd);
    command(0xd1);
    data(0xdf);
    command(0xdd);
    command(0xdf);
    expect(a20).toEqual([false, true, false, true]);
    command(0xff);
    expect(resets).toBe(0);
    command(0xfe);
    command(0xf0);
    expect(resets).toBe(2);
  });

  it('has RAM behind its commands', () => {
    command(0x65);
    data(0x99);
    command(0x25);
    expect(drain()).toEqual([0x99]);
  });

  it('keeps no more answers than a host may forget', () => {
    for (let n = 0; n < 100; n++) command(0x20);
    expect(drain().length).toBeLessThan(20);
    for (let n = 0; n < 1000; n++) data(0xf2);
    expect(drain().length).toBeLessThan(400);
    data(0xee);
    expect(drain()).toEqual([0xee]);
  });

  it('answers for a missing mouse with a timeout', () => {
    command(0xd4);
    data(0xf2);
    expect(status() & 0x61).toBe(0x61);
    expect(drain()).toEqual([0xfe]);
  });
});

describe('keyboard', () => {
  it('resets and identifies itself (Linux atkbd)', () => {
    data(0xff);
    expect(drain()).toEqual([0xfa, 0xaa]);
    data(0xf2);
    expect(drain()).toEqual([0xfa, 0xab, 0x83]);
    data(0xed);
    data(0x02);
    expect(drain()).toEqual([0xfa, 0xfa]);
    expect(keyboard.leds).toBe(2);
    data(0xf3);
    data(0x00);
    data(0xf0);
    data(0x00);
    expect(drain()).toEqual([0xfa, 0xfa, 0xfa, 0xfa, 0x02]);
    data(0xee);
    expect(drain()).toEqual([0xee]);
    data(0x12);
    expect(drain()).toEqual([0xfe]);
  });

  it('interrupts for each byte, if the command byte allows it', () => {
    press('a');
    expect(irq1.level).toBe(true);
    release('a');
    expect(drain()).toEqual([0x1c, 0xf0, 0x1c]);
    expect(irq1.edges).toBe(3);
    expect(irq1.level).toBe(false);
    command(0x60);
    data(0x00);
    press('a');
    expect(irq1.level).toBe(false);
    expect(drain()).toEqual([0x1c]);
  });

  it('leaves its interrupt alone while the host has shut the keyboard out, whoever answers', () => {
    // SeaBIOS's start.
    command(0xad);
    command(0xaa);
    expect(irq1.level).toBe(false);
    expect(drain()).toEqual([0x55]);
    command(0xae);
    command(0xaa);
    expect(irq1.level).toBe(true);
    expect(drain()).toEqual([0x55]);
    expect(irq1.edges).toBe(1);
  });

  it('is translated to set 1 where the command byte says so', () => {
    command(0x60);
    data(0x41);
    for (const name of ['a', 'up']) {
      press(name);
      release(name);
    }
    press('f7');
    press('esc');
    expect(drain()).toEqual([0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0x01]);
    data(0xf2);
    expect(drain()).toEqual([0xfa, 0xab, 0x41]);
  });

  it('waits while its interface is disabled, and is enabled by a byte to it', () => {
    command(0xad);
    press('a');
    expect(status() & 1).toBe(0);
    command(0xae);
    expect(drain()).toEqual([0x1c]);
    data(0xf5);
    expect(drain()).toEqual([0xfa]);
    press('a');
    expect(drain()).toEqual([]);
    data(0xf4);
    expect(drain()).toEqual([0xfa]);
  });

  it('a missing keyboard times out', () => {
    kbc = new I8042(irq1, irq12, () => {}, () => {});
    data(0xff);
    expect(status() & 0x41).toBe(0x41);
    expect(drain()).toEqual([0xfe]);
  });
});

it('goes on from a saved state', () => {
  command(0x60);
  data(0x41);
  press('a');
  release('a');
  const saved = structuredClone(kbc.save());
  kbc = new I8042(irq1, irq12, () => {}, () => {}, new Ps2Keyboard(new VirtualClock(0)));
  kbc.load(saved);
  expect(drain()).toEqual([0x1e, 0x9e]);
});
