// The vCPU's state as functions: what other files read often, the control bits, and the raising of exceptions.
// Intel SDM volume 3, sections 2.5 (control registers), 6.13 (error codes).

import { Cpu, Mode, Rflags, Seg, SegAttr, Vector } from '../layout';

export const enum Cr0 {
  PE = 0x1,
  MP = 0x2,
  EM = 0x4,
  TS = 0x8,
  ET = 0x10,
  NE = 0x20,
  WP = 0x1_0000,
  AM = 0x4_0000,
  NW = 0x2000_0000,
  CD = 0x4000_0000,
  PG = 0x8000_0000,
}

export const enum Cr4 {
  VME = 0x1,
  PVI = 0x2,
  TSD = 0x4,
  DE = 0x8,
  PSE = 0x10,
  PAE = 0x20,
  MCE = 0x40,
  PGE = 0x80,
  PCE = 0x100,
  OSFXSR = 0x200,
  OSXMMEXCPT = 0x400,
  UMIP = 0x800,
  SMEP = 0x10_0000,
}

export const enum Efer {
  SCE = 0x1,
  LME = 0x100,
  LMA = 0x400,
  NXE = 0x800,
}

/** Segment descriptor types with S = 0, SDM volume 3, table 3-2. */
export const enum SystemType {
  TSS16 = 1,
  LDT = 2,
  TSS16_BUSY = 3,
  CALL16 = 4,
  TASK_GATE = 5,
  INTERRUPT16 = 6,
  TRAP16 = 7,
  TSS32 = 9,
  TSS32_BUSY = 11,
  CALL32 = 12,
  INTERRUPT32 = 14,
  TRAP32 = 15,
}

// @ts-ignore: decorator
@inline export function cr0(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.CR0);
}

// @ts-ignore: decorator
@inline export function cr4(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.CR4);
}

// @ts-ignore: decorator
@inline export function cpl(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.CPL);
}

// @ts-ignore: decorator
@inline export function rflags(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.RFLAGS);
}

// @ts-ignore: decorator
@inline export function iopl(cpu: u32): u32 {
  return (rflags(cpu) >> Rflags.IOPL_SHIFT) & 3;
}

// @ts-ignore: decorator
@inline export function v86(cpu: u32): bool {
  return (rflags(cpu) & Rflags.VM) != 0;
}

/** CR0.PE set: protected or virtual-8086 mode, or long mode. */
// @ts-ignore: decorator
@inline export function protectedOrV86(cpu: u32): bool {
  return (cr0(cpu) & Cr0.PE) != 0;
}

/** Protected mode proper: descriptors count. */
// @ts-ignore: decorator
@inline export function protectedMode(cpu: u32): bool {
  return (cr0(cpu) & Cr0.PE) != 0 && !v86(cpu);
}

/** IA-32e mode: compatibility or 64-bit. */
// @ts-ignore: decorator
@inline export function longMode(cpu: u32): bool {
  return (load<u32>(cpu, Cpu.EFER) & Efer.LMA) != 0;
}

// @ts-ignore: decorator
@inline export function code64(cpu: u32): bool {
  return (load<u32>(cpu, Cpu.MODE) & Mode.CODE_MASK) == Mode.CODE64;
}

// @ts-ignore: decorator
@inline export function selectorOf(cpu: u32, seg: u32): u32 {
  return load<u32>(cpu + seg, Seg.SELECTOR);
}

// @ts-ignore: decorator
@inline export function attrOf(cpu: u32, seg: u32): u32 {
  return load<u32>(cpu + seg, Seg.ATTR);
}

// @ts-ignore: decorator
@inline export function baseOf(cpu: u32, seg: u32): u64 {
  return load<u64>(cpu + seg, Seg.BASE);
}

// @ts-ignore: decorator
@inline export function limitOf(cpu: u32, seg: u32): u32 {
  return load<u32>(cpu + seg, Seg.LIMIT);
}

// @ts-ignore: decorator
@inline export function dplOf(attr: u32): u32 {
  return (attr >> SegAttr.DPL_SHIFT) & 3;
}

export function setSegment(cpu: u32, seg: u32, selector: u32, attr: u32, base: u64, limit: u32): void {
  store<u32>(cpu + seg, selector, Seg.SELECTOR);
  store<u32>(cpu + seg, attr, Seg.ATTR);
  store<u64>(cpu + seg, base, Seg.BASE);
  store<u32>(cpu + seg, limit, Seg.LIMIT);
}

/** A linear address with 48 significant bits, sign-extended. Always true of 32-bit addresses. */
// @ts-ignore: decorator
@inline export function canonical(va: u64): bool {
  return <u64>((<i64>(va << 16)) >> 16) == va;
}

/** Mask of linear addresses that the CPU makes by itself: 64 bits in long mode whatever the code size. */
// @ts-ignore: decorator
@inline export function systemMask(cpu: u32): u64 {
  return longMode(cpu) ? 0xffff_ffff_ffff_ffff : 0xffff_ffff;
}

/** Keep an offset to 2, 4 or 8 bytes. */
// @ts-ignore: decorator
@inline export function maskOf(size: u32): u64 {
  return size == 8 ? 0xffff_ffff_ffff_ffff : size == 4 ? 0xffff_ffff : 0xffff;
}

// @ts-ignore: decorator
@inline export function faulted(cpu: u32): bool {
  return load<u32>(cpu, Cpu.FAULT) != 0;
}

/** EXT bit of error codes while an exception or an external interrupt is being delivered. */
let ext: u32 = 0;

export function setExt(value: u32): void {
  ext = value;
}

/** Make an exception without error code pending. */
export function raise(cpu: u32, vector: u32): void {
  store<u32>(cpu, vector + 1, Cpu.FAULT);
  store<u32>(cpu, 0, Cpu.FAULT_ERROR);
  store<u32>(cpu, 0, Cpu.FAULT_HAS_ERROR);
}

/** Make an exception pending whose error code names a selector, or is 0. */
export function raiseSelector(cpu: u32, vector: u32, selector: u32): void {
  store<u32>(cpu, vector + 1, Cpu.FAULT);
  store<u32>(cpu, (selector & 0xfffc) | ext, Cpu.FAULT_ERROR);
  store<u32>(cpu, 1, Cpu.FAULT_HAS_ERROR);
}

/** As raiseSelector, for a gate of the IDT. */
export function raiseGate(cpu: u32, vector: u32, gate: u32): void {
  store<u32>(cpu, vector + 1, Cpu.FAULT);
  store<u32>(cpu, (gate << 3) | 2 | ext, Cpu.FAULT_ERROR);
  store<u32>(cpu, 1, Cpu.FAULT_HAS_ERROR);
}

export function raisePageFault(cpu: u32, va: u64, error: u32): void {
  store<u64>(cpu, va, Cpu.CR2);
  store<u32>(cpu, Vector.PF + 1, Cpu.FAULT);
  store<u32>(cpu, error, Cpu.FAULT_ERROR);
  store<u32>(cpu, 1, Cpu.FAULT_HAS_ERROR);
}

/** #GP(0), the most frequent one. */
export function raiseGp0(cpu: u32): void {
  raiseSelector(cpu, Vector.GP, 0);
}
