// SSE floating-point arithmetic, comparison and conversion as meanings. Intel SDM volume 1, 10.2.3 (MXCSR), 11.5 (exceptions).
//
// WebAssembly's arithmetic rounds to nearest, handles denormals, and knows no flags. It gives the very result, and no new flag, when
// all exceptions are masked, PE is set already, RC is "nearest", DAZ and FTZ are clear, no operand is denormal or NaN, and the result
// neither overflows nor may be tiny. Otherwise a function of core.wasm (src/core/assembly/sse-*.ts) does the instruction bit by bit.

import { Cpu } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import { Simd } from '../wasm/simd.ts';
import type { Builder, Instruction, Meaning, OperandRef } from './builder.ts';
import type { CoreFunction } from './core-functions.ts';
import {
  checkMmx, checkSse, enterMmx, fromLow64, lane64, lanes, pointerTo, readAligned, registerAddress, shuffle, sse, v1, v2, withLane64, writeMmx,
} from './vector.ts';

/** Operation numbers of core's sse_arith32 and sse_arith64: the low bits of opcodes 0F 58 to 0F 5F; SQRT in the gap. */
export const enum FloatOp {
  ADD = 0,
  MUL = 1,
  SQRT = 3,
  SUB = 4,
  MIN = 5,
  DIV = 6,
  MAX = 7,
}

/** Formats of operands: PS, SS, PD, SD. */
export interface Format {
  readonly packed: boolean;
  readonly double: boolean;
}
export const PS: Format = { packed: true, double: false };
export const SS: Format = { packed: false, double: false };
export const PD: Format = { packed: true, double: true };
export const SD: Format = { packed: false, double: true };

const laneCount = ({ packed, double }: Format): number => (packed ? (double ? 2 : 4) : 1);

/** Wasm's operations on one format, scalar or packed. Comparisons give i32, or a mask. */
interface Arithmetic {
  abs(x: Value): Value;
  sqrt(x: Value): Value;
  add(x: Value, y: Value): Value;
  sub(x: Value, y: Value): Value;
  mul(x: Value, y: Value): Value;
  div(x: Value, y: Value): Value;
  lt(x: Value, y: Value): Value;
  le(x: Value, y: Value): Value;
  eq(x: Value, y: Value): Value;
  ne(x: Value, y: Value): Value;
  and(x: Value, y: Value): Value;
  or(x: Value, y: Value): Value;
  /** In all lanes; another node each time. */
  number(n: number): Value;
  /** Smallest normal number, largest finite one. */
  readonly min: number;
  readonly max: number;
  /** i32: whether no lane of a condition holds. */
  none(condition: Value): Value;
  /** A condition's opposite. */
  not(condition: Value): Value;
}

const MIN32 = 2 ** -126;
const MAX32 = (2 - 2 ** -23) * 2 ** 127;
const MIN64 = 2 ** -1022;
const MAX64 = Number.MAX_VALUE;

/** A number in all lanes. */
function splat(b: Builder, double: boolean, n: number): Value {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let k = 0; k < 16; k += double ? 8 : 4) {
    if (double) view.setFloat64(k, n, true);
    else view.setFloat32(k, n, true);
  }
  return b.v128(bytes);
}

/** A 32-bit number in all lanes. */
const splat32 = (b: Builder, n: number): Value => b.v128(new Uint8Array(new Uint32Array(4).fill(n).buffer));

