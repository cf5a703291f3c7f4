// Start, system calls and output for programs without a C library: see system.h.

#include "system.h"

#ifdef __x86_64__
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call start\n");
#else
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %esp,%eax\n and $-16,%esp\n sub $12,%esp\n push %eax\n call start\n");
#endif

enum { AT_SYSINFO = 32 };

#ifndef __x86_64__
__attribute__((used)) word sysinfo;
#endif

static char **next;
static char **environment;

static int is_below_init;

static void go_on(void) {
  call3(SYS_execve, next[0], next, environment);
  fail(next[0], 0);
}

/**
 * Process 1 must not end, and the kernel tells of every fault of its; so it has a child do the work. When that has ended, it goes on with
 * the next program, or ends the machine (RB_POWER_OFF of linux/reboot.h).
 */
static void be_init(void) {
  is_below_init = 1;
  const word pid = split();
  if (!pid) return;
  const int status = wait_for(pid);
  if (status == 0 && next) go_on();
  if (status & 127) {
    print("FAILED by signal ");
    print_decimal(status & 127);
    print("\n");
  }
  call4(SYS_reboot, 0xfee1dead, 672274793, 0x4321fedc, 0);
  for (;;) wait_for(0);
}

__attribute__((used, noreturn)) void start(word *stack) {
  int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  environment = argv + argc + 1;
  word *aux = (word *)environment;
  while (*aux) aux++;
#ifndef __x86_64__
  for (aux++; aux[0]; aux += 2) if (aux[0] == AT_SYSINFO) sysinfo = aux[1];
#endif
  for (int n = 1; n < argc; n++) {
    const char *program = argument(argv[n], "then");
    if (!program) continue;
    next = argv + n;
    *next = (char *)program;
    argc = n;
  }
  if (call0(SYS_getpid) == 1) be_init();
  finish(program(argc, argv));
}

