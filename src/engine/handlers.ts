// Handlers: a meaning of src/x86 emitted as WebAssembly. HandlerBuilder is what all have in common; ColdBuilder makes a function of
// each kind that takes its operands from a record, dispatch.ts puts the hot ones inline, compile/builder.ts makes code whose operands are constants.

import { Cpu, JumpTargets, Mem, Mode, Rec, Seg, SegAttr, Status, Tlb } from '../core/layout.ts';
import { FunctionBuilder, type Value, type Variable } from '../wasm/function.ts';
import type { FunctionRef, ValType } from '../wasm/module.ts';
import { holds, type Assumption } from '../x86/assumptions.ts';
import type { Builder, FloatStack, Instruction, OperandRef } from '../x86/builder.ts';
import type { CoreFunction, PureFunction } from '../x86/core-functions.ts';
import { Flags, type FlagFunctions } from '../x86/flags.ts';
import { fromLow64 } from '../x86/vector.ts';
import type { Kind, OperandShape } from './kinds.ts';

/** Functions of the module that handlers share. */
export interface Shared {
  core: Record<CoreFunction, FunctionRef>;
  pure: Record<PureFunction, FunctionRef>;
  flags: FlagFunctions;
}

/** What the dispatch function needs besides: functions of the host, and tables of functions. */
export interface DispatchLinks {
  lookup: FunctionRef;
  /** (cpu, record): jumps have gone to the record often enough. */
  hot: FunctionRef;
  /** Handlers that are functions: (cpu, record) -> Status. */
  cold: { type: number; table: number };
  /** Compiled regions: (depth, RIP_PAGE) -> RIP. */
  regions: { type: number; table: number };
}

/** Where execution goes when it leaves a handler early. */
export interface Exits {
  fault(): void;
  jump(rip: Value): void;
  relative(): void;
  status(value: Value): void;
}

export const PAGE_MASK = -4096n;

/** Descriptor type bits of segments whose limit of 4 GiB does not mean "anywhere": code, and data that expands down. */
const CODE_OR_EXPAND_DOWN = 0x0c;

export abstract class HandlerBuilder extends FunctionBuilder implements Builder {
  abstract readonly flags: Flags;
  protected abstract readonly exits: Exits;
  kind!: Kind;
  private registerWritten = '';
  /** Something was written, so the handler can no longer give up. */
  protected changed = false;

  constructor(
    params: readonly ValType[],
    protected readonly shared: Shared,
  ) {
    super(params);
  }

  abstract record(): Value;
  protected abstract tlb(): Value;
  protected abstract addressMask(): Value;
  /** Continue with `then` on a TLB hit, else with `slow`, which the dispatch function leaves out. */
  protected abstract onHit(hit: Value, then: () => void, slow: () => void): void;

  /** Emit a meaning. */
  handle(kind: Kind): void {
    this.kind = kind;
    this.registerWritten = '';
    this.changed = false;
    this.scoped(() => {
      kind.definition.meaning(new InstructionContext(this, kind), this);
      this.meant();
    });
  }

  /** The meaning is complete. */
  protected meant(): void {}

  cpu(): Value {
    return this.param(0);
  }

  field(offset: Rec, bits: number, type: 'i32' | 'i64' = 'i32', signed = false): Value {
    return this.load(type, this.record(), offset, bits, signed);
  }

  /** The 64-bit register whose place stands in a field of the record. */
  protected registerAt(field: Rec): Value {
    return this.load('i64', this.add(this.cpu(), this.field(field, 16)), 0);
  }

  /** A register operand by its offset in the vCPU area: i64 zero-extended, or v128. */
  readRegister(offset: Value, size: number): Value {
    const { base, displacement } = this.place(offset);
    return this.let(size === 128 ? this.load('v128', base, displacement) : this.load('i64', base, displacement, size));
  }

  /** @param vector part of a vector register, of which nothing else changes */
  writeRegister(offset: Value, size: number, value: Value, vector: boolean): void {
    this.noteRegisterWrite('a register operand');
    const { base, displacement } = this.place(offset);
    if (size === 128 || value.type !== 'i64') this.store(base, displacement, value);
    else if (size === 32 && !vector) this.store(base, displacement, this.zeroExtend(value, 32), 64);
    else this.store(base, displacement, value, size);
  }

