// Where the time of a boot goes. Built by bundle.ts; `npm run profile -- [i386|amd64] [OPTION…]`, see HELP.
//
// The machine runs in this very thread, without worker and terminal, up to the line before the prompt, and so V8's profiler sees
// all of it. Times are of this thread's CPU, not of the clock: what else the computer does matters less.

import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import type { Profiler } from 'node:inspector';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cpu, Mode, Rec } from '../src/core/layout.ts';
import { kinds, Pseudo } from '../src/engine/kinds.ts';
import { Machine, type SliceResult } from '../src/machine/machine.ts';
import { parse } from '../src/machine/options/index.ts';
import { serialRings } from '../src/machine/protocol.ts';
import { FIRST_LINE, linuxGuest, loopGuest, root, type Guest, type Loop } from './guests.ts';
import { figure, table } from './statistics.ts';

const HELP = `npm run profile -- [GUEST] [OPTION…]

  GUEST              i386, amd64, or a loop: loop-alu-32 (default i386)
  --mix              count the kinds of instructions that are executed, and what else happens, instead of taking time
  --idle N           take the time of N seconds at the prompt, and not of the boot
  --limit N          stop after N million instructions
  --cpuprofile FILE  keep V8's profile, for Chromium's developer tools
  --append WORDS     more for the kernel's command line
  --accel ACCEL      as bin/tabvisor's -accel
  --initrd FILE      another initial RAM disk, such as build/bench/mix-amd64.cpio (with --append), up to the text --until
  --until TEXT
  --from TEXT        take the time from where the guest has written this, such as "mix: start"
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mix: { type: 'boolean' }, idle: { type: 'string' }, limit: { type: 'string', default: '100000' }, cpuprofile: { type: 'string' },
    append: { type: 'string' }, accel: { type: 'string' }, initrd: { type: 'string' }, until: { type: 'string' }, from: { type: 'string' }, help: { type: 'boolean' },
  },
});

const hostNow = () => performance.now() * 1e6;
/** CPU time of the process, s. */
const cpuNow = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

interface Chosen {
  guest: Guest;
  ready?: string;
}

function chosenGuest(name: string): Chosen {
  const loop = /^loop-(\w+)-(32|64)$/.exec(name);
  if (loop) return { guest: loopGuest(loop[1] as Loop, Number(loop[2]) as 32 | 64) };
  const guest = linuxGuest(name as 'i386');
  if (options.initrd) return { guest: { ...guest, initrd: options.initrd }, ready: options.until ?? guest.ready };
  return { guest, ready: guest.ready };
}

async function makeMachine({ guest }: Chosen): Promise<Machine> {
  const module = (name: string) => WebAssembly.compile(readFileSync(join(root, `build/${name}.wasm`)) as BufferSource);
  const append = [guest.append, options.append ?? ''].join(' ').trim();
  const files = new Map<string, Uint8Array>([['kernel', readFileSync(guest.kernel)]]);
  if (guest.initrd) files.set('initrd', readFileSync(guest.initrd));
  const line = ['-m', String(guest.memory), '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', 'kernel'];
  if (guest.initrd) line.push('-initrd', 'initrd');
  if (append) line.push('-append', append);
  if (options.accel) line.push('-accel', options.accel);
  return new Machine({
    config: parse(line), modules: { core: await module('core'), interpreter: await module('interpreter') }, files, hostNow,
    date: { epochMs: Date.now(), offsetMs: 0 }, log: null,
  });
}

/** Counts of what is executed, taken instruction by instruction. */
class Mix {
  readonly kinds = new Map<number, number>();
  readonly modes = new Map<number, number>();
  readonly pages = new Map<string, number>();
  pseudo = new Map<number, number>();
  instructions = 0;
  user = 0;

  constructor(private readonly machine: Machine) {}

  /** One instruction. */
  step(): void {
    const { vcpu } = this.machine;
    const u16 = new Uint16Array(this.machine.memory.buffer);
    const before = vcpu.icount;
    vcpu.trace.execute = () => {};
    vcpu.run(1);
    vcpu.trace.execute = undefined;
    if (vcpu.icount === before) return;
    let record = vcpu.base + Cpu.STEP_RECORDS;
    let kind = u16[(record + Rec.KIND) >> 1];
    while (kind < Pseudo.INVALID) {
      if (kind === Pseudo.STEP_END) break;
      this.pseudo.set(kind, (this.pseudo.get(kind) ?? 0) + 1);
      record += Rec.SIZE;
      kind = u16[(record + Rec.KIND) >> 1];
    }
    if (kind === Pseudo.STEP_END) return;
    this.instructions++;
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    const mode = vcpu.get32(Cpu.MODE);
    this.modes.set(mode, (this.modes.get(mode) ?? 0) + 1);
    if (vcpu.get32(Cpu.CPL) === 3) this.user++;
    const rip = vcpu.get64(Cpu.RIP);
    const page = (rip >> 8n).toString(16);
    this.pages.set(page, (this.pages.get(page) ?? 0) + 1);
  }

  show(): void {
    const per = (count: number) => figure((100 * count) / this.instructions, 2);
    const all = [...this.kinds].sort((a, b) => b[1] - a[1]);
    const of = (number: number) => kinds.kinds[number - Pseudo.COUNT];
    const hot = all.filter(([number]) => of(number)?.hot).reduce((sum, [, count]) => sum + count, 0);
    console.log(`\n${this.instructions} instructions sampled; hot kinds (inline) ${per(hot)} %, cold ${per(this.instructions - hot)} %, user mode ${per(this.user)} %`);
    console.log(`modes: ${[...this.modes].map(([mode, count]) => `${16 << (mode & Mode.CODE_MASK)}-bit${mode & Mode.FLAT ? ' flat' : ' segmented'} ${per(count)} %`).join(', ')}`);
    console.log(`pseudo-records a hundred instructions: ${[...this.pseudo].map(([kind, count]) => `${PSEUDO_NAMES[kind]} ${per(count)}`).join(', ')}`);
    const row = ([number, count]: [number, number]) => [of(number)?.label.replace(/^(.*?)\/\d+\//, '$1 ') ?? String(number), of(number)?.hot ? 'hot' : 'cold', per(count)];
    console.log(`\n${table(['kind', '', '% of instructions'], all.slice(0, 45).map(row))}`);
    console.log(`\n${table(['cold kind', '', '% of instructions'], all.filter(([number]) => !of(number)?.hot).slice(0, 40).map(row))}`);
    console.log(`\nguest code, 256 bytes each: ${[...this.pages].sort((a, b) => b[1] - a[1]).slice(0, 25).map(([page, count]) => `${page}00 ${per(count)} %`).join(', ')}`);
  }
}

const PSEUDO_NAMES = ['RESYNC', 'CHAIN', 'ADDRESS', 'ADDRESS_ABSOLUTE', 'ADDRESS_SEGMENT', 'ADDRESS_GENERAL', 'INTERRUPT_CHECK', 'CROSSING', 'STEP_END', 'INVALID', 'TOO_LONG', 'ADDRESS_BITS', 'REGION'];
const CAUSE_NAMES = ['memory', 'rare', 'instruction', 'target', 'mapping', 'request', 'limit', 'mode', 'status'];
/** Instructions run between two samples (a prime), and taken one by one in a sample. */
const MIX_GAP = 20_011;
const MIX_STEPS = 24;

interface Counts {
  cpuS: number;
  clockS: number;
  instructions: number;
  slices: number;
  tlbFills: number;
  slow: number;
  exceptions: number;
  interrupts: number;
  decoded: number;
  invalidations: number;
  evictions: number;
  lookups: number;
  blocks: number;
  codePages: number;
  deviceExits: number;
  regions: number;
  compiled: number;
  compileMs: number;
  codeBytes: number;
  regionEntries: number;
}

async function main(): Promise<void> {
  if (options.help) return void process.stdout.write(HELP);
  const chosen = chosenGuest(positionals[0] ?? 'i386');
  const machine = await makeMachine(chosen);
  const { vcpu } = machine;
  const { toHost } = serialRings(machine.memory.buffer, 0);
  const u32 = new Uint32Array(machine.memory.buffer);
  const stat = (field: number) => u32[(vcpu.base + field) >> 2];

  let lookups = 0;
  // Private, but nobody else wants to know.
  const cache = vcpu.cache as unknown as { lookup(cpu: number): number; decodeBlock(...args: unknown[]): number; pages: Map<number, unknown> };
  const lookup = cache.lookup.bind(vcpu.cache);
  cache.lookup = (cpu) => (lookups++, lookup(cpu));
  let blocks = 0;
  const decodeBlock = cache.decodeBlock.bind(vcpu.cache);
  cache.decodeBlock = (...args) => (blocks++, decodeBlock(...args));

  const mix = options.mix ? new Mix(machine) : null;
  if (mix) {
    // The samples stand between runs of the interpreter, within a slice.
    const run = vcpu.run.bind(vcpu);
    let isSampling = false;
    vcpu.run = (budget) => {
      if (isSampling) return run(budget);
      let left = budget;
      let reason = 0;
      while (left > 0) {
        const before = vcpu.icount;
        reason = run(Math.min(left, MIX_GAP));
        if (reason !== 0 || vcpu.get32(Cpu.EXIT_REQUEST) !== 0) return reason;
        isSampling = true;
        for (let n = 0; n < MIX_STEPS && vcpu.get32(Cpu.HALTED) === 0; n++) mix.step();
        isSampling = false;
        left -= Math.max(1, vcpu.icount - before);
      }
      return reason;
    };
  }

  const session = new Session();
  const startProfiler = async () => {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: 500 });
    await session.post('Profiler.start');
  };
  const idleMs = Number(options.idle ?? 0) * 1000;
  if (!mix && !idleMs && !options.from) await startProfiler();

  const phases: { name: string; at: Counts }[] = [];
  let slices = 0;
  machine.resume();
  const cpuFrom = cpuNow();
  const from = performance.now();
  const now = (): Counts => ({
    cpuS: cpuNow() - cpuFrom, clockS: (performance.now() - from) / 1000, instructions: vcpu.icount, slices, tlbFills: stat(Cpu.STAT_TLB_FILLS), slow: stat(Cpu.STAT_SLOW),
    exceptions: stat(Cpu.STAT_EXCEPTIONS), interrupts: stat(Cpu.STAT_INTERRUPTS), decoded: vcpu.cache.decodedInstructions,
    invalidations: vcpu.cache.invalidations, evictions: vcpu.cache.evictions, lookups, blocks, codePages: cache.pages.size, deviceExits: vcpu.deviceExits,
    regions: vcpu.compiler.compiled, compiled: vcpu.compiler.instructions, compileMs: vcpu.compiler.milliseconds, codeBytes: vcpu.compiler.bytes, regionEntries: stat(Cpu.REGION_ENTRIES),
  });
  let text = '';
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const limit = Number(options.limit) * 1e6;
  let isFirst = true;
  let isBefore = options.from !== undefined;
  let idleFrom = 0;
  for (;;) {
    const result: SliceResult = machine.runSlice();
    slices++;
    if (toHost.available) text = (text + Buffer.from(toHost.read()).toString('latin1')).slice(-4096);
    if (isFirst && text.includes(FIRST_LINE)) {
      isFirst = false;
      phases.push({ name: 'to the first line', at: now() });
    }
    if (isBefore && text.includes(options.from!)) {
      isBefore = false;
      phases.push({ name: `to "${options.from}"`, at: now() });
      if (!mix) await startProfiler();
    }
    if (idleFrom && performance.now() - idleFrom > idleMs) break;
    if (chosen.ready && text.includes(chosen.ready) && !idleFrom) {
      if (!idleMs) break;
      phases.push({ name: 'to the prompt', at: now() });
      if (!mix) await startProfiler();
      idleFrom = performance.now();
    }
    if (vcpu.icount > limit) break;
    if (result.kind === 'idle') Atomics.wait(sleeper, 0, 0, Math.min(1000, result.ns / 1e6));
    else if (result.kind !== 'run') throw new Error(`the machine stopped: ${JSON.stringify(result)}\n${text.slice(-500)}`);
  }
  phases.push({ name: 'to the end', at: now() });

  if (!mix) {
    const { profile } = await session.post('Profiler.stop');
    if (options.cpuprofile) writeFileSync(options.cpuprofile, JSON.stringify(profile));
    showProfile(profile);
  }
  const rows: [string, keyof Counts, number][] = [
    ['CPU time, s', 'cpuS', 1], ['clock, s', 'clockS', 1], ['guest instructions, M', 'instructions', 1e6], ['slices, thousands', 'slices', 1e3],
    ['TLB fills, thousands', 'tlbFills', 1e3], ['slow accesses, thousands', 'slow', 1e3], ['exceptions, thousands', 'exceptions', 1e3],
    ['interrupts, thousands', 'interrupts', 1e3], ['instructions decoded, thousands', 'decoded', 1e3], ['blocks decoded, thousands', 'blocks', 1e3], ['pages of code', 'codePages', 1], ['look-ups in TypeScript, thousands', 'lookups', 1e3],
    ['code invalidations, thousands', 'invalidations', 1e3], ['evictions', 'evictions', 1], ['device accesses, thousands', 'deviceExits', 1e3],
    ['regions compiled', 'regions', 1], ['instructions compiled, thousands', 'compiled', 1e3], ['compiling, s', 'compileMs', 1e3], ['compiled code, KB', 'codeBytes', 1e3],
    ['regions entered, thousands', 'regionEntries', 1e3],
  ];
  const value = (at: Counts, key: keyof Counts, unit: number) => figure(at[key] / unit, unit === 1e3 || key.endsWith('S') ? 1 : 0);
  console.log(`\n${table(['', ...phases.map((phase) => phase.name)], [
    ...rows.map(([title, key, unit]) => [title, ...phases.map((phase) => value(phase.at, key, unit))]),
    ['MIPS (of CPU time)', ...phases.map(({ at }) => figure(at.instructions / at.cpuS / 1e6))],
  ])}`);
  const left = CAUSE_NAMES.map((name, n): [string, number] => [name, stat(Cpu.REGION_EXITS + n * 4)]).filter(([, count]) => count > 0);
  if (left.length > 0) console.log(`\nregions left by cause: ${left.map(([name, count]) => `${name} ${count}`).join(', ')}`);
  const accesses = machine.pc.statistics().filter((it) => it.reads + it.writes > 0).sort((a, b) => b.reads + b.writes - a.reads - a.writes);
  console.log(`\n${table(['device', 'at', 'reads', 'writes'], accesses.slice(0, 16).map((it) => [it.name, it.base.toString(16), String(it.reads), String(it.writes)]))}`);
  mix?.show();
  process.exit(0);
}

/** Self time by function; wasm functions of core.wasm, which has no names, by their exports. */
function showProfile(profile: Profiler.Profile): void {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const self = new Map<string, number>();
  const areas = new Map<string, number>();
  let total = 0;
  const exported = exportNames(readFileSync(join(root, 'build/core.wasm')));
  profile.samples!.forEach((id, n) => {
    const time = profile.timeDeltas![n];
    const { functionName, url, lineNumber } = byId.get(id)!.callFrame;
    if (functionName === '(idle)') return;
    const isWasm = url.startsWith('wasm:');
    const anonymous = /^wasm-function\[(\d+)\]$/.exec(functionName);
    const area = !isWasm ? functionName.startsWith('(') ? functionName : 'TypeScript' : anonymous ? 'core.wasm' : exported.has(functionName) ? 'core.wasm' : functionName === 'run' ? 'interpreter: dispatch' : /^[0-9a-f]{3,16}$/.test(functionName) ? 'compiled regions' : 'interpreter: cold functions';
    const name = anonymous ? `core ${exported.get(Number(anonymous[1])) ?? anonymous[1]}` : isWasm ? functionName : `${functionName || '(anonymous)'}:${lineNumber}`;
    self.set(name, (self.get(name) ?? 0) + time);
    areas.set(area, (areas.get(area) ?? 0) + time);
    total += time;
  });
  const rows = (map: Map<string, number>, count: number) => [...map].sort((a, b) => b[1] - a[1]).slice(0, count).map(([name, time]) => [name, figure(time / 1e6, 2), figure((100 * time) / total)]);
  console.log(table(['where', 's', '%'], rows(areas, 12)));
  console.log(`\n${table(['function', 's', '%'], rows(self, 45))}`);
}

/** Names of a module's exported functions, by index, and as a set of names. */
function exportNames(bytes: Uint8Array): Map<number | string, string> {
  const names = new Map<number | string, string>();
  let at = 8;
  const u32 = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value;
    }
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = u32();
    const end = at + size;
    if (id === 7) {
      for (let count = u32(); count > 0; count--) {
        const length = u32();
        const name = Buffer.from(bytes.subarray(at, at + length)).toString();
        at += length;
        const kind = bytes[at++];
        const index = u32();
        if (kind === 0) {
          names.set(index, name);
          names.set(name, name);
        }
      }
    }
    at = end;
  }
  return names;
}

await main();
