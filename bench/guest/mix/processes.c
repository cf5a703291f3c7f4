// Processes and their memory, again and again: fork with copy-on-write, exec, maps made, moved, split, protected and taken away, shared
// memory, faults that a handler mends, signals at any moment, processes killed. Every result is compared with what it must be.
// Arguments: ms=1000 | rounds=N, seed=N; child=N is for its own use

#include "system.h"

enum { PAGE = 4096 };

static u32 seed = 1;
static u64 checks;

static u32 below(u32 limit) {
  return next_random(&seed) % limit;
}

static void expect(const char *what, u64 got, u64 wanted) {
  checks++;
  if (got == wanted) return;
  print(what);
  print(": ");
  print_hex(wanted, 16);
  print(" was expected\n");
  fail(what, got);
}

static void expect_exit(const char *what, word pid, int status) {
  expect(what, (u32)wait_for(pid), (u32)status << 8);
}

/** In a child: go on only if it is so; the exit status says which check it was. */
static void demand(int is_so, int status) {
  if (!is_so) leave(status);
}

// --- copy-on-write

enum { PRIVATE_WORDS = 32 * PAGE / 4 };
static u32 private[PRIVATE_WORDS];

static u32 value_of(u32 number, u32 generation) {
  return (number * 0x9e3779b1u) ^ generation * 0x85ebca77u;
}

static void copy_on_write(void) {
  const u32 generation = below(1000000);
  for (u32 n = 0; n < PRIVATE_WORDS; n += 61) private[n] = value_of(n, generation);
  const word pid = split();
  if (pid == 0) {
    // Some pages are the child's own now, the others its parent's still.
    for (u32 n = 0; n < PRIVATE_WORDS; n += 61 * 7) private[n] += 1;
    for (u32 n = 0; n < PRIVATE_WORDS; n += 61) demand(private[n] == value_of(n, generation) + (n % (61 * 7) == 0), 1);
    leave(33);
  }
  for (u32 n = 61; n < PRIVATE_WORDS; n += 61 * 11) private[n] ^= 0xffff;
  expect_exit("a child's memory", pid, 33);
  for (u32 n = 0; n < PRIVATE_WORDS; n += 61) {
    const u32 change = n % (61 * 11) == 61 ? 0xffff : 0;
    expect("memory after a fork", private[n], value_of(n, generation) ^ change);
  }
}

/** Children of children; each gives the number of processes below it and itself. */
static u32 family(u32 depth) {
  u32 sum = 1;
  for (u32 n = 0; n < depth; n++) {
    const word pid = split();
    if (pid == 0) leave((int)family(n));
    sum += (u32)wait_for(pid) >> 8;
  }
  return sum;
}

// --- maps

enum { MOST_PAGES = 24 };
static struct region {
  u8 *at;
  u32 pages;
  /** What the words of each page were set to; 0: untouched since it was mapped. */
  u32 marks[MOST_PAGES];
} regions[12];

static u32 *word_of(struct region *it, u32 page, u32 n) {
  return (u32 *)(it->at + page * PAGE) + (n * 257 + page * 3) % (PAGE / 4);
}

static void mark_page(struct region *it, u32 page) {
  it->marks[page] = below(0xfffff) + 1;
  for (u32 n = 0; n < 5; n++) *word_of(it, page, n) = it->marks[page] + n;
}

static void check_region(struct region *it) {
  for (u32 page = 0; page < it->pages; page++) {
    for (u32 n = 0; n < 5; n++) expect("a mapped page", *word_of(it, page, n), it->marks[page] ? it->marks[page] + n : 0);
  }
}

static void unmap(u8 *at, u32 pages) {
  const word failed = call2(SYS_munmap, at, pages * PAGE);
  if (failed) fail("munmap", failed);
}

