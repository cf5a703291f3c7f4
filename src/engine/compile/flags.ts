// Lazy flags in compiled code. Where the last flag-setting operation is known when the code is made, a condition is one comparison of
// its operands; nothing is shifted, stored or worked out before somebody asks.

import { Cpu, FlagKind, Rflags } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import { Flags, ROTATED, type FlagFunctions } from '../../x86/flags.ts';
import type { FunctionRef } from '../../wasm/module.ts';

/** What is known of the flags at a point: in memory as they were, from an operation known now (its FLAG_KIND), or in locals, kind included. */
export type FlagsState = 'memory' | 'dynamic' | number;

/** What two ways to a point know together. */
export function joinFlags(a: FlagsState, b: FlagsState): FlagsState {
  return a === b ? a : 'dynamic';
}

export class CompiledFlags extends Flags {
  state: FlagsState = 'memory';
  /** Whether anything after the current instruction can see the flags it leaves. */
  needed = true;
  /** Told what a meaning does, when it is being looked at. */
  watcher: { flagsRead(): void; flagsSet(kind: FlagsState): void; /** Some are set, the others stay. */ flagsPart(): void } | null = null;

  constructor(
    b: FunctionBuilder,
    private readonly locals: { kind: Variable; a: Variable; x: Variable },
    private readonly calls: FlagFunctions,
    /** (cpu, kind, a, x): to memory, as the interpreter wants them. */
    private readonly store: FunctionRef,
    private readonly cpu: number,
    /** Inside an if of the meaning. */
    private readonly isConditional: () => boolean,
  ) {
    super(b, locals, calls, null);
  }

  private define(kind: FlagKind, size: number, a: Value | null, x: Value): void {
    const number = kind | FlagKind.RAW | (size << 8);
    this.watcher?.flagsSet(number);
    if (!this.needed) return;
    if (this.isConditional()) {
      if (this.state !== 'dynamic') throw new Error('flags are set in a branch, and were not made dynamic before');
      this.locals.kind.set(this.b.i32(number));
    } else {
      this.state = number;
    }
    // The values may be of each other's locals.
    const later = this.b.let(x);
    if (a) this.locals.a.set(a);
    this.locals.x.set(later);
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
  override result(size: number, r: Value, bits: Value): void {
    this.define(FlagKind.RESULT, size, bits, r);
  }
  override explicit(bits: Value): void {
    this.define(FlagKind.EXPLICIT, 64, null, this.b.extendU(bits));
  }

  override step(size: number, a: Value, increment: boolean): void {
    const { b } = this;
    this.watcher?.flagsPart();
    if (!this.needed) return;
    const kind = FlagKind.SUB | FlagKind.CARRY_KEPT | FlagKind.RAW | (increment ? FlagKind.AF_INVERTED : 0) | (size << 8);
    const carry = b.let(this.carryBit());
    this.locals.kind.set(b.or(b.shl(carry, 3), kind));
    this.state = 'dynamic';
    this.locals.a.set(a);
    this.locals.x.set(b.i64(increment ? -1 : 1));
  }

  override rotate(carry: Value, overflow: () => Value): void {
    const { b } = this;
    this.watcher?.flagsPart();
    if (!this.needed) return;
    // In a branch the state is dynamic already.
    const kind = this.state === 'memory' || this.state === 'dynamic' ? null : this.state & ~ROTATED;
    const [now, a, x] = this.values();
    const others = kind === null ? b.and(now, ~ROTATED) : b.i32(kind);
    if (this.state === 'memory') {
      this.locals.a.set(a);
      this.locals.x.set(x);
    }
    this.locals.kind.set(b.or(b.or(others, FlagKind.CARRY_KEPT | FlagKind.OVERFLOW_KEPT), b.wrap(b.or(b.shl(carry, 3), b.shl(overflow(), 7)))));
    this.state = 'dynamic';
  }

  private values(): Value[] {
    const { b } = this;
    if (this.state === 'memory') {
      return [b.load('i32', b.i32(this.cpu), Cpu.FLAG_KIND), b.load('i64', b.i32(this.cpu), Cpu.FLAG_A), b.load('i64', b.i32(this.cpu), Cpu.FLAG_X)];
    }
    const kind = this.state === 'dynamic' ? this.locals.kind.get() : b.i32(this.state);
    return [kind, this.locals.a.get(), this.locals.x.get()];
  }

  override arithmetic(): Value {
    this.watcher?.flagsRead();
    return this.b.let(this.b.call(this.calls.arithmetic, this.values()));
  }

  override carry(): Value {
    return this.b.let(this.b.extendU(this.carryBit()));
  }

  protected override carryBit(): Value {
    return this.condition(2);
  }

  override condition(cc: number): Value {
    const { b } = this;
    this.watcher?.flagsRead();
    const even = cc & ~1;
    const known = typeof this.state === 'number' ? this.known(this.state, even) : null;
    const holds = b.let(known ?? b.call(this.calls.conditions[even >> 1], this.values()));
    return cc & 1 ? b.eqz(holds) : holds;
  }

  /** A condition after an operation that is known now, where that is short. */
  private known(state: number, even: number): Value | null {
    const { b } = this;
    const size = state >> 8;
    const a = (): Value => this.locals.a.get();
    const x = (): Value => this.locals.x.get();
    /** Without what may stand above the operand's size; unsigned. */
    const low = (v: Value): Value => (size === 32 ? b.wrap(v) : size === 64 ? v : b.and(b.wrap(v), (1 << size) - 1));
    const signed = (v: Value): Value => (size >= 32 ? low(v) : b.signExtend(b.wrap(v), size));
    switch (state & FlagKind.MASK) {
      case FlagKind.SUB:
        if (state & FlagKind.CARRY_KEPT) return null;
        switch (even) {
          case 2:
            return b.ltU(low(a()), low(x()));
          case 4:
            return b.eq(low(a()), low(x()));
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
    const { b } = this;
    if (this.state === 'memory') {
      const [kind, a, x] = this.values();
      this.locals.kind.set(kind);
      this.locals.a.set(a);
      this.locals.x.set(x);
    } else {
      this.locals.kind.set(b.i32(this.state as number));
    }
    this.state = 'dynamic';
  }

  /** To memory, where whoever runs next finds them. */
  spill(): void {
    const { b } = this;
    if (this.state === 'memory') return;
    const cpu = b.i32(this.cpu);
    if (this.state === 'dynamic') b.callVoid(this.store, [cpu, ...this.values()]);
    else {
      const kind = this.state & FlagKind.MASK;
      const unused = 64 - (this.state >> 8);
      b.store(cpu, Cpu.FLAG_KIND, b.i32(this.state & ~FlagKind.RAW));
      if (kind !== FlagKind.EXPLICIT) b.store(cpu, Cpu.FLAG_A, kind === FlagKind.RESULT ? this.locals.a.get() : b.shl(this.locals.a.get(), unused));
      b.store(cpu, Cpu.FLAG_X, kind === FlagKind.EXPLICIT ? this.locals.x.get() : b.shl(this.locals.x.get(), unused));
    }
    this.state = 'memory';
  }
}
