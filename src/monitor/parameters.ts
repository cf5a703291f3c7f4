// The types that parameters of commands have. QEMU, monitor/monitor-internal.h, "Supported types": the letter there stands at each here.

import type { Parameter, Session } from './command.ts';
import { expression } from './expression.ts';
import { readRegister } from './registers.ts';
import { ParseError, type Scanner } from './scanner.ts';

/** How memory and values are shown. */
export interface Format {
  count: number;
  letter: 'o' | 'd' | 'u' | 'x' | 'i' | 'c';
  /** Bytes of a unit; meaningless for instructions. */
  size: number;
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8, L: 8 };

/** '/': a count, a letter and a size, in any order after the count. What is left out is as it was the last time. */
export const format = (): Parameter<Format> => ({
  isFlag: true,
  parse(scanner, _command, session) {
    scanner.skipSpaces();
    if (scanner.next !== '/') return { count: 1, letter: session.format, size: session.size };
    scanner.at++;
    const digits = scanner.take(/\d+/y);
    let letter: Format['letter'] | undefined;
    let size: number | undefined;
    for (;;) {
      const char = scanner.next;
      if (/^[oduxic]$/.test(char)) letter = char as Format['letter'];
      else if (Object.hasOwn(SIZES, char)) size = SIZES[char];
      else break;
      scanner.at++;
    }
    if (!/^\s?$/.test(scanner.next)) throw new ParseError(`invalid char in format: '${scanner.next}'`);
    session.format = letter ?? session.format;
    if (session.format !== 'i') session.size = size ?? session.size;
    return { count: digits === '' ? 1 : Number(digits), letter: session.format, size: session.size };
  },
});

const value = (scanner: Scanner, session: Session): bigint => expression(scanner, (name) => readRegister(session.target.machine.vcpu, name));

/** 'l': an expression of 64 bits. */
export const long = (): Parameter<bigint> => ({ parse: (scanner, _command, session) => value(scanner, session) });

/** 'l?': one that may be left out. */
export const optionalLong = (): Parameter<bigint | undefined> => ({
  parse(scanner, _command, session) {
    scanner.skipSpaces();
    return scanner.next === '' ? undefined : value(scanner, session);
  },
});

/** 'M': an expression, MiB; the value is bytes. */
export const megabytes = (): Parameter<number> => ({
  parse(scanner, _command, session) {
    const wide = value(scanner, session);
    if (wide < 0n) throw new ParseError('enter a positive value');
    return Number(wide) * 2 ** 20;
  },
});

function int32(scanner: Scanner, command: string, session: Session): number {
  const wide = value(scanner, session);
  if (BigInt.asUintN(32, wide >> 32n) !== 0n) throw new ParseError(`'${command}' has failed: integer is for 32-bit values`);
  return Number(BigInt.asIntN(32, wide));
}

/** 'i': an expression of 32 bits. */
export const integer = (): Parameter<number> => ({ parse: int32 });

/** 'i?': one that may be left out. */
export const optionalInteger = (): Parameter<number | undefined> => ({
  parse(scanner, command, session) {
    scanner.skipSpaces();
    return scanner.next === '' ? undefined : int32(scanner, command, session);
  },
});

/** 'i.': one that a dot comes before. */
export const dottedInteger = (): Parameter<number | undefined> => ({
  parse(scanner, command, session) {
    scanner.skipSpaces();
    if (scanner.next !== '.') return undefined;
    scanner.at++;
    scanner.skipSpaces();
    return int32(scanner, command, session);
  },
});

const KINDS = { string: 'string', filename: 'filename', device: 'block device name' } as const;

/** 's', 'F', 'B': a word, or text in double quotes. @param complete what it can be */
export const text = (kind: keyof typeof KINDS = 'string', complete?: (session: Session) => readonly string[]): Parameter<string> => ({
  parse(scanner, command) {
    const word = scanner.string();
    if (word === undefined) throw new ParseError(`${command}: ${KINDS[kind]} expected`);
    return word;
  },
  complete,
});

/** 's?', 'F?', 'B?' */
export const optionalText = (complete?: (session: Session) => readonly string[]): Parameter<string | undefined> => ({
  parse: (scanner) => scanner.string(),
  complete,
});

/** '-x': a flag. */
export const flag = (letter: string): Parameter<boolean> => ({
  isFlag: true,
  parse: (scanner, command) => takeFlag(scanner, command, letter),
});

/** '-xs': a flag with a word behind it. */
export const textFlag = (letter: string): Parameter<string | undefined> => ({
  isFlag: true,
  parse(scanner, command) {
    if (!takeFlag(scanner, command, letter)) return undefined;
    const word = scanner.string();
    if (word === undefined) throw new ParseError(`${command}: string expected`);
    return word;
  },
});

function takeFlag(scanner: Scanner, command: string, letter: string): boolean {
  scanner.skipSpaces();
  if (scanner.next !== '-') return false;
  const given = scanner.text.charAt(scanner.at + 1);
  if (given !== letter) throw new ParseError(`${command}: unsupported option -${given}`);
  scanner.at += 2;
  return true;
}

/** 'b': on or off. */
export const onOff = (): Parameter<boolean> => ({
  parse(scanner) {
    scanner.skipSpaces();
    const word = scanner.take(/\S+/y);
    if (word !== 'on' && word !== 'off') throw new ParseError("Expected 'on' or 'off'");
    return word === 'on';
  },
  complete: () => ['off', 'on'],
});

/** 'S': the rest of the line. */
export const rest = (complete?: (session: Session) => readonly string[]): Parameter<string> => ({
  parse(scanner) {
    scanner.skipSpaces();
    return scanner.take(/.*/y).trimEnd();
  },
  complete,
});
