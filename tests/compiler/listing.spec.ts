// Listings of regions that are there: all code that is executed is in them, each instruction's own beside it.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildProgram } from '../../bench/mix-guest.ts';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Entry, Mem } from '../../src/core/layout.ts';
import type { Region } from '../../src/engine/compile/compiler.ts';
import { RegionLister, type Listing } from '../../src/engine/compile/listing.ts';
import type { CompileService } from '../../src/engine/compile/service.ts';
import type { Vcpu } from '../../src/engine/vcpu.ts';
import { instructionsOf } from '../../src/wasm/text.ts';
import { program } from './emitted.ts';
import { Process } from './process.ts';
import { RealMode } from './real-mode.ts';
import { readModule } from './wasm-module.ts';

const CODE = 0x40_1000;
const EXIT = [0xb8, 0x3c, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];

/** What is executed of each region, by its place in the table. */
function keepBodies(service: CompileService): Map<number, Uint8Array> {
  const bodies = new Map<number, Uint8Array>();
  const compile = service.compile.bind(service);
  service.compile = (job) => {
    const result = compile(job);
    if (result.module) readModule(service.lastBytes!).functions.forEach(({ body }, n) => bodies.set(result.regions[n].entry.slot, body));
    return result;
  };
  return bodies;
}

const regionsOf = ({ compiler }: Vcpu): Region[] => [...(compiler as unknown as { live: Set<{ regions: Set<Region> }> }).live].flatMap(({ regions }) => [...regions]);
const list = async ({ memory, compiler }: Vcpu, region: Region): Promise<Listing> =>
  (await RegionLister.open(memory, compiler)).list(region, (place) => `0x${(region.pending.linear + BigInt(place)).toString(16)}`)!;

/** An Entry that code names: another one, if the region that is called has come, or another in its place, since the code was made. */
const isEntry = (value: number): boolean => value >= Mem.ENTRIES && value < Mem.ENTRIES + Mem.REGION_SLOTS * Entry.SIZE;
/** Without names of locals, functions and entries. */
const bare = (text: string): string => text.replace(/ align=1\b/, '').replace(/\$\S+/, '$').replace(/^i32\.const (\d+)$/, (whole, value) => (isEntry(Number(value)) ? 'i32.const an entry' : whole));
/** All code of a listing. */
const codeOf = ({ parts }: Listing): string[] => parts.flatMap(({ lines }) => lines).flatMap((line) => {
  const outer = / {3};; (\d+) of them/.exec(line);
  const all = line.trim().replace(/ {3};; .*$/, '').split('; ').map(bare);
  return outer ? new Array<string>(Number(outer[1])).fill(all[0]) : all;
});

/** Each region's listing is the code that is executed. @returns how many */
async function compareAll(vcpu: Vcpu, bodies: ReadonlyMap<number, Uint8Array>): Promise<number> {
  const regions = regionsOf(vcpu);
  for (const region of regions) {
    const listing = await list(vcpu, region);
    const where = region.rip.toString(16);
    expect({ where, isSame: listing.isSame, bytes: listing.bytes }).toEqual({ where, isSame: true, bytes: region.bytes });
    // Behind the function's last instruction there is an END.
    const code = instructionsOf(bodies.get(region.slot)!).slice(0, -1).map(({ text }) => bare(text));
    if (codeOf(listing).join('\n') !== code.join('\n')) expect(codeOf(listing), where).toEqual(code);
  }
  return regions.length;
}

