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
  /** record */
  stack_fault: f('i32', null),
  read_slow_ss: f('i64 i32', 'i64'),
  write_slow_ss: f('i64 i32 i64', null),
  read_slow128: f('i64', null),
  write_slow128: f('i64', null),
  probe_read: f('i64 i32', 'i32'),
  probe_write: f('i64 i32', 'i32'),
  lock_address: f('i64 i32', 'i32'),
  segment_address: f('i32 i64 i32 i32', 'i64'),
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
  // x87; those that give a value return it, all others never fault
  x87_check: f('i32', 'i32'),
  x87_arith: f('i32 i32 i32 i32', 'i32'),
  x87_arith_m32: f('i32 i64', 'i32'),
  x87_arith_m64: f('i32 i64', 'i32'),
  x87_arith_int: f('i32 i64', 'i32'),
  x87_com: f('i32 i32 i32', 'i32'),
  /** the six arithmetic flags */
  x87_comi: f('i32 i32 i32', 'i32'),
  x87_ftst: f('', 'i32'),
  x87_fxam: f('', 'i32'),
  x87_fchs: f('', 'i32'),
  x87_fabs: f('', 'i32'),
  x87_fsqrt: f('', 'i32'),
  x87_frndint: f('', 'i32'),
  x87_fscale: f('', 'i32'),
  x87_fxtract: f('', 'i32'),
  x87_fprem: f('i32', 'i32'),
  x87_fxch: f('i32', 'i32'),
  x87_fcmov: f('i32 i32', 'i32'),
  x87_ffree: f('i32 i32', 'i32'),
  x87_rotate: f('i32', 'i32'),
  x87_constant: f('i32', 'i32'),
  x87_fld_m32: f('i64', 'i32'),
  x87_fld_m64: f('i64', 'i32'),
  x87_fld_m80: f('i64 i64', 'i32'),
  x87_fld_st: f('i32', 'i32'),
  x87_fild: f('i64', 'i32'),
  x87_fbld: f('i64 i64', 'i32'),
  x87_fst_st: f('i32 i32', 'i32'),
  /** 1: write Cpu.TMP128, then call x87_stored */
  x87_store: f('i32', 'i32'),
  x87_stored: f('i32', 'i32'),
  // x87 arithmetic on numbers and on the register at a host address; bits for FSW (src/core/assembly/x87-quick.ts)
  x87_sum: f('i32 i32 i64 i32', 'i32'),
  x87_product: f('i32 i64 i32', 'i32'),
  x87_quotient: f('i32 i32 i64 i32', 'i32'),
  x87_root: f('i32', 'i32'),
  x87_relation: f('i64 i32 i64 i32 i32', 'i32'),
  /** what a store writes; its bits for FSW are left in Cpu.TMP128B */
  x87_narrow: f('i32 i64 i32', 'i64'),
  x87_f2xm1: f('', 'i32'),
  x87_fyl2x: f('', 'i32'),
  x87_fyl2xp1: f('', 'i32'),
  x87_fptan: f('', 'i32'),
  x87_fpatan: f('', 'i32'),
  x87_fsin: f('i32', 'i32'),
  x87_fsincos: f('', 'i32'),
  x87_fldcw: f('i64', 'i32'),
  x87_fnclex: f('', 'i32'),
  x87_fninit: f('', 'i32'),
  // status: state images at a linear address
  x87_fnstenv: f('i64 i32', 'i32'),
  x87_fldenv: f('i64 i32', 'i32'),
  x87_fnsave: f('i64 i32', 'i32'),
  x87_frstor: f('i64 i32', 'i32'),
  fxsave: f('i64 i32', 'i32'),
  fxrstor: f('i64 i32', 'i32'),
  // status: MMX and SSE; operands by their addresses in the shared memory
  mmx_check: f('', 'i32'),
  sse_check: f('', 'i32'),
  sse_maskmov: f('i64 i32 i32 i32', 'i32'),
  sse_arith32: f('i32 i32 i32 i32', 'i32'),
  sse_arith64: f('i32 i32 i32 i32', 'i32'),
  sse_addsub32: f('i32 i32', 'i32'),
  sse_addsub64: f('i32 i32', 'i32'),
  sse_horizontal32: f('i32 i32 i32', 'i32'),
  sse_horizontal64: f('i32 i32 i32', 'i32'),
  sse_cmp32: f('i32 i32 i32 i32', 'i32'),
  sse_cmp64: f('i32 i32 i32 i32', 'i32'),
  /** the six arithmetic flags, or a pending fault */
  sse_comi32: f('i32 i64 i64', 'i32'),
  sse_comi64: f('i32 i64 i64', 'i32'),
  /** an integer, or a pending fault */
  sse_int_of32: f('i64 i32 i32', 'i64'),
  sse_int_of64: f('i64 i32 i32', 'i64'),
  sse_cvtsi2ss: f('i32 i64', 'i32'),
  sse_cvtsi2sd: f('i32 i64', 'i32'),
  sse_cvtss2sd: f('i32 i64', 'i32'),
  sse_cvtsd2ss: f('i32 i64', 'i32'),
  sse_cvtps2pd: f('i32 i64', 'i32'),
  sse_cvtpd2ps: f('i32 i32', 'i32'),
  sse_cvtdq2ps: f('i32 i32', 'i32'),
  sse_cvtps2dq: f('i32 i32 i32', 'i32'),
  sse_cvtpd2dq: f('i32 i32 i32', 'i32'),
  sse_cvtpi2ps: f('i32 i64', 'i32'),
  sse_cvtps2pi: f('i32 i32 i64', 'i32'),
  sse_cvtpd2pi: f('i32 i32 i32', 'i32'),
} satisfies Record<string, CoreSignature>;

export type CoreFunction = keyof typeof CORE_FUNCTIONS;

/** Of these, what touches nothing but the x87 registers and never faults, so that compiled code need not put anything else to memory. */
const CONTAINED = /^x87_(arith|arith_m32|arith_m64|arith_int|com|comi|ftst|fxam|fchs|fabs|fsqrt|frndint|fscale|fxtract|fprem|fxch|fcmov|ffree|rotate|constant|fld_m32|fld_m64|fld_m80|fld_st|fild|fbld|fst_st|store|stored|f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fsincos|fldcw|fnclex|fninit)$/;
/** Of the x87's those that do not look after the register stack, nor need RIP. */
const NUMERIC: ReadonlySet<string> = new Set<CoreFunction>(['x87_sum', 'x87_product', 'x87_quotient', 'x87_root', 'x87_relation', 'x87_narrow']);
/** And what changes only scratch fields, so that the instruction may be begun again after it. */
const REPEATABLE: ReadonlySet<string> = new Set<CoreFunction>(['x87_store', 'x87_relation', 'x87_narrow']);

export const isContained = (name: CoreFunction): boolean => CONTAINED.test(name) || NUMERIC.has(name);
export const isNumeric = (name: CoreFunction): boolean => NUMERIC.has(name);
export const isRepeatable = (name: CoreFunction): boolean => REPEATABLE.has(name);

/** Functions of core.wasm that read and change nothing: code that calls them may go on as if it had not. They do not take the vCPU area. */
export const PURE_FUNCTIONS = {
  /** operation (FloatOp), operands, rounded result: 1 if it is exact, 0 if it is not or not known to be */
  exact32: { params: ['i32', 'f32', 'f32', 'f32'], result: 'i32' },
  exact64: { params: ['i32', 'f64', 'f64', 'f64'], result: 'i32' },
} as const satisfies Record<string, CoreSignature>;

export type PureFunction = keyof typeof PURE_FUNCTIONS;
