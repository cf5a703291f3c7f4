// Both tiers side by side on random programs in real mode: registers and segments after each slice, all memory at the end.
// RANDOM_PROGRAMS=5000 for a long run, RANDOM_SEED=N for one program.

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem, Seg } from '../../src/core/layout.ts';
import { random } from './lockstep.ts';
import { randomRealProgram } from './random-real.ts';
import { REAL_MODE_RAM, RealMode, SEGMENTS } from './real-mode.ts';

const PROGRAMS = Number(process.env.RANDOM_PROGRAMS ?? 12);
const FIRST = Number(process.env.RANDOM_SEED ?? 1);
const INSTRUCTIONS = 4000;
const REGISTERS = 'eax ecx edx ebx esp ebp esi edi'.split(' ');
const SEGMENT_NAMES = [['cs', Cpu.CS], ['ds', Cpu.DS], ['es', Cpu.ES], ['ss', Cpu.SS], ['fs', Cpu.FS], ['gs', Cpu.GS]] as const;

function state({ vcpu, interrupts }: RealMode): Record<string, string> {
  const out: Record<string, string> = { eip: vcpu.get64(Cpu.RIP).toString(16), eflags: vcpu.rflags.toString(16), interrupts: String(interrupts) };
  REGISTERS.forEach((name, n) => (out[name] = vcpu.get64(Cpu.GPR + n * 8).toString(16)));
  for (const [name, at] of SEGMENT_NAMES) out[name] = `${vcpu.get32(at + Seg.SELECTOR).toString(16)} ${vcpu.get64(at + Seg.BASE).toString(16)}`;
  return out;
}

const memoryHash = ({ u8 }: RealMode): string => createHash('sha256').update(u8.subarray(Mem.RAM, Mem.RAM + REAL_MODE_RAM)).digest('hex');

const PLACE = [Cpu.RIP, Cpu.CS, Cpu.GPR, Cpu.GPR + 8, Cpu.GPR + 32, Cpu.GPR + 48, Cpu.GPR + 56];
const isAtSamePlace = (a: RealMode, b: RealMode): boolean => PLACE.every((at) => a.vcpu.get64(at) === b.vcpu.get64(at));

/** Both tiers at the same instruction. */
class Pair {
  /**
   * By how much the interpreter's count is behind: a repeated instruction counts by eight bytes, and by one more where it is interrupted,
   * which is not at the same elements in both tiers.
   */
  private behind = 0;

  constructor(readonly compiled: RealMode, readonly interpreted: RealMode) {}

  /** The interpreter goes on to where the other is; where that one stopped within a repeated instruction, both go on. */
  meet(): void {
    const { compiled, interpreted } = this;
    const { vcpu } = interpreted;
    vcpu.trace.execute = () => {};
    for (let tries = 0; tries < 20_000; tries++) {
      const end = compiled.vcpu.icount - this.behind;
      while (vcpu.icount < end) interpreted.run(1);
      for (let n = 0; n < 8 && tries > 0 && !isAtSamePlace(compiled, interpreted); n++) interpreted.run(1);
      if (isAtSamePlace(compiled, interpreted)) break;
      compiled.run(1);
    }
    this.behind = compiled.vcpu.icount - vcpu.icount;
    vcpu.trace.execute = undefined;
  }
}

function compare(seed: number): { compiled: number; entries: number; interrupts: number } {
  const program = randomRealProgram(seed);
  const below = random(seed + 77);
  const compiled = new RealMode(program, { threshold: seed % 3 === 0 ? 3 : 1 });
  const interpreted = new RealMode(program, null);
  const pair = new Pair(compiled, interpreted);
  const fill = random(seed + 5);
  for (let n = SEGMENTS.ds * 16; n < SEGMENTS.ss * 16 + 0x1_0000; n += 4) {
    const value = fill(2 ** 32);
    for (const { view } of [compiled, interpreted]) view.setUint32(Mem.RAM + n, value, true);
  }
  while (compiled.vcpu.icount < INSTRUCTIONS) {
    compiled.run(1 + below(below(3) === 0 ? 300 : 20));
    pair.meet();
    const where = { program: seed, at: compiled.vcpu.icount };
    expect({ ...where, ...state(compiled) }).toEqual({ ...where, ...state(interpreted) });
    if (below(4) === 0) compiled.vcpu.core.tlb_flush(compiled.vcpu.base, 0);
    const { vcpu } = compiled;
    const isLost = Math.abs(vcpu.get32(Cpu.CS + Seg.SELECTOR) - SEGMENTS.cs) > 1 || vcpu.get32(Cpu.RIP) > program.length;
    if (isLost) for (const machine of [compiled, interpreted]) machine.restart();
  }
  expect({ program: seed, memory: memoryHash(compiled) }).toEqual({ program: seed, memory: memoryHash(interpreted) });
  const { compiler } = compiled.vcpu;
  return { compiled: compiler.compiled, entries: compiler.counts.entries, interrupts: compiled.interrupts };
}

