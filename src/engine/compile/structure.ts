// WebAssembly has no goto: blocks become loops, blocks and ifs by the graph's dominator tree, as in Norman Ramsey, "Beyond Relooper:
// Recursive Translation of Unstructured Control Flow to Structured Control Flow" (ICFP 2022). Dominators by Cooper, Harvey and Kennedy,
// "A Simple, Fast Dominance Algorithm". An edge into the middle of a loop ("irreducible") has no such form; such edges are reported, and
// the caller makes exits of them.

export interface Structure {
  /** Reachable nodes in reverse postorder; the entry first. */
  readonly order: Int32Array;
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

/** An empty list for each node. Made by push(): arrays of map() are of another kind in V8 when it has optimised the call, and all who read them are optimised again. */
function lists(count: number): number[][] {
  const out: number[][] = [];
  for (let n = 0; n < count; n++) out.push([]);
  return out;
}

/** The nodes that node 0 leads to, in reverse postorder. */
function reversePostorder(successors: readonly (readonly number[])[]): Int32Array {
  const count = successors.length;
  const order = new Int32Array(count);
  let first = count;
  const visited = new Uint8Array(count);
  /** The way to where the search is, and how many edges of its nodes were followed. */
  const path = new Int32Array(count);
  const followed = new Int32Array(count);
  let depth = 1;
  visited[0] = 1;
  while (depth > 0) {
    const node = path[depth - 1];
    const out = successors[node];
    if (followed[node] < out.length) {
      const to = out[followed[node]++];
      if (visited[to] === 0) {
        visited[to] = 1;
        path[depth++] = to;
      }
    } else {
      order[--first] = node;
      depth--;
    }
  }
  return order.subarray(first);
}

/** Each node's immediate dominator; its own for the entry, -1 where nothing leads. */
function dominatorsOf(order: Int32Array, place: Int32Array, predecessors: readonly (readonly number[])[]): Int32Array {
  const dominator = new Int32Array(place.length).fill(-1);
  dominator[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 1; n < order.length; n++) {
      const node = order[n];
      const from = predecessors[node];
      let best = -1;
      for (let k = 0; k < from.length; k++) {
        let other = from[k];
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
  return dominator;
}

/** @param successors by node; node 0 is the entry. An edge may be there twice. */
export function structureOf(successors: readonly (readonly number[])[]): Structure {
  const count = successors.length;
  const order = reversePostorder(successors);
  const place = new Int32Array(count).fill(-1);
  for (let n = 0; n < order.length; n++) place[order[n]] = n;
  const predecessors = lists(count);
  for (let n = 0; n < order.length; n++) {
    const out = successors[order[n]];
    for (let k = 0; k < out.length; k++) predecessors[out[k]].push(order[n]);
  }
  const dominator = dominatorsOf(order, place, predecessors);
  const children = lists(count);
  for (let n = 1; n < order.length; n++) children[dominator[order[n]]].push(order[n]);

  const isLoop: boolean[] = [];
  const isMerge: boolean[] = [];
  for (let n = 0; n < count; n++) isLoop.push(false);
  const forward = new Int32Array(count);
  const irreducible: [number, number][] = [];
  for (let n = 0; n < order.length; n++) {
    const node = order[n];
    const out = successors[node];
    for (let k = 0; k < out.length; k++) {
      const to = out[k];
      if (place[to] > n) forward[to]++;
      else {
        let above = node;
        while (place[above] > place[to]) above = dominator[above];
        if (above === to) isLoop[to] = true;
        else irreducible.push([node, to]);
      }
    }
  }
  for (let n = 0; n < count; n++) isMerge.push(forward[n] > 1);
  return { order, place, predecessors, children, isLoop, isMerge, irreducible };
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
