// Builds one WebAssembly function: typed expression nodes, folded where constant, and statements written at once.
// A node has no side effect and may be used in one place only, unless it is a constant or a local: let() makes it one.

import { typeCode, Writer, type FunctionRef, type ValType } from './module.ts';

/** A typed expression. */
export class Value {
  /** How often the node was emitted: a compound node emitted twice computes twice, which is refused. */
  used = false;

  constructor(
    readonly type: ValType,
    private readonly write: (w: Writer) => void,
    /** The value, if known now. */
    readonly constant: bigint | null = null,
    readonly isLocal = false,
    /** Index of the local that this reads. */
    readonly local: number | null = null,
  ) {}

  emit(w: Writer): void {
    if (this.constant === null && !this.isLocal) {
      if (this.used) throw new Error('a computed value is used twice: bind it with let() first');
      this.used = true;
    }
    this.write(w);
  }
}

/** A mutable local. */
export interface Variable {
  readonly type: ValType;
  readonly index: number;
  get(): Value;
  set(value: Value): void;
}

/** A branch target. */
export interface Label {
  readonly depth: number;
}

export type Operand = Value | number | bigint;

interface BinaryCodes {
  i32?: number;
  i64?: number;
  f32?: number;
  f64?: number;
}

const wrapTo = (type: ValType, value: bigint): bigint => (type === 'i32' ? BigInt.asIntN(32, value) : BigInt.asIntN(64, value));

