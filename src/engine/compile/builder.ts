// The builder of compiled code: a meaning of src/x86 emitted with its operands known. Registers and flags are wasm locals; what the quick
// form of an instruction does not cover leaves the region before anything was changed ("side exit"), and the interpreter executes that
// instruction.

import { Cpu, Doubt, Mode, Rec, RegionCause, RegionExit, Seg, SegAttr, Tlb } from '../../core/layout.ts';
import type { FunctionRef, ValType } from '../../wasm/module.ts';
import type { Odds, Value, Variable } from '../../wasm/function.ts';
import type { Assumption } from '../../x86/assumptions.ts';
import type { FloatStack } from '../../x86/builder.ts';
import { Simd } from '../../wasm/simd.ts';
import { CORE_FUNCTIONS, isContained, isNumeric, isRepeatable, type CoreFunction } from '../../x86/core-functions.ts';
import type { FlagFunctions } from '../../x86/flags.ts';
import { HandlerBuilder, REGION_PARAMS, type Exits, type Shared } from '../handlers.ts';
import { Pseudo, type Kind } from '../kinds.ts';
import type { RecordBytes } from '../records.ts';
import { CompiledFlags, type FlagsChange, type FlagsState } from './flags.ts';
import { Accesses, type Place } from './accesses.ts';
import { CodePages } from './code-pages.ts';
import { Leaving } from './leaving.ts';
import { isReal, type RegionMode } from './mode.ts';
import { INVALID_PAGE, KnownPages, type LoopRegisters, type PagesMark, type PagesState } from './pages.ts';
import { Segments } from './segments.ts';
import { Registers } from './registers.ts';
import { Sites } from './sites.ts';
import { RegisterStack, type FloatsState } from './x87-stack.ts';

/** Functions and tables of a module of regions. */
export interface RegionImports {
  flags: FlagFunctions;
  storeFlags: FunctionRef;
  /** (kind, cpu, record, RIP) -> Status */
  callHandler: FunctionRef;
  /** (result of a call, cpu, address behind the call, depth, RSP during the call; in real mode the caller's code base) -> RIP or GONE */
  resume: FunctionRef;
  /** (depth, RIP of the page, Entry of a slot, word of a page's map, cpu) -> RIP or GONE: to the code that the word stands for */
  enterCode: FunctionRef;
  /** (cpu, RIP, depth) -> RIP or GONE */
  enterAddress: FunctionRef;
  /** (cpu, Status of an instruction that transfers control, its record, depth) -> RIP or GONE */
  enterTransfer: FunctionRef;
}

/** How an instruction that ends a block goes on. */
export type Ending =
  | { kind: 'relative' }
  /** The condition is an i32 in a local. */
  | { kind: 'branch'; condition: Value }
  /** RIP is in CompileBuilder.target. */
  | { kind: 'indirect' };

/** Sees what a meaning does: for Facts. */
export interface Watcher {
  /** Of a register, by its bit in masks (registers.ts). */
  read(bit: number): void;
  /** isWhole: nothing is left of what was there. */
  write(bit: number, isWhole: boolean, inBranch: boolean): void;
  /** What it wrote to the register is what was there and a constant. */
  step(bit: number): void;
  /** always: whatever the operands are. */
  exit(always: boolean): void;
  flagsRead(): void;
  flagsSet(kind: FlagsState, inBranch: boolean): void;
  flagsPart(change: FlagsChange, inBranch: boolean): void;
  assume(assumption: Assumption): void;
  /** A function of core that compiled code calls. */
  calls(name: CoreFunction): void;
}

const ALL_ONES = 0xffffffffn;

export class CompileBuilder extends HandlerBuilder {
  readonly flags: CompiledFlags;
  protected readonly exits: Exits;
  protected override readonly tlbOffset: number;
  readonly budget: Variable;
  /** RIP of an indirect transfer. */
  readonly target: Variable;
  private distanceLocal: Variable | null = null;
  private readonly code64: boolean;
  /** The stack pointer has 32 bits, where segments are not flat. */
  private readonly hasStack32: boolean;
  /** 16-bit code: see Registers. */
  private readonly isSplit: boolean;
  /** Bits that are asked for of an address' registers. */
  private addressBits = 64;
  readonly segments: Segments;
  readonly leaving: Leaving;
  readonly codePages: CodePages;

