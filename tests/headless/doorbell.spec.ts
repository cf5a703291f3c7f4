// What comes from another thread while the guest computes: a byte for a serial port, whose guest goes round in a compiled loop that calls nothing and
// looks at nothing. The slice under way ends when the doorbell has rung (Machine.runGuest), so that the guest's interrupt comes before the slice would
// have ended by itself.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Mem } from '../../src/core/layout.ts';
import { Machine } from '../../src/machine/machine.ts';
import { parse } from '../../src/machine/options/index.ts';
import { loadModules } from '../oracle/emulator.ts';
import { Workshop } from './runner.ts';

const SCRATCH = 0x30_0000;
const BYTES = 20;
/** What the guest leaves at SCRATCH, words: its rounds so far, and the bytes that have come. */
const enum Word {
  ROUNDS = 0,
  BYTES = 2,
}
/** Instructions of a slice that nothing ends: MAX_SLICE in machine.ts. */
const SLICE = 2_000_000;

let workshop: Workshop;
beforeAll(async () => {
  await buildIfOlder();
  workshop = new Workshop();
}, 120_000);
afterAll(() => workshop.remove());

it('ends the slice under way, and the guest takes its interrupt', { timeout: 120_000 }, async () => {
  const kernel = readFileSync(workshop.assemble('doorbell'));
  const config = parse('-m 16 -accel jit,threshold=1000 -nic none -display none -vga none -serial stdio -kernel doorbell');
  // Two instructions a nanosecond, whatever this computer does: a slice is as long as slices get.
  let machine: Machine | undefined;
  const hostNow = (): number => (machine?.vcpu?.currentIcount ?? 0) / 2;
  machine = new Machine({ config, modules: loadModules(), files: new Map([['doorbell', new Uint8Array(kernel)]]), hostNow, date: { epochMs: 0, offsetMs: 0 }, log: null });
  machine.resume();
  const view = new DataView(machine.memory.buffer);
  const word = (n: number): number => view.getUint32(Mem.RAM + SCRATCH + n * 4, true);
  const lengths: number[] = [];
  const slice = (): void => {
    const before = machine.vcpu.icount;
    expect(machine.runSlice().kind).toBe('run');
    lengths.push(machine.vcpu.icount - before);
  };
  while (lengths.length < 30) slice();
  expect(machine.vcpu.compiler.counts.entries).toBeGreaterThan(0);
  // Nothing else ends them.
  for (const length of lengths.slice(-10)) expect(length).toBeGreaterThanOrEqual(SLICE);

  // Bytes one after the other, each when the guest has had the one before it and computes again: ROUNDS goes on.
  const code = `
    import { workerData } from 'node:worker_threads';
    import { ringDoorbell, serialRings } from './src/machine/protocol.ts';
    const { buffer, at, count } = workerData;
    const words = new Int32Array(buffer, at);
    const { toGuest } = serialRings(buffer, 0);
    const sleep = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    for (let n = 0; n < count; n++) {
      while (Atomics.load(words, 2) < n) sleep();
      const rounds = Atomics.load(words, 0);
      while (Atomics.load(words, 0) === rounds) sleep();
      toGuest.write(Uint8Array.of(0x41 + n));
      ringDoorbell(buffer);
    }`;
  const script = workshop.path('sender.cjs');
  await build({ stdin: { contents: code, resolveDir: join(import.meta.dirname, '../..') }, bundle: true, platform: 'node', format: 'cjs', outfile: script, logLevel: 'warning' });
  const sender = new Worker(script, { workerData: { buffer: machine.memory.buffer, at: Mem.RAM + SCRATCH, count: BYTES } });
  try {
    await new Promise((resolve) => sender.once('online', resolve));
    const from = lengths.length;
    while (word(Word.BYTES) < BYTES) slice();
    expect(view.getUint8(Mem.RAM + SCRATCH + 12)).toBe(0x41 + BYTES - 1);
    // Not each: the first came after long silence, and some when their slices were at their ends.
    const ended = lengths.slice(from).filter((length) => length < SLICE).length;
    expect(ended).toBeGreaterThan(1);
  } finally {
    await sender.terminate();
  }
});
