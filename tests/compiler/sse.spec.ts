// SSE's arithmetic and conversions as instructions, in both tiers: what is inline must give the very result that core's functions give
// bit by bit, and raise no exception that they do not. tests/oracle/fp compares those with a processor; its recorded lines are run here as well.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem, Rflags, Vector } from '../../src/core/layout.ts';
import { CPU, TestCpu } from '../../src/core/testing.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { replaySseLine, sseLine, type RunSse } from '../oracle/fp/replay-sse.ts';
import type { Guest } from '../oracle/fp/replay-x87.ts';
import { Instructions } from './instructions.ts';
import { random } from './lockstep.ts';

/** RBX points there. */
const DATA = 0x60_0000;
const CASES = Number(process.env.SSE_CASES ?? 80);
const FSW_TOP = 0x3800;

/** Runs the forms that tests/oracle/fp records, with registers as operands or with [rbx] in place of the second. */
class SseInstructions extends Instructions {
  constructor(compile: CompilerOptions | null) {
    super(compile);
    this.vcpu.set64(Cpu.RBX, BigInt(DATA));
  }

  get guest(): Guest {
    return { view: this.view, core: this.vcpu.core as unknown as Guest['core'], linear: DATA, host: Mem.RAM + DATA };
  }

  /** The second operand in a register. */
  readonly registers: RunSse = (_g, form) => this.executeForm(form, false);
  /** In memory. */
  readonly memory: RunSse = (_g, form) => this.executeForm(form, true);

  private executeForm(form: string, isMemory: boolean): number {
    const { vcpu, view } = this;
    const code = [...Buffer.from(form, 'hex')];
    const modrm = code.lastIndexOf(0x0f) + 2;
    const isFromGeneral = /^f[23](48)?0f2a/.test(form);
    const isMmx = /^(66)?0f2[acd]/.test(form);
    if (isMemory) {
      code[modrm] &= 0x38;
      code[modrm] |= 3;
      view.setBigUint64(Mem.RAM + DATA, vcpu.get64(isFromGeneral ? Cpu.RAX : Cpu.XMM + 16), true);
      view.setBigUint64(Mem.RAM + DATA + 8, vcpu.get64(Cpu.XMM + 24), true);
    }
    vcpu.set32(Cpu.FSW, 0x2800);
    vcpu.set32(Cpu.FTW, 0);
    const vector = this.execute(code);
    view.setBigUint64(CPU + Cpu.FLAG_X, BigInt(vcpu.rflags & Rflags.ARITHMETIC), true);
    view.setUint32(CPU + Cpu.FAULT, vector === null ? 0 : vector + 1, true);
    const isEntered = (vcpu.get32(Cpu.FSW) & FSW_TOP) === 0 && vcpu.get32(Cpu.FTW) === 0xff;
    // PI2PS and PI2PD leave MMX registers alone where the operand is in memory.
    if (isEntered !== (isMmx && !(isMemory && /2a..$/.test(form)))) throw new Error(`${form}: the MMX registers were ${isEntered ? '' : 'not '}entered`);
    return vector === null ? 0 : 1;
  }
}

const RECORDED = readFileSync(new URL('../oracle/fp/sse.txt', import.meta.url), 'utf8').trim().split('\n');
const FORMS = [...new Set(RECORDED.map((line) => line.slice(0, line.indexOf(' '))))];

const SINGLES = [0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xff80_0001, 1, 0x807f_ffff, 0x0080_0000, 0x8080_0000, 0x7f7f_ffff, 0x4eff_ffff, 0x4f00_0000, 0xcf00_0000, 0x4b00_0001, 0x3eff_ffff];
const DOUBLES = [
  0, -0, Infinity, -Infinity, NaN, 2 ** -1074, -(2 ** -1022), 2 ** -1022, Number.MAX_VALUE, 2 ** 31 - 1, 2 ** 31 - 1.5, 2 ** 31 - 0.5, 2 ** 31, -(2 ** 31), -(2 ** 31) + 0.5, 2 ** -126, 2 ** -127, -(2 ** -149),
  2 ** -150, (2 - 2 ** -23) * 2 ** 127, (2 - 2 ** -24) * 2 ** 127, 2 ** 128, 2 ** 53 + 2,
];
const INTEGERS = [0, 1, -1, 2 ** 24, -(2 ** 24), 2 ** 24 + 1, -(2 ** 24) - 1, 2 ** 25, 2 ** 31 - 1, -(2 ** 31), -(2 ** 31) + 1];

