import { inflateSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { toPng } from './png.ts';

it('is a PNG file with the picture\'s dots', async () => {
  const rgba = Uint8ClampedArray.from({ length: 4 * 6 }, (_, i) => (i % 4 === 3 ? 255 : i * 7));
  const file = Buffer.from(await toPng({ width: 3, height: 2, rgba }));
  expect(file.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
  const chunks: Record<string, Buffer> = {};
  for (let at = 8; at < file.length;) {
    const length = file.readUInt32BE(at);
    chunks[file.toString('latin1', at + 4, at + 8)] = file.subarray(at + 8, at + 8 + length);
    at += 12 + length;
  }
  expect(Object.keys(chunks)).toEqual(['IHDR', 'IDAT', 'IEND']);
  expect(chunks.IHDR.toString('hex')).toBe('00000003000000020802000000');
  // The end's check sum is the same in every file (annex D's example).
  expect(file.subarray(-4).toString('hex')).toBe('ae426082');
  const lines = inflateSync(chunks.IDAT);
  expect([...lines]).toEqual([0, ...[0, 1, 2].flatMap((x) => [...rgba.subarray(4 * x, 4 * x + 3)]), 0, ...[3, 4, 5].flatMap((x) => [...rgba.subarray(4 * x, 4 * x + 3)])]);
});
