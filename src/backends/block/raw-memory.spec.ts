import { describe, expect, it } from 'vitest';
import { BlockError } from '../../devices/interfaces.ts';
import { RawMemory } from './raw-memory.ts';
import { now } from './testing.ts';

describe('RawMemory', () => {
  it('keeps what is written', () => {
    const disk = new RawMemory(new Uint8Array(2048).fill(9));
    now((done) => disk.write(512, Uint8Array.of(1, 2, 3), done));
    now((done) => disk.writeZeroes(1024, 512, false, done));
    now((done) => disk.discard(1536, 512, done));
    now((done) => disk.flush(done));
    const all = new Uint8Array(2048);
    now((done) => disk.read(0, all, done));
    expect([...all.subarray(510, 516)]).toEqual([9, 9, 1, 2, 3, 9]);
    expect(all.subarray(1024).every((byte) => byte === 0)).toBe(true);
  });

  it('has an end, and may be read-only', () => {
    const disk = new RawMemory(new Uint8Array(1024), true);
    expect(() => now((done) => disk.read(1023, new Uint8Array(2), done))).toThrow(BlockError);
    expect(() => now((done) => disk.write(0, new Uint8Array(1), done))).toThrow('read-only');
    expect(() => now((done) => disk.writeZeroes(0, 1, false, done))).toThrow('read-only');
    expect(() => now((done) => disk.discard(0, 1, done))).toThrow('read-only');
    expect(() => now((done) => new RawMemory(new Uint8Array(1)).write(1, new Uint8Array(1), done))).toThrow(BlockError);
  });
});
