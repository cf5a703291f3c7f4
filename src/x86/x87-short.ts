// The x87's short way as code in place: numbers that are zero or normal, rounded to nearest, to 64 or 53 bits of significand. Compiled code that
// meets another number leaves the region; where that happens often it is made again, to call core's functions (src/core/assembly/x87-quick.ts
// has the same for them).
// Intel SDM, volume 1, 8.1.5 (control word), 8.5 (exceptions); IEEE 754-2008, 4.3.1 (round to nearest, ties to even).

import { X87Op } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, FloatNumber, FloatStack, Precision } from './builder.ts';

const TOP_BIT = 1n << 63n;
const LOW = 0xffff_ffffn;
const BIAS = 16383;
const EXPONENT = 0x7fff;
const SIGN = 0x8000;
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

interface Exact {
  /** 128 bits, the first of which is set. */
  readonly hi: Value;
  readonly lo: Value;
  readonly exponent: Value;
  /** In bit 15. */
  readonly sign: Value;
}

/**
 * Of two numbers, by a function for two that are not zero and one for others.
 * @param ofNormal null: the result is zero
 */
function rounded(
  b: Builder,
  s: FloatStack,
  precision: Precision,
  x: FloatNumber,
  y: FloatNumber,
  ofNormal: (exponents: readonly [Value, Value], isZero: (condition: Value) => void) => Exact,
  ofZero: () => Omit<FloatNumber, 'isPlain'>,
): Rounded {
  const significand = b.variable('i64');
  const signExponent = b.variable('i32');
  const bits = b.variable('i32');
  b.if(
    b.geS(b.and(x.significand, y.significand), 0),
    () => {
      const zero = ofZero();
      significand.set(zero.significand);
      signExponent.set(zero.signExponent);
      bits.set(b.i32(0));
    },
    () => {
      b.block((done) => {
        const exact = ofNormal([b.let(b.and(x.signExponent, EXPONENT)), b.let(b.and(y.signExponent, EXPONENT))], (condition) => {
          significand.set(b.i64(0));
          signExponent.set(b.i32(0));
          bits.set(b.i32(0));
          b.brIf(done, condition, 'seldom');
        });
        const { hi, lo } = exact;
        // What is kept of a shorter significand is moved down, rounded, and moved up again.
        const drop = 64 - precision;
        const kept = drop === 0 ? hi : b.let(b.shrU(hi, drop));
        const rest = drop === 0 ? lo : b.let(b.or(b.shl(hi, precision), b.extendU(b.ne(lo, 0))));
        const up = roundsUp(b, kept, rest);
        significand.set(b.shl(b.add(kept, up), drop));
        const exponent = b.variable('i32', exact.exponent);
        // A carry out of the last place leaves a power of two.
        b.if(b.eqz(significand.get()), () => {
          significand.set(b.i64(TOP_BIT));
          exponent.set(b.add(exponent.get(), 1));
        }, undefined, 'seldom');
        s.requireShort(b.ltU(b.sub(exponent.get(), 1), EXPONENT - 1));
        signExponent.set(b.or(b.and(exact.sign, SIGN), exponent.get()));
        bits.set(roundingBits(b, up, rest));
      });
    },
    'seldom',
  );
  return { number: { significand: significand.get(), signExponent: signExponent.get(), isPlain: true }, bits: bits.get() };
}

