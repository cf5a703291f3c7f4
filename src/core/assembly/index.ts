// core.wasm: the parts of a CPU that are neither an instruction's meaning nor a device. All functions take the
// vCPU area's address (layout.ts) first. Each line names the file that documents its functions.

export { fetch_page, lock_address, probe_read, probe_write, read_slow, read_slow128, read_slow_ss, rmw_slow, tlb_flush, tlb_flush_page, tlb_forget_execute, tlb_forget_writes, write_slow, write_slow128, write_slow_ss } from './memory';
export { translate_debug } from './paging';
export { update_mode } from './mode';
export { get_rflags, set_rflags } from './flags';
export { deliver_fault, deliver_interrupt, deliver_nmi, int1, int_n, into } from './exceptions';
export { far_call, far_jmp, far_ret, iret } from './transfer';
export { syscall, sysenter, sysexit, sysret } from './syscall';
export { arpl, lar, lgdt, lidt, lldt, load_segment, lsl, ltr, segment_address, sgdt, sidt, verr, verw } from './segments';
export { enter, leave_general, pop_general, popa, push_general, pusha } from './stack';
export { cli, clts, hlt, invd, invlpg, lmsw, monitor, mwait, popf, pushf, read_cr, read_dr, smsw, sti, swapgs, wbinvd, write_cr, write_dr } from './control';
export { cpuid, rdmsr, rdpmc, rdtsc, rdtscp, wrmsr } from './msr';
export { cpu_init, cpu_reset } from './reset';
export { port_in, port_out } from './io';
export { cmps, ins, lods, movs, outs, scas, stos } from './strings';
export { cmpxchg_wide } from './atomics';
export { divide_s128, divide_u128 } from './divide';
export { x87_fwait } from './x87-state';
