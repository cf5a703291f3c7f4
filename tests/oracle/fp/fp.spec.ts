// The x87 and SSE arithmetic of core.wasm against what a real processor (AMD family 19h) answered: x87.txt and sse.txt,
// recorded by x87.c and sse.c. Transcendental results may differ by one unit in the last place, as between any two processors.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cpu, Mem } from '../../../src/core/layout.ts';
import { BUILD_TIMEOUT, CPU, TestCpu } from '../../../src/core/testing.ts';
import { executeNumeric } from './numeric-x87.ts';
import { replaySseLine } from './replay-sse.ts';
import { replayLine, type Guest } from './replay-x87.ts';

let guest: Guest;

beforeAll(async () => {
  const t = await TestCpu.create();
  // Protected mode without paging, so that environment images have their protected-mode layout.
  t.set64(Cpu.CR0, 0x11n);
  t.set64(Cpu.CR4, 0x600n);
  t.core.update_mode(CPU);
  guest = { view: t.view, core: t.core as unknown as Guest['core'], linear: 0x9000, host: Mem.RAM + 0x9000 };
}, BUILD_TIMEOUT);

const lines = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8').trim().split('\n');

function check(file: string, replay: (line: string) => string[]): void {
  const wrong: string[] = [];
  for (const line of lines(file)) {
    const differences = replay(line);
    if (differences.length > 0) wrong.push(`${line}\n    ${differences.join('; ')}`);
  }
  expect(wrong).toEqual([]);
}

describe('floating point as the real processor does it', () => {
  it('x87: every form, random operands, control words and stacks', () => {
    check('x87.txt', (line) => replayLine(guest, line).differences);
  });

  it('x87: the functions that compiled code calls', () => {
    let run = 0;
    check('x87.txt', (line) =>
      replayLine(guest, line, (g, form) => {
        const done = executeNumeric(g, form);
        if (done) run++;
        return done;
      }).differences,
    );
    expect(run).toBeGreaterThan(300);
  });

  it('SSE to SSE3: every arithmetic, compare and conversion form, all of MXCSR', () => {
    check('sse.txt', (line) => replaySseLine(guest, line));
  });
});
