// A machine that boots from its media through SeaBIOS, its screen read as text, its keyboard typed on.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RawMemory } from '../../src/backends/block/raw-memory.ts';
import type { BlockBackend } from '../../src/devices/interfaces.ts';
import { keyNamed } from '../../src/devices/keys.ts';
import { screenText } from '../../src/devices/vga-text.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { Machine, type MachineOptions } from '../../src/machine/machine.ts';
import { firmwareFiles, parse } from '../../src/machine/options/index.ts';

const OUT = join(import.meta.dirname, '../../guests/out');

/** Guest instructions between two looks at the screen. */
const LOOK_EVERY = 250_000;

/** Where a file of guests/out/media is. */
export function mediaPath(name: string): string {
  const path = join(OUT, 'media', name);
  if (!existsSync(path)) throw new Error(`There is no ${name}: run node guests/make.mjs media`);
  return path;
}

/** A file from guests/out/media. */
export const media = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(mediaPath(name)));

/** A file of the bundled 64-bit guest. */
export function guest(name: string): Uint8Array {
  const path = join(OUT, 'amd64', name);
  if (!existsSync(path)) throw new Error('There is no guest amd64: run node guests/make.mjs');
  return new Uint8Array(readFileSync(path));
}

export class MediaMachine {
  readonly machine: Machine;
  /** What was written to the debug port of SeaBIOS. */
  log = '';

  /**
   * @param disks contents of the files that the line names, in its order
   * @param files what else it names
   */
  constructor(modules: VcpuModules, line: string, disks: (Uint8Array<ArrayBuffer> | BlockBackend)[], files: Record<string, Uint8Array> = {}, more: Partial<MachineOptions> = {}) {
    const config = parse(`-m 64 -icount shift=6,sleep=off -nic none -display none -debugcon null -global isa-debugcon.iobase=0x402 ${line}`);
    const firmware = (name: string) => new Uint8Array(readFileSync(join(OUT, 'firmware', name)));
    this.machine = new Machine({
      config,
      modules,
      files: new Map([...firmwareFiles(config).map((name) => [name, files[name] ?? firmware(name)] as const), ...Object.entries(files)]),
      disks: disks.map((disk, n) => (disk instanceof Uint8Array ? new RawMemory(disk, config.drives[n].readOnly) : disk)),
      hostNow: () => performance.now() * 1e6,
      date: { epochMs: 0, offsetMs: 0 },
      log: null,
      ...more,
    });
    const { pc } = this.machine;
    const write = pc.ioWrite.bind(pc);
    pc.ioWrite = (port, size, value) => {
      if (port === 0x402) this.log += String.fromCharCode(value & 0xff);
      write(port, size, value);
    };
  }

  /** The text on the screen; empty in graphics. */
  get screen(): string {
    const screen = this.machine.pc.vga?.textScreen();
    return screen ? screenText(screen) : '';
  }

  /**
   * Run until something is so.
   * @param limit guest instructions from now
   * @param every guest instructions between two looks: less often where a look takes long
   */
  until(what: string, isSo: () => boolean, limit = 2e9, every = LOOK_EVERY): void {
    const end = this.machine.vcpu.icount + limit;
    let look = 0;
    for (;;) {
      // Slices may be short, and looking takes longer than they do.
      if (this.machine.vcpu.icount >= look) {
        if (isSo()) return;
        look = this.machine.vcpu.icount + every;
      }
      const result = this.machine.runSlice();
      // It waits for somebody who takes what it has written: whoever looks does.
      if (result.kind === 'idle') look = 0;
      const stuck = result.kind === 'failed' || result.kind === 'off' || result.kind === 'exit' || (result.kind === 'idle' && result.ns === Infinity) || this.machine.vcpu.icount > end;
      if (stuck && !isSo()) throw new Error(`never came to ${what} (${JSON.stringify(result)}):\n${this.screen}\n${this.log.slice(-2000)}`);
    }
  }

  /** Run until the screen shows a text. */
  untilScreen(text: string | RegExp, limit?: number): void {
    this.until(String(text), () => (typeof text === 'string' ? this.screen.includes(text) : text.test(this.screen)), limit);
  }

  /** Run for so many instructions of the guest. */
  run(instructions: number): void {
    const end = this.machine.vcpu.icount + instructions;
    while (this.machine.vcpu.icount < end) if (this.machine.runSlice().kind === 'failed') throw new Error('the guest failed');
  }

  /** Run for so many ns of the guest's time. */
  pass(ns: number): void {
    const end = this.machine.clock.now() + ns;
    while (this.machine.clock.now() < end) if (this.machine.runSlice().kind === 'failed') throw new Error('the guest failed');
  }

  /** Type on a US keyboard. The guest sees it while it runs. */
  type(text: string): void {
    this.machine.input.type(text);
  }

  /** Press keys together, by the names that QEMU's sendkey has for them, with - between. */
  press(names: string): void {
    this.machine.input.sendKeys(names.split('-').map((name) => keyNamed(name)!));
  }
}
