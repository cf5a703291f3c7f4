// What a file is, by its content. Sources: the Linux/x86 Boot Protocol (Documentation/arch/x86/boot.rst), the Multiboot
// Specification 0.6.96 section 3.1, the initramfs buffer format (Documentation/driver-api/early-userspace).

export interface Recognised {
  role: 'kernel' | 'initrd' | 'other';
  /** In words, to show. */
  words: string;
}

/** Bytes of a file's start that recognise() wants to see. */
export const RECOGNISE_BYTES = 0x9000;

/** @param head the file's first RECOGNISE_BYTES bytes, or all of a shorter one */
export function recognise(head: Uint8Array): Recognised {
  const at = (offset: number, ...bytes: number[]) => bytes.every((byte, i) => head[offset + i] === byte);
  const ascii = (offset: number, text: string) => at(offset, ...[...text].map((c) => c.charCodeAt(0)));
  if (head.length === 0) return { role: 'other', words: 'an empty file' };
  if (ascii(0x202, 'HdrS') && at(0x1fe, 0x55, 0xaa)) return { role: 'kernel', words: linuxKernel(head) };
  if (at(0, 0x7f, 0x45, 0x4c, 0x46)) {
    return hasMultibootHeader(head)
      ? { role: 'kernel', words: 'multiboot kernel (ELF)' }
      : { role: 'other', words: 'an ELF program without a multiboot header' };
  }
  if (ascii(0, '070701') || ascii(0, '070702')) return { role: 'initrd', words: 'initramfs (cpio)' };
  if (at(0, 0x1f, 0x8b, 8)) return { role: 'initrd', words: 'initramfs (gzip)' };
  if (at(0, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)) return { role: 'initrd', words: 'initramfs (xz)' };
  if (at(0, 0x28, 0xb5, 0x2f, 0xfd)) return { role: 'initrd', words: 'initramfs (zstd)' };
  if (at(0, 0x02, 0x21, 0x4c, 0x18)) return { role: 'initrd', words: 'initramfs (lz4)' };
  if (ascii(0, 'BZh')) return { role: 'initrd', words: 'initramfs (bzip2)' };
  if (at(0, 0x51, 0x46, 0x49, 0xfb)) return { role: 'other', words: 'a qcow2 disk; disks cannot be booted yet' };
  if (ascii(0x8001, 'CD001')) return { role: 'other', words: 'a CD image; CDs cannot be booted yet' };
  return { role: 'other', words: 'neither a kernel nor an initramfs that Tabvisor knows' };
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
