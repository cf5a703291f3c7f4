// What the benchmarks of devices have in common: a program of guest/mix that prints a line for each of its tests, in a guest with one device
// or another, on each machine that has it; figures, and ratios run by run.

import { bundle } from './bundle.ts';
import type { LinuxGuest } from './guests.ts';
import type { Peer } from './peers/peer.ts';
import { figure, medianOf, table } from './statistics.ts';

const TIMEOUT_S = 400;

export interface DeviceTest {
  test: string;
  /** Requests or packets. */
  count: number;
  bytes: number;
  ns: number;
  medianNs: number;
  p99Ns: number;
  /** Accesses to registers of any device while it ran, of a machine that tells. */
  exits?: number;
}

/** A device as a benchmark names it, and the guest that has it. */
export interface DeviceCase {
  device: string;
  guest: LinuxGuest;
  /** Why a machine does not have the device. */
  refuses(peer: Peer): string | undefined;
  /** Before each run. */
  prepare?(): void;
  /** After each run: what was wrong with it, but for what the guest said. */
  complaint?(): string | undefined;
}

export interface DeviceResult {
  peer: string;
  title: string;
  device: string;
  runs: DeviceTest[][];
  why?: string;
}

/** Lines "WORD TEST count bytes ns median p99" of a program's output. @throws where it did not end well */
function readTests(word: string, output: string, marks: readonly { mark: string; deviceExits: number }[]): DeviceTest[] {
  const text = output.replaceAll('\r', '');
  if (!/^ended 0$/m.test(text)) throw new Error(`the program has gone wrong: ${/^.*FAILED.*$/m.exec(text)?.[0] ?? text.slice(-300)}`);
  const between = (name: string) => {
    const at = marks.findIndex((it) => it.mark === name);
    return at < 0 || at + 1 >= marks.length ? undefined : marks[at + 1].deviceExits - marks[at].deviceExits;
  };
  // What the marks themselves cost: writing their line, and the time that is waited.
  const idle = between('nothing') ?? 0;
  return [...text.matchAll(new RegExp(`^${word} (\\S+) (\\d+) (\\d+) (\\d+) (\\d+) (\\d+)$`, 'gm'))].map(([, test, ...numbers]) => {
    const [count, bytes, ns, medianNs, p99Ns] = numbers.map(Number);
    const exits = between(test);
    return { test, count, bytes, ns, medianNs, p99Ns, exits: exits === undefined ? undefined : Math.max(0, exits - idle) };
  });
}

/** Runs interleaved, one device after the other. */
export async function benchDevices(word: string, cases: readonly DeviceCase[], peers: readonly Peer[], runs: number, say: (text: string) => void): Promise<DeviceResult[]> {
  await bundle();
  const results: DeviceResult[] = [];
  for (const it of cases) {
    const here = peers.map((peer) => ({ peer, result: { peer: peer.name, title: peer.title, device: it.device, runs: [], why: it.refuses(peer) ?? peer.refuses(it.guest) } as DeviceResult }));
    results.push(...here.map(({ result }) => result));
    for (let n = 1; n <= runs; n++) {
      for (const { peer, result } of here) {
        if (result.why !== undefined) continue;
        it.prepare?.();
        const run = await peer.start(it.guest);
        try {
          await run.untilText('\nended ', TIMEOUT_S);
          // The rest of the line, and the counters of the last mark.
          await new Promise((resolve) => setTimeout(resolve, 500));
          const tests = readTests(word, `${await run.text()}\n`, run.marks());
          const complaint = it.complaint?.();
          if (complaint !== undefined) throw new Error(complaint);
          result.runs.push(tests);
          say(`${word} ${it.device}, ${peer.title}, run ${n}: right data`);
        } catch (error) {
          result.why = (error as Error).message;
          say(`${word} ${it.device}, ${peer.title}: ${result.why}`);
        } finally {
          await run.stop();
        }
      }
    }
  }
  return results;
}

export interface Column {
  title: string;
  test: string;
  of(test: DeviceTest): number | undefined;
  decimals: number;
}

export const megabytes = (test: DeviceTest): number => test.bytes / 1e6 / (test.ns / 1e9);
export const operations = (test: DeviceTest): number => test.count / (test.ns / 1e9);
export const exits = (test: DeviceTest): number | undefined => (test.exits === undefined ? undefined : test.exits / test.count);
export const medianMicroseconds = (test: DeviceTest): number => test.medianNs / 1000;
export const p99Microseconds = (test: DeviceTest): number => test.p99Ns / 1000;

const at = (run: DeviceTest[] | undefined, test: string) => run?.find((it) => it.test === test);
const times = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(2)}×`);

export interface DeviceRatio {
  what: string;
  /** Bytes a second against bytes a second, by test. */
  ratios: Record<string, number | undefined>;
}

/**
 * A machine's paravirtual device against its emulated ones, and each against the peers' same device; run by run, medians.
 * @param paravirtual its name
 */
export function deviceRatios(results: readonly DeviceResult[], tests: readonly string[], paravirtual: string): DeviceRatio[] {
  const pairs: [DeviceResult, DeviceResult][] = [];
  const there = results.filter((it) => it.runs.length);
  for (const own of there.filter((it) => it.peer.startsWith('tabvisor'))) {
    for (const other of there) {
      const isOwnSlowPath = other.peer === own.peer && own.device === paravirtual && other.device !== paravirtual;
      if (isOwnSlowPath || (!other.peer.startsWith('tabvisor') && other.device === own.device)) pairs.push([own, other]);
    }
  }
  return pairs.map(([own, other]) => ({
    what: own.peer === other.peer ? `${own.title}: ${own.device} to ${other.device}` : `${own.device}: ${own.title} to ${other.title}`,
    ratios: Object.fromEntries(tests.map((test) => [test, medianOf(own.runs.map((run, n) => {
      const a = at(run, test);
      const b = at(other.runs[n], test);
      return a && b ? megabytes(a) / megabytes(b) : undefined;
    }))])),
  }));
}

export function deviceTables(name: string, results: readonly DeviceResult[], columns: readonly Column[], tests: readonly string[], paravirtual: string): string {
  const rows = results.filter((it) => it.runs.length).map((it) => [
    `${it.title}, ${it.device}`,
    ...columns.map(({ test, of, decimals }) => figure(medianOf(it.runs.map((run) => at(run, test)).map((found) => found && of(found))), decimals)),
  ]);
  const ratios = deviceRatios(results, tests, paravirtual).map(({ what, ratios: them }) => [what, ...tests.map((test) => times(them[test]))]);
  return `${table([name, ...columns.map((it) => it.title)], rows)}\n\n${table([`${name}: ratios of speed`, ...tests], ratios)}`;
}
