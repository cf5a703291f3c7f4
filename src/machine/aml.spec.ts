import { describe, expect, it } from 'vitest';
import * as aml from './aml.ts';

describe('AML', () => {
  it('names', () => {
    expect(aml.name('KBD')).toEqual([0x4b, 0x42, 0x44, 0x5f]);
    expect(aml.name('\\_SB')).toEqual([0x5c, 0x5f, 0x53, 0x42, 0x5f]);
    expect(aml.name('\\_SB.PCI0').slice(0, 2)).toEqual([0x5c, 0x2e]);
    expect(aml.name('\\_SB.PCI0.ISA').slice(0, 3)).toEqual([0x5c, 0x2f, 3]);
    expect(() => aml.name('lower')).toThrow('no ACPI name');
    expect(() => aml.name('FIVE5')).toThrow('no ACPI name');
  });

  it('integers take the shortest form', () => {
    expect(aml.integer(0)).toEqual([0x00]);
    expect(aml.integer(1)).toEqual([0x01]);
    expect(aml.integer(0xff)).toEqual([0x0a, 0xff]);
    expect(aml.integer(0x1234)).toEqual([0x0b, 0x34, 0x12]);
    expect(aml.integer(0xfec00000)).toEqual([0x0c, 0x00, 0x00, 0xc0, 0xfe]);
  });

  it('EISA identifiers', () => {
    expect(aml.eisaId('PNP0A03')).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03]);
  });

  it('PkgLength of one to three bytes', () => {
    expect(aml.buffer([1, 2])).toEqual([0x11, 0x05, 0x0a, 0x02, 1, 2]);
    const long = aml.buffer(new Array<number>(100).fill(0));
    expect(long.slice(0, 5)).toEqual([0x11, 0x48, 0x06, 0x0a, 100]);
    const longer = aml.buffer(new Array<number>(5000).fill(0));
    expect(longer[1] >> 6).toBe(2);
    expect((longer[1] & 15) | (longer[2] << 4) | (longer[3] << 12)).toBe(longer.length - 1);
    // The length byte counts itself: 62 bytes fit one byte, 63 do not.
    expect(aml.otherwise(new Array<number>(62).fill(0))[1]).toBe(0x3f);
    expect(aml.otherwise(new Array<number>(63).fill(0)).slice(1, 3)).toEqual([0x41, 0x04]);
  });

  it('resource templates end with an end tag', () => {
    expect(aml.resources(aml.isaIrq(8)).slice(-5)).toEqual([0x22, 0x00, 0x01, 0x79, 0x00]);
    expect(aml.ioPorts(0x3f8, 8)).toEqual([0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8]);
  });
});
