// x87: loads, stores, arithmetic, comparison, transcendentals, control and state. Intel SDM volume 2, and appendix A.5 of it
// (escape opcodes); volume 1, chapter 8. The 80-bit arithmetic is in core.wasm (src/core/assembly/x87-*.ts).
//
// Opcodes that the manuals leave out, but that all processors take as others (FXCH at DD C8 …), are here too.

import { Cpu, Fcw, X87Op, X87Store } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, FloatNumber, FloatStack, Instruction, Meaning } from './builder.ts';
import type { CoreFunction } from './core-functions.ts';
import type { Attributes, InstructionTable } from './table.ts';
import {
  arithmetic, compare as quickCompare, compareFlags as quickCompareFlags, fromInteger, Fsw, narrow, one as numberOne, widen, zero, type Quick,
} from './x87-numbers.ts';

const FSW_ES = 0x80;

/** #NM, and #MF of an earlier instruction unless this one does not wait. */
function check(b: Builder, waiting: boolean): void {
  b.assume('x87', () => ask(b, waiting));
  if (waiting) checkPending(b);
}

function checkPending(b: Builder): void {
  b.if(b.and(b.state('i32', Cpu.FSW), FSW_ES), () => ask(b, true), undefined, 'seldom');
}

function ask(b: Builder, waiting: boolean): void {
  b.core('x87_check', b.i32(waiting ? 1 : 0));
  b.checkFault();
}

/** A meaning that asks check() first. */
const waiting =
  (meaning: Meaning): Meaning =>
  (i, b) => {
    check(b, true);
    meaning(i, b);
  };

const notWaiting =
  (meaning: Meaning): Meaning =>
  (i, b) => {
    check(b, false);
    meaning(i, b);
  };

/** A waiting instruction with a short form for when the register stack is known; no exception can wait then. */
const either =
  (quick: Quick, meaning: Meaning): Meaning =>
  (i, b) => {
    b.assume('x87', () => ask(b, true));
    b.x87(
      (s) => quick(i, b, s),
      () => {
        checkPending(b);
        meaning(i, b);
      },
    );
  };

/** An instruction on the register stack that core carries out; it cannot fault. */
const byCore = (name: CoreFunction, ...args: number[]): Meaning => (_i, b) => b.coreVoid(name, ...args.map((n) => b.i32(n)));
const core = (name: CoreFunction, ...args: number[]): Meaning => waiting(byCore(name, ...args));

/** Number of the ST(i) operand. */
const stack = (i: Instruction): Value => i.operands[i.operands.length - 1].registerOffset();

/** The ST(i) that comes first. */
const stackFirst = (i: Instruction): Value => i.operands[0].registerOffset();

/** The same where it is known. */
const known = (i: Instruction): number => Number(stack(i).constant);
const knownFirst = (i: Instruction): number => Number(stackFirst(i).constant);

/** ST(0) = ST(0) op a number, or a comparison with it. */
function withNumber(b: Builder, s: FloatStack, op: number, number: FloatNumber): void {
  if (op === X87Op.COM || op === X87Op.COMP) quickCompare(b, s, number, 0, op - X87Op.COM);
  else arithmetic(b, s, op, 0, number);
}

const fromMemory = (name: CoreFunction, op: number): Meaning => {
  const general: Meaning = (i, b) => b.coreVoid(name, b.i32(op), i.dst.read());
  return either((i, b, s) => {
    if (s.isDoubtful) return general(i, b);
    s.need([0]);
    withNumber(b, s, op, widen(b, s, i.dst));
  }, general);
};

const integerFromMemory = (op: number): Meaning =>
  either(
    (i, b, s) => {
      s.need([0]);
      withNumber(b, s, op, fromInteger(b, i.dst));
    },
    (i, b) => b.coreVoid('x87_arith_int', b.i32(op), b.let(b.signExtend(i.dst.read(), i.dst.size))),
  );

/** ST(0) = ST(0) op ST(i) */
const toTop = (op: number): Meaning =>
  either(
    (i, b, s) => {
      s.need([0, known(i)]);
      arithmetic(b, s, op, 0, known(i));
    },
    (i, b) => b.coreVoid('x87_arith', b.i32(op), b.i32(0), stack(i), b.i32(0)),
  );

/** ST(i) = ST(i) op ST(0) */
const toRegister = (op: number, pops: number): Meaning =>
  either(
    (i, b, s) => {
      s.need([0, knownFirst(i)]);
      arithmetic(b, s, op, knownFirst(i), 0, pops);
    },
    (i, b) => b.coreVoid('x87_arith', b.i32(op), stackFirst(i), b.i32(0), b.i32(pops)),
  );

