// A vCPU's state and code as text: registers in the layout of QEMU's `info registers`, code as of its `x/i $pc`.
// Reads the vCPU area only, so that it also works while the interpreter cannot (a crash, another thread).

import { Cpu, FlagKind, Mode, Rflags, Seg, SegAttr } from '../core/layout.ts';
import { disassemble } from '../x86/disassemble.ts';

const LONG_MODE_ACTIVE = 0x400;
const A20 = 0x10_0000n;
const SYSTEM_TYPES = [
  'Reserved', 'TSS16-avl', 'LDT', 'TSS16-busy', 'CallGate16', 'TaskGate', 'IntGate16', 'TrapGate16',
  'Reserved', 'TSS32-avl', 'Reserved', 'TSS32-busy', 'CallGate32', 'Reserved', 'IntGate32', 'TrapGate32',
] as const; // prettier-ignore
const SYSTEM_TYPES_LONG = [
  '<hiword>', 'Reserved', 'LDT', 'Reserved', 'Reserved', 'Reserved', 'Reserved', 'Reserved',
  'Reserved', 'TSS64-avl', 'Reserved', 'TSS64-busy', 'CallGate64', 'Reserved', 'IntGate64', 'TrapGate64',
] as const; // prettier-ignore

const MAX_INSTRUCTION = 15;
const PAGE = 0x1000n;

/**
 * CF PF AF ZF SF OF at their places in RFLAGS, from the last operation's kind and operands (src/x86/flags.ts).
 * @param kind Cpu.FLAG_KIND
 * @param a Cpu.FLAG_A
 * @param x Cpu.FLAG_X
 */
export function arithmeticFlags(kind: number, a: bigint, x: bigint): number {
  const operation = kind & 3;
  // What stands in the kind itself.
  const kept = (flags: number): number => {
    let all = flags ^ (kind & FlagKind.AF_INVERTED);
    if (kind & FlagKind.CARRY_KEPT) all = (all & ~Rflags.CF) | ((kind >> 3) & 1);
    if (kind & FlagKind.OVERFLOW_KEPT) all = (all & ~Rflags.OF) | ((kind & FlagKind.OVERFLOW_VALUE) << 4);
    return all;
  };
  if (operation === FlagKind.EXPLICIT) return kept(Number(x & BigInt(Rflags.ARITHMETIC)));
  // Operands stand at the top of 64 bits.
  const shift = BigInt(64 - ((kind >> 8) & 0xff));
  const top = (v: bigint): boolean => (v >> 63n & 1n) !== 0n;
  let result = x;
  let flags: number;
  if (operation === FlagKind.RESULT) flags = Number(a & BigInt(Rflags.ARITHMETIC));
  else {
    // What was added or subtracted, and what came out.
    const other = operation === FlagKind.SUB ? x : BigInt.asUintN(64, x - a);
    if (operation === FlagKind.SUB) result = BigInt.asUintN(64, a - x);
    const carry = operation === FlagKind.SUB ? a < x : x < a;
    const overflow = operation === FlagKind.SUB ? top((a ^ x) & (a ^ result)) : top((a ^ x) & (other ^ x));
    flags = (carry ? Rflags.CF : 0) | (overflow ? Rflags.OF : 0) | Number(((a ^ other ^ result) >> shift) & BigInt(Rflags.AF));
  }
  let ones = 0;
  for (let low = Number((result >> shift) & 0xffn); low !== 0; low &= low - 1) ones++;
  return kept(flags | (ones & 1 ? 0 : Rflags.PF) | (result === 0n ? Rflags.ZF : 0) | (top(result) ? Rflags.SF : 0));
}

/** Reads fields of one vCPU's area. */
class State {
  private readonly view: DataView;

  constructor(buffer: ArrayBufferLike, cpu: number) {
    this.view = new DataView(buffer, cpu);
  }

  u16(offset: number): number {
    return this.view.getUint16(offset, true);
  }

  u32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  get code64(): boolean {
    return (this.u32(Cpu.MODE) & Mode.CODE_MASK) === Mode.CODE64;
  }

  get longMode(): boolean {
    return (this.u32(Cpu.EFER) & LONG_MODE_ACTIVE) !== 0;
  }

  get rflags(): number {
    return this.u32(Cpu.RFLAGS) | arithmeticFlags(this.u32(Cpu.FLAG_KIND), this.u64(Cpu.FLAG_A), this.u64(Cpu.FLAG_X));
  }
}

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0');

/** A register of 64 bits, or its low half. */
const wide = (value: bigint, long: boolean): string => (long ? hex(value, 16) : hex(value & 0xffff_ffffn, 8));

