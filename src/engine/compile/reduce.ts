// Makes a region's graph reducible: each loop has one head through which it is entered. WebAssembly knows no other loops (structure.ts).
//
// Where a loop can be entered at several places, the one that most of its own blocks lead to becomes the head, and what the other entries
// reach without passing it is copied, for whoever comes from outside ("node splitting": Hecht and Ullman, "Flow Graph Reducibility"). Where
// that would be too much code, all its entries are reached through a switch, which then is the loop's head. So are the targets that
// several indirect jumps share: an interpreter's handlers, each of which jumps to all.

import { NO_INSTRUCTIONS, blockOf, ended, indirectTo, jumpTo, renumbered, retarget, successorsOf, switchTo, targetOf, targetsOf, type Block, type Target } from './plan.ts';
import { structureOf } from './structure.ts';

/** Instructions copied in a region at most. */
const COPIES_MAX = 150;
/** Loops mended in a region at most; the rest is left to exits. */
const ROUNDS_MAX = 40;

interface Loop {
  readonly nodes: ReadonlySet<number>;
  readonly entries: readonly number[];
}

/** Strongly connected components of the nodes, without those of one node (R. Tarjan, "Depth-first search and linear graph algorithms"). */
function components(nodes: ReadonlySet<number>, successors: readonly (readonly number[])[]): number[][] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const open: number[] = [];
  const isOpen = new Set<number>();
  const out: number[][] = [];
  const enter = (node: number): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    open.push(node);
    isOpen.add(node);
  };
  for (const root of nodes) {
    if (index.has(root)) continue;
    const stack = [{ node: root, next: 0 }];
    enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const to = successors[top.node][top.next++];
      if (to !== undefined) {
        if (!nodes.has(to)) continue;
        if (!index.has(to)) {
          enter(to);
          stack.push({ node: to, next: 0 });
        } else if (isOpen.has(to)) low.set(top.node, Math.min(low.get(top.node)!, index.get(to)!));
        continue;
      }
      stack.pop();
      const above = stack[stack.length - 1];
      if (above) low.set(above.node, Math.min(low.get(above.node)!, low.get(top.node)!));
      if (low.get(top.node) !== index.get(top.node)) continue;
      const component: number[] = [];
      for (let node = -1; node !== top.node; ) {
        node = open.pop()!;
        isOpen.delete(node);
        component.push(node);
      }
      if (component.length > 1) out.push(component);
    }
  }
  return out;
}

/** An outermost loop with several entries among the nodes, or null. */
function tangled(nodes: ReadonlySet<number>, successors: readonly (readonly number[])[], predecessors: readonly (readonly number[])[]): Loop | null {
  for (const component of components(nodes, successors)) {
    const inside = new Set(component);
    const entries = component.filter((node) => node === 0 || predecessors[node].some((from) => !inside.has(from)));
    if (entries.length > 1) return { nodes: inside, entries };
    inside.delete(entries[0]);
    const inner = tangled(inside, successors, predecessors);
    if (inner) return inner;
  }
  return null;
}

/** The block with its edges inside the region led to other blocks. */
function redirected(block: Block, to: (node: number) => number): Block {
  const { terminator } = block;
  if (terminator.kind === 'switch') return ended(block, switchTo(to(terminator.hub), terminator.to));
  return ended(block, retarget(terminator, (target) => (target.block < 0 ? target : renumbered(target, to(target.block)))));
}

const isHub = ({ terminator, instructions }: Block): boolean => terminator.kind === 'indirect' && instructions.length === 0;

