// The CPU mix of guest/mix in Linux guests: work per second of every part, and its ratios to the peers. As a program of its own it is the
// quick look for who works on the engine: the headless runner and QEMU only, one run. See --help.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './guests.ts';
import { ARCHES, type Arch, buildProgram, checkParts, mixGuest, partNames, type PartResult, readParts, runNative } from './mix-guest.ts';
import type { Peer, Run } from './peers/peer.ts';
import { qemu, startRunner } from './peers/processes.ts';
import { othersWarning, watchOthers } from './process.ts';
import { figure, geometricMean, medianOf, table } from './statistics.ts';

/** To the guest's first part, s; v86 needs most. */
const BOOT_TIMEOUT_S = 240;

/** Units a second over the whole time, and in the best batch. */
export const wholeRate = (part: PartResult): number => (part.units / part.ns) * 1e9;
export const bestRate = (part: PartResult): number => (part.bestNs ? (part.bestUnits / part.bestNs) * 1e9 : wholeRate(part));

/** Guest and host may differ by this much in how long the parts took: the guest's clock is right. */
const CLOCK = { least: 0.85, most: 1.03 };

export interface MixRun {
  parts: PartResult[];
  /** Seconds from the start to the first part. */
  bootS: number;
  /** Time of the parts by the guest's clock, to their time by the host's. */
  clock: number;
  /** What other programs had of the processors meanwhile, of 1. */
  others?: number;
  notes?: string[];
}

/** Run the mix in a machine, and check its sums. @throws where one is wrong */
async function measure(start: () => Promise<Run>, parts: readonly string[], timeS: number): Promise<MixRun> {
  const askOthers = watchOthers();
  const run = await start();
  try {
    const bootS = await run.untilText('mix: start', BOOT_TIMEOUT_S);
    const endS = await run.untilText('\nended ', 60 + parts.length * timeS * 3);
    // The status follows, with the line's end.
    let output = await run.text();
    for (let tries = 0; tries < 100 && !/^ended \d+\r?\n/m.test(output); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      output = await run.text();
    }
    const results = readParts(output);
    checkParts(results, parts);
    return { parts: results, bootS, others: askOthers(), notes: await run.notes?.() ?? [], clock: results.reduce((sum, part) => sum + part.ns, 0) / 1e9 / (endS - bootS) };
  } finally {
    await run.stop();
  }
}

export interface MixResult {
  arch: Arch;
  peer: string;
  runs: MixRun[];
  why?: string;
}

/** This computer without a machine, in the first columns of the tables. */
const NATIVE = 'native';

/** Runs interleaved, and this computer's own beside them. */
export async function benchMix(peers: readonly Peer[], runs: number, timeS: number, say: (text: string) => void): Promise<MixResult[]> {
  const results: MixResult[] = [];
  const parts = chooseParts(undefined);
  for (const arch of ARCHES) {
    const guest = mixGuest(arch, parts, `ms=${Math.round(timeS * 1000)}`);
    const here = peers.map((peer) => ({ peer, result: { arch, peer: peer.name, runs: [], why: peer.refuses(guest) } as MixResult }));
    const native: MixResult = { arch, peer: NATIVE, runs: [] };
    results.push(native, ...here.map((it) => it.result));
    for (let n = 1; n <= runs; n++) {
      const output = native.why === undefined ? runNative(buildProgram('mix', arch), [`ms=${Math.round(timeS * 1000)}`]) : undefined;
      if (output === undefined) native.why = `this computer does not run programs for ${arch}`;
      else native.runs.push({ parts: readParts(output), bootS: 0, clock: 1 });
      for (const { peer, result } of here) {
        if (result.why !== undefined) continue;
        try {
          const it = await measure(() => peer.start(guest), parts, timeS);
          result.runs.push(it);
          const isOff = it.clock < CLOCK.least || it.clock > CLOCK.most;
          say(`mix ${arch}, ${peer.title}, run ${n}: ${['right sums', ...it.notes ?? []].join(', ')}${isOff ? `; BUT the guest's clock went at ${figure(it.clock, 2)} of the host's` : ''}${othersWarning(it.others ?? 0)}`);
        } catch (error) {
          result.why = (error as Error).message;
          say(`mix ${arch}, ${peer.title}: ${result.why}`);
        }
      }
    }
  }
  return results;
}

