// Control transfers: JMP Jcc CALL RET LOOP JCXZ, far forms, INT, IRET, BOUND. Intel SDM volume 2.

import { Cpu, Seg, Vector } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Instruction, Meaning } from './builder.ts';
import { CONDITIONS } from './flags.ts';
import type { InstructionTable } from './table.ts';

const jumpShort: Meaning = (_i, b) => b.jumpRelative();

const jcc =
  (cc: number): Meaning =>
  (_i, b) =>
    b.branch(b.flags.condition(cc));

/** #GP(0) at the branch itself when its target is not canonical, or beyond the code segment's limit. */
function checkTarget(b: Builder, target: Value, size: number): void {
  if (size === 32) b.raiseIf(b.gtU(b.wrap(target), b.state('i32', Cpu.CS + Seg.LIMIT)), Vector.GP, 0);
  if (size === 64) b.raiseIf(b.ne(b.shrS(b.shl(target, 16), 16), target), Vector.GP, 0);
}

const jumpIndirect: Meaning = (i, b) => {
  const target = i.dst.read();
  checkTarget(b, target, i.size);
  b.jump(target);
};

const callRelative: Meaning = (i, b) => {
  b.push(i.nextRip(), i.size);
  b.jumpRelative();
};

const callIndirect: Meaning = (i, b) => {
  const target = i.dst.read();
  checkTarget(b, target, i.size);
  b.push(i.nextRip(), i.size);
  b.jump(target);
};

const ret: Meaning = (i, b) => {
  const target = b.peekStack(i.size);
  checkTarget(b, target, i.size);
  b.dropStack(i.size / 8);
  b.jump(target);
};

const retPop: Meaning = (i, b) => {
  const target = b.peekStack(i.size);
  checkTarget(b, target, i.size);
  b.dropStack(b.let(b.add(b.and(i.dst.read(), 0xffff), i.size / 8)));
  b.jump(target);
};

/** rCX at the address size of the instruction, minus one, stored back. */
function decrementCount(i: Instruction, b: Builder): Value {
  const r = b.let(b.sub(countRegister(i, b), 1));
  setCountRegister(i, b, r);
  return countRegister(i, b);
}

function countRegister(i: Instruction, b: Builder): Value {
  const rcx = b.register(1, 64);
  const bytes = i.addressBytes();
  const mask = b.select(b.eq(bytes, 8), -1n, b.select(b.eq(b.copy(bytes), 4), 0xffffffffn, 0xffffn));
  return b.let(b.and(rcx, mask));
}

function setCountRegister(i: Instruction, b: Builder, value: Value): void {
  const bytes = i.addressBytes();
  b.if(
    b.eq(bytes, 8),
    () => b.setRegister(1, 64, value),
    () =>
      b.if(
        b.eq(bytes, 4),
        () => b.setRegister(1, 32, value),
        () => b.setRegister(1, 16, value),
      ),
  );
}

const loop: Meaning = (i, b) => b.branch(b.let(b.ne(decrementCount(i, b), 0)));
const loope: Meaning = (i, b) => b.branch(b.let(b.and(b.ne(decrementCount(i, b), 0), b.flags.condition(4))));
const loopne: Meaning = (i, b) => b.branch(b.let(b.and(b.ne(decrementCount(i, b), 0), b.flags.condition(5))));
const jcxz: Meaning = (i, b) => b.branch(b.let(b.eqz(countRegister(i, b))));

/** The target lies within CS, whose limit real mode keeps: in 16-bit code that is known only here. */
function checkFarTarget(b: Builder, target: Value): void {
  b.raiseIf(b.gtU(b.wrap(target), b.state('i32', Cpu.CS + Seg.LIMIT)), Vector.GP, 0);
}

/** Where a far transfer of 16 bits is compiled: in real mode, which is taken for granted. Elsewhere core does all of it. */
function isSimple(i: Instruction, b: Builder): boolean {
  if (!b.isReal || i.size !== 16) return false;
  b.assume('real', () => {});
  return true;
}

/** In real mode: CS and IP of what follows are pushed as one, so that nothing has changed if that is not possible. */
function farReal(i: Instruction, b: Builder, name: 'far_jmp' | 'far_call', selector: Value, offset: Value): void {
  checkFarTarget(b, offset);
  if (name === 'far_call') b.push(b.or(i.nextRip(), b.shl(b.extendU(b.state('i32', Cpu.CS + Seg.SELECTOR)), 16)), 32);
  b.loadCode(selector);
  b.jump(offset);
}

/** Selector and offset of a far pointer in memory. */
function farPointer(i: Instruction, b: Builder): { offset: Value; selector: Value } {
  const offset = i.dst.displaced(b.i64(0), i.size).read();
  const selector = b.let(b.wrap(i.dst.displaced(b.i64(i.size / 8), 16).read()));
  return { offset, selector };
}

const farIndirect =
  (name: 'far_jmp' | 'far_call'): Meaning =>
  (i, b) => {
    const { offset, selector } = farPointer(i, b);
    if (isSimple(i, b)) return farReal(i, b, name, selector, offset);
    b.coreStatus(name, selector, offset, b.i32(i.size));
  };

/** ptr16:16, ptr16:32: the record's immediate holds the offset below and the selector above. */
const farDirect =
  (name: 'far_jmp' | 'far_call'): Meaning =>
  (i, b) => {
    const pointer = i.dst.read();
    const selector = b.let(b.wrap(b.shrU(pointer, 32)));
    const offset = b.let(b.and(pointer, 0xffffffffn));
    if (isSimple(i, b)) return farReal(i, b, name, selector, offset);
    b.coreStatus(name, selector, offset, b.i32(i.size));
  };

