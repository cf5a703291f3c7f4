// What the MMX and SSE files share: the checks before an instruction, vector operands, and the integer operations that exist
// for MMX and XMM registers alike. Intel SDM volume 1, chapters 9 to 12; volume 3, 13.1 (CR0, CR4 and SSE).

import { Cpu, Vector } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import { Simd } from '../wasm/simd.ts';
import type { Builder, Instruction, Meaning, OperandRef } from './builder.ts';

const FSW_ES = 0x80;
const FSW_TOP = 0x3800;

/** #UD or #NM before an instruction on XMM registers. */
export function checkSse(b: Builder): void {
  b.assume('sse', () => {
    b.core('sse_check');
    b.checkFault();
  });
}

/** #UD, #NM or #MF before an instruction on MMX registers. */
export function checkMmx(b: Builder): void {
  const check = (): void => {
    b.core('mmx_check');
    b.checkFault();
  };
  b.assume('x87', check);
  b.if(b.and(b.state('i32', Cpu.FSW), FSW_ES), check, undefined, 'seldom');
}

/** The x87 registers become MM0-7: TOP = 0, all valid (SDM volume 1, 9.5.1). After everything that can fault. */
export function enterMmx(b: Builder): void {
  b.setState(Cpu.FSW, b.and(b.state('i32', Cpu.FSW), ~FSW_TOP));
  b.setState(Cpu.FTW, b.i32(0xff));
}

export const sse =
  (meaning: Meaning): Meaning =>
  (i, b) => {
    checkSse(b);
    meaning(i, b);
  };

/** Linear address of a 16-byte memory operand: #GP(0) unless it is aligned. */
export function alignedAddress(b: Builder, operand: OperandRef): Value {
  const address = operand.address();
  b.raiseIf(b.ne(b.and(b.wrap(address), 15), 0), Vector.GP, 0);
  return address;
}

/** A v128 operand: register, or aligned memory. */
export function readAligned(b: Builder, operand: OperandRef): Value {
  return operand.isMemory ? b.loadGuest(alignedAddress(b, operand), 128) : operand.read();
}

export function writeAligned(b: Builder, operand: OperandRef, value: Value): void {
  if (operand.isMemory) {
    const v = b.let(value);
    b.storeGuest(alignedAddress(b, operand), 128, v);
  } else operand.write(value);
}

/** Writes an MMX register: all ones go to the exponent of the x87 register behind it. */
export function writeMmx(b: Builder, operand: OperandRef, value: Value): void {
  operand.write(value);
  b.store(b.add(b.cpu(), operand.registerOffset()), 8, b.i32(0xffff), 16);
}

/** Address in the shared memory of a register operand, for functions of core: in compiled code the register is a local, and not there. */
export const registerAddress = (b: Builder, operand: OperandRef): Value => b.let(b.add(b.cpu(), operand.registerOffset()));

/** Where core functions find an operand that was read: the register, or Cpu.TMP128 with the value. */
export function pointerTo(b: Builder, operand: OperandRef, value: Value): Value {
  if (!operand.isMemory) return registerAddress(b, operand);
  b.setState(Cpu.TMP128, value);
  return b.let(b.add(b.cpu(), Cpu.TMP128));
}

// --- v128 expressions

export const v2 = (b: Builder, opcode: Simd, x: Value, y: Value): Value => b.simd('v128', opcode, [x, y]);
export const v1 = (b: Builder, opcode: Simd, x: Value): Value => b.simd('v128', opcode, [x]);
export const zero = (b: Builder): Value => b.v128(new Uint8Array(16));
export const splat64 = (b: Builder, x: Value): Value => v1(b, Simd.I64X2_SPLAT, x);
export const lane64 = (b: Builder, x: Value, lane: 0 | 1): Value => b.simd('i64', Simd.I64X2_EXTRACT_LANE, [x], [lane]);
export const withLane64 = (b: Builder, x: Value, lane: 0 | 1, value: Value): Value => b.simd('v128', Simd.I64X2_REPLACE_LANE, [x, value], [lane]);
/** The i64 in the low half, zero in the upper one. */
export const fromLow64 = (b: Builder, x: Value): Value => withLane64(b, zero(b), 0, x);