/** The ratio of two machines at a part, run by run, and of these the median. */
function ratioAt(part: string, own: MixResult | undefined, other: MixResult | undefined): number | undefined {
  const rate = (run: MixRun | undefined) => {
    const found = run?.parts.find((it) => it.name === part);
    return found && wholeRate(found);
  };
  return medianOf((own?.runs ?? []).map((run, n) => {
    const a = rate(run);
    const b = rate(other?.runs[n]);
    return a !== undefined && b !== undefined ? a / b : undefined;
  }));
}

export interface MixSummary {
  arch: Arch;
  peer: string;
  to: string;
  computing?: number;
  system?: number;
  all?: number;
  least?: { part: string; ratio: number };
}

function ratios(own: MixResult | undefined, other: MixResult | undefined, parts: readonly string[]): { part: string; ratio: number }[] {
  return parts.map((part) => ({ part, ratio: ratioAt(part, own, other) })).filter((it): it is { part: string; ratio: number } => it.ratio !== undefined);
}

/** Geometric means of one machine's ratios to another's. */
export function summariseMix(results: readonly MixResult[], arch: Arch, peer: string, to: string): MixSummary {
  const of = (name: string) => results.find((it) => it.arch === arch && it.peer === name);
  const { computing, system } = partNames();
  const mean = (parts: readonly string[]) => {
    const them = ratios(of(peer), of(to), parts);
    return them.length ? geometricMean(them.map((it) => it.ratio)) : undefined;
  };
  const each = ratios(of(peer), of(to), [...computing, ...system]);
  return { arch, peer, to, computing: mean(computing), system: mean(system), all: mean([...computing, ...system]), least: each.sort((a, b) => a.ratio - b.ratio)[0] };
}

/** The peers that a machine is compared with: QEMU, and v86 in the same surroundings. */
function opponents(peer: Peer, peers: readonly Peer[]): Peer[] {
  const where = peer.name.includes('chromium') ? 'v86-chromium' : 'v86-node';
  return peers.filter((it) => it.name === 'qemu' || it.name === where);
}

export function mixTable(arch: Arch, results: readonly MixResult[], peers: readonly Peer[]): string {
  const of = (name: string) => results.find((it) => it.arch === arch && it.peer === name && it.runs.length);
  const there = peers.filter((peer) => of(peer.name));
  const own = there.filter((peer) => peer.name.startsWith('tabvisor'));
  const pairs = own.flatMap((peer) => opponents(peer, there).map((other) => ({ peer, other })));
  const columns = [...(of(NATIVE) ? [NATIVE] : []), ...there.map((peer) => peer.name)];
  const times = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(2)}×`);
  const { computing, system } = partNames();
  const rows = [...computing, ...system].map((part) => [
    part,
    ...columns.map((name) => figure(medianOf(of(name)!.runs.map((run) => run.parts.find((it) => it.name === part)).map((it) => it && wholeRate(it))), 0)),
    ...pairs.map(({ peer, other }) => times(ratioAt(part, of(peer.name), of(other.name)))),
  ]);
  const sums = pairs.map(({ peer, other }) => summariseMix(results, arch, peer.name, other.name));
  const blank = columns.map(() => '');
  rows.push(
    ['computing, mean', ...blank, ...sums.map((it) => times(it.computing))],
    ['system, mean', ...blank, ...sums.map((it) => times(it.system))],
    ['all, mean', ...blank, ...sums.map((it) => times(it.all))],
    ['least', ...blank, ...sums.map((it) => (it.least ? `${it.least.part} ${times(it.least.ratio)}` : '–'))],
  );
  const title = (name: string) => peers.find((peer) => peer.name === name)?.title ?? name;
  return table([`mix, ${arch}, units a second`, ...columns.map(title), ...pairs.map(({ peer, other }) => `${peer.title} : ${other.title}`)], rows);
}

const HELP = `node --import tsx bench/mix.ts [OPTION…] [-- TABVISOR OPTION…]: the CPU mix in bin/tabvisor, beside QEMU.

  --arch ARCH        ${ARCHES.join(' or ')}, or both with a comma (default: both)
  --parts NAME,…     only these; "computing" and "system" stand for all of a kind
  --seconds N        time of a part (default 1)
  --units N          units of a part instead of a time
  --only-tabvisor    do not run QEMU; ratios are to its last figures, if there are any
  --reuse            run QEMU only for parts of which there are no figures
  --help             this text

