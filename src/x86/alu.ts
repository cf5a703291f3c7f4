// Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT, BCD adjustments.
// Intel SDM volume 2. AF after logical operations is undefined there and 0 on real processors.

import { Cpu, Rflags, Vector } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Instruction, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

/** CF, AF and OF of an addition with carry-in; the operands are zero-extended to 64 bits. */
export function additionFlags(b: Builder, size: number, a: Value, c: Value, r: Value): Value {
  const carry = b.let(b.or(b.and(a, c), b.and(b.or(a, c), b.xor(r, -1n))));
  return b.let(
    b.or(
      b.or(b.and(b.shrU(carry, size - 1), 1), b.and(b.xor(b.xor(a, c), r), Rflags.AF)),
      b.shl(b.and(b.shrU(b.and(b.xor(a, r), b.xor(c, r)), size - 1), 1), 11),
    ),
  );
}

/** CF, AF and OF of a subtraction with borrow-in. */
export function subtractionFlags(b: Builder, size: number, a: Value, c: Value, r: Value): Value {
  const na = b.let(b.xor(a, -1n));
  const borrow = b.let(b.or(b.and(na, c), b.and(b.or(na, c), r)));
  return b.let(
    b.or(
      b.or(b.and(b.shrU(borrow, size - 1), 1), b.and(b.xor(b.xor(a, c), r), Rflags.AF)),
      b.shl(b.and(b.shrU(b.and(b.xor(a, c), b.xor(a, r)), size - 1), 1), 11),
    ),
  );
}

const add: Meaning = (i, b) => {
  const c = i.src.read();
  const a = i.dst.readModify();
  const r = b.letLow(b.add(a, c), i.dst.size);
  i.dst.write(r);
  b.flags.add(i.dst.size, a, r);
};

const sub: Meaning = (i, b) => {
  const c = i.src.read();
  const a = i.dst.readModify();
  i.dst.write(b.letLow(b.sub(a, c), i.dst.size));
  b.flags.sub(i.dst.size, a, c);
};

const cmp: Meaning = (i, b) => {
  const a = i.dst.read();
  const c = i.src.read();
  b.flags.sub(i.dst.size, a, c);
};

const adc: Meaning = (i, b) => {
  const carry = b.flags.carry();
  const c = i.src.read();
  const a = i.dst.readModify();
  const r = b.letLow(b.add(b.add(a, c), carry), i.dst.size);
  i.dst.write(r);
  b.flags.result(i.dst.size, r, () => additionFlags(b, i.dst.size, a, c, r));
};

const sbb: Meaning = (i, b) => {
  const carry = b.flags.carry();
  const c = i.src.read();
  const a = i.dst.readModify();
  const r = b.letLow(b.sub(b.sub(a, c), carry), i.dst.size);
  i.dst.write(r);
  b.flags.result(i.dst.size, r, () => subtractionFlags(b, i.dst.size, a, c, r));
};

const logic =
  (operator: (b: Builder, a: Value, c: Value) => Value): Meaning =>
  (i, b) => {
    const c = i.src.read();
    const a = i.dst.readModify();
    const r = b.letLow(operator(b, a, c), i.dst.size);
    i.dst.write(r);
    b.flags.logic(i.dst.size, r);
  };

const and = logic((b, a, c) => b.and(a, c));
const or = logic((b, a, c) => b.or(a, c));
const xor = logic((b, a, c) => b.xor(a, c));

const test: Meaning = (i, b) => {
  const a = i.dst.read();
  const c = i.src.read();
  b.flags.logic(i.dst.size, b.letLow(b.and(a, c), i.dst.size));
};

const inc: Meaning = (i, b) => {
  const a = i.dst.readModify();
  // Flags first: where keeping CF needs a call, the hot form gives up before it has changed anything.
  b.flags.step(i.dst.size, a, true);
  i.dst.write(b.letLow(b.add(a, 1), i.dst.size));
};

const dec: Meaning = (i, b) => {
  const a = i.dst.readModify();
  // Flags first: where keeping CF needs a call, the hot form gives up before it has changed anything.
  b.flags.step(i.dst.size, a, false);
  i.dst.write(b.letLow(b.sub(a, 1), i.dst.size));
};

const neg: Meaning = (i, b) => {
  const a = i.dst.readModify();
  i.dst.write(b.letLow(b.sub(0, a), i.dst.size));
  b.flags.sub(i.dst.size, b.i64(0), a);
};