/** Bytes 0-15 of x and 16-31 of y, by number. */
export const shuffle = (b: Builder, x: Value, y: Value, bytes: readonly number[]): Value => b.simd('v128', Simd.I8X16_SHUFFLE, [x, y], bytes);

/** A pattern of lanes of `size` bytes as a pattern of bytes; lanes of the second vector follow those of the first. */
export const lanes = (size: number, pattern: readonly number[]): number[] => pattern.flatMap((n) => Array.from({ length: size }, (_, k) => n * size + k));

/** An operation on whole vectors: (builder, destination, source). */
export type VectorOp = (b: Builder, a: Value, c: Value) => Value;

/** The wasm instruction of the same meaning. */
export const simd = (opcode: Simd): VectorOp => (b, a, c) => v2(b, opcode, a, c);

/** Destination = op(destination, source), on XMM registers with aligned memory. */
export const binary = (op: VectorOp): Meaning =>
  sse((i, b) => {
    const c = readAligned(b, i.src);
    const a = i.dst.read();
    i.dst.write(b.let(op(b, a, c)));
  });

/** The same on MMX registers, computed in the low half of vectors (both halves are the same there). */
export const binaryMmx =
  (op: VectorOp): Meaning =>
  (i, b) => {
    checkMmx(b);
    const c = b.let(splat64(b, i.src.read()));
    const a = b.let(splat64(b, i.dst.read()));
    const r = b.let(lane64(b, op(b, a, c), 0));
    enterMmx(b);
    writeMmx(b, i.dst, r);
  };

/** An operation on the source alone. */
export const unary = (op: (b: Builder, c: Value) => Value): Meaning =>
  sse((i, b) => i.dst.write(b.let(op(b, readAligned(b, i.src)))));

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, n) => from + n);

// --- shifts by a count in a register or an immediate

export interface Shift {
  readonly opcode: Simd;
  /** Bits of a lane. */
  readonly bits: number;
  /** Counts beyond the lane fill with the sign. */
  readonly arithmetic: boolean;
}

/** The vector shifted by a count (i64) of any size. */
export function shiftVector(b: Builder, { opcode, bits, arithmetic }: Shift, a: Value, count: Value): Value {
  const n = b.let(count);
  const over = (): Value => b.gtU(n, bits - 1);
  if (arithmetic) return b.simd('v128', opcode, [a, b.select(over(), b.i32(bits - 1), b.wrap(n))]);
  return b.select(over(), zero(b), b.simd('v128', opcode, [a, b.wrap(n)]));
}

// --- shuffles by an immediate, which need not be known when the code is made

/** 32-bit lanes 0 and 1 from `low`, 2 and 3 from `high` (addresses of vectors), by the immediate's four fields of two bits. */
export function shuffle32(b: Builder, low: Value, high: Value, immediate: Value): Value {
  const selector = b.let(b.wrap(immediate));
  let r = zero(b);
  for (let n = 0; n < 4; n++) {
    const lane = b.and(b.shrU(selector, 2 * n), 3);
    r = b.simd('v128', Simd.I32X4_REPLACE_LANE, [r, b.load('i32', b.add(n < 2 ? low : high, b.shl(lane, 2)), 0)], [n]);
  }
  return r;
}

/** The same of two vectors, by an immediate that is known. */
export const shuffled32 = (b: Builder, low: Value, high: Value, immediate: number): Value =>
  shuffle(b, low, high, lanes(4, [0, 2, 4, 6].map((bit) => ((immediate >> bit) & 3) + (bit < 4 ? 0 : 4))));

/** Four 16-bit lanes of one half of a vector, by the fields of an immediate that is known; the other half is copied. */
export const shuffled16 = (b: Builder, v: Value, half: 0 | 1, immediate: number): Value =>
  shuffle(b, v, v, lanes(2, [0, 1, 2, 3, 4, 5, 6, 7].map((n) => (n >> 2 === half ? half * 4 + ((immediate >> (2 * (n & 3))) & 3) : n))));

