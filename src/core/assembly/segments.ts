// Segment registers and descriptors: loads with their checks, descriptor-table registers, and the instructions that look at rights.
// Intel SDM volume 3, chapter 3 (descriptors) and chapter 5 (protection); volume 2 for each instruction.

import { Cpu, Seg, SegAttr, Status, Vector } from '../layout';
import { setZero } from './flags';
import { sysRead, sysWrite, read_slow, write_slow, probe_write } from './memory';
import { flatData, update_mode } from './mode';
import { SystemType, attrOf, baseOf, code64, cpl, dplOf, faulted, limitOf, longMode, protectedMode, protectedOrV86, raise, raiseGp0, raiseSelector, setSegment, v86 } from './state';

// The descriptor that locate() and readDescriptor() found last.
export let descriptorAddress: u64 = 0;
export let descriptorLow: u32 = 0;
export let descriptorHigh: u32 = 0;
/** Upper 8 bytes of a 16-byte system descriptor. */
export let descriptorUpper: u64 = 0;

export function attrFrom(high: u32): u32 {
  return (high >> 8) & 0xf0ff;
}

export function baseFrom(low: u32, high: u32): u64 {
  return (low >> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000);
}

export function limitFrom(low: u32, high: u32): u32 {
  const limit = (low & 0xffff) | (high & 0xf_0000);
  return high & 0x80_0000 ? (limit << 12) | 0xfff : limit;
}

// @ts-ignore: decorator
@inline export function isCodeOrData(high: u32): bool {
  return (high & 0x1000) != 0;
}

// @ts-ignore: decorator
@inline export function isCode(high: u32): bool {
  return (high & 0x1800) == 0x1800;
}

/** Code that keeps its caller's privilege; only meaningful when isCode(). */
// @ts-ignore: decorator
@inline export function isConforming(high: u32): bool {
  return (high & 0x400) != 0;
}

// @ts-ignore: decorator
@inline export function isWritableData(high: u32): bool {
  return (high & 0x1a00) == 0x1200;
}

// @ts-ignore: decorator
@inline export function isPresent(high: u32): bool {
  return (high & 0x8000) != 0;
}

// @ts-ignore: decorator
@inline export function descriptorDpl(high: u32): u32 {
  return (high >> 13) & 3;
}

// @ts-ignore: decorator
@inline export function systemType(high: u32): u32 {
  return (high >> 8) & 15;
}

// @ts-ignore: decorator
@inline export function isNullSelector(selector: u32): bool {
  return (selector & 0xfffc) == 0;
}

/** Find a selector's descriptor of so many bytes; false when its table is too short. */
export function locate(cpu: u32, selector: u32, bytes: u32): bool {
  const offset = selector & 0xfff8;
  if (selector & 4) {
    if (attrOf(cpu, Cpu.LDTR) & SegAttr.NULL) return false;
    if (offset + bytes - 1 > limitOf(cpu, Cpu.LDTR)) return false;
    descriptorAddress = baseOf(cpu, Cpu.LDTR) + offset;
  } else {
    if (offset + bytes - 1 > load<u32>(cpu, Cpu.GDTR_LIMIT)) return false;
    descriptorAddress = load<u64>(cpu, Cpu.GDTR_BASE) + offset;
  }
  return true;
}

/** Read a selector's descriptor; outside its table it is an exception of the given vector. False: a fault is pending. */
export function readDescriptor(cpu: u32, selector: u32, vector: u32): bool {
  if (!locate(cpu, selector, 8)) {
    raiseSelector(cpu, vector, selector);
    return false;
  }
  const value = sysRead(cpu, descriptorAddress, 8);
  descriptorLow = <u32>value;
  descriptorHigh = <u32>(value >> 32);
  return !faulted(cpu);
}

/** Read the upper half of the 16-byte descriptor found last (long mode). Its type field must be 0. */
export function readUpper(cpu: u32, selector: u32, vector: u32): bool {
  const address = descriptorAddress;
  if (!locate(cpu, selector, 16)) {
    raiseSelector(cpu, vector, selector);
    return false;
  }
  descriptorUpper = sysRead(cpu, address + 8, 8);
  if (faulted(cpu)) return false;
  if ((descriptorUpper >> 40) & 0x1f) {
    raiseSelector(cpu, vector, selector);
    return false;
  }
  return true;
}

