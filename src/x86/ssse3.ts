// SSSE3: byte shuffles, horizontal integer sums, absolute values, signs, alignment, on MMX and XMM registers.
// Intel SDM volume 1, 12.6 and 12.7; volume 2.

import { Simd } from '../wasm/simd.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';
import {
  binary, binaryMmx, bytesAt, checkMmx, enterMmx, fromLow64, immediate, lane64, lanes, readAligned, shuffle, sse, v1, v2, withLane64, writeMmx, zero,
  type VectorOp,
} from './vector.ts';

const splatByte = (b: Builder, n: number): Value => b.v128(new Uint8Array(16).fill(n));

/** The selector's bit 7 gives zero; otherwise its low bits count bytes. */
const byteShuffle =
  (mask: number): VectorOp =>
  (b, a, c) =>
    v2(b, Simd.I8X16_SWIZZLE, a, v2(b, Simd.V128_AND, c, splatByte(b, mask)));

/** Combines neighbours: the destination's pairs, then the source's. */
const horizontal =
  (size: 2 | 4, opcode: Simd): VectorOp =>
  (b, a, c) => {
    const even = size === 2 ? [0, 2, 4, 6, 8, 10, 12, 14] : [0, 2, 4, 6];
    const odd = even.map((n) => n + 1);
    return v2(b, opcode, shuffle(b, a, c, lanes(size, even)), shuffle(b, a, c, lanes(size, odd)));
  };

/** On MMX registers the two operands, as one vector, have all pairs in order. */
const horizontalMmx =
  (size: 2 | 4, opcode: Simd): VectorOp =>
  (b, a, c) => {
    const both = b.let(shuffle(b, a, c, lanes(8, [0, 2])));
    return horizontal(size, opcode)(b, both, both);
  };

/** Unsigned bytes times signed bytes, neighbours added with saturation. */
const multiplyAddBytes: VectorOp = (b, a, c) => {
  const low = b.let(v2(b, Simd.I16X8_MUL, v1(b, Simd.I16X8_EXTEND_LOW_I8X16_U, a), v1(b, Simd.I16X8_EXTEND_LOW_I8X16_S, c)));
  const high = b.let(v2(b, Simd.I16X8_MUL, v1(b, Simd.I16X8_EXTEND_HIGH_I8X16_U, a), v1(b, Simd.I16X8_EXTEND_HIGH_I8X16_S, c)));
  return horizontal(2, Simd.I16X8_ADD_SAT_S)(b, low, high);
};

/** (a * c + 2^14) >> 15; wasm's instruction saturates the one case that overflows, where x86 gives 8000h. */
const multiplyRoundScale: VectorOp = (b, a, c) => {
  const most = (x: Value): Value => v2(b, Simd.I16X8_EQ, x, b.v128(Uint8Array.from({ length: 16 }, (_, n) => (n & 1 ? 0x80 : 0))));
  return v2(b, Simd.V128_XOR, v2(b, Simd.I16X8_Q15MULR_SAT_S, a, c), v2(b, Simd.V128_AND, most(a), most(c)));
};

/** Negates where the source is negative, clears where it is zero. */
const sign =
  (negate: Simd, greater: Simd, equal: Simd): VectorOp =>
  (b, a, c) => {
    const negative = v2(b, greater, zero(b), c);
    const signed = b.simd('v128', Simd.V128_BITSELECT, [v1(b, negate, a), a, negative]);
    return v2(b, Simd.V128_ANDNOT, signed, v2(b, equal, c, zero(b)));
  };

const absolute =
  (opcode: Simd): VectorOp =>
  (b, _a, c) =>
    v1(b, opcode, c);

const palignr: Meaning = sse((i, b) => {
  const c = readAligned(b, i.src);
  const a = i.dst.read();
  i.dst.write(bytesAt(b, c, a, immediate(i)));
});

const palignrMmx: Meaning = (i, b) => {
  checkMmx(b);
  const c = i.src.read();
  const a = i.dst.read();
  const both = b.let(withLane64(b, fromLow64(b, c), 1, a));
  const r = b.let(lane64(b, bytesAt(b, both, zero(b), immediate(i)), 0));
  enterMmx(b);
  writeMmx(b, i.dst, r);
};

export function defineSsse3(t: InstructionTable): void {
  const forms: [number, string, VectorOp, VectorOp?][] = [
    [0x00, 'pshufb', byteShuffle(0x8f), byteShuffle(0x87)],
    [0x01, 'phaddw', horizontal(2, Simd.I16X8_ADD), horizontalMmx(2, Simd.I16X8_ADD)],
    [0x02, 'phaddd', horizontal(4, Simd.I32X4_ADD), horizontalMmx(4, Simd.I32X4_ADD)],
    [0x03, 'phaddsw', horizontal(2, Simd.I16X8_ADD_SAT_S), horizontalMmx(2, Simd.I16X8_ADD_SAT_S)],
    [0x04, 'pmaddubsw', multiplyAddBytes],
    [0x05, 'phsubw', horizontal(2, Simd.I16X8_SUB), horizontalMmx(2, Simd.I16X8_SUB)],
    [0x06, 'phsubd', horizontal(4, Simd.I32X4_SUB), horizontalMmx(4, Simd.I32X4_SUB)],
    [0x07, 'phsubsw', horizontal(2, Simd.I16X8_SUB_SAT_S), horizontalMmx(2, Simd.I16X8_SUB_SAT_S)],
    [0x08, 'psignb', sign(Simd.I8X16_NEG, Simd.I8X16_GT_S, Simd.I8X16_EQ)],
    [0x09, 'psignw', sign(Simd.I16X8_NEG, Simd.I16X8_GT_S, Simd.I16X8_EQ)],
    [0x0a, 'psignd', sign(Simd.I32X4_NEG, Simd.I32X4_GT_S, Simd.I32X4_EQ)],
    [0x0b, 'pmulhrsw', multiplyRoundScale],
    [0x1c, 'pabsb', absolute(Simd.I8X16_ABS)],
    [0x1d, 'pabsw', absolute(Simd.I16X8_ABS)],
    [0x1e, 'pabsd', absolute(Simd.I32X4_ABS)],
  ];
  for (const [opcode, name, op, mmx] of forms) {
    t.op(0x0f3800 + opcode, name, 'Pq,Qq', binaryMmx(mmx ?? op), { prefix: 0, anySize: true });
    t.op(0x0f3800 + opcode, name, 'Vx,Wx', binary(op), { prefix: 0x66, anySize: true });
  }
  t.op(0x0f3a0f, 'palignr', 'Pq,Qq,Ib', palignrMmx, { prefix: 0, anySize: true });
  t.op(0x0f3a0f, 'palignr', 'Vx,Wx,Ib', palignr, { prefix: 0x66, anySize: true });
}
