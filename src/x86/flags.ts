// Lazy arithmetic flags: the last operation's kind and operands are kept, and a condition is computed from them when asked.
// Intel SDM volume 1, section 3.4.3.1 "Status Flags"; conditions: volume 2, appendix B.1.4.7.
//
// Operands are kept shifted to the top of 64 bits (FlagKind in core/layout.ts), so that comparing needs no operand size.

import { FlagKind, Rflags } from '../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../wasm/function.ts';
import type { FunctionRef, ModuleBuilder, ValType } from '../wasm/module.ts';

/** Condition codes by their number in Jcc, SETcc and CMOVcc opcodes. */
export const CONDITIONS = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const;

/** Functions of the module being built that work on lazy flags: (kind, a, x) -> i32. */
export interface FlagFunctions {
  /** CF PF AF ZF SF OF at their places in RFLAGS. */
  arithmetic: FunctionRef;
  /** The even conditions (o b e be s p l le), 0 or 1. */
  conditions: FunctionRef[];
}

/** Where the lazy flags are kept: locals or memory. */
export interface FlagStorage {
  kind: Pick<Variable, 'get' | 'set'>;
  a: Pick<Variable, 'get' | 'set'>;
  x: Pick<Variable, 'get' | 'set'>;
}

/** What setting CF alone replaces in the kind, and what a rotate does. */
export const CARRY = FlagKind.CARRY_KEPT | FlagKind.CARRY_VALUE;
export const ROTATED = CARRY | FlagKind.OVERFLOW_KEPT | FlagKind.OVERFLOW_VALUE;

export class Flags {
  constructor(
    protected readonly b: FunctionBuilder,
    protected readonly storage: FlagStorage,
    /** null: none may be called here, and what needs one gives up. */
    protected readonly functions: FlagFunctions | null,
    private readonly giveUp: (() => void) | null,
  ) {}

  protected set(kind: FlagKind, size: number, a: Value, x: Value): void {
    this.storage.kind.set(this.b.i32(kind | (size << 8)));
    this.storage.a.set(a);
    this.storage.x.set(x);
  }

  protected top(value: Value, size: number): Value {
    return this.b.shl(value, 64 - size);
  }

  /** Flags of a - c; bits of the operands above size (in bits) are ignored. */
  sub(size: number, a: Value, c: Value): void {
    this.set(FlagKind.SUB, size, this.top(a, size), this.top(c, size));
  }

  /** Flags of r = a + something. */
  add(size: number, a: Value, r: Value): void {
    this.set(FlagKind.ADD, size, this.top(a, size), this.top(r, size));
  }

  /** Flags of a logical result: CF, OF and AF clear. */
  logic(size: number, r: Value): void {
    this.set(FlagKind.SUB, size, this.top(r, size), this.b.i64(0));
  }

  /** Flags of INC or DEC: all but CF, which stays. */
  step(size: number, a: Value, increment: boolean): void {
    const { b } = this;
    const carry = this.carryBit();
    this.storage.kind.set(
      b.or(b.shl(carry, 3), FlagKind.SUB | FlagKind.CARRY_KEPT | (increment ? FlagKind.AF_INVERTED : 0) | (size << 8)),
    );
    this.storage.a.set(this.top(a, size));
    this.storage.x.set(this.top(b.i64(increment ? -1 : 1), size));
  }

  /**
   * CF and OF of a rotate; the other flags stay.
   * @param carry i64, 0 or 1; used by overflow too
   */
  rotate(carry: Value, overflow: () => Value): void {
    const { b } = this;
    const others = b.and(this.storage.kind.get(), ~ROTATED);
    this.storage.kind.set(b.or(b.or(others, FlagKind.CARRY_KEPT | FlagKind.OVERFLOW_KEPT), b.wrap(b.or(b.shl(carry, 3), b.shl(overflow(), 7)))));
  }

  /** CF, an i64 that is 0 or 1; the other flags stay. */
  setCarry(carry: Value): void {
    const { b } = this;
    const others = b.and(this.storage.kind.get(), ~CARRY);
    this.storage.kind.set(b.or(b.or(others, FlagKind.CARRY_KEPT), b.wrap(b.shl(carry, 3))));
  }

  /** ZF, SF and PF of r; CF, AF and OF given as an i64 with the bits at their places, where they are needed. */
  result(size: number, r: Value, bits: () => Value): void {
    this.set(FlagKind.RESULT, size, bits(), this.top(r, size));
  }

