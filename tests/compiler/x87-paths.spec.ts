// What compiled code has in locals of the x87's state (FSW, tags, pointer to the last instruction) must be in memory wherever control goes:
// random programs with branches, loops, calls and a switch among x87 instructions, in both tiers. Numbers are harmless, so that most of it
// stays in compiled code; after each slice all of the state must be as the interpreter has it.
//
//     X87_PATHS=1000         so many programs
//     X87_SEED=5             from this one on

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Cpu, Mem } from '../../src/core/layout.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { program } from './emitted.ts';
import { follow, memoryHash, random, registers } from './lockstep.ts';
import { Process } from './process.ts';

const CODE = 0x40_1000;
/** RBX points there. */
const DATA = 0x60_0000;
const TABLE = DATA + 0x1000;
const SLOTS = 16;
const ROUNDS = 40;
const PROGRAMS = Number(process.env.X87_PATHS ?? 24);
const FIRST = Number(process.env.X87_SEED ?? 1);

type Below = (limit: number) => number;
const pick = <T>(list: readonly T[], below: Below): T => list[below(list.length)];
const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);

/** Bytes with places to jump to. */
class Code {
  readonly bytes: number[] = [];
  private readonly jumps: { readonly at: number; readonly to: Place }[] = [];

  emit(...bytes: number[]): void {
    this.bytes.push(...bytes);
  }

  /** A jump or call with 32 bits of distance. */
  jump(opcode: readonly number[], to: Place): void {
    this.emit(...opcode, 0, 0, 0, 0);
    this.jumps.push({ at: this.bytes.length, to });
  }

  here(place: Place): void {
    place.at = this.bytes.length;
  }

  finish(): number[] {
    for (const { at, to } of this.jumps) this.bytes.splice(at - 4, 4, ...word(to.at - at));
    return this.bytes;
  }
}

interface Place {
  at: number;
}
const place = (): Place => ({ at: -1 });

const JMP = [0xe9];
const CALL = [0xe8];
const JZ = [0x0f, 0x84];
const JNZ = [0x0f, 0x85];
/** MOV and DEC of EDX, ESI and EDI: counters of loops, from the outermost on. */
const COUNTERS = [[0xba, 0xca], [0xbe, 0xce], [0xbf, 0xcf]];

/** [rbx + 16 * slot]; the upper half is written to. */
const memory = (opcode: number, reg: number, slot: number): number[] => [opcode, 0x83 | (reg << 3), ...word(16 * slot)];
const source = (opcode: number, reg: number, below: Below): number[] => memory(opcode, reg, below(SLOTS / 2));
const target = (opcode: number, reg: number, below: Below): number[] => memory(opcode, reg, SLOTS / 2 + below(SLOTS / 2));

const PUSHES: ((below: Below) => number[])[] = [
  (r) => source(0xdd, 0, r), (r) => source(0xdd, 0, r), (r) => source(0xdb, 0, r), () => [0xd9, 0xe8], () => [0xd9, 0xee], () => [0xd9, 0xc0],
];
const POPS: ((below: Below) => number[])[] = [(r) => target(0xdd, 3, r), (r) => target(0xdb, 7, r), (r) => target(0xdb, 3, r), () => [0xdd, 0xd8], () => [0xd8, 0xd8]];
/** With two registers. */
const STAYS: ((below: Below) => number[])[] = [
  () => [0xd8, 0xc1], () => [0xd8, 0xe1], () => [0xdc, 0xe9], () => [0xd9, 0xc9], () => [0xd9, 0xe0], () => [0xd8, 0xd1], () => [0xdd, 0xe1], () => [0xdb, 0xe9],
  () => [0xd9, 0xc0, 0xde, 0xc2], () => [0xd9, 0xe8, 0xda, 0xe9], (r) => target(0xdd, 2, r), (r) => source(0xdc, 4, r),
];
/** FNSTSW AX, FNSTSW [m], FNSTCW [m], FWAIT, MOV [m], ECX; with FXAM, which core does */
const QUIET: ((below: Below) => number[])[] = [
  () => [0xdf, 0xe0], (r) => target(0xdd, 7, r), (r) => target(0xd9, 7, r), () => [0x9b], (r) => target(0x89, 1, r),
];
const ANY: typeof QUIET = [...QUIET, () => [0xd9, 0xe5]];
/** FNSTENV; and its tags and the other words are added up. */
const ENVIRONMENT = [0xd9, 0xb3, ...word(0x400), ...[4, 8, 12].flatMap((at) => [0x8b, 0x83, ...word(0x400 + at), 0x01, 0x83, ...word(0x3f0)])];
/** Called with everything in memory: FNSTENV, FNSAVE and FRSTOR, FXSAVE, CLFLUSH. The images lie behind the slots. */
const COLD: (() => number[])[] = [
  () => ENVIRONMENT, () => [0xdd, 0xb3, ...word(0x500), 0xdd, 0xa3, ...word(0x500)], () => [0x0f, 0xae, 0x83, ...word(0x600)], () => [0x0f, 0xae, 0x3b],
];

