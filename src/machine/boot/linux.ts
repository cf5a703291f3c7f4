// Starts a Linux bzImage: "The Linux/x86 Boot Protocol" (Linux, Documentation/arch/x86/boot.rst), by its 64-bit entry where the
// kernel has one and the CPU has long mode, else by its 32-bit entry. The zero page is struct boot_params
// (Documentation/arch/x86/zero-page.rst). What runs is the kernel as it is; only its 16-bit setup code is passed over.

import type { GuestMemory } from '../../devices/interfaces.ts';
import { BootError, inMiB } from './boot-error.ts';
import { type E820Entry, ramEnd } from './e820.ts';
import { type EntryState, long64, protected32 } from './entry-state.ts';
import { copyToGuest, type FileData, partOf } from './file-data.ts';

/** Offsets of the setup header, the same in the file and in the zero page. */
const enum Header {
  SETUP_SECTS = 0x1f1,
  SYSSIZE = 0x1f4,
  BOOT_FLAG = 0x1fe,
  JUMP_LENGTH = 0x201,
  HEADER = 0x202,
  VERSION = 0x206,
  TYPE_OF_LOADER = 0x210,
  LOADFLAGS = 0x211,
  CODE32_START = 0x214,
  RAMDISK_IMAGE = 0x218,
  RAMDISK_SIZE = 0x21c,
  CMD_LINE_PTR = 0x228,
  INITRD_ADDR_MAX = 0x22c,
  RELOCATABLE_KERNEL = 0x234,
  XLOADFLAGS = 0x236,
  CMDLINE_SIZE = 0x238,
  SETUP_DATA = 0x250,
  PREF_ADDRESS = 0x258,
  INIT_SIZE = 0x260,
  /** The header never reaches beyond this offset of the zero page. */
  MAX_END = 0x290,
  /** Bytes of a file that must be there for the header to be read. */
  MIN_FILE = 0x268,
  /** Bytes at the beginning of a file that can be of interest. */
  MAX_FILE = 0x400,
}

/** Offsets of the zero page beside the setup header. */
const enum ZeroPage {
  EXT_MEM_K = 0x002,
  ACPI_RSDP_ADDR = 0x070,
  ALT_MEM_K = 0x1e0,
  E820_ENTRIES = 0x1e8,
  E820_TABLE = 0x2d0,
  E820_MAX = 128,
  SIZE = 0x1000,
}

const enum LoadFlags {
  LOADED_HIGH = 0x01,
  KEEP_SEGMENTS = 0x40,
}

/** xloadflags: the kernel has the 64-bit entry. */
const XLF_KERNEL_64 = 1;
const ENTRY64_OFFSET = 0x200;
const HDRS = 0x5372_6448;
/** Before 2.02 (Linux 2.4) the command line was passed in another way. */
const MIN_VERSION = 0x0202;
/** type_of_loader of a loader without a number of its own. */
const LOADER_UNDEFINED = 0xff;
const HIGH_MEMORY = 0x10_0000;
const PAGE = 0x1000;

/** Where things go below 640 KiB; all of it is free memory again once the kernel has read it. */
const enum Low {
  GDT = 0x1000,
  STACK_TOP = 0x7000,
  ZERO_PAGE = 0x7000,
  PAGE_TABLES = 0x9000,
  CMDLINE = 0x2_0000,
  END = 0x9_0000,
}

export interface LinuxBoot {
  memory: GuestMemory;
  /** The bzImage, and what to call it in messages. */
  kernel: { name: string; bytes: FileData };
  initrd?: { name: string; bytes: FileData };
  append: string;
  memoryMap: readonly E820Entry[];
  /** Guest-physical address of the ACPI tables' root pointer, where there is one. */
  rsdp?: number;
  /** The CPU has long mode. */
  longMode: boolean;
}

/** True if the file says that it is a Linux kernel for x86, whole or not. */
export function isLinux(bytes: Uint8Array): boolean {
  return bytes.length >= Header.VERSION + 2 && view(bytes).getUint32(Header.HEADER, true) === HDRS;
}

/**
 * Put kernel, initrd, command line and zero page into memory.
 * @returns the state in which the CPU enters the kernel
 * @throws BootError
 */
