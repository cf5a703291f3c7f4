// Records what the real processor's x87 does: one instruction on random operands a line.
//
//   gcc -O1 x87.c -o x87 && ./x87 SEED COUNT [FORM] > lines
//
// Line: form fcw fsw ftw flags st0 st1 memory -> fcw fsw ftw flags memory [n=register ...]
// All in hexadecimal. form: opcode bytes; a memory form has "m" after its ModRM byte, whose operand is the given memory.
// ftw as in FXSAVE; st0 and st1 as sign-exponent:significand; ST(2) to ST(7) are the constants in fill().
// After the arrow come the registers that changed, by physical number. "flags" are RFLAGS & 0x8d5.
// FXSAVE does not wait, so unmasked exceptions are seen in FSW before they would trap.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "random.h"

typedef struct {
  unsigned char image[512];
  uint64_t flags;
} __attribute__((aligned(64))) state;

enum kind { NONE, M32, M64, M80, I16, I32, I64, BCD, CW, ENV, SAVE, OUT };

static struct form { unsigned char bytes[4]; int length; enum kind kind; int bytes_of_memory; void (*code)(state *in, void *memory, state *out); } forms[512];
static int form_count;
static unsigned char *code_next;

static void add_form(int b0, int b1, enum kind kind, int bytes_of_memory) {
  static const unsigned char before[] = {0x48, 0x0f, 0xae, 0x0f, /* fxrstor64 [rdi] */ 0xff, 0xb7, 0, 2, 0, 0, 0x9d /* push [rdi+512]; popfq */};
  static const unsigned char after[] = {0x9c, 0x8f, 0x82, 0, 2, 0, 0, /* pushfq; pop [rdx+512] */ 0x48, 0x0f, 0xae, 0x02, /* fxsave64 [rdx] */
    0xdb, 0xe2, 0xdb, 0xe3, 0xfc, 0xc3 /* fnclex; fninit; cld; ret */};
  struct form *f = &forms[form_count++];
  f->bytes[0] = b0;
  f->bytes[1] = b1;
  f->length = 2;
  f->kind = kind;
  f->bytes_of_memory = bytes_of_memory;
  f->code = (void (*)(state *, void *, state *))code_next;
  memcpy(code_next, before, sizeof before); code_next += sizeof before;
  *code_next++ = b0; *code_next++ = b1;
  memcpy(code_next, after, sizeof after); code_next += sizeof after;
}

static void mem(int opcode, int reg, enum kind kind, int bytes) { add_form(opcode, reg << 3 | 6, kind, bytes); }

static void make_forms(void) {
  static const int registers[] = {0, 1, 3};
  for (int op = 0; op < 8; op++) {
    mem(0xd8, op, M32, 4);
    mem(0xdc, op, M64, 8);
    mem(0xda, op, I32, 4);
    mem(0xde, op, I16, 2);
    for (int n = 0; n < 3; n++) {
      int i = registers[n];
      add_form(0xd8, 0xc0 + 8 * op + i, NONE, 0);
      if (op != 2 && op != 3) {
        add_form(0xdc, 0xc0 + 8 * op + i, NONE, 0);
        add_form(0xde, 0xc0 + 8 * op + i, NONE, 0);
      }
    }
  }
  for (int n = 0; n < 3; n++) {
    int i = registers[n];
    static const int others[][2] = {{0xd9, 0xc0}, {0xd9, 0xc8}, {0xdd, 0xc0}, {0xdd, 0xd0}, {0xdd, 0xd8}, {0xdd, 0xe0}, {0xdd, 0xe8}, {0xda, 0xc0}, {0xdb, 0xc0},
      {0xda, 0xc8}, {0xdb, 0xd8}, {0xdb, 0xe8}, {0xdb, 0xf0}, {0xdf, 0xe8}, {0xdf, 0xf0}, {0xdf, 0xc0}};
    for (unsigned k = 0; k < sizeof others / sizeof others[0]; k++) add_form(others[k][0], others[k][1] + i, NONE, 0);
  }
  add_form(0xde, 0xd9, NONE, 0); // fcompp
  add_form(0xda, 0xe9, NONE, 0); // fucompp
  for (int b = 0xe8; b <= 0xee; b++) add_form(0xd9, b, NONE, 0); // constants
  static const int d9[] = {0xe0, 0xe1, 0xe4, 0xe5, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0xd0};
  for (unsigned k = 0; k < sizeof d9 / sizeof d9[0]; k++) add_form(0xd9, d9[k], NONE, 0);
  add_form(0xdb, 0xe2, NONE, 0); // fnclex
  add_form(0xdb, 0xe3, NONE, 0); // fninit
  mem(0xd9, 0, M32, 4); mem(0xdd, 0, M64, 8); mem(0xdb, 5, M80, 10);
  mem(0xdf, 0, I16, 2); mem(0xdb, 0, I32, 4); mem(0xdf, 5, I64, 8); mem(0xdf, 4, BCD, 10);
  mem(0xd9, 2, OUT, 4); mem(0xd9, 3, OUT, 4); mem(0xdd, 2, OUT, 8); mem(0xdd, 3, OUT, 8); mem(0xdb, 7, OUT, 10);
  mem(0xdf, 2, OUT, 2); mem(0xdf, 3, OUT, 2); mem(0xdb, 2, OUT, 4); mem(0xdb, 3, OUT, 4); mem(0xdf, 7, OUT, 8); mem(0xdf, 6, OUT, 10);
  mem(0xdf, 1, OUT, 2); mem(0xdb, 1, OUT, 4); mem(0xdd, 1, OUT, 8); // fisttp
  mem(0xd9, 5, CW, 2); mem(0xd9, 7, OUT, 2); mem(0xdd, 7, OUT, 2); // fldcw fnstcw fnstsw
  mem(0xd9, 4, ENV, 28); mem(0xd9, 6, OUT, 28); // fldenv fnstenv
  mem(0xdd, 4, SAVE, 108); mem(0xdd, 6, OUT, 108); // frstor fnsave
}