const not: Meaning = (i, b) => {
  const a = i.dst.readModify();
  i.dst.write(b.letLow(b.xor(a, -1n), i.dst.size));
};

/** A flag of the six as i32, 0 or 1. */
const bit = (b: Builder, flags: Value, mask: number): Value => b.ne(b.and(flags, mask), 0);

/** DAA and DAS: SDM volume 2, "Operation" of each. */
const decimalAdjust =
  (subtract: boolean): Meaning =>
  (_i, b) => {
    const flags = b.flags.arithmetic();
    const al = b.let(b.wrap(b.register(0, 8)));
    const low = b.let(b.or(b.gtU(b.and(al, 15), 9), bit(b, flags, Rflags.AF)));
    const high = b.let(b.or(b.gtU(al, 0x99), bit(b, flags, Rflags.CF)));
    const change = b.let(b.add(b.mul(low, 6), b.mul(high, 0x60)));
    const r = b.let(b.and(subtract ? b.sub(al, change) : b.add(al, change), 0xff));
    // DAS borrows into CF also when the low digit's adjustment does.
    const carry = subtract ? b.let(b.or(high, b.and(low, b.ltU(al, 6)))) : high;
    b.setRegister(0, 8, b.extendU(r));
    b.flags.result(8, b.let(b.extendU(r)), () => b.let(b.extendU(b.or(carry, b.mul(low, Rflags.AF)))));
  };

/** AAA and AAS. Other flags are undefined; here as on current processors. */
const asciiAdjust =
  (subtract: boolean): Meaning =>
  (_i, b) => {
    const flags = b.flags.arithmetic();
    const ax = b.let(b.wrap(b.register(0, 16)));
    const adjust = b.let(b.or(b.gtU(b.and(ax, 15), 9), bit(b, flags, Rflags.AF)));
    const changed = b.let(b.mul(adjust, 0x106));
    const r = b.let(b.and(subtract ? b.sub(ax, changed) : b.add(ax, changed), 0xff0f));
    b.setRegister(0, 16, b.extendU(r));
    b.flags.result(8, b.let(b.extendU(b.and(r, 0xff))), () => b.let(b.extendU(b.mul(adjust, Rflags.AF | Rflags.CF))));
  };

const aam: Meaning = (i, b) => {
  const base = b.let(b.and(b.wrap(i.dst.read()), 0xff));
  b.raiseIf(b.eqz(base), Vector.DE);
  const al = b.let(b.wrap(b.register(0, 8)));
  const low = b.let(b.remU(al, base));
  b.setRegister(0, 16, b.extendU(b.or(b.shl(b.divU(al, base), 8), low)));
  b.flags.logic(8, b.let(b.extendU(low)));
};

const aad: Meaning = (i, b) => {
  const base = b.let(b.and(b.wrap(i.dst.read()), 0xff));
  const ax = b.let(b.wrap(b.register(0, 16)));
  const r = b.let(b.and(b.add(b.and(ax, 0xff), b.mul(b.shrU(ax, 8), base)), 0xff));
  b.setRegister(0, 16, b.extendU(r));
  b.flags.logic(8, b.let(b.extendU(r)));
};

/** SALC (undocumented): AL = CF ? FF : 0. */
const salc: Meaning = (_i, b) => b.setRegister(0, 8, b.sub(0, b.flags.carry()));

const clc: Meaning = (_i, b) => b.flags.setCarry(b.i64(0));
const stc: Meaning = (_i, b) => b.flags.setCarry(b.i64(1));
const cmc: Meaning = (_i, b) => b.flags.setCarry(b.xor(b.flags.carry(), 1));

const lahf: Meaning = (_i, b) => {
  const flags = b.and(b.flags.arithmetic(), 0xff);
  b.setState(Cpu.RAX + 1, b.or(flags, Rflags.FIXED), 8);
};

const sahf: Meaning = (_i, b) => {
  const ah = b.and(b.state('i32', Cpu.RAX + 1, 8), Rflags.ARITHMETIC & 0xff);
  b.flags.explicit(b.let(b.or(b.and(b.flags.arithmetic(), Rflags.OF), ah)));
};