  /** All six flags given as an i32 at their places. */
  explicit(bits: Value): void {
    this.storage.kind.set(this.b.i32(FlagKind.EXPLICIT));
    this.storage.x.set(this.b.extendU(bits));
  }

  private args(): Value[] {
    return [this.storage.kind.get(), this.storage.a.get(), this.storage.x.get()];
  }

  /** All six flags as an i32 at their places (bound to a local). */
  arithmetic(): Value {
    if (this.functions) return this.b.let(this.b.call(this.functions.arithmetic, this.args()));
    this.giveUp!();
    return this.b.i32(0);
  }

  /** CF as an i64, 0 or 1. */
  carry(): Value {
    return this.b.let(this.b.extendU(this.carryBit()));
  }

  /** CF as an i32, 0 or 1. A loop's INC or DEC finds it kept from the last round. */
  protected carryBit(): Value {
    const { b } = this;
    const out = b.variable('i32');
    b.if(
      b.and(this.storage.kind.get(), FlagKind.CARRY_KEPT),
      () => out.set(b.and(b.shrU(this.storage.kind.get(), 3), 1)),
      () => out.set(this.condition(2)),
    );
    return out.get();
  }

  /** A condition by its number, as an i32 that is 0 or 1. */
  condition(cc: number): Value {
    const { b } = this;
    const even = cc & ~1;
    const out = b.variable('i32');
    const kind = (): Value => this.storage.kind.get();
    const a = (): Value => this.storage.a.get();
    const x = (): Value => this.storage.x.get();
    const worked = (): void => {
      if (this.functions) out.set(b.call(this.functions.conditions[even >> 1], this.args()));
      else this.giveUp!();
    };
    // What a bit test or a rotate leaves is mostly asked for at once.
    const slow = even === 2 ? () => b.if(b.and(kind(), FlagKind.CARRY_KEPT), () => out.set(b.and(b.shrU(kind(), 3), 1)), worked) : worked;
    const isKind = (k: FlagKind): Value => b.eq(b.and(kind(), FlagKind.MASK), k);
    // After SUB.
    const fast: Record<number, () => Value> = {
      2: () => b.ltU(a(), x()),
      4: () => b.eq(a(), x()),
      6: () => b.leU(a(), x()),
      8: () => b.ltS(b.sub(a(), x()), 0),
      12: () => b.ltS(a(), x()),
      14: () => b.leS(a(), x()),
    };
    // After ADD and RESULT, where that is short.
    const carry = (): Value => b.select(isKind(FlagKind.ADD), b.ltU(x(), a()), b.and(b.wrap(a()), Rflags.CF));
    const other: Record<number, () => Value> = {
      2: carry,
      4: () => b.eqz(x()),
      6: () => b.or(carry(), b.eqz(x())),
      8: () => b.ltS(x(), 0),
    };
    if (fast[even]) {
      // SUB is by far the most frequent case. Conditions with CF must not take INC's or DEC's, nor a rotate's; those with OF neither.
      const kept = even === 2 || even === 6 ? FlagKind.CARRY_KEPT : even >= 12 ? FlagKind.OVERFLOW_KEPT : 0;
      const unusual = (): Value => b.or(b.or(isKind(FlagKind.EXPLICIT), isKind(FlagKind.SUB)), b.and(kind(), kept));
      b.if(
        b.eqz(b.and(kind(), FlagKind.MASK | kept)),
        () => out.set(fast[even]()),
        other[even] ? () => b.if(unusual(), slow, () => out.set(other[even]()), 'seldom') : slow,
        'mostly',
      );
    } else {
      slow();
    }
    return cc & 1 ? b.eqz(out.get()) : out.get();
  }
}

const SIGNATURE: ValType[] = ['i32', 'i64', 'i64'];

