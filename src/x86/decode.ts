// The instruction decoder: bytes to a Decoded, by the table. Intel SDM volume 2, chapter 2 "Instruction Format".
// It reads guest bytes, which may be anything: every path ends in a definition, "invalid" or "too long".

import { Cpu } from '../core/layout.ts';
import { table } from './instructions.ts';
import { operandBits, type InstructionDefinition, type OperandSpec } from './table.ts';

export const enum DecodeResult {
  OK = 0,
  /** No such instruction: #UD. */
  INVALID = 1,
  /** Longer than 15 bytes: #GP(0). */
  TOO_LONG = 2,
  /** The bytes given end inside the instruction. */
  TRUNCATED = 3,
}

/** What kind of thing an operand is, for the disassembler. */
export const enum OperandClass {
  NONE = 0,
  GPR = 1,
  SEGMENT = 2,
  CONTROL = 3,
  DEBUG = 4,
  MMX = 5,
  XMM = 6,
  X87 = 7,
  MEMORY = 8,
  IMMEDIATE = 9,
  /** relative branch target */
  RELATIVE = 10,
  /** selector:offset */
  FAR = 11,
}

const MAX_OPERANDS = 4;
const MAX_LENGTH = 15;

/** High-byte register n (4-7 without REX: AH CH DH BH) or low byte, as an offset in the vCPU area. */
const byteRegister = (n: number, rex: number): number => (rex === 0 && n >= 4 && n < 8 ? Cpu.GPR + (n - 4) * 8 + 1 : Cpu.GPR + n * 8);

/** Decodes one instruction at a time into its own fields. */
export class Decoder {
  definition!: InstructionDefinition;
  length = 0;
  /** Operand and address size in bits. */
  operandSize = 32;
  addressSize = 32;
  rex = 0;
  lock = false;
  /** 0, 1 (F3) or 2 (F2): the last repeat prefix. */
  repeat = 0;
  operandSizePrefix = false;
  /** Offset in the vCPU area of the overriding segment register, or 0. */
  segmentOverride = 0;

  modrm = 0;
  isMemory = false;
  /** Memory operand: offsets of the registers in the vCPU area (Cpu.ZERO: none). */
  base = 0;
  index = 0;
  scaleShift = 0;
  displacement = 0;
  ripRelative = false;
  /** Default segment of the memory operand, override applied. */
  segment = Cpu.DS as number;

  operandCount = 0;
  readonly operandClass = new Uint8Array(MAX_OPERANDS);
  /** Size in bits. */
  readonly operandBits = new Uint16Array(MAX_OPERANDS);
  /** Register number. */
  readonly operandNumber = new Uint8Array(MAX_OPERANDS);
  /** Register offset in the vCPU area. */
  readonly operandOffset = new Uint16Array(MAX_OPERANDS);
  /** First immediate, sign-extended as the instruction does it (as two halves); the second one of ENTER, and far selectors, in immediate2. */
  immediateLow = 0;
  immediateHigh = 0;
  immediate2 = 0;

  private bytes!: Uint8Array;
  private at = 0;
  private end = 0;
  private mode = 32;

  /**
   * @param bytes where the instruction's bytes are
   * @param start index of the first byte
   * @param end index behind the last byte that may be read
   * @param mode code size: 16, 32 or 64
   */
  decode(bytes: Uint8Array, start: number, end: number, mode: number): DecodeResult {
    this.bytes = bytes;
    this.at = start;
    this.end = Math.min(end, start + MAX_LENGTH);
    this.mode = mode;
    const result = this.run();
    this.length = this.at - start;
    if (result === DecodeResult.TRUNCATED && this.end === start + MAX_LENGTH) {
      this.length = MAX_LENGTH;
      return DecodeResult.TOO_LONG;
    }
    return result;
  }