function arithmeticOf(b: Builder, { packed, double }: Format): Arithmetic {
  const min = double ? MIN64 : MIN32;
  const max = double ? MAX64 : MAX32;
  if (packed) {
    const unary = (f32: Simd, f64: Simd) => (x: Value) => v1(b, double ? f64 : f32, x);
    const binary = (f32: Simd, f64: Simd) => (x: Value, y: Value) => v2(b, double ? f64 : f32, x, y);
    return {
      abs: unary(Simd.F32X4_ABS, Simd.F64X2_ABS),
      sqrt: unary(Simd.F32X4_SQRT, Simd.F64X2_SQRT),
      add: binary(Simd.F32X4_ADD, Simd.F64X2_ADD),
      sub: binary(Simd.F32X4_SUB, Simd.F64X2_SUB),
      mul: binary(Simd.F32X4_MUL, Simd.F64X2_MUL),
      div: binary(Simd.F32X4_DIV, Simd.F64X2_DIV),
      lt: binary(Simd.F32X4_LT, Simd.F64X2_LT),
      le: binary(Simd.F32X4_LE, Simd.F64X2_LE),
      eq: binary(Simd.F32X4_EQ, Simd.F64X2_EQ),
      ne: binary(Simd.F32X4_NE, Simd.F64X2_NE),
      and: binary(Simd.V128_AND, Simd.V128_AND),
      or: binary(Simd.V128_OR, Simd.V128_OR),
      none: (c) => b.eqz(b.simd('i32', Simd.V128_ANY_TRUE, [c])),
      not: (c) => v1(b, Simd.V128_NOT, c),
      number: (n) => splat(b, double, n),
      min,
      max,
    };
  }
  const type = double ? 'f64' : 'f32';
  const unary = (f32: number, f64: number) => (x: Value) => b.unary(type, [double ? f64 : f32], x);
  return {
    abs: unary(0x8b, 0x99),
    sqrt: unary(0x91, 0x9f),
    add: (x, y) => b.add(x, y),
    sub: (x, y) => b.sub(x, y),
    mul: (x, y) => b.mul(x, y),
    div: (x, y) => b.div(x, y),
    lt: (x, y) => b.lt(x, y),
    le: (x, y) => b.le(x, y),
    eq: (x, y) => b.eq(x, y),
    ne: (x, y) => b.ne(x, y),
    and: (x, y) => b.and(x, y),
    or: (x, y) => b.or(x, y),
    none: (c) => b.eqz(c),
    not: (c) => b.eqz(c),
    number: (n) => (double ? b.f64(n) : b.f32(n)),
    min,
    max,
  };
}

/** MXCSR is as the fast way needs it, but for PE: all masked, nearest, no DAZ, no FTZ. */
const masked = (b: Builder): Value => b.eq(b.and(b.state('i32', Cpu.MXCSR), 0xffc0), 0x1f80);
const precisionSet = (b: Builder): Value => b.and(b.state('i32', Cpu.MXCSR), 0x20);

/**
 * i32: PE is set already, or would not be, because x op c is exactly r in all lanes.
 * @param bits the operands' bits, of a scalar
 */
function precisionKnown(b: Builder, op: FloatOp, f: Format, x: Value, c: Value, r: Value, bits?: readonly [Value, Value]): Value {
  const { packed, double } = f;
  const known = b.variable('i32', precisionSet(b));
  const name = double ? 'exact64' : 'exact32';
  const askLanes = (): void => {
    const lane = (v: Value, n: number): Value => b.simd(double ? 'f64' : 'f32', double ? Simd.F64X2_EXTRACT_LANE : Simd.F32X4_EXTRACT_LANE, [v], [n]);
    known.set(b.i32(1));
    for (let n = 0; n < (double ? 2 : 4); n++) known.set(b.and(known.get(), b.pure(name, b.i32(op), lane(x, n), lane(c, n), lane(r, n))));
  };
  b.if(b.eqz(known.get()), () => {
    if (op === FloatOp.ADD || op === FloatOp.SUB) return known.set(exactSum(b, op, f, x, c, r));
    if (op === FloatOp.MUL && packed) {
      known.set(shortFactors(b, f, x, c));
      return b.if(b.eqz(known.get()), () => (double ? known.set(exactProducts(b, x, c, r)) : askLanes()), undefined, 'seldom');
    }
    if (!packed) {
      const ask = (): void => known.set(b.pure(name, b.i32(op), x, c, r));
      if (op !== FloatOp.MUL || !bits) return ask();
      known.set(exactProduct(b, f, bits));
      return b.if(b.eqz(known.get()), ask, undefined, 'seldom');
    }
    askLanes();
  });
  return known.get();
}

/** i32: r is exactly x + c or x - c. What the addition lost is a number of the format (D. Knuth's two-sum); NaN if something overflows. */
function exactSum(b: Builder, op: FloatOp, f: Format, x: Value, c: Value, r: Value): Value {
  const a = arithmeticOf(b, f);
  const moved = b.let(a.sub(r, x));
  const other = op === FloatOp.ADD ? a.sub(c, moved) : a.add(c, moved);
  const first = a.sub(x, b.let(a.sub(r, moved)));
  const lost = op === FloatOp.ADD ? a.add(first, other) : a.sub(first, other);
  return a.none(a.ne(b.let(lost), a.number(0)));
}

/** 2^27 + 1 splits a float64 into halves of 26 bits; products from SMALL on lose nothing of their low half. */
const SPLITTER = 134217729;
const SMALL = 1e-140;

