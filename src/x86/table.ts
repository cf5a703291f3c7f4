// The instruction table: one line for each encoding, in the notation of the Intel SDM volume 2, appendix A.2.
// Decoder, disassembler, interpreter and compiler all come from it. The lines themselves are in the files by topic
// (alu.ts, control.ts, …), gathered by instructions.ts.

import type { Meaning } from './builder.ts';

/** Opcode maps. */
export const enum OpcodeMap {
  ONE_BYTE = 0,
  /** 0F */
  TWO_BYTE = 1,
  /** 0F 38 */
  MAP_0F38 = 2,
  /** 0F 3A */
  MAP_0F3A = 3,
}

/** Addressing method letters of appendix A.2.1, and fixed operands by name. */
export type Method =
  | 'A' | 'C' | 'D' | 'E' | 'G' | 'I' | 'J' | 'M' | 'N' | 'O' | 'P' | 'Q' | 'R' | 'S' | 'U' | 'V' | 'W'
  /** general register in the opcode's low three bits */
  | 'Z'
  /** x87 register ST(i) in ModRM.rm */
  | 'T'
  /** sign-extended byte immediate, for an operand of the operand size */
  | 'SX'
  /** memory at rDI, segment override allowed (MASKMOVQ) */
  | 'DI'
  | 'AL' | 'AX' | 'EAX' | 'RAX' | 'CL' | 'DX' | 'ST0' | 'ONE';

/** Operand type letters of appendix A.2.2. */
export type SizeLetter = 'b' | 'w' | 'd' | 'q' | 'v' | 'z' | 'y' | 'x' | 'p' | 's' | 't' | 'n' | '';

export interface OperandSpec {
  readonly method: Method;
  readonly size: SizeLetter;
}

/**
 * Size of an operand, bits; 0 where its letter tells none.
 * @param operandSize of the instruction: 16, 32, 64  @param isWide 64 bits are asked for (REX.W)  @param natural size of control and debug registers
 */
export function operandBits({ size }: OperandSpec, operandSize: number, isWide: boolean, natural: number): number {
  switch (size) {
    case 'b':
      return 8;
    case 'w':
      return 16;
    case 'd':
      return 32;
    case 'q':
      return 64;
    case 'v':
    case 'p':
      return operandSize;
    case 'z':
      return operandSize === 16 ? 16 : 32;
    case 'y':
      return isWide ? 64 : 32;
    case 'n':
      return natural;
    case 'x':
      return 128;
    case 't':
      return 80;
    default:
      return 0;
  }
}

export interface Attributes {
  /** Mandatory prefix: 0 means that 66, F3 and F2 must be absent. Absent: any prefix may stand there. */
  prefix?: 0 | 0x66 | 0xf2 | 0xf3;
  /** ModRM.reg, as in "/digit". */
  ext?: number;
  /** ModRM.mod must say register, or memory. */
  mod?: 'reg' | 'mem';
  /** ModRM.rm must be this. */
  rm?: number;
  /** REX.W, REX.B must be this. */
  w?: 0 | 1;
  b?: 0 | 1;
  /** Only in 64-bit mode / not in 64-bit mode. */
  only64?: boolean;
  not64?: boolean;
  /** Operand size in 64-bit mode: 64 unless 66 says 16 (d64), or always 64 (f64). */
  d64?: boolean;
  f64?: boolean;
  /** LOCK may stand before it, with a memory destination. */
  lock?: boolean;
  /** Locked with a memory operand even without the prefix (XCHG). */
  implicitLock?: boolean;
  /** A memory operand in first place is read, not written. */
  readOnly?: boolean;
  /** The memory operand is only named: its address is not checked. */
  hint?: boolean;
  /** With a register as second operand, that register moves the address (BT, BTS, BTR, BTC). */
  bitString?: boolean;
  /** It uses the stack, so its code depends on the stack's kind. */
  stack?: boolean;
  /** Only the address of its memory operand is used (LEA). */
  addressOnly?: boolean;
  /** A string instruction: its record carries address size, segment and repeat prefix. */
  string?: boolean;
  /** Control never goes on to the next instruction by itself. */
  ends?: boolean;
  /** With ends: core's function does all of a transfer to or from a handler, and says JUMP; the compiler goes on where it went. */
  transfers?: boolean;
  /** How a transfer of control goes on; the compiler makes its own of these. */
  flow?: 'branch' | 'jump' | 'call' | 'return';
  /** With flow: to another code segment. */
  far?: boolean;
  /** It may change segments, paging or the mode, so the next instruction must be looked up anew. */
  resync?: boolean;
  /** What it changed of these shows in Cpu.TRANSLATIONS and Cpu.INTERRUPT_SHADOW: compiled code goes on where nothing did. */
  showsChange?: boolean;
  /** POP to memory: an address by RSP is that after the pop. */
  popToMemory?: boolean;
  /** Inline in the interpreter's dispatch function. */
  hot?: boolean;
  /** Where an interrupt may be taken: right after it, or after the instruction that follows. */
  interrupts?: 'after' | 'shadow';
  /** For the disassembler: the operand size cannot be seen in name and operands, so it says data16 and the like where unusual. */
  suffix?: boolean;
  /** Mnemonics by operand size (16, 32, 64), where they differ (CBW CWDE CDQE). */
  names?: readonly [string, string, string];
  /** The meaning does not depend on the operand size, so one handler serves all. */
  anySize?: boolean;
  /** Size in bytes that a memory operand without size letter covers (FXSAVE 512). */
  memoryBytes?: number;
}

