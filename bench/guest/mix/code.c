// Writes code and runs it, again and again, in every way that there is of changing code: in place by each size of store, through another
// mapping of the page, by the kernel, by itself while it runs, by another page in its place. The same operations are done by a model in
// C, and every result is compared. Arguments: ms=1000 | rounds=N, seed=N
//
// Functions take eax and give eax, use ecx, and are the same bytes on i386 and amd64, but for addresses (SDM volume 2).

#include "system.h"

enum { PAGE = 4096, PAGES = 16, SLOTS_A_PAGE = 4, SLOT = PAGE / SLOTS_A_PAGE, MOST_OPERATIONS = 24 };

/** Pages of the area by use: what may be exchanged for other pages, what another process runs too, what has data beside code, SMC. */
enum { EXCHANGED = 0, COMMON = 8, MIXED = 12, CHANGING = 15, SLOTS = CHANGING * SLOTS_A_PAGE };

enum operation { ADD, SUB, XOR, IMUL, LEA, ADD_ADC, SKIP_IF_BELOW, ROL, NOT, NEG, BSWAP, OPERATIONS };
enum { WITH_NUMBER = SKIP_IF_BELOW + 1 };

struct step {
  u8 operation;
  u32 number;
  /** Where the number is, in the code. */
  u8 *at;
};

struct function {
  u8 *code;
  u32 count, loops, loop_from, bytes;
  /** A word that the code counts its runs in; or 0. */
  u32 *runs;
  u32 runs_expected;
  struct step steps[MOST_OPERATIONS];
};

static u32 seed = 1;
static struct function functions[SLOTS];
static struct function moved;

static u32 below(u32 limit) {
  return next_random(&seed) % limit;
}

static u32 any(void) {
  return next_random(&seed) << 16 ^ next_random(&seed);
}

/** Two files with the same number of pages; every page of the area is of one of them. */
static int files[2];
static u8 *area, *aliases[2];
static u8 which[PAGES];

static u8 *alias_of(u8 *at) {
  const u32 offset = (u32)(at - area);
  return aliases[which[offset / PAGE]] + offset;
}

// --- writing code

static u8 *put_byte(u8 *at, u8 byte) {
  *at = byte;
  return at + 1;
}

static u8 *put_number(u8 *at, u32 number) {
  __builtin_memcpy(at, &number, 4);
  return at + 4;
}

/** An operand [address] behind an opcode and a ModRM byte of mod 0, r/m 5: from the instruction's end on amd64, absolute on i386. */
static u8 *put_address(u8 *at, const void *address, u32 bytes_behind) {
#ifdef __x86_64__
  return put_number(at, (u32)((const u8 *)address - (at + 4 + bytes_behind)));
#else
  (void)bytes_behind;
  return put_number(at, (u32)address);
#endif
}

static u8 *put_step(u8 *at, struct step *step) {
  static const struct {
    u8 length;
    u8 bytes[3];
  } CODES[OPERATIONS] = {
    [ADD] = {1, {0x05}}, [SUB] = {1, {0x2d}}, [XOR] = {1, {0x35}}, [IMUL] = {2, {0x69, 0xc0}}, [LEA] = {2, {0x8d, 0x80}}, [ADD_ADC] = {1, {0x05}},
    [SKIP_IF_BELOW] = {1, {0x3d}}, [ROL] = {3, {0xc1, 0xc0, 11}}, [NOT] = {2, {0xf7, 0xd0}}, [NEG] = {2, {0xf7, 0xd8}}, [BSWAP] = {2, {0x0f, 0xc8}},
  };
  for (u32 n = 0; n < CODES[step->operation].length; n++) at = put_byte(at, CODES[step->operation].bytes[n]);
  step->at = at;
  if (step->operation < WITH_NUMBER) at = put_number(at, step->number);
  if (step->operation == ADD_ADC) at = put_number(put_byte(at, 0x15), 0x01234567);
  // jb over the next step, whose length is known when it is there.
  if (step->operation == SKIP_IF_BELOW) at = put_byte(put_byte(at, 0x72), 0);
  return at;
}

