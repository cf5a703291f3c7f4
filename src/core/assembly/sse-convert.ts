// Conversions between integers, float32 and float64 of SSE and SSE2, with MXCSR's rounding and exceptions.
// Intel SDM, volume 1, 10.4.6 to 11.4.1.6 and appendix E.4.2; volume 2, CVT*.
//
// Packed forms take addresses of their operands; the result goes to dst unless a Status says that an exception is pending.

import { Status } from '../layout';
import { Env, Flag, Kind, X, integerOfR, noteDenormalX, propagateX, resultX, roundToInteger } from './softfloat';
import { pack32, pack64, unpackInteger } from './softfloat-format';
import { beginSse, loadX32, loadX64, settleSse } from './sse-state';

/** X to a signed integer of 32 or 64 bits: integer indefinite with IE if it does not fit. */
function toInteger(bits: i32, truncate: u32): i64 {
  if (X.kind >= Kind.INFINITE) {
    Env.flags |= Flag.IE;
    return i64(-1) << (bits - 1);
  }
  const others = Env.flags;
  const rounding = Env.rounding;
  Env.flags = 0;
  if (truncate) Env.rounding = 3;
  resultX();
  roundToInteger();
  let value = integerOfR(bits);
  Env.rounding = rounding;
  if (Env.flags & Flag.IE) {
    Env.flags = Flag.IE;
    value = i64(-1) << (bits - 1);
  }
  Env.flags |= others;
  return value;
}

@inline
function to64(): u64 {
  if (!propagateX()) {
    noteDenormalX();
    resultX();
  }
  return pack64();
}

@inline
function to32(): u32 {
  if (!propagateX()) {
    noteDenormalX();
    resultX();
  }
  return pack32();
}

/** Writes up to 16 bytes of result, if no unmasked exception forbids it. */
function commit(cpu: u32, dst: u32, low: u64, high: u64, bytes: u32): i32 {
  if (!settleSse(cpu)) return Status.FAULT;
  if (bytes == 4) store<u32>(dst, u32(low));
  else {
    store<u64>(dst, low);
    if (bytes == 16) store<u64>(dst, high, 8);
  }
  return Status.NEXT;
}

/** CVTSS2SI, CVTTSS2SI: float32 bits to an integer of 32 or 64 bits (zero-extended). Cpu.FAULT is set if an exception is pending. */
export function sse_int_of32(cpu: u32, value: u64, bits: u32, truncate: u32): u64 {
  beginSse(cpu);
  loadX32(u32(value));
  const result = toInteger(bits, truncate);
  settleSse(cpu);
  return bits == 32 ? u64(result) & 0xffff_ffff : u64(result);
}

/** CVTSD2SI, CVTTSD2SI. */
export function sse_int_of64(cpu: u32, value: u64, bits: u32, truncate: u32): u64 {
  beginSse(cpu);
  loadX64(value);
  const result = toInteger(bits, truncate);
  settleSse(cpu);
  return bits == 32 ? u64(result) & 0xffff_ffff : u64(result);
}

/** CVTSI2SS: a sign-extended integer to the low float32 of dst. */
export function sse_cvtsi2ss(cpu: u32, dst: u32, value: i64): i32 {
  beginSse(cpu);
  unpackInteger(value);
  resultX();
  return commit(cpu, dst, pack32(), 0, 4);
}

/** CVTSI2SD. */
export function sse_cvtsi2sd(cpu: u32, dst: u32, value: i64): i32 {
  beginSse(cpu);
  unpackInteger(value);
  resultX();
  return commit(cpu, dst, pack64(), 0, 8);
}

/** CVTSS2SD: float32 bits to the low float64 of dst. */
export function sse_cvtss2sd(cpu: u32, dst: u32, value: u64): i32 {
  beginSse(cpu);
  loadX32(u32(value));
  return commit(cpu, dst, to64(), 0, 8);
}

/** CVTSD2SS. */
export function sse_cvtsd2ss(cpu: u32, dst: u32, value: u64): i32 {
  beginSse(cpu);
  loadX64(value);
  return commit(cpu, dst, to32(), 0, 4);
}

/** CVTPS2PD: two float32 (64 bits) to two float64. */
export function sse_cvtps2pd(cpu: u32, dst: u32, value: u64): i32 {
  beginSse(cpu);
  loadX32(u32(value));
  const low = to64();
  loadX32(u32(value >> 32));
  return commit(cpu, dst, low, to64(), 16);
}

@inline
function pair(low: u32, high: u32): u64 {
  return u64(low) | (u64(high) << 32);
}

/** CVTPD2PS: the upper half of dst becomes 0. */
export function sse_cvtpd2ps(cpu: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  loadX64(load<u64>(src));
  const low = to32();
  loadX64(load<u64>(src, 8));
  return commit(cpu, dst, pair(low, to32()), 0, 16);
}

/** CVTDQ2PS. */
export function sse_cvtdq2ps(cpu: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const low = ps_of(load<u64>(src));
  return commit(cpu, dst, low, ps_of(load<u64>(src, 8)), 16);
}

function ps_of(value: u64): u64 {
  unpackInteger(i64(i32(value)));
  resultX();
  const low = pack32();
  unpackInteger(i64(value) >> 32);
  resultX();
  return pair(low, pack32());
}

/** CVTPS2DQ, CVTTPS2DQ. */
export function sse_cvtps2dq(cpu: u32, truncate: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const low = integers_of32(load<u64>(src), truncate);
  return commit(cpu, dst, low, integers_of32(load<u64>(src, 8), truncate), 16);
}

function integers_of32(value: u64, truncate: u32): u64 {
  loadX32(u32(value));
  const low = u32(toInteger(32, truncate));
  loadX32(u32(value >> 32));
  return pair(low, u32(toInteger(32, truncate)));
}

function integers_of64(src: u32, truncate: u32): u64 {
  loadX64(load<u64>(src));
  const low = u32(toInteger(32, truncate));
  loadX64(load<u64>(src, 8));
  return pair(low, u32(toInteger(32, truncate)));
}

/** CVTPD2DQ, CVTTPD2DQ: the upper half of dst becomes 0. */
export function sse_cvtpd2dq(cpu: u32, truncate: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  return commit(cpu, dst, integers_of64(src, truncate), 0, 16);
}

/** CVTPI2PS: two integers (64 bits) to the low two float32 of dst. */
export function sse_cvtpi2ps(cpu: u32, dst: u32, value: u64): i32 {
  beginSse(cpu);
  return commit(cpu, dst, ps_of(value), 0, 8);
}

/** CVTDQ2PD, CVTPI2PD: two integers (64 bits) to two float64; always exact. */
export function sse_cvtdq2pd(cpu: u32, dst: u32, value: u64): i32 {
  store<f64>(dst, f64(i32(value)));
  store<f64>(dst, f64(i32(value >> 32)), 8);
  return Status.NEXT;
}

/** CVTPS2PI, CVTTPS2PI: two float32 (64 bits) to an MMX register's 8 bytes at dst. */
export function sse_cvtps2pi(cpu: u32, truncate: u32, dst: u32, value: u64): i32 {
  beginSse(cpu);
  return commit(cpu, dst, integers_of32(value, truncate), 0, 8);
}

/** CVTPD2PI, CVTTPD2PI. */
export function sse_cvtpd2pi(cpu: u32, truncate: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  return commit(cpu, dst, integers_of64(src, truncate), 0, 8);
}