type Below = (limit: number) => number;
const pick = <T>(list: readonly T[], below: Below): T => list[below(list.length)];

/** Numbers of which sums and conversions are exact mostly, and others. */
function ordinary(below: Below, style: number, isPositive: boolean): number {
  const whole = below(4000) - (isPositive ? 0 : 2000);
  switch (style) {
    case 0:
      return whole;
    case 1:
      return whole / 8;
    case 2:
      return whole / 7;
    case 3:
      // The largest integers and those beyond.
      return (isPositive || below(2) ? 1 : -1) * (2 ** 31 + (below(6) - 4) / 2);
    default:
      return (isPositive || below(2) ? 1 : -1) * (1 + below(2 ** 30) / 2 ** 30) * 2 ** (below(300) - 150);
  }
}

/** 16 bytes of a kind, as high:low. */
function vector(below: Below, kind: number): string {
  const view = new DataView(new ArrayBuffer(16));
  const style = below(5);
  const isPositive = below(3) === 0;
  const isWide = below(2) === 0;
  const isSpecial = (): boolean => below(12) === 0;
  for (let at = 0; at < 16; at += 4) {
    if (kind === 0) {
      if (isSpecial()) view.setUint32(at, pick(SINGLES, below), true);
      else view.setFloat32(at, ordinary(below, style, isPositive), true);
    } else if (kind === 1) {
      if (at % 8 === 0) view.setFloat64(at, isSpecial() ? pick(DOUBLES, below) : ordinary(below, style, isPositive), true);
    } else {
      const n = style === 0 ? (below(2) ? 1 : -1) * (2 ** 24 + below(5) - 3) : isSpecial() ? pick(INTEGERS, below) : style < 3 ? below(2 ** 25) - 2 ** 24 : below(2 ** 32) - 2 ** 31;
      if (isWide) view.setBigInt64(at & 8, BigInt(n), true);
      else view.setInt32(at, n, true);
    }
  }
  return `${view.getBigUint64(8, true).toString(16)}:${view.getBigUint64(0, true).toString(16)}`;
}

/** All masked, with PE clear or set; now and then one bit is another. */
function mxcsr(below: Below): number {
  const kind = below(10);
  const masked = kind % 2 === 0 ? 0x1f80 : 0x1fa0;
  return kind < 7 ? masked : kind < 9 ? masked ^ (1 << pick([6, 13, 14, 15], below)) : masked ^ (1 << (7 + below(6)));
}

