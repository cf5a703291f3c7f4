// Keyboard and mouse compared with QEMU's, byte by byte: both get the same keys, movements and commands; QEMU's keys come over QMP
// (input-send-event), and its controller is read through the qtest protocol (docs/devel/testing/qtest.rst).

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { I8042 } from '../../src/devices/i8042.ts';
import { KEYS, keyNamed } from '../../src/devices/keys.ts';
import { Ps2Keyboard } from '../../src/devices/ps2-keyboard.ts';
import { Ps2Mouse } from '../../src/devices/ps2-mouse.ts';
import { TestLine } from '../../src/devices/testing.ts';
import { VirtualClock } from '../../src/machine/clock.ts';

/** Buttons in the order of their bits. */
const BUTTONS = ['left', 'right', 'middle', 'side', 'extra'];

interface Controller {
  /** To port 64h, and to 60h. */
  command(byte: number): Promise<void>;
  data(byte: number): Promise<void>;
  key(name: string, down: boolean): Promise<void>;
  move(dx: number, dy: number): Promise<void>;
  /** One step of the wheel, 1 towards the user. */
  wheel(step: 1 | -1): Promise<void>;
  button(number: number, down: boolean): Promise<void>;
  /** All bytes that wait; those of the mouse have 100h added. */
  drain(): Promise<string>;
}

class Qemu implements Controller {
  private readonly child: ChildProcess;
  private readonly answers: ((line: string) => void)[] = [];
  private readonly qmpAnswers: (() => void)[] = [];
  private qmp: Socket | undefined;

  constructor(private readonly folder: string) {
    // Input reaches only a machine that runs; so it does nothing: CLI, HLT, and back, at the reset vector.
    const firmware = new Uint8Array(0x10000);
    firmware.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);
    writeFileSync(join(folder, 'firmware'), firmware);
    this.child = spawn('qemu-system-x86_64', [
      '-accel', 'tcg', '-qtest', 'stdio', '-qtest-log', '/dev/null', '-machine', 'pc', '-bios', `${folder}/firmware`, '-m', '16', '-display', 'none', '-vga', 'none', '-net', 'none',
      '-qmp', `unix:${folder}/qmp,server=on,wait=off`,
    ], { stdio: ['pipe', 'pipe', 'ignore'] });
    createInterface(this.child.stdout!).on('line', (line) => {
      if (/^(OK|FAIL|ERR)/.test(line)) this.answers.shift()?.(line);
    });
  }

  async start(): Promise<void> {
    await this.ask('inb 0x64');
    const socket = connect(join(this.folder, 'qmp'));
    this.qmp = socket;
    createInterface(socket).on('line', (line) => {
      if (/"return"|"error"/.test(line)) this.qmpAnswers.shift()?.();
    });
    await this.control({ execute: 'qmp_capabilities' });
  }

  private ask(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.answers.push((line) => (line.startsWith('OK') ? resolve(line.slice(3)) : reject(new Error(`${text}: ${line}`))));
      this.child.stdin!.write(`${text}\n`);
    });
  }

  private control(message: object): Promise<void> {
    return new Promise((resolve) => {
      this.qmpAnswers.push(resolve);
      this.qmp!.write(JSON.stringify(message));
    });
  }

  private event(...events: object[]): Promise<void> {
    return this.control({ execute: 'input-send-event', arguments: { events } });
  }

  async command(byte: number): Promise<void> {
    await this.ask(`outb 0x64 ${byte}`);
  }
  async data(byte: number): Promise<void> {
    await this.ask(`outb 0x60 ${byte}`);
  }
  key(name: string, down: boolean): Promise<void> {
    return this.event({ type: 'key', data: { down, key: { type: 'qcode', data: name } } });
  }
  move(dx: number, dy: number): Promise<void> {
    return this.event({ type: 'rel', data: { axis: 'x', value: dx } }, { type: 'rel', data: { axis: 'y', value: dy } });
  }
  async wheel(step: 1 | -1): Promise<void> {
    // Its release would be another packet, without a step.
    await this.event({ type: 'btn', data: { down: true, button: step > 0 ? 'wheel-down' : 'wheel-up' } });
  }
  button(number: number, down: boolean): Promise<void> {
    return this.event({ type: 'btn', data: { down, button: BUTTONS[number] } });
  }
  async drain(): Promise<string> {
    const bytes: number[] = [];
    for (;;) {
      let status = Number(await this.ask('inb 0x64'));
      // The controller takes a moment from one byte to the next.
      for (let n = 0; n < 2 && !(status & 1); n++) {
        await new Promise((done) => setTimeout(done, 2));
        status = Number(await this.ask('inb 0x64'));
      }
      if (!(status & 1)) return hex(bytes);
      bytes.push(Number(await this.ask('inb 0x60')) + (status & 0x20 ? 0x100 : 0));
    }
  }
  end(): void {
    this.qmp?.destroy();
    this.child.kill();
  }
}

class Tabvisor implements Controller {
  private readonly keyboard = new Ps2Keyboard(new VirtualClock(0));
  private readonly mouse = new Ps2Mouse();
  private readonly controller = new I8042(new TestLine(), new TestLine(), () => {}, () => {}, this.keyboard, this.mouse);
  private buttons = 0;

