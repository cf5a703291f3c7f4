// Data flow over a region's blocks: which registers are newer in locals than in memory, what is known of the flags, and which locals
// somebody will still look at. So registers are loaded where they are first needed and written back only where the region is left.

import type { FlagsChange, FlagsState } from './flags.ts';
import { changeFlags, isPartial, joinFlags } from './flags.ts';
import type { Block, PlannedInstruction, Terminator } from './plan.ts';
import { FLAGS } from './registers.ts';
import type { Structure } from './structure.ts';

export interface BlockFlow {
  /** At the block's beginning. */
  dirty: number;
  flags: FlagsState | null;
  /** Registers and FLAGS whose locals are needed at the beginning. */
  needed: number;
}

/** What a block does to what is known at its beginning. */
interface BlockEffect {
  /** Everything was in memory somewhere in it. */
  readonly spills: boolean;
  /** Registers that are newer than memory at its end, beside those that were at its beginning and were not written back. */
  readonly writes: number;
  /** What is known of the flags, whatever was; null: what was known. Then what becomes of it. */
  readonly flags: FlagsState | null;
  readonly changes: readonly FlagsChange[];
}

function effectOf({ instructions }: Block): BlockEffect {
  let spills = false;
  let writes = 0;
  let flags: FlagsState | null = null;
  let changes: FlagsChange[] = [];
  for (let n = 0; n < instructions.length; n++) {
    const { facts } = instructions[n];
    const after = facts.flagsAfter;
    if (facts.cold) {
      spills = true;
      writes = 0;
      flags = 'memory';
      changes = [];
    } else {
      writes |= facts.writes;
      if (after === null) continue;
      if (isPartial(after)) changes.push(after);
      else {
        flags = after;
        changes = [];
      }
    }
  }
  return { spills, writes, flags, changes };
}

export function analyse(blocks: readonly Block[], { order, isLoop }: Structure): BlockFlow[] {
  const flow: BlockFlow[] = [];
  const effects: BlockEffect[] = [];
  for (let n = 0; n < blocks.length; n++) {
    flow.push({ dirty: 0, flags: null, needed: 0 });
    effects.push(effectOf(blocks[n]));
  }
  flow[0].flags = 'memory';
  while (passForwards(blocks, order, effects, flow));
  /** What is needed at a block's beginning: `own`, and of what is needed at its end what is in `kept`. */
  const own = new Int32Array(blocks.length);
  const kept = new Int32Array(blocks.length);
  for (let k = 0; k < order.length; k++) needsOf(blocks[order[k]], flow[order[k]], order[k], isLoop[order[k]], own, kept);
  for (let changed = true; changed; ) {
    changed = false;
    for (let k = order.length - 1; k >= 0; k--) {
      const n = order[k];
      const needed = own[n] | (neededBehind(blocks[n].terminator, flow) & kept[n]);
      if (needed !== flow[n].needed) {
        flow[n].needed = needed;
        changed = true;
      }
    }
  }
  return flow;
}

/** Registers and flags from each block to those it leads to. False: nothing has changed. */
function passForwards(blocks: readonly Block[], order: Int32Array, effects: readonly BlockEffect[], flow: readonly BlockFlow[]): boolean {
  let changed = false;
  for (let k = 0; k < order.length; k++) {
    const n = order[k];
    const effect = effects[n];
    const dirty = effect.spills ? effect.writes : flow[n].dirty | effect.writes;
    let flags = effect.flags ?? flow[n].flags!;
    for (let c = 0; c < effect.changes.length; c++) flags = changeFlags(flags, effect.changes[c]);
    const { terminator } = blocks[n];
    // Behind a call all is in memory.
    const isCall = terminator.kind === 'call';
    const inlined = isCall && terminator.inlined ? terminator.inlined.block : -1;
    for (let s = 0; s < terminator.successors.length; s++) {
      const to = terminator.successors[s];
      const there = flow[to];
      const isBehind = isCall && to !== inlined;
      const dirtyThere = isBehind ? 0 : dirty;
      const flagsThere = isBehind ? 'memory' : flags;
      const joined = there.flags === null ? flagsThere : joinFlags(there.flags, flagsThere);
      if ((there.dirty | dirtyThere) !== there.dirty || joined !== there.flags) {
        there.dirty |= dirtyThere;
        there.flags = joined;
        changed = true;
      }
    }
  }
  return changed;
}

/** What an exit before each instruction of a block writes back, and one behind the last: FLAGS if they are not in memory. */
function writtenIn(instructions: readonly PlannedInstruction[], start: BlockFlow): Int32Array {
  const written = new Int32Array(instructions.length + 1);
  let mask = start.dirty | (start.flags === 'memory' ? 0 : FLAGS);
  written[0] = mask;
  for (let n = 0; n < instructions.length; n++) {
    const { facts } = instructions[n];
    mask = facts.cold ? 0 : mask | facts.writes | (facts.flagsAfter === null ? 0 : FLAGS);
    written[n + 1] = mask;
  }
  return written;
}

/** What the blocks need that a block leads to, but for that behind a call. */
function neededBehind(terminator: Terminator, flow: readonly BlockFlow[]): number {
  const { successors } = terminator;
  if (terminator.kind === 'call') return terminator.inlined ? flow[terminator.inlined.block].needed : 0;
  let needed = 0;
  for (let s = 0; s < successors.length; s++) needed |= flow[successors[s]].needed;
  return needed;
}

/** Of the masks that an instruction needs: those it looks at itself, if an exit there writes back so much. */
const readBy = ({ facts, crossing }: PlannedInstruction, written: number): number =>
  facts.reads | (facts.readsFlags ? FLAGS : 0) | (facts.exits || crossing !== 0 ? written : 0);
const killedBy = ({ facts }: PlannedInstruction): number => facts.kills | (facts.killsFlags ? FLAGS : 0);

/** Fill in own[node] and kept[node] of analyse(). */
function needsOf({ instructions }: Block, start: BlockFlow, node: number, isLoop: boolean, own: Int32Array, kept: Int32Array): void {
  const written = writtenIn(instructions, start);
  const count = instructions.length;
  // The end of a block may leave the region: a budget that is used up at a loop's head, a target that is not there.
  let needed = written[count];
  let keep = -1;
  for (let n = count - 1; n >= 0; n--) {
    const instruction = instructions[n];
    if (instruction.facts.cold) {
      needed = written[n];
      keep = 0;
      continue;
    }
    if (instruction.check) needed |= written[n + 1];
    const killed = killedBy(instruction);
    needed = (needed & ~killed) | readBy(instruction, written[n]);
    keep &= ~killed;
  }
  // A loop's head leaves the region when the budget is used up.
  own[node] = isLoop ? needed | written[0] : needed;
  kept[node] = keep;
}

/**
 * What is needed before each instruction of a block, and behind the last one before control goes on (behind a call: by the block that
 * follows it).
 */
export function neededThrough({ instructions, terminator }: Block, flow: readonly BlockFlow[], start: BlockFlow): Int32Array {
  const count = instructions.length;
  const written = writtenIn(instructions, start);
  const needed = new Int32Array(count + 1);
  needed[count] = written[count] | neededBehind(terminator, flow);
  for (let n = count - 1; n >= 0; n--) {
    const instruction = instructions[n];
    if (instruction.facts.cold) {
      needed[n] = written[n];
      continue;
    }
    const after = needed[n + 1] | (instruction.check ? written[n + 1] : 0);
    needed[n] = (after & ~killedBy(instruction)) | readBy(instruction, written[n]);
  }
  return needed;
}
