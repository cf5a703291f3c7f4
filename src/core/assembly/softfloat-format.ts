// Floating-point formats: from and to the unpacked form of softfloat.ts.
// Intel SDM, volume 1, 4.2.2 (floating-point data types) and 4.8.3 (number encodings), table 8-3 (unsupported 80-bit encodings).

import { Kind, R, X, round } from './softfloat';

const INTEGER_BIT: u64 = 0x8000_0000_0000_0000;
const QUIET_BIT: u64 = 0x4000_0000_0000_0000;

/** X = the 80-bit number with this significand and this sign-and-exponent word. */
export function unpack80(significand: u64, signExponent: u32): void {
  const exponent = i32(signExponent & 0x7fff);
  X.sign = (signExponent >> 15) & 1;
  X.denormal = 0;
  X.sig = significand;
  X.exp = exponent - 16383;
  if (exponent == 0) {
    if (significand == 0) {
      X.kind = Kind.ZERO;
      return;
    }
    X.kind = Kind.FINITE;
    X.denormal = 1;
    const shift = i32(clz(significand));
    X.sig = significand << shift;
    X.exp = -16382 - shift;
    return;
  }
  if (!(significand & INTEGER_BIT)) {
    X.kind = Kind.UNSUPPORTED;
    return;
  }
  if (exponent == 0x7fff) {
    X.kind = significand == INTEGER_BIT ? Kind.INFINITE : significand & QUIET_BIT ? Kind.QNAN : Kind.SNAN;
    return;
  }
  X.kind = Kind.FINITE;
}

@inline
function unpack(sign: u32, exponent: i32, fraction: u64, bias: i32): void {
  X.sign = sign;
  X.denormal = 0;
  if (exponent == 0) {
    if (fraction == 0) {
      X.kind = Kind.ZERO;
      X.sig = 0;
      return;
    }
    X.kind = Kind.FINITE;
    X.denormal = 1;
    const shift = i32(clz(fraction));
    X.sig = fraction << shift;
    X.exp = -bias - shift + 1;
    return;
  }
  X.exp = exponent - bias;
  X.sig = fraction | INTEGER_BIT;
  if (exponent == 2 * bias + 1) X.kind = fraction == 0 ? Kind.INFINITE : fraction & QUIET_BIT ? Kind.QNAN : Kind.SNAN;
  else X.kind = Kind.FINITE;
}

/** X = a float64. */
export function unpack64(bits: u64): void {
  unpack(u32(bits >> 63), i32(bits >> 52) & 0x7ff, (bits << 12) >> 1, 1023);
}

/** X = a float32. */
export function unpack32(bits: u32): void {
  unpack(bits >> 31, i32(bits >> 23) & 0xff, (u64(bits) << 41) >> 1, 127);
}

/** X = a signed integer. */
export function unpackInteger(value: i64): void {
  X.denormal = 0;
  X.sign = u32(value < 0);
  if (value == 0) {
    X.kind = Kind.ZERO;
    X.sig = 0;
    return;
  }
  const magnitude = value < 0 ? 0 - u64(value) : u64(value);
  const shift = i32(clz(magnitude));
  X.kind = Kind.FINITE;
  X.sig = magnitude << shift;
  X.exp = 63 - shift;
}

/** Sign and exponent word of R, which round(…, -16382, 16383) has made, as an 80-bit number; its significand is significand80(). */
export function signExponent80(): u32 {
  const sign = R.sign << 15;
  switch (R.kind) {
    case Kind.ZERO:
      return sign;
    case Kind.FINITE:
      return R.hi & INTEGER_BIT ? sign | u32(R.exp + 16383) : sign;
    default:
      return sign | 0x7fff;
  }
}

export function significand80(): u64 {
  return R.kind == Kind.ZERO ? 0 : R.kind == Kind.INFINITE ? INTEGER_BIT : R.hi;
}

/** Rounds R to a float64 and packs it. */
export function pack64(): u64 {
  round(53, -1022, 1023);
  const sign = u64(R.sign) << 63;
  switch (R.kind) {
    case Kind.ZERO:
      return sign;
    case Kind.FINITE: {
      const exponent: u64 = R.hi & INTEGER_BIT ? u64(R.exp + 1023) : 0;
      return sign | (exponent << 52) | ((R.hi << 1) >> 12);
    }
    case Kind.INFINITE:
      return sign | 0x7ff0_0000_0000_0000;
    default:
      return sign | 0x7ff0_0000_0000_0000 | ((R.hi << 1) >> 12);
  }
}

/** Rounds R to a float32 and packs it. */
export function pack32(): u32 {
  round(24, -126, 127);
  const sign = R.sign << 31;
  const fraction = u32((R.hi << 1) >> 41);
  switch (R.kind) {
    case Kind.ZERO:
      return sign;
    case Kind.FINITE: {
      const exponent: u32 = R.hi & INTEGER_BIT ? u32(R.exp + 127) : 0;
      return sign | (exponent << 23) | fraction;
    }
    case Kind.INFINITE:
      return sign | 0x7f80_0000;
    default:
      return sign | 0x7f80_0000 | fraction;
  }
}