  private place(offset: Value): { base: Value; displacement: number } {
    if (offset.isConstant) return { base: this.cpu(), displacement: offset.exact };
    return { base: this.add(this.cpu(), offset), displacement: 0 };
  }

  /** The number (f64 or f32) whose bits a value (i64) is. */
  asFloat(double: boolean, bits: Value): Value {
    return double ? this.unary('f64', [0xbf], bits) : this.unary('f32', [0xbe], this.wrap(bits));
  }

  /** A vector of a value (i64) and zeroes above it. */
  low(value: Value): Value {
    return fromLow64(this, value);
  }

  /** The same of 64 or 32 bits of guest memory. */
  loadLow(address: Value, size: number): Value {
    return this.low(this.loadGuest(address, size));
  }

  state(type: 'i32' | 'i64' | 'v128', offset: number, bits?: number): Value {
    return this.let(this.load(type, this.cpu(), offset, bits));
  }

  setState(offset: number, value: Value, bits?: number): void {
    this.store(this.cpu(), offset, value, bits);
  }

  register(n: number, size: number): Value {
    return this.state('i64', Cpu.GPR + n * 8, size);
  }

  setRegister(n: number, size: number, value: Value): void {
    this.noteRegisterWrite(`register ${n}`);
    if (size === 32) this.store(this.cpu(), Cpu.GPR + n * 8, this.zeroExtend(value, 32), 64);
    else this.store(this.cpu(), Cpu.GPR + n * 8, value, size);
  }

  noteRegisterWrite(what: string): void {
    this.registerWritten = what;
    this.changed = true;
  }

  protected memoryAccess(): void {
    if (this.registerWritten) throw new Error(`${this.kind.label}: memory is accessed after ${this.registerWritten} was written, so a fault would not be precise`);
  }

  // ---- guest memory

  /** Where the entries' offsets count from. */
  protected readonly tlbOffset: number = 0;

  protected tlbEntry(address: Value): Value {
    // Page number and size of an entry in one shift.
    return this.let(this.add(this.tlb(), this.and(this.shrU(this.wrap(address), 12 - 5), (Tlb.ENTRIES - 1) * Tlb.ENTRY_SIZE)));
  }

  protected hit(address: Value, entry: Value, bytes: number, tag: Tlb): Value {
    return this.eq(this.and(this.add(address, bytes - 1), PAGE_MASK), this.load('i64', entry, this.tlbOffset + tag));
  }

  protected host(address: Value, entry: Value): Value {
    return this.add(this.wrap(address), this.load('i32', entry, this.tlbOffset + Tlb.ADDEND));
  }

  /** @param stack the address is the stack pointer's: #SS where a data access gives #GP */
  loadGuest(address: Value, size: number, stack = false): Value {
    this.memoryAccess();
    const va = this.let(address);
    const out = this.variable(size === 128 ? 'v128' : 'i64');
    const entry = this.tlbEntry(va);
    this.onHit(
      this.hit(va, entry, size / 8, Tlb.TAG_READ),
      () => out.set(this.load(out.type, this.host(va, entry), 0, size)),
      () => {
        if (size === 128) {
          this.callVoid(this.shared.core.read_slow128, [this.cpu(), va]);
          this.checkFault();
          out.set(this.load('v128', this.cpu(), Cpu.TMP128));
        } else {
          out.set(this.call(stack ? this.shared.core.read_slow_ss : this.shared.core.read_slow, [this.cpu(), va, this.i32(size / 8)]));
          this.checkFault();
        }
      },
    );
    return out.get();
  }

  storeGuest(address: Value, size: number, value: Value, stack = false): void {
    this.memoryAccess();
    const va = this.let(address);
    const v = this.let(value);
    const entry = this.tlbEntry(va);
    this.onHit(
      this.hit(va, entry, size / 8, Tlb.TAG_WRITE),
      () => this.store(this.host(va, entry), 0, v, size),
      () => this.storeSlow(va, size, v, stack),
    );
    this.changed = true;
  }

  private storeSlow(va: Value, size: number, v: Value, stack = false): void {
    if (size === 128) {
      this.store(this.cpu(), Cpu.TMP128, v);
      this.callVoid(this.shared.core.write_slow128, [this.cpu(), va]);
    } else {
      this.callVoid(stack ? this.shared.core.write_slow_ss : this.shared.core.write_slow, [this.cpu(), va, this.i32(size / 8), v]);
    }
    this.checkFault();
  }

