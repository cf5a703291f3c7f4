// Elementary functions to more than 100 bits: sine, cosine, tangent, arc tangent, 2^x - 1 and logarithms, for the x87's instructions.
// Intel SDM, volume 1, 8.3.8 (approximation of pi) and 8.3.10 (transcendental instruction accuracy): within 1 ulp of 64 bits.
//
// Fractions below 1 are 128-bit fixed point ("fixed": value * 2^128), wider numbers are normalised as softfloat's R. Series are Taylor's,
// evaluated by Horner's rule on fixed numbers; a result's relative error stays below 2^-100, so it is rounded as if it were exact
// but for one case in 2^36. Coefficients were computed to 400 bits and cut.

import { R, X, Y, setFinite, setNormalised } from './softfloat';
import { Wide, clz128, mul128, shiftRight } from './wide';

/** 1/3!, 1/5!, ... 1/29! */
const ODD_FACTORIALS = memory.data<u64>([
  0x2aaa_aaaa_aaaa_aaaa, 0xaaaa_aaaa_aaaa_aaaa,
  0x0222_2222_2222_2222, 0x2222_2222_2222_2222,
  0x000d_00d0_0d00_d00d, 0x00d0_0d00_d00d_00d0,
  0x0000_2e3b_c74a_ad8e, 0x671f_5583_911c_a002,
  0x0000_006b_9915_9fd5, 0x138e_3f9d_1f92_e0df,
  0x0000_0000_b092_309d, 0x4368_4be5_1c19_8e91,
  0x0000_0000_00d7_3f9f, 0x399d_c0f8_8ec3_2b58,
  0x0000_0000_0000_ca96, 0x3b81_856a_5359_3028,
  0x0000_0000_0000_0097, 0xa4da_340a_0ab9_2650,
  0x0000_0000_0000_0000, 0x5c6e_3bdb_73d5_c62f,
  0x0000_0000_0000_0000, 0x002e_c368_262c_7033,
  0x0000_0000_0000_0000, 0x0000_13f3_ccdd_165f,
  0x0000_0000_0000_0000, 0x0000_0007_46ac_70b7,
  0x0000_0000_0000_0000, 0x0000_0000_024b_3f31,
]);

/** 1/2!, 1/4!, ... 1/28! */
const EVEN_FACTORIALS = memory.data<u64>([
  0x8000_0000_0000_0000, 0x0000_0000_0000_0000,
  0x0aaa_aaaa_aaaa_aaaa, 0xaaaa_aaaa_aaaa_aaaa,
  0x005b_05b0_5b05_b05b, 0x05b0_5b05_b05b_05b0,
  0x0001_a01a_01a0_1a01, 0xa01a_01a0_1a01_a01a,
  0x0000_049f_93ed_de27, 0xd71c_bbc0_5b4f_a999,
  0x0000_0008_f76c_77fc, 0x6c4b_daa2_6d4c_3d67,
  0x0000_0000_0c9c_ba54, 0x603e_4e90_5d6f_8a2e,
  0x0000_0000_000d_73f9, 0xf399_dc0f_88ec_32b5,
  0x0000_0000_0000_0b41, 0x3c31_dcbe_cbbd_d802,
  0x0000_0000_0000_0007, 0x950a_e900_8089_41ea,
  0x0000_0000_0000_0000, 0x0433_8e5b_6dfe_14a5,
  0x0000_0000_0000_0000, 0x0001_f2cf_0197_2f57,
  0x0000_0000_0000_0000, 0x0000_00c4_742f_e352,
  0x0000_0000_0000_0000, 0x0000_0000_4286_2898,
]);

