// x87 loads and stores, integer and packed-decimal ones included.
// Intel SDM, volume 1, 8.3.3 (data transfer instructions), 4.7 (packed BCD), 8.5.1 (invalid operation: what a store writes then).
//
// Stores come in two steps, so that a fault of the memory write leaves no trace: x87_store leaves the bits in Cpu.TMP128
// and says whether to write them; after the write x87_stored commits the flags and pops.

import { Cpu, Status, X87Store } from '../layout';
import { Env, Flag, Kind, R, X, invalid, integerOfR, propagateX, noteDenormalX, resultX, roundToInteger, setNormalised } from './softfloat';
import { pack32, pack64, unpack32, unpack64, unpack80, unpackInteger } from './softfloat-format';
import {
  Fsw, begin, beginNumber, clearC1, commitFsw, flagsIntoFsw, isEmpty, isMasked, loadX, notePointers, physical, pop, pushR, roomToPush, setTop, settle, st, stackUnderflow, stopped,
  writeRegister,
} from './x87-state';

/** Pushes X, as a load from a format other than the 80-bit one does. */
function pushX(cpu: u32): i32 {
  if (!roomToPush(cpu)) {
    invalid();
  } else if (!propagateX()) {
    noteDenormalX();
    resultX();
  }
  // A denormal operand is loaded even if that exception is not masked.
  if (!(Env.flags & ~Env.masks & Flag.IE)) pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}

/** FLD m32. */
export function x87_fld_m32(cpu: u32, bits: u64): i32 {
  begin(cpu);
  unpack32(u32(bits));
  return pushX(cpu);
}

/** FLD m64. */
export function x87_fld_m64(cpu: u32, bits: u64): i32 {
  // Nearly always a normal number or zero, which has no exceptions.
  const exponent = u32(bits >> 52) & 0x7ff;
  const normal = exponent - 1 < 0x7fe;
  if ((normal || bits << 1 == 0) && isEmpty(cpu, 7)) {
    clearC1(cpu);
    notePointers(cpu);
    setTop(cpu, physical(cpu, 7));
    const sign = u32(bits >> 63) << 15;
    if (normal) writeRegister(cpu, 0, 0x8000_0000_0000_0000 | (bits << 11), sign | (exponent + 15360));
    else writeRegister(cpu, 0, 0, sign);
    return Status.NEXT;
  }
  begin(cpu);
  unpack64(bits);
  return pushX(cpu);
}

/** FILD; the integer is sign-extended by the caller. */
export function x87_fild(cpu: u32, value: i64): i32 {
  begin(cpu);
  unpackInteger(value);
  return pushX(cpu);
}

/** FLD m80: any bits, no exception but the stack's. */
export function x87_fld_m80(cpu: u32, significand: u64, signExponent: u64): i32 {
  begin(cpu);
  if (roomToPush(cpu)) {
    setTop(cpu, physical(cpu, 7));
    writeRegister(cpu, 0, significand, u32(signExponent));
  } else {
    invalid();
    if (!stopped()) pushR(cpu);
    settle(cpu);
  }
  return Status.NEXT;
}

/** FLD ST(i). */
export function x87_fld_st(cpu: u32, i: u32): i32 {
  begin(cpu);
  const empty = isEmpty(cpu, i);
  if (!empty && roomToPush(cpu)) {
    const source = st(cpu, i);
    const significand = load<u64>(source);
    const signExponent = load<u16>(source, 8);
    setTop(cpu, physical(cpu, 7));
    writeRegister(cpu, 0, significand, signExponent);
    return Status.NEXT;
  }
  stackUnderflow();
  if (!stopped()) pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}

/** FBLD: 18 decimal digits and a sign. */
export function x87_fbld(cpu: u32, digits: u64, signAndDigits: u64): i32 {
  begin(cpu);
  let value = (signAndDigits >> 4 & 15) * 10 + (signAndDigits & 15);
  for (let shift = 60; shift >= 0; shift -= 4) value = value * 10 + ((digits >> u64(shift)) & 15);
  if (!roomToPush(cpu)) invalid();
  else setNormalised(u32(signAndDigits >> 15) & 1, 63, value, 0);
  if (!stopped()) pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}

/** FST ST(i), FSTP ST(i). */
export function x87_fst_st(cpu: u32, i: u32, pops: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
    if (isMasked(Flag.IE)) {
      writeRegister(cpu, i, 0xc000_0000_0000_0000, 0xffff);
      if (pops) pop(cpu);
    }
    settle(cpu);
    return Status.NEXT;
  }
  const source = st(cpu, 0);
  writeRegister(cpu, i, load<u64>(source), load<u16>(source, 8));
  if (pops) pop(cpu);
  return Status.NEXT;
}

