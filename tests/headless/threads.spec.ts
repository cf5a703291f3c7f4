// Whose turn it is when processors are few: the threads of bin/tabvisor as the kernel sees them.

import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { killAll, PATIENCE_MS, root, Running } from './runner.ts';

afterEach(killAll);

/** Nice values of a process's threads by id (proc(5), /proc/PID/task/TID/stat, field 19; the name before them may have spaces). */
function niceOf(pid: number): Map<number, number> {
  return new Map(readdirSync(`/proc/${pid}/task`).map((id) => {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'latin1');
    return [Number(id), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
  }));
}

const OWN = niceOf(process.pid).get(process.pid)!;
const BEHIND = Math.min(19, OWN + 10);
/** Threads of V8 that work: as many as there are processors beside the guest's, but no more than Node has of its own accord (decision 28). */
const POOL = Math.min(4, Math.max(1, cpus().length - 1));
const lowered = (pid: number): number => [...niceOf(pid).values()].filter((nice) => nice === BEHIND).length;

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !condition();) {
    if (Date.now() > end) throw new Error('in vain');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

it('lets compiling wait for the guest: V8\'s threads and the compiler\'s come behind, all others what they had', async () => {
  const machine = new Running(['-nographic', '-net', 'none']);
  // V8's, one more of which waits for what is due later, and the compiler's worker.
  await until(() => lowered(machine.pid) === POOL + 2);
  expect(readFileSync(`/proc/${machine.pid}/cmdline`, 'latin1').split('\0')).toContain(`--v8-pool-size=${POOL}`);
  const all = niceOf(machine.pid);
  expect(all.get(machine.pid)).toBe(OWN);
  const others = [...all.values()].filter((nice) => nice !== BEHIND);
  // Its own first thread, and the machine's worker; Node has some more.
  expect(others.length).toBeGreaterThanOrEqual(2);
  expect(new Set(others)).toEqual(new Set([OWN]));
}, PATIENCE_MS);

it('lowers nothing where nothing is compiled beside the guest', async () => {
  const machine = new Running(['-nographic', '-net', 'none', '-accel', 'interpreter']);
  await machine.until(/No bootable device/);
  expect(lowered(machine.pid)).toBe(0);
}, PATIENCE_MS);

it('has glibc keep what V8 gives back, and is the one process that was started', async () => {
  const machine = new Running(['-nographic', '-net', 'none', '-accel', 'interpreter']);
  await machine.until(/No bootable device/);
  const environment = readFileSync(`/proc/${machine.pid}/environ`, 'latin1').split('\0');
  expect(environment.filter((word) => word.startsWith('MALLOC_')).sort()).toEqual(['MALLOC_ARENA_MAX=1', 'MALLOC_TOP_PAD_=4194304', 'MALLOC_TRIM_THRESHOLD_=67108864']);
  expect([...niceOf(machine.pid).keys()]).toContain(machine.pid);
  expect(readFileSync(`/proc/${machine.pid}/comm`, 'latin1').trim()).toBe('node');
}, PATIENCE_MS);

it('has the compiler collect its garbage when it has had nothing to do for a while', async () => {
  const machine = new Running(['-nographic', '-net', 'none', '-S', '-monitor', 'none']);
  await until(() => lowered(machine.pid) === POOL + 2);
  expect(readFileSync(`/proc/${machine.pid}/cmdline`, 'latin1').split('\0')).toContain('--expose-gc');

  // The worker alone, as its V8 tells: what is asked for by gc() has "testing" as its reason.
  const script = `const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(join(root, 'build/node/compiler-node.js'))});
    worker.postMessage(new WebAssembly.Memory({ initial: 4096, maximum: 65536, shared: true }));`;
  const worker = new Running(['--expose-gc', '--trace-gc', '-e', script], process.execPath);
  await worker.until(/Mark-Compact .*testing/);
}, PATIENCE_MS);
