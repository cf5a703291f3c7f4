import { expect, it } from 'vitest';
import { copyBytes, copyBytesTo } from './shared-copy.ts';

const LENGTHS = [0, 1, 255, 256, 257, 65535, 65536, 65537, 200_000];
const random = (length: number): Uint8Array => Uint8Array.from({ length }, (_, n) => Math.imul(n + 1, 2654435761) >>> 24);

it.each([['plain', 'plain'], ['plain', 'shared'], ['shared', 'plain'], ['shared', 'shared']])('copies what set() would, from %s to %s memory, wherever both lie', (source, target) => {
  const memory = (kind: string): Uint8Array => new Uint8Array(kind === 'shared' ? new SharedArrayBuffer(200_100) : new ArrayBuffer(200_100));
  const from = memory(source);
  from.set(random(from.length));
  for (const length of LENGTHS) {
    for (const [fromPlace, toPlace] of [[0, 0], [0, 1], [14, 0], [3, 12], [9, 17], [66, 8]]) {
      const to = memory(target);
      const wanted = new Uint8Array(to.length);
      wanted.set(from.subarray(fromPlace, fromPlace + length), toPlace);
      copyBytes(to.subarray(toPlace), from.subarray(fromPlace, fromPlace + length));
      expect(Buffer.compare(Buffer.from(to), wanted), `${length} bytes from ${fromPlace} to ${toPlace}`).toBe(0);
      to.fill(0);
      copyBytesTo(to, toPlace, from.subarray(fromPlace, fromPlace + length));
      expect(Buffer.compare(Buffer.from(to), wanted), `${length} bytes from ${fromPlace} to place ${toPlace}`).toBe(0);
    }
  }
});
