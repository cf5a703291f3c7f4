// Far control transfers: JMP, CALL, RET, IRET, call gates.
// Intel SDM volume 2, "Operation" of each instruction; volume 3, sections 5.8 (privilege) and 20.2 (virtual-8086 mode).
// Operand sizes of the instructions in bits (16, 32, 64). All leave Cpu.RIP at the target and return Status.JUMP, or change nothing and return FAULT.

import { Cpu, Rflags, SegAttr, Status, Vector } from '../layout';
import { get_rflags, set_rflags } from './flags';
import { update_mode } from './mode';
import {
  attrFrom, baseFrom, descriptorAddress, descriptorDpl, descriptorHigh, descriptorLow, descriptorUpper, dropInnerSegments,
  isCode, isCodeOrData, isConforming, isNullSelector, isPresent, isWritableData, limitFrom, loadCache, loadReal, loadV86,
  markAccessed, readDescriptor, readUpper, systemType,
} from './segments';
import {
  SystemType, canonical, code64, cpl, faulted, iopl, limitOf, longMode, maskOf, protectedOrV86, raiseGp0, raiseSelector,
  selectorOf, setSegment, v86,
} from './state';
import { cursorCommit, cursorCurrent, cursorPeek, cursorPop, cursorPush, cursorSkip, setStackPointer } from './stack';
import { returnTask, switchTask } from './tasks';
import { commitNewStack, cursorNewStack } from './tss';

function selectorFault(cpu: u32, vector: u32, selector: u32): i32 {
  raiseSelector(cpu, vector, selector);
  return Status.FAULT;
}

/** The target's code segment as read from its descriptor. */
let codeLow: u32 = 0;
let codeHigh: u32 = 0;
let codeAddress: u64 = 0;

function keepCode(): void {
  codeLow = descriptorLow;
  codeHigh = descriptorHigh;
  codeAddress = descriptorAddress;
}

/** Will the descriptor kept by keepCode() run as 64-bit code? */
// @ts-ignore: decorator
@inline function target64(cpu: u32): bool {
  return longMode(cpu) && (codeHigh & 0x20_0000) != 0;
}

/** L and D/B both set mean nothing in long mode. */
function badLongBits(cpu: u32): bool {
  return longMode(cpu) && (codeHigh & 0x60_0000) == 0x60_0000;
}

/** Is the target offset within its segment? #GP(0) else. */
function checkOffset(cpu: u32, offset: u64): bool {
  if (target64(cpu) ? canonical(offset) : offset <= limitFrom(codeLow, codeHigh)) return true;
  raiseGp0(cpu);
  return false;
}

/** CS and RIP take the kept descriptor, at a privilege. */
function enterCode(cpu: u32, selector: u32, privilege: u32, offset: u64): void {
  loadCache(cpu, Cpu.CS, (selector & 0xfffc) | privilege, codeLow, codeHigh);
  store<u32>(cpu, privilege, Cpu.CPL);
  store<u64>(cpu, offset, Cpu.RIP);
}

/** Real and virtual-8086 mode: the selector is the base. */
function enterReal(cpu: u32, selector: u32, offset: u64): void {
  if (v86(cpu)) loadV86(cpu, Cpu.CS, selector);
  else loadReal(cpu, Cpu.CS, selector);
  store<u64>(cpu, offset, Cpu.RIP);
}

/** Rights to go to a code segment directly, without changing privilege. Keeps the descriptor. */
function directCode(cpu: u32, selector: u32): bool {
  keepCode();
  const dpl = descriptorDpl(codeHigh);
  const current = cpl(cpu);
  const bad = isConforming(codeHigh) ? dpl > current : (selector & 3) > current || dpl != current;
  if (bad || badLongBits(cpu)) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!isPresent(codeHigh)) {
    raiseSelector(cpu, Vector.NP, selector);
    return false;
  }
  return true;
}

/** What a call gate says. */
let gateSelector: u32 = 0;
let gateOffset: u64 = 0;
let gateCount: u32 = 0;
/** Bytes of its pushes: 2, 4 or 8; 0: it was no call gate but a task. */
let gateSize: u32 = 0;

