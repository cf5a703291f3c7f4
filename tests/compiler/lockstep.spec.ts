// Both tiers side by side on what gcc makes of the CPU mix (bench/guest/mix): compiled code runs for a random number of instructions,
// the interpreter exactly as many, and then all registers must be the same; at the end so must memory. Slices are short, so that loops,
// calls and side exits are left at every place they can be. A second run forgets translations at random, so that every access misses
// now and then.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, runNative } from '../../bench/mix-guest.ts';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { follow, memoryHash, random, registers } from './lockstep.ts';
import { Process } from './process.ts';

const PARTS = ['rounds', 'sieve', 'list', 'matrix', 'double', 'state', 'crc', 'qsort', 'x87', 'memcpy', 'switch', 'goto', 'fib', 'chacha', 'hash64'];

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
