// What a region consists of: the code that is reached from its entry without leaving the guest function, as far as it has been
// executed. It is read from the decoded records and cut into basic blocks.

import { Rec, Side } from '../../core/layout.ts';
import { kinds, Pseudo, type Kind } from '../kinds.ts';
import { sideOf, type RecordBytes } from '../records.ts';
import { kindOf, type Facts } from './facts.ts';

/** Instructions of one region at most: the large functions of decompressors have 700, and in two regions that overlap they take twice as long to compile. */
const REGION_LIMIT = 1000;
const BLOCK_INSTRUCTIONS_MAX = 500;
/** A function of fewer instructions is executed in its callers' regions; and so many of such functions in one region. */
const INLINE_LIMIT = 24;
const INLINED_MAX = 96;
/** A region that begins at a loop's head is the loop alone if all that is reached from there has more instructions. */
const LOOP_ALONE_FROM = 120;
/** How far away an indirect jump's targets may lie to be of the same function. */
const FUNCTION_MAX = 16 * 4096;
const PAGE = 4096;

export interface PlannedInstruction {
  /** Offset of its first byte from the region's first page; in its own page it is the low 12 bits. */
  readonly at: number;
  readonly length: number;
  readonly kind: Kind;
  readonly record: number;
  /** The first of its records, which the page's map leads to. */
  readonly first: number;
  /** Its address record and that one's kind, or 0. */
  readonly addressRecord: number;
  readonly addressKind: number;
  /** Its CROSSING record, or 0. */
  readonly crossing: number;
  /** Interrupts are looked for after it. */
  readonly check: boolean;
  readonly facts: Facts;
}

/** Where control goes: a block of the region, or code outside. */
export interface Target {
  /** Offset from the region's first page. */
  readonly at: number;
  /** Number of the block, or -1. */
  readonly block: number;
  /** It is outside because hardly ever anything goes there: no link is worth its code. */
  readonly cold: boolean;
}

/** Made by the functions below, as one shape with all fields: V8 reads it quickly then. An object that is spread and gets a field more has a shape of its own in Node.js 20, each time. */
export type Terminator = {
  /** Blocks that it leads to inside the region; without the target of a call. */
  readonly successors: readonly number[];
} & (
  /** The next block follows. */
  | { kind: 'fall'; next: Target }
  | { kind: 'branch'; taken: Target; next: Target }
  | { kind: 'jump'; target: Target }
  /** Without a target: to a RIP known when it is executed, which was the likely one. */
  | { kind: 'call'; target: Target | null; likely: Target | null; /** The likely one's code is in the region. */ inlined: Target | null; next: Target }
  /** Jump to a RIP known when it is executed; targets are those in the region that it was seen to go to. */
  | { kind: 'indirect'; targets: readonly Target[] }
  /** To the block of an indirect jump, which goes on to this offset; null: to where this block's own jump goes. */
  | { kind: 'switch'; hub: number; to: number | null }
  | { kind: 'return' }
  /** The instruction after the block's last is left to the interpreter. */
  | { kind: 'exit' }
  /** The block's last instruction may have changed the mode. */
  | { kind: 'mode' }
  /** The block's last instruction goes wherever core's function says. */
  | { kind: 'transfer' }
);

export interface Block {
  readonly at: number;
  readonly instructions: PlannedInstruction[];
  terminator: Terminator;
  /** A copy of a function's that is called from here: others find it where it is. */
  readonly isInlined: boolean;
}

type Jumps = readonly Target[];
type Blocks = readonly number[];
const NO_TARGETS: Jumps = [];
const NO_BLOCKS: Blocks = [];

/** Blocks of the region among places, in their order. */
const blocksOf = (one: Target, other: Target | null = null): Blocks =>
  one.block < 0 ? (other && other.block >= 0 ? [other.block] : NO_BLOCKS) : other && other.block >= 0 ? [one.block, other.block] : [one.block];
function allBlocksOf(targets: Jumps): Blocks {
  const out: number[] = [];
  for (const { block } of targets) if (block >= 0) out.push(block);
  return out;
}