/** i32: both products of PD are exact, by T. J. Dekker's product of halves (src/core/assembly/exact.ts); NaN if the splitting overflows. */
function exactProducts(b: Builder, x: Value, c: Value, r: Value): Value {
  const a = arithmeticOf(b, PD);
  const splitter = b.let(splat(b, true, SPLITTER));
  const split = (v: Value): [Value, Value] => {
    const t = b.let(a.mul(splitter, v));
    const high = b.let(a.sub(t, a.sub(t, v)));
    return [high, b.let(a.sub(v, high))];
  };
  const [xh, xl] = split(x);
  const [ch, cl] = split(c);
  const lost = a.add(a.add(a.add(a.sub(a.mul(xh, ch), r), a.mul(xh, cl)), a.mul(xl, ch)), a.mul(xl, cl));
  const tiny = a.and(a.lt(a.abs(r), splat(b, true, SMALL)), a.and(a.ne(x, a.number(0)), a.ne(c, a.number(0))));
  return a.none(a.or(a.ne(lost, a.number(0)), tiny));
}

/** i32: the product of two normal numbers surely has no more bits than the format, as of small whole numbers. */
function exactProduct(b: Builder, { double }: Format, bits: readonly [Value, Value]): Value {
  const zeroes = bits.map((it) => (double ? b.ctz(b.or(it, 1n << 52n)) : b.ctz(b.or(b.wrap(it), 1 << 23))));
  return b.leU(double ? b.i64(53) : b.i32(24), b.add(zeroes[0], zeroes[1]));
}

/** i32: the same of all lanes, if each factor has no more than half of the format's bits. */
function shortFactors(b: Builder, { double }: Format, x: Value, c: Value): Value {
  const low = new Uint8Array(16);
  // The significand's lower 27 of 53 bits, or 12 of 24.
  for (let n = 0; n < 16; n += double ? 8 : 4) low.set(double ? [0xff, 0xff, 0xff, 0x07] : [0xff, 0x0f], n);
  return b.eqz(b.simd('i32', Simd.V128_ANY_TRUE, [v2(b, Simd.V128_AND, v2(b, Simd.V128_OR, x, c), b.v128(low))]));
}

/** Enough where no result is rounded: DAZ is clear. */
const noDaz = (b: Builder): Value => b.eqz(b.and(b.state('i32', Cpu.MXCSR), 0x40));

// --- operands as floating-point values

const asFloat = (b: Builder, { double }: Format, bits: Value): Value =>
  b.let(b.asFloat(double, bits));
const asBits = (b: Builder, { double }: Format, x: Value): Value => (double ? b.unary('i64', [0xbd], x) : b.extendU(b.unary('i32', [0xbc], x)));

/** The operand's bits (i64) or vector. */
const readBits = (b: Builder, { packed }: Format, operand: OperandRef): Value => (packed ? readAligned(b, operand) : operand.read());
const toFloat = (b: Builder, f: Format, bits: Value): Value => (f.packed ? bits : asFloat(b, f, bits));

/** A core function on (…, dst, src) by address, which writes the destination itself. */
function byCore(b: Builder, i: Instruction, name: CoreFunction, first: readonly number[], source: Value): void {
  const from = pointerTo(b, i.src, source);
  b.core(name, ...first.map((n) => b.i32(n)), registerAddress(b, i.dst), from);
  b.checkFault();
}

/** A condition that holds in lanes where x is denormal. */
function denormal(a: Arithmetic, x: Value): Value {
  return a.and(a.lt(a.abs(x), a.number(a.min)), a.ne(x, a.number(0)));
}

/**
 * The same for a scalar's bits (i64): without sign, between 1 and the smallest normal number. Integers decide it in one comparison.
 */
function denormalBits(b: Builder, { double }: Format, bits: Value): Value {
  if (double) return b.ltU(b.sub(b.shl(bits, 1), 1), (1n << 53n) - 1n);
  return b.ltU(b.sub(b.shl(b.wrap(bits), 1), 1), 0x00ff_ffff);
}

/** A scalar's bits (i64) are those of a normal, finite number. */
function normalBits(b: Builder, { double }: Format, bits: Value): Value {
  if (double) return b.ltU(b.sub(b.shl(bits, 1), 1n << 53n), 0x7fen << 53n);
  return b.ltU(b.sub(b.shl(b.wrap(bits), 1), 0x0100_0000), 0xfe00_0000 | 0);
}

