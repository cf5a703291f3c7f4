// Random sequences of x87 and SSE instructions, in both tiers: the compiler follows the register stack from instruction to instruction, so
// what counts is what stands beside what. Stacks that overflow and underflow, control words that change and values of every class are
// among them; after each round of a loop all registers and the data must be as the interpreter leaves them, which
// tests/oracle compares with a processor.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem, Vector } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { program } from './emitted.ts';
import { Instructions } from './instructions.ts';
import { Process } from './process.ts';

/** Data of the program: RBX points there. */
const DATA = 0x60_0000;
const SLOTS = 16;
const ROUNDS = 12;
/** Loops in a program, one after the other. */
const SEQUENCES = 12;

function generator(seed: number): (limit: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

type Random = ReturnType<typeof generator>;

/** [rbx + 16 * slot] with a reg field; the last slot that can be reached so is FLDCW's. */
const memory = (opcode: number[], reg: number, below: Random): number[] => [...opcode, 0x43 | (reg << 3), 16 * below(SLOTS / 2 - 1)];
const pick = <T>(list: readonly T[], below: Random): T => list[below(list.length)];

/** Changes of the stack's depth, and what makes them. */
const PUSHES: ((below: Random) => number[])[] = [
  (r) => memory([0xdd], 0, r), (r) => memory([0xd9], 0, r), (r) => memory([0xdb], 5, r), (r) => memory([0xdb], 0, r), (r) => memory([0xdf], 0, r),
  (r) => memory([0xdf], 5, r), (r) => [0xd9, 0xc0 + r(3)], () => [0xd9, 0xe8], () => [0xd9, 0xee], () => [0xd9, 0xeb],
];
const POPS: ((below: Random) => number[])[] = [
  (r) => memory([0xdd], 3, r), (r) => memory([0xd9], 3, r), (r) => memory([0xdb], 7, r), (r) => memory([0xdb], 3, r), (r) => memory([0xdf], 3, r),
  (r) => memory([0xdf], 7, r), (r) => memory([0xdb], 1, r), (r) => [0xdd, 0xd8 + r(3)], (r) => [0xde, pick([0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8], r) + 1 + r(2)],
  (r) => [0xdf, 0xe8 + r(3)], (r) => [0xdf, 0xf0 + r(3)], (r) => [0xd8, 0xd8 + r(3)], (r) => [0xdd, 0xe8 + r(3)],
];
const STAYS: ((below: Random) => number[])[] = [
  (r) => [0xd8, pick([0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8, 0xd0], r) + r(3)], (r) => [0xdc, pick([0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8], r) + r(3)],
  (r) => memory([0xdc], r(8) & ~3 || 1, r), (r) => memory([0xd8], pick([0, 1, 2, 4, 5, 6], r), r), (r) => memory([0xda], pick([0, 1, 4], r), r),
  (r) => [0xd9, 0xc8 + r(4)], () => [0xd9, 0xe0], () => [0xd9, 0xe1], () => [0xd9, 0xe4], () => [0xd9, 0xfa], () => [0xd9, 0xfc], () => [0xd9, 0xe5],
  (r) => [0xdd, 0xd0 + r(3)], (r) => [0xdb, 0xf0 + r(3)], (r) => [0xda, 0xc0 + r(32)], (r) => [0xdb, 0xc0 + r(32)], (r) => memory([0xdd], 2, r),
  (r) => memory([0xd9], 2, r), () => [0xdf, 0xe0], (r) => memory([0xdd], 7, r), (r) => memory([0xd9], 7, r),
  // addsd, mulsd, subpd, mulpd, mulps, unpcklpd, movaps between registers; movsd and movapd from and to memory
  (r) => [0xf2, 0x0f, pick([0x58, 0x59, 0x5c], r), 0xc0 | r(64)], (r) => [0x66, 0x0f, pick([0x58, 0x59, 0x5c, 0x14], r), 0xc0 | r(64)],
  (r) => [0x0f, pick([0x59, 0x58, 0x28], r), 0xc0 | r(64)], (r) => [0xf2, ...memory([0x0f, 0x10], r(8), r)], (r) => [0xf2, ...memory([0x0f, 0x11], r(8), r)],
  (r) => [0x66, ...memory([0x0f, 0x28], r(8), r)], (r) => [0x66, ...memory([0x0f, 0x29], r(8), r)], (r) => [0xf2, 0x0f, 0x2a, 0xc0 | (r(8) << 3)],
  (r) => [0xf3, 0x0f, pick([0x58, 0x59, 0x10], r), 0xc0 | r(64)],
  // haddpd, addsubpd, cvtpd2ps, cvtpd2dq, cvttpd2dq; cvtsd2si eax; fwait
  (r) => [0x66, 0x0f, pick([0x7c, 0xd0, 0x5a, 0xe6], r), 0xc0 | r(64)], (r) => [0xf2, 0x0f, 0xe6, 0xc0 | r(64)], (r) => [0xf2, 0x0f, 0x2d, 0xc0 | r(8)], () => [0x9b],
];
/** FNCLEX, FNINIT, FINCSTP, FDECSTP, FFREE, FLDCW (of the last slot), MOVD MM0, EAX, EMMS, CVTPS2PI MM, XMM, LDMXCSR (of the same slot) */
const RARE: ((below: Random) => number[])[] = [
  () => [0xdb, 0xe2], () => [0xdb, 0xe3], () => [0xd9, 0xf7], () => [0xd9, 0xf6], (r) => [0xdd, 0xc0 + r(4)], () => [0xd9, 0x6b, 16 * (SLOTS / 2) - 16],
  () => [0x0f, 0x6e, 0xc0], () => [0x0f, 0x77], (r) => [0x0f, 0x2d, 0xc0 | r(64)], () => [0x0f, 0xae, 0x53, 16 * (SLOTS / 2) - 12],
];

/** A loop of so many instructions, jumps over one or two of them among them. */
function sequence(below: Random, length: number): number[] {
  const code: number[] = [];
  let depth = 0;
  const one = (): number[] => {
    const choice = below(40);
    if (choice === 0) return pick(RARE, below)(below);
    if (choice < 22 && depth > 1) return pick(STAYS, below)(below);
    // Now and then the stack over- or underflows.
    const isPush = below(30) === 0 ? below(2) === 0 : depth < 2 || (depth < 6 && below(2) === 0);
    depth += isPush ? 1 : -1;
    return pick(isPush ? PUSHES : POPS, below)(below);
  };
  for (let n = 0; n < length; n++) {
    if (below(8) > 0) code.push(...one());
    else {
      // JB, JE or JP over an instruction that leaves the depth alone
      const skipped = pick(STAYS, below)(below);
      code.push(pick([0x72, 0x74, 0x7a], below), skipped.length, ...skipped);
    }
  }
  while (depth-- > 0) code.push(0xdd, 0xd8);
  // dec ecx; jnz to the beginning
  const back = -(code.length + 2 + 6);
  return [0xb9, ROUNDS, 0, 0, 0, ...code, 0xff, 0xc9, 0x0f, 0x85, back & 0xff, (back >> 8) & 0xff, (back >> 16) & 0xff, (back >> 24) & 0xff];
}

function start(code: readonly number[], seed: number, compile: CompilerOptions | null): Process {
  const below = generator(seed ^ 0x5555);
  // Every other program is 32-bit code.
  const process = new Process(program(seed % 2 ? 64 : 32, code), ['x87'], compile);
  const { vcpu, view } = process;
  vcpu.set64(Cpu.RBX, BigInt(DATA));
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = Mem.RAM + DATA + 16 * slot;
    const kind = below(6);
    if (kind === 0) view.setBigUint64(at, BigInt(below(2 ** 32)) << BigInt(below(33)), true);
    else if (kind === 1) view.setFloat32(at, (below(2000) - 1000) / 8, true);
    else if (kind === 2) view.setFloat64(at, Math.exp(below(1400) - 700), true);
    else view.setFloat64(at, kind === 3 ? below(1000) - 500 : (below(1000) - 500) / 7, true);
    view.setUint32(at + 8, kind === 4 ? 0x3ff0_0000 + below(2 ** 20) : 0x3fff + below(100) - 50, true);
  }
  for (let n = 0; n < 8; n++) {
    view.setFloat64(Mem.CPU + Cpu.XMM + 16 * n, (below(2000) - 1000) / 4, true);
    view.setFloat64(Mem.CPU + Cpu.XMM + 16 * n + 8, below(3) ? below(2000) / 3 : 0, true);
  }
  // FLDCW's operand: rounding and precision, and rarely an exception that is not masked.
  view.setUint16(Mem.RAM + DATA + 16 * (SLOTS / 2) - 16, below(10) === 0 ? 0x37e : pick([0x37f, 0x27f, 0x07f, 0xf7f, 0x77f], below), true);
  // LDMXCSR's: rounding, and rarely a bit that does not exist.
  view.setUint32(Mem.RAM + DATA + 16 * (SLOTS / 2) - 12, below(10) === 0 ? 0x1_1f80 : pick([0x1f80, 0x1fa0, 0x3f80, 0x5fa0, 0x7f80, 0x9fc0], below), true);
  if (below(4) === 0) vcpu.set32(Cpu.FCW, 0x27f);
  if (below(2) === 0) vcpu.set32(Cpu.MXCSR, 0x1fa0);
  return process;
}

