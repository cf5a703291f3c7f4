// Random programs: instructions of the oracle's forms, with operands that mostly lie where there is memory, in functions with loops,
// branches, calls, jumps through tables and stores into code. Every program ends: each jump back counts down a word of its own.
// Each page of code is there twice, with other numbers in it, and either can be mapped. CPUID, which compiled code calls, moves a page of data or of the
// stack to another place, or takes the right to write it away.

import { Cpu, Mem, Seg } from '../../src/core/layout.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { type Form, forms } from '../oracle/forms.ts';
import { makeCase } from '../oracle/generate.ts';
import { DATA, DATA_SIZE, READ_ONLY_SIZE, STACK, STACK_SIZE } from '../oracle/space.ts';
import type { CompilerOptions } from '../../src/engine/compile/compiler.ts';
import { random } from './lockstep.ts';
import { Process } from './process.ts';

/** A program begins in this page. */
const CODE = 0x40_1000;
/** Counters, one for each jump back, and the numbers of jumps through tables. */
const COUNTERS = 0x50_0000;
const STACK_TOP = 0x52_0000;
/** Physical memory of the oracle's data pages and stack. */
const PHYSICAL = 0x60_0000;
const PT = 0x6000;
/** Of the code, the counters and the stack. */
const PT_CODE = 0x7000;
const PD = 0x3000;
/** Physical memory of the pages of code that stand for those at their own addresses. */
const OTHER_CODE = 0x80_0000;
/** Physical memory of pages of data that were moved. */
const OTHER_DATA = 0x90_0000;
const TSS = 0x1_0800;
const PAGE = 4096;

/** Forms that leave the straight line, need segments of their own, or change how everything after them runs. */
const LEFT_OUT = new Set([
  'loop', 'nearIndirect', 'farIndirect', 'farDirect', 'ret', 'farRet', 'iret', 'popf', 'popSegment', 'segmentFromOperand', 'farLoad', 'interrupt', 'leave', 'enter', 'ldmxcsr',
]);
const LEFT_OUT_NAMES = /^(j|call|ret|loop|sys|int|hlt|fxrstor|fldcw|fldenv|frstor|pop |rd|xsetbv|cpuid|mov sreg|std|ldmxcsr)/;

const usable = (form: Form): boolean => !LEFT_OUT.has(form.setup) && !LEFT_OUT_NAMES.test(form.name) && !form.immediates.some((it) => it.startsWith('rel') || it === 'far');
const ALL = forms.filter(usable);
const INTEGER = ALL.filter((form) => !form.x87 && !form.mmx && form.size !== 'x' && form.setup !== 'string');
/** What compilers use most: quick forms, one after the other, that hand registers and flags on. */
const COMMON = INTEGER.filter(({ name }) => /^(inc|dec|add|sub|cmp|test|adc|sbb|and|or|xor|mov|lea|sh[lr]|sar|ro[lr]|neg|not|set|cmov|push|pop|imul|xchg)/.test(name));
/** They keep a flag of what was before. */
const STEPS = INTEGER.filter(({ name }) => /^(inc|dec|rol|ror)/.test(name));

export interface RandomProgram {
  readonly bits: 32 | 64;
  readonly code: Uint8Array;
  /** Where it lies. */
  readonly base: number;
  readonly entry: number;
  /** Addresses of the 32-bit numbers that are changed, and differ in the other pages. */
  readonly numbers: readonly number[];
}

/** Registers by number, without the stack's. */
const GENERAL = [0, 1, 2, 3, 6, 7];

interface Fixup {
  readonly at: number;
  readonly label: string;
  readonly isAbsolute: boolean;
}

class Writer {
  readonly bytes: number[] = [];
  readonly labels = new Map<string, number>();
  readonly fixups: Fixup[] = [];
  /** Places of immediates that may be changed while the program runs. */
  readonly patchable: number[] = [];