/** i32: r, the vector x op c, raises no new flag. */
function raisesNothing(b: Builder, a: Arithmetic, op: FloatOp, f: Format, x: Value, c: Value, r: Value): Value {
  const size = b.let(a.abs(r));
  // Sums that are tiny are exact. Products and quotients are not, unless a factor or the dividend is zero.
  let bad = a.or(a.or(denormal(a, x), denormal(a, c)), a.not(a.le(size, a.number(a.max))));
  if (op === FloatOp.MUL) bad = a.or(bad, a.and(a.le(size, a.number(a.min)), a.and(a.ne(x, a.number(0)), a.ne(c, a.number(0)))));
  if (op === FloatOp.DIV) bad = a.or(bad, a.and(a.le(size, a.number(a.min)), a.ne(x, a.number(0))));
  const good = b.let(a.none(bad));
  return b.and(b.and(masked(b), good), b.ne(precisionKnown(b, op, f, x, c, r), 0));
}

/** ADD, SUB, MUL, DIV. */
export const arithmetic = (op: FloatOp, f: Format): Meaning =>
  sse((i, b) => {
    const sourceBits = readBits(b, f, i.src);
    const c = toFloat(b, f, sourceBits);
    const destinationBits = i.dst.read();
    const x = toFloat(b, f, destinationBits);
    const a = arithmeticOf(b, f);
    const r = b.let(op === FloatOp.ADD ? a.add(x, c) : op === FloatOp.SUB ? a.sub(x, c) : op === FloatOp.MUL ? a.mul(x, c) : a.div(x, c));
    if (!f.packed) {
      // Most results are normal numbers. Of those only the operands are asked; whatever is left, core decides.
      const bits = b.let(asBits(b, f, r));
      const isZero = (v: Value): Value => b.eqz(b.shl(f.double ? v : b.wrap(v), 1));
      // A sum may be zero or tiny, and is exact then; a product or quotient is exactly zero with a factor or dividend that is.
      const zeroes = op === FloatOp.ADD || op === FloatOp.SUB ? isZero(bits) : b.and(isZero(bits), op === FloatOp.MUL ? b.or(isZero(destinationBits), isZero(sourceBits)) : isZero(destinationBits));
      const plain = b.or(normalBits(b, f, bits), zeroes);
      const denormals = b.or(denormalBits(b, f, destinationBits), denormalBits(b, f, sourceBits));
      return b.if(
        b.let(b.and(b.and(b.and(masked(b), plain), b.eqz(denormals)), b.ne(precisionKnown(b, op, f, x, c, r, [destinationBits, sourceBits]), 0))),
        () => i.dst.write(r),
        () => byCore(b, i, f.double ? 'sse_arith64' : 'sse_arith32', [op, laneCount(f)], sourceBits),
        'mostly',
      );
    }
    b.if(
      raisesNothing(b, a, op, f, x, c, r),
      () => i.dst.write(r),
      () => byCore(b, i, f.double ? 'sse_arith64' : 'sse_arith32', [op, laneCount(f)], sourceBits),
      'mostly',
    );
  });

export const squareRoot = (f: Format): Meaning =>
  sse((i, b) => {
    const sourceBits = readBits(b, f, i.src);
    const c = toFloat(b, f, sourceBits);
    const a = arithmeticOf(b, f);
    const r = b.let(a.sqrt(c));
    const bad = a.or(denormal(a, c), a.not(a.le(r, a.number(a.max))));
    const good = b.let(a.none(bad));
    b.if(
      b.and(b.and(masked(b), good), b.ne(precisionKnown(b, FloatOp.SQRT, f, c, c, r), 0)),
      () => i.dst.write(r),
      () => byCore(b, i, f.double ? 'sse_arith64' : 'sse_arith32', [FloatOp.SQRT, laneCount(f)], sourceBits),
      'mostly',
    );
  });

/** Neither NaN nor denormal: comparing raises nothing. The bits are a scalar's. */
function comparable(b: Builder, f: Format, a: Arithmetic, x: Value, c: Value, xBits: Value, cBits: Value): Value {
  const nan = a.or(a.ne(x, x), a.ne(c, c));
  const denormals = f.packed ? a.or(denormal(a, x), denormal(a, c)) : b.or(denormalBits(b, f, xBits), denormalBits(b, f, cBits));
  return b.and(noDaz(b), a.none(a.or(nan, denormals)));
}