/** A function with a loop around some of its steps, from this place on. */
static void write_function(struct function *it, u8 *code, u32 *runs) {
  it->code = code;
  it->count = 2 + below(MOST_OPERATIONS - 2);
  it->loops = 1 + below(20);
  it->loop_from = below(it->count);
  it->runs = runs;
  u8 *at = put_number(put_byte(code, 0xb9), it->loops); // mov ecx, loops
  u8 *loop = at, *skip = 0;
  for (u32 n = 0; n < it->count; n++) {
    struct step *step = &it->steps[n];
    step->operation = (u8)below(OPERATIONS);
    // A jump needs a step to jump over, within the loop or without it.
    if (step->operation == SKIP_IF_BELOW && (n + 1 == it->count || n + 1 == it->loop_from)) step->operation = XOR;
    step->number = any();
    if (n == it->loop_from) loop = at;
    at = put_step(at, step);
    if (skip) *skip = (u8)(at - skip - 1);
    skip = step->operation == SKIP_IF_BELOW ? at - 1 : 0;
  }
  at = put_byte(put_byte(at, 0xff), 0xc9); // dec ecx
  at = put_byte(put_byte(at, 0x0f), 0x85); // jnz loop
  at = put_number(at, (u32)(loop - (at + 4)));
  if (runs) {
    *runs = it->runs_expected = 0;
    at = put_address(put_byte(put_byte(at, 0xff), 0x05), runs, 0); // inc dword [runs]
  }
  at = put_byte(at, 0xc3);
  it->bytes = (u32)(at - code);
}

// --- running it, and the model

static u32 run(const void *code, u32 value) {
#ifdef __x86_64__
  // Below the stack pointer lie 128 bytes that are this function's (System V ABI, "The Stack Frame").
  __asm__ volatile("sub $128,%%rsp\n call *%1\n add $128,%%rsp" : "+a"(value) : "r"(code) : "rcx", "cc", "memory");
#else
  __asm__ volatile("call *%1" : "+a"(value) : "r"(code) : "ecx", "cc", "memory");
#endif
  return value;
}

static u32 step_model(const struct step *step, u32 x) {
  const u32 number = step->number;
  switch (step->operation) {
    case ADD: case LEA: return x + number;
    case SUB: return x - number;
    case XOR: return x ^ number;
    case IMUL: return x * number;
    case ADD_ADC: return x + number + 0x01234567u + (x + number < x);
    case ROL: return x << 11 | x >> 21;
    case NOT: return ~x;
    case NEG: return -x;
    case BSWAP: return __builtin_bswap32(x);
    default: return x;
  }
}

static u32 model(struct function *it, u32 x) {
  u32 from = 0;
  for (u32 loop = 0; loop < it->loops; loop++) {
    for (u32 n = from; n < it->count; n++) {
      const struct step *step = &it->steps[n];
      if (step->operation == SKIP_IF_BELOW && x < step->number) n++;
      else x = step_model(step, x);
    }
    from = it->loop_from;
  }
  if (it->runs) it->runs_expected++;
  return x;
}

static u64 checks;

static void expect(const char *what, u32 got, u32 wanted) {
  checks++;
  if (got == wanted) return;
  print(what);
  print(": ");
  print_hex(wanted, 8);
  print(" was expected\n");
  fail(what, got);
}

static void check(const char *what, struct function *it, u32 times) {
  u32 x = any();
  while (times--) {
    const u32 wanted = model(it, x);
    x = run(it->code, x);
    expect(what, x, wanted);
  }
  if (it->runs) expect("data beside the code", *it->runs, it->runs_expected);
}

// --- what is done to code

static struct function *some(u32 from_page, u32 pages) {
  return &functions[from_page * SLOTS_A_PAGE + below(pages * SLOTS_A_PAGE)];
}

/** A function has less than 270 bytes. The last of a page begins close before the border, and mostly goes over it. */
static void renew(u32 slot) {
  u8 *from = area + slot * SLOT;
  const int is_last = slot % SLOTS_A_PAGE == SLOTS_A_PAGE - 1;
  u8 *code = from + (is_last && slot != SLOTS - 1 ? SLOT - 1 - below(200) : 300 + below(400));
  u32 *runs = slot / SLOTS_A_PAGE >= MIXED && !is_last ? (u32 *)(from + SLOT - 8) : 0;
  write_function(&functions[slot], code, runs);
}

