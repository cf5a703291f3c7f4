// Numbers, characters, memory and code as the monitor shows them. QEMU, monitor/misc.c (memory_dump) and disas/capstone.c.

import { Cpu, Mode } from '../core/layout.ts';
import type { Machine } from '../machine/machine.ts';
import { disassemble } from '../x86/disassemble.ts';
import { readMemory, readUpTo } from './memory.ts';
import { MonitorError } from './command.ts';
import type { Format } from './parameters.ts';

const MAX_INSTRUCTION = 15;
/** Bytes of an instruction in one line. */
const BYTES_A_LINE = 8;
/** Bytes and instructions that one command shows at most: what is more is a mistake, or a matter for pmemsave. */
const MAX_BYTES = 1 << 20;
const MAX_INSTRUCTIONS = 1 << 16;

/** A number with as many hexadecimal digits. */
export const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0');

export function character(value: number): string {
  const named: Readonly<Record<number, string>> = { 0x27: "\\'", 0x5c: '\\\\', 0x0a: '\\n', 0x0d: '\\r' };
  const shown = named[value] ?? (value >= 32 && value <= 126 ? String.fromCharCode(value) : `\\x${hex(value, 2)}`);
  return `'${shown}'`;
}

/** Octal with C's leading 0. */
const octal = (value: bigint): string => (value === 0n ? '0' : `0${value.toString(8)}`);

/** An expression's value, 64 bits. */
export function formatValue(value: bigint, letter: Format['letter']): string {
  const unsigned = BigInt.asUintN(64, value);
  switch (letter) {
    case 'o':
      return octal(unsigned);
    case 'x':
      return unsigned === 0n ? '0' : `0x${unsigned.toString(16)}`;
    case 'u':
      return String(unsigned);
    case 'c':
      return character(Number(unsigned & 0xffn));
    default:
      return String(BigInt.asIntN(64, value));
  }
}

function cell(value: bigint, bits: number, letter: Format['letter']): string {
  const decimals = Math.floor((bits * 10 + 32) / 33);
  switch (letter) {
    case 'o':
      return octal(value).padStart(Math.floor((bits + 2) / 3));
    case 'u':
      return String(value).padStart(decimals);
    case 'd':
      return String(BigInt.asIntN(bits, value)).padStart(decimals);
    case 'c':
      return character(Number(value & 0xffn));
    default:
      return `0x${hex(value, bits / 4)}`;
  }
}

/** What x and xp show. */
export function dumpMemory(machine: Machine, { count, letter, size }: Format, address: bigint, physical: boolean): string {
  if (letter === 'i') return dumpInstructions(machine, count, address, physical);
  const length = count * size;
  if (length > MAX_BYTES) throw new MonitorError(`${length} bytes are more than can be shown at once (${MAX_BYTES}); pmemsave and memsave write them to a file`);
  // Characters are bytes, but as many as there would be of the unit that stands beside them: so it is in QEMU.
  const unit = letter === 'c' ? 1 : size;
  const perLine = (size === 1 ? 8 : 16) / unit;
  const lines: string[] = [];
  for (let n = 0; n < length / unit; n += perLine) {
    const at = BigInt.asUintN(64, address + BigInt(n * unit));
    const units = Math.min(perLine, length / unit - n);
    const bytes = readMemory(machine, at, units * unit, physical);
    if (!bytes) {
      lines.push(`${hex(at, 16)}: Cannot access memory`);
      break;
    }
    const view = new DataView(bytes.buffer);
    const read = (offset: number): bigint =>
      unit === 8 ? view.getBigUint64(offset, true) : BigInt(unit === 4 ? view.getUint32(offset, true) : unit === 2 ? view.getUint16(offset, true) : view.getUint8(offset));
    lines.push(`${hex(at, 16)}: ${Array.from({ length: units }, (_, i) => cell(read(i * unit), unit * 8, letter)).join(' ')}`);
  }
  return lines.join('\n');
}

function dumpInstructions(machine: Machine, count: number, address: bigint, physical: boolean): string {
  if (count > MAX_INSTRUCTIONS) throw new MonitorError(`${count} instructions are more than can be shown at once (${MAX_INSTRUCTIONS})`);
  const mode = ([16, 32, 64] as const)[(machine.vcpu.get32(Cpu.MODE) & Mode.CODE_MASK) as 0 | 1 | 2];
  const bytes = readUpTo(machine, address, count * MAX_INSTRUCTION, physical);
  const lines: string[] = [];
  for (let n = 0, at = 0; n < count; n++) {
    const start = BigInt.asUintN(64, address + BigInt(at));
    const label = `0x${hex(start, 8)}:`;
    if (at >= bytes.length) {
      lines.push(`${label}  Cannot access memory`);
      break;
    }
    const { text, length } = instructionLine(bytes, at, mode, start);
    lines.push(text);
    at += length;
  }
  return lines.join('\n');
}

/** An instruction with its address and bytes, in two lines if it has many. @param at where its bytes begin */
export function instructionLine(bytes: Uint8Array, at: number, mode: 16 | 32 | 64, address: bigint): { text: string; length: number } {
  const { text, length } = disassemble(bytes, at, mode, address);
  const all = Array.from(bytes.subarray(at, at + length), (byte) => ` ${hex(byte, 2)}`);
  const [name, ...operands] = text.split(/ (?!ptr)(.*)/s);
  const line = `0x${hex(address, 8)}: ${all.slice(0, BYTES_A_LINE).join('').padEnd(3 * BYTES_A_LINE)}  ${name.padEnd(8)} ${operands[0] ?? ''}`.trimEnd();
  return { text: all.length > BYTES_A_LINE ? `${line}\n0x${hex(address + BigInt(BYTES_A_LINE), 8)}: ${all.slice(BYTES_A_LINE).join('')}` : line, length };
}
