// Floating point without a floating-point unit: the unpacked form, NaNs, rounding and the arithmetic operations.
// IEEE 754-2008 with x86's choices: exceptions and NaNs as in the Intel SDM, volume 1, chapters 4.8, 4.9 and 8.5
// (x87) and 11.5 (SSE): tininess is detected after rounding.
//
// Operands X and Y and the result R are WebAssembly globals (static fields), private to an instance. An operation reads X
// and Y and leaves an exact-enough R: a 128-bit significand whose bits below the 64th only matter for rounding.
// round() then makes the number of a format from it. Formats are packed and unpacked in softfloat-format.ts.

import { Wide, clz128, div64, mul64, shiftRightJam, sqrt128 } from './wide';

/** Exceptions: the bits of FSW and of MXCSR (and, as masks, of FCW; MXCSR has them 7 bits higher). */
export const enum Flag {
  IE = 0x01,
  DE = 0x02,
  ZE = 0x04,
  OE = 0x08,
  UE = 0x10,
  PE = 0x20,
  ALL = 0x3f,
  /** Those found before anything is computed: unmasked, they leave the operands alone. */
  BEFORE = 0x07,
}

/** FCW.RC and MXCSR.RC. */
export const enum Rounding {
  NEAREST = 0,
  DOWN = 1,
  UP = 2,
  ZERO = 3,
}

export const enum Kind {
  ZERO = 0,
  FINITE = 1,
  INFINITE = 2,
  QNAN = 3,
  SNAN = 4,
  /** An 80-bit encoding that the 8087 knew and the 387 refuses: unnormals, pseudo-infinities, pseudo-NaNs. */
  UNSUPPORTED = 5,
}

export const enum Relation {
  LESS = -1,
  EQUAL = 0,
  GREATER = 1,
  UNORDERED = 2,
}

/** First operand. Its value is sig / 2^63 * 2^exp; bit 63 of sig is set when it is FINITE. NaNs keep their payload, left-aligned. */
export class X {
  static kind: i32 = 0;
  static sign: u32 = 0;
  static exp: i32 = 0;
  static sig: u64 = 0;
  /** It was a denormal (or pseudo-denormal) number before it was normalised. */
  static denormal: u32 = 0;
}

/** Second operand, likewise. */
export class Y {
  static kind: i32 = 0;
  static sign: u32 = 0;
  static exp: i32 = 0;
  static sig: u64 = 0;
  static denormal: u32 = 0;
}

/** Result: (hi:lo) / 2^127 * 2^exp. After round() it is hi / 2^63 * 2^exp, with bit 63 clear only in a denormal of the format. */
export class R {
  static kind: i32 = 0;
  static sign: u32 = 0;
  static exp: i32 = 0;
  static hi: u64 = 0;
  static lo: u64 = 0;
}

/** How to compute, and what happened. */
export class Env {
  /** Flag bits raised so far. */
  static flags: u32 = 0;
  static rounding: u32 = 0;
  /** Flag bits that are masked. */
  static masks: u32 = 0;
  /** Unmasked overflow and underflow deliver a result with its exponent moved by 24576 (x87 registers). */
  static wrap: bool = false;
  /** MXCSR.FTZ. */
  static flushToZero: bool = false;
  /** The last round() made the magnitude larger (FSW.C1). */
  static roundedUp: bool = false;
  /** NaNs are chosen by SSE's rule, not by the x87's. */
  static sse: bool = false;
}

const INTEGER_BIT: u64 = 0x8000_0000_0000_0000;
const QUIET_BIT: u64 = 0x4000_0000_0000_0000;

@inline
export function copyXtoY(): void {
  Y.kind = X.kind;
  Y.sign = X.sign;
  Y.exp = X.exp;
  Y.sig = X.sig;
  Y.denormal = X.denormal;
}

export function swapXY(): void {
  const kind = X.kind, sign = X.sign, exp = X.exp, sig = X.sig, denormal = X.denormal;
  X.kind = Y.kind;
  X.sign = Y.sign;
  X.exp = Y.exp;
  X.sig = Y.sig;
  X.denormal = Y.denormal;
  Y.kind = kind;
  Y.sign = sign;
  Y.exp = exp;
  Y.sig = sig;
  Y.denormal = denormal;
}

// --- results that need no arithmetic ---

@inline
export function resultZero(sign: u32): void {
  R.kind = Kind.ZERO;
  R.sign = sign;
  R.hi = 0;
  R.lo = 0;
}