/** MIN, MAX: the second operand if they are equal. */
export const extreme = (op: FloatOp.MIN | FloatOp.MAX, f: Format): Meaning =>
  sse((i, b) => {
    const sourceBits = readBits(b, f, i.src);
    const c = toFloat(b, f, sourceBits);
    const destinationBits = i.dst.read();
    const x = toFloat(b, f, destinationBits);
    const a = arithmeticOf(b, f);
    b.if(
      comparable(b, f, a, x, c, destinationBits, sourceBits),
      () => {
        if (f.packed) {
          const opcode = op === FloatOp.MIN ? (f.double ? Simd.F64X2_PMIN : Simd.F32X4_PMIN) : f.double ? Simd.F64X2_PMAX : Simd.F32X4_PMAX;
          i.dst.write(b.let(v2(b, opcode, c, x)));
        } else {
          i.dst.write(b.let(b.select(op === FloatOp.MIN ? a.lt(x, c) : a.lt(c, x), x, c)));
        }
      },
      () => byCore(b, i, f.double ? 'sse_arith64' : 'sse_arith32', [op, laneCount(f)], sourceBits),
      'mostly',
    );
  });

/** CMPPS and its like: the predicate is the immediate's low three bits. */
export const compareMask = (f: Format): Meaning =>
  sse((i, b) => {
    const sourceBits = readBits(b, f, i.src);
    const which = b.let(b.and(b.wrap(i.third.read()), 7));
    const byCore = (): void => {
      b.core(f.double ? 'sse_cmp64' : 'sse_cmp32', which, b.i32(laneCount(f)), registerAddress(b, i.dst), pointerTo(b, i.src, sourceBits));
      b.checkFault();
    };
    if (!which.isConstant) return byCore();
    const c = toFloat(b, f, sourceBits);
    const destinationBits = i.dst.read();
    const x = toFloat(b, f, destinationBits);
    const a = arithmeticOf(b, f);
    b.if(
      comparable(b, f, a, x, c, destinationBits, sourceBits),
      () => {
        const holds = holdsInOrder(a, which.exact, x, c);
        i.dst.write(b.let(f.packed ? holds : b.sub(b.i64(0), b.extendU(holds))));
      },
      byCore,
      'mostly',
    );
  });

/** A predicate of CMPPS (Intel SDM volume 2, table 3-1) of numbers that are none NaN: a mask by lanes, or of scalars i32. */
function holdsInOrder(a: Arithmetic, predicate: number, x: Value, c: Value): Value {
  switch (predicate) {
    case 0:
      return a.eq(x, c);
    case 1:
      return a.lt(x, c);
    case 2:
      return a.le(x, c);
    case 3:
      return a.ne(x, x);
    case 4:
      return a.ne(x, c);
    case 5:
      return a.le(c, x);
    case 6:
      return a.lt(c, x);
    default:
      return a.eq(x, x);
  }
}

/** COMISS and its like (signaling), UCOMISS and its like. */
export const compareFlags = (signaling: boolean, f: Format): Meaning =>
  sse((i, b) => {
    const sourceBits = i.src.read();
    const destinationBits = i.dst.read();
    const c = asFloat(b, f, sourceBits);
    const x = asFloat(b, f, destinationBits);
    const a = arithmeticOf(b, f);
    const flags = b.variable('i32');
    b.if(
      comparable(b, f, a, x, c, destinationBits, sourceBits),
      // CF is bit 0, ZF bit 6.
      () => flags.set(b.or(a.lt(x, c), b.shl(a.eq(x, c), 6))),
      () => {
        flags.set(b.core(f.double ? 'sse_comi64' : 'sse_comi32', b.i32(signaling ? 1 : 0), destinationBits, sourceBits));
        b.checkFault();
      },
      'mostly',
    );
    b.flags.explicit(flags.get());
  });

/** A sum or difference of two vectors that are made of the operands first. */
const sum = (op: FloatOp.ADD | FloatOp.SUB, f: Format, name: CoreFunction, first: readonly number[], operands: (b: Builder, x: Value, c: Value) => [Value, Value]): Meaning =>
  sse((i, b) => {
    const source = readAligned(b, i.src);
    const [x, c] = operands(b, i.dst.read(), source).map((it) => b.let(it));
    const a = arithmeticOf(b, f);
    const r = b.let(op === FloatOp.ADD ? a.add(x, c) : a.sub(x, c));
    b.if(
      raisesNothing(b, a, op, f, x, c, r),
      () => i.dst.write(r),
      () => byCore(b, i, name, first, source),
      'mostly',
    );
  });

