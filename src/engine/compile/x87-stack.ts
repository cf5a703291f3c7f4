// The x87's register stack in compiled code. Registers have fixed names, counted from where the top was when a path came to its first x87
// instruction: their addresses, which of them are full, and numbers that were read or written are known along the path, where paths join and
// through loops that leave the stack as deep as they found it. Numbers are in memory at once; FSW, the tags and the pointer to the last
// instruction are written where somebody may look at them: where the region is left, and before something is called.
// Intel SDM volume 1, 8.1.2 (register stack), 8.1.3 (status word), 8.1.5 (control word), 8.1.7 (tag word), 8.1.8 (pointers).

import { Cpu, Fcw, RegionCause } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import type { FloatNumber, FloatStack, OperandRef, Precision } from '../../x86/builder.ts';
import { isStrange } from '../../x86/x87-short.ts';

const FSW_ES = 0x80;
const FSW_TOP = 0x3800;
const FSW_C1 = 0x200;
/** FCW: what must be known for the short way; and what it is when all exceptions are masked and numbers are rounded to nearest. */
const FCW_SHORT = 0xf3f;
const FCW_OF: Record<Precision, number> = { 53: 0x23f, 64: 0x33f };
/** Where TOP is in FSW. */
const TOP_SHIFT = 11;
const REGISTERS = 8;
/** In RegisterStack.late. */
const LATE_TOP = 1;
const LATE_TURNED = 4;
const LATE_OFFSET = 12;

/** What the short way rounds to with this FCW; 0: it cannot be gone. */
export function shortPrecision(fcw: number): Precision | 0 {
  const control = fcw & FCW_SHORT;
  return control === FCW_OF[64] ? 64 : control === FCW_OF[53] ? 53 : 0;
}

/** What the stack needs of the builder. */
export interface StackHost {
  cpu(): Value;
  /** RIP at so many bytes (i64) from the region's first page. */
  ripAtDistance(distance: Value): Value;
  /** The instruction's offset from there. */
  ownOffset(): number;
  permanent(type: 'i32' | 'i64'): Variable;
  exitIf(condition: Value, cause: RegionCause): void;
  /** Host address of a guest operand. */
  hostOf(operand: OperandRef, bits: number, write: boolean): Value;
  /** The instruction has changed something. */
  changed(): void;
}

type ExitIf = StackHost['exitIf'];

interface Pair {
  readonly significand: Variable;
  readonly signExponent: Variable;
}

/** What is known. Registers are numbered from the first top on, and masks have a bit for each. */
export interface KnownStack {
  /** Number of ST(0). */
  readonly top: number;
  /** The register's offset from Cpu.FPR is in its local. */
  readonly placed: number;
  readonly full: number;
  readonly empty: number;
  /** Its tag is the opposite of what the local with the tags says. */
  readonly turned: number;
  /** Its number is in its locals. */
  readonly read: number;
  /** The number is zero or a normal one. */
  readonly plain: number;
  /** FCW allows the short way. */
  readonly isShort: boolean;
  readonly isC1Clear: boolean;
  /** FCS is noted. */
  readonly isNoted: boolean;
}

const START: KnownStack = { top: 0, placed: 0, full: 0, empty: 0, turned: 0, read: 0, plain: 0, isShort: false, isC1Clear: false, isNoted: false };

/** What two paths both know. */
export function both(a: KnownStack | null, b: KnownStack | null): KnownStack | null {
  if (!a || !b || a.top !== b.top || a.turned !== b.turned) return null;
  // A register that was full on one of them and is empty, and on the other the other way round.
  if (a.turned & ~((a.full & b.full) | (a.empty & b.empty))) return null;
  return {
    top: a.top, placed: a.placed & b.placed, full: a.full & b.full, empty: a.empty & b.empty, turned: a.turned, read: a.read & b.read, plain: a.plain & b.plain,
    isShort: a.isShort && b.isShort, isC1Clear: a.isC1Clear && b.isC1Clear, isNoted: a.isNoted && b.isNoted,
  };
}