describe('listings of regions', () => {
  let elf: Uint8Array;
  beforeAll(async () => {
    await buildIfOlder();
    elf = readFileSync(buildProgram('mix', 'amd64').path);
  }, 120_000);

  it.each([1, 20])('are the code that is executed (threshold %i)', { timeout: 180_000 }, async (threshold) => {
    const process = new Process(elf, ['mix', 'parts=sieve,fib', 'units=1'], { threshold });
    const bodies = keepBodies(process.vcpu.compiler.service!);
    while (process.run(50_000));
    // Entries of functions, by which later regions are planned.
    const { functions } = process.vcpu.compiler.service as unknown as { functions: Map<string, Set<number>> };
    const noted = () => [...functions].map(([page, entries]) => [page, [...entries]]);
    const before = noted();
    expect(before.length).toBeGreaterThan(0);
    expect(await compareAll(process.vcpu, bodies)).toBeGreaterThan(5);
    expect(noted()).toEqual(before);
  });

  it('are so in real mode', async () => {
    const real = new RealMode([0x8a, 0x04, 0x46, 0x88, 0x05, 0x47, 0xe2, 0xf8, 0xb9, 0x10, 0x00, 0x9a, 0x10, 0x00, 0x00, 0x10, 0xcb], { threshold: 1 });
    const bodies = keepBodies(real.vcpu.compiler.service!);
    real.vcpu.set64(Cpu.RCX, 100n);
    real.run(200);
    expect(await compareAll(real.vcpu, bodies)).toBeGreaterThan(0);
    const [region] = real.vcpu.compiler.regionsAt(0x1_0000n, []);
    expect(region.page).toBe(0x1_0000n);
    const lines = (await list(real.vcpu, region.region)).parts.flatMap((part) => (part.what === 'instruction' && part.place === 2 ? part.lines : []));
    expect(lines.join('; ')).toMatch(/local\.get \$si; .*i32\.add; .*local\.set \$si/);
  });

  // mov ecx, 100; again: add eax, 1; cmp eax, 50; jne over; add eax, edx; over: mov ebx, [rsp]; dec ecx; jnz again
  const LOOP = [0xb9, 100, 0, 0, 0, 0x83, 0xc0, 1, 0x83, 0xf8, 50, 0x75, 2, 0x01, 0xd0, 0x8b, 0x1c, 0x24, 0xff, 0xc9, 0x75, 0xef, ...EXIT];
  /** The loop's region, and the process in the midst of it. */
  const inLoop = (code = LOOP): { process: Process; region: Region } => {
    const process = new Process(program(64, code), ['loop'], { threshold: 10 });
    for (let n = 0; n < 8; n++) process.run(50);
    const [found] = process.vcpu.compiler.regionsAt(BigInt(CODE + 5), []);
    return { process, region: found.region };
  };

  it('have each instruction with its own code, in order', async () => {
    const { process, region } = inLoop();
    const { parts, isSame, changedPages } = await list(process.vcpu, region);
    expect({ isSame, changedPages }).toEqual({ isSame: true, changedPages: 0 });
    const places = (...wanted: number[]): void => {
      for (const place of wanted) expect(parts.some((part) => part.what === 'instruction' && part.place === place), `instruction at ${place}`).toBe(true);
    };
    places(5, 8, 11, 13, 15, 18, 20);
    const of = (place: number): string => parts.find((part) => part.what === 'instruction' && part.place === place)!.lines.map((line) => line.trim()).join('\n');
    expect(of(5)).toMatch(/local\.get \$rax;.*\n.*i32\.const 1; i32\.add;.*\n.*local\.set \$rax$/);
    expect(of(8)).toMatch(/local\.get \$rax; local\.set \$flags\.a\ni64\.const 50; local\.set \$flags\.x$/);
    expect(of(15)).toMatch(/local\.get \$rsp[^]*i64\.load32_u; local\.set [^]*local\.set \$rbx$/);
    expect(of(20)).toMatch(/br_if \d+ {3};; to 0x401016$/);
    // What follows an instruction in the code follows it in the list.
    expect(parts[0].what).toBe('entry');
    expect(parts[parts.length - 1].what).toBe('exits');
    expect(parts.flatMap(({ lines }) => lines).join('\n')).toMatch(/br_if \d+ {3};; leaves: request, at 0x401005/);
    // Both ways of a branch are told.
    expect(parts.some((part) => part.what === 'edge' && part.place === 15)).toBe(true);
    expect(parts.find((part) => part.what === 'block')).toMatchObject({ isLoop: true, isInlined: false });
  });

  it('find regions by any instruction of theirs, where they are mapped now', () => {
    const { process: { vcpu }, region } = inLoop();
    const maps = region.pages.map(({ map }) => map);
    for (const place of [5, 8, 11, 13, 15, 18, 20]) expect(vcpu.compiler.regionsAt(BigInt(CODE + place), []).map((found) => found.region)).toContain(region);
    expect(vcpu.compiler.regionsAt(BigInt(CODE + 6), [])).toEqual([]);
    // The same page elsewhere; other code at this address.
    expect(vcpu.compiler.regionsAt(0x7fff_0000_0005n, maps)).toContainEqual({ region, page: 0x7fff_0000_0000n });
    expect(vcpu.compiler.regionsAt(BigInt(CODE + 5), [Mem.RECORDS])).toEqual([]);
  });

  it('say that a page has changed, and change nothing', async () => {
    // What is behind the loop is jumped to first, and jumps back.
    const jump = (from: number, to: number): number[] => [0xe9, ...[0, 8, 16, 24].map((shift) => ((to - from - 5) >> shift) & 0xff)];
    const OTHER = 0x100;
    const padding = new Array<number>(OTHER - LOOP.length).fill(0x90);
    const { process: { vcpu }, region } = inLoop([...jump(0, OTHER), ...LOOP.slice(5), ...padding, 0xb9, 100, 0, 0, 0, ...jump(OTHER + 5, 5)]);
    const before = JSON.stringify(await list(vcpu, region));
    const { compiled, instructions } = vcpu.compiler;
    expect(JSON.stringify(await list(vcpu, region))).toBe(before);
    expect({ compiled: vcpu.compiler.compiled, instructions: vcpu.compiler.instructions }).toEqual({ compiled, instructions });
    expect((await list(vcpu, region)).changedPages).toBe(0);
    vcpu.cache.invalidateChunks(CODE >> 12, OTHER / 64, OTHER / 64);
    expect(await list(vcpu, region)).toMatchObject({ changedPages: 1, isSame: true });
    // The loop itself.
    vcpu.cache.invalidateChunks(CODE >> 12, 0, 0);
    expect(vcpu.compiler.regionsAt(BigInt(CODE + 5), [])).toEqual([]);
  });
});