class Generator {
  readonly code = new Code();
  private readonly functions: { readonly at: Place; readonly length: number }[] = [];
  /** Addresses that the switch's jumps go to in turn. */
  readonly table: Place[] = [];
  /** Nothing is called. */
  private isQuiet = false;

  /** @param isWild registers become full and empty beside the top as well */
  constructor(private readonly below: Below, private readonly bits: 32 | 64, private readonly isWild: boolean) {
    for (let n = 0; n < 3; n++) this.functions.push({ at: place(), length: n === 0 ? 3 : 8 + n * 12 });
  }

  program(): number[] {
    const { code } = this;
    code.emit(0xbd, ...word(TABLE));
    for (let n = 0; n < 4; n++) this.rounds(n === 2);
    code.emit(0x0f, 0x0b);
    for (const { at, length } of this.functions) {
      code.here(at);
      this.some(length, 0, 3);
      code.emit(0xc3);
    }
    return code.finish();
  }

  private rounds(isSwitch: boolean): void {
    const { code, below } = this;
    const depth = below(3);
    for (let n = 0; n < depth; n++) code.emit(...pick(PUSHES, below)(below));
    if (isSwitch) this.switch(depth);
    else {
      const again = place();
      code.emit(0xb9, ...word(ROUNDS));
      code.here(again);
      this.some(4 + below(10), depth, 0);
      code.emit(0xff, 0xc9);
      code.jump(JNZ, again);
    }
    for (let n = 0; n < depth; n++) code.emit(0xdd, 0xd8);
  }

  /** Statements that leave the stack as deep as it is: with so many registers that are there. */
  private some(count: number, depth: number, level: number): void {
    let own = depth;
    for (let n = 0; n < count; n++) own = this.statement(own, depth, level);
    for (; own > depth; own--) this.code.emit(0xdd, 0xd8);
  }

  /** @returns how many registers there are after it */
  private statement(depth: number, least: number, level: number): number {
    const { code, below } = this;
    const choice = below(this.isQuiet ? 42 : 60);
    if (choice < 14 && depth < 5) return this.simple(PUSHES, depth + 1);
    if (choice < 24 && depth > least) return this.simple(POPS, depth - 1);
    if (choice < 38) return depth > 1 ? this.simple(STAYS, depth) : this.simple(QUIET, depth);
    if (choice < 42) return this.simple(this.isQuiet ? QUIET : ANY, depth);
    if (choice === 42) return this.simple(COLD, depth);
    if (this.isWild && depth > 0 && !this.isQuiet && below(8) === 0) this.beside(depth, level);
    else if (choice === 44) code.emit(...(depth === 0 ? [0x0f, 0x6e, 0xc0, 0x0f, 0x77] : [0xd9, 0xf6, 0xd9, 0xf7]));
    else if (choice < 49 && level < 3) code.jump(CALL, pick(this.functions, below).at);
    else if (choice < 54 && level < 3) this.loop(depth, level);
    else this.either(depth, level);
    return depth;
  }

  private simple(list: readonly ((below: Below) => number[])[], after: number): number {
    this.code.emit(...pick(list, this.below)(this.below));
    return after;
  }

  /** The register that a push would take, known to be empty, becomes full: on one of two ways, or at a loop's end, where it was not known at its head. FFREE makes it empty. */
  private beside(depth: number, level: number): void {
    const { code, below } = this;
    const way = place();
    const pushAndPop = [0xd9, 0xe8, 0xdd, 0xd8];
    if (below(2) === 0) {
      code.emit(...pushAndPop, 0xf7, 0xc1, ...word(1 << below(4)));
      code.jump(JZ, way);
      code.emit(0xdd, 0xd7);
      code.here(way);
    } else {
      const [mov, dec] = COUNTERS[Math.min(level, 2)];
      code.emit(0xd9, 0xe0, mov, ...word(1 + below(2)));
      code.here(way);
      // Not so short that it has several rounds in one.
      code.emit(...pushAndPop, ...new Array<number>(24).fill(0x90), 0xdd, 0xd7, 0xff, dec);
      code.jump(JNZ, way);
    }
    code.emit(0xd9, 0xe0);
    if (below(2) === 0) code.emit(...ENVIRONMENT);
    for (let n = below(3); n > 0; n--) this.simple(ANY, depth);
    code.emit(0xdd, 0xc7);
  }

  private loop(depth: number, level: number): void {
    const { code, below } = this;
    const again = place();
    const [mov, dec] = COUNTERS[level];
    code.emit(mov, ...word(1 + below(5)));
    code.here(again);
    this.some(1 + below(5), depth, level + 1);
    code.emit(0xff, dec);
    code.jump(JNZ, again);
  }

