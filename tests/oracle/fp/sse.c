// Records what the real processor's SSE floating point does: one instruction on random operands a line.
//
//   gcc -O1 sse.c -o sse && ./sse SEED COUNT [FORM] > lines
//
// Line: form mxcsr xmm0 xmm1 rax -> mxcsr xmm0 flags rax mm0        or        -> X mxcsr     (#XM was raised)
// All in hexadecimal. form: the instruction's bytes; operands are XMM0 (or MM0, EAX, RAX) and XMM1 (or MM0, EAX, RAX).
// Registers of 128 bits as high:low; MM0 starts as the low half of XMM1. "flags" are RFLAGS & 0x8d5, 0x8d5 before.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "random.h"

typedef struct {
  uint32_t mxcsr, pad[3];
  uint64_t a[2], b[2];
  uint64_t rax, flags, mm0, pad2;
} __attribute__((aligned(64))) state;

static struct form { unsigned char bytes[8]; int length; int is64, integers; void (*code)(state *in, state *out); } forms[512];
static int form_count;
static unsigned char *code_next;
static sigjmp_buf escape;
static uint32_t trapped_mxcsr;

static void on_fpe(int number, siginfo_t *info, void *context) {
  (void)number; (void)info;
  trapped_mxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(escape, 1);
}

static void put(const void *bytes, int n) { memcpy(code_next, bytes, n); code_next += n; }

static void add_form(int is64, int integers, const char *bytes, int n) {
  static const unsigned char before[] = {0x0f, 0xae, 0x17, /* ldmxcsr [rdi] */ 0xf3, 0x0f, 0x6f, 0x47, 0x10, /* movdqu xmm0, [rdi+16] */
    0xf3, 0x0f, 0x6f, 0x4f, 0x20, /* movdqu xmm1, [rdi+32] */ 0x0f, 0x6f, 0x47, 0x20, /* movq mm0, [rdi+32] */
    0x48, 0x8b, 0x47, 0x30, /* mov rax, [rdi+48] */ 0xff, 0x77, 0x38, 0x9d /* push [rdi+56]; popfq */};
  static const unsigned char after[] = {0x9c, 0x8f, 0x42, 0x38, /* pushfq; pop [rdx+56] */ 0x48, 0x89, 0x42, 0x30, /* mov [rdx+48], rax */
    0x0f, 0x7f, 0x42, 0x40, /* movq [rdx+64], mm0 */ 0xf3, 0x0f, 0x7f, 0x42, 0x10, /* movdqu [rdx+16], xmm0 */ 0x0f, 0xae, 0x1a, /* stmxcsr [rdx] */ 0x0f, 0x77, 0xc3};
  struct form *f = &forms[form_count++];
  memcpy(f->bytes, bytes, n);
  f->length = n;
  f->is64 = is64;
  f->integers = integers;
  f->code = (void (*)(state *, state *))code_next;
  put(before, sizeof before);
  // The out pointer arrives in RSI; the code above uses RDX.
  put("\x48\x89\xf2", 3);
  put(bytes, n);
  put(after, sizeof after);
}

static void form(int prefix, int w, int opcode, int modrm, int immediate, int is64, int integers) {
  char b[8];
  int n = 0;
  if (prefix) b[n++] = prefix;
  if (w) b[n++] = 0x48;
  b[n++] = 0x0f;
  b[n++] = opcode;
  b[n++] = modrm;
  if (immediate >= 0) b[n++] = immediate;
  add_form(is64, integers, b, n);
}

