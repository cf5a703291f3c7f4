// Builds one WebAssembly function: typed expression nodes, folded where constant, and statements written at once.
// A node has no side effect and may be used in one place only, unless it is a constant or a local: let() makes it one.

import { Writer, type BranchHint, type FunctionRef, type ValType } from './module.ts';
import { i32Value, i64Value, loadValue, localValue, operatorValue, otherValue, selectValue, Value, Variable, widenedValue, widthOf } from './value.ts';

export { Value, Variable } from './value.ts';

/** Small constants, which have no state. */
const SMALL_FROM = -128;
const SMALL: readonly Value[] = Array.from({ length: 1024 }, (_, n) => i32Value(n + SMALL_FROM));

/** A branch target. */
export interface Label {
  readonly depth: number;
}

/** How often a condition holds: the engine lays out the code by it. */
export type Odds = 'seldom' | 'mostly' | null;

export type Operand = Value | number | bigint;

/** An operator's opcodes by type; 0: it has none. */
interface Codes {
  readonly i32: number;
  readonly i64: number;
  readonly f32: number;
  readonly f64: number;
  readonly v128: number;
  /** What it makes of constants. */
  readonly fold: ((x: bigint, y: bigint, type: ValType) => bigint) | null;
  /** Type of the result, if it is not that of the operands. */
  readonly result: ValType | null;
  /** Value.width of the result. */
  readonly width: (x: Value, y: Value) => number;
  /** Of a comparison: operands of this width compare as their low halves do. */
  readonly lowWidth: number;
}

const codes = (i32: number, i64: number, f32: number, f64: number, fold: Codes['fold'] = null, width: Codes['width'] = () => 64, result: ValType | null = null, lowWidth = 0): Codes =>
  ({ i32, i64, f32, f64, v128: 0, fold, result, width, lowWidth });
const comparison = (i32: number, i64: number, f32: number, f64: number, lowWidth: number, fold: ((x: bigint, y: bigint, type: ValType) => boolean) | null): Codes =>
  codes(i32, i64, f32, f64, fold && ((x, y, type) => (fold(x, y, type) ? 1n : 0n)), () => 1, 'i32', lowWidth);
const unsigned = (x: bigint, type: ValType): bigint => BigInt.asUintN(type === 'i32' ? 32 : 64, x);
const shiftBits = (y: bigint, type: ValType): bigint => (type === 'i32' ? y & 31n : y & 63n);