@inline
export function resultInfinity(sign: u32): void {
  R.kind = Kind.INFINITE;
  R.sign = sign;
}

@inline
function resultNaN(sign: u32, sig: u64): void {
  R.kind = Kind.QNAN;
  R.sign = sign;
  R.hi = sig | INTEGER_BIT | QUIET_BIT;
  R.lo = 0;
}

/** Real indefinite: the QNaN that a masked invalid operation yields. */
export function resultIndefinite(): void {
  R.kind = Kind.QNAN;
  R.sign = 1;
  R.hi = INTEGER_BIT | QUIET_BIT;
  R.lo = 0;
}

/** Invalid operation: flag and real indefinite. */
export function invalid(): void {
  Env.flags |= Flag.IE;
  resultIndefinite();
}

@inline
export function resultX(): void {
  R.kind = X.kind;
  R.sign = X.sign;
  R.exp = X.exp;
  R.hi = X.sig;
  R.lo = 0;
}

@inline
export function setFinite(sign: u32, exp: i32, hi: u64, lo: u64): void {
  R.kind = Kind.FINITE;
  R.sign = sign;
  R.exp = exp;
  R.hi = hi;
  R.lo = lo;
}

/** R = (hi:lo) / 2^127 * 2^exp, to be normalised; zero gets the given sign. */
export function setNormalised(sign: u32, exp: i32, hi: u64, lo: u64): void {
  const shift = clz128(hi, lo);
  if (shift == 128) {
    resultZero(sign);
    return;
  }
  if (shift >= 64) {
    hi = lo << (shift - 64);
    lo = 0;
  } else if (shift > 0) {
    hi = (hi << shift) | (lo >> (64 - shift));
    lo <<= shift;
  }
  setFinite(sign, exp - shift, hi, lo);
}

/** One operand: true if it is a NaN or unsupported, and R is made. */
export function propagateX(): bool {
  if (X.kind < Kind.QNAN) return false;
  if (X.kind == Kind.UNSUPPORTED) {
    invalid();
    return true;
  }
  if (X.kind == Kind.SNAN) Env.flags |= Flag.IE;
  resultNaN(X.sign, X.sig);
  return true;
}

/** Two operands: true if either is a NaN or unsupported, and R is made (SDM volume 1, table 4-7). */
export function propagateXY(): bool {
  if (max(X.kind, Y.kind) < Kind.QNAN) return false;
  if (X.kind == Kind.UNSUPPORTED || Y.kind == Kind.UNSUPPORTED) {
    invalid();
    return true;
  }
  if (X.kind == Kind.SNAN || Y.kind == Kind.SNAN) Env.flags |= Flag.IE;
  let first: bool;
  if (X.kind < Kind.QNAN) first = false;
  else if (Y.kind < Kind.QNAN || Env.sse) first = true;
  else if (X.kind != Y.kind) first = X.kind == Kind.QNAN;
  else if (X.sig != Y.sig) first = X.sig > Y.sig;
  else first = X.sign <= Y.sign;
  if (first) resultNaN(X.sign, X.sig);
  else resultNaN(Y.sign, Y.sig);
  return true;
}

@inline
export function noteDenormals(): void {
  if (X.denormal | Y.denormal) Env.flags |= Flag.DE;
}

@inline
export function noteDenormalX(): void {
  if (X.denormal) Env.flags |= Flag.DE;
}

// --- rounding ---

/** Whether (hi:lo) cut after its first 64 - drop bits is to be increased. */
@inline
function roundsUp(sign: u32, hi: u64, lo: u64, drop: i32): bool {
  let restHigh: u64;
  let restLow: bool;
  if (drop == 0) {
    restHigh = lo;
    restLow = false;
  } else {
    restHigh = hi << (64 - drop);
    restLow = lo != 0;
  }
  if (restHigh == 0 && !restLow) return false;
  switch (Env.rounding) {
    case Rounding.NEAREST:
      if (restHigh != INTEGER_BIT) return restHigh > INTEGER_BIT;
      if (restLow) return true;
      return drop == 64 ? false : ((hi >> drop) & 1) != 0;
    case Rounding.DOWN:
      return sign != 0;
    case Rounding.UP:
      return sign == 0;
    default:
      return false;
  }
}

/**
 * Rounds R to `bits` significant bits with exponents from `minExp` (of the smallest normal number) to `maxExp`,
 * and raises OE, UE and PE.
 */
