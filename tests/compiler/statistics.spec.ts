// What -d jit tells of each region.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildProgram } from '../../bench/mix-guest.ts';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { RegionInfo } from '../../src/engine/compile/compiler.ts';
import { Process } from './process.ts';

describe('statistics of regions', () => {
  let elf: Uint8Array;
  beforeAll(async () => {
    await buildIfOlder();
    elf = readFileSync(buildProgram('mix', 'amd64').path);
  }, 120_000);

  const run = (isCounted: boolean): { process: Process; made: RegionInfo[]; dropped: RegionInfo[] } => {
    const process = new Process(elf, ['mix', 'parts=sieve,fib', 'units=1'], { threshold: 20 });
    const made: RegionInfo[] = [];
    const dropped: RegionInfo[] = [];
    if (isCounted) process.vcpu.compiler.listener = { made: (region) => made.push(region), dropped: (region) => dropped.push(region) };
    while (process.run(50_000)) process.vcpu.core.tlb_flush(process.vcpu.base, 0);
    return { process, made, dropped };
  };

  it('counts entries and exits by cause', { timeout: 120_000 }, () => {
    const { process, made, dropped } = run(true);
    const { compiler } = process.vcpu;
    const all = [...compiler.regions, ...dropped];
    expect(all.map(({ rip }) => rip).sort()).toEqual(made.map(({ rip }) => rip).sort());
    for (const { instructions, bytes, pages } of all) {
      expect(instructions).toBeGreaterThan(0);
      expect(pages).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(instructions);
    }
    const { entries, exits } = compiler.counts;
    const sum = (of: (region: RegionInfo) => number): number => all.reduce((total, region) => total + of(region), 0);
    // Regions call one another as well.
    expect(sum(({ counts }) => counts!.entries)).toBeGreaterThan(entries);
    // Translations were forgotten, so accesses missed; the interpreter saw each such exit.
    expect(exits.memory).toBeGreaterThan(0);
    for (const cause of ['memory', 'rare', 'instruction']) expect({ cause, count: sum(({ counts }) => counts!.exits[cause]) }).toEqual({ cause, count: exits[cause] });
  });

  it('costs nothing where nobody asked', { timeout: 120_000 }, () => {
    const { process } = run(false);
    expect(process.vcpu.compiler.regions.every(({ counts }) => counts === null)).toBe(true);
    expect(process.vcpu.compiler.bytes).toBeLessThan(run(true).process.vcpu.compiler.bytes);
  });
});