/** ADDSUBPS, ADDSUBPD: even lanes subtract, which is to add the opposite. */
export const addAndSubtract = (f: Format): Meaning =>
  sum(FloatOp.ADD, f, f.double ? 'sse_addsub64' : 'sse_addsub32', [], (b, x, c) => [x, v2(b, Simd.V128_XOR, c, b.v128(signs(f, 2)))]);

/** HADDPS and its like: even lanes of both operands with the odd ones. */
export const horizontal = (op: FloatOp.ADD | FloatOp.SUB, f: Format): Meaning =>
  sum(op, f, f.double ? 'sse_horizontal64' : 'sse_horizontal32', [op], (b, x, c) => {
    const from = (first: 0 | 1): Value => shuffle(b, x, c, f.double ? lanes(8, [first, first + 2]) : lanes(4, [first, first + 2, first + 4, first + 6]));
    return [from(0), from(1)];
  });

/** The sign bits of each lane, or of each second one. */
function signs({ double }: Format, step: 1 | 2): Uint8Array {
  const size = double ? 8 : 4;
  return Uint8Array.from({ length: 16 }, (_, k) => (k % (size * step) === size - 1 ? 0x80 : 0));
}

/**
 * RCP and RSQRT: approximations with a relative error below 1.5 * 2^-12 and no exceptions. Real processors differ in the bits; here they
 * are the true values rounded to 13 bits. Denormal operands count as zeros, tiny results as well.
 */
export const approximate = (roots: boolean, f: Format): Meaning =>
  sse((i, b) => {
    const bits = readBits(b, f, i.src);
    const r = b.let(approximation(b, roots, f.packed ? bits : b.let(fromLow64(b, bits))));
    i.dst.write(f.packed ? r : lane64(b, r, 0));
  });

function approximation(b: Builder, roots: boolean, x: Value): Value {
  const a = arithmeticOf(b, PS);
  const select = (condition: Value, yes: Value, no: Value): Value => b.let(b.simd('v128', Simd.V128_BITSELECT, [yes, no, condition]));
  const sign = b.let(v2(b, Simd.V128_AND, x, b.v128(signs(PS, 1))));
  /** A tiny number becomes a zero; NaN stays. */
  const flushed = (v: Value): Value => select(a.lt(a.abs(v), a.number(a.min)), sign, v);
  const operand = flushed(x);
  const exact = a.div(splat(b, false, 1), roots ? a.sqrt(operand) : operand);
  const rounded = b.let(v2(b, Simd.V128_AND, v2(b, Simd.I32X4_ADD, exact, splat32(b, 0x400)), splat32(b, 0xffff_f800)));
  const r = roots ? select(a.lt(operand, a.number(0)), splat32(b, 0xffc0_0000), rounded) : flushed(rounded);
  return select(a.ne(x, x), v2(b, Simd.V128_OR, x, splat32(b, 0x40_0000)), r);
}

// --- conversions

/** CVTSI2SS, CVTSI2SD from 32 or 64 bits. */
export const fromInteger = (f: Format): Meaning =>
  sse((i, b) => {
    const value = b.let(b.signExtend(i.src.read(), i.src.size));
    const convert = (): void => {
      // f64.convert_i64_s, f32.convert_i64_s
      i.dst.write(b.let(f.double ? b.unary('f64', [0xb9], value) : b.unary('f32', [0xb4], value)));
    };
    // 32 bits fit into a float64.
    if (f.double && i.src.size === 32) convert();
    else {
      // Integers of as many bits as the format has are exact.
      const bits = f.double ? 53n : 24n;
      const exact = b.leU(b.add(value, 1n << bits), 1n << (bits + 1n));
      b.if(b.and(masked(b), b.or(exact, precisionSet(b))), convert, () => {
        b.core(f.double ? 'sse_cvtsi2sd' : 'sse_cvtsi2ss', registerAddress(b, i.dst), value);
        b.checkFault();
      }, 'mostly');
    }
  });

