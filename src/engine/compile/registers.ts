// The guest's registers in the locals of a region's function. In masks of registers (32 bits, of which V8 keeps 30 without an object):
//
//   0-15   general registers; of 16-bit code, in which each is two halves, the eight lower ones and the eight upper ones
//   16     FLAGS
//   17-29  XMM0-12; XMM13-15, and all of them in 16-bit code, stay in memory
//
// Registers are written when the instruction is over, so that a value read before is still what it was. Only a meaning that writes
// registers in a branch of its own needs copies (Facts.writesInBranch).

import { Cpu, Mode } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import type { ValType } from '../../wasm/module.ts';
import { Simd } from '../../wasm/simd.ts';
import type { Watcher } from './builder.ts';
import type { RegionMode } from './mode.ts';
import type { Symbol } from './pages.ts';

/** In masks of what is needed: the flags, beside the registers. */
export const FLAGS = 1 << 16;
/** Number of a general register's upper half, from that of the lower, where they are two. */
const UPPER = 16;
/** Number of XMM0, and its bit in masks. */
const VECTOR = 32;
const VECTOR_BIT = 17;
/** XMM registers that have locals. */
const VECTORS = 13;
const NUMBERS = VECTOR + VECTORS;
/** Offsets below this are general registers. */
const GPR_END = Cpu.GPR + 16 * 8;
const XMM_END = Cpu.XMM + VECTORS * 16;

/** Bit of an XMM register in masks, by its offset in the vCPU area; 0: it stays in memory. */
export const vectorBit = (offset: number): number => (offset >= Cpu.XMM && offset < XMM_END ? 1 << (VECTOR_BIT + ((offset - Cpu.XMM) >> 4)) : 0);

/** A register's bit in masks: there are eight general ones of 32 bits where they are two halves. */
const bitOf = (n: number): number => 1 << (n < UPPER ? n : n < VECTOR ? n - UPPER + 8 : n - VECTOR + VECTOR_BIT);
/** The half that a bit stands for, and its place in the vCPU area. */
const halfOf = (bit: number): number => (bit < 8 ? bit : bit - 8 + UPPER);
const halfAt = (bit: number): number => Cpu.GPR + (bit & 7) * 8 + (bit < 8 ? 0 : 2);

const NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
/** As the manuals call it; an upper half of 16-bit code, which has no name there, by what it is the half of. */
function registerName(n: number, bits: number): string {
  if (n >= VECTOR) return `xmm${n - VECTOR}`;
  if (n >= UPPER) return `e${NAMES[n - UPPER]}.upper`;
  return n >= 8 ? `r${n}` : `${bits === 64 ? 'r' : bits === 32 ? 'e' : ''}${NAMES[n]}`;
}

/** What the builder of the code tells about the instruction that is being emitted, and is told. */
export interface RegistersOwner {
  cpu(): Value;
  permanent(type: ValType): Variable;
  permanentLow(): Variable;
  isInBranch(): boolean;
  watcher(): Watcher | null;
  changed(): void;
  symbolOf(value: Value): Symbol | null;
  /** Is a value this general register and a constant? */
  isSame(n: number, symbol: Symbol): boolean;
  /** A general register has a new value. */
  written(n: number, symbol: Symbol | null): void;
}

export class Registers {
  /** Registers whose local is newer than memory. */
  dirty = 0;
  /** The meaning writes registers in a branch of its own. */
  copyReads = false;
  /** Value.width of each general register along a path. In 32-bit code the locals hold 32 bits. */
  widths: readonly number[];
  private readonly locals: (Variable | null)[] = new Array<Variable | null>(NUMBERS).fill(null);
  /** Registers by their local's index. */
  private readonly numbers = new Map<number, number>();
  private readonly pending = new Map<number, Value>();
  /** What the instruction has read, by offset and size. */
  private readonly reads = new Map<number, Value>();
  /** Locals that hold the lowest 64 or 32 bits of an XMM register, whose number this tells, and are integers. */
  private readonly lanes = new Map<number, { readonly n: number; readonly size: number }>();
  private readonly code64: boolean;
  /**
   * 16-bit code: a register is two, which are read and written each for itself. The local of the lower half, which has the register's number,
   * may have anything in its upper bits.
   */
  private readonly isSplit: boolean;

  constructor(
    private readonly b: FunctionBuilder,
    where: RegionMode,
    private readonly owner: RegistersOwner,
  ) {
    this.code64 = (where.mode & Mode.CODE_MASK) === Mode.CODE64;
    this.isSplit = (where.mode & Mode.CODE_MASK) === Mode.CODE16;
    this.widths = this.anyWidths();
  }

  /** Is what lies there in the vCPU area a register that has a local? */
  has(offset: number, size: number): boolean {
    return (offset < GPR_END && size <= 64) || (!this.isSplit && vectorBit(offset & ~15) !== 0);
  }

  /** Number of the general register that a local holds. */
  generalOf(local: number): number | undefined {
    const n = this.numbers.get(local);
    return n === undefined || n >= VECTOR ? undefined : n;
  }

