// Reads executable ELF files for the i386 ("Tool Interface Standard (TIS) Executable and Linking Format", version 1.2):
// what is to be loaded where. Loads nothing itself.

/** A part of the file that goes to memory. */
export interface ElfSegment {
  /** Guest-physical address. */
  address: number;
  /** Bytes in the file, and in memory (the rest is zeroed). */
  offset: number;
  fileSize: number;
  memorySize: number;
}

export interface ElfImage {
  segments: ElfSegment[];
  /** Physical address of the first instruction. */
  entry: number;
}

/** The file cannot be loaded; the message says why, as the end of a sentence. */
export class ElfError extends Error {}

const enum Ident {
  CLASS = 4,
  DATA = 5,
}
const CLASS_32 = 1;
const CLASS_64 = 2;
const DATA_LSB = 1;

/** Offsets of the 32-bit file header. */
const enum FileHeader {
  TYPE = 16,
  MACHINE = 18,
  ENTRY = 24,
  PHOFF = 28,
  PHENTSIZE = 42,
  PHNUM = 44,
  SIZE = 52,
}
const ET_EXEC = 2;
const EM_386 = 3;

/** Offsets of a program header. */
const enum ProgramHeader {
  TYPE = 0,
  OFFSET = 4,
  VADDR = 8,
  PADDR = 12,
  FILESZ = 16,
  MEMSZ = 20,
  SIZE = 32,
}
const PT_LOAD = 1;

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 6 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

export function isElf64(bytes: Uint8Array): boolean {
  return isElf(bytes) && bytes[Ident.CLASS] === CLASS_64;
}

/** @throws ElfError */
export function readElf32(bytes: Uint8Array): ElfImage {
  if (!isElf(bytes)) throw new ElfError('it is not an ELF file');
  if (bytes[Ident.CLASS] !== CLASS_32) throw new ElfError('it is a 64-bit ELF file, and a 32-bit one is needed');
  if (bytes.length < FileHeader.SIZE) throw new ElfError('it ends inside its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  if (bytes[Ident.DATA] !== DATA_LSB || u16(FileHeader.MACHINE) !== EM_386) throw new ElfError('it is an ELF file for another kind of processor');
  if (u16(FileHeader.TYPE) !== ET_EXEC) throw new ElfError('it is an ELF file, but not an executable one');

  const stride = u16(FileHeader.PHENTSIZE);
  const count = u16(FileHeader.PHNUM);
  const table = u32(FileHeader.PHOFF);
  if (count > 0 && stride < ProgramHeader.SIZE) throw new ElfError('its program headers are damaged');
  if (table + count * stride > bytes.length) throw new ElfError('it ends inside its program headers');
  const entry = u32(FileHeader.ENTRY);
  let physicalEntry = entry;
  const segments: ElfSegment[] = [];
  for (let at = table; at < table + count * stride; at += stride) {
    if (u32(at + ProgramHeader.TYPE) !== PT_LOAD) continue;
    const segment = {
      address: u32(at + ProgramHeader.PADDR),
      offset: u32(at + ProgramHeader.OFFSET),
      fileSize: u32(at + ProgramHeader.FILESZ),
      memorySize: u32(at + ProgramHeader.MEMSZ),
    };
    if (segment.memorySize === 0) continue;
    if (segment.fileSize > segment.memorySize) throw new ElfError('one of its segments is larger in the file than in memory');
    if (segment.offset + segment.fileSize > bytes.length) {
      throw new ElfError(`it has ${bytes.length} bytes, and a segment of it ends at ${segment.offset + segment.fileSize}`);
    }
    // The entry is a virtual address; the kernel starts without paging.
    const vaddr = u32(at + ProgramHeader.VADDR);
    if (entry >= vaddr && entry < vaddr + segment.memorySize) physicalEntry = entry - vaddr + segment.address;
    segments.push(segment);
  }
  if (!segments.length) throw new ElfError('it has nothing to load');
  return { segments, entry: physicalEntry };
}
