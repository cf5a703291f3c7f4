// Lazy flags in compiled code. Where the last flag-setting operation is known when the code is made, a condition is one comparison of
// its operands; nothing is shifted, stored or worked out before somebody asks.

import { Cpu, FlagKind, Rflags } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import { CARRY, Flags, ROTATED, type FlagFunctions } from '../../x86/flags.ts';
import type { FunctionRef } from '../../wasm/module.ts';

/**
 * What is known of the flags at a point: in memory as they were; in locals, kind included; or from an operation known now, as a number.
 * Its low 16 bits are the FLAG_KIND. Where that keeps CF or OF of something before, the rest says where they are (Under).
 */
export type FlagsState = 'memory' | 'dynamic' | number;

/** Where kept flags are, in bits 16 and up of a known state; above these the kind of the operation before, whose operands are the second locals. */
const enum Under {
  NONE = 0,
  /** In memory, as they were when the region was entered. */
  MEMORY = 1,
  /** In the second locals, kind included. */
  LOCALS = 2,
  /** CARRY_VALUE and, where it is kept, OVERFLOW_VALUE, in the local of the kind; all else there is 0. */
  BITS = 3,
}

/** What an instruction does to the flags, whatever they were: sets them all, or CF stays (the kind of INC or DEC), or all but CF and OF do, or all but CF. */
export type FlagsChange = FlagsState | { readonly step: number } | 'rotate' | 'carry';

/** A change that leaves some flags as they were. */
export const isPartial = (change: FlagsChange): change is Exclude<FlagsChange, FlagsState> => typeof change === 'object' || change === 'rotate' || change === 'carry';

const kindOf = (state: number): number => state & 0xffff;
const underOf = (state: number): number => state >>> 16;
const withUnder = (kind: number, under: number): number => kind + under * 0x1_0000;

/** What two ways to a point know together. */
export function joinFlags(a: FlagsState, b: FlagsState): FlagsState {
  return a === b ? a : 'dynamic';
}

/** The state behind an instruction. */
export function changeFlags(state: FlagsState, change: FlagsChange): FlagsState {
  if (typeof change === 'object') {
    if (state === 'memory') return withUnder(change.step, Under.MEMORY);
    if (state === 'dynamic') return withUnder(change.step, Under.LOCALS);
    return withUnder(change.step, underOf(state) || kindOf(state));
  }
  if (change === 'carry') return typeof state === 'number' ? withUnder((kindOf(state) & ~CARRY) | FlagKind.CARRY_KEPT, Under.BITS) : 'dynamic';
  if (change === 'rotate') return typeof state === 'number' ? withUnder((kindOf(state) & ~ROTATED) | FlagKind.CARRY_KEPT | FlagKind.OVERFLOW_KEPT, Under.BITS) : 'dynamic';
  return change;
}

/** How an exit finds what it must write to memory. */
export type FlagsForm = 'memory' | 'static' | 'dynamic' | 'bits' | 'under-memory' | 'under-locals';

interface Locals {
  readonly kind: Variable;
  readonly a: Variable;
  readonly x: Variable;
}

export class CompiledFlags extends Flags {
  private current: FlagsState = 'memory';
  /** Of the operands in the locals, as long as the state is that of the operation which set them: bits of the first; the second, if it is known. */
  private width = 64;
  private second: bigint | null = null;
  /** In the dynamic state: CF stands in the kind. */
  private isCarryThere = false;
  /** Whether anything after the current instruction can see the flags it leaves. */
  needed = true;
  /** Told what a meaning does, when it is being looked at. */
  watcher: { flagsRead(): void; flagsSet(kind: FlagsState): void; /** Some are set, the others stay. */ flagsPart(change: FlagsChange): void } | null = null;

  constructor(
    b: FunctionBuilder,
    private readonly locals: Locals,
    /** Of the operation before one that keeps CF. */
    private readonly before: Locals,
    private readonly calls: FlagFunctions,
    /** (cpu, kind, a, x): to memory, as the interpreter wants them. */
    private readonly store: FunctionRef,
    private readonly cpu: number,
    /** Inside an if of the meaning. */
    private readonly isConditional: () => boolean,
  ) {
    super(b, locals, calls, null);
  }

  get state(): FlagsState {
    return this.current;
  }
  set state(state: FlagsState) {
    this.current = state;
    this.width = 64;
    this.second = null;
    this.isCarryThere = false;
  }

  /** CompileBuilder.localNames */
  nameLocals(names: Map<number, string>): void {
    for (const [prefix, { kind, a, x }] of [['flags', this.locals], ['before', this.before]] as const) {
      names.set(kind.index, `${prefix}.kind`).set(a.index, `${prefix}.a`).set(x.index, `${prefix}.x`);
    }
  }