  /** By their locals' index. */
  nameLocals(names: Map<number, string>): void {
    for (const [index, n] of this.numbers) names.set(index, registerName(n, this.code64 ? 64 : this.isSplit ? 16 : 32));
  }

  /** The local of a register, by its number: of a general one its own, which is that of its lower half where it has two. */
  local(n: number): Variable {
    let variable = this.locals[n];
    if (!variable) {
      this.locals[n] = variable = n >= VECTOR ? this.owner.permanent('v128') : this.code64 ? this.owner.permanent('i64') : this.owner.permanentLow();
      this.numbers.set(variable.index, n);
    }
    return variable;
  }

  // ---- in an instruction

  begin(): void {
    this.reads.clear();
    this.lanes.clear();
  }

  /** A local will hold something else. */
  reused(local: number): void {
    if (this.lanes.size > 0) this.lanes.delete(local);
  }

  /** All of a register, as it is for this instruction. */
  private whole(n: number): Value {
    return this.pending.get(n) ?? this.local(n).get(this.widths[n]);
  }

  private anyWidths(): number[] {
    const widths = new Array<number>(NUMBERS).fill(this.code64 ? 64 : 32);
    widths.fill(64, VECTOR);
    return this.isSplit ? widths.fill(16, UPPER, VECTOR) : widths;
  }

  /** Paths join, or something was called. */
  forgetWidths(): void {
    this.widths = this.anyWidths();
  }

  private setWidth(n: number, width: number): void {
    const known = this.code64 ? width : Math.min(32, width);
    if (n < VECTOR && this.widths[n] !== known) this.widths = this.widths.map((before, m) => (m === n ? known : before));
  }

  /** A general register or a part of it as an i64, or an XMM register or a lane of it as a v128 or an i64. */
  read(offset: number, size: number): Value {
    const key = offset * 256 + size;
    const watcher = this.owner.watcher();
    if (offset >= GPR_END) {
      const n = VECTOR + ((offset - Cpu.XMM) >> 4);
      watcher?.read(bitOf(n));
      return this.reads.get(key) ?? this.keep(key, this.lane(n, offset & 15, size), n);
    }
    const n = offset >> 3;
    const isBoth = this.isSplit && size > 16;
    watcher?.read(1 << n);
    if (isBoth) watcher?.read(1 << (n + UPPER));
    const known = this.reads.get(key);
    if (known) return known;
    const { b } = this;
    const all = isBoth ? b.or(b.and(this.whole(n), 0xffff), b.shl(this.whole(n + UPPER), 16)) : this.whole(n);
    const shifted = offset & 7 ? b.shrU(all, (offset & 7) * 8) : all;
    return this.keep(key, b.zeroExtend(shifted, size), n);
  }

  private keep(key: number, value: Value, n: number): Value {
    const { b } = this;
    const read = this.copyReads ? b.copy(value) : b.let(value);
    const [offset, size] = [key >> 8, key & 255];
    if (n >= VECTOR && size < 128 && (offset & 15) === 0) this.lanes.set(read.local!, { n, size });
    // What is computed in a branch is not known after it.
    if (!this.copyReads && !this.owner.isInBranch()) this.reads.set(key, read);
    return read;
  }

  private lane(n: number, byte: number, size: number): Value {
    const { b } = this;
    const all = this.whole(n);
    if (size === 128) return all;
    if (size === 64) return b.simd('i64', Simd.I64X2_EXTRACT_LANE, [all], [byte >> 3]);
    if (size === 32) return b.extendU(b.simd('i32', Simd.I32X4_EXTRACT_LANE, [all], [byte >> 2]));
    throw new Error(`no lane of ${size} bits`);
  }

  /** The number (f64, f32) that a local's bits are, where they are the lowest of an XMM register; else null. @param size only if it is this */
  laneOf(bits: Value, size = 0): Value | null {
    const lane = bits.local === null || this.lanes.size === 0 ? undefined : this.lanes.get(bits.local);
    if (!lane || (size !== 0 && lane.size !== size)) return null;
    const all = this.whole(lane.n);
    return lane.size === 64 ? this.b.simd('f64', Simd.F64X2_EXTRACT_LANE, [all], [0]) : this.b.simd('f32', Simd.F32X4_EXTRACT_LANE, [all], [0]);
  }

