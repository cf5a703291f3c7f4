// Delivery of exceptions and interrupts: through the interrupt vector table in real mode, through the gates of the IDT else.
// Intel SDM volume 3, chapter 6; volume 2, INT n "Operation"; virtual-8086 mode: section 20.3; 64-bit mode: 6.14.

import { Cpu, Exit, Rflags, Seg, SegAttr, Status, Vector } from '../layout';
import { get_rflags, set_rflags } from './flags';
import { hostTraceSoftwareInterrupt } from './host';
import { sysRead } from './memory';
import { update_mode } from './mode';
import {
  descriptorAddress, descriptorDpl, descriptorHigh, descriptorLow, isCode, isConforming, isNullSelector, isPresent,
  limitFrom, loadCache, loadNull, loadReal, markAccessed, readDescriptor,
} from './segments';
import {
  SystemType, canonical, cpl, faulted, iopl, longMode, protectedOrV86, raiseGate, raiseGp0, raiseSelector,
  selectorOf, setExt, v86,
} from './state';
import { cursorCommit, cursorCurrent, cursorFlat64, cursorPush } from './stack';
import { switchTask } from './tasks';
import { commitNewStack, cursorNewStack, stackFromTss64 } from './tss';

/** Where an event comes from; decides the DPL check of the gate, EXT in error codes, and RF in the frame. */
const enum Source {
  /** Exception that the CPU found: a fault, except for #DB. */
  EXCEPTION = 0,
  /** Interrupt line, NMI. */
  EXTERNAL = 1,
  /** INT n, INT3, INTO. */
  SOFTWARE = 2,
  /** INT1: software that no gate's DPL stops. */
  PRIVILEGED_SOFTWARE = 3,
}

/** Real mode: SDM volume 3, section 20.1.4. */
function deliverReal(cpu: u32, vector: u32, rip: u64): bool {
  if ((vector << 2) + 3 > load<u32>(cpu, Cpu.IDTR_LIMIT)) {
    raiseSelector(cpu, Vector.GP, (vector << 3) | 2);
    return false;
  }
  const target = <u32>sysRead(cpu, load<u64>(cpu, Cpu.IDTR_BASE) + (vector << 2), 4);
  if (faulted(cpu)) return false;
  const flags = get_rflags(cpu);
  cursorCurrent(cpu);
  if (!cursorPush(cpu, flags, 2) || !cursorPush(cpu, selectorOf(cpu, Cpu.CS), 2) || !cursorPush(cpu, rip, 2)) return false;
  cursorCommit(cpu);
  loadReal(cpu, Cpu.CS, target >> 16);
  store<u64>(cpu, target & 0xffff, Cpu.RIP);
  set_rflags(cpu, flags & ~(Rflags.IF | Rflags.TF | Rflags.AC));
  update_mode(cpu);
  return true;
}

/** Find the code segment of a gate; sets the descriptor globals. False: a fault is pending. */
function gateCode(cpu: u32, selector: u32): bool {
  if (isNullSelector(selector)) {
    raiseSelector(cpu, Vector.GP, 0);
    return false;
  }
  if (!readDescriptor(cpu, selector, Vector.GP)) return false;
  if (!isCode(descriptorHigh) || descriptorDpl(descriptorHigh) > cpl(cpu)) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!isPresent(descriptorHigh)) {
    raiseSelector(cpu, Vector.NP, selector);
    return false;
  }
  return true;
}

/** What every gate of protected mode does in the end. */
function enterHandler(cpu: u32, selector: u32, low: u32, high: u32, privilege: u32, offset: u64, flags: u32, interruptGate: bool): void {
  loadCache(cpu, Cpu.CS, (selector & 0xfffc) | privilege, low, high);
  store<u32>(cpu, privilege, Cpu.CPL);
  store<u64>(cpu, offset, Cpu.RIP);
  let cleared: u32 = Rflags.TF | Rflags.NT | Rflags.VM | Rflags.RF;
  if (interruptGate) cleared |= Rflags.IF;
  set_rflags(cpu, flags & ~cleared);
  update_mode(cpu);
}