  // ---- the instruction being emitted
  /** Address of its record among `records`. */
  recordAt = 0;
  readonly registers: Registers;
  /** Offset of the instruction from the region's first page, and of its own page. */
  ripOffset = 0;
  pageOffset = 0;
  /** Instructions of the block that are on the budget already and not executed: this one and those after it. */
  left = 0;
  /** What the region does not count on. */
  doubts = Doubt.NONE;
  ending: Ending | null = null;
  watcher: Watcher | null = null;
  private address: Value | null = null;
  /** The same once more, not computed yet, where it is in a table. */
  private inTable: Value | null = null;
  /** What is known of pages; and of the address that is about to be accessed. */
  readonly pages: KnownPages;
  private readonly accesses: Accesses;
  readonly floats: RegisterStack;
  private mxcsr: Variable | null = null;
  private isMxcsrKnown = false;
  private branches = 0;
  readonly sites: Sites;
  /** Record that has the base of its memory operand, or 0. */
  private addressAt = 0;
  private flagsChanged = false;

  constructor(
    shared: Shared,
    private readonly imports: RegionImports,
    readonly where: RegionMode,
    private readonly records: RecordBytes,
  ) {
    super(REGION_PARAMS, shared);
    this.code64 = (where.mode & Mode.CODE_MASK) === Mode.CODE64;
    this.hasStack32 = (where.mode & Mode.STACK32) !== 0;
    this.isReal = isReal(where);
    this.isSplit = (where.mode & Mode.CODE_MASK) === Mode.CODE16;
    this.isNarrow = !this.code64;
    this.isHalving = this.code64;
    this.tlbOffset = where.cpu + (where.user ? Cpu.TLB_USER : Cpu.TLB_SUPERVISOR);
    this.budget = this.permanent('i32');
    this.target = this.permanent('i64');
    const desc = this.permanent('i64');
    this.pages = new KnownPages(
      () => this.permanent('i32'),
      () => ({ page: this.permanent('i64'), addend: this.permanent('i32') }),
    );
    this.registers = new Registers(this, where, {
      cpu: () => this.cpu(),
      permanent: (type) => this.permanent(type),
      permanentLow: () => this.permanentLow(),
      isInBranch: () => this.branches > 0,
      watcher: () => this.watcher,
      changed: () => {
        this.changed = true;
      },
      symbolOf: (value) => this.accesses.symbolOf(value),
      isSame: (n, symbol) => symbol.id === this.pages.symbol(n, 0).id,
      written: (n, symbol) => this.pages.written(n, symbol),
    });
    this.accesses = new Accesses(this, this.pages, {
      registerOf: (local) => (this.isSplit ? undefined : this.registers.generalOf(local)),
      isWide: () => this.isWide,
      isConditional: () => this.branches > 0,
      site: (write) => this.site(write),
      isNarrow: () => this.isNarrow,
      maskAddress: (address) => this.maskAddress(address),
      tlbEntry: (address) => this.tlbEntry(address),
      hit: (address, entry, bytes, tag) => this.hit(address, entry, bytes, tag),
      host: (address, entry) => this.host(address, entry),
      addend: (entry) => this.load('i32', entry, this.tlbOffset + Tlb.ADDEND),
      exitIf: (condition, cause) => this.exitIf(condition, cause),
    });
    const flagLocals = () => ({ kind: this.permanent('i32'), a: this.permanent('i64'), x: this.permanent('i64') });
    this.sites = new Sites(this, where.cpu, this.isNarrow);
    this.segments = new Segments(this, { cpu: () => this.cpu(), exitIf: (condition) => this.exitIf(condition, RegionCause.RARE) });
    this.floats = new RegisterStack(
      this,
      {
        cpu: () => this.cpu(),
        ripAtDistance: (distance) => {
          const rip = this.add(this.param(1), distance);
          return this.code64 ? rip : this.and(rip, ALL_ONES);
        },
        ownOffset: () => this.ripOffset,
        permanent: (type) => this.permanent(type),
        exitIf: (condition, cause) => this.exitIf(condition, cause),
        hostOf: (operand, bits, write) => {
          this.memoryAccess();
          return this.hostOf(operand.address(), bits, write);
        },
        changed: () => {
          this.changed = true;
        },
      },
      () => (this.doubts & Doubt.NUMBERS ? 0 : where.x87Precision),
      () => (this.doubts & Doubt.NUMBERS) !== 0,
    );
    this.flags = new CompiledFlags(this, flagLocals(), flagLocals(), imports.flags, imports.storeFlags, where.cpu, () => this.branches > 0);
    this.flags.watcher = {
      flagsRead: () => this.watcher?.flagsRead(),
      flagsSet: (kind) => {
        this.flagsChanged = true;
        this.watcher?.flagsSet(kind, this.branches > 0);
      },
      flagsPart: (change) => {
        this.flagsChanged = true;
        this.watcher?.flagsPart(change, this.branches > 0);
      },
    };
    const exits = {
      fault: () => this.exitAlways(RegionCause.RARE),
      jump: (rip: Value) => {
        this.target.set(rip);
        this.ending = { kind: 'indirect' };
      },
      relative: () => {
        this.ending = { kind: 'relative' };
      },
      status: () => this.exitAlways(RegionCause.RARE),
    };
    this.exits = exits;
    this.leaving = new Leaving(this, desc, {
      where,
      flags: this.flags,
      registers: this.registers,
      floats: this.floats,
      storeFlags: imports.storeFlags,
      enterAddress: imports.enterAddress,
      depth: () => this.depth,
      hint: () => this.hint('seldom'),
      spillBudget: () => this.spillBudget(),
    });
    this.codePages = new CodePages(this, where, (offset) => this.ripAt(offset));
  }

