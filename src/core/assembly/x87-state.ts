// The x87's register stack, status word and exceptions, as every x87 instruction uses them.
// Intel SDM, volume 1, chapter 8: 8.1.2-8.1.5 (registers, status, control and tag word), 8.5 and 8.6 (exceptions).
//
// An instruction starts with begin(), works on softfloat's X, Y and R, and ends with one of the functions that put Env.flags
// into FSW. An exception that is not masked only sets FSW.ES here: #MF comes at the next waiting instruction, from x87_check.

import { Cpu, Status, Vector } from '../layout';
import { Env, Flag, R, resultIndefinite, round } from './softfloat';
import { read_slow } from './memory';
import { Cr0, baseOf, code64, cr0, raise } from './state';
import { significand80, signExponent80, unpack80 } from './softfloat-format';

export const enum Fsw {
  /** Stack fault. */
  SF = 0x40,
  /** Error summary. */
  ES = 0x80,
  C0 = 0x100,
  C1 = 0x200,
  C2 = 0x400,
  C3 = 0x4000,
  CONDITION = 0x4700,
  TOP_SHIFT = 11,
  TOP = 0x3800,
  B = 0x8000,
}

function raiseFault(cpu: u32, vector: u32): i32 {
  raise(cpu, vector);
  return Status.FAULT;
}

/**
 * What every x87 and MMX instruction asks before anything else: #NM by CR0.EM or CR0.TS; if it is a waiting instruction, #MF for
 * an unmasked exception of an earlier one. With CR0.NE clear FERR# is asserted instead (Cpu.FERR, and EXIT_REQUEST so that
 * the engine sees it), and the instruction goes on, as on a PC whose IGNNE# is asserted by the IRQ 13 handler.
 */
export function x87_check(cpu: u32, waiting: i32): i32 {
  if (cr0(cpu) & (Cr0.EM | Cr0.TS)) return raiseFault(cpu, Vector.NM);
  return waiting ? pendingException(cpu) : Status.NEXT;
}

/** FWAIT: #NM only by CR0.TS with CR0.MP. */
export function x87_fwait(cpu: u32): i32 {
  if ((cr0(cpu) & (Cr0.MP | Cr0.TS)) == (Cr0.MP | Cr0.TS)) return raiseFault(cpu, Vector.NM);
  return pendingException(cpu);
}

function pendingException(cpu: u32): i32 {
  if (!(load<u32>(cpu, Cpu.FSW) & Fsw.ES)) return Status.NEXT;
  if (cr0(cpu) & Cr0.NE) return raiseFault(cpu, Vector.MF);
  if (!load<u32>(cpu, Cpu.FERR)) {
    store<u32>(cpu, 1, Cpu.FERR);
    atomic.store<u32>(cpu, 1, Cpu.EXIT_REQUEST);
  }
  return Status.NEXT;
}

/** What every MMX instruction asks: #UD by CR0.EM, #NM by CR0.TS, #MF for an unmasked x87 exception that waits. */
export function mmx_check(cpu: u32): i32 {
  if (cr0(cpu) & Cr0.EM) return raiseFault(cpu, Vector.UD);
  if (cr0(cpu) & Cr0.TS) return raiseFault(cpu, Vector.NM);
  return pendingException(cpu);
}

// --- the stack ---

@inline
export function physical(cpu: u32, i: u32): u32 {
  return ((load<u32>(cpu, Cpu.FSW) >> Fsw.TOP_SHIFT) + i) & 7;
}

/** Address of ST(i): significand at +0, sign and exponent at +8. */
@inline
export function st(cpu: u32, i: u32): u32 {
  return cpu + Cpu.FPR + (physical(cpu, i) << 4);
}

@inline
export function isEmpty(cpu: u32, i: u32): bool {
  return ((load<u32>(cpu, Cpu.FTW) >> physical(cpu, i)) & 1) == 0;
}

export function setTop(cpu: u32, top: u32): void {
  store<u32>(cpu, (load<u32>(cpu, Cpu.FSW) & ~Fsw.TOP) | ((top & 7) << Fsw.TOP_SHIFT), Cpu.FSW);
}

export function setEmpty(cpu: u32, i: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.FTW) & ~((1 as u32) << physical(cpu, i)), Cpu.FTW);
}

export function setValid(cpu: u32, i: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.FTW) | ((1 as u32) << physical(cpu, i)), Cpu.FTW);
}

export function pop(cpu: u32): void {
  setEmpty(cpu, 0);
  setTop(cpu, physical(cpu, 1));
}

/** X = ST(i). */
@inline
export function loadX(cpu: u32, i: u32): void {
  const address = st(cpu, i);
  unpack80(load<u64>(address), load<u16>(address, 8));
}

export function writeRegister(cpu: u32, i: u32, significand: u64, signExponent: u32): void {
  const address = st(cpu, i);
  store<u64>(address, significand);
  store<u16>(address, u16(signExponent), 8);
  setValid(cpu, i);
}

/** ST(i) = R, which is rounded already. */
@inline
export function writeR(cpu: u32, i: u32): void {
  writeRegister(cpu, i, significand80(), signExponent80());
}

