// The same guest on Tabvisor and on QEMU, keys typed on both, their screens compared dot by dot: QEMU's by its monitor's screendump.
// Both come to a point in their own time, so QEMU's picture is asked for again until it is the same or patience ends. Of what blinks, either phase counts.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KEYS, usKey } from '../../src/devices/keys.ts';
import { type Picture, drawScreen, toPng, toPpm } from '../../src/machine/png.ts';
import { Monitor } from '../monitor/monitor.ts';
import type { MediaMachine } from './media.ts';
import { PATIENCE_MS, root } from './runner.ts';

const LOOK_MS = 250;
/** Time of the guest between two looks at ours, ns. */
const STEP_NS = 50_000_000;
/** Between two keys: QEMU's keyboard holds 16 bytes, and BIOS and boot loaders look now and then. */
const KEY_MS = 60;
/** Where pictures that should have been the same are left. */
const PICTURES = join(root, 'build/test/pictures');

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the VGA's screen shows now, with what blinks visible or not. */
export const picture = (pc: MediaMachine, phase = { cursor: false, text: true }): Picture => drawScreen(pc.machine.pc.vga!.view, phase);

/**
 * The same as QEMU would show it. Its ninth dots repeat the eighth for characters B0h to DFh (hw/display/vga.c), the VGA's for C0h to DFh (IBM, "Personal
 * System/2 Hardware Interface Technical Reference", Attribute Mode Control Register), and scroll bars are made of B0h to B2h.
 */
function asQemu(pc: MediaMachine, phase: { cursor: boolean; text: boolean }): Picture {
  const vga = pc.machine.pc.vga!;
  const it = picture(pc, phase);
  const text = vga.textScreen();
  if (!text || it.width !== 9 * text.columns || !(vga.view.attributes[0x10] & 0x04)) return it;
  const height = it.height / text.rows;
  text.characters.forEach((code, cell) => {
    if (code < 0xb0 || code > 0xbf) return;
    const [left, top] = [9 * (cell % text.columns), height * Math.floor(cell / text.columns)];
    for (let y = top; y < top + height; y++) {
      const ninth = 4 * (y * it.width + left + 8);
      it.rgba.copyWithin(ninth, ninth - 4, ninth);
    }
  });
  return it;
}

/** A PPM file with three bytes a dot, as screendump writes it. */
function fromPpm(file: Uint8Array): Picture {
  const header = /^P6\n(\d+) (\d+)\n255\n/.exec(Buffer.from(file.subarray(0, 64)).toString('latin1'));
  if (!header) throw new Error('QEMU\'s screendump is no PPM file');
  const [width, height] = [Number(header[1]), Number(header[2])];
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = header[0].length, to = 0; to < rgba.length; to++) if (to % 4 !== 3) rgba[to] = file[from++];
  return { width, height, rgba };
}

export class QemuPeer {
  private readonly folder = mkdtempSync(join(tmpdir(), 'beside-'));
  private readonly monitor: Monitor;

  /** @param args machine line with real paths */
  constructor(args: readonly string[]) {
    this.monitor = new Monitor('qemu', ['-machine', 'pc', '-vga', 'std', ...args]);
  }

  async start(): Promise<this> {
    await this.monitor.start();
    return this;
  }

  /** Stop it, and let it go on: what waits for a key only so long must not be over before the other one comes to it. */
  async hold(): Promise<void> {
    await this.monitor.ask('stop');
  }

  async release(): Promise<void> {
    await this.monitor.ask('cont');
  }

  async type(text: string): Promise<void> {
    for (const character of text) {
      const typed = usKey(character);
      if (!typed) throw new Error(`no key types ${JSON.stringify(character)}`);
      await this.press(`${typed.shift ? 'shift-' : ''}${KEYS[typed.key].name}`);
    }
  }

  /** @param keys names with - between those that are held together */
  async press(keys: string): Promise<void> {
    await this.monitor.ask(`sendkey ${keys} ${KEY_MS / 2}`);
    await sleep(KEY_MS);
  }

  async picture(): Promise<Uint8Array> {
    const path = join(this.folder, 'screen.ppm');
    await this.monitor.ask(`screendump ${path}`);
    return new Uint8Array(readFileSync(path));
  }

  /** The text on the screen, of a text mode of 80 columns. */
  async text(rows = 25): Promise<string> {
    const path = join(this.folder, 'text');
    // In quotation marks: a slash behind a number divides it.
    await this.monitor.ask(`pmemsave 0xb8000 ${160 * rows} "${path}"`);
    const cells = readFileSync(path);
    return Array.from({ length: rows }, (_, row) => Buffer.from(cells.subarray(160 * row, 160 * (row + 1)).filter((_byte, at) => at % 2 === 0)).toString('latin1').trimEnd()).join('\n');
  }

  /** Until its text screen shows something. */
  async untilText(text: string | RegExp, rows?: number): Promise<void> {
    const began = Date.now();
    for (;;) {
      const shown = await this.text(rows);
      if (typeof text === 'string' ? shown.includes(text) : text.test(shown)) return;
      if (Date.now() - began > PATIENCE_MS) throw new Error(`QEMU never showed ${text}:\n${shown}`);
      await sleep(LOOK_MS);
    }
  }

  /** Until its screen is the same as ours. @param name of the pictures that are left behind when it never is */
  async untilSame(pc: MediaMachine, name: string, patience = 90_000): Promise<void> {
    const began = Date.now();
    for (;;) {
      // It may be in the middle of drawing.
      pc.pass(STEP_NS);
      const phases = [true, false].map((cursor) => Buffer.from(toPpm(asQemu(pc, { cursor, text: true }))));
      const theirs = await this.picture();
      if (phases.some((ours) => ours.equals(theirs))) return;
      if (Date.now() - began > patience) {
        mkdirSync(PICTURES, { recursive: true });
        const qemu = fromPpm(theirs);
        const tabvisor = asQemu(pc, { cursor: false, text: true });
        writeFileSync(join(PICTURES, `${name}-tabvisor.png`), await toPng(tabvisor));
        writeFileSync(join(PICTURES, `${name}-qemu.png`), await toPng(qemu));
        throw new Error(`${name}: the pictures are not the same: ${tabvisor.width}x${tabvisor.height}, QEMU's ${qemu.width}x${qemu.height}, ${differences(tabvisor, qemu)}; see ${PICTURES}.`
          + `\nHere:\n${pc.screen || '(graphics)'}\nQEMU, its text memory:\n${await this.text()}`);
      }
      await sleep(LOOK_MS);
    }
  }

  async end(): Promise<void> {
    await this.monitor.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How many dots are not the same, and the box that they are in. */
function differences(a: Picture, b: Picture): string {
  if (a.width !== b.width || a.height !== b.height) return 'of different sizes';
  let count = 0;
  let [left, top, right, bottom] = [a.width, a.height, 0, 0];
  for (let dot = 0; dot < a.width * a.height; dot++) {
    if (a.rgba.subarray(4 * dot, 4 * dot + 4).every((value, at) => value === b.rgba[4 * dot + at])) continue;
    count++;
    [left, right] = [Math.min(left, dot % a.width), Math.max(right, dot % a.width)];
    [top, bottom] = [Math.min(top, Math.floor(dot / a.width)), Math.max(bottom, Math.floor(dot / a.width))];
  }
  return `${count} dots differ, within ${left},${top} to ${right},${bottom}`;
}
