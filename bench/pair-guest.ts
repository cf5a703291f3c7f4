// node --import tsx bench/pair-guest.ts OTHER [--arch amd64] [--guests boot,fork:1200] [--accel jit] [--slice 40] [--rounds 1]: what a boot of Linux, or a number of
// units of a part of the CPU mix in Linux, gains from another checkout of Tabvisor, OTHER, to this one. Both machines are in this one program, stretches of 40 ms
// by turns, with `-icount`: so both execute the very same instructions, and each pair of times is of the same stretch of them. Medians of pairs tell differences
// of two hundredths on a computer on which the same boot takes 3 or 5 seconds. What else V8 does on other threads, such as optimising regions, is in neither time.

import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import type * as MachineModule from '../src/machine/machine.ts';
import type * as OptionsModule from '../src/machine/options/index.ts';
import type * as ProtocolModule from '../src/machine/protocol.ts';
import { readBranchHints } from '../workers/flags-node.ts';
import { type LinuxGuest, linuxGuest, root } from './guests.ts';
import { mixGuest, type Arch } from './mix-guest.ts';
import { figure, median, table } from './statistics.ts';

const { values, positionals: [other] } = parseArgs({
  allowPositionals: true,
  options: {
    arch: { type: 'string', default: 'amd64' }, guests: { type: 'string', default: 'boot,fork:1200,fault:4000,pipe:3000' }, accel: { type: 'string', default: 'jit' },
    slice: { type: 'string', default: '40' }, rounds: { type: 'string', default: '1' },
  },
});
if (!other) throw new Error('which other checkout? It needs its node_modules and its build');
readBranchHints();

type Checkout = typeof MachineModule & typeof OptionsModule & typeof ProtocolModule & { readonly folder: string };

/** A checkout's machine in one file, so that its constants are numbers. */
async function load(folder: string, n: number): Promise<Checkout> {
  const outfile = join(root, `build/bench/pair-${n}.mjs`);
  await mkdir(join(root, 'build/bench'), { recursive: true });
  await build({
    stdin: {
      contents: ['machine', 'options/index', 'protocol'].map((file) => `export * from './src/machine/${file}.ts';`).join('\n'), resolveDir: folder, loader: 'ts',
    },
    outfile, bundle: true, format: 'esm', platform: 'node', target: 'node20', logLevel: 'warning',
  });
  return { ...((await import(pathToFileURL(outfile).href)) as Checkout), folder };
}

interface Running {
  readonly icount: number;
  readonly text: string;
  slice(): void;
}

async function start({ folder, Machine, parse, serialRings }: Checkout, guest: LinuxGuest): Promise<Running> {
  const module = (name: string) => WebAssembly.compile(readFileSync(join(folder, `build/${name}.wasm`)) as BufferSource);
  const files = new Map<string, Uint8Array>([['kernel', readFileSync(guest.kernel)], ['initrd', readFileSync(guest.initrd)]]);
  // With addresses that are random the two would not do the same.
  const append = guest.append.includes(' -- ') ? guest.append.replace(' -- ', ' nokaslr -- ') : `${guest.append} nokaslr`;
  const line = ['-m', String(guest.memory), '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', 'kernel', '-initrd', 'initrd', '-append', append, '-accel', values.accel, '-icount', 'shift=2,sleep=off'];
  const machine = new Machine({
    config: parse(line), modules: { core: await module('core'), interpreter: await module('interpreter') }, files,
    hostNow: () => performance.now() * 1e6, date: { epochMs: 0, offsetMs: 0 }, log: null,
  });
  const { toHost } = serialRings(machine.memory.buffer, 0);
  let text = '';
  machine.resume();
  return {
    get icount() {
      return machine.vcpu.icount;
    },
    get text() {
      return text;
    },
    slice() {
      const result = machine.runSlice();
      if (toHost.available) text = (text + Buffer.from(toHost.read()).toString('latin1')).slice(-4096);
      if (result.kind !== 'run' && result.kind !== 'idle') throw new Error(`the machine stopped: ${JSON.stringify(result)}\n${text.slice(-500)}`);
    },
  };
}

/** Times of both machines, ms, for each stretch: of a boot all, of a part those after it has begun. */
async function stretches(checkouts: readonly Checkout[], guest: LinuxGuest, from: string): Promise<(readonly [number, number])[]> {
  const machines = await Promise.all(checkouts.map((checkout) => start(checkout, guest)));
  const times: (readonly [number, number])[] = [];
  let isPart = from === '';
  for (let turn = 0; !machines.some(({ text }) => text.includes(guest.ready)); turn++) {
    const order = turn % 2 ? [1, 0] : [0, 1];
    const time: [number, number] = [0, 0];
    for (const [place, n] of order.entries()) {
      const machine = machines[n];
      const began = performance.now();
      do machine.slice();
      while (place === 0 ? performance.now() - began < Number(values.slice) && !machine.text.includes(guest.ready) : machine.icount < machines[order[0]].icount && !machine.text.includes(guest.ready));
      time[n] = performance.now() - began;
    }
    if (isPart) times.push(time);
    isPart ||= machines.every(({ text }) => text.includes(from));
    // V8's code takes the place of its first code between turns.
    await new Promise((then) => setImmediate(then));
  }
  if (machines[0].icount !== machines[1].icount) console.error(`not the same instructions: ${machines[0].icount} and ${machines[1].icount}`);
  return times;
}

const checkouts = [await load(resolve(other), 0), await load(root, 1)];
const rows: string[][] = [];
for (const name of values.guests.split(',')) {
  const [part, units] = name.split(':');
  const guest = part === 'boot' ? linuxGuest(values.arch as Arch) : mixGuest(values.arch as Arch, [part], `units=${units}`);
  const times: (readonly [number, number])[] = [];
  const late: (readonly [number, number])[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const some = await stretches(checkouts, guest, part === 'boot' ? '' : 'mix: start');
    times.push(...some);
    late.push(...some.slice(some.length >> 1));
  }
  const ratios = (pairs: typeof times): number[] => pairs.map(([theirs, own]) => theirs / own).sort((a, b) => a - b);
  const all = ratios(times);
  const sum = (n: 0 | 1): number => times.reduce((total, time) => total + time[n], 0);
  rows.push([name, figure(sum(0) / 1000, 2), figure(sum(1) / 1000, 2), figure(sum(0) / sum(1), 2), ...[all.length >> 2, (all.length * 3) >> 2].map((n) => figure(all[n], 2)), figure(median(all), 2), figure(median(ratios(late)), 2)]);
}
console.log(table([`${values.arch}, ${values.accel}`, 'other, s', 'this, s', 'times as fast', '1st quartile', '3rd', 'median', 'of the later half'], rows));
process.exit(0);
