// Starts a Linux bzImage behind the firmware, so that the screen is as the BIOS sets it up and the kernel's own setup code can ask the
// BIOS for memory, disks and video modes: "The Linux/x86 Boot Protocol" (Linux, Documentation/arch/x86/boot.rst), the 16-bit entry.
// As QEMU does it: the parts of the kernel are items of fw_cfg with QEMU's numbers (hw/i386/x86.c), and an option ROM, which the firmware
// finds among fw_cfg's files and boots like a device (BIOS Boot Specification 1.01, section 3: BEV), copies them to their places.

import type { FwCfg } from '../../devices/fw-cfg.ts';
import { BootError, inMiB } from './boot-error.ts';
import { bootRom, FIRMWARE_ROOM, type RomItem } from './boot-rom.ts';

/** The option ROM's name among fw_cfg's files, and the path by which bootorder calls it. */
export const LINUX_ROM = 'genroms/linux.bin';
export const LINUX_ROM_PATH = `/rom@${LINUX_ROM}`;

/** fw_cfg items: address, size and bytes of each part. */
const ITEMS = {
  kernel: { address: 0x07, size: 0x08, data: 0x11 },
  initrd: { address: 0x0a, size: 0x0b, data: 0x12 },
  cmdline: { address: 0x13, size: 0x14, data: 0x15 },
  setup: { address: 0x16, size: 0x17, data: 0x18 },
} as const;
type Part = keyof typeof ITEMS;

/** Where the parts go; what is below 640 KiB the kernel's setup code knows by its segment. */
const SETUP = 0x10000;
const CMDLINE = 0x20000;
const KERNEL = 0x100000;
const SECTOR = 512;

/** Offsets in the setup header. */
const SETUP_SECTS = 0x1f1;
const VID_MODE = 0x1fa;
const VERSION = 0x206;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const HEAP_END_PTR = 0x224;
const CMD_LINE_PTR = 0x228;
const INITRD_ADDR_MAX = 0x22c;
const LOADED_HIGH = 0x01;
const CAN_USE_HEAP = 0x80;
const LOADER_UNDEFINED = 0xff;
/** Modes that vga= names. */
const VIDEO_MODES: Readonly<Record<string, number>> = { normal: 0xffff, ext: 0xfffe, ask: 0xfffd };

export interface LinuxRomBoot {
  kernel: { name: string; bytes: Uint8Array };
  initrd?: { name: string; bytes: Uint8Array };
  append: string;
  ramSize: number;
}

/** Put a kernel and the ROM that starts it into fw_cfg. @throws BootError */
export function offerLinux(fw: FwCfg, { kernel, initrd, append, ramSize }: LinuxRomBoot): void {
  const header = new DataView(kernel.bytes.buffer, kernel.bytes.byteOffset, kernel.bytes.byteLength);
  const setupBytes = ((header.getUint8(SETUP_SECTS) || 4) + 1) * SECTOR;
  if (header.getUint16(VERSION, true) < 0x0202 || !(header.getUint8(LOADFLAGS) & LOADED_HIGH) || setupBytes >= kernel.bytes.length) {
    throw new BootError(`${kernel.name} cannot be started`, 'It is cut off, or a kernel from before Linux 2.4', 'Give a whole bzImage of a newer kernel.');
  }
  const initrdSize = initrd?.bytes.length ?? 0;
  const limit = Math.min(header.getUint16(VERSION, true) >= 0x203 ? header.getUint32(INITRD_ADDR_MAX, true) + 1 : 0x38000000, ramSize - FIRMWARE_ROOM);
  const initrdAddress = Math.floor((limit - initrdSize) / 4096) * 4096;
  const kernelSize = kernel.bytes.length - setupBytes;
  if (initrdAddress < KERNEL + kernelSize) {
    throw new BootError(
      `${kernel.name} does not fit into the guest's memory`, `Kernel and initrd have ${inMiB(kernelSize + initrdSize)}, the guest has ${inMiB(ramSize)}`,
      'Give the guest more memory with -m.',
    );
  }
  const setup = kernel.bytes.slice(0, setupBytes);
  const view = new DataView(setup.buffer);
  view.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED);
  view.setUint8(LOADFLAGS, view.getUint8(LOADFLAGS) | CAN_USE_HEAP);
  view.setUint16(HEAP_END_PTR, CMDLINE - SETUP - 0x200, true);
  view.setUint32(CMD_LINE_PTR, CMDLINE, true);
  view.setUint32(RAMDISK_IMAGE, initrdSize ? initrdAddress : 0, true);
  view.setUint32(RAMDISK_SIZE, initrdSize, true);
  const mode = /(?:^|\s)vga=(\S+)/.exec(append)?.[1];
  if (mode !== undefined) {
    const number = Object.hasOwn(VIDEO_MODES, mode) ? VIDEO_MODES[mode] : Number(mode);
    if (!(number >= 0 && number <= 0xffff)) throw new BootError(`"vga=${mode}" is no video mode`, 'It is neither a number nor normal, ext or ask', 'Write vga=normal, or for example vga=791 for 1024x768.');
    view.setUint16(VID_MODE, number, true);
  }
  const parts: [part: Part, address: number, bytes: Uint8Array][] = [
    ['kernel', KERNEL, kernel.bytes.subarray(setupBytes)],
    ['cmdline', CMDLINE, new TextEncoder().encode(`${append}\0`)],
    ['setup', SETUP, setup],
  ];
  if (initrd && initrdSize) parts.push(['initrd', initrdAddress, initrd.bytes]);
  for (const [part, address, bytes] of parts) {
    fw.addInteger(ITEMS[part].address, address, 4);
    fw.addInteger(ITEMS[part].size, bytes.length, 4);
    fw.add(ITEMS[part].data, bytes);
  }
  fw.addFile(LINUX_ROM, linuxRom(parts.map(([part, address, bytes]) => ({ key: ITEMS[part].data, address, length: bytes.length }))));
}

/** An option ROM that copies items of fw_cfg to their places, and enters the kernel's setup code. */
export function linuxRom(items: readonly RomItem[]): Uint8Array {
  return bootRom('Linux', items, () => [
    0xfa, // cli
    0xb8, SETUP >> 4 & 0xff, SETUP >> 12, // mov ax, segment
    0x8e, 0xd8, // mov ds, ax
    0x8e, 0xc0, // mov es, ax
    0x8e, 0xe0, // mov fs, ax
    0x8e, 0xe8, // mov gs, ax
    0x8e, 0xd0, // mov ss, ax
    0xbc, 0xf0, 0xff, // mov sp, FFF0h: below the command line
    0xea, 0x00, 0x00, 0x20, SETUP >> 12, // jmp segment + 20h:0
  ]);
}
