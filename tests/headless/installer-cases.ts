// What is expected of Debian's installer, one way of starting it after the other (installer.long.ts).

import { expect } from 'vitest';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { picture } from './beside.ts';
import { type Arch, byCd, byKernel, LIMIT, makeCd, type Pair, QEMU_PATIENCE_MS, untilDialog, untilTextDialog } from './installer.ts';

async function ending(pair: Pair, steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } finally {
    await pair.qemu.end();
  }
}

/** A key moves the selection, on both alike. */
async function selectionMoves({ pc, qemu }: Pair, name: string): Promise<void> {
  const colours = () => pc.machine.pc.vga!.textScreen()!.attributes;
  const before = colours();
  pc.press('down');
  await qemu.press('down');
  pc.pass(1e9);
  await qemu.untilSame(pc, name);
  expect(colours()).not.toEqual(before);
}

/** The text screen, equal to QEMU's, and the same dialog on the serial port, both at once. */
export async function textAndSerial(modules: VcpuModules, arch: Arch): Promise<void> {
  const pair = await byKernel(modules, arch, 'vga=normal nomodeset console=ttyS0 console=tty0');
  await ending(pair, async () => {
    untilTextDialog(pair, (serial) => serial.includes('Select a language'));
    await pair.qemu.untilSame(pair.pc, `installer-${arch}-text`, QEMU_PATIENCE_MS);
    await selectionMoves(pair, `installer-${arch}-text-down`);
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

/** isolinux's graphical menu, equal to QEMU's; keys move the selection; Enter boots the kernel to the first dialog, in text or in a framebuffer. */
export async function fromCd(modules: VcpuModules, arch: Arch, screen: 'text' | 'framebuffer'): Promise<void> {
  const cd = makeCd(arch, 'vga=788 cryptomgr.notests');
  try {
    const pair = await byCd(modules, cd.image);
    const { pc, qemu } = pair;
    await ending(pair, async () => {
      const mode = (width: number) => () => pc.machine.pc.vga!.view.vbe?.width === width;
      pc.until('the menu', mode(640), LIMIT);
      pc.pass(2e9);
      await qemu.untilSame(pc, `cd-${arch}-menu`);
      let last = picture(pc);
      for (let entry = 1; entry <= (screen === 'text' ? 2 : 1); entry++) {
        pc.press('down');
        await qemu.press('down');
        pc.pass(1e9);
        await qemu.untilSame(pc, `cd-${arch}-menu-${entry}`);
        const now = picture(pc);
        expect(Buffer.from(now.rgba).equals(Buffer.from(last.rgba))).toBe(false);
        last = now;
      }
      pc.press('ret');
      await qemu.press('ret');
      if (screen === 'text') untilTextDialog(pair);
      else {
        pc.until('the mode of vga=788', mode(800), LIMIT);
        untilDialog(pair);
      }
      await qemu.untilSame(pc, `cd-${arch}-${screen}`, QEMU_PATIENCE_MS);
      if (screen === 'text') await selectionMoves(pair, `cd-${arch}-text-down`);
    });
  } finally {
    cd.remove();
  }
}