  private define(kind: FlagKind, size: number, a: Value | (() => Value) | null, x: Value): void {
    const number = kind | FlagKind.RAW | (size << 8);
    this.watcher?.flagsSet(number);
    if (!this.needed) return;
    if (this.isConditional()) {
      if (this.state !== 'dynamic') throw new Error('flags are set in a branch, and were not made dynamic before');
      this.locals.kind.set(this.b.i32(number));
      this.isCarryThere = false;
    } else {
      this.state = number;
    }
    // The values may be of each other's locals.
    const first = typeof a === 'function' ? a() : a;
    const later = this.b.let(x);
    if (first) this.locals.a.set(first);
    this.locals.x.set(later);
    // Of a known operation: set in a branch, they may be another's.
    if (this.state !== number) return;
    this.width = first?.width ?? 64;
    this.second = later.constant;
  }

  override sub(size: number, a: Value, c: Value): void {
    this.define(FlagKind.SUB, size, a, c);
  }
  override add(size: number, a: Value, r: Value): void {
    this.define(FlagKind.ADD, size, a, r);
  }
  override logic(size: number, r: Value): void {
    this.define(FlagKind.SUB, size, r, this.b.i64(0));
  }
  override result(size: number, r: Value, bits: () => Value): void {
    this.define(FlagKind.RESULT, size, bits, r);
  }
  override explicit(bits: Value): void {
    this.define(FlagKind.EXPLICIT, 64, null, this.b.extendU(bits));
  }

  override step(size: number, a: Value, increment: boolean): void {
    const { b, locals, before, state } = this;
    const kind = FlagKind.SUB | FlagKind.CARRY_KEPT | FlagKind.RAW | (increment ? FlagKind.AF_INVERTED : 0) | (size << 8);
    this.watcher?.flagsPart({ step: kind });
    if (!this.needed) return;
    if (this.isConditional()) throw new Error('INC or DEC in a branch of a meaning');
    const under = typeof state === 'number' ? underOf(state) : Under.NONE;
    if (under === Under.BITS) {
      // A rotate's: its OF is over.
      locals.kind.set(b.and(locals.kind.get(), FlagKind.CARRY_VALUE));
    } else if (under === Under.NONE && state !== 'memory') {
      before.kind.set(typeof state === 'number' ? b.i32(kindOf(state)) : locals.kind.get());
      before.a.set(locals.a.get());
      before.x.set(locals.x.get());
    }
    this.state = changeFlags(state, { step: kind });
    locals.a.set(a);
    locals.x.set(b.i64(increment ? -1 : 1));
  }

  override rotate(carry: Value, overflow: () => Value): void {
    const { b } = this;
    this.setPart('rotate', ROTATED, FlagKind.CARRY_KEPT | FlagKind.OVERFLOW_KEPT, () => b.wrap(b.or(b.shl(carry, 3), b.shl(overflow(), 7))));
  }

  override setCarry(carry: Value): void {
    this.setPart('carry', CARRY, FlagKind.CARRY_KEPT, () => this.b.wrap(this.b.shl(carry, 3)));
  }

  /**
   * Some flags are new and stand in the kind, the others stay.
   * @param replaced bits of the kind that are others now
   * @param kept those of them that say which flags stand there
   * @param set these flags at their places in the kind
   */
  private setPart(change: 'rotate' | 'carry', replaced: number, kept: number, set: () => Value): void {
    const { b, locals, state } = this;
    this.watcher?.flagsPart(change);
    if (!this.needed) return;
    // In a branch the state is dynamic already.
    if (typeof state === 'number') {
      const isOverflowThere = underOf(state) === Under.BITS && (state & FlagKind.OVERFLOW_KEPT & ~replaced) !== 0;
      locals.kind.set(isOverflowThere ? b.or(b.and(locals.kind.get(), FlagKind.OVERFLOW_VALUE), set()) : set());
    } else {
      const [now, a, x] = this.values();
      if (state === 'memory') {
        locals.a.set(a);
        locals.x.set(x);
      }
      locals.kind.set(b.or(b.or(b.and(now, ~replaced), kept), set()));
    }
    this.state = changeFlags(state, change);
    this.isCarryThere = this.state === 'dynamic' && !this.isConditional();
  }

  private stored(): Value[] {
    const { b } = this;
    return [b.load('i32', b.i32(this.cpu), Cpu.FLAG_KIND), b.load('i64', b.i32(this.cpu), Cpu.FLAG_A), b.load('i64', b.i32(this.cpu), Cpu.FLAG_X)];
  }

