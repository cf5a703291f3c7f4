import { beforeEach, describe, expect, it } from 'vitest';
import { Mem } from '../core/layout.ts';
import { MemoryMap } from '../machine/memory-map.ts';
import { FwCfg } from './fw-cfg.ts';

const RAM = 2 << 20;
const memory = new WebAssembly.Memory({ initial: (Mem.RAM + RAM) / 65536, maximum: 65536, shared: true });
let ram: MemoryMap;
let fw: FwCfg;

beforeEach(() => {
  ram = new MemoryMap(memory, RAM, { memoryMapChanged() {}, invalidateCode() {} });
  ram.bytes(0, 0x10000).fill(0xee);
  fw = new FwCfg(ram);
});

const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));
const select = (key: number) => fw.writePort(0x510, 2, key);
const read = (count: number) => Array.from({ length: count }, () => fw.readPort(0x511, 1));
const swap = (v: number) => new DataView(Uint32Array.of(v).buffer).getUint32(0);

const ERROR = 1;
const READ = 2;
const SKIP = 4;
const SELECT = 8;
const WRITE = 0x10;
const ACCESS = 0x1000;

/** One DMA access through a structure at 1000h; gives the control word it leaves. */
function dma(control: number, length: number, address: number, structure = ACCESS): number {
  const access = new DataView(new ArrayBuffer(16));
  access.setUint32(0, control);
  access.setUint32(4, length);
  access.setBigUint64(8, BigInt(address));
  ram.write(structure, new Uint8Array(access.buffer));
  fw.writePort(0x514, 4, 0);
  fw.writePort(0x518, 4, swap(structure));
  return swap(ram.read32(structure));
}

describe('the ports', () => {
  it('say what it is', () => {
    select(0);
    expect(String.fromCharCode(...read(5))).toBe('QEMU\0');
    select(1);
    expect(read(4)).toEqual([3, 0, 0, 0]);
    expect(fw.readPort(0x514, 4)).toBe(0x554d4551); // "QEMU" as a little-endian CPU sees it
    expect(fw.readPort(0x518, 4)).toBe(0x47464320);
    expect(fw.readPort(0x514, 1)).toBe(0x51);
  });

  it('give items from their start each time they are selected, then zeros', () => {
    fw.addInteger(5, 3, 2);
    select(5);
    expect(read(3)).toEqual([3, 0, 0]);
    select(0x4005);
    expect(read(1)).toEqual([3]);
    select(0x8005);
    expect(read(1)).toEqual([0]);
    select(0x3fff);
    expect(read(2)).toEqual([0, 0]);
    // A byte to the selector selects nothing, one to the data register writes nothing.
    select(5);
    fw.writePort(0x510, 1, 0);
    fw.writePort(0x511, 1, 9);
    expect(read(1)).toEqual([3]);
  });

  it('list the files by name', () => {
    fw.addFile('etc/zoo', text('lion'));
    fw.addFile('bootorder', text('x'));
    fw.addFile('etc/zoo', text('lions'));
    select(0x19);
    expect(read(4)).toEqual([0, 0, 0, 2]);
    expect(read(8)).toEqual([0, 0, 0, 1, 0, 0x20, 0, 0]);
    expect(String.fromCharCode(...read(56)).replace(/\0+$/, '')).toBe('bootorder');
    expect(read(8)).toEqual([0, 0, 0, 5, 0, 0x21, 0, 0]);
    select(0x21);
    expect(String.fromCharCode(...read(5))).toBe('lions');
  });

  it('take no file that does not fit the directory', () => {
    expect(() => fw.addFile('x'.repeat(56), text('x'))).toThrow(RangeError);
    for (let i = 0; i < 32; i++) fw.addFile(`f${i}`, text('x'));
    expect(() => fw.addFile('more', text('x'))).toThrow(RangeError);
  });
});

describe('DMA', () => {
  beforeEach(() => fw.addFile('a', text('0123456789')));

  it('selects, skips and reads, with zeros behind the end', () => {
    expect(dma((0x20 << 16) | SELECT, 0, 0)).toBe(0);
    expect(dma(SKIP, 3, 0)).toBe(0);
    expect(dma(READ, 4, 0x2000)).toBe(0);
    expect([...ram.bytes(0x2000, 5)]).toEqual([...text('3456'), 0xee]);
    expect(dma(READ, 5, 0x2000)).toBe(0);
    expect([...ram.bytes(0x2000, 6)]).toEqual([...text('789'), 0, 0, 0xee]);
    expect(dma((0x20 << 16) | SELECT | READ, 2, 0x3000)).toBe(0);
    expect([...ram.bytes(0x3000, 2)]).toEqual([...text('01')]);
    // The port goes on where DMA stopped.
    expect(read(1)).toEqual([...text('2')]);
  });

  it('reads items that do not exist as zeros', () => {
    expect(dma((0x3f00 << 16) | SELECT | READ, 2, 0x2000)).toBe(0);
    expect([...ram.bytes(0x2000, 3)]).toEqual([0, 0, 0xee]);
  });

  it('reports addresses that are not RAM, and writes', () => {
    expect(dma((0x20 << 16) | SELECT | READ, 4, RAM - 2)).toBe(ERROR);
    expect(dma((0x20 << 16) | SELECT | READ, 0xffffffff, 0x2000)).toBe(ERROR);
    expect(dma((0x20 << 16) | SELECT | READ, 4, 0xa0000)).toBe(ERROR);
    expect(dma((0x20 << 16) | SELECT | WRITE, 4, 0x2000)).toBe(ERROR);
    expect(dma((0x20 << 16) | SELECT, 4, 0xffffffff)).toBe(0);
  });

  it('ignores a structure that is not in RAM', () => {
    for (const address of [0xfffffffe, RAM - 8]) {
      fw.writePort(0x514, 4, 0);
      fw.writePort(0x518, 4, swap(address));
    }
    fw.writePort(0x514, 4, swap(1));
    fw.writePort(0x518, 4, swap(0x1000));
    // The high half counts once.
    expect(dma((0x20 << 16) | SELECT, 0, 0)).toBe(0);
  });

  it('reaches shadow RAM', () => {
    ram.setShadow(0xf0000, 0x10000, true, true);
    expect(dma((0x20 << 16) | SELECT | READ, 4, 0xf5000)).toBe(0);
    expect([...ram.bytes(0xf5000, 4)]).toEqual([...text('0123')]);
  });
});

it('keeps its place in a snapshot', () => {
  select(0);
  read(2);
  const state = fw.save();
  select(1);
  fw.load(state);
  expect(String.fromCharCode(...read(2))).toBe('MU');
  fw.reset();
  expect(String.fromCharCode(...read(1))).toBe('Q');
});