/** Declare and define the flag functions in a module. */
export function defineFlagFunctions(module: ModuleBuilder, make: (params: readonly ValType[]) => FunctionBuilder): FlagFunctions {
  const arithmetic = module.declare('flags_arithmetic', SIGNATURE, 'i32');
  {
    const b = make(SIGNATURE);
    const kind = b.param(0);
    const aligned = { a: b.variable('i64', b.param(1)), x: b.variable('i64', b.param(2)) };
    b.if(b.and(kind, FlagKind.RAW), () => {
      const unused = b.let(b.extendU(b.sub(64, b.shrU(kind, 8))));
      b.if(b.ne(b.and(kind, FlagKind.MASK), FlagKind.RESULT), () => aligned.a.set(b.shl(aligned.a.get(), unused)));
      b.if(b.ne(b.and(kind, FlagKind.MASK), FlagKind.EXPLICIT), () => aligned.x.set(b.shl(aligned.x.get(), unused)));
    });
    const a = aligned.a.get();
    const x = aligned.x.get();
    const shift = b.let(b.extendU(b.sub(64, b.shrU(kind, 8)) as Value));
    const r = b.variable('i64');
    const bits = b.variable('i32');
    const at = (condition: Value, flag: number): Value => b.mul(condition, flag);
    /** The flags that stand in the kind itself: bit 3 is CF, bit 7 OF; bit 4 inverts AF, which is bit 4 too. */
    const kept = (flags: Value): Value => {
      const all = b.let(b.xor(flags, b.and(kind, FlagKind.AF_INVERTED)));
      const carry = b.let(b.select(b.and(kind, FlagKind.CARRY_KEPT), b.or(b.and(all, ~Rflags.CF), b.and(b.shrU(kind, 3), 1)), all));
      return b.select(b.and(kind, FlagKind.OVERFLOW_KEPT), b.or(b.and(carry, ~Rflags.OF), b.shl(b.and(kind, FlagKind.OVERFLOW_VALUE), 4)), carry);
    };
    b.block((done) => {
      b.block((result) => {
        b.block((add) => {
          b.block((sub) => {
            b.block((explicit) => {
              b.brTable([sub, add, result, explicit], explicit, b.and(kind, 3));
            });
            b.return(kept(b.wrap(x)));
          });
          r.set(b.sub(a, x));
          bits.set(
            b.or(
              b.or(at(b.ltU(a, x), Rflags.CF), at(b.ltS(b.and(b.xor(a, x), b.xor(a, r.get())), 0), Rflags.OF)),
              b.wrap(b.and(b.shrU(b.xor(b.xor(a, x), r.get()), shift), Rflags.AF)),
            ),
          );
          b.br(done);
        });
        r.set(x);
        const c = b.let(b.sub(x, a));
        bits.set(
          b.or(
            b.or(at(b.ltU(x, a), Rflags.CF), at(b.ltS(b.and(b.xor(a, x), b.xor(c, x)), 0), Rflags.OF)),
            b.wrap(b.and(b.shrU(b.xor(b.xor(a, x), c), shift), Rflags.AF)),
          ),
        );
        b.br(done);
      });
      r.set(x);
      bits.set(b.wrap(a));
    });
    const parity = b.and(b.popcnt(b.and(b.wrap(b.shrU(r.get(), shift)), 0xff)), 1);
    b.result(
      kept(
        b.or(
          b.or(bits.get(), b.mul(b.xor(parity, 1), Rflags.PF)),
          b.or(at(b.eqz(r.get()), Rflags.ZF), at(b.ltS(r.get(), 0), Rflags.SF)),
        ),
      ),
    );
    module.define(arithmetic, b.localTypes, b.w.view());
  }
  const conditions = [0, 2, 4, 6, 8, 10, 12, 14].map((cc) => {
    const ref = module.declare(`flags_${CONDITIONS[cc]}`, SIGNATURE, 'i32');
    const b = make(SIGNATURE);
    // Zero is asked for most, and needs no other flag.
    if (cc === 4) {
      b.if(b.eqz(b.and(b.param(0), FlagKind.RAW)), () =>
        b.if(b.ne(b.and(b.param(0), 3), FlagKind.EXPLICIT), () => b.if(b.ne(b.and(b.param(0), 3), FlagKind.SUB), () => b.return(b.eqz(b.param(2))))),
      );
    }
    const all = b.let(b.call(arithmetic, [b.param(0), b.param(1), b.param(2)]));
    const test = (mask: number): Value => b.ne(b.and(all, mask), 0);
    const less = (): Value => b.xor(test(Rflags.SF), test(Rflags.OF));
    const value: Record<number, () => Value> = {
      0: () => test(Rflags.OF),
      2: () => test(Rflags.CF),
      4: () => test(Rflags.ZF),
      6: () => test(Rflags.CF | Rflags.ZF),
      8: () => test(Rflags.SF),
      10: () => test(Rflags.PF),
      12: less,
      14: () => b.or(test(Rflags.ZF), less()),
    };
    b.result(value[cc]());
    module.define(ref, b.localTypes, b.w.view());
    return ref;
  });
  return { arithmetic, conditions };
}
