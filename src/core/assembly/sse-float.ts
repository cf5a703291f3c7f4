// SSE to SSE3 floating-point arithmetic and comparison, bit for bit with all of MXCSR: what the instruction tables call when WebAssembly's
// own arithmetic would not do (flags not yet sticky, other rounding, denormals, NaNs).
// Intel SDM, volume 1, 10.4, 11.4, 12.3 and appendix E.4.2 (results and exceptions of each instruction).
//
// Operands are addresses of 16 bytes (an XMM register, or Cpu.TMP128 with a memory operand); the result goes to dst unless a Status
// says that an exception is pending.

import { Cpu, Status } from '../layout';
import {
  Flag, Kind, Relation, X, Y, Env, add, compare, divide, multiply, squareRoot, subtract,
} from './softfloat';
import { pack32, pack64 } from './softfloat-format';
import { beginSse, loadX32, loadX64, loadXY32, loadXY64, settleSse } from './sse-state';
import { relationFlags } from './x87-arithmetic';

/** Operation numbers: the low three bits of opcodes 0F 58 to 0F 5F; SQRT is 0F 51. */
export const enum SseOp {
  ADD = 0,
  MUL = 1,
  SQRT = 3,
  SUB = 4,
  MIN = 5,
  DIV = 6,
  MAX = 7,
}

/** Whether MIN or MAX gives its first operand; the second wins ties of zeros, and if either is a NaN. */
function firstWins(op: u32): bool {
  if (max(X.kind, Y.kind) >= Kind.QNAN) {
    Env.flags |= Flag.IE;
    return false;
  }
  const relation = compare(false);
  return relation == (op == SseOp.MIN ? Relation.LESS : Relation.GREATER);
}

function compute(op: u32): void {
  switch (op) {
    case SseOp.ADD:
      add();
      break;
    case SseOp.MUL:
      multiply();
      break;
    case SseOp.SUB:
      subtract();
      break;
    default:
      divide();
      break;
  }
}

function lane32(op: u32, a: u32, b: u32): u32 {
  if (op == SseOp.SQRT) {
    loadX32(b);
    squareRoot();
    return pack32();
  }
  loadXY32(a, b);
  if (op == SseOp.MIN || op == SseOp.MAX) {
    const first = firstWins(op);
    return first ? (X.kind == Kind.ZERO ? a & 0x8000_0000 : a) : Y.kind == Kind.ZERO ? b & 0x8000_0000 : b;
  }
  compute(op);
  return pack32();
}

function lane64(op: u32, a: u64, b: u64): u64 {
  if (op == SseOp.SQRT) {
    loadX64(b);
    squareRoot();
    return pack64();
  }
  loadXY64(a, b);
  if (op == SseOp.MIN || op == SseOp.MAX) {
    const first = firstWins(op);
    return first ? (X.kind == Kind.ZERO ? a & 0x8000_0000_0000_0000 : a) : Y.kind == Kind.ZERO ? b & 0x8000_0000_0000_0000 : b;
  }
  compute(op);
  return pack64();
}

/** Copies the result in Cpu.TMP128B to dst, if settleSse() allows it. */
function commit(cpu: u32, dst: u32, bytes: u32): i32 {
  if (!settleSse(cpu)) return Status.FAULT;
  switch (bytes) {
    case 4:
      store<u32>(dst, load<u32>(cpu, Cpu.TMP128B));
      break;
    case 8:
      store<u64>(dst, load<u64>(cpu, Cpu.TMP128B));
      break;
    default:
      v128.store(dst, v128.load(cpu, Cpu.TMP128B));
      break;
  }
  return Status.NEXT;
}

/** ADDPS and its like: `lanes` of 4 for packed, 1 for scalar. */
export function sse_arith32(cpu: u32, op: u32, lanes: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const bytes = lanes << 2;
  for (let n: u32 = 0; n < bytes; n += 4) store<u32>(cpu + n, lane32(op, load<u32>(dst + n), load<u32>(src + n)), Cpu.TMP128B);
  return commit(cpu, dst, bytes);
}

/** ADDPD and its like: `lanes` of 2 for packed, 1 for scalar. */
export function sse_arith64(cpu: u32, op: u32, lanes: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const bytes = lanes << 3;
  for (let n: u32 = 0; n < bytes; n += 8) store<u64>(cpu + n, lane64(op, load<u64>(dst + n), load<u64>(src + n)), Cpu.TMP128B);
  return commit(cpu, dst, bytes);
}

