import { deflateRawSync, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Inflate, inflateRaw, inflateZlib, WINDOW } from './inflate.ts';
import { ImageError } from './io.ts';

/** Bytes as disks have them: runs, text, noise, in any order. */
const contents = fc
  .array(fc.record({ kind: fc.nat(3), length: fc.nat(3000), seed: fc.nat() }), { maxLength: 12 })
  .map((parts) => Buffer.concat(parts.map(({ kind, length, seed }) => {
    if (kind === 0) return Buffer.alloc(length, seed);
    if (kind === 1) return Buffer.from('The quick brown fox. '.repeat(length)).subarray(seed % 7, length);
    return Buffer.from(Array.from({ length }, (_, n) => Math.imul(n ^ seed, 0x9e3779b1) >>> (kind === 2 ? 24 : 28)));
  })));

describe('inflate', () => {
  it('gives back what zlib compressed, at every level and with every kind of block', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(contents, fc.nat(9), fc.nat(4), (bytes, level, strategy) => {
        expect(Buffer.compare(inflateRaw(deflateRawSync(bytes, { level, strategy }), bytes.length, false), bytes)).toBe(0);
        expect(Buffer.compare(inflateZlib(deflateSync(bytes, { level, strategy }), bytes.length + 10), bytes)).toBe(0);
      }),
      { numRuns: 120 },
    );
  });

  it('goes on from a state that was put aside, with input and room in any portions', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(contents, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (bytes, inputs, rooms) => {
        const packed = deflateRawSync(bytes);
        const out = Buffer.alloc(bytes.length + 1000);
        let inflate = new Inflate();
        let seen = 0;
        for (let n = 0; ; n++) {
          const { inAt, outAt } = inflate;
          const result = inflate.run(packed.subarray(0, seen), seen === packed.length, out, Math.max(0, outAt - WINDOW), outAt + rooms[n % rooms.length]);
          if (result === 'end') break;
          if (result === 'input') {
            expect(seen).toBeLessThan(packed.length);
            seen = Math.min(packed.length, seen + inputs[n % inputs.length]);
          }
          expect(inflate.inAt).toBeGreaterThanOrEqual(inAt);
          const next = new Inflate(structuredClone(inflate.save()));
          next.inAt = inflate.inAt;
          next.outAt = inflate.outAt;
          inflate = next;
        }
        expect(Buffer.compare(out.subarray(0, inflate.outAt), bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses damaged data, and data of another length', { timeout: 60_000 }, () => {
    const bytes = Buffer.from('no more than this, no less'.repeat(40));
    expect(() => inflateRaw(deflateRawSync(bytes), bytes.length + 1)).toThrow(ImageError);
    expect(() => inflateRaw(deflateRawSync(bytes), bytes.length - 1, false)).toThrow('more than');
    expect(() => inflateZlib(deflateSync(bytes), bytes.length - 1)).toThrow('more than');
    const packed = deflateSync(bytes);
    packed[packed.length - 1] ^= 1;
    expect(() => inflateZlib(packed, bytes.length)).toThrow('checksum');
    // A few bytes that would be gigabytes.
    expect(() => inflateRaw(deflateRawSync(Buffer.alloc(10 << 20)), 65536, false)).toThrow('more than');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        try {
          inflateRaw(noise, 1000);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
