// IDE, floppy controller, DMA and CMOS compared with QEMU's, register by register: both get the same disks and the same accesses, QEMU's
// through its qtest protocol (docs/devel/testing/qtest.rst). Data is compared as its words.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawMemory } from '../../src/backends/block/raw-memory.ts';
import { Mem } from '../../src/core/layout.ts';
import { TestCpu } from '../../src/devices/testing.ts';
import { VirtualClock } from '../../src/machine/clock.ts';
import { BoardDrives } from '../../src/machine/drives.ts';
import { parse } from '../../src/machine/options/index.ts';
import { Pc } from '../../src/machine/pc.ts';

const RAM = 16 << 20;
type Size = 1 | 2 | 4;

/** A machine that is asked. */
interface Target {
  in(port: number, size?: Size): Promise<number>;
  out(port: number, value: number, size?: Size): Promise<void>;
  write(address: number, value: number): Promise<void>;
  read(address: number): Promise<number>;
}

function image(bytes: number, seed: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(bytes);
  new Uint32Array(data.buffer).forEach((_, i, words) => (words[i] = Math.imul(i + seed, 0x9e3779b1)));
  return data;
}

const files: Record<string, Uint8Array<ArrayBuffer>> = { disk: image(6 << 20, 1), small: image(1 << 20, 2), cd: image(1 << 20, 3), floppy: image(1440 * 1024, 4) };
const folder = mkdtempSync(join(tmpdir(), 'storage-'));
/** Of larger blocks than the first disk's. */
const SMALL = 'ide-hd,drive=small,bus=ide.0,unit=1,physical_block_size=8k,min_io_size=16k,opt_io_size=64k';
const LINE = ['disk', '-drive', 'if=none,id=small,file=small', '-device', SMALL, '-cdrom', 'cd', '-fda', 'floppy'];
let child: ChildProcess;
let theirs: Target;

beforeAll(() => {
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const drives = ['-drive', `file=${join(folder, 'disk')},format=raw`, '-drive', `file=${join(folder, 'small')},format=raw,if=none,id=small`, '-device', SMALL];
  child = spawn(
    'qemu-system-x86_64',
    [
      '-accel', 'tcg', '-S', '-qtest', 'stdio', '-machine', 'pc', '-m', `${RAM >> 20}`, '-display', 'none', '-vga', 'none', '-nic', 'none', ...drives,
      '-drive', `file=${join(folder, 'cd')},format=raw,index=2,media=cdrom`, '-drive', `file=${join(folder, 'floppy')},format=raw,if=floppy`,
    ],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  );
  const answers: ((line: string) => void)[] = [];
  createInterface(child.stdout!).on('line', (line) => {
    if (/^(OK|FAIL|ERR)/.test(line)) answers.shift()?.(line);
  });
  const ask = (text: string) =>
    new Promise<number>((resolve, reject) => {
      answers.push((line) => (line.startsWith('OK') ? resolve(Number(BigInt.asUintN(32, BigInt(line.split(' ')[1] ?? 0)))) : reject(new Error(`${text}: ${line}`))));
      child.stdin!.write(`${text}\n`);
    });
  const letter = (size: Size) => ({ 1: 'b', 2: 'w', 4: 'l' })[size];
  theirs = {
    in: (port, size = 1) => ask(`in${letter(size)} ${port}`),
    out: async (port, value, size = 1) => void (await ask(`out${letter(size)} ${port} ${value}`)),
    read: (address) => ask(`readl ${address}`),
    write: async (address, value) => void (await ask(`writel ${address} ${value}`)),
  };
});
afterAll(() => {
  child?.kill();
  rmSync(folder, { recursive: true, force: true });
});

function tabvisor(): Target {
  const config = parse(LINE);
  const clock = new VirtualClock(0);
  const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });
  const drives = new BoardDrives(config, config.drives.map(({ file, readOnly }) => new RawMemory(files[file].slice(), readOnly)), []);
  const pc = new Pc({
    memory, ramSize: RAM, clock, cpuPorts: [new TestCpu(() => BigInt(clock.now()))], serial: [], tscFrequency: 1e9, wallClockMs: 0,
    ide: drives.ide, floppies: drives.floppies, onPowerOff() {}, onReset() {}, onExit() {},
  });
  return {
    in: async (port, size = 1) => pc.ioRead(port, size),
    out: async (port, value, size = 1) => pc.ioWrite(port, size, value),
    read: async (address) => pc.memory.read32(address),
    write: async (address, value) => pc.memory.write32(address, value >>> 0),
  };
}

type Probe = (t: Target, see: (name: string, value: number) => void) => Promise<void>;