/** Long mode. */
function deliverLong(cpu: u32, vector: u32, source: u32, hasError: bool, error: u32, rip: u64): bool {
  if ((vector << 4) + 15 > load<u32>(cpu, Cpu.IDTR_LIMIT)) {
    raiseGate(cpu, Vector.GP, vector);
    return false;
  }
  const gate = load<u64>(cpu, Cpu.IDTR_BASE) + (vector << 4);
  const word0 = sysRead(cpu, gate, 8);
  if (faulted(cpu)) return false;
  const word1 = sysRead(cpu, gate + 8, 8);
  if (faulted(cpu)) return false;
  const gateHigh = <u32>(word0 >> 32);
  const type = (gateHigh >> 8) & 0x1f;
  if ((type != SystemType.INTERRUPT32 && type != SystemType.TRAP32) || (source == Source.SOFTWARE && descriptorDpl(gateHigh) < cpl(cpu))) {
    raiseGate(cpu, Vector.GP, vector);
    return false;
  }
  if (!isPresent(gateHigh)) {
    raiseGate(cpu, Vector.NP, vector);
    return false;
  }
  const selector = <u32>(word0 >> 16) & 0xffff;
  const offset = (word0 & 0xffff) | ((word0 >> 32) & 0xffff_0000) | (word1 << 32);
  if (!gateCode(cpu, selector)) return false;
  const low = descriptorLow;
  const high = descriptorHigh;
  if ((high & 0x60_0000) != 0x20_0000) {
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!markAccessed(cpu, descriptorAddress, high)) return false;
  const old = cpl(cpu);
  const privilege = isConforming(high) ? old : descriptorDpl(high);
  const ist = gateHigh & 7;
  let pointer: u64;
  if (ist || privilege < old) {
    pointer = stackFromTss64(cpu, privilege, ist);
    if (faulted(cpu)) return false;
  } else {
    pointer = load<u64>(cpu, Cpu.RSP);
  }
  if (!canonical(offset)) {
    raiseSelector(cpu, Vector.GP, 0);
    return false;
  }
  const flags = get_rflags(cpu);
  const image = source == Source.EXCEPTION && vector != Vector.DB ? flags | Rflags.RF : flags;
  cursorFlat64(pointer & ~15, privilege);
  if (
    !cursorPush(cpu, selectorOf(cpu, Cpu.SS), 8) || !cursorPush(cpu, load<u64>(cpu, Cpu.RSP), 8) || !cursorPush(cpu, image, 8) ||
    !cursorPush(cpu, selectorOf(cpu, Cpu.CS), 8) || !cursorPush(cpu, rip, 8) || (hasError && !cursorPush(cpu, error, 8))
  ) return false;
  cursorCommit(cpu);
  if (privilege < old) {
    loadNull(cpu, Cpu.SS, privilege);
    store<u32>(cpu, SegAttr.NULL | (privilege << SegAttr.DPL_SHIFT), Cpu.SS + Seg.ATTR);
  }
  enterHandler(cpu, selector, low, high, privilege, offset, flags, type == SystemType.INTERRUPT32);
  return true;
}