static void make_forms(void) {
  static const int prefixes[] = {0, 0x66, 0xf3, 0xf2};
  static const int arithmetic[] = {0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f};
  for (int p = 0; p < 4; p++) {
    for (int k = 0; k < 7; k++) form(prefixes[p], 0, arithmetic[k], 0xc1, -1, p & 1, 0);
    for (int i = 0; i < 8; i++) form(prefixes[p], 0, 0xc2, 0xc1, i, p & 1, 0);
    form(prefixes[p], 0, 0x5a, 0xc1, -1, p & 1, 0);
  }
  form(0, 0, 0x2e, 0xc1, -1, 0, 0); form(0x66, 0, 0x2e, 0xc1, -1, 1, 0);
  form(0, 0, 0x2f, 0xc1, -1, 0, 0); form(0x66, 0, 0x2f, 0xc1, -1, 1, 0);
  form(0, 0, 0x5b, 0xc1, -1, 0, 1); form(0x66, 0, 0x5b, 0xc1, -1, 0, 0); form(0xf3, 0, 0x5b, 0xc1, -1, 0, 0);
  form(0x66, 0, 0xe6, 0xc1, -1, 1, 0); form(0xf2, 0, 0xe6, 0xc1, -1, 1, 0); form(0xf3, 0, 0xe6, 0xc1, -1, 0, 1);
  for (int w = 0; w < 2; w++) {
    form(0xf3, w, 0x2a, 0xc0, -1, 0, 1); form(0xf2, w, 0x2a, 0xc0, -1, 0, 1);
    for (int t = 0x2c; t < 0x2e; t++) { form(0xf3, w, t, 0xc1, -1, 0, 0); form(0xf2, w, t, 0xc1, -1, 1, 0); }
  }
  form(0, 0, 0x2a, 0xc0, -1, 0, 1); form(0x66, 0, 0x2a, 0xc0, -1, 0, 1);
  for (int t = 0x2c; t < 0x2e; t++) { form(0, 0, t, 0xc1, -1, 0, 0); form(0x66, 0, t, 0xc1, -1, 1, 0); }
  form(0x66, 0, 0xd0, 0xc1, -1, 1, 0); form(0xf2, 0, 0xd0, 0xc1, -1, 0, 0);
  for (int h = 0x7c; h < 0x7e; h++) { form(0x66, 0, h, 0xc1, -1, 1, 0); form(0xf2, 0, h, 0xc1, -1, 0, 0); }
}

static uint64_t operand(struct form *f) {
  if (f->integers) return below(2) ? rnd_fraction() : (uint64_t)((int64_t)rnd() >> below(64));
  if (f->is64) return rnd64();
  uint64_t low = rnd32();
  return low | (uint64_t)rnd32() << 32;
}

/** Related to another operand: near cancellation, same exponent. */
static uint64_t related(struct form *f, uint64_t a, uint64_t b) {
  switch (below(6)) {
    case 0: return a ^ (rnd() & 0x8000000080000000ull);
    case 1: return a ^ below(8);
    case 2: return f->is64 ? (b & 0x800fffffffffffffull) | (a & 0x7ff0000000000000ull) : (b & 0x807fffff807fffffull) | (a & 0x7f8000007f800000ull);
    default: return b;
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 1;
  seed_state = strtoull(argv[1], 0, 0) * 0x9e3779b97f4a7c15ull + 1;
  long count = strtol(argv[2], 0, 0);
  code_next = mmap(0, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  make_forms();
  struct sigaction action = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  static state in, out;
  static volatile int k;
  static volatile long n;
  for (k = 0; k < form_count; k++) {
    struct form *f = &forms[k];
    char name[20] = "";
    for (int i = 0; i < f->length; i++) sprintf(name + 2 * i, "%02x", f->bytes[i]);
    if (argc > 3 && strcmp(argv[3], name)) continue;
    for (n = 0; n < count; n++) {
      memset(&in, 0, sizeof in);
      memset(&out, 0, sizeof out);
      unsigned masks = below(3) ? 0x3f : below(2) ? rnd() & 0x3f : 0x3f ^ (1 << below(6));
      in.mxcsr = masks << 7 | (below(2) ? 0 : below(4)) << 13 | (below(3) ? 0 : rnd() & 0x8040) | (rnd() & 0x3f & masks);
      for (int i = 0; i < 2; i++) { in.a[i] = operand(f); in.b[i] = related(f, in.a[i], operand(f)); }
      in.rax = in.a[0];
      in.flags = 0x202 | 0x8d5;
      printf("%s %x %lx:%lx %lx:%lx %lx > ", name, in.mxcsr, in.a[1], in.a[0], in.b[1], in.b[0], in.rax);
      if (sigsetjmp(escape, 1)) {
        printf("X %x\n", trapped_mxcsr & 0xffff);
        continue;
      }
      f->code(&in, &out);
      printf("%x %lx:%lx %x %lx %lx\n", out.mxcsr, out.a[1], out.a[0], (unsigned)out.flags & 0x8d5, out.rax, out.mm0);
    }
  }
  return 0;
}
