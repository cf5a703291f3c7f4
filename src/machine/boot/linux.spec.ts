import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { BootError } from './boot-error.ts';
import { type E820Entry, E820Type } from './e820.ts';
import { bootLinux, isLinux, type LinuxBoot } from './linux.ts';
import { PlainMemory } from './plain-memory.ts';

const MIB = 1024 * 1024;
const ZERO_PAGE = 0x7000;

/** A PC of `size` bytes: RAM below 640 KiB, RAM from 1 MiB to the ACPI tables, which are the last 64 KiB. */
const pcMap = (size: number): E820Entry[] => [
  { address: 0, size: 0x9_fc00, type: E820Type.RAM },
  { address: 0x9_fc00, size: 0x400, type: E820Type.RESERVED },
  { address: 0xf_0000, size: 0x1_0000, type: E820Type.RESERVED },
  { address: MIB, size: size - MIB - 0x1_0000, type: E820Type.RAM },
  { address: size - 0x1_0000, size: 0x1_0000, type: E820Type.ACPI },
];

/** A bzImage of protocol 2.15 with 2 setup sectors and 8 KiB of code, changed as the test likes. */
function bzImage(change: (view: DataView, bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(3 * 512 + 8192);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 2;
  view.setUint32(0x1f4, 8192 / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes[0x201] = 0x6a;
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, 0x020f, true);
  bytes[0x211] = 0x41; // LOADED_HIGH, KEEP_SEGMENTS
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, 0x20_0000, true);
  bytes[0x234] = 1;
  view.setUint16(0x236, 1, true); // XLF_KERNEL_64
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x250, 0x1234n, true);
  view.setBigUint64(0x258, BigInt(4 * MIB), true);
  view.setUint32(0x260, 2 * MIB, true);
  bytes.fill(0x90, 3 * 512);
  change(view, bytes);
  return bytes;
}

/** A change to the bzImage: a 32-bit kernel. */
const for32 = (view: DataView): void => view.setUint16(0x236, 0, true);

let memory: PlainMemory;
beforeEach(() => {
  memory = new PlainMemory(16 * MIB);
});

const boot = (kernel: Uint8Array, more: Partial<LinuxBoot> = {}) => bootLinux({
  memory, kernel: { name: 'vmlinuz', bytes: kernel }, append: 'console=ttyS0', memoryMap: pcMap(memory.size), longMode: true, ...more,
});
const refusal = (kernel: Uint8Array, more: Partial<LinuxBoot> = {}): BootError => {
  try {
    boot(kernel, more);
  } catch (error) {
    expect(error).toBeInstanceOf(BootError);
    return error as BootError;
  }
  throw new Error('the kernel was accepted');
};

