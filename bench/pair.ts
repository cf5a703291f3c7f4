// node --import tsx bench/pair.ts OTHER [--arch amd64] [--parts crc,list] [--pairs 24] [--interpreter]: what parts of the CPU mix gain from another checkout of
// Tabvisor, OTHER, to this one. Both run as processes without a kernel in this one program, slices of 40 ms by turns: how fast the computer is
// changes more slowly than that, so the median of the ratios shows what single runs hide.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Process } from '../tests/compiler/process.ts';
import { readBranchHints } from '../workers/flags-node.ts';
import { buildProgram, type Arch } from './mix-guest.ts';
import { figure, median, table } from './statistics.ts';

const WARM_UP_MS = 1500;
const SLICE_MS = 40;

const { values, positionals: [other] } = parseArgs({
  allowPositionals: true,
  options: { arch: { type: 'string', default: 'amd64' }, parts: { type: 'string', default: 'rounds,sieve,list,matrix,state,crc,qsort,memcpy,switch,fib,chacha,hash64' }, pairs: { type: 'string', default: '24' }, interpreter: { type: 'boolean' } },
});
if (!other) throw new Error('which other checkout? It needs its node_modules and its build');
readBranchHints();

const theirs = (await import(resolve(other, 'tests/compiler/process.ts'))) as { Process: typeof Process };
const elf = readFileSync(buildProgram('mix', values.arch as Arch).path);

/** Guest instructions a microsecond, over a slice. */
function speed(process: Process, ms: number): number {
  const from = performance.now();
  const before = process.vcpu.icount;
  do process.run(500_000);
  while (performance.now() - from < ms);
  return (process.vcpu.icount - before) / (performance.now() - from) / 1000;
}

const rows: string[][] = [];
for (const part of values.parts.split(',')) {
  const both = [theirs.Process, Process].map((It) => new It(elf, ['mix', `parts=${part}`, 'units=100000000'], values.interpreter ? null : { threshold: 2000 }));
  const speeds: number[][] = [[], []];
  const turn = async (n: number, ms: number): Promise<number> => {
    const one = speed(both[n], ms);
    // V8's code takes the place of its first code between turns.
    await new Promise((then) => setImmediate(then));
    return one;
  };
  for (let ms = 0; ms < WARM_UP_MS; ms += 100) for (const n of [0, 1]) await turn(n, 100);
  for (let pair = 0; pair < Number(values.pairs); pair++) for (const n of pair % 2 ? [1, 0] : [0, 1]) speeds[n].push(await turn(n, SLICE_MS));
  const ratios = speeds[1].map((own, n) => own / speeds[0][n]).sort((a, b) => a - b);
  rows.push([part, figure(median(speeds[0])), figure(median(speeds[1])), ...[ratios.length >> 2, ratios.length >> 1, (ratios.length * 3) >> 2].map((n) => figure(ratios[n], 2))]);
}
console.log(table([values.arch, 'other, MIPS', 'this, MIPS', 'ratio, 1st quartile', 'median', '3rd'], rows));
process.exit(0);
