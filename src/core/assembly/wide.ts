// Arithmetic on 128-bit unsigned integers, held as two u64 (high, low).
// Functions return the high half; the low half, or the remainder, is left in Wide's fields.
// (Long division: D. Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D with two 32-bit digits.)

/** Second results. WebAssembly globals, so private to each instance. */
export class Wide {
  /** Low 64 bits of the last 128-bit result. */
  static lo: u64 = 0;
  /** Remainder of the last division. */
  static rem: u64 = 0;
}

const LOW: u64 = 0xffff_ffff;

/** a * b; returns bits 127:64, Wide.lo = bits 63:0. */
export function mul64(a: u64, b: u64): u64 {
  const al = a & LOW;
  const ah = a >> 32;
  const bl = b & LOW;
  const bh = b >> 32;
  const ll = al * bl;
  const lh = al * bh;
  const hl = ah * bl;
  const middle = (ll >> 32) + (lh & LOW) + (hl & LOW);
  Wide.lo = (middle << 32) | (ll & LOW);
  return ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32);
}

/** (high:low) / d for a d with bit 63 set and high < d; Wide.rem = remainder. */
export function div64(high: u64, low: u64, d: u64): u64 {
  const dh = d >> 32;
  const dl = d & LOW;

  // A remainder as such would be a second division.
  let q1 = high / dh;
  let r = high - q1 * dh;
  const next = low >> 32;
  while (q1 > LOW || q1 * dl > ((r << 32) | next)) {
    q1--;
    r += dh;
    if (r > LOW) break;
  }
  const middle = ((high << 32) | next) - q1 * d;

  let q0 = middle / dh;
  r = middle - q0 * dh;
  const last = low & LOW;
  while (q0 > LOW || q0 * dl > ((r << 32) | last)) {
    q0--;
    r += dh;
    if (r > LOW) break;
  }
  Wide.rem = ((middle << 32) | last) - q0 * d;
  return (q1 << 32) + q0;
}

/** (high:low) >> count, bits shifted out are ORed into bit 0 ("jamming", so that rounding still sees them). */
export function shiftRightJam(high: u64, low: u64, count: i32): u64 {
  if (count == 0) {
    Wide.lo = low;
    return high;
  }
  if (count < 64) {
    const lost = low << (64 - count);
    Wide.lo = (high << (64 - count)) | (low >> count) | u64(lost != 0);
    return high >> count;
  }
  if (count == 64) {
    Wide.lo = high | u64(low != 0);
    return 0;
  }
  if (count < 128) {
    const lost = (high << (128 - count)) | low;
    Wide.lo = (high >> (count - 64)) | u64(lost != 0);
    return 0;
  }
  Wide.lo = u64((high | low) != 0);
  return 0;
}

/** (high:low) >> count, bits shifted out are dropped. */
export function shiftRight(high: u64, low: u64, count: i32): u64 {
  if (count == 0) {
    Wide.lo = low;
    return high;
  }
  if (count < 64) {
    Wide.lo = (high << (64 - count)) | (low >> count);
    return high >> count;
  }
  Wide.lo = count < 128 ? high >> (count - 64) : 0;
  return 0;
}

/** (high:low) << count for a count below 128. */
export function shiftLeft(high: u64, low: u64, count: i32): u64 {
  if (count == 0) {
    Wide.lo = low;
    return high;
  }
  if (count < 64) {
    Wide.lo = low << count;
    return (high << count) | (low >> (64 - count));
  }
  Wide.lo = 0;
  return low << (count - 64);
}

/** Leading zero bits of (high:low); 128 for zero. */
@inline
export function clz128(high: u64, low: u64): i32 {
  return high != 0 ? i32(clz(high)) : 64 + i32(clz(low));
}

/** Bits 255:128 of the product of two 128-bit numbers, too small by less than 3 in its last place. */
export function mul128(ah: u64, al: u64, bh: u64, bl: u64): u64 {
  const top = mul64(ah, bh);
  let low = Wide.lo;
  let high = top;
  const cross1 = mul64(ah, bl);
  low += cross1;
  if (low < cross1) high++;
  const cross2 = mul64(al, bh);
  low += cross2;
  if (low < cross2) high++;
  Wide.lo = low;
  return high;
}

/** Square root of (high:low), rounded down, for a high of at least 2^62; Wide.rem: 0 exact, 1 fraction below a half, 2 above. */
export function sqrt128(high: u64, low: u64): u64 {
  // 52 correct bits from the host's square root, then one step of Newton's method makes all but the last right. Conversions are of signed
  // numbers, which processors have an instruction for: half of the number goes in, half of the root (below 2^63) comes out.
  const estimate = Math.sqrt(f64(i64(high >> 1)) * 2.0) * 4294967296.0;
  const half = estimate * 0.5;
  let root = half >= 9223372036854774784.0 ? u64.MAX_VALUE : u64(i64(half)) << 1;
  const square = mul64(root, root);
  let errorLow = low - Wide.lo;
  let errorHigh = i64(high - square - u64(low < Wide.lo));
  const step = (f64(errorHigh) * 18446744073709551616.0 + f64(i64(errorLow >> 1)) * 2.0) / (2.0 * estimate);
  const before = root;
  let moved = i64(Math.floor(step));
  root += u64(moved);
  if (moved > 0 && root < before) {
    root = u64.MAX_VALUE;
    moved = i64(root - before);
  }
  // What is left: the square grew by moved * (before + root), where moved has few bits.
  const upper = moved * i64((before >> 32) + (root >> 32));
  const lower = moved * i64((before & LOW) + (root & LOW));
  const grownLow = u64(lower) + (u64(upper) << 32);
  errorHigh -= (upper >> 32) + (lower >> 63) + i64(grownLow < u64(lower)) + i64(errorLow < grownLow);
  errorLow -= grownLow;
  while (true) {
    if (errorHigh < 0) {
      // r² - (r - 1)² = 2r - 1
      const less = root + root - 1;
      root--;
      errorHigh += i64(root >> 63) + i64(u64(errorLow + less) < less);
      errorLow += less;
      continue;
    }
    // The remainder of the right root is at most 2r; the next square is 2r + 1 larger.
    const top = i64(root >> 63);
    if (errorHigh < top || (errorHigh == top && errorLow <= root + root)) break;
    const more = root + root + 1;
    errorHigh -= top + i64(errorLow < more);
    errorLow -= more;
    root++;
  }
  Wide.rem = errorHigh == 0 && errorLow == 0 ? 0 : errorHigh > 0 || errorLow > root ? 2 : 1;
  return root;
}
