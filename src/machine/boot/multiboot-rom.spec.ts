import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { multibootRom } from './multiboot-rom.ts';

/** What the ROM's code behind the copying is meant to be. */
const SOURCE = `
  bits 16
  org START
  int 0x12
  movzx esi, ax
  mov ax, 0x2000
  mov es, ax
  xor ebx, ebx
  xor di, di
range:
  mov dword [es:di], 20
  add di, 4
  mov eax, 0xe820
  mov edx, 0x534d4150
  mov ecx, 20
  int 0x15
  jnc listed
  int 0x18
listed:
  add di, 20
  or ebx, ebx
  jnz range
  cli
  movzx ebp, di
  xor eax, eax
  mov ax, cs
  shl eax, 4
  add eax, protected
  push dword 0x10
  push eax
  o32 lgdt [cs:gdtr]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  o32 retf
  bits 32
protected:
  mov ax, 0x18
  mov ds, ax
  mov es, ax
  mov fs, ax
  mov gs, ax
  mov ss, ax
  mov ebx, INFO
  mov [ebx + 4], esi
  mov [ebx + 44], ebp
  mov esi, 0x20000
  mov [ebx + 48], esi
  add ebp, esi
look:
  cmp dword [esi + 4], 0x100000
  je found
  add esi, 24
  cmp esi, ebp
  jb look
  jmp enter
found:
  mov ecx, [esi + 12]
  shr ecx, 10
  mov [ebx + 8], ecx
enter:
  mov eax, 0x2badb002
  mov edx, ENTRY
  jmp edx
gdtr:
  dw 31
  dd GDT
`;

function assembled(start: number, info: number, entry: number, gdt: number): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'rom-'));
  try {
    writeFileSync(join(folder, 'rom.asm'), SOURCE);
    execFileSync('nasm', ['-f', 'bin', `-DSTART=${start}`, `-DINFO=${info}`, `-DENTRY=${entry}`, `-DGDT=${gdt}`, join(folder, 'rom.asm'), '-o', join(folder, 'rom')]);
    return readFileSync(join(folder, 'rom'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// That kernels start by it, and what they find, is in tests/headless/multiboot.spec.ts, beside QEMU.
it('the code of the ROM that boots Multiboot kernels is what an assembler makes', () => {
  const [info, entry, gdt] = [0x123450, 0x10000c, 0x123400];
  const rom = Buffer.from(multibootRom([{ key: 0x11, address: 0x100000, length: 0x1234 }], { info, entry, gdt: { base: gdt, limit: 31 }, magic: 0x2badb002 }));
  const start = rom.indexOf(Buffer.from([0xcd, 0x12]));
  const code = assembled(start, info, entry, gdt);
  expect(rom.subarray(start, start + code.length).equals(code)).toBe(true);
  // The table of items follows: select item 11h, read 1234h bytes to 1 MiB.
  expect([...rom.subarray(start + code.length, start + code.length + 16)]).toEqual([0, 0x11, 0, 0x0a, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0x10, 0, 0]);
});
