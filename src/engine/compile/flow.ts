// Data flow over a region's blocks: which registers are newer in locals than in memory, what is known of the flags, and which locals
// somebody will still look at. So registers are loaded where they are first needed and written back only where the region is left.

import type { FlagsState } from './flags.ts';
import { changeFlags, joinFlags } from './flags.ts';
import { successorsOf, type Block, type PlannedInstruction } from './plan.ts';
import type { Structure } from './structure.ts';

/** In masks of what is needed: the flags, beside the 16 registers. */
export const FLAGS = 1 << 16;

export interface BlockFlow {
  /** At the block's beginning. */
  dirty: number;
  flags: FlagsState | null;
  /** Registers and FLAGS whose locals are needed at the beginning. */
  needed: number;
}

/** Everything is in memory behind it. */
const spills = (instruction: PlannedInstruction): boolean => instruction.facts.cold;

export function analyse(blocks: readonly Block[], { order, isLoop }: Structure): BlockFlow[] {
  const flow = blocks.map((): BlockFlow => ({ dirty: 0, flags: null, needed: 0 }));
  flow[0].flags = 'memory';
  for (let changed = true; changed; ) {
    changed = false;
    for (const n of order) {
      const here = flow[n];
      let { dirty, flags } = here;
      for (const instruction of blocks[n].instructions) {
        if (spills(instruction)) {
          dirty = 0;
          flags = 'memory';
        } else {
          dirty |= instruction.facts.writes;
          if (instruction.facts.flagsAfter !== null) flags = changeFlags(flags!, instruction.facts.flagsAfter);
        }
      }
      const { terminator } = blocks[n];
      for (const to of successorsOf(terminator)) {
        const there = flow[to];
        const isBehind = terminator.kind === 'call' && to !== terminator.inlined?.block;
        const [dirtyThere, flagsThere] = isBehind ? [0, 'memory' as const] : [dirty, flags];
        const joined: FlagsState | null = there.flags === null ? flagsThere : joinFlags(there.flags, flagsThere!);
        if ((there.dirty | dirtyThere) !== there.dirty || joined !== there.flags) {
          there.dirty |= dirtyThere;
          there.flags = joined;
          changed = true;
        }
      }
    }
  }
  for (let changed = true; changed; ) {
    changed = false;
    for (let k = order.length - 1; k >= 0; k--) {
      const n = order[k];
      let [needed] = neededThrough(blocks[n], flow, flow[n]);
      // A loop's head leaves the region when the budget is used up.
      if (isLoop[n]) needed |= flow[n].dirty | (flow[n].flags === 'memory' ? 0 : FLAGS);
      if (needed !== flow[n].needed) {
        flow[n].needed = needed;
        changed = true;
      }
    }
  }
  return flow;
}

/**
 * What is needed before each instruction of a block, and behind the last one before control goes on (behind a call: by the block that
 * follows it).
 */
export function neededThrough(block: Block, flow: readonly BlockFlow[], start: BlockFlow): Uint32Array {
  const { instructions, terminator } = block;
  const count = instructions.length;
  const dirty = new Uint32Array(count + 1);
  const inMemory = new Uint8Array(count + 1);
  dirty[0] = start.dirty;
  inMemory[0] = start.flags === 'memory' ? 1 : 0;
  instructions.forEach((instruction, n) => {
    if (spills(instruction)) {
      dirty[n + 1] = 0;
      inMemory[n + 1] = 1;
    } else {
      dirty[n + 1] = dirty[n] | instruction.facts.writes;
      inMemory[n + 1] = instruction.facts.flagsAfter === null ? inMemory[n] : 0;
    }
  });
  /** What an exit there writes back. */
  const written = (n: number): number => dirty[n] | (inMemory[n] ? 0 : FLAGS);
  const needed = new Uint32Array(count + 1);
  // The end of a block may leave the region: a budget that is used up at a loop's head, a target that is not there.
  needed[count] = written(count);
  if (terminator.kind !== 'call') for (const to of successorsOf(terminator)) needed[count] |= flow[to].needed;
  else if (terminator.inlined) needed[count] |= flow[terminator.inlined.block].needed;
  for (let n = count - 1; n >= 0; n--) {
    const { facts, check } = instructions[n];
    if (spills(instructions[n])) {
      needed[n] = written(n);
      continue;
    }
    let after = needed[n + 1];
    if (check) after |= written(n + 1);
    let before = (after & ~facts.kills & ~(facts.killsFlags ? FLAGS : 0)) | facts.reads | (facts.readsFlags ? FLAGS : 0);
    if (facts.exits || instructions[n].crossing !== 0) before |= written(n);
    needed[n] = before;
  }
  return needed;
}
