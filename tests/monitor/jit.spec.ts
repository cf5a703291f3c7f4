// Compiled code of a machine that runs, as its monitor shows it.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icedDecode } from '../decoder/iced.ts';
import { killAll, PATIENCE_MS, root, Workshop } from '../headless/runner.ts';
import { Monitor } from './monitor.ts';

const workshop = new Workshop();
afterAll(async () => {
  await killAll();
  workshop.remove();
});

const BASE = 0x10_0000;

/** Instructions of a listing: address, bytes, text. */
interface Line {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly text: string;
}
const assemblyOf = (listing: string): Line[] =>
  [...listing.matchAll(/^0x([0-9a-f]{8}): ((?: [0-9a-f]{2})+) +([a-z].*?)(?: {3};; .*)?$/gm)].map(([, address, bytes, text]) => ({
    address: parseInt(address, 16), bytes: Uint8Array.from(bytes.trim().split(' '), (byte) => parseInt(byte, 16)), text: text.replace(/ +/g, ' '),
  }));

/** As iced-x86 has an instruction, but for the distance of jumps, which the listing shows by the bytes. */
function icedLine(bytes: Uint8Array, address: number): { text: string; length: number } {
  const { length, text } = icedDecode(bytes, 32, BigInt(address));
  return { text: text().replace(' short ', ' '), length };
}

