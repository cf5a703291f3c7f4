// A planned region becomes one WebAssembly function: (depth, RIP of its first page) -> RIP to go on at, or GONE.
// Guest calls are wasm calls whose result is compared with the return address; if it is another, the caller returns it as well, and
// so the stack unwinds by itself. Layout and conventions: docs/compiler.md.

import { Cpu, Doubt, Entry, Mem, Mode, Rec, RegionCause, RegionExit, Status } from '../../core/layout.ts';
import type { Label, Value, Variable } from '../../wasm/function.ts';
import type { BranchHint, FunctionRef } from '../../wasm/module.ts';
import { holds, type Assumption } from '../../x86/assumptions.ts';
import type { Shared } from '../handlers.ts';
import { GONE } from '../handlers.ts';
import { Pseudo } from '../kinds.ts';
import type { RecordBytes } from '../records.ts';
import { CompileBuilder, type RegionImports } from './builder.ts';
import type { RegionMode } from './mode.ts';
import { analyse, neededThrough, type BlockFlow } from './flow.ts';
import type { LoopRegisters, PagesMark } from './pages.ts';
import { successorsOf, targetOf, targetsOf, type Block, type Plan, type PlannedInstruction, type Target } from './plan.ts';
import { reducible } from './reduce.ts';
import { FLAGS } from './registers.ts';
import { entryOf, wordAt } from './slots.ts';
import { accessesMemory, type LoopSites, wanderingIn } from './sites.ts';
import { loopOf, structureOf, type Structure } from './structure.ts';
import { unrolled } from './unroll.ts';
import { either, NOTHING, type FloatsState } from './x87-stack.ts';

/** Nested guest calls before everything returns: V8's stack is finite. */
const DEPTH_MAX = 200;
const PAGE = 4096;
/** Blocks of a loop that has streams; those of a larger one have sites. */
const STREAM_BLOCKS_MAX = 10;
/** Targets of an indirect jump that are compared one after the other. */
const CHAIN_MAX = 3;

/** A perfect hash of offsets: (offset * factor) >>> shift is the place of each; places hold the offsets' numbers, or -1. */
export function hashOf(offsets: readonly number[]): { factor: number; shift: number; places: number[] } | null {
  for (let bits = Math.ceil(Math.log2(offsets.length)); bits <= 9; bits++) {
    let factor = 0x9e37_79b1;
    for (let tries = 0; tries < 200; tries++) {
      const places: number[] = new Array<number>(1 << bits).fill(-1);
      const isFree = offsets.every((offset, n) => {
        const place = Math.imul(offset, factor) >>> (32 - bits);
        if (places[place] >= 0) return false;
        places[place] = n;
        return true;
      });
      if (isFree) return { factor: factor | 0, shift: 32 - bits, places };
      factor = (Math.imul(factor, 0x0019_660d) + 0x3c6e_f35f) | 1;
    }
  }
  return null;
}

export interface RegionCode {
  localTypes: CompileBuilder['localTypes'];
  body: Uint8Array;
  hints: readonly BranchHint[];
}

/** Where in a function's body something begins, and what: for listings. */
export type Part = { at: number } & (
  /** What is done where the region is entered; how the exits go on. */
  | { readonly what: 'entry' | 'exits' }
  | { readonly what: 'block'; readonly number: number; readonly block: Block; readonly isLoop: boolean }
  | { readonly what: 'instruction'; readonly instruction: PlannedInstruction }
  /** More of the instruction at an offset from the first page. */
  | { readonly what: 'more'; readonly place: number }
  /** The way to this place. */
  | { readonly what: 'edge'; readonly place: number }
);

/** What a region's code may call directly. */
export interface Neighbours {
  /** The function in the same module that begins there, or null. */
  regionAt(pageMap: number, offset: number): FunctionRef | null;
  /** The place in the table of the region of another module that begins there or may come, or 0; it may have another by the time that it is called. */
  slotFor(pageMap: number, offset: number): number;
}

/** What the blocks of a loop do. */
interface LoopEffects extends LoopRegisters {
  /** Something that may change translations. */
  readonly calls: boolean;
  /** Heads of the loops in it that have none in themselves. */
  readonly innermost: readonly number[];
  /** It accesses memory in few blocks: streams cost moves where paths join. */
  readonly hasStreams: boolean;
  /** What is known of the x87's registers at its head is known again after each round. */
  readonly keepsFloats: boolean;
  /** It has instructions of the x87. */
  readonly usesFloats: boolean;
}