describe.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('SSE instructions do what core does, %s', (_name, compile) => {
  let core: Guest;
  let processor: SseInstructions;
  beforeAll(async () => {
    await buildIfOlder();
    const t = await TestCpu.create();
    t.set64(Cpu.CR0, 0x11n);
    t.set64(Cpu.CR4, 0x600n);
    t.core.update_mode(CPU);
    core = { view: t.view, core: t.core as unknown as Guest['core'], linear: 0x9000, host: Mem.RAM + 0x9000 };
    processor = new SseInstructions(compile);
  }, 120_000);

  function check(lines: readonly string[]): void {
    const wrong: string[] = [];
    for (const line of lines) {
      for (const [where, run] of [['register', processor.registers], ['memory', processor.memory]] as const) {
        const differences = replaySseLine(processor.guest, line, run);
        if (differences.length > 0) wrong.push(`${line} (${where})\n    ${differences.join('; ')}`);
      }
    }
    expect(wrong).toEqual([]);
  }

  it('recorded lines', { timeout: 120_000 }, () => check(RECORDED));

  it('random operands', { timeout: 60_000 + CASES * 10_000 }, () => {
    const below = random(4711);
    const seldomInline: string[] = [];
    for (const form of FORMS) {
      const before = processor.counts;
      const lines: string[] = [];
      for (let n = 0; n < 3 * CASES; n++) {
        const kind = n % 3;
        const a = vector(below, kind);
        const b = below(8) === 0 ? a : vector(below, kind);
        lines.push(sseLine(core, `${form} ${mxcsr(below).toString(16)} ${a} ${b} ${a.split(':')[1]}`));
      }
      check(lines);
      const { entries, left } = processor.counts;
      if (compile && entries - before.entries - (left - before.left) < CASES / 4) seldomInline.push(form);
    }
    expect(seldomInline).toEqual([]);
  });

  it('RCP and RSQRT: the true value rounded to 13 bits', () => {
    const { vcpu, view } = processor;
    const below = random(99);
    const float = new DataView(new ArrayBuffer(4));
    const approximation = (bits: number, roots: boolean): number => {
      const sign = (bits & 0x8000_0000) >>> 0;
      const size = bits & 0x7fff_ffff;
      if (size > 0x7f80_0000) return (bits | 0x40_0000) >>> 0;
      if (size < 0x80_0000) return (sign | 0x7f80_0000) >>> 0;
      if (roots && sign) return 0xffc0_0000;
      float.setUint32(0, bits);
      const x = float.getFloat32(0);
      float.setFloat32(0, roots ? 1 / Math.fround(Math.sqrt(x)) : 1 / x);
      const rounded = ((float.getUint32(0) + 0x400) & 0xffff_f800) >>> 0;
      return (rounded & 0x7fff_ffff) < 0x80_0000 ? sign : rounded;
    };
    const before = processor.counts;
    for (let n = 0; n < 500; n++) {
      const source = Array.from({ length: 4 }, () => (below(5) === 0 ? pick(SINGLES, below) : below(2 ** 32)));
      const destination = Array.from({ length: 4 }, () => below(2 ** 32));
      for (const [opcode, roots] of [[0x52, true], [0x53, false]] as const) {
        for (const isScalar of [false, true]) {
          source.forEach((it, k) => view.setUint32(CPU + Cpu.XMM + 16 + 4 * k, it, true));
          destination.forEach((it, k) => view.setUint32(CPU + Cpu.XMM + 4 * k, it, true));
          vcpu.set32(Cpu.MXCSR, 0xe000 | below(0x40));
          const status = vcpu.get32(Cpu.MXCSR);
          processor.execute([...(isScalar ? [0xf3] : []), 0x0f, opcode, 0xc1]);
          const got = destination.map((_, k) => view.getUint32(CPU + Cpu.XMM + 4 * k, true));
          const wanted = destination.map((it, k) => (isScalar && k > 0 ? it : approximation(source[k], roots)));
          expect({ source, roots, mxcsr: vcpu.get32(Cpu.MXCSR), got }).toEqual({ source, roots, mxcsr: status, got: wanted });
        }
      }
    }
    expect(processor.counts.left).toBe(before.left);
  });

  it('conversions round as LDMXCSR has said just before', () => {
    const { vcpu, view } = processor;
    view.setFloat64(CPU + Cpu.XMM, 1.25, true);
    for (const [n, value] of [0x5fa0, 0x1fa0, 0x1_1fa0].entries()) view.setUint32(Mem.RAM + DATA + 4 * n, value, true);
    vcpu.set32(Cpu.MXCSR, 0x1fa0);
    const cvtsd2si = (register: number): number[] => [0xf2, 0x0f, 0x2d, 0xc0 | (register << 3)];
    const ldmxcsr = (offset: number): number[] => [0x0f, 0xae, 0x53, offset];
    for (let n = 0; n < 3; n++) {
      // To EAX, ECX, EDX.
      expect(processor.execute([...cvtsd2si(0), ...ldmxcsr(0), ...cvtsd2si(1), ...ldmxcsr(4), ...cvtsd2si(2)], 5)).toBe(null);
      expect([Cpu.RAX, Cpu.RCX, Cpu.RDX].map((at) => Number(vcpu.get64(at)))).toEqual([1, 2, 1]);
    }
    expect(processor.execute(ldmxcsr(8))).toBe(Vector.GP);
    expect(vcpu.get32(Cpu.MXCSR)).toBe(0x1fa0);
  });
});
