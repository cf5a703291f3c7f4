// SeaBIOS on Tabvisor: what it says on its debug port, and what it leaves behind.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { drawScreen } from '../../src/devices/vga-picture.ts';
import { screenText } from '../../src/devices/vga-text.ts';
import { InputSender, keyNamed } from '../../src/machine/input.ts';
import { Machine } from '../../src/machine/machine.ts';
import { firmwareFiles, parse } from '../../src/machine/options/index.ts';
import { loadModules } from '../oracle/emulator.ts';

const FOLDER = join(import.meta.dirname, '../../guests/out/firmware');
const DEBUGCON = 0x402;
const COM1 = 0x3f8;
const NO_TEXT = { columns: 0, rows: 0, characters: new Uint8Array(0), attributes: new Uint8Array(0), cursor: -1 };
/** Guest instructions after which the firmware counts as stuck. */
const LIMIT = 300_000_000;

let modules: VcpuModules;
beforeAll(async () => {
  if (!existsSync(FOLDER)) throw new Error('there is no firmware: run node guests/make.mjs firmware');
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

/** A machine that boots by firmware, run until its log holds `until`. */
function boot(line: string, until: string) {
  const config = parse(`-m 64 -icount shift=2,sleep=off -nic none -display none -debugcon null -global isa-debugcon.iobase=0x402 ${line}`);
  const files = new Map(firmwareFiles(config).map((name) => [name, new Uint8Array(readFileSync(join(FOLDER, name)))]));
  const machine = new Machine({ config, modules, files, hostNow: () => performance.now() * 1e6, date: { epochMs: 0, offsetMs: 0 }, log: null });
  const out = { log: '', serial: '' };
  const write = machine.pc.ioWrite.bind(machine.pc);
  machine.pc.ioWrite = (port, size, value) => {
    if (port === DEBUGCON) out.log += String.fromCharCode(value & 0xff);
    if (port === COM1) out.serial += String.fromCharCode(value & 0xff);
    write(port, size, value);
  };
  let resets = 0;
  const reset = machine.reset.bind(machine);
  machine.reset = () => {
    resets++;
    reset();
  };
  const runUntil = (text: string) => {
    while (!out.log.includes(text)) {
      const result = machine.runSlice();
      if (result.kind === 'failed' || machine.vcpu.icount > LIMIT) throw new Error(`the firmware did not come to "${text}":\n${out.log}\n${machine.registers()}`);
    }
  };
  runUntil(until);
  return { machine, out, runUntil, resets: () => resets };
}

describe('SeaBIOS', () => {
  it('goes through its self-test and finds nothing to boot', () => {
    const { out } = boot('', 'No bootable device');
    const lines = out.log.split('\n');
    expect(lines[0]).toMatch(/^SeaBIOS \(version 1\./);
    for (const text of [
      'Running on QEMU (i440fx)', 'QEMU fw_cfg DMA interface supported', 'qemu/e820: addr 0x0000000000000000 len 0x0000000004000000 [RAM]',
      'PIIX3/PIIX4 init: elcr=00 0c', 'Found 1 cpu(s) max supported 1 cpu(s)', 'PS2 keyboard initialized', 'Found 1 serial ports',
    ]) expect(lines).toContain(text);
    expect(out.log).toMatch(/ACPI: parse DSDT at 0x03ff/);
    expect(out.log).not.toMatch(/Unable to|internal error|WARNING/i);
  });

  it('shows its banner on the screen', () => {
    const { machine, out } = boot('', 'No bootable device');
    expect(out.log).toContain('PCI: map device bdf=00:02.0  bar 0, addr fd000000, size 01000000 [prefmem]');
    expect(out.log).toContain('VBE DISPI: lfb_addr=fd000000, size 16 MB');
    const screen = machine.pc.vga!.textScreen()!;
    expect([screen.columns, screen.rows]).toEqual([80, 25]);
    const lines = screenText(screen).split('\n');
    expect(lines[0]).toMatch(/^SeaBIOS \(version 1\./);
    expect(lines).toContain('Booting from Hard Disk...');
    // The log runs ahead of the screen by the line that is being written.
    expect(screen.cursor).toBeGreaterThan(80);
    const picture = drawScreen(machine.pc.vga!.view, { cursor: false, text: true });
    expect([picture.width, picture.height]).toEqual([720, 400]);
    // Grey on black, as the BIOS sets it up; the banner's first line has both.
    expect(new Set(new Uint32Array(picture.rgba.buffer, 0, 720 * 16))).toEqual(new Set([0xff000000, 0xffa8a8a8]));
  });

  it('has a boot menu that a key opens, through the memory that the page writes to', () => {
    const { machine } = boot('-boot menu=on,splash-time=60000', 'PS2 keyboard initialized');
    const waitForScreen = (text: string) => {
      while (!screenText(machine.pc.vga!.textScreen() ?? NO_TEXT).includes(text)) {
        machine.runSlice();
        if (machine.vcpu.icount > LIMIT) throw new Error(`the screen did not show "${text}"`);
      }
    };
    waitForScreen('Press ESC for boot menu');
    const sender = new InputSender(machine.memory.buffer);
    for (const down of [true, false]) sender.key(keyNamed('esc')!, down);
    waitForScreen('Select boot device:');
  });

  it('runs from 128 KiB as from 256', () => {
    expect(boot('-bios bios.bin', 'No bootable device').out.log).toContain('Running on QEMU');
  });

  it('speaks on the serial port with -nographic', () => {
    expect(boot('-nographic', 'No bootable device').out.serial).toContain('SeaBIOS (version');
  });

  it('starts anew when it is told to', () => {
    const run = boot('-boot reboot-timeout=100', 'No bootable device.  Retrying in 0 seconds');
    run.out.log = '';
    run.runUntil('No bootable device');
    expect(run.resets()).toBe(1);
    expect(run.out.log).toContain('SeaBIOS (version');
  });

  it('leaves ACPI tables where the machine says they are', () => {
    const { machine } = boot('', 'No bootable device');
    const bios = new Uint8Array(0x10000);
    for (let n = 0; n < bios.length; n += 0x1000) bios.set(machine.vcpu.readLinear(BigInt(0xf0000 + n), 0x1000)!, n);
    const at = Buffer.from(bios).indexOf('RSD PTR ');
    expect(at % 16).toBe(0);
    expect(bios.subarray(at, at + 36).reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0);
    const xsdt = new DataView(bios.buffer).getUint32(at + 24, true);
    expect(Buffer.from(machine.pc.memory.bytes(xsdt, 4)).toString()).toBe('XSDT');
  });
});

it('what is no firmware is refused', () => {
  const config = parse('-display none -nic none -bios x.bin');
  const machine = () => new Machine({ config, modules, files: new Map([['x.bin', new Uint8Array(100)], ['vgabios-stdvga.bin', new Uint8Array(512)]]), hostNow: () => 0, date: { epochMs: 0, offsetMs: 0 }, log: null });
  expect(machine).toThrow(expect.objectContaining({ what: 'x.bin cannot be used as firmware' }));
});
