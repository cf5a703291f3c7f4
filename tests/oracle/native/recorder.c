// The native recorder: runs test cases on the real processor and writes down what it did.
//
// Each case is a machine state and one instruction. The program lives in a signal handler: it fills the signal frame
// with the next case's registers, returns to it, and the instruction's own exception, or the INT3 that follows it,
// brings the state back. So nothing but the kernel's signal frame stands between the case and the record.
// 32-bit and 16-bit code runs in this 64-bit process through the kernel's 32-bit code segment and through LDT segments.
//
// Usage: recorder CASES RESULTS. Formats: struct Input and struct Output below; both files little-endian, packed
// (tests/oracle/protocol.ts holds the same layout).

#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// The test's address space; the same in tests/oracle/space.ts.
#define CODE 0x10000000u
#define CODE_SIZE 0x2000u
#define DATA 0x20000000u
#define DATA_SIZE 0x2000u
#define READ_ONLY (DATA + 0x2000u)
#define READ_ONLY_SIZE 0x1000u
#define STACK (DATA + 0x6000u)
#define STACK_SIZE 0x2000u
#define GS_OFFSET 0x800u

#define POOL_SIZE 0x40000u
#define MAX_CHANGES 256

struct Patch {
  u32 address;
  u32 length;
  u8 bytes[40];
} __attribute__((packed));

struct Input {
  u32 mode; // 16, 32 or 64
  u32 offset; // of the instruction in CODE
  u32 length;
  u32 pool; // offset in the pool of the bytes that fill DATA; STACK is filled from the bytes after them
  u8 code[16];
  u64 gpr[16];
  u64 rflags;
  u32 mxcsr;
  u16 fcw, fsw;
  u32 ftw; // abridged, by physical register
  u32 patches;
  u8 xmm[16][16];
  u8 st[8][16];
  struct Patch patch[2];
} __attribute__((packed));

struct Output {
  u32 vector; // 0xff: it ran for more than a second
  u32 error;
  u64 cr2, rip, rflags;
  u64 gpr[16];
  u16 selector[6]; // ES CS SS DS FS GS
  u32 mxcsr;
  u16 fcw, fsw;
  u32 ftw;
  u32 changes; // number of changed bytes of memory; only the first MAX_CHANGES are listed
  u8 xmm[16][16];
  u8 st[8][16];
  u32 address[MAX_CHANGES];
  u8 value[MAX_CHANGES];
} __attribute__((packed));

static const struct Input *inputs;
static struct Output *outputs;
static u64 count, current;
static int started;
static const u8 *pool;
static u8 expected[CODE_SIZE + DATA_SIZE + STACK_SIZE];

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static u64 selectors_of_mode(u32 mode, u32 *ds, u32 *fs, u32 *gs) {
  u64 cs = mode == 64 ? 0x33 : mode == 32 ? 0x23 : 0x17;
  u64 ss = mode == 16 ? 0x1f : 0x2b;
  *ds = (u32)ss;
  *fs = mode == 64 ? 0 : 0x0f;
  *gs = mode == 64 ? 0 : 0x27;
  return ss << 48 | cs;
}

