// Random and corner-case floating-point operands, shared by the generators of this folder.
#ifndef FP_RANDOM_H
#define FP_RANDOM_H
#include <stdint.h>

static uint64_t seed_state = 1;

static uint64_t rnd(void) {
  // xorshift64*: repeatable for a seed
  seed_state ^= seed_state >> 12;
  seed_state ^= seed_state << 25;
  seed_state ^= seed_state >> 27;
  return seed_state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n) { return (unsigned)((rnd() >> 33) % n); }

/** A fraction of 64 bits: random, sparse, runs of ones, or near a rounding boundary. */
static uint64_t rnd_fraction(void) {
  uint64_t r = rnd();
  switch (below(8)) {
    case 0: return 0;
    case 1: return ~0ull << below(64);
    case 2: return 1ull << below(64);
    case 3: return (1ull << below(64)) ^ (1ull << below(64)) ^ (1ull << below(64));
    case 4: return r << below(64);
    case 5: return (r & ~0ull << 40) | (1ull << 39);
    case 6: return ~(1ull << below(64));
    default: return r;
  }
}

/** An exponent of a format with this bias: often near 0, or near the ends. */
static int rnd_exponent(int bias) {
  int max = 2 * bias + 1;
  switch (below(8)) {
    case 0: return below(max + 1);
    case 1: return below(70) % (max + 1);
    case 2: { int e = max - (int)below(70); return e < 0 ? 0 : e; }
    case 3: return 0;
    case 4: return below(6) == 0 ? max : bias + 63 - (int)below(3);
    default: { int e = bias - 66 + (int)below(132); return e < 0 ? 0 : e > max ? max : e; }
  }
}

typedef struct { uint64_t significand; uint16_t sign_exponent; } f80;

static inline f80 rnd80(void) {
  f80 v;
  int e = rnd_exponent(16383);
  v.significand = rnd_fraction();
  if (e != 0 && below(20) != 0) v.significand |= 1ull << 63;
  if (e == 0 && below(3) != 0) v.significand &= ~(1ull << 63);
  if (below(12) == 0) { v.significand = below(2) ? 0 : v.significand & ~(1ull << 63); e = 0; }
  if (e == 0x7fff && below(2)) v.significand = 1ull << 63;
  if (e == 0 && below(3) == 0) v.significand = 0;
  v.sign_exponent = (uint16_t)(e | (below(2) << 15));
  return v;
}

static uint64_t rnd64(void) {
  return (rnd() & (1ull << 63)) | ((uint64_t)rnd_exponent(1023) << 52) | (rnd_fraction() >> 12);
}

static uint32_t rnd32(void) {
  return (uint32_t)((rnd() & 0x80000000u) | ((uint32_t)rnd_exponent(127) << 23) | (uint32_t)(rnd_fraction() >> 41));
}
#endif
