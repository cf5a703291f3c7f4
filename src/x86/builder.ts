// What an instruction's meaning is written against: a typed code builder, and operands.
// A meaning does not know whether a register is a constant (compiler) or comes from a record (interpreter),
// nor whether code is emitted inline or as a function of its own.
//
// Integer operands of 8 to 64 bits are i64 values, zero-extended; 128-bit operands are v128.
// Precise faults: a meaning makes all its memory accesses before it writes a register; the builder refuses another order.

import type { FunctionBuilder, Value } from '../wasm/function.ts';
import type { Assumption } from './assumptions.ts';
import type { CoreFunction, PureFunction } from './core-functions.ts';
import type { Flags } from './flags.ts';

/** One operand of an instruction. */
export interface OperandRef {
  /** Size in bits. */
  readonly size: number;
  readonly isMemory: boolean;
  readonly isImmediate: boolean;
  /** The value: i64 zero-extended, or v128. Bound to a local. */
  read(): Value;
  /** A vector with 64 or 32 bits, and zeroes above them. Bound to a local. */
  readLow(): Value;
  /** Like read(), when write() follows: one look-up with write permission; atomic if the instruction is locked. */
  readModify(): Value;
  /** Bits above the size are ignored; 32-bit register writes clear the upper half. An XMM register takes a number (f64, f32) as it is, and a v128 as a whole. */
  write(value: Value): void;
  /** Linear address of a memory operand (i64). */
  address(): Value;
  /** A memory operand moved by a number of bytes (i64), of another size in bits if given. */
  displaced(bytes: Value, size?: number): OperandRef;
  /** Byte offset in the vCPU area of a register operand (i32). */
  registerOffset(): Value;
}

/** The instruction being given a meaning. */
export interface Instruction {
  readonly name: string;
  /** Operand size in bits: 16, 32 or 64 (8 for byte forms of "b" operands is in the operand). */
  readonly size: number;
  readonly operands: readonly OperandRef[];
  /** operands[0], [1], [2]. */
  readonly dst: OperandRef;
  readonly src: OperandRef;
  readonly third: OperandRef;
  /** Offset part of LEA's operand, cut to the address size (i64). */
  effectiveAddress(): Value;
  /** Address size in bytes (i32). */
  addressBytes(): Value;
  /** Offset in the vCPU area of the segment register in use (i32). */
  segment(): Value;
  /** 0, 1 (F3) or 2 (F2) (i32). */
  repeat(): Value;
  /** RIP of the next instruction (i64). */
  nextRip(): Value;
}

/** Bits of significand that sums and products are rounded to in the short way. */
export type Precision = 53 | 64;

/** A number as the x87 keeps it: significand (i64), sign and exponent (i32). */
export interface FloatNumber {
  readonly significand: Value;
  readonly signExponent: Value;
  /** It is known to be zero or a normal number. */
  readonly isPlain: boolean;
}

/**
 * The x87's register stack, for code that knows where its top is. All exceptions are masked. An instruction first says what it needs, then
 * reads memory and registers, then writes, and ends with status().
 */
export interface FloatStack {
  /** These ST(i) hold numbers, and there is room for a push if asked for; elsewhere the general way is gone. */
  need(full: readonly number[], room?: boolean): void;
  /** A condition (i32) beside whose opposite the general way is gone. */
  require(condition: Value): void;
  read(i: number): FloatNumber;
  write(i: number, number: FloatNumber): void;
  exchange(i: number): void;
  push(number: FloatNumber): void;
  pop(): void;
  /** What the short way (x87-short.ts) rounds to, and FCW is then known to say; 0: it is not gone. */
  short(): Precision | 0;
  /** Numbers of all kinds are to be expected: those in memory are left to core, which knows them all. */
  readonly isDoubtful: boolean;
  /** FCW becomes another one (i32) that masks all exceptions. */
  setControl(value: Value): void;
  /** The same as require(), for numbers that the short way is not for. */
  requireShort(condition: Value): void;
  /** ST(i), which is plain, for the short way. */
  readPlain(i: number): FloatNumber;
  /** Host address (i32) of ST(i), whose value a function of core is about to change. */
  change(i: number): Value;
  /** 80 bits of memory. */
  load(operand: OperandRef): FloatNumber;
  store(operand: OperandRef, number: FloatNumber): void;
  /** The end: in FSW `clear` is cleared, then the bits (i32) are set; TOP and the tags follow. */
  status(bits: Value | null, clear: number): void;
}

