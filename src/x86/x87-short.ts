// The x87's short way as code in place: numbers that are zero or normal, rounded to nearest, to 64 or 53 bits of significand. Compiled code that
// meets another number leaves the region; where that happens often it is made again, to call core's functions (src/core/assembly/x87-quick.ts
// has the same for them).
// Intel SDM, volume 1, 8.1.5 (control word), 8.5 (exceptions); IEEE 754-2008, 4.3.1 (round to nearest, ties to even).

import { X87Op } from '../core/layout.ts';
import type { Label, Value, Variable } from '../wasm/function.ts';
import type { Builder, FloatNumber, FloatStack, Precision } from './builder.ts';

const TOP_BIT = 1n << 63n;
const LOW = 0xffff_ffffn;
const BIAS = 16383;
const EXPONENT = 0x7fff;
const SIGN = 0x8000;
/** f64.convert_i64_s, i64.reinterpret_f64 */
const CONVERT_I64_S = [0xb9];
const REINTERPRET_F64 = [0xbd];
/** See sum(). */
const ALIKE = 3n;
/** Of FSW: PE, C1, C0 and C3. */
const PE_SHIFT = 5;
const C1_SHIFT = 9;
const C0_SHIFT = 8;
const C3 = 0x4000;

type Bits = Pick<Builder, 'and' | 'or' | 'sub' | 'ltU' | 'geU' | 'geS' | 'ne' | 'extendU' | 'select'>;

/** Not from 1 to so many. (i32) */
const isOutside = (b: Bits, exponent: Value, last: number): Value => b.geU(b.sub(exponent, 1), last);

/** Neither zero nor normal. (i32) */
export function isStrange(b: Bits, { significand, signExponent }: FloatNumber): Value {
  const all = b.or(b.extendU(b.and(signExponent, EXPONENT)), significand);
  return b.select(b.geS(significand, 0), b.ne(all, 0), isOutside(b, b.and(signExponent, EXPONENT), EXPONENT - 1));
}

/** 1 where (kept:rest) is to be rounded up to an even number, where the first bit of `rest` is a half, else 0 (i64). */
function roundsUp(b: Builder, kept: Value, rest: Value): Value {
  // More than a half, or a half and an odd number: then neither this nor one less has a first bit of 0.
  const all = b.let(b.or(rest, b.and(kept, 1)));
  return b.let(b.shrU(b.and(all, b.sub(all, 1)), 63));
}

/** For FSW: what rounding did. */
const roundingBits = (b: Builder, up: Value, rest: Value): Value => b.or(b.shl(b.wrap(up), C1_SHIFT), b.shl(b.ne(rest, 0), PE_SHIFT));

export interface Rounded {
  readonly number: FloatNumber;
  /** For FSW (i32). */
  readonly bits: Value;
}

/** The same as a float32 or float64 (i64). */
export interface Narrowed {
  readonly value: Value;
  readonly bits: Value;
}

/** A result in the making. */
interface Result {
  /** 128 bits, the first of which is set; in the end what is rounded of them. */
  readonly hi: Variable;
  readonly lo: Variable;
  /** The exponent is in its range. */
  readonly signExponent: Variable;
  /** Not 0: bits may be cut off (i64). */
  readonly isAsked: Variable;
  /** For FSW. */
  readonly bits: Variable;
}

function setExact(b: Builder, { hi, signExponent, bits }: Result, number: Omit<FloatNumber, 'isPlain'>): void {
  hi.set(number.significand);
  signExponent.set(number.signExponent);
  bits.set(b.i32(0));
}

/** Rounding is asked for where bits are cut off: programs have numbers of the one kind or of the other. */
function askRounding(b: Builder, precision: Precision, { hi, lo, isAsked }: Result): void {
  isAsked.set(precision === 64 ? lo.get() : b.or(b.shl(hi.get(), precision), lo.get()));
}

