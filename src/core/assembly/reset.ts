// Power-on and INIT: Intel SDM volume 3, table 9-1.

import { Cpu, FlagKind, Rflags, SegAttr } from '../layout';
import { tlb_flush } from './memory';
import { update_mode } from './mode';
import { Cr0, setSegment } from './state';

/** What power-on and INIT have in common. */
function start(cpu: u32): void {
  memory.fill(cpu + Cpu.GPR, 0, 0x88);
  // Family 6, as EDX shows after reset.
  store<u64>(cpu, 0x600, Cpu.RDX);
  store<u64>(cpu, 0xfff0, Cpu.RIP);
  store<u64>(cpu, 0xfff0, Cpu.NEXT_RIP);
  store<u64>(cpu, 0, Cpu.RIP_PAGE);
  store<u64>(cpu, 0, Cpu.EA);
  store<u32>(cpu, Rflags.FIXED, Cpu.RFLAGS);
  store<u32>(cpu, FlagKind.EXPLICIT, Cpu.FLAG_KIND);
  store<u64>(cpu, 0, Cpu.FLAG_A);
  store<u64>(cpu, 0, Cpu.FLAG_X);
  for (let seg: u32 = Cpu.ES; seg <= <u32>Cpu.GS; seg += Cpu.SEG_SIZE) setSegment(cpu, seg, 0, SegAttr.P | SegAttr.S | 3, 0, 0xffff);
  setSegment(cpu, Cpu.CS, 0xf000, SegAttr.P | SegAttr.S | 0xb, 0xffff_0000, 0xffff);
  setSegment(cpu, Cpu.LDTR, 0, SegAttr.P | 2, 0, 0xffff);
  setSegment(cpu, Cpu.TR, 0, SegAttr.P | 11, 0, 0xffff);
  store<u64>(cpu, 0, Cpu.GDTR_BASE);
  store<u64>(cpu, 0xffff, Cpu.GDTR_LIMIT);
  store<u64>(cpu, 0, Cpu.IDTR_BASE);
  store<u64>(cpu, 0xffff, Cpu.IDTR_LIMIT);
  store<u64>(cpu, 0, Cpu.CR2);
  store<u64>(cpu, 0, Cpu.CR3);
  store<u64>(cpu, 0, Cpu.CR4);
  store<u64>(cpu, 0, Cpu.CR8);
  store<u64>(cpu, 0, Cpu.EFER);
  memory.fill(cpu + Cpu.PDPTE, 0, 32);
  memory.fill(cpu + Cpu.DR, 0, 64);
  store<u64>(cpu, 0xffff_0ff0, Cpu.DR + 6 * 8);
  store<u64>(cpu, 0x400, Cpu.DR + 7 * 8);
  store<u32>(cpu, 0, Cpu.DEBUG_ARMED);
  store<u32>(cpu, 0, Cpu.DEBUG_HITS);
  store<u32>(cpu, 0, Cpu.CPL);
  store<u32>(cpu, 0, Cpu.AC_ACTIVE);
  store<u32>(cpu, 0, Cpu.FAULT);
  store<u32>(cpu, 0, Cpu.DELIVERING);
  store<u32>(cpu, 0, Cpu.INTERRUPT_SHADOW);
  store<u32>(cpu, 0, Cpu.HALTED);
  store<u32>(cpu, 0, Cpu.NMI_PENDING);
  store<u32>(cpu, 0, Cpu.NMI_BLOCKED);
}

/**
 * Power-on state. Left alone: what describes the machine (INDEX, PHYS_MASK, A20_MASK, EFER_VALID, CR4_VALID,
 * VENDOR_INTEL, FEATURES, APIC_BASE), BUDGET, ICOUNT, EXIT_REQUEST, INTERRUPT_PENDING and the statistics.
 */
export function cpu_reset(cpu: u32): void {
  start(cpu);
  store<u64>(cpu, Cr0.CD | Cr0.NW | Cr0.ET, Cpu.CR0);
  store<u64>(cpu, 1, Cpu.XCR0);
  memory.fill(cpu + Cpu.STAR, 0, Cpu.PAT - Cpu.STAR);
  store<u64>(cpu, 0x0007_0406_0007_0406, Cpu.PAT);
  store<u64>(cpu, 0, Cpu.TSC_AUX);
  store<u64>(cpu, 0, Cpu.TSC_OFFSET);
  store<u64>(cpu, 0, Cpu.TSC_LAST);
  // Fast strings.
  store<u64>(cpu, 1, Cpu.MISC_ENABLE);
  store<u64>(cpu, 0, Cpu.MTRR_DEF_TYPE);
  memory.fill(cpu + Cpu.MTRR_VAR, 0, 128);
  memory.fill(cpu + Cpu.MTRR_FIX, 0, 88);
  memory.fill(cpu + Cpu.SYSCFG, 0, 24);
  memory.fill(cpu + Cpu.FPR, 0, Cpu.MXCSR - Cpu.FPR);
  // FNINIT's value would be 37F; power-on differs. All registers hold +0 and are valid.
  store<u32>(cpu, 0x40, Cpu.FCW);
  store<u32>(cpu, 0xff, Cpu.FTW);
  store<u32>(cpu, 0x1f80, Cpu.MXCSR);
  memory.fill(cpu + Cpu.XMM, 0, 512);
  store<u32>(cpu, 0, Cpu.FERR);
  tlb_flush(cpu, 0);
  update_mode(cpu);
}

/** INIT: as power-on, but MSRs, x87 and SSE state and CR0.CD and NW stay. The caller makes the CPU wait for SIPI. */
export function cpu_init(cpu: u32): void {
  const cache = load<u64>(cpu, Cpu.CR0) & (Cr0.CD | Cr0.NW);
  start(cpu);
  store<u64>(cpu, cache | Cr0.ET, Cpu.CR0);
  tlb_flush(cpu, 0);
  update_mode(cpu);
}