/** Protected and virtual-8086 mode without long mode. */
function deliverProtected(cpu: u32, vector: u32, source: u32, hasError: bool, error: u32, rip: u64): bool {
  if ((vector << 3) + 7 > load<u32>(cpu, Cpu.IDTR_LIMIT)) {
    raiseGate(cpu, Vector.GP, vector);
    return false;
  }
  const gate = sysRead(cpu, load<u64>(cpu, Cpu.IDTR_BASE) + (vector << 3), 8);
  if (faulted(cpu)) return false;
  const gateHigh = <u32>(gate >> 32);
  const type = (gateHigh >> 8) & 0x1f;
  const known = type == SystemType.TASK_GATE || type == SystemType.INTERRUPT16 || type == SystemType.TRAP16 || type == SystemType.INTERRUPT32 || type == SystemType.TRAP32;
  if (!known || (source == Source.SOFTWARE && descriptorDpl(gateHigh) < cpl(cpu))) {
    raiseGate(cpu, Vector.GP, vector);
    return false;
  }
  if (!isPresent(gateHigh)) {
    raiseGate(cpu, Vector.NP, vector);
    return false;
  }
  const selector = <u32>(gate >> 16) & 0xffff;
  if (type == SystemType.TASK_GATE) return switchTask(cpu, selector);
  const size: u32 = type >= <u32>SystemType.INTERRUPT32 ? 4 : 2;
  const offset = size == 4 ? (<u32>gate & 0xffff) | (gateHigh & 0xffff_0000) : <u32>gate & 0xffff;
  if (!gateCode(cpu, selector)) return false;
  const low = descriptorLow;
  const high = descriptorHigh;
  const address = descriptorAddress;
  const old = cpl(cpu);
  const virtual = v86(cpu);
  const privilege = isConforming(high) ? old : descriptorDpl(high);
  if (virtual && privilege != 0) {
    // From virtual-8086 mode only a non-conforming handler of privilege 0 can be entered.
    raiseSelector(cpu, Vector.GP, selector);
    return false;
  }
  if (!markAccessed(cpu, address, high)) return false;
  const flags = get_rflags(cpu);
  const image = source == Source.EXCEPTION && vector != Vector.DB ? flags | Rflags.RF : flags;
  if (privilege < old) {
    if (!cursorNewStack(cpu, privilege)) return false;
    if (virtual) {
      if (
        !cursorPush(cpu, selectorOf(cpu, Cpu.GS), size) || !cursorPush(cpu, selectorOf(cpu, Cpu.FS), size) ||
        !cursorPush(cpu, selectorOf(cpu, Cpu.DS), size) || !cursorPush(cpu, selectorOf(cpu, Cpu.ES), size)
      ) return false;
    }
    if (!cursorPush(cpu, selectorOf(cpu, Cpu.SS), size) || !cursorPush(cpu, load<u64>(cpu, Cpu.RSP), size)) return false;
  } else {
    cursorCurrent(cpu);
  }
  if (
    !cursorPush(cpu, image, size) || !cursorPush(cpu, selectorOf(cpu, Cpu.CS), size) || !cursorPush(cpu, rip, size) ||
    (hasError && !cursorPush(cpu, error, size))
  ) return false;
  if (offset > limitFrom(low, high)) {
    raiseSelector(cpu, Vector.GP, 0);
    return false;
  }
  if (privilege < old) commitNewStack(cpu);
  cursorCommit(cpu);
  if (virtual) {
    loadNull(cpu, Cpu.ES, 0);
    loadNull(cpu, Cpu.DS, 0);
    loadNull(cpu, Cpu.FS, 0);
    loadNull(cpu, Cpu.GS, 0);
  }
  enterHandler(cpu, selector, low, high, privilege, offset, flags, (type & 7) == 6);
  return true;
}

/** Deliver one event; false: another exception is pending in Cpu.FAULT and nothing has changed. */
function deliver(cpu: u32, vector: u32, source: u32, hasError: bool, error: u32, rip: u64): bool {
  if (!protectedOrV86(cpu)) return deliverReal(cpu, vector, rip);
  setExt(source == Source.SOFTWARE ? 0 : 1);
  const done = longMode(cpu) ? deliverLong(cpu, vector, source, hasError, error, rip) : deliverProtected(cpu, vector, source, hasError, error, rip);
  setExt(0);
  return done;
}

const DR7_GD: u32 = 1 << 13;

/** Contributory exceptions, SDM volume 3, table 6-4. */
function contributory(vector: u32): bool {
  return vector == Vector.DE || (vector >= <u32>Vector.TS && vector <= <u32>Vector.GP);
}

/**
 * Deliver the exception in Cpu.FAULT at Cpu.RIP. 0: Cpu.RIP is at its handler. 1: triple fault, the CPU is in shutdown
 * (Cpu.EXIT_REASON says so, and all state is as the last of the faults found it).
 */
