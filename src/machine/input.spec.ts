import { beforeEach, describe, expect, it } from 'vitest';
import { Ps2Keyboard } from '../devices/ps2-keyboard.ts';
import { Ps2Mouse } from '../devices/ps2-mouse.ts';
import { VmPort } from '../devices/vmport.ts';
import { VirtualClock } from './clock.ts';
import { Button, InputSender, keyNamed, KEYS, MachineInput, MAX_TEXT } from './input.ts';
import { Control } from './protocol.ts';

let buffer: SharedArrayBuffer;
let clock: VirtualClock;
let keyboard: Ps2Keyboard;
let mouse: Ps2Mouse;
let vmport: VmPort;
let sender: InputSender;
let input: MachineInput;
const registers = new Array<number>(8).fill(0);

beforeEach(() => {
  buffer = new SharedArrayBuffer(Control.SCREEN + 0x1000);
  clock = new VirtualClock(0);
  keyboard = new Ps2Keyboard(clock);
  mouse = new Ps2Mouse();
  mouse.write(0xf4);
  mouse.read();
  vmport = new VmPort({ get: (n) => registers[n], set: (n, value) => (registers[n] = value) }, 0, () => {});
  sender = new InputSender(buffer);
  input = new MachineInput(buffer, clock, { keyboard, mouse, vmport });
});

const drain = (device: Ps2Keyboard | Ps2Mouse) => {
  const bytes: number[] = [];
  for (let byte = device.read(); byte >= 0; byte = device.read()) bytes.push(byte);
  return bytes;
};
const enableVmmouse = () => {
  registers.fill(0);
  [registers[0], registers[1], registers[3]] = [0x564d5868, 41, 0x53424152];
  vmport.readPort(0x5658, 4);
};

describe('events through shared memory', () => {
  it('reach keyboard and mouse, and ring the doorbell', () => {
    const a = keyNamed('a')!;
    sender.key(a, true);
    sender.key(a, false);
    sender.moveBy(-3, 4);
    sender.button(Button.RIGHT, true);
    expect(Atomics.load(new Int32Array(buffer, Control.DOORBELL, 1), 0)).toBe(4);
    input.poll();
    expect(drain(keyboard)).toEqual([0x1c, 0xf0, 0x1c]);
    expect(drain(mouse)).toEqual([0x38, 0xfd, 0xfc, 0x0a, 0, 0]);
  });

  it('are bounded while the machine takes none', () => {
    let sent = 0;
    while (sent < 10_000 && sender.key(5, true)) sent++;
    expect(sent).toBeLessThan(600);
    input.poll();
    expect(sender.key(5, false)).toBe(true);
  });

  it('tell back what the guest wants of the pointer, and its lamps', () => {
    input.poll();
    expect([sender.isAbsolute, sender.isMouseWanted, sender.leds]).toEqual([false, true, 0]);
    enableVmmouse();
    keyboard.write(0xed);
    keyboard.write(0x04);
    input.poll();
    expect([sender.isAbsolute, sender.isMouseWanted, sender.leds]).toEqual([true, false, 4]);
    vmport.reset();
    mouse.write(0xf5);
    input.poll();
    expect([sender.isAbsolute, sender.isMouseWanted]).toEqual([false, false]);
  });

  it('of any content do no harm', () => {
    const ring = new Uint8Array(buffer, Control.INPUT_RING + 16, 512);
    for (let n = 0; n < ring.length; n++) ring[n] = (n * 37) & 0xff;
    new Int32Array(buffer, Control.INPUT_RING, 1)[0] = 512;
    expect(() => input.poll()).not.toThrow();
  });
});

it('the pointer goes where the guest asked for it, as in QEMU', () => {
  input.moveTo(100, 100);
  expect(drain(mouse)).toEqual([]);
  enableVmmouse();
  input.moveTo(100, 99_999);
  input.setButtons(1);
  input.moveBy(5, 0);
  // Relative movement is still the PS/2 mouse's.
  expect(drain(mouse)).toEqual([0x08, 5, 0]);
  expect((vmport.save() as { queue: number[] }).queue).toEqual([0, 200, 0xfffe, 0, 0x20, 200, 0xfffe, 0]);
});

describe('what programs type', () => {
  const run = (ms: number) => {
    const bytes: number[] = [];
    for (let at = 0; at < ms; at++) {
      clock.skipTo(clock.now() + 1_000_000);
      clock.runExpired();
      bytes.push(...drain(keyboard));
    }
    return bytes;
  };

  it('sendkey holds keys together and releases them backwards', () => {
    expect(input.sendKeys(['ctrl', 'alt', 'delete'].map((name) => keyNamed(name)!))).toBe(true);
    expect(drain(keyboard)).toEqual([0x14]);
    expect(run(700)).toEqual([0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14]);
    while (input.sendKeys([1])) { /* until too many wait */ }
    input.reset();
    expect(input.sendKeys([1])).toBe(true);
  });

  it('text comes with Shift, and as fast as the guest reads', () => {
    expect(input.type('aB\r\nä€ä')).toEqual({ unknown: ['ä', '€'], refused: 0 });
    expect([...drain(keyboard), ...run(100)]).toEqual([0x1c, 0xf0, 0x1c, 0x12, 0x32, 0xf0, 0x32, 0xf0, 0x12, 0x5a, 0xf0, 0x5a]);
    input.type('cd');
    // Nobody reads: the second letter waits.
    clock.skipTo(clock.now() + 1e9);
    clock.runExpired();
    expect(drain(keyboard)).toEqual([0x21, 0xf0, 0x21]);
    expect(run(100)).toEqual([0x23, 0xf0, 0x23]);
  });

  it('text comes behind keys that were sent before it', () => {
    sender.key(keyNamed('shift')!, true);
    sender.key(keyNamed('shift')!, false);
    input.type('a');
    expect([...drain(keyboard), ...run(100)]).toEqual([0x12, 0xf0, 0x12, 0x1c, 0xf0, 0x1c]);
  });

  it('is bounded', () => {
    expect(input.type('x'.repeat(MAX_TEXT + 10)).refused).toBeGreaterThan(5);
    expect(KEYS.length).toBeLessThan(0x8000);
  });
});
