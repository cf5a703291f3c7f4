import { describe, expect, it } from 'vitest';
import { Mem } from '../core/layout.ts';
import { FwCfg } from '../devices/fw-cfg.ts';
import { bootOrderCmos, bootOrderFile, fillFwCfg, isFirmware, type FirmwareOptions } from './firmware.ts';
import { MemoryMap } from './memory-map.ts';

const RAM = 16 << 20;
const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });

function files(more: Partial<FirmwareOptions> = {}): Map<string, Uint8Array> {
  const fw = new FwCfg(new MemoryMap(memory, RAM, { memoryMapChanged() {}, invalidateCode() {} }));
  fillFwCfg(fw, { ramSize: RAM, cpus: 1, serialPorts: [true], noGraphic: false, boot: { order: 'cad', menu: false, strict: false }, ...more });
  return new Map(fw.list());
}

/** What SeaBIOS does with etc/table-loader: memory with the files placed, and where each is. */
function load(all: Map<string, Uint8Array>): { placed: Map<string, { at: number; bytes: Uint8Array }>; zones: Map<string, number> } {
  const script = all.get('etc/table-loader')!;
  const placed = new Map<string, { at: number; bytes: Uint8Array }>();
  const zones = new Map<string, number>();
  let free = 0x3ff0000;
  for (let at = 0; at < script.length; at += 128) {
    const view = new DataView(script.buffer, script.byteOffset + at, 128);
    const name = (offset: number) => String.fromCharCode(...script.subarray(at + offset, at + offset + 56)).replace(/\0.*$/s, '');
    const file = () => placed.get(name(4))!;
    switch (view.getUint32(0, true)) {
      case 1: {
        const bytes = all.get(name(4))!.slice();
        const align = view.getUint32(60, true);
        free = Math.ceil(free / align) * align;
        placed.set(name(4), { at: free, bytes });
        zones.set(name(4), view.getUint8(64));
        free += bytes.length;
        break;
      }
      case 2: {
        const offset = view.getUint32(116, true);
        const size = view.getUint8(120);
        const source = placed.get(name(60))!.at;
        const target = new DataView(file().bytes.buffer);
        if (size === 4) target.setUint32(offset, target.getUint32(offset, true) + source, true);
        else target.setBigUint64(offset, target.getBigUint64(offset, true) + BigInt(source), true);
        break;
      }
      case 3: {
        const [offset, start, length] = [60, 64, 68].map((word) => view.getUint32(word, true));
        file().bytes[offset] -= file().bytes.subarray(start, start + length).reduce((sum, byte) => sum + byte, 0);
        break;
      }
      default:
        throw new Error('a command SeaBIOS does not know');
    }
  }
  return { placed, zones };
}

describe('fw_cfg for the firmware', () => {
  it('has ACPI tables whose loader makes them right', () => {
    const { placed, zones } = load(files());
    const tables = placed.get('etc/acpi/tables')!;
    const rsdp = placed.get('etc/acpi/rsdp')!;
    expect([zones.get('etc/acpi/rsdp'), zones.get('etc/acpi/tables')]).toEqual([2, 1]);
    const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
    expect([sum(rsdp.bytes.subarray(0, 20)), sum(rsdp.bytes)]).toEqual([0, 0]);
    const table = (address: number) => {
      const at = address - tables.at;
      const length = new DataView(tables.bytes.buffer).getUint32(at + 4, true);
      const bytes = tables.bytes.slice(at, at + length);
      return { name: String.fromCharCode(...bytes.subarray(0, 4)), bytes, view: new DataView(bytes.buffer), sum: sum(bytes) };
    };
    const view = new DataView(rsdp.bytes.buffer);
    const rsdt = table(view.getUint32(16, true));
    const xsdt = table(Number(view.getBigUint64(24, true)));
    expect([rsdt.name, rsdt.sum, xsdt.name, xsdt.sum]).toEqual(['RSDT', 0, 'XSDT', 0]);
    const [fadt, madt] = [36, 40].map((at) => table(rsdt.view.getUint32(at, true)));
    expect([36, 44].map((at) => table(Number(xsdt.view.getBigUint64(at, true))).name)).toEqual(['FACP', 'APIC']);
    expect([fadt.sum, madt.sum]).toEqual([0, 0]);
    expect(table(fadt.view.getUint32(36, true)).name).toBe('FACS');
    const dsdt = fadt.view.getUint32(40, true);
    expect(Number(fadt.view.getBigUint64(140, true))).toBe(dsdt);
    expect([table(dsdt).name, table(dsdt).sum]).toEqual(['DSDT', 0]);
  });

  it('has the memory map', () => {
    const view = new DataView(files().get('etc/e820')!.buffer);
    expect(view.byteLength).toBe(20);
    expect([view.getBigUint64(0, true), view.getBigUint64(8, true), view.getUint32(16, true)]).toEqual([0n, BigInt(RAM), 1]);
  });

  it('says how to boot', () => {
    const boot = { order: 'c', menu: true, strict: true, splashTime: 0x1234, rebootTimeout: 500 };
    const all = files({ boot });
    expect(String.fromCharCode(...bootOrderFile(['/a', '/b'], true))).toBe('/a\n/b\nHALT\0');
    expect([...all.get('etc/boot-menu-wait')!]).toEqual([0x34, 0x12]);
    expect([...all.get('etc/boot-fail-wait')!]).toEqual([0xf4, 1, 0, 0]);
    expect(bootOrderFile([], false).length).toBe(0);
    expect([...files().get('etc/boot-fail-wait')!]).toEqual([255, 255, 255, 255]);
    expect(bootOrderCmos('cad')).toEqual({ x3d: 0x12, x38: 0x30 });
    expect(bootOrderCmos('n')).toEqual({ x3d: 0x04, x38: 0 });
  });
});

it('firmware is whole pages with code at the end', () => {
  const image = new Uint8Array(0x20000);
  expect(isFirmware(image)).toBe(false);
  image[0x1fff0] = 0xea;
  expect(isFirmware(image)).toBe(true);
  expect(isFirmware(image.subarray(1))).toBe(false);
  expect(isFirmware(new Uint8Array(0))).toBe(false);
});