#ifdef __x86_64__
word call(word number, word a, word b, word c, word d, word e, word f) {
  word result;
  register word r10 __asm__("r10") = d;
  register word r8 __asm__("r8") = e;
  register word r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
#else
// call(number, a, b, c, d, e, f), all on the stack.
__asm__(
  ".globl call\ncall:\n"
  " push %ebx\n push %esi\n push %edi\n push %ebp\n"
  " mov 20(%esp),%eax\n mov 24(%esp),%ebx\n mov 28(%esp),%ecx\n mov 32(%esp),%edx\n mov 36(%esp),%esi\n mov 40(%esp),%edi\n mov 44(%esp),%ebp\n"
  " cmpl $0,sysinfo\n je 1f\n call *sysinfo\n jmp 2f\n"
  "1: int $0x80\n"
  "2: pop %ebp\n pop %edi\n pop %esi\n pop %ebx\n ret\n");
#endif

void *map(word bytes, int protection, int flags, int file) {
  // On i386 the number is mmap2's, whose offset counts pages; here it is 0 for both.
  word at = call(SYS_mmap, 0, bytes, protection, flags, file, 0);
  if (at > (word)-4096) fail("mmap", at);
  return (void *)at;
}

u64 now(void) {
  word time[2];
  call2(SYS_clock_gettime, 1, time);
  return (u64)time[0] * 1000000000ull + time[1];
}

/** The kernel's own form of sigaction(2): arch/x86/include/uapi/asm/signal.h. */
struct action {
  void *handler;
  word flags;
  void (*restorer)(void);
  u64 mask;
};

static void (*handlers[32])(int, u8 *);

#ifdef __x86_64__
__asm__("restore: mov $15,%eax\n syscall\n");
enum { ADDRESS_AT = 16 };
#define HANDLER
#else
__asm__("restore: mov $173,%eax\n int $0x80\n");
enum { ADDRESS_AT = 12 };
#define HANDLER __attribute__((force_align_arg_pointer))
#endif
void restore(void);

static HANDLER void handle_any(int signal, u8 *information, void *context) {
  (void)context;
  handlers[signal](signal, *(u8 **)(information + ADDRESS_AT));
}

void handle(int signal, void (*handler)(int, u8 *)) {
  handlers[signal] = handler;
  static u8 stack[32768];
  const struct {
    void *at;
    int flags;
    word bytes;
  } alternate = {stack, 0, sizeof stack};
  if (call2(SYS_sigaltstack, &alternate, 0)) fail("sigaltstack", 0);
  // SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART
  const struct action action = {handler ? (void *)handle_any : 0, 4 | 0x04000000 | 0x08000000 | 0x10000000, restore, 0};
  const word failed = call4(SYS_rt_sigaction, signal, &action, 0, 8);
  if (failed) fail("sigaction", failed);
}

word split(void) {
  const word pid = call0(SYS_fork);
  if (pid > (word)-4096) fail("fork", pid);
  return pid;
}

void leave(int status) {
  for (;;) call1(SYS_exit, status);
}

int wait_for(word pid) {
  int status = -1;
  word got = call4(SYS_wait4, pid, &status, 0, 0);
  if (got != pid) fail("wait", got);
  return status;
}

static char line[512];
static u32 length;

static void put(char c) {
  line[length++] = c;
  if (c == '\n' || length == sizeof line) {
    call3(SYS_write, 1, line, length);
    length = 0;
  }
}

void print(const char *text) {
  while (*text) put(*text++);
}

void print_decimal(u64 value) {
  char digits[20];
  int n = 0;
  do {
    // value /= 10, its halves one after the other: libgcc has that, which is not everywhere.
    u32 high = (u32)(value >> 32), low = (u32)value, rest = high % 10;
    high /= 10;
    __asm__("divl %2" : "+a"(low), "+d"(rest) : "r"(10u) : "cc");
    digits[n++] = (char)('0' + rest);
    value = (u64)high << 32 | low;
  } while (value);
  while (n) put(digits[--n]);
}

void print_hex(u64 value, int digits) {
  while (digits--) put("0123456789abcdef"[value >> (4 * digits) & 15]);
}

void finish(int status) {
  print("ended ");
  print_decimal((u32)status);
  print("\n");
  if (next && status == 0 && !is_below_init) go_on();
  leave(status);
}

void fail(const char *what, u64 value) {
  print("FAILED ");
  print(what);
  print(" ");
  print_hex(value, 16);
  print("\n");
  finish(1);
}

int equals(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

const char *argument(const char *text, const char *name) {
  while (*name && *text == *name) text++, name++;
  return *name == 0 && *text == '=' ? text + 1 : 0;
}

int is_wanted(const char *list, const char *name) {
  if (!list) return 1;
  for (;;) {
    const char *at = name;
    while (*at && *at == *list) at++, list++;
    if (!*at && (*list == ',' || !*list)) return 1;
    while (*list && *list != ',') list++;
    if (!*list++) return 0;
  }
}

u64 number(const char *text) {
  u64 value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (u64)(*text++ - '0');
  return value;
}

void pause_ms(u32 ms) {
  const word time[2] = {ms / 1000, ms % 1000 * 1000000};
  call2(SYS_nanosleep, time, 0);
}

void mark(const char *name) {
  print("mark ");
  print(name);
  print("\n");
  pause_ms(400);
}

void took(struct latencies *them, u64 ns) {
  them->ns[them->count++ % LATENCIES] = ns > 0xffffffffu ? 0xffffffffu : (u32)ns;
}

void print_latencies(struct latencies *them) {
  const u32 count = them->count < LATENCIES ? them->count : LATENCIES;
  u32 *ns = them->ns;
  // Shell's sort.
  for (u32 gap = LATENCIES / 2; gap; gap /= 2) {
    for (u32 n = gap; n < count; n++) {
      const u32 value = ns[n];
      u32 at = n;
      for (; at >= gap && ns[at - gap] > value; at -= gap) ns[at] = ns[at - gap];
      ns[at] = value;
    }
  }
  print(" ");
  print_decimal(count ? ns[count / 2] : 0);
  print(" ");
  print_decimal(count ? ns[count - 1 - count / 100] : 0);
  them->count = 0;
}

// What gcc calls by itself.
void *memset(void *to, int value, word bytes) {
  void *at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
  return to;
}

void *memcpy(void *to, const void *from, word bytes) {
  void *at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
  return to;
}