export function bootLinux(boot: LinuxBoot): EntryState {
  const { memory, kernel, memoryMap } = boot;
  const header = partOf(kernel.bytes, 0, Header.MAX_FILE);
  const image = readImage(kernel.name, header, kernel.bytes.length, boot.longMode);

  const top = ramEnd(memoryMap, HIGH_MEMORY);
  const kernelEnd = image.loadAddress + image.initSize;
  const initrdSize = boot.initrd?.bytes.length ?? 0;
  if (kernelEnd > top || ramEnd(memoryMap, Low.GDT) < Low.END) {
    throw new BootError(
      `${kernel.name} does not fit into the guest's memory`,
      `The kernel needs the memory up to ${inMiB(kernelEnd)}, the guest has ${inMiB(top)}`,
      `Give the guest more memory, at least -m ${Math.ceil((kernelEnd + initrdSize) / 2 ** 20) + 32}.`,
    );
  }
  const zeroPage = new Uint8Array(ZeroPage.SIZE);
  const zero = view(zeroPage);
  zeroPage.set(header.subarray(Header.SETUP_SECTS, image.headerEnd), Header.SETUP_SECTS);

  if (boot.initrd && initrdSize > 0) {
    const highest = Math.min(top, image.initrdAddressMax + 1);
    const address = Math.floor((highest - initrdSize) / PAGE) * PAGE;
    if (address < kernelEnd) {
      const room = Math.max(0, highest - kernelEnd);
      const byKernel = highest < top;
      throw new BootError(
        `${boot.initrd.name} does not fit into the guest's memory`,
        `It has ${inMiB(initrdSize)}, and there is room for ${inMiB(room)} between the kernel and ${byKernel ? 'the highest address the kernel allows' : 'the end of memory'}`,
        byKernel ? 'Use a smaller initrd.' : `Give the guest more memory, at least -m ${Math.ceil((kernelEnd + initrdSize) / 2 ** 20) + 1}.`,
      );
    }
    copyToGuest(memory, address, boot.initrd.bytes);
    zero.setUint32(Header.RAMDISK_IMAGE, address, true);
    zero.setUint32(Header.RAMDISK_SIZE, initrdSize, true);
  } else {
    zero.setUint32(Header.RAMDISK_IMAGE, 0, true);
    zero.setUint32(Header.RAMDISK_SIZE, 0, true);
  }

  const cmdline = new TextEncoder().encode(`${boot.append}\0`);
  if (boot.append.includes('\0')) {
    throw new BootError('The kernel command line cannot be used', 'It contains a zero byte', 'Remove it from -append.');
  }
  if (cmdline.length - 1 > image.cmdlineSize) {
    throw new BootError(
      'The kernel command line is too long',
      `It has ${cmdline.length - 1} bytes, and ${kernel.name} takes ${image.cmdlineSize}`,
      'Shorten what -append gives.',
    );
  }
  memory.write(Low.CMDLINE, cmdline);

  zero.setUint8(Header.TYPE_OF_LOADER, LOADER_UNDEFINED);
  zero.setUint8(Header.LOADFLAGS, (zero.getUint8(Header.LOADFLAGS) | LoadFlags.LOADED_HIGH) & ~LoadFlags.KEEP_SEGMENTS);
  zero.setUint32(Header.CODE32_START, image.loadAddress, true);
  zero.setUint32(Header.CMD_LINE_PTR, Low.CMDLINE, true);
  if (image.version >= 0x0209) zero.setBigUint64(Header.SETUP_DATA, 0n, true);
  // screen_info stays 0: no lines and columns mean that there is no VGA text console.
  zero.setUint16(ZeroPage.EXT_MEM_K, Math.min(0xffff, (top - HIGH_MEMORY) >>> 10), true);
  zero.setUint32(ZeroPage.ALT_MEM_K, (top - HIGH_MEMORY) >>> 10, true);
  if (boot.rsdp !== undefined) zero.setBigUint64(ZeroPage.ACPI_RSDP_ADDR, BigInt(boot.rsdp), true);
  writeMemoryMap(zero, memoryMap);
  memory.write(Low.ZERO_PAGE, zeroPage);

  copyToGuest(memory, image.loadAddress, kernel.bytes, image.payload, image.payloadEnd);

  const registers = { rsi: Low.ZERO_PAGE, rsp: Low.STACK_TOP };
  return image.entry64
    ? long64(memory, Low.GDT, Low.PAGE_TABLES, image.loadAddress + ENTRY64_OFFSET, registers)
    : protected32(memory, Low.GDT, image.loadAddress, registers);
}

interface Image {
  version: number;
  headerEnd: number;
  /** File offsets of the protected-mode part. */
  payload: number;
  payloadEnd: number;
  loadAddress: number;
  /** Memory the kernel needs from loadAddress on until it knows the memory map. */
  initSize: number;
  initrdAddressMax: number;
  cmdlineSize: number;
  entry64: boolean;
}

