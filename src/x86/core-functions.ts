// The functions of core.wasm (src/core/assembly) that instruction meanings may call, with their types.
// What is long and rare lives there: segments, descriptor tables, far transfers, strings, x87.

import type { ValType } from '../wasm/module.ts';

export interface CoreSignature {
  readonly params: readonly ValType[];
  readonly result: ValType | null;
}

const f = (params: string, result: ValType | null): CoreSignature => ({
  params: ['i32', ...params.split(' ').filter(Boolean)] as ValType[],
  result,
});

/** All take the vCPU area's address first. Those whose result is named "status" in a comment give a Status. */
export const CORE_FUNCTIONS = {
  // memory
  read_slow: f('i64 i32', 'i64'),
  write_slow: f('i64 i32 i64', null),
  rmw_slow: f('i64 i32', 'i64'),
  read_slow128: f('i64', null),
  write_slow128: f('i64', null),
  probe_read: f('i64 i32', 'i32'),
  probe_write: f('i64 i32', 'i32'),
  lock_address: f('i64 i32', 'i32'),
  segment_address: f('i32 i64 i32 i32', 'i64'),
  push_general: f('i64 i32', null),
  pop_general: f('i32', 'i64'),
  // exceptions
  deliver_fault: f('', 'i32'),
  int_n: f('i32 i32', 'i32'),
  int1: f('', 'i32'),
  // status: transfers
  far_jmp: f('i32 i64 i32', 'i32'),
  far_call: f('i32 i64 i32', 'i32'),
  far_ret: f('i32 i32', 'i32'),
  iret: f('i32', 'i32'),
  syscall: f('', 'i32'),
  sysret: f('i32', 'i32'),
  sysenter: f('', 'i32'),
  sysexit: f('i32', 'i32'),
  // status: system registers
  load_segment: f('i32 i32', 'i32'),
  lldt: f('i32', 'i32'),
  ltr: f('i32', 'i32'),
  lgdt: f('i64 i32', 'i32'),
  lidt: f('i64 i32', 'i32'),
  sgdt: f('i64 i32', 'i32'),
  sidt: f('i64 i32', 'i32'),
  write_cr: f('i32 i64', 'i32'),
  read_cr: f('i32', 'i64'),
  write_dr: f('i32 i64', 'i32'),
  read_dr: f('i32', 'i64'),
  /** value; ZF says whether the selector is valid and visible */
  lar: f('i32', 'i64'),
  lsl: f('i32', 'i64'),
  verr: f('i32', 'i32'),
  verw: f('i32', 'i32'),
  x87_fwait: f('', 'i32'),
  clts: f('', 'i32'),
  lmsw: f('i32', 'i32'),
  rdmsr: f('', 'i32'),
  wrmsr: f('', 'i32'),
  cpuid: f('', 'i32'),
  rdtsc: f('', 'i32'),
  rdtscp: f('', 'i32'),
  rdpmc: f('', 'i32'),
  invlpg: f('i64', 'i32'),
  invd: f('', 'i32'),
  swapgs: f('', 'i32'),
  hlt: f('', 'i32'),
  cli: f('', 'i32'),
  sti: f('', 'i32'),
  pushf: f('i32', 'i32'),
  popf: f('i32', 'i32'),
  port_in: f('i32 i32', 'i64'),
  port_out: f('i32 i32 i64', 'i32'),
  // stack frames
  enter: f('i32 i32 i32', 'i32'),
  leave_general: f('i32', 'i32'),
  pusha: f('i32', 'i32'),
  popa: f('i32', 'i32'),
  // strings: size in bytes, address size in bytes, segment, repeat prefix
  movs: f('i32 i32 i32 i32', 'i32'),
  stos: f('i32 i32 i32 i32', 'i32'),
  lods: f('i32 i32 i32 i32', 'i32'),
  cmps: f('i32 i32 i32 i32', 'i32'),
  scas: f('i32 i32 i32 i32', 'i32'),
  ins: f('i32 i32 i32 i32', 'i32'),
  outs: f('i32 i32 i32 i32', 'i32'),
  /** RDX:RAX / divisor, for what 64 bits cannot do; the results go to RAX and RDX. divide_s128 gives 0 on overflow. */
  divide_u128: f('i64 i64 i64', null),
  divide_s128: f('i64 i64 i64', 'i32'),
  cmpxchg_wide: f('i64 i32', 'i32'),
} satisfies Record<string, CoreSignature>;

export type CoreFunction = keyof typeof CORE_FUNCTIONS;
