import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, expect } from 'vitest';
import { recognise, recogniseFile } from './recognise.ts';

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

  it('knows an iPXE script', () => {
    expect(recognise(bytes(40, [0, '#!ipxe\necho hello\n']))).toEqual({ role: 'netboot', words: 'iPXE script' });
  });

  it('says what it cannot use', () => {
    expect(recognise(bytes(0)).words).toBe('an empty file');
    expect(recognise(bytes(300, [0, 'hello'])).role).toBe('other');
  });

  it('knows disk images by their headers, and how large the disk is', () => {
    expect(recognise(bytes(300, [0, [0x51, 0x46, 0x49, 0xfb]], [27, [2]]))).toEqual({ role: 'disk', words: 'qcow2 disk, 8 GiB' });
    expect(recognise(bytes(600, [0, 'KDMV'], [14, [0x20]])).words).toBe('VMDK disk, 1 GiB');
    expect(recognise(bytes(600, [0x40, [0x7f, 0x10, 0xda, 0xbe]], [0x173, [0x40]])).words).toBe('VDI disk, 1 GiB');
    expect(recognise(bytes(600, [0, 'vhdxfile'])).words).toBe('VHDX disk');
    // A fixed VHD has only a footer.
    expect(recognise(bytes(600), 10_000, bytes(512, [0, 'conectix'], [52, [0x40]])).words).toBe('VHD disk, 1 GiB');
  });

  it('tells CDs, floppies and raw disks, and whether a BIOS boots them', () => {
    const cd: [number, string][] = [[0x8001, 'CD001'], [0x8028, 'DEBIAN 12   ']];
    expect(recognise(bytes(0x9000, ...cd, [0x8801, 'CD001'], [0x8807, 'EL TORITO SPECIFICATION']))).toEqual({ role: 'cdrom', words: 'CD “DEBIAN 12”, boots by BIOS' });
    // One that can be written to a USB stick as well.
    expect(recognise(bytes(0x9000, [0, [0x33]], [0x1fe, [0x55, 0xaa]], ...cd)).words).toBe('CD “DEBIAN 12”, not bootable');
    expect(recognise(bytes(0x9000, [0, [0xeb]], [0x1fe, [0x55, 0xaa]]), 1440 * 1024)).toEqual({ role: 'floppy', words: 'floppy of 1.44 MB, boots by BIOS', raw: true });
    expect(recognise(bytes(0x9000), 720 * 1024).words).toBe('floppy of 720 KB');
    const disk = bytes(0x9000, [0, [0x33]], [0x1be, [0x80]], [0x1c2, [0x83]], [0x1fe, [0x55, 0xaa]]);
    expect(recognise(disk, 3 * 2 ** 30)).toEqual({ role: 'disk', words: 'raw disk, 3 GiB, one partition, boots by BIOS', raw: true });
    expect(recognise(bytes(0x9000, [0x1c2, [0xee]], [0x1fe, [0x55, 0xaa]]), 2 ** 21).words).toBe('raw disk, 2 MiB, GPT');
    expect(recognise(bytes(0x9000, [9, [1]]), 2 ** 21).role).toBe('other');
    // A new one, to install on; others without partitions.
    expect(recognise(bytes(0x9000), 4 * 2 ** 30)).toEqual({ role: 'disk', words: 'raw disk, 4 GiB, no partition table', raw: true });
    expect(recognise(bytes(0x9000), 2 ** 21 + 1).role).toBe('other');
    expect(recognise(bytes(0x9000, [0x438, [0x53, 0xef]]), 2 ** 30).words).toBe('raw disk, 1 GiB, ext2, ext3 or ext4, no partition table');
  });

  it('looks into images, made by qemu-img, for what the guest will find', { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'recognise-'));
    const path = (name: string) => join(folder, name);
    const img = (...args: string[]) => execFileSync('qemu-img', args, { cwd: folder });
    const look = async (name: string) => (await recogniseFile(new Blob([readFileSync(path(name))]))).words;
    try {
      const disk = bytes(3 << 20, [0, [0x33]], [0x1be, [0x80]], [0x1c2, [0x83]], [0x1fe, [0x55, 0xaa]]);
      writeFileSync(path('boots.raw'), disk);
      const variants: [string, string, ...string[]][] = [
        ['qcow2', 'qcow2'], ['qcow2', 'qcow2', '-c'], ['qcow2', 'qcow2', '-o', 'compat=0.10,cluster_size=4096'], ['vmdk', 'VMDK'],
        ['vmdk', 'VMDK', '-o', 'subformat=streamOptimized'], ['vdi', 'VDI'], ['vpc', 'VHD', '-o', 'force_size=on'], ['vpc', 'VHD', '-o', 'subformat=fixed,force_size=on'], ['vhdx', 'VHDX'],
      ];
      for (const [format, title, ...options] of variants) {
        img('convert', '-O', format, ...options, 'boots.raw', 'boots.img');
        expect(await look('boots.img'), [format, ...options].join(' ')).toBe(`${title} disk${title === 'VHDX' ? '' : ', 3 MiB'}, one partition, boots by BIOS`);
      }
      // The same without a program in its boot record; one that nobody has written to.
      writeFileSync(path('data.raw'), disk.fill(0, 0, 0x1b8));
      img('convert', '-O', 'qcow2', 'data.raw', 'data.qcow2');
      expect(await look('data.qcow2')).toBe('qcow2 disk, 3 MiB, one partition, not bootable by BIOS');
      img('create', '-f', 'qcow2', 'new.qcow2', '8G');
      expect(await look('new.qcow2')).toBe('qcow2 disk, 8 GiB, empty');
      img('create', '-f', 'qcow2', '-b', 'data.qcow2', '-F', 'qcow2', 'child.qcow2');
      expect(await look('child.qcow2')).toBe('qcow2 disk, 3 MiB, which cannot be used: it needs the file data.qcow2, which is not there');
      // Cut off behind the header: said, not thrown.
      img('convert', '-O', 'vdi', 'boots.raw', 'cut.vdi');
      writeFileSync(path('cut.vdi'), readFileSync(path('cut.vdi')).subarray(0, 1024));
      expect(await look('cut.vdi')).toMatch(/^VDI disk, 3 MiB, which cannot be used: /);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('looks into gzip and zstd', async () => {
    const gzip = async (content: Uint8Array) => new Response(new Blob([content as BlobPart]).stream().pipeThrough(new CompressionStream('gzip'))).blob();
    const zstd = async (content: Uint8Array, ...options: string[]) => new Blob([execFileSync('zstd', ['-q', '-c', `--stream-size=${content.length}`, ...options], { input: content, maxBuffer: 1 << 26 })]);
    const floppy = bytes(1440 * 1024, [0, [0xeb]], [0x1fe, [0x55, 0xaa]]);
    const disk = bytes(3 << 20, [0, [0x33]], [0x1be, [0x80]], [0x1c2, [0x83]], [0x1fe, [0x55, 0xaa]]);
    for (const [pack, name] of [[gzip, 'gzip'], [zstd, 'zstd']] as const) {
      const look = async (content: Uint8Array) => recogniseFile(await pack(content));
      expect(await look(bytes(0x9000, [0x8001, 'CD001']))).toEqual({ role: 'cdrom', words: `CD, not bootable, packed by ${name}` });
      expect(await look(floppy)).toEqual({ role: 'floppy', words: `floppy of 1.44 MB, boots by BIOS, packed by ${name}` });
      expect(await look(disk)).toEqual({ role: 'disk', words: `raw disk, 3 MiB, one partition, boots by BIOS, packed by ${name}` });
      expect(await look(bytes(300, [0, [0x51, 0x46, 0x49, 0xfb]], [27, [2]]))).toEqual({ role: 'disk', words: `qcow2 disk, 8 GiB, packed by ${name}` });
      expect((await look(bytes(200, [0, '070701']))).words).toBe(`initramfs (${name})`);
      expect((await recogniseFile((await pack(bytes(0x20000, [0, '070701'], [4000, [...Array(200).keys()]]))).slice(0, 30))).words).toBe(`initramfs (${name})`);
    }
    // A stream, whose frame does not tell its size.
    expect((await recogniseFile(await zstd(disk, '--no-content-size'))).words).toBe('raw disk, one partition, boots by BIOS, packed by zstd');
    expect((await recogniseFile(await zstd(floppy, '--no-content-size'))).role).toBe('floppy');
  });
});
