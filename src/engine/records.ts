// Writes a decoded instruction as records (core/layout.ts, Rec): an address pseudo-record where the address is more than
// base + displacement, and the instruction's own.

import { Cpu, JumpTargets, Mem, Mode, Rec, Seg } from '../core/layout.ts';
import { OperandClass, type Decoder } from '../x86/decode.ts';
import { kinds, Pseudo } from './kinds.ts';

/** "No segment": the place whose base field is Cpu.ZERO. */
const NO_SEGMENT = Cpu.ZERO - Seg.BASE;

/** The bytes of records, wherever they are kept. */
export interface RecordBytes {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
}

/** Address of what the compiler keeps beside a record of the code cache. */
export const sideOf = (record: number): number => Mem.SIDE + ((record - Mem.RECORDS) >>> 2);

/** Address of what is noted of an indirect jump's targets. */
export const jumpTargetsOf = (record: number): number =>
  Mem.JUMP_TARGETS + ((record / Rec.SIZE) & (JumpTargets.JUMPS - 1)) * JumpTargets.PLACES * 4;

export class RecordWriter {
  /** Address in the shared memory where the next record goes. */
  at = 0;
  private readonly u8: Uint8Array;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;

  constructor(buffer: ArrayBufferLike) {
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
  }

  /** Start a record: all fields but kind, offset and ordinal are 0, base and index Cpu.ZERO, and REG is no segment. */
  private begin(kind: number, offset: number, ordinal: number): number {
    const at = this.at;
    this.at = at + Rec.SIZE;
    const { i32 } = this;
    const words = at >> 2;
    // Word by word: fill() of shared memory is a call of V8's runtime.
    i32[words + Rec.KIND / 4] = kind;
    i32[words + Rec.RM / 4] = NO_SEGMENT << 16;
    i32[words + Rec.BASE / 4] = Cpu.ZERO | (Cpu.ZERO << 16);
    i32[words + Rec.ORDINAL / 4] = ordinal | (offset << 16);
    i32[words + Rec.DISP / 4] = 0;
    i32[words + Rec.LINK / 4] = 0;
    i32[words + Rec.IMM / 4] = 0;
    i32[words + Rec.IMM / 4 + 1] = 0;
    if (at >= Mem.RECORDS) {
      const side = sideOf(at) >> 2;
      i32[side] = 0;
      i32[side + 1] = 0;
    }
    return at;
  }

  private half(at: number, field: Rec, value: number): void {
    this.u16[(at + field) >> 1] = value;
  }

  private word(at: number, field: number, value: number): void {
    this.i32[(at + field) >> 2] = value;
  }

  /** A pseudo-record without operands. */
  pseudo(kind: Pseudo, offset: number, ordinal: number): number {
    return this.begin(kind, offset, ordinal);
  }

  chain(target: number, offset: number, ordinal: number): void {
    const at = this.begin(Pseudo.CHAIN, offset, ordinal);
    this.word(at, Rec.LINK, target);
  }

  crossing(hostPage: number, offset: number, ordinal: number): void {
    const at = this.begin(Pseudo.CROSSING, offset, ordinal);
    this.word(at, Rec.IMM, hostPage);
  }

  /**
   * Write the decoder's instruction.
   * @param mode Cpu.MODE
   * @param offset of its first byte in its page
   * @param ordinal instructions before it in the block
   */
  instruction(d: Decoder, mode: number, offset: number, ordinal: number): void {
    const { definition } = d;
    const size = d.operandSize;
    const next = offset + d.length;
    let direct = true;
    let displacement = d.displacement;
    if (d.isMemory && d.ripRelative) displacement = (displacement + next) | 0;
    // POP to memory computes its address with the stack pointer already moved.
    if (definition.popToMemory && d.base === Cpu.RSP) displacement = (displacement + size / 8) | 0;
    if (d.isMemory && !definition.addressOnly && !definition.hint) direct = this.address(d, mode, offset, ordinal, displacement);

    const at = this.begin(kinds.numberOf(definition, size, d.isMemory, mode, d.lock), offset, ordinal);
    this.u8[at + Rec.LENGTH] = d.length;
    let registers = 0;
    let immediates = 0;
    for (let n = 0; n < d.operandCount; n++) {
      const kind = d.operandClass[n];
      const method = definition.operands[n].method;
      switch (kind) {
        case OperandClass.MEMORY:
          break;
        case OperandClass.IMMEDIATE:
          immediates++;
          if (method === 'ONE' || immediates === 1) this.immediate(at, d.operandBits[n], d.immediateLow, d.immediateHigh);
          else this.word(at, Rec.IMM + 4, d.immediate2);
          break;
        case OperandClass.RELATIVE: {
          const target = next + d.immediateLow;
          this.word(at, Rec.IMM, target);
          this.word(at, Rec.IMM + 4, Math.floor(target / 0x1_0000_0000));
          break;
        }
        case OperandClass.FAR:
          this.word(at, Rec.IMM, d.immediateLow);
          this.word(at, Rec.IMM + 4, d.immediate2);
          break;
        default:
          if (method === 'CL' || method === 'DX') break;
          this.half(at, registers++ === 0 ? Rec.RM : Rec.REG, d.operandOffset[n]);
      }
    }
    // Two immediates share the field, so the first must not reach into the second's half.
    if (immediates === 2) this.word(at, Rec.IMM, d.immediateLow & 0xffff);
    if (definition.string) {
      this.u8[at + Rec.AUX] = d.repeat | (Math.log2(d.addressSize >> 3) << 2);
      this.half(at, Rec.REG, d.segmentOverride || Cpu.DS);
    }
    if (definition.addressOnly) {
      this.half(at, Rec.BASE, d.base);
      this.half(at, Rec.INDEX, d.index);
      this.u8[at + Rec.AUX] = d.scaleShift;
      this.word(at, Rec.DISP, displacement);
      this.mask(at, d.addressSize);
    } else if (d.isMemory) {
      this.half(at, Rec.BASE, direct ? d.base : Cpu.EA);
      this.word(at, Rec.DISP, direct ? displacement : 0);
    }
  }

