// What is expected of Debian's installer, one way of starting it after the other (installer.long.ts).

import { expect } from 'vitest';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { picture } from './beside.ts';
import { type Arch, byCd, byKernel, LIMIT, makeCd, type Pair, QEMU_PATIENCE_MS, untilDialog } from './installer.ts';

async function ending(pair: Pair, steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } finally {
    await pair.qemu.end();
  }
}

/** The text screen, equal to QEMU's, and the same dialogs on the serial port, both at once. */
export async function textAndSerial(modules: VcpuModules, arch: Arch): Promise<void> {
  const pair = await byKernel(modules, arch, 'vga=normal nomodeset console=ttyS0 console=tty0');
  const { pc, qemu } = pair;
  await ending(pair, async () => {
    let serial = '';
    const dialog = 'Choose the language to be used for the installation process';
    pc.until('the language dialog on the screen and on the serial port', () => {
      serial += pair.serial();
      // It is drawn from the top.
      return pc.screen.includes(dialog) && /English +- +English/.test(pc.screen) && serial.includes('Select a language');
    }, LIMIT);
    await qemu.untilSame(pc, `installer-${arch}-text`, QEMU_PATIENCE_MS);
    // A key moves the selection, on both alike.
    const colours = () => pc.machine.pc.vga!.textScreen()!.attributes;
    const before = colours();
    pc.press('down');
    await qemu.press('down');
    pc.pass(1e9);
    await qemu.untilSame(pc, `installer-${arch}-text-down`);
    expect(colours()).not.toEqual(before);
  });
}

/** A VESA mode of the command line, then what the installer makes of it: equal to QEMU's. */
export async function framebuffer(modules: VcpuModules, arch: Arch, append: string): Promise<void> {
  const pair = await byKernel(modules, arch, append);
  await ending(pair, async () => {
    pair.pc.until('the mode of vga=788', () => {
      const { vbe } = pair.pc.machine.pc.vga!.view;
      return vbe?.width === 800 && vbe.height === 600;
    }, LIMIT);
    untilDialog(pair);
    await pair.qemu.untilSame(pair.pc, `installer-${arch}-framebuffer`, QEMU_PATIENCE_MS);
  });
}

/** isolinux's graphical menu, equal to QEMU's; a key moves the selection; Enter boots the kernel to the first dialog. */
export async function fromCd(modules: VcpuModules, arch: Arch): Promise<void> {
  const cd = makeCd(arch, 'vga=788 cryptomgr.notests');
  try {
    const pair = await byCd(modules, cd.image);
    const { pc, qemu } = pair;
    await ending(pair, async () => {
      const mode = (width: number) => () => pc.machine.pc.vga!.view.vbe?.width === width;
      pc.until('the menu', mode(640), LIMIT);
      pc.pass(2e9);
      await qemu.untilSame(pc, `cd-${arch}-menu`);
      const first = picture(pc);
      pc.press('down');
      await qemu.press('down');
      pc.pass(1e9);
      await qemu.untilSame(pc, `cd-${arch}-menu-down`);
      expect(Buffer.from(picture(pc).rgba).equals(Buffer.from(first.rgba))).toBe(false);
      pc.press('ret');
      await qemu.press('ret');
      pc.until('the mode of vga=788', mode(800), LIMIT);
      untilDialog(pair);
      await qemu.untilSame(pc, `cd-${arch}-dialog`, QEMU_PATIENCE_MS);
    });
  } finally {
    cd.remove();
  }
}
