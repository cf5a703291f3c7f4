// Expressions of a function that is being built, and its locals.

import { typeCode, type ValType, type Writer } from './module.ts';

/** What a node is made of. */
const enum Node {
  /** `number` is the value. */
  I32,
  /** `number` is the value; NaN: `big` is. */
  I64,
  /** `code` is the local's index. */
  LOCAL,
  /** An i64 without bits above the low 32, from a local of 32; `code` is its index. */
  WIDENED,
  /** Operands, then the opcode. */
  OPERATOR,
  /** Address, then opcode, alignment 0 and `number` as offset. */
  LOAD,
  /** Two values and a condition. */
  SELECT,
  /** Whatever `write` writes. */
  OTHER,
}

/** base + index * scale + offset; the two are locals. */
export interface Linear {
  readonly base: Value | null;
  readonly index: Value | null;
  /** 1, 2, 4 or 8; 0 without an index. */
  readonly scale: number;
  readonly offset: number;
}

/** -0 is no small integer for V8, and larger offsets are none: it knows from the first sum on, and need not optimise anew. */
const NOTHING: Linear = { base: null, index: null, scale: 0, offset: -0 };

/** null: more than one local beside a scaled one, or two. */
function sumOf(x: Linear, y: Linear): Linear | null {
  const offset = x.offset + y.offset;
  if (x.index && y.index) return null;
  const [one, other] = x.index ? [x, y] : [y, x];
  if (!one.base || !other.base) return { base: one.base ?? other.base, index: one.index, scale: one.scale, offset };
  return one.index ? null : { base: other.base, index: one.base, scale: 1, offset };
}

/** A typed expression. */
export class Value {
  /** The node was emitted: a compound node emitted twice computes twice, which is refused. */
  used = false;

  /** Made by the functions below alone. All nodes have one shape: many are made, and made quickly. */
  constructor(
    readonly type: ValType,
    private readonly node: Node,
    private readonly code: number,
    private readonly number: number,
    private readonly a: Value | null,
    private readonly b: Value | null,
    private readonly c: Value | null,
    private readonly write: ((w: Writer) => void) | null,
    private big: bigint | null,
    /** Of an integer: no bit above so many is set. */
    readonly width = 64,
  ) {}

  /** Can be emitted more than once: a local. */
  get isLocal(): boolean {
    return this.node === Node.LOCAL || this.node === Node.WIDENED;
  }
  /** Index of the local that this reads. */
  get local(): number | null {
    return this.isLocal ? this.code : null;
  }
  get isConstant(): boolean {
    return this.node <= Node.I64;
  }
  /** The value, if known now. */
  get constant(): bigint | null {
    if (this.node > Node.I64) return null;
    return (this.big ??= BigInt(this.number));
  }
  /** A constant as a number. @throws if it is none, or too large */
  get exact(): number {
    if (this.node > Node.I64 || Number.isNaN(this.number)) throw new Error('not a constant that a number holds');
    return this.number;
  }
  /** Is it known to be this number? */
  is(number: number): boolean {
    return this.node <= Node.I64 && this.number === number;
  }

  /** The opposite of a comparison of integers that was not emitted yet; null for other nodes. */
  opposite(): Value | null {
    const code = this.node === Node.OPERATOR ? OPPOSITE.get(this.code) : undefined;
    return code === undefined ? null : operatorValue('i32', code, this.a!, this.b, 1);
  }

  /** The same local, of which more is known. */
  narrowed(width: number): Value {
    return width < this.width ? new Value(this.type, this.node, this.code, 0, null, null, null, null, null, width) : this;
  }

  /**
   * The low 32 bits as an i32, where they come without a conversion: then the node is not to be emitted but this. Null: they do not.
   * What 64-bit operations on values of 32 bits need beside them is masks, and V8 has no way to see that.
   */
  low(): Value | null {
    switch (this.node) {
      case Node.I32:
        return this;
      case Node.I64:
        return i32Value(Number.isNaN(this.number) ? Number(BigInt.asIntN(32, this.big!)) : this.number | 0);
      case Node.WIDENED:
        return localValue('i32', this.code, this.width);
      case Node.LOAD: {
        const code = this.type === 'i64' ? LOW_LOADS.get(this.code) : undefined;
        return code === undefined ? null : loadValue('i32', code, this.a!, this.number, this.width);
      }
      case Node.SELECT: {
        const a = this.type === 'i64' ? this.a!.low() : null;
        const b = a && this.b!.low();
        return b && selectValue('i32', a, b, this.c!, this.width);
      }
      case Node.OPERATOR:
        return this.type === 'i64' ? this.lowOperator() : null;
      default:
        return null;
    }
  }