  /** One look-up for reading and writing. */
  modifyGuest(address: Value, size: number): { value: Value; store: (v: Value) => void } {
    this.memoryAccess();
    const va = this.let(address);
    const host = this.variable('i32');
    const value = this.variable('i64');
    const entry = this.tlbEntry(va);
    let canMiss = false;
    this.onHit(
      this.hit(va, entry, size / 8, Tlb.TAG_WRITE),
      () => {
        host.set(this.host(va, entry));
        value.set(this.load('i64', host.get(), 0, size));
      },
      () => {
        canMiss = true;
        value.set(this.call(this.shared.core.rmw_slow, [this.cpu(), va, this.i32(size / 8)]));
        this.checkFault();
        host.set(this.i32(0));
      },
    );
    return {
      value: value.get(),
      store: (v) => {
        const r = this.let(v);
        this.changed = true;
        if (!canMiss) return this.store(host.get(), 0, r, size);
        this.if(
          host.get(),
          () => this.store(host.get(), 0, r, size),
          () => this.storeSlow(va, size, r),
        );
      },
    };
  }

  /** The same, atomic: a loop around compare-and-exchange, from the read to the write. */
  modifyGuestLocked(address: Value, size: number): { value: Value; store: (v: Value) => void } {
    this.memoryAccess();
    const va = this.let(address);
    const host = this.let(this.call(this.shared.core.lock_address, [this.cpu(), va, this.i32(size / 8)]));
    this.checkFault();
    const value = this.variable('i64');
    const loop = this.openLoop();
    this.if(
      this.eq(host, 1),
      () => {
        value.set(this.call(this.shared.core.rmw_slow, [this.cpu(), va, this.i32(size / 8)]));
        this.checkFault();
      },
      () => value.set(this.load('i64', host, 0, size)),
    );
    return {
      value: value.get(),
      store: (v) => {
        const r = this.let(v);
        this.if(
          this.eq(host, 1),
          () => this.storeSlow(va, size, r),
          () => this.brIf(loop, this.ne(this.atomicCompareExchange(host, value.get(), this.zeroExtend(r, size), size), value.get())),
        );
        this.closeLoop();
      },
    };
  }

  // ---- stack

  private stackMask(): Value {
    return this.let(this.select(this.and(this.load('i32', this.cpu(), Cpu.SS + Seg.ATTR), SegAttr.DB), 0xffffffffn, 0xffffn));
  }

  protected setStackPointer(value: Value): void {
    if (this.kind.stack === 'flat64') this.setRegister(4, 64, value);
    else if (this.kind.stack === 'flat32') this.setRegister(4, 32, value);
    else {
      this.noteRegisterWrite('the stack pointer');
      const v = this.let(value);
      this.if(
        this.and(this.load('i32', this.cpu(), Cpu.SS + Seg.ATTR), SegAttr.DB),
        () => this.store(this.cpu(), Cpu.RSP, this.zeroExtend(v, 32)),
        () => this.store(this.cpu(), Cpu.RSP, v, 16),
      );
    }
  }

  /** Linear address of a stack slot. */
  protected stackAddress(offset: Value, bytes: number, write: boolean): Value {
    if (this.kind.stack === 'flat64') return offset;
    if (this.kind.stack === 'flat32') return this.let(this.zeroExtend(offset, 32));
    const masked = this.let(this.and(offset, this.stackMask()));
    const address = this.core('segment_address', this.i32(Cpu.SS), masked, this.i32(bytes), this.i32(write ? 1 : 0));
    this.checkFault();
    return address;
  }

  /** A stack pointer and a distance. */
  protected movedBy(pointer: Value, bytes: number | Value): Value {
    return this.letLow(this.add(pointer, bytes), this.kind.stack === 'flat64' ? 64 : 32);
  }

  /** RSP or RBP, as much of it as a stack's address has. */
  protected stackRegister(offset: Cpu.RSP | Cpu.RBP): Value {
    return this.state('i64', offset);
  }

  push(value: Value, size: number): void {
    const v = this.let(value);
    const top = this.movedBy(this.stackRegister(Cpu.RSP), -size / 8);
    this.storeGuest(this.stackAddress(top, size / 8, true), size, v, true);
    this.setStackPointer(top);
  }

  peekStack(size: number): Value {
    return this.loadGuest(this.stackAddress(this.stackRegister(Cpu.RSP), size / 8, false), size, true);
  }

