// WebAssembly has no goto: blocks become loops, blocks and ifs by the graph's dominator tree, as in Norman Ramsey, "Beyond Relooper:
// Recursive Translation of Unstructured Control Flow to Structured Control Flow" (ICFP 2022). Dominators by Cooper, Harvey and Kennedy,
// "A Simple, Fast Dominance Algorithm". An edge into the middle of a loop ("irreducible") has no such form; such edges are reported, and
// the caller makes exits of them.

export interface Structure {
  /** Reachable nodes in reverse postorder; the entry first. */
  readonly order: readonly number[];
  /** A node's place in that order; -1: not reachable. */
  readonly place: Int32Array;
  readonly predecessors: readonly number[][];
  /** Children in the dominator tree, in the order of their places. */
  readonly children: readonly number[][];
  /** The target of an edge that goes back. */
  readonly isLoop: readonly boolean[];
  /** More than one edge leads forward to it. */
  readonly isMerge: readonly boolean[];
  /** Edges [from, to] that enter a loop elsewhere than at its head. */
  readonly irreducible: readonly (readonly [number, number])[];
}

/** @param successors by node; node 0 is the entry. An edge may be there twice. */
export function structureOf(successors: readonly (readonly number[])[]): Structure {
  const count = successors.length;
  const place = new Int32Array(count).fill(-1);
  const postorder: number[] = [];
  const visited = new Uint8Array(count);
  const stack: { node: number; next: number }[] = [{ node: 0, next: 0 }];
  visited[0] = 1;
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const out = successors[top.node];
    if (top.next < out.length) {
      const to = out[top.next++];
      if (!visited[to]) {
        visited[to] = 1;
        stack.push({ node: to, next: 0 });
      }
    } else {
      postorder.push(top.node);
      stack.pop();
    }
  }
  const order = postorder.reverse();
  order.forEach((node, n) => (place[node] = n));

  const predecessors: number[][] = successors.map(() => []);
  for (const node of order) for (const to of successors[node]) predecessors[to].push(node);

  const dominator = new Int32Array(count).fill(-1);
  dominator[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of order) {
      if (node === 0) continue;
      let best = -1;
      for (let other of predecessors[node]) {
        if (dominator[other] < 0) continue;
        if (best < 0) {
          best = other;
          continue;
        }
        while (best !== other) {
          while (place[best] > place[other]) best = dominator[best];
          while (place[other] > place[best]) other = dominator[other];
        }
      }
      if (dominator[node] !== best) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  const dominates = (a: number, b: number): boolean => {
    while (place[b] > place[a]) b = dominator[b];
    return a === b;
  };

  const children: number[][] = successors.map(() => []);
  for (const node of order) if (node !== 0) children[dominator[node]].push(node);
  const isLoop = successors.map(() => false);
  const forward = new Int32Array(count);
  const irreducible: [number, number][] = [];
  for (const node of order) {
    for (const to of successors[node]) {
      if (place[to] > place[node]) forward[to]++;
      else if (dominates(to, node)) isLoop[to] = true;
      else irreducible.push([node, to]);
    }
  }
  return { order, place, predecessors, children, isLoop, isMerge: successors.map((_, n) => forward[n] > 1), irreducible };
}

/** The blocks of a loop: its head, and those from which the head is reached again. */
export function loopOf({ place, predecessors }: Structure, head: number): number[] {
  const inside = new Set([head]);
  const waiting = predecessors[head].filter((node) => place[node] >= place[head]);
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (inside.has(node)) continue;
    inside.add(node);
    waiting.push(...predecessors[node]);
  }
  return [...inside];
}
