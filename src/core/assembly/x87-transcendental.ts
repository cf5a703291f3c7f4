// x87 transcendental instructions: operands, special cases and exceptions; the functions themselves are in elementary.ts.
// Intel SDM, volume 2, F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS (their tables of results).

import { Cpu, Status } from '../layout';
import {
  Env, Flag, Kind, R, X, Y, copyXtoY, invalid, noteDenormalX, noteDenormals, propagateX, propagateXY, resultInfinity, resultX,
  resultZero, round, setFinite,
} from './softfloat';
import {
  arcTangent, exponentialMinusOne, logarithmOnePlusX, logarithmX, quarterTurns, reduceAngle, sineOrCosine, tangent,
} from './elementary';
import {
  Fsw, begin, deliver, isEmpty, isMasked, loadX, pop, pushR, roomToPush, settle, stackUnderflow, stopped, writeR,
} from './x87-state';

const ONE: u64 = 0x8000_0000_0000_0000;

function clearC2(cpu: u32): void {
  store<u32>(cpu, load<u32>(cpu, Cpu.FSW) & ~Fsw.C2, Cpu.FSW);
}

/** An argument of 2^63 and more: C2, and nothing else happens. */
function outOfRange(cpu: u32): bool {
  if (X.kind != Kind.FINITE || X.exp < 63) return false;
  store<u32>(cpu, load<u32>(cpu, Cpu.FSW) | Fsw.C2, Cpu.FSW);
  return true;
}

/** FSIN (turn = 0) and FCOS (turn = 1). */
export function x87_fsin(cpu: u32, turn: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
    clearC2(cpu);
  } else {
    loadX(cpu, 0);
    if (outOfRange(cpu)) return Status.NEXT;
    clearC2(cpu);
    if (!propagateX()) {
      noteDenormalX();
      if (X.kind == Kind.INFINITE) invalid();
      else if (X.kind == Kind.ZERO) {
        if (turn) setFinite(0, 0, ONE, 0);
        else resultZero(X.sign);
      } else if (!stopped()) {
        reduceAngle();
        sineOrCosine(turn);
      }
    }
  }
  deliver(cpu, 0, 64);
  return Status.NEXT;
}

/** Both results of FSINCOS or FPTAN are the same NaN (R). */
function deliverTwice(cpu: u32): void {
  if (!stopped()) {
    writeR(cpu, 0);
    pushR(cpu);
  }
  settle(cpu);
}

/** The operand of FSINCOS and FPTAN in X. False if the instruction has ended already. */
function loadForTwoResults(cpu: u32): bool {
  begin(cpu);
  if (isEmpty(cpu, 0) || !roomToPush(cpu)) {
    const roundedUp = Env.roundedUp;
    stackUnderflow();
    Env.roundedUp = roundedUp;
    clearC2(cpu);
    deliverTwice(cpu);
    return false;
  }
  loadX(cpu, 0);
  if (outOfRange(cpu)) return false;
  clearC2(cpu);
  if (propagateX()) {
    deliverTwice(cpu);
    return false;
  }
  if (X.kind == Kind.INFINITE) {
    invalid();
    deliverTwice(cpu);
    return false;
  }
  noteDenormalX();
  if (stopped()) {
    settle(cpu);
    return false;
  }
  return true;
}

/** FSINCOS: the sine replaces ST(0), the cosine is pushed. */
export function x87_fsincos(cpu: u32): i32 {
  if (!loadForTwoResults(cpu)) return Status.NEXT;
  if (X.kind == Kind.ZERO) {
    resultZero(X.sign);
    writeR(cpu, 0);
    setFinite(0, 0, ONE, 0);
    pushR(cpu);
    settle(cpu);
    return Status.NEXT;
  }
  reduceAngle();
  sineOrCosine(0);
  round(64, -16382, 16383);
  writeR(cpu, 0);
  sineOrCosine(1);
  round(64, -16382, 16383);
  pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}

/** FPTAN: the tangent replaces ST(0), 1.0 is pushed. */
export function x87_fptan(cpu: u32): i32 {
  if (!loadForTwoResults(cpu)) return Status.NEXT;
  if (X.kind == Kind.ZERO) resultZero(X.sign);
  else {
    reduceAngle();
    tangent();
  }
  round(64, -16382, 16383);
  writeR(cpu, 0);
  setFinite(0, 0, ONE, 0);
  pushR(cpu);
  settle(cpu);
  return Status.NEXT;
}

/** X = ST(0), Y = ST(1); false, with R the real indefinite, on a stack underflow. */
function loadTwo(cpu: u32): bool {
  begin(cpu);
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) {
    stackUnderflow();
    return false;
  }
  loadX(cpu, 1);
  copyXtoY();
  loadX(cpu, 0);
  return true;
}

