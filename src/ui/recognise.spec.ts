import { describe, it, expect } from 'vitest';
import { recognise } from './recognise.ts';

function bytes(size: number, ...parts: [number, string | number[]][]): Uint8Array {
  const out = new Uint8Array(size);
  for (const [at, part] of parts) out.set(typeof part === 'string' ? new TextEncoder().encode(part) : part, at);
  return out;
}

describe('recognise', () => {
  it('reads a bzImage header', () => {
    const head: [number, string | number[]][] = [[0x1fe, [0x55, 0xaa]], [0x202, 'HdrS'], [0x206, [0x0f, 0x02]], [0x20e, [0x00, 0x10]],
      [0x1200, '6.1.0-13-amd64 (debian)'], [0x236, [0x7f, 0]]];
    expect(recognise(bytes(0x2000, ...head))).toEqual({ role: 'kernel', words: 'Linux kernel 6.1.0-13-amd64, 64-bit' });
    expect(recognise(bytes(0x2000, ...head, [0x236, [0x7e]])).words).toContain('32-bit');
  });

  it('tells multiboot from other ELF files', () => {
    const elf: [number, string | number[]] = [0, [0x7f, 0x45, 0x4c, 0x46]];
    expect(recognise(bytes(0x1000, elf, [0x100, [0x02, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4]])).role).toBe('kernel');
    expect(recognise(bytes(0x1000, elf, [0x100, [0x02, 0xb0, 0xad, 0x1b]])).role).toBe('other');
  });

  it('knows what an initramfs may be packed with', () => {
    expect(recognise(bytes(200, [0, '070701'])).words).toBe('initramfs (cpio)');
    expect(recognise(bytes(200, [0, [0x1f, 0x8b, 8]])).words).toBe('initramfs (gzip)');
    expect(recognise(bytes(200, [0, [0x28, 0xb5, 0x2f, 0xfd]])).role).toBe('initrd');
  });

  it('says what it cannot use', () => {
    expect(recognise(bytes(0)).words).toBe('an empty file');
    expect(recognise(bytes(300, [0, 'hello'])).role).toBe('other');
    expect(recognise(bytes(300, [0, [0x51, 0x46, 0x49, 0xfb]])).words).toContain('qcow2');
  });
});
