import { describe, expect, it } from 'vitest';
import { type Block, blockOf, branchTo, ending, indirectTo, jumpTo, successorsOf, targetOf } from './plan.ts';
import { reducible } from './reduce.ts';
import { hashOf } from './region.ts';
import { structureOf } from './structure.ts';

const target = (block: number) => targetOf(block * 16, block);
/** Block n stands at n * 16 and branches to at most two others, or jumps indirectly to any number. */
const graph = (...edges: (number[] | { indirect: number[] })[]): Block[] =>
  edges.map((to, n): Block => {
    if (!Array.isArray(to)) return blockOf(n * 16, [], indirectTo(to.indirect.map(target)));
    const [one, other] = to;
    return blockOf(n * 16, [], other !== undefined ? branchTo(target(one), target(other)) : one !== undefined ? jumpTo(target(one)) : ending('return'));
  });

const irreducible = (blocks: readonly Block[]) => structureOf(successorsOf(blocks)).irreducible;

/** Where a block goes on, in the order of its targets, as blocks that do something: switches are looked through. */
function ways(blocks: readonly Block[], n: number): { at: number; block: number }[] {
  const { terminator } = blocks[n];
  if (terminator.kind !== 'switch') {
    return terminator.successors.flatMap((to) => {
      const next = blocks[to].terminator;
      return next.kind === 'switch' && next.to !== null ? ways(blocks, to) : [{ at: blocks[to].at, block: to }];
    });
  }
  const all = ways(blocks, terminator.hub);
  return terminator.to === null ? all : all.filter(({ at }) => at === terminator.to);
}

/** Both graphs go the same ways. */
function expectSame(before: readonly Block[], after: readonly Block[]): void {
  const seen = new Set<string>();
  const queue = [[0, 0]];
  for (let pair = queue.pop(); pair; pair = queue.pop()) {
    const [a, b] = pair;
    if (seen.has(`${a} ${b}`)) continue;
    seen.add(`${a} ${b}`);
    const from = ways(before, a);
    const to = ways(after, b);
    if (before[a].terminator.kind === 'indirect') {
      // A switch that several share knows the targets of all.
      for (const { at } of from) expect(to.map((it) => it.at)).toContain(at);
    } else {
      expect(to.map((it) => it.at)).toEqual(from.map((it) => it.at));
    }
    for (const way of from) queue.push([way.block, to.find(({ at }) => at === way.at)!.block]);
  }
}

describe('a reducible graph', () => {
  it('is left as it is', () => {
    const blocks = graph([1], [2, 3], [1], []);
    expect(reducible(blocks)).toEqual(blocks);
  });

  it('is made of a loop with two entries', () => {
    const before = graph([1, 2], [2], [1, 3], []);
    expect(irreducible(before)).toHaveLength(1);
    const after = reducible(before);
    expect(irreducible(after)).toEqual([]);
    expect(after).toHaveLength(5);
    expectSame(before, after);
  });

  it('is made of handlers that all jump to each other, by one switch', () => {
    const all = [1, 2, 3, 4, 5];
    const before = graph({ indirect: all }, ...all.map((n) => (n === 5 ? [] : { indirect: all })));
    const after = reducible(before);
    expect(irreducible(after)).toEqual([]);
    expect(after).toHaveLength(7);
    expectSame(before, after);
  });

  it('is made of any graph', () => {
    let state = 7;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    let tangled = 0;
    for (let run = 0; run < 150; run++) {
      const count = 2 + below(14);
      const before = graph(
        ...Array.from({ length: count }, () => {
          const kind = below(10);
          if (kind === 0) return { indirect: [...new Set(Array.from({ length: 1 + below(5) }, () => below(count)))] };
          return Array.from({ length: kind === 1 ? 0 : kind < 5 ? 1 : 2 }, () => below(count));
        }),
      );
      if (irreducible(before).length > 0) tangled++;
      const after = reducible(before);
      expect(irreducible(after)).toEqual([]);
      expectSame(before, after);
    }
    expect(tangled).toBeGreaterThan(30);
  });

  it('finds the place of each target by a hash without collisions', () => {
    for (const offsets of [[0, 4, 8, 12], [3, 4096, 70, -12, 513, 900], Array.from({ length: 40 }, (_, n) => n * n * 7)]) {
      const { factor, shift, places } = hashOf(offsets)!;
      offsets.forEach((offset, n) => expect(places[Math.imul(offset, factor) >>> shift]).toBe(n));
    }
  });
});