/** x + y, x - y or y - x by `op`: ADD, SUB, SUBR. */
export function sum(b: Builder, s: FloatStack, precision: Precision, op: number, x: FloatNumber, y: FloatNumber): Rounded {
  const signX = op === X87Op.SUBR ? b.let(b.xor(x.signExponent, SIGN)) : x.signExponent;
  const signY = op === X87Op.SUB ? b.let(b.xor(y.signExponent, SIGN)) : y.signExponent;
  const ofNormal: Parameters<typeof rounded>[5] = ([expX, expY], isZero) => {
    const difference = b.let(b.sub(expX, expY));
    /** All ones where y is the larger one. */
    const isLess = b.let(b.shrS(difference, 31));
    const distance = b.let(b.sub(b.xor(difference, isLess), isLess));
    const swap = b.let(b.and(b.xor(x.significand, y.significand), b.extendS(isLess)));
    const big = b.let(b.xor(x.significand, swap));
    const small = b.variable('i64', b.xor(y.significand, swap));
    const by = b.variable('i64', b.extendU(distance));
    b.if(b.gtU(distance, 63), () => {
      // A half of the last place, or of that of a difference, is no further away than this.
      s.requireShort(b.gtU(distance, 65));
      small.set(b.i64(1));
      by.set(b.i64(63));
    });
    const differs = b.let(b.xor(signX, signY));
    const sign = b.variable('i32', b.xor(signX, b.and(differs, isLess)));
    /** All ones where the signs differ. */
    const minus = b.let(b.extendS(b.shrS(b.shl(differs, 16), 31)));
    // One place lower, so that a carry has room.
    const smallLo = b.let(b.shl(small.get(), b.sub(63n, by.get())));
    const addend = b.let(b.sub(b.xor(smallLo, minus), minus));
    const bigLo = b.let(b.shl(big, 63));
    const lo = b.variable('i64', b.add(bigLo, addend));
    const smallHi = b.xor(b.shrU(b.shrU(small.get(), 1), by.get()), minus);
    // From one bit and 64: there is one if both have the first. And of a negative number, which is one more than all its bits the other way round.
    const carries = b.add(b.shrU(b.and(bigLo, addend), 63), b.and(minus, b.extendU(b.eqz(smallLo))));
    const hi = b.variable('i64', b.add(b.add(b.shrU(big, 1), smallHi), carries));
    // Of two numbers with one exponent the larger one was subtracted.
    b.if(b.ltS(b.and(hi.get(), minus), 0), () => {
      hi.set(b.add(b.xor(hi.get(), -1n), b.extendU(b.eqz(lo.get()))));
      lo.set(b.sub(0n, lo.get()));
      sign.set(b.xor(sign.get(), SIGN));
    });
    const exponent = b.variable('i32', b.add(b.sub(expX, b.and(difference, isLess)), 1));
    b.if(b.eqz(hi.get()), () => {
      // All of it was cancelled, or all but the last bit.
      isZero(b.eqz(lo.get()));
      hi.set(lo.get());
      lo.set(b.i64(0));
      exponent.set(b.sub(exponent.get(), 64));
    });
    const shift = b.let(b.clz(hi.get()));
    return {
      hi: b.let(b.or(b.shl(hi.get(), shift), b.shrU(b.shrU(lo.get(), 1), b.sub(63n, shift)))),
      lo: b.let(b.shl(lo.get(), shift)),
      exponent: b.sub(exponent.get(), b.wrap(shift)),
      sign: sign.get(),
    };
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

export function product(b: Builder, s: FloatStack, precision: Precision, x: FloatNumber, y: FloatNumber): Rounded {
  const ofNormal: Parameters<typeof rounded>[5] = ([expX, expY]) => {
    const halves = ({ significand }: FloatNumber): Value[] => [b.let(b.and(significand, LOW)), b.let(b.shrU(significand, 32))];
    const [xl, xh] = halves(x);
    const [yl, yh] = halves(y);
    const low = b.let(b.mul(xl, yl));
    const middle = b.let(b.add(b.mul(xl, yh), b.shrU(low, 32)));
    const other = b.let(b.add(b.mul(xh, yl), b.and(middle, LOW)));
    const hi = b.let(b.add(b.add(b.mul(xh, yh), b.shrU(middle, 32)), b.shrU(other, 32)));
    const lo = b.let(b.or(b.shl(other, 32), b.and(low, LOW)));
    /** All ones where the product begins one place lower. */
    const short = b.let(b.xor(b.shrS(hi, 63), -1n));
    const carry = b.let(b.and(lo, short));
    return {
      hi: b.let(b.add(b.add(hi, b.and(hi, short)), b.shrU(carry, 63))),
      lo: b.let(b.add(lo, carry)),
      exponent: b.add(b.add(b.add(expX, expY), 1 - BIAS), b.wrap(short)),
      sign: b.xor(x.signExponent, y.signExponent),
    };
  };
  const ofZero = () => ({ significand: b.i64(0), signExponent: b.and(b.xor(x.signExponent, y.signExponent), SIGN) });
  return rounded(b, s, precision, x, y, ofNormal, ofZero);
}

/** As a float32 or float64. */
export function narrowed(b: Builder, s: FloatStack, size: 32 | 64, { significand, signExponent }: FloatNumber): Narrowed {
  const [fraction, bias, last] = size === 32 ? [23, 127, 0xfe] : [52, 1023, 0x7fe];
  const drop = 63 - fraction;
  const value = b.variable('i64');
  const bits = b.variable('i32');
  const sign = (): Value => b.shl(b.extendU(b.shrU(signExponent, 15)), size - 1);
  b.if(
    b.eqz(significand),
    () => {
      value.set(sign());
      bits.set(b.i32(0));
    },
    () => {
      const exponent = b.let(b.sub(b.and(signExponent, EXPONENT), BIAS - bias));
      // One less, so that rounding up has room.
      s.requireShort(b.ltU(b.sub(exponent, 1), last - 1));
      const kept = b.let(b.shrU(significand, drop));
      const rest = b.let(b.shl(significand, 64 - drop));
      const up = roundsUp(b, kept, rest);
      // The leading one and a carry make the exponent right by themselves.
      const magnitude = b.add(b.add(b.shl(b.extendU(b.sub(exponent, 1)), fraction), kept), up);
      value.set(b.or(sign(), magnitude));
      bits.set(roundingBits(b, up, rest));
    },
    'seldom',
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
