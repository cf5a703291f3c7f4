import { describe, expect, it } from 'vitest';
import type { GuestMemory } from '../../devices/interfaces.ts';
import { copyToGuest, type FileData, type HostFile, partOf, wholeOf } from './file-data.ts';

const bytes = Uint8Array.from({ length: 600_001 }, (_, n) => (n * 2654435761) >>> 13);
const file: HostFile = {
  length: bytes.length,
  read: (at, to) => {
    if (at + to.length > bytes.length) throw new Error('beyond the end');
    to.set(bytes.subarray(at, at + to.length));
  },
};

/** What copyToGuest() wrote, from an address on. */
function copied(from: FileData, ...range: number[]): Uint8Array {
  const ram = new Uint8Array(700_000);
  const memory = { write: (address: number, part: Uint8Array) => ram.set(part, address) } as unknown as GuestMemory;
  copyToGuest(memory, 5000, from, ...range);
  return ram;
}

describe('files of the machine line', () => {
  it.each([[[]], [[0, 1]], [[512, 600_001]], [[262_144, 524_288]], [[1000, 263_144]], [[77, 77]]])('go into the guest from the host as from memory: %j', (range) => {
    expect(Buffer.compare(copied(file, ...range), copied(bytes, ...range))).toBe(0);
  });

  it('give parts, as far as they reach', () => {
    expect(partOf(file, 600_000, 700_000)).toEqual(partOf(bytes, 600_000, 700_000));
    expect(partOf(file, 700_000, 800_000)).toHaveLength(0);
    expect(Buffer.compare(wholeOf(file), wholeOf(bytes))).toBe(0);
  });

  it('are not read again where they have become shorter', () => {
    const gone: HostFile = { length: 10, read: () => { throw new Error('shorter than it was'); } };
    expect(() => copied(gone)).toThrow('shorter than it was');
  });
});
