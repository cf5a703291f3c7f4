// x87 instructions in both tiers against what a processor did: the recorded lines of tests/oracle/fp, and for sums, products, quotients and
// rounding random operands near the borders of the short way (src/x86/x87-short.ts), against core's functions, which those lines test as well.
//
//     X87_LINES=lines.txt    other lines, made by tests/oracle/fp/x87.c on the processor of this computer
//     X87_CASES=10000        random operands of each form

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Doubt, Mem, Rflags } from '../../src/core/layout.ts';
import { CPU, TestCpu } from '../../src/core/testing.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { replayLine, type Guest } from '../oracle/fp/replay-x87.ts';
import { Instructions } from './instructions.ts';
import { random } from './lockstep.ts';

/** RSI points there: the memory operand of the lines. */
const DATA = 0x60_0000;
const CASES = Number(process.env.X87_CASES ?? 60);
const RECORDED = readFileSync(process.env.X87_LINES ?? new URL('../oracle/fp/x87.txt', import.meta.url), 'utf8').trim().split('\n');

/**
 * FADD, FMUL, FSUB, FSUBR, FDIV and FDIVR of ST(1), of 32 and of 64 bits; to ST(1), with a pop; FADD of itself; FST and FSTP of 32 and of 64 bits; FCOM and
 * FUCOM with their kinds, of registers, of memory, with itself, FTST.
 */
const SHORT = [
  'd8c1', 'd8c9', 'd8e1', 'd8e9', 'd806m', 'd80em', 'd826m', 'd82em', 'dc06m', 'dc0em', 'dc26m', 'dc2em', 'dcc1', 'dec9', 'dee1', 'dee9', 'd8c0',
  'd8f1', 'd8f9', 'd836m', 'dc3em', 'dcf1', 'def9', 'd916m', 'd91em', 'dd16m', 'dd1em',
  'd8d1', 'd8d9', 'ded9', 'd8d0', 'dde1', 'dde9', 'dae9', 'dbf1', 'dbe9', 'dff1', 'dfe9', 'd816m', 'd81em', 'dc16m', 'dc1em', 'd9e4',
];

class X87Instructions extends Instructions {
  constructor(compile: CompilerOptions | null, private readonly doubts: Doubt) {
    super(compile);
    this.vcpu.set64(Cpu.RSI, BigInt(DATA));
  }

  get guest(): Guest {
    return { view: this.view, core: this.vcpu.core as unknown as Guest['core'], linear: DATA, host: Mem.RAM + DATA };
  }

  readonly executeForm = (_g: Guest, form: string): boolean => {
    const { vcpu, view } = this;
    const code = [...Buffer.from(form.replace('m', ''), 'hex')];
    const vector = this.execute(code, 1, { flags: Number(vcpu.get64(Cpu.FLAG_X)), offset: this.doubts });
    if (vector !== null) throw new Error(`${form} raised ${vector}`);
    view.setBigUint64(CPU + Cpu.FLAG_X, BigInt(vcpu.rflags & Rflags.ARITHMETIC), true);
    return true;
  };
}

type Below = (limit: number) => number;
const pick = <T>(list: readonly T[], below: Below): T => list[below(list.length)];

const hex = (value: bigint | number, digits = 0): string => value.toString(16).padStart(digits, '0');

/** 64 bits with few or many ones, at the ends or anywhere. */
function bits(below: Below): bigint {
  const any = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32));
  switch (below(7)) {
    case 0:
      return 0n;
    case 1:
      return (1n << 64n) - 1n;
    case 2:
      return 1n << BigInt(below(64));
    case 3:
      return (1n << 64n) - (1n << BigInt(below(64)));
    case 4:
      return (1n << BigInt(below(64))) - 1n;
    case 5:
      return any() & -(1n << BigInt(below(64)));
    default:
      return any();
  }
}