function terminatorOf(
  kind: Terminator['kind'], successors: Blocks, next: Target | null, taken: Target | null, target: Target | null, likely: Target | null, inlined: Target | null, targets: Jumps, hub: number,
  to: number | null,
): Terminator {
  return { kind, successors, next, taken, target, likely, inlined, targets, hub, to } as Terminator;
}
export const fallTo = (next: Target): Terminator => terminatorOf('fall', blocksOf(next), next, null, null, null, null, NO_TARGETS, -1, null);
export const branchTo = (taken: Target, next: Target): Terminator => terminatorOf('branch', blocksOf(taken, next), next, taken, null, null, null, NO_TARGETS, -1, null);
export const jumpTo = (target: Target): Terminator => terminatorOf('jump', blocksOf(target), null, null, target, null, null, NO_TARGETS, -1, null);
const callTo = (target: Target | null, likely: Target | null, inlined: Target | null, next: Target): Terminator =>
  terminatorOf('call', inlined ? blocksOf(inlined, next) : blocksOf(next), next, null, target, likely, inlined, NO_TARGETS, -1, null);
export const indirectTo = (targets: Jumps): Terminator => terminatorOf('indirect', allBlocksOf(targets), null, null, null, null, null, targets, -1, null);
export const switchTo = (hub: number, to: number | null): Terminator => terminatorOf('switch', [hub], null, null, null, null, null, NO_TARGETS, hub, to);
export const ending = (kind: 'return' | 'exit' | 'mode' | 'transfer'): Terminator => terminatorOf(kind, NO_BLOCKS, null, null, null, null, null, NO_TARGETS, -1, null);

/** An empty list that has held something is of the same kind in V8 as those with instructions, which [] is not. */
export const NO_INSTRUCTIONS = [null as unknown as PlannedInstruction];
NO_INSTRUCTIONS.pop();

export const blockOf = (at: number, instructions: PlannedInstruction[], terminator: Terminator, isInlined = false): Block => ({ at, instructions, terminator, isInlined });
/** The block with another end. */
export const ended = (block: Block, terminator: Terminator): Block => blockOf(block.at, block.instructions, terminator, block.isInlined);

export const targetOf = (at: number, block: number, cold = false): Target => ({ at, block, cold });
/** The same place, by another block's number. */
export const renumbered = (target: Target, block: number): Target => targetOf(target.at, block, target.cold);

/** A page of decoded code, by its map; planned from while its records were of that generation. */
export interface PlannedPage {
  /** Its number from the region's first one. */
  readonly delta: number;
  readonly map: number;
  readonly generation: number;
}

export interface Plan {
  /** Offset of the entry in its page. */
  readonly entry: number;
  /** Blocks, the entry first. */
  readonly blocks: Block[];
  /** The pages by their number from the first. */
  readonly pages: ReadonlyMap<number, PlannedPage>;
  readonly instructions: number;
}

/** What a plan is made from. */
export interface PlanSource {
  readonly records: RecordBytes;
  readonly u32: Uint32Array;
  /** The page of code at so many pages from the region's first, if it is known now. */
  pageAt(delta: number): PlannedPage | null;
  /** Is this the entry of a guest function (the target of a call)? */
  isFunction(page: PlannedPage, offset: number): boolean;
  /** Where an indirect jump was seen to go, as offsets from its page. */
  targets(record: number): number[];
  /** Note the target of a call. */
  called(page: PlannedPage, offset: number): void;
  facts(kind: Kind, record: number, addressRecord: number, addressKind: number): Facts;
  /** Jumps that must have gone to a place for it to be worth compiling beside the entry. */
  readonly warmth: number;
  /** Where another region begins, this one ends. */
  readonly endsAtRegions: boolean;
  /** The code is of 16 bits. */
  readonly isCode16: boolean;
  /** The first records of the instructions that the region has: it was made before, and is to be as it was. null: it gets what is worth it. */
  readonly only: ReadonlySet<number> | null;
  /** With `only`: to what it has not jumps seldom went when it was made, however often they have gone there since. */
  readonly isOthersCold: boolean;
}

class Planner {
  private readonly leaders = new Set<number>();
  /** Small functions by their places. */
  private readonly small = new Map<number, Plan | null>();

