import { expect, it } from 'vitest';
import { romFor } from './option-rom.ts';

/** A ROM of 512 bytes for 1af4:1041, whose bytes add up to zero. */
function rom(): Uint8Array {
  const bytes = new Uint8Array(512);
  bytes.set([0x55, 0xaa, 1]);
  bytes[0x18] = 0x1c;
  bytes.set([0x50, 0x43, 0x49, 0x52, 0xf4, 0x1a, 0x41, 0x10], 0x1c);
  bytes[6] = -bytes.reduce((sum, byte) => sum + byte, 0);
  return bytes;
}

it('a ROM is made to name another card, and its sum stays zero', () => {
  const patched = romFor(rom(), 0x8086, 0x100e);
  expect([...patched.subarray(0x20, 0x24)]).toEqual([0x86, 0x80, 0x0e, 0x10]);
  expect(patched.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  expect(rom()).not.toEqual(patched);
});

it('what is no ROM stays as it is', () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(64), Uint8Array.of(0x55, 0xaa), rom().fill(0xff, 0x18, 0x1a), rom().fill(0, 0x1c, 0x20)]) expect(romFor(bytes, 1, 2)).toEqual(bytes);
});
