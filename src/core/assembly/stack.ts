// The stack in every mode: width of the stack pointer, segment limits; PUSH/POP, ENTER/LEAVE, PUSHA/POPA,
// and the cursor with which transfers build and read their frames.
// Intel SDM volume 1, section 6.2; volume 2 for each instruction. Sizes in bytes, operand sizes of instructions in bits.

import { Cpu, SegAttr, Status, Vector } from '../layout';
import { checkAlignment, readAs, probe_write, writeAs } from './memory';
import { withinLimit } from './segments';
import { attrOf, baseOf, canonical, code64, cpl, faulted, limitOf, maskOf, raiseSelector } from './state';

/** Mask of the stack pointer: 64-bit code RSP, else ESP or SP by SS.B. */
export function stackMask(cpu: u32): u64 {
  if (code64(cpu)) return 0xffff_ffff_ffff_ffff;
  return attrOf(cpu, Cpu.SS) & SegAttr.DB ? 0xffff_ffff : 0xffff;
}

/** Write the stack pointer: SP keeps the bits above it, ESP clears them. */
export function setStackPointer(cpu: u32, value: u64, mask: u64): void {
  if (mask == 0xffff) store<u16>(cpu, <u16>value, Cpu.RSP);
  else store<u64>(cpu, value & mask, Cpu.RSP);
}

// The cursor: where the next push or pop goes. A transfer moves it while it builds its frame, and commits
// the stack pointer at its very end, so that a fault in between leaves the registers alone.
let cursorLong: bool = false;
let cursorBase: u64 = 0;
let cursorLimit: u32 = 0;
let cursorAttr: u32 = 0;
let cursorMask: u64 = 0;
let cursorUser: bool = false;
/** Selector in the error code of a #SS. */
let cursorError: u32 = 0;
/** The stack pointer, within its mask. */
export let cursorPointer: u64 = 0;

/** Start at the current stack. */
export function cursorCurrent(cpu: u32): void {
  cursorLong = code64(cpu);
  cursorBase = baseOf(cpu, Cpu.SS);
  cursorLimit = limitOf(cpu, Cpu.SS);
  cursorAttr = attrOf(cpu, Cpu.SS);
  cursorMask = stackMask(cpu);
  cursorUser = cpl(cpu) == 3;
  cursorError = 0;
  cursorPointer = load<u64>(cpu, Cpu.RSP) & cursorMask;
}

/** Start at a stack of another privilege, described by its segment's fields. */
export function cursorSegment(pointer: u64, base: u64, limit: u32, attr: u32, privilege: u32, selector: u32): void {
  cursorLong = false;
  cursorBase = base;
  cursorLimit = limit;
  cursorAttr = attr;
  cursorMask = attr & SegAttr.DB ? 0xffff_ffff : 0xffff;
  cursorUser = privilege == 3;
  cursorError = selector;
  cursorPointer = pointer & cursorMask;
}

/** Start at a 64-bit stack. */
export function cursorFlat64(pointer: u64, privilege: u32): void {
  cursorLong = true;
  cursorMask = 0xffff_ffff_ffff_ffff;
  cursorUser = privilege == 3;
  cursorError = 0;
  cursorPointer = pointer;
}

/** Linear address of size bytes at a stack offset, or a pending #SS. */
function cursorAddress(cpu: u32, offset: u64, size: u32): u64 {
  if (cursorLong) {
    if (!canonical(offset) || !canonical(offset + size - 1)) raiseSelector(cpu, Vector.SS, cursorError);
    return offset;
  }
  if (!withinLimit(cursorAttr, cursorLimit, offset, size)) raiseSelector(cpu, Vector.SS, cursorError);
  return (cursorBase + offset) & 0xffff_ffff;
}

// @ts-ignore: decorator
@inline function cursorLinearMask(): u64 {
  return cursorLong ? 0xffff_ffff_ffff_ffff : 0xffff_ffff;
}

/** Push; false with a fault pending. */
export function cursorPush(cpu: u32, value: u64, size: u32): bool {
  const offset = (cursorPointer - size) & cursorMask;
  const va = cursorAddress(cpu, offset, size);
  if (faulted(cpu)) return false;
  if (!writeAs(cpu, va, size, value, cursorUser, cursorLinearMask())) return false;
  cursorPointer = offset;
  return true;
}