  dropStack(bytes: number | Value): void {
    this.setStackPointer(this.movedBy(this.stackRegister(Cpu.RSP), bytes));
  }

  enter(_size: number, _allocate: Value): boolean {
    return false;
  }

  pushAll(_size: number): boolean {
    return false;
  }

  popAll(_size: number): boolean {
    return false;
  }

  leave(size: number): void {
    const frame = this.stackRegister(Cpu.RBP);
    const value = this.loadGuest(this.stackAddress(frame, size / 8, false), size, true);
    this.setStackPointer(this.movedBy(frame, size / 8));
    this.setRegister(5, size, value);
  }

  // ---- leaving

  stringAddress(_segment: number, _offset: Value, _addressSize: number, _bytes: number, _write: boolean): Value | null {
    return null;
  }

  readonly isReal: boolean = false;

  loadSegment(_segment: Value, _selector: Value): boolean {
    return false;
  }

  loadCode(_selector: Value): void {
    throw new Error('core loads CS');
  }

  jump(rip: Value): void {
    this.exits.jump(this.kind.size === 64 ? rip : this.zeroExtend(rip, this.kind.size));
  }

  /** For the compiler: where an indirect jump goes. */
  protected noteTarget(rip: Value): void {
    const { flow } = this.kind.definition;
    if (flow !== 'jump' && flow !== 'call') return;
    const low = this.let(this.wrap(rip));
    const jump = this.shl(this.and(this.shrU(this.record(), 5), JumpTargets.JUMPS - 1), 10);
    const place = this.shl(this.and(this.xor(this.shrU(low, 2), this.shrU(low, 10)), JumpTargets.PLACES - 1), 2);
    this.store(this.add(jump, place), Mem.JUMP_TARGETS, this.sub(low, this.wrap(this.load('i64', this.cpu(), Cpu.RIP_PAGE))));
  }

  jumpRelative(): void {
    this.exits.relative();
  }

  branch(condition: Value): void {
    this.if(condition, () => this.exits.relative());
    // The compiler leaves out what is behind branches that are always taken.
    this.store(this.record(), Rec.PASSED, this.add(this.load('i32', this.record(), Rec.PASSED), 1));
  }

  /** RIP of the relative target. */
  relativeTarget(): Value {
    const target = this.add(this.load('i64', this.cpu(), Cpu.RIP_PAGE), this.field(Rec.IMM, 64, 'i64'));
    return this.kind.size === 64 ? target : this.zeroExtend(target, this.kind.size);
  }

  /** RIP of this record's instruction. */
  ownRip(): Value {
    return this.add(this.load('i64', this.cpu(), Cpu.RIP_PAGE), this.field(Rec.OFFSET, 16, 'i64'));
  }

  /** RIP of the instruction after it. */
  nextRip(): Value {
    return this.maskAddress(this.add(this.ownRip(), this.field(Rec.LENGTH, 8, 'i64')));
  }

  core(name: CoreFunction, ...args: Value[]): Value {
    return this.let(this.call(this.shared.core[name], [this.cpu(), ...args]));
  }

  pure(name: PureFunction, ...args: Value[]): Value {
    return this.let(this.call(this.shared.pure[name], args));
  }

  coreVoid(name: CoreFunction, ...args: Value[]): void {
    this.callVoid(this.shared.core[name], [this.cpu(), ...args]);
  }

  coreStatus(name: CoreFunction, ...args: Value[]): void {
    this.exits.status(this.call(this.shared.core[name], [this.cpu(), ...args]));
  }

  checkFault(): void {
    this.if(this.load('i32', this.cpu(), Cpu.FAULT), () => this.exits.fault(), undefined, 'seldom');
  }

  assume(assumption: Assumption, otherwise: () => void): void {
    this.if(this.eqz(holds(this, assumption)), otherwise, undefined, 'seldom');
  }

  x87(_quick: (stack: FloatStack) => void, general: () => void): void {
    general();
  }

  raise(vector: number, error?: number): void {
    this.store(this.cpu(), Cpu.FAULT, this.i32(vector + 1));
    this.store(this.cpu(), Cpu.FAULT_ERROR, this.i32(error ?? 0));
    this.store(this.cpu(), Cpu.FAULT_HAS_ERROR, this.i32(error === undefined ? 0 : 1));
    this.exits.fault();
  }

