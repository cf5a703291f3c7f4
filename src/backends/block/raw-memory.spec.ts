import { describe, expect, it } from 'vitest';
import { BlockError } from '../../devices/interfaces.ts';
import { RawMemory } from './raw-memory.ts';

describe('RawMemory', () => {
  it('keeps what is written', () => {
    const disk = new RawMemory(new Uint8Array(2048).fill(9));
    disk.write(512, Uint8Array.of(1, 2, 3));
    disk.writeZeroes(1024, 512);
    disk.discard(1536, 512);
    disk.flush();
    const all = new Uint8Array(2048);
    disk.read(0, all);
    expect([...all.subarray(510, 516)]).toEqual([9, 9, 1, 2, 3, 9]);
    expect(all.subarray(1024).every((byte) => byte === 0)).toBe(true);
  });

  it('has an end, and may be read-only', () => {
    const disk = new RawMemory(new Uint8Array(1024), true);
    expect(() => disk.read(1023, new Uint8Array(2))).toThrow(BlockError);
    for (const action of [() => disk.write(0, new Uint8Array(1)), () => disk.writeZeroes(0, 1), () => disk.discard(0, 1)]) expect(action).toThrow('read-only');
    expect(() => new RawMemory(new Uint8Array(1)).write(1, new Uint8Array(1))).toThrow(BlockError);
  });
});