describe('compiled code in the monitor', () => {
  let kernel: string;
  let image: Buffer;
  /** Addresses of the loop's instructions, by iced-x86, with their texts. */
  const wanted = new Map<number, string>();

  beforeAll(() => {
    kernel = workshop.path('loop.elf');
    execFileSync('nasm', ['-f', 'bin', '-I', join(root, 'tests/guests/'), '-o', kernel, join(root, 'tests/monitor/loop.asm')], { stdio: ['ignore', 'inherit', 'inherit'] });
    image = readFileSync(kernel);
    // The loop begins with MOV EAX, moffs32.
    const begin = image.indexOf(Buffer.from([0xa1, 0, 0, 0x30, 0]));
    for (let at = begin; ; ) {
      const { length, text } = icedLine(image.subarray(at, at + 15), BASE + at);
      wanted.set(BASE + at, text);
      if (text === 'ret') break;
      at += length;
    }
  });

  const start = (...more: string[]): Promise<Monitor> => new Monitor('tabvisor', ['-kernel', kernel, ...more], workshop.folder).start();
  /** Until some region has been compiled. */
  async function compiled(monitor: Monitor): Promise<string> {
    for (;;) {
      const answer = await monitor.ask('info jit');
      if (/^0x0010/m.test(answer)) return answer;
    }
  }

  it.each(['threshold=1', 'threshold=100'])('shows guest assembly and the code of each instruction (%s)', async (threshold) => {
    const monitor = await start('-accel', `jit,${threshold}`);
    await compiled(monitor);
    const seen = new Map<number, string>();
    // Until all of the loop is compiled.
    do await look(monitor, threshold.slice(10), seen); while (![...wanted.keys()].every((at) => seen.has(at)));
    for (const [at, text] of wanted) expect({ at, text: seen.get(at) }).toEqual({ at, text });
    await monitor.end();
  }, PATIENCE_MS);

  /** What is compiled now, looked at while nothing runs. @param seen gets the instructions */
  async function look(monitor: Monitor, threshold: string, seen: Map<number, string>): Promise<void> {
    await monitor.ask('stop');
    const info = await monitor.ask('info jit');
    expect(info).toMatch(new RegExp(`^threshold +${threshold}\nregions +\\d+: \\d+ instructions?, \\d+ bytes of WebAssembly\nmodules +\\d+: \\d+ bytes\nmade +\\d+ in \\d+ modules?; `));
    const addresses = [...info.matchAll(/^0x([0-9a-f]{8}): (\d+) instructions?, 1 page, (\d+) bytes$/gm)];
    expect(addresses.length).toBeGreaterThan(0);
    for (const [, address, count, bytes] of addresses) {
      const listing = await monitor.ask(`region 0x${address}`);
      expect(listing).toMatch(new RegExp(`^Region 0x${address}: ${count} instructions?, 1 page, ${bytes} bytes; \\d+ blocks?, in a module of \\d+\n`));
      expect(listing).toContain('\nMade once more for this list: as many bytes as the code that is executed\n');
      const lines = assemblyOf(listing);
      expect(new Set(lines.map((line) => line.address)).size).toBeLessThanOrEqual(Number(count));
      for (const { address: at, bytes: own, text } of lines) {
        expect({ at, text, length: own.length }).toEqual({ at, ...icedLine(own, at) });
        expect([...own]).toEqual([...image.subarray(at - BASE, at - BASE + own.length)]);
        seen.set(at, text);
      }
      // Where it is entered, blocks, where it is left.
      expect(listing).toMatch(/\n\nWhere the region is entered:\n[^]*\n\nBlock 0, 0x[^]*\n\nWhere it is left:\n/);
    }
    await monitor.ask('cont');
  }

  it('finds a region by any of its instructions, and by where the CPU is', async () => {
    const monitor = await start('-accel', 'jit,threshold=100');
    await compiled(monitor);
    const [add] = [...wanted].find(([, text]) => text === 'add eax,0x1')!;
    const listing = await monitor.ask(`region ${add}`);
    expect(listing).toMatch(/^Region 0x0010/);
    // The addition is beside its instruction.
    expect(listing).toMatch(/\n0x0010\w{4}: .* add +eax,0x1\n {12} *local\.get \$eax;[^\n]*i32\.const 1; i32\.add;[^]*?local\.set \$eax\n[^]*\n0x0010\w{4}: .* test +al,0x7\n/);
    await monitor.ask('stop');
    expect(await monitor.ask('region')).toMatch(/^Region 0x0010|^No compiled region/);
    expect(await monitor.ask(`region $pc - $pc + ${add}`)).toBe(listing);
    await monitor.end();
  }, PATIENCE_MS);

  it('takes the addresses of -d jit, and counts with it', async () => {
    const monitor = await start('-accel', 'jit,threshold=100', '-d', 'jit', '-D', 'jit.log');
    const info = await compiled(monitor);
    expect(info).toMatch(/The most entered regions[^]*\n0x0010\w{4}: \d+ instructions?, 1 page, \d+ bytes; entered \d+ times?, left by /);
    const [, address] = /^0x(0010\w{4}): .*entered/m.exec(info)!;
    expect(await monitor.ask(`region 0x${address}`)).toContain('\nMade once more for this list: as many bytes as the code that is executed\n');
    await monitor.end();
    expect(readFileSync(workshop.path('jit.log'), 'utf8')).toContain(`jit: ${address.padStart(16, '0')}: `);
  }, PATIENCE_MS);

  it('says what there is not', async () => {
    const monitor = await start('-accel', 'jit,threshold=100');
    await compiled(monitor);
    for (const address of ['0x10', `0x${(BASE + 4).toString(16)}`, '0xffffffffffffffff']) {
      expect(await monitor.ask(`region ${address}`)).toMatch(new RegExp(`^No compiled region has an instruction at ${address.replace(/^0x(\w{1,7})$/, (_, digits: string) => `0x${digits.padStart(8, '0')}`)}; "info jit" lists some\n$`));
    }
    // In the midst of an instruction.
    expect(await monitor.ask(`region ${[...wanted.keys()][0] + 1}`)).toMatch(/^No compiled region/);
    expect(await monitor.ask('region foo')).toMatch(/Try "help region" for more information\n$/);
    expect(await monitor.ask('region 1 2')).toBe('region: extraneous characters at the end of line\nTry "help region" for more information\n');
    expect(await monitor.ask('help region')).toMatch(/^region \[addr\] -- show /);
    await monitor.end();
    const other = await start('-accel', 'interpreter');
    for (const command of ['info jit', 'region', 'region 0x100000']) expect(await other.ask(command)).toBe('JIT information is only available with accel=jit\n');
    await other.end();
  }, PATIENCE_MS);
});
