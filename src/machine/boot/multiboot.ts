// Starts a kernel by the Multiboot Specification, version 0.6.96, as QEMU's -kernel does it: ELF32 or with addresses in
// the header; -initrd gives modules ("FILE arguments,FILE2 …"). Memory layout: kernel, then one page-aligned block
// with GDT, information structure, memory map, module list and strings, then the modules.

import { BootError, inMiB } from './boot-error.ts';
import { type E820Entry, ramEnd } from './e820.ts';
import { ElfError, isElf64, readElf32 } from './elf.ts';
import { type EntryState, GDT_BYTES, type LoadMemory, protected32 } from './entry-state.ts';

const HEADER_MAGIC = 0x1bad_b002;
const BOOTLOADER_MAGIC = 0x2bad_b002;
/** The header lies in the first 8 KiB, at a multiple of 4 (section 3.1). */
const HEADER_SEARCH = 8192;

/** Header flags (section 3.1.2). Flags 0-15 are requirements: an unknown one must be refused. */
const enum HeaderFlag {
  PAGE_ALIGN = 0x0000_0001,
  MEMORY_INFO = 0x0000_0002,
  VIDEO_MODE = 0x0000_0004,
  REQUIREMENTS = 0x0000_ffff,
  ADDRESSES = 0x0001_0000,
}

/** Offsets of the header (section 3.1). */
const enum Header {
  FLAGS = 4,
  CHECKSUM = 8,
  HEADER_ADDR = 12,
  LOAD_ADDR = 16,
  LOAD_END_ADDR = 20,
  BSS_END_ADDR = 24,
  ENTRY_ADDR = 28,
  /** Bytes with the address fields, and without. */
  SIZE_ADDRESSES = 32,
  SIZE = 12,
}

/** Offsets of the information structure (section 3.3). */
const enum Info {
  FLAGS = 0,
  MEM_LOWER = 4,
  MEM_UPPER = 8,
  BOOT_DEVICE = 12,
  CMDLINE = 16,
  MODS_COUNT = 20,
  MODS_ADDR = 24,
  MMAP_LENGTH = 44,
  MMAP_ADDR = 48,
  BOOT_LOADER_NAME = 64,
  SIZE = 116,
}
const enum InfoFlag {
  MEMORY = 0x001,
  BOOT_DEVICE = 0x002,
  CMDLINE = 0x004,
  MODS = 0x008,
  MMAP = 0x040,
  BOOT_LOADER_NAME = 0x200,
}

/** First hard disk, no partition: what QEMU says. */
const BOOT_DEVICE_DISK = 0x8000_ffff;
const LOADER_NAME = 'Tabvisor';
const HIGH_MEMORY = 0x10_0000;
const PAGE = 0x1000;

/** One module of -initrd: the file to read, and the whole text, which the kernel gets. */
export interface ModuleName {
  file: string;
  text: string;
}

export interface MultibootBoot {
  memory: LoadMemory;
  kernel: { name: string; bytes: Uint8Array };
  modules: readonly { text: string; bytes: Uint8Array }[];
  append: string;
  memoryMap: readonly E820Entry[];
}

/** Modules that an -initrd argument names: separated by commas (a comma of a name is doubled), arguments after a space. */
export function moduleNames(initrd: string): ModuleName[] {
  return initrd
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ',').trimStart())
    .filter((text) => text !== '')
    .map((text) => ({ file: text.split(' ', 1)[0], text }));
}

/** File offset of the Multiboot header, or -1. */
export function multibootHeader(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = Math.min(HEADER_SEARCH, bytes.length) - Header.SIZE;
  for (let at = 0; at <= last; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const sum = HEADER_MAGIC + view.getUint32(at + Header.FLAGS, true) + view.getUint32(at + Header.CHECKSUM, true);
    if (sum % 2 ** 32 === 0) return at;
  }
  return -1;
}

export function isMultiboot(bytes: Uint8Array): boolean {
  return multibootHeader(bytes) >= 0;
}

/**
 * Put kernel, modules and information into memory.
 * @returns the state in which the CPU enters the kernel
 * @throws BootError
 */
