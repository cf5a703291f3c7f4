import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { BootError } from './boot-error.ts';
import { type E820Entry, E820Type } from './e820.ts';
import { ElfError, readElf32 } from './elf.ts';
import { bootKernel, initrdFiles, kernelKind } from './load.ts';
import { bootMultiboot, moduleNames, type MultibootBoot, multibootHeader } from './multiboot.ts';
import { PlainMemory } from './plain-memory.ts';

const MIB = 1024 * 1024;
const MAGIC = 0x1bad_b002;
const ELF_HEADER_AT = 0x100;
const map: E820Entry[] = [
  { address: 0, size: 0x9_fc00, type: E820Type.RAM },
  { address: MIB, size: 7 * MIB, type: E820Type.RAM },
];

function header(view: DataView, at: number, flags: number): void {
  view.setUint32(at, MAGIC, true);
  view.setUint32(at + 4, flags, true);
  view.setUint32(at + 8, -(MAGIC + flags), true);
}

/** An ELF kernel: one segment with file bytes 0x100-0x1ff at 1 MiB, 0x300 bytes in memory, linked at 3 GiB + 1 MiB. */
function elfKernel({ flags = 3, change = (_view: DataView) => {} } = {}): Uint8Array {
  const bytes = new Uint8Array(0x200);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0xc010_0040, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x100, 0xc010_0000, MIB, 0x100, 0x300, 7, 0x1000].forEach((value, index) => view.setUint32(52 + 4 * index, value, true));
  header(view, ELF_HEADER_AT, flags);
  bytes[0x1ff] = 0x77;
  change(view);
  return bytes;
}

/** A flat kernel with addresses in its header, which is at offset 0x20. */
function flatKernel(addresses: number[], flags = 0x1_0000): Uint8Array {
  const bytes = new Uint8Array(0x400).fill(0xcc);
  const view = new DataView(bytes.buffer);
  header(view, 0x20, flags);
  addresses.forEach((value, index) => view.setUint32(0x2c + 4 * index, value, true));
  return bytes;
}

let memory: PlainMemory;
beforeEach(() => {
  memory = new PlainMemory(8 * MIB);
});
const boot = (bytes: Uint8Array, more: Partial<MultibootBoot> = {}) => bootMultiboot({ memory, kernel: { name: 'kernel.elf', bytes }, modules: [], append: '', memoryMap: map, ...more });
const refusal = (bytes: Uint8Array, more: Partial<MultibootBoot> = {}): BootError => {
  try {
    boot(bytes, more);
  } catch (error) {
    expect(error).toBeInstanceOf(BootError);
    return error as BootError;
  }
  throw new Error('the kernel was accepted');
};