/** Set the accessed bit of a code or data descriptor in its table. */
export function markAccessed(cpu: u32, address: u64, high: u32): bool {
  if (high & 0x100) return true;
  return sysWrite(cpu, address + 5, 1, ((high >> 8) & 0xff) | 1);
}

/** Fill a segment register from a descriptor. */
export function loadCache(cpu: u32, seg: u32, selector: u32, low: u32, high: u32): void {
  setSegment(cpu, seg, selector & 0xffff, attrFrom(high) | 1, baseFrom(low, high), limitFrom(low, high));
}

/** An unusable segment register. */
export function loadNull(cpu: u32, seg: u32, selector: u32): void {
  setSegment(cpu, seg, selector & 0xffff, SegAttr.NULL, 0, 0);
}

/** Real mode: only selector and base change. A register left null by protected mode becomes usable again. */
export function loadReal(cpu: u32, seg: u32, selector: u32): void {
  store<u32>(cpu + seg, selector & 0xffff, Seg.SELECTOR);
  store<u64>(cpu + seg, (selector & 0xffff) << 4, Seg.BASE);
  if (attrOf(cpu, seg) & SegAttr.NULL) {
    store<u32>(cpu + seg, 0x93, Seg.ATTR);
    store<u32>(cpu + seg, 0xffff, Seg.LIMIT);
  }
}

/** Virtual-8086 mode: SDM volume 3, section 20.2.1. */
export function loadV86(cpu: u32, seg: u32, selector: u32): void {
  setSegment(cpu, seg, selector & 0xffff, 0xf3, (selector & 0xffff) << 4, 0xffff);
}

/** A segment register by its number in instructions (ES CS SS DS FS GS). */
// @ts-ignore: decorator
@inline function segmentByNumber(index: u32): u32 {
  return Cpu.SEG + index * Cpu.SEG_SIZE;
}

/** Status after something that may have changed the mode: JUMP with Cpu.RIP = NEXT_RIP when it did. */
export function afterModeChange(cpu: u32, oldMode: u32): i32 {
  update_mode(cpu);
  if (load<u32>(cpu, Cpu.MODE) == oldMode) return Status.NEXT;
  store<u64>(cpu, load<u64>(cpu, Cpu.NEXT_RIP), Cpu.RIP);
  return Status.JUMP;
}

/** The checks of a stack segment's descriptor for a privilege; vector is #GP, or #TS during transfers. */
export function readStackDescriptor(cpu: u32, selector: u32, privilege: u32, vector: u32): bool {
  if (isNullSelector(selector)) {
    raiseSelector(cpu, vector, 0);
    return false;
  }
  if (!readDescriptor(cpu, selector, vector)) return false;
  if ((selector & 3) != privilege || !isWritableData(descriptorHigh) || descriptorDpl(descriptorHigh) != privilege) {
    raiseSelector(cpu, vector, selector);
    return false;
  }
  if (!isPresent(descriptorHigh)) {
    raiseSelector(cpu, Vector.SS, selector);
    return false;
  }
  return true;
}

/** Load ES, SS, DS, FS or GS. False: a fault is pending. update_mode is left to the caller. */
export function loadData(cpu: u32, seg: u32, selector: u32): bool {
  if (v86(cpu)) {
    loadV86(cpu, seg, selector);
    return true;
  }
  if (!protectedOrV86(cpu)) {
    loadReal(cpu, seg, selector);
    return true;
  }
  const privilege = cpl(cpu);
  if (seg == Cpu.SS) {
    if (isNullSelector(selector) && code64(cpu) && privilege != 3 && (selector & 3) == privilege) {
      setSegment(cpu, seg, selector & 0xffff, SegAttr.NULL | (privilege << SegAttr.DPL_SHIFT), 0, 0);
      return true;
    }
    if (!readStackDescriptor(cpu, selector, privilege, Vector.GP)) return false;
  } else {
    if (isNullSelector(selector)) {
      loadNull(cpu, seg, selector);
      return true;
    }
    if (!readDescriptor(cpu, selector, Vector.GP)) return false;
    const high = descriptorHigh;
    // Execute-only code cannot be read through a data segment register.
    let bad = !isCodeOrData(high) || (high & 0xa00) == 0x800;
    if (!(isCode(high) && isConforming(high))) {
      const dpl = descriptorDpl(high);
      bad = bad || (selector & 3) > dpl || privilege > dpl;
    }
    if (bad) {
      raiseSelector(cpu, Vector.GP, selector);
      return false;
    }
    if (!isPresent(high)) {
      raiseSelector(cpu, Vector.NP, selector);
      return false;
    }
  }
  if (!markAccessed(cpu, descriptorAddress, descriptorHigh)) return false;
  loadCache(cpu, seg, selector, descriptorLow, descriptorHigh);
  return true;
}