/** The code builder with x86's environment. Methods whose name says "raise" or "status" end the instruction where they act. */
export interface Builder extends FunctionBuilder {
  readonly flags: Flags;
  /** Address of the vCPU area (i32). */
  cpu(): Value;
  /** Read a field of the vCPU area as i32 or i64, bound to a local. */
  state(type: 'i32' | 'i64' | 'v128', offset: number, bits?: number): Value;
  setState(offset: number, value: Value, bits?: number): void;
  /** General register n at a size in bits; high-byte registers are not reached this way. */
  register(n: number, size: number): Value;
  setRegister(n: number, size: number, value: Value): void;

  /** Guest memory at a linear address. Sizes in bits: 8 to 64 give i64, 128 gives v128. */
  /** The number (f64 or f32) whose bits a value (i64) is. */
  asFloat(double: boolean, bits: Value): Value;
  loadGuest(address: Value, size: number): Value;
  storeGuest(address: Value, size: number, value: Value): void;

  push(value: Value, size: number): void;
  /** Read the stack's top, RSP still unchanged; dropStack() follows when nothing can fault any more. */
  peekStack(size: number): Value;
  dropStack(bytes: number | Value): void;
  /** ENTER without nesting, with so many bytes (i64) to allocate. @returns false if core has to */
  enter(size: number, allocate: Value): boolean;
  /** PUSHA. @returns false if core has to */
  pushAll(size: number): boolean;
  /** POPA. @returns false if core has to */
  popAll(size: number): boolean;
  /** LEAVE: the stack pointer from rBP, then rBP from the stack. */
  leave(size: number): void;

  /**
   * Linear address of a string instruction's operand; null where core has to check it.
   * @param segment Cpu.DS, Cpu.ES …
   * @param offset zero-extended
   */
  stringAddress(segment: number, offset: Value, addressSize: number, bytes: number, write: boolean): Value | null;
  /**
   * Load a segment register where that is simple, and the builder knows it.
   * @param segment its place in the vCPU area (i32)
   * @returns false if core has to
   */
  loadSegment(segment: Value, selector: Value): boolean;

  /** Real mode, as assume('real') takes for granted. */
  readonly isReal: boolean;
  /** Load CS in real mode, before a jump. */
  loadCode(selector: Value): void;

  /** Jump to the relative target of the record, or to a RIP. Ends the instruction. */
  jumpRelative(): void;
  jump(rip: Value): void;
  /** Jump to the relative target if the condition (i32) holds. Ends the instruction. */
  branch(condition: Value): void;

  /** Call a core function for its value (bound to a local); arguments without the vCPU address. */
  core(name: CoreFunction, ...args: Value[]): Value;
  coreVoid(name: CoreFunction, ...args: Value[]): void;
  /** Call a core function that carries out the instruction and says by a Status how to go on. */
  coreStatus(name: CoreFunction, ...args: Value[]): void;
  /** Call a function that has no effect (bound to a local). */
  pure(name: PureFunction, ...args: Value[]): Value;
  /** Leave if an exception is pending after core() or coreVoid(). */
  checkFault(): void;
  /** Where it does not hold, otherwise() raises an exception or lets core decide. */
  assume(assumption: Assumption, otherwise: () => void): void;
  /** An x87 instruction: inline where the builder knows the register stack, else by functions of core that look after it themselves. */
  x87(quick: (stack: FloatStack) => void, general: () => void): void;
  /** Raise an exception: no error code unless given. */
  raise(vector: number, error?: number): void;
  /** Raise if the condition (i32) holds. */
  raiseIf(condition: Value, vector: number, error?: number): void;
}

/** What an instruction does. */
export type Meaning = (i: Instruction, b: Builder) => void;