export function deliver_fault(cpu: u32): i32 {
  let vector = load<u32>(cpu, Cpu.FAULT) - 1;
  let error = load<u32>(cpu, Cpu.FAULT_ERROR);
  let hasError = load<u32>(cpu, Cpu.FAULT_HAS_ERROR) != 0;
  const rip = load<u64>(cpu, Cpu.RIP);
  store<u32>(cpu, 1, Cpu.DELIVERING);
  while (true) {
    store<u32>(cpu, 0, Cpu.FAULT);
    store<u32>(cpu, load<u32>(cpu, Cpu.STAT_EXCEPTIONS) + 1, Cpu.STAT_EXCEPTIONS);
    if (deliver(cpu, vector, Source.EXCEPTION, hasError, error, rip)) {
      // The handler of #DB can use the debug registers (SDM volume 3, section 17.2.4).
      if (vector == Vector.DB) store<u32>(cpu, load<u32>(cpu, Cpu.DR + 7 * 8) & ~DR7_GD, Cpu.DR + 7 * 8);
      store<u32>(cpu, 0, Cpu.DELIVERING);
      store<u32>(cpu, 0, Cpu.INTERRUPT_SHADOW);
      return 0;
    }
    const second = load<u32>(cpu, Cpu.FAULT) - 1;
    if (vector == Vector.DF) {
      store<u32>(cpu, 0, Cpu.FAULT);
      store<u32>(cpu, 0, Cpu.DELIVERING);
      store<u32>(cpu, Exit.SHUTDOWN, Cpu.EXIT_REASON);
      return 1;
    }
    if ((contributory(vector) && contributory(second)) || (vector == Vector.PF && (contributory(second) || second == Vector.PF))) {
      vector = Vector.DF;
      error = 0;
      hasError = true;
    } else {
      vector = second;
      error = load<u32>(cpu, Cpu.FAULT_ERROR);
      hasError = load<u32>(cpu, Cpu.FAULT_HAS_ERROR) != 0;
    }
  }
}

function deliverExternal(cpu: u32, vector: u32): i32 {
  store<u32>(cpu, 0, Cpu.HALTED);
  store<u32>(cpu, 0, Cpu.INTERRUPT_SHADOW);
  store<u32>(cpu, load<u32>(cpu, Cpu.STAT_INTERRUPTS) + 1, Cpu.STAT_INTERRUPTS);
  if (deliver(cpu, vector, Source.EXTERNAL, false, 0, load<u64>(cpu, Cpu.RIP))) return 0;
  return deliver_fault(cpu);
}

/** Deliver an external interrupt between two instructions (Cpu.RIP is the next one). Results as deliver_fault's. */
export function deliver_interrupt(cpu: u32, vector: u32): i32 {
  return deliverExternal(cpu, vector);
}

/** Deliver a non-maskable interrupt; further ones are blocked until IRET. */
export function deliver_nmi(cpu: u32): i32 {
  store<u32>(cpu, 0, Cpu.NMI_PENDING);
  store<u32>(cpu, 1, Cpu.NMI_BLOCKED);
  return deliverExternal(cpu, Vector.NMI);
}

/** INT n, INT3 (n = 3) and INTO (n = 4), the latter two with isInt3OrIntO set: IOPL does not bind them. */
export function int_n(cpu: u32, vector: u32, isInt3OrIntO: i32): i32 {
  if (!isInt3OrIntO && v86(cpu) && iopl(cpu) < 3) {
    raiseGp0(cpu);
    return Status.FAULT;
  }
  if (load<u32>(cpu, Cpu.TRACE)) hostTraceSoftwareInterrupt(cpu, vector);
  return deliver(cpu, vector, Source.SOFTWARE, false, 0, load<u64>(cpu, Cpu.NEXT_RIP)) ? Status.JUMP : Status.FAULT;
}

/** INT1 (ICEBP): #DB as a trap. */
export function int1(cpu: u32): i32 {
  return deliver(cpu, Vector.DB, Source.PRIVILEGED_SOFTWARE, false, 0, load<u64>(cpu, Cpu.NEXT_RIP)) ? Status.JUMP : Status.FAULT;
}