export function round(bits: i32, minExp: i32, maxExp: i32): void {
  Env.roundedUp = false;
  if (R.kind != Kind.FINITE) return;
  let hi = R.hi;
  let lo = R.lo;
  let exp = R.exp;
  const drop = 64 - bits;
  const unit: u64 = (1 as u64) << drop;
  const mask = unit - 1;

  let tiny = false;
  // SSE instructions and stores deliver nothing then.
  let discarded = false;
  if (exp < minExp) {
    // Tiny, unless rounding without a limit on the exponent would carry into the smallest normal number.
    tiny = !(exp == minExp - 1 && (hi | mask) == u64.MAX_VALUE && roundsUp(R.sign, hi, lo, drop));
    if (tiny && !(Env.masks & Flag.UE)) {
      // Unmasked: inexact only if the result is so with any exponent.
      Env.flags |= Flag.UE;
      discarded = !Env.wrap;
      exp += 24576;
      tiny = false;
      if (exp < minExp && !discarded) {
        // Only FSCALE can go this far.
        Env.flags |= Flag.PE;
        resultZero(R.sign);
        return;
      }
    } else {
      hi = shiftRightJam(hi, lo, minExp - exp);
      lo = Wide.lo;
      exp = minExp;
    }
  }

  const inexact = ((hi & mask) | lo) != 0;
  if (inexact && roundsUp(R.sign, hi, lo, drop)) {
    Env.roundedUp = true;
    hi = (hi & ~mask) + unit;
    if (hi == 0) {
      hi = INTEGER_BIT;
      exp++;
    }
  } else {
    hi &= ~mask;
  }

  if (tiny) {
    if (inexact) Env.flags |= Flag.UE;
    if (Env.flushToZero) {
      Env.flags |= Flag.UE | Flag.PE;
      resultZero(R.sign);
      return;
    }
  }
  if (inexact) Env.flags |= Flag.PE;
  if (discarded) {
    resultZero(R.sign);
    return;
  }

  if (exp > maxExp) {
    Env.flags |= Flag.OE;
    if (Env.wrap && !(Env.masks & Flag.OE)) {
      exp -= 24576;
      if (exp > maxExp) {
        Env.flags |= Flag.PE;
        Env.roundedUp = true;
        resultInfinity(R.sign);
        return;
      }
    } else {
      if (Env.masks & Flag.OE) Env.flags |= Flag.PE;
      if (Env.rounding == Rounding.NEAREST || Env.rounding == (R.sign ? Rounding.DOWN : Rounding.UP)) {
        Env.roundedUp = true;
        resultInfinity(R.sign);
      } else {
        Env.roundedUp = false;
        R.exp = maxExp;
        R.hi = ~mask;
        R.lo = 0;
      }
      return;
    }
  }

  if (hi == 0) {
    resultZero(R.sign);
    return;
  }
  R.exp = exp;
  R.hi = hi;
  R.lo = 0;
}

/** Rounds R to an integer, and raises PE. */
export function roundToInteger(): void {
  Env.roundedUp = false;
  if (R.kind != Kind.FINITE || R.exp >= 63) return;
  let value: u64;
  let rest: u64;
  if (R.exp < -1) {
    value = 0;
    rest = 1;
  } else if (R.exp == -1) {
    value = 0;
    rest = R.hi;
  } else {
    value = R.hi >> (63 - R.exp);
    rest = R.hi << (1 + R.exp);
  }
  if (rest == 0) return;
  Env.flags |= Flag.PE;
  if (roundsUp(R.sign, value, rest, 0)) {
    Env.roundedUp = true;
    value++;
  }
  setNormalised(R.sign, 63, value, 0);
}

// --- arithmetic: each reads X and Y and makes R, with IE, DE and ZE ---

