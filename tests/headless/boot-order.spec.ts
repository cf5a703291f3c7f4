// What SeaBIOS boots of several media: -boot order=, once= and menu=on, and bootindex of devices. The media are boot sectors that say their name.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { MediaMachine } from './media.ts';

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

/** A boot sector that shows a text, wherever it is loaded. */
function bootSector(text: string): Uint8Array {
  const code = [
    0xe8, 0x00, 0x00, // call next
    0x5e, // next: pop si
    0x83, 0xc6, 0x17, // add si, text - next
    0x0e, 0x1f, // push cs, pop ds
    0xfc, // cld
    0xac, // again: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x07, // jz end
    0xb4, 0x0e, // mov ah, 0Eh
    0xcd, 0x10, // int 10h: teletype
    0xeb, 0xf5, // jmp again
    0x00, // (never reached)
    0xfb, 0xf4, // end: sti, hlt
    0xeb, 0xfc, // jmp end
  ];
  const sector = new Uint8Array(512);
  sector.set(code);
  sector.set(new TextEncoder().encode(text), code.length);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

function disk(text: string, bytes = 1 << 20): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(bytes);
  image.set(bootSector(text));
  return image;
}

const floppy = (text: string) => disk(text, 1440 * 1024);

/** A CD whose boot catalogue names a sector without emulation: "El Torito" Bootable CD-ROM Format Specification 1.0. */
function cd(text: string): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(64 * 2048);
  const put = (sector: number, at: number, bytes: Iterable<number>) => image.set([...bytes], sector * 2048 + at);
  put(16, 0, [1, ...new TextEncoder().encode('CD001'), 1]);
  put(17, 0, [0, ...new TextEncoder().encode('CD001'), 1, ...new TextEncoder().encode('EL TORITO SPECIFICATION')]);
  put(17, 0x47, [19]);
  put(19, 0, [1]);
  put(19, 28, [0xaa, 0x55, 0x55, 0xaa]);
  put(19, 32, [0x88, 0, 0, 0, 0, 0, 4, 0, 20]);
  put(20, 0, bootSector(text));
  return image;
}

const boot = (line: string, media: Uint8Array<ArrayBuffer>[], says: string) => {
  const pc = new MediaMachine(modules, line, media);
  pc.untilScreen(`this is ${says}`, 100e6);
  return pc;
};

describe('the firmware boots', { timeout: 60_000 }, () => {
  const all = () => [floppy('this is the floppy'), disk('this is the disk'), cd('this is the CD')];
  const line = '-fda f -hda d -cdrom c';

  it('in the order of -boot', () => {
    boot(line, all(), 'the disk');
    boot(`${line} -boot a`, all(), 'the floppy');
    boot(`${line} -boot order=dca`, all(), 'the CD');
  });

  it('once in another order, and after a reset as ever', () => {
    const pc = boot(`${line} -boot order=c,once=d`, all(), 'the CD');
    pc.machine.reset();
    pc.untilScreen('this is the disk', 100e6);
  });

  it('what the user chooses in its menu', () => {
    const pc = new MediaMachine(modules, `${line} -boot menu=on,splash-time=9000`, all());
    pc.untilScreen('Press ESC for boot menu.', 100e6);
    pc.press('esc');
    pc.untilScreen('Select boot device:', 100e6);
    const entry = /(\d)\. DVD\/CD \[ata1-0: QEMU DVD-ROM ATAPI-4 DVD\/CD\]/.exec(pc.screen);
    expect(pc.screen).toMatch(/ata0-0: QEMU HARDDISK ATA-7 Hard-Disk \(1 MiBytes\)/);
    pc.type(entry![1]);
    pc.untilScreen('this is the CD', 100e6);
  });

  it('devices by their bootindex', () => {
    const drives = '-drive if=none,id=x,file=a -drive if=none,id=y,file=b -device ide-hd,drive=x,bus=ide.0,unit=0,bootindex=2';
    const media = () => [disk('this is x'), disk('this is y')];
    boot(`${drives} -device ide-hd,drive=y,bus=ide.1,unit=1,bootindex=1`, media(), 'y');
    boot(`${drives} -device virtio-blk-pci,drive=y,bootindex=1`, media(), 'y');
    boot(`${drives} -device virtio-blk-pci,drive=y,bootindex=3`, media(), 'x');
  });

  it('disks of all sizes of floppies', () => {
    for (const kib of [160, 360, 720, 1200, 2880]) boot('-fda f', [disk(`this is ${kib}`, kib * 1024)], String(kib));
  });
});
