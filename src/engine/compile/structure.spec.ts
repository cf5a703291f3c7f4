import { describe, expect, it } from 'vitest';
import { structureOf } from './structure.ts';

describe('the structure of a control flow graph', () => {
  it('is a tree of dominators; a join hangs below where its ways part', () => {
    // 0 -> 1, 2; both -> 3
    const structure = structureOf([[1, 2], [3], [3], []]);
    expect(structure.children[0].sort()).toEqual([1, 2, 3]);
    expect(structure.isMerge).toEqual([false, false, false, true]);
    expect(structure.isLoop).toEqual([false, false, false, false]);
    expect(structure.irreducible).toEqual([]);
  });

  it('knows the heads of loops, one in another', () => {
    // 0 -> 1 -> 2 -> 2, 3; 3 -> 1, 4
    const structure = structureOf([[1], [2], [2, 3], [1, 4], []]);
    expect(structure.isLoop).toEqual([false, true, true, false, false]);
    expect(structure.isMerge).toEqual([false, false, false, false, false]);
    expect([...structure.order]).toEqual([0, 1, 2, 3, 4]);
  });

  it('reports edges into the middle of a loop', () => {
    // 0 enters the loop 1 <-> 2 at both
    const { irreducible } = structureOf([[1, 2], [2], [1]]);
    expect(irreducible).toHaveLength(1);
  });

  it('leaves out what is not reached', () => {
    const { place, order } = structureOf([[2], [2], []]);
    expect([...place]).toEqual([0, -1, 1]);
    expect(order).toHaveLength(2);
  });

  it('takes two edges to one place as a join', () => {
    expect(structureOf([[1, 1], []]).isMerge[1]).toBe(true);
  });
});
