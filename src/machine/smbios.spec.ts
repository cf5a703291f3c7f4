import { expect, it } from 'vitest';
import { buildSmbiosFiles } from './smbios.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Structures as a guest's driver finds them: type, formatted bytes behind the header, strings. */
function parse(tables: Uint8Array): [type: number, handle: number, fields: string, strings: string[]][] {
  const found: [number, number, string, string[]][] = [];
  for (let at = 0; at < tables.length; ) {
    const length = tables[at + 1];
    let end = at + length;
    while (tables[end] || tables[end + 1]) end++;
    const strings = Buffer.from(tables.subarray(at + length, end)).toString('latin1').split('\0').filter(Boolean);
    found.push([tables[at], tables[at + 2] | (tables[at + 3] << 8), hex(tables.subarray(at + 4, at + length)), strings]);
    at = end + 2;
  }
  return found;
}

it('are QEMU\'s tables', () => {
  const files = buildSmbiosFiles({ ramSize: 256 << 20, cpus: 1, signature: 0x60fb1, features: 0x078bfbfd });
  // Recorded from qemu-system-x86_64 7.2 -m 256: the memory of its F segment, less the structure that SeaBIOS adds. tests/monitor compares the rest live.
  expect(parse(files.get('etc/smbios/smbios-tables')!)).toEqual([
    [1, 0x100, '0102030000000000000000000000000000000000060000', ['QEMU', 'Standard PC (i440FX + PIIX, 1996)', 'pc-i440fx-7.2']],
    [3, 0x300, '010102000003030302000000000000000000', ['QEMU', 'pc-i440fx-7.2']],
    [4, 0x400, '01030102b10f0600fdfb8b0703000000d007d0074101ffffffffffff00000001010102000100', ['CPU 0', 'QEMU', 'pc-i440fx-7.2']],
    [16, 0x1000, '01030600000400feff01000000000000000000', []],
    [17, 0x1100, '0010feffffffffff00010900010007020000000200000000000000000000000000000000', ['DIMM 0', 'QEMU']],
    [19, 0x1300, '00000000ffff030000100100000000000000000000000000000000', []],
    [32, 0x2000, '00000000000000', []],
    [127, 0x7f00, '', []],
  ]);
  const anchor = files.get('etc/smbios/smbios-anchor')!;
  expect(hex(anchor.subarray(5, 0x15))).toBe('1f0208' + '5100' + '00'.repeat(6) + '5f444d495f');
  expect([anchor[0x1c], anchor[0x1e]]).toEqual([8, 0x28]);
});