const larger = (x: Value, y: Value): number => Math.max(x.width, y.width);
const ADD = codes(0x6a, 0x7c, 0x92, 0xa0, (x, y) => x + y, (x, y) => larger(x, y) + 1);
const SUB = codes(0x6b, 0x7d, 0x93, 0xa1, (x, y) => x - y);
const MUL = codes(0x6c, 0x7e, 0x94, 0xa2, (x, y) => x * y, (x, y) => x.width + y.width);
const DIV = codes(0, 0, 0x95, 0xa3);
const DIV_S = codes(0x6d, 0x7f, 0, 0);
const DIV_U = codes(0x6e, 0x80, 0, 0);
const REM_S = codes(0x6f, 0x81, 0, 0);
const REM_U = codes(0x70, 0x82, 0, 0);
const AND = codes(0x71, 0x83, 0, 0, (x, y) => x & y, (x, y) => Math.min(x.width, y.width));
const OR = codes(0x72, 0x84, 0, 0, (x, y) => x | y, larger);
const XOR = codes(0x73, 0x85, 0, 0, (x, y) => x ^ y, larger);
const SHL = codes(0x74, 0x86, 0, 0, (x, y, t) => x << shiftBits(y, t), (x, y) => (y.isConstant ? x.width + (y.exact & 63) : 64));
const SHR_S = codes(0x75, 0x87, 0, 0, (x, y, t) => x >> shiftBits(y, t));
const SHR_U = codes(0x76, 0x88, 0, 0, (x, y, t) => unsigned(x, t) >> shiftBits(y, t), (x, y) => (y.isConstant ? Math.max(0, x.width - (y.exact & (x.type === 'i32' ? 31 : 63))) : x.width));
const ROTL = codes(0x77, 0x89, 0, 0);
const ROTR = codes(0x78, 0x8a, 0, 0);
const EQ = comparison(0x46, 0x51, 0x5b, 0x61, 32, (x, y) => x === y);
const NE = comparison(0x47, 0x52, 0x5c, 0x62, 32, (x, y) => x !== y);
const LT_S = comparison(0x48, 0x53, 0, 0, 31, (x, y) => x < y);
const LT_U = comparison(0x49, 0x54, 0, 0, 32, (x, y, t) => unsigned(x, t) < unsigned(y, t));
const GT_S = comparison(0x4a, 0x55, 0, 0, 31, (x, y) => x > y);
const GT_U = comparison(0x4b, 0x56, 0, 0, 32, (x, y, t) => unsigned(x, t) > unsigned(y, t));
const LE_S = comparison(0x4c, 0x57, 0, 0, 31, (x, y) => x <= y);
const LE_U = comparison(0x4d, 0x58, 0, 0, 32, (x, y, t) => unsigned(x, t) <= unsigned(y, t));
const GE_S = comparison(0x4e, 0x59, 0, 0, 31, (x, y) => x >= y);
const GE_U = comparison(0x4f, 0x5a, 0, 0, 32, (x, y, t) => unsigned(x, t) >= unsigned(y, t));
const LT = comparison(0, 0, 0x5d, 0x63, 0, null);
const GT = comparison(0, 0, 0x5e, 0x64, 0, null);
const LE = comparison(0, 0, 0x5f, 0x65, 0, null);
const GE = comparison(0, 0, 0x60, 0x66, 0, null);

const WIDTH: Record<ValType, number> = { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 };
/** Opcodes by type and width; a narrow load's signed form is the one before. */
const LOADS: Record<ValType, Record<number, number | undefined>> = {
  i32: { 8: 0x2d, 16: 0x2f, 32: 0x28 }, i64: { 8: 0x31, 16: 0x33, 32: 0x35, 64: 0x29 }, f32: { 32: 0x2a }, f64: { 64: 0x2b }, v128: {},
};
const STORES: Record<ValType, Record<number, number | undefined>> = {
  i32: { 8: 0x3a, 16: 0x3b, 32: 0x36 }, i64: { 8: 0x3c, 16: 0x3d, 32: 0x3e, 64: 0x37 }, f32: { 32: 0x38 }, f64: { 64: 0x39 }, v128: { 128: 0x0b },
};

export class FunctionBuilder {
  readonly w = new Writer();
  /** For ModuleBuilder.define. */
  readonly hints: BranchHint[] = [];
  private readonly locals: ValType[] = [];
  /** What reads a local, by its index. */
  private readonly gets: Value[] = [];
  private readonly freeLocals = new Map<ValType, number[]>();
  private scope: { type: ValType; index: number }[] = [];
  /** Numbers of 32 bits are kept in locals of 32 bits, though they are i64. */
  protected isNarrow = false;
  /** What 32 bits are enough for is computed as i32, and extended. */
  protected isHalving = false;
  protected depth = 0;

  /** @param params types of the function's parameters, which are its first locals */
  constructor(private readonly params: readonly ValType[]) {}

  /** Types of the locals after the parameters, for ModuleBuilder.define. */
  get localTypes(): ValType[] {
    return this.locals;
  }

  // ---- locals

  param(index: number): Value {
    return this.localGet(index, this.params[index]);
  }

  private localGet(index: number, type: ValType): Value {
    return (this.gets[index] ??= localValue(type, index));
  }

  protected allocate(type: ValType): number {
    const free = this.freeLocals.get(type)?.pop();
    const index = free ?? this.params.length + this.locals.push(type) - 1;
    this.scope.push({ type, index });
    return index;
  }