/** CVTSS2SI, CVTSD2SI and the truncating ones. */
export const toInteger = (truncate: boolean, f: Format): Meaning =>
  sse((i, b) => {
    const bits = i.src.read();
    const x = asFloat(b, f, bits);
    const { size } = i.dst;
    const type = f.double ? 'f64' : 'f32';
    const limit = 2 ** (size - 1);
    const abs = b.unary(type, [f.double ? 0x99 : 0x8b], x);
    const out = b.variable('i64');
    b.if(
      b.and(
        b.and(masked(b), b.lt(abs, f.double ? b.f64(limit - (size === 32 ? 1 : 0)) : b.f32(limit))),
        b.ne(b.or(precisionSet(b), b.eq(b.unary(type, [f.double ? 0x9d : 0x8f], x), x)), 0),
      ),
      () => {
        const rounded = truncate ? x : b.unary(type, [f.double ? 0x9e : 0x90], x);
        // i64.trunc_sat_f64_s, i64.trunc_sat_f32_s
        out.set(b.unary('i64', f.double ? [0xfc, 6] : [0xfc, 4], rounded));
      },
      () => {
        out.set(b.core(f.double ? 'sse_int_of64' : 'sse_int_of32', bits, b.i32(size), b.i32(truncate ? 1 : 0)));
        b.checkFault();
      },
      'mostly',
    );
    i.dst.write(out.get());
  });

/** CVTSS2SD */
export const widenScalar: Meaning = sse((i, b) => {
  const bits = i.src.read();
  const x = asFloat(b, SS, bits);
  const a = arithmeticOf(b, SS);
  b.if(
    b.and(noDaz(b), a.none(a.or(a.ne(x, x), denormal(a, x)))),
    () => i.dst.write(b.unary('f64', [0xbb], x)),
    () => {
      b.core('sse_cvtss2sd', registerAddress(b, i.dst), bits);
      b.checkFault();
    },
    'mostly',
  );
});

/** CVTSD2SS */
export const narrowScalar: Meaning = sse((i, b) => {
  const bits = i.src.read();
  const x = asFloat(b, SD, bits);
  const r = b.let(b.unary('f32', [0xb6], x));
  const a = arithmeticOf(b, SS);
  const size = b.let(a.abs(r));
  const bad = b.or(b.eqz(a.le(size, a.number(a.max))), b.and(a.le(size, a.number(a.min)), b.ne(x, b.f64(0))));
  b.if(
    b.and(b.and(masked(b), b.eqz(bad)), b.ne(b.or(precisionSet(b), b.eq(b.unary('f64', [0xbb], r), x)), 0)),
    () => i.dst.write(r),
    () => {
      b.core('sse_cvtsd2ss', registerAddress(b, i.dst), bits);
      b.checkFault();
    },
    'mostly',
  );
});

/** CVTPS2PD: 64 bits of source. */
export const widenPacked: Meaning = sse((i, b) => {
  const x = i.src.readLow();
  const a = arithmeticOf(b, PS);
  b.if(
    b.and(noDaz(b), a.none(a.or(a.ne(x, x), denormal(a, x)))),
    () => i.dst.write(b.let(v1(b, Simd.F64X2_PROMOTE_LOW_F32X4, x))),
    () => {
      b.core('sse_cvtps2pd', registerAddress(b, i.dst), lane64(b, x, 0));
      b.checkFault();
    },
    'mostly',
  );
});

/** CVTDQ2PD: always exact. */
export const integersToDoubles: Meaning = sse((i, b) => i.dst.write(b.let(v1(b, Simd.F64X2_CONVERT_LOW_I32X4_S, i.src.readLow()))));

/** CVTPD2PS: the upper half becomes zero. */
export const narrowPacked: Meaning = sse((i, b) => {
  const v = readAligned(b, i.src);
  const r = b.let(v1(b, Simd.F32X4_DEMOTE_F64X2_ZERO, v));
  const widened = b.let(v1(b, Simd.F64X2_PROMOTE_LOW_F32X4, r));
  const a = arithmeticOf(b, PD);
  const size = b.let(a.abs(widened));
  const bad = a.or(a.not(a.le(size, splat(b, true, MAX32))), a.and(a.le(size, splat(b, true, MIN32)), a.ne(v, a.number(0))));
  b.if(
    b.and(b.and(masked(b), a.none(bad)), b.ne(b.or(precisionSet(b), a.none(a.ne(widened, v))), 0)),
    () => i.dst.write(r),
    () => byCore(b, i, 'sse_cvtpd2ps', [], v),
    'mostly',
  );
});

