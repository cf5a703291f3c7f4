// SSE: single-precision floating point on XMM registers, moves, shuffles, MXCSR, fences and streaming. Intel SDM volume 1, chapter 10;
// volume 2. Arithmetic is in float.ts; SSE's additions to MMX are in mmx.ts. Where SSE2 has the same instruction on float64, it is here too.

import { Cpu, Mxcsr, Vector } from '../core/layout.ts';
import { Simd } from '../wasm/simd.ts';
import type { Meaning } from './builder.ts';
import {
  approximate, arithmetic, compareFlags, compareMask, extreme, FloatOp, fromInteger, mmxToSingles, packedToMmx, PD, PS, SD, squareRoot, SS, toInteger, type Format,
} from './float.ts';
import type { Attributes, InstructionTable } from './table.ts';
import {
  alignedAddress, binary, immediate, lane64, lanes, pointerTo, readAligned, registerAddress, shuffle, shuffle32, shuffled32, simd, sse, v2, withLane64, writeAligned, zero,
  type VectorOp,
} from './vector.ts';

export const moveAligned: Meaning = sse((i, b) => (i.dst.isMemory ? writeAligned(b, i.dst, i.src.read()) : i.dst.write(readAligned(b, i.src))));
export const moveUnaligned: Meaning = sse((i) => i.dst.write(i.src.read()));
export const moveScalar: Meaning = sse((i) => i.dst.write(i.src.read()));

/** From memory: what is above the scalar becomes zero. */
export const loadScalar: Meaning = sse((i) => i.dst.write(i.src.readLow()));

/** MOVHPS xmm, m64; MOVLHPS */
export const moveToHigh: Meaning = sse((i, b) => {
  const v = i.src.read();
  i.dst.write(b.let(withLane64(b, i.dst.read(), 1, v)));
});

/** MOVHPS m64, xmm; MOVHLPS */
export const moveFromHigh: Meaning = sse((i, b) => i.dst.write(b.let(lane64(b, i.src.read(), 1))));

export const storeStreaming: Meaning = sse((i, b) => {
  const v = i.src.read();
  b.storeGuest(alignedAddress(b, i.dst), 128, v);
});

export const moveMask = (opcode: Simd): Meaning => sse((i, b) => i.dst.write(b.let(b.extendU(b.simd('i32', opcode, [i.src.read()])))));

const andNot: VectorOp = (b, a, c) => v2(b, Simd.V128_ANDNOT, c, a);
const pattern =
  (list: readonly number[]): VectorOp =>
  (b, a, c) =>
    shuffle(b, a, c, list);

const shufps: Meaning = sse((i, b) => {
  const c = readAligned(b, i.src);
  const selector = immediate(i);
  const r = selector.isConstant ? shuffled32(b, i.dst.read(), c, selector.exact) : shuffle32(b, registerAddress(b, i.dst), pointerTo(b, i.src, c), selector);
  i.dst.write(b.let(r));
});

const shufpd: Meaning = sse((i, b) => {
  const c = readAligned(b, i.src);
  const which = immediate(i);
  if (which.isConstant) return i.dst.write(b.let(shuffle(b, i.dst.read(), c, lanes(8, [which.exact & 1, 2 + ((which.exact >> 1) & 1)]))));
  const high = pointerTo(b, i.src, c);
  const low = registerAddress(b, i.dst);
  const selector = b.let(b.wrap(which));
  const x = b.let(b.load('i64', b.add(low, b.shl(b.and(selector, 1), 3)), 0));
  const y = b.let(b.load('i64', b.add(high, b.shl(b.and(b.shrU(selector, 1), 1), 3)), 0));
  i.dst.write(b.let(withLane64(b, withLane64(b, zero(b), 0, x), 1, y)));
});

const ldmxcsr: Meaning = sse((i, b) => {
  const value = b.let(b.wrap(i.dst.read()));
  b.raiseIf(b.and(value, ~Mxcsr.EXISTING), Vector.GP, 0);
  b.setState(Cpu.MXCSR, value);
});
const stmxcsr: Meaning = sse((i, b) => i.dst.write(b.state('i64', Cpu.MXCSR, 32)));
const nop: Meaning = () => {};

