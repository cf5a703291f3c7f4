// x87 arithmetic, comparison and the other instructions that compute on the register stack, except the transcendental ones.
// Intel SDM, volume 1, 8.3 (instruction set) and 8.5 (exceptions); volume 2 for each instruction.

import { Cpu, Rflags, Status, X87Op } from '../layout';
import {
  Env, Flag, Kind, R, Relation, Remainder, X, Y, add, compare, copyXtoY, divide, invalid, multiply, noteDenormalX, propagateX,
  propagateXY, remainder, resultInfinity, resultX, resultZero, round, roundToInteger, setFinite, setNormalised, squareRoot,
  subtract, swapXY, noteDenormals,
} from './softfloat';
import { unpack32, unpack64, unpackInteger } from './softfloat-format';
import { quick, quickRoot } from './x87-quick';
import {
  Fsw, begin, beginKeepingC1, clearC1, deliver, isEmpty, isMasked, loadX, pop, precision, pushR, roomToPush, setEmpty, setTop, settle, st, stackUnderflow,
  stopped, writeR, writeRegister, physical, notePointers,
} from './x87-state';

/** R = X op Y. */
export function compute(op: u32): void {
  switch (op) {
    case X87Op.ADD:
      add();
      break;
    case X87Op.MUL:
      multiply();
      break;
    case X87Op.SUB:
      subtract();
      break;
    case X87Op.SUBR:
      swapXY();
      subtract();
      break;
    case X87Op.DIV:
      divide();
      break;
    default:
      swapXY();
      divide();
      break;
  }
}

/** After the short way of x87-quick.ts: what begin() and settle() do. */
function settleQuick(cpu: u32, bits: i32): void {
  store<u32>(cpu, (load<u32>(cpu, Cpu.FSW) & ~Fsw.C1) | u32(bits), Cpu.FSW);
  notePointers(cpu);
}

/** ST(i) = ST(i) op a number, by the short way; false if it does not go there. */
function quickly(cpu: u32, op: u32, i: u32, significand: u64, signExponent: u32): bool {
  const bits = isEmpty(cpu, i) ? -1 : quick(st(cpu, i), load<u32>(cpu, Cpu.FCW), op, significand, signExponent);
  if (bits < 0) return false;
  settleQuick(cpu, bits);
  return true;
}

/** FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR between registers: ST(dst) = ST(dst) op ST(src), then a pop if `pops`. */
export function x87_arith(cpu: u32, op: u32, dst: u32, src: u32, pops: u32): i32 {
  const source = st(cpu, src);
  if (!isEmpty(cpu, src) && quickly(cpu, op, dst, load<u64>(source), load<u16>(source, 8))) {
    if (pops) pop(cpu);
    return Status.NEXT;
  }
  begin(cpu);
  if (isEmpty(cpu, dst) || isEmpty(cpu, src)) {
    stackUnderflow();
  } else {
    loadX(cpu, src);
    copyXtoY();
    loadX(cpu, dst);
    compute(op);
  }
  if (deliver(cpu, dst, precision(cpu)) && pops) pop(cpu);
  return Status.NEXT;
}

/** ST(0) = ST(0) op Y, or a comparison; Y is unpacked already, X is not. */
function arithmeticY(cpu: u32, op: u32): i32 {
  if (op == X87Op.COM || op == X87Op.COMP) {
    compareST0Y(cpu, true, op == X87Op.COMP ? 1 : 0);
    return Status.NEXT;
  }
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
  } else {
    loadX(cpu, 0);
    compute(op);
  }
  deliver(cpu, 0, precision(cpu));
  return Status.NEXT;
}

/** FADD m32 and its like, FCOM m32 and FCOMP m32 included. */
export function x87_arith_m32(cpu: u32, op: u32, bits: u64): i32 {
  const exponent = u32(bits >> 23) & 0xff;
  if (exponent - 1 < 0xfe && (op & 6) != X87Op.COM) {
    if (quickly(cpu, op, 0, 0x8000_0000_0000_0000 | (bits << 40), ((u32(bits) >> 31) << 15) | (exponent + 16256))) return Status.NEXT;
  }
  begin(cpu);
  unpack32(u32(bits));
  copyXtoY();
  return arithmeticY(cpu, op);
}