  /**
   * The low 32 bits as an i32, with conversions of locals if there must be some: V8 makes none where the local was written as an extended i32.
   * Null: by no operation on i32.
   */
  halved(): Value | null {
    const low = this.low();
    if (low || this.type !== 'i64') return low;
    if (this.isLocal) return operatorValue('i32', Op.WRAP, this, null, Math.min(32, this.width));
    if (this.node !== Node.OPERATOR) return null;
    switch (this.code) {
      case Op.EXTEND32_S:
        return this.a!.halved();
      case Op.SHL:
        return this.lowShift(this.a!.halved());
      case Op.ADD:
      case Op.SUB:
      case Op.MUL:
      case Op.AND:
      case Op.OR:
      case Op.XOR: {
        const x = this.a!.halved();
        const y = x && this.b!.halved();
        return y && operatorValue('i32', this.code - TO_I32, x, y, Math.min(32, this.width));
      }
      default:
        return null;
    }
  }

  /** What is known of an integer as a sum of locals and a constant, modulo 2^32 where it has 32 bits; null: nothing. */
  linear(): Linear | null {
    switch (this.node) {
      case Node.I32:
      case Node.I64:
        if (this.number === 0) return NOTHING;
        return Number.isNaN(this.number) ? null : { base: null, index: null, scale: 0, offset: this.number };
      case Node.LOCAL:
      case Node.WIDENED:
        return { base: this, index: null, scale: 0, offset: 0 };
      case Node.OPERATOR:
        break;
      default:
        return null;
    }
    const { code, a, b } = this;
    switch (code) {
      case Op.EXTEND_I32_U:
        return a!.linear();
      case Op.ADD:
      case Op.ADD - TO_I32: {
        const x = a!.linear();
        const y = x && b!.linear();
        return y && sumOf(x!, y);
      }
      case Op.SUB:
      case Op.SUB - TO_I32: {
        if (!b!.isConstant || Number.isNaN(b!.number)) return null;
        const x = a!.linear();
        return x && { base: x.base, index: x.index, scale: x.scale, offset: x.offset - b!.number };
      }
      case Op.SHL:
      case Op.SHL - TO_I32:
        return a!.isLocal && b!.isConstant && b!.exact <= 3 ? { base: null, index: a, scale: 1 << b!.exact, offset: 0 } : null;
      default:
        return null;
    }
  }

  private lowOperator(): Value | null {
    const { code, a, b } = this;
    switch (code) {
      case Op.EXTEND_I32_U:
      case Op.EXTEND_I32_S:
        return a;
      case Op.EXTEND32_S:
        return a!.low();
      case Op.EXTEND8_S:
      case Op.EXTEND16_S: {
        const low = a!.low();
        return low && operatorValue('i32', code - Op.EXTEND8_S + Op.I32_EXTEND8_S, low, null);
      }
      case Op.SHL:
        return this.lowShift(a!.low());
      case Op.SHR_U:
        return a!.width <= 32 ? this.lowShift(a!.low()) : null;
      case Op.SHR_S:
        return a!.node === Node.OPERATOR && SIGN_EXTENSIONS.has(a!.code) ? this.lowShift(a!.low()) : null;
      case Op.ADD:
      case Op.SUB:
      case Op.MUL:
      case Op.AND:
      case Op.OR:
      case Op.XOR: {
        const x = a!.low();
        // A mask of 32 bits or more is a conversion already.
        if (code === Op.AND && b!.isConstant && b!.low()!.is(-1)) return x ?? operatorValue('i32', Op.WRAP, a!, null);
        const y = x && b!.low();
        if (!y) return null;
        return operatorValue('i32', code - TO_I32, x, y, this.width);
      }
      default:
        return null;
    }
  }

  /** A shift of the low half, by a count that is not more than 31 for certain, or known. */
  private lowShift(low: Value | null): Value | null {
    const { code } = this;
    const count = this.b!;
    if (!low) return null;
    if (count.isConstant) {
      const by = count.exact & 63;
      if (by > 31 && code !== Op.SHR_S) return i32Value(0);
      return operatorValue('i32', code - TO_I32, low, i32Value(Math.min(by, 31)), this.width);
    }
    const by = count.width <= 5 ? count.low() : null;
    return by && operatorValue('i32', code - TO_I32, low, by, this.width);
  }

  emit(w: Writer): void {
    switch (this.node) {
      case Node.LOCAL:
        w.byte(0x20);
        w.u32(this.code);
        return;
      case Node.WIDENED:
        w.byte(0x20);
        w.u32(this.code);
        w.byte(Op.EXTEND_I32_U);
        return;
      case Node.I32:
        w.byte(0x41);
        w.s32(this.number);
        return;
      case Node.I64:
        w.byte(0x42);
        if ((this.number | 0) === this.number) w.s32(this.number);
        else if (this.big === null) w.safe(this.number);
        else w.s64(this.big);
        return;
    }
    if (this.used) throw new Error('a computed value is used twice: bind it with let() first');
    this.used = true;
    switch (this.node) {
      case Node.OPERATOR:
        this.a!.emit(w);
        this.b?.emit(w);
        w.byte(this.code);
        return;
      case Node.LOAD:
        this.a!.emit(w);
        w.byte(this.code);
        w.byte(0); // alignment is only a hint; guest addresses have none
        w.u32(this.number);
        return;
      case Node.SELECT:
        this.a!.emit(w);
        this.b!.emit(w);
        this.c!.emit(w);
        w.bytes(this.type === 'v128' ? [0x1c, 0x01, typeCode(this.type)] : [0x1b]);
        return;
      default:
        this.write!(w);
    }
  }
}