static int feed[2];

/** Bytes into code, in one of the ways there are. */
static void store(u8 *at, u32 number) {
  u8 bytes[4];
  __builtin_memcpy(bytes, &number, 4);
  switch (below(7)) {
    case 0: *(volatile u32 *)at = number; break;
    case 1: for (u32 n = 0; n < 4; n++) ((volatile u8 *)at)[n] = bytes[n]; break;
    case 2: ((volatile u16 *)at)[1] = (u16)(number >> 16), ((volatile u16 *)at)[0] = (u16)number; break;
    case 3: for (u32 n = 0; n < 4; n++) ((volatile u8 *)alias_of(at + n))[0] = bytes[n]; break;
    case 4: {
      const u8 *from = bytes;
      word count = 4;
      __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
      break;
    }
    case 5: {
      const u32 change = *(u32 *)at ^ number;
      // Over the border of two cache lines a lock stops all of a computer, and some kernels object.
      if (((word)at & 63) > 60) __asm__ volatile("xorl %1,%0" : "+m"(*(u32 *)at) : "r"(change) : "memory");
      else __asm__ volatile("lock xorl %1,%0" : "+m"(*(u32 *)at) : "r"(change) : "memory");
      break;
    }
    case 6:
      if (call3(SYS_write, feed[1], bytes, 4) != 4 || call3(SYS_read, feed[0], at, 4) != 4) fail("the kernel's store", number);
      break;
  }
}

static void patch(struct function *it) {
  for (u32 tries = 0; tries < 8; tries++) {
    struct step *step = &it->steps[below(it->count)];
    if (step->operation >= WITH_NUMBER) continue;
    step->number = any();
    store(step->at, step->number);
    return;
  }
}

/** A loop that changes the number it adds; and one that changes the instruction just before it comes to it. */
static void change_itself(void) {
  u8 *from = area + CHANGING * PAGE + (below(4) ? below(3000) : PAGE - 128), *at = from;
  const u32 loops = 1 + below(300), by = any();
  u32 number = any(), x = any(), wanted = x;
  at = put_number(put_byte(at, 0xb9), loops); // mov ecx, loops
  u8 *loop = at;
  at = put_number(put_byte(at, 0x05), number); // add eax, number
  at = put_number(put_address(put_byte(put_byte(at, 0x81), 0x05), loop + 1, 4), by); // add dword [number], by
  at = put_byte(put_byte(at, 0xff), 0xc9); // dec ecx
  at = put_byte(put_byte(at, 0x75), (u8)(loop - (at + 2)));
  *at = 0xc3;
  for (u32 n = 0; n < loops; n++) wanted += number, number += by;
  expect("a loop that changes itself", run(from, x), wanted);

  at = put_number(put_byte(from, 0xb9), loops);
  loop = at;
  at = put_byte(put_byte(at, 0x88), 0x05); // mov [the next instruction's number], al
  at = put_address(at, at + 5, 0);
  at = put_number(put_byte(at, 0x05), number);
  at = put_byte(put_byte(at, 0xff), 0xc9);
  at = put_byte(put_byte(at, 0x75), (u8)(loop - (at + 2)));
  *at = 0xc3;
  wanted = x;
  for (u32 n = 0; n < loops; n++) wanted += (number & ~0xffu) | (wanted & 0xff);
  expect("an instruction that is changed just before it runs", run(from, x), wanted);
}

/** A call and a jump to functions on other pages, whose targets change. */
static void chain(void) {
  u8 *from = area + CHANGING * PAGE + below(3000), *at = put_byte(from, 0xe8), *targets[2] = {from + 1, from + 6};
  put_byte(at + 4, 0xe9);
  for (u32 n = 0; n < 8; n++) {
    struct function *first = some(0, CHANGING), *second = some(0, CHANGING);
    put_number(targets[0], (u32)(first->code - (targets[0] + 4)));
    put_number(targets[1], (u32)(second->code - (targets[1] + 4)));
    for (u32 times = 1 + below(4); times; times--) {
      const u32 x = any(), wanted = model(second, model(first, x));
      expect("a call and a jump that change", run(from, x), wanted);
    }
  }
}