/** Four 16-bit lanes from `from` (address of eight bytes), as an i64. */
export function shuffle16(b: Builder, from: Value, immediate: Value): Value {
  const selector = b.let(b.wrap(immediate));
  let r: Value = b.i64(0);
  for (let n = 0; n < 4; n++) {
    const lane = b.and(b.shrU(selector, 2 * n), 3);
    r = b.or(r, b.shl(b.load('i64', b.add(from, b.shl(lane, 1)), 0, 16), 16 * n));
  }
  return b.let(r);
}

/** 16 bytes at an offset (i64 in bytes; 32 and more gives zero) into low, high, zero. */
export function bytesAt(b: Builder, low: Value, high: Value, offset: Value): Value {
  if (offset.isConstant) {
    const from = Number(BigInt.asUintN(32, offset.constant!));
    if (from >= 32) return b.let(zero(b));
    const [first, second] = from < 16 ? [low, high] : [high, zero(b)];
    return b.let(shuffle(b, first, second, range(from & 15, 16)));
  }
  b.setState(Cpu.SCRATCH, low);
  b.setState(Cpu.SCRATCH + 16, high);
  b.setState(Cpu.SCRATCH + 32, zero(b));
  const n = b.let(b.wrap(offset));
  const at = b.select(b.gtU(n, 32), b.i32(32), n);
  return b.let(b.load('v128', b.add(b.cpu(), at), Cpu.SCRATCH));
}

// --- integer operations of MMX (SDM volume 1, 9.4) and their XMM forms (11.4.2)

const bytes = (...n: number[]): number[] => n;
/** Alternating lanes of two vectors from lane `from`. */
const interleave = (size: number, from: number, count: number): number[] =>
  lanes(size, range(from, count).flatMap((n) => [n, n + 16 / size]));

/** High halves of the 32-bit products. */
const multiplyHigh =
  (low: Simd, high: Simd): VectorOp =>
  (b, a, c) =>
    shuffle(b, v2(b, low, a, c), v2(b, high, a, c), lanes(2, [1, 3, 5, 7, 9, 11, 13, 15]));

const multiplyAdd: VectorOp = simd(Simd.I32X4_DOT_I16X8_S);

/** Sums of absolute differences of eight bytes. */
const sumOfDifferences: VectorOp = (b, a, c) => {
  const difference = v2(b, Simd.V128_OR, v2(b, Simd.I8X16_SUB_SAT_U, a, c), v2(b, Simd.I8X16_SUB_SAT_U, c, a));
  const sums = b.let(v1(b, Simd.I32X4_EXTADD_PAIRWISE_I16X8_U, v1(b, Simd.I16X8_EXTADD_PAIRWISE_I8X16_U, difference)));
  const upper = b.simd('v128', Simd.I64X2_SHR_U, [sums, b.i32(32)]);
  const lower = b.simd('v128', Simd.I64X2_SHR_U, [b.simd('v128', Simd.I64X2_SHL, [sums, b.i32(32)]), b.i32(32)]);
  return v2(b, Simd.I64X2_ADD, upper, lower);
};

const multiplyUnsigned32: VectorOp = (b, a, c) => {
  const even = (x: Value): Value => b.simd('v128', Simd.I64X2_SHR_U, [b.simd('v128', Simd.I64X2_SHL, [x, b.i32(32)]), b.i32(32)]);
  return v2(b, Simd.I64X2_MUL, even(a), even(c));
};

const andNot: VectorOp = (b, a, c) => v2(b, Simd.V128_ANDNOT, c, a);

/** Since when the MMX form exists: MMX, SSE, SSE2. The XMM forms are all SSE2's. */
export interface IntegerOp {
  readonly opcode: number;
  readonly name: string;
  readonly op: VectorOp;
  /** The MMX form, where it is not op on the low halves. */
  readonly mmx?: VectorOp | null;
  /** Memory operands of the MMX form have 32 bits. */
  readonly half?: boolean;
  readonly hot?: boolean;
}