/** What both say, as lines of which each names what was looked at. @param meant what is another here, with a reason beside it */
async function compare(probe: Probe, meant: readonly RegExp[] = []): Promise<void> {
  const collect = async (target: Target) => {
    const lines: string[] = [];
    await probe(target, (name, value) => lines.push(`${name}: ${meant.some((pattern) => pattern.test(name)) ? 'not compared' : value.toString(16)}`));
    return lines;
  };
  expect(await collect(tabvisor())).toEqual(await collect(theirs));
}

const PRIMARY = 0x1f0;
const SECONDARY = 0x170;
const status = async (t: Target, base: number) => {
  // QEMU answers some commands a moment later.
  for (;;) {
    const value = await t.in(base + 7);
    if (!(value & 0x80)) return value;
  }
};

async function registers(t: Target, see: (name: string, value: number) => void, name: string, base: number): Promise<void> {
  see(`${name} status`, await status(t, base));
  for (let register = 1; register < 7; register++) see(`${name} [${register}]`, await t.in(base + register));
}

async function command(t: Target, base: number, code: number, task: Partial<Record<1 | 2 | 3 | 4 | 5 | 6, number>> = {}): Promise<void> {
  for (const [register, value] of Object.entries({ 6: 0xe0, ...task })) await t.out(base + Number(register), value);
  await t.out(base + 7, code);
}

async function words(t: Target, see: (name: string, value: number) => void, name: string, base: number, count: number): Promise<void> {
  see(`${name} status`, await status(t, base));
  for (let n = 0; n < count; n++) see(`${name} word ${n}`, await t.in(base, 2));
}

async function packet(t: Target, see: (name: string, value: number) => void, name: string, bytes: number[], limit = 0xfffe): Promise<void> {
  await command(t, SECONDARY, 0xa0, { 6: 0xa0, 1: 0, 4: limit & 0xff, 5: limit >> 8 });
  see(`${name} wants the packet`, await status(t, SECONDARY));
  const all = [...bytes, ...new Array<number>(12 - bytes.length).fill(0)];
  for (let n = 0; n < 12; n += 2) await t.out(SECONDARY, all[n] | (all[n + 1] << 8), 2);
  while ((await status(t, SECONDARY)) & 8) {
    const length = (await t.in(SECONDARY + 4)) | ((await t.in(SECONDARY + 5)) << 8);
    see(`${name} length`, length);
    see(`${name} reason`, await t.in(SECONDARY + 2));
    await words(t, see, name, SECONDARY, length / 2);
  }
  await registers(t, see, `${name} end`, SECONDARY);
}