  constructor(readonly bits: 32 | 64, readonly base: number) {}
  get here(): number {
    return this.base + this.bytes.length;
  }
  put(...bytes: number[]): void {
    this.bytes.push(...bytes);
  }
  word(value: number): void {
    this.put(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255);
  }
  label(name: string): void {
    this.labels.set(name, this.here);
  }
  /** A displacement from behind it, or an address. */
  to(label: string, isAbsolute = false): void {
    this.fixups.push({ at: this.bytes.length, label, isAbsolute });
    this.word(0);
  }
  /** ModRM for [address] without registers. */
  absolute(reg: number, address: number): void {
    if (this.bits === 64) this.put((reg << 3) | 4, 0x25);
    else this.put((reg << 3) | 5);
    this.word(address);
  }
  move(register: number, value: bigint): void {
    if (this.bits === 64) this.put(register >= 8 ? 0x49 : 0x48);
    this.put(0xb8 + (register & 7));
    this.word(Number(BigInt.asIntN(32, value)));
    if (this.bits === 64) this.word(Number(BigInt.asIntN(32, value >> 32n)));
  }
  finish(): Uint8Array {
    for (const { at, label, isAbsolute } of this.fixups) {
      const target = this.labels.get(label)!;
      const value = isAbsolute ? target : target - (this.base + at + 4);
      for (let n = 0; n < 4; n++) this.bytes[at + n] = (value >> (8 * n)) & 255;
    }
    return Uint8Array.from(this.bytes);
  }
}