/** A number with an exponent near another one: normal mostly, or zero, denormal, infinite, no number. */
function number(below: Below, exponent: number): string {
  const sign = below(2) << 15;
  const significand = BigInt.asUintN(64, bits(below));
  const kind = below(40);
  if (kind === 0) return `${hex(sign)}:0`;
  if (kind === 1) return `${hex(sign)}:${hex(significand)}`;
  if (kind === 2) return `${hex(sign | 0x7fff)}:${hex(significand | (1n << 63n))}`;
  if (kind === 3) return `${hex(sign | 0x7fff)}:8000000000000000`;
  if (kind === 4) return `${hex(sign | exponent)}:${hex(significand)}`;
  return `${hex(sign | exponent)}:${hex(significand | (1n << 63n))}`;
}

/** Two numbers so near one another that hardly a bit of their difference is left; the larger exponent may be the larger number's. */
function alike(below: Below, exponent: number): [string, string] {
  const sign = (): number => below(2) << 15;
  const first = BigInt.asUintN(64, bits(below)) | (1n << 63n);
  const second = BigInt.asUintN(64, first + BigInt(below(5) - 2));
  const isCarried = second < 1n << 63n;
  const pair: [string, string] = [`${hex(sign() | exponent)}:${hex(first)}`, `${hex(sign() | (isCarried ? exponent + 1 : exponent))}:${hex(isCarried ? 1n << 63n : second)}`];
  return below(2) ? pair : [pair[1], pair[0]];
}

/** A number and one that it is nearly a multiple of: by few bits, or by bits that end in zeros or ones. */
function multiple(below: Below, first: number, second: number): [string, string] {
  const significand = (): bigint => BigInt.asUintN(64, bits(below)) | (1n << 63n);
  const divisor = significand();
  const product = BigInt.asUintN(64, ((significand() * divisor) >> 64n) + BigInt(below(3) - 1)) | (1n << 63n);
  const pair: [string, string] = [`${hex((below(2) << 15) | first)}:${hex(product)}`, `${hex((below(2) << 15) | second)}:${hex(divisor)}`];
  return below(2) ? pair : [pair[1], pair[0]];
}

/** An exponent at one of the ranges' ends, or in the middle. */
function exponentOf(below: Below): number {
  const near = (middle: number): number => Math.min(0x7fff, Math.max(0, middle + below(5) - 2));
  return pick([() => near(0x3fff), () => near(0x3fff), () => near(1), () => near(0x7ffe), () => near(0x3fff - 1022), () => near(0x3fff + 1023), () => near(0x3fff - 126), () => near(0x3fff + 127), () => 0x2000 + below(0x4000)], below)();
}

/** A second exponent: equal, one away, at the edges of what 128 bits hold, or so that a product leaves the range. */
function beside(exponent: number, below: Below): number {
  const distance = pick([0, 0, 1, 2, 3, 11, 40, 53, 62, 63, 64, 65, 66, 67, 68, 127, 128, 200], below) * (below(2) ? 1 : -1);
  const other = below(6) === 0 ? 0x3fff + 0x3fff - exponent + below(7) - 3 : exponent + distance;
  return Math.min(0x7fff, Math.max(0, other));
}

function memoryOf(form: string, below: Below, exponent: number): string {
  if (!form.endsWith('m')) return '-';
  const view = new DataView(new ArrayBuffer(8));
  const bias = form.startsWith('d8') || form.startsWith('d9') ? 127 : 1023;
  const at = Math.min(2 * bias + 1, Math.max(0, exponent - 0x3fff + bias));
  const high = BigInt.asUintN(64, bits(below));
  const size = bias === 127 ? 4 : 8;
  if (size === 4) view.setUint32(0, ((below(2) << 31) | (at << 23) | Number(high >> 41n)) >>> 0, true);
  else view.setBigUint64(0, (BigInt(below(2)) << 63n) | (BigInt(at) << 52n) | (high >> 12n), true);
  if (below(12) === 0) view.setBigUint64(0, 0n, true);
  return Buffer.from(view.buffer, 0, size).toString('hex');
}