/** FADD m64 and its like. */
export function x87_arith_m64(cpu: u32, op: u32, bits: u64): i32 {
  const exponent = u32(bits >> 52) & 0x7ff;
  if (exponent - 1 < 0x7fe && (op & 6) != X87Op.COM) {
    if (quickly(cpu, op, 0, 0x8000_0000_0000_0000 | (bits << 11), (u32(bits >> 63) << 15) | (exponent + 15360))) return Status.NEXT;
  }
  begin(cpu);
  unpack64(bits);
  copyXtoY();
  return arithmeticY(cpu, op);
}

/** FIADD and its like; the integer is sign-extended by the caller. */
export function x87_arith_int(cpu: u32, op: u32, value: i64): i32 {
  begin(cpu);
  unpackInteger(value);
  copyXtoY();
  return arithmeticY(cpu, op);
}

// --- comparison ---

function setCondition(cpu: u32, bits: u32): void {
  store<u32>(cpu, (load<u32>(cpu, Cpu.FSW) & ~Fsw.CONDITION) | bits, Cpu.FSW);
}

export function conditionOf(relation: i32): u32 {
  switch (relation) {
    case Relation.GREATER:
      return 0;
    case Relation.LESS:
      return Fsw.C0;
    case Relation.EQUAL:
      return Fsw.C3;
    default:
      return Fsw.C0 | Fsw.C2 | Fsw.C3;
  }
}

function compareST0Y(cpu: u32, signaling: bool, pops: u32): void {
  let relation: i32 = Relation.UNORDERED;
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
  } else {
    loadX(cpu, 0);
    relation = compare(signaling);
  }
  setCondition(cpu, conditionOf(relation));
  finishCompare(cpu, pops);
}

function finishCompare(cpu: u32, pops: u32): void {
  const done = !stopped();
  settle(cpu);
  if (!done) return;
  while (pops--) pop(cpu);
}

function compareRegisters(cpu: u32, i: u32, unordered: u32): i32 {
  if (isEmpty(cpu, 0) || isEmpty(cpu, i)) {
    stackUnderflow();
    return Relation.UNORDERED;
  }
  loadX(cpu, i);
  copyXtoY();
  loadX(cpu, 0);
  return compare(!unordered);
}

/** FCOM, FCOMP, FCOMPP and FUCOM, FUCOMP, FUCOMPP: ST(0) with ST(i), then `pops` pops. */
export function x87_com(cpu: u32, i: u32, unordered: u32, pops: u32): i32 {
  begin(cpu);
  setCondition(cpu, conditionOf(compareRegisters(cpu, i, unordered)));
  finishCompare(cpu, pops);
  return Status.NEXT;
}

/** FCOMI, FCOMIP, FUCOMI, FUCOMIP: returns the relation as the six arithmetic flags (ZF, PF and CF; the others clear). */
export function x87_comi(cpu: u32, i: u32, unordered: u32, pops: u32): u32 {
  beginKeepingC1(cpu);
  const relation = compareRegisters(cpu, i, unordered);
  if (Env.flags & Fsw.SF) clearC1(cpu);
  // EFLAGS change even if an unmasked exception keeps the stack from being popped.
  finishCompare(cpu, pops);
  return relationFlags(relation);
}

/** ZF, PF and CF as FCOMI, COMISS and their like set them. */
export function relationFlags(relation: i32): u32 {
  switch (relation) {
    case Relation.GREATER:
      return 0;
    case Relation.LESS:
      return Rflags.CF;
    case Relation.EQUAL:
      return Rflags.ZF;
    default:
      return Rflags.ZF | Rflags.PF | Rflags.CF;
  }
}

/** FTST: ST(0) with 0.0. */
export function x87_ftst(cpu: u32): i32 {
  begin(cpu);
  unpackInteger(0);
  copyXtoY();
  compareST0Y(cpu, true, 0);
  return Status.NEXT;
}

/** FXAM: class of ST(0) in C3, C2, C0, its sign in C1. */
export function x87_fxam(cpu: u32): i32 {
  begin(cpu);
  loadX(cpu, 0);
  let condition: u32;
  if (isEmpty(cpu, 0)) condition = Fsw.C3 | Fsw.C0;
  else {
    switch (X.kind) {
      case Kind.ZERO:
        condition = Fsw.C3;
        break;
      case Kind.FINITE:
        condition = X.denormal ? Fsw.C3 | Fsw.C2 : Fsw.C2;
        break;
      case Kind.INFINITE:
        condition = Fsw.C2 | Fsw.C0;
        break;
      case Kind.UNSUPPORTED:
        condition = 0;
        break;
      default:
        condition = Fsw.C0;
        break;
    }
  }
  if (X.sign) condition |= Fsw.C1;
  setCondition(cpu, condition);
  return Status.NEXT;
}