/** By how much the top has moved, from -4 to 3: less than 0 after a push. */
export const topOf = ({ top }: KnownStack): number => ((top + 4) & 7) - 4;

/** What is known along a path. */
export interface FloatsState {
  /** null: nothing, and the locals are not loaded. */
  readonly stack: KnownStack | null;
  /** Memory may not have what the last instruction did to FSW, tags and pointer: the local `late` tells. */
  readonly isLate: boolean;
}

export const NOTHING: FloatsState = { stack: null, isLate: false };

/** The same of either of two paths. */
export const either = (a: FloatsState, b: FloatsState): FloatsState => ({ stack: both(a.stack, b.stack), isLate: a.isLate || b.isLate });

export class RegisterStack implements FloatStack {
  /** FloatsState.stack; immutable, so that edges can go back to it. */
  state: KnownStack | null = null;
  /** FloatsState.isLate */
  isLate = false;
  /** FSW, but for TOP, which stays that of register 0. */
  private fsw: Variable | null = null;
  private ftw: Variable | null = null;
  private fcw: Variable | null = null;
  private readonly places: (Variable | undefined)[] = [];
  private readonly pairs: (Pair | undefined)[] = [];
  /**
   * What memory does not have yet, with the FSW and tags in their locals: 0, nothing; else 1 and, from LATE_TOP on, by how much TOP has moved,
   * from LATE_TURNED on, the tags that are turned, from LATE_OFFSET on, where the last instruction is, from the region's first page. A constant
   * behind each instruction, it costs nothing but where the region is left or paths join.
   */
  private late: Variable | null = null;

  constructor(
    private readonly b: FunctionBuilder,
    private readonly host: StackHost,
    /** What the short way rounds to, and the code leaves where that is not gone; 0: it is never gone. */
    private readonly precision: () => Precision | 0,
    /** Doubt.NUMBERS */
    private readonly doubts: () => boolean,
  ) {}

  get isDoubtful(): boolean {
    return this.doubts();
  }

  /** Before an instruction. */
  open(exitIf: ExitIf = this.host.exitIf): void {
    const { b } = this;
    if (this.state) return;
    this.settle();
    const fsw = (this.fsw ??= this.host.permanent('i32'));
    const ftw = (this.ftw ??= this.host.permanent('i32'));
    const fcw = (this.fcw ??= this.host.permanent('i32'));
    this.late ??= this.host.permanent('i64');
    fsw.set(b.load('i32', this.host.cpu(), Cpu.FSW));
    fcw.set(b.load('i32', this.host.cpu(), Cpu.FCW));
    exitIf(b.or(b.ne(b.and(fcw.get(), Fcw.MASKS), Fcw.MASKS), b.and(fsw.get(), FSW_ES)), RegionCause.RARE);
    ftw.set(b.load('i32', this.host.cpu(), Cpu.FTW));
    this.state = START;
  }

  get path(): FloatsState {
    return { stack: this.state, isLate: this.isLate };
  }
  set path({ stack, isLate }) {
    this.state = stack;
    this.isLate = isLate;
  }

  private get known(): KnownStack {
    if (!this.state) throw new Error('the register stack is used before open()');
    return this.state;
  }

  private know(change: Partial<KnownStack>): void {
    this.state = { ...this.known, ...change };
  }

  private number(i: number): number {
    return (this.known.top + i) & (REGISTERS - 1);
  }

  /** Offset of a register from Cpu.FPR (i32), in a local. */
  private place(n: number): Value {
    const { b, known } = this;
    const variable = (this.places[n] ??= this.host.permanent('i32'));
    if (!(known.placed & (1 << n))) {
      variable.set(b.and(b.add(b.shrU(this.fsw!.get(), 7), n << 4), 0x70));
      this.know({ placed: known.placed | (1 << n) });
    }
    return variable.get();
  }

  private bit(n: number): Value {
    const { b } = this;
    return b.shl(b.i32(1), b.shrU(this.place(n), 4));
  }

