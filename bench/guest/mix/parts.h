// The parts of the mix. A part's unit is the same work every time and gives a sum of its results, the same on i386 and amd64, so that
// every unit of every run can be checked.

#pragma once
#include "system.h"

struct part {
  const char *name;
  /** Asks the kernel for things, rather than computing. */
  int is_system;
  u64 (*unit)(void);
  /** Once before the first unit and after the last, not timed; or 0. */
  void (*setup)(void);
  void (*teardown)(void);
};

u64 rounds(void), sieve(void), list(void), matrix_int(void), state(void), crc(void), quicksort(void), fib(void), chacha(void), hash64(void);
u64 matrix_double(void), x87(void);
u64 copy(void), chase(void);
void copy_setup(void), chase_setup(void);
u64 bytecode_switch(void), bytecode_goto(void);
void bytecode_setup(void);
u64 system_call(void), fork_exit(void), page_faults(void), ping_pong(void);
void ping_pong_setup(void), ping_pong_teardown(void);