/** X + Y. */
export function add(): void {
  if (propagateXY()) return;
  if (X.kind == Kind.INFINITE) {
    if (Y.kind == Kind.INFINITE && X.sign != Y.sign) {
      invalid();
      return;
    }
    noteDenormals();
    resultInfinity(X.sign);
    return;
  }
  noteDenormals();
  if (Y.kind == Kind.INFINITE) {
    resultInfinity(Y.sign);
    return;
  }
  if (X.kind == Kind.ZERO) {
    if (Y.kind == Kind.ZERO) resultZero(X.sign == Y.sign ? X.sign : u32(Env.rounding == Rounding.DOWN));
    else setFinite(Y.sign, Y.exp, Y.sig, 0);
    return;
  }
  if (Y.kind == Kind.ZERO) {
    setFinite(X.sign, X.exp, X.sig, 0);
    return;
  }

  let sign = X.sign;
  const opposite = X.sign != Y.sign;
  let exp = X.exp;
  let big = X.sig;
  let small = Y.sig;
  let distance = X.exp - Y.exp;
  if (distance < 0 || (distance == 0 && small > big)) {
    sign = Y.sign;
    exp = Y.exp;
    distance = -distance;
    const t = big;
    big = small;
    small = t;
  }
  const hi = shiftRightJam(small, 0, distance);
  const lo = Wide.lo;
  if (!opposite) {
    const sum = big + hi;
    if (sum < big) setFinite(sign, exp + 1, (sum >> 1) | INTEGER_BIT, (lo >> 1) | (lo & 1) | (sum << 63));
    else setFinite(sign, exp, sum, lo);
    return;
  }
  const low = 0 - lo;
  const high = big - hi - u64(lo != 0);
  if ((high | low) == 0) {
    resultZero(u32(Env.rounding == Rounding.DOWN));
    return;
  }
  setNormalised(sign, exp, high, low);
}

/** X - Y. */
export function subtract(): void {
  if (Y.kind < Kind.QNAN) Y.sign ^= 1;
  add();
}

/** X * Y. */
export function multiply(): void {
  if (propagateXY()) return;
  const sign = X.sign ^ Y.sign;
  if (X.kind == Kind.INFINITE || Y.kind == Kind.INFINITE) {
    if (X.kind == Kind.ZERO || Y.kind == Kind.ZERO) {
      invalid();
      return;
    }
    noteDenormals();
    resultInfinity(sign);
    return;
  }
  noteDenormals();
  if (X.kind == Kind.ZERO || Y.kind == Kind.ZERO) {
    resultZero(sign);
    return;
  }
  const hi = mul64(X.sig, Y.sig);
  const lo = Wide.lo;
  if (hi >> 63) setFinite(sign, X.exp + Y.exp + 1, hi, lo);
  else setFinite(sign, X.exp + Y.exp, (hi << 1) | (lo >> 63), lo << 1);
}

/** X / Y. */
export function divide(): void {
  if (propagateXY()) return;
  const sign = X.sign ^ Y.sign;
  if (X.kind == Kind.INFINITE) {
    if (Y.kind == Kind.INFINITE) invalid();
    else {
      noteDenormals();
      resultInfinity(sign);
    }
    return;
  }
  if (Y.kind == Kind.ZERO) {
    if (X.kind == Kind.ZERO) invalid();
    else {
      // A denormal dividend is not reported then.
      Env.flags |= Flag.ZE;
      resultInfinity(sign);
    }
    return;
  }
  noteDenormals();
  if (Y.kind == Kind.INFINITE || X.kind == Kind.ZERO) {
    resultZero(sign);
    return;
  }
  let exp = X.exp - Y.exp;
  let high = X.sig;
  let low: u64 = 0;
  if (high >= Y.sig) {
    low = high << 63;
    high >>= 1;
  } else {
    exp--;
  }
  const quotient = div64(high, low, Y.sig);
  // The remainder decides between below, at and above half of the last place: compare its double with the divisor.
  const rest = Wide.rem;
  let lo: u64 = 0;
  if (rest != 0) {
    const twice = rest << 1;
    if (rest >> 63 || twice > Y.sig) lo = 0xc000_0000_0000_0000;
    else lo = twice == Y.sig ? INTEGER_BIT : 0x4000_0000_0000_0000;
  }
  setFinite(sign, exp, quotient, lo);
}

/** Square root of X. */
export function squareRoot(): void {
  if (propagateX()) return;
  if (X.kind == Kind.ZERO) {
    resultZero(X.sign);
    return;
  }
  if (X.sign) {
    invalid();
    return;
  }
  if (X.kind == Kind.INFINITE) {
    resultInfinity(0);
    return;
  }
  noteDenormalX();
  const odd = X.exp & 1;
  const root = odd ? sqrt128(X.sig, 0) : sqrt128(X.sig >> 1, X.sig << 63);
  const rest = Wide.rem;
  setFinite(0, (X.exp - odd) >> 1, root, rest == 0 ? 0 : rest == 1 ? 0x4000_0000_0000_0000 : 0xc000_0000_0000_0000);
}

