// What a live region consists of: its code is made once more from the decoded records, which a region that is still there was made from,
// and cut into what belongs to each guest instruction. Nothing is kept for it while regions are compiled.
//
// What a region has is known (Region.records, Region.pages), and so are its mode, its place in the table and its neighbours. Where its branches
// seldom went, and indirect jumps did, is as it is now: Listing.isSame tells whether that made a difference. In boots of Linux it makes none in
// 98 of 100 regions. The entries by which it calls other regions are as they would be named now, too.

import type { RegionCause } from '../../core/layout.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import type { Instruction, instructionsOf } from '../../wasm/text.ts';
import type { CoreFunction } from '../../x86/core-functions.ts';
import { REGION_PARAMS } from '../handlers.ts';
import { generationOf } from '../cache.ts';
import { isReal } from './mode.ts';
import { CAUSES, linearOf, type Compiler, type Region } from './compiler.ts';
import { declareImports, MEMORY } from './module.ts';
import type { PlannedInstruction } from './plan.ts';
import { RegionEmitter, type Part } from './region.ts';
import { CompileService } from './service.ts';
import { slotFor } from './slots.ts';

/** Columns by which code is indented at most. */
const INDENT_MAX = 40;

/** A piece of a region's code, and what it is for. */
export type ListedPart = (
  | { readonly what: 'entry' | 'exits' }
  /** place: offset of its first instruction from the region's first page; isInlined: a copy of another function's */
  | { readonly what: 'block'; readonly number: number; readonly place: number; readonly isLoop: boolean; readonly isInlined: boolean }
  /** isCalled: by its kind's function, with everything in memory */
  | { readonly what: 'instruction'; readonly place: number; readonly length: number; readonly isCalled: boolean }
  /** More of what belongs to the instruction there; the way to this place. */
  | { readonly what: 'more' | 'edge'; readonly place: number }
) & {
  /** WebAssembly, a line for each statement, with what a branch leads to behind it. */
  readonly lines: readonly string[];
};

export interface Listing {
  readonly parts: readonly ListedPart[];
  readonly blocks: number;
  /** Size of the function's body. */
  readonly bytes: number;
  /** As many as the code that is executed has. */
  readonly isSame: boolean;
  /** Pages on which other code was dropped since the region was made. */
  readonly changedPages: number;
}

type Disassembler = typeof instructionsOf;

/** Ends a statement: it leaves nothing for the next instruction. */
const endsLine = ({ name }: Instruction): boolean =>
  /^(block|loop|if|else|end|br|br_if|br_table|return|return_call|return_call_indirect|unreachable|drop|local\.set)$|\.store/.test(name);

export class RegionLister {
  private readonly service: CompileService;

  private constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly compiler: Compiler,
    private readonly instructionsOf: Disassembler,
  ) {
    // On the vCPU's thread it knows the entries of functions as well.
    this.service = compiler.service ?? new CompileService(memory);
  }

  /** Loads the names of instructions, which nobody else needs. Rejects where they are not to be had any more. */
  static async open(memory: WebAssembly.Memory, compiler: Compiler): Promise<RegionLister> {
    const text = await import('../../wasm/text.ts');
    return new RegionLister(memory, compiler, text.instructionsOf);
  }

  /**
   * @param addressOf linear address of an offset from the region's first page, as text
   * @returns null: it cannot be planned again
   * @throws Error if its code cannot be made again
   */
  list(region: Region, addressOf: (place: number) => string): Listing | null {
    const listing = this.listAs(region, addressOf, true);
    if (!listing || listing.isSame) return listing;
    // What lies outside is seldom reached, mostly; around a loop that is a region it is not, and where a region became too large.
    const other = this.listAs(region, addressOf, false);
    return other?.isSame ? other : listing;
  }

  private listAs(region: Region, addressOf: (place: number) => string, isOthersCold: boolean): Listing | null {
    const { pending, slot, module: { entries }, pages, records, isCounted } = region;
    const { where, doubts } = pending;
    const plan = this.service.plan({ ...pending, slot }, { where, warmth: this.compiler.warmth }, { pages, records: new Set(records), isOthersCold });
    if (!plan) return null;
    const module = new ModuleBuilder(MEMORY);
    const calls = new Set<CoreFunction>();
    for (const { instructions } of plan.blocks) for (const { facts } of instructions) for (const call of facts.calls) calls.add(call);
    const { shared, imports } = declareImports(module, calls, isReal(where));
    const refs = new Map(entries.map((entry) => [`${entry.map}:${entry.offset}`, module.declare(`region_${linearOf(entry).toString(16)}`, REGION_PARAMS, 'i64')]));
    const parts: Part[] = [];
    const neighbours = {
      regionAt: (map: number, offset: number) => refs.get(`${map}:${offset}`) ?? null,
      slotFor: (map: number, offset: number) => slotFor(this.service.records, map, offset, []),
    };
    const form = { isCounted, doubts, hasNeighbours: entries.length > 1, parts };
    const emitter = new RegionEmitter(shared, imports, where, this.service.records, plan, slot, neighbours, form);
    const { body } = emitter.emit();
    const names = emitter.localNames;
    const code = this.instructionsOf(body, { local: (index) => names.get(index), function: (index) => module.nameOf(index) });
    const u32 = new Uint32Array(this.memory.buffer);
    return {
      parts: listed(parts, code, addressOf),
      blocks: plan.blocks.length,
      bytes: body.length,
      isSame: body.length === region.bytes,
      changedPages: pages.filter(({ map, generation }) => u32[generationOf(map) >> 2] !== generation).length,
    };
  }
}