  /** Locals made inside fn are free for others afterwards. */
  scoped(fn: () => void): void {
    const outer = this.scope;
    this.scope = [];
    fn();
    for (const { type, index } of this.scope) {
      const list = this.freeLocals.get(type);
      if (list) list.push(index);
      else this.freeLocals.set(type, [index]);
    }
    this.scope = outer;
  }

  variable(type: ValType, initial?: Value): Variable {
    const variable = this.variableAt(this.allocate(type), type);
    if (initial) variable.set(initial);
    return variable;
  }

  /** A local of its own, that no scope gives back. */
  permanent(type: ValType): Variable {
    return this.variableAt(this.params.length + this.locals.push(type) - 1, type);
  }

  /** The same, for an i64 of which only the low 32 bits are ever set. */
  permanentLow(): Variable {
    return this.narrowVariable(this.params.length + this.locals.push('i32') - 1);
  }

  private narrowVariable(index: number): Variable {
    return new Variable(widenedValue(index), this.w);
  }

  private variableAt(index: number, type: ValType): Variable {
    return new Variable(this.localGet(index, type), this.w);
  }

  /** Evaluate now, use as often as needed. */
  let(value: Value): Value {
    if (value.isConstant || value.isLocal) return value;
    const low = this.isNarrow && value.width <= 32 && value.type === 'i64' ? value.low() : null;
    const index = this.allocate(low ? 'i32' : value.type);
    (low ?? value).emit(this.w);
    this.w.byte(0x21);
    this.w.u32(index);
    if (low) return widenedValue(index, value.width);
    return value.width < 64 ? localValue(value.type, index, value.width) : this.localGet(index, value.type);
  }

  /** The same, where nobody asks for bits above so many: they may be anything. */
  letLow(value: Value, bits: number): Value {
    if (bits > 32 || value.type !== 'i64' || value.isConstant || value.isLocal) return this.let(value);
    const low = this.isNarrow ? value.low() : this.isHalving && bits === 32 ? value.halved() : null;
    return this.let(low ? this.extendU(low) : value);
  }

  /** A copy that later changes of a variable do not reach. */
  copy(value: Value): Value {
    const variable = this.isNarrow && value.width <= 32 && value.type === 'i64' ? this.narrowVariable(this.allocate('i32')) : this.variable(value.type);
    variable.set(value);
    return variable.get(value.width);
  }

  // ---- constants

  i32(value: number): Value {
    const n = value | 0;
    return n >= SMALL_FROM && n < SMALL_FROM + SMALL.length ? SMALL[n - SMALL_FROM] : i32Value(n);
  }

  i64(value: number | bigint): Value {
    let number = Number(value);
    let big: bigint | null = null;
    if (!Number.isSafeInteger(number)) {
      big = BigInt.asIntN(64, BigInt(value));
      number = big >= -0x8000_0000n && big <= 0x7fff_ffffn ? Number(big) : NaN;
    }
    return i64Value(number, big);
  }

  f64(value: number): Value {
    return otherValue('f64', (w) => {
      w.byte(0x44);
      w.f64(value);
    });
  }

  f32(value: number): Value {
    return otherValue('f32', (w) => {
      w.byte(0x43);
      w.f32(value);
    });
  }

  /** A v128 constant of 16 bytes. */
  v128(bytes: ArrayLike<number>): Value {
    if (bytes.length !== 16) throw new Error('a v128 constant has 16 bytes');
    return otherValue('v128', (w) => {
      w.bytes([0xfd, 0x0c]);
      w.bytes(bytes);
    });
  }

  private coerce(value: Operand, type: ValType): Value {
    if (value instanceof Value) {
      if (value.type !== type) throw new Error(`expected ${type}, got ${value.type}`);
      return value;
    }
    if (type === 'i32') return this.i32(typeof value === 'number' ? value : Number(BigInt.asIntN(32, value)));
    if (type === 'i64') return this.i64(value);
    if (type === 'f64') return this.f64(Number(value));
    if (type === 'f32') return this.f32(Number(value));
    throw new Error(`a number cannot stand for a ${type}`);
  }