function stateOf({ vcpu, view, u8 }: Process): Record<string, string> {
  const state: Record<string, string> = {};
  const words = { fcw: Cpu.FCW, fsw: Cpu.FSW, ftw: Cpu.FTW, fip: Cpu.FIP, fcs: Cpu.FCS, mxcsr: Cpu.MXCSR };
  for (const [name, at] of Object.entries(words)) state[name] = vcpu.get32(at).toString(16);
  state.rip = vcpu.get64(Cpu.RIP).toString(16);
  state.rax = vcpu.get64(Cpu.RAX).toString(16);
  state.rcx = vcpu.get64(Cpu.RCX).toString(16);
  state.rflags = vcpu.rflags.toString(16);
  for (let n = 0; n < 8; n++) {
    state[`fpr${n}`] = `${view.getUint16(Mem.CPU + Cpu.FPR + 16 * n + 8, true).toString(16)}:${vcpu.get64(Cpu.FPR + n * 16).toString(16)}`;
    state[`xmm${n}`] = `${vcpu.get64(Cpu.XMM + n * 16 + 8).toString(16)}:${vcpu.get64(Cpu.XMM + n * 16).toString(16)}`;
  }
  state.data = Buffer.from(u8.subarray(Mem.RAM + DATA, Mem.RAM + DATA + 16 * SLOTS)).toString('hex');
  return state;
}

