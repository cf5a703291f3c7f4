import { describe, expect, it } from 'vitest';
import { Doubt, Mem, Rec, Side } from '../../core/layout.ts';
import { sideOf } from '../records.ts';
import { CompileQueue, type Pending } from './queue.ts';

const THRESHOLD = 3000;
const record = (n: number): number => Mem.RECORDS + n * Rec.SIZE;
// As much of the memory as the counters of the first records are in.
const buffer = new ArrayBuffer(sideOf(record(100)) + 64);
const records = { u8: new Uint8Array(buffer), u16: new Uint16Array(buffer), i32: new Int32Array(buffer) };

function pending(n: number, key = 0): Pending {
  records.u16[(sideOf(record(n)) + Side.COUNT) >> 1] = THRESHOLD;
  return { where: { mode: 0, user: false, isX87Masked: true, x87Precision: 64, isReal: false, cpu: 0 }, key, map: 0, rip: 0n, linear: 0n, offset: n, record: record(n), again: false, doubts: Doubt.NONE };
}

/** Jumps go to a record. */
function jump(queue: CompileQueue, n: number, times: number): void {
  const at = (sideOf(record(n)) + Side.COUNT) >> 1;
  for (let k = 0; k < times; k++) if (++records.u16[at] === THRESHOLD) queue.round(record(n));
}

const make = (share = Infinity, now = () => 0) => new CompileQueue(records, { threshold: THRESHOLD, share, now });
const taken = (queue: CompileQueue, most = 64) => queue.take(most).map(({ offset }) => offset);

describe('what waits to be compiled', () => {
  it('goes in the order of the jumps since it became hot, also beyond what its counter holds', () => {
    const queue = make();
    for (let n = 0; n < 4; n++) queue.add(pending(n));
    jump(queue, 0, 10);
    jump(queue, 1, 60_000);
    // One more than the counter holds, so that it stands below the others.
    jump(queue, 2, 65_537);
    expect(taken(queue, 2)).toEqual([2, 1]);
    expect(queue.has(record(1))).toBe(true);
    expect(taken(queue)).toEqual([0, 3]);
    expect(queue.isEmpty).toBe(true);
  });

  it('goes with others of its kind only', () => {
    const queue = make();
    queue.add(pending(0, 1));
    queue.add(pending(1, 2));
    queue.add(pending(2, 1));
    jump(queue, 1, 5);
    jump(queue, 2, 3);
    expect(taken(queue)).toEqual([1]);
    expect(taken(queue)).toEqual([2, 0]);
  });

  it('need not wait any more where a region executes it, unless it is to have one of its own', () => {
    const queue = make();
    queue.add(pending(0));
    queue.add({ ...pending(1), again: true });
    queue.add({ ...pending(2), doubts: Doubt.SPANS });
    expect([0, 1, 2, 3].map((n) => queue.covered(record(n)))).toEqual([true, false, false, false]);
    expect([0, 1, 2].map((n) => queue.has(record(n)))).toEqual([false, true, true]);
  });

  it('keeps its place in the order when it was chosen and left', () => {
    const queue = make();
    for (let n = 0; n < 3; n++) queue.add(pending(n));
    jump(queue, 0, 70_000);
    expect(taken(queue, 1)).toEqual([0]);
    jump(queue, 1, 100);
    queue.done(record(0), true);
    expect(taken(queue, 1)).toEqual([0]);
    queue.done(record(0), false);
    expect(queue.has(record(0))).toBe(false);
    expect(taken(queue)).toEqual([1, 2]);
  });

  it('is forgotten with its record, whose place another may take', () => {
    const queue = make();
    queue.add(pending(0));
    jump(queue, 0, 70_000);
    queue.forget(record(0));
    expect(queue.has(record(0))).toBe(false);
    queue.add(pending(0));
    queue.add(pending(1));
    jump(queue, 1, 1);
    expect(taken(queue)).toEqual([1, 0]);
  });
});

describe('time for compiling', () => {
  it('is not counted where it takes nobody’s', () => {
    const queue = make();
    queue.spent(1e9, 0);
    expect(queue.mayStart).toBe(true);
  });

  it('is a share of all, with a little saved up', () => {
    let now = 0;
    const queue = make(0.25, () => now);
    let busy = 0;
    const began = 1000;
    for (; now < 101_000; now++) {
      if (now < began) continue;
      // Asked often, as the vCPU does.
      if (!Array.from({ length: 20 }, () => queue.mayStart).some(Boolean)) continue;
      // Of 40 ms, V8 takes 24 for 400 instructions, on threads of its own.
      queue.spent(16, 400);
      busy += 40;
      now += 16;
    }
    expect(busy).toBeGreaterThan(0.25 * 100_000);
    expect(busy).toBeLessThan(0.25 * 100_000 + 400);
  });

  it('is owed for a while only', () => {
    let now = 0;
    const queue = make(0.25, () => now);
    queue.add(pending(0));
    queue.spent(1e6, 0);
    const may = () => Array.from({ length: 20 }, () => queue.mayStart).some(Boolean);
    now = 1000;
    expect(may()).toBe(false);
    now = 1300;
    expect(may()).toBe(true);
  });

  it('is not waited for by what is very hot, and that alone', () => {
    const queue = make(0.25);
    queue.spent(1000, 0);
    for (let n = 0; n < 3; n++) queue.add(pending(n));
    jump(queue, 0, 200_000);
    jump(queue, 1, 60_000);
    expect(queue.mayStart).toBe(true);
    expect(taken(queue)).toEqual([0]);
    // The clock stands still: there is no time for the others, nor for this one's coming round while it is compiled.
    jump(queue, 0, 65_536);
    for (let n = 0; n < 50; n++) expect(queue.mayStart).toBe(false);
    queue.done(record(0), true);
    expect(queue.mayStart).toBe(true);
    queue.forget(record(0));
    for (let n = 0; n < 50; n++) expect(queue.mayStart).toBe(false);
  });
});