static void collect_changes(struct Output *o, u32 base, u32 size, const u8 *was) {
  const u8 *now = (const u8 *)(u64)base;
  if (memcmp(now, was, size) == 0) return;
  for (u32 i = 0; i < size; i++)
    if (now[i] != was[i]) {
      if (o->changes < MAX_CHANGES) {
        o->address[o->changes] = base + i;
        o->value[o->changes] = now[i];
      }
      o->changes++;
    }
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  // Alignment checks must not act in here (pushes are aligned); and NT and ID, which the return from a signal leaves
  // alone, must not go on to the next case.
  __asm__ volatile("pushf; andl $~0x244000, (%%rsp); popf" ::: "memory", "cc");
  (void)info;
  ucontext_t *uc = context;
  greg_t *g = uc->uc_mcontext.gregs;
  u8 *fx = (u8 *)uc->uc_mcontext.fpregs;
  static u64 watched = ~0ull;
  if (signal == SIGALRM && watched != current) {
    watched = current;
    return;
  }
  if (started) {
    struct Output *o = &outputs[current];
    memset(o, 0, sizeof *o);
    u16 s;
    __asm__ volatile("mov %%es, %0" : "=r"(s));
    o->selector[0] = s;
    o->selector[1] = (u16)g[REG_CSGSFS];
    o->selector[2] = (u16)((u64)g[REG_CSGSFS] >> 48);
    __asm__ volatile("mov %%ds, %0" : "=r"(s));
    o->selector[3] = s;
    __asm__ volatile("mov %%fs, %0" : "=r"(s));
    o->selector[4] = s;
    __asm__ volatile("mov %%gs, %0" : "=r"(s));
    o->selector[5] = s;
    o->vector = signal == SIGALRM ? 0xff : (u32)g[REG_TRAPNO];
    o->error = (u32)g[REG_ERR];
    o->cr2 = o->vector == 14 ? (u64)g[REG_CR2] : 0;
    o->rip = (u64)g[REG_RIP];
    o->rflags = (u64)g[REG_EFL];
    for (int i = 0; i < 16; i++) o->gpr[i] = (u64)g[ORDER[i]];
    memcpy(&o->fcw, fx, 4);
    o->ftw = fx[4];
    memcpy(&o->mxcsr, fx + 24, 4);
    memcpy(o->st, fx + 32, 128);
    memcpy(o->xmm, fx + 160, 256);
    collect_changes(o, CODE, CODE_SIZE, expected);
    collect_changes(o, DATA, DATA_SIZE, expected + CODE_SIZE);
    collect_changes(o, STACK, STACK_SIZE, expected + CODE_SIZE + DATA_SIZE);
    current++;
  }
  started = 1;
  if (current == count) _exit(0);
  const struct Input *in = &inputs[current];
  memset(expected, 0xcc, CODE_SIZE);
  u32 room = CODE_SIZE - in->offset;
  memcpy(expected + in->offset, in->code, in->length < room ? in->length : room);
  memcpy(expected + CODE_SIZE, pool + in->pool, DATA_SIZE + STACK_SIZE);
  for (u32 i = 0; i < in->patches; i++) {
    u32 a = in->patch[i].address;
    for (u32 k = 0; k < in->patch[i].length; k++, a++) {
      if (a - CODE < CODE_SIZE) expected[a - CODE] = in->patch[i].bytes[k];
      if (a - DATA < DATA_SIZE) expected[CODE_SIZE + a - DATA] = in->patch[i].bytes[k];
      if (a - STACK < STACK_SIZE) expected[CODE_SIZE + DATA_SIZE + a - STACK] = in->patch[i].bytes[k];
    }
  }
  memcpy((void *)(u64)CODE, expected, CODE_SIZE);
  memcpy((void *)(u64)DATA, expected + CODE_SIZE, DATA_SIZE);
  memcpy((void *)(u64)STACK, expected + CODE_SIZE + DATA_SIZE, STACK_SIZE);
  u32 ds, fs, gs;
  g[REG_CSGSFS] = (greg_t)selectors_of_mode(in->mode, &ds, &fs, &gs);
  for (int i = 0; i < 16; i++) g[ORDER[i]] = (greg_t)in->gpr[i];
  g[REG_EFL] = (greg_t)(in->rflags | 0x202);
  g[REG_RIP] = (greg_t)(in->offset + (in->mode == 16 ? 0 : CODE));
  memcpy(fx, &in->fcw, 4);
  fx[4] = (u8)in->ftw;
  fx[5] = 0;
  memset(fx + 6, 0, 18);
  memcpy(fx + 24, &in->mxcsr, 4);
  memcpy(fx + 32, in->st, 128);
  memcpy(fx + 160, in->xmm, 256);
  // XSTATE_BV: x87 and SSE state are to be taken from the frame.
  if (*(u32 *)(fx + 464) == 0x46505853) fx[512] |= 3;
  __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %2, %%gs" ::"r"(ds), "r"(fs), "r"(gs));
  if (in->mode == 64) {
    syscall(SYS_arch_prctl, ARCH_SET_FS, (u64)DATA);
    syscall(SYS_arch_prctl, ARCH_SET_GS, (u64)(DATA + GS_OFFSET));
  }
}

static void map(u32 address, u32 size, int protection) {
  void *p = (void *)(u64)address;
  if (mmap(p, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != p) {
    perror("mmap");
    exit(1);
  }
}

static void ldt(u32 entry, u32 base, u32 limit, int wide, int contents, int not_writable, int not_present) {
  struct user_desc d = {.entry_number = entry, .base_addr = base, .limit = limit, .seg_32bit = wide, .contents = contents,
                        .read_exec_only = not_writable, .seg_not_present = not_present, .useable = 0};
  if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d) != 0) {
    perror("modify_ldt");
    exit(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int fd = open(argv[1], O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0) return 2;
  pool = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  inputs = (const struct Input *)(pool + POOL_SIZE);
  count = ((u64)st.st_size - POOL_SIZE) / sizeof(struct Input);
  int out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0666);
  if (out < 0 || ftruncate(out, (off_t)(count * sizeof(struct Output))) < 0) return 2;
  outputs = mmap(0, count * sizeof(struct Output), PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
  if (pool == MAP_FAILED || outputs == MAP_FAILED) return 2;
  map(CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
  map(READ_ONLY, READ_ONLY_SIZE, PROT_READ | PROT_WRITE);
  memcpy((void *)(u64)READ_ONLY, pool, READ_ONLY_SIZE);
  mprotect((void *)(u64)READ_ONLY, READ_ONLY_SIZE, PROT_READ);
  map(STACK, STACK_SIZE, PROT_READ | PROT_WRITE);
  // The same descriptors as in tests/oracle/space.ts.
  ldt(1, DATA, 0x2fff, 1, 0, 0, 0);
  ldt(2, CODE, 0xffff, 0, 2, 0, 0);
  ldt(3, DATA, 0xffff, 0, 0, 0, 0);
  ldt(4, DATA, 0x0fff, 1, 1, 0, 0);
  ldt(5, DATA, 0xffff, 1, 0, 1, 0);
  ldt(6, CODE, 0xffff, 1, 2, 1, 0);
  ldt(7, DATA, 0xffff, 1, 0, 0, 1);
  ldt(8, CODE, 0xffff, 1, 3, 0, 1);
  ldt(9, CODE, 0x1fff, 1, 2, 0, 0);
  stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  struct itimerval second = {{1, 0}, {1, 0}};
  setitimer(ITIMER_REAL, &second, 0);
  __asm__ volatile("int3");
  return 3;
}