function generalRegisters(s: State): string[] {
  const long = s.code64;
  const prefix = long ? 'R' : 'E';
  const numbers: Record<string, number> = { AX: 0, CX: 1, DX: 2, BX: 3, SP: 4, BP: 5, SI: 6, DI: 7 };
  const row = (names: string[]): string => names.map((n) => `${prefix}${n}=${wide(s.u64(Cpu.GPR + numbers[n] * 8), long)}`).join(' ');
  const lines = [row(['AX', 'BX', 'CX', 'DX']), row(['SI', 'DI', 'BP', 'SP'])];
  if (long) {
    for (const first of [8, 12]) {
      lines.push([0, 1, 2, 3].map((n) => `R${String(first + n).padEnd(2)}=${wide(s.u64(Cpu.GPR + (first + n) * 8), true)}`).join(' '));
    }
  }
  const flags = s.rflags;
  const letters: [number, string][] = [
    [Rflags.DF, 'D'],
    [Rflags.OF, 'O'],
    [Rflags.SF, 'S'],
    [Rflags.ZF, 'Z'],
    [Rflags.AF, 'A'],
    [Rflags.PF, 'P'],
    [Rflags.CF, 'C'],
  ];
  const set = letters.map(([bit, letter]) => (flags & bit ? letter : '-')).join('');
  const bit = (condition: boolean): string => (condition ? '1' : '0');
  lines.push(
    `${prefix}IP=${wide(s.u64(Cpu.RIP), long)} ${prefix}FL=${hex(flags, 8)} [${set}] CPL=${s.u32(Cpu.CPL)} ` +
      `II=${bit(s.u32(Cpu.INTERRUPT_SHADOW) !== 0)} A20=${bit((s.u64(Cpu.A20_MASK) & A20) !== 0n)} SMM=0 HLT=${bit(s.u32(Cpu.HALTED) !== 0)}`,
  );
  return lines;
}

function segment(s: State, name: string, at: number): string {
  const attr = s.u32(at + Seg.ATTR);
  const limit = s.u32(at + Seg.LIMIT);
  const unusable = (attr & SegAttr.NULL) !== 0;
  // QEMU shows the descriptor's second double word, which holds the top of the limit too.
  const limitTop = unusable ? 0 : (attr & SegAttr.G ? limit >>> 28 : limit >>> 16) & 0xf;
  const word = ((attr & 0xffff) | (limitTop << 8)) * 0x100;
  const line = `${name.padEnd(3)}=${hex(s.u32(at + Seg.SELECTOR), 4)} ${wide(s.u64(at + Seg.BASE), s.code64)} ${hex(limit, 8)} ${hex(word, 8)}`;
  const protectedMode = (s.u32(Cpu.CR0) & 1) !== 0;
  if (!protectedMode || unusable || !(attr & SegAttr.P)) return line;
  const dpl = (attr >> SegAttr.DPL_SHIFT) & 3;
  return `${line} DPL=${dpl} ${typeOf(attr, s.longMode)}`;
}

/** Kind of a descriptor, as QEMU names it. */
function typeOf(attr: number, long: boolean): string {
  const type = attr & SegAttr.TYPE;
  if (!(attr & SegAttr.S)) return (long ? SYSTEM_TYPES_LONG : SYSTEM_TYPES)[type];
  const accessed = type & 1 ? 'A' : '-';
  if (type & 8) {
    const size = attr & SegAttr.L ? 'CS64' : attr & SegAttr.DB ? 'CS32' : 'CS16';
    return `${size} [${type & 4 ? 'C' : '-'}${type & 2 ? 'R' : '-'}${accessed}]`;
  }
  return `${attr & SegAttr.DB || long ? 'DS  ' : 'DS16'} [${type & 4 ? 'E' : '-'}${type & 2 ? 'W' : '-'}${accessed}]`;
}

function systemRegisters(s: State): string[] {
  const long = s.longMode;
  const lines = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDT', 'TR'].map((name, n) => segment(s, name, Cpu.SEG + n * Cpu.SEG_SIZE));
  lines.push(`GDT=     ${wide(s.u64(Cpu.GDTR_BASE), long)} ${hex(s.u32(Cpu.GDTR_LIMIT), 8)}`);
  lines.push(`IDT=     ${wide(s.u64(Cpu.IDTR_BASE), long)} ${hex(s.u32(Cpu.IDTR_LIMIT), 8)}`);
  lines.push(
    `CR0=${hex(s.u32(Cpu.CR0), 8)} CR2=${wide(s.u64(Cpu.CR2), long)} CR3=${wide(s.u64(Cpu.CR3), long)} CR4=${hex(s.u32(Cpu.CR4), 8)}`,
  );
  const debug = (n: number): string => `DR${n}=${hex(s.u64(Cpu.DR + n * 8), 16)}`;
  lines.push([0, 1, 2, 3].map(debug).join(' '), [6, 7].map(debug).join(' '));
  lines.push(`EFER=${hex(s.u64(Cpu.EFER), 16)}`);
  return lines;
}