/**
 * MOV and POP to a segment register, LDS and its like: index 0-5 is ES CS SS DS FS GS.
 * JUMP (with Cpu.RIP = NEXT_RIP) means that the mode of the code changed with it. SS holds interrupts off for one instruction.
 */
export function load_segment(cpu: u32, index: u32, selector: u32): i32 {
  const seg = segmentByNumber(index);
  if (seg == Cpu.CS || index > 5) {
    raise(cpu, Vector.UD);
    return Status.FAULT;
  }
  const mode = load<u32>(cpu, Cpu.MODE);
  const wasFlat = flatData(cpu, seg);
  if (!loadData(cpu, seg, selector)) return Status.FAULT;
  // 2: single-step traps wait as well.
  if (seg == Cpu.SS) store<u32>(cpu, 2, Cpu.INTERRUPT_SHADOW);
  // FS and GS are no part of the mode, of DS and ES only whether they are flat.
  else if (seg >= <u32>Cpu.FS || flatData(cpu, seg) == wasFlat) return Status.NEXT;
  return afterModeChange(cpu, mode);
}

/** After a return to an outer privilege: segments that it may not use become null. SDM volume 3, section 5.8.6. */
export function dropInnerSegments(cpu: u32): void {
  const privilege = cpl(cpu);
  for (let seg: u32 = Cpu.ES; seg <= <u32>Cpu.GS; seg += Cpu.SEG_SIZE) {
    if (seg == Cpu.CS || seg == Cpu.SS) continue;
    const attr = attrOf(cpu, seg);
    if (attr & SegAttr.NULL) continue;
    const conformingCode = (attr & 0x1c) == 0x1c;
    if (!conformingCode && dplOf(attr) < privilege) {
      store<u32>(cpu + seg, 0, Seg.SELECTOR);
      store<u32>(cpu + seg, SegAttr.NULL, Seg.ATTR);
    }
  }
}

/** Does a segment hold size bytes at offset? SDM volume 3, section 5.3. */
export function withinLimit(attr: u32, limit: u32, offset: u64, size: u32): bool {
  const last = offset + (size - 1);
  if ((attr & 0xc) == 4) return offset > limit && last <= (attr & SegAttr.DB ? 0xffff_ffff : 0xffff);
  return last <= limit;
}

/**
 * Linear address of a memory operand in a segment (Cpu.ES, Cpu.CS …), with all checks. The offset is already
 * cut to the address size. On a fault (#GP, or #SS for the stack segment) Cpu.FAULT is set.
 */
export function segment_address(cpu: u32, seg: u32, offset: u64, size: u32, write: i32): u64 {
  if (code64(cpu)) return seg >= <u32>Cpu.FS ? baseOf(cpu, seg) + offset : offset;
  const attr = attrOf(cpu, seg);
  let bad = false;
  if (protectedMode(cpu)) {
    if (attr & SegAttr.NULL) bad = true;
    else if (write) bad = (attr & 0xa) != 2;
    else bad = (attr & 0xa) == 8;
  }
  if (bad || !withinLimit(attr, limitOf(cpu, seg), offset, size)) {
    raiseSelector(cpu, seg == Cpu.SS ? Vector.SS : Vector.GP, 0);
    return 0;
  }
  return (baseOf(cpu, seg) + offset) & 0xffff_ffff;
}

/** False with #UD or #GP(0) pending unless protected mode and, where asked for, CPL 0. */
function needsProtected(cpu: u32, privileged: bool): bool {
  if (!protectedMode(cpu)) {
    raise(cpu, Vector.UD);
    return false;
  }
  if (privileged && cpl(cpu)) {
    raiseGp0(cpu);
    return false;
  }
  return true;
}