/** To the nearest number. */
function round(b: Builder, s: FloatStack, precision: Precision, { hi, lo, signExponent, isAsked, bits }: Result): void {
  // What is kept of a shorter significand is moved down, rounded, and moved up again.
  const drop = 64 - precision;
  bits.set(b.i32(0));
  b.if(b.ne(isAsked.get(), 0), () => {
    const kept = drop === 0 ? hi.get() : b.let(b.shrU(hi.get(), drop));
    const rest = drop === 0 ? lo.get() : b.let(b.or(b.shl(hi.get(), precision), b.extendU(b.ne(lo.get(), 0))));
    const up = roundsUp(b, kept, rest);
    bits.set(roundingBits(b, up, rest));
    hi.set(b.shl(b.add(kept, up), drop));
    // A carry out of the last place leaves a power of two.
    b.if(b.eqz(hi.get()), () => {
      s.requireShort(b.ne(b.and(signExponent.get(), EXPONENT), EXPONENT - 1));
      signExponent.set(b.add(signExponent.get(), 1));
      hi.set(b.i64(TOP_BIT));
    }, undefined, 'seldom');
  });
}

/**
 * Of two numbers, by a function for two that are not zero and one for others.
 * @param ofNormal may leave the block where there is nothing to be rounded
 */
function rounded(
  b: Builder,
  s: FloatStack,
  precision: Precision,
  x: FloatNumber,
  y: FloatNumber,
  ofNormal: (result: Result, done: Label) => void,
  ofZero: () => Omit<FloatNumber, 'isPlain'>,
): Rounded {
  const result = { hi: b.variable('i64'), lo: b.variable('i64'), signExponent: b.variable('i32'), isAsked: b.variable('i64'), bits: b.variable('i32') };
  b.if(
    b.geS(b.and(x.significand, y.significand), 0),
    () => setExact(b, result, ofZero()),
    () => b.block((done) => {
      ofNormal(result, done);
      round(b, s, precision, result);
    }),
    'seldom',
  );
  const { hi, signExponent, bits } = result;
  return { number: { significand: hi.get(), signExponent: signExponent.get(), isPlain: true }, bits: bits.get() };
}

/** x + y, x - y or y - x by `op`: ADD, SUB, SUBR. */
export function sum(b: Builder, s: FloatStack, precision: Precision, op: number, x: FloatNumber, y: FloatNumber): Rounded {
  const signX = op === X87Op.SUBR ? b.let(b.xor(x.signExponent, SIGN)) : x.signExponent;
  const signY = op === X87Op.SUB ? b.let(b.xor(y.signExponent, SIGN)) : y.signExponent;
  const ofNormal = (result: Result, done: Label): void => {
    const { hi, lo, signExponent, isAsked } = result;
    const difference = b.let(b.sub(b.and(signX, EXPONENT), b.and(signY, EXPONENT)));
    /** All ones where y's exponent is the larger one. */
    const isLess = b.let(b.shrS(difference, 31));
    const distance = b.let(b.sub(b.xor(difference, isLess), isLess));
    const differs = b.let(b.xor(signX, signY));
    signExponent.set(b.select(isLess, signY, signX));
    const big = b.let(b.select(isLess, y.significand, x.significand));
    const small = b.variable('i64', b.select(isLess, x.significand, y.significand));
    const by = b.variable('i64', b.extendU(distance));
    b.if(b.gtU(distance, 63), () => {
      // A half of the last place, or of that of a difference, is no further away than this.
      s.requireShort(b.gtU(distance, 65));
      small.set(b.i64(1));
      by.set(b.i64(63));
    }, undefined, 'seldom');
    /** All ones where the signs differ: the smaller number is then made a negative one, of 65 bits, the first of which is this. */
    const minus = b.let(b.shrS(b.shl(b.extendU(differs), 48), 63));
    const less = b.let(b.add(small.get(), minus));
    // At distance 0 all of the small number would come back.
    const back = b.let(b.sub(0n, by.get()));
    hi.set(b.add(big, b.xor(b.shrU(less, by.get()), minus)));
    lo.set(b.shl(b.xor(less, minus), back));
    askRounding(b, precision, result);
    // Numbers of about the same size (up to ALIKE places apart), whose sum may have to be moved: whether it has, and what is cut off, no processor
    // foresees, so that there are as few branches there as can be. Further apart it is seldom.
    b.if(b.geS(b.and(hi.get(), b.sub(ALIKE, by.get())), 0), () => {
      isAsked.set(b.i64(1));
      const isApart = b.let(b.shrS(back, 63));
      lo.set(b.and(lo.get(), isApart));
      b.if(b.eqz(minus), () => carry(b, s, result, big), () => cancel(b, s, result, isApart, done));
    });
  };
  const ofZero = (): Omit<FloatNumber, 'isPlain'> => {
    const isZeroX = b.let(b.eqz(x.significand));
    const other = b.select(isZeroX, signY, signX);
    const significand = b.let(b.or(x.significand, y.significand));
    if (precision < 64) s.requireShort(b.eqz(b.shl(significand, precision)));
    return {
      significand,
      // Of two zeros, minus if both are.
      signExponent: b.select(b.and(isZeroX, b.eqz(y.significand)), b.and(signX, signY), other),
    };
  };
  return rounded(b, s, precision, x, y, ofNormal, ofZero);
}