/** Read the element so many bytes above the cursor; check faulted(). */
export function cursorPeek(cpu: u32, above: u32, size: u32): u64 {
  const offset = (cursorPointer + above) & cursorMask;
  const va = cursorAddress(cpu, offset, size);
  if (faulted(cpu)) return 0;
  return readAs(cpu, va, size, cursorUser, cursorLinearMask());
}

/** Pop; check faulted(). */
export function cursorPop(cpu: u32, size: u32): u64 {
  const value = cursorPeek(cpu, 0, size);
  if (!faulted(cpu)) cursorPointer = (cursorPointer + size) & cursorMask;
  return value;
}

/** Move the cursor up: parameters released by a far return. */
export function cursorSkip(bytes: u32): void {
  cursorPointer = (cursorPointer + bytes) & cursorMask;
}

/** Make the cursor's place the stack pointer. */
export function cursorCommit(cpu: u32): void {
  setStackPointer(cpu, cursorPointer, cursorMask);
}

/** PUSH in any mode; size in bytes. */
export function push_general(cpu: u32, value: u64, size: u32): void {
  cursorCurrent(cpu);
  if (cursorPush(cpu, value, size)) cursorCommit(cpu);
}

/** POP in any mode, size in bytes; RSP moves only when there was no fault. */
export function pop_general(cpu: u32, size: u32): u64 {
  cursorCurrent(cpu);
  const value = cursorPop(cpu, size);
  if (!faulted(cpu)) cursorCommit(cpu);
  return value;
}

/** ENTER with its two operands. */
export function enter(cpu: u32, operandBits: u32, allocate: u32, nesting: u32): i32 {
  const opsize = operandBits >> 3;
  const level = nesting & 31;
  cursorCurrent(cpu);
  const mask = cursorMask;
  const frame = load<u64>(cpu, Cpu.RBP);
  if (!cursorPush(cpu, frame & maskOf(opsize), opsize)) return Status.FAULT;
  const pointer = cursorPointer;
  if (level) {
    let from = frame & mask;
    for (let i: u32 = 1; i < level; i++) {
      from = (from - opsize) & mask;
      const va = cursorAddress(cpu, from, opsize);
      if (faulted(cpu)) return Status.FAULT;
      const value = readAs(cpu, va, opsize, cursorUser, cursorLinearMask());
      if (faulted(cpu) || !cursorPush(cpu, value, opsize)) return Status.FAULT;
    }
    if (!cursorPush(cpu, pointer & maskOf(opsize), opsize)) return Status.FAULT;
  }
  cursorPointer = (cursorPointer - allocate) & mask;
  // ENTER ends with a check that the new top of the stack can be written.
  const top = cursorAddress(cpu, cursorPointer, opsize);
  if (faulted(cpu) || !checkAlignment(cpu, top, opsize) || !probe_write(cpu, top, opsize)) return Status.FAULT;
  setSized(cpu, Cpu.RBP, pointer, opsize);
  cursorCommit(cpu);
  return Status.NEXT;
}

/** Write a register with the usual rules: 4 bytes clear the upper half, 2 keep the rest. */
export function setSized(cpu: u32, register: u32, value: u64, size: u32): void {
  if (size == 2) store<u16>(cpu + register, <u16>value);
  else store<u64>(cpu + register, value & maskOf(size));
}

/** LEAVE in any mode. */
export function leave_general(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  cursorCurrent(cpu);
  cursorPointer = load<u64>(cpu, Cpu.RBP) & cursorMask;
  const frame = cursorPop(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  cursorCommit(cpu);
  setSized(cpu, Cpu.RBP, frame, opsize);
  return Status.NEXT;
}

/** PUSHA: AX CX DX BX SP BP SI DI, SP as it was. */
export function pusha(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  cursorCurrent(cpu);
  for (let i: u32 = 0; i < 8; i++) {
    if (!cursorPush(cpu, load<u64>(cpu + (i << 3)), opsize)) return Status.FAULT;
  }
  cursorCommit(cpu);
  return Status.NEXT;
}

/** POPA: the stored SP is passed over. */
export function popa(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  cursorCurrent(cpu);
  // All of the frame must be readable before a register changes.
  for (let i: u32 = 0; i < 8; i++) {
    cursorPeek(cpu, i * opsize, opsize);
    if (faulted(cpu)) return Status.FAULT;
  }
  for (let i: u32 = 0; i < 8; i++) {
    const value = cursorPop(cpu, opsize);
    const register = (7 - i) << 3;
    if (register != Cpu.RSP) setSized(cpu, register, value, opsize);
  }
  cursorCommit(cpu);
  return Status.NEXT;
}