  // ---- what is known

  override cpu(): Value {
    return this.i32(this.where.cpu);
  }
  record(): Value {
    throw new Error('compiled code has no record');
  }
  protected tlb(): Value {
    return this.i32(0);
  }
  protected addressMask(): Value {
    return this.i64(this.code64 ? -1n : ALL_ONES);
  }

  override field(offset: Rec, bits: number, type: 'i32' | 'i64' = 'i32', signed = false): Value {
    const at = this.recordAt + offset;
    const { u8, u16, i32 } = this.records;
    if (bits === 64) {
      const high = i32[(at >> 2) + 1];
      const low = i32[at >> 2];
      return this.i64(high === low >> 31 ? low : (BigInt(high) << 32n) | BigInt(low >>> 0));
    }
    const raw = bits === 8 ? u8[at] : bits === 16 ? u16[at >> 1] : i32[at >> 2];
    const value = bits === 32 ? (signed || type === 'i32' ? raw : raw >>> 0) : raw;
    return type === 'i32' ? this.i32(value) : this.i64(value);
  }

  /** IMM of a record as a number. */
  field32(record: number): number {
    return this.records.i32[(record + Rec.IMM) >> 2];
  }

  /** RIP at an offset from the region's first page. */
  ripAt(offset: number): Value {
    const rip = this.add(this.param(1), this.i64(offset));
    return this.code64 || offset === 0 ? rip : this.and(rip, ALL_ONES);
  }

  /** How far an address is from offset 0 of the region's first page: i64, and in 32-bit code, where addresses wrap around, i32. */
  distanceOf(rip: Value): Value {
    return this.code64 ? this.sub(rip, this.param(1)) : this.sub(this.wrap(rip), this.wrap(this.param(1)));
  }
  /** An offset from there, as such a distance. */
  distanceAt(offset: number): Value {
    return this.code64 ? this.i64(offset) : this.i32(offset);
  }
  /** The address at a distance. */
  ripOf(distance: Value): Value {
    return this.code64 ? this.add(this.param(1), distance) : this.extendU(this.add(this.wrap(this.param(1)), distance));
  }

  /** Where a switch goes on, as a distance. */
  get distance(): Variable {
    return (this.distanceLocal ??= this.permanent(this.code64 ? 'i64' : 'i32'));
  }

  override ownRip(): Value {
    return this.ripAt(this.ripOffset);
  }
  override nextRip(): Value {
    return this.ripAt(this.ripOffset + this.records.u8[this.recordAt + Rec.LENGTH]);
  }

  // ---- registers

  // ---- what is known of values

  protected override allocate(type: ValType): number {
    const index = super.allocate(type);
    this.accesses.made(index, null);
    this.registers.reused(index);
    return index;
  }

  override let(value: Value): Value {
    if (value.isConstant || value.isLocal) return value;
    const symbol = this.accesses.symbolOf(value);
    const local = super.let(value);
    this.accesses.made(local.local!, symbol);
    return local;
  }

  /** The instruction is over: its results become the registers. */
  protected override meant(): void {
    this.registers.commit();
  }