/** Of a sum, of which (hi:lo) may have lost a carry. */
function carry(b: Builder, s: FloatStack, { hi, lo, signExponent }: Result, big: Value): void {
  const carried = b.let(b.extendU(b.ltU(hi.get(), big)));
  // What is shifted out is 0.
  lo.set(b.or(b.shrU(lo.get(), carried), b.shl(b.and(hi.get(), carried), 63)));
  hi.set(b.or(b.shrU(hi.get(), carried), TOP_BIT));
  signExponent.set(b.add(signExponent.get(), b.wrap(carried)));
  s.requireShort(b.ne(b.and(signExponent.get(), EXPONENT), EXPONENT));
}

/** Of a difference, of which (hi:lo) may begin with zeros: one at most, or there is at most one bit in lo. */
function cancel(b: Builder, s: FloatStack, result: Result, isApart: Value, done: Label): void {
  const { hi, lo, signExponent } = result;
  // Of two numbers with one exponent the larger one may have been subtracted.
  const isNegative = b.let(b.and(b.shrS(hi.get(), 63), b.xor(isApart, -1n)));
  const sign = b.let(b.and(b.xor(signExponent.get(), b.wrap(isNegative)), SIGN));
  const exponent = b.variable('i32', b.and(signExponent.get(), EXPONENT));
  hi.set(b.sub(b.xor(hi.get(), isNegative), isNegative));
  b.if(b.eqz(hi.get()), () => {
    // All of it was cancelled, or all but the last bit.
    b.if(b.eqz(lo.get()), () => {
      setExact(b, result, { significand: b.i64(0), signExponent: b.i32(0) });
      b.br(done);
    });
    hi.set(lo.get());
    lo.set(b.i64(0));
    exponent.set(b.sub(exponent.get(), 64));
  }, undefined, 'seldom');
  const shift = b.let(b.clz(hi.get()));
  hi.set(b.or(b.shl(hi.get(), shift), b.shrU(b.shl(b.shrU(lo.get(), 63), shift), 1)));
  lo.set(b.shl(lo.get(), shift));
  exponent.set(b.sub(exponent.get(), b.wrap(shift)));
  s.requireShort(b.gtS(exponent.get(), 0));
  signExponent.set(b.or(sign, exponent.get()));
}