// --- one operand ---

/** FCHS (mask 0x8000 to flip) and FABS. */
export function x87_fchs(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) return underflowAt(cpu, 0);
  const address = st(cpu, 0);
  store<u16>(address, load<u16>(address, 8) ^ 0x8000, 8);
  return Status.NEXT;
}

export function x87_fabs(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) return underflowAt(cpu, 0);
  const address = st(cpu, 0);
  store<u16>(address, load<u16>(address, 8) & 0x7fff, 8);
  return Status.NEXT;
}

/** Stack underflow of an instruction whose result would go to ST(i). */
function underflowAt(cpu: u32, i: u32): i32 {
  stackUnderflow();
  if (isMasked(Flag.IE)) writeR(cpu, i);
  settle(cpu);
  return Status.NEXT;
}

export function x87_fsqrt(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) return underflowAt(cpu, 0);
  const bits = quickRoot(st(cpu, 0), load<u32>(cpu, Cpu.FCW));
  if (bits >= 0) {
    settleQuick(cpu, bits);
    return Status.NEXT;
  }
  loadX(cpu, 0);
  squareRoot();
  deliver(cpu, 0, precision(cpu));
  return Status.NEXT;
}

export function x87_frndint(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) return underflowAt(cpu, 0);
  loadX(cpu, 0);
  if (!propagateX()) {
    noteDenormalX();
    resultX();
    if (!stopped()) roundToInteger();
  }
  if (!stopped()) writeR(cpu, 0);
  settle(cpu);
  return Status.NEXT;
}

/** FSCALE: ST(0) * 2 ^ (ST(1) cut to an integer). */
export function x87_fscale(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) return underflowAt(cpu, 0);
  loadX(cpu, 1);
  copyXtoY();
  loadX(cpu, 0);
  scale();
  deliver(cpu, 0, 64);
  return Status.NEXT;
}

function scale(): void {
  if (propagateXY()) return;
  if (Y.kind == Kind.INFINITE) {
    if (Y.sign) {
      if (X.kind == Kind.INFINITE) invalid();
      else {
        noteDenormalX();
        resultZero(X.sign);
      }
    } else if (X.kind == Kind.ZERO) invalid();
    else {
      noteDenormalX();
      resultInfinity(X.sign);
    }
    return;
  }
  noteDenormals();
  resultX();
  if (X.kind != Kind.FINITE || Y.kind != Kind.FINITE || Y.exp < 0) return;
  // Beyond 2^16 every number has long over- or underflowed, an unmasked response's moved exponent included.
  let by = Y.exp > 16 ? 0x1_0000 : i32(Y.sig >> (63 - Y.exp));
  if (by > 0x1_0000) by = 0x1_0000;
  R.exp += Y.sign ? -by : by;
}

/** FXTRACT: the exponent replaces ST(0), the significand is pushed. */
export function x87_fxtract(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
    if (isMasked(Flag.IE)) {
      writeR(cpu, 0);
      pushR(cpu);
    }
    settle(cpu);
    return Status.NEXT;
  }
  if (!roomToPush(cpu)) {
    if (isMasked(Flag.IE)) {
      invalid();
      writeR(cpu, 0);
      pushR(cpu);
    }
    settle(cpu);
    return Status.NEXT;
  }
  loadX(cpu, 0);
  if (propagateX()) {
    if (!stopped()) {
      writeR(cpu, 0);
      pushR(cpu);
    }
  } else if (X.kind == Kind.ZERO) {
    Env.flags |= Flag.ZE;
    if (!stopped()) {
      resultInfinity(1);
      writeR(cpu, 0);
      resultZero(X.sign);
      pushR(cpu);
    }
  } else if (X.kind == Kind.INFINITE) {
    resultInfinity(0);
    writeR(cpu, 0);
    resultInfinity(X.sign);
    pushR(cpu);
  } else {
    noteDenormalX();
    if (!stopped()) {
      const exp = X.exp;
      if (exp == 0) resultZero(0);
      else setNormalised(u32(exp < 0), 63, u64(abs(exp)), 0);
      writeR(cpu, 0);
      setFinite(X.sign, 0, X.sig, 0);
      pushR(cpu);
    }
  }
  settle(cpu);
  return Status.NEXT;
}

