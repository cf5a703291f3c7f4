// What a file is, by its content. Sources: the Linux/x86 Boot Protocol (Documentation/arch/x86/boot.rst), the Multiboot
// Specification 0.6.96 section 3.1, the initramfs buffer format (Documentation/driver-api/early-userspace); ECMA-119 and El Torito
// (CDs), the partition table of IBM's PC, QEMU's docs/interop/qcow2.txt, VMware's "Virtual Disk Format 5.0", Microsoft's "Virtual Hard
// Disk Image Format" and [MS-VHDX]; gzip (RFC 1952) and Zstandard (RFC 8878); iPXE's scripts (ipxe.org/scripting).

import { openBlob } from '../backends/block/blob-storage.ts';
import { GzipUnpacker, isGzip } from '../backends/block/gzip.ts';
import { ImageDisk } from '../backends/block/image.ts';
import { ImageError, runLater } from '../backends/block/io.ts';
import { openImage } from '../backends/block/open.ts';
import { isZstd, ZstdUnpacker } from '../backends/block/zstd-unpacker.ts';
import { readFrame } from '../backends/block/zstd.ts';

/** netboot: what a network card's firmware runs. */
export type Role = 'kernel' | 'initrd' | 'disk' | 'cdrom' | 'floppy' | 'netboot' | 'other';

export interface Recognised {
  role: Role;
  /** In words, to show. */
  words: string;
  /** A disk whose bytes are the file's: a line should say so, or the guest could make it look like another format. */
  raw?: true;
}

/** Bytes of a file's end that recognise() wants to see. */
export const RECOGNISE_TAIL = 512;

/** Bytes of a file's start that recognise() wants to see. */
export const RECOGNISE_BYTES = 0x9000;

/** Sizes of diskettes, KiB. */
const FLOPPY_KIB = [160, 180, 320, 360, 720, 1200, 1440, 2880];
const MAX_FLOPPY = 2880 * 1024;
const SECTOR = 512;

/** Look at a file: its start, its end, what is in it if it is packed, and the first sector of the disk that it is an image of. */
export async function recogniseFile(file: Blob): Promise<Recognised> {
  const read = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer());
  const head = await read(file.slice(0, RECOGNISE_BYTES));
  const it = recognise(head, file.size, await read(file.slice(Math.max(0, file.size - RECOGNISE_TAIL))));
  // What the guest will find in an image that has a format of its own.
  if (it.role === 'disk' && !it.raw) return { ...it, words: `${it.words}, ${await insideImage(file)}` };
  if (!isGzip(head) && !isZstd(head)) return it;
  // Images may be packed, too.
  const { head: start, size } = await unpackedHead(file, head);
  const inner = recognise(start, size);
  return inner.role === 'disk' || inner.role === 'cdrom' || inner.role === 'floppy' ? { role: inner.role, words: `${inner.words}, packed by ${isGzip(head) ? 'gzip' : 'zstd'}` } : it;
}

/** What the disk in an image holds, or why nobody can tell. */
async function insideImage(file: Blob): Promise<string> {
  try {
    const { image } = await runLater(openImage(openBlob(file, 'image'), { readOnly: true }));
    const disk = new ImageDisk(image);
    const head = new Uint8Array(Math.min(SECTOR, disk.size));
    await new Promise<void>((resolve, reject) => disk.read(0, head, (error) => (error ? reject(error) : resolve())));
    return [partitions(head), bootsByBios(head) ? 'boots by BIOS' : isEmpty(head) ? 'empty' : 'not bootable by BIOS'].filter(Boolean).join(', ');
  } catch (error) {
    // A format's own words say what is wrong: "it needs the file base.img, which is not there".
    if (error instanceof ImageError) return `which cannot be used: ${error.message}`;
    throw error;
  }
}

/** A boot sector: its mark, and something to run. */
function bootsByBios(head: Uint8Array): boolean {
  return head[0x1fe] === 0x55 && head[0x1ff] === 0xaa && head.subarray(0, 0x1b8).some((byte) => byte !== 0);
}

const isEmpty = (head: Uint8Array): boolean => head.every((byte) => byte === 0);