/** @param bytes the beginning of the file  @param length of all of it */
function readImage(name: string, bytes: Uint8Array, length: number, longMode: boolean): Image {
  if (!isLinux(bytes)) throw new BootError(`${name} is not a Linux kernel`, 'It has no setup header ("HdrS")', 'Give a bzImage for x86, such as /boot/vmlinuz of a PC.');
  if (length < Header.MIN_FILE) throw truncated(name, length, Header.MIN_FILE);
  const header = view(bytes);
  const u32 = (offset: number) => header.getUint32(offset, true);
  const version = header.getUint16(Header.VERSION, true);
  const isOld = version < MIN_VERSION || !(bytes[Header.LOADFLAGS] & LoadFlags.LOADED_HIGH);
  if (isOld) {
    throw new BootError(
      `${name} cannot be started`,
      `It uses version ${version >> 8}.${String(version & 0xff).padStart(2, '0')} of the boot protocol${version < MIN_VERSION ? '' : ' and must be loaded below 640 KiB'}`,
      'Use a bzImage of Linux 2.4 or later.',
    );
  }
  if (header.getUint16(Header.BOOT_FLAG, true) !== 0xaa55) {
    throw new BootError(`${name} is damaged`, 'The signature 0xAA55 at offset 0x1FE is missing', 'Get a fresh copy of the kernel.');
  }

  const payload = ((bytes[Header.SETUP_SECTS] || 4) + 1) * 512;
  // Before 2.04 only 16 bits of syssize could be trusted: then the file's size counts.
  const size = version >= 0x0204 ? u32(Header.SYSSIZE) * 16 : Math.max(0, length - payload);
  const payloadEnd = Math.min(payload + size, length);
  // The last paragraph may be incomplete.
  if (payload + size > length + 15 || payloadEnd <= payload) throw truncated(name, length, payload + Math.max(size, 1));

  const has210 = version >= 0x020a;
  const preferred = has210 ? Number(header.getBigUint64(Header.PREF_ADDRESS, true)) : HIGH_MEMORY;
  const relocatable = version >= 0x0205 && bytes[Header.RELOCATABLE_KERNEL] !== 0;
  if (!(preferred >= HIGH_MEMORY && preferred < 2 ** 32)) {
    throw new BootError(`${name} is damaged`, `Its preferred address 0x${preferred.toString(16)} makes no sense`, 'Get a fresh copy of the kernel.');
  }
  // A relocatable kernel loaded below its preferred address would move itself there; others need to be at 1 MiB.
  const loadAddress = relocatable ? preferred : HIGH_MEMORY;
  const runEnd = has210 ? preferred + u32(Header.INIT_SIZE) : 0;
  const entry64 = version >= 0x020c && (header.getUint16(Header.XLOADFLAGS, true) & XLF_KERNEL_64) !== 0;
  if (entry64 && !longMode) {
    // It would halt without a word.
    throw new BootError(`${name} cannot be started`, 'It is a 64-bit kernel, and the CPU has no 64-bit mode', 'Give a 32-bit kernel, or a CPU with the feature lm (-cpu qemu64).');
  }
  if (entry64 && payloadEnd - payload <= ENTRY64_OFFSET) throw truncated(name, length, payload + ENTRY64_OFFSET + 1);
  return {
    version,
    headerEnd: Math.min(Header.HEADER + bytes[Header.JUMP_LENGTH], Header.MAX_END, length),
    payload,
    payloadEnd,
    loadAddress,
    initSize: Math.max(payloadEnd - payload, runEnd - loadAddress),
    initrdAddressMax: version >= 0x0203 ? u32(Header.INITRD_ADDR_MAX) : 0x37ff_ffff,
    cmdlineSize: Math.min(version >= 0x0206 ? u32(Header.CMDLINE_SIZE) : 255, Low.END - Low.CMDLINE - 1),
    entry64,
  };
}

function truncated(name: string, has: number, needs: number): BootError {
  return new BootError(`${name} is not complete`, `The file has ${has} bytes, its header says at least ${needs}`, 'Get a fresh copy of the kernel; the download may have been cut off.');
}

function writeMemoryMap(zero: DataView, map: readonly E820Entry[]): void {
  if (map.length > ZeroPage.E820_MAX) throw new RangeError('too many memory map entries');
  zero.setUint8(ZeroPage.E820_ENTRIES, map.length);
  map.forEach((entry, index) => {
    const at = ZeroPage.E820_TABLE + 20 * index;
    zero.setBigUint64(at, BigInt(entry.address), true);
    zero.setBigUint64(at + 8, BigInt(entry.size), true);
    zero.setUint32(at + 16, entry.type, true);
  });
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
