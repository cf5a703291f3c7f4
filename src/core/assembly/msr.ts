// Model-specific registers, CPUID and the time-stamp counter.
// Intel SDM volume 4; AMD's in "BIOS and Kernel Developer's Guide", family 0Fh. Registers of devices and of the
// paravirtual interface (APIC base, TSC deadline, kvm-clock) are the host's.

import { Cpu, Status } from '../layout';
import { hostCpuid, hostRdmsr, hostTsc, hostWrmsr } from './host';
import { tlb_flush } from './memory';
import { update_mode } from './mode';
import { Cr0, Cr4, Efer, canonical, cpl, cr0, cr4, raiseGp0 } from './state';

const enum Msr {
  TSC = 0x10,
  IA32_PLATFORM_ID = 0x17,
  IA32_TSC_ADJUST = 0x3b,
  IA32_BIOS_SIGN_ID = 0x8b,
  IA32_MTRRCAP = 0xfe,
  IA32_SYSENTER_CS = 0x174,
  IA32_SYSENTER_ESP = 0x175,
  IA32_SYSENTER_EIP = 0x176,
  IA32_MCG_CAP = 0x179,
  IA32_MCG_STATUS = 0x17a,
  IA32_PERF_STATUS = 0x198,
  IA32_MISC_ENABLE = 0x1a0,
  IA32_DEBUGCTL = 0x1d9,
  IA32_MTRR_PHYSBASE0 = 0x200,
  IA32_MTRR_PHYSMASK7 = 0x20f,
  IA32_MTRR_FIX64K_00000 = 0x250,
  IA32_MTRR_FIX16K_80000 = 0x258,
  IA32_MTRR_FIX16K_A0000 = 0x259,
  IA32_MTRR_FIX4K_C0000 = 0x268,
  IA32_MTRR_FIX4K_F8000 = 0x26f,
  IA32_PAT = 0x277,
  IA32_MTRR_DEF_TYPE = 0x2ff,
  IA32_EFER = 0xc000_0080,
  IA32_STAR = 0xc000_0081,
  IA32_LSTAR = 0xc000_0082,
  IA32_CSTAR = 0xc000_0083,
  IA32_FMASK = 0xc000_0084,
  IA32_FS_BASE = 0xc000_0100,
  IA32_GS_BASE = 0xc000_0101,
  IA32_KERNEL_GS_BASE = 0xc000_0102,
  IA32_TSC_AUX = 0xc000_0103,
  SYSCFG = 0xc001_0010,
  HWCR = 0xc001_0015,
  NB_CFG = 0xc001_001f,
  INTERRUPT_PENDING_MESSAGE = 0xc001_0055,
  DC_CFG = 0xc001_1022,
  DE_CFG = 0xc001_1029,
  BU_CFG2 = 0xc001_102a,
}

/** Offset in the vCPU area of an MSR that is plain state; 0 when it is not. */
function field(cpu: u32, index: u32): u32 {
  switch (index) {
    case Msr.IA32_SYSENTER_CS:
      return Cpu.SYSENTER_CS;
    case Msr.IA32_SYSENTER_ESP:
      return Cpu.SYSENTER_ESP;
    case Msr.IA32_SYSENTER_EIP:
      return Cpu.SYSENTER_EIP;
    case Msr.IA32_MISC_ENABLE:
      return Cpu.MISC_ENABLE;
    case Msr.IA32_PAT:
      return Cpu.PAT;
    case Msr.IA32_MTRR_DEF_TYPE:
      return Cpu.MTRR_DEF_TYPE;
    case Msr.IA32_MTRR_FIX64K_00000:
      return Cpu.MTRR_FIX;
    case Msr.IA32_MTRR_FIX16K_80000:
      return Cpu.MTRR_FIX + 8;
    case Msr.IA32_MTRR_FIX16K_A0000:
      return Cpu.MTRR_FIX + 16;
    case Msr.IA32_EFER:
      return Cpu.EFER;
    case Msr.IA32_STAR:
      return Cpu.STAR;
    case Msr.IA32_LSTAR:
      return Cpu.LSTAR;
    case Msr.IA32_CSTAR:
      return Cpu.CSTAR;
    case Msr.IA32_FMASK:
      return Cpu.SFMASK;
    case Msr.IA32_FS_BASE:
      return Cpu.FS + 8;
    case Msr.IA32_GS_BASE:
      return Cpu.GS + 8;
    case Msr.IA32_KERNEL_GS_BASE:
      return Cpu.KERNEL_GS_BASE;
    case Msr.IA32_TSC_AUX:
      return Cpu.TSC_AUX;
    default:
      break;
  }
  if (index >= <u32>Msr.IA32_MTRR_PHYSBASE0 && index <= <u32>Msr.IA32_MTRR_PHYSMASK7) return Cpu.MTRR_VAR + ((index - Msr.IA32_MTRR_PHYSBASE0) << 3);
  if (index >= <u32>Msr.IA32_MTRR_FIX4K_C0000 && index <= <u32>Msr.IA32_MTRR_FIX4K_F8000) return Cpu.MTRR_FIX + 24 + ((index - Msr.IA32_MTRR_FIX4K_C0000) << 3);
  if (!load<u32>(cpu, Cpu.VENDOR_INTEL)) {
    if (index == Msr.SYSCFG) return Cpu.SYSCFG;
    if (index == Msr.HWCR) return Cpu.HWCR;
    if (index == Msr.DE_CFG) return Cpu.DE_CFG;
  }
  return 0;
}

