// Jobs of the compiler beside the vCPU: how much of what has become hot goes into one, that the rest comes back and is compiled too, and
// that code which goes straight on for longer than a block may be is compiled to its end.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Side } from '../../src/core/layout.ts';
import type { CompileChannel } from '../../src/engine/compile/compiler.ts';
import type { CompileQueue } from '../../src/engine/compile/queue.ts';
import { CompileService, type CompileJob, type CompileResult } from '../../src/engine/compile/service.ts';
import type { Slots } from '../../src/engine/compile/slots.ts';
import { sideOf } from '../../src/engine/records.ts';
import { program } from './emitted.ts';
import { Process } from './process.ts';

const EXIT = [0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05]; // exit(0)
const ADD = [0x83, 0xc0, 0x01]; // add eax, 1
const adds = (count: number): number[] => Array.from({ length: count }, () => ADD).flat();
const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);

/** `rounds` rounds of `body`, whose last instruction is a jump back. */
function loop(rounds: number, body: readonly number[]): number[] {
  const inside = [...body, 0xff, 0xc9]; // dec ecx
  return [0xb9, ...word(rounds), ...inside, 0x0f, 0x85, ...word(-(inside.length + 6))]; // mov ecx, rounds; again: …; jnz again
}

/** Compiles when it is asked to. */
class Later implements CompileChannel {
  onResult: ((result: CompileResult) => void) | null = null;
  readonly jobs: CompileJob[] = [];
  readonly results: CompileResult[] = [];
  service: CompileService | null = null;

  submit(job: CompileJob): void {
    this.jobs.push(job);
  }

  work(): void {
    for (const job of this.jobs.splice(0)) {
      const result = this.service!.compile(job);
      this.results.push(result);
      this.onResult!(result);
    }
  }
}

function start(code: readonly number[], threshold = 20): { process: Process; channel: Later } {
  const channel = new Later();
  const process = new Process(program(64, code), ['jobs'], { threshold, channel });
  channel.service = new CompileService({ buffer: process.view.buffer as unknown as ArrayBuffer } as WebAssembly.Memory);
  return { process, channel };
}