/** 1/2!, 1/3!, ... 1/28! */
const FACTORIALS = memory.data<u64>([
  0x8000_0000_0000_0000, 0x0000_0000_0000_0000,
  0x2aaa_aaaa_aaaa_aaaa, 0xaaaa_aaaa_aaaa_aaaa,
  0x0aaa_aaaa_aaaa_aaaa, 0xaaaa_aaaa_aaaa_aaaa,
  0x0222_2222_2222_2222, 0x2222_2222_2222_2222,
  0x005b_05b0_5b05_b05b, 0x05b0_5b05_b05b_05b0,
  0x000d_00d0_0d00_d00d, 0x00d0_0d00_d00d_00d0,
  0x0001_a01a_01a0_1a01, 0xa01a_01a0_1a01_a01a,
  0x0000_2e3b_c74a_ad8e, 0x671f_5583_911c_a002,
  0x0000_049f_93ed_de27, 0xd71c_bbc0_5b4f_a999,
  0x0000_006b_9915_9fd5, 0x138e_3f9d_1f92_e0df,
  0x0000_0008_f76c_77fc, 0x6c4b_daa2_6d4c_3d67,
  0x0000_0000_b092_309d, 0x4368_4be5_1c19_8e91,
  0x0000_0000_0c9c_ba54, 0x603e_4e90_5d6f_8a2e,
  0x0000_0000_00d7_3f9f, 0x399d_c0f8_8ec3_2b58,
  0x0000_0000_000d_73f9, 0xf399_dc0f_88ec_32b5,
  0x0000_0000_0000_ca96, 0x3b81_856a_5359_3028,
  0x0000_0000_0000_0b41, 0x3c31_dcbe_cbbd_d802,
  0x0000_0000_0000_0097, 0xa4da_340a_0ab9_2650,
  0x0000_0000_0000_0007, 0x950a_e900_8089_41ea,
  0x0000_0000_0000_0000, 0x5c6e_3bdb_73d5_c62f,
  0x0000_0000_0000_0000, 0x0433_8e5b_6dfe_14a5,
  0x0000_0000_0000_0000, 0x002e_c368_262c_7033,
  0x0000_0000_0000_0000, 0x0001_f2cf_0197_2f57,
  0x0000_0000_0000_0000, 0x0000_13f3_ccdd_165f,
  0x0000_0000_0000_0000, 0x0000_00c4_742f_e352,
  0x0000_0000_0000_0000, 0x0000_0007_46ac_70b7,
  0x0000_0000_0000_0000, 0x0000_0000_4286_2898,
]);

/** 1/3, 1/5, ... 1/43 */
const ODD = memory.data<u64>([
  0x5555_5555_5555_5555, 0x5555_5555_5555_5555,
  0x3333_3333_3333_3333, 0x3333_3333_3333_3333,
  0x2492_4924_9249_2492, 0x4924_9249_2492_4924,
  0x1c71_c71c_71c7_1c71, 0xc71c_71c7_1c71_c71c,
  0x1745_d174_5d17_45d1, 0x745d_1745_d174_5d17,
  0x13b1_3b13_b13b_13b1, 0x3b13_b13b_13b1_3b13,
  0x1111_1111_1111_1111, 0x1111_1111_1111_1111,
  0x0f0f_0f0f_0f0f_0f0f, 0x0f0f_0f0f_0f0f_0f0f,
  0x0d79_435e_50d7_9435, 0xe50d_7943_5e50_d794,
  0x0c30_c30c_30c3_0c30, 0xc30c_30c3_0c30_c30c,
  0x0b21_642c_8590_b216, 0x42c8_590b_2164_2c85,
  0x0a3d_70a3_d70a_3d70, 0xa3d7_0a3d_70a3_d70a,
  0x097b_425e_d097_b425, 0xed09_7b42_5ed0_97b4,
  0x08d3_dcb0_8d3d_cb08, 0xd3dc_b08d_3dcb_08d3,
  0x0842_1084_2108_4210, 0x8421_0842_1084_2108,
  0x07c1_f07c_1f07_c1f0, 0x7c1f_07c1_f07c_1f07,
  0x0750_7507_5075_0750, 0x7507_5075_0750_7507,
  0x06eb_3e45_306e_b3e4, 0x5306_eb3e_4530_6eb3,
  0x0690_6906_9069_0690, 0x6906_9069_0690_6906,
  0x063e_7063_e706_3e70, 0x63e7_063e_7063_e706,
  0x05f4_17d0_5f41_7d05, 0xf417_d05f_417d_05f4,
]);