function listedPart(part: Part, lines: readonly string[]): ListedPart {
  switch (part.what) {
    case 'block':
      return { what: 'block', number: part.number, place: part.block.at, isLoop: part.isLoop, isInlined: part.block.isInlined, lines };
    case 'instruction': {
      const { at, length, facts }: PlannedInstruction = part.instruction;
      return { what: 'instruction', place: at, length, isCalled: facts.cold, lines };
    }
    case 'more':
    case 'edge':
      return { what: part.what, place: part.place, lines };
    default:
      return { what: part.what, lines };
  }
}

/** The code in its parts. Those without code are left out, unless they are instructions or blocks. */
function listed(parts: readonly Part[], code: readonly Instruction[], addressOf: (place: number) => string): ListedPart[] {
  const targets = branchTargets(code);
  const [entry] = parts;
  const exits = parts[parts.length - 1];
  const blocks = parts.filter((part) => part.what === 'block');
  /** What is done where a branch leads to. */
  const destination = (at: number, isBack: boolean): string => {
    // A loop's part begins with what is done once before it.
    const block = blocks.findLast((part) => (isBack ? part.at <= at && part.isLoop : part.at === at));
    return block ? `to ${addressOf(block.block.at)}` : '';
  };
  const out: ListedPart[] = [];
  let next = 0;
  // The blocks that the exits leave stand before all else.
  const outer = code.findIndex(({ at }) => at >= entry.at);
  parts.forEach((part, n) => {
    const end = parts[n + 1]?.at ?? Infinity;
    const lines: string[] = [];
    if (n === 0 && outer > 0) {
      lines.push(`${code[0].text}   ;; ${outer} of them, which the exits leave`);
      next = outer;
    }
    let line: Instruction[] = [];
    for (; next < code.length && code[next].at < end; next++) {
      const instruction = code[next];
      // What opens and closes stands for itself.
      if (line.length > 0 && /^(block|loop|else|end)$/.test(instruction.name)) {
        lines.push(joined(line, outer, ''));
        line = [];
      }
      line.push(instruction);
      if (!endsLine(instruction)) continue;
      lines.push(joined(line, outer, noteOf(line, targets, exits.at, destination, addressOf)));
      line = [];
    }
    if (line.length > 0) lines.push(joined(line, outer, ''));
    if (lines.length > 0 || part.what === 'instruction' || part.what === 'block') out.push(listedPart(part, lines));
  });
  return out;
}

/** All accesses say that they need not be aligned, which is left out. */
const joined = (line: readonly Instruction[], outer: number, note: string): string =>
  `${' '.repeat(Math.min(INDENT_MAX, 2 * Math.max(0, line[0].depth - outer)))}${line.map(({ text }) => text.replace(/ align=1\b/, '')).join('; ')}${note && `   ;; ${note}`}`;

/** Where each BR and BR_IF leads to: position of the loop's beginning, or of what follows the block, by the branch's own position. */
function branchTargets(code: readonly Instruction[]): Map<number, number> {
  const out = new Map<number, number>();
  const open: { start: Instruction; leaves: number[] }[] = [];
  for (const instruction of code) {
    const { name, text, at, end } = instruction;
    if (/^(block|loop|if)$/.test(name)) open.push({ start: instruction, leaves: [] });
    else if (name === 'end') for (const leave of open.pop()?.leaves ?? []) out.set(leave, end);
    else if (name === 'br' || name === 'br_if') {
      const target = open[open.length - 1 - Number(text.split(' ')[1])];
      if (target?.start.name === 'loop') out.set(at, target.start.at);
      else target?.leaves.push(at);
    }
  }
  return out;
}

/** What a statement that ends in a branch does: an exit's first word is its description (CompileBuilder.exitRegion). */
function noteOf(line: readonly Instruction[], targets: ReadonlyMap<number, number>, exits: number, destination: (at: number, isBack: boolean) => string, addressOf: (place: number) => string): string {
  const last = line[line.length - 1];
  const to = targets.get(last.at);
  if (to === undefined || last.at >= exits) return '';
  if (to < exits) return destination(to, to < last.at);
  if (line[0].name !== 'i64.const') return '';
  const description = BigInt(line[0].text.split(' ')[1]);
  const cause = Number((description >> 2n) & 15n) as RegionCause;
  return `leaves: ${CAUSES[cause]}, at ${addressOf(Number(BigInt.asIntN(32, description >> 32n)))}`;
}