  /** @param value of a part of an XMM register an integer or a number: the rest stays as it is */
  write(offset: number, size: number, value: Value): void {
    this.owner.changed();
    this.reads.clear();
    const watcher = this.owner.watcher();
    const inBranch = this.owner.isInBranch();
    if (offset >= GPR_END) return this.writeVector(VECTOR + ((offset - Cpu.XMM) >> 4), offset & 15, size, value);
    const { b } = this;
    const n = offset >> 3;
    if (this.isSplit && size > 8) {
      const both = b.let(b.zeroExtend(value, 32));
      watcher?.write(1 << n, true, inBranch);
      this.put(n, both);
      if (size === 16) return;
      watcher?.write(1 << (n + UPPER), true, inBranch);
      return this.put(n + UPPER, b.shrU(both, 16));
    }
    watcher?.write(1 << n, size >= 32, inBranch);
    let all: Value;
    if (size === 64) all = value;
    else if (size === 32) all = b.zeroExtend(value, 32);
    else {
      if (size + (offset & 7) * 8 < 64) watcher?.read(1 << n);
      const shift = (offset & 7) * 8;
      const mask = ((1n << BigInt(size)) - 1n) << BigInt(shift);
      all = b.or(b.and(this.whole(n), b.i64(~mask)), b.and(shift ? b.shl(value, shift) : value, b.i64(mask)));
    }
    this.put(n, all);
  }

  private writeVector(n: number, byte: number, size: number, value: Value): void {
    const watcher = this.owner.watcher();
    if (size < 128) watcher?.read(bitOf(n));
    watcher?.write(bitOf(n), size === 128, this.owner.isInBranch());
    this.put(n, size === 128 ? value : this.withLane(this.whole(n), byte, size, this.laneOf(value, size) ?? value));
  }

  private withLane(all: Value, byte: number, size: number, value: Value): Value {
    const replace = (opcode: Simd, lane: Value): Value => this.b.simd('v128', opcode, [all, lane], [byte / (size >> 3)]);
    if (value.type === 'f64') return replace(Simd.F64X2_REPLACE_LANE, value);
    if (value.type === 'f32') return replace(Simd.F32X4_REPLACE_LANE, value);
    if (size === 64) return replace(Simd.I64X2_REPLACE_LANE, value);
    if (size === 32) return replace(Simd.I32X4_REPLACE_LANE, this.b.wrap(value));
    throw new Error(`no lane of ${size} bits`);
  }

  /** To a register's local, now or when the instruction is over. */
  private put(n: number, all: Value): void {
    const inBranch = this.owner.isInBranch();
    if (n >= VECTOR) this.lanes.clear();
    if (inBranch || this.copyReads) {
      this.local(n).set(all);
      this.setWidth(n, inBranch ? 64 : all.width);
      this.dirty |= bitOf(n);
      if (n < VECTOR && !this.isSplit) this.owner.written(n, null);
      return;
    }
    // A value that is another register is taken before that register changes.
    this.pending.set(n, this.pending.size > 0 && all.isLocal ? this.b.copy(all) : this.b.let(all));
  }

  /** The instruction is over: its results become the registers. */
  commit(): void {
    if (this.pending.size === 0) return;
    const { owner } = this;
    const watcher = owner.watcher();
    const values = [...this.pending].sort(([, a], [, b]) => Number(b.isLocal && this.isGuest(b)) - Number(a.isLocal && this.isGuest(a)));
    const symbols: (Symbol | null)[] = [];
    for (const [n, value] of values) {
      const symbol = value.isLocal && !this.isSplit && n < VECTOR ? owner.symbolOf(value) : null;
      if (watcher && symbol && owner.isSame(n, symbol)) watcher.step(bitOf(n));
      symbols.push(symbol);
    }
    for (const [n, value] of values) {
      this.local(n).set(value);
      this.setWidth(n, value.width);
      this.dirty |= bitOf(n);
    }
    if (!this.isSplit) for (let k = 0; k < values.length; k++) if (values[k][0] < VECTOR) owner.written(values[k][0], symbols[k]);
    this.pending.clear();
  }

  private isGuest(value: Value): boolean {
    return value.local !== null && this.numbers.has(value.local);
  }

  // ---- at calls and exits

  /** Bring registers from memory. What they were is not known to be what they are. */
  load(mask: number): void {
    const { b } = this;
    for (let rest = mask & ~FLAGS; rest !== 0; rest &= rest - 1) {
      const n = 31 - Math.clz32(rest & -rest);
      if (n >= VECTOR_BIT) this.local(n - VECTOR_BIT + VECTOR).set(b.load('v128', this.owner.cpu(), Cpu.XMM + (n - VECTOR_BIT) * 16));
      else if (this.isSplit) this.local(halfOf(n)).set(b.load('i64', this.owner.cpu(), halfAt(n), 16));
      else this.local(n).set(b.load('i64', this.owner.cpu(), Cpu.GPR + n * 8, this.code64 ? 64 : 32));
    }
  }

  /** Write registers to memory; they stay dirty. */
  spill(mask = this.dirty): void {
    const { b } = this;
    for (let rest = mask; rest !== 0; rest &= rest - 1) {
      const n = 31 - Math.clz32(rest & -rest);
      if (n >= VECTOR_BIT) b.store(this.owner.cpu(), Cpu.XMM + (n - VECTOR_BIT) * 16, this.local(n - VECTOR_BIT + VECTOR).get());
      else if (this.isSplit) b.store(this.owner.cpu(), halfAt(n), b.wrap(this.local(halfOf(n)).get()), 16);
      else b.store(this.owner.cpu(), Cpu.GPR + n * 8, this.local(n).get());
    }
  }
}