/** How a region is made. */
export interface RegionForm {
  /** It counts entries and exits. */
  readonly isCounted: boolean;
  /** CompileBuilder.doubts */
  readonly doubts: Doubt;
  /** There are others in its module, which may call it by its function. */
  readonly hasNeighbours: boolean;
  /** Takes what the code consists of; null, as for code that is executed: nobody wants to know. */
  readonly parts: Part[] | null;
}

/** A loop whose accesses keep the page that they were on last (sites.ts). */
interface SiteLoop {
  /** Its blocks. */
  readonly nodes: ReadonlySet<number>;
  /** Of its accesses those that have no site. */
  readonly wandering: ReadonlySet<PlannedInstruction>;
  readonly sites: LoopSites;
}

export class RegionEmitter {
  private readonly b: CompileBuilder;
  private readonly blocks: readonly Block[];
  private readonly successors: readonly (readonly number[])[];
  private readonly structure: Structure;
  private readonly flow: BlockFlow[];
  private readonly labels = new Map<number, Label>();
  /** Parents in the dominator tree. */
  private readonly parents: Int32Array;
  /** What was known of pages at blocks' ends; and by loops' heads the locals that keep it. */
  private readonly marks = new Map<number, PagesMark>();
  private readonly pins = new Map<number, Variable[]>();
  /** What is known of the x87's registers on all the ways to a block that were emitted; and at the heads of loops that are being emitted. */
  private readonly meetings = new Map<number, FloatsState>();
  private readonly heads = new Map<number, FloatsState>();
  /** Innermost loops whose streams were opened. */
  private readonly streaming = new Set<number>();
  private readonly effectsOf = new Map<number, LoopEffects>();
  /** The block whose end is being emitted. */
  private node = -1;
  /** The loop with sites that is being emitted. What lies behind it is emitted inside of it, has none, and may call something; another loop there has sites of its own. */
  private siteLoop: SiteLoop | null = null;
  private readonly parts: Part[] | null;

  constructor(
    shared: Shared,
    private readonly imports: RegionImports,
    private readonly where: RegionMode,
    private readonly records: RecordBytes,
    private readonly plan: Plan,
    slot: number,
    private readonly neighbours: Neighbours,
    { isCounted, doubts, hasNeighbours, parts }: RegionForm,
  ) {
    this.parts = parts;
    this.b = new CompileBuilder(shared, imports, where, records);
    this.b.doubts = doubts;
    this.b.leaving.doubtsAt = Mem.REGION_DOUBTS + slot * 4;
    this.b.leaving.limitAt = entryOf(slot) + Entry.LIMIT;
    this.b.leaving.hasNeighbours = hasNeighbours;
    if (isCounted && slot < Mem.REGION_COUNTS_SIZE / Mem.REGION_COUNTS_EACH) this.b.leaving.counters = Mem.REGION_COUNTS + slot * Mem.REGION_COUNTS_EACH;
    this.blocks = unrolled(reducible(plan.blocks));
    this.successors = successorsOf(this.blocks);
    this.structure = structureOf(this.successors);
    this.flow = analyse(this.blocks, this.structure);
    this.parents = new Int32Array(this.blocks.length).fill(-1);
    this.structure.children.forEach((children, node) => {
      for (const child of children) this.parents[child] = node;
    });
  }

  emit(): RegionCode {
    const { b, parts } = this;
    parts?.push({ at: 0, what: 'entry' });
    b.leaving.count(null);
    b.budget.set(b.load('i32', b.cpu(), Cpu.BUDGET));
    b.registers.dirty = 0;
    b.flags.state = 'memory';
    b.left = 0;
    b.ripOffset = this.plan.entry;
    // A region that was dropped has a limit that no budget exceeds.
    const isUsedUp = b.leS(b.budget.get(), b.load('i32', b.i32(0), b.leaving.limitAt));
    b.exitRegion(b.or(isUsedUp, b.geU(b.param(0), DEPTH_MAX)), RegionExit.JUMP, RegionCause.LIMIT);
    if (!(this.where.mode & Mode.FLAT)) {
      const { from, end } = this.extent();
      b.exitRegion(b.codePages.isOutside(from, end), RegionExit.SLOW, RegionCause.RARE);
    }
    for (const assumption of this.assumptions()) b.exitRegion(b.eqz(holds(b, assumption)), RegionExit.SLOW, RegionCause.RARE);
    b.segments.keep(this.segments());
    b.registers.load(this.flow[0].needed);
    if (this.flow[0].needed & FLAGS) b.flags.become(this.flow[0].flags!);
    this.tree(0);
    parts?.push({ at: b.w.length, what: 'exits' });
    const body = b.leaving.finish();
    // The blocks that the exits leave were put before them.
    const before = body.length - b.w.length;
    if (parts) for (const part of parts) part.at += before;
    return { body, localTypes: b.localTypes, hints: b.hints.map(({ at, holds }) => ({ at: at + before, holds })) };
  }

