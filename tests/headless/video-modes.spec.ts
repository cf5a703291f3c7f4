// Every mode of the VGA BIOS, CGA's and EGA's among them, as the BIOS itself sets it: filled with noise, the screen compared with QEMU's dot by dot.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { QemuPeer } from './beside.ts';
import { MediaMachine } from './media.ts';
import { killAll, PATIENCE_MS, Workshop } from './runner.ts';

/** In the order of video-modes.asm. */
const MODES = '00 01 02 03 04 05 06 0d 0e 0f 10 11 12 13 101 111 112 10d 07'.split(' ');

const workshop = new Workshop();
let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);
afterAll(async () => {
  await killAll();
  workshop.remove();
});

it('as QEMU shows them', { timeout: PATIENCE_MS }, async () => {
  const floppy = workshop.path('video-modes.img');
  execFileSync('nasm', ['-f', 'bin', '-o', floppy, join(import.meta.dirname, 'video-modes.asm')]);
  const qemu = await new QemuPeer(['-drive', `file=${floppy},format=raw,if=floppy,readonly=on`, '-boot', 'a']).start();
  try {
    const pc = new MediaMachine(modules, '-fda f -boot a', [new Uint8Array(readFileSync(floppy))]);
    pc.untilScreen('MODE 0000');
    for (const mode of MODES) {
      await qemu.untilSame(pc, `mode-${mode}`);
      pc.press('spc');
      await qemu.press('spc');
    }
  } finally {
    await qemu.end();
  }
});