export function lldt(cpu: u32, selector: u32): i32 {
  if (!needsProtected(cpu, true)) return Status.FAULT;
  if (isNullSelector(selector)) {
    loadNull(cpu, Cpu.LDTR, selector);
    return Status.NEXT;
  }
  if (selector & 4) {
    raiseSelector(cpu, Vector.GP, selector);
    return Status.FAULT;
  }
  if (!readDescriptor(cpu, selector, Vector.GP)) return Status.FAULT;
  const low = descriptorLow;
  const high = descriptorHigh;
  if (isCodeOrData(high) || systemType(high) != SystemType.LDT) {
    raiseSelector(cpu, Vector.GP, selector);
    return Status.FAULT;
  }
  let upper: u64 = 0;
  if (longMode(cpu)) {
    if (!readUpper(cpu, selector, Vector.GP)) return Status.FAULT;
    upper = descriptorUpper << 32;
  }
  if (!isPresent(high)) {
    raiseSelector(cpu, Vector.NP, selector);
    return Status.FAULT;
  }
  setSegment(cpu, Cpu.LDTR, selector & 0xffff, attrFrom(high), baseFrom(low, high) | upper, limitFrom(low, high));
  return Status.NEXT;
}

export function ltr(cpu: u32, selector: u32): i32 {
  if (!needsProtected(cpu, true)) return Status.FAULT;
  if (isNullSelector(selector) || selector & 4) {
    raiseSelector(cpu, Vector.GP, selector);
    return Status.FAULT;
  }
  if (!readDescriptor(cpu, selector, Vector.GP)) return Status.FAULT;
  const low = descriptorLow;
  const high = descriptorHigh;
  const address = descriptorAddress;
  const type = systemType(high);
  if (isCodeOrData(high) || !(type == SystemType.TSS32 || (type == SystemType.TSS16 && !longMode(cpu)))) {
    raiseSelector(cpu, Vector.GP, selector);
    return Status.FAULT;
  }
  let upper: u64 = 0;
  if (longMode(cpu)) {
    if (!readUpper(cpu, selector, Vector.GP)) return Status.FAULT;
    upper = descriptorUpper << 32;
  }
  if (!isPresent(high)) {
    raiseSelector(cpu, Vector.NP, selector);
    return Status.FAULT;
  }
  if (!sysWrite(cpu, address + 5, 1, ((high >> 8) & 0xff) | 2)) return Status.FAULT;
  setSegment(cpu, Cpu.TR, selector & 0xffff, attrFrom(high) | 2, baseFrom(low, high) | upper, limitFrom(low, high));
  return Status.NEXT;
}

function loadTable(cpu: u32, va: u64, operandBits: u32, baseField: u32): i32 {
  if (cpl(cpu)) {
    raiseGp0(cpu);
    return Status.FAULT;
  }
  const mask = load<u64>(cpu, Cpu.ADDRESS_MASK);
  const limit = read_slow(cpu, va, 2);
  if (faulted(cpu)) return Status.FAULT;
  let base = read_slow(cpu, (va + 2) & mask, code64(cpu) ? 8 : 4);
  if (faulted(cpu)) return Status.FAULT;
  if (!code64(cpu) && operandBits == 16) base &= 0xff_ffff;
  store<u64>(cpu + baseField, base);
  store<u64>(cpu + baseField, limit, 8);
  return Status.NEXT;
}

/** LGDT with the linear address of its operand. With an operand size of 16 bits the base has 24. */
export function lgdt(cpu: u32, va: u64, operandBits: u32): i32 {
  return loadTable(cpu, va, operandBits, Cpu.GDTR_BASE);
}

export function lidt(cpu: u32, va: u64, operandBits: u32): i32 {
  return loadTable(cpu, va, operandBits, Cpu.IDTR_BASE);
}

function storeTable(cpu: u32, va: u64, baseField: u32): i32 {
  const size: u32 = code64(cpu) ? 8 : 4;
  if (!probe_write(cpu, va, size + 2)) return Status.FAULT;
  write_slow(cpu, va, 2, load<u64>(cpu + baseField, 8));
  if (faulted(cpu)) return Status.FAULT;
  write_slow(cpu, (va + 2) & load<u64>(cpu, Cpu.ADDRESS_MASK), size, load<u64>(cpu + baseField));
  return faulted(cpu) ? Status.FAULT : Status.NEXT;
}