  protected override registerAt(field: Rec): Value {
    const offset = this.records.u16[(this.recordAt + field) >> 1];
    if (offset === Cpu.ZERO) return this.i64(0);
    if (offset === Cpu.RIP_PAGE) return this.ripAt(this.pageOffset);
    if (offset === Cpu.EA) {
      if (!this.address) throw new Error('a record refers to an address that was not computed');
      const { inTable } = this;
      if (inTable) {
        this.inTable = null;
        return inTable;
      }
      return (this.address = this.let(this.address));
    }
    return this.registers.read(offset, this.addressBits);
  }

  override offsetPart(): Value {
    // Of 16 bits the upper halves are not needed.
    if (this.isSplit && this.field32(this.recordAt) === 0xffff) this.addressBits = 16;
    const offset = super.offsetPart();
    this.addressBits = 64;
    return offset;
  }

  override readRegister(offset: Value, size: number): Value {
    const at = offset.exact;
    if (this.registers.has(at, size)) return this.registers.read(at, size);
    return super.readRegister(offset, size);
  }
  override writeRegister(offset: Value, size: number, value: Value, vector: boolean): void {
    const at = offset.exact;
    if (this.registers.has(at, size)) this.registers.write(at, size, value);
    else super.writeRegister(offset, size, value, vector);
  }
  override register(n: number, size: number): Value {
    return this.registers.read(n * 8, size);
  }
  override setRegister(n: number, size: number, value: Value): void {
    this.noteRegisterWrite(`register ${n}`);
    this.registers.write(n * 8, size, value);
  }
  override asFloat(double: boolean, bits: Value): Value {
    return this.registers.laneOf(bits, double ? 64 : 32) ?? super.asFloat(double, bits);
  }
  override low(value: Value): Value {
    const lane = this.registers.laneOf(value);
    if (!lane) return super.low(value);
    return this.simd('v128', lane.type === 'f64' ? Simd.F64X2_REPLACE_LANE : Simd.F32X4_REPLACE_LANE, [this.v128(new Uint8Array(16)), lane], [0]);
  }
  override state(type: 'i32' | 'i64' | 'v128', offset: number, bits?: number): Value {
    if (type !== 'v128' && this.registers.has(offset, 64)) {
      const value = this.registers.read(offset, bits ?? (type === 'i32' ? 32 : 64));
      return type === 'i32' ? this.let(this.wrap(value)) : value;
    }
    if (offset === Cpu.MXCSR && type === 'i32') return this.readMxcsr();
    if (offset === Cpu.FSW && type !== 'v128') return this.readStatusWord(type);
    // In flat 32-bit code the limit is 4 GiB.
    if (offset === Cpu.CS + Seg.LIMIT && this.where.mode & Mode.FLAT) return this.i32(-1);
    return super.state(type, offset, bits);
  }
  /** From a local where it was read before. Whatever changes it but setState() is called, and nothing is known then. */
  private readMxcsr(): Value {
    if (!this.isMxcsrKnown && this.branches > 0) return super.state('i32', Cpu.MXCSR);
    const variable = (this.mxcsr ??= this.permanent('i32'));
    if (!this.isMxcsrKnown) variable.set(this.load('i32', this.cpu(), Cpu.MXCSR));
    this.isMxcsrKnown = true;
    return variable.get();
  }

  /** Of the x87. */
  private readStatusWord(type: 'i32' | 'i64'): Value {
    if (this.floats.state) return this.let(type === 'i32' ? this.floats.statusWord() : this.extendU(this.floats.statusWord()));
    this.floats.settle();
    return super.state(type, Cpu.FSW, 32);
  }

  override setState(offset: number, value: Value, bits?: number): void {
    if (this.registers.has(offset, 64)) this.registers.write(offset, bits ?? (value.type === 'i32' ? 32 : 64), this.extendU(value));
    else {
      // Scratch fields may be written before the interpreter begins the instruction again.
      if (offset < Cpu.TMP128 || offset >= Cpu.TMP128B + 16) this.changed = true;
      if (offset === Cpu.FSW || offset === Cpu.FTW) this.floats.drop();
      if (offset === Cpu.MXCSR) this.isMxcsrKnown = false;
      super.setState(offset, value, bits);
    }
  }

  // ---- leaving

  /** Leave the region for good if a condition (i32) holds; with null always. */
  exitRegion(condition: Value | null, how: RegionExit, cause: RegionCause, ripOffset = this.ripOffset, left = this.left): void {
    this.leaving.exit(condition, how, cause, ripOffset, left);
  }