/** Status of a program that came to its end, which is UD2, and of one that another exception ended. */
const ENDED = 6;
const FAILED = 1;

/** Runs on; an exception ends a program like an exit. */
function run(process: Process, instructions: number): boolean {
  try {
    return process.run(instructions);
  } catch (error) {
    if (!/^exception/.test((error as Error).message)) throw error;
    process.status = /^exception 6 /.test((error as Error).message) ? ENDED : FAILED;
    return false;
  }
}

describe('random x87 and SSE sequences in both tiers', () => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  const from = Number(process.env.X87_SEED ?? 1);
  const count = Number(process.env.X87_COUNT ?? 4);
  it(`${count} programs from seed ${from} on`, { timeout: 3_600_000 }, () => {
    let ended = 0;
    for (let seed = from; seed < from + count; seed++) {
      const below = generator(seed);
      const code = Array.from({ length: SEQUENCES }, () => sequence(below, 10 + below(50))).flat();
      const compiled = start(code, seed, { threshold: 1 });
      const interpreted = start(code, seed, null);
      interpreted.vcpu.trace.execute = () => {};
      for (let running = true; running; ) {
        running = run(compiled, 1 + below(below(3) === 0 ? 20 : 300));
        while (interpreted.status === null && interpreted.vcpu.icount < compiled.vcpu.icount) run(interpreted, 1);
        expect({ seed, at: compiled.vcpu.icount, ...stateOf(compiled) }).toEqual({ seed, at: interpreted.vcpu.icount, ...stateOf(interpreted) });
      }
      expect(compiled.vcpu.compiler.compiled).toBeGreaterThan(1);
      if (compiled.status === ENDED) ended++;
    }
    // Those that unmask an exception end early.
    expect(ended).toBeGreaterThanOrEqual(count / 2);
  });
});

