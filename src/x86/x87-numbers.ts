// Numbers of other formats as the x87 keeps them, and the instructions' short forms on a register stack whose top is known: see FloatStack.
// Intel SDM volume 1, 4.2.2 (formats), 8.1.3 (status word), 8.3 (instructions), table 8-6 (condition codes of comparisons).

import { Cpu, Rflags, X87Op, X87Store } from '../core/layout.ts';
import type { Value } from '../wasm/function.ts';
import type { Builder, FloatNumber, FloatStack, Instruction, OperandRef, Precision } from './builder.ts';
import { narrowed, product, quotient, relationOf, sum, type Narrowed, type Rounded } from './x87-short.ts';

export const enum Fsw {
  C1 = 0x200,
  /** C0 to C3. */
  CONDITION = 0x4700,
  /** The exceptions' flags. */
  FLAGS = 0x3f,
}

/** An instruction where the register stack is known. */
export type Quick = (i: Instruction, b: Builder, s: FloatStack) => void;

const BIAS = 16383;
const INTEGER_BIT = 1n << 63n;

export function constant(b: Builder, significand: bigint, signExponent: number): FloatNumber {
  return { significand: b.i64(significand), signExponent: b.i32(signExponent), isPlain: true };
}
export const zero = (b: Builder): FloatNumber => constant(b, 0n, 0);
export const one = (b: Builder): FloatNumber => constant(b, INTEGER_BIT, BIAS);

/** A float32 or float64 that is zero or a normal number. */
export function widen(b: Builder, s: FloatStack, operand: OperandRef): FloatNumber {
  const bits = operand.read();
  const [fraction, exponentBits, bias] = operand.size === 32 ? [23, 8, 127] : [52, 11, 1023];
  const last = (1 << exponentBits) - 1;
  const exponent = b.let(b.and(b.wrap(b.shrU(bits, fraction)), last));
  const sign = (): Value => b.shl(b.wrap(b.shrU(bits, operand.size - 1)), 15);
  const significand = b.variable('i64');
  const signExponent = b.variable('i32');
  b.if(
    b.ltU(b.sub(exponent, 1), last - 1),
    () => {
      significand.set(b.or(b.shl(bits, 63 - fraction), b.i64(INTEGER_BIT)));
      signExponent.set(b.or(sign(), b.add(exponent, BIAS - bias)));
    },
    () => {
      s.requireShort(b.eqz(b.shl(bits, 65 - operand.size)));
      significand.set(b.i64(0));
      signExponent.set(sign());
    },
    'mostly',
  );
  return { significand: significand.get(), signExponent: signExponent.get(), isPlain: true };
}

/** A signed integer. */
export function fromInteger(b: Builder, operand: OperandRef): FloatNumber {
  const value = b.let(b.signExtend(operand.read(), operand.size));
  const sign = b.let(b.shrS(value, 63));
  const magnitude = b.let(b.sub(b.xor(value, sign), sign));
  const shift = b.let(b.clz(magnitude));
  return {
    significand: b.let(b.shl(magnitude, shift)),
    signExponent: b.let(b.select(b.eqz(magnitude), b.i32(0), b.or(b.and(b.wrap(sign), 0x8000), b.sub(BIAS + 63, b.wrap(shift))))),
    isPlain: true,
  };
}

/** x op y, rounded to so many bits. */
function short(b: Builder, s: FloatStack, precision: Precision, op: number, x: FloatNumber, y: FloatNumber): Rounded {
  if (op === X87Op.MUL) return product(b, s, precision, x, y);
  return op >= X87Op.DIV ? quotient(b, s, precision, op, x, y) : sum(b, s, precision, op, x, y);
}

/** ST(dst) = ST(dst) op a number, or ST(source) */
export function arithmetic(b: Builder, s: FloatStack, op: number, dst: number, source: FloatNumber | number, pops = 0): void {
  let bits: Value;
  const precision = s.short();
  if (precision) {
    const x = s.readPlain(dst);
    const y = typeof source === 'number' ? s.readPlain(source) : source;
    const result = short(b, s, precision, op, x, y);
    s.write(dst, result.number);
    bits = result.bits;
  } else {
    const { significand, signExponent } = typeof source === 'number' ? s.read(source) : source;
    const at = s.change(dst);
    if (op === X87Op.MUL) bits = b.core('x87_product', at, significand, signExponent);
    else bits = b.core(op >= X87Op.DIV ? 'x87_quotient' : 'x87_sum', at, b.i32(op), significand, signExponent);
  }
  if (pops) s.pop();
  s.status(bits, Fsw.C1);
}

/** C3, C2, C0, IE and DE of ST(0) and a number, or ST(other). */
function relation(b: Builder, s: FloatStack, source: FloatNumber | number, unordered: number): Value {
  if (s.short()) return relationOf(b, s.readPlain(0), typeof source === 'number' ? s.readPlain(source) : source);
  const top = s.read(0);
  const other = typeof source === 'number' ? s.read(source) : source;
  return b.core('x87_relation', top.significand, top.signExponent, other.significand, other.signExponent, b.i32(unordered ? 0 : 1));
}

export function compare(b: Builder, s: FloatStack, other: FloatNumber | number, unordered: number, pops: number): void {
  const bits = relation(b, s, other, unordered);
  for (let n = 0; n < pops; n++) s.pop();
  s.status(bits, Fsw.CONDITION);
}

/** C0, C2 and C3 lie as CF, PF and ZF do, eight bits higher. */
export function compareFlags(b: Builder, s: FloatStack, other: FloatNumber | number, unordered: number, pops: number): void {
  const bits = relation(b, s, other, unordered);
  for (let n = 0; n < pops; n++) s.pop();
  s.status(b.and(bits, Fsw.FLAGS), 0);
  b.flags.explicit(b.let(b.and(b.shrU(bits, 8), Rflags.CF | Rflags.PF | Rflags.ZF)));
}

/** To memory, in a format that x87_narrow knows. */
export function narrow(i: Instruction, b: Builder, s: FloatStack, kind: X87Store, pops: number): void {
  s.need([0]);
  const general = (): Narrowed => {
    const { significand, signExponent } = s.read(0);
    return { value: b.core('x87_narrow', b.i32(kind), significand, signExponent), bits: b.state('i32', Cpu.TMP128B) };
  };
  const isFloat = kind === X87Store.M32 || kind === X87Store.M64;
  const { value, bits } = isFloat && s.short() ? narrowed(b, s, kind === X87Store.M32 ? 32 : 64, s.readPlain(0)) : general();
  i.dst.write(value);
  if (pops) s.pop();
  s.status(bits, Fsw.C1);
}
