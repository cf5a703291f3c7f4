// Both tiers side by side on random programs, whose pages of code are exchanged meanwhile, and whose pages of data move: every register after each slice, all memory at the end. RANDOM_PROGRAMS=5000 for a long
// run, RANDOM_SEED=N for one program.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem } from '../../src/core/layout.ts';
import { follow, memoryHash, random, registers } from './lockstep.ts';
import { RandomProcess, randomProgram } from './random-program.ts';

const PROGRAMS = Number(process.env.RANDOM_PROGRAMS ?? 12);
const FIRST = Number(process.env.RANDOM_SEED ?? 1);
const INSTRUCTIONS = 4000;

/** Has what comes next a prefix of repeated string instructions? */
function isRepeat({ vcpu, u8 }: RandomProcess): boolean {
  const at = Mem.RAM + Number(BigInt.asUintN(28, vcpu.get64(Cpu.RIP)));
  return [...u8.subarray(at, at + 4)].some((byte) => byte === 0xf2 || byte === 0xf3);
}

/** One tier may stop within a repeated instruction that the other does at once: then that one goes on, until both are at the same place. */
function meet(compiled: RandomProcess, interpreted: RandomProcess): void {
  for (let tries = 0; tries < 100; tries++) {
    follow(interpreted, compiled.vcpu.icount);
    const ahead = interpreted.vcpu.icount - compiled.vcpu.icount;
    // Repeats are counted by 8 bytes: with the same count one may still be some elements further.
    const isWithin = ahead === 0 && isRepeat(compiled) && compiled.vcpu.get64(Cpu.RCX) !== interpreted.vcpu.get64(Cpu.RCX);
    if (ahead === 0 && !isWithin) return;
    compiled.run(Math.max(1, ahead));
  }
}

/** @returns what was executed, compiled and faulted */
function compare(seed: number, bits: 32 | 64, isSegmented: boolean): { instructions: number; compiled: number; faults: number; dropped: number; moves: number } {
  const program = randomProgram(seed, bits);
  const below = random(seed + 77);
  const compiled = new RandomProcess(program, { threshold: seed % 3 === 0 ? 3 : 1 }, isSegmented);
  const interpreted = new RandomProcess(program, null, isSegmented);
  while (compiled.vcpu.icount < INSTRUCTIONS) {
    compiled.run(1 + below(below(3) === 0 ? 300 : 20));
    meet(compiled, interpreted);
    const where = { program: seed, at: compiled.vcpu.icount };
    expect({ ...where, ...registers(compiled) }).toEqual({ ...where, ...registers(interpreted) });
    if (below(2) === 0) compiled.vcpu.core.tlb_flush(compiled.vcpu.base, 0);
    if (below(3) === 0) {
      const [page, isOther] = [below(compiled.codePages), below(2) === 0];
      for (const process of [compiled, interpreted]) process.exchange(page, isOther);
    }
  }
  expect({ program: seed, memory: memoryHash(compiled) }).toEqual({ program: seed, memory: memoryHash(interpreted) });
  const { compiler, icount } = compiled.vcpu;
  return { instructions: icount, compiled: compiler.compiled, faults: compiled.faults, dropped: compiler.dropped, moves: compiled.moves };
}

describe.each([[64, 'flat'], [32, 'flat'], [32, 'other']] as const)('random programs in both tiers, %i bits, %s segments', (bits, segments) => {
  beforeAll(() => buildIfOlder(), 120_000);

  it('do the same', { timeout: 30_000 + PROGRAMS * 10_000 }, () => {
    const sum = { instructions: 0, compiled: 0, faults: 0, dropped: 0, moves: 0 };
    const count = process.env.RANDOM_SEED ? 1 : PROGRAMS;
    for (let n = 0; n < count; n++) {
      const one = compare(FIRST + n, bits, segments === 'other');
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += one[key];
    }
    // The programs do what they are made for.
    if (count >= 12) {
      expect(sum.compiled).toBeGreaterThan(count * 5);
      expect(sum.faults).toBeGreaterThan(count);
      expect(sum.dropped).toBeGreaterThan(count);
      expect(sum.moves).toBeGreaterThan(count);
    }
  });
});