describe.each([['interpreted', null], ['compiled', { threshold: 1 }]] as const)('FWAIT, %s', (_name, compile) => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  it('raises the exception of an earlier instruction', () => {
    const processor = new Instructions(compile);
    const { vcpu } = processor;
    // ZE, not masked or masked.
    for (const [fcw, fsw, vector] of [[0x37b, 0x8084, Vector.MF], [0x37f, 4, null]] as const) {
      for (let n = 0; n < 3; n++) {
        vcpu.set32(Cpu.FCW, fcw);
        vcpu.set32(Cpu.FSW, fsw);
        expect(processor.execute([0x9b])).toBe(vector);
      }
    }
  });
});

describe('numbers that the short way is not for', () => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  const count = 20_000;
  const code = [
    ...[0xbb, 0x00, 0x00, 0x60, 0x00], // mov ebx, DATA
    ...[0xb9, count & 0xff, (count >> 8) & 0xff, 0x00, 0x00], // mov ecx, count
    ...[0xdb, 0x2b], // again: fld tbyte [rbx]
    ...[0xdb, 0x6b, 0x10], // fld tbyte [rbx+16]
    ...[0xde, 0xc1], // faddp
    ...[0xdb, 0x7b, 0x20], // fstp tbyte [rbx+32]
    ...[0xff, 0x43, 0x30], // inc dword [rbx+48]
    ...[0xff, 0xc9], // dec ecx
    ...[0x75, 0xef], // jnz again
    ...[0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05], // exit(0)
  ];

  // [what, FCW, the first number's sign and exponent, its significand, exits at least]
  const cases: [string, number, number, bigint, number][] = [
    ['normal', 0x37f, 0x3fff, 1n << 63n, 0], ['denormal', 0x37f, 0, 1n, 500], ['infinite', 0x37f, 0x7fff, 1n << 63n, 500], ['another rounding', 0xf7f, 0x3fff, 1n << 63n, 0],
  ];
  // The second of 64 bits instead of 80: fld qword [rbx+16].
  const ofDouble = code.join().replace('219,107,16', '221,67,16').split(',').map(Number);
  const all = [...cases.map((it) => [...it, code, 0xc000_0000_0000_0001n] as const), ['a denormal double', 0x37f, 0x3fff, 1n << 63n, 500, ofDouble, 5n] as const];
  it.each(all)('leave a region for a while: %s', { timeout: 60_000 }, (_what, fcw, signExponent, significand, least, instructions, other) => {
    const run = (compile: CompilerOptions | null): { process: Process; sum: string; rounds: number } => {
      const process = new Process(program(64, instructions), ['numbers'], compile);
      const { view } = process;
      process.vcpu.set32(Cpu.FCW, fcw);
      view.setBigUint64(Mem.RAM + DATA, significand, true);
      view.setUint16(Mem.RAM + DATA + 8, signExponent, true);
      view.setBigUint64(Mem.RAM + DATA + 16, other, true);
      view.setUint16(Mem.RAM + DATA + 24, 0x4000, true);
      while (process.run(5_000));
      expect(process.status).toBe(0);
      return { process, sum: stateOf(process).data.slice(64, 84), rounds: view.getUint32(Mem.RAM + DATA + 48, true) };
    };
    const compiled = run({ threshold: 20 });
    expect(compiled.rounds).toBe(count);
    expect(compiled.sum).toBe(run(null).sum);
    const { exits } = compiled.process.vcpu.compiler.counts;
    expect(exits.number).toBeGreaterThanOrEqual(least);
    // Most rounds came after that.
    expect(exits.number).toBeLessThan(least + count / 4);
  });
});