export function bootMultiboot(boot: MultibootBoot): EntryState {
  const { memory, kernel, memoryMap } = boot;
  const { segments, entry } = readKernel(kernel.name, kernel.bytes);
  let end = 0;
  for (const segment of segments) {
    const segmentEnd = segment.address + segment.memorySize;
    if (segmentEnd > ramEnd(memoryMap, segment.address)) {
      throw new BootError(
        `${kernel.name} does not fit into the guest's memory`,
        `It wants memory from 0x${segment.address.toString(16)} to 0x${segmentEnd.toString(16)}, which is not all RAM (the guest has ${inMiB(memory.size)})`,
        segment.address >= HIGH_MEMORY ? `Give the guest more memory, at least -m ${Math.ceil(segmentEnd / 2 ** 20) + 1}.` : 'Link the kernel for addresses from 1 MiB up.',
      );
    }
    end = Math.max(end, segmentEnd);
  }

  const texts = boot.modules.map((module) => cString(module.text));
  const cmdline = cString(boot.append === '' ? kernel.name : `${kernel.name} ${boot.append}`);
  const loader = cString(LOADER_NAME);
  const block = pageUp(Math.max(end, HIGH_MEMORY));
  const layout = layOut(block, {
    gdt: GDT_BYTES,
    info: Info.SIZE,
    mmap: memoryMap.length * 24,
    mods: texts.length * 16,
    loader: loader.length,
    cmdline: cmdline.length,
    texts: texts.reduce((sum, text) => sum + text.length, 0),
  });
  let modulesEnd = pageUp(layout.end);
  const addresses = boot.modules.map((module) => {
    const address = modulesEnd;
    modulesEnd = pageUp(address + module.bytes.length);
    return address;
  });
  const top = ramEnd(memoryMap, HIGH_MEMORY);
  const needed = boot.modules.length ? addresses.at(-1)! + boot.modules.at(-1)!.bytes.length : layout.end;
  if (needed > top) {
    throw new BootError(
      `The modules of ${kernel.name} do not fit into the guest's memory`,
      `With the kernel they need the memory up to ${inMiB(needed)}, the guest has ${inMiB(top)}`,
      `Give the guest more memory, at least -m ${Math.ceil(needed / 2 ** 20) + 1}.`,
    );
  }

  for (const segment of segments) {
    memory.write(segment.address, kernel.bytes.subarray(segment.offset, segment.offset + segment.fileSize));
    if (segment.memorySize > segment.fileSize) memory.write(segment.address + segment.fileSize, new Uint8Array(segment.memorySize - segment.fileSize));
  }
  let text = layout.texts;
  boot.modules.forEach((module, index) => {
    const at = layout.mods + 16 * index;
    memory.write(addresses[index], module.bytes);
    memory.write32(at, addresses[index]);
    memory.write32(at + 4, addresses[index] + module.bytes.length);
    memory.write32(at + 8, text);
    memory.write32(at + 12, 0);
    memory.write(text, texts[index]);
    text += texts[index].length;
  });
  memoryMap.forEach((range, index) => {
    const at = layout.mmap + 24 * index;
    memory.write32(at, 20);
    memory.write64(at + 4, BigInt(range.address));
    memory.write64(at + 12, BigInt(range.size));
    memory.write32(at + 20, range.type);
  });
  memory.write(layout.cmdline, cmdline);
  memory.write(layout.loader, loader);

  const info = layout.info;
  memory.write(info, new Uint8Array(Info.SIZE));
  memory.write32(info + Info.FLAGS, InfoFlag.MEMORY | InfoFlag.BOOT_DEVICE | InfoFlag.CMDLINE | InfoFlag.MODS | InfoFlag.MMAP | InfoFlag.BOOT_LOADER_NAME);
  memory.write32(info + Info.MEM_LOWER, Math.min(640, Math.floor(ramEnd(memoryMap, 0) / 1024)));
  memory.write32(info + Info.MEM_UPPER, Math.floor((top - HIGH_MEMORY) / 1024));
  memory.write32(info + Info.BOOT_DEVICE, BOOT_DEVICE_DISK);
  memory.write32(info + Info.CMDLINE, layout.cmdline);
  memory.write32(info + Info.MODS_COUNT, boot.modules.length);
  memory.write32(info + Info.MODS_ADDR, layout.mods);
  memory.write32(info + Info.MMAP_LENGTH, memoryMap.length * 24);
  memory.write32(info + Info.MMAP_ADDR, layout.mmap);
  memory.write32(info + Info.BOOT_LOADER_NAME, layout.loader);

  return protected32(memory, layout.gdt, entry, { rax: BOOTLOADER_MAGIC, rbx: info });
}