/** Cells two to a line. */
function pairs(cells: string[]): string[] {
  return cells.flatMap((cell, n) => (n % 2 === 0 ? [`${cell} ${cells[n + 1]}`] : []));
}

function floatingPoint(s: State): string[] {
  const status = s.u32(Cpu.FSW);
  const top = (status >> 11) & 7;
  return [
    `FCW=${hex(s.u16(Cpu.FCW), 4)} FSW=${hex(status & 0xffff, 4)} [ST=${top}] FTW=${hex(s.u32(Cpu.FTW) & 0xff, 2)} MXCSR=${hex(s.u32(Cpu.MXCSR), 8)}`,
    ...pairs(Array.from({ length: 8 }, (_, n) => `FPR${n}=${hex(s.u64(Cpu.FPR + n * 16), 16)} ${hex(s.u16(Cpu.FPR + n * 16 + 8), 4)}`)),
    ...pairs(
      Array.from(
        { length: s.code64 ? 16 : 8 },
        (_, n) => `XMM${String(n).padStart(2, '0')}=${hex(s.u64(Cpu.XMM + n * 16 + 8), 16)} ${hex(s.u64(Cpu.XMM + n * 16), 16)}`,
      ),
    ),
  ];
}

/**
 * All registers, as QEMU's `info registers` prints them: 64 bits wide in 64-bit code, else 32.
 * @param buffer the shared memory
 * @param cpu address of the vCPU area
 */
export function dumpRegisters(buffer: ArrayBufferLike, cpu: number): string {
  const s = new State(buffer, cpu);
  return [...generalRegisters(s), ...systemRegisters(s), ...floatingPoint(s)].join('\n');
}

/**
 * The instructions from RIP on, the one at RIP marked "=>"; with a segment base, addresses are selector:offset.
 * @param buffer the shared memory
 * @param cpu address of the vCPU area
 * @param readLinear bytes at a linear address within one page, or null where nothing is mapped
 * @param count instructions
 */
export function dumpCode(
  buffer: ArrayBufferLike,
  cpu: number,
  readLinear: (address: bigint, length: number) => Uint8Array | null,
  count: number,
): string {
  const s = new State(buffer, cpu);
  const mode = ([16, 32, 64] as const)[(s.u32(Cpu.MODE) & Mode.CODE_MASK) as 0 | 1 | 2];
  const rip = s.u64(Cpu.RIP);
  const base = mode === 64 ? 0n : s.u64(Cpu.CS + Seg.BASE);
  const linear = (offset: bigint): bigint => BigInt.asUintN(mode === 64 ? 64 : 32, base + offset);
  const bytes = readPages(linear(rip), count * MAX_INSTRUCTION, mode === 64 ? 64 : 32, readLinear);
  const label = (offset: bigint): string =>
    mode === 64 ? `0x${hex(offset, 16)}` : base === 0n ? `0x${hex(offset, 8)}` : `${hex(s.u32(Cpu.CS + Seg.SELECTOR), 4)}:${hex(offset, mode === 16 ? 4 : 8)}`;
  const lines: string[] = [];
  for (let n = 0, at = 0; n < count; n++) {
    const offset = BigInt.asUintN(mode === 64 ? 64 : 32, rip + BigInt(at));
    const mark = n === 0 ? '=>' : '  ';
    if (at >= bytes.length) {
      lines.push(`${mark} ${label(offset)}: cannot read memory at 0x${hex(linear(offset), 8)}`);
      break;
    }
    const { text, length } = disassemble(bytes, at, mode, offset);
    const shown = Array.from(bytes.subarray(at, at + length), (b) => hex(b, 2)).join(' ');
    lines.push(`${mark} ${label(offset)}: ${shown.padEnd(30)} ${text}`);
    at += length;
  }
  return lines.join('\n');
}

/** Bytes from an address on, page by page, up to the first that is not there. */
function readPages(
  start: bigint,
  length: number,
  bits: number,
  readLinear: (address: bigint, length: number) => Uint8Array | null,
): Uint8Array {
  const parts: number[] = [];
  while (parts.length < length) {
    const address = BigInt.asUintN(bits, start + BigInt(parts.length));
    const part = readLinear(address, Math.min(length - parts.length, Number(PAGE - (address % PAGE))));
    if (!part) break;
    parts.push(...part);
  }
  return Uint8Array.from(parts);
}