/** ADDSUBPS: even lanes subtract, odd lanes add. */
export function sse_addsub32(cpu: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  for (let n: u32 = 0; n < 16; n += 4) {
    store<u32>(cpu + n, lane32(n & 4 ? SseOp.ADD : SseOp.SUB, load<u32>(dst + n), load<u32>(src + n)), Cpu.TMP128B);
  }
  return commit(cpu, dst, 16);
}

/** ADDSUBPD. */
export function sse_addsub64(cpu: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  store<u64>(cpu, lane64(SseOp.SUB, load<u64>(dst), load<u64>(src)), Cpu.TMP128B);
  store<u64>(cpu, lane64(SseOp.ADD, load<u64>(dst, 8), load<u64>(src, 8)), Cpu.TMP128B + 8);
  return commit(cpu, dst, 16);
}

/** HADDPS, HSUBPS (op ADD or SUB). */
export function sse_horizontal32(cpu: u32, op: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  store<u32>(cpu, lane32(op, load<u32>(dst), load<u32>(dst, 4)), Cpu.TMP128B);
  store<u32>(cpu, lane32(op, load<u32>(dst, 8), load<u32>(dst, 12)), Cpu.TMP128B + 4);
  store<u32>(cpu, lane32(op, load<u32>(src), load<u32>(src, 4)), Cpu.TMP128B + 8);
  store<u32>(cpu, lane32(op, load<u32>(src, 8), load<u32>(src, 12)), Cpu.TMP128B + 12);
  return commit(cpu, dst, 16);
}

/** HADDPD, HSUBPD. */
export function sse_horizontal64(cpu: u32, op: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  store<u64>(cpu, lane64(op, load<u64>(dst), load<u64>(dst, 8)), Cpu.TMP128B);
  store<u64>(cpu, lane64(op, load<u64>(src), load<u64>(src, 8)), Cpu.TMP128B + 8);
  return commit(cpu, dst, 16);
}

/** Predicates of CMPPS and its like: EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD. X and Y are loaded. */
function predicate(which: u32): bool {
  const relation = compare((which & 3) == 1 || (which & 3) == 2);
  let holds: bool;
  switch (which & 3) {
    case 0:
      holds = relation == Relation.EQUAL;
      break;
    case 1:
      holds = relation == Relation.LESS;
      break;
    case 2:
      holds = relation == Relation.LESS || relation == Relation.EQUAL;
      break;
    default:
      holds = relation == Relation.UNORDERED;
      break;
  }
  return holds != ((which & 4) != 0);
}

/** CMPPS (4 lanes), CMPSS (1). */
export function sse_cmp32(cpu: u32, which: u32, lanes: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const bytes = lanes << 2;
  for (let n: u32 = 0; n < bytes; n += 4) {
    loadXY32(load<u32>(dst + n), load<u32>(src + n));
    store<u32>(cpu + n, predicate(which) ? 0xffff_ffff : 0, Cpu.TMP128B);
  }
  return commit(cpu, dst, bytes);
}

/** CMPPD (2 lanes), CMPSD (1). */
export function sse_cmp64(cpu: u32, which: u32, lanes: u32, dst: u32, src: u32): i32 {
  beginSse(cpu);
  const bytes = lanes << 3;
  for (let n: u32 = 0; n < bytes; n += 8) {
    loadXY64(load<u64>(dst + n), load<u64>(src + n));
    store<u64>(cpu + n, predicate(which) ? u64.MAX_VALUE : 0, Cpu.TMP128B);
  }
  return commit(cpu, dst, bytes);
}

/** COMISS (signaling = 1), UCOMISS (0), on float32 bits: returns the six arithmetic flags. Cpu.FAULT is set if an exception is pending. */
export function sse_comi32(cpu: u32, signaling: u32, a: u64, b: u64): u32 {
  beginSse(cpu);
  loadXY32(u32(a), u32(b));
  const relation = compare(signaling != 0);
  settleSse(cpu);
  return relationFlags(relation);
}

/** COMISD (signaling = 1), UCOMISD (0), on float64 bits. */
export function sse_comi64(cpu: u32, signaling: u32, a: u64, b: u64): u32 {
  beginSse(cpu);
  loadXY64(a, b);
  const relation = compare(signaling != 0);
  settleSse(cpu);
  return relationFlags(relation);
}
