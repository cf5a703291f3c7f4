// Programs that Debian packages for PCs without a system, booted from their media through SeaBIOS: the screen read as text, the keyboard
// typed on. Virtual time runs fast (64 ns an instruction), because BIOS and boot loaders wait by the clock.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { guest, media, MediaMachine } from './media.ts';

const TIMEOUT = 240_000;
let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

describe('by firmware', () => {
  it('a kernel of -kernel comes up on the screen, by its own setup code', { timeout: TIMEOUT }, () => {
    const pc = new MediaMachine(modules, '-m 256 -vga std -kernel k -initrd i -append "console=tty0 cryptomgr.notests"', [], { k: guest('vmlinuz'), i: guest('initrd.cpio') });
    pc.untilScreen('Booting from ROM...');
    // From the BIOS, not from a zero page of ours
    pc.untilScreen(/Console: colour VGA\+ 80x25|printk: console \[tty0\] enabled|smpboot: Allowing/);
    expect(pc.log).toContain('Booting from ca00:');
  });
});

describe('from its medium', () => {
  it('GRUB\'s rescue floppy comes to its prompt, lists drives and reads a file', { timeout: TIMEOUT }, () => {
    const pc = new MediaMachine(modules, '-fda grub', [media('grub-floppy.img')]);
    expect(pc.machine.pc.floppy.drives[0]!.type).toBe('144');
    pc.untilScreen('*GNU/Linux');
    pc.type('c');
    pc.untilScreen('grub>');
    pc.type('ls\n');
    pc.untilScreen(/ls\s*\n\(fd0\)/);
  });

  it('GRUB\'s rescue CD comes to its prompt, and reads its own files', { timeout: TIMEOUT }, () => {
    const pc = new MediaMachine(modules, '-cdrom grub', [media('grub-cdrom.iso')]);
    pc.untilScreen('*GNU/Linux');
    pc.type('c');
    pc.untilScreen('grub>');
    pc.type('ls (cd)/boot/grub/\n');
    pc.untilScreen(/i386-pc\//);
  });

  it('memtest86+ tests memory', { timeout: TIMEOUT }, () => {
    const pc = new MediaMachine(modules, '-m 16 -boot once=d -cdrom memtest', [media('memtest.iso')]);
    pc.untilScreen(/Memtest86\+ v6\.10/i);
    pc.untilScreen(/Pass +\d+%/);
  });
});
