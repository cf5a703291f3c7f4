// The fast system calls: SYSCALL/SYSRET (AMD64 APM volume 3; Intel SDM volume 2) and SYSENTER/SYSEXIT.
// Segments are not read from tables: they get fixed flat values.

import { Cpu, Rflags, SegAttr, Status, Vector } from '../layout';
import { get_rflags, set_rflags } from './flags';
import { update_mode } from './mode';
import { Cr0, Efer, canonical, code64, cpl, cr0, longMode, protectedOrV86, raise, raiseGp0, setSegment } from './state';

const FLAT_LIMIT: u32 = 0xffff_ffff;

/** Flat code: read, execute, accessed. */
function flatCode(cpu: u32, selector: u32, privilege: u32, long: bool): void {
  const attr: u32 = SegAttr.G | SegAttr.P | SegAttr.S | 0xb | (privilege << SegAttr.DPL_SHIFT) | (long ? SegAttr.L : SegAttr.DB);
  setSegment(cpu, Cpu.CS, (selector & 0xfffc) | privilege, attr, 0, FLAT_LIMIT);
  store<u32>(cpu, privilege, Cpu.CPL);
}

/** Flat stack: read, write, accessed. */
function flatStack(cpu: u32, selector: u32, privilege: u32): void {
  const attr: u32 = SegAttr.G | SegAttr.DB | SegAttr.P | SegAttr.S | 0x3 | (privilege << SegAttr.DPL_SHIFT);
  setSegment(cpu, Cpu.SS, (selector & 0xfffc) | privilege, attr, 0, FLAT_LIMIT);
}

function invalid(cpu: u32): i32 {
  raise(cpu, Vector.UD);
  return Status.FAULT;
}

function general(cpu: u32): i32 {
  raiseGp0(cpu);
  return Status.FAULT;
}

export function syscall(cpu: u32): i32 {
  const long = longMode(cpu);
  if (!(load<u32>(cpu, Cpu.EFER) & Efer.SCE) || !protectedOrV86(cpu)) return invalid(cpu);
  const from64 = code64(cpu);
  // Intel knows it in 64-bit code only.
  if (!from64 && load<u32>(cpu, Cpu.VENDOR_INTEL)) return invalid(cpu);
  const star = load<u64>(cpu, Cpu.STAR);
  const selector = <u32>(star >> 32) & 0xfffc;
  const flags = get_rflags(cpu);
  const next = load<u64>(cpu, Cpu.NEXT_RIP);
  if (long) {
    store<u64>(cpu, next, Cpu.RCX);
    store<u64>(cpu, flags & ~Rflags.RF, Cpu.GPR + 8 * 11);
    store<u64>(cpu, from64 ? load<u64>(cpu, Cpu.LSTAR) : load<u64>(cpu, Cpu.CSTAR), Cpu.RIP);
    flatCode(cpu, selector, 0, true);
    flatStack(cpu, selector + 8, 0);
    set_rflags(cpu, flags & ~(load<u32>(cpu, Cpu.SFMASK) | Rflags.RF));
  } else {
    store<u64>(cpu, next & 0xffff_ffff, Cpu.RCX);
    store<u64>(cpu, star & 0xffff_ffff, Cpu.RIP);
    flatCode(cpu, selector, 0, false);
    flatStack(cpu, selector + 8, 0);
    set_rflags(cpu, flags & ~(Rflags.VM | Rflags.IF | Rflags.RF));
  }
  update_mode(cpu);
  return Status.JUMP;
}

/** Operand size 64 bits: to 64-bit code, else to 32-bit code. */
export function sysret(cpu: u32, operandBits: u32): i32 {
  if (!(load<u32>(cpu, Cpu.EFER) & Efer.SCE)) return invalid(cpu);
  const intel = load<u32>(cpu, Cpu.VENDOR_INTEL) != 0;
  if (intel && !code64(cpu)) return invalid(cpu);
  if (!(cr0(cpu) & Cr0.PE) || cpl(cpu)) return general(cpu);
  const selector = <u32>(load<u64>(cpu, Cpu.STAR) >> 48) & 0xfffc;
  const target = load<u64>(cpu, Cpu.RCX);
  const flags = get_rflags(cpu);
  if (longMode(cpu)) {
    const to64 = code64(cpu) && operandBits == 64;
    // Intel faults here, still in the kernel; AMD faults at the target.
    if (to64 && intel && !canonical(target)) return general(cpu);
    store<u64>(cpu, to64 ? target : target & 0xffff_ffff, Cpu.RIP);
    flatCode(cpu, to64 ? selector + 16 : selector, 3, to64);
    flatStack(cpu, selector + 8, 3);
    set_rflags(cpu, load<u32>(cpu, Cpu.GPR + 8 * 11) & 0x3c_7fd7);
  } else {
    store<u64>(cpu, target & 0xffff_ffff, Cpu.RIP);
    flatCode(cpu, selector, 3, false);
    flatStack(cpu, selector + 8, 3);
    set_rflags(cpu, flags | Rflags.IF);
  }
  update_mode(cpu);
  return Status.JUMP;
}

export function sysenter(cpu: u32): i32 {
  const long = longMode(cpu);
  if (long && !load<u32>(cpu, Cpu.VENDOR_INTEL)) return invalid(cpu);
  const selector = load<u32>(cpu, Cpu.SYSENTER_CS) & 0xfffc;
  if (!protectedOrV86(cpu) || !selector) return general(cpu);
  const mask: u64 = long ? 0xffff_ffff_ffff_ffff : 0xffff_ffff;
  store<u64>(cpu, load<u64>(cpu, Cpu.SYSENTER_ESP) & mask, Cpu.RSP);
  store<u64>(cpu, load<u64>(cpu, Cpu.SYSENTER_EIP) & mask, Cpu.RIP);
  flatCode(cpu, selector, 0, long);
  flatStack(cpu, selector + 8, 0);
  set_rflags(cpu, get_rflags(cpu) & ~(Rflags.VM | Rflags.IF | Rflags.RF));
  update_mode(cpu);
  return Status.JUMP;
}

/** Operand size 64 bits: to 64-bit code, else to 32-bit code. */
export function sysexit(cpu: u32, operandBits: u32): i32 {
  const long = longMode(cpu);
  if (long && !load<u32>(cpu, Cpu.VENDOR_INTEL)) return invalid(cpu);
  const selector = load<u32>(cpu, Cpu.SYSENTER_CS) & 0xfffc;
  if (!selector || !(cr0(cpu) & Cr0.PE) || cpl(cpu)) return general(cpu);
  const to64 = long && operandBits == 64;
  const target = load<u64>(cpu, Cpu.RDX);
  const pointer = load<u64>(cpu, Cpu.RCX);
  if (to64 && (!canonical(target) || !canonical(pointer))) return general(cpu);
  const mask: u64 = to64 ? 0xffff_ffff_ffff_ffff : 0xffff_ffff;
  store<u64>(cpu, target & mask, Cpu.RIP);
  store<u64>(cpu, pointer & mask, Cpu.RSP);
  flatCode(cpu, selector + (to64 ? 32 : 16), 3, to64);
  flatStack(cpu, selector + (to64 ? 40 : 24), 3);
  update_mode(cpu);
  return Status.JUMP;
}