describe('bootMultiboot', () => {
  it('loads an ELF file and enters it at its physical address', () => {
    memory.all.fill(0xee);
    const state = boot(elfKernel());
    expect(state).toMatchObject({ mode: 'protected32', rip: MIB + 0x40, cr0: 0x11, registers: { rax: 0x2bad_b002 } });
    expect(state.cs).toMatchObject({ attr: 0xc09b, limit: 0xffff_ffff });
    expect(memory.read8(MIB + 0xff)).toBe(0x77);
    expect(memory.read8(MIB + 0x100)).toBe(0);
    expect(memory.read8(MIB + 0x2ff)).toBe(0);
  });

  it('describes the machine', () => {
    const info = boot(elfKernel(), { append: 'a b' }).registers.rbx!;
    expect(memory.read32(info) & 0x24f).toBe(0x24f);
    expect(memory.read32(info + 4)).toBe(639);
    expect(memory.read32(info + 8)).toBe(7 * 1024);
    expect(memory.text(memory.read32(info + 16))).toBe('kernel.elf a b');
    expect(memory.read32(info + 20)).toBe(0);
    expect(memory.text(memory.read32(info + 64))).toBe('Tabvisor');
    expect(memory.read32(info + 44)).toBe(48);
    const second = memory.read32(info + 48) + 24;
    expect(memory.read32(second)).toBe(20);
    expect(memory.read64(second + 4)).toBe(BigInt(MIB));
    expect(memory.read64(second + 12)).toBe(BigInt(7 * MIB));
    expect(memory.read32(second + 20)).toBe(1);
  });

  it('gives modules at pages, with their texts', () => {
    const modules = [{ text: 'one x=1', bytes: new Uint8Array(5000).fill(1) }, { text: 'two', bytes: new Uint8Array(3).fill(2) }];
    const info = boot(elfKernel(), { modules }).registers.rbx!;
    expect(memory.read32(info + 20)).toBe(2);
    const list = memory.read32(info + 24);
    modules.forEach((module, index) => {
      const start = memory.read32(list + 16 * index);
      expect(start % 4096).toBe(0);
      expect(memory.read32(list + 16 * index + 4) - start).toBe(module.bytes.length);
      expect(memory.bytes(start, module.bytes.length)).toEqual(module.bytes);
      expect(memory.text(memory.read32(list + 16 * index + 8))).toBe(module.text);
    });
  });

  it('takes addresses from the header', () => {
    const state = boot(flatKernel([2 * MIB + 0x20, 2 * MIB, 2 * MIB + 0x300, 2 * MIB + 0x500, 2 * MIB + 0x40]));
    expect(state.rip).toBe(2 * MIB + 0x40);
    expect(memory.read8(2 * MIB + 0x2ff)).toBe(0xcc);
    expect(memory.read8(2 * MIB + 0x300)).toBe(0);
    // Ends of 0: to the end of the file, and nothing to clear.
    boot(flatKernel([3 * MIB + 0x20, 3 * MIB, 0, 0, 3 * MIB]));
    expect(memory.read8(3 * MIB + 0x3ff)).toBe(0xcc);
    // The load address may lie behind the start of the file.
    boot(flatKernel([4 * MIB, 4 * MIB, 0, 0, 4 * MIB]));
    expect(memory.read32(4 * MIB)).toBe(MAGIC);
  });

  it('refuses addresses that make no sense', () => {
    expect(refusal(flatKernel([2 * MIB, 2 * MIB + 0x20, 0, 0, 0])).why).toContain('contradict');
    expect(refusal(flatKernel([2 * MIB + 0x40, 2 * MIB, 0, 0, 0])).why).toContain('contradict');
    expect(refusal(flatKernel([2 * MIB, 2 * MIB, MIB, 0, 0])).why).toContain('contradict');
    expect(refusal(flatKernel([2 * MIB, 2 * MIB, 2 * MIB + 0x1000, 0, 0])).why).toContain('1024 bytes');
    expect(refusal(flatKernel([0xa_0000, 0xa_0000, 0, 0, 0])).what).toContain('does not fit');
    expect(refusal(flatKernel([2 * MIB, 2 * MIB, 0, 0xffff_ffff, 0])).advice).toContain('-m');
  });

  it('refuses what it cannot give', () => {
    expect(refusal(elfKernel({ flags: 7 })).why).toContain('video mode');
    expect(refusal(elfKernel({ flags: 0x10 })).why).toContain('0x10');
    expect(refusal(elfKernel({ change: (view) => view.setUint8(4, 2) })).why).toContain('64-bit');
    expect(refusal(elfKernel({ change: (view) => view.setUint32(52 + 16, 0x1000, true) })).what).toContain('cannot be loaded');
    expect(refusal(elfKernel({ change: (view) => view.setUint32(52 + 20, 9 * MIB, true) })).advice).toContain('-m 11');
    expect(refusal(elfKernel(), { modules: [{ text: 'm', bytes: new Uint8Array(7 * MIB) }] }).what).toContain('modules');
    expect(refusal(new Uint8Array(64)).why).toContain('no Multiboot header');
  });

  it('finds the header only where it may be', () => {
    const place = (at: number) => {
      const bytes = new Uint8Array(10_000);
      header(new DataView(bytes.buffer), at, 0);
      return multibootHeader(bytes);
    };
    expect(place(8180)).toBe(8180);
    expect(place(8184)).toBe(-1);
    expect(place(2)).toBe(-1);
    const wrong = elfKernel({ change: (view) => view.setUint32(ELF_HEADER_AT + 8, 0, true) });
    expect(multibootHeader(wrong)).toBe(-1);
  });

  it('throws BootErrors only, whatever the file says', () => {
    memory = new PlainMemory(2 * MIB);
    const memoryMap = [{ address: 0, size: 0x9_fc00, type: E820Type.RAM }, { address: MIB, size: MIB, type: E820Type.RAM }];
    const patches = fc.array(fc.tuple(fc.integer({ min: 4, max: 0x130 }), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0xff), fc.nat(255))), { maxLength: 12 });
    fc.assert(fc.property(patches, fc.boolean(), fc.integer({ min: 0, max: 0x200 }), (changes, isFlat, cut) => {
      const bytes = (isFlat ? flatKernel([MIB + 0x20, MIB, 0, 0, MIB]) : elfKernel()).slice(0, cut % 3 ? undefined : cut);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      try {
        boot(bytes, { memoryMap, modules: [{ text: 'm', bytes: new Uint8Array(10) }] });
      } catch (error) {
        expect(error).toBeInstanceOf(BootError);
      }
      try {
        readElf32(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ElfError);
      }
    }), { numRuns: 500 });
  });
});

describe('moduleNames', () => {
  it('splits as QEMU does', () => {
    expect(moduleNames('a x=1 y,b,c,,d z')).toEqual([{ file: 'a', text: 'a x=1 y' }, { file: 'b', text: 'b' }, { file: 'c,d', text: 'c,d z' }]);
    expect(moduleNames('')).toEqual([]);
  });
});

describe('bootKernel', () => {
  it('recognises what a file is, or says what it is not', () => {
    expect(kernelKind('k', elfKernel())).toBe('multiboot');
    const why = (bytes: number[]) => {
      try {
        kernelKind('k', new Uint8Array(bytes));
      } catch (error) {
        return (error as BootError).why;
      }
      throw new Error('accepted');
    };
    expect(why([])).toContain('empty');
    expect(why([0x7f, 0x45, 0x4c, 0x46, 2, 1])).toContain('ELF');
    expect(why([0x1f, 0x8b, 8])).toContain('gzip');
    expect(why([...'<!DOCTYPE'].map((c) => c.charCodeAt(0)))).toContain('web page');
    expect(why(Array(100).fill(1))).toContain('100 bytes');
  });

  it('loads a Multiboot kernel with the modules of -initrd', () => {
    expect(initrdFiles('multiboot', 'a x,b')).toEqual(['a', 'b']);
    expect(initrdFiles('linux', 'a x,b')).toEqual(['a x,b']);
    expect(initrdFiles('linux', undefined)).toEqual([]);
    const state = bootKernel({
      memory, kernel: { name: 'k', bytes: elfKernel() }, initrd: 'a x,b', initrdBytes: [new Uint8Array(1), new Uint8Array(2)], append: '', memoryMap: map, longMode: true,
    });
    expect(memory.read32(state.registers.rbx! + 20)).toBe(2);
  });
});