/** A line for replayLine(), whose outcome is what core does. */
function lineOf(core: Guest, form: string, usual: number, below: Below): string {
  const first = exponentOf(below);
  const second = beside(first, below);
  const fcw = below(8) > 0 ? usual : pick([0x37f, 0x27f, 0x07f, 0xf7f, 0x77f, 0xb7f, 0x35f], below);
  const fsw = (below(8) << 11) | pick([0, 0, 0x20, 0x200, 0x4700], below);
  const [st0, st1] = pick([() => alike(below, first), () => multiple(below, first, second), ...Array(4).fill(() => [number(below, first), number(below, second)])], below)() as [string, string];
  const input = `${form} ${hex(fcw)} ${hex(fsw)} ff 8d5 ${st0} ${st1} ${memoryOf(form, below, second)}`;
  const { view } = core;
  replayLine(core, `${input} > 0 0 0 0 -`);
  const top = (fsw >> 11) & 7;
  const registers = [0, 1].map((i) => (top + i) & 7).map((p) => `${p}=${hex(view.getUint16(CPU + Cpu.FPR + 16 * p + 8, true))}:${hex(view.getBigUint64(CPU + Cpu.FPR + 16 * p, true))}`);
  const memory = /^d[9d][19]/.test(form) && form.endsWith('m') ? Buffer.from(core.view.buffer, core.host, form.startsWith('d9') ? 4 : 8).toString('hex') : '-';
  const [after, tags, flags] = [Cpu.FSW, Cpu.FTW, Cpu.FLAG_X].map((at) => view.getUint32(CPU + at, true));
  return `${input} > ${hex(fcw)} ${hex(after)} ${hex(tags)} ${hex(flags & 0x8d5)} ${memory} ${registers.join(' ')}`;
}

describe.each([
  ['interpreted', null, Doubt.NONE, 0x37f],
  ['compiled, the short way', { threshold: 1 }, Doubt.NONE, 0x37f],
  ['compiled, the short way of 53 bits', { threshold: 1 }, Doubt.NONE, 0x27f],
  ['compiled, by core', { threshold: 1 }, Doubt.NUMBERS, 0x37f],
] as const)('x87 instructions do what the processor did, %s', (_name, compile, doubts, fcw) => {
  let core: Guest;
  let processor: X87Instructions;
  const hot = new Set<string>();
  beforeAll(async () => {
    await buildIfOlder();
    const t = await TestCpu.create();
    core = { view: t.view, core: t.core as unknown as Guest['core'], linear: 0x9000, host: Mem.RAM + 0x9000 };
    processor = new X87Instructions(compile, doubts);
  }, 120_000);

  function check(lines: readonly string[]): void {
    const wrong: string[] = [];
    for (const line of lines) {
      const form = line.slice(0, line.indexOf(' '));
      // What FCW is when code becomes hot decides whether it goes the short way.
      if (!hot.has(form)) for (let n = 0; n < 2; n++) replayLine(processor.guest, `${form} ${hex(fcw)} 0 ff 8d5 3fff:8000000000000000 3fff:8000000000000000 - > 0 0 0 0 -`, processor.executeForm);
      hot.add(form);
      const { differences } = replayLine(processor.guest, line, processor.executeForm);
      if (differences.length > 0) wrong.push(`${line}\n    ${differences.join('; ')}`);
    }
    expect(wrong).toEqual([]);
  }

  it('recorded lines', { timeout: 3_600_000 }, () => check(RECORDED));

  it('random operands', { timeout: 60_000 + CASES * 10_000 }, () => {
    const below = random(1955);
    const seldomShort: string[] = [];
    for (const form of SHORT) {
      const before = processor.counts;
      check(Array.from({ length: 4 * CASES }, () => lineOf(core, form, fcw, below)));
      const { entries, left } = processor.counts;
      // Of one in eight FCW is another, and of one in six an operand is.
      if (compile && entries - before.entries - (left - before.left) < CASES / 2) seldomShort.push(form);
    }
    expect(seldomShort).toEqual([]);
  });
});
