// Is a floating-point result exact? Pure functions: compiled code asks them while MXCSR.PE is clear, to know whether it would be set.
// Error-free transformations: T. J. Dekker, "A floating-point technique for extending the available precision" (1971), and Knuth's
// two-sum. Where these are not exact themselves (operands near the ends of the exponent range) the answer is "not known": 0.

/** 2^27 + 1: splits a float64 into halves of 26 bits. */
const SPLITTER: f64 = 134217729;
/** Products of factors within these limits neither overflow in the splitting nor lose their low half. */
const LARGE: f64 = 1e150;
const SMALL: f64 = 1e-140;

// @ts-ignore: decorator
@inline function within(x: f64): bool {
  const size = abs(x);
  return size == 0 || (size < LARGE && size > SMALL);
}

/** a * b - p, for p the rounded product. */
function productError(a: f64, b: f64, p: f64): f64 {
  const ta = SPLITTER * a;
  const ah = ta - (ta - a);
  const al = a - ah;
  const tb = SPLITTER * b;
  const bh = tb - (tb - b);
  const bl = b - bh;
  return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}

// @ts-ignore: decorator
@inline function sumError(a: f64, b: f64, s: f64): f64 {
  const part = s - a;
  return (a - (s - part)) + (b - part);
}

/** 1: r is exactly x op y. op as FloatOp in src/x86/float.ts: 0 +, 1 *, 3 sqrt of y, 4 -, 6 /. */
export function exact64(op: i32, x: f64, y: f64, r: f64): i32 {
  switch (op) {
    case 0:
      return abs(x) < LARGE && abs(y) < LARGE && sumError(x, y, r) == 0 ? 1 : 0;
    case 4:
      return abs(x) < LARGE && abs(y) < LARGE && sumError(x, -y, r) == 0 ? 1 : 0;
    case 1:
      return within(x) && within(y) && (x == 0 || y == 0 || within(r)) && productError(x, y, r) == 0 ? 1 : 0;
    case 6:
      return within(x) && within(y) && within(r) && r * y == x && productError(r, y, x) == 0 ? 1 : 0;
    case 3:
      return within(y) && within(r) && r * r == y && productError(r, r, y) == 0 ? 1 : 0;
    default:
      return 0;
  }
}

/** The same for float32: their products are exact in float64, and sums that are not are not exact in float32 either. */
export function exact32(op: i32, x: f32, y: f32, r: f32): i32 {
  const a: f64 = x;
  const b: f64 = y;
  const c: f64 = r;
  switch (op) {
    case 0:
      return a + b == c && sumError(a, b, c) == 0 ? 1 : 0;
    case 4:
      return a - b == c && sumError(a, -b, c) == 0 ? 1 : 0;
    case 1:
      return a * b == c ? 1 : 0;
    case 6:
      return c * b == a ? 1 : 0;
    case 3:
      return c * c == b ? 1 : 0;
    default:
      return 0;
  }
}
