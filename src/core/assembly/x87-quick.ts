// x87 arithmetic for compiled code, which has looked after the register stack itself: operands are there, all exceptions are masked, and
// what is left is the number. Two normal numbers (or zeros), rounded to nearest, take the short way here, in integers of 64 bits and with
// as few branches as can be; everything else goes through softfloat.ts. The general x87 functions take the short way as well.
// Intel SDM, volume 1, 8.1.5 (control word), 8.5 (exceptions); IEEE 754-2008, 4.3.1 (round to nearest, ties to even).
//
// A result goes to the register at the host address `at`. What the functions return are bits to OR into FSW, whose C1 was cleared before.

import { Cpu, X87Op } from '../layout';
import { Flag, Env, Kind, Relation, X, compare, copyXtoY, round, squareRoot } from './softfloat';
import { significand80, signExponent80, unpack80 } from './softfloat-format';
import { Wide, div64, sqrt128 } from './wide';
import { compute, conditionOf } from './x87-arithmetic';
import { Fsw, beginNumber, precision } from './x87-state';

const HALF: u64 = 0x8000_0000_0000_0000;
const LOW: u64 = 0xffff_ffff;
const BIAS: i32 = 16383;
/** FCW: rounding to nearest, and PE masked. */
const RC_PM: u32 = 0xc20;
const NEAREST_PM: u32 = 0x20;
/** Not covered by the short way. */
const NOT: i32 = -1;

/** Bits of the significand that FCW.PC cuts off. */
@inline
function cut(fcw: u32): i32 {
  const pc = (fcw >> 8) & 3;
  return pc == 3 ? 0 : pc == 2 ? 11 : pc == 0 ? 40 : 0;
}

@inline
function isNormal(significand: u64, exponent: u32): bool {
  return exponent - 1 < 0x7ffe && significand >> 63 != 0;
}

/** Rounds (hi:lo), bit 63 of hi set, and writes it; nothing is written where the exponent leaves its range. */
@inline
function finish(at: u32, sign: u32, exponent: i32, hi: u64, lo: u64, drop: i32): i32 {
  let bits: i32 = 0;
  if (drop == 0) {
    if (lo != 0) {
      // The carry out of this sum says "up": more than a half, or a half and odd.
      const up = u64(lo + (HALF - 1) + (hi & 1) < lo);
      hi += up;
      if (hi == 0) {
        hi = HALF;
        exponent++;
      }
      bits = Flag.PE | (i32(up) << 9);
    }
  } else {
    const rest = (hi << (64 - drop)) | u64(lo != 0);
    if (rest != 0) {
      const up = u64(rest + (HALF - 1) + ((hi >> drop) & 1) < rest);
      hi = ((hi >> drop) + up) << drop;
      if (hi == 0) {
        hi = HALF;
        exponent++;
      }
      bits = Flag.PE | (i32(up) << 9);
    }
  }
  if (u32(exponent - 1) >= 0x7ffe) return NOT;
  store<u64>(at, hi);
  store<u16>(at, u16(sign | u32(exponent)), 8);
  return bits;
}

/** A zero among the operands of a sum, in full precision. */
function sumOfZero(at: u32, fcw: u32, sigA: u64, a: u32, sigB: u64, b: u32): i32 {
  const zeroA = sigA == 0 && !(a & 0x7fff);
  const zeroB = sigB == 0 && !(b & 0x7fff);
  if (zeroA && zeroB) {
    store<u16>(at, u16(a & b), 8);
    return 0;
  }
  if (cut(fcw) != 0) return NOT;
  if (zeroB && isNormal(sigA, a & 0x7fff)) {
    store<u16>(at, u16(a), 8);
    return 0;
  }
  if (zeroA && isNormal(sigB, b & 0x7fff)) {
    store<u64>(at, sigB);
    store<u16>(at, u16(b), 8);
    return 0;
  }
  return NOT;
}