describe('random programs in real mode, in both tiers', () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it('do the same', { timeout: 30_000 + PROGRAMS * 10_000 }, () => {
    const sum = { compiled: 0, entries: 0, interrupts: 0 };
    const count = process.env.RANDOM_SEED ? 1 : PROGRAMS;
    for (let n = 0; n < count; n++) {
      const one = compare(FIRST + n);
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += one[key];
    }
    // The programs do what they are made for.
    if (count >= 12) {
      expect(sum.compiled).toBeGreaterThan(count * 5);
      expect(sum.entries).toBeGreaterThan(count * 100);
      expect(sum.interrupts).toBeGreaterThan(count);
    }
    if (process.env.RANDOM_PROGRAMS) console.log(sum);
  });
});

describe('the shadow of STI', () => {
  it.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('costs no way through TypeScript where it ends with a far jump, %s', (_tier, compile) => {
    // cli; sti; jmp far 1000h:0
    const machine = new RealMode([0xfa, 0xfb, 0xea, 0, 0, 0, 0x10], compile);
    const step = vi.spyOn(machine.vcpu.cache, 'step');
    machine.run(3000);
    expect(step).not.toHaveBeenCalled();
    expect(machine.vcpu.get32(Cpu.INTERRUPT_SHADOW)).toBe(0);
  });
});

describe('a function that returns to another code segment', () => {
  it.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('does not go on in its caller, whose return address is the same, %s', (_tier, compile) => {
    const code = new Uint8Array(0x30).fill(0xf4);
    code.set([0xe8, 0x1d, 0x00, 0x43, 0xeb, 0xfa]); // call 20h; inc bx; jmp 0
    code.set([0x41, 0xea, 0, 0, 0, 0x10], 0x13); // 1001h:3: inc cx; jmp far 1000h:0
    // xor si, 1; pop ax; jz other; push cs; jmp both; other: push 1001h; both: push ax; retf. A function that returns far is called, not executed in its caller's region.
    code.set([0x83, 0xf6, 0x01, 0x58, 0x74, 0x03, 0x0e, 0xeb, 0x03, 0x68, 0x01, 0x10, 0x50, 0xcb], 0x20);
    const machine = new RealMode(code, compile);
    machine.run(19 * 300);
    expect([machine.vcpu.get32(Cpu.GPR + 8), machine.vcpu.get32(Cpu.GPR + 24)]).toEqual([300, 300]);
  });
});

describe('a software interrupt in a function', () => {
  it.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('comes back from its handler in another code segment, %s', (_tier, compile) => {
    const code = new Uint8Array(0x50).fill(0xf4);
    code.set([0xe8, 0x1d, 0x00, 0x43, 0xeb, 0xfa]); // call 20h; inc bx; jmp 0
    code.set([0xcd, 0x60, 0xc3], 0x20); // int 60h; ret
    code.set([0x41, 0xcf], 0x13); // 1001h:3: inc cx; iret. In the other segment, 3 is where the call returns
    const machine = new RealMode(code, compile);
    machine.view.setUint32(Mem.RAM + 0x60 * 4, (0x1001 << 16) | 3, true);
    machine.run(7 * 300);
    expect([machine.vcpu.get32(Cpu.GPR + 8), machine.vcpu.get32(Cpu.GPR + 24)]).toEqual([300, 300]);
    expect(machine.vcpu.get64(Cpu.CODE_BASE)).toBe(0x10000n);
  });
});