  private refuse(): void {
    if (this.changed || this.flagsChanged) throw new Error(`${this.kind.label}: leaves after it has changed something`);
  }

  /** What the quick form does not cover. */
  private exitAlways(cause: RegionCause): void {
    this.refuse();
    this.watcher?.exit(this.branches === 0);
    this.exitRegion(null, RegionExit.SLOW, cause);
  }

  exitIf(condition: Value, cause: RegionCause): void {
    this.refuse();
    if (condition.is(0)) return;
    if (condition.isConstant) return this.exitAlways(cause);
    this.watcher?.exit(false);
    this.exitRegion(condition, RegionExit.SLOW, cause);
  }

  override raiseIf(condition: Value): void {
    this.exitIf(condition, RegionCause.RARE);
  }
  override raise(): void {
    this.exitAlways(RegionCause.RARE);
  }
  override core(name: CoreFunction, ...args: Value[]): Value {
    if (isContained(name)) {
      this.contained(name);
      return super.core(name, ...args);
    }
    this.exitAlways(RegionCause.RARE);
    return CORE_FUNCTIONS[name].result === 'i64' ? this.i64(0) : this.i32(0);
  }
  override coreVoid(name: CoreFunction, ...args: Value[]): void {
    if (isContained(name)) {
      this.contained(name);
      return super.coreVoid(name, ...args);
    }
    this.exitAlways(RegionCause.RARE);
  }

  /** Before a call to core that needs nothing of what is in locals but RIP, which the x87 keeps. */
  private contained(name: CoreFunction): void {
    this.watcher?.calls(name);
    if (!isRepeatable(name)) this.changed = true;
    if (isNumeric(name)) return;
    this.floats.drop();
    this.store(this.cpu(), Cpu.RIP, this.ownRip());
  }
  override coreStatus(): void {
    this.exitAlways(RegionCause.RARE);
  }
  override checkFault(): void {}

  /** The region asks where it is entered. */
  override assume(assumption: Assumption, _otherwise?: () => void): void {
    this.watcher?.assume(assumption);
  }

  override x87(quick: (stack: FloatStack) => void, general: () => void): void {
    if (!this.where.isX87Masked) return general();
    this.floats.open();
    quick(this.floats);
  }

  /** What is known of pages, of the x87's registers, of MXCSR and of the general registers' sizes along a path. */
  get known(): { pages: PagesState; floats: FloatsState; isMxcsrKnown: boolean; widths: readonly number[] } {
    return { pages: this.pages.state, floats: this.floats.path, isMxcsrKnown: this.isMxcsrKnown, widths: this.registers.widths };
  }
  set known({ pages, floats, isMxcsrKnown, widths }) {
    this.pages.state = pages;
    this.floats.path = floats;
    this.isMxcsrKnown = isMxcsrKnown;
    this.registers.widths = widths;
  }

  /** Nothing is known: after a call. */
  forget(): void {
    this.pages.lose();
    this.forgetRest();
    this.floats.state = null;
  }

  /** Paths join, from the mark or from anywhere: what is known of pages can hold, and of the x87's registers what all of them know. */
  join(mark: PagesMark | null, floats: FloatsState): void {
    if (mark) this.pages.join(mark);
    else this.pages.forget();
    this.forgetRest();
    this.floats.path = floats;
  }

  /** The same at the head of a loop that calls nothing; see KnownPages.enterLoop(). */
  enterLoop(mark: PagesMark | null, floats: FloatsState, registers: LoopRegisters, hasStreams: boolean): Variable[] {
    this.forgetRest();
    this.floats.path = floats;
    return this.pages.enterLoop(mark, registers, hasStreams);
  }

  private forgetRest(): void {
    this.isMxcsrKnown = false;
    this.registers.forgetWidths();
  }

  override branch(condition: Value): void {
    this.ending = { kind: 'branch', condition: this.let(condition) };
  }

