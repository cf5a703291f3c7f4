// The script by which firmware puts tables into memory: which files to load where, which addresses in them to correct, which
// checksums to make right. QEMU, hw/acpi/bios-linker-loader.c; SeaBIOS, src/fw/romfile_loader.h.

const enum Command {
  ALLOCATE = 1,
  ADD_POINTER = 2,
  ADD_CHECKSUM = 3,
}

/** Where a file goes. */
export const enum Zone {
  HIGH = 1,
  /** Between F0000h and FFFFFh, where systems search. */
  FSEG = 2,
}

const ENTRY_BYTES = 128;
const FILE_NAME_BYTES = 56;

export class TableLoader {
  private readonly entries: Uint8Array[] = [];

  private entry(command: Command, files: string[], words: number[], last?: number): void {
    const bytes = new Uint8Array(ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, command, true);
    let at = 4;
    for (const file of files) {
      if (file.length >= FILE_NAME_BYTES) throw new RangeError(`the file name ${file} is too long`);
      for (let i = 0; i < file.length; i++) bytes[at + i] = file.charCodeAt(i);
      at += FILE_NAME_BYTES;
    }
    for (const word of words) {
      view.setUint32(at, word, true);
      at += 4;
    }
    if (last !== undefined) bytes[at] = last;
    this.entries.push(bytes);
  }

  /** Load a file into memory at an alignment in bytes. */
  allocate(file: string, align: number, zone: Zone): void {
    this.entry(Command.ALLOCATE, [file], [align], zone);
  }

  /** Add the address of file `source` to the little-endian number of `size` bytes at an offset of `destination`. */
  addPointer(destination: string, source: string, offset: number, size: 1 | 2 | 4 | 8): void {
    this.entry(Command.ADD_POINTER, [destination, source], [offset], size);
  }

  /** Choose the byte at `offset` so that the `length` bytes from `start` sum to 0. */
  addChecksum(file: string, offset: number, start: number, length: number): void {
    this.entry(Command.ADD_CHECKSUM, [file], [offset, start, length]);
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(ENTRY_BYTES * this.entries.length);
    this.entries.forEach((entry, i) => all.set(entry, ENTRY_BYTES * i));
    return all;
  }
}