/** @param drop bytes of arguments (i32, bound to a local) */
function returnFar(i: Instruction, b: Builder, drop: Value): void {
  if (!isSimple(i, b)) return b.coreStatus('far_ret', b.i32(i.size), drop);
  const pointer = b.peekStack(32);
  const offset = b.let(b.and(pointer, 0xffff));
  checkFarTarget(b, offset);
  b.dropStack(b.let(b.add(b.extendU(drop), 4)));
  b.loadCode(b.let(b.wrap(b.shrU(pointer, 16))));
  b.jump(offset);
}
const farReturn: Meaning = (i, b) => returnFar(i, b, b.i32(0));
const farReturnPop: Meaning = (i, b) => returnFar(i, b, b.let(b.and(b.wrap(i.dst.read()), 0xffff)));
const iret: Meaning = (i, b) => b.coreStatus('iret', b.i32(i.size));

const int3: Meaning = (_i, b) => b.coreStatus('int_n', b.i32(Vector.BP), b.i32(1));
const intN: Meaning = (i, b) => b.coreStatus('int_n', b.let(b.and(b.wrap(i.dst.read()), 0xff)), b.i32(0));
const int1: Meaning = (_i, b) => b.coreStatus('int1');
const into: Meaning = (_i, b) => {
  b.if(b.flags.condition(0), () => b.coreStatus('int_n', b.i32(Vector.OF), b.i32(1)), undefined, 'seldom');
};

const bound: Meaning = (i, b) => {
  const { size } = i;
  const low = b.let(b.signExtend(i.src.displaced(b.i64(0), size).read(), size));
  const high = b.let(b.signExtend(i.src.displaced(b.i64(size / 8), size).read(), size));
  const index = b.let(b.signExtend(i.dst.read(), size));
  b.raiseIf(b.or(b.ltS(index, low), b.gtS(index, high)), Vector.BR);
};

export function defineControl(t: InstructionTable): void {
  CONDITIONS.forEach((name, cc) => {
    const meaning = jcc(cc);
    t.op(0x70 + cc, `j${name}`, 'Jb', meaning, { f64: true, suffix: true, hot: true, flow: 'branch' });
    t.op(0x0f80 + cc, `j${name}`, 'Jz', meaning, { f64: true, suffix: true, hot: true, flow: 'branch' });
  });
  t.op(0xeb, 'jmp', 'Jb', jumpShort, { flow: 'jump', suffix: true, f64: true, hot: true, ends: true });
  t.op(0xe9, 'jmp', 'Jz', jumpShort, { flow: 'jump', suffix: true, f64: true, hot: true, ends: true });
  t.op(0xff, 'jmp', 'Ev', jumpIndirect, { flow: 'jump', ext: 4, f64: true, hot: true, ends: true, readOnly: true });
  t.op(0xe8, 'call', 'Jz', callRelative, { flow: 'call', suffix: true, f64: true, hot: true, ends: true, stack: true });
  t.op(0xff, 'call', 'Ev', callIndirect, { flow: 'call', ext: 2, f64: true, hot: true, ends: true, stack: true, readOnly: true });
  t.op(0xc3, 'ret', '', ret, { flow: 'return', suffix: true, f64: true, hot: true, ends: true, stack: true });
  t.op(0xc2, 'ret', 'Iw', retPop, { flow: 'return', suffix: true, f64: true, hot: true, ends: true, stack: true });
  t.op(0xe0, 'loopne', 'Jb', loopne, { flow: 'branch', suffix: true, f64: true, string: true });
  t.op(0xe1, 'loope', 'Jb', loope, { flow: 'branch', suffix: true, f64: true, string: true });
  t.op(0xe2, 'loop', 'Jb', loop, { flow: 'branch', suffix: true, f64: true, string: true });
  t.op(0xe3, 'jcxz', 'Jb', jcxz, { flow: 'branch', suffix: true, f64: true, string: true });
  t.op(0x9a, 'call far', 'Ap', farDirect('far_call'), { flow: 'call', far: true, suffix: true, not64: true, ends: true, stack: true });
  t.op(0xea, 'jmp far', 'Ap', farDirect('far_jmp'), { flow: 'jump', far: true, suffix: true, not64: true, ends: true });
  t.op(0xff, 'call far', 'Mp', farIndirect('far_call'), { flow: 'call', far: true, ext: 3, mod: 'mem', ends: true, readOnly: true, stack: true });
  t.op(0xff, 'jmp far', 'Mp', farIndirect('far_jmp'), { flow: 'jump', far: true, ext: 5, mod: 'mem', ends: true, readOnly: true });
  t.op(0xcb, 'retf', '', farReturn, { flow: 'return', far: true, suffix: true, ends: true, stack: true });
  t.op(0xca, 'retf', 'Iw', farReturnPop, { flow: 'return', far: true, suffix: true, ends: true, stack: true });
  t.op(0xcf, 'iret', '', iret, { ends: true, transfers: true, names: ['iret', 'iretd', 'iretq'] });
  t.op(0xcc, 'int3', '', int3, { ends: true, transfers: true });
  t.op(0xcd, 'int', 'Ib', intN, { ends: true, transfers: true });
  t.op(0xf1, 'int1', '', int1, { ends: true });
  t.op(0xce, 'into', '', into, { not64: true });
  t.op(0x62, 'bound', 'Gv,M', bound, { mod: 'mem', not64: true });
}
