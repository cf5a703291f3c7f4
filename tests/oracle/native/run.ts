// Builds the native recorder with the system's C compiler and runs cases through it. Linux on x86-64 only.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestCase } from '../generate.ts';
import { decodeOutput, encodeInput, INPUT_SIZE, OUTPUT_SIZE, type Outcome } from '../protocol.ts';
import { makePool } from '../state.ts';

const SOURCE = join(import.meta.dirname, 'recorder.c');

export class NativeProcessor {
  private readonly folder = mkdtempSync(join(tmpdir(), 'oracle-'));
  private readonly program = join(this.folder, 'recorder');
  private readonly pool = makePool();

  constructor() {
    if (process.arch !== 'x64' || process.platform !== 'linux') throw new Error('The oracle needs Linux on an x86-64 processor');
    if (!existsSync(SOURCE)) throw new Error(`${SOURCE} is missing`);
    execFileSync('gcc', ['-O2', '-static-pie', '-fno-stack-protector', '-fcf-protection=none', '-mgeneral-regs-only', '-o', this.program, SOURCE], { stdio: 'inherit' });
  }

  /** What the processor does with each case; undefined for a case that ran too long or changed too much. */
  run(cases: readonly TestCase[]): (Outcome | undefined)[] {
    const input = new Uint8Array(cases.length * INPUT_SIZE);
    const view = new DataView(input.buffer);
    cases.forEach((c, i) => encodeInput(c, view, i * INPUT_SIZE));
    const casesFile = join(this.folder, 'cases');
    const resultsFile = join(this.folder, 'results');
    const fd = openSync(casesFile, 'w');
    writeSync(fd, this.pool);
    writeSync(fd, input);
    closeSync(fd);
    const result = spawnSync(this.program, [casesFile, resultsFile], { stdio: 'inherit' });
    if (result.status !== 0) throw new Error(`The recorder ended with ${result.status ?? result.signal}`);
    if (statSync(resultsFile).size !== cases.length * OUTPUT_SIZE) throw new Error('The recorder and protocol.ts disagree on sizes');
    const output = readFileSync(resultsFile);
    const out = new DataView(output.buffer, output.byteOffset, output.byteLength);
    return cases.map((_, i) => decodeOutput(out, i * OUTPUT_SIZE));
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }
}
