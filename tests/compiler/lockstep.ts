// What lockstep tests have in common: numbers, the state that is compared, and the interpreter that follows.

import { createHash } from 'node:crypto';
import { Cpu, Mem } from '../../src/core/layout.ts';
import type { Process } from './process.ts';

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** A generator of pseudo-random numbers below a limit (a linear congruence), so that a failure repeats. */
export function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

export function registers(process: Process): Record<string, string> {
  const { vcpu } = process;
  const state: Record<string, string> = { rip: vcpu.get64(Cpu.RIP).toString(16), rflags: vcpu.rflags.toString(16), mxcsr: vcpu.get32(Cpu.MXCSR).toString(16) };
  NAMES.slice(0, process.bits === 64 ? 16 : 8).forEach((name, n) => (state[name] = vcpu.get64(Cpu.GPR + n * 8).toString(16)));
  for (let n = 0; n < 16; n++) state[`xmm${n}`] = `${vcpu.get64(Cpu.XMM + n * 16 + 8).toString(16)}:${vcpu.get64(Cpu.XMM + n * 16).toString(16)}`;
  for (let n = 0; n < 8; n++) state[`fpr${n}`] = `${(vcpu.get32(Cpu.FPR + n * 16 + 8) & 0xffff).toString(16)}:${vcpu.get64(Cpu.FPR + n * 16).toString(16)}`;
  for (const [name, at] of [['fcw', Cpu.FCW], ['fsw', Cpu.FSW], ['ftw', Cpu.FTW], ['fip', Cpu.FIP], ['fcs', Cpu.FCS]] as const) state[name] = vcpu.get32(at).toString(16);
  return state;
}

/** Of the program's pages. */
export const memoryHash = (process: Process): string => createHash('sha256').update(process.u8.subarray(Mem.RAM + 0x40_0000, Mem.RAM + (16 << 20))).digest('hex');

/** The interpreter goes on to the same instruction: in strides first, then one by one. */
export function follow(process: Process, icount: number): void {
  const { vcpu } = process;
  if (icount - vcpu.icount > 4000) process.run(icount - vcpu.icount - 3000);
  vcpu.trace.execute = () => {};
  while (process.status === null && vcpu.icount < icount) process.run(1);
  vcpu.trace.execute = undefined;
}