  private knowFull(n: number, isFull: boolean): void {
    const { full, empty } = this.known;
    this.know(isFull ? { full: full | (1 << n), empty: empty & ~(1 << n) } : { full: full & ~(1 << n), empty: empty | (1 << n) });
  }

  private askFull(n: number, wanted: boolean, exitIf: ExitIf): void {
    const { b, known } = this;
    if ((wanted ? known.full : known.empty) & (1 << n)) return;
    if ((wanted ? known.empty : known.full) & (1 << n)) return exitIf(b.i32(1), RegionCause.RARE);
    // Nothing has turned the tag of a register of which nothing is known.
    const tag = b.and(this.ftw!.get(), this.bit(n));
    exitIf(wanted ? b.eqz(tag) : tag, RegionCause.RARE);
    this.knowFull(n, wanted);
  }

  need(full: readonly number[], room = false): void {
    for (const i of full) this.askFull(this.number(i), true, this.host.exitIf);
    if (room) this.askFull(this.number(-1), false, this.host.exitIf);
  }

  require(condition: Value): void {
    this.host.exitIf(this.b.eqz(condition), RegionCause.RARE);
  }

  requireShort(condition: Value): void {
    this.host.exitIf(this.b.eqz(condition), RegionCause.NUMBER);
  }

  short(): Precision | 0 {
    const precision = this.precision();
    if (precision !== 0) this.askShort(precision, this.host.exitIf);
    return precision;
  }

  private askShort(precision: Precision, exitIf: ExitIf): void {
    const { b } = this;
    if (this.known.isShort) return;
    exitIf(b.ne(b.and(this.fcw!.get(), FCW_SHORT), FCW_OF[precision]), RegionCause.NUMBER);
    this.know({ isShort: true });
  }

  setControl(value: Value): void {
    this.host.changed();
    this.fcw!.set(value);
    this.b.store(this.host.cpu(), Cpu.FCW, this.fcw!.get());
    this.know({ isShort: false });
  }

  private pair(n: number): Pair {
    return (this.pairs[n] ??= { significand: this.host.permanent('i64'), signExponent: this.host.permanent('i32') });
  }

  private numberOf(n: number): FloatNumber {
    const { significand, signExponent } = this.pair(n);
    return { significand: significand.get(), signExponent: signExponent.get(), isPlain: (this.known.plain & (1 << n)) !== 0 };
  }

  private fetch(n: number): void {
    if (this.known.read & (1 << n)) return;
    const { b } = this;
    const { significand, signExponent } = this.pair(n);
    significand.set(b.load('i64', this.address(n), Cpu.FPR));
    signExponent.set(b.load('i32', this.address(n), Cpu.FPR + 8, 16));
    this.know({ read: this.known.read | (1 << n) });
  }

  private askPlain(n: number, exitIf: ExitIf): void {
    if (this.known.plain & (1 << n)) return;
    exitIf(isStrange(this.b, this.numberOf(n)), RegionCause.NUMBER);
    this.know({ plain: this.known.plain | (1 << n) });
  }

  read(i: number): FloatNumber {
    this.fetch(this.number(i));
    return this.numberOf(this.number(i));
  }

  readPlain(i: number): FloatNumber {
    this.fetch(this.number(i));
    this.askPlain(this.number(i), this.host.exitIf);
    return this.numberOf(this.number(i));
  }

  /** What Cpu.FPR is to be added to for a register. */
  private address(n: number): Value {
    return this.b.add(this.host.cpu(), this.place(n));
  }

  private put(n: number, { significand, signExponent, isPlain }: FloatNumber): void {
    const { b } = this;
    const pair = this.pair(n);
    pair.significand.set(significand);
    pair.signExponent.set(signExponent);
    this.host.changed();
    b.store(this.address(n), Cpu.FPR, pair.significand.get());
    b.store(this.address(n), Cpu.FPR + 8, pair.signExponent.get(), 16);
    this.tag(n, true);
    const { read, plain } = this.known;
    this.know({ read: read | (1 << n), plain: isPlain ? plain | (1 << n) : plain & ~(1 << n) });
  }

