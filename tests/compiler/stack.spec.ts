// PUSHA and POPA access a frame of eight registers at once in compiled code. In both tiers they must do the same where the frame lies on
// two pages of which one is missing, reaches beyond the segment, or wraps around with SP.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem, Seg, SegAttr } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { Instructions } from './instructions.ts';

const PD = 0x3000;
/** Two pages of 2 MiB: the second is not there. */
const LAST = 0x80_0000;
/** Base of stacks of 16 bits, which end in the midst of a page. */
const BASE = 0x70_0800;

interface Stack {
  /** Of SS; flat, unless said otherwise. */
  readonly base?: number;
  readonly limit?: number;
  readonly isShort?: boolean;
  readonly pointers: readonly number[];
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const around = [...range(0, 40), ...range(0xffd0, 0x1_0000)].map((sp) => 0x1234_0000 | sp);
const STACKS: Record<string, Stack> = {
  flat: { pointers: [...range(LAST - 100, LAST + 50), ...range(0, 80)] },
  'with a limit': { limit: LAST - 0x1000 + 60, pointers: range(LAST - 0x1000 - 30, LAST - 0x1000 + 130) },
  'of 16 bits': { base: BASE, limit: 0xffff, isShort: true, pointers: around },
  'of 16 bits in a segment of 4 GiB': { base: BASE, isShort: true, pointers: around },
};

class StackProcess extends Instructions {
  constructor(private readonly stack: Stack, compile: CompilerOptions | null) {
    super(compile, 32);
    this.set64(PD + (LAST >> 21) * 8, 0n);
    for (let at = 0; at < 0x2_0000; at += 4) for (const from of [BASE, LAST - 0x1_0000]) this.view.setUint32(Mem.RAM + from + at, Math.imul(from + at, 0x9e37_79b1), true);
  }

  protected override toUser(rip: bigint, flags: number): void {
    super.toUser(rip, flags);
    // While the process is loaded it is not known yet.
    if (!this.stack) return;
    const { vcpu, stack } = this;
    vcpu.set64(Cpu.SS + Seg.BASE, BigInt(stack.base ?? 0));
    vcpu.set32(Cpu.SS + Seg.LIMIT, stack.limit ?? 0xffff_ffff);
    if (stack.isShort) vcpu.set32(Cpu.SS + Seg.ATTR, vcpu.get32(Cpu.SS + Seg.ATTR) & ~SegAttr.DB);
    vcpu.core.update_mode(vcpu.base);
  }

  /** Everything that an instruction leaves with a stack pointer. */
  outcome(code: readonly number[], pointer: number): Record<string, unknown> {
    const { vcpu, u8 } = this;
    for (let n = 0; n < 8; n++) vcpu.set64(Cpu.GPR + n * 8, BigInt(0x1020_3040 + n * 0x0101_0101));
    vcpu.set64(Cpu.RSP, BigInt(pointer));
    vcpu.set64(Cpu.CR2, 0n);
    const vector = this.execute(code);
    const place = (this.stack.base ?? 0) + (this.stack.isShort ? 0 : Math.max(64, pointer) - 64);
    const bytes = (from: number, length: number): string => Buffer.from(u8.subarray(Mem.RAM + from, Mem.RAM + from + length)).toString('hex');
    return {
      vector,
      cr2: vcpu.get64(Cpu.CR2),
      stackPointer: vector === null ? null : this.stackPointer,
      registers: Array.from({ length: 8 }, (_, n) => vcpu.get64(Cpu.GPR + n * 8).toString(16)),
      memory: this.stack.isShort ? bytes(place, 64) + bytes(place + 0xffc0, 128) : bytes(place, 128),
    };
  }
}

describe.each(Object.entries(STACKS))('PUSHA and POPA on a stack %s', (_name, stack) => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  it.each([['pushad', [0x60]], ['popad', [0x61]], ['pusha', [0x66, 0x60]], ['popa', [0x66, 0x61]]] as const)('%s', (_instruction, code) => {
    const compiled = new StackProcess(stack, { threshold: 1 });
    const interpreted = new StackProcess(stack, null);
    let faults = 0;
    for (const pointer of stack.pointers) {
      const got = compiled.outcome(code, pointer);
      expect({ pointer, ...got }).toEqual({ pointer, ...interpreted.outcome(code, pointer) });
      if (got.vector !== null) faults++;
    }
    const { entries, left } = compiled.counts;
    expect(entries - left).toBeGreaterThan(20);
    expect(left).toBeGreaterThan(5);
    if (!stack.isShort) expect(faults).toBeGreaterThan(5);
  });
});
