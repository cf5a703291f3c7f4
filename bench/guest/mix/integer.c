// Parts that compute with integers.

#include "parts.h"

static inline u32 rotate(u32 value, int by) {
  return value << by | value >> (32 - by);
}

/** Arithmetic in registers and nothing else. */
u64 rounds(void) {
  u32 a = 1, b = 2, c = 3, d = 4;
  for (u32 n = 0; n < 20000; n++) {
    a += b ^ n;
    b = rotate(b ^ a, 7);
    c = c * 0x9e3779b1u + b;
    d ^= c >> 5;
    a = rotate(a, 13) - d;
    if (d & 1) b += 0x7f4a7c15u;
  }
  return fold(fold(0, (u64)a << 32 | b), (u64)c << 32 | d);
}

u64 sieve(void) {
  static u8 is_composite[16384];
  const u32 size = sizeof is_composite;
  u32 primes = 0, last = 0;
  for (u32 n = 0; n < size; n++) is_composite[n] = 0;
  for (u32 n = 2; n < size; n++) {
    if (is_composite[n]) continue;
    primes++;
    last = n;
    for (u32 m = n * 2; m < size; m += n) is_composite[m] = 1;
  }
  return fold(primes, last);
}

struct node {
  struct node *next;
  u32 key, data;
};

static struct node *merge(struct node *a, struct node *b) {
  struct node head, *tail = &head;
  while (a && b) {
    if (a->key <= b->key) tail->next = a, a = a->next;
    else tail->next = b, b = b->next;
    tail = tail->next;
  }
  tail->next = a ? a : b;
  return head.next;
}

static struct node *sort_list(struct node *list, u32 count) {
  if (count < 2) return list;
  struct node *middle = list;
  for (u32 n = 1; n < count / 2; n++) middle = middle->next;
  struct node *rest = middle->next;
  middle->next = 0;
  struct node *first = sort_list(list, count / 2);
  return merge(first, sort_list(rest, count - count / 2));
}

/** Make a list, find in it, reverse it, sort it. */
u64 list(void) {
  static struct node nodes[1024];
  u32 seed = 7;
  struct node *head = 0;
  for (u32 n = 0; n < COUNT(nodes); n++) {
    struct node *node = &nodes[n * 389 % COUNT(nodes)];
    node->key = next_random(&seed);
    node->data = n;
    node->next = head;
    head = node;
  }
  u64 sum = 0;
  for (u32 wanted = 0; wanted < 16; wanted++) {
    struct node *at = head;
    while (at->data != wanted * 61) at = at->next;
    sum += at->key;
  }
  struct node *reversed = 0;
  while (head) {
    struct node *next = head->next;
    head->next = reversed;
    reversed = head;
    head = next;
  }
  u32 n = 0;
  for (struct node *at = sort_list(reversed, COUNT(nodes)); at; at = at->next) sum = (sum << 1 | sum >> 63) ^ (at->data + at->key * (u64)n++);
  return fold(sum, n);
}

u64 matrix_int(void) {
  enum { N = 28 };
  static i32 a[N][N], b[N][N], c[N][N];
  u32 seed = 11;
  for (u32 i = 0; i < N; i++) for (u32 j = 0; j < N; j++) a[i][j] = (i32)next_random(&seed) - 0x800000, b[i][j] = (i32)(i * 31 ^ j * 17);
  for (u32 i = 0; i < N; i++) {
    for (u32 j = 0; j < N; j++) {
      i32 sum = 0;
      for (u32 k = 0; k < N; k++) sum = (i32)((u32)sum + (u32)a[i][k] * (u32)b[k][j]);
      c[i][j] = sum;
    }
  }
  u64 sum = 0;
  for (u32 i = 0; i < N; i++) sum = fold(sum, (u64)(u32)c[i][i] << 32 | (u32)c[i][N - 1 - i]);
  return sum;
}

/** Which sort of number, if any, each word of a text is: a state machine over its characters. */
u64 state(void) {
  enum { START, SIGN, INTEGER, POINT, FRACTION, E, E_SIGN, EXPONENT, INVALID, STATES };
  static const char *volatile text = "5012 -874 +122 35.54400 .1234500 -110.700 +0.64400 5.500e+3 -.123e-2 -87e+832 +0.6e-12 T0.3e-1F -T.T++Tq 1T3.4e4z 34.0e-T^ 12..5 7e 1e+ 0 -.";
  u32 counts[STATES] = {0}, steps = 0;
  for (u32 round = 0; round < 20; round++) {
    int at = START;
    for (const char *c = text;; c++, steps++) {
      if (*c == ' ' || !*c) {
        counts[at]++;
        at = START;
        if (!*c) break;
        continue;
      }
      const int is_digit = *c >= '0' && *c <= '9';
      switch (at) {
        case START: at = is_digit ? INTEGER : *c == '+' || *c == '-' ? SIGN : *c == '.' ? POINT : INVALID; break;
        case SIGN: at = is_digit ? INTEGER : *c == '.' ? POINT : INVALID; break;
        case INTEGER: at = is_digit ? INTEGER : *c == '.' ? FRACTION : *c == 'e' ? E : INVALID; break;
        case POINT: at = is_digit ? FRACTION : INVALID; break;
        case FRACTION: at = is_digit ? FRACTION : *c == 'e' ? E : INVALID; break;
        case E: at = is_digit ? EXPONENT : *c == '+' || *c == '-' ? E_SIGN : INVALID; break;
        case E_SIGN: at = is_digit ? EXPONENT : INVALID; break;
        case EXPONENT: at = is_digit ? EXPONENT : INVALID; break;
      }
    }
  }
  u64 sum = steps;
  for (u32 n = 0; n < STATES; n++) sum = fold(sum, counts[n]);
  return sum;
}

