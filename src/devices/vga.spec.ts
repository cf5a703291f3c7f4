import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../machine/clock.ts';
import { Bus } from '../machine/bus.ts';
import { PciBus } from './pci.ts';
import { screenText } from './vga-text.ts';
import { Vga } from './vga.ts';

const VRAM = 1 << 20;
let clock: VirtualClock;
let vram: Uint8Array;
let vga: Vga;
let mapped: string[];

beforeEach(() => {
  clock = new VirtualClock(0);
  vram = new Uint8Array(VRAM);
  mapped = [];
  const note = (what: string) => (at: number) => void mapped.push(`${what} ${at.toString(16)}`);
  vga = new Vga(clock, { vram, romSize: 0x10000, mapVram: note('vram'), unmapVram: note('no vram'), mapRom: note('rom'), unmapRom: note('no rom') });
  new PciBus(new Bus(), () => {}).add(2, 0, vga);
  out(0x3c2, 0x67);
});

const out = (port: number, value: number) => vga.writePort(port, 1, value);
const inb = (port: number) => vga.readPort(port, 1);
function set(index: number, register: number, value: number): void {
  out(index, register);
  out(index + 1, value);
}
const sequencer = (register: number, value: number) => set(0x3c4, register, value);
const graphics = (register: number, value: number) => set(0x3ce, register, value);
const crtc = (register: number, value: number) => set(0x3d4, register, value);
const dispi = (index: number, value: number) => {
  vga.writePort(0x1ce, 2, index);
  vga.writePort(0x1cf, 2, value);
};
const readDispi = (index: number) => {
  vga.writePort(0x1ce, 2, index);
  return vga.readPort(0x1cf, 2);
};
const planesAt = (address: number) => [...vram.subarray(4 * address, 4 * address + 4)];

describe('registers', () => {
  it('keep the bits that exist', () => {
    for (const [index, register, expected] of [[0x3c4, 4, 0x0e], [0x3c4, 1, 0x3d], [0x3ce, 5, 0x7b], [0x3ce, 8, 0xff], [0x3ce, 9, 0], [0x3d4, 0x13, 0xff], [0x3d4, 0x40, 0]]) {
      set(index, register, 0xff);
      expect(inb(index + 1)).toBe(expected);
    }
    out(0x3c4, 0xff);
    expect(inb(0x3c4)).toBe(7);
  });

  it('answer at 3Bxh in monochrome', () => {
    crtc(0x0f, 0x55);
    out(0x3c2, 0x66);
    expect(inb(0x3d5)).toBe(0xff);
    expect(inb(0x3b5)).toBe(0x55);
    expect(inb(0x3cc)).toBe(0x66);
  });

  it('the attribute controller takes index and data by turns; reading the status begins anew', () => {
    out(0x3c0, 0x01);
    inb(0x3da);
    out(0x3c0, 0x31);
    out(0x3c0, 0xff);
    expect(inb(0x3c1)).toBe(0xff);
    out(0x3c0, 0x05);
    out(0x3c0, 0xff);
    expect(inb(0x3c1)).toBe(0x3f);
  });

  it('the CRTC protects its timing', () => {
    crtc(0x11, 0x80);
    crtc(0, 0x5f);
    crtc(7, 0xff);
    out(0x3d4, 0);
    expect(inb(0x3d5)).toBe(0);
    out(0x3d4, 7);
    expect(inb(0x3d5)).toBe(0x10);
  });

  it('the DAC takes three components a colour', () => {
    out(0x3c8, 5);
    for (const value of [1, 2, 0xff, 4, 5]) out(0x3c9, value);
    out(0x3c7, 5);
    expect(inb(0x3c7)).toBe(3);
    expect([inb(0x3c9), inb(0x3c9), inb(0x3c9)]).toEqual([1, 2, 0x3f]);
    expect([inb(0x3c9), inb(0x3c9), inb(0x3c9)]).toEqual([0, 0, 0]);
  });

  it('show the retrace 70 times a second', () => {
    const timing: [number, number][] = [[0, 0x5f], [1, 0x4f], [6, 0xbf], [7, 0x1f], [0x10, 0x9c], [0x11, 0x0e], [0x12, 0x8f]];
    for (const [register, value] of timing) crtc(register, value);
    let retraces = 0;
    let disabled = 0;
    let before = 0;
    for (let n = 0; n < 100_000; n++) {
      const status = inb(0x3da);
      if (status & 8 & ~before) retraces++;
      if (status & 1) disabled++;
      before = status;
      clock.advance(10_000);
    }
    expect(retraces).toBe(70);
    expect(disabled).toBeGreaterThan(25_000);
    expect(disabled).toBeLessThan(32_000);
  });
});

