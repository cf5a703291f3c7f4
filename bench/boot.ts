// Boots of the bundled guests to the shell's prompt, in every machine in turn, several times.

import { FIRST_LINE, type LinuxGuest } from './guests.ts';
import type { Peer } from './peers/peer.ts';
import { othersWarning, watchOthers } from './process.ts';
import { figure, median, medianOf, ratio, table } from './statistics.ts';

export interface BootRun {
  /** Seconds from the start to the kernel's first line, and to the line before the prompt. */
  firstLineS: number;
  promptS: number;
  instructions?: number;
  /** Seconds in which the machine's thread ran and did not sleep. */
  busyS?: number;
  /** What other programs had of the processors meanwhile, of 1. */
  others: number;
}

export interface BootResult {
  guest: string;
  peer: string;
  runs: BootRun[];
  /** Why there are no runs, or fewer. */
  why?: string;
}

const TIMEOUT_S = 300;

async function boot(peer: Peer, guest: LinuxGuest): Promise<BootRun> {
  const askOthers = watchOthers();
  const run = await peer.start(guest, guest.ready);
  try {
    // Both are asked for at once: a page notes the time of a text only when it knows of it.
    const [firstLineS, promptS] = await Promise.all([run.untilText(FIRST_LINE, TIMEOUT_S), run.untilText(guest.ready, TIMEOUT_S)]);
    const others = askOthers();
    const { instructions, busyS } = await run.counters();
    return { firstLineS, promptS, instructions, busyS, others };
  } finally {
    await run.stop();
  }
}

/** Runs interleaved (A B C, A B C …), so that what else the computer does falls on all alike. */
export async function benchBoot(guests: readonly LinuxGuest[], peers: readonly Peer[], runs: number, say: (text: string) => void): Promise<BootResult[]> {
  const results: BootResult[] = [];
  for (const guest of guests) {
    const here = peers.map((peer) => ({ peer, result: { guest: guest.name, peer: peer.name, runs: [], why: peer.refuses(guest) } as BootResult }));
    results.push(...here.map((it) => it.result));
    for (let n = 1; n <= runs; n++) {
      for (const { peer, result } of here) {
        if (result.why !== undefined) continue;
        try {
          const it = await boot(peer, guest);
          result.runs.push(it);
          say(`boot ${guest.name}, ${peer.title}, run ${n}: first line ${figure(it.firstLineS)} s, prompt ${figure(it.promptS)} s${othersWarning(it.others)}`);
        } catch (error) {
          result.why = (error as Error).message;
          say(`boot ${guest.name}, ${peer.title}: ${result.why}`);
        }
      }
    }
  }
  return results;
}

export interface BootSummary {
  guest: string;
  peer: string;
  why?: string;
  firstLineS?: number;
  promptS?: number;
  instructions?: number;
  /** Million guest instructions a second, of the time the machine was not asleep; without that, of all the time. */
  mips?: number;
}

export function summarise(result: BootResult): BootSummary {
  const { guest, peer, runs, why } = result;
  if (!runs.length) return { guest, peer, why };
  const rates = runs.map((run) => (run.instructions === undefined ? undefined : run.instructions / (run.busyS ?? run.promptS) / 1e6));
  return {
    guest, peer, why,
    firstLineS: median(runs.map((run) => run.firstLineS)),
    promptS: median(runs.map((run) => run.promptS)),
    instructions: medianOf(runs.map((run) => run.instructions)),
    mips: medianOf(rates),
  };
}

export function bootTable(guest: string, results: readonly BootResult[], peers: readonly Peer[]): string {
  const rows = results.filter((result) => result.guest === guest).map(summarise);
  const of = (name: string) => rows.find((row) => row.peer === name)?.promptS;
  const shown = rows.filter((row) => row.promptS !== undefined).map((row) => [
    peers.find((peer) => peer.name === row.peer)!.title,
    figure(row.firstLineS), figure(row.promptS),
    row.instructions === undefined ? '–' : figure(row.instructions / 1e6, 0), figure(row.mips, 0),
    ratio(row.promptS, of('qemu')), ratio(row.promptS, of('v86-node')),
  ]);
  return table([`boot of ${guest}`, 'first line, s', 'prompt, s', 'instructions, M', 'MIPS', 'speed to QEMU', 'to v86 (Node)'], shown);
}