/** atan(k / 8) for k = 0 to 8 */
const ARC_TANGENTS = memory.data<u64>([
  0x0000_0000_0000_0000, 0x0000_0000_0000_0000,
  0x1fd5_ba9a_ac2f_6dc6, 0x5912_f313_e7d1_11de,
  0x3eb6_ebf2_5901_bac5, 0x5b71_e7bd_7de8_85f9,
  0x5bd8_6507_937b_c239, 0xc551_9091_6e7f_2241,
  0x76b1_9c15_86ed_3da2, 0xb7f2_22f6_5e1d_4681,
  0x8f00_5d5e_f7f5_9f9b, 0x5c83_5e16_65c4_3747,
  0xa4bc_7d19_34f7_0924, 0x19a8_7f2a_457d_ac9e,
  0xb805_3e2b_c231_9e73, 0xcb2d_a552_10a4_443d,
  0xc90f_daa2_2168_c234, 0xc4c6_628b_80dc_1cd1,
]);

/** A normalised number between the steps of a computation: (hi:lo) / 2^127 * 2^exp. */
class T {
  static exp: i32 = 0;
  static hi: u64 = 0;
  static lo: u64 = 0;
}

function normaliseT(exp: i32, hi: u64, lo: u64): void {
  const shift = clz128(hi, lo);
  if (shift >= 64) {
    hi = shift == 128 ? 0 : lo << (shift - 64);
    lo = 0;
  } else if (shift > 0) {
    hi = (hi << shift) | (lo >> (64 - shift));
    lo <<= shift;
  }
  T.exp = exp - shift;
  T.hi = hi;
  T.lo = lo;
}

/** T = T * (hi:lo) / 2^127 * 2^exp. */
function multiplyT(exp: i32, hi: u64, lo: u64): void {
  const high = mul128(T.hi, T.lo, hi, lo);
  normaliseT(T.exp + exp + 1, high, Wide.lo);
}

/** T, below 1, as a fixed number; the low half in Wide.lo. */
@inline
function fixedT(): u64 {
  return shiftRight(T.hi, T.lo, -1 - T.exp);
}

/** (ah:al) / (bh:bl) as a fixed number, for a < b; the low half in Wide.lo. Bit by bit: this is rare. */
function divideFixed(ah: u64, al: u64, bh: u64, bl: u64): u64 {
  let qh: u64 = 0;
  let ql: u64 = 0;
  for (let n = 0; n < 128; n++) {
    const carry = ah >> 63;
    ah = (ah << 1) | (al >> 63);
    al <<= 1;
    qh = (qh << 1) | (ql >> 63);
    ql <<= 1;
    if (carry != 0 || ah > bh || (ah == bh && al >= bl)) {
      ah = ah - bh - u64(al < bl);
      al -= bl;
      ql |= 1;
    }
  }
  Wide.lo = ql;
  return qh;
}

/** T = (an / bn) of two normalised numbers. */
function divideNormalised(aExp: i32, ah: u64, al: u64, bExp: i32, bh: u64, bl: u64): void {
  let exp = aExp - bExp;
  if (ah > bh || (ah == bh && al >= bl)) {
    // Halve the dividend, so that the quotient is below 1.
    al = (al >> 1) | (ah << 63);
    ah >>= 1;
    exp++;
  }
  const high = divideFixed(ah, al, bh, bl);
  normaliseT(exp - 1, high, Wide.lo);
}

/** c[0] -+ z (c[1] -+ z (c[2] -+ …)) on fixed numbers; alternating signs if `alternate`. The low half in Wide.lo. */
function horner(table: usize, count: i32, zh: u64, zl: u64, alternate: bool): u64 {
  let address = table + 16 * usize(count - 1);
  let hi = load<u64>(address);
  let lo = load<u64>(address, 8);
  while (address != table) {
    address -= 16;
    const ch = load<u64>(address);
    const cl = load<u64>(address, 8);
    const ph = mul128(zh, zl, hi, lo);
    const pl = Wide.lo;
    if (alternate) {
      lo = cl - pl;
      hi = ch - ph - u64(cl < pl);
    } else {
      lo = cl + pl;
      hi = ch + ph + u64(lo < cl);
    }
  }
  Wide.lo = lo;
  return hi;
}

