// Which part of a plan's blocks makes a region: loops without their surroundings.

import { describe, expect, it } from 'vitest';
import { blockOf, branchTo, ending, indirectTo, jumpTo, loopAlone, NO_INSTRUCTIONS, targetOf, type Terminator } from './plan.ts';

/** Blocks at addresses 16 apart, in their order from the entry on, given by number of the place; the first is the entry. */
function blocksAt(...places: [number, Terminator][]) {
  return places.map(([place, terminator]) => blockOf(place * 16, NO_INSTRUCTIONS, terminator));
}

const to = (block: number) => targetOf(block * 16, block);
const placesOf = (blocks: ReturnType<typeof blocksAt>) => blocks.map(({ at }) => at / 16);

describe('the loop at whose head a region begins', () => {
  it('has what lies between its head and its last jump back', () => {
    // 2: branch out to 5, or 3; 3: jump 2; 5: jump 1; 1: jump 2
    const blocks = blocksAt([2, branchTo(to(2), to(1))], [3, jumpTo(to(0))], [5, jumpTo(to(3))], [1, jumpTo(to(0))]);
    expect(placesOf(loopAlone(blocks))).toEqual([2, 3]);
  });

  it('is not cut out of an interpreter whose handlers lead to one another by a common one', () => {
    // Of handlers at 3, 5 and 6 each goes on to 1, which goes to any of them; the region begins with 3. Behind it are others that lead back to it, but it leads to none of them.
    const blocks = blocksAt([3, jumpTo(to(1))], [1, indirectTo([to(0), to(2), to(3)])], [5, indirectTo([to(0), to(2)])], [6, jumpTo(to(1))]);
    expect(placesOf(loopAlone(blocks))).toEqual([3, 1, 5, 6]);
  });

  it('has no blocks that it does not lead to', () => {
    // 2: branch to 3 or out to 1; 3: jump 2; 4, which only 1 leads to: jump 3; 5, behind all: jump 2
    const blocks = blocksAt([2, branchTo(to(1), to(2))], [3, jumpTo(to(0))], [1, branchTo(to(3), to(4))], [4, jumpTo(to(1))], [5, jumpTo(to(0))]);
    expect(placesOf(loopAlone(blocks))).toEqual([2, 3]);
  });

  it('is all where nothing leads back', () => {
    const blocks = blocksAt([2, branchTo(to(1), to(2))], [3, ending('return')], [1, ending('return')]);
    expect(placesOf(loopAlone(blocks))).toEqual([2, 3, 1]);
  });
});