static void use_maps(void) {
  struct region *it = &regions[below(COUNT(regions))];
  if (!it->pages) {
    it->pages = 1 + below(MOST_PAGES / 2);
    it->at = map(it->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (u32 page = 0; page < it->pages; page++) it->marks[page] = 0;
  }
  for (u32 n = 0; n < 4; n++) mark_page(it, below(it->pages));
  check_region(it);
  switch (below(5)) {
    case 0: {
      // Longer or shorter, and elsewhere if it must be.
      const u32 pages = 1 + below(MOST_PAGES);
      const word at = call4(SYS_mremap, it->at, it->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
      // EFAULT: a page that was exchanged is a mapping of its own to the kernel, and two are not moved together.
      if (at == (word)-14) break;
      if (at > (word)-4096) fail("mremap", at);
      it->at = (u8 *)at;
      for (u32 page = it->pages; page < pages; page++) it->marks[page] = 0;
      it->pages = pages;
      break;
    }
    case 1:
      unmap(it->at, it->pages);
      it->pages = 0;
      return;
    case 2: {
      // A page in the middle is exchanged for an empty one.
      const u32 page = below(it->pages);
      unmap(it->at + page * PAGE, 1);
      u8 *at = it->at + page * PAGE;
      if (call(SYS_mmap, (word)at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (word)at) fail("mmap", (word)at);
      it->marks[page] = 0;
      break;
    }
    case 3: {
      call3(SYS_mprotect, it->at, it->pages * PAGE, PROT_READ);
      check_region(it);
      call3(SYS_mprotect, it->at, it->pages * PAGE, PROT_READ | PROT_WRITE);
      mark_page(it, below(it->pages));
      break;
    }
    case 4: {
      const word pid = split();
      if (pid == 0) {
        check_region(it);
        unmap(it->at, it->pages);
        leave(*(volatile u8 *)it->at);
      }
      expect("a page that is there no more", (u32)wait_for(pid), SIGSEGV);
      break;
    }
  }
  check_region(it);
}

// --- exec

static const char *own_path;
static u8 large[200 * PAGE];

/** What a program that was started by exec has to find. */
static int child(u32 number) {
  for (u32 n = 0; n < sizeof large; n += PAGE / 2) if (large[n]) return 1;
  for (u32 n = 0; n < sizeof large; n += PAGE * 3) large[n] = (u8)number;
  for (u32 n = 0; n < sizeof large; n += PAGE / 2) if (large[n] != (n % (PAGE * 3) ? 0 : (u8)number)) return 2;
  return (int)(40 + number % 80);
}

static void exec(void) {
  const u32 number = below(100000);
  const word pid = split();
  if (pid == 0) {
    char text[16] = "child=00000", *arguments[] = {"itself", text, 0}, *environment[] = {0};
    u32 rest = number;
    for (u32 n = 10; n >= 6; n--) text[n] = (char)('0' + rest % 10), rest /= 10;
    // What is on these pages goes with this process.
    for (u32 n = 0; n < sizeof large; n += PAGE) large[n] = 77;
    call3(SYS_execve, own_path, arguments, environment);
    leave(3);
  }
  expect_exit("exec", pid, (int)(40 + number % 80));
}

// --- shared memory and pipes

static void share(void) {
  enum { WORDS = 8 * PAGE / 4 };
  u32 *shared = map(WORDS * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
  const u32 generation = below(1000000);
  int ends[2];
  if (call1(SYS_pipe, ends)) fail("pipe", 0);
  const word pid = split();
  if (pid == 0) {
    for (u32 n = 0; n < WORDS; n += 13) shared[n] = value_of(n, generation);
    // More than the pipe holds: the reader runs in between.
    for (u32 n = 0; n < 40; n++) {
      static u32 bytes[PAGE / 4];
      for (u32 k = 0; k < COUNT(bytes); k++) bytes[k] = value_of(k, generation + n);
      for (u32 sent = 0; sent < PAGE;) {
        const word wrote = call3(SYS_write, ends[1], (u8 *)bytes + sent, PAGE - sent);
        demand(wrote <= PAGE, 1);
        sent += (u32)wrote;
      }
    }
    leave(11);
  }
  call1(SYS_close, ends[1]);
  static u32 page[PAGE / 4];
  for (u32 n = 0; n < 40; n++) {
    for (u32 got = 0; got < PAGE;) {
      const u32 wanted = 1 + below(PAGE - got);
      const word read = call3(SYS_read, ends[0], (u8 *)page + got, wanted);
      if (read == 0 || read > PAGE) fail("read", read);
      got += (u32)read;
    }
    for (u32 k = 0; k < COUNT(page); k += 7) expect("what came through a pipe", page[k], value_of(k, generation + n));
  }
  u8 byte;
  expect("the pipe's end", call3(SYS_read, ends[0], &byte, 1), 0);
  call1(SYS_close, ends[0]);
  expect_exit("a child that shares memory", pid, 11);
  for (u32 n = 0; n < WORDS; n += 13) expect("shared memory", shared[n], value_of(n, generation));
  unmap((u8 *)shared, WORDS * 4 / PAGE);
}

// --- faults that a handler mends

static u8 *guarded;
static u32 mended;
enum { GUARDED_PAGES = 4 };

static void mend(int signal, u8 *address) {
  (void)signal;
  if (address < guarded || address >= guarded + GUARDED_PAGES * PAGE) fail("a fault at", (word)address);
  mended++;
  call3(SYS_mprotect, (word)address & -(word)PAGE, PAGE, PROT_READ | PROT_WRITE);
}

static void guard(int protection) {
  call3(SYS_mprotect, guarded, GUARDED_PAGES * PAGE, protection);
  mended = 0;
}

/** Instructions that fault in the middle have done nothing when the handler comes, and all when they have run again. */
static void faults(void) {
  handle(SIGSEGV, mend);
  guarded = map(GUARDED_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  u32 *border = (u32 *)(guarded + PAGE - 2), *inside = (u32 *)(guarded + 3 * PAGE - 64);
  const u32 number = below(0x7fffffff);
  *border = number;
  *inside = number;

  guard(below(2) ? PROT_READ : 0);
  u32 carry = 0;
  __asm__ volatile("addl %2,%0\n setc %b1" : "+m"(*border), "+q"(carry) : "r"(~0u) : "cc", "memory");
  expect("add over a page border", *border, number - 1);
  expect("its carry", carry, number != 0);
  expect("faults of a border", mended, 2);

  guard(0);
  u32 value = 77;
  __asm__ volatile("xchg %0,%1" : "+m"(*inside), "+r"(value) : : "memory");
  expect("xchg", value, number);
  __asm__ volatile("lock xaddl %1,%0" : "+m"(*inside), "+r"(value) : : "cc", "memory");
  expect("xadd", *inside, number + 77);
  expect("xadd's old value", value, 77);
  __asm__ volatile("shll $3,%0\n rcrl $1,%0" : "+m"(*inside) : : "cc", "memory");
  expect("shl and rcr", *inside, (number + 77) << 3 >> 1 | (number + 77) >> 29 << 31);
  expect("faults of one page", mended, 1);

  // A stack that goes down into pages that fault, and a value that is read where it is written.
  guard(0);
  u32 *stack = (u32 *)(guarded + 2 * PAGE + 64);
  u32 popped = 0;
#ifdef __x86_64__
  __asm__ volatile("mov %%rsp,%%rbx\n mov %1,%%rsp\n mov $40,%%ecx\n 1: push %%rcx\n dec %%ecx\n jnz 1b\n mov $40,%%ecx\n 1: pop %%rdx\n add %%edx,%0\n dec %%ecx\n jnz 1b\n mov %%rbx,%%rsp"
                   : "+r"(popped) : "r"(stack) : "rbx", "rcx", "rdx", "cc", "memory");
#else
  __asm__ volatile("mov %%esp,%%ebx\n mov %1,%%esp\n mov $40,%%ecx\n 1: push %%ecx\n dec %%ecx\n jnz 1b\n mov $40,%%ecx\n 1: pop %%edx\n add %%edx,%0\n dec %%ecx\n jnz 1b\n mov %%ebx,%%esp"
                   : "+r"(popped) : "r"(stack) : "ebx", "ecx", "edx", "cc", "memory");
#endif
  expect("push and pop", popped, 820);
  expect("faults of a stack", mended, 2);

  // A string instruction goes on where it was.
  static u8 source[3 * PAGE];
  for (u32 n = 0; n < sizeof source; n++) source[n] = (u8)(n * 7 + number);
  guard(0);
  const u8 *from = source;
  u8 *to = guarded + 100;
  word count = sizeof source;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  expect("rep movsb", (u64)(to - guarded) << 32 | (u32)(from - source), (u64)(sizeof source + 100) << 32 | sizeof source);
  for (u32 n = 0; n < sizeof source; n += 3) expect("its bytes", guarded[100 + n], source[n]);
  expect("its faults", mended, 4);
  to = guarded + 100 + sizeof source - 1, from = source + sizeof source - 1, count = sizeof source;
  guard(0);
  __asm__ volatile("std\n repe cmpsb\n cld" : "+D"(to), "+S"(from), "+c"(count) : : "cc", "memory");
  expect("repe cmpsb backwards", count, 0);
  expect("its faults", mended, 4);
  unmap(guarded, GUARDED_PAGES);
  handle(SIGSEGV, 0);
}

// --- signals at any moment

static volatile u32 alarms;

static void on_alarm(int signal, u8 *address) {
  (void)signal, (void)address;
  // Registers of the code that is interrupted, that must come back.
  static volatile double number = 1.5;
  number = number * 1.25 - 0.4;
  alarms++;
}

static NOINLINE u64 work(u32 from, u32 rounds) {
  u64 sum = from;
  double real = from;
  for (u32 n = 0; n < rounds; n++) {
    sum = fold(sum, n);
    real = real * 0.5 + (double)(n & 255);
    if ((sum & 15) == 3) sum ^= sum << 7 | (u64)(u32)real;
  }
  return sum;
}

static void signals(void) {
  handle(SIGALRM, on_alarm);
  // Volatile, or once would be enough for gcc.
  const volatile u32 from = below(100000);
  const u64 wanted = work(from, 20000);
  const word on[4] = {0, 1000, 0, 1000}, off[4] = {0};
  alarms = 0;
  call3(SYS_setitimer, 0, on, 0);
  // As long as three of them take, however fast this is.
  u32 others = 0;
  do {
    others += work(from, 20000) != wanted;
  } while (alarms < 3);
  expect("under signals", others, 0);
  call3(SYS_setitimer, 0, off, 0);
  const word pid = split();
  if (pid == 0) for (;;) work(1, 100);
  for (u32 n = below(3); n; n--) work(2, 1000);
  call2(SYS_kill, pid, SIGKILL);
  expect("a process that was killed", (u32)wait_for(pid), SIGKILL);
}

int program(int argc, char **argv) {
  u64 time = 1000000000, rounds = 0;
  const char *value;
  own_path = argv[0];
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "ms"))) time = number(value) * 1000000;
    else if ((value = argument(argv[n], "rounds"))) rounds = number(value);
    else if ((value = argument(argv[n], "seed"))) seed = (u32)number(value);
    else if ((value = argument(argv[n], "child"))) leave(child((u32)number(value)));
  }
  print("processes: start\n");
  u64 done = 0, shown = now(), end = shown + time;
  do {
    switch (below(8)) {
      case 0: copy_on_write(); break;
      case 1: {
        const u32 depth = below(5);
        expect("a family", family(depth), 1u << depth);
        break;
      }
      case 2: case 3: use_maps(); break;
      case 4: exec(); break;
      case 5: share(); break;
      case 6: faults(); break;
      case 7: signals(); break;
    }
    done++;
    const u64 at = now();
    if (at - shown < 5000000000ull) continue;
    shown = at;
    print("processes: rounds ");
    print_decimal(done);
    print(", checks ");
    print_decimal(checks);
    print("\n");
  } while (rounds ? done < rounds : now() < end);
  print("processes ");
  print_decimal(done);
  print(" ");
  print_decimal(checks);
  print(" ");
  print_hex(seed, 8);
  print("\n");
  return 0;
}