export function randomProgram(seed: number, bits: 32 | 64): RandomProgram {
  const below = random(seed);
  // Most have a thousand bytes: the page ends somewhere in their midst.
  const w = new Writer(bits, CODE + PAGE - 8 * (1 + below(120)));
  const pick = <T>(list: readonly T[]): T => list[below(list.length)];
  let counters = 0;
  const counter = (): number => COUNTERS + 4 * counters++;
  const initial: number[] = [];

  /** One instruction, after the moves that give its operands their addresses. */
  const instruction = (): void => {
    for (;;) {
      const kind = below(100);
      const form = pick(kind < 50 ? COMMON : kind < 65 ? STEPS : kind < 80 ? INTEGER : ALL);
      const made = makeCase(form, bits, below(1 << 30));
      if (!made || made.registers.has(4)) continue;
      const { length, text } = disassemble(Uint8Array.from([...made.bytes, ...new Array<number>(15).fill(0x90)]), 0, bits, 0n);
      // Relative to RIP it would reach anywhere; and whatever moves the stack pointer away is no use.
      if (length !== made.bytes.length || /rip|\bfs:|\bgs:|\bcs:/.test(text)) continue;
      if (/\b[re]?spl?\b/.test(text.replace(/\[.*\]/, '')) && !/^(cmp|test) /.test(text)) continue;
      for (const [register, value] of made.registers) if (register !== 16) w.move(register, value);
      w.put(...made.bytes);
      return;
    }
  };
  /** Half of the programs hardly ever fault: what is known of pages holds over many accesses, and compiled code is not left. EBP leads to data. */
  const isCalm = below(2) === 0;
  const calm = (): void => {
    switch (below(5)) {
      case 0:
        // add, or, and, sub, xor, cmp
        return w.put(pick([0x01, 0x09, 0x21, 0x29, 0x31, 0x39]), 0xc0 | (pick(GENERAL) << 3) | pick(GENERAL));
      case 1:
        return w.put(0xff, 0xc0 | (below(2) << 3) | pick(GENERAL));
      case 2:
        w.put(pick([0x8b, 0x89, 0x01, 0x33]));
        return w.absolute(pick(GENERAL), DATA + below(DATA_SIZE - 4));
      case 3:
        return w.put(pick([0x8b, 0x89, 0x01, 0x33]), 0x45 | (pick(GENERAL) << 3), below(256));
      default:
        return w.put(0x50 + pick(GENERAL), 0x58 + pick(GENERAL));
    }
  };
  const straight = (most: number, isQuiet = false): void => {
    for (let count = 1 + below(most); count > 0; count--) {
      const kind = below(16);
      if (kind === 0) {
        // add eax, number, which others change
        w.put(0x05);
        w.patchable.push(w.here);
        w.word(below(1 << 30));
      } else if (kind === 1 && w.patchable.length > 0) {
        // mov byte or dword [number], number
        const at = pick(w.patchable);
        const isByte = below(2) === 0;
        w.put(isByte ? 0xc6 : 0xc7);
        w.absolute(0, isByte ? at + below(4) : at);
        if (isByte) w.put(below(256));
        else w.word(below(1 << 30));
      } else if (kind === 2 && !isQuiet && below(4) === 0) w.put(0x0f, 0xa2);
      else if (isCalm) calm();
      else instruction();
    }
  };

  const functions = 2 + below(3);
  for (let f = functions - 1; f >= 0; f--) {
    w.label(`f${f}`);
    // Most programs have functions that are executed in their callers' regions.
    const isSmall = f > 0 && below(3) > 0;
    // Some begin with a loop of more than ten blocks that calls nothing: it has sites. Behind it they call.
    const quiet = !isSmall && below(3) === 0 ? 11 + below(4) : 0;
    const blocks = quiet > 0 ? quiet + 2 + below(3) : isSmall ? 1 + below(2) : 3 + below(7);
    if (f > 0 && below(2) === 0) w.put(0x0f, 0xa2);
    w.move(5, BigInt(DATA + PAGE - 128 + below(256)));
    const rounds = quiet > 0 ? counter() : 0;
    if (quiet > 0) {
      initial.push(0);
      // mov [rounds], number: few, so that what lies behind the loop has been executed when it becomes hot
      w.put(0xc7);
      w.absolute(0, rounds);
      w.word(1 + below(4));
    }
    const tables: { label: string; targets: string[] }[] = [];
    for (let b = 0; b < blocks; b++) {
      w.label(`f${f}b${b}`);
      straight(isSmall || b < quiet ? 2 : 8, b < quiet);
      const later = (): string => `f${f}b${b + 1 + below((b < quiet ? quiet : blocks) - b)}`;
      if (isSmall && below(4) === 0) {
        // push address; ret
        w.put(0x68);
        w.to(later(), true);
        w.put(0xc3);
        continue;
      }
      switch (b < quiet - 1 ? 2 : b === quiet - 1 ? 0 : quiet > 0 && below(2) === 0 ? 4 : below(isSmall ? 5 : 6)) {
        case 0:
        case 1: {
          // dec [counter]; jg back
          const at = b === quiet - 1 ? rounds : counter();
          if (at !== rounds) initial.push(1 + below(12));
          w.put(0xff);
          w.absolute(1, at);
          w.put(0x0f, 0x8f);
          w.to(`f${f}b${b === quiet - 1 ? 0 : below(b + 1)}`);
          break;
        }
        case 2:
        case 3:
          w.put(0x0f, 0x80 + below(16));
          w.to(later());
          break;
        case 4:
          if (f < functions - 1) {
            const target = `f${f + 1 + below(functions - 1 - f)}`;
            if (below(3) > 0) {
              w.put(0xe8);
              w.to(target);
            } else {
              // mov edx, function; call edx
              w.put(0xba);
              w.to(target, true);
              w.put(0xff, 0xd2);
            }
          }
          break;
        default: {
          // mov edx, [number]; inc [number]; and edx, 3; jmp [table + edx * size]
          const at = counter();
          initial.push(0);
          const label = `f${f}t${tables.length}`;
          tables.push({ label, targets: [later(), later(), later(), later()] });
          w.put(0x8b);
          w.absolute(2, at);
          w.put(0xff);
          w.absolute(0, at);
          w.put(0x83, 0xe2, 0x03, 0xff, 0x24, bits === 64 ? 0xd5 : 0x95);
          w.to(label, true);
        }
      }
    }
    w.label(`f${f}b${blocks}`);
    w.put(0xc3);
    for (const { label, targets } of tables) {
      while (w.bytes.length % 8) w.put(0xcc);
      w.label(label);
      for (const target of targets) {
        w.to(target, true);
        if (bits === 64) w.word(0);
      }
    }
  }
  const entry = w.here;
  w.move(4, BigInt(STACK_TOP));
  initial.forEach((value, n) => {
    w.put(0xc7);
    w.absolute(0, COUNTERS + 4 * n);
    w.word(value);
  });
  w.put(0xe8);
  w.to('f0');
  // Again, for code that is compiled when it has been run for a while.
  w.put(0xeb, 0x100 - (w.here + 2 - entry > 128 ? 2 : w.here + 2 - entry));
  return { bits, code: w.finish(), base: w.base, entry, numbers: w.patchable };
}

