// A disk as a program finds it, past the kernel's cache (O_DIRECT): one after the other in blocks of 256 KiB, and 4 KiB anywhere with one
// or 32 requests under way (io_submit(2)). Each test prints
//   disk TEST requests bytes nanoseconds median-latency p99-latency       (latencies in ns; 0 where there are many under way)
// The disk's blocks of 4 KiB begin with their number times 0x9e3779b97f4a7c15, before as after, which is checked when they are read.
// Arguments: dev=PATH, mib=N, ms=1000

#include "system.h"

enum { O_RDWR = 2, O_DIRECT = 040000, BLOCK = 4096, LARGE = 262144, DEPTH = 32 };

static int disk;
static u32 blocks;
static u64 duration;
static u8 buffers[DEPTH][BLOCK] __attribute__((aligned(4096)));
static u8 large[LARGE] __attribute__((aligned(4096)));
static struct latencies latencies;
static u32 seed = 23;

static u64 first_word(u32 block) {
  return (block + 1) * 0x9e3779b97f4a7c15ull;
}

static void check(const u8 *at, u32 block) {
  const u64 got = *(const u64 *)at;
  if (got == first_word(block)) return;
  print("block ");
  print_decimal(block);
  print(" is wrong\n");
  fail("the disk", got);
}

static u32 anywhere(void) {
  return (next_random(&seed) << 8 ^ next_random(&seed)) % blocks;
}

static word transfer(int is_write, void *at, word bytes, u64 from) {
  const word number = is_write ? SYS_pwrite64 : SYS_pread64;
#ifdef __x86_64__
  return call4(number, disk, at, bytes, from);
#else
  return call(number, (word)disk, (word)at, bytes, (word)from, (word)(from >> 32), 0);
#endif
}

static void report(const char *test, u64 requests, u64 bytes, u64 ns) {
  print("disk ");
  print(test);
  const u64 numbers[] = {requests, bytes, ns};
  for (u32 n = 0; n < COUNT(numbers); n++) {
    print(" ");
    print_decimal(numbers[n]);
  }
  print_latencies(&latencies);
  print("\n");
}

static void sequential(const char *test, int is_write) {
  u64 requests = 0;
  const u64 from = now(), end = from + duration;
  u64 at = from;
  u32 block = 0;
  do {
    if (block + LARGE / BLOCK > blocks) block = 0;
    if (is_write) for (u32 n = 0; n < LARGE / BLOCK; n++) *(u64 *)(large + n * BLOCK) = first_word(block + n);
    const word got = transfer(is_write, large, LARGE, (u64)block * BLOCK);
    if (got != LARGE) fail(test, got);
    if (!is_write) for (u32 n = 0; n < LARGE / BLOCK; n++) check(large + n * BLOCK, block + n);
    block += LARGE / BLOCK;
    requests++;
    const u64 then = now();
    took(&latencies, then - at);
    at = then;
  } while (at < end);
  if (is_write) call1(SYS_fsync, disk);
  report(test, requests, requests * LARGE, now() - from);
}

static void one_by_one(const char *test, int is_write) {
  u64 requests = 0;
  const u64 from = now(), end = from + duration;
  u64 at = from;
  do {
    const u32 block = anywhere();
    if (is_write) *(u64 *)buffers[0] = first_word(block);
    const word got = transfer(is_write, buffers[0], BLOCK, (u64)block * BLOCK);
    if (got != BLOCK) fail(test, got);
    if (!is_write) check(buffers[0], block);
    requests++;
    const u64 then = now();
    took(&latencies, then - at);
    at = then;
  } while (at < end);
  if (is_write) call1(SYS_fsync, disk);
  report(test, requests, requests * BLOCK, now() - from);
}

/** include/uapi/linux/aio_abi.h */
struct iocb {
  u64 data;
  u32 key, rw_flags;
  u16 opcode, priority;
  u32 file;
  u64 buffer, bytes, offset, reserved;
  u32 flags, eventfd;
};
struct io_event {
  u64 data, request;
  i64 result, result2;
};

static void many(const char *test, int is_write) {
  static word context;
  if (!context && call2(SYS_io_setup, DEPTH, &context)) fail("io_setup", 0);
  static struct iocb requests[DEPTH];
  u32 block_of[DEPTH];
  struct iocb *list[DEPTH];
  struct io_event events[DEPTH];
  u64 done = 0;
  u32 under_way = 0, due = 0;
  for (; due < DEPTH; due++) list[due] = &requests[due], requests[due].data = due;
  const u64 from = now(), end = from + duration;
  int is_over = 0;
  while (!is_over || under_way) {
    for (u32 n = 0; n < due; n++) {
      const u32 slot = (u32)list[n]->data, block = anywhere();
      block_of[slot] = block;
      if (is_write) *(u64 *)buffers[slot] = first_word(block);
      *list[n] = (struct iocb){.data = slot, .opcode = (u16)is_write, .file = (u32)disk, .buffer = (word)buffers[slot], .bytes = BLOCK, .offset = (u64)block * BLOCK};
    }
    for (u32 sent = 0; sent < due;) {
      const word got = call3(SYS_io_submit, context, due - sent, list + sent);
      if (got == 0 || got > DEPTH) fail(test, got);
      sent += (u32)got;
    }
    under_way += due;
    const word got = call(SYS_io_getevents, context, 1, DEPTH, (word)events, 0, 0);
    if (got == 0 || got > DEPTH) fail(test, got);
    is_over = now() >= end;
    due = 0;
    for (u32 n = 0; n < got; n++) {
      const u32 slot = (u32)events[n].data;
      if (events[n].result != BLOCK) fail(test, (u64)events[n].result);
      if (!is_write) check(buffers[slot], block_of[slot]);
      if (!is_over) list[due++] = &requests[slot];
    }
    under_way -= (u32)got;
    done += got;
  }
  if (is_write) call1(SYS_fsync, disk);
  report(test, done, done * BLOCK, now() - from);
}

static const struct {
  const char *name;
  void (*run)(const char *test, int is_write);
  int is_write;
} TESTS[] = {
  {"read", sequential, 0}, {"write", sequential, 1},
  {"read-4k", one_by_one, 0}, {"write-4k", one_by_one, 1},
  {"read-4k-32", many, 0}, {"write-4k-32", many, 1},
};

int program(int argc, char **argv) {
  const char *value, *path = "/dev/vda";
  duration = 1000000000;
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "dev"))) path = value;
    else if ((value = argument(argv[n], "mib"))) blocks = (u32)number(value) * (1048576 / BLOCK);
    else if ((value = argument(argv[n], "ms"))) duration = number(value) * 1000000;
  }
  print("disk: start\n");
  // The driver may still be looking at it.
  for (u32 tries = 0; tries < 300; tries++) {
    disk = (int)call3(SYS_open, path, O_RDWR | O_DIRECT, 0);
    if (disk >= 0) break;
    pause_ms(50);
  }
  if (disk < 0) fail(path, (u64)-disk);
  mark("nothing");
  for (u32 n = 0; n < COUNT(TESTS); n++) {
    mark(TESTS[n].name);
    TESTS[n].run(TESTS[n].name, TESTS[n].is_write);
  }
  mark("end");
  return 0;
}