/** CRC-32 by table, and CRC-16 bit by bit. */
u64 crc(void) {
  static u32 table[256];
  static u8 data[8192];
  u32 seed = 3;
  for (u32 n = 0; n < 256; n++) {
    u32 value = n;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
    table[n] = value;
  }
  for (u32 n = 0; n < sizeof data; n++) data[n] = (u8)next_random(&seed);
  u32 crc32 = ~0u;
  for (u32 n = 0; n < sizeof data; n++) crc32 = crc32 >> 8 ^ table[(crc32 ^ data[n]) & 255];
  u16 crc16 = 0;
  for (u32 n = 0; n < 1024; n++) {
    u8 byte = data[n];
    for (int bit = 0; bit < 8; bit++) {
      const int carry = (crc16 ^ byte) & 1;
      byte >>= 1;
      crc16 >>= 1;
      if (carry) crc16 ^= 0xa001;
    }
  }
  return fold(~crc32, crc16);
}

static int ascending(const void *a, const void *b) {
  const u32 x = *(const u32 *)a, y = *(const u32 *)b;
  return x < y ? -1 : x > y;
}

static NOINLINE void sort(u32 *from, u32 *to, int (*compare)(const void *, const void *)) {
  while (to - from > 1) {
    u32 pivot = from[(to - from) >> 1], *low = from, *high = to - 1;
    for (;;) {
      while (compare(low, &pivot) < 0) low++;
      while (compare(high, &pivot) > 0) high--;
      if (low >= high) break;
      const u32 value = *low;
      *low++ = *high;
      *high-- = value;
    }
    u32 *middle = high + 1;
    if (middle == to) middle--;
    if (middle - from < to - middle) sort(from, middle, compare), from = middle;
    else sort(middle, to, compare), to = middle;
  }
}

/** Quicksort whose comparison is a function that is called by pointer. */
u64 quicksort(void) {
  static u32 values[1024];
  static int (*volatile compare)(const void *, const void *) = ascending;
  u32 seed = 5;
  for (u32 n = 0; n < COUNT(values); n++) values[n] = next_random(&seed);
  sort(values, values + COUNT(values), compare);
  u64 sum = 0;
  for (u32 n = 1; n < COUNT(values); n++) {
    if (values[n - 1] > values[n]) return n;
    sum = (sum << 1 | sum >> 63) + values[n];
  }
  return fold(sum, values[0]);
}

static NOINLINE u32 fibonacci(u32 n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

u64 fib(void) {
  static volatile u32 n = 18;
  return fold(1, fibonacci(n));
}

#define QUARTER(a, b, c, d) \
  x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16), x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12), \
  x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8), x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7)

/** The ChaCha20 block function (RFC 8439, section 2.3), 64 blocks. */
u64 chacha(void) {
  u32 key[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c, 1, 0x09000000, 0x4a000000, 0};
  u64 sum = 0;
  for (; key[12] <= 64; key[12]++) {
    u32 x[16];
    for (int n = 0; n < 16; n++) x[n] = key[n];
    for (int round = 0; round < 10; round++) {
      QUARTER(0, 4, 8, 12);
      QUARTER(1, 5, 9, 13);
      QUARTER(2, 6, 10, 14);
      QUARTER(3, 7, 11, 15);
      QUARTER(0, 5, 10, 15);
      QUARTER(1, 6, 11, 12);
      QUARTER(2, 7, 8, 13);
      QUARTER(3, 4, 9, 14);
    }
    for (int n = 0; n < 16; n++) sum = (sum << 3 | sum >> 61) + (x[n] + key[n]);
  }
  return sum;
}

/** A hash of 8 KiB in steps of 64 bits: multiplications, which take three of them and additions with carry on i386. */
u64 hash64(void) {
  static u64 data[1024];
  u32 seed = 9;
  for (u32 n = 0; n < COUNT(data); n++) data[n] = (u64)next_random(&seed) << 40 ^ (u64)next_random(&seed) << 20 ^ n;
  u64 a = 0x9e3779b185ebca87ull, b = 0xc2b2ae3d27d4eb4full;
  for (u32 round = 0; round < 4; round++) {
    for (u32 n = 0; n < COUNT(data); n += 2) {
      a += data[n] * 0xc2b2ae3d27d4eb4full;
      a = (a << 31 | a >> 33) * 0x9e3779b185ebca87ull;
      b ^= data[n + 1];
      b = (b << 27 | b >> 37) * 0x9e3779b185ebca87ull + 0x85ebca77c2b2ae63ull;
    }
  }
  return fold(a, b);
}