/** z (c[0] -+ z (c[1] …)), the part of a series after its leading 1. The low half in Wide.lo. */
@inline
function series(table: usize, count: i32, zh: u64, zl: u64, alternate: bool): u64 {
  const hi = horner(table, count, zh, zl, alternate);
  return mul128(hi, Wide.lo, zh, zl);
}

/** Square of a fixed number. */
@inline
function squareFixed(hi: u64, lo: u64): u64 {
  return mul128(hi, lo, hi, lo);
}

// --- circular functions ---

/** The angle after reduction: within a quarter of pi; normalised, and as a fixed number. */
class Angle {
  static quadrant: u32 = 0;
  static sign: u32 = 0;
  static zero: bool = false;
  static exp: i32 = 0;
  static hi: u64 = 0;
  static lo: u64 = 0;
  static zHigh: u64 = 0;
  static zLow: u64 = 0;
}

/** Twice the x87's pi of 66 significant bits, in units of 2^-66 of half a turn's quarter: pi / 2 = this / 2^66. */
const HALF_PI_HIGH: u64 = 0x6;
const HALF_PI_LOW: u64 = 0x487e_d511_0b46_11a6;

/** Angle = X reduced by multiples of the 66-bit pi / 2, which loses nothing. X is finite, below 2^63. */
export function reduceAngle(): void {
  Angle.quadrant = 0;
  Angle.sign = X.sign;
  Angle.zero = false;
  if (X.exp < -1) {
    T.exp = X.exp;
    T.hi = X.sig;
    T.lo = 0;
  } else {
    // X in units of 2^-66, its lowest bits coming in one by one.
    let hi = X.sig >> 62;
    let lo = X.sig << 2;
    let quadrant: u32 = 0;
    for (let n = X.exp + 1; ; n--) {
      if (hi > HALF_PI_HIGH || (hi == HALF_PI_HIGH && lo >= HALF_PI_LOW)) {
        hi = hi - HALF_PI_HIGH - u64(lo < HALF_PI_LOW);
        lo -= HALF_PI_LOW;
        quadrant |= 1;
      }
      if (n == 0) break;
      hi = (hi << 1) | (lo >> 63);
      lo <<= 1;
      quadrant <<= 1;
    }
    // Above a quarter of pi: count from the next multiple.
    if (hi > 3 || (hi == 3 && lo > 0x243f_6a88_85a3_08d3)) {
      hi = HALF_PI_HIGH - hi - u64(HALF_PI_LOW < lo);
      lo = HALF_PI_LOW - lo;
      Angle.sign ^= 1;
      quadrant++;
    }
    Angle.quadrant = quadrant & 3;
    if ((hi | lo) == 0) {
      Angle.zero = true;
      Angle.zHigh = 0;
      Angle.zLow = 0;
      return;
    }
    normaliseT(61, hi, lo);
  }
  Angle.exp = T.exp;
  Angle.hi = T.hi;
  Angle.lo = T.lo;
  const hi = fixedT();
  Angle.zHigh = squareFixed(hi, Wide.lo);
  Angle.zLow = Wide.lo;
}

/** T = sine of the reduced angle's magnitude, which is not zero. */
function sineT(): void {
  const hi = series(ODD_FACTORIALS, 14, Angle.zHigh, Angle.zLow, true);
  const lo = Wide.lo;
  T.exp = Angle.exp;
  T.hi = Angle.hi;
  T.lo = Angle.lo;
  // 1 - series, of which the complement is one place short.
  multiplyT(-1, ~hi, ~lo);
}

/** T = cosine of the reduced angle. */
function cosineT(): void {
  const hi = series(EVEN_FACTORIALS, 14, Angle.zHigh, Angle.zLow, true);
  normaliseT(-1, ~hi, ~Wide.lo);
}

@inline
function resultT(sign: u32): void {
  // No such result is exact.
  setFinite(sign, T.exp, T.hi, T.lo | 1);
}

/** R = a zero, or one, of the given sign: the results at multiples of pi / 2. */
function resultExact(one: bool, sign: u32): void {
  if (one) setFinite(sign, 0, 0x8000_0000_0000_0000, 0);
  else setNormalised(sign, 0, 0, 0);
}