/** A static program. */
function elf({ bits, code, base, entry }: RandomProgram): Uint8Array {
  const out = new Uint8Array(PAGE + code.length);
  const view = new DataView(out.buffer);
  const wide = bits === 64;
  const word = (at: number, value: number): void => (wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true));
  out.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1]);
  word(24, entry);
  word(wide ? 32 : 28, 0x80);
  view.setUint16(wide ? 54 : 42, wide ? 56 : 32, true);
  view.setUint16(wide ? 56 : 44, 1, true);
  view.setUint32(0x80, 1, true);
  const [offset, address, size] = wide ? [8, 16, 32] : [4, 8, 16];
  word(0x80 + offset, PAGE);
  word(0x80 + address, base);
  word(0x80 + size, code.length);
  out.set(code, PAGE);
  return out;
}

/** Bases of segments that are not flat: the same memory once more, from there on. */
const BASES = [[Cpu.DS, 0x1000_0000], [Cpu.SS, 0x1800_0000], [Cpu.CS, 0x2000_0000], [Cpu.ES, 0x2800_0000]] as const;
const SEGMENT_LIMIT = 0x7ff_ffff;

/** Runs such a program. An instruction that faults is skipped, and its exception counts into the program's memory. */
export class RandomProcess extends Process {
  faults = 0;
  /** Pages of data that were moved. */
  moves = 0;

  constructor(
    private readonly program: RandomProgram,
    compile: CompilerOptions | null,
    /** Of a program of 32 bits: no segment is flat. */
    private readonly isSegmented = false,
  ) {
    super(elf(program), ['random'], compile);
    const { view } = this;
    // No ports: the map of those allowed would lie behind the segment's end (SDM volume 1, section 19.5.2).
    view.setUint16(Mem.RAM + TSS + 0x66, 0xffff, true);
    // The program has its own pages and the oracle's data; everything else faults.
    for (let n = 3; n < 128; n++) this.set64(PD + n * 8, 0n);
    this.set64(PD + (DATA >> 21) * 8, BigInt(PT) | 7n);
    const map = (linear: number, bytes: number, bitsOf: bigint): void => {
      for (let at = 0; at < bytes; at += PAGE) this.set64(PT + (((linear + at) >> 12) & 511) * 8, BigInt(PHYSICAL + (linear - DATA) + at) | bitsOf);
    };
    map(DATA, DATA_SIZE, 7n);
    map(DATA + DATA_SIZE, READ_ONLY_SIZE, 5n);
    map(STACK, STACK_SIZE, 7n);
    const below = random(program.code.length);
    this.doubleCode(below);
    for (let n = 0; n < 0x8000; n += 4) view.setUint32(Mem.RAM + PHYSICAL + n, below(2 ** 32), true);
    for (let n = 0; n < (program.bits === 64 ? 16 : 8); n++) if (n !== 4) this.vcpu.set64(Cpu.GPR + n * 8, BigInt(below(2 ** 32)));
    if (isSegmented) for (const [, base] of BASES) for (let n = 0; n < 64; n++) this.set64(PD + ((base >> 21) + n) * 8, view.getBigUint64(Mem.RAM + PD + n * 8, true));
    this.setBases();
    this.vcpu.modeChanged();
    const { cpuid } = this.vcpu;
    const query = cpuid.query.bind(cpuid);
    cpuid.query = (leaf, subleaf) => {
      this.moveData(random(program.code.length + ++this.moves));
      return query(leaf, subleaf);
    };
  }

