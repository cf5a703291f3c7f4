// A guest at its prompt, doing nothing: the memory of its machine beyond the guest's own, and the CPU time that waiting takes.

import type { LinuxGuest } from './guests.ts';
import type { Peer, Run } from './peers/peer.ts';
import { startRunner } from './peers/processes.ts';
import { cpuSeconds, mappings, presentBytes, residentBytes } from './process.ts';
import { figure, medianOf, table } from './statistics.ts';
import { Mem } from '../src/core/layout.ts';

export interface PromptRun {
  residentBytes: number;
  /** Of them pages of the guest's RAM; undefined where they cannot be told apart. */
  guestBytes?: number;
  /** Of them the rest of the machine's shared memory: decoded code, TLBs, maps (Tabvisor). */
  engineBytes?: number;
  /** CPU time of all threads of the process by time, 1 = a core. */
  idle: number;
}

export interface PromptResult {
  guest: string;
  peer: string;
  title: string;
  runs: PromptRun[];
  why?: string;
}

const BOOT_TIMEOUT_S = 300;
/** Time for start-up's own ends (compilers, garbage), and the time that is measured, s. */
const SETTLE_S = 5;
const IDLE_S = 20;

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

interface Split {
  guestBytes: number;
  engineBytes?: number;
}
type SplitMemory = (pid: number, guest: LinuxGuest) => Split;

/**
 * Pages of guest RAM in memory. The machine's shared memory is one writable mapping, found by its size (Mem.RAM and the RAM, to
 * a page of WebAssembly); the guest's physical address 0 lies Mem.RAM bytes into it. The kernel tells which pages are there.
 */
function tabvisorMemory(pid: number, guest: LinuxGuest): Split {
  const ram = guest.memory * 2 ** 20;
  const memory = mappings(pid).filter((mapping) => mapping.bytes === Mem.RAM + ram);
  if (memory.length !== 1) throw new Error(`${memory.length} mappings have the size of the machine's memory`);
  const { start } = memory[0];
  return { guestBytes: presentBytes(pid, start + Mem.RAM, ram), engineBytes: presentBytes(pid, start, Mem.RAM) };
}

/** QEMU gives the guest's RAM a mapping of its own. */
function qemuMemory(pid: number, guest: LinuxGuest): Split {
  const ram = guest.memory * 2 ** 20;
  const memory = mappings(pid).find((mapping) => mapping.bytes >= ram && mapping.bytes < ram + 2 ** 22);
  if (!memory) throw new Error('no mapping has the size of the guest\'s RAM');
  return { guestBytes: presentBytes(pid, memory.start, memory.bytes) };
}

async function measure(run: Run, guest: LinuxGuest, split: SplitMemory | undefined): Promise<PromptRun> {
  try {
    await run.untilText(guest.ready, BOOT_TIMEOUT_S);
    await sleep(SETTLE_S);
    const pid = run.pid!;
    const from = performance.now();
    const before = cpuSeconds(pid);
    await sleep(IDLE_S);
    const idle = (cpuSeconds(pid) - before) / ((performance.now() - from) / 1000);
    return { residentBytes: residentBytes(pid), ...split?.(pid, guest), idle };
  } finally {
    await run.stop();
  }
}

export async function benchPrompt(guests: readonly LinuxGuest[], peers: readonly Peer[], runs: number, say: (text: string) => void): Promise<PromptResult[]> {
  const results: PromptResult[] = [];
  for (const guest of guests) {
    const here: { result: PromptResult; start: () => Promise<Run>; split?: SplitMemory }[] = [];
    for (const peer of peers) {
      const result: PromptResult = { guest: guest.name, peer: peer.name, title: peer.title, runs: [], why: peer.refuses(guest) };
      if (peer.name === 'tabvisor-node') {
        here.push({ result: { ...result, title: 'Tabvisor, bin/tabvisor' }, start: async () => startRunner(guest), split: tabvisorMemory });
      } else if (peer.name === 'qemu') here.push({ result, start: () => peer.start(guest), split: qemuMemory });
      else if (peer.name === 'v86-node') here.push({ result, start: () => peer.start(guest) });
    }
    results.push(...here.map((it) => it.result));
    for (let n = 1; n <= runs; n++) {
      for (const { result, start, split } of here) {
        if (result.why !== undefined) continue;
        try {
          const it = await measure(await start(), guest, split);
          result.runs.push(it);
          say(`prompt of ${guest.name}, ${result.title}, run ${n}: ${figure(it.residentBytes / 1e6, 0)} MB resident, ${figure(100 * it.idle, 2)} % of a core`);
        } catch (error) {
          result.why = (error as Error).message;
          say(`prompt of ${guest.name}, ${result.title}: ${result.why}`);
        }
      }
    }
  }
  return results;
}

export function promptTable(results: readonly PromptResult[]): string {
  const mb = (bytes: number | undefined) => figure(bytes === undefined ? undefined : bytes / 1e6, 0);
  const rows = results.filter((result) => result.runs.length).map(({ guest, title, runs }) => [
    `${guest}, ${title}`,
    mb(medianOf(runs.map((run) => run.residentBytes))), mb(medianOf(runs.map((run) => run.guestBytes))),
    mb(medianOf(runs.map((run) => (run.guestBytes === undefined ? undefined : run.residentBytes - run.guestBytes)))),
    mb(medianOf(runs.map((run) => run.engineBytes))),
    figure(100 * medianOf(runs.map((run) => run.idle))!, 2),
  ]);
  return table(['at the prompt', 'resident, MB', 'of it guest RAM', 'beyond it', 'of that, engine', 'idle, % of a core'], rows);
}
