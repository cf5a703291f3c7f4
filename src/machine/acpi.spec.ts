import { beforeEach, describe, expect, it } from 'vitest';
import { buildDsdt, installAcpiTables, RSDP_ADDRESS } from './acpi.ts';
import { type E820Entry, E820Type } from './boot/e820.ts';

const RAM = 64 << 20;
let rsdp: Uint8Array;
let written: Map<number, Uint8Array>;
let e820: E820Entry[];
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const signature = (bytes: Uint8Array) => String.fromCharCode(...bytes.subarray(0, 4));

beforeEach(() => {
  written = new Map();
  e820 = installAcpiTables(
    {
      write: (address, data) => void written.set(address, data),
      writeRom(address, data) {
        expect(address).toBe(RSDP_ADDRESS);
        rsdp = data;
      },
    },
    { ramSize: RAM, cpus: 3, serialPorts: [true, true] },
  );
});

describe('tables', () => {
  it('are found from the RSDP, each with its length and checksum', () => {
    expect(String.fromCharCode(...rsdp.subarray(0, 8))).toBe('RSD PTR ');
    expect(sum(rsdp.subarray(0, 20))).toBe(0);
    expect(sum(rsdp)).toBe(0);
    expect(RSDP_ADDRESS % 16).toBe(0);
    const rsdt = written.get(view(rsdp).getUint32(16, true))!;
    const xsdt = written.get(Number(view(rsdp).getBigUint64(24, true)))!;
    expect([signature(rsdt), signature(xsdt)]).toEqual(['RSDT', 'XSDT']);
    const pointers = [36, 40].map((at) => view(rsdt).getUint32(at, true));
    expect([36, 44].map((at) => Number(view(xsdt).getBigUint64(at, true)))).toEqual(pointers);
    const [fadt, madt] = pointers.map((address) => written.get(address)!);
    expect([signature(fadt), signature(madt)]).toEqual(['FACP', 'APIC']);
    const dsdt = written.get(view(fadt).getUint32(40, true))!;
    const facs = written.get(view(fadt).getUint32(36, true))!;
    expect([signature(dsdt), signature(facs)]).toEqual(['DSDT', 'FACS']);
    expect(view(fadt).getUint32(36, true) % 64).toBe(0);
    for (const table of [rsdt, xsdt, fadt, madt, dsdt]) {
      expect(sum(table)).toBe(0);
      expect(view(table).getUint32(4, true)).toBe(table.length);
    }
    expect(fadt.length).toBe(244);
  });

  it('FADT describes the PIIX4 and the reset register', () => {
    const fadt = view([...written.values()].find((table) => signature(table) === 'FACP')!);
    expect(fadt.getUint16(46, true)).toBe(9);
    expect([48, 56, 64, 76, 80].map((at) => fadt.getUint32(at, true))).toEqual([0xb2, 0x600, 0x604, 0x608, 0xafe0]);
    expect(fadt.getUint32(112, true) & 0x400).toBe(0x400);
    expect([fadt.getUint8(116), fadt.getUint32(120, true), fadt.getUint8(128)]).toEqual([1, 0xcf9, 6]);
  });

  it('MADT lists CPUs, I/O APIC, overrides and NMI', () => {
    const madt = [...written.values()].find((table) => signature(table) === 'APIC')!;
    const entries: number[][] = [];
    for (let at = 44; at < madt.length; at += madt[at + 1]) entries.push([...madt.subarray(at, at + madt[at + 1])]);
    expect(view(madt).getUint32(36, true)).toBe(0xfee00000);
    expect(entries.filter(([type]) => type === 0).map((entry) => entry[3])).toEqual([0, 1, 2]);
    expect(entries.filter(([type]) => type === 1)).toEqual([[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]]);
    expect(entries.filter(([type]) => type === 2).map((entry) => [entry[3], entry[4], entry[8]])).toEqual([
      [0, 2, 0],
      [5, 5, 13],
      [9, 9, 13],
      [10, 10, 13],
      [11, 11, 13],
    ]);
    expect(entries.at(-1)).toEqual([4, 6, 0xff, 0, 0, 1]);
  });

  it('DSDT names what it should, and the PkgLengths nest', () => {
    const dsdt = buildDsdt({ ramSize: RAM, cpus: 3, serialPorts: [true, true] });
    const text = String.fromCharCode(...dsdt);
    for (const name of ['PCI0', '_PRT', 'LNKA', 'LNKD', 'LNKS', 'COM1', 'COM2', 'KBD_', 'RTC_', 'C002', '\\_S5_']) expect(text).toContain(name);
    for (const name of ['COM3', 'C003', 'MOU_']) expect(text).not.toContain(name);
    expect(String.fromCharCode(...buildDsdt({ ramSize: RAM, cpus: 1, serialPorts: [], mouse: true }))).toContain('MOU_');
    // \_SB's scope ends where \_S5 begins.
    expect(dsdt[36]).toBe(0x10);
    const extra = dsdt[37] >> 6;
    let length = dsdt[37] & 0xf;
    for (let i = 0; i < extra; i++) length |= dsdt[38 + i] << (4 + 8 * i);
    expect(text.slice(37 + length, 37 + length + 6)).toBe('\x08\\_S5_');
  });
});

describe('memory map', () => {
  it('covers RAM without gaps or overlaps, tables at its top', () => {
    for (let i = 1; i < e820.length; i++) expect(e820[i].address).toBeGreaterThanOrEqual(e820[i - 1].address + e820[i - 1].size);
    expect(e820.slice(0, 3)).toEqual([
      { address: 0, size: 0x9fc00, type: E820Type.RAM },
      { address: 0x9fc00, size: 0x400, type: E820Type.RESERVED },
      { address: 0xf0000, size: 0x10000, type: E820Type.RESERVED },
    ]);
    const last = e820.at(-1)!;
    expect(last.address + last.size).toBe(RAM);
    const tables = e820.find(({ type }) => type === E820Type.ACPI)!;
    for (const [address, bytes] of written) {
      if (signature(bytes) === 'FACS') expect(address).toBe(last.address);
      else {
        expect(address).toBeGreaterThanOrEqual(tables.address);
        expect(address + bytes.length).toBeLessThanOrEqual(tables.address + tables.size);
      }
    }
  });
});