interface LoadedPart {
  address: number;
  offset: number;
  fileSize: number;
  memorySize: number;
}

function readKernel(name: string, bytes: Uint8Array): { segments: LoadedPart[]; entry: number } {
  const at = multibootHeader(bytes);
  if (at < 0) throw new BootError(`${name} is not a Multiboot kernel`, 'There is no Multiboot header in its first 8 KiB', 'Give a Linux bzImage or a Multiboot (version 1) kernel.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = (offset: number) => view.getUint32(at + offset, true);
  const flags = field(Header.FLAGS);
  if (flags & HeaderFlag.VIDEO_MODE) {
    throw new BootError(`${name} cannot be started`, 'Its Multiboot header asks for a video mode, and there is no display yet', 'Build the kernel without Multiboot flag 2.');
  }
  const unknown = flags & HeaderFlag.REQUIREMENTS & ~(HeaderFlag.PAGE_ALIGN | HeaderFlag.MEMORY_INFO);
  if (unknown) throw new BootError(`${name} cannot be started`, `Its Multiboot header requires flags 0x${unknown.toString(16)}, which no loader knows`, 'Check the kernel\'s Multiboot header.');

  if (flags & HeaderFlag.ADDRESSES) {
    if (at + Header.SIZE_ADDRESSES > bytes.length) throw incomplete(name, 'it ends inside its Multiboot header');
    return readAddresses(name, bytes.length, at, field);
  }
  if (isElf64(bytes)) {
    throw new BootError(`${name} cannot be started`, 'It is a 64-bit ELF file; Multiboot starts 32-bit ones', 'Convert it with objcopy -O elf32-i386, or use a 32-bit start file.');
  }
  try {
    return readElf32(bytes);
  } catch (error) {
    if (error instanceof ElfError) throw incomplete(name, error.message);
    throw error;
  }
}

/** The address fields of the header, which take the place of ELF's (section 3.1.3). */
function readAddresses(name: string, fileSize: number, at: number, field: (offset: number) => number): { segments: LoadedPart[]; entry: number } {
  const load = field(Header.LOAD_ADDR);
  const offset = at - (field(Header.HEADER_ADDR) - load);
  if (offset < 0 || offset > at) throw incomplete(name, 'the addresses in its Multiboot header contradict each other');
  const loadEnd = field(Header.LOAD_END_ADDR) || load + fileSize - offset;
  const bssEnd = field(Header.BSS_END_ADDR) || loadEnd;
  if (loadEnd < load || bssEnd < loadEnd) throw incomplete(name, 'the addresses in its Multiboot header contradict each other');
  if (offset + loadEnd - load > fileSize) throw incomplete(name, `it has ${fileSize} bytes, and its Multiboot header says ${offset + loadEnd - load}`);
  return { segments: [{ address: load, offset, fileSize: loadEnd - load, memorySize: bssEnd - load }], entry: field(Header.ENTRY_ADDR) };
}

function incomplete(name: string, why: string): BootError {
  return new BootError(`${name} cannot be loaded`, `${why[0].toUpperCase()}${why.slice(1)}`, 'Check how the file was made, or get a fresh copy.');
}

/** Addresses of parts one after another, each at a multiple of 16. */
function layOut<T extends Record<string, number>>(start: number, sizes: T): T & { end: number } {
  let at = start;
  const addresses: Record<string, number> = {};
  for (const [name, size] of Object.entries(sizes)) {
    addresses[name] = at;
    at += Math.ceil(size / 16) * 16;
  }
  return { ...addresses, end: at } as T & { end: number };
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text.replaceAll('\0', '')}\0`);
}

function pageUp(address: number): number {
  return Math.ceil(address / PAGE) * PAGE;
}