/** ADD, SUB, SUBR of the register at `at` and a number. */
export function quickSum(at: u32, fcw: u32, op: u32, sigB: u64, signExponentB: u32): i32 {
  if ((fcw & RC_PM) != NEAREST_PM) return NOT;
  const sigA = load<u64>(at);
  const a = u32(load<u16>(at, 8)) ^ (u32(op == X87Op.SUBR) << 15);
  const b = signExponentB ^ (u32(op == X87Op.SUB) << 15);
  const expA = a & 0x7fff;
  const expB = b & 0x7fff;
  if (!isNormal(sigA & sigB, expA) || expB - 1 >= 0x7ffe) return sumOfZero(at, fcw, sigA, a, sigB, b);
  const difference = i32(expA) - i32(expB);
  const less = difference < 0;
  let big = select<u64>(sigB, sigA, less);
  let small = select<u64>(sigA, sigB, less);
  let exponent = i32(select<u32>(expB, expA, less));
  let sign = select<u32>(b, a, less) & 0x8000;
  const distance = u64(abs(difference));
  let lo: u64;
  if (distance < 64) {
    lo = (small << 1) << (63 - distance);
    small >>= distance;
  } else {
    // Of what is below the 128th bit only matters that there is something.
    if (distance > 66) lo = 1;
    else if (distance == 64) lo = small;
    else lo = (small >> (distance - 64)) | u64(small << (128 - distance) != 0);
    small = 0;
  }
  let hi: u64;
  if (!((a ^ b) & 0x8000)) {
    hi = big + small;
    if (hi < big) {
      lo = (hi << 63) | (lo >> 1) | (lo & 1);
      hi = (hi >> 1) | HALF;
      exponent++;
    }
  } else {
    if (distance == 0) {
      if (big == small) {
        store<u64>(at, 0);
        store<u16>(at, 0, 8);
        return 0;
      }
      if (big < small) {
        const other = big;
        big = small;
        small = other;
        sign ^= 0x8000;
      }
    }
    hi = big - small - u64(lo != 0);
    lo = 0 - lo;
    if (hi == 0) {
      hi = lo;
      lo = 0;
      exponent -= 64;
    }
    const shift = clz(hi);
    hi = (hi << shift) | ((lo >> 1) >> (63 - shift));
    lo <<= shift;
    exponent -= i32(shift);
  }
  return finish(at, sign, exponent, hi, lo, cut(fcw));
}

/** MUL */
export function quickProduct(at: u32, fcw: u32, sigB: u64, signExponentB: u32): i32 {
  if ((fcw & RC_PM) != NEAREST_PM) return NOT;
  const sigA = load<u64>(at);
  const signExponentA = u32(load<u16>(at, 8));
  const sign = (signExponentA ^ signExponentB) & 0x8000;
  const expA = signExponentA & 0x7fff;
  const expB = signExponentB & 0x7fff;
  if (!isNormal(sigA & sigB, expA) || expB - 1 >= 0x7ffe) {
    const zeroA = sigA == 0 && !expA;
    const zeroB = sigB == 0 && !expB;
    if (!(zeroA || zeroB) || !(zeroA || isNormal(sigA, expA)) || !(zeroB || isNormal(sigB, expB))) return NOT;
    store<u64>(at, 0);
    store<u16>(at, u16(sign), 8);
    return 0;
  }
  const al = sigA & LOW;
  const ah = sigA >> 32;
  const bl = sigB & LOW;
  const bh = sigB >> 32;
  const ll = al * bl;
  const lh = al * bh;
  const hl = ah * bl;
  const middle = (ll >> 32) + (lh & LOW) + (hl & LOW);
  let lo = (middle << 32) | (ll & LOW);
  let hi = ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32);
  const shift = (hi >> 63) ^ 1;
  hi = (hi << shift) | ((lo >> 63) & shift);
  lo <<= shift;
  return finish(at, sign, i32(expA + expB) - BIAS + 1 - i32(shift), hi, lo, cut(fcw));
}

/** DIV, DIVR */
export function quickQuotient(at: u32, fcw: u32, op: u32, sigB: u64, signExponentB: u32): i32 {
  if ((fcw & RC_PM) != NEAREST_PM) return NOT;
  const sigA = load<u64>(at);
  const signExponentA = u32(load<u16>(at, 8));
  const expA = signExponentA & 0x7fff;
  const expB = signExponentB & 0x7fff;
  if (!isNormal(sigA & sigB, expA) || expB - 1 >= 0x7ffe) return NOT;
  const reverse = op == X87Op.DIVR;
  const dividend = select<u64>(sigB, sigA, reverse);
  const divisor = select<u64>(sigA, sigB, reverse);
  const exponent = select<i32>(i32(expB) - i32(expA), i32(expA) - i32(expB), reverse) + BIAS;
  const fits = u64(dividend >= divisor);
  const hi = div64(dividend >> fits, (dividend << 63) & (0 - fits), divisor);
  const rest = Wide.rem;
  // Below, at or above half of the last place.
  const other = divisor - rest;
  const lo = rest == 0 ? 0 : rest > other ? HALF + 1 : rest == other ? HALF : 1;
  return finish(at, (signExponentA ^ signExponentB) & 0x8000, exponent - 1 + i32(fits), hi, lo, cut(fcw));
}