/** FPREM (nearest = 0) and FPREM1 (1): remainder of ST(0) by ST(1), quotient bits 2, 1, 0 in C0, C3, C1. */
export function x87_fprem(cpu: u32, nearest: u32): i32 {
  begin(cpu);
  // Without a numeric result C2 (and C1) are cleared, and the other quotient bits are left.
  store<u32>(cpu, load<u32>(cpu, Cpu.FSW) & ~Fsw.C2, Cpu.FSW);
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) return underflowAt(cpu, 0);
  loadX(cpu, 1);
  copyXtoY();
  loadX(cpu, 0);
  remainder(nearest != 0);
  const done = deliver(cpu, 0, 64);
  if (done && R.kind < Kind.QNAN) {
    let condition: u32 = Remainder.partial ? Fsw.C2 : 0;
    const quotient = Remainder.quotient;
    if (quotient & 1) condition |= Fsw.C1;
    if (quotient & 2) condition |= Fsw.C3;
    if (quotient & 4) condition |= Fsw.C0;
    setCondition(cpu, condition);
  }
  return Status.NEXT;
}

// --- moves between registers ---

/** FXCH. Empty registers become real indefinite, if stack faults are masked. */
export function x87_fxch(cpu: u32, i: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0) || isEmpty(cpu, i)) {
    stackUnderflow();
    if (!isMasked(Flag.IE)) {
      settle(cpu);
      return Status.NEXT;
    }
    if (isEmpty(cpu, 0)) writeR(cpu, 0);
    if (isEmpty(cpu, i)) writeR(cpu, i);
    settle(cpu);
  }
  const a = st(cpu, 0);
  const b = st(cpu, i);
  const significand = load<u64>(a);
  const signExponent = load<u16>(a, 8);
  store<u64>(a, load<u64>(b));
  store<u16>(a, load<u16>(b, 8), 8);
  store<u64>(b, significand);
  store<u16>(b, signExponent, 8);
  return Status.NEXT;
}

/** FCMOVcc; the caller evaluates the condition. */
export function x87_fcmov(cpu: u32, i: u32, condition: i32): i32 {
  beginKeepingC1(cpu);
  if (isEmpty(cpu, 0) || isEmpty(cpu, i)) {
    clearC1(cpu);
    return underflowAt(cpu, 0);
  }
  if (condition) {
    const source = st(cpu, i);
    writeRegister(cpu, 0, load<u64>(source), load<u16>(source, 8));
  }
  return Status.NEXT;
}

/** FFREE, and FFREEP if `pops`. */
export function x87_ffree(cpu: u32, i: u32, pops: u32): i32 {
  begin(cpu);
  setEmpty(cpu, i);
  if (pops) pop(cpu);
  return Status.NEXT;
}

/** FINCSTP (1) and FDECSTP (7). */
export function x87_rotate(cpu: u32, by: u32): i32 {
  begin(cpu);
  setTop(cpu, physical(cpu, by));
  return Status.NEXT;
}

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ: the rm field of opcodes D9 E8-EE. The last bit follows FCW.RC. */
export function x87_constant(cpu: u32, which: u32): i32 {
  begin(cpu);
  if (!roomToPush(cpu)) {
    invalid();
  } else {
    switch (which) {
      case 0:
        setFinite(0, 0, 0x8000_0000_0000_0000, 0);
        break;
      case 1:
        setFinite(0, 1, 0xd49a_784b_cd1b_8afe, 0x492b_f6ff_4daf_db4c);
        break;
      case 2:
        setFinite(0, 0, 0xb8aa_3b29_5c17_f0bb, 0xbe87_fed0_691d_3e88);
        break;
      case 3:
        setFinite(0, 1, 0xc90f_daa2_2168_c234, 0xc4c6_628b_80dc_1cd1);
        break;
      case 4:
        setFinite(0, -2, 0x9a20_9a84_fbcf_f798, 0x8f89_59ac_0b7c_9178);
        break;
      case 5:
        setFinite(0, -1, 0xb172_17f7_d1cf_79ab, 0xc9e3_b398_03f2_f6af);
        break;
      default:
        resultZero(0);
        break;
    }
    round(64, -16382, 16383);
    Env.flags = 0;
    Env.roundedUp = false;
  }
  if (!stopped()) pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}
