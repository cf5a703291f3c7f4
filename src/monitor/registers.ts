// The registers that expressions know as $name. QEMU, target/i386/monitor.c: they are as wide as the CPU has them, whatever code it runs.

import { Cpu, Seg } from '../core/layout.ts';
import type { Vcpu } from '../engine/vcpu.ts';

const GENERAL = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** Address of the next instruction: linear, as QEMU's monitor counts. */
export const programCounter = (vcpu: Vcpu): bigint => BigInt.asUintN(64, vcpu.get64(Cpu.CS + Seg.BASE) + vcpu.get64(Cpu.RIP));

export function readRegister(vcpu: Vcpu, name: string): bigint | undefined {
  switch (name) {
    case 'eip':
    case 'rip':
    case 'pc':
      return programCounter(vcpu);
    case 'eflags':
    case 'rflags':
      return BigInt(vcpu.rflags);
    case 'sp':
      return vcpu.get64(Cpu.RSP);
    case 'fp':
      return vcpu.get64(Cpu.RBP);
  }
  const general = GENERAL.indexOf(name.replace(/^r(?=[a-ds])/, 'e'));
  const number = general >= 0 ? general : /^r([89]|1[0-5])$/.test(name) ? Number(name.slice(1)) : -1;
  if (number >= 0) return vcpu.get64(Cpu.GPR + 8 * number);
  const control = { cr0: Cpu.CR0, cr2: Cpu.CR2, cr3: Cpu.CR3, cr4: Cpu.CR4, efer: Cpu.EFER }[name];
  if (control !== undefined) return vcpu.get64(control);
  const [segment, field] = name.split('.');
  const index = SEGMENTS.indexOf(segment);
  if (index < 0) return undefined;
  const at = Cpu.SEG + index * Cpu.SEG_SIZE;
  if (field === undefined) return BigInt(vcpu.get32(at + Seg.SELECTOR));
  if (field === 'base') return vcpu.get64(at + Seg.BASE);
  // QEMU takes limits as signed.
  if (field === 'limit') return BigInt(vcpu.get32(at + Seg.LIMIT) | 0);
  return undefined;
}