/** What a file holds that is packed whole, for initramfs and images alike: its start, and its size, Infinity if the file does not say it. */
async function unpackedHead(file: Blob, head: Uint8Array): Promise<{ head: Uint8Array; size: number }> {
  const storage = openBlob(file, 'image');
  const unpacker = isGzip(head) ? new GzipUnpacker(storage) : new ZstdUnpacker(storage);
  const start = new Uint8Array(RECOGNISE_BYTES);
  let at = 0;
  let size = Infinity;
  try {
    // As far as a diskette goes: not every file says how much it holds.
    while (at <= MAX_FLOPPY) {
      const piece = await runLater(unpacker.next());
      if (!piece) return { head: start.subarray(0, Math.min(at, start.length)), size: at };
      if (at < start.length) start.set(piece.subarray(0, start.length - at), at);
      at += piece.length;
    }
    // RFC 1952, 2.3.1: ISIZE. A zstd frame may have its contents' size in front.
    if (isGzip(head)) size = new DataView(await file.slice(-4).arrayBuffer()).getUint32(0, true);
    else {
      const frame = readFrame(head, 0);
      if ('contentSize' in frame && frame.contentSize !== undefined) size = frame.contentSize;
    }
  } catch (error) {
    // Damaged: what there is may say enough.
    if (!(error instanceof ImageError)) throw error;
  }
  return { head: start.subarray(0, Math.min(at, start.length)), size };
}

/**
 * @param head the file's first RECOGNISE_BYTES bytes, or all of a shorter one
 * @param size bytes of the file
 * @param tail its last RECOGNISE_TAIL bytes
 */
export function recognise(head: Uint8Array, size = head.length, tail: Uint8Array = new Uint8Array(0)): Recognised {
  const at = (offset: number, ...bytes: number[]) => bytes.every((byte, i) => head[offset + i] === byte);
  const ascii = (offset: number, text: string) => at(offset, ...[...text].map((c) => c.charCodeAt(0)));
  if (head.length === 0) return { role: 'other', words: 'an empty file' };
  if (ascii(0x202, 'HdrS') && at(0x1fe, 0x55, 0xaa)) return { role: 'kernel', words: linuxKernel(head) };
  if (at(0, 0x7f, 0x45, 0x4c, 0x46)) {
    return hasMultibootHeader(head)
      ? { role: 'kernel', words: 'multiboot kernel (ELF)' }
      : { role: 'other', words: 'an ELF program without a multiboot header' };
  }
  if (ascii(0, '#!ipxe')) return { role: 'netboot', words: 'iPXE script' };
  if (ascii(0, '070701') || ascii(0, '070702')) return { role: 'initrd', words: 'initramfs (cpio)' };
  if (at(0, 0x1f, 0x8b, 8)) return { role: 'initrd', words: 'initramfs (gzip)' };
  if (at(0, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)) return { role: 'initrd', words: 'initramfs (xz)' };
  if (at(0, 0x28, 0xb5, 0x2f, 0xfd)) return { role: 'initrd', words: 'initramfs (zstd)' };
  if (at(0, 0x02, 0x21, 0x4c, 0x18)) return { role: 'initrd', words: 'initramfs (lz4)' };
  if (ascii(0, 'BZh')) return { role: 'initrd', words: 'initramfs (bzip2)' };
  const image = diskImage(head, tail);
  if (image) return image;
  // Before partition tables: many CD images have one, too.
  if (ascii(0x8001, 'CD001')) return { role: 'cdrom', words: `CD${label(head.subarray(0x8028, 0x8048))}, ${ascii(0x8801, 'CD001') && ascii(0x8807, 'EL TORITO') ? 'boots by BIOS' : 'not bootable'}` };
  const boots = bootsByBios(head);
  const kib = FLOPPY_KIB.find((candidate) => candidate * 1024 === size);
  if (kib !== undefined) return { role: 'floppy', words: `floppy of ${kib < 1000 ? `${kib} KB` : kib === 1200 ? '1.2 MB' : `${kib / 1000} MB`}${boots ? ', boots by BIOS' : ''}`, raw: true };
  if (at(0x1fe, 0x55, 0xaa) && size >= 0x10000) {
    const table = partitions(head);
    if (table) return { role: 'disk', words: `raw disk${of(size)}, ${table}${boots ? ', boots by BIOS' : ''}`, raw: true };
    if (boots) return { role: 'disk', words: `raw disk${of(size)}, boots by BIOS`, raw: true };
  }
  // A new disk, to install on, or one that is a file system as a whole.
  const fileSystem = wholeFileSystem(head);
  if (size >= 0x10000 && size % SECTOR === 0 && (fileSystem || (head.length >= SECTOR && isEmpty(head)))) {
    return { role: 'disk', words: `raw disk${of(size)}, ${fileSystem ? `${fileSystem}, ` : ''}no partition table`, raw: true };
  }
  return { role: 'other', words: 'neither a disk, a CD, a floppy, a kernel nor an initramfs that Tabvisor knows' };
}