  private mask(at: number, bits: number): void {
    this.word(at, Rec.IMM, bits === 16 ? 0xffff : -1);
    this.word(at, Rec.IMM + 4, bits === 64 ? -1 : 0);
  }

  /** An immediate zero-extended from its size. */
  private immediate(at: number, bits: number, low: number, high: number): void {
    this.word(at, Rec.IMM, bits === 8 ? low & 0xff : bits === 16 ? low & 0xffff : low);
    this.word(at, Rec.IMM + 4, bits === 64 ? high : 0);
  }

  /** Write an address pseudo-record if the operand needs one; true if it does not. */
  private address(d: Decoder, mode: number, offset: number, ordinal: number, displacement: number): boolean {
    const code = mode & Mode.CODE_MASK;
    const based = d.segment === Cpu.FS || d.segment === Cpu.GS;
    const bitString = d.definition.bitString === true && d.operandClass[1] === OperandClass.GPR;
    if (bitString && (code === Mode.CODE64 ? d.addressSize === 32 : !(mode & Mode.FLAT) || based || d.addressSize === 16 || d.segment === Cpu.CS)) {
      const at = this.computed(Pseudo.ADDRESS_BITS, d, offset, ordinal, displacement);
      this.half(at, Rec.REG, d.segment);
      this.half(at, Rec.RM, d.operandOffset[1]);
      this.word(at, Rec.LINK, d.operandBits[1]);
      this.checked(at, d, d.addressSize === 16 ? 0xffff : -1);
      return false;
    }
    const moffs = d.definition.operands.some((o) => o.method === 'O');
    if (code === Mode.CODE64) {
      if (moffs && (based || d.addressSize === 32 || d.immediateHigh !== d.immediateLow >> 31)) {
        const at = this.begin(Pseudo.ADDRESS_ABSOLUTE, offset, ordinal);
        this.half(at, Rec.REG, based ? d.segment : NO_SEGMENT);
        this.word(at, Rec.IMM, d.immediateLow);
        this.word(at, Rec.IMM + 4, d.immediateHigh);
        return false;
      }
      if (!based && d.index === Cpu.ZERO && d.addressSize === 64) return true;
      const at = this.computed(Pseudo.ADDRESS, d, offset, ordinal, displacement);
      this.half(at, Rec.REG, based ? d.segment : NO_SEGMENT);
      this.mask(at, d.addressSize);
      return false;
    }
    // Code segments are flat but not writable, so an operand in CS is checked.
    if (mode & Mode.FLAT && !(based && d.addressSize === 16) && d.segment !== Cpu.CS) {
      if (based) {
        const at = this.computed(Pseudo.ADDRESS_SEGMENT, d, offset, ordinal, displacement);
        this.half(at, Rec.REG, d.segment);
        this.checked(at, d, -1);
        return false;
      }
      if (d.index === Cpu.ZERO && d.addressSize === 32) return true;
      const at = this.computed(Pseudo.ADDRESS, d, offset, ordinal, displacement);
      this.mask(at, d.addressSize);
      return false;
    }
    const at = this.computed(Pseudo.ADDRESS_GENERAL, d, offset, ordinal, displacement);
    this.half(at, Rec.REG, d.segment);
    this.checked(at, d, d.addressSize === 16 ? 0xffff : -1);
    return false;
  }

  private computed(kind: Pseudo, d: Decoder, offset: number, ordinal: number, displacement: number): number {
    const at = this.begin(kind, offset, ordinal);
    this.half(at, Rec.BASE, d.base);
    this.half(at, Rec.INDEX, d.index);
    this.u8[at + Rec.AUX] = d.scaleShift;
    this.word(at, Rec.DISP, displacement);
    return at;
  }

  /** IMM for the pseudo-records that check limits: mask, size in bytes, write. */
  private checked(at: number, d: Decoder, mask: number): void {
    let bytes = d.definition.memoryBytes ?? 0;
    let write = false;
    for (let n = 0; n < d.operandCount; n++) {
      if (d.operandClass[n] !== OperandClass.MEMORY) continue;
      if (bytes === 0) bytes = d.operandBits[n] >> 3;
      write = (n === 0 || d.definition.operands[n].method === 'DI') && !d.definition.readOnly;
    }
    this.word(at, Rec.IMM, mask);
    this.word(at, Rec.IMM + 4, Math.max(1, bytes) | (write ? 0x1_0000 : 0));
  }
}
