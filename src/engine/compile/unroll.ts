// Small innermost loops have their body twice or four times: only one of these rounds has a loop's head, which costs V8's check of the stack,
// the look at the budget and a move for each local that a round changes, and the others' accesses share look-ups with those of the round before.

import { blockOf, renumbered, retarget, successorsOf, type Block, type Target } from './plan.ts';
import { loopOf, structureOf } from './structure.ts';

/** Blocks and instructions of a loop that is unrolled, at most. */
const BLOCKS_MAX = 4;
const INSTRUCTIONS_MAX = 24;
/** A loop of no more than so many has it four times. A number of rounds that is often a multiple: else its end is at another place each time. */
const SMALL = 8;
const SMALL_BLOCKS = 2;
/** Instructions that a region gets by it, at most. */
const COPIES_MAX = 100;

/** Does the block go on in a way that may be copied, and call nothing? */
function canBeCopied({ instructions, terminator: { kind } }: Block): boolean {
  return (kind === 'branch' || kind === 'jump' || kind === 'fall') && !instructions.some(({ facts }) => facts.cold);
}

/** @param blocks of a graph whose loops have one entry each (reduce.ts) */
export function unrolled(blocks: readonly Block[]): Block[] {
  const out = [...blocks];
  const structure = structureOf(successorsOf(blocks));
  let room = COPIES_MAX;
  let added = 0;
  for (const head of structure.order) {
    if (!structure.isLoop[head]) continue;
    const nodes = [...loopOf(structure, head)];
    const size = nodes.reduce((sum, node) => sum + blocks[node].instructions.length, 0);
    const rounds = size <= SMALL && nodes.length <= SMALL_BLOCKS ? 4 : 2;
    if (nodes.length > BLOCKS_MAX || size > INSTRUCTIONS_MAX || size * (rounds - 1) > room) continue;
    if (!nodes.every((node) => canBeCopied(blocks[node]) && (node === head || !structure.isLoop[node]))) continue;
    room -= size * (rounds - 1);
    /** Blocks of the loop in one of its rounds. */
    const placesIn = (round: number): ReadonlyMap<number, number> => new Map(nodes.map((node, n) => [node, round === 0 ? node : blocks.length + added + (round - 1) * nodes.length + n]));
    for (let round = 0; round < rounds; round++) {
      const own = placesIn(round);
      const next = placesIn((round + 1) % rounds).get(head)!;
      const moved = (target: Target): Target => (target.block === head ? renumbered(target, next) : own.has(target.block) ? renumbered(target, own.get(target.block)!) : target);
      for (const node of nodes) {
        const { at, instructions, terminator, isInlined } = blocks[node];
        out[own.get(node)!] = blockOf(at, instructions, retarget(terminator, moved), isInlined);
      }
    }
    added += nodes.length * (rounds - 1);
  }
  return out;
}
