// What the line's PCI properties make of a machine: one that never runs.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RawMemory } from '../backends/block/raw-memory.ts';
import { PCI_HEADER_TYPE } from '../devices/pci.ts';
import { Machine } from './machine.ts';
import { OptionError, parse } from './options/index.ts';

const build = (name: string): WebAssembly.Module => new WebAssembly.Module(readFileSync(fileURLToPath(new URL(`../../build/${name}.wasm`, import.meta.url))) as BufferSource);
const modules = { core: build('core'), interpreter: build('interpreter') };
/** As much of an option ROM as is looked at here. */
const rom = Uint8Array.from({ length: 2048 }, (_, n) => [0x55, 0xaa, 4][n] ?? n);

function make(line: string): { machine: Machine; file(name: string): Uint8Array | undefined } {
  const config = parse(`-m 16 -bios test -vga none -nic none ${line}`);
  const files = new Map([['test', new Uint8Array(65536).fill(0x90)], ['roms/x.rom', rom], ['pxe-e1000.rom', rom]]);
  const machine = new Machine({ config, modules, files, disks: config.drives.map(() => new RawMemory(new Uint8Array(4096))), hostNow: () => 0, date: { epochMs: 0, offsetMs: 0 }, log: null });
  return { machine, file: (name) => machine.pc.fwCfg.list().find(([key]) => key === name)?.[1] };
}

describe('devices of the line', { timeout: 60_000 }, () => {
  it('share a slot, which its first function says, and are found there by the firmware\'s list', () => {
    const { machine, file } = make('-device e1000,addr=5.1,bootindex=2 -drive if=none,id=d,file=d,format=raw -device virtio-blk-pci,drive=d,addr=5.0,multifunction=on,bootindex=1 -device virtio-rng-pci');
    const { pci } = machine.pc;
    expect(pci.list().slice(4).map(({ slot, fn, device }) => `${slot}.${fn} ${device.name} ${device.readConfig(PCI_HEADER_TYPE, 1)}`)).toEqual(['2.0 virtio-rng-pci 0', '5.0 virtio-blk-pci 128', '5.1 e1000 0']);
    machine.reset();
    expect(pci.get(5, 0)!.readConfig(PCI_HEADER_TYPE, 1)).toBe(128);
    expect(new TextDecoder().decode(file('bootorder'))).toBe('/pci@i0cf8/scsi@5/disk@0,0\n/pci@i0cf8/ethernet@5,1/ethernet-phy@0\0');
  });

  it('have their option ROM as a resource, or with rombar=0 the firmware has the file that the line names', () => {
    const roms = (line: string): unknown[] => {
      const { machine, file } = make(line);
      return [machine.pc.pci.get(2, 0)!.rom?.size, file('genroms/x.rom')];
    };
    for (const model of ['e1000', 'virtio-net-pci']) {
      expect(roms(`-device ${model},romfile=roms/x.rom`)).toEqual([2048, undefined]);
      expect(roms(`-device ${model},romfile=roms/x.rom,rombar=0`)).toEqual([undefined, rom]);
    }
    expect(roms('-device e1000')).toEqual([2048, undefined]);
    const { machine, file } = make('-device e1000,rombar=0');
    expect([machine.pc.pci.get(2, 0)!.rom, file('genroms/pxe-e1000.rom')]).toEqual([undefined, undefined]);
    expect(() => parse(`-bios test -device e1000,rombar=0,romfile=${'x'.repeat(48)}`)).toThrow(OptionError);
  });
});
