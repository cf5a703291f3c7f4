// Pictures as PNG files: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)". Colour type 2, 8 bits a sample.

import type { Picture } from '../devices/vga-picture.ts';

export { drawScreen, toPpm, type Picture } from '../devices/vga-picture.ts';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** CRC of ISO 3309, as PNG's annex D computes it. */
const CRC = Int32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

/** The file of a picture. */
export async function toPng({ width, height, rgba }: Picture): Promise<Uint8Array> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  // A line is a byte that names its filter, 0 for none, and the samples.
  const lines = new Uint8Array(height * (1 + 3 * width));
  for (let y = 0, at = 0, from = 0; y < height; y++) {
    at++;
    for (let x = 0; x < width; x++, from += 4) {
      lines[at++] = rgba[from];
      lines[at++] = rgba[from + 1];
      lines[at++] = rgba[from + 2];
    }
  }
  const compressed = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream('deflate')));
  const parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', header), chunk('IDAT', new Uint8Array(await compressed.arrayBuffer())), chunk('IEND', new Uint8Array(0))];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