/** SQRT */
export function quickRoot(at: u32, fcw: u32): i32 {
  if ((fcw & RC_PM) != NEAREST_PM) return NOT;
  const significand = load<u64>(at);
  const exponent = u32(load<u16>(at, 8));
  // A sign makes the exponent too large.
  if (!isNormal(significand, exponent)) return NOT;
  const unbiased = i32(exponent) - BIAS;
  const odd = unbiased & 1;
  const root = odd ? sqrt128(significand, 0) : sqrt128(significand >> 1, significand << 63);
  const rest = Wide.rem;
  const lo: u64 = rest == 0 ? 0 : rest == 1 ? 1 : HALF + 1;
  return finish(at, 0, ((unbiased - odd) >> 1) + BIAS, root, lo, cut(fcw));
}

/** One of ADD, MUL, SUB, SUBR, DIV, DIVR; NOT where the short way does not go, and then nothing was changed. */
export function quick(at: u32, fcw: u32, op: u32, significand: u64, signExponent: u32): i32 {
  if (op == X87Op.MUL) return quickProduct(at, fcw, significand, signExponent);
  if (op >= u32(X87Op.DIV)) return quickQuotient(at, fcw, op, significand, signExponent);
  return quickSum(at, fcw, op, significand, signExponent);
}

// --- for compiled code

/** R, rounded, to a register; the bits for FSW. */
function deliverMasked(cpu: u32, at: u32): i32 {
  round(precision(cpu), -16382, 16383);
  store<u64>(at, significand80());
  store<u16>(at, u16(signExponent80()), 8);
  return Env.flags | (Env.roundedUp ? Fsw.C1 : 0);
}

function general(cpu: u32, at: u32, op: u32, significand: u64, signExponent: u32): i32 {
  beginNumber(cpu);
  unpack80(significand, signExponent);
  copyXtoY();
  unpack80(load<u64>(at), load<u16>(at, 8));
  compute(op);
  return deliverMasked(cpu, at);
}

/** FADD, FSUB, FSUBR by `op`. */
export function x87_sum(cpu: u32, at: u32, op: u32, significand: u64, signExponent: u32): i32 {
  const bits = quickSum(at, load<u32>(cpu, Cpu.FCW), op, significand, signExponent);
  return bits >= 0 ? bits : general(cpu, at, op, significand, signExponent);
}

export function x87_product(cpu: u32, at: u32, significand: u64, signExponent: u32): i32 {
  const bits = quickProduct(at, load<u32>(cpu, Cpu.FCW), significand, signExponent);
  return bits >= 0 ? bits : general(cpu, at, X87Op.MUL, significand, signExponent);
}

/** FDIV, FDIVR by `op`. */
export function x87_quotient(cpu: u32, at: u32, op: u32, significand: u64, signExponent: u32): i32 {
  const bits = quickQuotient(at, load<u32>(cpu, Cpu.FCW), op, significand, signExponent);
  return bits >= 0 ? bits : general(cpu, at, op, significand, signExponent);
}

export function x87_root(cpu: u32, at: u32): i32 {
  const bits = quickRoot(at, load<u32>(cpu, Cpu.FCW));
  if (bits >= 0) return bits;
  beginNumber(cpu);
  unpack80(load<u64>(at), load<u16>(at, 8));
  squareRoot();
  return deliverMasked(cpu, at);
}

/** C3, C2 and C0 for two numbers compared, and IE and DE. @param signaling QNaNs are invalid as well */
export function x87_relation(cpu: u32, sigX: u64, x: u32, sigY: u64, y: u32, signaling: i32): i32 {
  if (isNormal(sigX & sigY, x & 0x7fff) && (y & 0x7fff) - 1 < 0x7ffe) {
    if ((x ^ y) & 0x8000) return x & 0x8000 ? Fsw.C0 : 0;
    if (x == y && sigX == sigY) return Fsw.C3;
    const less = select<u32>(u32(sigX < sigY), u32((x & 0x7fff) < (y & 0x7fff)), x == y);
    return less ^ (x >> 15) ? Fsw.C0 : 0;
  }
  beginNumber(cpu);
  unpack80(sigY, y);
  copyXtoY();
  unpack80(sigX, x);
  const relation = compare(signaling != 0);
  return conditionOf(relation) | Env.flags;
}