function storeInteger(cpu: u32, bits: i32, empty: bool): void {
  let value: i64;
  if (empty || X.kind >= Kind.INFINITE) {
    Env.flags |= Flag.IE;
    value = i64.MIN_VALUE;
  } else {
    resultX();
    roundToInteger();
    value = integerOfR(bits);
  }
  if (Env.flags & Flag.IE) {
    // Integer indefinite: the most negative number of the size.
    Env.flags &= ~Flag.PE;
    Env.roundedUp = false;
    value = i64(-1) << (bits - 1);
  }
  store<i64>(cpu, value, Cpu.TMP128);
}

function storeDecimal(cpu: u32, empty: bool): void {
  let magnitude: u64 = 0;
  if (empty || X.kind >= Kind.INFINITE) {
    Env.flags |= Flag.IE;
  } else {
    resultX();
    roundToInteger();
    if (R.kind == Kind.FINITE) {
      if (R.exp < 60) magnitude = R.hi >> (63 - R.exp);
      if (R.exp >= 60 || magnitude > 999_999_999_999_999_999) Env.flags |= Flag.IE;
    }
  }
  if (Env.flags & Flag.IE) {
    Env.flags &= ~Flag.PE;
    Env.roundedUp = false;
    store<u64>(cpu, 0xc000_0000_0000_0000, Cpu.TMP128);
    store<u64>(cpu, 0xffff, Cpu.TMP128 + 8);
    return;
  }
  let low: u64 = 0;
  for (let shift: u64 = 0; shift < 64; shift += 4) {
    low |= (magnitude % 10) << shift;
    magnitude /= 10;
  }
  store<u64>(cpu, low, Cpu.TMP128);
  store<u64>(cpu, (u64(X.sign) << 15) | (magnitude / 10 << 4) | (magnitude % 10), Cpu.TMP128 + 8);
}

/** FST m64 of a number that stays normal, or zero, rounded to nearest: all but the rarest. False if it is not one. */
function storeNormal64(cpu: u32): bool {
  const fcw = load<u32>(cpu, Cpu.FCW);
  if (fcw & 0xc00 || isEmpty(cpu, 0)) return false;
  const source = st(cpu, 0);
  const significand = load<u64>(source);
  const signExponent = u32(load<u16>(source, 8));
  const sign = u64(signExponent & 0x8000) << 48;
  const fsw = load<u32>(cpu, Cpu.FSW) & ~Fsw.C1;
  const exponent = (signExponent & 0x7fff) - 15360;
  if (exponent - 1 >= 0x7fd || !(significand >> 63)) {
    if (significand != 0 || signExponent & 0x7fff) return false;
    notePointers(cpu);
    store<u64>(cpu, sign, Cpu.TMP128);
    store<u32>(cpu, fsw, Cpu.TMP128B);
    return true;
  }
  const rest = significand & 0x7ff;
  const kept = significand >> 11;
  const up = rest > 0x400 || (rest == 0x400 && (kept & 1) != 0);
  // A carry out of the fraction makes the exponent right by itself.
  store<u64>(cpu, sign | ((u64(exponent) << 52) + (kept & 0xf_ffff_ffff_ffff) + u64(up)), Cpu.TMP128);
  let after = fsw;
  if (rest != 0) {
    after |= Flag.PE;
    if (!(fcw & Flag.PE)) after |= Fsw.ES | Fsw.B;
    if (up) after |= Fsw.C1;
  }
  notePointers(cpu);
  store<u32>(cpu, after, Cpu.TMP128B);
  return true;
}

/** The number as a store writes it, to Cpu.TMP128. */
function convert(cpu: u32, what: u32, empty: bool, significand: u64, signExponent: u32): void {
  unpack80(significand, signExponent);
  switch (what) {
    case X87Store.M32:
    case X87Store.M64:
      if (empty) stackUnderflow();
      else if (!propagateX()) resultX();
      Env.wrap = false;
      store<u64>(cpu, what == X87Store.M32 ? u64(pack32()) : pack64(), Cpu.TMP128);
      break;
    case X87Store.M80:
      store<u64>(cpu, empty ? 0xc000_0000_0000_0000 : significand, Cpu.TMP128);
      store<u64>(cpu, empty ? 0xffff : u64(signExponent), Cpu.TMP128 + 8);
      break;
    case X87Store.I16_TRUNCATE:
    case X87Store.I32_TRUNCATE:
    case X87Store.I64_TRUNCATE:
      Env.rounding = 3;
      storeInteger(cpu, 16 << (what - X87Store.I16_TRUNCATE), empty);
      break;
    case X87Store.BCD:
      storeDecimal(cpu, empty);
      break;
    default:
      storeInteger(cpu, 16 << (what - X87Store.I16), empty);
      break;
  }
}

/**
 * First step of FST, FSTP, FIST, FISTP, FISTTP and FBSTP to memory. 1: write the bits in Cpu.TMP128 (4, 8, 10, 2, 4 or 8 bytes).
 * 0: an unmasked exception forbids the store, but memory that cannot be written faults all the same. After either comes x87_stored.
 */