  async command(byte: number): Promise<void> {
    this.controller.writePort(0x64, 1, byte);
  }
  async data(byte: number): Promise<void> {
    this.controller.writePort(0x60, 1, byte);
  }
  async key(name: string, down: boolean): Promise<void> {
    this.keyboard.key(keyNamed(name)!, down);
  }
  async move(dx: number, dy: number): Promise<void> {
    this.mouse.move(dx, dy);
  }
  async wheel(step: 1 | -1): Promise<void> {
    this.mouse.move(0, 0, step);
  }
  async button(number: number, down: boolean): Promise<void> {
    this.buttons = down ? this.buttons | (1 << number) : this.buttons & ~(1 << number);
    this.mouse.press(this.buttons);
  }
  async drain(): Promise<string> {
    const bytes: number[] = [];
    for (;;) {
      const status = this.controller.readPort(0x64, 1);
      if (!(status & 1)) return hex(bytes);
      bytes.push(this.controller.readPort(0x60, 1) + (status & 0x20 ? 0x100 : 0));
    }
  }
}

/** Keys for which QEMU 7.2 has no scan codes; of Lang1 and Lang2 it has only those of set 1. */
const UNKNOWN = /^(f1[3-9]|f2[0-4]|menu)$/;

const hex = (bytes: number[]) => bytes.map((byte) => byte.toString(16)).join(' ');

const folder = mkdtempSync(join(tmpdir(), 'input-'));
let qemu: Qemu;
let both: Controller[];
beforeAll(async () => {
  qemu = new Qemu(folder);
  await qemu.start();
  both = [qemu, new Tabvisor()];
}, 30_000);
afterAll(() => {
  qemu.end();
  rmSync(folder, { recursive: true });
});

/** Do the same to both, and compare what they say; gives that. */
async function same(name: string, action: (controller: Controller) => Promise<void>): Promise<string> {
  const [theirs, ours] = await Promise.all(both.map(async (controller) => {
    await action(controller);
    return controller.drain();
  }));
  expect.soft(ours, name).toBe(theirs);
  return ours;
}

it('every key in sets 2 and 1, and translated', async () => {
  await same('reset', async (kbc) => {
    await kbc.command(0x60);
    await kbc.data(0x03);
    await kbc.data(0xff);
  });
  for (const [set, mode] of [[2, 0x03], [1, 0x03], [2, 0x43]]) {
    await same(`set ${set}`, async (kbc) => {
      await kbc.command(0x60);
      await kbc.data(mode);
      await kbc.data(0xf0);
      await kbc.drain();
      await kbc.data(set);
    });
    for (const { name } of KEYS) {
      if (UNKNOWN.test(name) || (set === 2 && /^lang/.test(name))) continue;
      expect.soft(await same(`${name} down, set ${set}, command byte ${mode}`, (kbc) => kbc.key(name, true))).not.toBe('');
      await same(`${name} up, set ${set}, command byte ${mode}`, (kbc) => kbc.key(name, false));
    }
    for (const [hold, name] of [['shift', 'print'], ['ctrl', 'print'], ['alt', 'print'], ['alt_r', 'print'], ['ctrl', 'pause'], ['shift', 'delete']]) {
      for (const [key, down] of [[hold, true], [name, true], [name, false], [hold, false]] as const) {
        await same(`${hold} and ${name}, set ${set}: ${key} ${down}`, (kbc) => kbc.key(key, down));
      }
    }
  }
}, 60_000);

it('the keyboard\'s commands', async () => {
  for (const bytes of [[0xf2], [0xee], [0xed, 7], [0xf3, 0x20], [0xf0, 0], [0xf0, 1], [0xf0, 0], [0xf6], [0xf0, 0], [0xf5], [0xf4]]) {
    for (const byte of bytes) await same(`${byte.toString(16)} of command ${hex(bytes)}`, (kbc) => kbc.data(byte));
  }
});

it('the mouse: commands, packets, wheel and five buttons', async () => {
  const mouse = (...bytes: number[]) => same(`mouse command ${hex(bytes)}`, async (kbc) => {
    for (const byte of bytes) {
      await kbc.command(0xd4);
      await kbc.data(byte);
    }
  });
  const play = async (name: string) => {
    for (const [dx, dy] of [[1, 0], [-1, 2], [127, -127], [200, 0], [-300, 130]]) await same(`${name}: ${dx}, ${dy}`, (kbc) => kbc.move(dx, dy));
    for (const button of [0, 1, 2]) for (const down of [true, false]) await same(`${name}: button ${button} ${down}`, (kbc) => kbc.button(button, down));
  };
  await mouse(0xff);
  await mouse(0xf2);
  await mouse(0xe9);
  for (const bytes of [[0xe8, 3], [0xf3, 60], [0xe7], [0xe9], [0xe6], [0xf4], [0xe9]]) await mouse(...bytes);
  await play('standard');
  await mouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
  await mouse(0xf2);
  await play('wheel');
  for (const step of [1, -1] as const) await same(`wheel ${step}`, (kbc) => kbc.wheel(step));
  await mouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
  await mouse(0xf2);
  await play('explorer');
  for (const step of [1, -1] as const) await same(`wheel ${step}`, (kbc) => kbc.wheel(step));
  for (const button of [3, 4]) for (const down of [true, false]) await same(`button ${button} ${down}`, (kbc) => kbc.button(button, down));
  for (const bytes of [[0xee], [0xf4], [0xe9], [0xec], [0xf0], [0xeb], [0xea], [0xf5], [0xf6], [0xe9]]) await mouse(...bytes);
}, 30_000);