  private run(): DecodeResult {
    const { bytes, mode } = this;
    const is64 = mode === 64;
    let rex = 0;
    let opPrefix = false;
    let addressPrefix = false;
    this.lock = false;
    this.repeat = 0;
    this.segmentOverride = 0;
    let opcode = 0;
    for (;;) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      opcode = bytes[this.at++];
      if (is64 && (opcode & 0xf0) === 0x40) {
        rex = opcode;
        continue;
      }
      let prefix = true;
      switch (opcode) {
        case 0x66:
          opPrefix = true;
          break;
        case 0x67:
          addressPrefix = true;
          break;
        case 0xf0:
          this.lock = true;
          break;
        case 0xf2:
          this.repeat = 2;
          break;
        case 0xf3:
          this.repeat = 1;
          break;
        case 0x26:
          if (!is64) this.segmentOverride = Cpu.ES;
          break;
        case 0x2e:
          if (!is64) this.segmentOverride = Cpu.CS;
          break;
        case 0x36:
          if (!is64) this.segmentOverride = Cpu.SS;
          break;
        case 0x3e:
          if (!is64) this.segmentOverride = Cpu.DS;
          break;
        case 0x64:
          this.segmentOverride = Cpu.FS;
          break;
        case 0x65:
          this.segmentOverride = Cpu.GS;
          break;
        default:
          prefix = false;
      }
      if (!prefix) break;
      rex = 0; // REX counts only right before the opcode
    }
    this.rex = rex;
    this.operandSizePrefix = opPrefix;
    let map = 0;
    if (opcode === 0x0f) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      opcode = bytes[this.at++];
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        if (this.at >= this.end) return DecodeResult.TRUNCATED;
        opcode = bytes[this.at++];
      }
    }
    const candidates = table.byOpcode[map * 256 + opcode];
    // Whether ModRM is there must be known before a definition is chosen; all definitions of an opcode agree on it.
    let modrm = -1;
    if (candidates.length > 0 && candidates[0].hasModRM) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      modrm = bytes[this.at++];
    }
    const mandatory = this.repeat === 2 ? 0xf2 : this.repeat === 1 ? 0xf3 : opPrefix ? 0x66 : 0;
    let definition: InstructionDefinition | undefined;
    for (let n = 0; n < candidates.length; n++) {
      const c = candidates[n];
      if (c.prefix !== undefined && c.prefix !== mandatory && !(c.prefix === 0x66 && opPrefix && c.map === 0)) continue;
      if (c.ext !== undefined && c.ext !== ((modrm >> 3) & 7)) continue;
      if (c.mod !== undefined && (c.mod === 'reg') !== modrm >= 0xc0) continue;
      if (c.rm !== undefined && c.rm !== (modrm & 7)) continue;
      if (c.w !== undefined && c.w !== ((rex >> 3) & 1)) continue;
      if (c.b !== undefined && c.b !== (rex & 1)) continue;
      if (is64 ? c.not64 : c.only64) continue;
      definition = c;
      break;
    }
    this.modrm = modrm;
    this.addressSize = is64 ? (addressPrefix ? 32 : 64) : (mode === 32) !== addressPrefix ? 32 : 16;
    if (!definition) {
      // The length of an undefined opcode is not architectural; #UD is raised at its start.
      return DecodeResult.INVALID;
    }
    this.definition = definition;
    this.isMemory = modrm >= 0 && modrm < 0xc0 && !definition.ignoresMod;
    this.operandSize = is64
      ? definition.f64 || rex & 8
        ? 64
        : opPrefix && definition.prefix !== 0x66
          ? 16
          : definition.d64
            ? 64
            : 32
      : (mode === 32) !== (opPrefix && definition.prefix !== 0x66)
        ? 32
        : 16;
    if (this.isMemory) {
      const r = this.addressSize === 16 ? this.memory16() : this.memory32();
      if (r !== DecodeResult.OK) return r;
    }
    const operands = definition.operands;
    this.operandCount = operands.length;
    this.immediateLow = 0;
    this.immediateHigh = 0;
    let immediates = 0;
    for (let n = 0; n < operands.length; n++) {
      const r = this.operand(n, operands[n], opcode, immediates);
      if (r !== DecodeResult.OK) return r;
      if (this.operandClass[n] === OperandClass.IMMEDIATE && operands[n].method !== 'ONE') immediates++;
    }
    if (this.lock && !(definition.lock && this.operandClass[0] === OperandClass.MEMORY)) return DecodeResult.INVALID;
    return DecodeResult.OK;
  }

  private register(n: number, kind: OperandClass, number: number, bits: number): void {
    this.operandClass[n] = kind;
    this.operandNumber[n] = number;
    this.operandBits[n] = bits;
    let offset = 0;
    switch (kind) {
      case OperandClass.GPR:
        offset = bits === 8 ? byteRegister(number, this.rex) : Cpu.GPR + number * 8;
        break;
      case OperandClass.SEGMENT:
        offset = Cpu.SEG + number * Cpu.SEG_SIZE;
        break;
      case OperandClass.XMM:
        offset = Cpu.XMM + number * 16;
        break;
      case OperandClass.MMX:
        offset = Cpu.FPR + number * 16;
        break;
      default:
        offset = number;
    }
    this.operandOffset[n] = offset;
  }

  private memoryOperand(n: number, bits: number): void {
    this.operandClass[n] = OperandClass.MEMORY;
    this.operandBits[n] = bits;
  }

  private operand(n: number, spec: OperandSpec, opcode: number, immediates: number): DecodeResult {
    const { modrm, rex } = this;
    const reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    const rm = (modrm & 7) | ((rex & 1) << 3);
    const bits = operandBits(spec, this.operandSize, (this.rex & 8) !== 0, this.mode === 64 ? 64 : 32);
    switch (spec.method) {
      case 'E':
        if (this.isMemory) this.memoryOperand(n, bits);
        else this.register(n, OperandClass.GPR, rm, bits);
        return DecodeResult.OK;
      case 'G':
        this.register(n, OperandClass.GPR, reg, bits);
        return DecodeResult.OK;
      case 'R':
        this.register(n, OperandClass.GPR, rm, bits);
        return DecodeResult.OK;
      case 'Z':
        this.register(n, OperandClass.GPR, (opcode & 7) | ((rex & 1) << 3), bits);
        return DecodeResult.OK;
      case 'M':
        if (!this.isMemory) return DecodeResult.INVALID;
        this.memoryOperand(n, bits);
        return DecodeResult.OK;
      case 'S':
        // CS cannot be loaded by MOV.
        if ((reg & 7) > 5 || (n === 0 && (reg & 7) === 1)) return DecodeResult.INVALID;
        this.register(n, OperandClass.SEGMENT, reg & 7, 16);
        return DecodeResult.OK;
      case 'C': {
        // LOCK MOV CR0 is AMD's other name of CR8; not offered.
        if (reg !== 0 && reg !== 2 && reg !== 3 && reg !== 4 && reg !== 8) return DecodeResult.INVALID;
        this.register(n, OperandClass.CONTROL, reg, bits);
        return DecodeResult.OK;
      }
      case 'D':
        if (reg > 7) return DecodeResult.INVALID;
        this.register(n, OperandClass.DEBUG, reg, bits);
        return DecodeResult.OK;
      case 'V':
        this.register(n, OperandClass.XMM, reg, bits);
        return DecodeResult.OK;
      case 'U':
        if (this.isMemory) return DecodeResult.INVALID;
        this.register(n, OperandClass.XMM, rm, bits);
        return DecodeResult.OK;
      case 'W':
        if (this.isMemory) this.memoryOperand(n, bits);
        else this.register(n, OperandClass.XMM, rm, bits);
        return DecodeResult.OK;
      case 'P':
        this.register(n, OperandClass.MMX, reg & 7, bits);
        return DecodeResult.OK;
      case 'N':
        if (this.isMemory) return DecodeResult.INVALID;
        this.register(n, OperandClass.MMX, rm & 7, bits);
        return DecodeResult.OK;
      case 'Q':
        if (this.isMemory) this.memoryOperand(n, bits);
        else this.register(n, OperandClass.MMX, rm & 7, bits);
        return DecodeResult.OK;
      case 'T':
        this.register(n, OperandClass.X87, modrm & 7, 80);
        return DecodeResult.OK;
      case 'ST0':
        this.register(n, OperandClass.X87, 0, 80);
        return DecodeResult.OK;
      case 'AL':
      case 'CL':
        this.register(n, OperandClass.GPR, spec.method === 'AL' ? 0 : 1, 8);
        return DecodeResult.OK;
      case 'AX':
      case 'DX':
        this.register(n, OperandClass.GPR, spec.method === 'AX' ? 0 : 2, 16);
        return DecodeResult.OK;
      case 'EAX':
        this.register(n, OperandClass.GPR, 0, this.operandSize === 16 ? 16 : 32);
        return DecodeResult.OK;
      case 'RAX':
        this.register(n, OperandClass.GPR, 0, this.operandSize);
        return DecodeResult.OK;
      case 'ONE':
        this.operandClass[n] = OperandClass.IMMEDIATE;
        this.operandBits[n] = 8;
        this.immediateLow = 1;
        return DecodeResult.OK;
      case 'O':
        return this.moffs(n, bits);
      case 'DI':
        this.isMemory = true;
        this.base = Cpu.RDI;
        this.index = Cpu.ZERO;
        this.scaleShift = 0;
        this.ripRelative = false;
        this.displacement = 0;
        this.segment = this.segmentOverride || Cpu.DS;
        this.memoryOperand(n, bits);
        return DecodeResult.OK;
      case 'A': {
        const size = this.operandSize === 16 ? 2 : 4;
        if (this.at + size + 2 > this.end) return DecodeResult.TRUNCATED;
        this.immediateLow = size === 2 ? this.read16() : this.read32();
        this.immediateHigh = 0;
        this.immediate2 = this.read16();
        this.operandClass[n] = OperandClass.FAR;
        this.operandBits[n] = this.operandSize;
        return DecodeResult.OK;
      }
      case 'J':
      case 'I':
      case 'SX':
        return this.immediate(n, spec, bits, immediates);
    }
  }

  private immediate(n: number, spec: OperandSpec, bits: number, immediates: number): DecodeResult {
    // z: an operand of 64 bits has an immediate of 32, sign-extended.
    const size = spec.method === 'SX' ? 1 : bits >> 3;
    if (this.at + size > this.end) return DecodeResult.TRUNCATED;
    let low: number;
    let high: number;
    if (size === 1) {
      low = this.bytes[this.at++];
      if (spec.method !== 'I') low = (low << 24) >> 24;
      high = low >> 31;
    } else if (size === 2) {
      low = this.read16();
      if (spec.method === 'J') low = (low << 16) >> 16;
      high = low >> 31;
    } else {
      low = this.read32();
      high = size === 8 ? this.read32() : low >> 31;
    }
    this.operandClass[n] = spec.method === 'J' ? OperandClass.RELATIVE : OperandClass.IMMEDIATE;
    this.operandBits[n] = spec.method === 'SX' || spec.size === 'z' ? this.operandSize : bits;
    if (immediates > 0) this.immediate2 = low;
    else {
      this.immediateLow = low;
      this.immediateHigh = high;
    }
    return DecodeResult.OK;
  }

  private moffs(n: number, bits: number): DecodeResult {
    const size = this.addressSize >> 3;
    if (this.at + size > this.end) return DecodeResult.TRUNCATED;
    this.isMemory = true;
    this.base = Cpu.ZERO;
    this.index = Cpu.ZERO;
    this.scaleShift = 0;
    this.ripRelative = false;
    this.segment = this.segmentOverride || Cpu.DS;
    this.displacement = size === 2 ? this.read16() : this.read32();
    // A 64-bit offset goes where immediates are: no instruction with moffs has one.
    this.immediateLow = this.displacement;
    this.immediateHigh = size === 8 ? this.read32() : 0;
    this.memoryOperand(n, bits);
    return DecodeResult.OK;
  }

  private memory16(): DecodeResult {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    let segment: number = Cpu.DS;
    this.scaleShift = 0;
    this.ripRelative = false;
    this.base = Cpu.ZERO;
    this.index = Cpu.ZERO;
    switch (rm) {
      case 0:
      case 1:
        this.base = Cpu.RBX;
        this.index = rm === 0 ? Cpu.RSI : Cpu.RDI;
        break;
      case 2:
      case 3:
        this.base = Cpu.RBP;
        this.index = rm === 2 ? Cpu.RSI : Cpu.RDI;
        segment = Cpu.SS;
        break;
      case 4:
        this.base = Cpu.RSI;
        break;
      case 5:
        this.base = Cpu.RDI;
        break;
      case 6:
        if (mod !== 0) {
          this.base = Cpu.RBP;
          segment = Cpu.SS;
        }
        break;
      case 7:
        this.base = Cpu.RBX;
        break;
    }
    this.displacement = 0;
    if (mod === 1) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      this.displacement = (this.bytes[this.at++] << 24) >> 24;
    } else if (mod === 2 || (mod === 0 && rm === 6)) {
      if (this.at + 2 > this.end) return DecodeResult.TRUNCATED;
      this.displacement = (this.read16() << 16) >> 16;
    }
    this.segment = this.segmentOverride || segment;
    return DecodeResult.OK;
  }

  private memory32(): DecodeResult {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    let segment: number = Cpu.DS;
    this.scaleShift = 0;
    this.ripRelative = false;
    this.index = Cpu.ZERO;
    let wide = mod === 2;
    if (rm === 4) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      const sib = this.bytes[this.at++];
      const index = ((sib >> 3) & 7) | ((this.rex & 2) << 2);
      const base = (sib & 7) | ((this.rex & 1) << 3);
      if (index !== 4) {
        this.index = Cpu.GPR + index * 8;
        this.scaleShift = sib >> 6;
      }
      if ((sib & 7) === 5 && mod === 0) {
        this.base = Cpu.ZERO;
        wide = true;
      } else {
        this.base = Cpu.GPR + base * 8;
        if (base === 4 || base === 5) segment = Cpu.SS;
      }
    } else if (rm === 5 && mod === 0) {
      wide = true;
      this.base = Cpu.ZERO;
      if (this.mode === 64) {
        this.ripRelative = true;
        this.base = Cpu.RIP_PAGE;
      }
    } else {
      const base = rm | ((this.rex & 1) << 3);
      this.base = Cpu.GPR + base * 8;
      if (base === 5) segment = Cpu.SS;
    }
    this.displacement = 0;
    if (mod === 1) {
      if (this.at >= this.end) return DecodeResult.TRUNCATED;
      this.displacement = (this.bytes[this.at++] << 24) >> 24;
    } else if (wide) {
      if (this.at + 4 > this.end) return DecodeResult.TRUNCATED;
      this.displacement = this.read32();
    }
    this.segment = this.segmentOverride || segment;
    return DecodeResult.OK;
  }

  private read16(): number {
    const v = this.bytes[this.at] | (this.bytes[this.at + 1] << 8);
    this.at += 2;
    return v;
  }

  private read32(): number {
    const { bytes, at } = this;
    this.at = at + 4;
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }
}