/** AMD's chip configuration registers that Linux reads, and writes back: all their features are off. */
function quietAmd(cpu: u32, index: u32): bool {
  if (load<u32>(cpu, Cpu.VENDOR_INTEL)) return false;
  return index == Msr.NB_CFG || index == Msr.INTERRUPT_PENDING_MESSAGE || index == Msr.DC_CFG || index == Msr.BU_CFG2;
}

function general(cpu: u32): i32 {
  raiseGp0(cpu);
  return Status.FAULT;
}

/**
 * The counter as the guest sees it; it never goes back unless the guest writes it. Kernels read it in each system call, and the host's
 * clock costs as much as a hundred instructions (and in a browser goes in steps of 5 us): so for a while an instruction counts half a tick.
 * Who compares it with another clock has asked a device in between, after which the host's is asked again.
 */
function timeStamp(cpu: u32): u64 {
  const budget = load<u64>(cpu, Cpu.BUDGET);
  const since = load<u64>(cpu, Cpu.TSC_BUDGET) - budget;
  let now: u64;
  if (since < <u64>load<u32>(cpu, Cpu.TSC_SPAN)) now = load<u64>(cpu, Cpu.TSC_ASKED) + (since >> 1);
  else {
    hostTsc(cpu);
    now = load<u64>(cpu, Cpu.SCRATCH);
    store<u64>(cpu, budget, Cpu.TSC_BUDGET);
    store<u64>(cpu, now, Cpu.TSC_ASKED);
  }
  now += load<u64>(cpu, Cpu.TSC_OFFSET);
  const last = load<u64>(cpu, Cpu.TSC_LAST);
  if (<i64>(now - last) < 0) return last;
  store<u64>(cpu, now, Cpu.TSC_LAST);
  return now;
}

function setPair(cpu: u32, value: u64): void {
  store<u64>(cpu, value & 0xffff_ffff, Cpu.RAX);
  store<u64>(cpu, value >> 32, Cpu.RDX);
}

export function rdmsr(cpu: u32): i32 {
  if (cpl(cpu)) return general(cpu);
  const index = load<u32>(cpu, Cpu.RCX);
  const intel = load<u32>(cpu, Cpu.VENDOR_INTEL) != 0;
  let value: u64 = 0;
  const at = field(cpu, index);
  if (at) {
    value = load<u64>(cpu + at);
  } else if (index == Msr.TSC) {
    value = timeStamp(cpu);
  } else if (index == Msr.IA32_TSC_ADJUST) {
    value = load<u64>(cpu, Cpu.TSC_OFFSET);
  } else if (index == Msr.IA32_BIOS_SIGN_ID) {
    // The microcode revisions that QEMU reports.
    value = intel ? 0x1_0000_0000 : 0x0100_0065;
  } else if (index == Msr.IA32_MTRRCAP) {
    // Eight variable ranges, fixed ranges, write-combining.
    value = 0x508;
  } else if (index == Msr.IA32_MCG_CAP || index == Msr.IA32_MCG_STATUS || index == Msr.IA32_DEBUGCTL || quietAmd(cpu, index) || (intel && index == Msr.IA32_PLATFORM_ID)) {
    value = 0;
  } else if (intel && index == Msr.IA32_PERF_STATUS) {
    value = 1000 | ((<u64>4) << 40);
  } else {
    if (!hostRdmsr(cpu, index)) return general(cpu);
    value = load<u64>(cpu, Cpu.SCRATCH);
  }
  setPair(cpu, value);
  return Status.NEXT;
}