  /** CompileBuilder.localNames */
  get localNames(): ReadonlyMap<number, string> {
    return this.b.localNames;
  }

  /** From the first to the end of the last of all places that the region has or jumps to. */
  private extent(): { from: number; end: number } {
    let [from, end] = [this.plan.entry, this.plan.entry];
    for (const { at, instructions, terminator } of this.blocks) {
      const last = instructions[instructions.length - 1];
      const called = terminator.kind === 'call' && terminator.target ? [terminator.target] : [];
      for (const place of [at, last ? last.at + last.length : at, ...[...targetsOf(terminator), ...called].map((target) => target.at)]) {
        from = Math.min(from, place);
        end = Math.max(end, place);
      }
    }
    return { from, end };
  }

  /** That the region's accesses are in, where they are not flat. */
  private segments(): ReadonlySet<number> {
    const { u16 } = this.records;
    const all = new Set<number>(this.b.isReal ? [Cpu.CS] : []);
    for (const n of this.structure.order) {
      for (const { kind, record, addressRecord, addressKind, facts } of this.blocks[n].instructions) {
        if (facts.cold) continue;
        if (kind.definition.string && !kind.definition.flow && !(this.where.mode & Mode.FLAT)) all.add(u16[(record + Rec.REG) >> 1]).add(Cpu.ES);
        if (addressKind === Pseudo.ADDRESS_GENERAL) all.add(u16[(addressRecord + Rec.REG) >> 1]);
        if (kind.definition.stack && kind.stack === 'general') all.add(Cpu.SS);
      }
    }
    return all;
  }

  private assumptions(): ReadonlySet<Assumption> {
    const all = new Set<Assumption>();
    for (const n of this.structure.order) for (const { facts } of this.blocks[n].instructions) for (const assumption of facts.assumes) all.add(assumption);
    return all;
  }

  // ---- structure

  /** A node of the dominator tree with all that it dominates. */
  private tree(node: number): void {
    const { isLoop, isMerge, children } = this.structure;
    this.parts?.push({ at: this.b.w.length, what: 'block', number: node, block: this.blocks[node], isLoop: isLoop[node] });
    const merges = children[node].filter((child) => isMerge[child]);
    const inside = (): void => this.within(node, merges);
    if (!isLoop[node]) return inside();
    this.openStreams(node);
    this.enterFloats(node);
    const outerSites = this.siteLoop;
    this.openSites(node);
    this.b.loop((label) => {
      this.labels.set(node, label);
      inside();
      this.labels.delete(node);
    });
    this.heads.delete(node);
    this.siteLoop = outerSites;
    this.b.pages.unpin(this.pins.get(node) ?? []);
  }

  /** Before the outermost loop that calls nothing and has only one in it that has none: between its rounds nothing is forgotten. */
  private openStreams(head: number): void {
    const { calls, innermost } = this.effects(head);
    if (calls || innermost.length > 1 || this.streaming.has(innermost[0]) || !this.effects(innermost[0]).hasStreams) return;
    this.streaming.add(innermost[0]);
    this.b.openStreams();
  }

  /** Before the outermost loop that calls nothing: its accesses keep the page that they were on last, but those by pointers that it reads. */
  private openSites(head: number): void {
    const nodes = loopOf(this.structure, head);
    if (this.siteLoop?.nodes.has(head) || this.effects(head).calls || nodes.length <= STREAM_BLOCKS_MAX) return;
    const wandering = wanderingIn(nodes, this.blocks, this.structure.predecessors, this.records);
    const records = new Set(nodes.flatMap((node) => this.blocks[node].instructions.filter((it) => accessesMemory(it) && !wandering.has(it)).map(({ record }) => record)));
    this.siteLoop = { nodes: new Set(nodes), wandering, sites: this.b.sites.open(records.size) };
  }