/** @param register the ST(i) that the opcode means, if it does not name one */
const compare = (unordered: number, pops: number, register?: number): Meaning =>
  either(
    (i, b, s) => {
      const other = register ?? known(i);
      s.need([0, other]);
      quickCompare(b, s, other, unordered, pops);
    },
    (i, b) => b.coreVoid('x87_com', register === undefined ? stack(i) : b.i32(register), b.i32(unordered), b.i32(pops)),
  );

const compareFlags = (unordered: number, pops: number): Meaning =>
  either(
    (i, b, s) => {
      s.need([0, known(i)]);
      quickCompareFlags(b, s, known(i), unordered, pops);
    },
    (i, b) => b.flags.explicit(b.core('x87_comi', stack(i), b.i32(unordered), b.i32(pops))),
  );

const fcmov = (cc: number): Meaning =>
  either(
    (i, b, s) => {
      s.need([0, known(i)]);
      const condition = b.let(b.flags.condition(cc));
      const top = s.read(0);
      const other = s.read(known(i));
      s.write(0, {
        significand: b.let(b.select(condition, other.significand, top.significand)),
        signExponent: b.let(b.select(condition, other.signExponent, top.signExponent)),
        isPlain: top.isPlain && other.isPlain,
      });
      s.status(null, 0);
    },
    (i, b) => b.coreVoid('x87_fcmov', stack(i), b.let(b.flags.condition(cc))),
  );

/** A push of what an instruction makes. */
const pushing = (number: (i: Instruction, b: Builder, s: FloatStack) => FloatNumber): Quick => (i, b, s) => {
  s.need([], true);
  s.push(number(i, b, s));
  s.status(null, Fsw.C1);
};

const load = (name: CoreFunction): Meaning => {
  const general: Meaning = (i, b) => b.coreVoid(name, i.dst.read());
  const quick = pushing((i, b, s) => widen(b, s, i.dst));
  return either((i, b, s) => (s.isDoubtful ? general(i, b) : quick(i, b, s)), general);
};

const loadInteger: Meaning = either(
  pushing((i, b) => fromInteger(b, i.dst)),
  (i, b) => b.coreVoid('x87_fild', b.let(b.signExtend(i.dst.read(), i.dst.size))),
);

/** The ten bytes of a memory operand: eight, and two. */
const general80 =
  (name: CoreFunction): Meaning =>
  (i, b) => {
    const low = i.dst.displaced(b.i64(0), 64).read();
    const high = i.dst.displaced(b.i64(8), 16).read();
    b.coreVoid(name, low, high);
  };

const load80: Meaning = either(
  pushing((i, _b, s) => s.load(i.dst)),
  general80('x87_fld_m80'),
);

/** FLD1 and FLDZ; the other constants follow FCW.RC. */
const loadConstant = (which: number, number: (b: Builder) => FloatNumber): Meaning => either(pushing((_i, b) => number(b)), byCore('x87_constant', which));

/** ST(0) with its sign changed. */
const sign = (name: CoreFunction, change: (b: Builder, signExponent: Value) => Value): Meaning =>
  either((_i, b, s) => {
    s.need([0]);
    const number = s.read(0);
    s.write(0, { ...number, signExponent: b.let(change(b, number.signExponent)) });
    s.status(null, Fsw.C1);
  }, byCore(name));

const storeByCore =
  (kind: X87Store, pops: number): Meaning =>
  (i, b) => {
    const allowed = b.core('x87_store', b.i32(kind));
    b.if(allowed, () => {
      if (i.dst.size === 80) {
        // The two parts may lie on two pages: both must be writable before either is written. The probe may use Cpu.TMP128.
        const low = b.state('i64', Cpu.TMP128);
        const high = b.state('i64', Cpu.TMP128 + 8);
        b.core('probe_write', i.dst.address(), b.i32(10));
        b.checkFault();
        i.dst.displaced(b.i64(0), 64).write(low);
        i.dst.displaced(b.i64(8), 16).write(high);
      } else {
        i.dst.write(b.state('i64', Cpu.TMP128));
      }
    }, () => {
      b.core('probe_write', i.dst.address(), b.i32(i.dst.size / 8));
      b.checkFault();
    });
    b.coreVoid('x87_stored', pops ? allowed : b.i32(0));
  };

