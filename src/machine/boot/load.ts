// Starts whatever -kernel names: finds out what it is, says which further files it needs, and loads it.

import type { GuestMemory } from '../../devices/interfaces.ts';
import { BootError } from './boot-error.ts';
import type { E820Entry } from './e820.ts';
import { isElf } from './elf.ts';
import type { EntryState } from './entry-state.ts';
import { type FileData, partOf, wholeOf } from './file-data.ts';
import { bootLinux, isLinux } from './linux.ts';
import { bootMultiboot, isMultiboot, moduleNames } from './multiboot.ts';

/** Where a file says what it is: a Multiboot header lies in the first 8 KiB. */
const KIND_BYTES = 8192;

export type KernelKind = 'linux' | 'multiboot';

/** What a kernel is. @throws BootError if it is none that can be started */
export function kernelKind(name: string, file: FileData): KernelKind {
  const bytes = partOf(file, 0, KIND_BYTES);
  if (isLinux(bytes)) return 'linux';
  if (isMultiboot(bytes)) return 'multiboot';
  throw new BootError(`${name} is not a kernel that can be started`, lookAt(bytes), 'Give a Linux bzImage for x86 (a file like /boot/vmlinuz), or a Multiboot kernel.');
}

/** The files that -initrd names: for Linux the one file, for Multiboot any number of modules. */
export function initrdFiles(kind: KernelKind, initrd: string | undefined): string[] {
  if (initrd === undefined) return [];
  return kind === 'linux' ? [initrd] : moduleNames(initrd).map((module) => module.file);
}

/** The argument of -initrd is one file's name for any kind of kernel. */
export const isOneFile = (initrd: string): boolean => !/[,\s]/.test(initrd);

export interface KernelBoot {
  memory: GuestMemory;
  kernel: { name: string; bytes: FileData };
  /** The argument of -initrd, and the bytes of each file that initrdFiles() named, in that order. */
  initrd?: string;
  initrdBytes: readonly FileData[];
  append: string;
  memoryMap: readonly E820Entry[];
  rsdp?: number;
  longMode: boolean;
}

/** Load a kernel into memory and say how the CPU enters it. @throws BootError */
export function bootKernel(boot: KernelBoot): EntryState {
  const kind = kernelKind(boot.kernel.name, boot.kernel.bytes);
  if (kind === 'linux') {
    const initrd = boot.initrd === undefined ? undefined : { name: boot.initrd, bytes: boot.initrdBytes[0] };
    return bootLinux({ ...boot, initrd });
  }
  const modules = moduleNames(boot.initrd ?? '').map((module, index) => ({ text: module.text, bytes: wholeOf(boot.initrdBytes[index]) }));
  return bootMultiboot({ ...boot, kernel: { name: boot.kernel.name, bytes: wholeOf(boot.kernel.bytes) }, modules });
}

/** A guess at what a file is that is no kernel, as a sentence without its stop. */
function lookAt(bytes: Uint8Array): string {
  const starts = (...magic: number[]) => magic.every((byte, index) => bytes[index] === byte);
  if (bytes.length === 0) return 'The file is empty';
  if (isElf(bytes)) return 'It is an ELF file without a Multiboot header in its first 8 KiB (a vmlinux is not the file to boot; the bzImage made from it is)';
  if (starts(0x1f, 0x8b)) return 'It is compressed with gzip';
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return 'It is compressed with xz';
  if (starts(0x51, 0x46, 0x49, 0xfb)) return 'It is a qcow2 disk image';
  if (starts(0x30, 0x37, 0x30, 0x37, 0x30)) return 'It is a cpio archive, as used for -initrd';
  if (starts(0x3c)) return 'It looks like a web page';
  if (bytes[0x1fe] === 0x55 && bytes[0x1ff] === 0xaa) return 'It has a boot sector but no Linux setup header; booting disks is not supported yet';
  if (starts(0x4d, 0x5a)) return 'It is a program for Windows or EFI, or a kernel for another processor';
  return bytes.length < 4096 ? `The file has only ${bytes.length} bytes, and no kernel's signature` : 'It has neither Linux\'s nor Multiboot\'s signature';
}