  override if(condition: Value, then: () => void, otherwise?: () => void, odds: Odds = null): void {
    if (condition.isConstant) return super.if(condition, then, otherwise);
    // Branches of a meaning start from the same state; what they change is seen by both only through locals.
    const { changed, flagsChanged, floats } = this;
    const { isLate } = floats;
    let isLateAfter = otherwise === undefined && isLate;
    const inBranch = (body: () => void) => () => {
      this.branches++;
      floats.isLate = isLate;
      const before = { changed, flagsChanged };
      this.changed = before.changed;
      this.flagsChanged = before.flagsChanged;
      body();
      this.branches--;
    };
    let after = changed;
    let flagsAfter = flagsChanged;
    const note = (body: () => void) => () => {
      body();
      isLateAfter ||= floats.isLate;
      after ||= this.changed;
      flagsAfter ||= this.flagsChanged;
    };
    super.if(condition, note(inBranch(then)), otherwise && note(inBranch(otherwise)), odds);
    floats.isLate = isLateAfter;
    this.changed = after;
    this.flagsChanged = flagsAfter;
  }

  // ---- memory

  protected override tlbEntry(address: Value): Value {
    // Bits 12-23 of the address, times the size of an entry.
    return this.let(this.and(this.shrU(this.wrap(address), 12 - 5), (Tlb.ENTRIES - 1) * Tlb.ENTRY_SIZE));
  }

  protected onHit(hit: Value, then: () => void): void {
    if (this.changed) throw new Error(`${this.kind.label}: a second access to memory after something was changed`);
    this.exitIf(this.eqz(hit), RegionCause.MEMORY);
    then();
  }

  /** The site of the access about to be made. Copies of an instruction have one, and the stack has one for reading and one for writing. */
  private site(write: boolean): number | null {
    const base = this.kind.definition.stack ? Cpu.RSP : this.addressAt === 0 ? 0 : this.records.u16[(this.addressAt + Rec.BASE) >> 1];
    return this.sites.of(base === Cpu.RSP || base === Cpu.RBP ? base : this.recordAt, write);
  }

  /** Locals that keep pages in a loop, invalid at first. */
  openStreams(): void {
    for (const { page } of this.pages.openStreams()) page.set(this.i64(INVALID_PAGE));
  }

  /** Each access is asked for, and looked up where it must be. */
  private get isWide(): boolean {
    return (this.doubts & Doubt.SPANS) !== 0;
  }

  private placeOf(address: Value, size: number, write: boolean): Place {
    if (this.changed) throw new Error(`${this.kind.label}: a second access to memory after something was changed`);
    return this.accesses.place(address, size / 8, write);
  }

  /** The same as one address. */
  private hostOf(address: Value, size: number, write: boolean): Value {
    const { host, offset } = this.placeOf(address, size, write);
    return offset === 0 ? host : this.let(this.add(host, offset));
  }

  override loadGuest(address: Value, size: number): Value {
    this.memoryAccess();
    const { host, offset } = this.placeOf(address, size, false);
    return this.let(this.load(size === 128 ? 'v128' : 'i64', host, offset, size));
  }

  override storeGuest(address: Value, size: number, value: Value): void {
    this.memoryAccess();
    const v = this.let(value);
    const { host, offset } = this.placeOf(address, size, true);
    this.store(host, offset, this.registers.laneOf(v, size) ?? v, size);
    this.changed = true;
  }

  override loadLow(address: Value, size: number): Value {
    this.memoryAccess();
    const { host, offset } = this.placeOf(address, size, false);
    return this.simdLoad(size === 64 ? Simd.V128_LOAD64_ZERO : Simd.V128_LOAD32_ZERO, host, offset);
  }

  override modifyGuest(address: Value, size: number): { value: Value; store: (v: Value) => void } {
    this.memoryAccess();
    const { host, offset } = this.placeOf(address, size, true);
    return {
      value: this.let(this.load('i64', host, offset, size)),
      store: (v) => {
        const r = this.let(v);
        this.changed = true;
        this.store(host, offset, r, size);
      },
    };
  }

  override modifyGuestLocked(address: Value, size: number): { value: Value; store: (v: Value) => void } {
    const va = this.let(address);
    if (size > 8) this.exitIf(this.ne(this.and(this.wrap(va), size / 8 - 1), 0), RegionCause.RARE);
    const entry = this.tlbEntry(va);
    this.exitIf(this.eqz(this.hit(va, entry, size / 8, Tlb.TAG_WRITE)), RegionCause.MEMORY);
    const host = this.let(this.host(va, entry));
    const value = this.variable('i64');
    const loop = this.openLoop();
    value.set(this.load('i64', host, 0, size));
    return {
      value: value.get(),
      store: (v) => {
        const r = this.let(v);
        this.brIf(loop, this.ne(this.atomicCompareExchange(host, value.get(), this.zeroExtend(r, size), size), value.get()));
        this.closeLoop();
        this.changed = true;
      },
    };
  }

