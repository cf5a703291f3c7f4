import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FwCfg } from '../../devices/fw-cfg.ts';
import { TestMemory } from '../../virtio/testing.ts';
import { BootError } from './boot-error.ts';
import { LINUX_ROM, linuxRom, offerLinux } from './linux-rom.ts';

/** What the ROM's code is meant to be. */
const SOURCE = `
  bits 16
  push cs
  pop ds
  cld
  mov si, TABLE
  mov cx, 3
next:
  sub sp, 16
  mov di, sp
  push ss
  pop es
  mov dx, cx
  mov cx, 8
  rep movsw
  mov cx, dx
  xor eax, eax
  mov dx, 0x514
  out dx, eax
  mov ax, ss
  shl eax, 4
  movzx ebx, sp
  add eax, ebx
  bswap eax
  mov dx, 0x518
  out dx, eax
again:
  mov eax, [ss:bx]
  test eax, 0x01000000
  jz good
  int 0x18
good:
  or eax, eax
  jnz again
  add sp, 16
  loop next
  cli
  mov ax, 0x1000
  mov ds, ax
  mov es, ax
  mov fs, ax
  mov gs, ax
  mov ss, ax
  mov sp, 0xfff0
  jmp 0x1020:0
`;

function assembled(table: number): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'rom-'));
  try {
    writeFileSync(join(folder, 'rom.asm'), SOURCE.replace('TABLE', String(table)));
    execFileSync('nasm', ['-f', 'bin', join(folder, 'rom.asm'), '-o', join(folder, 'rom')]);
    return readFileSync(join(folder, 'rom'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const sum = (bytes: Uint8Array) => bytes.reduce((all, byte) => (all + byte) & 0xff, 0);

/** As much of a bzImage as is looked at: two sectors of setup, then the kernel. */
function bzImage(): Uint8Array {
  const bytes = new Uint8Array(4096).fill(0x42, 1536);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 2;
  view.setUint16(0x206, 0x20f, true);
  bytes[0x211] = 1;
  view.setUint32(0x22c, 0x7fffffff, true);
  return bytes;
}

describe('the ROM that boots Linux', () => {
  it('is a boot device, and its code is what an assembler makes', () => {
    const rom = linuxRom([{ key: 0x11, address: 0x100000, length: 0x1234 }, { key: 0x15, address: 0x20000, length: 5 }, { key: 0x18, address: 0x10000, length: 0x600 }]);
    expect([...rom.subarray(0, 4)]).toEqual([0x55, 0xaa, rom.length / 512, 0xcb]);
    expect([sum(rom), sum(rom.subarray(0x20, 0x40))]).toEqual([0, 0]);
    expect(String.fromCharCode(...rom.subarray(0x20, 0x24))).toBe('$PnP');
    const view = new DataView(rom.buffer);
    const entry = view.getUint16(0x20 + 0x1a, true);
    const code = assembled(0);
    const table = entry + code.length;
    expect(Buffer.compare(rom.subarray(entry, table), assembled(table))).toBe(0);
    // The first FWCfgDmaAccess: select item 11h, read 1234h bytes to 1 MiB
    expect([...rom.subarray(table, table + 16)]).toEqual([0, 0x11, 0, 0x0a, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0x10, 0, 0]);
  });

  it('finds kernel, initrd and command line in fw_cfg', () => {
    const fw = new FwCfg(new TestMemory(4096));
    const item = (key: number, bytes: number) => {
      fw.writePort(0x510, 2, key);
      return Uint8Array.from({ length: bytes }, () => fw.readPort(0x511, 1));
    };
    const number = (key: number) => new DataView(item(key, 4).buffer).getUint32(0, true);
    offerLinux(fw, { kernel: { name: 'k', bytes: bzImage() }, initrd: { name: 'i', bytes: new Uint8Array(5000).fill(7) }, append: 'quiet vga=791', ramSize: 64 << 20 });
    expect([number(0x07), number(0x08), number(0x16), number(0x17), number(0x13), number(0x14)]).toEqual([0x100000, 4096 - 1536, 0x10000, 1536, 0x20000, 14]);
    const initrd = number(0x0a);
    expect([initrd % 4096, initrd + 5000 <= (64 << 20) - 0x28000]).toEqual([0, true]);
    const setup = new DataView(item(0x18, 1536).buffer);
    expect([setup.getUint32(0x218, true), setup.getUint32(0x21c, true), setup.getUint32(0x228, true), setup.getUint16(0x1fa, true)]).toEqual([initrd, 5000, 0x20000, 791]);
    expect(setup.getUint8(0x211)).toBe(0x81);
    expect(String.fromCharCode(...item(0x15, 14))).toBe('quiet vga=791\0');
    expect(fw.list().map(([name]) => name)).toEqual([LINUX_ROM]);
  });

  it('says what does not fit', () => {
    const fw = new FwCfg(new TestMemory(4096));
    const offer = (bytes: Uint8Array, append = '', ramSize = 4 << 20) => () => offerLinux(fw, { kernel: { name: 'k', bytes }, initrd: { name: 'i', bytes: new Uint8Array(3 << 20) }, append, ramSize });
    expect(offer(bzImage())).toThrow(BootError);
    expect(offer(bzImage(), 'vga=lots', 64 << 20)).toThrow('vga=lots');
    expect(offer(bzImage().subarray(0, 1000), '', 64 << 20)).toThrow('cannot be started');
  });
});
