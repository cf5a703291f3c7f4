// core.wasm: the parts of a CPU that are neither an instruction's meaning nor a device. All functions take the
// vCPU area's address (layout.ts) first. Each line names the file that documents its functions.

export { clear_memory, fetch_page, fetch_page_at, lock_address, probe_read, probe_write, read_slow, read_slow128, read_slow_ss, rmw_slow, stack_fault, tlb_flush, tlb_flush_page, tlb_forget_writes, write_slow, write_slow128, write_slow_ss } from './memory';
export { translate_debug } from './paging';
export { update_mode } from './mode';
export { get_rflags, set_rflags } from './flags';
export { instruction_breakpoints } from './debug';
export { deliver_fault, deliver_interrupt, deliver_nmi, int1, int_n } from './exceptions';
export { far_call, far_jmp, far_ret, iret } from './transfer';
export { syscall, sysenter, sysexit, sysret } from './syscall';
export { arpl, lar, lgdt, lidt, lldt, load_segment, lsl, ltr, segment_address, sgdt, sidt, verr, verw } from './segments';
export { enter, leave_general, pop_general, popa, push_general, pusha } from './stack';
export { cli, clts, hlt, invd, invlpg, lmsw, popf, pushf, read_cr, read_dr, sti, swapgs, wbinvd, write_cr, write_dr } from './control';
export { cpuid, rdmsr, rdpmc, rdtsc, rdtscp, wrmsr } from './msr';
export { cpu_init, cpu_reset } from './reset';
export { port_in, port_out } from './io';
export { cmps, ins, lods, movs, outs, scas, stos } from './strings';
export { cmpxchg_wide } from './atomics';
export { divide_s128, divide_u128 } from './divide';
export { mmx_check, x87_check, x87_fwait } from './x87-state';
export { x87_arith, x87_arith_int, x87_arith_m32, x87_arith_m64, x87_com, x87_comi, x87_constant, x87_fabs, x87_fchs, x87_fcmov, x87_ffree, x87_fprem, x87_frndint, x87_fscale, x87_fsqrt, x87_ftst, x87_fxam, x87_fxch, x87_fxtract, x87_rotate } from './x87-arithmetic';
export { x87_fbld, x87_fild, x87_fld_m32, x87_fld_m64, x87_fld_m80, x87_fld_st, x87_fst_st, x87_narrow, x87_store, x87_stored } from './x87-transfer';
export { x87_product, x87_quotient, x87_relation, x87_root, x87_sum } from './x87-quick';
export { x87_f2xm1, x87_fpatan, x87_fptan, x87_fsin, x87_fsincos, x87_fyl2x, x87_fyl2xp1 } from './x87-transcendental';
export { x87_fldcw, x87_fldenv, x87_fnclex, x87_fninit, x87_fnsave, x87_fnstenv, x87_frstor } from './x87-environment';
export { fxrstor, fxsave, sse_maskmov } from './fxsave';
export { exact32, exact64 } from './exact';
export { sse_check } from './sse-state';
export { sse_addsub32, sse_addsub64, sse_arith32, sse_arith64, sse_cmp32, sse_cmp64, sse_comi32, sse_comi64, sse_horizontal32, sse_horizontal64 } from './sse-float';
export { sse_cvtdq2pd, sse_cvtdq2ps, sse_cvtpd2dq, sse_cvtpd2pi, sse_cvtpd2ps, sse_cvtpi2ps, sse_cvtps2dq, sse_cvtps2pd, sse_cvtps2pi, sse_cvtsd2ss, sse_cvtsi2sd, sse_cvtsi2ss, sse_cvtss2sd, sse_int_of32, sse_int_of64 } from './sse-convert';
