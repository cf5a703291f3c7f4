// The dispatch function is small enough for V8: docs/decisions/02-dispatch-loop.md.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateInterpreter } from './interpret.ts';

/** V8's way out where a function has too many virtual registers: a simpler allocator, which keeps nothing in registers around the loop. */
const FALLBACK = 'turbo-use-mid-tier-regalloc-for-huge-functions';

const node = (...args: string[]): string => {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

/** Size of the machine code that V8 makes of the largest function, with options of V8. */
function largest(file: string, ...options: string[]): number {
  const program = `new WebAssembly.Module(require('node:fs').readFileSync(${JSON.stringify(file)}))`;
  const told = node('--no-liftoff', '--no-wasm-lazy-compilation', '--single-threaded', '--trace-wasm-compilation-times', ...options, '-e', program);
  const sizes = [...told.matchAll(/using TurboFan,.* bodysize (\d+) codesize (\d+)/g)].map(([, body, code]) => ({ body: Number(body), code: Number(code) }));
  expect(sizes.length).toBeGreaterThan(1000);
  return sizes.reduce((most, one) => (one.body > most.body ? one : most)).code;
}

describe('the dispatch function', () => {
  // Only some versions of V8 have it, Node 20's among them.
  it.runIf(node('--v8-options').includes(`--${FALLBACK}`))('has few enough virtual registers for the allocator that keeps its locals in registers', { timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabvisor-dispatch-'));
    try {
      const file = join(folder, 'interpreter.wasm');
      writeFileSync(file, generateInterpreter());
      expect(largest(file)).toBe(largest(file, `--no-${FALLBACK}`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
