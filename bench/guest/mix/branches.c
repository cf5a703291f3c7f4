// Indirect branches: an interpreter of a small stack machine, with a switch and with labels as values.

#include "parts.h"

enum { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, AND, SHIFT, LESS, JUMP, JUMP_ZERO, DUP, INDEX, SET, END };
enum { N, X, LENGTH, SUM };

static u8 code[128];
static u32 place;

static void emit(u8 operation) {
  code[place++] = operation;
}

static u32 emit_with(u8 operation, u8 operand) {
  emit(operation);
  code[place] = operand;
  return place++;
}

/** Lengths of the Collatz sequences from 1 to 24, and a table of their parities. */
void bytecode_setup(void) {
  place = 0;
  emit_with(PUSH, 1), emit_with(STORE, N);
  const u32 each = place;
  emit_with(LOAD, N), emit_with(STORE, X), emit_with(PUSH, 0), emit_with(STORE, LENGTH);
  const u32 step = place;
  emit_with(LOAD, X), emit_with(PUSH, 1), emit(SUB);
  const u32 is_one = emit_with(JUMP_ZERO, 0);
  emit_with(LOAD, X), emit_with(PUSH, 1), emit(AND);
  const u32 is_even = emit_with(JUMP_ZERO, 0);
  // 3 x + 1, and half of it in the same step.
  emit_with(LOAD, X), emit_with(PUSH, 3), emit(MUL), emit_with(PUSH, 1), emit(ADD), emit_with(STORE, X);
  code[is_even] = (u8)place;
  emit_with(LOAD, X), emit_with(PUSH, 1), emit(SHIFT), emit_with(STORE, X);
  emit_with(LOAD, LENGTH), emit_with(PUSH, 1), emit(ADD), emit_with(STORE, LENGTH);
  emit_with(JUMP, (u8)step);
  code[is_one] = (u8)place;
  emit_with(LOAD, SUM), emit_with(LOAD, LENGTH), emit(ADD), emit_with(LOAD, N), emit(XOR), emit_with(STORE, SUM);
  emit_with(LOAD, LENGTH), emit_with(PUSH, 1), emit(AND), emit_with(LOAD, N), emit(SET);
  emit_with(LOAD, SUM), emit_with(LOAD, N), emit(INDEX), emit(ADD), emit_with(STORE, SUM);
  emit_with(LOAD, N), emit_with(PUSH, 1), emit(ADD), emit(DUP), emit_with(STORE, N), emit_with(PUSH, 25), emit(LESS);
  const u32 is_last = emit_with(JUMP_ZERO, 0);
  emit_with(JUMP, (u8)each);
  code[is_last] = (u8)place;
  emit_with(LOAD, SUM), emit(END);
}

#define TOP stack[depth - 1]
#define POP stack[--depth]
#define MACHINE u32 stack[16], variables[4] = {0}, table[16] = {0}, depth = 0, steps = 0; const u8 *at = code
#define OPERATIONS(CASE) \
  CASE(PUSH) stack[depth++] = *at++; NEXT \
  CASE(LOAD) stack[depth++] = variables[*at++]; NEXT \
  CASE(STORE) variables[*at++] = POP; NEXT \
  CASE(ADD) { const u32 b = POP; TOP += b; } NEXT \
  CASE(SUB) { const u32 b = POP; TOP -= b; } NEXT \
  CASE(MUL) { const u32 b = POP; TOP *= b; } NEXT \
  CASE(XOR) { const u32 b = POP; TOP ^= b; } NEXT \
  CASE(AND) { const u32 b = POP; TOP &= b; } NEXT \
  CASE(SHIFT) { const u32 b = POP; TOP >>= b & 31; } NEXT \
  CASE(LESS) { const u32 b = POP; TOP = TOP < b; } NEXT \
  CASE(JUMP) at = code + *at; NEXT \
  CASE(JUMP_ZERO) at = POP ? at + 1 : code + *at; NEXT \
  CASE(DUP) stack[depth] = stack[depth - 1]; depth++; NEXT \
  CASE(INDEX) TOP = table[TOP & 15]; NEXT \
  CASE(SET) { const u32 n = POP; table[n & 15] = POP; } NEXT \
  CASE(END) return fold(TOP, steps);

u64 bytecode_switch(void) {
  MACHINE;
  for (;;) {
    steps++;
    switch (*at++) {
#define CASE(name) case name:
#define NEXT continue;
      OPERATIONS(CASE)
#undef CASE
#undef NEXT
    }
  }
}

u64 bytecode_goto(void) {
  static const void *const LABELS[] = {
    &&do_PUSH, &&do_LOAD, &&do_STORE, &&do_ADD, &&do_SUB, &&do_MUL, &&do_XOR, &&do_AND, &&do_SHIFT, &&do_LESS, &&do_JUMP, &&do_JUMP_ZERO, &&do_DUP, &&do_INDEX, &&do_SET, &&do_END,
  };
  MACHINE;
#define CASE(name) do_##name:
#define NEXT steps++; goto *LABELS[*at++];
  NEXT
  OPERATIONS(CASE)
}
