// Parts that compute with floating point. Doubles are SSE2 on amd64 and x87 on i386, as in Debian's packages; their values are whole
// numbers below 2^53, so that both have the same results.

#include "parts.h"

u64 matrix_double(void) {
  enum { N = 24 };
  static double a[N][N], b[N][N], c[N][N];
  u32 seed = 13;
  for (u32 i = 0; i < N; i++) for (u32 j = 0; j < N; j++) a[i][j] = (i32)next_random(&seed), b[i][j] = (i32)(i * 31 ^ j * 17) - 300;
  for (u32 i = 0; i < N; i++) {
    for (u32 j = 0; j < N; j++) {
      double sum = 0;
      for (u32 k = 0; k < N; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  }
  u64 sum = 0;
  for (u32 i = 0; i < N; i++) sum = fold(sum, (u64)((i64)c[i][i] + (i64)c[i][N - 1 - i]));
  return sum;
}

static u64 bits(long double value) {
  const union {
    long double value;
    struct {
      u64 mantissa;
      u16 exponent;
    } parts;
  } it = {value};
  return it.parts.mantissa ^ (u64)it.parts.exponent << 48;
}

/** Additions, multiplications, divisions and square roots with 64 bits of mantissa, which every processor rounds alike. */
u64 x87(void) {
  static long double series[32];
  static volatile long double start = 0.4L;
  long double x = start, sum = 0, quotient = 1;
  for (u32 n = 0; n < 1000; n++) {
    x = 3.9L * x * (1.0L - x);
    sum += __builtin_sqrtl(x);
    quotient = quotient / (1.0L + x) + 0.5L;
    series[n % COUNT(series)] = sum - quotient * x;
  }
  long double dot = 0;
  for (u32 round = 0; round < 32; round++) for (u32 n = 0; n < COUNT(series); n++) dot += series[n] * series[(n + round) % COUNT(series)];
  return fold(fold(fold(bits(x), bits(sum)), bits(quotient)), bits(dot));
}