/**
 * One encoding. A class that has every attribute: the decoder reads them for each instruction, and V8 is quick where all objects have
 * one shape.
 */
export class InstructionDefinition implements Attributes {
  readonly prefix: Attributes['prefix'];
  readonly ext: Attributes['ext'];
  readonly mod: Attributes['mod'];
  readonly rm: Attributes['rm'];
  readonly w: Attributes['w'];
  readonly b: Attributes['b'];
  readonly only64: Attributes['only64'];
  readonly not64: Attributes['not64'];
  readonly d64: Attributes['d64'];
  readonly f64: Attributes['f64'];
  readonly lock: Attributes['lock'];
  readonly implicitLock: Attributes['implicitLock'];
  readonly readOnly: Attributes['readOnly'];
  readonly hint: Attributes['hint'];
  readonly bitString: Attributes['bitString'];
  readonly stack: Attributes['stack'];
  readonly addressOnly: Attributes['addressOnly'];
  readonly string: Attributes['string'];
  readonly ends: Attributes['ends'];
  readonly transfers: Attributes['transfers'];
  readonly flow: Attributes['flow'];
  readonly far: Attributes['far'];
  readonly resync: Attributes['resync'];
  readonly showsChange: Attributes['showsChange'];
  readonly popToMemory: Attributes['popToMemory'];
  readonly hot: Attributes['hot'];
  readonly interrupts: Attributes['interrupts'];
  readonly suffix: Attributes['suffix'];
  readonly names: Attributes['names'];
  readonly anySize: Attributes['anySize'];
  readonly memoryBytes: Attributes['memoryBytes'];
  readonly hasModRM: boolean;
  /** ModRM.rm is a register whatever ModRM.mod says (MOV from and to control and debug registers). */
  readonly ignoresMod: boolean;

  constructor(
    readonly id: number,
    readonly map: OpcodeMap,
    readonly opcode: number,
    readonly name: string,
    readonly operands: readonly OperandSpec[],
    readonly meaning: Meaning,
    attributes: Attributes,
  ) {
    // All fields are there by now. Reading each of them from the table's literals, which have 200 shapes, took V8 some 6,000 look-ups of a shape at a start.
    Object.assign(this, attributes);
    this.hasModRM =
      this.ext !== undefined || this.mod !== undefined || this.rm !== undefined || operands.some(({ method }) => MODRM_METHODS.has(method));
    this.ignoresMod = this.mod === undefined && operands.some(({ method }) => method === 'R');
  }
}

const FIXED = new Set(['DI', 'AL', 'AX', 'EAX', 'RAX', 'CL', 'DX', 'ST0']);
const MODRM_METHODS = new Set<Method>(['C', 'D', 'E', 'G', 'M', 'N', 'P', 'Q', 'R', 'S', 'U', 'V', 'W', 'T']);

function parseOperand(text: string): OperandSpec {
  if (FIXED.has(text)) return { method: text as Method, size: '' };
  if (text === '1') return { method: 'ONE', size: '' };
  // rAX: AX, EAX or RAX by the operand size.
  if (text === 'rAX') return { method: 'RAX', size: 'v' };
  if (text.startsWith('SX')) return { method: 'SX', size: text.slice(2) as SizeLetter };
  return { method: text[0] as Method, size: text.slice(1) as SizeLetter };
}

export class InstructionTable {
  readonly definitions: InstructionDefinition[] = [];
  /** Definitions by map * 256 + opcode, in order of definition: the first that matches is taken. */
  readonly byOpcode: InstructionDefinition[][] = Array.from({ length: 4 * 256 }, () => []);

  /**
   * Add one encoding.
   * @param opcode with its map: 0x01, 0x0f01, 0x0f3801, 0x0f3a01
   * @param operands comma-separated, in the SDM's notation, e.g. "Ev,Gv"
   */
  op(opcode: number, name: string, operands: string, meaning: Meaning, attributes: Attributes = {}): void {
    const map =
      opcode <= 0xff ? OpcodeMap.ONE_BYTE : opcode >> 8 === 0x0f ? OpcodeMap.TWO_BYTE : opcode >> 8 === 0x0f38 ? OpcodeMap.MAP_0F38 : OpcodeMap.MAP_0F3A;
    const specs: OperandSpec[] = [];
    if (operands !== '') for (const operand of operands.split(',')) specs.push(parseOperand(operand));
    const definition = new InstructionDefinition(this.definitions.length, map, opcode & 0xff, name, specs, meaning, attributes);
    this.definitions.push(definition);
    this.byOpcode[map * 256 + definition.opcode].push(definition);
  }

  /** The same for the eight opcodes that hold a register in their low bits. */
  op8(opcode: number, name: string, operands: string, meaning: Meaning, attributes: Attributes = {}): void {
    for (let n = 0; n < 8; n++) this.op(opcode + n, name, operands, meaning, attributes);
  }
}
