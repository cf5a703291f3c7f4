// Both tiers side by side on what gcc makes of the CPU mix (bench/guest/mix): compiled code runs for a random number of instructions,
// the interpreter exactly as many, and then all registers must be the same; at the end so must memory. Slices are short, so that loops,
// calls and side exits are left at every place they can be. A second run forgets translations at random, so that every access misses
// now and then.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, runNative } from '../../bench/mix-guest.ts';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem } from '../../src/core/layout.ts';
import { Process } from './process.ts';

const PARTS = ['rounds', 'sieve', 'list', 'matrix', 'double', 'state', 'crc', 'qsort', 'x87', 'memcpy', 'switch', 'goto', 'fib', 'chacha', 'hash64'];
const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** A generator of pseudo-random numbers below a limit (a linear congruence), so that a failure repeats. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

function registers(process: Process): Record<string, string> {
  const { vcpu } = process;
  const state: Record<string, string> = { rip: vcpu.get64(Cpu.RIP).toString(16), rflags: vcpu.rflags.toString(16), mxcsr: vcpu.get32(Cpu.MXCSR).toString(16) };
  NAMES.slice(0, process.bits === 64 ? 16 : 8).forEach((name, n) => (state[name] = vcpu.get64(Cpu.GPR + n * 8).toString(16)));
  for (let n = 0; n < 16; n++) state[`xmm${n}`] = `${vcpu.get64(Cpu.XMM + n * 16 + 8).toString(16)}:${vcpu.get64(Cpu.XMM + n * 16).toString(16)}`;
  for (let n = 0; n < 8; n++) state[`fpr${n}`] = `${(vcpu.get32(Cpu.FPR + n * 16 + 8) & 0xffff).toString(16)}:${vcpu.get64(Cpu.FPR + n * 16).toString(16)}`;
  for (const [name, at] of [['fcw', Cpu.FCW], ['fsw', Cpu.FSW], ['ftw', Cpu.FTW], ['fip', Cpu.FIP], ['fcs', Cpu.FCS]] as const) state[name] = vcpu.get32(at).toString(16);
  return state;
}

const memoryHash = (process: Process): string => createHash('sha256').update(process.u8.subarray(Mem.RAM + 0x40_0000, Mem.RAM + (16 << 20))).digest('hex');

/** The interpreter goes on to the same instruction: in strides first, then one by one. */
function follow(process: Process, icount: number): void {
  const { vcpu } = process;
  if (icount - vcpu.icount > 4000) process.run(icount - vcpu.icount - 3000);
  vcpu.trace.execute = () => {};
  while (process.status === null && vcpu.icount < icount) process.run(1);
  vcpu.trace.execute = undefined;
}

describe.each(['amd64', 'i386'] as const)('compiled code and interpreter in lockstep, %s', (arch) => {
  let elf: Uint8Array;
  beforeAll(async () => {
    await buildIfOlder();
    elf = readFileSync(buildProgram('mix', arch).path);
  }, 120_000);

  for (const [threshold, flushes, bytesMax] of [[1, false, undefined], [40, false, 100_000], [40, true, undefined]] as const) {
    it(`from ${threshold} jumps on${flushes ? ', forgetting translations' : ''}${bytesMax ? `, keeping ${bytesMax} bytes of code` : ''}`, { timeout: 300_000 }, () => {
      const args = ['mix', `parts=${PARTS.join(',')}`, 'units=2'];
      const compiled = new Process(elf, args, { threshold, bytesMax });
      const interpreted = new Process(elf, args, null);
      const below = random(threshold * 7 + arch.length);
      for (let running = true; running; ) {
        running = compiled.run(1 + below(below(4) === 0 ? 300 : 400_000));
        follow(interpreted, compiled.vcpu.icount);
        expect({ at: compiled.vcpu.icount, ...registers(compiled) }).toEqual({ at: interpreted.vcpu.icount, ...registers(interpreted) });
        if (flushes && below(3) === 0) compiled.vcpu.core.tlb_flush(compiled.vcpu.base, 0);
      }
      expect(compiled.vcpu.compiler.compiled).toBeGreaterThan(20);
      if (bytesMax) expect(compiled.vcpu.compiler.dropped).toBeGreaterThan(5);
      expect(compiled.output).toBe(interpreted.output);
      expect(memoryHash(compiled)).toBe(memoryHash(interpreted));
      const sums = (text: string): string[] => text.split('\n').map((line) => line.split(' ')).filter((words) => PARTS.includes(words[0])).map((words) => `${words[0]} ${words[3]}`);
      expect(sums(compiled.output)).toHaveLength(PARTS.length);
      const native = runNative(buildProgram('mix', arch), args.slice(1));
      if (native !== undefined) expect(sums(compiled.output)).toEqual(sums(native));
    });
  }
});
