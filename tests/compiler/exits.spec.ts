// An exit to code that was not compiled when its region was made goes on in the region that is there by now. Flags of operands that nobody
// has shifted yet must not get to it: CMPXCHG8B sets ZF alone, and core.wasm works the others out from memory.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu } from '../../src/core/layout.ts';
import { program } from './emitted.ts';
import { Process } from './process.ts';

const ROUNDS = 200_000;
const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);

const LOOP = [
  ...[0x41, 0x89, 0xcb], // again: mov r11d, ecx
  ...[0x41, 0x81, 0xe3, ...word(255)], // and r11d, 255
  ...[0x41, 0x81, 0xfb, ...word(254)], // cmp r11d, 254
  ...[0x0f, 0x87], // ja seldom
];
const BACK = [0xff, 0xc9]; // next: dec ecx
const EXIT = [0xb8, ...word(60), 0x31, 0xff, 0x0f, 0x05]; // exit(0)
const END = [...BACK, 0x0f, 0x85, ...word(-(LOOP.length + 4 + BACK.length + 6)), ...EXIT]; // jnz again
const SELDOM = [
  ...[0x0f, 0xc7, 0x0e], // seldom: cmpxchg8b [rsi]
  ...[0x9c, 0x41, 0x58], // pushfq; pop r8
  ...[0x4d, 0x01, 0xc1], // add r9, r8
];
const START = [0xbe, ...word(0x60_0000), 0xb9, ...word(ROUNDS)]; // mov esi, 0x600000; mov ecx, ROUNDS
const NEXT = 0x40_1000 + START.length + LOOP.length + 4;
const CODE = [
  ...START,
  ...[...LOOP, ...word(END.length), ...END],
  ...[...SELDOM, 0x68, ...word(NEXT), 0xc3], // push next; ret: a region that is no loop, which would take the flags along in locals
];

describe('exits to regions that came later', () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it('leave flags as the interpreter has them', { timeout: 60_000 }, () => {
    const [compiled, interpreted] = [{ threshold: 200 }, null].map((compile) => {
      const process = new Process(program(64, CODE), ['exits'], compile);
      while (process.run(500)) void 0;
      expect(process.status).toBe(0);
      return process;
    });
    // R9: the sum of all that PUSHFQ pushed.
    const sum = (process: Process): string => process.vcpu.get64(Cpu.GPR + 9 * 8).toString(16);
    expect(sum(compiled)).toBe(sum(interpreted));
    // Most of the seldom rounds went from one region to the other.
    const { regions, counts } = compiled.vcpu.compiler;
    expect(regions.length).toBeGreaterThan(1);
    expect(counts.exits.target).toBeLessThan(ROUNDS / 256 / 2);
  });
});

// mov r8d, ss; mov ecx, ROUNDS; again: mov ss, r8d; inc eax; add ebx, eax; dec ecx; jnz again
const SHADOW_START = [...[0x41, 0x8c, 0xd0], 0xb9, ...word(20_000)];
const MOV_SS = [0x41, 0x8e, 0xd0];
const BEHIND_MOV_SS = 0x40_1000 + SHADOW_START.length + MOV_SS.length;
const SHADOWS = [...SHADOW_START, ...MOV_SS, ...[0xff, 0xc0], ...[0x01, 0xc3], ...[0xff, 0xc9], ...[0x75, 0x100 - 11], ...EXIT];

describe('the shadow of MOV SS', () => {
  it.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('ends with the instruction behind it, %s', { timeout: 60_000 }, (_tier, compile) => {
    const process = new Process(program(64, SHADOWS), ['exits'], compile);
    const seen = new Set<string>();
    for (let n = 0; process.run(30 + (n % 11)); n++) seen.add(`${process.vcpu.get64(Cpu.RIP) === BigInt(BEHIND_MOV_SS) ? 'behind' : 'elsewhere'} ${process.vcpu.get32(Cpu.INTERRUPT_SHADOW)}`);
    expect([...seen].sort()).toEqual(['behind 2', 'elsewhere 0']);
  });
});