static void place(u8 *at, u32 page, u32 pages, int protection, u32 file) {
  // On i386 the offset is counted in pages (mmap2).
  const word offset = sizeof(word) == 8 ? page * PAGE : page;
  const word got = call(SYS_mmap, (word)at, pages * PAGE, protection, MAP_SHARED | MAP_FIXED, files[file], offset);
  if (got != (word)at) fail("mmap", got);
}

/** A page of code is exchanged for one that is alike but for a number: the page tables change, not the code. */
static void exchange(void) {
  const u32 page = EXCHANGED + below(COMMON);
  struct function *it = some(page, 1);
  check("before a page is exchanged", it, 3);
  const u8 *now = aliases[which[page]] + page * PAGE;
  u8 *other = aliases[!which[page]] + page * PAGE;
  for (u32 n = 0; n < PAGE; n++) other[n] = now[n];
  for (u32 n = 0; n < it->count; n++) {
    struct step *step = &it->steps[n];
    // The number may go on in the next page, which stays.
    if (step->operation >= WITH_NUMBER || (u32)(step->at - area) / PAGE != page || (u32)(step->at + 3 - area) / PAGE != page) continue;
    step->number = any();
    put_number(aliases[!which[page]] + (step->at - area), step->number);
  }
  which[page] = !which[page];
  place(area + page * PAGE, page, 1, PROT_READ | PROT_WRITE | PROT_EXEC, which[page]);
  for (u32 n = 0; n < SLOTS_A_PAGE; n++) check("after a page was exchanged", &functions[page * SLOTS_A_PAGE + n], 1);
  if (page) check("over the border into an exchanged page", &functions[page * SLOTS_A_PAGE - 1], 2);
}