describe('bootLinux', () => {
  it('enters a 64-bit kernel 0x200 bytes after its start, in long mode', () => {
    const state = boot(bzImage());
    expect(state).toMatchObject({ mode: 'long64', rip: 4 * MIB + 0x200, cr0: 0x8000_0011, cr4: 0x20, efer: 0x500, registers: { rsi: ZERO_PAGE } });
    expect(state.cs).toMatchObject({ selector: 0x10, attr: 0xa09b });
    expect(state.data).toMatchObject({ selector: 0x18, attr: 0xc093 });
    expect(memory.read8(4 * MIB)).toBe(0x90);
    expect(memory.read8(4 * MIB + 8191)).toBe(0x90);
  });

  it('maps the lowest 4 GiB one to one', () => {
    const { cr3 } = boot(bzImage());
    const walk = (address: number) => {
      const pdpt = memory.read64(cr3) & ~0xfffn;
      const directory = memory.read64(Number(pdpt) + 8 * Math.floor(address / 2 ** 30)) & ~0xfffn;
      const entry = memory.read64(Number(directory) + 8 * (Math.floor(address / 2 ** 21) % 512));
      expect(entry & 0x83n).toBe(0x83n);
      return Number(entry & ~0x1f_ffffn) + (address % 2 ** 21);
    };
    for (const address of [0, ZERO_PAGE, 4 * MIB + 0x200, 0x3fff_ffff, 0x4000_0000, 0xc012_3456, 0xffff_ffff]) expect(walk(address)).toBe(address);
  });

  it('gives the GDT that the protocol asks for', () => {
    const { gdt } = boot(bzImage());
    expect(gdt.limit).toBe(31);
    expect(memory.read64(gdt.base + 0x10)).toBe(0x00af_9b00_0000_ffffn);
    expect(memory.read64(gdt.base + 0x18)).toBe(0x00cf_9300_0000_ffffn);
    expect(memory.read64(boot(bzImage(for32), { longMode: false }).gdt.base + 0x10)).toBe(0x00cf_9b00_0000_ffffn);
  });

  it('enters by the 32-bit entry without long mode, or without a 64-bit entry', () => {
    const expected = { mode: 'protected32', rip: 4 * MIB, cr0: 0x11, cr3: 0, cr4: 0, efer: 0, registers: { rsi: ZERO_PAGE } };
    expect(boot(bzImage(for32), { longMode: false })).toMatchObject(expected);
    expect(boot(bzImage(for32))).toMatchObject(expected);
    expect(refusal(bzImage(), { longMode: false }).why).toContain('64-bit kernel');
  });

  it('loads a kernel that cannot be moved at 1 MiB', () => {
    expect(boot(bzImage((view) => { for32(view); view.setUint8(0x234, 0); }), { longMode: false }).rip).toBe(MIB);
    expect(boot(bzImage((view) => view.setUint16(0x206, 0x0204, true))).rip).toBe(MIB);
  });

  it('fills the zero page', () => {
    boot(bzImage(), { rsdp: 0xf_5a00 });
    expect(memory.text(memory.read32(ZERO_PAGE + 0x228))).toBe('console=ttyS0');
    expect(memory.read8(ZERO_PAGE + 0x210)).toBe(0xff);
    expect(memory.read8(ZERO_PAGE + 0x211)).toBe(0x01);
    expect(memory.read32(ZERO_PAGE + 0x214)).toBe(4 * MIB);
    expect(memory.read32(ZERO_PAGE + 0x218)).toBe(0);
    expect(memory.read64(ZERO_PAGE + 0x250)).toBe(0n);
    expect(memory.read64(ZERO_PAGE + 0x070)).toBe(0xf_5a00n);
    expect(memory.read16(ZERO_PAGE + 0x1fe)).toBe(0xaa55);
    expect(memory.read32(ZERO_PAGE + 0x202)).toBe(0x5372_6448);
    expect(memory.read8(ZERO_PAGE + 0x1ef)).toBe(0); // sentinel: fields are initialised
    expect(memory.read8(ZERO_PAGE + 0x1e8)).toBe(5);
    expect(memory.read64(ZERO_PAGE + 0x2d0 + 3 * 20)).toBe(BigInt(MIB));
    expect(memory.read64(ZERO_PAGE + 0x2d0 + 3 * 20 + 8)).toBe(BigInt(15 * MIB - 0x1_0000));
    expect(memory.read32(ZERO_PAGE + 0x2d0 + 4 * 20 + 16)).toBe(E820Type.ACPI);
    expect(memory.read32(ZERO_PAGE + 0x1e0)).toBe(15 * 1024 - 64);
  });

  it('puts the initrd as high as RAM allows, below the ACPI tables', () => {
    const bytes = new Uint8Array(5000).fill(0x5a);
    boot(bzImage(), { initrd: { name: 'initrd', bytes } });
    const address = memory.read32(ZERO_PAGE + 0x218);
    expect(address).toBe(16 * MIB - 0x1_0000 - 0x2000);
    expect(memory.read32(ZERO_PAGE + 0x21c)).toBe(5000);
    expect(memory.read8(address + 4999)).toBe(0x5a);
    expect(memory.read8(address + 5000)).toBe(0);
  });

  it('puts the initrd below the kernel\'s limit', () => {
    boot(bzImage((view) => view.setUint32(0x22c, 8 * MIB - 1, true)), { initrd: { name: 'initrd', bytes: new Uint8Array(4096) } });
    expect(memory.read32(ZERO_PAGE + 0x218)).toBe(8 * MIB - 4096);
  });

  it('refuses an initrd that does not fit', () => {
    const initrd = { name: 'my.cpio', bytes: new Uint8Array(11 * MIB) };
    expect(refusal(bzImage(), { initrd })).toMatchObject({ what: expect.stringContaining('my.cpio'), advice: expect.stringContaining('-m 18') });
    expect(refusal(bzImage((view) => view.setUint32(0x22c, 7 * MIB, true)), { initrd: { name: 'i', bytes: new Uint8Array(2 * MIB) } }).advice).toContain('smaller');
  });

  it('refuses too little memory', () => {
    memory = new PlainMemory(4 * MIB);
    expect(refusal(bzImage())).toMatchObject({ what: expect.stringContaining('does not fit'), why: expect.stringContaining('6 MiB'), advice: expect.stringContaining('-m 38') });
    memory = new PlainMemory(MIB);
    expect(refusal(bzImage(), { memoryMap: [{ address: 0, size: MIB, type: E820Type.RAM }] }).why).toContain('6 MiB');
  });

  it('refuses a file that is cut off', () => {
    const whole = bzImage();
    expect(refusal(whole.subarray(0, 0x210)).what).toContain('not complete');
    expect(refusal(whole.subarray(0, 3 * 512)).what).toContain('not complete');
    expect(refusal(whole.subarray(0, whole.length - 16))).toMatchObject({ what: 'vmlinuz is not complete', why: expect.stringContaining(String(whole.length)) });
    expect(() => boot(whole.subarray(0, whole.length - 8))).not.toThrow();
  });

  it('refuses what is no kernel, or too old', () => {
    expect(isLinux(new Uint8Array(100))).toBe(false);
    expect(refusal(new Uint8Array(10_000)).what).toContain('not a Linux kernel');
    expect(refusal(bzImage((view) => view.setUint16(0x206, 0x0201, true))).why).toContain('2.01');
    expect(refusal(bzImage((view) => view.setUint8(0x211, 0))).why).toContain('below 640 KiB');
    expect(refusal(bzImage((view) => view.setUint16(0x1fe, 0, true))).what).toContain('damaged');
    expect(refusal(bzImage((view) => view.setBigUint64(0x258, 2n ** 60n, true))).what).toContain('damaged');
  });

  it('refuses a command line that is too long or has a zero byte', () => {
    expect(() => boot(bzImage(), { append: 'x'.repeat(2047) })).not.toThrow();
    expect(refusal(bzImage(), { append: 'x'.repeat(2048) }).why).toContain('2047');
    expect(refusal(bzImage(), { append: 'é'.repeat(1024) }).why).toContain('2048 bytes');
    expect(refusal(bzImage(), { append: 'a\0b' }).why).toContain('zero byte');
  });

  it('throws BootErrors only, and writes inside RAM only, whatever the header says', () => {
    memory = new PlainMemory(8 * MIB);
    const change = fc.array(fc.tuple(fc.integer({ min: 0x1f0, max: 0x270 }), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0xff), fc.nat(255))), { maxLength: 24 });
    fc.assert(fc.property(change, fc.nat(9728), fc.nat(3 * MIB), fc.boolean(), (changes, cut, initrdSize, longMode) => {
      const kernel = bzImage((_view, bytes) => changes.forEach(([at, value]) => { bytes[at] = value; })).subarray(0, cut % 3 ? undefined : cut);
      try {
        const state = boot(kernel, { initrd: { name: 'i', bytes: new Uint8Array(initrdSize) }, longMode });
        expect(state.rip).toBeLessThan(8 * MIB);
      } catch (error) {
        expect(error).toBeInstanceOf(BootError);
      }
    }), { numRuns: 400 });
  });
});
