// memtest86+ through a whole pass of its eleven tests on 64 MB: npm run test:long. Most of its hundred thousand million instructions run
// compiled; an instruction counts as 512 ns, so that the minutes of its "bit fade" test go by quickly.

import { beforeAll, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { media, MediaMachine } from './media.ts';

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

it('memtest86+ passes on 64 MB', { timeout: 1_800_000 }, () => {
  const pc = new MediaMachine(modules, '-m 64 -accel jit -icount shift=9,sleep=off -boot once=d -cdrom memtest', [media('memtest.iso')]);
  const seen = new Set<string>();
  pc.until('the end of the first pass', () => {
    const test = /Test #(\d+) /.exec(pc.screen)?.[1];
    if (test) seen.add(test);
    return /Pass: +1 /.test(pc.screen);
  }, 400e9);
  console.log(pc.screen);
  expect(pc.screen).toMatch(/Memory +: +64MB/);
  expect(pc.screen).toMatch(/Errors: 0\b/);
  // The screen is looked at between slices, and test 1 may be over by then.
  expect([...seen].map(Number).filter((n) => n !== 1)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});