  /** A page of data or of the stack, in turn at its first place and at another, by the page tables and INVLPG. */
  private moveData(below: (limit: number) => number): void {
    const pages = [...Array.from({ length: DATA_SIZE / PAGE }, (_, n) => DATA + n * PAGE), STACK_TOP - PAGE];
    const n = below(pages.length);
    const linear = pages[n];
    const entry = (linear >> 21 === CODE >> 21 ? PT_CODE : PT) + ((linear >> 12) & 511) * 8;
    const before = Number(this.view.getBigUint64(Mem.RAM + entry, true)) & ~(PAGE - 1);
    const home = linear >> 21 === CODE >> 21 ? linear : PHYSICAL + (linear - DATA);
    const after = before === home ? OTHER_DATA + n * PAGE : home;
    this.u8.copyWithin(Mem.RAM + after, Mem.RAM + before, Mem.RAM + before + PAGE);
    const isReadOnly = linear >> 21 !== CODE >> 21 && below(16) === 0;
    this.set64(entry, BigInt(after) | (isReadOnly ? 5n : 7n));
    for (const base of this.isSegmented ? BASES.map(([, at]) => at) : [0]) this.vcpu.core.tlb_flush_page(this.vcpu.base, BigInt(base + linear));
  }

  private setBases(): void {
    if (!this.isSegmented) return;
    for (const [register, base] of BASES) {
      this.vcpu.set64(register + Seg.BASE, BigInt(base));
      this.vcpu.set32(register + Seg.LIMIT, SEGMENT_LIMIT);
    }
  }

  protected override toUser(rip: bigint, flags: number): void {
    super.toUser(rip, flags);
    this.setBases();
    this.vcpu.core.update_mode(this.vcpu.base);
  }

  /** The code's pages once more, with other numbers; a page is mapped by a word of PT_CODE. */
  private doubleCode(below: (limit: number) => number): void {
    const { u8, view, program } = this;
    this.set64(PD + (CODE >> 21) * 8, BigInt(PT_CODE) | 7n);
    for (let n = 0; n < 512; n++) this.set64(PT_CODE + n * 8, BigInt((CODE & ~0x1f_ffff) + n * PAGE) | 7n);
    const to = Mem.RAM + OTHER_CODE;
    u8.copyWithin(to, Mem.RAM + CODE, Mem.RAM + CODE + this.codePages * PAGE);
    for (const at of program.numbers) view.setUint32(to + at - CODE, below(2 ** 30), true);
  }

  get codePages(): number {
    return Math.ceil((this.program.base + this.program.code.length - CODE) / PAGE);
  }

  /** Another page of code in place of one of the program's, by the page tables and INVLPG. */
  exchange(page: number, isOther: boolean): void {
    const linear = CODE + page * PAGE;
    this.set64(PT_CODE + ((linear >> 12) & 511) * 8, BigInt(isOther ? OTHER_CODE + page * PAGE : linear) | 7n);
    for (const base of this.isSegmented ? BASES.map(([, base]) => base) : [0]) this.vcpu.core.tlb_flush_page(this.vcpu.base, BigInt(base + linear));
  }

  /** It has none, but what it executes by mistake may. */
  protected override systemCall(): void {}

  protected override exception(vector: number, frame: number): void {
    const { view, vcpu, u8, program } = this;
    this.faults++;
    const rip = view.getBigUint64(frame, true);
    const at = Mem.RAM + Number(rip);
    // It may have lost its way, by a return address that it overwrote.
    if (rip < BigInt(program.base) || rip >= BigInt(program.base + program.code.length)) return this.toUser(BigInt(program.entry), 0x202);
    const { length } = disassemble(u8.slice(at, at + 15), 0, this.bits, rip);
    const isTrap = vector === 3 || vector === 4;
    // What is not masked any more would fault at each instruction that follows.
    vcpu.set32(Cpu.MXCSR, vcpu.get32(Cpu.MXCSR) | 0x1f80);
    vcpu.set32(Cpu.FCW, vcpu.get32(Cpu.FCW) | 0x3f);
    vcpu.set64(Cpu.RSP, view.getBigUint64(frame + 24, true));
    this.toUser(rip + BigInt(isTrap ? 0 : Math.max(1, length)), Number(view.getBigUint64(frame + 16, true)) & ~0x100);
  }
}
