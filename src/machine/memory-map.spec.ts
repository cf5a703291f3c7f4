import { beforeEach, describe, expect, it } from 'vitest';
import { Mem, Pmap } from '../core/layout.ts';
import { GuestMemoryError } from '../devices/interfaces.ts';
import { MemoryMap } from './memory-map.ts';

const RAM = 4 << 20;
const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });
let map: MemoryMap;
let changes: number;
let dropped: number[];
const page = (address: number) => new Uint32Array(memory.buffer, Mem.PMAP, Mem.PMAP_SIZE / 4)[address / 4096];

beforeEach(() => {
  changes = 0;
  dropped = [];
  map = new MemoryMap(memory, RAM, { memoryMapChanged: () => changes++, invalidateCode: (n) => dropped.push(n) });
});

describe('guest RAM', () => {
  it('is little endian and takes any alignment', () => {
    map.write64(0x1003, 0x1122334455667788n);
    expect(map.read8(0x1003)).toBe(0x88);
    expect(map.read16(0x1004)).toBe(0x6677);
    expect(map.read32(0x1007)).toBe(0x11223344);
    expect(map.read64(0x1003)).toBe(0x1122334455667788n);
    map.write(0x2000, Uint8Array.of(1, 2, 3));
    expect([...map.bytes(0x2000, 3)]).toEqual([1, 2, 3]);
    expect(new Uint8Array(memory.buffer)[Mem.RAM + 0x2001]).toBe(2);
    map.write32(RAM - 4, 0xffffffff);
    expect(map.read32(RAM - 4)).toBe(0xffffffff);
  });

  it('ends where it ends', () => {
    const bad: [number, number][] = [[RAM - 3, 4], [RAM, 1], [-1, 1], [0x9ffff, 2], [0xa0000, 1], [0xfffff, 1], [0x1_0000_0000, 1], [NaN, 4], [0, RAM]];
    for (const [address, length] of bad) expect(() => map.bytes(address, length)).toThrow(GuestMemoryError);
    expect(() => map.read32(RAM - 2)).toThrow('is not RAM');
    expect(() => map.write64(0x9fffc, 0n)).toThrow(GuestMemoryError);
    expect(() => map.write(RAM - 1, new Uint8Array(2))).toThrow(GuestMemoryError);
  });

  it('drops decoded code that a device writes to', () => {
    const chunks = new Uint32Array(memory.buffer, Mem.CODE_CHUNKS, Mem.CODE_CHUNKS_SIZE / 4);
    chunks[2 * 3 + 1] = 1;
    map.write32(0x2ffe, 1);
    map.write8(0x4000, 1);
    map.written(0x1000, 0x3000);
    chunks[2 * 3 + 1] = 0;
    expect(dropped).toEqual([3, 3]);
  });

  it('has shadow RAM for devices while it can be read and written', () => {
    expect(() => map.write8(0xf0000, 1)).toThrow(GuestMemoryError);
    map.setShadow(0xf0000, 0x10000, true, true);
    map.write(0xf0ffe, Uint8Array.of(1, 2, 3));
    expect(map.read8(0xf1000)).toBe(3);
    expect(map.bytes(0xff000, 0x2000).length).toBe(0x2000);
    expect(() => map.bytes(0xeffff, 2)).toThrow(GuestMemoryError);
    map.setShadow(0xf0000, 0x10000, true, false);
    expect(() => map.write8(0xf0000, 1)).toThrow(GuestMemoryError);
  });

  it('drops decoded code of pages that become other memory', () => {
    const chunks = new Uint32Array(memory.buffer, Mem.CODE_CHUNKS, Mem.CODE_CHUNKS_SIZE / 4);
    chunks[2 * 0xf0] = 1;
    map.setShadow(0xf0000, 0x10000, true, true);
    map.setShadow(0xf0000, 0x10000, true, false);
    map.setShadow(0xf0000, 0x10000, false, false);
    chunks[2 * 0xf0] = 0;
    expect(dropped).toEqual([0xf0, 0xf0]);
  });

  it('must have a size that can be', () => {
    const listener = { memoryMapChanged() {}, invalidateCode() {} };
    for (const size of [0, 4096, RAM + 1, 8 << 20, 0xf0000000]) expect(() => new MemoryMap(memory, size, listener)).toThrow(RangeError);
  });
});