  /** A register becomes full or empty. */
  private tag(n: number, isFull: boolean): void {
    const { b, known } = this;
    const [same, opposite] = isFull ? [known.full, known.empty] : [known.empty, known.full];
    if (same & (1 << n)) return;
    if (opposite & (1 << n)) this.know({ turned: known.turned ^ (1 << n) });
    else if (isFull) this.ftw!.set(b.or(this.ftw!.get(), this.bit(n)));
    else this.ftw!.set(b.and(this.ftw!.get(), b.xor(this.bit(n), -1)));
    this.knowFull(n, isFull);
  }

  write(i: number, number: FloatNumber): void {
    this.put(this.number(i), number);
  }

  exchange(i: number): void {
    if (i === 0) return;
    const { b } = this;
    const top = this.read(0);
    const other = this.read(i);
    const was = { significand: b.copy(top.significand), signExponent: b.copy(top.signExponent), isPlain: top.isPlain };
    this.write(0, other);
    this.write(i, was);
  }

  push(number: FloatNumber): void {
    const n = this.number(-1);
    this.put(n, number);
    this.know({ top: n });
  }

  private forgetNumber(n: number): void {
    const { read, plain } = this.known;
    this.know({ read: read & ~(1 << n), plain: plain & ~(1 << n) });
  }

  pop(): void {
    const n = this.number(0);
    this.host.changed();
    this.forgetNumber(n);
    this.tag(n, false);
    this.know({ top: this.number(1) });
  }

  change(i: number): Value {
    const { b } = this;
    const n = this.number(i);
    const at = b.let(b.add(this.address(n), Cpu.FPR));
    this.forgetNumber(n);
    this.knowFull(n, true);
    return at;
  }

  load(operand: OperandRef): FloatNumber {
    const { b } = this;
    const at = this.host.hostOf(operand, 80, false);
    return { significand: b.let(b.load('i64', at, 0)), signExponent: b.let(b.load('i32', at, 8, 16)), isPlain: false };
  }

  store(operand: OperandRef, { significand, signExponent }: FloatNumber): void {
    const { b } = this;
    const at = this.host.hostOf(operand, 80, true);
    this.host.changed();
    b.store(at, 0, significand);
    b.store(at, 8, signExponent, 16);
  }

  status(bits: Value | null, clear: number): void {
    const { b, known } = this;
    const cpu = this.host.cpu();
    this.host.changed();
    const fsw = this.fsw!;
    const clears = clear & ~FSW_C1 || (clear & FSW_C1 && !known.isC1Clear);
    const rest = clears ? b.and(fsw.get(), ~clear) : fsw.get();
    if (bits || clears) fsw.set(bits ? b.or(rest, bits) : rest);
    const late = 1 | (known.top << LATE_TOP) | (known.turned << LATE_TURNED);
    this.late!.set(b.i64(this.host.ownOffset() * 2 ** LATE_OFFSET + late));
    this.isLate = true;
    if (!known.isNoted) b.store(cpu, Cpu.FCS, b.load('i32', cpu, Cpu.CS));
    const isC1Clear = bits ? false : clear & FSW_C1 ? true : known.isC1Clear;
    this.know({ isC1Clear, isNoted: true });
  }

  // ---- what memory does not have yet

  /** FSW where the stack is known (i32). */
  statusWord(): Value {
    const fsw = this.fsw!;
    return this.known.top === 0 ? fsw.get() : this.withTop(this.b.i32(this.known.top << TOP_SHIFT));
  }

  /** FSW, by how much TOP has moved. */
  private withTop(moved: Value): Value {
    const { b } = this;
    const fsw = this.fsw!;
    return b.or(b.and(fsw.get(), ~FSW_TOP), b.and(b.add(fsw.get(), moved), FSW_TOP));
  }

  /** FSW, tags and pointer to memory, if it does not have them. */
  settle(): void {
    if (!this.isLate) return;
    const { b } = this;
    b.if(b.ne(this.late!.get(), 0), () => {
      this.toMemory();
      this.late!.set(b.i64(0));
    });
    this.isLate = false;
  }

