// The CPU mix of guest/mix in Linux guests: work per second of every part, and its ratios to the peers. As a program of its own it is the
// quick look for who works on the engine: the headless runner and QEMU only, one run. See --help.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './guests.ts';
import { ARCHES, type Arch, buildProgram, checkParts, mixGuest, partNames, type PartResult, readParts } from './mix-guest.ts';
import type { Run } from './peers/peer.ts';
import { qemu, startRunner } from './peers/processes.ts';
import { figure, table } from './statistics.ts';

/** To the guest's first part, s; v86 needs most. */
const BOOT_TIMEOUT_S = 240;

/** Units a second over the whole time, and in the best batch. */
export const wholeRate = (part: PartResult): number => (part.units / part.ns) * 1e9;
export const bestRate = (part: PartResult): number => (part.bestNs ? (part.bestUnits / part.bestNs) * 1e9 : wholeRate(part));

/** Wait for the mix's end, and check its sums. */
export async function finishMix(run: Run, parts: readonly string[], timeS: number): Promise<PartResult[]> {
  await run.untilText('\nended ', BOOT_TIMEOUT_S + parts.length * timeS * 3);
  // The status follows; it comes with the line's end.
  await run.untilText('\nended 0', 5);
  const results = readParts(`${await run.text()}\n`);
  checkParts(results, parts);
  return results;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
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
      const run = await qemu.start(mixGuest(arch, due, how));
      try {
        for (const part of await finishMix(run, due, seconds)) kept.parts[part.name] = part;
      } finally {
        await run.stop();
      }
      mkdirSync(dirname(CACHE), { recursive: true });
      writeFileSync(CACHE, JSON.stringify({ ...cache, [arch]: kept }, null, 1));
    }
    const from = performance.now();
    const run = startRunner(mixGuest(arch, parts, how), positionals);
    let own: PartResult[];
    let bootS: number;
    try {
      bootS = await run.untilText('mix: start', BOOT_TIMEOUT_S);
      own = await finishMix(run, parts, seconds);
    } finally {
      await run.stop();
    }
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