  /** The kept flags of a known state, at their places in the kind; others are 0. */
  private kept(state: number): Value {
    const { b, locals } = this;
    switch (underOf(state)) {
      case Under.NONE:
        return b.i32(0);
      case Under.BITS:
        return locals.kind.get();
      default:
        return b.shl(this.carryUnder(state), 3);
    }
  }

  /** CF of what lies under a known state that keeps it. */
  private carryUnder(state: number): Value {
    const { b, before } = this;
    const under = underOf(state);
    switch (under) {
      case Under.BITS:
        return b.and(b.shrU(this.locals.kind.get(), 3), 1);
      case Under.MEMORY:
        return b.let(b.call(this.calls.conditions[1], this.stored()));
      case Under.LOCALS:
        return this.dynamicCarry(before);
      default:
        return this.known(under, 2, before) ?? b.let(b.call(this.calls.conditions[1], [b.i32(under), before.a.get(), before.x.get()]));
    }
  }

  /**
   * CF of flags whose kind is not known. A loop's INC or DEC finds it kept from the last round, or it is that of a comparison before a
   * join; nothing is called, since V8 keeps no local in a register over a call.
   */
  private dynamicCarry({ kind, a, x }: Locals): Value {
    const { b } = this;
    const out = b.variable('i32', b.and(b.shrU(kind.get(), 3), 1));
    b.if(b.eqz(b.and(kind.get(), FlagKind.CARRY_KEPT)), () => {
      const which = b.let(b.and(kind.get(), FlagKind.MASK));
      const unused = b.let(b.extendU(b.select(b.and(kind.get(), FlagKind.RAW), b.sub(64, b.shrU(kind.get(), 8)), b.i32(0))));
      const isAdd = (): Value => b.eq(which, FlagKind.ADD);
      // a < x after SUB, x < a after ADD; else CF stands in the bits of one of them.
      const less = b.ltU(b.shl(b.select(isAdd(), x.get(), a.get()), unused), b.shl(b.select(isAdd(), a.get(), x.get()), unused));
      const bit = b.and(b.wrap(b.select(b.eq(which, FlagKind.RESULT), a.get(), x.get())), Rflags.CF);
      out.set(b.select(b.leU(which, FlagKind.ADD), less, bit));
    });
    return out.get();
  }

  private values(): Value[] {
    const { b, state, locals } = this;
    if (state === 'memory') return this.stored();
    const kind = state === 'dynamic' ? locals.kind.get() : b.or(this.kept(state), kindOf(state));
    return [kind, locals.a.get(), locals.x.get()];
  }

  override arithmetic(): Value {
    this.watcher?.flagsRead();
    return this.b.let(this.b.call(this.calls.arithmetic, this.values()));
  }

  override carry(): Value {
    return this.b.let(this.b.extendU(this.carryBit()));
  }

  protected override carryBit(): Value {
    if (this.state !== 'dynamic' || this.isCarryThere) return this.condition(2);
    this.watcher?.flagsRead();
    return this.dynamicCarry(this.locals);
  }

  override condition(cc: number): Value {
    const { b } = this;
    this.watcher?.flagsRead();
    const even = cc & ~1;
    const kept = (): Value | null => (this.isCarryThere && even === 2 ? b.and(b.shrU(this.locals.kind.get(), 3), 1) : null);
    const known = typeof this.state === 'number' ? this.known(this.state, even, this.locals) : kept();
    const holds = b.let(known ?? b.call(this.calls.conditions[even >> 1], this.values()));
    return cc & 1 ? b.eqz(holds) : holds;
  }