/** One opcode in its four formats: no prefix, 66, F3, F2. */
export function fourFormats(t: InstructionTable, opcode: number, name: string, operands: (f: Format) => string, meaning: (f: Format) => Meaning, more: Attributes = {}): void {
  const forms: [Format, 0 | 0x66 | 0xf3 | 0xf2, string][] = [[PS, 0, 'ps'], [PD, 0x66, 'pd'], [SS, 0xf3, 'ss'], [SD, 0xf2, 'sd']];
  for (const [f, prefix, suffix] of forms) t.op(opcode, name + suffix, operands(f), meaning(f), { ...more, prefix, anySize: true });
}

/** Destination and source: XMM registers, or memory of the format's size. */
export const floatOperands = (f: Format): string => (f.packed ? 'Vx,Wx' : f.double ? 'Vq,Wq' : 'Vd,Wd');

export function defineSse(t: InstructionTable): void {
  const ps: Attributes = { prefix: 0, anySize: true };
  const pd: Attributes = { prefix: 0x66, anySize: true };
  const ss: Attributes = { prefix: 0xf3, anySize: true };
  const sd: Attributes = { prefix: 0xf2, anySize: true };
  const both = (opcode: number, name: string, operands: string, meaning: Meaning, more: Attributes = {}): void => {
    t.op(opcode, `${name}ps`, operands, meaning, { ...ps, ...more });
    t.op(opcode, `${name}pd`, operands, meaning, { ...pd, ...more });
  };

  both(0x0f10, 'movu', 'Vx,Wx', moveUnaligned, { hot: true });
  both(0x0f11, 'movu', 'Wx,Vx', moveUnaligned, { hot: true });
  both(0x0f28, 'mova', 'Vx,Wx', moveAligned, { hot: true });
  both(0x0f29, 'mova', 'Wx,Vx', moveAligned, { hot: true });
  t.op(0x0f10, 'movss', 'Vx,Md', loadScalar, { ...ss, mod: 'mem', hot: true });
  t.op(0x0f10, 'movss', 'Vd,Ud', moveScalar, { ...ss, mod: 'reg' });
  t.op(0x0f11, 'movss', 'Wd,Vd', moveScalar, { ...ss, hot: true });
  t.op(0x0f10, 'movsd', 'Vx,Mq', loadScalar, { ...sd, mod: 'mem', hot: true });
  t.op(0x0f10, 'movsd', 'Vq,Uq', moveScalar, { ...sd, mod: 'reg' });
  t.op(0x0f11, 'movsd', 'Wq,Vq', moveScalar, { ...sd, hot: true });
  t.op(0x0f12, 'movhlps', 'Vq,Ux', moveFromHigh, { ...ps, mod: 'reg' });
  t.op(0x0f16, 'movlhps', 'Vx,Uq', moveToHigh, { ...ps, mod: 'reg' });
  both(0x0f12, 'movl', 'Vq,Mq', moveScalar, { mod: 'mem' });
  both(0x0f13, 'movl', 'Mq,Vq', moveScalar, { mod: 'mem' });
  both(0x0f16, 'movh', 'Vx,Mq', moveToHigh, { mod: 'mem', hot: true });
  both(0x0f17, 'movh', 'Mq,Vx', moveFromHigh, { mod: 'mem' });
  both(0x0f2b, 'movnt', 'Mx,Vx', storeStreaming, { mod: 'mem' });
  t.op(0x0f50, 'movmskps', 'Gd,Ux', moveMask(Simd.I32X4_BITMASK), { ...ps, mod: 'reg' });
  t.op(0x0f50, 'movmskpd', 'Gd,Ux', moveMask(Simd.I64X2_BITMASK), { ...pd, mod: 'reg' });

  both(0x0f54, 'and', 'Vx,Wx', binary(simd(Simd.V128_AND)), { hot: true });
  both(0x0f55, 'andn', 'Vx,Wx', binary(andNot));
  both(0x0f56, 'or', 'Vx,Wx', binary(simd(Simd.V128_OR)));
  both(0x0f57, 'xor', 'Vx,Wx', binary(simd(Simd.V128_XOR)), { hot: true });
  t.op(0x0f14, 'unpcklps', 'Vx,Wx', binary(pattern(lanes(4, [0, 4, 1, 5]))), ps);
  t.op(0x0f15, 'unpckhps', 'Vx,Wx', binary(pattern(lanes(4, [2, 6, 3, 7]))), ps);
  t.op(0x0f14, 'unpcklpd', 'Vx,Wx', binary(pattern(lanes(8, [0, 2]))), pd);
  t.op(0x0f15, 'unpckhpd', 'Vx,Wx', binary(pattern(lanes(8, [1, 3]))), pd);
  t.op(0x0fc6, 'shufps', 'Vx,Wx,Ib', shufps, ps);
  t.op(0x0fc6, 'shufpd', 'Vx,Wx,Ib', shufpd, pd);

  const hotScalar = (f: Format): Attributes => ({ hot: !f.packed && f.double });
  const arithmeticForms: [number, string, FloatOp][] = [[0x58, 'add', FloatOp.ADD], [0x59, 'mul', FloatOp.MUL], [0x5c, 'sub', FloatOp.SUB], [0x5e, 'div', FloatOp.DIV]];
  for (const [opcode, name, op] of arithmeticForms) {
    const forms: [Format, Attributes, string][] = [[PS, ps, 'ps'], [PD, pd, 'pd'], [SS, ss, 'ss'], [SD, sd, 'sd']];
    for (const [f, attributes, suffix] of forms) t.op(0x0f00 + opcode, name + suffix, floatOperands(f), arithmetic(op, f), { ...attributes, ...hotScalar(f) });
  }
  fourFormats(t, 0x0f51, 'sqrt', floatOperands, squareRoot);
  fourFormats(t, 0x0f5d, 'min', floatOperands, (f) => extreme(FloatOp.MIN, f));
  fourFormats(t, 0x0f5f, 'max', floatOperands, (f) => extreme(FloatOp.MAX, f));
  fourFormats(t, 0x0fc2, 'cmp', (f) => `${floatOperands(f)},Ib`, compareMask);
  for (const [n, roots, name] of [[0x52, true, 'rsqrt'], [0x53, false, 'rcp']] as const) {
    t.op(0x0f00 + n, `${name}ps`, 'Vx,Wx', approximate(roots, PS), ps);
    t.op(0x0f00 + n, `${name}ss`, 'Vd,Wd', approximate(roots, SS), ss);
  }
  for (const [n, signaling, name] of [[0x2e, false, 'ucomi'], [0x2f, true, 'comi']] as const) {
    t.op(0x0f00 + n, `${name}ss`, 'Vd,Wd', compareFlags(signaling, SS), { ...ps, readOnly: true });
    t.op(0x0f00 + n, `${name}sd`, 'Vq,Wq', compareFlags(signaling, SD), { ...pd, readOnly: true, hot: true });
  }

  t.op(0x0f2a, 'cvtsi2ss', 'Vd,Ey', fromInteger(SS), { prefix: 0xf3 });
  t.op(0x0f2a, 'cvtsi2sd', 'Vq,Ey', fromInteger(SD), { prefix: 0xf2, hot: true });
  t.op(0x0f2c, 'cvttss2si', 'Gy,Wd', toInteger(true, SS), { prefix: 0xf3 });
  t.op(0x0f2c, 'cvttsd2si', 'Gy,Wq', toInteger(true, SD), { prefix: 0xf2, hot: true });
  t.op(0x0f2d, 'cvtss2si', 'Gy,Wd', toInteger(false, SS), { prefix: 0xf3 });
  t.op(0x0f2d, 'cvtsd2si', 'Gy,Wq', toInteger(false, SD), { prefix: 0xf2 });
  t.op(0x0f2a, 'cvtpi2ps', 'Vx,Qq', mmxToSingles, ps);
  t.op(0x0f2c, 'cvttps2pi', 'Pq,Wq', packedToMmx(true, PS), ps);
  t.op(0x0f2d, 'cvtps2pi', 'Pq,Wq', packedToMmx(false, PS), ps);

  t.op(0x0fae, 'ldmxcsr', 'Md', ldmxcsr, { ...ps, ext: 2, mod: 'mem', readOnly: true });
  t.op(0x0fae, 'stmxcsr', 'Md', stmxcsr, { ...ps, ext: 3, mod: 'mem' });
  // One CPU sees its own accesses in order, and other CPUs' memory is WebAssembly's: stores of one thread are seen in order.
  t.op(0x0fae, 'lfence', '', nop, { ...ps, ext: 5, mod: 'reg' });
  t.op(0x0fae, 'mfence', '', nop, { ...ps, ext: 6, mod: 'reg' });
  t.op(0x0fae, 'sfence', '', nop, { ...ps, ext: 7, mod: 'reg' });
}