/** R = sine (turn = 0) or cosine (turn = 1) of the angle that reduceAngle() left. */
export function sineOrCosine(turn: u32): void {
  const quadrant = Angle.quadrant;
  const odd = ((quadrant + turn) & 1) != 0;
  // Sine is odd; cosine of a negative angle is that of the positive one, which only turns the quadrant's sine.
  let sign: u32;
  if (turn == 0) {
    // sin(q pi/2 + r): sin r, cos r, -sin r, -cos r, all negated if X is negative.
    const inner = Angle.sign ^ X.sign;
    sign = X.sign ^ (quadrant >> 1) ^ (odd ? 0 : inner);
  } else {
    // cos(q pi/2 + r): cos r, -sin r, -cos r, sin r.
    const inner = Angle.sign ^ X.sign;
    sign = (((quadrant + 1) >> 1) & 1) ^ (odd ? 0 : inner);
  }
  if (Angle.zero) {
    resultExact(odd, sign);
    return;
  }
  if (odd) cosineT();
  else sineT();
  resultT(sign);
}

/** R = tangent of the angle that reduceAngle() left. */
export function tangent(): void {
  const odd = (Angle.quadrant & 1) != 0;
  if (Angle.zero) {
    setNormalised(Angle.sign, 0, 0, 0);
    return;
  }
  cosineT();
  const exp = T.exp, hi = T.hi, lo = T.lo;
  sineT();
  if (odd) divideNormalised(exp, hi, lo, T.exp, T.hi, T.lo);
  else divideNormalised(T.exp, T.hi, T.lo, exp, hi, lo);
  resultT(Angle.sign ^ u32(odd));
}

/** pi in units of 2^-126. */
const PI_HIGH: u64 = 0xc90f_daa2_2168_c234;
const PI_LOW: u64 = 0xc4c6_628b_80dc_1cd1;

/** R = n * pi / 4, for n from 1 to 4. */
export function quarterTurns(n: i32, sign: u32): void {
  if (n == 3) {
    // 3 pi / 4 = pi - pi / 4, at half of pi's exponent range.
    const quarterLow = (PI_LOW >> 2) | (PI_HIGH << 62);
    setNormalised(sign, 1, PI_HIGH - (PI_HIGH >> 2) - u64(PI_LOW < quarterLow), PI_LOW - quarterLow);
  } else {
    setFinite(sign, n == 1 ? -1 : n == 2 ? 0 : 1, PI_HIGH, PI_LOW);
  }
}