describe('jobs of the compiler', () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it('are small at first, and what is left is compiled by the next ones', { timeout: 60_000 }, () => {
    const LOOPS = 20;
    const each = 150;
    // All loops become hot before the first job is done, and each is executed again afterwards.
    const loops = Array.from({ length: LOOPS }, () => loop(40, adds(each))).flat();
    const again = [0xbb, ...word(300)]; // mov ebx, 300
    const outer = [...loops, 0xff, 0xcb]; // dec ebx
    const { process, channel } = start([...again, ...outer, 0x0f, 0x85, ...word(-(outer.length + 6)), ...EXIT]);
    process.run(LOOPS * 40 * (each + 2));
    process.vcpu.compiler.flush();
    expect(channel.jobs.reduce((sum, { entries }) => sum + entries.length, 0)).toBeGreaterThan(LOOPS / 2);
    let before = 0;
    while (process.run(100_000)) channel.work();
    expect(process.status).toBe(0);
    for (const { job, regions } of channel.results) {
      const instructions = regions.reduce((sum, region) => sum + region.instructions, 0);
      expect(job.most).toBe(Math.max(600, before >> 1));
      if (regions.length > 1) expect(instructions).toBeLessThanOrEqual(job.most);
      before += instructions;
    }
    expect(channel.results.filter(({ left }) => left.length > 0).length).toBeGreaterThan(1);
    // Every loop: its instructions were compiled, and most of the rounds left no trace in the interpreter.
    expect(process.vcpu.compiler.instructions).toBeGreaterThanOrEqual(LOOPS * each);
    expect(process.vcpu.compiler.counts.entries).toBeLessThan((LOOPS * 40 * 300) / 4);
    // What was not made keeps no place in the table.
    const { live } = process.vcpu.compiler as unknown as { live: Set<{ entries: readonly unknown[] }> };
    const places = [...live].reduce((sum, { entries }) => sum + entries.length, 0);
    expect(places).toBe(channel.results.filter(({ module }) => module).reduce((sum, { regions }) => sum + regions.length, 0));
  });

  it('forget what is no longer there', { timeout: 60_000 }, () => {
    const { process, channel } = start([...loop(1_000, adds(30)), ...loop(100_000, adds(30)), ...EXIT]);
    process.run(3_000);
    process.vcpu.compiler.flush();
    const [job] = channel.jobs.splice(0);
    // Its page's code goes meanwhile: nothing of it is asked for again.
    process.vcpu.cache.flush();
    channel.onResult!({ job, module: null, regions: [], left: job.entries, bytes: 0, milliseconds: 0 });
    process.vcpu.compiler.flush();
    expect(channel.jobs).toEqual([]);
    while (process.run(100_000)) channel.work();
    expect(process.status).toBe(0);
    expect(channel.results.some(({ regions }) => regions.length > 0)).toBe(true);
  });

  it('find places in the table though nothing came of those before', { timeout: 60_000 }, () => {
    const { process, channel } = start([...loop(1_000, adds(30)), ...loop(100_000, adds(30)), ...EXIT]);
    process.run(3_000);
    process.vcpu.compiler.flush();
    const [job] = channel.jobs.splice(0);
    const { slots } = process.vcpu.compiler as unknown as { slots: Slots };
    for (let n = 1; slots.left > 0; n++) {
      const place = { at: 4 * n, record: job.entries[0].record };
      slots.keep(slots.take(place), place);
    }
    process.vcpu.cache.flush();
    // Where few were left, it had none to bring back.
    channel.onResult!({ job: { ...job, spare: [] }, module: null, regions: [], left: [], bytes: 0, milliseconds: 0 });
    while (process.run(100_000)) channel.work();
    expect(process.status).toBe(0);
    expect(channel.results.some(({ regions }) => regions.length > 0)).toBe(true);
  });

  it('are not made of what went while it waited', { timeout: 60_000 }, () => {
    const { process } = start([...Array.from({ length: 20 }, () => loop(100, adds(30))).flat(), ...EXIT]);
    // Two jobs are under way, and the loops after theirs wait.
    process.run(60_000);
    const { queue } = process.vcpu.compiler as unknown as { queue: CompileQueue };
    expect(queue.isEmpty).toBe(false);
    process.vcpu.cache.flush();
    expect(queue.isEmpty).toBe(true);
  });

  it('go on where code goes straight on for long', { timeout: 60_000 }, () => {
    const rounds = 20_000;
    const { process, channel } = start([...loop(rounds, adds(1_800)), ...EXIT]);
    while (process.run(200_000)) channel.work();
    expect(process.status).toBe(0);
    // Otherwise each round leaves its regions where they end, and the interpreter executes the others.
    expect(process.vcpu.compiler.counts.exits.instruction).toBeLessThan(rounds / 10);
    expect(process.vcpu.compiler.instructions).toBeGreaterThanOrEqual(1_800);
  });

  it.each([
    ['always taken', 0x00, 5],
    ['taken in every other round', 0x01, 45],
    ['hardly ever taken', 0xff, 45],
  ])('have what follows a branch only where it was passed: %s', { timeout: 60_000 }, (_, mask, instructions) => {
    // test ecx, mask; jz over; 40 × add; over: dec ecx; jnz again.
    const body = [0xf7, 0xc1, ...word(mask), 0x74, 3 * 40, ...adds(40), 0x83, 0xc3, 0x01];
    const { process, channel } = start([...loop(100_000, body), ...EXIT], 256);
    process.run(40_000);
    process.vcpu.compiler.flush();
    channel.work();
    expect(channel.results.flatMap(({ regions }) => regions.map((region) => region.instructions))).toEqual([instructions]);
    while (process.run(200_000)) channel.work();
    expect(process.status).toBe(0);
  });

  it('end where a region begins that has most of their code', { timeout: 60_000 }, () => {
    // A function of a short beginning and a loop, which is hot long before it.
    const inner = loop(50, adds(100));
    const called = [...adds(10), ...inner, 0xc3];
    const body = [0xff, 0xc3, 0xe8, ...word(0)]; // inc ebx; call
    const outer = [0xbe, ...word(2_000), ...body, 0xff, 0xce, 0x0f, 0x85, ...word(-(body.length + 8))]; // mov esi, 2000; …; dec esi; jnz
    const main = [...outer, ...EXIT];
    main.splice(8, 4, ...word(main.length - 12));
    const { process, channel } = start([...main, ...called]);
    while (process.run(20_000)) channel.work();
    expect(process.status).toBe(0);
    const sizes = channel.results.flatMap(({ regions }) => regions.map((region) => region.instructions));
    expect(sizes[0]).toBe(103); // the loop, and RET
    expect(sizes.slice(1).every((size) => size < 20)).toBe(true);
    expect(sizes).toContain(11); // the beginning
    expect(process.vcpu.compiler.counts.exits.instruction).toBeLessThan(500);
  });

  it.each([
    // test edx, edx; jz over; 20 × add; over: 80 × add; …: every round, so that it becomes a region itself.
    ['a part of its loop', [...loop(50, [0x85, 0xd2, 0x74, 3 * 20, ...adds(100)]), 0xc3], 20 + 85],
    // cmp ecx, edx; je seldom; back: 80 × add; …; ret; seldom: 20 × add; jmp back: the last round.
    ['a way around it', [...loop(50, [0x39, 0xd1, 0x0f, 0x84, ...word(249), ...adds(80)]), 0xc3, ...adds(20), 0xe9, ...word(-314)], 10 + 1 + 85 + 21],
  ])('do not end there where it has not what is hot since: %s', { timeout: 60_000 }, (_, inner, size) => {
    // The same, with 20 instructions in the loop that are executed from the fiftieth call on: edx is 1 then, and 0 before.
    const called = [...adds(10), ...inner];
    const body = [0x31, 0xd2, 0x81, 0xfe, ...word(1_950), 0x0f, 0x9c, 0xc2, 0xe8, ...word(0)]; // xor edx, edx; cmp esi, 1950; setl dl; call
    const outer = [0xbe, ...word(2_000), ...body, 0xff, 0xce, 0x0f, 0x85, ...word(-(body.length + 8))]; // mov esi, 2000; …; dec esi; jnz
    const main = [...outer, ...EXIT];
    const call = 5 + body.length - 4;
    main.splice(call, 4, ...word(main.length - (call + 4)));
    const { process, channel } = start([...main, ...called], 256);
    while (process.run(20_000)) channel.work();
    expect(process.status).toBe(0);
    const sizes = channel.results.flatMap(({ regions }) => regions.map((region) => region.instructions));
    expect(sizes[0]).toBe(85); // the loop without them, and RET
    expect(sizes).toContain(size);
  });

  it('take along what their regions call', { timeout: 60_000 }, () => {
    const called = [...adds(40), 0xc3]; // ret
    // A jump to what follows it, as a block has 500 instructions at most; the call's distance comes later.
    const body = [...adds(290), 0x75, 0x00, ...adds(290), 0xe8, ...word(0)];
    const code = loop(100_000, body);
    const main = [...code, ...EXIT];
    const call = 5 + body.length - 4;
    main.splice(call, 4, ...word(main.length - (call + 4)));
    const { process, channel } = start([...main, ...called]);
    process.run(40_000);
    process.vcpu.compiler.flush();
    const [job] = channel.jobs;
    expect(job.most).toBe(600);
    channel.work();
    const [{ regions, left }] = channel.results;
    expect(regions.map(({ instructions }) => instructions).sort((a, b) => a - b)).toEqual([41, 587]);
    expect(left).toEqual([]);
  });

  it('are not made of what the job before has made', { timeout: 60_000 }, () => {
    const { process, channel } = start([...loop(100_000, adds(30)), ...EXIT]);
    process.run(3_000);
    process.vcpu.compiler.flush();
    const [job] = channel.jobs;
    expect(channel.service!.compile(job).regions.length).toBe(1);
    // Whoever submitted this one had not heard of that.
    const { regions, left } = channel.service!.compile(job);
    expect([regions, left]).toEqual([[], []]);
    // What is to have an entry of its own gets it.
    const again = channel.service!.compile({ ...job, entries: job.entries.map((entry) => ({ ...entry, again: true })) });
    expect(again.regions.length).toBe(1);
  });

  it('are made of what a region has already only when jumps have gone there very often', { timeout: 60_000 }, () => {
    const { process, channel } = start([...loop(100_000, adds(30)), ...EXIT]);
    process.run(3_000);
    process.vcpu.compiler.flush();
    channel.work();
    const { compiler } = process.vcpu;
    const { queue } = compiler as unknown as { queue: CompileQueue };
    const inside = channel.results[0].regions[0].records[10];
    const count = new Uint16Array(process.view.buffer, sideOf(inside) + Side.COUNT, 1);
    compiler.hot(inside);
    expect([queue.has(inside), count[0]]).toEqual([false, 21]);
    compiler.hot(inside);
    expect(queue.has(inside)).toBe(true);
  });
});
