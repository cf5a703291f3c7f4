// Which loops have their body several times, and where its rounds lead. What such code does is what all other specs of the compiler test.

import { expect, it } from 'vitest';
import type { PlannedInstruction, Terminator } from './plan.ts';
import { blockOf, branchTo, ending, fallTo, jumpTo, successorsOf, switchTo, targetOf, type Block } from './plan.ts';
import { unrolled } from './unroll.ts';

const instructions = (count: number, cold = false): PlannedInstruction[] => Array.from({ length: count }, () => ({ facts: { cold } }) as PlannedInstruction);
const at = (block: number) => targetOf(block * 100, block);
const block = (n: number, count: number, terminator: Terminator, cold = false): Block => blockOf(n * 100, instructions(count, cold), terminator);
const RETURN = ending('return');

/** Block 0, a loop of one block, what follows it. */
const loopOfOne = (count: number, cold = false): Block[] => [block(0, 1, fallTo(at(1))), block(1, count, branchTo(at(1), at(2)), cold), block(2, 1, RETURN)];

it('a small loop has four rounds, each leads to the next, and all to what follows', () => {
  const blocks = unrolled(loopOfOne(8));
  expect(successorsOf(blocks)).toEqual([[1], [3, 2], [], [4, 2], [5, 2], [1, 2]]);
  expect(blocks.slice(3).map((it) => it.at)).toEqual([100, 100, 100]);
  expect(blocks.slice(3).every((it) => it.instructions === blocks[1].instructions)).toBe(true);
});

it('a larger one has two', () => {
  expect(successorsOf(unrolled(loopOfOne(9)))).toEqual([[1], [3, 2], [], [1, 2]]);
  expect(unrolled(loopOfOne(24))).toHaveLength(4);
});

it('not those that are large, or call what needs registers in memory', () => {
  for (const blocks of [loopOfOne(25), loopOfOne(4, true)]) expect(unrolled(blocks)).toEqual(blocks);
  const withSwitch = [block(0, 1, fallTo(at(1))), block(1, 2, fallTo(at(2))), block(2, 2, switchTo(1, null))];
  expect(unrolled(withSwitch)).toEqual(withSwitch);
});

it('of a loop with two ways each round has both', () => {
  // 1: head; 2 and 3: the ways; 3 leads back too.
  const blocks = [block(0, 1, fallTo(at(1))), block(1, 3, branchTo(at(2), at(3))), block(2, 3, jumpTo(at(1))), block(3, 3, branchTo(at(1), at(4))), block(4, 1, RETURN)];
  expect(successorsOf(unrolled(blocks))).toEqual([[1], [2, 3], [5], [5, 4], [], [6, 7], [1], [1, 4]]);
});

it('of loops in one another the inner one', () => {
  const blocks = [block(0, 1, fallTo(at(1))), block(1, 2, fallTo(at(2))), block(2, 12, branchTo(at(2), at(3))), block(3, 2, branchTo(at(1), at(4))), block(4, 1, RETURN)];
  expect(successorsOf(unrolled(blocks))).toEqual([[1], [2], [5, 3], [1, 4], [], [2, 3]]);
});

it('no more than a hundred instructions in a region', () => {
  const many: Block[] = [];
  for (let n = 0; n < 20; n++) many.push(block(n, 20, n < 19 ? branchTo(at(n), at(n + 1)) : RETURN));
  const added = unrolled(many).slice(20);
  expect(added.reduce((sum, it) => sum + it.instructions.length, 0)).toBe(100);
});