  constructor(
    private readonly source: PlanSource,
    private readonly entry: number,
    private readonly limit = REGION_LIMIT,
    private readonly pages = new Map<number, PlannedPage | null>(),
    private readonly instructions = new Map<number, PlannedInstruction | null>(),
    /** PlanSource.endsAtRegions */
    private readonly endsAtRegions = source.endsAtRegions,
  ) {}

  private page(delta: number): PlannedPage | null {
    let page = this.pages.get(delta);
    if (page === undefined) this.pages.set(delta, (page = this.source.pageAt(delta)));
    return page;
  }

  /** The instruction at an offset from the first page, or null where nothing is decoded or it is not for compiling. */
  private instruction(at: number): PlannedInstruction | null {
    const known = this.instructions.get(at);
    if (known !== undefined) return known;
    const found = this.read(at);
    this.instructions.set(at, found);
    return found;
  }

  private kindAt(record: number): number {
    const { u16 } = this.source.records;
    const kind = u16[(record + Rec.KIND) >> 1];
    return kind === Pseudo.REGION ? u16[(sideOf(record) + Side.KIND) >> 1] : kinds.ownOf(kind);
  }

  private read(at: number): PlannedInstruction | null {
    const { u8, i32 } = this.source.records;
    const page = this.page(at >> 12);
    if (!page) return null;
    let record = this.source.u32[(page.map >> 2) + (at & (PAGE - 1))];
    if (record === 0) return null;
    const first = record;
    let crossing = 0;
    let addressRecord = 0;
    let addressKind = 0;
    for (;;) {
      const kind = this.kindAt(record);
      if (kind >= Pseudo.COUNT) break;
      if (kind === Pseudo.CHAIN) {
        record = i32[(record + Rec.LINK) >> 2];
        continue;
      }
      if (kind === Pseudo.CROSSING) crossing = record;
      else if ((kind >= Pseudo.ADDRESS && kind <= Pseudo.ADDRESS_GENERAL) || kind === Pseudo.ADDRESS_BITS) {
        addressRecord = record;
        addressKind = kind;
      } else return null;
      record += Rec.SIZE;
    }
    const kind = kindOf(this.kindAt(record));
    const facts = this.source.facts(kind, record, addressRecord, addressKind);
    const { definition } = kind;
    if (definition.ends && !definition.flow && !definition.transfers) return null;
    // Near transfers of 16 bits in 32-bit code cut RIP, and those of 32 in 16-bit code do not; those that need core are the interpreter's too.
    if (definition.flow && (facts.cold || (kind.size === 16) !== this.source.isCode16)) return null;
    return {
      at, length: u8[record + Rec.LENGTH], kind, record, first, addressRecord, addressKind, crossing, facts,
      check: this.kindAt(record + Rec.SIZE) === Pseudo.INTERRUPT_CHECK,
    };
  }

  /** Offset of a relative target from the first page. */
  private relative(instruction: PlannedInstruction): number {
    const { i32 } = this.source.records;
    const base = instruction.at & ~(PAGE - 1);
    return base + i32[(instruction.record + Rec.IMM) >> 2];
  }

  plan(): Plan | null {
    const entry = this.instruction(this.entry);
    if (!entry || !this.isWanted(entry)) return null;
    const queue = [this.entry];
    const seen = new Set<number>();
    this.leaders.add(this.entry);
    let count = 0;
    const lead = (at: number): void => {
      if (this.leaders.has(at)) return;
      this.leaders.add(at);
      if (!this.endsAtRegions || !this.isOutside(at)) queue.push(at);
    };
    while (queue.length > 0) {
      let at = queue.shift()!;
      for (let first = true; !seen.has(at); first = false) {
        if (count >= this.limit) break;
        if (!first && (this.leaders.has(at) || this.endsAtRegions) && this.isOutside(at)) {
          this.leaders.add(at);
          break;
        }
        const instruction = this.instruction(at);
        if (!instruction || !this.isWanted(instruction)) break;
        seen.add(at);
        count++;
        const { flow, resync, showsChange, transfers } = instruction.kind.definition;
        const next = at + instruction.length;
        if (flow === 'branch') {
          const taken = this.relative(instruction);
          if (this.isWarm(taken)) lead(taken);
          if (this.isPassed(instruction) || this.isWarm(next)) lead(next);
          break;
        }
        if (flow === 'jump') {
          if (this.isRelative(instruction)) {
            const target = this.relative(instruction);
            if (this.isOutside(target)) this.leaders.add(target);
            else lead(target);
          } else {
            for (const target of this.indirect(instruction)) lead(target);
          }
          break;
        }
        if (flow === 'call') {
          const called = this.isRelative(instruction) ? this.relative(instruction) : this.likely(instruction)?.at;
          if (called !== undefined) this.noteCall(called);
          lead(next);
          break;
        }
        if (flow === 'return' || transfers || (resync && !showsChange)) break;
        // What follows on the next page is a block of its own: the edge to it asks how that page is mapped.
        if (next >> 12 !== at >> 12) {
          lead(next);
          break;
        }
        at = next;
      }
    }
    return this.blocks(seen, count);
  }

