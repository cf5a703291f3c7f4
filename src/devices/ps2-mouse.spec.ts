import { beforeEach, describe, expect, it } from 'vitest';
import { Ps2Mouse } from './ps2-mouse.ts';

// Packets and answers are compared with QEMU's in tests/devices/input.spec.ts.

let mouse: Ps2Mouse;
const drain = () => {
  const bytes: number[] = [];
  for (let byte = mouse.read(); byte >= 0; byte = mouse.read()) bytes.push(byte);
  return bytes;
};
const command = (...bytes: number[]) => {
  for (const byte of bytes) mouse.write(byte);
  return drain();
};
const rates = (...values: number[]) => values.forEach((value) => command(0xf3, value));

beforeEach(() => {
  mouse = new Ps2Mouse();
});

it('resets, and is a standard mouse', () => {
  expect(command(0xff)).toEqual([0xfa, 0xaa, 0x00]);
  expect(command(0xf2)).toEqual([0xfa, 0x00]);
});

describe('packets', () => {
  it('have movement upwards, signs, and buttons; only when the host has enabled them', () => {
    mouse.move(1, 1);
    expect(drain()).toEqual([]);
    command(0xf4);
    mouse.move(5, -3);
    expect(drain()).toEqual([0x08, 5, 3]);
    mouse.move(-5, 3);
    expect(drain()).toEqual([0x38, 0xfb, 0xfd]);
    mouse.press(0b101);
    mouse.press(0);
    expect(drain()).toEqual([0x0d, 0, 0, 0x08, 0, 0]);
    command(0xf5);
    mouse.move(1, 1);
    expect(drain()).toEqual([]);
  });

  it('gather movement while the host does not read, and keep a click', () => {
    command(0xf4);
    for (let n = 0; n < 100; n++) mouse.move(1, 0);
    mouse.press(1);
    mouse.press(0);
    const bytes = drain();
    const packets = Array.from({ length: bytes.length / 3 }, (_, n) => bytes.slice(3 * n, 3 * n + 3));
    expect(packets.reduce((sum, packet) => sum + packet[1], 0)).toBe(100);
    expect(packets.some((packet) => packet[0] & 1)).toBe(true);
    expect(packets.at(-1)![0] & 1).toBe(0);
    for (let n = 0; n < 10_000; n++) {
      mouse.press(n & 7);
      mouse.move(100, 100, 100);
      mouse.write(0xe9);
      mouse.write(0xeb);
    }
    expect((mouse.save() as { queue: number[] }).queue.length).toBeLessThan(200);
  });

  it('have a wheel after 200, 100, 80, and two more buttons after 200, 200, 80', () => {
    rates(200, 100, 80);
    expect(command(0xf2)).toEqual([0xfa, 3]);
    command(0xf4);
    mouse.move(0, 0, -1);
    expect(drain()).toEqual([0x08, 0, 0, 0xff]);
    rates(200, 200, 80);
    expect(command(0xf2)).toEqual([0xfa, 4]);
    mouse.move(0, 0, 10);
    expect(drain()).toEqual([0x08, 0, 0, 7, 0x08, 0, 0, 3]);
    mouse.press(0b11000);
    expect(drain()).toEqual([0x08, 0, 0, 0x30]);
  });

  it('come when asked for in remote mode', () => {
    command(0xf0);
    command(0xf4);
    mouse.move(7, 0);
    expect(drain()).toEqual([]);
    expect(command(0xeb)).toEqual([0xfa, 0x08, 7, 0]);
    expect(command(0xeb)).toEqual([0xfa, 0x08, 0, 0]);
  });
});

it('tells its status: mode, scaling, buttons, resolution, rate', () => {
  command(0xe8, 3);
  command(0xf3, 40);
  command(0xe7);
  command(0xf4);
  mouse.press(1);
  drain();
  expect(command(0xe9)).toEqual([0xfa, 0x34, 3, 40]);
  command(0xf6);
  expect(command(0xe9)).toEqual([0xfa, 0x04, 2, 100]);
});

it('echoes in wrap mode until it is told to stop', () => {
  command(0xee);
  expect(command(0xf4)).toEqual([0xf4]);
  expect(command(0xec)).toEqual([0xfa]);
  expect(command(0xf2)).toEqual([0xfa, 0]);
});

it('keeps its state in a snapshot', () => {
  rates(200, 100, 80);
  command(0xf4);
  const saved = structuredClone(mouse.save());
  mouse = new Ps2Mouse();
  mouse.load(saved);
  mouse.move(1, 0, 1);
  expect(drain()).toEqual([0x08, 1, 0, 1]);
});