  raiseIf(condition: Value, vector: number, error?: number): void {
    this.if(condition, () => this.raise(vector, error), undefined, 'seldom');
  }

  /** Linear address of the record's memory operand. */
  operandAddress(): Value {
    return this.and(this.add(this.registerAt(Rec.BASE), this.field(Rec.DISP, 32, 'i64', true)), this.addressMask());
  }

  /** Base + index + displacement of an address record, not cut to the address size. */
  offsetPart(): Value {
    const index = this.shl(this.registerAt(Rec.INDEX), this.field(Rec.AUX, 8, 'i64'));
    return this.add(this.add(this.registerAt(Rec.BASE), index), this.field(Rec.DISP, 32, 'i64', true));
  }

  /** A field of the segment register named by an address record; the base is 0 where it names none. */
  protected segmentField(type: 'i32' | 'i64', field: Seg): Value {
    return this.load(type, this.add(this.cpu(), this.field(Rec.REG, 16)), field);
  }

  // ---- address pseudo-records: what goes to EA

  /** Pseudo.ADDRESS */
  protected plainAddress(): Value {
    return this.add(this.and(this.offsetPart(), this.field(Rec.IMM, 64, 'i64')), this.segmentField('i64', Seg.BASE));
  }

  /** Pseudo.ADDRESS_ABSOLUTE */
  protected absoluteAddress(): Value {
    return this.add(this.field(Rec.IMM, 64, 'i64'), this.segmentField('i64', Seg.BASE));
  }

  /** Pseudo.ADDRESS_SEGMENT, for a segment that is not limitedSegment(). */
  protected segmentAddress(): Value {
    return this.and(this.add(this.and(this.offsetPart(), 0xffffffffn), this.segmentField('i64', Seg.BASE)), 0xffffffffn);
  }

  /** The segment does not span 4 GiB, or may not be read and written alike. */
  protected limitedSegment(): Value {
    return this.or(this.ne(this.segmentField('i32', Seg.LIMIT), -1), this.and(this.segmentField('i32', Seg.ATTR), SegAttr.NULL | CODE_OR_EXPAND_DOWN));
  }

  maskAddress(address: Value): Value {
    return this.and(address, this.addressMask());
  }
}

/** A register operand; its offset in the vCPU area stands in the record. */
class RegisterOperand implements OperandRef {
  readonly isMemory = false;
  readonly isImmediate = false;
  constructor(
    private readonly b: HandlerBuilder,
    private readonly place: 'rm' | 'reg' | 'cl' | 'dx',
    readonly size: number,
    private readonly vector: boolean,
  ) {}

  registerOffset(): Value {
    switch (this.place) {
      case 'rm':
        return this.b.let(this.b.field(Rec.RM, 16));
      case 'reg':
        return this.b.let(this.b.field(Rec.REG, 16));
      case 'cl':
        return this.b.i32(Cpu.RCX);
      case 'dx':
        return this.b.i32(Cpu.RDX);
    }
  }

  read(): Value {
    return this.b.readRegister(this.registerOffset(), this.size);
  }

  readLow(): Value {
    return this.b.let(this.b.low(this.read()));
  }

  readModify(): Value {
    return this.read();
  }

  write(value: Value): void {
    this.b.writeRegister(this.registerOffset(), value.type === 'v128' ? 128 : this.size, value, this.vector);
  }

  address(): Value {
    throw new Error('a register operand has no address');
  }
  displaced(): OperandRef {
    throw new Error('a register operand cannot be displaced');
  }
}

class MemoryOperand implements OperandRef {
  readonly isMemory = true;
  readonly isImmediate = false;
  private pending: ((v: Value) => void) | null = null;
  constructor(
    private readonly b: HandlerBuilder,
    readonly size: number,
    private readonly locked: boolean,
    private readonly offset: Value | null = null,
  ) {}

  address(): Value {
    return this.b.let(this.once());
  }

  /** Its address, to be used once. */
  private once(): Value {
    const own = this.b.operandAddress();
    return this.offset ? this.b.maskAddress(this.b.add(own, this.offset)) : own;
  }

  read(): Value {
    return this.b.loadGuest(this.once(), this.size);
  }

  readLow(): Value {
    return this.b.let(this.b.loadLow(this.once(), this.size));
  }

  readModify(): Value {
    const { value, store } = this.locked ? this.b.modifyGuestLocked(this.once(), this.size) : this.b.modifyGuest(this.once(), this.size);
    this.pending = store;
    return value;
  }