describe('page map', () => {
  it('tells when it changes, and only then', () => {
    map.setShadow(0xc0000, 0x4000, true, true);
    map.setShadow(0xc0000, 0x4000, true, true);
    expect(changes).toBe(1);
    expect(page(0xc3000)).toBe((Mem.RAM + 0xc3000) | Pmap.READ | Pmap.WRITE);
    map.setSmram(true);
    map.setSmram(true);
    expect(page(0xa0000)).toBe((Mem.RAM + 0xa0000) | 3);
    map.setSmram(false);
    expect(page(0xbf000)).toBe(0);
    expect(changes).toBe(3);
  });

  it('takes firmware at the top of 4 GiB and below 1 MiB', () => {
    const image = new Uint8Array(0x40000).map((_, i) => (i * 7) >> 3);
    map.loadFirmware(image);
    const all = new Uint8Array(memory.buffer);
    const at = (address: number) => all[(page(address & ~0xfff) & ~0xfff) + (address & 0xfff)];
    const top = new Uint32Array(memory.buffer, Mem.PMAP, Mem.PMAP_SIZE / 4);
    expect(top[0xfffff] & 3).toBe(Pmap.READ);
    expect(all[(top[0xfffff] & ~0xfff) + 0xff0]).toBe(image[0x3fff0]);
    expect(all[(top[0xfffc0] & ~0xfff) + 5]).toBe(image[5]);
    expect(at(0xffff0)).toBe(image[0x3fff0]);
    expect(at(0xe0000)).toBe(image[0x20000]);
    expect(() => map.loadFirmware(new Uint8Array(100))).toThrow(RangeError);
    map.unmapMemory(0xe0000, 0x20000);
    expect(page(0xff000)).toBe(0);
  });

  it('shows memory of PCI cards only where nothing else is', () => {
    map.mapCard(RAM - 0x1000, 0x3000, Mem.VRAM, 3);
    expect([page(RAM - 0x1000), page(RAM), page(RAM + 0x1000)]).toEqual([(Mem.RAM + RAM - 0x1000) | 3, (Mem.VRAM + 0x1000) | 3, (Mem.VRAM + 0x2000) | 3]);
    map.unmapCard(RAM - 0x1000, 0x3000, Mem.VRAM, 3);
    expect([page(RAM - 0x1000), page(RAM), page(RAM + 0x1000)]).toEqual([(Mem.RAM + RAM - 0x1000) | 3, 0, 0]);
    map.mapCard(0xfebff000, 0x3000, Mem.VRAM, 3);
    expect([page(0xfebff000), page(0xfec00000)]).toEqual([Mem.VRAM | 3, 0]);
    map.mapCard(0x1000, 0x1000, Mem.VRAM, 3);
    expect(page(0x1000)).toBe((Mem.RAM + 0x1000) | 3);
  });

  it('gives the VGA card its memory and ROM', () => {
    const vga = map.vgaMemory(new Uint8Array(0x9c00).fill(0x55));
    expect([vga.vram.length, vga.romSize]).toEqual([Mem.VRAM_SIZE, 0x10000]);
    vga.mapVram(0xfd000000);
    vga.mapRom(0xfebe0000);
    expect(page(0xfdfff000)).toBe((Mem.VRAM + 0xfff000) | 3);
    expect(page(0xfebe0000) & 3).toBe(Pmap.READ);
    expect(new Uint8Array(memory.buffer)[page(0xfebe9000) & ~0xfff]).toBe(0x55);
    vga.unmapVram(0xfd000000);
    vga.unmapRom(0xfebe0000);
    expect([page(0xfdfff000), page(0xfebe0000)]).toEqual([0, 0]);
    expect(map.vgaMemory(new Uint8Array(0)).romSize).toBe(0);
  });

  it('maps memory of devices', () => {
    map.mapMemory(0xfd000000, 0x2000, Mem.VRAM, Pmap.READ | Pmap.WRITE);
    expect(page(0xfd001000)).toBe((Mem.VRAM + 0x1000) | 3);
  });
});