/** Opcodes that low() knows; those of i64 where nothing else is said. */
const enum Op {
  ADD = 0x7c,
  SUB = 0x7d,
  MUL = 0x7e,
  AND = 0x83,
  OR = 0x84,
  XOR = 0x85,
  SHL = 0x86,
  SHR_S = 0x87,
  SHR_U = 0x88,
  WRAP = 0xa7,
  EXTEND_I32_S = 0xac,
  EXTEND_I32_U = 0xad,
  I32_EXTEND8_S = 0xc0,
  EXTEND8_S = 0xc2,
  EXTEND16_S = 0xc3,
  EXTEND32_S = 0xc4,
}

const SIGN_EXTENSIONS = new Set<number>([Op.EXTEND_I32_S, Op.EXTEND8_S, Op.EXTEND16_S, Op.EXTEND32_S]);

/** Between the opcodes of an arithmetic operation of i64 and of i32. */
const TO_I32 = 0x7c - 0x6a;

/** Loads of an i64 and those of its low half: 8, 16 and 32 bits, signed and not, and 64. */
const LOW_LOADS = new Map([[0x30, 0x2c], [0x31, 0x2d], [0x32, 0x2e], [0x33, 0x2f], [0x34, 0x28], [0x35, 0x28], [0x29, 0x28]]);

/** Opcodes of integer comparisons and of their opposites: eq ne, lt ge, gt le, of 32 and of 64 bits. */
const OPPOSITE = new Map<number, number>();
for (const [one, other] of [[0x46, 0x47], [0x48, 0x4e], [0x49, 0x4f], [0x4a, 0x4c], [0x4b, 0x4d], [0x51, 0x52], [0x53, 0x59], [0x54, 0x5a], [0x55, 0x57], [0x56, 0x58]]) {
  OPPOSITE.set(one, other);
  OPPOSITE.set(other, one);
}

/** Value.width of a number from 0 to 2^53. */
export const widthOf = (n: number): number => (n < 0x1_0000_0000 ? 32 - Math.clz32(n) : 64 - Math.clz32(n / 0x1_0000_0000));

export const operatorValue = (type: ValType, code: number, a: Value, b: Value | null, width = 64): Value =>
  new Value(type, Node.OPERATOR, code, 0, a, b, null, null, null, type === 'i32' ? Math.min(32, width) : width);
export const loadValue = (type: ValType, code: number, address: Value, offset: number, width: number): Value =>
  new Value(type, Node.LOAD, code, offset, address, null, null, null, null, width);
export const selectValue = (type: ValType, a: Value, b: Value, condition: Value, width = 64): Value => new Value(type, Node.SELECT, 0, 0, a, b, condition, null, null, width);
export const otherValue = (type: ValType, write: (w: Writer) => void, width = 64): Value => new Value(type, Node.OTHER, 0, 0, null, null, null, write, null, width);
export const i32Value = (n: number): Value => new Value('i32', Node.I32, 0, n, null, null, null, null, null, 32 - Math.clz32(n));
/** @param big the constant where `number` is NaN */
export const i64Value = (number: number, big: bigint | null): Value => new Value('i64', Node.I64, 0, number, null, null, null, null, big, number >= 0 ? widthOf(number) : 64);
export const localValue = (type: ValType, index: number, width = 64): Value => new Value(type, Node.LOCAL, index, 0, null, null, null, null, null, width);
/** An i64 from a local of type i32. */
export const widenedValue = (index: number, width = 32): Value => new Value('i64', Node.WIDENED, index, 0, null, null, null, null, null, width);

/** A mutable local. */
export class Variable {
  /** @param value what reads it; a widened one keeps the low 32 bits of what is written */
  constructor(
    private readonly value: Value,
    private readonly w: Writer,
  ) {}

  get type(): ValType {
    return this.value.type;
  }
  get index(): number {
    return this.value.local!;
  }
  /** @param width Value.width, where it is known */
  get(width = 64): Value {
    return this.value.narrowed(width);
  }
  set(value: Value): void {
    if (value.type !== this.value.type) throw new Error(`a ${value.type} does not go into a local of type ${this.value.type}`);
    if (this.value.width > 32 || this.value.type !== 'i64') value.emit(this.w);
    else {
      const low = value.low();
      (low ?? value).emit(this.w);
      if (!low) this.w.byte(Op.WRAP);
    }
    this.w.byte(0x21);
    this.w.u32(this.value.local!);
  }
}
