// Starts a Linux bzImage behind the firmware, so that the screen is as the BIOS sets it up and the kernel's own setup code can ask the
// BIOS for memory, disks and video modes: "The Linux/x86 Boot Protocol" (Linux, Documentation/arch/x86/boot.rst), the 16-bit entry.
// As QEMU does it: the parts of the kernel are items of fw_cfg with QEMU's numbers (hw/i386/x86.c), and an option ROM, which the firmware
// finds among fw_cfg's files and boots like a device (BIOS Boot Specification 1.01, section 3: BEV), copies them to their places.

import type { FwCfg } from '../../devices/fw-cfg.ts';
import { BootError, inMiB } from './boot-error.ts';

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
/** Kept free at the end of RAM for what the firmware has there, its ACPI tables among it; as QEMU. */
const FIRMWARE_ROOM = 0x28000;
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
export function linuxRom(items: readonly { key: number; address: number; length: number }[]): Uint8Array {
  const PNP = 0x20;
  const CODE = 0x48;
  const NAME = 'Linux';
  const code = [
    0x0e, // push cs
    0x1f, // pop ds
    0xfc, // cld
    0xbe, 0, 0, // mov si, table
    0xb9, items.length, 0, // mov cx, items
    // next: a copy of the item's FWCfgDmaAccess on the stack, because the ROM cannot be written to
    0x83, 0xec, 0x10, // sub sp, 16
    0x89, 0xe7, // mov di, sp
    0x16, // push ss
    0x07, // pop es
    0x89, 0xca, // mov dx, cx
    0xb9, 0x08, 0x00, // mov cx, 8
    0xf3, 0xa5, // rep movsw
    0x89, 0xd1, // mov cx, dx
    0x66, 0x31, 0xc0, // xor eax, eax
    0xba, 0x14, 0x05, // mov dx, 514h
    0x66, 0xef, // out dx, eax: high half of the address
    0x8c, 0xd0, // mov ax, ss
    0x66, 0xc1, 0xe0, 0x04, // shl eax, 4
    0x66, 0x0f, 0xb7, 0xdc, // movzx ebx, sp
    0x66, 0x01, 0xd8, // add eax, ebx
    0x66, 0x0f, 0xc8, // bswap eax
    0xba, 0x18, 0x05, // mov dx, 518h
    0x66, 0xef, // out dx, eax: the transfer begins
    // wait: for the control word to become zero
    0x36, 0x66, 0x8b, 0x07, // mov eax, ss:[bx]
    0x66, 0xa9, 0x00, 0x00, 0x00, 0x01, // test eax, 01000000h: the error bit, high byte first
    0x75, 0x20, // jnz failed
    0x66, 0x09, 0xc0, // or eax, eax
    0x75, 0xef, // jnz wait
    0x83, 0xc4, 0x10, // add sp, 16
    0xe2, 0xbd, // loop next
    0xfa, // cli
    0xb8, SETUP >> 4 & 0xff, SETUP >> 12, // mov ax, segment
    0x8e, 0xd8, // mov ds, ax
    0x8e, 0xc0, // mov es, ax
    0x8e, 0xe0, // mov fs, ax
    0x8e, 0xe8, // mov gs, ax
    0x8e, 0xd0, // mov ss, ax
    0xbc, 0xf0, 0xff, // mov sp, FFF0h: below the command line
    0xea, 0x00, 0x00, 0x20, SETUP >> 12, // jmp segment + 20h:0
    // failed:
    0xcd, 0x18, // int 18h: the firmware goes on to the next device
  ];
  const table = CODE + code.length;
  code[4] = table & 0xff;
  code[5] = table >> 8;
  const name = table + 16 * items.length;
  const rom = new Uint8Array(Math.ceil((name + NAME.length + 2) / SECTOR) * SECTOR);
  const view = new DataView(rom.buffer);
  rom.set([0x55, 0xaa, rom.length / SECTOR, 0xcb]); // signature, size, and an initialisation that returns (retf)
  view.setUint16(0x1a, PNP, true);
  // PnP expansion header: it is a boot device with a bootstrap entry vector.
  rom.set([0x24, 0x50, 0x6e, 0x50, 0x01, 0x02], PNP);
  view.setUint16(PNP + 0x10, name, true); // product name
  rom[PNP + 0x15] = 0x14; // supports device driver initialisation model, is a boot device
  view.setUint16(PNP + 0x1a, CODE, true);
  rom.set(code, CODE);
  items.forEach(({ key, address, length }, n) => {
    const at = table + 16 * n;
    view.setUint32(at, (key << 16) | 0x08 | 0x02); // control: select, read
    view.setUint32(at + 4, length);
    view.setBigUint64(at + 8, BigInt(address));
  });
  rom.set(new TextEncoder().encode(NAME), name);
  seal(rom, PNP, 0x20, PNP + 9);
  seal(rom, 0, rom.length, rom.length - 1);
  return rom;
}

/** Bytes of a structure add up to 0. */
function seal(rom: Uint8Array, start: number, length: number, at: number): void {
  rom[at] = 0;
  rom[at] = -rom.subarray(start, start + length).reduce((sum, byte) => sum + byte, 0) & 0xff;
}