const op = (opcode: number, name: string, vectorOp: VectorOp | Simd, more: Partial<IntegerOp> = {}): IntegerOp => ({
  opcode,
  name,
  op: typeof vectorOp === 'number' ? simd(vectorOp) : vectorOp,
  ...more,
});

const pattern =
  (list: readonly number[]): VectorOp =>
  (b, a, c) =>
    shuffle(b, a, c, list);

/** Of an MMX register's eight bytes: destination's are 0-7, source's 16-23; the upper half does not matter. */
const mmxPattern = (list: readonly number[]): VectorOp => pattern([...list, ...list]);

/** Packing: the destination's lanes, then the source's. */
const pack =
  (opcode: Simd): VectorOp =>
  (b, a, c) =>
    v2(b, opcode, a, c);

/** An MMX pack takes its two operands as one vector. */
const packMmx =
  (opcode: Simd): VectorOp =>
  (b, a, c) => {
    const both = b.let(shuffle(b, a, c, lanes(8, [0, 2])));
    return v2(b, opcode, both, both);
  };

export const INTEGER_OPS: readonly IntegerOp[] = [
  op(0x60, 'punpcklbw', pattern(interleave(1, 0, 8)), { half: true, hot: true }),
  op(0x61, 'punpcklwd', pattern(interleave(2, 0, 4)), { half: true, hot: true }),
  op(0x62, 'punpckldq', pattern(interleave(4, 0, 2)), { half: true }),
  op(0x63, 'packsswb', pack(Simd.I8X16_NARROW_I16X8_S), { mmx: packMmx(Simd.I8X16_NARROW_I16X8_S) }),
  op(0x64, 'pcmpgtb', Simd.I8X16_GT_S),
  op(0x65, 'pcmpgtw', Simd.I16X8_GT_S),
  op(0x66, 'pcmpgtd', Simd.I32X4_GT_S),
  op(0x67, 'packuswb', pack(Simd.I8X16_NARROW_I16X8_U), { mmx: packMmx(Simd.I8X16_NARROW_I16X8_U) }),
  op(0x68, 'punpckhbw', pattern(interleave(1, 8, 8)), { mmx: mmxPattern(bytes(4, 20, 5, 21, 6, 22, 7, 23)) }),
  op(0x69, 'punpckhwd', pattern(interleave(2, 4, 4)), { mmx: mmxPattern(lanes(2, [2, 10, 3, 11])) }),
  op(0x6a, 'punpckhdq', pattern(interleave(4, 2, 2)), { mmx: mmxPattern(lanes(4, [1, 5])) }),
  op(0x6b, 'packssdw', pack(Simd.I16X8_NARROW_I32X4_S), { mmx: packMmx(Simd.I16X8_NARROW_I32X4_S) }),
  op(0x6c, 'punpcklqdq', pattern(lanes(8, [0, 2])), { mmx: null, hot: true }),
  op(0x6d, 'punpckhqdq', pattern(lanes(8, [1, 3])), { mmx: null }),
  op(0x74, 'pcmpeqb', Simd.I8X16_EQ, { hot: true }),
  op(0x75, 'pcmpeqw', Simd.I16X8_EQ),
  op(0x76, 'pcmpeqd', Simd.I32X4_EQ, { hot: true }),
  op(0xd4, 'paddq', Simd.I64X2_ADD, { hot: true }),
  op(0xd5, 'pmullw', Simd.I16X8_MUL),
  op(0xd8, 'psubusb', Simd.I8X16_SUB_SAT_U),
  op(0xd9, 'psubusw', Simd.I16X8_SUB_SAT_U),
  op(0xda, 'pminub', Simd.I8X16_MIN_U, { hot: true }),
  op(0xdb, 'pand', Simd.V128_AND, { hot: true }),
  op(0xdc, 'paddusb', Simd.I8X16_ADD_SAT_U),
  op(0xdd, 'paddusw', Simd.I16X8_ADD_SAT_U),
  op(0xde, 'pmaxub', Simd.I8X16_MAX_U),
  op(0xdf, 'pandn', andNot),
  op(0xe0, 'pavgb', Simd.I8X16_AVGR_U),
  op(0xe3, 'pavgw', Simd.I16X8_AVGR_U),
  op(0xe4, 'pmulhuw', multiplyHigh(Simd.I32X4_EXTMUL_LOW_I16X8_U, Simd.I32X4_EXTMUL_HIGH_I16X8_U)),
  op(0xe5, 'pmulhw', multiplyHigh(Simd.I32X4_EXTMUL_LOW_I16X8_S, Simd.I32X4_EXTMUL_HIGH_I16X8_S)),
  op(0xe8, 'psubsb', Simd.I8X16_SUB_SAT_S),
  op(0xe9, 'psubsw', Simd.I16X8_SUB_SAT_S),
  op(0xea, 'pminsw', Simd.I16X8_MIN_S),
  op(0xeb, 'por', Simd.V128_OR, { hot: true }),
  op(0xec, 'paddsb', Simd.I8X16_ADD_SAT_S),
  op(0xed, 'paddsw', Simd.I16X8_ADD_SAT_S),
  op(0xee, 'pmaxsw', Simd.I16X8_MAX_S),
  op(0xef, 'pxor', Simd.V128_XOR, { hot: true }),
  op(0xf4, 'pmuludq', multiplyUnsigned32),
  op(0xf5, 'pmaddwd', multiplyAdd),
  op(0xf6, 'psadbw', sumOfDifferences),
  op(0xf8, 'psubb', Simd.I8X16_SUB, { hot: true }),
  op(0xf9, 'psubw', Simd.I16X8_SUB),
  op(0xfa, 'psubd', Simd.I32X4_SUB),
  op(0xfb, 'psubq', Simd.I64X2_SUB),
  op(0xfc, 'paddb', Simd.I8X16_ADD),
  op(0xfd, 'paddw', Simd.I16X8_ADD),
  op(0xfe, 'paddd', Simd.I32X4_ADD, { hot: true }),
];

