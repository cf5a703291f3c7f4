// An option ROM that the firmware finds among fw_cfg's files and boots like a device (BIOS Boot Specification 1.01, section 3: BEV; Plug and
// Play BIOS Specification 1.0A, section 3: expansion header). It copies items of fw_cfg by its DMA to their places and goes on with the code
// of a kernel format: linux-rom.ts, multiboot-rom.ts.

const SECTOR = 512;
/** Kept free at the end of RAM for what the firmware has there, its ACPI tables among it; as QEMU. */
export const FIRMWARE_ROOM = 0x28000;

/** An item of fw_cfg, and where its bytes go (guest-physical). */
export interface RomItem {
  key: number;
  address: number;
  length: number;
}

/**
 * @param name what a boot menu calls it
 * @param enter code behind the copying, given its offset in the ROM; 16-bit, DS the ROM's segment, the firmware's stack. It does not return.
 */
export function bootRom(name: string, items: readonly RomItem[], enter: (offset: number) => readonly number[]): Uint8Array {
  const PNP = 0x20;
  const CODE = 0x48;
  const copy = [
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
    0x74, 0x02, // jz good
    0xcd, 0x18, // int 18h: the firmware goes on to the next device
    // good:
    0x66, 0x09, 0xc0, // or eax, eax
    0x75, 0xed, // jnz wait
    0x83, 0xc4, 0x10, // add sp, 16
    0xe2, 0xbb, // loop next
  ];
  const code = [...copy, ...enter(CODE + copy.length)];
  const table = CODE + code.length;
  code[4] = table & 0xff;
  code[5] = table >> 8;
  const nameAt = table + 16 * items.length;
  const rom = new Uint8Array(Math.ceil((nameAt + name.length + 2) / SECTOR) * SECTOR);
  const view = new DataView(rom.buffer);
  rom.set([0x55, 0xaa, rom.length / SECTOR, 0xcb]); // signature, size, and an initialisation that returns (retf)
  view.setUint16(0x1a, PNP, true);
  // PnP expansion header: it is a boot device with a bootstrap entry vector.
  rom.set([0x24, 0x50, 0x6e, 0x50, 0x01, 0x02], PNP);
  view.setUint16(PNP + 0x10, nameAt, true); // product name
  rom[PNP + 0x15] = 0x14; // supports device driver initialisation model, is a boot device
  view.setUint16(PNP + 0x1a, CODE, true);
  rom.set(code, CODE);
  items.forEach(({ key, address, length }, n) => {
    const at = table + 16 * n;
    view.setUint32(at, (key << 16) | 0x08 | 0x02); // control: select, read
    view.setUint32(at + 4, length);
    view.setBigUint64(at + 8, BigInt(address));
  });
  rom.set(new TextEncoder().encode(name), nameAt);
  seal(rom, PNP, 0x20, PNP + 9);
  seal(rom, 0, rom.length, rom.length - 1);
  return rom;
}

/** Bytes of a structure add up to 0. */
function seal(rom: Uint8Array, start: number, length: number, at: number): void {
  rom[at] = 0;
  rom[at] = -rom.subarray(start, start + length).reduce((sum, byte) => sum + byte, 0) & 0xff;
}
