// Against zstd(1), of Debian's package zstd.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ImageError } from './io.ts';
import { decompressZstd, readFrame } from './zstd.ts';

const folder = mkdtempSync(join(tmpdir(), 'zstd-'));
afterAll(() => rmSync(folder, { recursive: true }));

let seed = 12345;
const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8;
const noise = (length: number, mask = 0xff) => Buffer.from(Array.from({ length }, () => random() & mask));
const source = readFileSync(import.meta.filename);

/** Contents of different kinds, each long enough for several blocks. */
const CONTENTS: Record<string, Buffer> = {
  nothing: Buffer.alloc(0),
  one: Buffer.from('x'),
  zeros: Buffer.alloc(1 << 20),
  noise: noise(300_000),
  'a few symbols': noise(300_000, 3),
  'sixteen symbols': noise(300_000, 15),
  text: Buffer.concat(Array.from({ length: 200 }, (_, n) => Buffer.concat([source, Buffer.from(String(n))]))),
  mixed: Buffer.concat(Array.from({ length: 60 }, (_, n) => (n % 3 === 0 ? noise(random() % 9000) : n % 3 === 1 ? Buffer.alloc(random() % 9000, n) : source.subarray(random() % 500)))),
};

const packed = new Map<string, Buffer>();
function compress(bytes: Buffer, options: string[]): Buffer {
  const path = join(folder, 'input');
  writeFileSync(path, bytes);
  const result = spawnSync('zstd', ['-q', '-c', ...options, path], { maxBuffer: 1 << 26 });
  if (result.status !== 0) throw new Error(`zstd: ${result.stderr}`);
  return result.stdout;
}

describe('zstd', () => {
  for (const options of [['--fast=5'], ['-1'], ['-3', '--no-check'], ['-9'], ['-19']]) {
    it(`gives back what zstd ${options.join(' ')} compressed`, { timeout: 60_000 }, () => {
      for (const [name, bytes] of Object.entries(CONTENTS)) {
        const data = compress(bytes, options);
        packed.set(`${name} ${options}`, data);
        expect(Buffer.compare(decompressZstd(data, bytes.length), bytes), name).toBe(0);
      }
    });
  }

  it('reads the header of a frame', () => {
    expect(readFrame(compress(Buffer.alloc(5000), []), 0)).toMatchObject({ contentSize: 5000, checksum: true });
    expect(readFrame(Buffer.from('502a4d1807000000', 'hex'), 0)).toEqual({ skip: 15 });
  });

  it('refuses damaged data, with no more than an error', { timeout: 60_000 }, () => {
    const samples = [...packed.values()].map((data) => data.subarray(0, 4000));
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { maxLength: 8 }), (data, changes) => {
        const bad = Buffer.from(data);
        for (const [at, value] of changes) if (at < bad.length) bad[at] = value;
        try {
          decompressZstd(bad, 200_000);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 400 },
    );
    expect(() => decompressZstd(compress(CONTENTS.zeros, []), 65536)).toThrow('more than it may');
  });
});