const setDirection =
  (set: boolean): Meaning =>
  (_i: Instruction, b: Builder) => {
    const flags = b.state('i32', Cpu.RFLAGS);
    b.setState(Cpu.RFLAGS, set ? b.or(flags, Rflags.DF) : b.and(flags, ~Rflags.DF));
  };

const cld = setDirection(false);
const std = setDirection(true);

export function defineAlu(t: InstructionTable): void {
  const group: [string, Meaning, boolean][] = [
    ['add', add, false],
    ['or', or, false],
    ['adc', adc, false],
    ['sbb', sbb, false],
    ['and', and, false],
    ['sub', sub, false],
    ['xor', xor, false],
    ['cmp', cmp, true],
  ];
  group.forEach(([name, meaning, readOnly], n) => {
    const attributes = { hot: true, lock: !readOnly, readOnly };
    t.op(n * 8 + 0, name, 'Eb,Gb', meaning, attributes);
    t.op(n * 8 + 1, name, 'Ev,Gv', meaning, attributes);
    t.op(n * 8 + 2, name, 'Gb,Eb', meaning, attributes);
    t.op(n * 8 + 3, name, 'Gv,Ev', meaning, attributes);
    t.op(n * 8 + 4, name, 'AL,Ib', meaning, attributes);
    t.op(n * 8 + 5, name, 'rAX,Iz', meaning, attributes);
    t.op(0x80, name, 'Eb,Ib', meaning, { ...attributes, ext: n });
    t.op(0x81, name, 'Ev,Iz', meaning, { ...attributes, ext: n });
    t.op(0x82, name, 'Eb,Ib', meaning, { ...attributes, ext: n, not64: true });
    t.op(0x83, name, 'Ev,SXb', meaning, { ...attributes, ext: n });
  });
  t.op(0x84, 'test', 'Eb,Gb', test, { hot: true, readOnly: true });
  t.op(0x85, 'test', 'Ev,Gv', test, { hot: true, readOnly: true });
  t.op(0xa8, 'test', 'AL,Ib', test, { hot: true });
  t.op(0xa9, 'test', 'rAX,Iz', test, { hot: true });
  for (const ext of [0, 1]) {
    t.op(0xf6, 'test', 'Eb,Ib', test, { ext, hot: true, readOnly: true });
    t.op(0xf7, 'test', 'Ev,Iz', test, { ext, hot: true, readOnly: true });
  }
  t.op(0xf6, 'not', 'Eb', not, { ext: 2, hot: true, lock: true });
  t.op(0xf7, 'not', 'Ev', not, { ext: 2, hot: true, lock: true });
  t.op(0xf6, 'neg', 'Eb', neg, { ext: 3, hot: true, lock: true });
  t.op(0xf7, 'neg', 'Ev', neg, { ext: 3, hot: true, lock: true });
  t.op(0xfe, 'inc', 'Eb', inc, { ext: 0, hot: true, lock: true });
  t.op(0xff, 'inc', 'Ev', inc, { ext: 0, hot: true, lock: true });
  t.op(0xfe, 'dec', 'Eb', dec, { ext: 1, hot: true, lock: true });
  t.op(0xff, 'dec', 'Ev', dec, { ext: 1, hot: true, lock: true });
  t.op8(0x40, 'inc', 'Zv', inc, { not64: true, hot: true });
  t.op8(0x48, 'dec', 'Zv', dec, { not64: true, hot: true });
  t.op(0x27, 'daa', '', decimalAdjust(false), { not64: true });
  t.op(0x2f, 'das', '', decimalAdjust(true), { not64: true });
  t.op(0x37, 'aaa', '', asciiAdjust(false), { not64: true });
  t.op(0x3f, 'aas', '', asciiAdjust(true), { not64: true });
  t.op(0xd4, 'aam', 'Ib', aam, { not64: true });
  t.op(0xd5, 'aad', 'Ib', aad, { not64: true });
  t.op(0xd6, 'salc', '', salc, { not64: true });
  t.op(0xf5, 'cmc', '', cmc, { hot: true });
  t.op(0xf8, 'clc', '', clc, { hot: true });
  t.op(0xf9, 'stc', '', stc, { hot: true });
  t.op(0xfc, 'cld', '', cld, { hot: true });
  t.op(0xfd, 'std', '', std);
  t.op(0x9f, 'lahf', '', lahf);
  t.op(0x9e, 'sahf', '', sahf);
}
