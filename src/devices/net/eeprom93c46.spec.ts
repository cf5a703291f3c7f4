import { beforeEach, describe, expect, it } from 'vitest';
import { Eeprom93c46 } from './eeprom93c46.ts';

let chip: Eeprom93c46;
const bit = (value: number): number => {
  chip.setPins(true, false, value === 1);
  chip.setPins(true, true, value === 1);
  return chip.dataOut ? 1 : 0;
};
/** Select, send bits (most significant first), clock `out` bits in, deselect. */
function talk(bits: number, count: number, out = 0): number {
  chip.setPins(false, false, false);
  chip.setPins(true, false, false);
  for (let n = count - 1; n >= 0; n--) bit((bits >> n) & 1);
  let value = 0;
  for (let n = 0; n < out; n++) value = value * 2 + bit(0);
  chip.setPins(false, false, false);
  return value;
}
const read = (address: number): number => talk(0b110_000000 | address, 9, 16);

describe('93C46', () => {
  beforeEach(() => (chip = new Eeprom93c46([0x1234, 0x8001, 0xabcd])));

  it('reads words, one after the other', () => {
    expect([0, 1, 2, 3, 63].map(read)).toEqual([0x1234, 0x8001, 0xabcd, 0xffff, 0xffff]);
    expect(talk(0b110_000000, 9, 32)).toBe(0x1234_8001);
  });

  it('gives a zero before a word, and takes zeroes before the start bit', () => {
    chip.setPins(true, false, false);
    for (const one of [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]) bit(one);
    expect(bit(1)).toBe(0);
    expect(talk(0b0001100_00010, 12, 16)).toBe(0xabcd);
  });

  it('writes only when enabled', () => {
    talk(0b101_000101 * 65536 + 0xbeef, 25);
    expect(read(5)).toBe(0xffff);
    talk(0b100_110000, 9);
    talk(0b101_000101 * 65536 + 0xbeef, 25);
    expect(read(5)).toBe(0xbeef);
    talk(0b111_000101, 9);
    expect(read(5)).toBe(0xffff);
    talk(0b100_010000 * 65536 + 0x5555, 25);
    expect([read(0), read(63)]).toEqual([0x5555, 0x5555]);
    talk(0b100_100000, 9);
    expect(read(0)).toBe(0xffff);
    talk(0b100_000000, 9);
    talk(0b101_000101 * 65536 + 0xbeef, 25);
    expect(read(5)).toBe(0xffff);
  });

  it('keeps what it is doing in a snapshot', () => {
    chip.setPins(true, false, false);
    for (const one of [1, 1, 0, 0, 0, 0, 0, 0, 1]) bit(one);
    const other = new Eeprom93c46([]);
    other.load(structuredClone(chip.save()));
    chip = other;
    let value = 0;
    for (let n = 0; n < 16; n++) value = value * 2 + bit(0);
    expect(value).toBe(0x8001);
  });
});
