// Parts that are the kernel's work: system calls, processes, page faults, and switching between two processes.

#include "parts.h"

/** The shortest system call: what it costs to go in and out. */
u64 system_call(void) {
  const word first = call0(SYS_getppid);
  u64 others = 0;
  for (u32 n = 0; n < 200; n++) others += call0(SYS_getppid) != first;
  return fold(1, others);
}

u64 fork_exit(void) {
  u64 sum = 0;
  for (u32 n = 0; n < 4; n++) {
    static volatile u32 own;
    own = n;
    const word pid = split();
    if (pid == 0) {
      own += 40;
      leave((int)own);
    }
    // The child's write was to a page of its own.
    sum = fold(sum, (u64)wait_for(pid) << 8 | own);
  }
  return sum;
}

u64 page_faults(void) {
  enum { PAGES = 64, PAGE = 4096 };
  u8 *at = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  u64 sum = 0;
  for (u32 n = 0; n < PAGES; n++) {
    sum = sum * 3 + at[n * PAGE + n];
    at[n * PAGE + n] = (u8)n;
  }
  for (u32 n = 0; n < PAGES; n++) sum = sum * 3 + at[n * PAGE + n];
  call2(SYS_munmap, at, PAGES * PAGE);
  return sum;
}

static int there[2], back[2];
static word partner;

/** Another process that answers every byte with the next one. */
void ping_pong_setup(void) {
  if (call1(SYS_pipe, there) || call1(SYS_pipe, back)) fail("pipe", 0);
  partner = split();
  if (partner) return;
  call1(SYS_close, there[1]);
  u8 byte;
  while (call3(SYS_read, there[0], &byte, 1) == 1) {
    byte++;
    call3(SYS_write, back[1], &byte, 1);
  }
  leave(0);
}

u64 ping_pong(void) {
  u64 sum = 0;
  u8 byte = 0;
  for (u32 n = 0; n < 16; n++) {
    byte = (u8)(byte * 3 + n);
    call3(SYS_write, there[1], &byte, 1);
    if (call3(SYS_read, back[0], &byte, 1) != 1) fail("pipe", n);
    sum = fold(sum, byte);
  }
  return sum;
}

void ping_pong_teardown(void) {
  for (u32 n = 0; n < 2; n++) call1(SYS_close, there[n]);
  wait_for(partner);
  for (u32 n = 0; n < 2; n++) call1(SYS_close, back[n]);
}
