// Starts a Multiboot kernel behind the firmware, as QEMU does it (pc-bios/optionrom/multiboot.S): kernel, modules and information are one item
// of fw_cfg, which an option ROM copies to its place. What only the firmware knows, the ROM adds: the memory map (INT 15h, E820h; ACPI 6.4,
// section 15.1), and the sizes of lower and upper memory. Then it enters the kernel in protected mode.

import type { FwCfg } from '../../devices/fw-cfg.ts';
import { bootRom, FIRMWARE_ROOM, type RomItem } from './boot-rom.ts';
import { E820Type } from './e820.ts';
import type { LoadMemory } from './entry-state.ts';
import { bootMultiboot, type MultibootBoot } from './multiboot.ts';

export const MULTIBOOT_ROM = 'genroms/multiboot.bin';
export const MULTIBOOT_ROM_PATH = `/rom@${MULTIBOOT_ROM}`;

/** QEMU's number for the kernel's bytes. */
const ITEM = 0x11;
const HIGH_MEMORY = 0x10_0000;
const PAGE = 0x1000;

/** Memory that is written to now, and copied to the guest's when the firmware has run. */
class Image implements LoadMemory {
  private readonly pages = new Map<number, Uint8Array>();

  constructor(readonly size: number) {}

  write(address: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const at = address + done;
      const number = Math.floor(at / PAGE);
      let page = this.pages.get(number);
      if (!page) this.pages.set(number, (page = new Uint8Array(PAGE)));
      const part = data.subarray(done, done + PAGE - (at % PAGE));
      page.set(part, at % PAGE);
      done += part.length;
    }
  }

  write32(address: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.write(address, bytes);
  }

  write64(address: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.write(address, bytes);
  }

  /** All that was written, in one piece. */
  get whole(): { address: number; bytes: Uint8Array } {
    let [first, last] = [Infinity, 0];
    for (const number of this.pages.keys()) [first, last] = [Math.min(first, number), Math.max(last, number)];
    const bytes = new Uint8Array((last + 1 - first) * PAGE);
    for (const [number, page] of this.pages) bytes.set(page, (number - first) * PAGE);
    return { address: first * PAGE, bytes };
  }
}

/** Put a kernel and the ROM that starts it into fw_cfg. @throws BootError */
export function offerMultiboot(fw: FwCfg, boot: Omit<MultibootBoot, 'memory' | 'memoryMap'> & { ramSize: number }): void {
  const image = new Image(boot.ramSize);
  // What lies below 1 MiB belongs to the firmware until the kernel runs.
  const memoryMap = [{ address: HIGH_MEMORY, size: boot.ramSize - FIRMWARE_ROOM - HIGH_MEMORY, type: E820Type.RAM }];
  const { gdt, registers, rip } = bootMultiboot({ ...boot, memory: image, memoryMap });
  const { address, bytes } = image.whole;
  fw.add(ITEM, bytes);
  fw.addFile(MULTIBOOT_ROM, multibootRom([{ key: ITEM, address, length: bytes.length }], { gdt, info: registers.rbx!, magic: registers.rax!, entry: rip }));
}

/** @param state addresses of the GDT, of the Multiboot information, and of the kernel's first instruction */
export function multibootRom(items: readonly RomItem[], state: { gdt: { base: number; limit: number }; info: number; magic: number; entry: number }): Uint8Array {
  const word = (value: number) => [value & 0xff, (value >> 8) & 0xff];
  const dword = (value: number) => [...word(value), ...word(value >>> 16)];
  const PROTECTED = 0x65;
  const GDTR = 0xaf;
  return bootRom('Multiboot', items, (offset) => [
    0xcd, 0x12, // int 12h: lower memory, KiB
    0x66, 0x0f, 0xb7, 0xf0, // movzx esi, ax
    // The memory map goes to 2000h:0, each range behind the number of its bytes
    0xb8, 0x00, 0x20, // mov ax, 2000h
    0x8e, 0xc0, // mov es, ax
    0x66, 0x31, 0xdb, // xor ebx, ebx
    0x31, 0xff, // xor di, di
    // range:
    0x26, 0x66, 0xc7, 0x05, ...dword(20), // mov dword es:[di], 20
    0x83, 0xc7, 0x04, // add di, 4
    0x66, 0xb8, ...dword(0xe820), // mov eax, E820h
    0x66, 0xba, ...dword(0x534d4150), // mov edx, 'SMAP'
    0x66, 0xb9, ...dword(20), // mov ecx, 20
    0xcd, 0x15, // int 15h
    0x73, 0x02, // jnc listed
    0xcd, 0x18, // int 18h: the firmware goes on to the next device
    // listed:
    0x83, 0xc7, 0x14, // add di, 20
    0x66, 0x09, 0xdb, // or ebx, ebx
    0x75, 0xd5, // jnz range
    0xfa, // cli
    0x66, 0x0f, 0xb7, 0xef, // movzx ebp, di
    0x66, 0x31, 0xc0, // xor eax, eax
    0x8c, 0xc8, // mov ax, cs
    0x66, 0xc1, 0xe0, 0x04, // shl eax, 4
    0x66, 0x05, ...dword(offset + PROTECTED), // add eax, protected
    0x66, 0x6a, 0x10, // push dword 10h: the selector of the GDT's code segment
    0x66, 0x50, // push eax
    0x2e, 0x66, 0x0f, 0x01, 0x16, ...word(offset + GDTR), // lgdt cs:[gdtr]
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x0c, 0x01, // or al, 1
    0x0f, 0x22, 0xc0, // mov cr0, eax
    0x66, 0xcb, // retf
    // protected: 32-bit code from here on
    0x66, 0xb8, 0x18, 0x00, // mov ax, 18h
    0x8e, 0xd8, // mov ds, ax
    0x8e, 0xc0, // mov es, ax
    0x8e, 0xe0, // mov fs, ax
    0x8e, 0xe8, // mov gs, ax
    0x8e, 0xd0, // mov ss, ax
    0xbb, ...dword(state.info), // mov ebx, information
    0x89, 0x73, 0x04, // mov [ebx + 4], esi: mem_lower
    0x89, 0x6b, 0x2c, // mov [ebx + 44], ebp: mmap_length
    0xbe, ...dword(0x20000), // mov esi, 20000h
    0x89, 0x73, 0x30, // mov [ebx + 48], esi: mmap_addr
    0x01, 0xf5, // add ebp, esi
    // look: for the range that begins at 1 MiB
    0x81, 0x7e, 0x04, ...dword(HIGH_MEMORY), // cmp dword [esi + 4], 100000h
    0x74, 0x09, // je found
    0x83, 0xc6, 0x18, // add esi, 24
    0x39, 0xee, // cmp esi, ebp
    0x72, 0xf0, // jb look
    0xeb, 0x09, // jmp enter
    // found:
    0x8b, 0x4e, 0x0c, // mov ecx, [esi + 12]
    0xc1, 0xe9, 0x0a, // shr ecx, 10
    0x89, 0x4b, 0x08, // mov [ebx + 8], ecx: mem_upper
    // enter:
    0xb8, ...dword(state.magic), // mov eax, magic
    0xba, ...dword(state.entry), // mov edx, entry
    0xff, 0xe2, // jmp edx
    // gdtr:
    ...word(state.gdt.limit), ...dword(state.gdt.base),
  ]);
}