static unsigned rnd_fcw(void) {
  static const int pc[] = {0, 2, 3, 3, 3, 3, 3, 1};
  unsigned masks = below(3) ? 0x3f : below(2) ? rnd() & 0x3f : 0x3f ^ (1 << below(6));
  return 0x40 | masks | pc[below(8)] << 8 | (below(2) ? 0 : below(4)) << 10;
}

static void fill(state *s, unsigned n, f80 v) {
  memcpy(s->image + 32 + 16 * n, &v.significand, 8);
  memcpy(s->image + 40 + 16 * n, &v.sign_exponent, 2);
}

/** ST(1), often related to ST(0): near cancellation, near a ratio of interest. */
static f80 related(f80 a) {
  f80 b = rnd80();
  switch (below(6)) {
    case 0: b = a; b.sign_exponent ^= below(2) << 15; break;
    case 1: b.sign_exponent = (uint16_t)(a.sign_exponent ^ (below(2) << 15)); break;
    case 2: b.significand = a.significand ^ below(16); b.sign_exponent = (uint16_t)(a.sign_exponent + below(5) - 2); break;
    case 3: b.sign_exponent = (uint16_t)((a.sign_exponent & 0x7fff) + below(140) - 70) & 0x7fff; break;
    default: break;
  }
  return b;
}

/** Operands of transcendental functions: mostly where they are of interest. */
static f80 rnd_argument(void) {
  f80 a = rnd80();
  if (below(5) == 0) return a;
  a.significand = rnd_fraction() | 1ull << 63;
  a.sign_exponent = (uint16_t)(16383 - 40 + below(below(3) ? 41 : 104)) | (uint16_t)(below(2) << 15);
  return a;
}

static void write_operand(enum kind kind, unsigned char *m) {
  memset(m, 0xa5, 128);
  switch (kind) {
    case M32: { uint32_t v = rnd32(); memcpy(m, &v, 4); break; }
    case M64: { uint64_t v = rnd64(); memcpy(m, &v, 8); break; }
    case M80: { f80 v = rnd80(); memcpy(m, &v.significand, 8); memcpy(m + 8, &v.sign_exponent, 2); break; }
    case I16: case I32: case I64: { uint64_t v = below(2) ? rnd_fraction() : (uint64_t)((int64_t)rnd() >> below(64)); memcpy(m, &v, 8); break; }
    case BCD: for (int i = 0; i < 9; i++) m[i] = below(10) << 4 | below(10); if (below(4) == 0) memset(m + below(9), 0, 2); m[9] = below(2) << 7; break;
    case CW: { uint16_t v = rnd(); memcpy(m, &v, 2); break; }
    case ENV: case SAVE: {
      uint16_t fcw = rnd_fcw(), fsw = rnd(), tags = rnd();
      memset(m, 0, 128);
      memcpy(m, &fcw, 2); memcpy(m + 4, &fsw, 2); memcpy(m + 8, &tags, 2);
      for (int i = 0; kind == SAVE && i < 8; i++) { f80 v = rnd80(); memcpy(m + 28 + 10 * i, &v.significand, 8); memcpy(m + 36 + 10 * i, &v.sign_exponent, 2); }
      break;
    }
    default: break;
  }
}

