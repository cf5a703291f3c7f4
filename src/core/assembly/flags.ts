// RFLAGS from the lazy form that the interpreter keeps (FlagKind in layout.ts), and back.
// Intel SDM volume 1, section 3.4.3.

import { Cpu, FlagKind, Rflags } from '../layout';

function arithmetic(kind: u32, a: u64, x: u64): u32 {
  const shift = <u64>(64 - (kind >> 8));
  let result: u64;
  let bits: u32;
  switch (kind & 3) {
    case FlagKind.SUB:
      result = a - x;
      bits = (a < x ? Rflags.CF : 0) | (<i64>((a ^ x) & (a ^ result)) < 0 ? Rflags.OF : 0) | (<u32>((a ^ x ^ result) >> shift) & Rflags.AF);
      break;
    case FlagKind.ADD: {
      const added = x - a;
      result = x;
      bits = (x < a ? Rflags.CF : 0) | (<i64>((a ^ x) & (added ^ x)) < 0 ? Rflags.OF : 0) | (<u32>((a ^ x ^ added) >> shift) & Rflags.AF);
      break;
    }
    case FlagKind.RESULT:
      result = x;
      bits = <u32>a;
      break;
    default:
      return kept(kind, <u32>x);
  }
  if (result == 0) bits |= Rflags.ZF;
  if (<i64>result < 0) bits |= Rflags.SF;
  if (!(popcnt<u32>(<u32>(result >> shift) & 0xff) & 1)) bits |= Rflags.PF;
  return kept(kind, bits);
}

/** The flags that stand in the kind itself: bit 3 is CF, bit 7 OF; bit 4 inverts AF, which is bit 4 too. */
// @ts-ignore: decorator
@inline function kept(kind: u32, flags: u32): u32 {
  let bits = flags ^ (kind & FlagKind.AF_INVERTED);
  if (kind & FlagKind.CARRY_KEPT) bits = (bits & ~Rflags.CF) | ((kind >> 3) & 1);
  if (kind & FlagKind.OVERFLOW_KEPT) bits = (bits & ~Rflags.OF) | ((kind & FlagKind.OVERFLOW_VALUE) << 4);
  return bits;
}

/** All of RFLAGS. */
export function get_rflags(cpu: u32): u32 {
  return load<u32>(cpu, Cpu.RFLAGS) | (arithmetic(load<u32>(cpu, Cpu.FLAG_KIND), load<u64>(cpu, Cpu.FLAG_A), load<u64>(cpu, Cpu.FLAG_X)) & Rflags.ARITHMETIC);
}

/** Set the six arithmetic flags. */
export function setArithmetic(cpu: u32, bits: u32): void {
  store<u32>(cpu, FlagKind.EXPLICIT, Cpu.FLAG_KIND);
  store<u64>(cpu, bits & Rflags.ARITHMETIC, Cpu.FLAG_X);
}

/**
 * Set all of RFLAGS; the caller has applied privilege rules, and calls update_mode after changing VM or AC.
 * When interrupts become possible and one waits, the interpreter is asked to look.
 */
export function set_rflags(cpu: u32, value: u32): void {
  const old = load<u32>(cpu, Cpu.RFLAGS);
  // RF only holds back instruction breakpoints: without any it is not kept.
  const resume: u32 = load<u32>(cpu, Cpu.DEBUG_ARMED) ? Rflags.RF : 0;
  const kept: u32 = resume | Rflags.TF | Rflags.IF | Rflags.DF | Rflags.IOPL | Rflags.NT | Rflags.VM | Rflags.AC | Rflags.ID;
  store<u32>(cpu, (value & kept) | Rflags.FIXED, Cpu.RFLAGS);
  setArithmetic(cpu, value);
  // Single steps are the engine's business.
  if (value & Rflags.TF) atomic.store<u32>(cpu, 1, Cpu.EXIT_REQUEST);
  if (value & ~old & Rflags.IF && atomic.load<u32>(cpu, Cpu.INTERRUPT_PENDING)) atomic.store<u32>(cpu, 1, Cpu.EXIT_REQUEST);
}

/** Set ZF alone. */
export function setZero(cpu: u32, zero: bool): void {
  const bits = get_rflags(cpu) & Rflags.ARITHMETIC & ~Rflags.ZF;
  setArithmetic(cpu, zero ? bits | Rflags.ZF : bits);
}