export function x87_store(cpu: u32, what: u32): i32 {
  if (what == X87Store.M64 && storeNormal64(cpu)) return 1;
  const before = load<u32>(cpu, Cpu.FSW);
  begin(cpu);
  const empty = isEmpty(cpu, 0);
  if (empty) Env.flags |= Flag.IE | Fsw.SF;
  const source = st(cpu, 0);
  convert(cpu, what, empty, load<u64>(source), load<u16>(source, 8));
  let allowed = true;
  if (Env.flags & ~Env.masks & (Flag.BEFORE | Flag.OE | Flag.UE)) {
    // The result was not stored, so it is not called inexact.
    Env.flags &= ~Flag.PE;
    Env.roundedUp = false;
    allowed = false;
  }
  // C1 was cleared by begin(), too early: the access may still fault.
  store<u32>(cpu, flagsIntoFsw(load<u32>(cpu, Cpu.FSW)) | (Env.roundedUp ? Fsw.C1 : 0), Cpu.TMP128B);
  store<u32>(cpu, before, Cpu.FSW);
  return allowed ? 1 : 0;
}

/** Second step, after the write or the probe: the flags, and the pop if x87_store allowed the store. */
export function x87_stored(cpu: u32, pops: u32): i32 {
  commitFsw(cpu, load<u32>(cpu, Cpu.TMP128B));
  if (pops) pop(cpu);
  return Status.NEXT;
}

// --- for compiled code, see x87-quick.ts

/** A normal number to an integer of so many bits that surely holds it, rounded by `rounding` (FCW.RC). */
@inline
function narrowInteger(cpu: u32, bits: i32, rounding: u32, significand: u64, signExponent: u32): u64 {
  const exponent = i32(signExponent & 0x7fff) - 16383;
  const sign = signExponent >> 15;
  let value: u64 = 0;
  let rest: u64 = 1;
  if (exponent >= 0) {
    value = significand >> u64(63 - exponent);
    rest = (significand << 1) << u64(exponent);
  } else if (exponent == -1) rest = significand;
  let up: u64 = 0;
  if (rounding == 0) up = u64(rest + 0x7fff_ffff_ffff_ffff + (value & 1) < rest);
  else if (rounding != 3) up = u64(rest != 0 && (rounding == 2) == (sign == 0));
  value += up;
  store<u32>(cpu, rest ? Flag.PE | (u32(up) << 9) : 0, Cpu.TMP128B);
  return sign ? 0 - value : value;
}

/**
 * A number as a store writes it: 4, 8, or 2, 4, 8 bytes by `what`, which is not M80 and not BCD. The bits to OR into FSW, whose C1 is cleared before,
 * are left in Cpu.TMP128B. All exceptions are masked, and nothing but scratch fields changes.
 */
export function x87_narrow(cpu: u32, what: u32, significand: u64, signExponent: u32): u64 {
  const fcw = load<u32>(cpu, Cpu.FCW);
  const isNormal = (signExponent & 0x7fff) - 1 < 0x7ffe && significand >> 63 != 0;
  if (what >= u32(X87Store.I16)) {
    const truncates = what >= u32(X87Store.I16_TRUNCATE);
    const bits = 16 << (what - (truncates ? X87Store.I16_TRUNCATE : X87Store.I16));
    // One bit less, so that rounding up has room.
    if (isNormal && i32(signExponent & 0x7fff) - 16383 < bits - 2) return narrowInteger(cpu, bits, truncates ? 3 : (fcw >> 10) & 3, significand, signExponent);
  } else if (isNormal && !(fcw & 0xc00)) {
    const drop: u64 = what == X87Store.M32 ? 40 : 11;
    const exponent = i32(signExponent & 0x7fff) - (what == X87Store.M32 ? 16256 : 15360);
    const last = what == X87Store.M32 ? 0xfd : 0x7fd;
    if (u32(exponent - 1) < u32(last)) {
      const kept = significand >> drop;
      const rest = significand << (64 - drop);
      const up = u64(rest + 0x7fff_ffff_ffff_ffff + (kept & 1) < rest);
      const fraction = what == X87Store.M32 ? 23 : 52;
      store<u32>(cpu, rest ? Flag.PE | (u32(up) << 9) : 0, Cpu.TMP128B);
      // The leading one and a carry make the exponent right by themselves.
      return (u64(signExponent >> 15) << (what == X87Store.M32 ? 31 : 63)) | ((u64(exponent - 1) << fraction) + kept + up);
    }
  }
  beginNumber(cpu);
  convert(cpu, what, false, significand, signExponent);
  store<u32>(cpu, Env.flags | (Env.roundedUp ? Fsw.C1 : 0), Cpu.TMP128B);
  return load<u64>(cpu, Cpu.TMP128);
}