/** i32: four integers become float32 and raise no new flag. Those of 24 bits are exact, and so is -2^31, whose absolute value is negative. */
function areQuietIntegers(b: Builder, v: Value): Value {
  const long = v2(b, Simd.I32X4_GT_S, v1(b, Simd.I32X4_ABS, v), splat32(b, 2 ** 24));
  return b.and(masked(b), b.ne(b.or(precisionSet(b), b.eqz(b.simd('i32', Simd.V128_ANY_TRUE, [long]))), 0));
}

/** CVTDQ2PS */
export const integersToSingles: Meaning = sse((i, b) => {
  const v = readAligned(b, i.src);
  b.if(
    areQuietIntegers(b, v),
    () => i.dst.write(b.let(v1(b, Simd.F32X4_CONVERT_I32X4_S, v))),
    () => byCore(b, i, 'sse_cvtdq2ps', [], v),
    'mostly',
  );
});

/** A vector as integers of 32 bits, those of PD in the low half and zeros above, and whether (i32) they raise no new flag. */
function toIntegers(b: Builder, truncate: boolean, f: Format, v: Value): { integers: () => Value; isQuiet: Value } {
  const a = arithmeticOf(b, f);
  const [nearest, whole] = f.double ? [Simd.F64X2_NEAREST, Simd.F64X2_TRUNC] : [Simd.F32X4_NEAREST, Simd.F32X4_TRUNC];
  const rounded = b.let(v1(b, truncate ? whole : nearest, v));
  // A float64 just below 2^31 may be rounded up to it; there is no such float32.
  const isInRange = a.none(a.not(a.lt(a.abs(v), splat(b, f.double, 2 ** 31 - (f.double ? 1 : 0)))));
  return {
    integers: () => b.let(v1(b, f.double ? Simd.I32X4_TRUNC_SAT_F64X2_S_ZERO : Simd.I32X4_TRUNC_SAT_F32X4_S, rounded)),
    isQuiet: b.and(b.and(masked(b), isInRange), b.ne(b.or(precisionSet(b), a.none(a.ne(rounded, v))), 0)),
  };
}

/** CVTPS2DQ, CVTPD2DQ and the truncating ones. */
export const packedToIntegers = (truncate: boolean, f: Format): Meaning =>
  sse((i, b) => {
    const v = readAligned(b, i.src);
    const { integers, isQuiet } = toIntegers(b, truncate, f, v);
    b.if(
      isQuiet,
      () => i.dst.write(integers()),
      () => byCore(b, i, f.double ? 'sse_cvtpd2dq' : 'sse_cvtps2dq', [truncate ? 1 : 0], v),
      'mostly',
    );
  });

// --- MMX registers and XMM registers together: both checks, and the switch to MMX

// An SSE exception that is not masked comes after the switch to MMX, as on AMD's processors.

/** CVTPI2PS: to the low half. */
export const mmxToSingles: Meaning = (i, b) => {
  checkSse(b);
  checkMmx(b);
  const bits = i.src.read();
  const v = b.let(fromLow64(b, bits));
  b.if(
    areQuietIntegers(b, v),
    () => i.dst.write(b.let(withLane64(b, i.dst.read(), 0, lane64(b, v1(b, Simd.F32X4_CONVERT_I32X4_S, v), 0)))),
    () => b.core('sse_cvtpi2ps', registerAddress(b, i.dst), bits),
  );
  // With a memory operand no MMX register is touched.
  if (!i.src.isMemory) enterMmx(b);
  b.checkFault();
};

/** CVTPS2PI, CVTPD2PI and the truncating ones. Core puts the result into Cpu.SCRATCH, since it may raise an exception. */
export const packedToMmx =
  (truncate: boolean, f: Format): Meaning =>
  (i, b) => {
    checkSse(b);
    checkMmx(b);
    const source = f.double ? readAligned(b, i.src) : i.src.read();
    const { integers, isQuiet } = toIntegers(b, truncate, f, f.double ? source : b.let(fromLow64(b, source)));
    const out = b.variable('i64');
    b.if(
      isQuiet,
      () => out.set(lane64(b, integers(), 0)),
      () => {
        b.core(f.double ? 'sse_cvtpd2pi' : 'sse_cvtps2pi', b.i32(truncate ? 1 : 0), b.let(b.add(b.cpu(), Cpu.SCRATCH)), f.double ? pointerTo(b, i.src, source) : source);
        out.set(b.state('i64', Cpu.SCRATCH));
      },
    );
    enterMmx(b);
    b.checkFault();
    writeMmx(b, i.dst, out.get());
  };