/** R = arc tangent of Y / X with the quadrant of the point (X, Y); both finite and not zero. */
export function arcTangent(): void {
  const steep = Y.exp > X.exp || (Y.exp == X.exp && Y.sig > X.sig);
  if (Y.exp == X.exp && Y.sig == X.sig) {
    quarterTurns(X.sign ? 3 : 1, Y.sign);
    return;
  }
  if (steep) divideNormalised(X.exp, X.sig, 0, Y.exp, Y.sig, 0);
  else divideNormalised(Y.exp, Y.sig, 0, X.exp, X.sig, 0);

  if (T.exp >= -4) {
    // atan t = atan c + atan((t - c) / (1 + t c)), c the nearest eighth.
    const hi = fixedT();
    const lo = Wide.lo;
    const k = (hi >> 61) + ((hi >> 60) & 1);
    let dh: u64, dl: u64;
    let below = false;
    if (k == 8) {
      below = true;
      dl = 0 - lo;
      dh = ~hi + u64(lo == 0);
    } else {
      const c = k << 61;
      below = hi < c;
      dl = below ? 0 - lo : lo;
      dh = below ? c - hi - u64(lo != 0) : hi - c;
    }
    if ((dh | dl) == 0) {
      normaliseT(-1, load<u64>(ARC_TANGENTS + usize(k * 16)), load<u64>(ARC_TANGENTS + usize(k * 16), 8));
    } else {
      // 1 + t c in units of 2^-127, the same as the difference's when that is halved.
      const th = shiftRight(hi, lo, 4);
      const tl = Wide.lo;
      let ph = (th * k) + carryOf(tl, k);
      const pl = tl * k;
      ph += 0x8000_0000_0000_0000;
      const halfHigh = dh >> 1;
      const halfLow = (dl >> 1) | (dh << 63);
      const uh = divideFixed(halfHigh, halfLow, ph, pl);
      const ul = Wide.lo;
      const zh = squareFixed(uh, ul);
      const zl = Wide.lo;
      const sh = series(ODD, 14, zh, zl, true);
      const ah = mul128(uh, ul, ~sh, ~Wide.lo);
      const al = Wide.lo;
      const ch = load<u64>(ARC_TANGENTS + usize(k * 16));
      const cl = load<u64>(ARC_TANGENTS + usize(k * 16), 8);
      if (below) normaliseT(-1, ch - ah - u64(cl < al), cl - al);
      else {
        const sum = cl + al;
        normaliseT(-1, ch + ah + u64(sum < cl), sum);
      }
    }
  } else {
    const exp = T.exp, thi = T.hi, tlo = T.lo;
    const hi = fixedT();
    const zh = squareFixed(hi, Wide.lo);
    const zl = Wide.lo;
    const sh = series(ODD, 14, zh, zl, true);
    const sl = Wide.lo;
    T.exp = exp;
    T.hi = thi;
    T.lo = tlo;
    multiplyT(-1, ~sh, ~sl);
  }

  if (!steep && !X.sign) {
    resultT(Y.sign);
    return;
  }
  // From the axis that is nearer: pi/2 - a, pi/2 + a (second quadrant) or pi - a, in units of 2^-126.
  const ah = shiftRight(T.hi, T.lo, min(1 - T.exp, 127));
  const al = Wide.lo;
  let baseHigh = PI_HIGH;
  let baseLow = PI_LOW;
  if (steep) {
    baseLow = (PI_LOW >> 1) | (PI_HIGH << 63);
    baseHigh = PI_HIGH >> 1;
  }
  if (steep && X.sign) {
    const sum = baseLow + al;
    setNormalised(Y.sign, 1, baseHigh + ah + u64(sum < al), sum);
  } else {
    setNormalised(Y.sign, 1, baseHigh - ah - u64(baseLow < al), baseLow - al);
  }
  R.lo |= 1;
}

/** High half of a * k for a small k. */
@inline
function carryOf(a: u64, k: u64): u64 {
  return ((a >> 32) * k + (((a & 0xffff_ffff) * k) >> 32)) >> 32;
}

// --- exponentials and logarithms ---

/** R = 2^X - 1 for 0 < |X| < 1. */
export function exponentialMinusOne(): void {
  // t = |X| ln 2
  T.exp = X.exp;
  T.hi = X.sig;
  T.lo = 0;
  multiplyT(-1, 0xb172_17f7_d1cf_79ab, 0xc9e3_b398_03f2_f6af);
  const exp = T.exp, thi = T.hi, tlo = T.lo;
  const fh = fixedT();
  const sh = series(FACTORIALS, 27, fh, Wide.lo, X.sign != 0);
  const sl = Wide.lo;
  if (X.sign) normaliseT(-1, ~sh, ~sl);
  else {
    T.exp = 0;
    T.hi = 0x8000_0000_0000_0000 | (sh >> 1);
    T.lo = (sh << 63) | (sl >> 1);
  }
  multiplyT(exp, thi, tlo);
  resultT(X.sign);
}

/** T = T * 2 / ln 2 * (1 + z/3 + z^2/5 + …), z = T^2: the logarithm to base 2 of (1 + T) / (1 - T). T is below 0.18. */
function logarithmOfRatioT(): void {
  const hi = fixedT();
  const zh = squareFixed(hi, Wide.lo);
  const sh = series(ODD, 21, zh, Wide.lo, false);
  const sl = Wide.lo;
  multiplyT(0, 0x8000_0000_0000_0000 | (sh >> 1), (sh << 63) | (sl >> 1));
  multiplyT(1, 0xb8aa_3b29_5c17_f0bb, 0xbe87_fed0_691d_3e88);
}

/** R = Y * T with T's sign; exact if T is an integer's. */
function timesY(sign: u32, exact: bool): void {
  multiplyT(Y.exp, Y.sig, 0);
  setFinite(sign ^ Y.sign, T.exp, T.hi, exact ? T.lo : T.lo | 1);
}

