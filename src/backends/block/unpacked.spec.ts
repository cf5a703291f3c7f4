import { spawnSync } from 'node:child_process';
import { deflateRawSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GzipUnpacker } from './gzip.ts';
import { ImageError, runNow, type Storage } from './io.ts';
import { MemoryStorage } from './memory-storage.ts';
import { now } from './testing.ts';
import { UnpackedStorage } from './unpacked.ts';
import { ZstdUnpacker } from './zstd-unpacker.ts';

const zstd = (bytes: Uint8Array, ...options: string[]): Buffer => {
  const result = spawnSync('zstd', ['-q', '-c', ...options], { input: bytes, maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(String(result.stderr));
  return result.stdout;
};
/** 5 MiB: text that repeats at a distance, noise, zeros. */
const contents = Buffer.alloc(5 << 20);
for (let n = 0; n < contents.length; n++) contents[n] = n >> 20 === 2 ? 0 : n >> 20 === 1 ? Math.imul(n, 0x9e3779b1) >>> 24 : 97 + ((n ^ (n >> 9) ^ (n >> 17)) % 11);

const gunzip = (storage: Storage) => UnpackedStorage.open(() => new GzipUnpacker(storage));
const unzstd = (storage: Storage) => UnpackedStorage.open(() => new ZstdUnpacker(storage));
const open = (packed: Uint8Array, how: typeof gunzip) => runNow(how(new MemoryStorage(packed, true)));

/** Reads at places all over, back and forth. */
function compare(storage: UnpackedStorage): void {
  expect(storage.size).toBe(contents.length);
  let at = 1;
  for (let n = 0; n < 24; n++) {
    at = (at * 7919 + 12345) % contents.length;
    const part = new Uint8Array(Math.min(n % 3 ? 5000 : 300_000, contents.length - at));
    now((done) => storage.read(at, part, done));
    expect(Buffer.compare(part, contents.subarray(at, at + part.length)), `at ${at}`).toBe(0);
  }
}

describe('a compressed file', () => {
  it('gzip: one member, several, with a name, with padding', { timeout: 60_000 }, () => {
    compare(open(gzipSync(contents), gunzip));
    compare(open(gzipSync(contents, { level: 0 }), gunzip));
    const parts = [contents.subarray(0, 1000), contents.subarray(1000, 1000), contents.subarray(1000)];
    compare(open(Buffer.concat([...parts.map((part) => gzipSync(part)), Buffer.alloc(512)]), gunzip));
    const named = spawnSync('gzip', ['-c', '-N', import.meta.filename]).stdout;
    expect(open(named, gunzip).size).toBeGreaterThan(1000);
  });

  it('zstd: one frame, several, skippable ones, any window', { timeout: 60_000 }, () => {
    for (const options of [['-1'], ['-19', '--long=20'], ['--no-check', '-3']]) compare(open(zstd(contents, ...options), unzstd));
    const skippable = Buffer.concat([Buffer.from('502a4d1805000000', 'hex'), Buffer.alloc(5)]);
    compare(open(Buffer.concat([skippable, zstd(contents.subarray(0, 1 << 20)), skippable, zstd(contents.subarray(1 << 20))]), unzstd));
  });

  it('says what is wrong with it', { timeout: 60_000 }, () => {
    const cases: [Buffer, typeof gunzip, string][] = [];
    for (const [packed, how] of [[gzipSync(contents.subarray(0, 100_000)), gunzip], [zstd(contents.subarray(0, 100_000)), unzstd]] as const) {
      for (const length of [5, 20, packed.length >> 1, packed.length - 2]) cases.push([packed.subarray(0, length), how, '']);
      const bad = Buffer.from(packed);
      bad[bad.length - (how === gunzip ? 6 : 2)] ^= 1;
      cases.push([bad, how, 'checksum']);
      cases.push([Buffer.concat([packed, Buffer.from('what is this here?')]), how, 'something else']);
    }
    for (const [packed, how, message] of cases) {
      expect(() => open(packed, how)).toThrow(ImageError);
      if (message) expect(() => open(packed, how)).toThrow(message);
    }
    // A window of 2 GiB.
    expect(() => open(Buffer.from('28b52ffd00a8010000', 'hex'), unzstd)).toThrow('MiB of memory');
  });

  it('that unpacks to more than is sensible is refused, in bounded memory', { timeout: 60_000 }, () => {
    // 32 MiB of zeros as 32 KiB, again and again: 19 GiB. Members are only read when it is their turn.
    const member = gzipSync(Buffer.alloc(32 << 20), { level: 9 });
    const repeated: Storage = Object.assign(new MemoryStorage(), {
      read(offset: number, into: Uint8Array, done: (error: null) => void) {
        for (let n = 0; n < into.length; n++) into[n] = member[(offset + n) % member.length];
        done(null);
      },
    });
    Object.defineProperty(repeated, 'size', { value: member.length * 600 });
    expect(() => runNow(UnpackedStorage.open(() => new GzipUnpacker(repeated), undefined, 2 ** 29))).toThrow('more than 0.5 GiB');
  });

  it('that is damaged anywhere gives an error or the same bytes', { timeout: 60_000 }, () => {
    const small = contents.subarray(900_000, 1_200_000);
    fc.assert(
      fc.property(fc.constantFrom([gzipSync(small), gunzip] as const, [zstd(small), unzstd] as const), fc.nat(300_000), fc.integer({ min: 1, max: 255 }), ([packed, how], at, change) => {
        const bad = Buffer.from(packed);
        bad[at % bad.length] ^= change;
        try {
          const storage = open(bad, how);
          const all = new Uint8Array(storage.size);
          now((done) => storage.read(0, all, done));
          expect(Buffer.compare(all, small)).toBe(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 60 },
    );
    expect(deflateRawSync(small).length).toBeLessThan(small.length);
  });
});