/** What a disk without partitions may hold: Linux, Documentation/filesystems/ext4/super.rst; XFS, fs/xfs/libxfs/xfs_format.h; LVM2, lib/format_text/layout.h. */
function wholeFileSystem(head: Uint8Array): string | undefined {
  const ascii = (offset: number, text: string) => [...text].every((c, i) => head[offset + i] === c.charCodeAt(0));
  if (head[0x438] === 0x53 && head[0x439] === 0xef) return 'ext2, ext3 or ext4';
  if (ascii(0, 'XFSB')) return 'XFS';
  if (ascii(0xff6, 'SWAPSPACE2')) return 'swap space';
  return ascii(0x200, 'LABELONE') ? 'LVM' : undefined;
}

/** Formats of disk images that have a header, or a footer. */
function diskImage(head: Uint8Array, tail: Uint8Array): Recognised | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const text = (bytes: Uint8Array, from: number, length: number) => String.fromCharCode(...bytes.subarray(from, from + length));
  const disk = (format: string, size: number): Recognised => ({ role: 'disk', words: `${format} disk${of(size)}` });
  if (head.length >= 0x48 && view.getUint32(0) === 0x514649fb) return disk('qcow2', Number(view.getBigUint64(24)));
  if (head.length >= 0x48 && text(head, 0, 4) === 'KDMV') return disk('VMDK', Number(view.getBigUint64(12, true)) * SECTOR);
  if (text(head, 0, 21) === '# Disk DescriptorFile') return { role: 'other', words: 'the description of a VMDK disk, whose data is in other files; a page cannot open those' };
  if (head.length >= 0x200 && view.getUint32(0x40, true) === 0xbeda107f) return disk('VDI', Number(view.getBigUint64(0x170, true)));
  if (text(head, 0, 8) === 'vhdxfile') return disk('VHDX', 0);
  const footer = [head, tail].find((bytes) => text(bytes, 0, 8) === 'conectix');
  if (footer && footer.length >= 56) return disk('VHD', Number(new DataView(footer.buffer, footer.byteOffset, footer.byteLength).getBigUint64(48)));
  return undefined;
}

/** ", 8 GiB". */
function of(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes <= 0) return '';
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let n = bytes / 1024;
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return `, ${Number(n.toPrecision(3))} ${units[unit]}`;
}

/** A volume's name, quoted. */
function label(bytes: Uint8Array): string {
  const text = [...bytes].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ' ')).join('').trim();
  return text ? ` “${text}”` : '';
}

/** The partition table of a boot sector, in words; undefined if there is none. */
function partitions(head: Uint8Array): string | undefined {
  if (head[0x1fe] !== 0x55 || head[0x1ff] !== 0xaa) return undefined;
  const entries = [0, 1, 2, 3].map((n) => head.subarray(0x1be + 16 * n, 0x1ce + 16 * n));
  if (!entries.every((entry) => entry[0] === 0 || entry[0] === 0x80)) return undefined;
  const used = entries.filter((entry) => entry[4] !== 0);
  if (!used.length) return undefined;
  return used.some((entry) => entry[4] === 0xee) ? 'GPT' : used.length === 1 ? 'one partition' : `${used.length} partitions`;
}

/** "Linux 6.1.0-13-amd64, 64-bit". */
function linuxKernel(head: Uint8Array): string {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = view.getUint16(0x206, true);
  const pointer = head.length > 0x20f ? view.getUint16(0x20e, true) : 0;
  let release = '';
  if (pointer) {
    for (let i = pointer + 0x200; i < head.length && head[i] > 0x20 && release.length < 64; i++) release += String.fromCharCode(head[i]);
  }
  // xloadflags, protocol 2.12: bit 0 is XLF_KERNEL_64.
  const wide = version >= 0x20c && (view.getUint16(0x236, true) & 1) !== 0;
  return `Linux kernel${release ? ` ${release}` : ''}, ${wide ? '64-bit' : '32-bit'}`;
}

function hasMultibootHeader(head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (let i = 0; i + 12 <= Math.min(head.length, 8192); i += 4) {
    if (view.getUint32(i, true) === 0x1badb002
      && ((view.getUint32(i, true) + view.getUint32(i + 4, true) + view.getUint32(i + 8, true)) >>> 0) === 0) return true;
  }
  return false;
}
