// How a region is left for good: by a branch out of the function's body with a description of the exit (RegionExit in core/layout.ts), to a
// stub that writes back what is newer in locals (stubs.ts), and from there through what all exits have in common.

import { Cpu, Mode, RegionCause, RegionExit } from '../../core/layout.ts';
import type { FunctionBuilder, Value, Variable } from '../../wasm/function.ts';
import type { FunctionRef } from '../../wasm/module.ts';
import { GONE } from '../handlers.ts';
import type { CompiledFlags } from './flags.ts';
import type { RegionMode } from './mode.ts';
import type { Registers } from './registers.ts';
import { NEVER } from './slots.ts';
import { inBlocks, Stubs } from './stubs.ts';
import type { RegisterStack } from './x87-stack.ts';

const ALL_ONES = 0xffffffffn;

/** What leaving needs of the code that is left. */
export interface LeavingCode {
  readonly where: RegionMode;
  readonly flags: CompiledFlags;
  readonly registers: Registers;
  readonly floats: RegisterStack;
  /** RegionImports */
  readonly storeFlags: FunctionRef;
  readonly enterAddress: FunctionRef;
  /** Blocks of the body about what is emitted. */
  depth(): number;
  /** The branch that follows is seldom taken. */
  hint(): void;
  /** The budget to memory. */
  spillBudget(): void;
}

export class Leaving {
  /** Mem.REGION_DOUBTS of the region's slot. */
  doubtsAt = 0;
  /** Where the region's limit stands: with NEVER it has been dropped, or another has taken its place. */
  limitAt = 0;
  /** RegionForm.hasNeighbours */
  hasNeighbours = false;
  /** Address of the region's counters (Mem.REGION_COUNTS), or 0. */
  counters = 0;
  private readonly stubs: Stubs;
  /** An exit goes to code that was not compiled. */
  private isForTarget = false;
  /** Some exits are counted by Mem.REGION_DOUBTS. */
  private isForHope = false;

  /** @param desc has an exit's description */
  constructor(
    private readonly b: FunctionBuilder,
    private readonly desc: Variable,
    private readonly code: LeavingCode,
  ) {
    this.stubs = new Stubs(b.w, desc);
  }

  private describe(how: RegionExit, cause: RegionCause, left: number, ripOffset: number): number | bigint {
    const { state } = this.code.flags;
    const flags = typeof state === 'number' ? state & 0xffff : 0;
    const rest = ((flags << 16) | (left << 6) | (cause << 2) | how) >>> 0;
    // From a mebibyte on a number does not hold it.
    return Math.abs(ripOffset) < 0x10_0000 ? ripOffset * 2 ** 32 + rest : (BigInt(ripOffset) << 32n) | BigInt(rest);
  }

  /**
   * Leave if a condition (i32) holds; with null always.
   * @param ripOffset where to go on, from the region's first page
   * @param left instructions that are on the budget already and were not executed
   */
  exit(condition: Value | null, how: RegionExit, cause: RegionCause, ripOffset: number, left: number): void {
    const { b, code } = this;
    if (cause === RegionCause.TARGET) this.isForTarget = true;
    if (cause >= RegionCause.SPAN) this.isForHope = true;
    b.i64(this.describe(how, cause, left, ripOffset)).emit(b.w);
    condition?.emit(b.w);
    if (condition) code.hint();
    b.w.byte(condition ? 0x0d : 0x0c);
    this.stubs.leave(code.depth(), code.registers.dirty, code.flags.form, code.floats.isLate);
    if (condition) b.w.byte(0x1a);
  }

  /** Count an exit, by its RegionCause times 4; or with null an entry. */
  count(cause: Value | null): void {
    if (this.counters === 0) return;
    const { b } = this;
    const at = cause ? b.let(cause) : b.i32(0);
    const offset = this.counters + (cause ? 4 : 0);
    b.store(at, offset, b.add(b.load('i32', at, offset), 1));
  }

  /** The function's code: the body in the blocks of its exits, and what these have in common. Call once, when the body is complete. */
  finish(): Uint8Array {
    const { b, desc, code } = this;
    const cpu = (): Value => b.i32(code.where.cpu);
    const desc32 = (): Value => b.wrap(desc.get());
    // What comes before never falls through.
    b.unreachable();
    const kind = (): Value => b.and(b.shrU(desc32(), 16), 0xffff);
    const blocks = this.stubs.finish({
      spill: (registers) => code.registers.spill(registers),
      leaveFlags: (form) => code.flags.leave(form, kind),
      writeFloats: () => code.floats.settleLast(),
    });
    this.count(b.and(desc32(), 15 << 2));
    const rip = b.add(b.param(1), b.shrS(desc.get(), 32));
    b.store(cpu(), Cpu.RIP, (code.where.mode & Mode.CODE_MASK) === Mode.CODE64 ? rip : b.and(rip, ALL_ONES));
    code.spillBudget();
    if (this.isForHope) b.if(b.geU(b.and(desc32(), 63), RegionCause.SPAN << 2), () => {
      const at = b.let(b.shl(b.sub(b.and(b.shrU(desc32(), 2), 15), RegionCause.SPAN), 1));
      b.store(at, this.doubtsAt, b.add(b.load('i32', at, this.doubtsAt, 16), 1), 16);
    });
    const goOn = (): void => b.returnCall(code.enterAddress, [cpu(), b.load('i64', cpu(), Cpu.RIP), b.param(0)]);
    // Its module's other regions call it by its function, whatever has become of it: who comes too late goes where the place's jumps go now.
    if (this.hasNeighbours) b.if(b.eq(b.and(desc32(), 63), RegionExit.JUMP | (RegionCause.LIMIT << 2)), () =>
      b.if(b.eq(b.load('i32', b.i32(0), this.limitAt), NEVER), goOn));
    // Where nothing was known when this was made there may be a region by now.
    if (this.isForTarget) b.if(b.eq(b.and(desc32(), 63), RegionExit.JUMP | (RegionCause.TARGET << 2)), () => {
      // To a region flags in memory are as the interpreter has them; elsewhere it takes them as they are.
      const [flags, a, x] = [b.load('i32', cpu(), Cpu.FLAG_KIND), b.load('i64', cpu(), Cpu.FLAG_A), b.load('i64', cpu(), Cpu.FLAG_X)];
      b.callVoid(code.storeFlags, [cpu(), flags, a, x]);
      goOn();
    });
    b.store(cpu(), Cpu.EXIT_DESC, desc.get());
    b.result(b.i64(GONE));
    return inBlocks(blocks, b.w.view());
  }

  /** CompileBuilder.localNames */
  nameLocals(names: Map<number, string>): void {
    names.set(this.desc.index, 'exit');
  }
}
