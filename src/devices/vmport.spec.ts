import { beforeEach, expect, it } from 'vitest';
import { VMPORT, VmPort } from './vmport.ts';

// Commands and words as Linux's driver (drivers/input/mouse/vmmouse.c) uses them; QEMU answers the same in tests/devices/input.spec.ts.

const MAGIC = 0x564d5868;
let registers: number[];
let port: VmPort;
let pokes: number;

beforeEach(() => {
  registers = new Array(8).fill(0);
  pokes = 0;
  port = new VmPort({ get: (n) => registers[n], set: (n, value) => (registers[n] = value >>> 0) }, 64 << 20, () => pokes++);
});

/** IN EAX, DX; gives EAX, EBX, ECX, EDX. */
function ask(command: number, ebx = 0): number[] {
  registers[0] = MAGIC;
  registers[1] = command;
  registers[3] = ebx;
  registers[0] = port.readPort(VMPORT, 4) >>> 0;
  return [registers[0], registers[3], registers[1], registers[2]];
}

const enable = () => {
  ask(41, 0x45414552);
  expect(ask(40)[0]).toBe(1);
  expect(ask(39, 1)[0]).toBe(0x3442554a);
  ask(41, 0x53424152);
};

it('answers only to the magic number, and tells version and memory', () => {
  registers[0] = 1;
  expect(port.readPort(VMPORT, 4)).toBe(0xffffffff);
  expect(ask(10).slice(0, 3)).toEqual([6, MAGIC, 2]);
  expect(ask(20).slice(0, 2)).toEqual([64 << 20, 0x1177]);
  expect(ask(99)[0]).toBe(0xffffffff);
});

it('gives the pointer to a driver that asks for it, and tells it so', () => {
  port.move(1, 1);
  expect([port.mode, pokes]).toEqual(['off', 0]);
  enable();
  expect(port.mode).toBe('absolute');
  port.move(0x4000, 0x7fff);
  port.press(0b11);
  port.wheel(-1);
  expect(pokes).toBe(3);
  expect(ask(40)[0]).toBe(12);
  expect(ask(39, 4)).toEqual([0, 0x8000, 0xfffe, 0]);
  expect(ask(39, 4)).toEqual([0x30, 0x8000, 0xfffe, 0]);
  expect(ask(39, 4)).toEqual([0x30, 0x8000, 0xfffe, 0xffffffff]);
  ask(41, 0xf5);
  expect(port.mode).toBe('off');
  expect(ask(40)[0]).toBe(0xffff0000);
});

it('moves by counts in relative mode', () => {
  enable();
  ask(41, 0x4c455252);
  port.move(-3, 4);
  expect(ask(39, 4)).toEqual([0, 0xfffffffd, 4, 0]);
});

it('fails when more is read than is there, until it is enabled again', () => {
  enable();
  ask(39, 4);
  expect(ask(40)[0]).toBe(0xffff0000);
  enable();
  for (let n = 0; n < 5000; n++) port.move(n & 0x7fff, 0);
  expect(ask(40)[0]).toBeLessThanOrEqual(1024);
  ask(39, 0xffffffff);
  expect(ask(40)[0] >>> 16).toBe(0xffff);
});

it('keeps its state in a snapshot', () => {
  enable();
  port.move(1, 2);
  const saved = structuredClone(port.save());
  port.reset();
  expect(port.mode).toBe('off');
  port.load(saved);
  expect(ask(39, 4).slice(0, 3)).toEqual([0, 2, 4]);
});