/** R = Y * log2((hi:lo) / 2^127 * 2^exp), for a normalised argument that is not 1 and a Y that is finite and not zero. */
function logarithm(exp: i32, hi: u64, lo: u64): void {
  if (hi == 0x8000_0000_0000_0000 && lo == 0) {
    normaliseT(63, u64(abs(exp)), 0);
    timesY(u32(exp < 0), true);
    return;
  }
  // Above the square root of 2, count from the next power: then |log2 m| <= 1/2.
  const upper = hi >= 0xb504_f333_f9de_6484;
  let sign: u32;
  if (upper) {
    exp++;
    // m = hi:lo / 2^128: (1 - m) / (1 + m)
    sign = 1;
    const dl = 0 - lo;
    const dh = ~hi + u64(lo == 0);
    normaliseT(-1, dh, dl);
    divideNormalised(T.exp, T.hi, T.lo, 0, 0x8000_0000_0000_0000 | (hi >> 1), (hi << 63) | (lo >> 1));
  } else {
    sign = 0;
    // m = hi:lo / 2^127: (m - 1) / (m + 1), m + 1 between 2 and 2.42
    normaliseT(0, hi & 0x7fff_ffff_ffff_ffff, lo);
    divideNormalised(T.exp, T.hi, T.lo, 1, 0x4000_0000_0000_0000 + (hi >> 1), (hi << 63) | (lo >> 1));
  }
  logarithmOfRatioT();
  if (exp == 0) {
    timesY(sign, false);
    return;
  }
  // exp + fraction, in units of 2^-112
  const fh = shiftRight(T.hi, T.lo, 15 - T.exp);
  const fl = Wide.lo;
  const whole = u64(abs(exp)) << 48;
  if (u32(exp < 0) == sign) {
    normaliseT(15, whole + fh, fl);
  } else {
    normaliseT(15, whole - fh - u64(fl != 0), 0 - fl);
  }
  timesY(u32(exp < 0), false);
}

/** R = Y * log2(X) for a positive X that is not 1; Y is finite and not zero. */
export function logarithmX(): void {
  logarithm(X.exp, X.sig, 0);
}

/** R = Y * log2(1 + X) for an X above -1 that is not 0; Y is finite and not zero. */
export function logarithmOnePlusX(): void {
  // The range of the instruction, from 1 - sqrt(1/2) below 0 to sqrt(2) - 1 above it, and a little more.
  const limit: u64 = X.sign ? 0x9600_0000_0000_0000 : 0xd500_0000_0000_0000;
  if (X.exp < -2 || (X.exp == -2 && X.sig <= limit)) {
    // s = x / (2 + x), in units of 2^-126 the divisor
    const xh = shiftRight(X.sig, 0, min(1 - X.exp, 127));
    const xl = Wide.lo;
    let dh: u64 = 0x8000_0000_0000_0000;
    let dl: u64 = 0;
    if (X.sign) {
      dh = dh - xh - u64(xl != 0);
      dl = 0 - xl;
    } else {
      dh += xh;
      dl = xl;
    }
    normaliseT(1, dh, dl);
    divideNormalised(X.exp, X.sig, 0, T.exp, T.hi, T.lo);
    logarithmOfRatioT();
    timesY(X.sign, false);
    return;
  }
  // 1 + X as a normalised number
  if (X.exp > 126) {
    logarithm(X.exp, X.sig, 0);
    return;
  }
  if (X.exp >= 0) {
    const one: u64 = 0x8000_0000_0000_0000;
    const oh = shiftRight(one, 0, X.exp);
    const ol = Wide.lo;
    let hi = X.sig + oh;
    let lo = ol;
    let exp = X.exp;
    if (hi < oh) {
      lo = (lo >> 1) | (hi << 63);
      hi = (hi >> 1) | one;
      exp++;
    }
    logarithm(exp, hi, lo);
    return;
  }
  const xh = shiftRight(X.sig, 0, -X.exp);
  const xl = Wide.lo;
  if (X.sign) normaliseT(0, 0x8000_0000_0000_0000 - xh - u64(xl != 0), 0 - xl);
  else normaliseT(0, 0x8000_0000_0000_0000 + xh, xl);
  logarithm(T.exp, T.hi, T.lo);
}
