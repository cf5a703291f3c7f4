// GRUB's rescue floppy and CD and iPXE's CD beside QEMU: commands typed on both, the answers read on the screen, the screens compared dot by
// dot. npm run test:long. Virtual time runs fast (64 ns an instruction), because BIOS and boot loaders wait by the clock.

import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { QemuPeer } from './beside.ts';
import { media, MediaMachine, mediaPath } from './media.ts';

const TIMEOUT = 1_200_000;
let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

const peers: QemuPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.end();
});

/** The same medium in both. @param drive option of the drive */
async function both(drive: string, file: string, more = ''): Promise<{ pc: MediaMachine; qemu: QemuPeer; enter(text: string): Promise<void>; press(key: string): Promise<void> }> {
  const words = more.split(' ').filter(Boolean);
  const qemu = await new QemuPeer([drive, mediaPath(file), '-snapshot', ...words]).start();
  peers.push(qemu);
  const pc = new MediaMachine(modules, `${drive} medium ${more}`, [media(file)]);
  return {
    pc,
    qemu,
    async enter(text) {
      pc.type(text);
      await qemu.type(text);
    },
    async press(keys) {
      pc.press(keys);
      await qemu.press(keys);
    },
  };
}

describe('from its medium, beside QEMU', () => {
  it('GRUB\'s rescue floppy: its menu, and commands', { timeout: TIMEOUT }, async () => {
    const { pc, qemu, enter, press } = await both('-fda', 'grub-floppy.img');
    expect(pc.machine.pc.floppy.drives[0]!.type).toBe('144');
    pc.untilScreen('*GNU/Linux');
    await qemu.untilText('*GNU/Linux');
    // A key ends the countdown.
    await press('down');
    await qemu.untilSame(pc, 'grub-floppy-menu');
    expect(pc.screen).toContain('*GNU (aka GNU/Hurd)');
    await enter('c');
    pc.untilScreen('grub>');
    await enter('ls\nset a="5 x"\necho "[$a]"\n');
    pc.untilScreen(/ls\s*\n\(fd0\)[^]*\[5 x\]\n[^]*grub> *\n*$/);
    await qemu.untilText('[5 x]\n');
    await qemu.untilSame(pc, 'grub-floppy-commands');
    await enter('set\n');
    pc.untilScreen(/^grub_platform=pc\n[^]*^prefix=\(fd0\)\/boot\/grub\n[^]*^root=fd0\n[^]*grub> *\n*$/m);
    await qemu.untilSame(pc, 'grub-floppy-set');
  });

  it('GRUB\'s rescue CD: reads its own files', { timeout: TIMEOUT }, async () => {
    const { pc, qemu, enter } = await both('-cdrom', 'grub-cdrom.iso', '-boot d');
    pc.untilScreen('*GNU/Linux');
    await qemu.untilText('*GNU/Linux');
    await enter('c');
    pc.untilScreen('grub>');
    await qemu.untilText('grub>');
    await enter('ls (cd)/boot/grub/\n');
    pc.untilScreen(/i386-pc\/[^]*grub> *\n*$/);
    await enter('cat (cd)/boot/grub/grub.cfg\n');
    // The file is longer than the screen.
    pc.untilScreen(/set menu_color_highlight=red\/blue\n\}\n+grub> *\n*$/);
    await qemu.untilSame(pc, 'grub-cd');
  });

  // A hub without anything else on it: a link, and nobody who answers.
  it('iPXE\'s CD: its prompt, network cards, settings', { timeout: TIMEOUT }, async () => {
    const { pc, qemu, enter, press } = await both('-cdrom', 'ipxe.iso', '-boot d -netdev hubport,id=h,hubid=0 -device e1000,netdev=h,romfile=');
    await qemu.hold();
    pc.untilScreen('Press Ctrl-B for the iPXE command line');
    await qemu.release();
    await qemu.untilText('Press Ctrl-B');
    await press('ctrl-b');
    pc.untilScreen(/iPXE> *\n*$/);
    await enter('ifstat\nset x 5\necho [${x}] ${net0/mac}\n');
    pc.untilScreen(/net0: 52:54:00:12:34:56 using 82540em on (PCI)?0000:00:0[0-9.]+ \(/);
    pc.untilScreen(/\[5\] 52:54:00:12:34:56\n[^]*iPXE> *\n*$/);
    await qemu.untilText('[5] 52:54:00:12:34:56');
    await enter('config net0\n');
    pc.untilScreen(/Configuration settings|Option configuration/i);
    await qemu.untilSame(pc, 'ipxe-config');
  });
});