  /** By bits of the outermost counter, or by a comparison of two numbers in memory: the same on both ways, one of them, or so much that the stack is deeper on one for a while. */
  private either(depth: number, level: number): void {
    const { code, below } = this;
    const [no, end] = [place(), place()];
    if (below(3) > 0) code.emit(0xf7, 0xc1, ...word(1 << below(4)));
    else code.emit(...source(0xdd, 0, below), ...source(0xdc, 3, below), 0xdf, 0xe0, 0xf6, 0xc4, 0x41);
    code.jump(JZ, no);
    const isDeeper = below(4) === 0 && depth < 5;
    this.some(1 + below(3), depth, Math.max(level, 2));
    if (isDeeper) code.emit(...pick(PUSHES, below)(below));
    if (below(2) === 0) {
      code.jump(JMP, end);
      code.here(no);
      if (isDeeper) code.emit(...source(0xdd, 0, below), ...source(0xdd, 0, below), 0xdd, 0xd9);
      this.some(1 + below(3), depth + Number(isDeeper), Math.max(level, 2));
      code.here(end);
      if (isDeeper) code.emit(0xdd, 0xd8);
      return;
    }
    code.here(no);
    if (!isDeeper) return;
    // Its depth is known again only where the same condition holds, which FWAIT and FNSTSW do not need.
    code.emit(0x9b, ...target(0xdd, 7, below));
    code.emit(0xd9, 0xf6, 0xd9, 0xf7);
    this.unwind(depth);
  }

  /** The stack becomes so deep, whatever it is: FNINIT, and as many pushes. */
  private unwind(depth: number): void {
    this.code.emit(0xdb, 0xe3);
    for (let n = 0; n < depth; n++) this.code.emit(...pick(PUSHES, this.below)(this.below));
  }

  /** Handlers that go on to each other by a table, as a bytecode interpreter's do. */
  private switch(depth: number): void {
    const { code, below } = this;
    const next = this.bits === 64 ? [0x48, 0x8b, 0x45, 0x00, 0x48, 0x83, 0xc5, 0x08, 0xff, 0xe0] : [0x8b, 0x45, 0x00, 0x83, 0xc5, 0x04, 0xff, 0xe0];
    code.emit(0xb9, ...word(ROUNDS), ...next);
    const handlers = [place(), place(), place(), place()];
    const end = place();
    this.isQuiet = below(4) > 0;
    for (const handler of handlers) {
      code.here(handler);
      this.some(2 + below(4), depth, 3);
      code.emit(...next);
    }
    this.isQuiet = false;
    code.here(end);
    for (let n = 0; n < ROUNDS * 4; n++) this.table.push(pick(handlers, below));
    this.table.push(end);
  }
}

function start(seed: number, compile: CompilerOptions | null): Process {
  const below = random(Math.imul(seed, 0x85eb_ca6b));
  const bits = seed % 2 ? 64 : 32;
  const generator = new Generator(below, bits, seed % 3 === 0);
  const process = new Process(program(bits, generator.program()), ['paths'], compile);
  const { vcpu, view } = process;
  vcpu.set64(Cpu.RBX, BigInt(DATA));
  for (let slot = 0; slot < SLOTS; slot++) view.setFloat64(Mem.RAM + DATA + 16 * slot, (below(2000) - 1000) / pick([1, 8, 7], below), true);
  generator.table.forEach(({ at }, n) => {
    if (bits === 64) view.setBigUint64(Mem.RAM + TABLE + 8 * n, BigInt(CODE + at), true);
    else view.setUint32(Mem.RAM + TABLE + 4 * n, CODE + at, true);
  });
  return process;
}

/** Runs on; UD2 ends a program like an exit. */
function run(process: Process, instructions: number): boolean {
  try {
    return process.run(instructions);
  } catch (error) {
    if (!/^exception 6 /.test((error as Error).message)) throw error;
    process.status = 0;
    return false;
  }
}

describe('x87 state on all paths of compiled code', () => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  it(`${PROGRAMS} programs from seed ${FIRST} on`, { timeout: 60_000 + PROGRAMS * 20_000 }, () => {
    const sum = { entries: 0, instructions: 0 };
    for (let seed = FIRST; seed < FIRST + PROGRAMS; seed++) {
      const below = random(Math.imul(seed, 0x9e37_79b1));
      const compiled = start(seed, { threshold: pick([1, 4, 16], below) });
      const interpreted = start(seed, null);
      for (let running = true; running; ) {
        running = run(compiled, 1 + below(pick([20, 300, 300, 3000], below)));
        if (compiled.status === null) follow(interpreted, compiled.vcpu.icount);
        else while (run(interpreted, 100));
        const where = { program: seed, at: compiled.vcpu.icount };
        expect({ ...where, ...registers(compiled) }).toEqual({ ...where, at: interpreted.vcpu.icount, ...registers(interpreted) });
        if (below(4) === 0) compiled.vcpu.core.tlb_flush(compiled.vcpu.base, 0);
      }
      expect(memoryHash(compiled)).toBe(memoryHash(interpreted));
      sum.entries += compiled.vcpu.compiler.counts.entries;
      sum.instructions += compiled.vcpu.icount;
    }
    // They are in compiled code for more than a few instructions.
    expect(sum.entries).toBeGreaterThan(PROGRAMS * 20);
  });
});