describe('beside QEMU', () => {
  it('CMOS says the same of drives', async () => {
    await compare(async (t, see) => {
      for (const index of [0x10, 0x12, 0x14, 0x19, 0x1a, ...Array.from({ length: 18 }, (_, n) => 0x1b + n), 0x39]) {
        await t.out(0x70, index);
        see(`cmos ${index.toString(16)}`, await t.in(0x71));
      }
    });
  });

  it('the IDE function has the same configuration space', async () => {
    await compare(async (t, see) => {
      for (let register = 8; register < 0x60; register += 4) {
        await t.out(0xcf8, 0x80000900 + register, 4);
        see(`[${register.toString(16)}]`, await t.in(0xcfc, 4));
      }
    });
  });

  it('disks answer alike', async () => {
    await compare(async (t, see) => {
      see('after reset', await status(t, PRIMARY));
      for (const register of [2, 3, 4, 5, 6]) see(`after reset [${register}]`, await t.in(PRIMARY + register));
      for (const unit of [0xe0, 0xf0]) {
        await command(t, PRIMARY, 0xec, { 6: unit });
        see('identify status', await status(t, PRIMARY));
        await words(t, see, `identify ${unit.toString(16)}`, PRIMARY, 256);
        await registers(t, see, 'after identify', PRIMARY);
      }
      await command(t, PRIMARY, 0x20, { 2: 2, 3: 5, 4: 0, 5: 0 });
      await words(t, see, 'read', PRIMARY, 256);
      see('between sectors', await status(t, PRIMARY));
      await words(t, see, 'read', PRIMARY, 256);
      await registers(t, see, 'after read', PRIMARY);
      await command(t, PRIMARY, 0x20, { 6: 0xa3, 2: 1, 3: 9, 4: 2, 5: 0 });
      await words(t, see, 'read by CHS', PRIMARY, 256);
      await command(t, PRIMARY, 0xc6, { 2: 8 });
      await command(t, PRIMARY, 0xc4, { 2: 9, 3: 64, 4: 0, 5: 0 });
      await words(t, see, 'read multiple', PRIMARY, 8 * 256);
      await words(t, see, 'read multiple', PRIMARY, 256);
      await registers(t, see, 'after read multiple', PRIMARY);
      await command(t, PRIMARY, 0x30, { 2: 1, 3: 70, 4: 0, 5: 0 });
      see('write wants data', await status(t, PRIMARY));
      for (let n = 0; n < 256; n++) await t.out(PRIMARY, n * 257, 2);
      await registers(t, see, 'after write', PRIMARY);
      await command(t, PRIMARY, 0x20, { 2: 1, 3: 70, 4: 0, 5: 0 });
      await words(t, see, 'read back', PRIMARY, 256);
      const tries: [name: string, code: number, task?: Partial<Record<1 | 2 | 3 | 4 | 5 | 6, number>>][] = [
        ['beyond the end', 0x20, { 6: 0xef, 2: 1, 3: 255, 4: 255, 5: 255 }], ['verify', 0x40, { 2: 1, 3: 1, 4: 0, 5: 0 }], ['seek', 0x70], ['recalibrate', 0x10],
        ['set multiple 3', 0xc6, { 2: 3 }], ['UDMA 5', 0xef, { 1: 3, 2: 0x45 }], ['write cache off', 0xef, { 1: 0x82 }], ['feature 99', 0xef, { 1: 0x99 }],
        ['power mode', 0xe5], ['standby', 0xe0], ['flush', 0xe7], ['flush ext', 0xea], ['native max', 0xf8], ['SMART without key', 0xb0, { 1: 0xd0 }],
        ['SMART status', 0xb0, { 1: 0xda, 4: 0x4f, 5: 0xc2 }], ['security', 0xf1], ['packet', 0xa1], ['nothing', 0x5d],
      ];
      for (const [name, code, task] of tries) {
        await command(t, PRIMARY, code, task);
        await registers(t, see, name, PRIMARY);
      }
      await command(t, PRIMARY, 0xec);
      await words(t, see, 'identify again', PRIMARY, 256);
    }, [
      /^standby status/, // DSC
      /^identify again word 59$/, // QEMU's IDENTIFY keeps the first setting of SET MULTIPLE
    ]);
  });

  it('bus masters move the same', async () => {
    const BM = 0xc100;
    await compare(async (t, see) => {
      await t.out(0xcf8, 0x80000920, 4);
      await t.out(0xcfc, BM, 4);
      await t.out(0xcf8, 0x80000904, 4);
      await t.out(0xcfc, 5, 2);
      const table = async (...entries: [address: number, count: number][]) => {
        for (const [n, [address, count]] of entries.entries()) {
          await t.write(0x1000 + 8 * n, address);
          await t.write(0x1004 + 8 * n, count);
        }
      };
      const run = async (name: string, code: number, task: Partial<Record<1 | 2 | 3 | 4 | 5 | 6, number>>, direction: number) => {
        await t.out(BM, 0);
        await t.out(BM + 2, 0x66);
        await t.out(BM + 4, 0x1000, 4);
        await command(t, PRIMARY, code, task);
        see(`${name} waits`, await status(t, PRIMARY));
        await t.out(BM, direction | 1);
        // QEMU is done a moment later.
        while (((await t.in(BM + 2)) & 5) === 1);
        await registers(t, see, name, PRIMARY);
        for (const port of [0, 2]) see(`${name} bus master ${port}`, await t.in(BM + port));
        await t.out(BM, 0);
      };
      await table([0x20000, 512], [0x30000, 0x80000000 | 1024]);
      await run('read', 0xc8, { 2: 3, 3: 11, 4: 0, 5: 0 }, 8);
      for (const at of [0x20000, 0x201fc, 0x30000, 0x303fc, 0x30400]) see(`at ${at.toString(16)}`, await t.read(at));
      await run('write', 0xca, { 2: 3, 3: 90, 4: 0, 5: 0 }, 0);
      await run('table too long', 0xc8, { 2: 1, 3: 11, 4: 0, 5: 0 }, 8);
      await run('table too short', 0xc8, { 2: 9, 3: 11, 4: 0, 5: 0 }, 8);
      await t.out(PRIMARY + 0x206, 4);
      await t.out(PRIMARY + 0x206, 0);
      await command(t, PRIMARY, 0x20, { 2: 1, 3: 91, 4: 0, 5: 0 });
      await words(t, see, 'written', PRIMARY, 256);
    });
  });

  it('CD-ROM drives answer alike', async () => {
    await compare(async (t, see) => {
      await t.out(SECONDARY + 6, 0xa0);
      await registers(t, see, 'reset', SECONDARY);
      await command(t, SECONDARY, 0xec, { 6: 0xa0 });
      await registers(t, see, 'identify device', SECONDARY);
      await command(t, SECONDARY, 0xa1, { 6: 0xa0 });
      await words(t, see, 'identify packet device', SECONDARY, 256);
      const packets: [name: string, bytes: number[], limit?: number][] = [
        ['test unit ready', [0]], ['request sense', [3, 0, 0, 0, 18]], ['inquiry', [0x12, 0, 0, 0, 36]], ['inquiry, pages', [0x12, 1, 0, 0, 36]],
        ['capacity', [0x25]], ['read', [0x28, 0, 0, 0, 0, 16, 0, 0, 2], 2048], ['read in odd parts', [0x28, 0, 0, 0, 0, 3, 0, 0, 1], 1001],
        ['read 12', [0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1]], ['read beyond', [0x28, 0, 0, 0, 9, 0, 0, 0, 1]], ['sense of that', [3, 0, 0, 0, 18]],
        ['read CD', [0xbe, 0, 0, 0, 0, 20, 0, 0, 1, 0x10]], ['toc', [0x43, 0, 0, 0, 0, 0, 0, 0, 100]], ['toc in MSF', [0x43, 2, 0, 0, 0, 0, 0, 0, 100]],
        ['toc, lead-out', [0x43, 0, 0, 0, 0, 0, 0xaa, 0, 100]], ['sessions', [0x43, 0, 1, 0, 0, 0, 0, 0, 12]], ['configuration', [0x46, 0, 0, 0, 0, 0, 0, 0, 8]],
        ['events', [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]], ['disc', [0x51, 0, 0, 0, 0, 0, 0, 0, 34]], ['capabilities', [0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100]],
        ['audio', [0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 100]], ['errors', [0x5a, 0, 0x01, 0, 0, 0, 0, 0, 100]], ['another page', [0x5a, 0, 0x05, 0, 0, 0, 0, 0, 100]],
        ['sense', [3, 0, 0, 0, 18]], ['mechanism', [0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]], ['speed', [0xbb]], ['unknown', [0x99]], ['lock', [0x1e, 0, 0, 0, 1]],
        ['eject', [0x1b, 0, 0, 0, 2]], ['sense', [3, 0, 0, 0, 18]], ['unlock', [0x1e]], ['eject', [0x1b, 0, 0, 0, 2]], ['ready?', [0]], ['sense', [3, 0, 0, 0, 18]],
        ['load', [0x1b, 0, 0, 0, 3]],
      ];
      for (const [name, bytes, limit] of packets) await packet(t, see, name, bytes, limit);
      await command(t, SECONDARY, 0x08, { 6: 0xa0 });
      await registers(t, see, 'device reset', SECONDARY);
    }, [
      /^reset (status|.1.)/, /^device reset .1./, // ATA/ATAPI-6, 9.12: 00h and 01h
      /^events word 0/, // MMC-5, 6.7: the length counts all that follows it
      /^sessions word 0/, // MMC-5, 6.26.3.3: one track descriptor
      /^configuration word 1/, // features that QEMU does not list
      /^audio word/, // QEMU gives what was in its buffer
    ]);
  });

  it('the floppy controller gives the same results', async () => {
    await compare(async (t, see) => {
      const send = async (...bytes: number[]) => {
        for (const byte of bytes) await t.out(0x3f5, byte);
      };
      const results = async (name: string) => {
        for (let n = 0; ((await t.in(0x3f4)) & 0xd0) === 0xd0 && n < 16; n++) see(`${name} result ${n}`, await t.in(0x3f5));
      };
      const dma = async (mode: number, bytes: number) => {
        for (const [port, value] of [[0xd4, 0], [0x0a, 6], [0x0c, 0], [0x0b, mode], [0x04, 0], [0x04, 0x40], [0x81, 3], [0x05, (bytes - 1) & 0xff], [0x05, (bytes - 1) >> 8], [0x0a, 2]]) await t.out(port, value);
      };
      await t.out(0x3f2, 0);
      await t.out(0x3f2, 0x1c);
      for (let n = 0; n < 4; n++) {
        await send(8);
        await results(`reset ${n}`);
      }
      await send(3, 0xaf, 2);
      await t.out(0x3f7, 0);
      see('disk change', (await t.in(0x3f7)) & 0x80);
      for (const [name, bytes] of [['recalibrate', [7, 0]], ['seek', [0x0f, 0, 3]]] as const) {
        await send(...bytes);
        await send(8);
        await results(name);
      }
      see('disk change after', (await t.in(0x3f7)) & 0x80);
      await send(4, 0);
      await results('drive status');
      await dma(0x46, 1024);
      await send(0xe6, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
      await results('read');
      for (let at = 0; at < 1024; at += 4) see(`data ${at}`, await t.read(0x34000 + at));
      for (const register of [4, 4, 5, 5]) see(`dma [${register}]`, await t.in(register));
      see('dma status', await t.in(8));
      await send(0x10);
      await results('version');
      await send(0x18);
      await results('part');
      await send(0x94);
      await results('lock');
      await send(0x1f);
      await results('invalid');
    });
  });
});
