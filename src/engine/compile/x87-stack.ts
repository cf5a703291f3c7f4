// The x87's register stack in compiled code. Within a stretch of code without joins and calls the registers have fixed names, counted from
// where the top was at its beginning: their addresses, which of them are full, and numbers that were read or written are known. Memory is
// always up to date, so that whoever leaves the region has nothing to write back.
// Intel SDM volume 1, 8.1.2 (register stack), 8.1.3 (status word), 8.1.7 (tag word), 8.1.8 (pointers).

import { Cpu } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import type { FloatNumber, FloatStack, OperandRef } from '../../x86/builder.ts';

const FSW_ES = 0x80;
const FSW_TOP = 0x3800;
const FSW_C1 = 0x200;
/** FCW: masks of all exceptions. */
export const FCW_MASKS = 0x3f;
const REGISTERS = 8;

/** What the stack needs of the builder. */
export interface StackHost {
  cpu(): Value;
  ownRip(): Value;
  permanent(type: 'i32' | 'i64'): Variable;
  exitIf(condition: Value): void;
  /** Host address of a guest operand. */
  hostOf(operand: OperandRef, bits: number, write: boolean): Value;
  /** The instruction has changed something. */
  changed(): void;
}

interface Pair {
  readonly significand: Variable;
  readonly signExponent: Variable;
}

/** What is known. Registers are numbered from the first top on. */
interface Known {
  /** Number of ST(0). */
  readonly top: number;
  /** Number of the register that the local with FSW has as its top: the top before the instruction. */
  readonly before: number;
  /** The register's offset from Cpu.FPR is in its local. */
  readonly placed: readonly boolean[];
  /** null: not known. */
  readonly full: readonly (boolean | null)[];
  readonly numbers: readonly (Pair | null)[];
  readonly isC1Clear: boolean;
  /** FCS is noted. */
  readonly isNoted: boolean;
}

/** Made by this alone, so that V8 knows one shape of it. */
const knownOf = (top: number, before: number, placed: Known['placed'], full: Known['full'], numbers: Known['numbers'], isC1Clear: boolean, isNoted: boolean): Known =>
  ({ top, before, placed, full, numbers, isC1Clear, isNoted });
const withTop = (k: Known, top: number): Known => knownOf(top, k.before, k.placed, k.full, k.numbers, k.isC1Clear, k.isNoted);

const START = knownOf(0, 0, Array<boolean>(REGISTERS).fill(false), Array<null>(REGISTERS).fill(null), Array<null>(REGISTERS).fill(null), false, false);

const replaced = <T>(list: readonly T[], n: number, value: T): T[] => list.map((old, k) => (k === n ? value : old));

export class RegisterStack implements FloatStack {
  /** null: nothing, and the locals are not loaded. Immutable, so that edges can go back to it. */
  state: Known | null = null;
  private fsw: Variable | null = null;
  private ftw: Variable | null = null;
  private readonly places: (Variable | undefined)[] = [];
  private readonly pairs: Pair[] = [];
  private moved = false;
  private tagged = false;

  constructor(
    private readonly b: FunctionBuilder,
    private readonly host: StackHost,
  ) {}

  /** Before an instruction. */
  open(): void {
    const { b } = this;
    this.moved = this.tagged = false;
    if (this.state) return;
    const fsw = (this.fsw ??= this.host.permanent('i32'));
    const ftw = (this.ftw ??= this.host.permanent('i32'));
    fsw.set(b.load('i32', this.host.cpu(), Cpu.FSW));
    const unmasked = b.ne(b.and(b.load('i32', this.host.cpu(), Cpu.FCW), FCW_MASKS), FCW_MASKS);
    this.host.exitIf(b.or(unmasked, b.and(fsw.get(), FSW_ES)));
    ftw.set(b.load('i32', this.host.cpu(), Cpu.FTW));
    this.state = START;
  }

  private get known(): Known {
    if (!this.state) throw new Error('the register stack is used before open()');
    return this.state;
  }

  private number(i: number): number {
    return (this.known.top + i) & (REGISTERS - 1);
  }

  /** Offset of a register from Cpu.FPR (i32), in a local. */
  private place(n: number): Value {
    const { b, known } = this;
    const variable = (this.places[n] ??= this.host.permanent('i32'));
    if (!known.placed[n]) {
      const first = b.shrU(this.fsw!.get(), 7);
      variable.set(b.and(b.add(first, ((n - known.before) & (REGISTERS - 1)) << 4), 0x70));
      this.state = knownOf(known.top, known.before, replaced(known.placed, n, true), known.full, known.numbers, known.isC1Clear, known.isNoted);
    }
    return variable.get();
  }

  private bit(n: number): Value {
    const { b } = this;
    return b.shl(b.i32(1), b.shrU(this.place(n), 4));
  }

  private know(n: number, full: boolean | null, number: Pair | null): void {
    const { known } = this;
    this.state = knownOf(known.top, known.before, known.placed, replaced(known.full, n, full), replaced(known.numbers, n, number), known.isC1Clear, known.isNoted);
  }