describe('memory', () => {
  beforeEach(() => {
    sequencer(2, 0x0f);
    sequencer(4, 0x06);
    graphics(6, 0x05);
    graphics(8, 0xff);
  });

  it('write mode 0: rotation, set/reset, function and bit mask', () => {
    vga.writeMmio(7, 1, 0xa5);
    expect(planesAt(7)).toEqual([0xa5, 0xa5, 0xa5, 0xa5]);
    sequencer(2, 0x05);
    vga.writeMmio(7, 1, 0x00);
    expect(planesAt(7)).toEqual([0, 0xa5, 0, 0xa5]);
    sequencer(2, 0x0f);
    graphics(3, 4);
    vga.writeMmio(7, 1, 0x1f);
    expect(planesAt(7)).toEqual([0xf1, 0xf1, 0xf1, 0xf1]);
    graphics(3, 0);
    graphics(0, 0x02);
    graphics(1, 0x03);
    vga.writeMmio(7, 1, 0x3c);
    expect(planesAt(7)).toEqual([0, 0xff, 0x3c, 0x3c]);
    graphics(1, 0);
    vga.readMmio(7, 1);
    graphics(8, 0x0f);
    vga.writeMmio(7, 1, 0x55);
    expect(planesAt(7)).toEqual([0x05, 0xf5, 0x35, 0x35]);
    graphics(8, 0xff);
    for (const [fn, expected] of [[0x08, 0x05 & 0x33], [0x10, 0x05 | 0x33], [0x18, 0x05 ^ 0x33]]) {
      vga.readMmio(7, 1);
      graphics(3, 0);
      sequencer(2, 0x0e);
      vga.writeMmio(7, 1, 0);
      sequencer(2, 0x0f);
      graphics(3, fn);
      vga.writeMmio(7, 1, 0x33);
      expect(planesAt(7)[0]).toBe(expected);
      vram[28] = 0x05;
    }
  });

  it('write mode 1 copies the latches', () => {
    vram.set([1, 2, 3, 4], 40);
    vga.readMmio(10, 1);
    graphics(5, 1);
    vga.writeMmio(11, 1, 0x99);
    expect(planesAt(11)).toEqual([1, 2, 3, 4]);
  });

  it('write mode 2 spreads a colour', () => {
    graphics(5, 2);
    vga.writeMmio(3, 1, 0x09);
    expect(planesAt(3)).toEqual([0xff, 0, 0, 0xff]);
  });

  it('write mode 3 masks the set/reset colour by the data', () => {
    vga.readMmio(3, 1);
    graphics(0, 0x06);
    graphics(5, 3);
    graphics(8, 0xfc);
    vga.writeMmio(3, 1, 0x0f);
    expect(planesAt(3)).toEqual([0, 0x0c, 0x0c, 0]);
  });

  it('read mode 0 gives a plane, read mode 1 compares colours', () => {
    vram.set([0x0f, 0x33, 0x55, 0x00], 20);
    for (const [plane, value] of [[0, 0x0f], [1, 0x33], [2, 0x55], [3, 0]]) {
      graphics(4, plane);
      expect(vga.readMmio(5, 1)).toBe(value);
    }
    graphics(5, 8);
    graphics(7, 0x0f);
    graphics(2, 0x07);
    expect(vga.readMmio(5, 1)).toBe(0x01);
    graphics(7, 0x03);
    expect(vga.readMmio(5, 1)).toBe(0x03);
    graphics(7, 0);
    expect(vga.readMmio(5, 1)).toBe(0xff);
  });

  it('chain 4 is linear, odd/even pairs characters and attributes', () => {
    sequencer(4, 0x0e);
    vga.writeMmio(4, 4, 0x04030201);
    expect(planesAt(1)).toEqual([1, 2, 3, 4]);
    expect(vga.readMmio(4, 4)).toBe(0x04030201);
    sequencer(4, 0x02);
    sequencer(2, 3);
    graphics(5, 0x10);
    graphics(6, 0x0e);
    vga.writeMmio(0x18002, 2, 0x1f41);
    expect(planesAt(1)).toEqual([0x41, 0x1f, 3, 4]);
    expect(vga.readMmio(0x18002, 2)).toBe(0x1f41);
    expect(vga.readMmio(0x10000, 1)).toBe(0xff);
    vga.writeMmio(0, 1, 1);
    expect(planesAt(0)).toEqual([0, 0, 0, 0]);
  });
});

