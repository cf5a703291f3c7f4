// MXCSR as the SSE floating-point instructions use it: rounding, DAZ and FTZ going in, exceptions coming out.
// Intel SDM, volume 1, 10.2.3 (MXCSR) and 11.5 (SSE exceptions).
//
// An instruction starts with beginSse(), computes all its lanes (their flags add up in Env.flags), and asks settleSse() whether it may
// write its result: with an unmasked exception in any lane the destination stays as it was.

import { Cpu, Mxcsr, Status, Vector } from '../layout';
import { Env, Flag, Kind, X, copyXtoY } from './softfloat';
import { unpack32, unpack64 } from './softfloat-format';
import { Cr0, Cr4, cr0, cr4, raise } from './state';

/** MXCSR.DAZ while an instruction runs. */
class Denormals {
  static areZeros: bool = false;
}

/** What every SSE instruction on XMM registers asks: #UD by CR0.EM or without CR4.OSFXSR, #NM by CR0.TS. */
export function sse_check(cpu: u32): i32 {
  if (cr0(cpu) & Cr0.EM || !(cr4(cpu) & Cr4.OSFXSR)) {
    raise(cpu, Vector.UD);
    return Status.FAULT;
  }
  if (cr0(cpu) & Cr0.TS) {
    raise(cpu, Vector.NM);
    return Status.FAULT;
  }
  return Status.NEXT;
}

export function beginSse(cpu: u32): void {
  const mxcsr = load<u32>(cpu, Cpu.MXCSR);
  Env.flags = 0;
  Env.rounding = (mxcsr >> Mxcsr.RC_SHIFT) & 3;
  Env.masks = (mxcsr >> Mxcsr.MASK_SHIFT) & Flag.ALL;
  Env.wrap = false;
  Env.sse = true;
  Env.flushToZero = (mxcsr & Mxcsr.FTZ) != 0;
  Denormals.areZeros = (mxcsr & Mxcsr.DAZ) != 0;
}

/** Accumulates the flags in MXCSR. False, with #XM (or #UD if CR4.OSXMMEXCPT is clear) pending, if one is not masked. */
export function settleSse(cpu: u32): bool {
  const unmasked = Env.flags & Flag.ALL & ~Env.masks;
  // An exception found before the computation keeps all lanes from being computed.
  if (unmasked & Flag.BEFORE) Env.flags &= Flag.BEFORE;
  store<u32>(cpu, load<u32>(cpu, Cpu.MXCSR) | (Env.flags & Flag.ALL), Cpu.MXCSR);
  if (!unmasked) return true;
  raise(cpu, cr4(cpu) & Cr4.OSXMMEXCPT ? Vector.XM : Vector.UD);
  return false;
}

@inline
function flushX(): void {
  if (X.denormal && Denormals.areZeros) {
    X.kind = Kind.ZERO;
    X.denormal = 0;
  }
}

/** X = a float32, a denormal one as zero if MXCSR.DAZ says so. */
@inline
export function loadX32(bits: u32): void {
  unpack32(bits);
  flushX();
}

@inline
export function loadX64(bits: u64): void {
  unpack64(bits);
  flushX();
}

@inline
export function loadXY32(a: u32, b: u32): void {
  loadX32(b);
  copyXtoY();
  loadX32(a);
}

@inline
export function loadXY64(a: u64, b: u64): void {
  loadX64(b);
  copyXtoY();
  loadX64(a);
}
