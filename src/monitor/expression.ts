// Integer expressions of the monitor: + - & | ^ * / % ~ with parentheses, character constants and $registers; 64 bits, signed.
// QEMU, monitor/hmp.c. The logic operators bind tighter than + and -, looser than *.

import { ParseError, type Scanner } from './scanner.ts';

/** Value of a register, undefined where there is none of this name. */
export type RegisterReader = (name: string) => bigint | undefined;

/** Parentheses and signs within each other: the stack of JavaScript has an end. */
const MAX_DEPTH = 500;

const signed = (value: bigint): bigint => BigInt.asIntN(64, value);

export function expression(scanner: Scanner, register: RegisterReader): bigint {
  let depth = 0;
  scanner.skipSpaces();
  return sum();

  function sum(): bigint {
    let value = logic();
    for (;;) {
      const operator = scanner.next;
      if (operator !== '+' && operator !== '-') return value;
      step();
      const other = logic();
      value = signed(operator === '+' ? value + other : value - other);
    }
  }

  function logic(): bigint {
    let value = product();
    for (;;) {
      const operator = scanner.next;
      if (operator !== '&' && operator !== '|' && operator !== '^') return value;
      step();
      const other = product();
      value = operator === '&' ? value & other : operator === '|' ? value | other : value ^ other;
    }
  }

  function product(): bigint {
    let value = unary();
    for (;;) {
      const operator = scanner.next;
      if (operator !== '*' && operator !== '/' && operator !== '%') return value;
      step();
      const other = unary();
      if (operator === '*') {
        value = signed(value * other);
        continue;
      }
      if (other === 0n) throw new ParseError('division by zero');
      value = signed(operator === '/' ? value / other : value % other);
    }
  }

  function unary(): bigint {
    if (++depth > MAX_DEPTH) throw new ParseError('expression is nested too deeply');
    const value = operand();
    depth--;
    return value;
  }

  function operand(): bigint {
    const char = scanner.next;
    switch (char) {
      case '+':
        step();
        return unary();
      case '-':
        step();
        return signed(-unary());
      case '~':
        step();
        return ~unary();
      case '(': {
        step();
        const value = sum();
        if (scanner.next !== ')') throw new ParseError("')' expected");
        step();
        return value;
      }
      case "'": {
        scanner.at++;
        if (scanner.next === '') throw new ParseError('character constant expected');
        const value = BigInt(scanner.next.charCodeAt(0) & 0xff);
        scanner.at++;
        if (scanner.next !== "'") throw new ParseError("missing terminating ' character");
        step();
        return value;
      }
      case '$': {
        scanner.at++;
        const value = register(scanner.take(/[a-zA-Z0-9_.]*/y));
        if (value === undefined) throw new ParseError('unknown register');
        scanner.skipSpaces();
        return signed(value);
      }
      case '':
        throw new ParseError('unexpected end of expression');
    }
    // As C's strtoull(): hexadecimal with 0x, octal with 0.
    const digits = scanner.take(/0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*/y);
    if (digits === '') throw new ParseError(`invalid char '${char}' in expression`);
    const value = BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
    if (value > 0xffff_ffff_ffff_ffffn) throw new ParseError('number too large');
    scanner.skipSpaces();
    return signed(value);
  }

  /** Behind an operator, and what spaces follow it. */
  function step(): void {
    scanner.at++;
    scanner.skipSpaces();
  }
}