describe('VBE', () => {
  it('has a mode with its memory cleared, and keeps it inside video memory', () => {
    expect(readDispi(0)).toBe(0xb0c5);
    expect(readDispi(10)).toBe(VRAM >> 16);
    vram.fill(0x77);
    dispi(4, 0);
    dispi(1, 640);
    dispi(2, 400);
    dispi(3, 32);
    dispi(4, 0x41);
    expect([1, 2, 3, 6, 7].map(readDispi)).toEqual([640, 400, 32, 640, 409]);
    expect(vram[640 * 400 * 4 - 1]).toBe(0);
    expect(vram[640 * 400 * 4]).toBe(0x77);
    dispi(9, 9);
    expect(readDispi(9)).toBe(9);
    dispi(9, 10);
    expect(readDispi(9)).toBe(0);
    dispi(1, 0xffff);
    dispi(2, 0xffff);
    expect(readDispi(1)).toBe(16000);
    expect(readDispi(2)).toBe(Math.floor(VRAM / 64000));
    dispi(3, 7);
    expect(readDispi(3)).toBe(8);
    dispi(4, 0x43);
    expect([1, 2, 3].map(readDispi)).toEqual([16000, 12000, 32]);
  });

  it('has the banks of the picture in the window', () => {
    dispi(1, 640);
    dispi(2, 400);
    dispi(3, 8);
    dispi(4, 1);
    dispi(5, 2);
    vga.writeMmio(0x10, 2, 0xbeef);
    expect([vram[0x20010], vram[0x20011]]).toEqual([0xef, 0xbe]);
    dispi(5, 0xffff);
    expect(readDispi(5)).toBe(15);
  });

  it('is reached through BAR 2, as the VGA registers are', () => {
    const mmio: { readMmio(offset: number, size: 1 | 2 | 4): number; writeMmio(offset: number, size: 1 | 2 | 4, value: number): void }[] = [];
    const spaces = { mapPorts() {}, unmapPorts() {}, unmapMmio() {}, mapMmio: (_name: string, device: (typeof mmio)[0]) => void mmio.push(device) };
    vga.attach(new PciBus(spaces, () => {}), 2);
    vga.writeConfig(0x18, 4, 0xfebf0000);
    vga.writeConfig(4, 2, 2);
    mmio[0].writeMmio(0x502, 2, 800);
    expect(readDispi(1)).toBe(800);
    expect(mmio[0].readMmio(0x500, 2)).toBe(0xb0c5);
    mmio[0].writeMmio(0x40e, 2, 0x0304);
    graphics(4, 2);
    expect(mmio[0].readMmio(0x40e, 2)).toBe(0x0204);
    expect(mmio[0].readMmio(0x604, 4)).toBe(0x1e1e1e1e);
  });
});

it('maps its memory and ROM where the guest puts them', () => {
  vga.writeConfig(0x10, 4, 0xfd000000);
  vga.writeConfig(0x30, 4, 0xffffffff);
  expect(vga.get32(0x30)).toBe(0xffff0001);
  vga.writeConfig(0x30, 4, 0xfebe0001);
  expect(mapped).toEqual([]);
  vga.writeConfig(4, 2, 2);
  expect(mapped.sort()).toEqual(['rom febe0000', 'vram fd000000']);
  mapped = [];
  vga.writeConfig(0x30, 4, 0xfebe0000);
  vga.writeConfig(0x10, 4, 0xe0000000);
  expect(mapped).toEqual(['no rom febe0000', 'no vram fd000000', 'vram e0000000']);
  vga.reset();
  expect(mapped.at(-1)).toBe('no vram e0000000');
});

describe('the text screen', () => {
  beforeEach(() => {
    const mode: [number, number][] = [[1, 9], [7, 0], [9, 0x4f], [0x12, 47], [0x13, 5], [0x0e, 0], [0x0f, 12]];
    for (const [register, value] of mode) crtc(register, value);
    out(0x3c0, 0x20);
    [...'Hello, 10 columns and 3 rows'].forEach((c, i) => vram.set([c.charCodeAt(0), 0x07], 4 * i));
  });

  it('is read from the planes', () => {
    const screen = vga.textScreen()!;
    expect([screen.columns, screen.rows, screen.cursor, screen.attributes[0]]).toEqual([10, 3, 12, 7]);
    expect(screenText(screen)).toBe('Hello, 10\ncolumns an\nd 3 rows\n');
    crtc(0x0d, 10);
    crtc(0x0a, 0x20);
    expect(screenText(vga.textScreen()!)).toBe('columns an\nd 3 rows\n');
    expect(vga.textScreen()!.cursor).toBe(-1);
  });

  it('has the characters of code page 437', () => {
    vram.set([0x01, 7, 0, 0, 0xb0, 7, 0, 0, 0xe1, 7, 0, 0, 0xfe, 7, 0, 0, 0x7f, 7, 0, 0, 0xff], 0);
    expect(screenText(vga.textScreen()!).split('\n')[0]).toBe('☺░ß■⌂  10');
  });

  it('is none in graphics modes, and while the palette is off', () => {
    graphics(6, 1);
    expect(vga.textScreen()).toBeNull();
    graphics(6, 0);
    out(0x3c0, 0x00);
    out(0x3c0, 0x00);
    expect(vga.textScreen()).toBeNull();
  });
});

it('keeps its registers in a snapshot', () => {
  graphics(4, 2);
  vga.writeConfig(0x30, 4, 0xfebe0001);
  vga.writeConfig(4, 2, 2);
  const state = vga.save();
  vga.reset();
  expect(mapped.at(-1)).toBe('no rom febe0000');
  vga.load(state);
  expect(mapped.at(-1)).toBe('rom febe0000');
  out(0x3ce, 4);
  expect(inb(0x3cf)).toBe(2);
});