/** Memory types that exist: UC WC WT WP WB, and UC- in the PAT. */
function validType(type: u32, pat: bool): bool {
  return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

function validTypes(value: u64, pat: bool): bool {
  for (let i: u32 = 0; i < 64; i += 8) {
    if (!validType(<u32>(value >> i) & 0xff, pat)) return false;
  }
  return true;
}

function writeEfer(cpu: u32, value: u64): i32 {
  const old = load<u64>(cpu, Cpu.EFER);
  if (value & ~(load<u64>(cpu, Cpu.EFER_VALID) | Efer.LMA)) return general(cpu);
  if ((value ^ old) & Efer.LME && cr0(cpu) & Cr0.PG) return general(cpu);
  // LMA follows CR0.PG; writes to it are ignored.
  const now = (value & ~(<u64>Efer.LMA)) | (old & Efer.LMA);
  store<u64>(cpu, now, Cpu.EFER);
  if ((now ^ old) & Efer.NXE) tlb_flush(cpu, 0);
  update_mode(cpu);
  return Status.NEXT;
}

export function wrmsr(cpu: u32): i32 {
  if (cpl(cpu)) return general(cpu);
  const index = load<u32>(cpu, Cpu.RCX);
  const value = <u64>load<u32>(cpu, Cpu.RAX) | ((<u64>load<u32>(cpu, Cpu.RDX)) << 32);
  switch (index) {
    case Msr.IA32_EFER:
      return writeEfer(cpu, value);
    case Msr.IA32_LSTAR:
    case Msr.IA32_CSTAR:
    case Msr.IA32_FS_BASE:
    case Msr.IA32_GS_BASE:
    case Msr.IA32_KERNEL_GS_BASE:
    case Msr.IA32_SYSENTER_ESP:
    case Msr.IA32_SYSENTER_EIP:
      if (!canonical(value)) return general(cpu);
      break;
    case Msr.IA32_FMASK:
    case Msr.IA32_TSC_AUX:
      if (value >> 32) return general(cpu);
      break;
    case Msr.IA32_PAT:
      if (!validTypes(value, true)) return general(cpu);
      break;
    case Msr.IA32_MTRR_DEF_TYPE:
      if (value & ~(<u64>0xcff) || !validType(<u32>value & 0xff, false)) return general(cpu);
      break;
    case Msr.TSC:
      hostTsc(cpu);
      store<u64>(cpu, value - load<u64>(cpu, Cpu.SCRATCH), Cpu.TSC_OFFSET);
      store<u64>(cpu, value, Cpu.TSC_LAST);
      return Status.NEXT;
    case Msr.IA32_TSC_ADJUST: {
      const moved = value - load<u64>(cpu, Cpu.TSC_OFFSET);
      store<u64>(cpu, value, Cpu.TSC_OFFSET);
      store<u64>(cpu, load<u64>(cpu, Cpu.TSC_LAST) + moved, Cpu.TSC_LAST);
      return Status.NEXT;
    }
    case Msr.IA32_BIOS_SIGN_ID:
      // Software writes 0 before it reads the revision.
      return Status.NEXT;
    case Msr.IA32_MCG_STATUS:
    case Msr.IA32_DEBUGCTL:
      // No machine checks are reported and no branches traced: only "off" can be written.
      return value ? general(cpu) : Status.NEXT;
    default:
      break;
  }
  if (quietAmd(cpu, index)) return Status.NEXT;
  const at = field(cpu, index);
  if (!at) return hostWrmsr(cpu, index, <u32>value, <u32>(value >> 32)) ? Status.NEXT : general(cpu);
  if (at >= <u32>Cpu.MTRR_FIX && at < <u32>(Cpu.MTRR_FIX + 88) && !validTypes(value, false)) return general(cpu);
  if (at >= <u32>Cpu.MTRR_VAR && at < <u32>(Cpu.MTRR_VAR + 128)) {
    const low: u64 = index & 1 ? 0x800 : 0xff;
    if (value & ~((load<u64>(cpu, Cpu.PHYS_MASK) & ~0xfff) | low)) return general(cpu);
    if (!(index & 1) && !validType(<u32>value & 0xff, false)) return general(cpu);
  }
  store<u64>(cpu + at, value);
  return Status.NEXT;
}

export function cpuid(cpu: u32): i32 {
  hostCpuid(cpu, load<u32>(cpu, Cpu.RAX), load<u32>(cpu, Cpu.RCX));
  store<u64>(cpu, load<u32>(cpu, Cpu.SCRATCH), Cpu.RAX);
  store<u64>(cpu, load<u32>(cpu, Cpu.SCRATCH + 4), Cpu.RBX);
  store<u64>(cpu, load<u32>(cpu, Cpu.SCRATCH + 8), Cpu.RCX);
  store<u64>(cpu, load<u32>(cpu, Cpu.SCRATCH + 12), Cpu.RDX);
  return Status.NEXT;
}

export function rdtsc(cpu: u32): i32 {
  if (cr4(cpu) & Cr4.TSD && cpl(cpu)) return general(cpu);
  setPair(cpu, timeStamp(cpu));
  return Status.NEXT;
}

export function rdtscp(cpu: u32): i32 {
  if (cr4(cpu) & Cr4.TSD && cpl(cpu)) return general(cpu);
  setPair(cpu, timeStamp(cpu));
  store<u64>(cpu, load<u32>(cpu, Cpu.TSC_AUX), Cpu.RCX);
  return Status.NEXT;
}

/** No performance counters exist. */
export function rdpmc(cpu: u32): i32 {
  return general(cpu);
}