export function product(b: Builder, s: FloatStack, precision: Precision, x: FloatNumber, y: FloatNumber): Rounded {
  const ofNormal = (result: Result): void => {
    const { hi, lo, signExponent } = result;
    const halves = ({ significand }: FloatNumber): Value[] => [b.let(b.and(significand, LOW)), b.let(b.shrU(significand, 32))];
    const [xl, xh] = halves(x);
    const [yl, yh] = halves(y);
    const low = b.let(b.mul(xl, yl));
    const middle = b.let(b.add(b.mul(xl, yh), b.shrU(low, 32)));
    const other = b.let(b.add(b.mul(xh, yl), b.and(middle, LOW)));
    const high = b.let(b.add(b.add(b.mul(xh, yh), b.shrU(middle, 32)), b.shrU(other, 32)));
    const rest = b.let(b.or(b.shl(other, 32), b.and(low, LOW)));
    /** All ones where the product begins one place lower. */
    const short = b.let(b.xor(b.shrS(high, 63), -1n));
    const carried = b.let(b.and(rest, short));
    hi.set(b.add(b.add(high, b.and(high, short)), b.shrU(carried, 63)));
    lo.set(b.add(rest, carried));
    askRounding(b, precision, result);
    const exponent = b.let(b.add(b.add(b.add(b.and(x.signExponent, EXPONENT), b.and(y.signExponent, EXPONENT)), 1 - BIAS), b.wrap(short)));
    s.requireShort(b.ltU(b.sub(exponent, 1), EXPONENT - 1));
    signExponent.set(b.or(b.and(b.xor(x.signExponent, y.signExponent), SIGN), exponent));
  };
  const ofZero = () => ({ significand: b.i64(0), signExponent: b.and(b.xor(x.signExponent, y.signExponent), SIGN) });
  return rounded(b, s, precision, x, y, ofNormal, ofZero);
}

/** About a number (i64, unsigned), as f64: half of it, cut. Processors convert signed numbers. */
const halfOf = (b: Builder, value: Value): Value => b.unary('f64', CONVERT_I64_S, b.shrU(value, 1));

/** The whole number below an f64 that is not negative and below 2^33, or one more, where 2^-20 are missing: between 2^33 and 2^34 it has 19 bits behind the point. */
const wholeOf = (b: Builder, value: Value): Value => b.shrU(b.shl(b.unary('i64', REINTERPRET_F64, b.add(value, b.f64(2 ** 33))), 12), 31);

/**
 * A digit of a quotient, of 32 bits, and what is left: of (high:next), where high is less than the divisor, whose first bit is set.
 * @param inverse of the divisor, as digits and halfOf() want it, too large by some units of 2^-50 of it
 */
function digit(b: Builder, high: Value, next: Value, divisor: Value, inverse: Value): readonly [Value, Value] {
  // It is right or, once in 2^17 times, too large by 1: then what is left is negative, but not less than -2^48.
  const quotient = b.variable('i64', wholeOf(b, b.mul(halfOf(b, high), inverse)));
  const rest = b.variable('i64', b.sub(b.or(b.shl(high, 32), next), b.mul(quotient.get(), divisor)));
  b.if(b.geU(rest.get(), -1n << 48n), () => {
    // Or it is a number as large: its upper half, but for a borrow, tells.
    const lower = b.shrU(b.mul(quotient.get(), b.and(divisor, LOW)), 32);
    const upper = b.add(b.mul(quotient.get(), b.shrU(divisor, 32)), lower);
    b.if(b.ltS(b.sub(high, upper), 1n << 31n), () => {
      quotient.set(b.sub(quotient.get(), 1));
      rest.set(b.add(rest.get(), divisor));
    });
  }, undefined, 'seldom');
  return [quotient.get(), rest.get()];
}