static void hex(const unsigned char *m, int n) {
  if (n == 0) putchar('-');
  for (int i = 0; i < n; i++) printf("%02x", m[i]);
}

int main(int argc, char **argv) {
  if (argc < 3) return 1;
  seed_state = strtoull(argv[1], 0, 0) * 0x9e3779b97f4a7c15ull + 1;
  long count = strtol(argv[2], 0, 0);
  code_next = mmap(0, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  make_forms();
  static state in, out;
  static unsigned char memory[128], memory_in[128];
  for (int k = 0; k < form_count; k++) {
    struct form *f = &forms[k];
    char name[16];
    snprintf(name, sizeof name, "%02x%02x%s", f->bytes[0], f->bytes[1], f->kind == NONE ? "" : "m");
    if (argc > 3 && strcmp(argv[3], name)) continue;
    int transcendental = f->bytes[0] == 0xd9 && f->kind == NONE && (f->bytes[1] >= 0xf0 && f->bytes[1] != 0xf8 && f->bytes[1] != 0xfa && f->bytes[1] != 0xfc);
    for (long n = 0; n < count; n++) {
      memset(&in, 0, sizeof in);
      memset(&out, 0, sizeof out);
      uint16_t fcw = rnd_fcw();
      unsigned top = below(8);
      uint16_t fsw = (uint16_t)((below(2) ? rnd() & 0x4700 : 0) | top << 11 | (below(3) ? 0 : rnd() & fcw & 0x7f));
      if (!(fsw & 1)) fsw &= ~0x40;
      // by stack position: usually room for a push, and all others filled
      unsigned by_stack = 0x7f;
      switch (below(12)) { case 0: by_stack = rnd() & 0xff; break; case 1: by_stack = 0xff; break; case 2: by_stack = 3; break; }
      unsigned ftw = (by_stack << top | by_stack << top >> 8) & 0xff;
      uint32_t mxcsr = 0x1f80;
      memcpy(in.image, &fcw, 2);
      memcpy(in.image + 2, &fsw, 2);
      in.image[4] = ftw;
      memcpy(in.image + 24, &mxcsr, 4);
      in.flags = 0x202 | (rnd() & 0x8d5);
      f80 a = transcendental ? rnd_argument() : rnd80();
      f80 b = transcendental && below(2) ? rnd_argument() : related(a);
      fill(&in, 0, a);
      fill(&in, 1, b);
      for (unsigned i = 2; i < 8; i++) { f80 c = {0x8000000000000000ull + ((uint64_t)i << 56), (uint16_t)(0x4000 + i)}; fill(&in, i, c); }
      write_operand(f->kind, memory);
      memcpy(memory_in, memory, sizeof memory);
      f->code(&in, memory, &out);
      printf("%s %x %x %x %x %x:%lx %x:%lx ", name, fcw, fsw, ftw, (unsigned)in.flags & 0x8d5, a.sign_exponent, a.significand, b.sign_exponent, b.significand);
      hex(memory_in, f->kind == OUT ? 0 : f->bytes_of_memory);
      uint16_t ofcw, ofsw;
      memcpy(&ofcw, out.image, 2);
      memcpy(&ofsw, out.image + 2, 2);
      printf(" > %x %x %x %x ", ofcw, ofsw, out.image[4], (unsigned)out.flags & 0x8d5);
      if (f->kind == OUT && f->bytes_of_memory >= 28) {
        memset(memory + 12, 0, 16); // pointers differ from run to run
      }
      hex(memory, f->kind == OUT ? f->bytes_of_memory : 0);
      unsigned otop = ofsw >> 11 & 7;
      for (unsigned p = 0; p < 8; p++) {
        unsigned char *before = in.image + 32 + 16 * ((p - top) & 7), *after = out.image + 32 + 16 * ((p - otop) & 7);
        if (memcmp(before, after, 10)) {
          uint64_t m; uint16_t e;
          memcpy(&m, after, 8); memcpy(&e, after + 8, 2);
          printf(" %u=%x:%lx", p, e, m);
        }
      }
      putchar('\n');
    }
  }
  return 0;
}