/** Check the system descriptor read last as a gate and read the code segment it names. False: a fault is pending. */
function readGate(cpu: u32, selector: u32, isCall: bool): bool {
  const low = descriptorLow;
  const high = descriptorHigh;
  const type = systemType(high);
  const dpl = descriptorDpl(high);
  const long = longMode(cpu);
  const callGate = type == SystemType.CALL32 || (type == SystemType.CALL16 && !long);
  const task = !long && (type == SystemType.TASK_GATE || type == SystemType.TSS16 || type == SystemType.TSS32);
  if ((!callGate && !task) || dpl < cpl(cpu) || dpl < (selector & 3)) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (long && !readUpper(cpu, selector, Vector.GP)) return false;
  if (!isPresent(high)) {
    raiseSelector(cpu, Vector.NP, selector);
    return false;
  }
  if (task) return switchTask(cpu, type == SystemType.TASK_GATE ? low >> 16 : selector);
  gateSelector = low >> 16;
  gateOffset = type == SystemType.CALL16 ? <u64>(low & 0xffff) : <u64>((low & 0xffff) | (high & 0xffff_0000));
  if (long) gateOffset |= descriptorUpper << 32;
  gateCount = long ? 0 : high & 31;
  gateSize = long ? 8 : type == SystemType.CALL16 ? 2 : 4;
  if (isNullSelector(gateSelector)) {
    raiseGp0(cpu);
    return false;
  }
  if (!readDescriptor(cpu, gateSelector, Vector.GP)) return false;
  keepCode();
  const codeDpl = descriptorDpl(codeHigh);
  let bad = !isCode(codeHigh) || codeDpl > cpl(cpu);
  // A jump cannot raise the privilege.
  if (!isCall && !isConforming(codeHigh)) bad = bad || codeDpl != cpl(cpu);
  if (long) bad = bad || (codeHigh & 0x60_0000) != 0x20_0000;
  if (bad) {
    raiseSelector(cpu, Vector.GP, gateSelector);
    return false;
  }
  if (!isPresent(codeHigh)) {
    raiseSelector(cpu, Vector.NP, gateSelector);
    return false;
  }
  return true;
}