const store = (kind: X87Store, pops: number): Meaning => {
  const general = storeByCore(kind, pops);
  if (kind === X87Store.BCD) return waiting(general);
  if (kind !== X87Store.M80) return either((i, b, s) => narrow(i, b, s, kind, pops), general);
  return either((i, _b, s) => {
    s.need([0]);
    s.store(i.dst, s.read(0));
    if (pops) s.pop();
    s.status(null, Fsw.C1);
  }, general);
};

const storeRegister = (pops: number): Meaning =>
  either(
    (i, _b, s) => {
      s.need([0]);
      s.write(known(i), s.read(0));
      if (pops) s.pop();
      s.status(null, Fsw.C1);
    },
    (i, b) => b.coreVoid('x87_fst_st', stack(i), b.i32(pops)),
  );

/** Instructions on images of the state in memory, whose layout depends on the operand size. */
const image = (name: CoreFunction): Meaning => (i, b) => b.coreStatus(name, i.dst.address(), b.i32(i.size === 16 ? 16 : 32));

const fxImage = (name: CoreFunction): Meaning => (i, b) => b.coreStatus(name, i.dst.address(), b.i32(i.size === 64 ? 1 : 0));

const storeWord = (field: number): Meaning => notWaiting((i, b) => i.dst.write(b.state('i64', field, 32)));

const nop: Meaning = waiting(() => {});

/** FWAIT: it raises less than the others, which core knows. */
const fwait: Meaning = (_i, b) => {
  const ask = (): void => b.coreStatus('x87_fwait');
  b.assume('x87', ask);
  b.if(b.and(b.state('i32', Cpu.FSW), FSW_ES), ask, undefined, 'seldom');
};