  // ---- whole instructions

  /** Emit an instruction; its effects are in the locals afterwards. */
  instruction(kind: Kind, record: number, addressRecord: number, addressKind: number): void {
    this.ending = null;
    this.branches = 0;
    this.registers.begin();
    this.flagsChanged = false;
    this.address = null;
    this.inTable = null;
    this.accesses.begin();
    this.changed = false;
    this.kind = kind;
    this.addressAt = kind.shapes.some(({ place }) => place === 'memory') ? addressRecord || record : 0;
    this.scoped(() => {
      if (addressRecord !== 0) {
        this.recordAt = addressRecord;
        this.address = this.addressOf(addressKind);
        // An index of few bits is added to where the table lies; what comes of both is computed only if it is asked for.
        this.inTable = this.isWide || this.registers.copyReads || !this.accesses.isInTable(this.address) ? null : this.addressOf(addressKind);
        if (!this.inTable) this.address = this.let(this.address);
      }
      this.recordAt = record;
      this.handle(kind);
    });
  }

  private addressOf(kind: number): Value {
    switch (kind) {
      case Pseudo.ADDRESS:
        return this.plainAddress();
      case Pseudo.ADDRESS_ABSOLUTE:
        return this.absoluteAddress();
      case Pseudo.ADDRESS_SEGMENT:
        this.exitIf(this.limitedSegment(), RegionCause.RARE);
        return this.segmentAddress();
      case Pseudo.ADDRESS_GENERAL: {
        const at = this.recordAt;
        const { u8, u16, i32 } = this.records;
        const mask = i32[(at + Rec.IMM) >> 2] >>> 0;
        const offset = this.let(this.wrap(this.and(this.offsetPart(), mask)));
        return this.segments.address(u16[(at + Rec.REG) >> 1], offset, mask === 0xffff, u16[(at + Rec.IMM + 4) >> 1], u8[at + Rec.IMM + 6] !== 0);
      }
      default:
        throw new Error(`address record of kind ${kind}`);
    }
  }

  protected override segmentField(type: 'i32' | 'i64', field: Seg): Value {
    const segment = this.records.u16[(this.recordAt + Rec.REG) >> 1];
    if (segment === Cpu.ZERO - Seg.BASE && field === Seg.BASE) return this.i64(0);
    return this.let(this.load(type, this.cpu(), segment + field));
  }

  // ---- segments that are not flat

  override readonly isReal: boolean;

  /** In real mode; not SS, which holds interrupts off. Loading one that cannot be used makes it usable, which is core's. */
  override loadSegment(segment: Value, selector: Value): boolean {
    const at = segment.exact;
    if (!this.isReal || at === Cpu.SS) return false;
    this.assume('real');
    this.exitIf(this.and(this.load('i32', this.cpu(), at + Seg.ATTR), SegAttr.NULL), RegionCause.RARE);
    const number = this.let(this.and(selector, 0xffff));
    const base = this.let(this.shl(number, 4));
    this.changed = true;
    this.store(this.cpu(), at + Seg.SELECTOR, number);
    this.store(this.cpu(), at + Seg.BASE, this.extendU(base));
    this.segments.moved(at, base);
    return true;
  }

  override loadCode(selector: Value): void {
    const number = this.let(this.and(selector, 0xffff));
    const base = this.let(this.extendU(this.shl(number, 4)));
    this.changed = true;
    this.store(this.cpu(), Cpu.CS + Seg.SELECTOR, number);
    this.store(this.cpu(), Cpu.CS + Seg.BASE, base);
    this.store(this.cpu(), Cpu.CODE_BASE, base);
  }

  /** Base of the code segment that the region runs in, which is that of its vCPU but between a far jump and its end. */
  get codeBase(): Value {
    return this.segments.baseOf(Cpu.CS);
  }

  override stringAddress(segment: number, offset: Value, addressSize: number, bytes: number, write: boolean): Value | null {
    if (!(this.where.mode & Mode.FLAT)) return this.segments.address(segment, this.let(this.wrap(offset)), addressSize === 16, bytes, write);
    return segment === Cpu.CS || segment === Cpu.FS || segment === Cpu.GS ? null : offset;
  }