/** Compares X with Y. IE for SNaNs and unsupported numbers, and for QNaNs if `signaling`. */
export function compare(signaling: bool): i32 {
  if (max(X.kind, Y.kind) >= Kind.QNAN) {
    if (signaling || max(X.kind, Y.kind) >= Kind.SNAN) Env.flags |= Flag.IE;
    return Relation.UNORDERED;
  }
  noteDenormals();
  if (X.kind == Kind.ZERO && Y.kind == Kind.ZERO) return Relation.EQUAL;
  if (X.kind == Kind.ZERO) return Y.sign ? Relation.GREATER : Relation.LESS;
  if (Y.kind == Kind.ZERO || X.sign != Y.sign) return X.sign ? Relation.LESS : Relation.GREATER;
  let order: i32;
  if (X.kind != Y.kind) order = X.kind == Kind.INFINITE ? 1 : -1;
  else if (X.kind == Kind.INFINITE) order = 0;
  else if (X.exp != Y.exp) order = X.exp > Y.exp ? 1 : -1;
  else order = X.sig == Y.sig ? 0 : X.sig > Y.sig ? 1 : -1;
  return X.sign ? -order : order;
}

/** What remainder() found besides R. */
export class Remainder {
  /** Low bits of the quotient. */
  static quotient: u64 = 0;
  /** The reduction is only partial (FSW.C2). */
  static partial: bool = false;
}

/** Partial remainder of X / Y: quotient cut (FPREM), or rounded to nearest (FPREM1). */
export function remainder(nearest: bool): void {
  Remainder.quotient = 0;
  Remainder.partial = false;
  if (propagateXY()) return;
  if (X.kind == Kind.INFINITE || Y.kind == Kind.ZERO) {
    invalid();
    return;
  }
  noteDenormals();
  if (X.kind == Kind.ZERO) {
    resultZero(X.sign);
    return;
  }
  if (Y.kind == Kind.INFINITE) {
    resultX();
    return;
  }
  const distance = X.exp - Y.exp;
  if (distance < -1 || (distance < 0 && !nearest)) {
    resultX();
    return;
  }
  if (distance >= 64) {
    // Reduce the exponent by between 32 and 63, as the SDM says of FPREM, and leave the rest for the next time.
    const steps = 32 + (distance & 31);
    Remainder.partial = true;
    const skip = distance - steps;
    div64(X.sig >> (64 - steps), X.sig << steps, Y.sig);
    setNormalised(X.sign, Y.exp + skip, Wide.rem, 0);
    return;
  }
  let quotient: u64;
  let rest: u64;
  if (distance < 0) {
    quotient = 0;
    // X is half of (X.sig, at Y's exponent); compare below without losing its last bit.
    rest = X.sig;
    const above = rest > Y.sig;
    if (!above) {
      resultX();
      return;
    }
    Remainder.quotient = 1;
    // |Y| - |X| = (2 * Y.sig - X.sig) at X's exponent.
    const difference = Y.sig - (X.sig - Y.sig);
    setNormalised(X.sign ^ 1, X.exp, difference, 0);
    return;
  }
  quotient = 0;
  rest = X.sig;
  if (rest >= Y.sig) {
    rest -= Y.sig;
    quotient = distance == 0 ? 1 : (1 as u64) << distance;
  }
  if (distance > 0) {
    quotient += div64(rest >> (64 - distance), rest << distance, Y.sig);
    rest = Wide.rem;
  }
  let sign = X.sign;
  if (nearest && rest != 0) {
    const other = Y.sig - rest;
    if (rest > other || (rest == other && quotient & 1)) {
      quotient++;
      rest = other;
      sign ^= 1;
    }
  }
  Remainder.quotient = quotient;
  setNormalised(sign, Y.exp, rest, 0);
}

/** R's value as a signed integer after roundToInteger(); `bits` wide, or i64.MIN_VALUE with IE if it does not fit. */
export function integerOfR(bits: i32): i64 {
  if (R.kind == Kind.ZERO) return 0;
  if (R.kind == Kind.FINITE && R.exp < bits) {
    if (R.exp < bits - 1) {
      const magnitude = i64(R.hi >> (63 - R.exp));
      return R.sign ? -magnitude : magnitude;
    }
    // Only the most negative number has this exponent.
    if (R.sign && R.hi == INTEGER_BIT) return i64(-1) << (bits - 1);
  }
  Env.flags |= Flag.IE;
  return i64.MIN_VALUE;
}
