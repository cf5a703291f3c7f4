// The assembly guests on Tabvisor, interpreted, with everything compiled that is executed, and with what is executed often (larger regions: more of a function was seen by then): their output on COM1 must be what their headers say. run-qemu.mjs checks the same headers
// against QEMU.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Machine } from '../../src/machine/machine.ts';
import { parse } from '../../src/machine/options/index.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { assemble, guestNames, readHeader } from './run-qemu.mjs';

const COM1 = 0x3f8;
/** Writing to this port ends the slice, between two of which what is hot is compiled. Nothing answers there in QEMU. */
const SLICE = 0xed;
/** Guest instructions after which a guest counts as stuck. */
const LIMIT = 50_000_000;

/** Runs a kernel until it leaves through isa-debug-exit. */
function run(modules: VcpuModules, kernel: Uint8Array, accel: string): { output: string; end: string; instructions: number } {
  const machine = new Machine({
    config: parse(['-kernel', 'guest', '-accel', accel, '-m', '64', '-icount', 'shift=3,sleep=off', '-serial', 'null', '-display', 'none', '-no-reboot', '-device', 'isa-debug-exit,iobase=0x501,iosize=2']),
    modules,
    files: new Map([['guest', kernel]]),
    hostNow: () => performance.now() * 1e6,
    date: { epochMs: 0, offsetMs: 0 },
    log: null,
  });
  let output = '';
  const write = machine.pc.ioWrite.bind(machine.pc);
  machine.pc.ioWrite = (port, size, value) => {
    if (port === COM1) output += String.fromCharCode(value & 0xff);
    if (port === SLICE) machine.vcpu.requestExit();
    write(port, size, value);
  };
  while (machine.vcpu.icount < LIMIT) {
    const result = machine.runSlice();
    if (result.kind === 'exit') return { instructions: machine.vcpu.icount, output, end: `status ${result.status}` };
    if (result.kind === 'failed') return { instructions: machine.vcpu.icount, output, end: `${result.failure.why}\n${result.failure.details ?? ''}` };
    if (result.kind === 'off') return { instructions: machine.vcpu.icount, output, end: 'power off' };
    if (result.kind === 'idle' && result.ns === Infinity) return { instructions: machine.vcpu.icount, output, end: `halted for ever\n${machine.registers()}` };
  }
  return { instructions: machine.vcpu.icount, output, end: `stuck\n${machine.registers()}` };
}

/** Instructions that guests executed, interpreted: to compiled code all are the same but for the one that waits for a timer. */
const interpreted = new Map<string, number>();

describe.each(['interpreter', 'jit,threshold=1', 'jit,threshold=10'])('guests, %s', (accel) => {
  const folder = mkdtempSync(join(tmpdir(), 'guests-'));
  let modules: VcpuModules;
  beforeAll(async () => {
    await buildIfOlder();
    modules = loadModules();
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  for (const name of guestNames()) {
    it(name, { timeout: 120_000 }, () => {
      const { expected } = readHeader(readFileSync(join(import.meta.dirname, `${name}.asm`), 'utf8'));
      const { output, end, instructions } = run(modules, new Uint8Array(readFileSync(assemble(name, folder))), accel);
      const lines = output.split('\n').map((l) => l.trimEnd()).filter((l) => l !== '');
      expect(lines).toEqual(expected);
      expect(end).toBe('status 1');
      if (name === 'interrupts') return;
      if (accel === 'interpreter') interpreted.set(name, instructions);
      expect(instructions).toBe(interpreted.get(name));
    });
  }
});
