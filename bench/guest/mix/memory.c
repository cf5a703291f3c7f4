// Parts whose work is memory.

#include "parts.h"

enum { BYTES = 65536 };
static u8 source[BYTES + 64], target[BYTES + 64];

void copy_setup(void) {
  u32 seed = 17;
  for (u32 n = 0; n < sizeof source; n++) source[n] = (u8)next_random(&seed);
}

static NOINLINE void copy_words(u32 *to, const u32 *from, u32 words) {
  for (u32 n = 0; n < words; n += 4) {
    const u32 a = from[n], b = from[n + 1], c = from[n + 2], d = from[n + 3];
    // A loop that gcc must not take for memcpy.
    __asm__ volatile("" : : : "memory");
    to[n] = a, to[n + 1] = b, to[n + 2] = c, to[n + 3] = d;
  }
}

static NOINLINE void copy_bytes(u8 *to, const u8 *from, u32 bytes) {
  while (bytes--) {
    *to++ = *from++;
    __asm__ volatile("" : : : "memory");
  }
}

/** REP MOVS by words and by unaligned bytes, a loop of words and one of bytes. */
u64 copy(void) {
  void *to = target;
  const void *from = source;
  word count = BYTES / 4;
  __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  u64 sum = 0;
  for (u32 n = 0; n < BYTES; n += 1021) sum = sum * 31 + target[n];
  to = target + 3, from = source + 1, count = BYTES / 2;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  copy_words((u32 *)(target + BYTES / 2), (const u32 *)(source + BYTES / 4), BYTES / 8);
  copy_bytes(target + 5, source + 9, BYTES / 8);
  for (u32 n = 0; n < BYTES; n += 509) sum = sum * 31 + target[n];
  return sum;
}

/** One in each of 65,536 cache lines, 4 MB together. */
static struct link {
  struct link *next;
  u32 number;
  u8 rest[64 - sizeof(void *) - sizeof(u32)];
} links[65536];

/** One circle through all of them, in an order without order (Sattolo's shuffle). */
void chase_setup(void) {
  static u32 order[COUNT(links)];
  u32 seed = 19;
  for (u32 n = 0; n < COUNT(links); n++) order[n] = n;
  for (u32 n = COUNT(links) - 1; n > 0; n--) {
    const u32 with = next_random(&seed) % n, value = order[n];
    order[n] = order[with];
    order[with] = value;
  }
  for (u32 n = 0; n < COUNT(links); n++) {
    links[order[n]].next = &links[order[(n + 1) % COUNT(links)]];
    links[order[n]].number = order[n];
  }
}

u64 chase(void) {
  u64 sum = 0;
  const struct link *at = links;
  do {
    sum = (sum << 1 | sum >> 63) ^ at->number;
    at = at->next;
  } while (at != links);
  return sum;
}
