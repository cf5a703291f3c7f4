// Debian's installer for amd64 and i386 beside QEMU: by -kernel on the text screen and the serial port, and in a framebuffer; from a CD with
// isolinux's graphical menu. npm run test:long.

import { beforeAll, describe, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { framebuffer, fromCd, textAndSerial } from './installer-cases.ts';

/** A computer that does other things takes several times as long as a quiet one, ms. What never comes is found by counting instructions. */
const TIMEOUT = 3_600_000;
let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

describe('Debian\'s installer', () => {
  it('amd64, by -kernel: text on the screen, and on the serial port', { timeout: TIMEOUT }, () => textAndSerial(modules, 'amd64'));
  it('i386, by -kernel: text on the screen, and on the serial port', { timeout: TIMEOUT }, () => textAndSerial(modules, 'i386'));
  it('amd64, by -kernel, vga=788: in the mode of the screen\'s EDID, set by its own driver', { timeout: TIMEOUT }, () => framebuffer(modules, 'amd64', 'vga=788'));
  it('i386, by -kernel, vga=788: in the VESA framebuffer that the BIOS set up', { timeout: TIMEOUT }, () => framebuffer(modules, 'i386', 'vga=788 nomodeset'));
  it('amd64, by -kernel, vga=788: in the VESA framebuffer that the BIOS set up', { timeout: TIMEOUT }, () => framebuffer(modules, 'amd64', 'vga=788 nomodeset'));
  it('i386, from a CD: graphical menu, framebuffer', { timeout: TIMEOUT }, () => fromCd(modules, 'i386', 'framebuffer'));
  it('amd64, from a CD: graphical menu, framebuffer', { timeout: TIMEOUT }, () => fromCd(modules, 'amd64', 'framebuffer'));
  it('i386, from a CD: graphical menu, text', { timeout: TIMEOUT }, () => fromCd(modules, 'i386', 'text'));
  it('amd64, from a CD: graphical menu, text', { timeout: TIMEOUT }, () => fromCd(modules, 'amd64', 'text'));
});