  /** The first record of an instruction, or 0. */
  private recordAt(at: number): number {
    const page = this.page(at >> 12);
    return page ? this.source.u32[(page.map >> 2) + (at & (PAGE - 1))] : 0;
  }

  /** PlanSource.only */
  private isWanted({ first }: PlannedInstruction): boolean {
    return this.source.only === null || this.source.only.has(first);
  }

  /** What follows a branch that is hardly ever passed is left out as well, though it was decoded with the branch. */
  private isPassed({ at, length, record }: PlannedInstruction): boolean {
    const { only, isOthersCold, records, warmth } = this.source;
    if (only?.has(this.recordAt(at + length))) return true;
    return !isOthersCold && records.i32[(record + Rec.PASSED) >> 2] >>> 0 >= warmth;
  }

  /** What jumps seldom go to is left out: it is entered by an exit, as code that was never executed is. */
  private isWarm(at: number): boolean {
    if (this.leaders.has(at)) return true;
    const record = this.recordAt(at);
    if (this.source.isOthersCold && !this.source.only?.has(record)) return false;
    return record !== 0 && this.source.records.u16[(sideOf(record) + Side.COUNT) >> 1] >= this.source.warmth;
  }

  private isRelative(instruction: PlannedInstruction): boolean {
    return instruction.kind.shapes.some((shape) => shape.place === 'relative');
  }

  /** Where an indirect jump goes to inside the function, as far as that is worth compiling. */
  private indirect(instruction: PlannedInstruction): number[] {
    if (instruction.kind.definition.far) return [];
    const base = instruction.at & ~(PAGE - 1);
    const targets = this.source.targets(instruction.record).map((offset) => base + offset);
    return targets.filter((at) => Math.abs(at - instruction.at) < FUNCTION_MAX && !this.isOutside(at) && this.isWarm(at) && this.instruction(at) !== null);
  }

  /**
   * The one place that an indirect call went to so far, if it lies on a page that the region depends on anyway. Other jumps' targets may be
   * noted in the same row; hardly ever is there code at these from here.
   */
  private likely(instruction: PlannedInstruction): Target | null {
    if (instruction.kind.definition.far) return null;
    const base = instruction.at & ~(PAGE - 1);
    const places = this.source.targets(instruction.record).map((offset) => base + offset).filter((at) => this.isDecoded(at));
    const [at] = places;
    return places.length === 1 && this.pages.get(at >> 12) ? targetOf(at, -1) : null;
  }

  /** Without making the region depend on the page. */
  private isDecoded(at: number): boolean {
    const page = this.pages.get(at >> 12) ?? this.source.pageAt(at >> 12);
    return page !== null && this.source.u32[(page.map >> 2) + (at & (PAGE - 1))] !== 0;
  }

  private noteCall(at: number): void {
    const page = this.page(at >> 12);
    if (page) this.source.called(page, at & (PAGE - 1));
  }

  /** Another function begins here, or another region at which this one is to end. */
  private isOutside(at: number): boolean {
    if (at === this.entry) return false;
    const page = this.page(at >> 12);
    if (page === null) return false;
    if (this.source.only?.has(this.source.u32[(page.map >> 2) + (at & (PAGE - 1))])) return false;
    if (this.source.isFunction(page, at & (PAGE - 1))) return true;
    if (!this.endsAtRegions) return false;
    const record = this.source.u32[(page.map >> 2) + (at & (PAGE - 1))];
    return record !== 0 && this.source.records.u16[(record + Rec.KIND) >> 1] === Pseudo.REGION;
  }

