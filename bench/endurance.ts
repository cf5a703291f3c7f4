// npm run endurance: the programs of guest/mix that write code and make processes, for a long time, in bin/tabvisor; and what memory the
// host's process has meanwhile. Ends with status 1 when a result was wrong or memory grows. See --help.

import { parseArgs } from 'node:util';
import { ARCHES, type Arch, type Command, programGuest } from './mix-guest.ts';
import { startRunner } from './peers/processes.ts';
import { residentBytes } from './process.ts';
import { figure, median, table } from './statistics.ts';

const PROGRAMS = ['code', 'processes'] as const;
const BOOT_TIMEOUT_S = 120;
/** Growth from the second quarter's median to the last's that still counts as flat: V8 collects its garbage when it likes. */
const FLAT = 1.1;

const HELP = `npm run endurance -- [OPTION…] [-- TABVISOR OPTION…]

  --seconds N        how long each program runs (default 600)
  --arch ARCH,…      ${ARCHES.join(', ')} (default: both)
  --programs NAME,…  ${PROGRAMS.join(', ')} (default: both)
  --seed N           of the random choices (default: the time)
  --every N          seconds between two looks at the memory (default: a sixtieth of the time)
  --help             this text

An example: --arch amd64 --seconds 60 -- -accel interpreter
`;

interface Sample {
  atS: number;
  residentMB: number;
  /** The program's last line. */
  told: string;
}

async function endure(arch: Arch, program: (typeof PROGRAMS)[number], seconds: number, seed: number, everyS: number, options: readonly string[]): Promise<boolean> {
  const command: Command = [program, `ms=${seconds * 1000}`, `seed=${seed}`];
  const run = startRunner({ ...programGuest(`endurance-${program}`, arch, [command]), tabvisor: options });
  const samples: Sample[] = [];
  let wrong: string | undefined;
  try {
    await run.untilText(`${program}: start`, BOOT_TIMEOUT_S);
    const started = performance.now();
    const end = run.untilText('\nended 0', seconds * 1.5 + 60).then(() => true, (error: Error) => {
      wrong = error.message;
      return true;
    });
    for (;;) {
      const isOver = await Promise.race([end, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), everyS * 1000))]);
      if (isOver) break;
      const lines = (await run.text()).replaceAll('\r', '').trimEnd().split('\n');
      const sample = { atS: (performance.now() - started) / 1000, residentMB: residentBytes(run.pid!) / 1e6, told: lines[lines.length - 1] };
      samples.push(sample);
      process.stderr.write(`${arch}, ${program}: ${figure(sample.atS, 0)} s, ${figure(sample.residentMB, 0)} MB  ${sample.told}\n`);
    }
    const result = (await run.text()).replaceAll('\r', '').split('\n').filter((line) => /^(code|processes) \d|FAILED|was expected/.test(line)).join('; ');
    const quarter = (n: number) => median(samples.slice(Math.floor((samples.length * n) / 4), Math.floor((samples.length * (n + 1)) / 4)).map((it) => it.residentMB));
    const growth = samples.length >= 8 ? quarter(3) / quarter(1) : NaN;
    if (samples.length < 8) wrong ??= 'it was too short to say anything of memory: give --every';
    if (growth > FLAT) wrong ??= `resident memory grew by a factor of ${figure(growth, 2)} from the second quarter of the time to the last`;
    const row = [0, 1, 2, 3].map((n) => figure(samples.length >= 8 ? quarter(n) : undefined, 0));
    process.stdout.write(`${table([`${program}, ${arch}, seed ${seed}`, '1st quarter, MB', '2nd', '3rd', '4th', 'growth'], [[result || '–', ...row, figure(growth, 3)]])}\n`);
    process.stdout.write(wrong === undefined ? 'right results, flat memory\n\n' : `WRONG: ${wrong}\n\n`);
  } finally {
    await run.stop();
  }
  return wrong === undefined;
}

function choose<T extends string>(given: string | undefined, all: readonly T[], what: string): T[] {
  return (given?.split(',') ?? [...all]).map((name) => {
    if (!all.includes(name as T)) throw new Error(`there is no ${what} ${name}; there are ${all.join(', ')}`);
    return name as T;
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '600' }, arch: { type: 'string' }, programs: { type: 'string' }, seed: { type: 'string' },
      every: { type: 'string' }, help: { type: 'boolean' },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const seconds = Number(values.seconds);
  const everyS = Number(values.every ?? seconds / 60);
  const seed = Number(values.seed ?? Math.floor(Date.now() / 1000));
  if (![seconds, everyS, seed].every((n) => n > 0 && Number.isFinite(n))) throw new Error('numbers above 0 are needed');
  for (const arch of choose(values.arch, ARCHES, 'guest')) {
    for (const program of choose(values.programs, PROGRAMS, 'program')) {
      if (!await endure(arch, program, seconds, seed, everyS, positionals)) process.exitCode = 1;
    }
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`endurance: ${(error as Error).message}\n`);
  process.exitCode = 2;
});