// --- exceptions ---

export function clearC1(cpu: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.FSW) & ~Fsw.C1, Cpu.FSW);
}

/** Starts an instruction: C1 clear, no flags, rounding and masks from FCW. */
export function begin(cpu: u32): void {
  clearC1(cpu);
  beginKeepingC1(cpu);
}

/** The same for the instructions that leave C1 alone unless the stack faults. */
export function beginKeepingC1(cpu: u32): void {
  beginNumber(cpu);
  notePointers(cpu);
}

/** Only the arithmetic's own part, for compiled code, which does the others itself. */
export function beginNumber(cpu: u32): void {
  const fcw = load<u32>(cpu, Cpu.FCW);
  Env.flags = 0;
  Env.rounding = (fcw >> 10) & 3;
  Env.masks = fcw & Flag.ALL;
  Env.wrap = true;
  Env.sse = false;
  Env.flushToZero = false;
  Env.roundedUp = false;
}

@inline
export function notePointers(cpu: u32): void {
  store<u64>(cpu, load<u64>(cpu, Cpu.RIP), Cpu.FIP);
  store<u32>(cpu, load<u32>(cpu, Cpu.CS), Cpu.FCS);
}

/** Env.flags as they change FSW: ES and B if any is not masked. */
@inline
export function flagsIntoFsw(fsw: u32): u32 {
  fsw |= Env.flags;
  return Env.flags & Flag.ALL & ~Env.masks ? fsw | Fsw.ES | Fsw.B : fsw;
}

/** Puts Env.flags into FSW, and C1 if the result was rounded up. */
export function settle(cpu: u32): void {
  const fsw = load<u32>(cpu, Cpu.FSW);
  commitFsw(cpu, flagsIntoFsw(fsw) | (Env.roundedUp ? Fsw.C1 : 0));
}

/** FSW as an instruction leaves it; with a new unmasked exception FOP is recorded. */
export function commitFsw(cpu: u32, fsw: u32): void {
  const newly = fsw & ~load<u32>(cpu, Cpu.FSW) & Fsw.ES;
  store<u32>(cpu, fsw, Cpu.FSW);
  if (newly) noteOpcode(cpu);
}

/** FOP: the escape opcode's low three bits and ModRM, read again from the instruction, since this is rare. */
function noteOpcode(cpu: u32): void {
  let linear = load<u64>(cpu, Cpu.RIP) + (code64(cpu) ? 0 : baseOf(cpu, Cpu.CS));
  for (let n = 0; n < 14; n++, linear++) {
    const byte = u32(read_slow(cpu, linear & load<u64>(cpu, Cpu.ADDRESS_MASK), 1));
    if ((byte & 0xf8) == 0xd8) {
      store<u32>(cpu, ((byte & 7) << 8) | u32(read_slow(cpu, (linear + 1) & load<u64>(cpu, Cpu.ADDRESS_MASK), 1)), Cpu.FOP);
      break;
    }
  }
  // The bytes were executed just now; should they have become unreadable, the exception is not the guest's.
  store<u32>(cpu, 0, Cpu.FAULT);
}

/** True if an exception that forbids the operation is not masked. */
@inline
export function stopped(): bool {
  return (Env.flags & Flag.BEFORE & ~Env.masks) != 0;
}

@inline
export function isMasked(flag: u32): bool {
  return (Env.masks & flag) != 0;
}

/** Stack underflow: flags; R = real indefinite. */
export function stackUnderflow(): void {
  Env.flags |= Flag.IE | Fsw.SF;
  resultIndefinite();
}

/** Significant bits that FCW.PC asks for. */
@inline
export function precision(cpu: u32): i32 {
  switch ((load<u32>(cpu, Cpu.FCW) >> 8) & 3) {
    case 0:
      return 24;
    case 2:
      return 53;
    default:
      return 64;
  }
}

/** Ends an instruction whose result R goes to ST(i): rounds, writes, settles. False if an exception forbade it. */
export function deliver(cpu: u32, i: u32, bits: i32): bool {
  if (stopped()) {
    settle(cpu);
    return false;
  }
  round(bits, -16382, 16383);
  writeR(cpu, i);
  settle(cpu);
  return true;
}

/** Whether a push finds room; if not, notes the stack fault (C1 set). */
export function roomToPush(cpu: u32): bool {
  if (isEmpty(cpu, 7)) return true;
  Env.flags |= Flag.IE | Fsw.SF;
  Env.roundedUp = true;
  return false;
}

/** Pushes R, which is rounded already. */
export function pushR(cpu: u32): void {
  setTop(cpu, physical(cpu, 7));
  writeR(cpu, 0);
}

/** Makes ES and B agree with FSW's flags and FCW's masks, after either was loaded. */
export function updateSummary(cpu: u32): void {
  const fsw = load<u32>(cpu, Cpu.FSW) & ~(Fsw.ES | Fsw.B);
  const unmasked = fsw & ~load<u32>(cpu, Cpu.FCW) & Flag.ALL;
  store<u32>(cpu, unmasked ? fsw | Fsw.ES | Fsw.B : fsw, Cpu.FSW);
}