/** All edges to a loop's entries go through one switch, which is one of them already if there is a switch among them. */
function throughSwitch(blocks: readonly Block[], { nodes, entries }: Loop): Block[] {
  const hubs = entries.filter((node) => isHub(blocks[node]));
  const plain = entries.filter((node) => !isHub(blocks[node]));
  const hub = hubs[0] ?? blocks.length;
  // Copies of a block stand at the same place, and one is as good as the other.
  const targets = new Map<number, Target>();
  for (const node of hubs) for (const target of targetsOf(blocks[node].terminator)) targets.set(target.at, target);
  for (const node of plain) targets.set(blocks[node].at, targetOf(blocks[node].at, node));
  const out = [...blocks];
  out[hub] = blockOf(blocks[entries[0]].at, NO_INSTRUCTIONS, indirectTo([]));
  // The ways from inside and those from outside are not the same blocks: else they would be entries in turn.
  for (const isInside of [true, false]) {
    const ways = new Map(hubs.map((node) => [node, hub]));
    for (const node of plain) ways.set(node, out.push(blockOf(blocks[node].at, NO_INSTRUCTIONS, switchTo(hub, blocks[node].at))) - 1);
    blocks.forEach((block, n) => {
      if (nodes.has(n) === isInside) out[n] = redirected(block, (node) => ways.get(node) ?? node);
    });
  }
  out[hub] = blockOf(out[hub].at, NO_INSTRUCTIONS, indirectTo([...targets.values()]));
  return out;
}

/** Indirect jumps whose targets overlap become one. */
function sharedSwitches(blocks: Block[]): Block[] {
  const out = [...blocks];
  const groups: { members: number[]; targets: Map<number, Target> }[] = [];
  blocks.forEach(({ terminator }, n) => {
    if (terminator.kind !== 'indirect' || terminator.targets.length < 2) return;
    const group = { members: [n], targets: new Map(terminator.targets.map((target) => [target.at, target])) };
    for (const other of [...groups]) {
      if (![...group.targets.keys()].some((at) => other.targets.has(at))) continue;
      groups.splice(groups.indexOf(other), 1);
      group.members.push(...other.members);
      other.targets.forEach((target, at) => group.targets.set(at, target));
    }
    groups.push(group);
  });
  for (const { members, targets } of groups) {
    if (members.length < 2) continue;
    const hub = out.length;
    out.push(blockOf(Math.min(...targets.keys()), NO_INSTRUCTIONS, indirectTo([...targets.values()])));
    for (const n of members) out[n] = ended(out[n], switchTo(hub, null));
  }
  return out;
}

export function reducible(given: readonly Block[]): Block[] {
  let blocks = sharedSwitches([...given]);
  let copied = 0;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const successors = successorsOf(blocks);
    const { order, irreducible } = structureOf(successors);
    if (irreducible.length === 0) return blocks;
    const predecessors: number[][] = blocks.map(() => []);
    for (const node of order) for (const to of successors[node]) predecessors[to].push(node);
    const loop = tangled(new Set(order), successors, predecessors);
    if (!loop) break;
    const weight = (node: number): number => predecessors[node].filter((from) => loop.nodes.has(from)).length;
    const head = [...loop.entries].sort((a, b) => weight(b) - weight(a))[0];
    const others = loop.entries.filter((node) => node !== head);
    const part = new Set<number>();
    const queue = [...others];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (node === head || part.has(node) || !loop.nodes.has(node)) continue;
      part.add(node);
      queue.push(...successors[node]);
    }
    const size = [...part].reduce((sum, node) => sum + blocks[node].instructions.length + 1, 0);
    if (copied + size > COPIES_MAX) {
      blocks = throughSwitch(blocks, loop);
      continue;
    }
    copied += size;
    const copyOf = new Map([...part].map((node, n) => [node, blocks.length + n]));
    const isOther = new Set(others);
    const next: Block[] = [];
    blocks.forEach((block, n) => next.push(loop.nodes.has(n) ? block : redirected(block, (node) => (isOther.has(node) ? copyOf.get(node)! : node))));
    for (const node of part) next.push(redirected(blocks[node], (to) => copyOf.get(to) ?? to));
    blocks = next;
  }
  return cut(blocks);
}

/** Edges into the middle of loops become exits. */
function cut(blocks: readonly Block[]): Block[] {
  const out = [...blocks];
  for (;;) {
    const { irreducible } = structureOf(successorsOf(out));
    if (irreducible.length === 0) return out;
    for (const [from, to] of irreducible) {
      const { terminator } = out[from];
      const outside = (target: Target): Target => (target.block === to ? renumbered(target, -1) : target);
      if (terminator.kind !== 'switch') out[from] = ended(out[from], retarget(terminator, outside));
      else if (terminator.to === null) out[from] = ended(out[from], indirectTo([]));
      else out[from] = ended(out[from], jumpTo(targetOf(terminator.to, -1)));
    }
  }
}