  write(value: Value): void {
    if (this.pending) this.pending(value);
    else this.b.storeGuest(this.once(), this.size, value);
    this.pending = null;
  }

  displaced(bytes: Value, size = this.size): OperandRef {
    return new MemoryOperand(this.b, size, this.locked, this.offset ? this.b.let(this.b.add(this.offset, bytes)) : bytes);
  }

  registerOffset(): Value {
    throw new Error('a memory operand has no register');
  }
}

/** An immediate, or the number of a control, debug or x87 register. */
class ConstantOperand implements OperandRef {
  readonly isMemory = false;
  readonly isImmediate = true;
  constructor(
    private readonly b: HandlerBuilder,
    private readonly shape: OperandShape,
  ) {}

  get size(): number {
    return this.shape.bits;
  }

  read(): Value {
    const { b } = this;
    switch (this.shape.place) {
      case 'immediateLow':
        return b.let(b.field(Rec.IMM, 32, 'i64'));
      case 'immediateHigh':
        return b.let(b.field((Rec.IMM + 4) as Rec, 32, 'i64'));
      case 'number':
        return b.let(b.extendU(this.registerOffset()));
      default:
        return b.let(b.field(Rec.IMM, 64, 'i64'));
    }
  }

  registerOffset(): Value {
    return this.b.let(this.b.field(this.shape.field === 'reg' ? Rec.REG : Rec.RM, 16));
  }

  readLow(): Value {
    throw new Error('an immediate is no vector');
  }
  readModify(): Value {
    throw new Error('an immediate cannot be changed');
  }
  write(): void {
    throw new Error('an immediate cannot be written');
  }
  address(): Value {
    throw new Error('an immediate has no address');
  }
  displaced(): OperandRef {
    throw new Error('an immediate cannot be displaced');
  }
}

export class InstructionContext implements Instruction {
  readonly name: string;
  readonly size: number;
  readonly operands: readonly OperandRef[];

  constructor(
    private readonly b: HandlerBuilder,
    kind: Kind,
  ) {
    this.name = kind.definition.name;
    this.size = kind.size;
    const operands: OperandRef[] = [];
    for (const shape of kind.shapes) {
      switch (shape.place) {
        case 'memory':
          operands.push(new MemoryOperand(b, shape.bits, kind.locked));
          break;
        case 'rm':
        case 'reg':
        case 'cl':
        case 'dx':
          operands.push(new RegisterOperand(b, shape.place, shape.bits, shape.vector !== undefined));
          break;
        default:
          operands.push(new ConstantOperand(b, shape));
      }
    }
    this.operands = operands;
  }

  private at(n: number): OperandRef {
    const operand = this.operands[n];
    if (!operand) throw new Error(`${this.name} has no operand ${n}`);
    return operand;
  }
  get dst(): OperandRef {
    return this.at(0);
  }
  get src(): OperandRef {
    return this.at(1);
  }
  get third(): OperandRef {
    return this.at(2);
  }

  effectiveAddress(): Value {
    const { b } = this;
    return b.let(b.and(b.offsetPart(), b.field(Rec.IMM, 64, 'i64')));
  }

  // String records: AUX holds the repeat prefix in bits 0-1 and log2 of the address size in bytes in bits 2-3.
  addressBytes(): Value {
    const { b } = this;
    return b.let(b.shl(b.i32(1), b.and(b.shrU(b.field(Rec.AUX, 8), 2), 3)));
  }

  segment(): Value {
    return this.b.let(this.b.field(Rec.REG, 16));
  }

  repeat(): Value {
    return this.b.let(this.b.and(this.b.field(Rec.AUX, 8), 3));
  }

  nextRip(): Value {
    return this.b.let(this.b.nextRip());
  }
}

