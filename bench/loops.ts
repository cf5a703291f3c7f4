// The loops of guest/loop.asm and, in real mode, guest/real.asm: guest instructions a second once the machine is warm, and how long it takes to get there.

import { type Bits, type Guest, type Loop, LOOPS, loopGuest } from './guests.ts';
import type { Peer } from './peers/peer.ts';
import { figure, median, medianOf, table } from './statistics.ts';

export interface LoopRun {
  /** Million guest instructions a second, warm. */
  mips: number;
  /** Seconds from the first round to the first one at nine tenths of that speed. */
  warmUpS: number;
}

export interface LoopResult {
  loop: Loop;
  bits: Bits;
  peer: string;
  runs: LoopRun[];
  why?: string;
}

/** Time before the speed counts, and the time over which it is taken, s. */
const WARM_UP_S = 4;
const MEASURE_S = 3;
const START_TIMEOUT_S = 60;

async function measure(peer: Peer, guest: Guest): Promise<LoopRun> {
  const run = await peer.start(guest, 'round ');
  try {
    const started = await run.untilText('round ', START_TIMEOUT_S);
    await new Promise((resolve) => setTimeout(resolve, (WARM_UP_S + MEASURE_S) * 1000));
    const instructions = Number(/round (\d+)/.exec(await run.text())![1]);
    const dots = await run.dots();
    const warm = dots.filter((time) => time > started + WARM_UP_S);
    if (warm.length < 3) throw new Error(`only ${dots.length} rounds in ${WARM_UP_S + MEASURE_S} s`);
    const rate = ((warm.length - 1) * instructions) / (warm[warm.length - 1] - warm[0]) / 1e6;
    const reached = dots.find((time, n) => n > 0 && instructions / (time - dots[n - 1]) / 1e6 > 0.9 * rate) ?? warm[0];
    return { mips: rate, warmUpS: Math.max(0, reached - started) };
  } finally {
    await run.stop();
  }
}

export async function benchLoops(peers: readonly Peer[], runs: number, say: (text: string) => void): Promise<LoopResult[]> {
  const results: LoopResult[] = [];
  for (const bits of [16, 32, 64] as const) {
    for (const loop of LOOPS[bits]) {
      const guest = loopGuest(loop, bits);
      const here = peers.map((peer) => ({ peer, result: { loop, bits, peer: peer.name, runs: [], why: peer.refuses(guest) } as LoopResult }));
      results.push(...here.map((it) => it.result));
      for (let n = 1; n <= runs; n++) {
        for (const { peer, result } of here) {
          if (result.why !== undefined) continue;
          try {
            const it = await measure(peer, guest);
            result.runs.push(it);
            say(`${guest.name}, ${peer.title}, run ${n}: ${figure(it.mips, 0)} MIPS, warm after ${figure(it.warmUpS, 1)} s`);
          } catch (error) {
            result.why = (error as Error).message;
            say(`${guest.name}, ${peer.title}: ${result.why}`);
          }
        }
      }
    }
  }
  return results;
}

export function loopTable(results: readonly LoopResult[], peers: readonly Peer[]): string {
  const rows: string[][] = [];
  for (const bits of [16, 32, 64] as const) {
    for (const loop of LOOPS[bits]) {
      const of = (peer: string) => {
        const runs = results.find((result) => result.loop === loop && result.bits === bits && result.peer === peer)?.runs ?? [];
        return { mips: medianOf(runs.map((run) => run.mips)), warmUp: runs.length ? median(runs.map((run) => run.warmUpS)) : undefined };
      };
      if (!peers.some((peer) => of(peer.name).mips !== undefined)) continue;
      const own = of('tabvisor-node');
      const qemu = of('qemu').mips;
      const v86 = of('v86-node').mips;
      rows.push([
        `${loop}, ${bits} bits`, ...peers.map((peer) => figure(of(peer.name).mips, 0)),
        own.mips && qemu ? `${(own.mips / qemu).toFixed(2)}×` : '–', own.mips && v86 ? `${(own.mips / v86).toFixed(2)}×` : '–', figure(own.warmUp),
      ]);
    }
  }
  return table(['loop, MIPS', ...peers.map((peer) => peer.title), 'Tabvisor to QEMU', 'to v86', 'warm after, s'], rows);
}
