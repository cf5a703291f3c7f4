// MUL IMUL DIV IDIV. Intel SDM volume 2. SF, ZF, AF and PF after a multiplication are undefined there;
// here SF, ZF and PF follow the low half of the product and AF is 0.

import { Rflags, Vector } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, Meaning } from './builder.ts';
import type { InstructionTable } from './table.ts';

/** High 64 bits of an unsigned product. */
function multiplyHighUnsigned(b: Builder, a: Value, c: Value): Value {
  const low = (v: Value): Value => b.and(v, 0xffffffffn);
  const high = (v: Value): Value => b.shrU(v, 32);
  const ll = b.let(b.mul(low(a), low(c)));
  const hl = b.let(b.mul(high(a), low(c)));
  const lh = b.let(b.mul(low(a), high(c)));
  const middle = b.let(b.add(b.add(b.shrU(ll, 32), low(hl)), low(lh)));
  return b.let(b.add(b.add(b.mul(high(a), high(c)), b.add(b.shrU(hl, 32), b.shrU(lh, 32))), b.shrU(middle, 32)));
}

/** High 64 bits of a signed product. */
function multiplyHighSigned(b: Builder, a: Value, c: Value): Value {
  const unsigned = multiplyHighUnsigned(b, a, c);
  return b.let(b.sub(b.sub(unsigned, b.and(b.shrS(a, 63), c)), b.and(b.shrS(c, 63), a)));
}

/** CF and OF together. */
const carryOverflow = (b: Builder, condition: Value): Value => b.let(b.mul(b.extendU(condition), Rflags.CF | Rflags.OF));

const multiplyAccumulator =
  (signed: boolean): Meaning =>
  (i, b) => {
    const { size } = i.dst;
    if (size === 64) {
      const a = b.register(0, 64);
      const c = i.dst.read();
      const low = b.let(b.mul(a, c));
      const high = signed ? multiplyHighSigned(b, a, c) : multiplyHighUnsigned(b, a, c);
      b.setRegister(0, 64, low);
      b.setRegister(2, 64, high);
      b.flags.result(64, low, () => carryOverflow(b, b.ne(high, signed ? b.shrS(low, 63) : 0n)));
      return;
    }
    const extend = (v: Value): Value => (signed ? b.let(b.signExtend(v, size)) : v);
    const a = extend(b.register(0, size));
    const c = extend(i.dst.read());
    const r = b.let(b.mul(a, c));
    if (size === 8) b.setRegister(0, 16, r);
    else {
      b.setRegister(0, size, r);
      b.setRegister(2, size, b.shrU(r, size));
    }
    b.flags.result(size, r, () => carryOverflow(b, b.ne(r, signed ? b.signExtend(r, size) : b.zeroExtend(r, size))));
  };

/** IMUL with two or three operands. */
const imul =
  (operands: 2 | 3): Meaning =>
  (i, b) => {
    const { size } = i.dst;
    const first = operands === 2 ? i.dst.read() : i.src.read();
    const second = operands === 2 ? i.src.read() : i.third.read();
    if (size === 64) {
      const low = b.let(b.mul(first, second));
      const high = multiplyHighSigned(b, first, second);
      i.dst.write(low);
      b.flags.result(64, low, () => carryOverflow(b, b.ne(high, b.shrS(low, 63))));
      return;
    }
    // The low half is the same without the signs.
    const r = b.letLow(b.mul(first, second), size);
    i.dst.write(r);
    b.flags.result(size, r, () => {
      const all = b.let(b.mul(b.signExtend(first, size), b.signExtend(second, size)));
      return carryOverflow(b, b.ne(all, b.signExtend(all, size)));
    });
  };

const div: Meaning = (i, b) => {
  const { size } = i.dst;
  const d = i.dst.read();
  b.raiseIf(b.eqz(d), Vector.DE);
  if (size === 64) {
    const low = b.register(0, 64);
    const high = b.register(2, 64);
    b.raiseIf(b.geU(high, d), Vector.DE);
    b.if(
      b.eqz(high),
      () => {
        b.setRegister(0, 64, b.divU(low, d));
        b.setRegister(2, 64, b.remU(low, d));
      },
      () => b.coreVoid('divide_u128', high, low, d),
    );
    return;
  }
  const dividend = size === 8 ? b.register(0, 16) : b.let(b.or(b.register(0, size), b.shl(b.register(2, size), size)));
  const quotient = b.let(b.divU(dividend, d));
  b.raiseIf(b.ne(b.shrU(quotient, size), 0), Vector.DE);
  const remainder = b.let(b.remU(dividend, d));
  if (size === 8) b.setRegister(0, 16, b.or(quotient, b.shl(remainder, 8)));
  else {
    b.setRegister(0, size, quotient);
    b.setRegister(2, size, remainder);
  }
};

const idiv: Meaning = (i, b) => {
  const { size } = i.dst;
  const divisor = i.dst.read();
  b.raiseIf(b.eqz(divisor), Vector.DE);
  if (size === 64) {
    b.if(b.eqz(b.core('divide_s128', b.register(2, 64), b.register(0, 64), divisor)), () => b.raise(Vector.DE), undefined, 'seldom');
    return;
  }
  const d = b.let(b.signExtend(divisor, size));
  const dividend = b.let(
    size === 8
      ? b.signExtend(b.register(0, 16), 16)
      : size === 16
        ? b.signExtend(b.or(b.register(0, 16), b.shl(b.register(2, 16), 16)), 32)
        : b.or(b.register(0, 32), b.shl(b.register(2, 32), 32)),
  );
  // The one quotient that WebAssembly itself would trap on does not fit either.
  b.raiseIf(b.and(b.eq(d, -1n), b.eq(dividend, -(1n << 63n))), Vector.DE);
  const quotient = b.let(b.divS(dividend, d));
  b.raiseIf(b.ne(quotient, b.signExtend(quotient, size)), Vector.DE);
  const remainder = b.let(b.remS(dividend, d));
  if (size === 8) b.setRegister(0, 16, b.or(b.and(quotient, 0xff), b.shl(remainder, 8)));
  else {
    b.setRegister(0, size, quotient);
    b.setRegister(2, size, remainder);
  }
};

export function defineMultiply(t: InstructionTable): void {
  const mul = multiplyAccumulator(false);
  const imul1 = multiplyAccumulator(true);
  const group: [number, string, Meaning, boolean][] = [
    [4, 'mul', mul, true],
    [5, 'imul', imul1, true],
    [6, 'div', div, false],
    [7, 'idiv', idiv, false],
  ];
  for (const [ext, name, meaning, hot] of group) {
    t.op(0xf6, name, 'Eb', meaning, { ext, readOnly: true });
    t.op(0xf7, name, 'Ev', meaning, { ext, hot, readOnly: true });
  }
  t.op(0x0faf, 'imul', 'Gv,Ev', imul(2), { hot: true });
  t.op(0x69, 'imul', 'Gv,Ev,Iz', imul(3), { hot: true });
  t.op(0x6b, 'imul', 'Gv,Ev,SXb', imul(3), { hot: true });
}