export function defineX87(t: InstructionTable): void {
  const any: Attributes = { anySize: true };
  const mem = (ext: number): Attributes => ({ ...any, ext, mod: 'mem', readOnly: true });
  const out = (ext: number): Attributes => ({ ...any, ext, mod: 'mem' });
  const reg = (ext: number): Attributes => ({ ...any, ext, mod: 'reg' });
  const one = (ext: number, rm: number): Attributes => ({ ...any, ext, mod: 'reg', rm });

  ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'].forEach((name, op) => {
    const comparison = op === 2 || op === 3;
    t.op(0xd8, name, 'Md', fromMemory('x87_arith_m32', op), mem(op));
    t.op(0xdc, name, 'Mq', fromMemory('x87_arith_m64', op), mem(op));
    t.op(0xda, `fi${name.slice(1)}`, 'Md', integerFromMemory(op), mem(op));
    t.op(0xde, `fi${name.slice(1)}`, 'Mw', integerFromMemory(op), mem(op));
    if (comparison) {
      t.op(0xd8, name, 'ST0,T', compare(0, op - 2), reg(op));
      t.op(0xdc, name, 'ST0,T', compare(0, op - 2), reg(op));
    } else {
      t.op(0xd8, name, 'ST0,T', toTop(op), reg(op));
      // From 4 on the opcode is the other one of the pair: DC E8 is FSUB, DC E0 FSUBR.
      const swapped = op < 4 ? op : op ^ 1;
      t.op(0xdc, name, 'T,ST0', toRegister(op, 0), reg(swapped));
      t.op(0xde, `${name}p`, 'T,ST0', toRegister(op, 1), reg(swapped));
    }
  });
  t.op(0xde, 'fcomp', 'ST0,T', compare(0, 1), reg(2));
  t.op(0xde, 'fcompp', '', compare(0, 2, 1), one(3, 1));
  t.op(0xda, 'fucompp', '', compare(1, 2, 1), one(5, 1));

  t.op(0xd9, 'fld', 'Md', load('x87_fld_m32'), mem(0));
  t.op(0xdd, 'fld', 'Mq', load('x87_fld_m64'), mem(0));
  t.op(0xdb, 'fld', 'Mt', load80, mem(5));
  t.op(0xdf, 'fild', 'Mw', loadInteger, mem(0));
  t.op(0xdb, 'fild', 'Md', loadInteger, mem(0));
  t.op(0xdf, 'fild', 'Mq', loadInteger, mem(5));
  t.op(0xdf, 'fbld', 'Mt', waiting(general80('x87_fbld')), mem(4));
  t.op(0xd9, 'fst', 'Md', store(X87Store.M32, 0), out(2));
  t.op(0xd9, 'fstp', 'Md', store(X87Store.M32, 1), out(3));
  t.op(0xdd, 'fst', 'Mq', store(X87Store.M64, 0), out(2));
  t.op(0xdd, 'fstp', 'Mq', store(X87Store.M64, 1), out(3));
  t.op(0xdb, 'fstp', 'Mt', store(X87Store.M80, 1), out(7));
  t.op(0xdf, 'fist', 'Mw', store(X87Store.I16, 0), out(2));
  t.op(0xdf, 'fistp', 'Mw', store(X87Store.I16, 1), out(3));
  t.op(0xdb, 'fist', 'Md', store(X87Store.I32, 0), out(2));
  t.op(0xdb, 'fistp', 'Md', store(X87Store.I32, 1), out(3));
  t.op(0xdf, 'fistp', 'Mq', store(X87Store.I64, 1), out(7));
  t.op(0xdf, 'fisttp', 'Mw', store(X87Store.I16_TRUNCATE, 1), out(1));
  t.op(0xdb, 'fisttp', 'Md', store(X87Store.I32_TRUNCATE, 1), out(1));
  t.op(0xdd, 'fisttp', 'Mq', store(X87Store.I64_TRUNCATE, 1), out(1));
  t.op(0xdf, 'fbstp', 'Mt', store(X87Store.BCD, 1), out(6));

  const exchange = either(
    (i, _b, s) => {
      s.need([0, known(i)]);
      s.exchange(known(i));
      s.status(null, Fsw.C1);
    },
    (i, b) => b.coreVoid('x87_fxch', stack(i)),
  );
  const loadRegister = either(
    (i, _b, s) => {
      s.need([known(i)], true);
      s.push(s.read(known(i)));
      s.status(null, Fsw.C1);
    },
    (i, b) => b.coreVoid('x87_fld_st', stack(i)),
  );
  t.op(0xd9, 'fld', 'T', loadRegister, reg(0));
  t.op(0xd9, 'fxch', 'ST0,T', exchange, reg(1));
  t.op(0xdd, 'fxch', 'ST0,T', exchange, reg(1));
  t.op(0xdf, 'fxch', 'ST0,T', exchange, reg(1));
  t.op(0xdd, 'ffree', 'T', waiting((i, b) => b.coreVoid('x87_ffree', stack(i), b.i32(0))), reg(0));
  t.op(0xdf, 'ffreep', 'T', waiting((i, b) => b.coreVoid('x87_ffree', stack(i), b.i32(1))), reg(0));
  t.op(0xdd, 'fst', 'T', storeRegister(0), reg(2));
  t.op(0xdd, 'fstp', 'T', storeRegister(1), reg(3));
  t.op(0xd9, 'fstpnce', 'T', storeRegister(1), reg(3));
  t.op(0xdf, 'fstp', 'T', storeRegister(1), reg(2));
  t.op(0xdf, 'fstp', 'T', storeRegister(1), reg(3));
  t.op(0xdd, 'fucom', 'ST0,T', compare(1, 0), reg(4));
  t.op(0xdd, 'fucomp', 'ST0,T', compare(1, 1), reg(5));
  t.op(0xdb, 'fucomi', 'ST0,T', compareFlags(1, 0), reg(5));
  t.op(0xdb, 'fcomi', 'ST0,T', compareFlags(0, 0), reg(6));
  t.op(0xdf, 'fucomip', 'ST0,T', compareFlags(1, 1), reg(5));
  t.op(0xdf, 'fcomip', 'ST0,T', compareFlags(0, 1), reg(6));
  // B, E, BE and U are the conditions 2, 4, 6 and 10; their opposites one more.
  ['b', 'e', 'be', 'u'].forEach((name, n) => {
    const cc = [2, 4, 6, 10][n];
    t.op(0xda, `fcmov${name}`, 'ST0,T', fcmov(cc), reg(n));
    t.op(0xdb, `fcmovn${name}`, 'ST0,T', fcmov(cc + 1), reg(n));
  });

  const root = either((_i, b, s) => {
    s.need([0]);
    s.status(b.core('x87_root', s.change(0)), Fsw.C1);
  }, byCore('x87_fsqrt'));
  t.op(0xd9, 'fnop', '', nop, one(2, 0));
  t.op(0xd9, 'fchs', '', sign('x87_fchs', (b, x) => b.xor(x, 0x8000)), one(4, 0));
  t.op(0xd9, 'fabs', '', sign('x87_fabs', (b, x) => b.and(x, 0x7fff)), one(4, 1));
  const test = either((_i, b, s) => {
    s.need([0]);
    quickCompare(b, s, zero(b), 0, 0);
  }, byCore('x87_ftst'));
  t.op(0xd9, 'ftst', '', test, one(4, 4));
  t.op(0xd9, 'fxam', '', core('x87_fxam'), one(4, 5));
  t.op(0xd9, 'fld1', '', loadConstant(0, numberOne), one(5, 0));
  ['fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2'].forEach((name, n) => t.op(0xd9, name, '', core('x87_constant', n + 1), one(5, n + 1)));
  t.op(0xd9, 'fldz', '', loadConstant(6, zero), one(5, 6));
  t.op(0xd9, 'f2xm1', '', core('x87_f2xm1'), one(6, 0));
  t.op(0xd9, 'fyl2x', '', core('x87_fyl2x'), one(6, 1));
  t.op(0xd9, 'fptan', '', core('x87_fptan'), one(6, 2));
  t.op(0xd9, 'fpatan', '', core('x87_fpatan'), one(6, 3));
  t.op(0xd9, 'fxtract', '', core('x87_fxtract'), one(6, 4));
  t.op(0xd9, 'fprem1', '', core('x87_fprem', 1), one(6, 5));
  t.op(0xd9, 'fdecstp', '', core('x87_rotate', 7), one(6, 6));
  t.op(0xd9, 'fincstp', '', core('x87_rotate', 1), one(6, 7));
  t.op(0xd9, 'fprem', '', core('x87_fprem', 0), one(7, 0));
  t.op(0xd9, 'fyl2xp1', '', core('x87_fyl2xp1'), one(7, 1));
  t.op(0xd9, 'fsqrt', '', root, one(7, 2));
  t.op(0xd9, 'fsincos', '', core('x87_fsincos'), one(7, 3));
  t.op(0xd9, 'frndint', '', core('x87_frndint'), one(7, 4));
  t.op(0xd9, 'fscale', '', core('x87_fscale'), one(7, 5));
  t.op(0xd9, 'fsin', '', core('x87_fsin', 0), one(7, 6));
  t.op(0xd9, 'fcos', '', core('x87_fsin', 1), one(7, 7));

  const loadControl = either((i, b, s) => {
    const value = b.let(b.wrap(i.dst.read()));
    s.require(b.eq(b.and(value, Fcw.MASKS), Fcw.MASKS));
    s.setControl(b.or(b.and(value, Fcw.WRITABLE), Fcw.FIXED));
  }, (i, b) => b.coreVoid('x87_fldcw', i.dst.read()));
  t.op(0xd9, 'fldcw', 'Mw', loadControl, mem(5));
  t.op(0xd9, 'fnstcw', 'Mw', storeWord(Cpu.FCW), out(7));
  t.op(0xdd, 'fnstsw', 'Mw', storeWord(Cpu.FSW), out(7));
  t.op(0xdf, 'fnstsw', 'AX', storeWord(Cpu.FSW), one(4, 0));
  t.op(0x9b, 'fwait', '', fwait);
  t.op(0xdb, 'fnclex', '', notWaiting((_i, b) => b.coreVoid('x87_fnclex')), one(4, 2));
  t.op(0xdb, 'fninit', '', notWaiting((_i, b) => b.coreVoid('x87_fninit')), one(4, 3));
  // FENI, FDISI of the 8087 and FSETPM, FRSTPM of the 80287 do nothing.
  t.op(0xdb, 'fneni', '', notWaiting(() => {}), one(4, 0));
  t.op(0xdb, 'fndisi', '', notWaiting(() => {}), one(4, 1));
  t.op(0xdb, 'fnsetpm', '', notWaiting(() => {}), one(4, 4));

  const sized = (ext: number, bytes: number, readOnly = false): Attributes => ({ ext, mod: 'mem', memoryBytes: bytes, readOnly });
  t.op(0xd9, 'fldenv', 'M', waiting(image('x87_fldenv')), sized(4, 28, true));
  t.op(0xd9, 'fnstenv', 'M', notWaiting(image('x87_fnstenv')), sized(6, 28));
  t.op(0xdd, 'frstor', 'M', waiting(image('x87_frstor')), sized(4, 108, true));
  t.op(0xdd, 'fnsave', 'M', notWaiting(image('x87_fnsave')), sized(6, 108));
  t.op(0x0fae, 'fxsave', 'M', fxImage('fxsave'), { prefix: 0, ext: 0, mod: 'mem', memoryBytes: 512, names: ['fxsave', 'fxsave', 'fxsave64'] });
  t.op(0x0fae, 'fxrstor', 'M', fxImage('fxrstor'), { prefix: 0, ext: 1, mod: 'mem', memoryBytes: 512, readOnly: true, names: ['fxrstor', 'fxrstor', 'fxrstor64'] });
}