  private blocks(seen: ReadonlySet<number>, count: number): Plan {
    const starts = [this.entry, ...[...this.leaders].filter((at) => at !== this.entry && seen.has(at))];
    const numbers = new Map(starts.map((at, n) => [at, n]));
    const target = (at: number): Target => targetOf(at, numbers.get(at) ?? -1, !this.leaders.has(at));
    const blockAt = (start: number): Block => {
      const instructions: PlannedInstruction[] = [];
      let at = start;
      for (;;) {
        if (at !== start && numbers.has(at)) return blockOf(start, instructions, fallTo(target(at)));
        if (at !== start && !seen.has(at) && this.leaders.has(at) && this.isOutside(at)) return blockOf(start, instructions, fallTo(target(at)));
        const instruction = this.instruction(at);
        if (!instruction) return blockOf(start, instructions, ending('exit'));
        // What is too long for one region goes on in another, as soon as this one has gone there often enough.
        if (!seen.has(at) || instructions.length >= BLOCK_INSTRUCTIONS_MAX) return blockOf(start, instructions, fallTo(targetOf(at, -1)));
        instructions.push(instruction);
        const { flow, resync, showsChange, transfers } = instruction.kind.definition;
        const next = at + instruction.length;
        if (transfers) return blockOf(start, instructions, ending('transfer'));
        switch (flow) {
          case 'branch':
            return blockOf(start, instructions, branchTo(target(this.relative(instruction)), target(next)));
          case 'jump':
            if (!this.isRelative(instruction)) {
              const targets = this.indirect(instruction).filter((it) => numbers.has(it)).map(target);
              return blockOf(start, instructions, indirectTo(targets));
            }
            return blockOf(start, instructions, jumpTo(targetOf(this.relative(instruction), numbers.get(this.relative(instruction)) ?? -1)));
          case 'call':
            if (this.isRelative(instruction)) return blockOf(start, instructions, callTo(target(this.relative(instruction)), null, null, target(next)));
            return blockOf(start, instructions, callTo(null, this.likely(instruction), null, target(next)));
          case 'return':
            return blockOf(start, instructions, ending('return'));
        }
        if (resync && !showsChange) return blockOf(start, instructions, ending('mode'));
        at = next;
      }
    };
    const blocks: Block[] = [];
    for (const start of starts) blocks.push(blockAt(start));
    const chosen = this.withSmall(count > LOOP_ALONE_FROM ? loopAlone(blocks) : blocks);
    const pages = new Map<number, PlannedPage>();
    for (const [delta, page] of this.pages) if (page) pages.set(delta, page);
    return { entry: this.entry, blocks: chosen, pages, instructions: chosen.reduce((sum, block) => sum + block.instructions.length, 0) };
  }

  /** What calls small functions has their code in it instead: registers stay in locals. What these call is called. */
  private withSmall(blocks: readonly Block[]): Block[] {
    const out = [...blocks];
    if (this.limit === INLINE_LIMIT) return out;
    let room = INLINED_MAX;
    blocks.forEach((block, n) => {
      const { terminator } = block;
      if (terminator.kind !== 'call' || terminator.next.block < 0) return;
      const called = terminator.target ?? terminator.likely;
      const plan = called && this.smallAt(called.at);
      if (!plan || plan.instructions > room) return;
      room -= plan.instructions;
      const inlined = targetOf(called.at, out.length);
      const moved = (target: Target): Target => (target.block < 0 ? target : renumbered(target, target.block + inlined.block));
      // A return goes on behind the call if it finds that address, and else wherever it says.
      const copies = plan.blocks.map((its): Block =>
        blockOf(its.at, its.instructions, its.terminator.kind === 'return' ? indirectTo([terminator.next]) : retarget(its.terminator, moved), true));
      out[n] = ended(block, terminator.target ? jumpTo(inlined) : callTo(null, terminator.likely, inlined, terminator.next));
      out.push(...copies);
    });
    return out;
  }