  need(full: readonly number[], room = false): void {
    const { b } = this;
    const ask = (n: number, wanted: boolean): void => {
      const { known } = this;
      if (known.full[n] === wanted) return;
      if (known.full[n] !== null) return this.host.exitIf(b.i32(1));
      const tag = b.and(this.ftw!.get(), this.bit(n));
      this.host.exitIf(wanted ? b.eqz(tag) : tag);
      this.know(n, wanted, this.known.numbers[n]);
    };
    for (const i of full) ask(this.number(i), true);
    if (room) ask(this.number(-1), false);
  }

  require(condition: Value): void {
    this.host.exitIf(this.b.eqz(condition));
  }

  /** Locals that hold no register's number now. */
  private free(): Pair {
    const free = this.pairs.find((pair) => !this.known.numbers.includes(pair));
    if (free) return free;
    const pair = { significand: this.host.permanent('i64'), signExponent: this.host.permanent('i32') };
    this.pairs.push(pair);
    return pair;
  }

  read(i: number): FloatNumber {
    const { b } = this;
    const n = this.number(i);
    let pair = this.known.numbers[n];
    if (!pair) {
      pair = this.free();
      const at = b.add(this.host.cpu(), this.place(n));
      pair.significand.set(b.load('i64', at, Cpu.FPR));
      pair.signExponent.set(b.load('i32', b.add(this.host.cpu(), this.place(n)), Cpu.FPR + 8, 16));
      this.know(n, true, pair);
    }
    return { significand: pair.significand.get(), signExponent: pair.signExponent.get() };
  }

  private toMemory(n: number, { significand, signExponent }: Pair): void {
    const { b } = this;
    this.host.changed();
    b.store(b.add(this.host.cpu(), this.place(n)), Cpu.FPR, significand.get());
    b.store(b.add(this.host.cpu(), this.place(n)), Cpu.FPR + 8, signExponent.get(), 16);
  }

  private put(n: number, { significand, signExponent }: FloatNumber): void {
    // A register's own number, moved to another one, is the same pair of locals.
    let pair = this.known.numbers.find((it) => it !== null && it.significand.index === significand.local && it.signExponent.index === signExponent.local) ?? null;
    if (!pair) {
      pair = this.free();
      pair.significand.set(significand);
      pair.signExponent.set(signExponent);
    }
    this.toMemory(n, pair);
    if (this.known.full[n] !== true) {
      this.ftw!.set(this.b.or(this.ftw!.get(), this.bit(n)));
      this.tagged = true;
    }
    this.know(n, true, pair);
  }

  write(i: number, number: FloatNumber): void {
    this.put(this.number(i), number);
  }

  exchange(i: number): void {
    if (i === 0) return;
    const [a, c] = [this.number(0), this.number(i)];
    this.read(0);
    this.read(i);
    const first = this.known.numbers[a]!;
    const second = this.known.numbers[c]!;
    this.toMemory(a, second);
    this.toMemory(c, first);
    this.know(a, true, second);
    this.know(c, true, first);
  }

  push(number: FloatNumber): void {
    const n = this.number(-1);
    this.put(n, number);
    this.state = withTop(this.known, n);
    this.moved = true;
  }

  pop(): void {
    const { b } = this;
    const n = this.number(0);
    this.host.changed();
    this.ftw!.set(b.and(this.ftw!.get(), b.xor(this.bit(n), -1)));
    this.tagged = true;
    this.know(n, false, null);
    this.state = withTop(this.known, this.number(1));
    this.moved = true;
  }

  change(i: number): Value {
    const { b } = this;
    const n = this.number(i);
    const at = b.let(b.add(b.add(this.host.cpu(), this.place(n)), Cpu.FPR));
    this.know(n, true, null);
    return at;
  }

  load(operand: OperandRef): FloatNumber {
    const { b } = this;
    const at = this.host.hostOf(operand, 80, false);
    return { significand: b.let(b.load('i64', at, 0)), signExponent: b.let(b.load('i32', at, 8, 16)) };
  }

  store(operand: OperandRef, { significand, signExponent }: FloatNumber): void {
    const { b } = this;
    const at = this.host.hostOf(operand, 80, true);
    this.host.changed();
    b.store(at, 0, significand);
    b.store(at, 8, signExponent, 16);
  }

  status(bits: Value | null, clear: number): void {
    const { b } = this;
    const cpu = this.host.cpu();
    this.host.changed();
    const fsw = this.fsw!;
    const top = this.moved ? b.shl(this.place(this.known.top), 7) : null;
    const clears = clear & ~FSW_C1 || (clear & FSW_C1 && !this.known.isC1Clear);
    if (bits || this.moved || clears) {
      let value = b.and(fsw.get(), ~(clear | (this.moved ? FSW_TOP : 0)));
      if (bits) value = b.or(value, bits);
      if (this.moved) value = b.or(value, top!);
      fsw.set(value);
      b.store(cpu, Cpu.FSW, fsw.get());
    }
    if (this.tagged) b.store(cpu, Cpu.FTW, this.ftw!.get());
    b.store(cpu, Cpu.FIP, this.host.ownRip());
    if (!this.known.isNoted) b.store(cpu, Cpu.FCS, b.load('i32', cpu, Cpu.CS));
    const isC1Clear = bits ? false : clear & FSW_C1 ? true : this.known.isC1Clear;
    const { known } = this;
    this.state = knownOf(known.top, known.top, known.placed, known.full, known.numbers, isC1Clear, true);
  }
}