Figures of QEMU are kept in build/bench/mix-qemu.json while the program stays the same. Sums of results are compared with this computer's.
An example: --arch amd64 --parts sieve,crc --only-tabvisor -- -accel interpreter
`;

const CACHE = join(root, 'build/bench/mix-qemu.json');
type Cache = Partial<Record<Arch, { sha256: string; parts: Record<string, PartResult> }>>;

function readCache(): Cache {
  try {
    return JSON.parse(readFileSync(CACHE, 'utf8')) as Cache;
  } catch {
    return {};
  }
}

function chooseParts(given: string | undefined): string[] {
  const { computing, system } = partNames();
  const all = [...computing, ...system];
  return (given ?? 'computing,system').split(',').flatMap((name) => {
    if (name === 'computing') return computing;
    if (name === 'system') return system;
    if (!all.includes(name)) throw new Error(`there is no part ${name}; there are ${all.join(', ')}`);
    return [name];
  });
}

async function quickLook(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      arch: { type: 'string', default: ARCHES.join(',') }, parts: { type: 'string' }, seconds: { type: 'string', default: '1' }, units: { type: 'string' },
      'only-tabvisor': { type: 'boolean' }, reuse: { type: 'boolean' }, help: { type: 'boolean' },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const parts = chooseParts(values.parts);
  const seconds = Number(values.seconds);
  const how = values.units ? `units=${values.units}` : `ms=${Math.round(seconds * 1000)}`;
  for (const arch of values.arch.split(',') as Arch[]) {
    if (!ARCHES.includes(arch)) throw new Error(`there is no guest ${arch}`);
    const cache = readCache();
    const { sha256 } = buildProgram('mix', arch);
    const kept = cache[arch]?.sha256 === sha256 ? cache[arch] : { sha256, parts: {} };
    const due = values['only-tabvisor'] ? [] : values.reuse ? parts.filter((name) => !kept.parts[name]) : parts;
    if (due.length) {
      const { parts: measured } = await measure(() => qemu.start(mixGuest(arch, due, how)), due, seconds);
      for (const part of measured) kept.parts[part.name] = part;
      mkdirSync(dirname(CACHE), { recursive: true });
      writeFileSync(CACHE, JSON.stringify({ ...cache, [arch]: kept }, null, 1));
    }
    const from = performance.now();
    const { parts: own, bootS } = await measure(async () => startRunner({ ...mixGuest(arch, parts, how), tabvisor: positionals }), parts, seconds);
    const wholes: number[] = [];
    const bests: number[] = [];
    const rows = own.map((part) => {
      const other = kept.parts[part.name];
      if (other) {
        wholes.push(wholeRate(part) / wholeRate(other));
        bests.push(bestRate(part) / bestRate(other));
      }
      const times = (ratios: number[]) => (other ? `${ratios[ratios.length - 1].toFixed(2)}×` : '–');
      return [part.name, figure(wholeRate(part), 0), figure(bestRate(part), 0), other ? figure(wholeRate(other), 0) : '–', times(wholes), times(bests)];
    });
    if (wholes.length) rows.push(['geometric mean', '', '', '', `${geometricMean(wholes).toFixed(2)}×`, `${geometricMean(bests).toFixed(2)}×`]);
    process.stdout.write(`${table([`${arch}, units a second`, 'whole time', 'best batch', 'QEMU', 'to QEMU', 'best to best'], rows)}\n`);
    process.stdout.write(`first part after ${figure(bootS)} s, all ${figure((performance.now() - from) / 1000)} s; sums as on this computer\n\n`);
  }
}

if (process.argv[1] === import.meta.filename) {
  quickLook().catch((error: unknown) => {
    process.stderr.write(`mix: ${(error as Error).message}\n`);
    process.exitCode = 1;
  });
}