/** SGDT: 6 bytes, 10 in 64-bit code, whatever the operand size. */
export function sgdt(cpu: u32, va: u64, operandBits: u32): i32 {
  return storeTable(cpu, va, Cpu.GDTR_BASE);
}

export function sidt(cpu: u32, va: u64, operandBits: u32): i32 {
  return storeTable(cpu, va, Cpu.IDTR_BASE);
}

/** Find the descriptor of a selector for LAR, LSL, VERR and VERW, which fail softly. */
function look(cpu: u32, selector: u32): bool {
  if (isNullSelector(selector) || !locate(cpu, selector, 8)) return false;
  const value = sysRead(cpu, descriptorAddress, 8);
  descriptorLow = <u32>value;
  descriptorHigh = <u32>(value >> 32);
  return !faulted(cpu);
}

/** Is a descriptor visible from the current and the requested privilege? */
function visible(cpu: u32, selector: u32, high: u32): bool {
  if (isCode(high) && isConforming(high)) return true;
  const dpl = descriptorDpl(high);
  return cpl(cpu) <= dpl && (selector & 3) <= dpl;
}

const NO_VALUE: u64 = 0xffff_ffff_ffff_ffff;

/** LAR: the access rights, or all ones when ZF was cleared and the destination stays as it is. */
export function lar(cpu: u32, selector: u32): u64 {
  if (!needsProtected(cpu, false)) return NO_VALUE;
  let valid = look(cpu, selector);
  if (faulted(cpu)) return NO_VALUE;
  const high = descriptorHigh;
  if (valid && !isCodeOrData(high)) {
    const type = systemType(high);
    if (longMode(cpu)) valid = type == SystemType.LDT || type == SystemType.TSS32 || type == SystemType.TSS32_BUSY || type == SystemType.CALL32;
    else valid = type != 0 && type != 8 && type != 10 && type != 13 && (type & 7) < 6;
  }
  valid = valid && visible(cpu, selector, high);
  setZero(cpu, valid);
  return valid ? <u64>(high & 0x00ff_ff00) : NO_VALUE;
}

/** LSL: the limit in bytes, or all ones when ZF was cleared. */
export function lsl(cpu: u32, selector: u32): u64 {
  if (!needsProtected(cpu, false)) return NO_VALUE;
  let valid = look(cpu, selector);
  if (faulted(cpu)) return NO_VALUE;
  const high = descriptorHigh;
  if (valid && !isCodeOrData(high)) {
    const type = systemType(high);
    valid = type == SystemType.LDT || type == SystemType.TSS32 || type == SystemType.TSS32_BUSY;
    if (!longMode(cpu)) valid = valid || type == SystemType.TSS16 || type == SystemType.TSS16_BUSY;
  }
  valid = valid && visible(cpu, selector, high);
  setZero(cpu, valid);
  return valid ? <u64>limitFrom(descriptorLow, high) : NO_VALUE;
}

function verify(cpu: u32, selector: u32, write: bool): i32 {
  if (!needsProtected(cpu, false)) return Status.FAULT;
  let valid = look(cpu, selector);
  if (faulted(cpu)) return Status.FAULT;
  const high = descriptorHigh;
  valid = valid && isCodeOrData(high) && visible(cpu, selector, high);
  if (valid) valid = write ? isWritableData(high) : (high & 0xa00) != 0x800;
  setZero(cpu, valid);
  return Status.NEXT;
}

export function verr(cpu: u32, selector: u32): i32 {
  return verify(cpu, selector, false);
}

export function verw(cpu: u32, selector: u32): i32 {
  return verify(cpu, selector, true);
}

/** ARPL: the destination's new value; ZF says whether it changed. #UD outside protected mode. */
export function arpl(cpu: u32, destination: u32, source: u32): u32 {
  if (!needsProtected(cpu, false)) return destination;
  const raises = (destination & 3) < (source & 3);
  setZero(cpu, raises);
  return raises ? (destination & 0xfffc) | (source & 3) : destination;
}