  /** Before a loop: what is known of the x87's registers in each of its rounds. */
  private enterFloats(head: number): void {
    const { floats } = this.b;
    if (this.structure.isMerge[head]) floats.path = this.meetings.get(head) ?? NOTHING;
    const { keepsFloats, usesFloats } = this.effects(head);
    this.heads.set(head, floats.enterLoop(keepsFloats, usesFloats));
  }

  /** What is known at the beginning of a block that several edges lead to. */
  private join(node: number): void {
    const { b } = this;
    const mark = this.marks.get(this.parents[node]) ?? null;
    if (!this.structure.isLoop[node]) return b.join(mark, this.meetings.get(node) ?? NOTHING);
    const floats = this.heads.get(node) ?? NOTHING;
    const loop = this.effects(node);
    if (loop.calls) b.join(null, floats);
    else this.pins.set(node, b.enterLoop(mark, floats, loop, this.streaming.has(node)));
  }

  /** Along an edge to a block that several lead to: what is known of the x87's registers is to be known there as well, or is no longer. */
  private meet(target: Target): void {
    const { floats } = this.b;
    const head = this.heads.get(target.block);
    if (head) return floats.become(head, (condition, cause) => this.b.exitRegion(condition, RegionExit.JUMP, cause, target.at, 0));
    const met = this.meetings.get(target.block);
    this.meetings.set(target.block, met ? either(met, floats.path) : floats.path);
  }