export class FunctionBuilder {
  readonly w = new Writer();
  private readonly locals: ValType[] = [];
  private readonly freeLocals = new Map<ValType, number[]>();
  private scope: { type: ValType; index: number }[] = [];
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
    return new Value(
      type,
      (w) => {
        w.byte(0x20);
        w.u32(index);
      },
      null,
      true,
      index,
    );
  }

  private allocate(type: ValType): number {
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

  private variableAt(index: number, type: ValType): Variable {
    const variable: Variable = {
      type,
      index,
      get: () => this.localGet(index, type),
      set: (value) => {
        if (value.type !== type) throw new Error(`a ${value.type} does not go into a local of type ${type}`);
        value.emit(this.w);
        this.w.byte(0x21);
        this.w.u32(index);
      },
    };
    return variable;
  }

  /** Evaluate now, use as often as needed. */
  let(value: Value): Value {
    if (value.constant !== null || value.isLocal) return value;
    return this.variable(value.type, value).get();
  }

  /** A copy that later changes of a variable do not reach. */
  copy(value: Value): Value {
    return this.variable(value.type, value).get();
  }

  // ---- constants

  i32(value: number): Value {
    const n = value | 0;
    return new Value(
      'i32',
      (w) => {
        w.byte(0x41);
        w.s32(n);
      },
      BigInt(n),
    );
  }

  i64(value: number | bigint): Value {
    const n = BigInt.asIntN(64, BigInt(value));
    return new Value(
      'i64',
      (w) => {
        w.byte(0x42);
        w.s64(n);
      },
      n,
    );
  }

  f64(value: number): Value {
    return new Value('f64', (w) => {
      w.byte(0x44);
      w.f64(value);
    });
  }

  f32(value: number): Value {
    return new Value('f32', (w) => {
      w.byte(0x43);
      w.f32(value);
    });
  }

  /** A v128 constant of 16 bytes. */
  v128(bytes: ArrayLike<number>): Value {
    if (bytes.length !== 16) throw new Error('a v128 constant has 16 bytes');
    return new Value('v128', (w) => {
      w.bytes([0xfd, 0x0c]);
      w.bytes(bytes);
    });
  }

  private coerce(value: Operand, type: ValType): Value {
    if (value instanceof Value) {
      if (value.type !== type) throw new Error(`expected ${type}, got ${value.type}`);
      return value;
    }
    if (type === 'i32') return this.i32(Number(BigInt.asIntN(32, BigInt(value))));
    if (type === 'i64') return this.i64(value);
    if (type === 'f64') return this.f64(Number(value));
    if (type === 'f32') return this.f32(Number(value));
    throw new Error(`a number cannot stand for a ${type}`);
  }

  // ---- operators

  private binary(a: Operand, b: Operand, codes: BinaryCodes, fold: ((x: bigint, y: bigint, type: ValType) => bigint | null) | null, result?: ValType): Value {
    const type = a instanceof Value ? a.type : b instanceof Value ? b.type : 'i64';
    const x = this.coerce(a, type);
    const y = this.coerce(b, type);
    const code = codes[type as 'i32' | 'i64'];
    if (code === undefined) throw new Error(`no such operator for ${type}`);
    const resultType = result ?? type;
    if (fold && x.constant !== null && y.constant !== null) {
      const folded = fold(x.constant, y.constant, type);
      if (folded !== null) return resultType === 'i32' ? this.i32(Number(wrapTo('i32', folded))) : this.i64(wrapTo('i64', folded));
    }
    return new Value(resultType, (w) => {
      x.emit(w);
      y.emit(w);
      w.byte(code);
    });
  }

  private isZero(v: Operand): boolean {
    return v instanceof Value ? v.constant === 0n : v === 0 || v === 0n;
  }

  private isOnes(v: Operand): boolean {
    return v instanceof Value ? v.constant === -1n : v === -1 || v === -1n;
  }

  add(a: Operand, b: Operand): Value {
    if (a instanceof Value && (a.type === 'i32' || a.type === 'i64') && this.isZero(b)) return a;
    if (b instanceof Value && (b.type === 'i32' || b.type === 'i64') && this.isZero(a)) return b;
    return this.binary(a, b, { i32: 0x6a, i64: 0x7c, f32: 0x92, f64: 0xa0 }, (x, y) => x + y);
  }
  sub(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x6b, i64: 0x7d, f32: 0x93, f64: 0xa1 }, (x, y) => x - y);
  }
  mul(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x6c, i64: 0x7e, f32: 0x94, f64: 0xa2 }, (x, y) => x * y);
  }
  /** Floating-point division. */
  div(a: Operand, b: Operand): Value {
    return this.binary(a, b, { f32: 0x95, f64: 0xa3 }, null);
  }
  divS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x6d, i64: 0x7f }, null);
  }
  divU(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x6e, i64: 0x80 }, null);
  }
  remS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x6f, i64: 0x81 }, null);
  }
  remU(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x70, i64: 0x82 }, null);
  }
  and(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isOnes(b)) return a;
    return this.binary(a, b, { i32: 0x71, i64: 0x83 }, (x, y) => x & y);
  }
  or(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    if (b instanceof Value && this.isZero(a)) return b;
    return this.binary(a, b, { i32: 0x72, i64: 0x84 }, (x, y) => x | y);
  }
  xor(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x73, i64: 0x85 }, (x, y) => x ^ y);
  }
  private shiftBits(y: bigint, type: ValType): bigint {
    return type === 'i32' ? y & 31n : y & 63n;
  }
  private unsigned(x: bigint, type: ValType): bigint {
    return BigInt.asUintN(type === 'i32' ? 32 : 64, x);
  }
  shl(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, { i32: 0x74, i64: 0x86 }, (x, y, t) => x << this.shiftBits(y, t));
  }
  shrS(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, { i32: 0x75, i64: 0x87 }, (x, y, t) => x >> this.shiftBits(y, t));
  }
  shrU(a: Operand, b: Operand): Value {
    if (a instanceof Value && this.isZero(b)) return a;
    return this.binary(a, b, { i32: 0x76, i64: 0x88 }, (x, y, t) => this.unsigned(x, t) >> this.shiftBits(y, t));
  }
  rotl(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x77, i64: 0x89 }, null);
  }
  rotr(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x78, i64: 0x8a }, null);
  }
  eq(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x46, i64: 0x51, f32: 0x5b, f64: 0x61 }, (x, y) => (x === y ? 1n : 0n), 'i32');
  }
  ne(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x47, i64: 0x52, f32: 0x5c, f64: 0x62 }, (x, y) => (x !== y ? 1n : 0n), 'i32');
  }
  ltS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x48, i64: 0x53 }, (x, y) => (x < y ? 1n : 0n), 'i32');
  }
  ltU(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x49, i64: 0x54 }, (x, y, t) => (this.unsigned(x, t) < this.unsigned(y, t) ? 1n : 0n), 'i32');
  }
  gtS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x4a, i64: 0x55 }, (x, y) => (x > y ? 1n : 0n), 'i32');
  }
  gtU(a: Operand, b: Operand): Value {
    if (this.isOnes(b)) return this.i32(0);
    return this.binary(a, b, { i32: 0x4b, i64: 0x56 }, (x, y, t) => (this.unsigned(x, t) > this.unsigned(y, t) ? 1n : 0n), 'i32');
  }
  leS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x4c, i64: 0x57 }, (x, y) => (x <= y ? 1n : 0n), 'i32');
  }
  leU(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x4d, i64: 0x58 }, (x, y, t) => (this.unsigned(x, t) <= this.unsigned(y, t) ? 1n : 0n), 'i32');
  }
  geS(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x4e, i64: 0x59 }, (x, y) => (x >= y ? 1n : 0n), 'i32');
  }
  geU(a: Operand, b: Operand): Value {
    return this.binary(a, b, { i32: 0x4f, i64: 0x5a }, (x, y, t) => (this.unsigned(x, t) >= this.unsigned(y, t) ? 1n : 0n), 'i32');
  }
  /** Floating-point a < b. */
  lt(a: Operand, b: Operand): Value {
    return this.binary(a, b, { f32: 0x5d, f64: 0x63 }, null, 'i32');
  }
  gt(a: Operand, b: Operand): Value {
    return this.binary(a, b, { f32: 0x5e, f64: 0x64 }, null, 'i32');
  }
  le(a: Operand, b: Operand): Value {
    return this.binary(a, b, { f32: 0x5f, f64: 0x65 }, null, 'i32');
  }
  ge(a: Operand, b: Operand): Value {
    return this.binary(a, b, { f32: 0x60, f64: 0x66 }, null, 'i32');
  }

  /** Any one-operand instruction by its opcode bytes. */
  unary(type: ValType, opcode: readonly number[], a: Value): Value {
    return new Value(type, (w) => {
      a.emit(w);
      w.bytes(opcode);
    });
  }

  eqz(a: Value): Value {
    if (a.constant !== null) return this.i32(a.constant === 0n ? 1 : 0);
    return this.unary('i32', [a.type === 'i32' ? 0x45 : 0x50], a);
  }
  clz(a: Value): Value {
    return this.unary(a.type, [a.type === 'i32' ? 0x67 : 0x79], a);
  }
  ctz(a: Value): Value {
    return this.unary(a.type, [a.type === 'i32' ? 0x68 : 0x7a], a);
  }
  popcnt(a: Value): Value {
    return this.unary(a.type, [a.type === 'i32' ? 0x69 : 0x7b], a);
  }
  /** i64 to i32. */
  wrap(a: Value): Value {
    if (a.type === 'i32') return a;
    if (a.constant !== null) return this.i32(Number(BigInt.asIntN(32, a.constant)));
    return this.unary('i32', [0xa7], a);
  }
  /** i32 to i64, unsigned. */
  extendU(a: Value): Value {
    if (a.type === 'i64') return a;
    if (a.constant !== null) return this.i64(BigInt.asUintN(32, a.constant));
    return this.unary('i64', [0xad], a);
  }
  /** i32 to i64, signed. */
  extendS(a: Value): Value {
    if (a.type === 'i64') return a;
    if (a.constant !== null) return this.i64(a.constant);
    return this.unary('i64', [0xac], a);
  }
  /** Sign-extend the low bits of an i32 or i64. */
  signExtend(a: Value, bits: number): Value {
    if (a.constant !== null) {
      const v = BigInt.asIntN(bits, a.constant);
      return a.type === 'i32' ? this.i32(Number(v)) : this.i64(v);
    }
    const code = a.type === 'i32' ? { 8: 0xc0, 16: 0xc1, 32: 0 }[bits] : { 8: 0xc2, 16: 0xc3, 32: 0xc4, 64: 0 }[bits];
    if (code === undefined) throw new Error(`no sign extension of ${bits} bits`);
    return code === 0 ? a : this.unary(a.type, [code], a);
  }
  /** Keep the low bits of an i64. */
  zeroExtend(a: Value, bits: number): Value {
    if (bits === 64) return a;
    return this.and(a, (1n << BigInt(bits)) - 1n);
  }
  /** Without a branch: both are computed. */
  select(condition: Value, ifTrue: Operand, ifFalse: Operand): Value {
    const type = ifTrue instanceof Value ? ifTrue.type : ifFalse instanceof Value ? ifFalse.type : 'i64';
    const a = this.coerce(ifTrue, type);
    const b = this.coerce(ifFalse, type);
    if (condition.constant !== null) return condition.constant ? a : b;
    return new Value(type, (w) => {
      a.emit(w);
      b.emit(w);
      condition.emit(w);
      w.bytes(type === 'v128' ? [0x1c, 0x01, typeCode(type)] : [0x1b]);
    });
  }

  /** A SIMD instruction (prefix 0xFD) on any operands, with immediate bytes (lane numbers). */
  simd(type: ValType, opcode: number, operands: readonly Value[], immediates: readonly number[] = []): Value {
    return new Value(type, (w) => {
      for (const v of operands) v.emit(w);
      w.byte(0xfd);
      w.u32(opcode);
      w.bytes(immediates);
    });
  }

  // ---- memory

  /** Plain load: bits is how much is read, zero- or sign-extended to the type. */
  load(type: ValType, address: Value, offset: number, bits?: number, signed = false): Value {
    const width = bits ?? { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 }[type];
    const code: readonly number[] | undefined =
      type === 'i32'
        ? { 8: signed ? [0x2c] : [0x2d], 16: signed ? [0x2e] : [0x2f], 32: [0x28] }[width]
        : type === 'i64'
          ? { 8: signed ? [0x30] : [0x31], 16: signed ? [0x32] : [0x33], 32: signed ? [0x34] : [0x35], 64: [0x29] }[width]
          : type === 'f32'
            ? [0x2a]
            : type === 'f64'
              ? [0x2b]
              : [0xfd, 0x00];
    if (!code) throw new Error(`no load of ${width} bits as ${type}`);
    return new Value(type, (w) => {
      address.emit(w);
      w.bytes(code);
      w.u32(0); // alignment is only a hint; guest addresses have none
      w.u32(offset);
    });
  }

  store(address: Value, offset: number, value: Value, bits?: number): void {
    const width = bits ?? { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 }[value.type];
    const code: readonly number[] | undefined =
      value.type === 'i32'
        ? { 8: [0x3a], 16: [0x3b], 32: [0x36] }[width]
        : value.type === 'i64'
          ? { 8: [0x3c], 16: [0x3d], 32: [0x3e], 64: [0x37] }[width]
          : value.type === 'f32'
            ? [0x38]
            : value.type === 'f64'
              ? [0x39]
              : [0xfd, 0x0b];
    if (!code) throw new Error(`no store of ${width} bits from ${value.type}`);
    address.emit(this.w);
    value.emit(this.w);
    this.w.bytes(code);
    this.w.u32(0);
    this.w.u32(offset);
  }

  /** Atomic compare-and-exchange of 8 to 64 bits; the address must be aligned. Gives the old value, zero-extended. */
  atomicCompareExchange(address: Value, expected: Value, replacement: Value, bits: number): Value {
    const code = { 8: 0x4c, 16: 0x4d, 32: 0x4e, 64: 0x49 }[bits]!;
    const align = { 8: 0, 16: 1, 32: 2, 64: 3 }[bits]!;
    return new Value('i64', (w) => {
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
    return new Value(target.result, (w) => {
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
    return new Value(result, (w) => {
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

  if(condition: Value, then: () => void, otherwise?: () => void): void {
    if (condition.constant !== null) {
      if (condition.constant) then();
      else otherwise?.();
      return;
    }
    condition.emit(this.w);
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

  brIf(label: Label, condition: Value): void {
    condition.emit(this.w);
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
