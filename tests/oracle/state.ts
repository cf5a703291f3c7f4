// The registers and memory with which a case starts, made from its seed. Values are chosen so that corner cases come
// often: zero, all ones, sign boundaries, small numbers; in vectors also floating-point specials.
// Recorded cases name their seed, so this file must not change what a seed gives.

import { Random } from './random.ts';
import { DATA_SIZE, STACK_SIZE, STACK_TOP, type CodeMode, DATA } from './space.ts';

export const POOL_SIZE = 0x4_0000;

export interface State {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 */
  gpr: bigint[];
  rflags: number;
  mxcsr: number;
  fcw: number;
  fsw: number;
  /** Abridged tag word, by physical register. */
  ftw: number;
  /** XMM0-XMM15, 16 bytes each. */
  xmm: Uint8Array;
  /** ST(0)-ST(7), 16 bytes each, as FXSAVE has them. */
  st: Uint8Array;
  /** Where DATA's and STACK's bytes start in the pool. */
  pool: number;
}

const M64 = 0xffff_ffff_ffff_ffffn;

function interestingInteger(r: Random): bigint {
  switch (r.below(8)) {
    case 0:
      return BigInt(r.below(64));
    case 1:
      return (1n << BigInt(r.below(64))) - BigInt(r.below(3)) & M64;
    case 2:
      return r.pick([0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, M64]);
    case 3:
      return -BigInt(r.below(300)) & M64;
    case 4:
      return r.u64() >> BigInt(r.below(64));
    default:
      return r.u64();
  }
}

const SINGLES = [0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000, 0x40490fdb, 0x4b000001, 0x3fc00000, 0x40200000];
const DOUBLES = [0n, 1n << 63n, 0x3ff0000000000000n, 0xbff0000000000000n, 0x7ff0000000000000n, 0xfff0000000000000n, 0x7ff8000000000000n, 0xfff8000000000123n, 0x7ff0000000000001n, 1n, 0x800fffffffffffffn, 0x0010000000000000n, 0x7fefffffffffffffn, 0x41dfffffffc00000n, 0xc1e0000000000000n, 0x43e0000000000000n, 0x3fe0000000000000n, 0x400921fb54442d18n, 0x47efffffe0000000n, 0x36a0000000000000n, 0x3810000000000000n, 0x3ff8000000000000n, 0x4004000000000000n];

/** 16 bytes that suit integer and floating-point vector instructions. */
function interestingLanes(r: Random, view: DataView, at: number): void {
  const kind = r.below(8);
  if (kind < 2) {
    for (let i = 0; i < 16; i += 4) view.setUint32(at + i, r.u32(), true);
  } else if (kind < 4) {
    for (let i = 0; i < 16; i += 4) {
      const v = r.chance(50) ? r.pick(SINGLES) : ((r.u32() & 0x807fffff) | ((r.chance(70) ? 110 + r.below(40) : r.below(256)) << 23)) >>> 0;
      view.setUint32(at + i, v, true);
    }
  } else if (kind < 6) {
    for (let i = 0; i < 16; i += 8) {
      const exponent = BigInt(r.chance(70) ? 1023 - 60 + r.below(130) : r.below(2048));
      const v = r.chance(50) ? r.pick(DOUBLES) : (r.u64() & 0x800f_ffff_ffff_ffffn) | (exponent << 52n);
      view.setBigUint64(at + i, v, true);
    }
  } else if (kind === 6) {
    for (let i = 0; i < 16; i += 8) view.setBigUint64(at + i, interestingInteger(r), true);
  } else {
    for (let i = 0; i < 16; i += 2) view.setUint16(at + i, r.pick([0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x8080, 0xffff, r.u32() & 0xffff]), true);
  }
}

/** The bytes from which DATA and STACK are filled, the same for all cases; its first page fills READ_ONLY. */
export function makePool(): Uint8Array {
  const pool = new Uint8Array(POOL_SIZE);
  const view = new DataView(pool.buffer);
  const r = new Random(0x7ab_0001);
  for (let at = 0; at < POOL_SIZE; at += 16) interestingLanes(r, view, at);
  return pool;
}

const EXTENDED: readonly (readonly [number, bigint])[] = [
  [0, 0n],
  [0x8000, 0n],
  [0x3fff, 1n << 63n],
  [0xbfff, 1n << 63n],
  [0x7fff, 1n << 63n],
  [0xffff, 1n << 63n],
  [0xffff, 3n << 62n],
  [0x7fff, (3n << 62n) | 0x123n],
  [0x7fff, (1n << 63n) | 1n],
  [0, 1n],
  [0x8000, 0x7fff_ffff_ffff_ffffn],
  [1, 1n << 63n],
  [0x7ffe, M64],
  [0x403e, 1n << 63n],
  [0xc03e, 1n << 63n],
  [0x401e, M64],
  [0x3ffe, 1n << 63n],
  [0x4000, 0xc90f_daa2_2168_c235n],
];

/** @param x87 the case is about x87 registers: TOP and control word vary, registers hold numbers */
export function makeState(seed: number, mode: CodeMode, x87: boolean): State {
  const r = new Random(seed);
  const gpr: bigint[] = [];
  for (let i = 0; i < 16; i++) gpr.push(interestingInteger(r));
  const top = BigInt(mode === 16 ? STACK_TOP - DATA : STACK_TOP);
  gpr[4] = top + BigInt(8 * (r.below(16) - 8));
  const xmm = new Uint8Array(256);
  const xmmView = new DataView(xmm.buffer);
  for (let i = 0; i < 16; i++) interestingLanes(r, xmmView, i * 16);
  const rflags = r.u32() & 0x8d5;
  let mxcsr = 0x1f80;
  if (r.chance(40)) {
    const masks = r.chance(85) ? 0x1f80 : (r.u32() & 0x1f80);
    mxcsr = masks | (r.u32() & 0xe040) | (r.chance(50) ? r.u32() & 0x3f : 0);
  }
  const st = new Uint8Array(128);
  const stView = new DataView(st.buffer);
  for (let i = 0; i < 8; i++) {
    let exponent: number;
    let mantissa: bigint;
    if (!x87) {
      // MMX: any bits.
      exponent = r.u32() & 0xffff;
      mantissa = interestingInteger(r);
    } else if (r.chance(35)) {
      [exponent, mantissa] = r.pick(EXTENDED);
    } else {
      exponent = (r.chance(80) ? 0x3fff - 70 + r.below(150) : r.below(0x7fff)) | (r.u32() & 0x8000);
      mantissa = (1n << 63n) | (r.chance(50) ? r.u64() : r.u64() & (M64 << BigInt(r.below(64))));
    }
    stView.setBigUint64(i * 16, mantissa & M64, true);
    stView.setUint16(i * 16 + 8, exponent, true);
  }
  let fcw = 0x37f;
  let fsw = 0;
  let ftw = 0xff;
  if (x87) {
    fcw = 0x037f;
    if (r.chance(50)) fcw = 0x7f | (r.pick([0, 2, 3, 3]) << 8) | (r.below(4) << 10);
    if (r.chance(15)) fcw &= ~(r.u32() & 0x3f);
    fsw = (r.below(8) << 11) | (r.u32() & 0x4700);
    ftw = r.chance(60) ? 0xff : r.u32() & 0xff;
  } else {
    fsw = (r.below(8) << 11) & (r.chance(80) ? 0 : 0x3800);
    ftw = r.u32() & 0xff;
  }
  const pool = r.below((POOL_SIZE - DATA_SIZE - STACK_SIZE) / 16) * 16;
  return { gpr, rflags, mxcsr, fcw, fsw, ftw, xmm, st, pool };
}