  /** A condition after an operation that is known now, where that is short. */
  private known(state: number, even: number, locals: Locals): Value | null {
    const { b } = this;
    const size = kindOf(state) >> 8;
    const isLast = locals === this.locals;
    const a = (): Value => locals.a.get(isLast ? this.width : 64);
    const x = (): Value => (isLast && this.second !== null ? b.i64(this.second) : locals.x.get());
    if (state & FlagKind.CARRY_KEPT) {
      if (even === 2) return this.carryUnder(state);
      if (even === 6) {
        const zero = this.known(state, 4, locals);
        return zero && b.or(this.carryUnder(state), b.let(zero));
      }
    }
    if (state & FlagKind.OVERFLOW_KEPT && (even === 0 || even >= 12)) return null;
    /** Without what may stand above the operand's size; unsigned. */
    const low = (v: Value): Value => (size === 32 ? b.wrap(v) : size === 64 ? v : b.and(b.wrap(v), (1 << size) - 1));
    const signed = (v: Value): Value => (size >= 32 ? low(v) : b.signExtend(b.wrap(v), size));
    switch (state & FlagKind.MASK) {
      case FlagKind.SUB:
        switch (even) {
          case 2:
            return b.ltU(low(a()), low(x()));
          case 4: {
            const second = low(x());
            return second.is(0) ? b.eqz(low(a())) : b.eq(low(a()), second);
          }
          case 6:
            return b.leU(low(a()), low(x()));
          case 8:
            return b.ltS(signed(b.sub(a(), x())), 0);
          case 12:
            return b.ltS(signed(a()), signed(x()));
          case 14:
            return b.leS(signed(a()), signed(x()));
        }
        return null;
      case FlagKind.ADD:
        switch (even) {
          case 2:
            return b.ltU(low(x()), low(a()));
          case 4:
            return b.eqz(low(x()));
          case 6:
            return b.or(b.ltU(low(x()), low(a())), b.eqz(low(x())));
          case 8:
            return b.ltS(signed(x()), 0);
        }
        return null;
      case FlagKind.RESULT:
        switch (even) {
          case 2:
            return b.and(b.wrap(a()), Rflags.CF);
          case 4:
            return b.eqz(low(x()));
          case 6:
            return b.or(b.and(b.wrap(a()), Rflags.CF), b.eqz(low(x())));
          case 8:
            return b.ltS(signed(x()), 0);
        }
        return null;
      default: {
        const bit = (n: number): Value => b.and(b.shrU(b.wrap(x()), n), 1);
        switch (even) {
          case 0:
            return bit(11);
          case 2:
            return bit(0);
          case 4:
            return bit(6);
          case 6:
            return b.or(bit(0), bit(6));
          case 8:
            return bit(7);
          case 10:
            return bit(2);
          case 12:
            return b.xor(bit(7), bit(11));
          default:
            return b.or(bit(6), b.xor(bit(7), bit(11)));
        }
      }
    }
  }

  /** Go over to what the code behind a join expects. */
  become(state: FlagsState): void {
    if (state === this.state || state !== 'dynamic') return;
    const [kind, a, x] = this.values();
    this.locals.kind.set(kind);
    if (this.state === 'memory') {
      this.locals.a.set(a);
      this.locals.x.set(x);
    }
    this.state = 'dynamic';
  }

  /** To memory, where whoever runs next finds them. */
  spill(): void {
    const { b, state } = this;
    if (state === 'memory') return;
    const cpu = b.i32(this.cpu);
    if (typeof state !== 'number' || underOf(state) !== Under.NONE) b.callVoid(this.store, [cpu, ...this.values()]);
    else {
      const kind = state & FlagKind.MASK;
      const unused = 64 - (state >> 8);
      b.store(cpu, Cpu.FLAG_KIND, b.i32(state & ~FlagKind.RAW));
      if (kind !== FlagKind.EXPLICIT) b.store(cpu, Cpu.FLAG_A, kind === FlagKind.RESULT ? this.locals.a.get() : b.shl(this.locals.a.get(), unused));
      b.store(cpu, Cpu.FLAG_X, kind === FlagKind.EXPLICIT ? this.locals.x.get() : b.shl(this.locals.x.get(), unused));
    }
    this.state = 'memory';
  }

  /** What an exit at this point has to do. */
  get form(): FlagsForm {
    const { state } = this;
    if (typeof state !== 'number') return state;
    switch (underOf(state)) {
      case Under.NONE:
        return 'static';
      case Under.BITS:
        return 'bits';
      case Under.MEMORY:
        return 'under-memory';
      default:
        return 'under-locals';
    }
  }

  /**
   * The code of an exit: flags to memory, unshifted.
   * @param kind of a known operation (i32)
   */
  leave(form: FlagsForm, kind: () => Value): void {
    const { b, locals, before } = this;
    if (form === 'memory') return;
    const carry = (values: Value[]): Value => b.or(kind(), b.shl(b.call(this.calls.conditions[1], values), 3));
    const all: Record<Exclude<FlagsForm, 'memory'>, () => Value> = {
      dynamic: () => locals.kind.get(),
      static: kind,
      bits: () => b.or(kind(), locals.kind.get()),
      'under-memory': () => carry(this.stored()),
      'under-locals': () => carry([before.kind.get(), before.a.get(), before.x.get()]),
    };
    b.store(b.i32(this.cpu), Cpu.FLAG_KIND, all[form]());
    b.store(b.i32(this.cpu), Cpu.FLAG_A, locals.a.get());
    b.store(b.i32(this.cpu), Cpu.FLAG_X, locals.x.get());
  }
}