  // ---- operators

  /** Are both the same local? Its integer operations with itself need no code. */
  private isSame(a: Operand, b: Operand): boolean {
    return a instanceof Value && b instanceof Value && a.local !== null && a.local === b.local && (a.type === 'i32' || a.type === 'i64');
  }

  private binary(a: Operand, b: Operand, codes: Codes): Value {
    const type = a instanceof Value ? a.type : b instanceof Value ? b.type : 'i64';
    const x = this.coerce(a, type);
    const y = this.coerce(b, type);
    if (codes.result !== null && type === 'i64' && x.width <= codes.lowWidth && y.width <= codes.lowWidth) {
      const low = x.low();
      const other = low && y.low();
      if (other) return this.binary(low, other, codes);
    }
    const code = codes[type];
    if (code === 0) throw new Error(`no such operator for ${type}`);
    const resultType = codes.result ?? type;
    if (codes.fold && x.isConstant && y.isConstant) {
      const folded = codes.fold(x.constant!, y.constant!, type);
      return resultType === 'i32' ? this.i32(Number(BigInt.asIntN(32, folded))) : this.i64(folded);
    }
    return operatorValue(resultType, code, x, y, Math.min(type === 'i32' ? 32 : 64, codes.width(x, y)));
  }

  private isZero(v: Operand): boolean {
    return v instanceof Value ? v.is(0) : v === 0 || v === 0n;
  }

  /** Is b a mask of low bits that leaves a as it is? */
  private covers(b: Operand, a: Value): boolean {
    const mask = b instanceof Value ? (b.isConstant && b.width < 53 ? b.exact : -1) : Number(b);
    return mask > 0 && mask <= 2 ** 53 && Number.isInteger(Math.log2(mask + 1)) && a.width <= widthOf(mask);
  }

  private isLowHalf(v: Operand): boolean {
    return v instanceof Value ? v.is(0xffff_ffff) : v === 0xffff_ffff || v === 0xffff_ffffn;
  }

  private isOnes(v: Operand): boolean {
    return v instanceof Value ? v.is(-1) : v === -1 || v === -1n;
  }