export const RUN_PARAMS: ValType[] = ['i32', 'i32'];
/** Of the dispatch function: vCPU, record, RIP to come back to, depth of nested calls. */
export const EXECUTE_PARAMS: ValType[] = ['i32', 'i32', 'i64', 'i32'];
/** Of what goes on for a region that was called and left: its result, vCPU, RIP behind the call, depth, RSP during the call. */
export const RESUME_PARAMS: ValType[] = ['i64', 'i32', 'i64', 'i32', 'i64'];
/** Of a compiled region: depth of nested calls, RIP of offset 0 of its first page. Its result is the RIP it returns to, or GONE. */
export const REGION_PARAMS: ValType[] = ['i32', 'i64'];
/** Of enter_code: REGION_PARAMS first, as what it calls takes them where they are. */
export const ENTER_PARAMS: ValType[] = [...REGION_PARAMS, 'i32', 'i32', 'i32'];
/** Of what goes on behind a region's last instruction, which transferred control: vCPU, its Status, its record, depth of nested calls. */
export const TRANSFER_PARAMS: ValType[] = ['i32', 'i32', 'i32', 'i32'];
/** No canonical address: the region's exit is described at Cpu.EXIT_DESC. */
export const GONE = 1n << 47n;

/** Cpu.CODE_BASE as segment register and mode say. */
export function storeCodeBase(b: FunctionBuilder, cpu: Value): void {
  const is64 = b.eq(b.and(b.load('i32', cpu, Cpu.MODE), Mode.CODE_MASK), Mode.CODE64);
  b.store(cpu, Cpu.CODE_BASE, b.select(is64, 0n, b.load('i64', cpu, Cpu.CS + Seg.BASE)));
}

/** A handler as a function of its own: (cpu, record) -> Status. Everything is in memory. */
export class ColdBuilder extends HandlerBuilder {
  readonly flags: Flags;
  protected readonly exits: Exits;

  constructor(shared: Shared) {
    super(RUN_PARAMS, shared);
    const field = (type: 'i32' | 'i64', offset: number): Pick<Variable, 'get' | 'set'> => ({
      get: () => this.let(this.load(type, this.cpu(), offset)),
      set: (v) => this.store(this.cpu(), offset, v),
    });
    this.flags = new Flags(
      this,
      { kind: field('i32', Cpu.FLAG_KIND), a: field('i64', Cpu.FLAG_A), x: field('i64', Cpu.FLAG_X) },
      shared.flags,
      null,
    );
    this.exits = {
      fault: () => this.return(this.i32(Status.FAULT)),
      jump: (rip) => {
        const target = this.let(rip);
        this.noteTarget(target);
        this.store(this.cpu(), Cpu.RIP, target);
        this.return(this.i32(Status.JUMP));
      },
      relative: () => {
        this.store(this.cpu(), Cpu.RIP, this.relativeTarget());
        this.return(this.i32(Status.JUMP));
      },
      status: (value) => this.return(value),
    };
  }

  record(): Value {
    return this.param(1);
  }
  protected tlb(): Value {
    return this.load('i32', this.cpu(), Cpu.TLB);
  }
  protected addressMask(): Value {
    return this.load('i64', this.cpu(), Cpu.ADDRESS_MASK);
  }
  protected onHit(hit: Value, then: () => void, slow: () => void): void {
    this.if(hit, then, slow, 'mostly');
  }

  /** The address records that the dispatch function has inline, for when a region begins at them. */
  plainAddressRecord(): void {
    this.store(this.cpu(), Cpu.EA, this.plainAddress());
  }
  absoluteAddressRecord(): void {
    this.store(this.cpu(), Cpu.EA, this.absoluteAddress());
  }

  /** EA of a bit string's record: the register's part is checked with it and taken off again, because the instruction adds it. */
  bitStringAddress(): void {
    const bits = this.let(this.field(Rec.LINK, 32));
    const register = this.load('i64', this.add(this.cpu(), this.field(Rec.RM, 16)), 0);
    const unused = this.let(this.extendU(this.sub(64, bits)));
    const move = this.let(
      this.shl(
        this.shrS(this.shrS(this.shl(register, unused), unused), this.extendU(this.ctz(bits))),
        this.extendU(this.sub(this.ctz(bits), 3)),
      ),
    );
    this.generalAddress(move);
  }

  /** EA of an address record, checked against its segment. IMM: bits 0-31 mask, 32-47 size in bytes, 48 write. */
  generalAddress(move: Value = this.i64(0)): void {
    const offset = this.and(this.add(this.offsetPart(), move), this.load('i64', this.record(), Rec.IMM, 32));
    const size = this.load('i32', this.record(), Rec.IMM + 4, 16);
    const write = this.load('i32', this.record(), Rec.IMM + 6, 8);
    const address = this.core('segment_address', this.field(Rec.REG, 16), offset, size, write);
    this.checkFault();
    this.store(this.cpu(), Cpu.EA, this.sub(address, move));
  }
}