/** JMP ptr16:16, ptr16:32, m16:16/32/64. */
export function far_jmp(cpu: u32, selector: u32, target: u64, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  const offset = target & maskOf(opsize);
  if (!protectedOrV86(cpu) || v86(cpu)) {
    if (offset > limitOf(cpu, Cpu.CS)) return selectorFault(cpu, Vector.GP, 0);
    enterReal(cpu, selector, offset);
    update_mode(cpu);
    return Status.JUMP;
  }
  if (isNullSelector(selector)) return selectorFault(cpu, Vector.GP, 0);
  if (!readDescriptor(cpu, selector, Vector.GP)) return Status.FAULT;
  if (isCode(descriptorHigh)) {
    if (!directCode(cpu, selector) || !checkOffset(cpu, offset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
    enterCode(cpu, selector, cpl(cpu), offset);
  } else {
    if (isCodeOrData(descriptorHigh)) return selectorFault(cpu, Vector.GP, selector);
    if (!readGate(cpu, selector, false) || !checkOffset(cpu, gateOffset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
    enterCode(cpu, gateSelector, cpl(cpu), gateOffset);
  }
  update_mode(cpu);
  return Status.JUMP;
}

/** CALL ptr16:16, ptr16:32, m16:16/32/64; the return address is Cpu.NEXT_RIP. */
export function far_call(cpu: u32, selector: u32, target: u64, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  const offset = target & maskOf(opsize);
  const cs = selectorOf(cpu, Cpu.CS);
  const next = load<u64>(cpu, Cpu.NEXT_RIP);
  if (!protectedOrV86(cpu) || v86(cpu)) {
    cursorCurrent(cpu);
    if (!cursorPush(cpu, cs, opsize) || !cursorPush(cpu, next, opsize)) return Status.FAULT;
    if (offset > limitOf(cpu, Cpu.CS)) return selectorFault(cpu, Vector.GP, 0);
    cursorCommit(cpu);
    enterReal(cpu, selector, offset);
    update_mode(cpu);
    return Status.JUMP;
  }
  if (isNullSelector(selector)) return selectorFault(cpu, Vector.GP, 0);
  if (!readDescriptor(cpu, selector, Vector.GP)) return Status.FAULT;
  if (isCode(descriptorHigh)) {
    if (!directCode(cpu, selector)) return Status.FAULT;
    cursorCurrent(cpu);
    if (!cursorPush(cpu, cs, opsize) || !cursorPush(cpu, next, opsize)) return Status.FAULT;
    if (!checkOffset(cpu, offset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
    cursorCommit(cpu);
    enterCode(cpu, selector, cpl(cpu), offset);
    update_mode(cpu);
    return Status.JUMP;
  }
  if (isCodeOrData(descriptorHigh)) return selectorFault(cpu, Vector.GP, selector);
  if (!readGate(cpu, selector, true)) return Status.FAULT;
  return callThroughGate(cpu, cs, next);
}

function callThroughGate(cpu: u32, cs: u32, next: u64): i32 {
  const current = cpl(cpu);
  const dpl = descriptorDpl(codeHigh);
  const inner = !isConforming(codeHigh) && dpl < current;
  const privilege = inner ? dpl : current;
  const size = gateSize;
  if (inner) {
    // Parameters go to SCRATCH first: the cursor is on one stack at a time.
    cursorCurrent(cpu);
    for (let i: u32 = 0; i < gateCount; i++) {
      const value = cursorPeek(cpu, i * size, size);
      if (faulted(cpu)) return Status.FAULT;
      store<u32>(cpu + (i << 2), <u32>value, Cpu.SCRATCH);
    }
    if (!cursorNewStack(cpu, privilege)) return Status.FAULT;
    if (!cursorPush(cpu, selectorOf(cpu, Cpu.SS), size) || !cursorPush(cpu, load<u64>(cpu, Cpu.RSP), size)) return Status.FAULT;
    for (let i = gateCount; i > 0; i--) {
      if (!cursorPush(cpu, load<u32>(cpu + ((i - 1) << 2), Cpu.SCRATCH), size)) return Status.FAULT;
    }
  } else {
    cursorCurrent(cpu);
  }
  if (!cursorPush(cpu, cs, size) || !cursorPush(cpu, next, size)) return Status.FAULT;
  if (!checkOffset(cpu, gateOffset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
  if (inner) commitNewStack(cpu);
  cursorCommit(cpu);
  enterCode(cpu, gateSelector, privilege, gateOffset);
  update_mode(cpu);
  return Status.JUMP;
}

/** The checks of a return's code segment; keeps the descriptor. */
function returnCode(cpu: u32, selector: u32): bool {
  if (isNullSelector(selector)) {
    raiseGp0(cpu);
    return false;
  }
  if (!readDescriptor(cpu, selector, Vector.GP)) return false;
  keepCode();
  const rpl = selector & 3;
  const dpl = descriptorDpl(codeHigh);
  let bad = !isCode(codeHigh) || rpl < cpl(cpu) || badLongBits(cpu);
  bad = bad || (isConforming(codeHigh) ? dpl > rpl : dpl != rpl);
  if (bad) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!isPresent(codeHigh)) {
    raiseSelector(cpu, Vector.NP, selector);
    return false;
  }
  return true;
}

let stackAttr: u32 = 0;
let stackBase: u64 = 0;
let stackLimit: u32 = 0;

/** The checks of the stack segment that a return to privilege pops. */
function returnStack(cpu: u32, selector: u32, privilege: u32): bool {
  if (isNullSelector(selector)) {
    // 64-bit code of privileges 0 to 2 can do without one.
    if (target64(cpu) && privilege != 3 && (selector & 3) == privilege) {
      stackAttr = SegAttr.NULL | (privilege << SegAttr.DPL_SHIFT);
      stackBase = 0;
      stackLimit = 0;
      return true;
    }
    raiseGp0(cpu);
    return false;
  }
  if (!readDescriptor(cpu, selector, Vector.GP)) return false;
  const high = descriptorHigh;
  if ((selector & 3) != privilege || !isWritableData(high) || descriptorDpl(high) != privilege) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!isPresent(high)) {
    raiseSelector(cpu, Vector.SS, selector);
    return false;
  }
  if (!markAccessed(cpu, descriptorAddress, high)) return false;
  stackAttr = attrFrom(high) | 1;
  stackBase = baseFrom(descriptorLow, high);
  stackLimit = limitFrom(descriptorLow, high);
  return true;
}

/** Load SS as checked by returnStack, and the stack pointer at the width of the code returned to. */
function commitReturnStack(cpu: u32, selector: u32, pointer: u64): void {
  setSegment(cpu, Cpu.SS, selector, stackAttr, stackBase, stackLimit);
  const mask: u64 = target64(cpu) ? 0xffff_ffff_ffff_ffff : stackAttr & SegAttr.DB ? 0xffff_ffff : 0xffff;
  setStackPointer(cpu, pointer, mask);
}

/** RET far, with the number of parameter bytes to drop. */
export function far_ret(cpu: u32, operandBits: u32, popBytes: u32): i32 {
  const opsize = operandBits >> 3;
  cursorCurrent(cpu);
  const offset = cursorPop(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  const selector = <u32>cursorPop(cpu, opsize) & 0xffff;
  if (faulted(cpu)) return Status.FAULT;
  cursorSkip(popBytes);
  if (!protectedOrV86(cpu) || v86(cpu)) {
    if (offset > limitOf(cpu, Cpu.CS)) return selectorFault(cpu, Vector.GP, 0);
    cursorCommit(cpu);
    enterReal(cpu, selector, offset);
    update_mode(cpu);
    return Status.JUMP;
  }
  if (!returnCode(cpu, selector)) return Status.FAULT;
  const privilege = selector & 3;
  if (privilege == cpl(cpu)) {
    if (!checkOffset(cpu, offset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
    cursorCommit(cpu);
    enterCode(cpu, selector, privilege, offset);
    update_mode(cpu);
    return Status.JUMP;
  }
  const pointer = cursorPop(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  const stack = <u32>cursorPop(cpu, opsize) & 0xffff;
  if (faulted(cpu)) return Status.FAULT;
  if (!returnStack(cpu, stack, privilege)) return Status.FAULT;
  if (!checkOffset(cpu, offset) || !markAccessed(cpu, codeAddress, codeHigh)) return Status.FAULT;
  // The parameters are dropped from the outer stack too.
  commitReturnStack(cpu, stack, pointer + popBytes);
  enterCode(cpu, selector, privilege, offset);
  dropInnerSegments(cpu);
  update_mode(cpu);
  return Status.JUMP;
}

/** RFLAGS bits that IRET and POPF may write at the current privilege; opsize in bytes. */
export function writableFlags(cpu: u32, opsize: u32): u32 {
  let bits: u32 = Rflags.ARITHMETIC | Rflags.TF | Rflags.DF | Rflags.NT;
  if (opsize != 2) bits |= Rflags.RF | Rflags.AC | Rflags.ID;
  if (cpl(cpu) <= iopl(cpu)) bits |= Rflags.IF;
  if (cpl(cpu) == 0) bits |= Rflags.IOPL;
  return bits;
}

/** IRET, IRETD, IRETQ. */
export function iret(cpu: u32, operandBits: u32): i32 {
  const opsize = operandBits >> 3;
  const virtual = v86(cpu);
  if (virtual && iopl(cpu) < 3) return selectorFault(cpu, Vector.GP, 0);
  const isProtected = protectedOrV86(cpu) && !virtual;
  const old = get_rflags(cpu);
  if (isProtected && old & Rflags.NT) {
    if (longMode(cpu)) return selectorFault(cpu, Vector.GP, 0);
    if (!returnTask(cpu)) return Status.FAULT;
    return Status.JUMP;
  }
  cursorCurrent(cpu);
  const offset = cursorPop(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  const selector = <u32>cursorPop(cpu, opsize) & 0xffff;
  if (faulted(cpu)) return Status.FAULT;
  const image = <u32>cursorPop(cpu, opsize);
  if (faulted(cpu)) return Status.FAULT;
  if (!isProtected) {
    if (offset > limitOf(cpu, Cpu.CS)) return selectorFault(cpu, Vector.GP, 0);
    let bits = writableFlags(cpu, opsize);
    // In virtual-8086 mode IOPL is 3 here: IF can be written, IOPL itself cannot. In real mode CPL is 0.
    if (virtual) bits |= Rflags.IF;
    cursorCommit(cpu);
    enterReal(cpu, selector, offset);
    set_rflags(cpu, (old & ~bits) | (image & bits));
  } else if (image & Rflags.VM && cpl(cpu) == 0 && opsize == 4 && !longMode(cpu)) {
    return returnToV86(cpu, offset, selector, image);
  } else {
    if (!returnProtected(cpu, opsize, offset, selector, image, old)) return Status.FAULT;
  }
  store<u32>(cpu, 0, Cpu.NMI_BLOCKED);
  update_mode(cpu);
  return Status.JUMP;
}

/** SDM volume 3, section 20.2.3: the frame holds ESP, SS, ES, DS, FS, GS after EFLAGS. */
function returnToV86(cpu: u32, offset: u64, selector: u32, image: u32): i32 {
  const pointer = cursorPop(cpu, 4);
  if (faulted(cpu)) return Status.FAULT;
  // SS, ES, DS, FS, GS: look at all before anything changes.
  for (let i: u32 = 0; i < 5; i++) {
    const value = cursorPop(cpu, 4);
    if (faulted(cpu)) return Status.FAULT;
    store<u32>(cpu + (i << 2), <u32>value & 0xffff, Cpu.SCRATCH);
  }
  if (offset > 0xffff) return selectorFault(cpu, Vector.GP, 0);
  store<u64>(cpu, pointer, Cpu.RSP);
  loadV86(cpu, Cpu.CS, selector);
  loadV86(cpu, Cpu.SS, load<u32>(cpu, Cpu.SCRATCH));
  loadV86(cpu, Cpu.ES, load<u32>(cpu, Cpu.SCRATCH + 4));
  loadV86(cpu, Cpu.DS, load<u32>(cpu, Cpu.SCRATCH + 8));
  loadV86(cpu, Cpu.FS, load<u32>(cpu, Cpu.SCRATCH + 12));
  loadV86(cpu, Cpu.GS, load<u32>(cpu, Cpu.SCRATCH + 16));
  store<u64>(cpu, offset, Cpu.RIP);
  set_rflags(cpu, image);
  store<u32>(cpu, 0, Cpu.NMI_BLOCKED);
  update_mode(cpu);
  return Status.JUMP;
}

function returnProtected(cpu: u32, opsize: u32, offset: u64, selector: u32, image: u32, old: u32): bool {
  if (!returnCode(cpu, selector)) return false;
  const privilege = selector & 3;
  const current = cpl(cpu);
  const withStack = privilege != current || code64(cpu);
  let pointer: u64 = 0;
  let stack: u32 = 0;
  if (withStack) {
    pointer = cursorPop(cpu, opsize);
    if (faulted(cpu)) return false;
    stack = <u32>cursorPop(cpu, opsize) & 0xffff;
    if (faulted(cpu) || !returnStack(cpu, stack, privilege)) return false;
  }
  if (!checkOffset(cpu, offset) || !markAccessed(cpu, codeAddress, codeHigh)) return false;
  const bits = writableFlags(cpu, opsize);
  if (withStack) commitReturnStack(cpu, stack, pointer);
  else cursorCommit(cpu);
  enterCode(cpu, selector, privilege, offset);
  set_rflags(cpu, (old & ~bits) | (image & bits));
  if (privilege != current) dropInnerSegments(cpu);
  return true;
}