/** Only readable and executable, and back. A write is a fault meanwhile, and on amd64 running it is one while it is not executable. */
static void protect(void) {
  const u32 page = below(CHANGING - 1);
  struct function *it = &functions[page * SLOTS_A_PAGE + below(SLOTS_A_PAGE - 1)];
  u8 *at = area + page * PAGE;
  if (it->runs) return;
  call3(SYS_mprotect, at, PAGE, PROT_READ | PROT_EXEC);
  check("a page that cannot be written", it, 3);
  if (below(8) == 0) {
    word child = split();
    if (child == 0) {
      it->code[0] = 0xc3;
      leave(0);
    }
    expect("a write to a page that cannot be written", (u32)wait_for(child), SIGSEGV);
    if (sizeof(word) == 8) {
      child = split();
      if (child == 0) {
        call3(SYS_mprotect, at, PAGE, PROT_READ | PROT_WRITE);
        run(it->code, 1);
        leave(0);
      }
      expect("a page that cannot be executed", (u32)wait_for(child), SIGSEGV);
    } else {
      checks++; // as many, so that what is printed at the end is the same
    }
  }
  call3(SYS_mprotect, at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  patch(it);
  check("a page that can be written again", it, 2);
}

/** Anonymous pages: new ones where old ones were, and old ones somewhere else. */
static void move(void) {
  static u8 *own;
  const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
  if (!own || below(3) == 0) {
    // The pages that come at the same address are empty.
    if (own) call2(SYS_munmap, own, 2 * PAGE);
    own = map(2 * PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    expect("a new page", own[PAGE] | own[10], 0);
    write_function(&moved, own + PAGE - below(150), 0);
    check("code in a new page", &moved, 1 + below(200));
    return;
  }
  u8 *to = map(4 * PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  call2(SYS_munmap, to, 4 * PAGE);
  if (call(SYS_mremap, (word)own, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (word)to, 0) != (word)to) fail("mremap", (word)to);
  moved.code += to - own;
  for (u32 n = 0; n < moved.count; n++) moved.steps[n].at += to - own;
  own = to;
  check("code that was moved", &moved, 1 + below(50));
  struct step *step = &moved.steps[0];
  if (step->operation >= WITH_NUMBER) return;
  step->number = any();
  put_number(step->at, step->number);
  check("code that was moved and changed", &moved, 2);
}

// --- another process, which runs what this one writes

struct order {
  u32 slot, value, times;
};
static int orders[2], answers[2];

static void hire(void) {
  if (call1(SYS_pipe, orders) || call1(SYS_pipe, answers)) fail("pipe", 0);
  if (split()) return;
  call1(SYS_close, orders[1]);
  struct order order;
  while (call3(SYS_read, orders[0], &order, sizeof order) == sizeof order) {
    u32 x = order.value;
    // The code's address comes with the order: this copy of the functions is old.
    while (order.times--) x = run(area + order.slot, x);
    call3(SYS_write, answers[1], &x, 4);
  }
  leave(0);
}

static void delegate(void) {
  // The last of a page may go over into pages that are not shared.
  struct function *it = &functions[(COMMON + below(MIXED - COMMON)) * SLOTS_A_PAGE + below(SLOTS_A_PAGE - 1)];
  for (u32 n = 0; n < 4; n++) {
    patch(it);
    const struct order order = {(u32)(it->code - area), any(), 1 + below(40)};
    u32 x = order.value, got;
    for (u32 times = order.times; times; times--) x = model(it, x);
    if (call3(SYS_write, orders[1], &order, sizeof order) != sizeof order || call3(SYS_read, answers[0], &got, 4) != 4) fail("the other process", n);
    expect("in another process", got, x);
  }
}

static void round_of(u32 action) {
  struct function *it = some(0, CHANGING);
  switch (action) {
    case 0: case 1: {
      const u32 slot = below(SLOTS);
      renew(slot);
      check("a new function", &functions[slot], 1 + below(4));
      break;
    }
    case 2: case 3: case 4: case 5:
      check("as it was", it, 1);
      patch(it);
      check("after a number was changed", it, 1 + below(8));
      break;
    case 6: check("a hot function", it, below(1500)); break;
    case 7:
      for (u32 n = 0; n < 100; n++) {
        patch(it);
        check("hot, and changed each time", it, 2);
      }
      break;
    case 8: change_itself(); break;
    case 9: chain(); break;
    case 10: exchange(); break;
    case 11: protect(); break;
    case 12: move(); break;
    case 13: delegate(); break;
    case 14: for (u32 slot = 0; slot < SLOTS; slot++) check("all of them", &functions[slot], 1); break;
  }
}

int program(int argc, char **argv) {
  u64 time = 1000000000, rounds = 0;
  const char *value;
  for (int n = 1; n < argc; n++) {
    if ((value = argument(argv[n], "ms"))) time = number(value) * 1000000;
    else if ((value = argument(argv[n], "rounds"))) rounds = number(value);
    else if ((value = argument(argv[n], "seed"))) seed = (u32)number(value);
  }
  print("code: start\n");
  for (u32 n = 0; n < 2; n++) {
    files[n] = (int)call2(SYS_memfd_create, "code", 0);
    if (files[n] < 0 || call2(SYS_ftruncate, files[n], PAGES * PAGE)) fail("memfd_create", (u64)files[n]);
    aliases[n] = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, files[n]);
  }
  area = map(PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, files[0]);
  if (call1(SYS_pipe, feed)) fail("pipe", 0);
  for (u32 slot = 0; slot < SLOTS; slot++) renew(slot);
  hire();
  u64 done = 0, shown = now(), end = shown + time;
  do {
    round_of(below(15));
    done++;
    const u64 at = now();
    if (at - shown < 5000000000ull) continue;
    shown = at;
    print("code: rounds ");
    print_decimal(done);
    print(", checks ");
    print_decimal(checks);
    print("\n");
  } while (rounds ? done < rounds : now() < end);
  print("code ");
  print_decimal(done);
  print(" ");
  print_decimal(checks);
  print(" ");
  print_hex(seed, 8);
  print("\n");
  return 0;
}