function deliverToST1(cpu: u32): i32 {
  if (deliver(cpu, 1, 64)) pop(cpu);
  return Status.NEXT;
}

/** FPATAN: ST(1) = arc tangent of ST(1) / ST(0), pop. */
export function x87_fpatan(cpu: u32): i32 {
  if (loadTwo(cpu) && !propagateXY()) {
    noteDenormals();
    if (Y.kind == Kind.INFINITE) quarterTurns(X.kind == Kind.INFINITE ? (X.sign ? 3 : 1) : 2, Y.sign);
    else if (Y.kind == Kind.ZERO || X.kind == Kind.INFINITE) {
      if (X.sign) quarterTurns(4, Y.sign);
      else resultZero(Y.sign);
    } else if (X.kind == Kind.ZERO) quarterTurns(2, Y.sign);
    else if (!stopped()) arcTangent();
  }
  return deliverToST1(cpu);
}

/** F2XM1: 2^ST(0) - 1 for arguments from -1 to 1. */
export function x87_f2xm1(cpu: u32): i32 {
  begin(cpu);
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
  } else {
    loadX(cpu, 0);
    if (!propagateX()) {
      noteDenormalX();
      if (X.kind == Kind.ZERO) resultZero(X.sign);
      else if (X.kind == Kind.INFINITE) {
        if (X.sign) setFinite(1, 0, ONE, 0);
        else resultInfinity(0);
      } else if (X.exp >= 0) {
        // 1 and -1 have exact results. Farther out the result is undefined; the operand comes back, as on AMD's processors.
        if (X.exp == 0 && X.sig == ONE) setFinite(X.sign, X.sign ? -1 : 0, ONE, 0);
        else resultX();
        Env.flags |= Flag.PE;
      } else if (!stopped()) exponentialMinusOne();
    }
  }
  deliver(cpu, 0, 64);
  return Status.NEXT;
}

/** -1, 0 or 1: sign of log2 of a positive X that is not a NaN. */
function logarithmSign(): i32 {
  if (X.kind == Kind.INFINITE) return 1;
  if (X.kind == Kind.ZERO || X.exp < 0) return -1;
  return X.exp == 0 && X.sig == ONE ? 0 : 1;
}

/** Exact results, of powers of 2, are reported as inexact too, and so as underflow if they are tiny. */
function reportInexact(): void {
  Env.flags |= R.exp < -16382 ? Flag.UE | Flag.PE : Flag.PE;
}

/** FYL2X: ST(1) = ST(1) * log2(ST(0)), pop. */
export function x87_fyl2x(cpu: u32): i32 {
  if (loadTwo(cpu) && !propagateXY()) {
    if (X.sign && X.kind != Kind.ZERO) invalid();
    else {
      const logSign = logarithmSign();
      const sign = Y.sign ^ u32(logSign < 0);
      if (X.kind == Kind.ZERO || X.kind == Kind.INFINITE) {
        if (Y.kind == Kind.ZERO) invalid();
        else {
          if (X.kind == Kind.ZERO && Y.kind == Kind.FINITE) Env.flags |= Flag.ZE;
          else noteDenormals();
          resultInfinity(sign);
        }
      } else if (Y.kind == Kind.INFINITE) {
        if (logSign == 0) invalid();
        else {
          noteDenormals();
          resultInfinity(sign);
        }
      } else {
        noteDenormals();
        if (Y.kind == Kind.ZERO || logSign == 0) resultZero(sign);
        else if (!stopped()) {
          logarithmX();
          reportInexact();
        }
      }
    }
  }
  return deliverToST1(cpu);
}

/** FYL2XP1: ST(1) = ST(1) * log2(ST(0) + 1), pop. */
export function x87_fyl2xp1(cpu: u32): i32 {
  if (loadTwo(cpu) && !propagateXY()) {
    if (X.sign && X.kind == Kind.INFINITE) invalid();
    else if (X.kind == Kind.INFINITE) {
      if (Y.kind == Kind.ZERO) invalid();
      else {
        noteDenormals();
        resultInfinity(Y.sign);
      }
    } else if (Y.kind == Kind.INFINITE) {
      if (X.kind == Kind.ZERO) invalid();
      else {
        noteDenormals();
        resultInfinity(X.sign ^ Y.sign);
      }
    } else {
      noteDenormals();
      if (X.kind == Kind.ZERO || Y.kind == Kind.ZERO) resultZero(X.sign ^ Y.sign);
      else if (!stopped()) {
        // At -1 and below the result is undefined; the operand comes back, as on AMD's processors.
        if (X.sign && X.exp >= 0) resultX();
        else logarithmOnePlusX();
        reportInexact();
      }
    }
  }
  return deliverToST1(cpu);
}