/** x / y or y / x by `op`: DIV, DIVR. */
export function quotient(b: Builder, s: FloatStack, precision: Precision, op: number, x: FloatNumber, y: FloatNumber): Rounded {
  const [dividend, divisor] = op === X87Op.DIV ? [x, y] : [y, x];
  const ofNormal = (result: Result): void => {
    const { hi, lo, signExponent } = result;
    const fits = b.let(b.extendU(b.geU(dividend.significand, divisor.significand)));
    const exponent = b.let(b.add(b.sub(b.and(dividend.signExponent, EXPONENT), b.and(divisor.signExponent, EXPONENT)), b.add(b.wrap(fits), BIAS - 1)));
    s.requireShort(b.ltU(b.sub(exponent, 1), EXPONENT - 1));
    signExponent.set(b.or(b.and(b.xor(x.signExponent, y.signExponent), SIGN), exponent));
    const inverse = b.let(b.div(b.f64(2 ** 32 * (1 + 2 ** -49)), halfOf(b, divisor.significand)));
    const high = b.let(b.shrU(dividend.significand, fits));
    const [first, middle] = digit(b, high, b.let(b.shl(b.and(dividend.significand, fits), 31)), divisor.significand, inverse);
    const [second, rest] = digit(b, middle, b.i64(0), divisor.significand, inverse);
    hi.set(b.or(b.shl(first, 32), second));
    // Below or above half of the last place: never the half of it, as the number of bits of what would be multiplied by the divisor tells.
    lo.set(b.or(b.shl(b.extendU(b.gtU(rest, b.sub(divisor.significand, rest))), 63), b.extendU(b.ne(rest, 0))));
    askRounding(b, precision, result);
  };
  const ofZero = () => {
    s.requireShort(b.ne(divisor.significand, 0));
    return { significand: b.i64(0), signExponent: b.and(b.xor(x.signExponent, y.signExponent), SIGN) };
  };
  return rounded(b, s, precision, x, y, ofNormal, ofZero);
}

/** As a float32 or float64. */
export function narrowed(b: Builder, s: FloatStack, size: 32 | 64, { significand, signExponent }: FloatNumber): Narrowed {
  const [fraction, bias, last] = size === 32 ? [23, 127, 0xfe] : [52, 1023, 0x7fe];
  const drop = 63 - fraction;
  const value = b.variable('i64');
  const bits = b.variable('i32');
  const sign = (): Value => b.shl(b.extendU(b.shrU(signExponent, 15)), size - 1);
  const exponent = b.let(b.sub(b.and(signExponent, EXPONENT), BIAS - bias));
  b.if(
    // One less, so that rounding up has room.
    b.ltU(b.sub(exponent, 1), last - 1),
    () => {
      const kept = b.let(b.shrU(significand, drop));
      const rest = b.let(b.shl(significand, 64 - drop));
      const up = roundsUp(b, kept, rest);
      // The leading one and a carry make the exponent right by themselves.
      const magnitude = b.add(b.add(b.shl(b.extendU(b.sub(exponent, 1)), fraction), kept), up);
      value.set(b.or(sign(), magnitude));
      bits.set(roundingBits(b, up, rest));
    },
    () => {
      s.requireShort(b.eqz(significand));
      value.set(sign());
      bits.set(b.i32(0));
    },
    'mostly',
  );
  return { value: value.get(), bits: bits.get() };
}

/** C3 and C0 of x compared with y (i32), as bits of FSW. */
export function relationOf(b: Builder, x: FloatNumber, y: FloatNumber): Value {
  const [expX, expY] = [x, y].map(({ signExponent }) => b.let(b.and(signExponent, EXPONENT)));
  const isEqual = b.and(b.eq(x.significand, y.significand), b.eq(x.signExponent, y.signExponent));
  const isZero = b.eqz(b.or(x.significand, y.significand));
  /** In size. */
  const isLess = b.select(b.eq(expX, expY), b.ltU(x.significand, y.significand), b.ltU(expX, expY));
  // Of two with different signs, of which one may be zero, the one with a minus is less; of two negative ones, the larger.
  const isMinus = (): Value => b.shrU(x.signExponent, 15);
  const differ = b.and(b.xor(x.signExponent, y.signExponent), SIGN);
  const less = b.let(b.select(differ, isMinus(), b.xor(isLess, isMinus())));
  const equal = b.let(b.or(isEqual, isZero));
  return b.let(b.select(equal, b.i32(C3), b.shl(less, C0_SHIFT)));
}