  add(a: Operand, b: Operand): Value {
    if (a instanceof Value && (a.type === 'i32' || a.type === 'i64') && this.isZero(b)) return a;
    if (b instanceof Value && (b.type === 'i32' || b.type === 'i64') && this.isZero(a)) return b;
    return this.binary(a, b, ADD);
  }
  sub(a: Operand, b: Operand): Value {
    if (this.isSame(a, b)) return this.coerce(0, (a as Value).type);
    return this.binary(a, b, SUB);
  }
  mul(a: Operand, b: Operand): Value {
    return this.binary(a, b, MUL);
  }
  /** Floating-point division. */
  div(a: Operand, b: Operand): Value {
    return this.binary(a, b, DIV);
  }
  divS(a: Operand, b: Operand): Value {
    return this.binary(a, b, DIV_S);
  }
  divU(a: Operand, b: Operand): Value {
    return this.binary(a, b, DIV_U);
  }
  remS(a: Operand, b: Operand): Value {
    return this.binary(a, b, REM_S);
  }
  remU(a: Operand, b: Operand): Value {
    return this.binary(a, b, REM_U);
  }
  and(a: Operand, b: Operand): Value {
    if (this.isSame(a, b)) return a as Value;
    if (a instanceof Value && (this.isOnes(b) || this.covers(b, a))) return a;
    const low = a instanceof Value && a.type === 'i64' && this.isLowHalf(b) ? (this.isHalving ? a.halved() : a.low()) : null;
    if (low) return this.extendU(low);
    return this.binary(a, b, AND);
  }
  or(a: Operand, b: Operand): Value {
    if (this.isSame(a, b)) return a as Value;
    if (a instanceof Value && this.isZero(b)) return a;
    if (b instanceof Value && this.isZero(a)) return b;
    return this.binary(a, b, OR);
  }
  xor(a: Operand, b: Operand): Value {
    if (this.isSame(a, b)) return this.coerce(0, (a as Value).type);
    return this.binary(a, b, XOR);
  }
  shl(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, SHL);
  }
  shrS(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, SHR_S);
  }
  shrU(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, SHR_U);
  }
  rotl(a: Operand, b: Operand): Value {
    return this.binary(a, b, ROTL);
  }
  rotr(a: Operand, b: Operand): Value {
    return this.binary(a, b, ROTR);
  }
  eq(a: Operand, b: Operand): Value {
    return this.binary(a, b, EQ);
  }
  ne(a: Operand, b: Operand): Value {
    return this.binary(a, b, NE);
  }
  ltS(a: Operand, b: Operand): Value {
    return this.binary(a, b, LT_S);
  }
  ltU(a: Operand, b: Operand): Value {
    return this.binary(a, b, LT_U);
  }
  gtS(a: Operand, b: Operand): Value {
    return this.binary(a, b, GT_S);
  }
  gtU(a: Operand, b: Operand): Value {
    if (this.isOnes(b)) return this.i32(0);
    return this.binary(a, b, GT_U);
  }
  leS(a: Operand, b: Operand): Value {
    return this.binary(a, b, LE_S);
  }
  leU(a: Operand, b: Operand): Value {
    return this.binary(a, b, LE_U);
  }
  geS(a: Operand, b: Operand): Value {
    return this.binary(a, b, GE_S);
  }
  geU(a: Operand, b: Operand): Value {
    return this.binary(a, b, GE_U);
  }
  /** Floating-point a < b. */
  lt(a: Operand, b: Operand): Value {
    return this.binary(a, b, LT);
  }
  gt(a: Operand, b: Operand): Value {
    return this.binary(a, b, GT);
  }
  le(a: Operand, b: Operand): Value {
    return this.binary(a, b, LE);
  }
  ge(a: Operand, b: Operand): Value {
    return this.binary(a, b, GE);
  }

  /** Any one-operand instruction by its opcode bytes. */
  unary(type: ValType, opcode: readonly number[], a: Value): Value {
    if (opcode.length === 1) return operatorValue(type, opcode[0], a, null);
    return otherValue(type, (w) => {
      a.emit(w);
      w.bytes(opcode);
    });
  }

  eqz(a: Value): Value {
    if (a.isConstant) return this.i32(a.is(0) ? 1 : 0);
    const opposite = a.opposite();
    if (opposite) return opposite;
    const low = a.type === 'i64' && a.width <= 32 ? a.low() : null;
    return operatorValue('i32', low || a.type === 'i32' ? 0x45 : 0x50, low ?? a, null, 1);
  }
  clz(a: Value): Value {
    return operatorValue(a.type, a.type === 'i32' ? 0x67 : 0x79, a, null);
  }
  ctz(a: Value): Value {
    return operatorValue(a.type, a.type === 'i32' ? 0x68 : 0x7a, a, null);
  }
  popcnt(a: Value): Value {
    return operatorValue(a.type, a.type === 'i32' ? 0x69 : 0x7b, a, null);
  }
  /** i64 to i32. */
  wrap(a: Value): Value {
    if (a.type === 'i32') return a;
    if (a.isConstant) return this.i32(Number(BigInt.asIntN(32, a.constant!)));
    return a.low() ?? operatorValue('i32', 0xa7, a, null, Math.min(32, a.width));
  }
  /** i32 to i64, unsigned. */
  extendU(a: Value): Value {
    if (a.type === 'i64') return a;
    if (a.isConstant) return this.i64(BigInt.asUintN(32, a.constant!));
    return operatorValue('i64', 0xad, a, null, Math.min(32, a.width));
  }
  /** i32 to i64, signed. */
  extendS(a: Value): Value {
    if (a.type === 'i64') return a;
    if (a.isConstant) return this.i64(a.constant!);
    return operatorValue('i64', 0xac, a, null);
  }
  /** Sign-extend the low bits of an i32 or i64. */
  signExtend(a: Value, bits: number): Value {
    if (a.isConstant) {
      const v = BigInt.asIntN(bits, a.constant!);
      return a.type === 'i32' ? this.i32(Number(v)) : this.i64(v);
    }
    const code = a.type === 'i32' ? { 8: 0xc0, 16: 0xc1, 32: 0 }[bits] : { 8: 0xc2, 16: 0xc3, 32: 0xc4, 64: 0 }[bits];
    if (code === undefined) throw new Error(`no sign extension of ${bits} bits`);
    return code === 0 ? a : operatorValue(a.type, code, a, null);
  }
  /** Keep the low bits of an i64. */
  zeroExtend(a: Value, bits: number): Value {
    if (a.width <= bits) return a;
    return this.and(a, bits <= 32 ? 2 ** bits - 1 : (1n << BigInt(bits)) - 1n);
  }
  /** Without a branch: both are computed. */
  select(condition: Value, ifTrue: Operand, ifFalse: Operand): Value {
    const type = ifTrue instanceof Value ? ifTrue.type : ifFalse instanceof Value ? ifFalse.type : 'i64';
    const a = this.coerce(ifTrue, type);
    const b = this.coerce(ifFalse, type);
    if (condition.isConstant) return condition.is(0) ? b : a;
    return selectValue(type, a, b, condition, larger(a, b));
  }

  /** What a function writes into the code. */
  raw(type: ValType, write: (w: Writer) => void): Value {
    return otherValue(type, write);
  }

  /** A SIMD instruction (prefix 0xFD) on any operands, with immediate bytes (lane numbers). */
  simd(type: ValType, opcode: number, operands: readonly Value[], immediates: readonly number[] = []): Value {
    return otherValue(type, (w) => {
      for (const v of operands) v.emit(w);
      w.byte(0xfd);
      w.u32(opcode);
      w.bytes(immediates);
    });
  }

  // ---- memory

  /** Plain load: bits is how much is read, zero- or sign-extended to the type. */
  load(type: ValType, address: Value, offset: number, bits?: number, signed = false): Value {
    if (type === 'v128') return this.simdLoad(0x00, address, offset);
    const width = bits ?? WIDTH[type];
    const code = (LOADS[type][width] ?? 0) + (signed && width < WIDTH[type] ? -1 : 0);
    if (code <= 0) throw new Error(`no load of ${width} bits as ${type}`);
    return loadValue(type, code, address, offset, signed ? 64 : width);
  }

  /** A load of SIMD (prefix 0xFD), such as v128.load64_zero. */
  simdLoad(opcode: number, address: Value, offset: number): Value {
    return otherValue('v128', (w) => {
      address.emit(w);
      w.byte(0xfd);
      w.u32(opcode);
      w.byte(0);
      w.u32(offset);
    });
  }

  store(address: Value, offset: number, value: Value, bits?: number): void {
    const width = bits ?? WIDTH[value.type];
    const low = width <= 32 && value.type === 'i64' ? value.low() : null;
    const { type } = low ?? value;
    const code = STORES[type][width];
    if (code === undefined) throw new Error(`no store of ${width} bits from ${type}`);
    address.emit(this.w);
    (low ?? value).emit(this.w);
    if (type === 'v128') this.w.byte(0xfd);
    this.w.byte(code);
    this.w.byte(0);
    this.w.u32(offset);
  }

  /** Atomic compare-and-exchange of 8 to 64 bits; the address must be aligned. Gives the old value, zero-extended. */
  atomicCompareExchange(address: Value, expected: Value, replacement: Value, bits: number): Value {
    const code = { 8: 0x4c, 16: 0x4d, 32: 0x4e, 64: 0x49 }[bits]!;
    const align = { 8: 0, 16: 1, 32: 2, 64: 3 }[bits]!;
    return otherValue('i64', (w) => {
      address.emit(w);
      expected.emit(w);
      replacement.emit(w);
      w.bytes([0xfe, code, align, 0]);
    });
  }

  // ---- control

  call(target: FunctionRef, args: readonly Value[]): Value {
    if (!target.result) throw new Error(`${target.name} gives no value`);
    this.checkArguments(target, args);
    return otherValue(target.result, (w) => {
      for (const a of args) a.emit(w);
      w.byte(0x10);
      w.u32(target.index);
    });
  }

  callVoid(target: FunctionRef, args: readonly Value[]): void {
    this.checkArguments(target, args);
    for (const a of args) a.emit(this.w);
    this.w.byte(0x10);
    this.w.u32(target.index);
    if (target.result) this.w.byte(0x1a);
  }

  callIndirect(typeIndex: number, result: ValType, slot: Value, args: readonly Value[], table = 0): Value {
    return otherValue(result, (w) => {
      for (const a of args) a.emit(w);
      slot.emit(w);
      w.byte(0x11);
      w.u32(typeIndex);
      w.u32(table);
    });
  }

  /** Leave the function by a call in its place (tail call). */
  returnCallIndirect(typeIndex: number, slot: Value, args: readonly Value[], table = 0): void {
    for (const a of args) a.emit(this.w);
    slot.emit(this.w);
    this.w.byte(0x13);
    this.w.u32(typeIndex);
    this.w.u32(table);
  }

  returnCall(target: FunctionRef, args: readonly Value[]): void {
    this.checkArguments(target, args);
    for (const a of args) a.emit(this.w);
    this.w.byte(0x12);
    this.w.u32(target.index);
  }

  private checkArguments(target: FunctionRef, args: readonly Value[]): void {
    if (args.length !== target.params.length || args.some((a, n) => a.type !== target.params[n])) {
      throw new Error(`${target.name} takes (${target.params.join(', ')}), got (${args.map((a) => a.type).join(', ')})`);
    }
  }

  /** The next byte is the opcode of a branch by a condition that holds so often. */
  protected hint(odds: Odds): void {
    if (odds) this.hints.push({ at: this.w.length, holds: odds === 'mostly' });
  }

  if(condition: Value, then: () => void, otherwise?: () => void, odds: Odds = null): void {
    if (condition.isConstant) {
      if (!condition.is(0)) then();
      else otherwise?.();
      return;
    }
    condition.emit(this.w);
    this.hint(odds);
    this.w.bytes([0x04, 0x40]);
    this.depth++;
    then();
    if (otherwise) {
      this.w.byte(0x05);
      otherwise();
    }
    this.depth--;
    this.w.byte(0x0b);
  }

  block(body: (end: Label) => void): void {
    this.w.bytes([0x02, 0x40]);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.w.byte(0x0b);
  }

  loop(body: (start: Label) => void): void {
    this.w.bytes([0x03, 0x40]);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.w.byte(0x0b);
  }

  /** A loop whose end follows later, by closeLoop(). */
  openLoop(): Label {
    this.w.bytes([0x03, 0x40]);
    this.depth++;
    return { depth: this.depth };
  }

  closeLoop(): void {
    this.depth--;
    this.w.byte(0x0b);
  }

  br(label: Label): void {
    this.w.byte(0x0c);
    this.w.u32(this.depth - label.depth);
  }

  brIf(label: Label, condition: Value, odds: Odds = null): void {
    condition.emit(this.w);
    this.hint(odds);
    this.w.byte(0x0d);
    this.w.u32(this.depth - label.depth);
  }

  brTable(labels: readonly Label[], otherwise: Label, index: Value): void {
    index.emit(this.w);
    this.w.byte(0x0e);
    this.w.u32(labels.length);
    for (const label of labels) this.w.u32(this.depth - label.depth);
    this.w.u32(this.depth - otherwise.depth);
  }

  return(value?: Value): void {
    value?.emit(this.w);
    this.w.byte(0x0f);
  }

  /** Leave a value on the stack as the function's result. */
  result(value: Value): void {
    value.emit(this.w);
  }

  unreachable(): void {
    this.w.byte(0x00);
  }
}