  /** The same where it is not to be known afterwards: at an exit. */
  settleLast(): void {
    const { b } = this;
    b.if(b.ne(this.late!.get(), 0), () => this.toMemory());
  }

  private toMemory(): void {
    const { b } = this;
    const cpu = this.host.cpu();
    const late = (): Value => b.wrap(this.late!.get());
    b.store(cpu, Cpu.FSW, this.withTop(b.and(b.shl(late(), TOP_SHIFT - LATE_TOP), FSW_TOP)));
    // Tags are numbered from register 0 on: eight bits that go round.
    const turned = b.mul(b.and(b.shrU(late(), LATE_TURNED), 0xff), 0x101);
    const first = b.and(b.shrU(this.fsw!.get(), TOP_SHIFT), REGISTERS - 1);
    b.store(cpu, Cpu.FTW, b.xor(this.ftw!.get(), b.and(b.shrU(b.shl(turned, first), 8), 0xff)));
    b.store(cpu, Cpu.FIP, this.host.ripAtDistance(b.shrS(this.late!.get(), LATE_OFFSET)));
  }

  /** Before others use the registers. */
  drop(): void {
    this.settle();
    this.state = null;
  }

  // ---- loops

  /**
   * What is known at a loop's head, when it is entered.
   * @param keeps it leaves the stack as deep as it found it
   * @param uses it has instructions of the x87
   */
  enterLoop(keeps: boolean, uses: boolean): FloatsState {
    if (!keeps || !this.state) {
      this.drop();
      return NOTHING;
    }
    this.know({ isC1Clear: false });
    return { stack: this.state, isLate: this.isLate || uses };
  }

  /** Is all of this known here as well? */
  holds({ stack, isLate }: FloatsState): boolean {
    return (isLate || !this.isLate) && (!stack || this.knows(stack));
  }

  private knows(head: KnownStack): boolean {
    const { state } = this;
    if (!state || state.top !== head.top || state.turned !== head.turned) return false;
    const isIn = (wanted: number, known: number): boolean => (wanted & ~known) === 0;
    return isIn(head.placed, state.placed) && isIn(head.full, state.full) && isIn(head.empty, state.empty) && isIn(head.read, state.read) && isIn(head.plain, state.plain) &&
      (state.isShort || !head.isShort) && (state.isNoted || !head.isNoted);
  }

  /** Makes known what is to be at a loop's head, or leaves: from another round. */
  become({ stack, isLate }: FloatsState, exitIf: ExitIf): void {
    if (stack) this.learn(stack, exitIf);
    if (!isLate) this.settle();
  }

  private learn(head: KnownStack, exitIf: ExitIf): void {
    const { state, b } = this;
    if (this.knows(head)) return;
    if (!state || state.top !== head.top) return exitIf(b.i32(1), RegionCause.RARE);
    const precision = this.precision();
    if (head.isShort && precision !== 0) this.askShort(precision, exitIf);
    for (let n = 0; n < REGISTERS; n++) {
      if (head.placed & (1 << n)) this.place(n);
      if (head.full & (1 << n)) this.askFull(n, true, exitIf);
      if (head.empty & (1 << n)) this.askFull(n, false, exitIf);
      if (head.read & (1 << n)) this.fetch(n);
      if (head.plain & (1 << n)) this.askPlain(n, exitIf);
    }
    this.turn(head.turned);
    if (head.isNoted && !state.isNoted) b.store(this.host.cpu(), Cpu.FCS, b.load('i32', this.host.cpu(), Cpu.CS));
  }

  /** Has these tags turned, and no others. All of their registers are known. */
  private turn(turned: number): void {
    const { b } = this;
    const others = turned ^ this.known.turned;
    if (others === 0) return;
    this.settle();
    for (let n = 0; n < REGISTERS; n++) if (others & (1 << n)) this.ftw!.set(b.xor(this.ftw!.get(), this.bit(n)));
    this.know({ turned });
  }
}
