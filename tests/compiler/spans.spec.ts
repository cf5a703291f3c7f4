// Accesses near one another are asked for once, as if they lay on one page. Here they lie on two, round for round: each round leaves the
// region, until the region is made again to look each of them up. What is written must be right before and after.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Mem } from '../../src/core/layout.ts';
import { program } from './emitted.ts';
import { Process } from './process.ts';

const ROUNDS = 20_000;
/** Twelve bytes before a page's end. */
const DATA = 0x60_0ff4;

/** Counts ROUNDS rounds at [rbx], [rbx + 8] (the last four bytes of one page and the first four of the next) and [rbx + 16]. */
const CODE = [
  ...[0xbb, 0xf4, 0x0f, 0x60, 0x00], // mov ebx, DATA
  ...[0xb9, ROUNDS & 0xff, (ROUNDS >> 8) & 0xff, 0x00, 0x00], // mov ecx, ROUNDS
  ...[0x48, 0x83, 0x03, 0x01], // again: add qword [rbx], 1
  ...[0x48, 0x83, 0x43, 0x08, 0x02], // add qword [rbx+8], 2
  ...[0x48, 0x83, 0x43, 0x10, 0x03], // add qword [rbx+16], 3
  ...[0xff, 0xc9], // dec ecx
  ...[0x75, 0xee], // jnz again
  ...[0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05], // exit(0)
];

/** The same in a function of thirty instructions, which the loop calls: both become hot together and are regions of one module. */
const CALLING = [
  ...[0xbb, 0xf4, 0x0f, 0x60, 0x00], // mov ebx, DATA
  ...[0xb9, ROUNDS & 0xff, (ROUNDS >> 8) & 0xff, 0x00, 0x00], // mov ecx, ROUNDS
  ...[0xe8, 13, 0x00, 0x00, 0x00], // again: call function
  ...[0xff, 0xc9], // dec ecx
  ...[0x75, 0xf7], // jnz again
  ...[0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05], // exit(0)
  ...Array.from({ length: 26 }, () => [0x83, 0xc0, 0x01]).flat(), // function: add eax, 1
  ...[0x48, 0x83, 0x03, 0x01], // add qword [rbx], 1
  ...[0x48, 0x83, 0x43, 0x08, 0x02], // add qword [rbx+8], 2
  ...[0x48, 0x83, 0x43, 0x10, 0x03], // add qword [rbx+16], 3
  0xc3, // ret
];

/** The loop, 200 rounds of it, in a function: the loop's region doubts before the function's entry is hot. */
const INSIDE = [
  ...[0xbb, 0xf4, 0x0f, 0x60, 0x00], // mov ebx, DATA
  ...[0xbe, ROUNDS / 200, 0x00, 0x00, 0x00], // mov esi, ROUNDS / 200
  ...[0xe8, 13, 0x00, 0x00, 0x00], // again: call function
  ...[0xff, 0xce], // dec esi
  ...[0x75, 0xf7], // jnz again
  ...[0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05], // exit(0)
  ...Array.from({ length: 26 }, () => [0x83, 0xc0, 0x01]).flat(), // function: add eax, 1
  ...[0xb9, 200, 0x00, 0x00, 0x00], // mov ecx, 200
  ...CODE.slice(10, 28), // the loop
  0xc3, // ret
];

/** The loop with 200 instructions more: its region costs more to make again. */
const LARGE = [
  ...CODE.slice(0, 10),
  ...Array.from({ length: 200 }, () => [0x83, 0xc0, 0x01]).flat(), // again: add eax, 1
  ...CODE.slice(10, 26), // its accesses; dec ecx
  ...[0x0f, 0x85, 0x92, 0xfd, 0xff, 0xff], // jnz again
  ...CODE.slice(28),
];

describe('accesses near one another on two pages', () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it.each([
    // Most rounds come after the region was made again.
    ['in a loop', CODE, 5_000, 500, ROUNDS / 4],
    ['in a function that others of its module call', CALLING, 5_000, 500, ROUNDS / 4],
    ['in a large region, 16 times for each of its instructions', LARGE, 5_000, 16 * 205, ROUNDS / 4],
    // The loop's region comes to a thousand before it doubts; the function's, which has its code, is entered 75 times and more.
    ['in a region that has the code of one that doubts no more', INSIDE, 500, 1_000, 1_100],
  ])('leave a region for a while: %s', { timeout: 60_000 }, (_, code, slice, least, most) => {
    const process = new Process(program(64, code), ['spans'], { threshold: 20 });
    let slices = 0;
    while (process.run(slice)) slices++;
    expect(slices).toBeGreaterThan(5);
    expect(process.status).toBe(0);
    const value = (at: number): bigint => process.view.getBigUint64(Mem.RAM + at, true);
    expect([value(DATA), value(DATA + 8), value(DATA + 16)]).toEqual([BigInt(ROUNDS), BigInt(2 * ROUNDS), BigInt(3 * ROUNDS)]);
    const { exits } = process.vcpu.compiler.counts;
    expect(exits.span).toBeGreaterThan(least);
    expect(exits.span).toBeLessThan(most);
  });
});