/** Shifts: name, opcode of the form with a count in a register or memory, and group (71, 72, 73) and reg field of the immediate one. */
export const SHIFTS: readonly (Shift & { name: string; code: number; group: number; ext: number })[] = [
  { name: 'psrlw', code: 0xd1, group: 0x71, ext: 2, opcode: Simd.I16X8_SHR_U, bits: 16, arithmetic: false },
  { name: 'psrld', code: 0xd2, group: 0x72, ext: 2, opcode: Simd.I32X4_SHR_U, bits: 32, arithmetic: false },
  { name: 'psrlq', code: 0xd3, group: 0x73, ext: 2, opcode: Simd.I64X2_SHR_U, bits: 64, arithmetic: false },
  { name: 'psraw', code: 0xe1, group: 0x71, ext: 4, opcode: Simd.I16X8_SHR_S, bits: 16, arithmetic: true },
  { name: 'psrad', code: 0xe2, group: 0x72, ext: 4, opcode: Simd.I32X4_SHR_S, bits: 32, arithmetic: true },
  { name: 'psllw', code: 0xf1, group: 0x71, ext: 6, opcode: Simd.I16X8_SHL, bits: 16, arithmetic: false },
  { name: 'pslld', code: 0xf2, group: 0x72, ext: 6, opcode: Simd.I32X4_SHL, bits: 32, arithmetic: false },
  { name: 'psllq', code: 0xf3, group: 0x73, ext: 6, opcode: Simd.I64X2_SHL, bits: 64, arithmetic: false },
];

/** A 16-bit lane number (i64 immediate) as a byte offset into a vector of `count` lanes (i32). */
export const laneOffset = (b: Builder, immediate: Value, count: number): Value => b.shl(b.and(b.wrap(immediate), count - 1), 1);

/** Last operand of an instruction with an immediate. */
export const immediate = (i: Instruction): Value => i.operands[i.operands.length - 1].read();
