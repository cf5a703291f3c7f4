// Stacks of inner privileges, as the TSS names them: SDM volume 3, sections 7.2 (32-bit and 16-bit TSS) and 7.7 (64-bit TSS).

import { Cpu, SegAttr, Vector } from '../layout';
import { sysRead } from './memory';
import { attrFrom, baseFrom, descriptorAddress, descriptorHigh, descriptorLow, limitFrom, markAccessed, readStackDescriptor } from './segments';
import { attrOf, baseOf, faulted, limitOf, longMode, raiseSelector, selectorOf, setSegment } from './state';
import { cursorFlat64, cursorSegment } from './stack';

let newSelector: u32 = 0;
let newAttr: u32 = 0;
let newBase: u64 = 0;
let newLimit: u32 = 0;

/** Read a field of the TSS; beyond its limit it is #TS(TR). */
function tssField(cpu: u32, offset: u32, size: u32): u64 {
  if (offset + size - 1 > limitOf(cpu, Cpu.TR) || attrOf(cpu, Cpu.TR) & SegAttr.NULL) {
    raiseSelector(cpu, Vector.TS, selectorOf(cpu, Cpu.TR));
    return 0;
  }
  return sysRead(cpu, baseOf(cpu, Cpu.TR) + offset, size);
}

/** Long mode: RSP of a privilege level, or of an interrupt stack (1-7; 0 for none). Check faulted(). */
export function stackFromTss64(cpu: u32, privilege: u32, ist: u32): u64 {
  return ist ? tssField(cpu, 0x24 + (ist - 1) * 8, 8) : tssField(cpu, 4 + privilege * 8, 8);
}

/**
 * Put the stack cursor on the stack that the TSS gives for a privilege and remember it for commitNewStack.
 * False: #TS, #SS or #PF is pending.
 */
export function cursorNewStack(cpu: u32, privilege: u32): bool {
  if (longMode(cpu)) {
    const pointer = stackFromTss64(cpu, privilege, 0);
    if (faulted(cpu)) return false;
    newSelector = privilege;
    newAttr = SegAttr.NULL | (privilege << SegAttr.DPL_SHIFT);
    newBase = 0;
    newLimit = 0;
    cursorFlat64(pointer, privilege);
    return true;
  }
  let pointer: u64;
  let selector: u32;
  // Bit 3 of the type tells a 32-bit TSS from a 16-bit one.
  if (attrOf(cpu, Cpu.TR) & 8) {
    pointer = tssField(cpu, 4 + privilege * 8, 4);
    if (faulted(cpu)) return false;
    selector = <u32>tssField(cpu, 8 + privilege * 8, 2);
  } else {
    pointer = tssField(cpu, 2 + privilege * 4, 2);
    if (faulted(cpu)) return false;
    selector = <u32>tssField(cpu, 4 + privilege * 4, 2);
  }
  if (faulted(cpu)) return false;
  if (!readStackDescriptor(cpu, selector, privilege, Vector.TS)) return false;
  if (!markAccessed(cpu, descriptorAddress, descriptorHigh)) return false;
  newSelector = selector;
  newAttr = attrFrom(descriptorHigh) | 1;
  newBase = baseFrom(descriptorLow, descriptorHigh);
  newLimit = limitFrom(descriptorLow, descriptorHigh);
  cursorSegment(pointer, newBase, newLimit, newAttr, privilege, selector);
  return true;
}

/** Load SS with the stack of cursorNewStack. The stack pointer is the cursor's to commit. */
export function commitNewStack(cpu: u32): void {
  setSegment(cpu, Cpu.SS, newSelector, newAttr, newBase, newLimit);
}