  /** Does the top of the x87's stack move the same way on each path through a loop, and not at all in a round? */
  private keepsFloats(head: number, nodes: ReadonlySet<number>): boolean {
    const depths = new Map([[head, 0]]);
    const waiting = [head];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      let depth = depths.get(node)!;
      for (const { facts } of this.blocks[node].instructions) {
        if (facts.floats === null) return false;
        depth += facts.floats;
      }
      for (const next of this.successors[node]) {
        if (!nodes.has(next)) continue;
        const known = depths.get(next);
        if (known === undefined) {
          depths.set(next, depth);
          waiting.push(next);
        } else if (known !== depth) return false;
      }
    }
    return true;
  }

  /** What a loop does, by its head: the blocks from which the head is reached again. */
  private effects(head: number): LoopEffects {
    let effects = this.effectsOf.get(head);
    if (!effects) {
      let [writes, moves, calls, accesses, usesFloats] = [0, 0, false, false, false];
      const innermost: number[] = [];
      const nodes = loopOf(this.structure, head);
      for (const node of nodes) {
        const { instructions, terminator } = this.blocks[node];
        if (node !== head && this.structure.isLoop[node] && this.effects(node).innermost[0] === node) innermost.push(node);
        calls ||= terminator.kind === 'call';
        for (const { facts, kind } of instructions) {
          accesses ||= kind.definition.string || kind.shapes.some(({ place }) => place === 'memory');
          writes |= facts.writes;
          moves |= facts.writes & ~facts.steps;
          calls ||= facts.cold;
          usesFloats ||= facts.usesFloats;
        }
      }
      // With doubts core does some of it, behind which nothing is known.
      const keepsFloats = !calls && (this.b.doubts & Doubt.NUMBERS) === 0 && this.keepsFloats(head, new Set(nodes));
      this.effectsOf.set(head, (effects = { keepsFloats, usesFloats, writes, steps: writes & ~moves, calls, innermost: innermost.length > 0 ? innermost : [head], hasStreams: accesses && nodes.length <= STREAM_BLOCKS_MAX }));
    }
    return effects;
  }

  /** The node's code inside a block for each child that several edges lead to; such a child's code follows its block. */
  private within(node: number, merges: readonly number[]): void {
    if (merges.length === 0) return this.block(node);
    const last = merges[merges.length - 1];
    this.b.block((label) => {
      this.labels.set(last, label);
      this.within(node, merges.slice(0, -1));
    });
    this.labels.delete(last);
    this.tree(last);
  }

  /** Go on at a target. The builder's state is that of the edge's beginning, and is put back after it. */
  private edge(target: Target, from: number): void {
    const { b } = this;
    const { ripOffset, left } = b;
    const { dirty } = b.registers;
    const { state } = b.flags;
    const { known } = b;
    this.go(target, from);
    this.parts?.push({ at: b.w.length, what: 'more', place: from });
    b.known = known;
    b.registers.dirty = dirty;
    b.ripOffset = ripOffset;
    b.left = left;
    b.flags.state = state;
  }

  private go(target: Target, from: number): void {
    const { b } = this;
    this.parts?.push({ at: b.w.length, what: 'edge', place: target.at });
    if (target.block < 0) return void this.linkTo(target, from, false);
    if (this.entersPage(target, from)) this.checkMapped(target);
    const flow = this.flow[target.block];
    if (flow.needed & FLAGS) b.flags.become(flow.flags!);
    const label = this.labels.get(target.block);
    if (label) {
      this.meet(target);
      return b.br(label);
    }
    b.flags.state = flow.flags!;
    this.tree(target.block);
  }

  /** Can the edge be a plain branch? */
  private plainLabel(target: Target, from: number): Label | null {
    const label = target.block >= 0 ? this.labels.get(target.block) : undefined;
    if (!label || this.entersPage(target, from)) return null;
    const flow = this.flow[target.block];
    if (flow.needed & FLAGS && flow.flags === 'dynamic' && this.b.flags.state !== 'dynamic') return null;
    const head = this.heads.get(target.block);
    return !head || this.b.floats.holds(head) ? label : null;
  }

  /**
   * Into another page, which may be mapped otherwise than when the region was made. While the region runs, its first page stays what it is, and
   * so does one that was asked for on the way here: who changes translations of code makes all that wait return.
   */
  private entersPage(target: Target, from: number): boolean {
    const page = target.at >> 12;
    return page !== 0 && (from < 0 || page !== from >> 12) && !this.hasPassed(page);
  }

  /** Does each way to where code is being emitted lead through a block on this page? */
  private hasPassed(page: number): boolean {
    for (let node = this.node; node >= 0; node = this.parents[node]) {
      const { instructions } = this.blocks[node];
      if (instructions.length > 0 && instructions[0].at >> 12 === page) return true;
    }
    return false;
  }

  /** Another page is entered: leave unless it is mapped as it was. */
  private checkMapped(target: Target): void {
    const { b } = this;
    const page = this.plan.pages.get(target.at >> 12)!;
    b.scoped(() => b.exitRegion(b.eqz(b.codePages.isMapped(target.at & ~(PAGE - 1), page.map)), RegionExit.JUMP, RegionCause.MAPPING, target.at, 0));
  }

  // ---- blocks

  private block(node: number): void {
    const outer = this.node;
    this.node = node;
    this.blockAt(node);
    this.node = outer;
  }

  private blockAt(node: number): void {
    const { b } = this;
    const block = this.blocks[node];
    const flow = this.flow[node];
    b.registers.dirty = flow.dirty;
    b.flags.state = flow.flags!;
    if (this.structure.isLoop[node] || this.structure.isMerge[node]) this.join(node);
    const { instructions, terminator } = block;
    if (this.structure.isLoop[node]) {
      if (terminator.kind === 'indirect' && instructions.length === 0) this.leaveSwitchIf(b.leS(b.budget.get(), 0));
      else b.exitRegion(b.leS(b.budget.get(), 0), RegionExit.LEAVE, RegionCause.REQUEST, block.at, 0);
    }
    const count = instructions.length;
    if (count > 0) b.budget.set(b.sub(b.budget.get(), count));
    const needed = neededThrough(block, this.flow, flow);
    const plain = terminator.kind === 'transfer' ? count - 1 : count;
    for (let n = 0; n < plain; n++) this.instruction(instructions[n], count - n, needed[n + 1]);
    b.left = 0;
    // A call's return knows nothing of what was before.
    if (terminator.kind !== 'call') this.marks.set(node, b.pages.mark());
    const from = count > 0 ? instructions[count - 1].at : block.at;
    const end = count > 0 ? from + instructions[count - 1].length : block.at;
    b.ripOffset = end;
    switch (terminator.kind) {
      case 'fall':
        return this.go(terminator.next, from);
      case 'jump':
        return this.go(terminator.target, from);
      case 'branch':
        return this.branch(terminator.taken, terminator.next, from);
      case 'call':
        return this.call(block, terminator);
      case 'indirect':
        return count > 0 ? this.indirect(terminator.targets, from) : this.indirect(terminator.targets, -1, true);
      case 'switch':
        b.distance.set(terminator.to === null ? b.distanceOf(b.target.get()) : b.distanceAt(terminator.to));
        return this.go(targetOf(block.at, terminator.hub), block.at);
      case 'return':
        b.spill();
        b.spillBudget();
        return b.return(b.target.get());
      case 'mode':
        return b.exitRegion(null, RegionExit.JUMP, RegionCause.MODE, end);
      case 'transfer':
        return this.transfer(instructions[count - 1]);
      case 'exit':
        return b.exitRegion(null, RegionExit.JUMP, RegionCause.INSTRUCTION, end);
    }
  }

  private branch(taken: Target, next: Target, from: number): void {
    const { b } = this;
    const ending = b.ending;
    if (ending?.kind !== 'branch') throw new Error('a branch without a condition');
    const label = this.plainLabel(taken, from);
    if (label) {
      this.meet(taken);
      b.brIf(label, ending.condition, this.leavesFor(next) ? 'mostly' : null);
      return this.go(next, from);
    }
    const other = this.plainLabel(next, from);
    if (other) {
      this.meet(next);
      b.brIf(other, b.eqz(ending.condition), this.leavesFor(taken) ? 'mostly' : null);
      return this.go(taken, from);
    }
    b.if(
      ending.condition,
      () => this.edge(taken, from),
      () => this.edge(next, from),
      this.leavesFor(taken) === this.leavesFor(next) ? null : this.leavesFor(next) ? 'mostly' : 'seldom',
    );
  }

  /** Is it left for the interpreter or another region there, as the place was seldom gone to when it was planned? */
  private leavesFor(target: Target): boolean {
    return target.block < 0 && target.cold;
  }

  /** Before an instruction's code. */
  private begin(instruction: PlannedInstruction, left: number): void {
    const { b } = this;
    this.parts?.push({ at: b.w.length, what: 'instruction', instruction });
    b.left = left;
    b.ripOffset = instruction.at;
    b.pageOffset = instruction.at & ~(PAGE - 1);
    if (instruction.crossing !== 0) {
      const host = b.field32(instruction.crossing);
      b.scoped(() => b.exitRegion(b.eqz(b.codePages.isSecondPage(b.pageOffset + PAGE, host)), RegionExit.SLOW, RegionCause.MAPPING));
    }
  }

  private instruction(instruction: PlannedInstruction, left: number, needed: number): void {
    const { b } = this;
    const { facts } = instruction;
    this.begin(instruction, left);
    if (facts.cold) return this.cold(instruction, left, needed);
    b.registers.copyReads = facts.writesInBranch;
    b.flags.needed = (needed & FLAGS) !== 0;
    if (facts.flagsInBranch && b.flags.needed) b.flags.become('dynamic');
    const { siteLoop } = this;
    b.sites.loop = siteLoop?.nodes.has(this.node) && !siteLoop.wandering.has(instruction) ? siteLoop.sites : null;
    b.instruction(instruction.kind, instruction.record, instruction.addressRecord, instruction.addressKind);
    b.flags.needed = true;
    if (instruction.check) this.interruptCheck(instruction, left);
  }

  /** By the kind's function, with everything in memory. */
  private cold(instruction: PlannedInstruction, left: number, needed: number): void {
    const { b } = this;
    b.forget();
    b.spill();
    b.scoped(() => {
      const rip = b.let(b.ripAt(instruction.at));
      const changes = instruction.kind.definition.showsChange ? b.let(b.load('i32', b.cpu(), Cpu.TRANSLATIONS)) : null;
      b.spillBudget(left);
      if (instruction.addressRecord !== 0) this.answer(b.coldCall(instruction.addressKind, instruction.addressRecord, rip), instruction.addressRecord);
      this.answer(b.coldCall(instruction.kind.number, instruction.record, rip), instruction.record);
      b.budget.set(b.sub(b.load('i32', b.cpu(), Cpu.BUDGET), left));
      const next = instruction.at + instruction.length;
      b.exitRegion(b.load('i32', b.cpu(), Cpu.EXIT_REQUEST), RegionExit.LEAVE, RegionCause.REQUEST, next, left - 1);
      if (changes) {
        b.exitRegion(b.load('i32', b.cpu(), Cpu.INTERRUPT_SHADOW), RegionExit.LEAVE, RegionCause.MODE, next, left - 1);
        b.exitRegion(b.ne(changes, b.load('i32', b.cpu(), Cpu.TRANSLATIONS)), RegionExit.JUMP, RegionCause.MODE, next, left - 1);
        b.segments.load();
      }
    });
    b.registers.load(needed);
    if (instruction.check) this.interruptCheck(instruction, left);
  }

  /**
   * Control goes where the kind's function says, perhaps at another privilege. Regions that wait for this one would take a return there to
   * the address that they wait for as theirs, so with any of them it is left to resume(), which knows.
   */
  private transfer(instruction: PlannedInstruction): void {
    const { b } = this;
    const left = 1;
    this.begin(instruction, left);
    b.exitRegion(b.ne(b.param(0), b.load('i32', b.cpu(), Cpu.EXECUTE_DEPTH)), RegionExit.JUMP, RegionCause.INSTRUCTION);
    b.forget();
    b.spill();
    b.spillBudget(left);
    const status = b.coldCall(instruction.kind.number, instruction.record, b.ripAt(instruction.at));
    b.returnCall(this.imports.enterTransfer, [b.cpu(), status, b.i32(instruction.record), b.param(0)]);
  }

  /** Leave if a kind's function did not say NEXT. */
  private answer(status: Value, record: number): void {
    const { b } = this;
    b.if(b.ne(status, Status.NEXT), () => {
      b.leaving.count(b.i32(RegionCause.STATUS << 2));
      b.store(b.cpu(), Cpu.EXIT_RECORD, b.i32(record));
      b.store(b.cpu(), Cpu.EXIT_STATUS, status);
      b.store(b.cpu(), Cpu.EXIT_DESC, b.i64(RegionExit.STATUS | (RegionCause.STATUS << 2)));
      b.return(b.i64(GONE));
    }, undefined, 'seldom');
  }

  private interruptCheck(instruction: PlannedInstruction, left: number): void {
    const { b } = this;
    b.store(b.cpu(), Cpu.INTERRUPT_SHADOW, b.i32(0));
    // Behind a jump it is not known here where the interrupt comes back to; STI has left the region if one was pending.
    if (instruction.kind.definition.flow) return;
    b.exitRegion(b.load('i32', b.cpu(), Cpu.INTERRUPT_PENDING), RegionExit.LEAVE, RegionCause.REQUEST, instruction.at + instruction.length, left - 1);
  }

  // ---- control that leaves the function

  /** Everything that somebody else may look at goes to memory. */
  private spillAll(): void {
    this.b.spill();
    this.b.spillBudget();
  }

  /**
   * To code outside the region: a function of this module, or whatever region is known at that place then, or the interpreter.
   * @param isCall as a call, whose result is given; else in this function's place
   */
  private linkTo(target: Target, from: number, isCall: boolean): Value | null {
    const { b } = this;
    const delta = target.at >> 12;
    const offset = target.at & (PAGE - 1);
    const page = target.cold ? undefined : this.plan.pages.get(delta);
    if (!page) {
      if (!isCall) {
        b.exitRegion(null, RegionExit.JUMP, RegionCause.TARGET, target.at, 0);
        return null;
      }
    } else {
      if (this.entersPage(target, from)) this.checkMapped(target);
      const known = this.neighbours.regionAt(page.map, offset);
      if (known) {
        this.spillAll();
        return this.enter(isCall, known, this.entryArguments(isCall, target.at & ~(PAGE - 1)));
      }
    }
    this.spillAll();
    if (!page) return this.enterAddress(isCall, b.ripAt(target.at));
    const entry = entryOf(this.neighbours.slotFor(page.map, offset));
    return this.enter(isCall, this.imports.enterCode, [...this.entryArguments(isCall, target.at & ~(PAGE - 1)), b.i32(entry), b.i32(wordAt(page.map, offset)), b.cpu()]);
  }

  /** What a region is called with: depth, and RIP of its first page. */
  private entryArguments(isCall: boolean, pageOffset: number): Value[] {
    const { b } = this;
    return [isCall ? b.add(b.param(0), 1) : b.param(0), b.ripAt(pageOffset)];
  }

  private enter(isCall: boolean, target: FunctionRef, args: Value[]): Value | null {
    const { b } = this;
    if (isCall) return b.call(target, args);
    b.returnCall(target, args);
    return null;
  }

  /** To whatever is at a RIP that is known only now. */
  private enterAddress(isCall: boolean, rip: Value): Value | null {
    const { b } = this;
    return this.enter(isCall, this.imports.enterAddress, [b.cpu(), rip, isCall ? b.add(b.param(0), 1) : b.param(0)]);
  }

  /** At a switch: return to the interpreter with the RIP that `distance` tells if a condition holds. */
  private leaveSwitchIf(condition: Value): void {
    const { b } = this;
    const { dirty } = b.registers;
    const { state } = b.flags;
    b.if(condition, () => {
      this.spillAll();
      b.return(b.ripOf(b.distance.get()));
    }, undefined, 'seldom');
    b.registers.dirty = dirty;
    b.flags.state = state;
  }

  /**
   * Go on at the RIP in `target`, in the region if it is one of these.
   * @param from offset of the jump
   * @param isShared several come together here: where to go on is in `distance`
   */
  private indirect(targets: readonly Target[], from: number, isShared = false): void {
    const { b } = this;
    // Of several, distances are compared: addresses to compare with would each take a register. The one that a small function returns to has one.
    if (!isShared && targets.length > 1) b.distance.set(b.distanceOf(b.target.get()));
    const distance = isShared || targets.length > 1 ? b.distance.get() : null;
    const isAt = (target: Target): Value => (distance ? b.eq(distance, b.distanceAt(target.at)) : b.eq(b.target.get(), b.ripAt(target.at)));
    const table = targets.length > CHAIN_MAX ? hashOf(targets.map(({ at }) => at)) : null;
    if (table) {
      b.block((miss) => {
        const labels: Label[] = table.places.map(() => miss);
        const arms = (n: number): void => {
          if (n < 0) {
            return b.brTable(labels, miss, b.shrU(b.mul(b.wrap(distance!), table.factor), table.shift));
          }
          b.block((label) => {
            labels[table.places.indexOf(n)] = label;
            arms(n - 1);
          });
          b.brIf(miss, b.eqz(isAt(targets[n])), 'seldom');
          this.edge(targets[n], from);
        };
        arms(targets.length - 1);
      });
    } else {
      for (const target of targets) b.if(isAt(target), () => this.edge(target, from));
    }
    this.spillAll();
    this.enterAddress(false, isShared ? b.ripOf(b.distance.get()) : b.target.get());
  }

  private call(block: Block, terminator: { target: Target | null; likely: Target | null; inlined: Target | null; next: Target }): void {
    const { b } = this;
    const { next, inlined } = terminator;
    const last = block.instructions[block.instructions.length - 1];
    const likely = inlined ? null : terminator.likely;
    if (inlined) b.if(b.eq(b.target.get(), b.ripAt(inlined.at)), () => this.edge(inlined, last.at));
    b.scoped(() => {
      if (terminator.target) return b.target.set(this.linkTo(targetOf(terminator.target.at, -1), last.at, true)!);
      this.spillAll();
      const elsewhere = (): void => b.target.set(this.enterAddress(true, b.target.get())!);
      if (!likely) return elsewhere();
      b.if(b.eq(b.target.get(), b.ripAt(likely.at)), () => b.target.set(this.linkTo(likely, last.at, true)!), elsewhere);
    });
    // In real mode a function may return to another code segment.
    const isElsewhere = (): Value => b.ne(b.target.get(), b.ripAt(next.at));
    const isNotBack = (): Value => (b.isReal ? b.or(isElsewhere(), b.ne(b.codeBase, b.load('i32', b.cpu(), Cpu.CODE_BASE))) : isElsewhere());
    b.if(isNotBack(), () => {
      const base = b.isReal ? [b.extendU(b.codeBase)] : [];
      b.target.set(b.call(this.imports.resume, [b.target.get(), b.cpu(), b.ripAt(next.at), b.param(0), b.stackPointer(), ...base]));
      b.if(isNotBack(), () => b.return(b.target.get()), undefined, 'seldom');
    }, undefined, 'seldom');
    b.budget.set(b.load('i32', b.cpu(), Cpu.BUDGET));
    b.registers.dirty = 0;
    b.flags.state = 'memory';
    b.forget();
    if (next.block < 0) return b.exitRegion(null, RegionExit.JUMP, RegionCause.TARGET, next.at, 0);
    b.segments.load();
    b.registers.load(this.flow[next.block].needed);
    this.go(next, last.at);
  }
}

