// The disassembler: Intel syntax from the instruction table, through the same Decoder that the engine runs by.
// Looks as iced-x86's Intel formatter and objdump -M intel do: `mov eax,dword ptr [rbx+rcx*4+0x10]`.

import { Cpu } from '../core/layout.ts';
import { Decoder, DecodeResult, OperandClass } from './decode.ts';
import type { InstructionDefinition } from './table.ts';

export interface Disassembly {
  /** `(bad)` where there is no instruction. */
  readonly text: string;
  /** Bytes; 1 where there is no instruction, so that a listing goes on with the next byte. */
  readonly length: number;
}

const WIDE = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH = ['ah', 'ch', 'dh', 'bh'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const POINTERS: Record<number, string> = { 8: 'byte', 16: 'word', 32: 'dword', 48: 'fword', 64: 'qword', 80: 'tbyte', 128: 'xmmword' };

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function registerName(number: number, bits: number): string {
  if (number >= 8) return `r${number}${bits === 64 ? '' : bits === 32 ? 'd' : bits === 16 ? 'w' : 'b'}`;
  if (bits === 8) return LOW[number];
  return (bits === 64 ? 'r' : bits === 32 ? 'e' : '') + WIDE[number];
}

const generalNumber = (offset: number): number => (offset - Cpu.GPR) >> 3;
const segmentName = (offset: number): string => SEGMENTS[(offset - Cpu.SEG) / Cpu.SEG_SIZE];

const decoder = new Decoder();

/**
 * One instruction as text.
 * @param bytes where the instruction's bytes are
 * @param start index of the first byte
 * @param mode code size: 16, 32 or 64
 * @param address RIP of the first byte
 */
export function disassemble(bytes: Uint8Array, start: number, mode: 16 | 32 | 64, address: bigint): Disassembly {
  if (decoder.decode(bytes, start, bytes.length, mode) !== DecodeResult.OK) return { text: '(bad)', length: 1 };
  const d = decoder;
  const next = address + BigInt(d.length);
  const { definition } = d;
  const name = mnemonic(definition);
  // LOOP and XLATB carry the same things in their records, but are no string instructions.
  const string = definition.string === true && definition.operands.length === 0 && name !== 'xlatb';
  const operands = string ? stringOperands(name) : name === 'xlatb' ? [stringOperand(8, 'bx', sourceSegment())] : explicitOperands(next);
  return { text: `${prefixes(mode, string)}${name}${operands.length > 0 ? ` ${operands.join(',')}` : ''}`, length: d.length };
}

function mnemonic({ name, names }: InstructionDefinition): string {
  if (name === 'jcxz') return decoder.addressSize === 16 ? 'jcxz' : decoder.addressSize === 32 ? 'jecxz' : 'jrcxz';
  return names ? names[decoder.operandSize === 16 ? 0 : decoder.operandSize === 32 ? 1 : 2] : name;
}

function prefixes(mode: number, string: boolean): string {
  const d = decoder;
  const { definition } = d;
  let text = d.lock ? 'lock ' : '';
  if (string && d.repeat !== 0) text += d.repeat === 2 ? 'repne ' : /^(cmp|sca)/.test(definition.name) ? 'repe ' : 'rep ';
  if (definition.suffix) {
    const usual = mode !== 64 ? mode : definition.d64 || definition.f64 ? 64 : 32;
    if (d.operandSize !== usual) text += `data${d.operandSize} `;
  }
  // JCXZ has a name for each size.
  if (definition.name.startsWith('loop') && d.addressSize !== mode) text += `addr${d.addressSize} `;
  return text;
}

function explicitOperands(next: bigint): string[] {
  const d = decoder;
  const operands: string[] = [];
  let immediates = 0;
  for (let n = 0; n < d.operandCount; n++) {
    const bits = d.operandBits[n];
    const number = d.operandNumber[n];
    const { method, size } = d.definition.operands[n];
    switch (d.operandClass[n] as OperandClass) {
      case OperandClass.NONE:
        break;
      case OperandClass.GPR:
        // An odd offset is a register's second byte: AH CH DH BH.
        operands.push(d.operandOffset[n] & 1 ? HIGH[number - 4] : registerName(number, bits));
        break;
      case OperandClass.SEGMENT:
        operands.push(SEGMENTS[number]);
        break;
      case OperandClass.CONTROL:
        operands.push(`cr${number}`);
        break;
      case OperandClass.DEBUG:
        operands.push(`dr${number}`);
        break;
      case OperandClass.MMX:
        operands.push(`mm${number}`);
        break;
      case OperandClass.XMM:
        operands.push(`xmm${number}`);
        break;
      case OperandClass.X87:
        operands.push(method === 'ST0' ? 'st' : `st(${number})`);
        break;
      case OperandClass.MEMORY:
        // Where MASKMOVQ stores is implied, but for the segment.
        if (method === 'DI' && (d.segmentOverride === 0 || d.segmentOverride === Cpu.DS)) break;
        operands.push(memory(size === 'p' ? bits + 16 : size === 's' ? 48 : bits, next));
        break;
      case OperandClass.IMMEDIATE:
        operands.push(method === 'ONE' ? '0x1' : hex(immediates++ === 0 ? firstImmediate(bits) : d.immediate2 & (bits === 8 ? 0xff : 0xffff)));
        break;
      case OperandClass.RELATIVE:
        operands.push(hex(BigInt.asUintN(d.operandSize, next + BigInt(d.immediateLow))));
        break;
      case OperandClass.FAR:
        operands.push(`${hex(d.immediate2)}:${hex(d.immediateLow >>> 0)}`);
        break;
    }
  }
  return operands;
}

function firstImmediate(bits: number): bigint {
  return BigInt.asUintN(bits, (BigInt(decoder.immediateHigh) << 32n) | BigInt(decoder.immediateLow >>> 0));
}

function memory(bits: number, next: bigint): string {
  const d = decoder;
  if (d.definition.addressOnly) return `[${addressText(next)}]`;
  const pointer = POINTERS[bits] ? `${POINTERS[bits]} ptr ` : '';
  const usual = d.base === Cpu.RSP || d.base === Cpu.RBP ? Cpu.SS : Cpu.DS;
  const segment = d.segmentOverride !== 0 && d.segmentOverride !== usual ? `${segmentName(d.segmentOverride)}:` : '';
  return `${pointer}${segment}[${addressText(next)}]`;
}

function addressText(next: bigint): string {
  const d = decoder;
  const absolute = (value: bigint): string => hex(BigInt.asUintN(d.addressSize, value));
  if (d.definition.operands.some((o) => o.method === 'O')) {
    return absolute((BigInt(d.immediateHigh) << 32n) | BigInt(d.immediateLow >>> 0));
  }
  if (d.ripRelative) return `rel ${absolute(next + BigInt(d.displacement))}`;
  const parts: string[] = [];
  if (d.base !== Cpu.ZERO) parts.push(registerName(generalNumber(d.base), d.addressSize));
  if (d.index !== Cpu.ZERO) {
    const scale = d.addressSize === 16 || (d.scaleShift === 0 && parts.length > 0) ? '' : `*${1 << d.scaleShift}`;
    parts.push(registerName(generalNumber(d.index), d.addressSize) + scale);
  }
  if (parts.length === 0) return absolute(BigInt(d.displacement));
  const { displacement } = d;
  return parts.join('+') + (displacement === 0 ? '' : displacement < 0 ? `-${hex(-displacement)}` : `+${hex(displacement)}`);
}

/** Segment of a string instruction's source, said only where it is not DS. */
const sourceSegment = (): string =>
  decoder.segmentOverride !== 0 && decoder.segmentOverride !== Cpu.DS ? `${segmentName(decoder.segmentOverride)}:` : '';

function stringOperand(bits: number, register: string, segment: string): string {
  return `${POINTERS[bits]} ptr ${segment}[${registerName(WIDE.indexOf(register), decoder.addressSize)}]`;
}

function stringOperands(name: string): string[] {
  const bits = { b: 8, w: 16, d: 32, q: 64 }[name.at(-1)!]!;
  const override = sourceSegment();
  const source = stringOperand(bits, 'si', override);
  const both = /^(movs|cmps)/.test(name);
  // ES cannot be overridden; said only where the other operand's segment is.
  const destination = stringOperand(bits, 'di', both && override ? 'es:' : '');
  switch (name.slice(0, -1)) {
    case 'ins':
      return [destination, 'dx'];
    case 'outs':
      return ['dx', source];
    case 'movs':
      return [destination, source];
    case 'cmps':
      return [source, destination];
    case 'lods':
      return [source];
    default:
      return [destination];
  }
}
