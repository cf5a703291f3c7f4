import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RawMemory } from './raw-memory.ts';
import { SnapshotDisk } from './snapshot.ts';
import { now } from './testing.ts';

const SECTORS = 400;

describe('SnapshotDisk', () => {
  it('is like a disk that was copied, and leaves the one beneath alone', () => {
    const range = fc.tuple(fc.nat(SECTORS - 1), fc.integer({ min: 1, max: 300 })).map(([at, n]) => ({ at, n: Math.min(n, SECTORS - at) }));
    const step = fc.tuple(fc.constantFrom('write', 'zero', 'read'), range, fc.nat(255));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const bytes = new Uint8Array(SECTORS * 512).map((_, i) => i >> 4);
        const before = bytes.slice();
        const model = bytes.slice();
        const disk = new SnapshotDisk(new RawMemory(bytes, true));
        for (const [what, { at, n }, value] of steps) {
          const part = model.subarray(at * 512, (at + n) * 512);
          if (what === 'write') {
            part.fill(value);
            now((done) => disk.write(at * 512, part.slice(), done));
          } else if (what === 'zero') {
            part.fill(0);
            now((done) => disk.writeZeroes(at * 512, n * 512, true, done));
          }
          const seen = new Uint8Array(n * 512);
          now((done) => disk.read(at * 512, seen, done));
          expect(Buffer.compare(seen, part)).toBe(0);
        }
        const all = new Uint8Array(bytes.length);
        now((done) => disk.read(0, all, done));
        expect(Buffer.compare(all, model)).toBe(0);
        expect(Buffer.compare(bytes, before)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('has an end', () => {
    const disk = new SnapshotDisk(new RawMemory(new Uint8Array(1024)));
    expect(() => now((done) => disk.write(512, new Uint8Array(1024), done))).toThrow('no sectors');
    expect(() => now((done) => disk.read(-512, new Uint8Array(512), done))).toThrow('no sectors');
  });
});
