// The compiler's own speed: a guest runs with a low threshold, and everything that was compiled is compiled again, several times, from the
// memory as it is then. Built by bundle.ts; `node build/bench/generator.js [amd64|i386] [threshold] [--cpuprofile FILE]`.

import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import type { CompileJob, CompileResult } from '../src/engine/compile/service.ts';
import { Machine } from '../src/machine/machine.ts';
import { parse } from '../src/machine/options/index.ts';
import { serialRings } from '../src/machine/protocol.ts';
import { linuxGuest, root } from './guests.ts';

const arch = process.argv[2] ?? 'amd64';
const threshold = process.argv[3] ?? '1000';
const file = process.argv[4] === '--cpuprofile' ? process.argv[5] : undefined;
const guest = linuxGuest(arch as 'amd64');
const module = (name: string) => WebAssembly.compile(readFileSync(join(root, `build/${name}.wasm`)) as BufferSource);
const machine = new Machine({
  config: parse(['-m', String(guest.memory), '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', 'kernel', '-append', `${guest.append} panic=-1`, '-accel', `jit,threshold=${threshold}`]),
  modules: { core: await module('core'), interpreter: await module('interpreter') }, files: new Map([['kernel', readFileSync(guest.kernel)]]),
  hostNow: () => performance.now() * 1e6, date: { epochMs: Date.now(), offsetMs: 0 }, log: null,
});
const service = machine.vcpu.compiler.service!;
const compile = service.compile.bind(service);
const jobs: CompileJob[] = [];
let first = 0;
service.compile = (job): CompileResult => {
  jobs.push(job);
  const result = compile(job);
  first += result.milliseconds;
  return result;
};
const { toHost } = serialRings(machine.memory.buffer, 0);
let text = '';
machine.resume();
for (;;) {
  const result = machine.runSlice();
  if (toHost.available) text = (text + Buffer.from(toHost.read()).toString('latin1')).slice(-4096);
  if (text.includes('panic') || (result.kind !== 'run' && result.kind !== 'idle')) break;
}
const { compiler } = machine.vcpu;
console.log(`boot: ${jobs.length} jobs, ${compiler.compiled} regions, ${compiler.instructions} instructions, ${compiler.bytes} bytes, ${first.toFixed(0)} ms: ${((first * 1000) / compiler.instructions).toFixed(1)} us an instruction; ${(compiler.bytes / compiler.instructions).toFixed(0)} bytes an instruction`);
// How often the same instruction is in several regions.
type Planned = { blocks: { at: number; instructions: { record: number }[] }[]; entry: number } | null;
const planner = service as unknown as { plan(entry: unknown, job: CompileJob): Planned };
const often = new Map<number, number>();
let total = 0;
for (const job of jobs) {
  for (const entry of job.entries) {
    for (const block of planner.plan(entry, job)?.blocks ?? []) {
      for (const { record } of block.instructions) {
        often.set(record, (often.get(record) ?? 0) + 1);
        total++;
      }
    }
  }
}
console.log(`${total} planned, ${often.size} different`);
const session = new Session();
if (file) {
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
}
const Module = WebAssembly.Module;
for (let pass = 0; pass < 4; pass++) {
  let instructions = 0;
  let bytes = 0;
  let v8 = 0;
  const from = process.cpuUsage().user;
  const started = performance.now();
  for (const job of jobs) {
    (WebAssembly as { Module: unknown }).Module = class {
      constructor(code: BufferSource) {
        const at = performance.now();
        void new Module(code);
        v8 += performance.now() - at;
      }
    };
    const result = compile(job);
    instructions += result.regions.reduce((sum, region) => sum + region.instructions, 0);
    bytes += result.bytes;
  }
  const ms = performance.now() - started;
  console.log(`pass ${pass}: ${instructions} instructions, ${bytes} bytes; ${(((ms - v8) * 1000) / instructions).toFixed(2)} us an instruction by us, ${((v8 * 1000) / instructions).toFixed(2)} by V8 (CPU ${((process.cpuUsage().user - from) / instructions).toFixed(1)})`);
}
if (file) writeFileSync(file, JSON.stringify((await session.post('Profiler.stop')).profile));
process.exit(0);