  /** The function at a place, if it is small. */
  private smallAt(at: number): Plan | null {
    let small = this.small.get(at);
    if (small === undefined) {
      const plan = new Planner(this.source, at, INLINE_LIMIT, this.pages, this.instructions, false).plan();
      this.small.set(at, (small = plan && plan.instructions < INLINE_LIMIT && plan.blocks.every(canBeInlined) ? plan : null));
    }
    return small;
  }
}

/** It goes on inside its function, or returns to its caller. */
function canBeInlined({ instructions, terminator }: Block): boolean {
  if (instructions.some(({ facts, crossing, kind }) => facts.cold || crossing !== 0 || kind.definition.far)) return false;
  switch (terminator.kind) {
    case 'branch':
    case 'call':
    case 'return':
      return true;
    case 'jump':
      return terminator.target.block >= 0;
    case 'fall':
      return terminator.next.block >= 0;
    default:
      return false;
  }
}

/**
 * The loop at whose head the region begins, without what surrounds it; all blocks if it is none. The surroundings lead back to the head
 * as well, and are told from the loop by their place: compilers put a loop's head first and its last jump back last. An interpreter's handler
 * leads back to itself by others on either side, and is no such head.
 */
export function loopAlone(blocks: readonly Block[]): Block[] {
  const [head] = blocks;
  const predecessors: number[][] = blocks.map(() => []);
  blocks.forEach((block, n) => {
    for (const to of block.terminator.successors) predecessors[to].push(n);
  });
  const last = Math.max(...predecessors[0].map((n) => blocks[n].at));
  const inside = new Set([0]);
  const queue = predecessors[0].filter((n) => blocks[n].at >= head.at);
  for (let n = queue.pop(); n !== undefined; n = queue.pop()) {
    if (inside.has(n) || blocks[n].at < head.at || blocks[n].at > last) continue;
    inside.add(n);
    queue.push(...predecessors[n]);
  }
  const reached = new Set([0]);
  for (const n of reached) for (const to of blocks[n].terminator.successors) if (inside.has(to)) reached.add(to);
  if (!predecessors[0].some((n) => reached.has(n))) return [...blocks];
  const numbers = new Map([...reached].sort((a, b) => a - b).map((n, place) => [n, place]));
  const move = (target: Target): Target => renumbered(target, target.block < 0 ? -1 : (numbers.get(target.block) ?? -1));
  const out: Block[] = [];
  for (const n of numbers.keys()) out.push(ended(blocks[n], retarget(blocks[n].terminator, move)));
  return out;
}

/** Where a terminator leads to, inside the region or outside; without the target of a call. */
export function targetsOf(terminator: Terminator): readonly Target[] {
  switch (terminator.kind) {
    case 'fall':
      return [terminator.next];
    case 'call':
      return terminator.inlined ? [terminator.inlined, terminator.next] : [terminator.next];
    case 'branch':
      return [terminator.taken, terminator.next];
    case 'jump':
      return [terminator.target];
    case 'indirect':
      return terminator.targets;
    default:
      return [];
  }
}

function inside(target: Target | null, change: (target: Target) => Target): Target | null {
  const changed = target && change(target);
  return changed && changed.block >= 0 ? changed : null;
}

/** The same with other targets. An indirect jump has only those inside the region. */
export function retarget(terminator: Terminator, change: (target: Target) => Target): Terminator {
  switch (terminator.kind) {
    case 'fall':
      return fallTo(change(terminator.next));
    case 'call':
      return callTo(terminator.target, terminator.likely, inside(terminator.inlined, change), change(terminator.next));
    case 'branch':
      return branchTo(change(terminator.taken), change(terminator.next));
    case 'jump':
      return jumpTo(change(terminator.target));
    case 'indirect':
      return indirectTo(terminator.targets.map(change).filter((target) => target.block >= 0));
    default:
      return terminator;
  }
}

/** Terminator.successors by block. A list made by push(): one that map() gives is of another kind in V8 when it has optimised the call. */
export function successorsOf(blocks: readonly Block[]): Blocks[] {
  const out: Blocks[] = [];
  for (const { terminator } of blocks) out.push(terminator.successors);
  return out;
}

/**
 * @param entry offset of the first instruction in its page
 * @returns null if nothing there can be compiled
 */
export function planRegion(source: PlanSource, entry: number): Plan | null {
  return new Planner(source, entry).plan();
}