  protected override stackRegister(offset: Cpu.RSP | Cpu.RBP): Value {
    return this.registers.read(offset, this.isSplit && !this.hasStack32 ? 16 : 64);
  }

  protected override stackAddress(offset: Value, bytes: number, write: boolean): Value {
    if (this.kind.stack !== 'general') return super.stackAddress(offset, bytes, write);
    return this.segments.address(Cpu.SS, this.let(this.wrap(this.hasStack32 ? offset : this.and(offset, 0xffff))), !this.hasStack32, bytes, write);
  }

  override enter(size: number, allocate: Value): boolean {
    const pointer = this.stackRegister(Cpu.RSP);
    const frame = this.movedBy(pointer, -size / 8);
    const top = this.movedBy(frame, this.sub(this.i64(0), allocate));
    // It ends with a check that the new top of the stack can be written.
    this.memoryAccess();
    this.placeOf(this.stackAddress(top, size / 8, true), size, true);
    this.push(this.registers.read(Cpu.RBP, size), size);
    this.setStackPointer(top);
    this.setRegister(5, size, frame);
    return true;
  }

  /** Where eight registers of a size lie on the stack: looked up once, so that all of them can be accessed or none. */
  private placeOfAll(top: Value, size: number, write: boolean): Place {
    // SP wraps around within such a frame, whatever the segment's limit is.
    if (this.kind.stack === 'general' && !this.hasStack32) this.exitIf(this.gtU(this.and(this.wrap(top), 0xffff), 0x1_0000 - size), RegionCause.RARE);
    this.memoryAccess();
    return this.placeOf(this.stackAddress(top, size, write), 8 * size, write);
  }

  /** AX is pushed first, and lies highest; SP as it was. */
  override pushAll(size: number): boolean {
    const top = this.movedBy(this.stackRegister(Cpu.RSP), -size);
    const { host, offset } = this.placeOfAll(top, size, true);
    for (let n = 0; n < 8; n++) this.store(host, offset + ((7 - n) * size) / 8, this.registers.read(Cpu.GPR + n * 8, size), size);
    this.setStackPointer(top);
    return true;
  }

  /** The SP that was pushed is passed over. */
  override popAll(size: number): boolean {
    const top = this.stackRegister(Cpu.RSP);
    const { host, offset } = this.placeOfAll(top, size, false);
    const registers = [0, 1, 2, 3, 5, 6, 7];
    const values = registers.map((n) => this.let(this.load('i64', host, offset + ((7 - n) * size) / 8, size)));
    registers.forEach((n, k) => this.setRegister(n, size, values[k]));
    this.setStackPointer(this.movedBy(top, size));
    return true;
  }

  protected override setStackPointer(value: Value): void {
    if (this.kind.stack !== 'general') super.setStackPointer(value);
    else this.setRegister(4, this.hasStack32 ? 32 : 16, value);
  }

  // ---- state at calls and edges

  /** RSP as it was before a call, behind which it is in its local. The upper half of 16-bit code's, which may not be, counts as it is now. */
  stackPointer(): Value {
    const local = this.registers.local(4).get();
    return this.isSplit ? this.or(this.and(this.load('i64', this.cpu(), Cpu.RSP), -0x1_0000), this.and(local, 0xffff)) : local;
  }

  /** Everything to memory but the budget. */
  spill(): void {
    this.registers.spill();
    this.registers.dirty = 0;
    this.flags.spill();
    this.floats.settle();
  }

  /** To memory: the budget, with so many instructions given back. */
  spillBudget(givenBack = 0): void {
    this.store(this.cpu(), Cpu.BUDGET, this.extendS(this.add(this.budget.get(), givenBack)));
  }

  /** Names of the locals that stand for something, by their index: for listings. */
  get localNames(): ReadonlyMap<number, string> {
    const names = new Map([[0, 'depth'], [1, 'page'], [this.budget.index, 'budget'], [this.target.index, 'target']]);
    this.leaving.nameLocals(names);
    if (this.distanceLocal) names.set(this.distanceLocal.index, 'distance');
    this.registers.nameLocals(names);
    this.flags.nameLocals(names);
    return names;
  }

  // ---- jumps out of the region

  /** Call a kind's function with everything in memory; the i32 that it answers. */
  coldCall(kind: number, record: number, rip: Value): Value {
    return this.let(this.call(this.imports.callHandler, [this.i32(kind), this.cpu(), this.i32(record), rip]));
  }
}
