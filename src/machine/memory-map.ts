// The guest-physical address space below 4 GiB, as the physical page map (PMAP) that all vCPUs share, and guest RAM for devices.
// The map of an i440FX board: RAM up to 0xA0000, the VGA window, ROM or its shadow RAM from 0xC0000 to 0xFFFFF, RAM from 1 MiB,
// firmware at the top of 4 GiB. What is not RAM or ROM is MMIO.

import { Mem, Pmap } from '../core/layout.ts';
import { type GuestMemory, GuestMemoryError } from '../devices/interfaces.ts';
import type { ShadowMap } from '../devices/i440fx.ts';
import { copyBytes } from '../devices/shared-copy.ts';
import type { VgaMemory } from '../devices/vga.ts';

const PAGE = 4096;
export const VGA_WINDOW = 0xa0000;
export const ROM_AREA = 0xc0000;
export const ONE_MIB = 0x100000;
/** Smallest and largest RAM: up to QEMU's limit for RAM below 4 GiB; none is put above. */
export const MIN_RAM = 0x200000;
export const MAX_RAM = 0xc0000000;
/** Firmware images are kept behind the 256 KiB of the ROM area. */
const FIRMWARE = Mem.ROM + 0x40000;
const MAX_FIRMWARE = 0x200000;
/** And the option ROM of the VGA card behind them. */
const VGA_ROM = Mem.ROM + 0x300000;
const MAX_VGA_ROM = 0x40000;
/** Memory of PCI cards can appear below the I/O APIC, the local APICs and the firmware. */
const PCI_END = 0xfec00000;

/** Who must know of changes. */
export interface MemoryMapListener {
  /** The page map has changed. */
  memoryMapChanged(): void;
  /** A device wrote to a page that holds decoded code. */
  invalidateCode(physicalPage: number): void;
}

export class MemoryMap implements GuestMemory, ShadowMap {
  readonly size: number;
  private readonly pmap: Uint32Array;
  private readonly codeChunks: Uint32Array;
  private readonly view: DataView;
  private readonly all: Uint8Array;
  /** Per 16 KiB of the ROM area: RAM is written. */
  private readonly shadowWritable = new Uint8Array(16);

  /**
   * @param memory the shared memory, at its full size already, and fresh: its pages of zeros, which map nothing, are not touched
   * @param ramSize bytes, a multiple of 4096
   */
  constructor(
    memory: WebAssembly.Memory,
    ramSize: number,
    private readonly listener: MemoryMapListener,
  ) {
    if (ramSize % PAGE || ramSize < MIN_RAM || ramSize > MAX_RAM) {
      throw new RangeError(`RAM of ${ramSize} bytes: must be from 2 MiB to 3072 MiB, in whole pages of 4 KiB`);
    }
    const { buffer } = memory;
    if (buffer.byteLength < Mem.RAM + ramSize) {
      throw new RangeError(`RAM of ${ramSize} bytes does not fit a memory of ${buffer.byteLength} bytes`);
    }
    this.size = ramSize;
    this.all = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.pmap = new Uint32Array(buffer, Mem.PMAP, Mem.PMAP_SIZE / 4);
    this.codeChunks = new Uint32Array(buffer, Mem.CODE_CHUNKS, Mem.CODE_CHUNKS_SIZE / 4);
    this.map(0, VGA_WINDOW, Mem.RAM, Pmap.READ | Pmap.WRITE);
    this.map(ONE_MIB, ramSize - ONE_MIB, Mem.RAM + ONE_MIB, Pmap.READ | Pmap.WRITE);
    this.map(ROM_AREA, ONE_MIB - ROM_AREA, Mem.ROM, Pmap.READ);
  }

  // Mapping

  /** Let a range of guest-physical pages be memory, at an address in the shared memory. The listener is not told. */
  private map(start: number, length: number, address: number, access: number): void {
    for (let offset = 0; offset < length; offset += PAGE) this.pmap[(start + offset) / PAGE] = (address + offset) | access;
  }

  /** Let a range be memory, for video RAM and the like; `access` is made of Pmap bits. */
  mapMemory(start: number, length: number, address: number, access: number): void {
    this.map(start, length, address, access);
    this.dropCode(start, length);
    this.listener.memoryMapChanged();
  }

  /** Let a range be MMIO again. */
  unmapMemory(start: number, length: number): void {
    this.pmap.fill(0, start / PAGE, (start + length) / PAGE);
    this.dropCode(start, length);
    this.listener.memoryMapChanged();
  }

  /**
   * Let memory of a PCI card appear where the guest has put it: between RAM and the I/O APIC, and not over what is mapped there.
   * What lies elsewhere cannot be seen, as behind QEMU's PCI hole.
   */
  mapCard(start: number, length: number, address: number, access: number): void {
    for (let offset = 0; offset < length; offset += PAGE) {
      const at = start + offset;
      if (at >= this.size && at < PCI_END && this.pmap[at / PAGE] === 0) this.pmap[at / PAGE] = (address + offset) | access;
    }
    this.dropCode(start, length);
    this.listener.memoryMapChanged();
  }

  /** Take back what mapCard() gave. */
  unmapCard(start: number, length: number, address: number, access: number): void {
    for (let offset = 0; offset < length; offset += PAGE) {
      const page = (start + offset) / PAGE;
      if (this.pmap[page] === ((address + offset) | access)) this.pmap[page] = 0;
    }
    this.dropCode(start, length);
    this.listener.memoryMapChanged();
  }

  /** Video memory and the VGA card's option ROM, which may be empty, as the card sees them. */
  vgaMemory(rom: Uint8Array): VgaMemory {
    if (rom.length > MAX_VGA_ROM) throw new RangeError(`option ROM of ${rom.length} bytes: at most ${MAX_VGA_ROM}`);
    const romSize = rom.length === 0 ? 0 : Math.max(PAGE, 2 ** Math.ceil(Math.log2(rom.length)));
    this.all.fill(0, VGA_ROM, VGA_ROM + romSize);
    this.all.set(rom, VGA_ROM);
    return {
      vram: this.all.subarray(Mem.VRAM, Mem.VRAM + Mem.VRAM_SIZE),
      romSize,
      mapVram: (at) => this.mapCard(at, Mem.VRAM_SIZE, Mem.VRAM, Pmap.READ | Pmap.WRITE),
      unmapVram: (at) => this.unmapCard(at, Mem.VRAM_SIZE, Mem.VRAM, Pmap.READ | Pmap.WRITE),
      mapRom: (at) => this.mapCard(at, romSize, VGA_ROM, Pmap.READ),
      unmapRom: (at) => this.unmapCard(at, romSize, VGA_ROM, Pmap.READ),
    };
  }

  setShadow(start: number, length: number, read: boolean, write: boolean): void {
    let changed = false;
    for (let address = start; address < start + length; address += PAGE) {
      // Writes without reads go to the RAM beneath the ROM: the page map cannot say that, writeHidden() does it.
      const entry = read
        ? (Mem.RAM + address) | Pmap.READ | (write ? Pmap.WRITE : 0)
        : (Mem.ROM + address - ROM_AREA) | Pmap.READ;
      if (this.pmap[address / PAGE] !== entry) {
        // Going from ROM to RAM or back, other bytes are seen; only writes may have become allowed or forbidden.
        if ((this.pmap[address / PAGE] & ~(PAGE - 1)) !== (entry & ~(PAGE - 1))) this.dropCode(address, PAGE);
        this.pmap[address / PAGE] = entry;
        changed = true;
      }
      this.shadowWritable[(address - ROM_AREA) >> 14] = write ? 1 : 0;
    }
    if (changed) this.listener.memoryMapChanged();
  }

  setSmram(open: boolean): void {
    const isOpen = this.pmap[VGA_WINDOW / PAGE] === (Mem.RAM + VGA_WINDOW | Pmap.READ | Pmap.WRITE);
    if (open === isOpen) return;
    if (open) this.map(VGA_WINDOW, ROM_AREA - VGA_WINDOW, Mem.RAM + VGA_WINDOW, Pmap.READ | Pmap.WRITE);
    else this.pmap.fill(0, VGA_WINDOW / PAGE, ROM_AREA / PAGE);
    this.dropCode(VGA_WINDOW, ROM_AREA - VGA_WINDOW);
    this.listener.memoryMapChanged();
  }

  /** A write that the page map sent to MMIO, and that belongs to the ROM area: it goes to shadow RAM or is lost. False if it is elsewhere. */
  writeHidden(address: number, size: number, value: number): boolean {
    if (address < ROM_AREA || address >= ONE_MIB) return false;
    if (!this.shadowWritable[(address - ROM_AREA) >> 14]) return true;
    for (let i = 0; i < size; i++) this.all[Mem.RAM + address + i] = value >>> (8 * i);
    return true;
  }

  /** Store bytes in the ROM between 0xC0000 and 0xFFFFF. */
  writeRom(address: number, data: Uint8Array): void {
    if (address < ROM_AREA || address + data.length > ONE_MIB) throw new GuestMemoryError(address, data.length);
    this.all.set(data, Mem.ROM + address - ROM_AREA);
  }

  /** A firmware image, mapped below 4 GiB; its last 128 KiB also below 1 MiB. To be called before the CPUs start: the listener is not told. */
  loadFirmware(image: Uint8Array): void {
    if (image.length === 0 || image.length % PAGE || image.length > MAX_FIRMWARE) {
      throw new RangeError(`firmware of ${image.length} bytes: must be 1 to ${MAX_FIRMWARE / PAGE} pages of 4 KiB`);
    }
    this.all.set(image, FIRMWARE);
    this.map(0x1_0000_0000 - image.length, image.length, FIRMWARE, Pmap.READ);
    const low = image.subarray(Math.max(0, image.length - 0x20000));
    this.writeRom(ONE_MIB - low.length, low);
  }

  // Guest RAM

  /** Byte offset in the shared memory of a range that must be RAM. */
  private at(address: number, length: number): number {
    const end = address + length;
    if (!(address >= 0 && end <= this.size)) throw new GuestMemoryError(address, length);
    if (end > VGA_WINDOW && address < ONE_MIB && !this.isShadowRam(Math.max(address, VGA_WINDOW), Math.min(end, ONE_MIB))) throw new GuestMemoryError(address, length);
    return Mem.RAM + address;
  }

  /** Between 0xA0000 and 0xFFFFF devices reach only what is RAM for reads and writes now: open SMRAM, and shadow RAM. */
  private isShadowRam(start: number, end: number): boolean {
    for (let page = Math.floor(start / PAGE); page < Math.ceil(end / PAGE); page++) {
      if (this.pmap[page] !== (Mem.RAM + page * PAGE | Pmap.READ | Pmap.WRITE)) return false;
    }
    return true;
  }

  read8(address: number): number {
    return this.view.getUint8(this.at(address, 1));
  }

  read16(address: number): number {
    return this.view.getUint16(this.at(address, 2), true);
  }

  read32(address: number): number {
    return this.view.getUint32(this.at(address, 4), true);
  }

  read64(address: number): bigint {
    return this.view.getBigUint64(this.at(address, 8), true);
  }

  write8(address: number, value: number): void {
    this.view.setUint8(this.at(address, 1), value);
    this.written(address, 1);
  }

  write16(address: number, value: number): void {
    this.view.setUint16(this.at(address, 2), value, true);
    this.written(address, 2);
  }

  write32(address: number, value: number): void {
    this.view.setUint32(this.at(address, 4), value, true);
    this.written(address, 4);
  }

  write64(address: number, value: bigint): void {
    this.view.setBigUint64(this.at(address, 8), BigInt.asUintN(64, value), true);
    this.written(address, 8);
  }

  check(address: number, length: number): void {
    this.at(address, length);
  }

  bytes(address: number, length: number): Uint8Array {
    const at = this.at(address, length);
    return this.all.subarray(at, at + length);
  }

  write(address: number, data: Uint8Array): void {
    copyBytes(this.bytes(address, data.length), data);
    this.written(address, data.length);
  }

  written(address: number, length: number): void {
    this.dropCode(address, length);
  }

  /** Have decoded code of a range dropped. */
  private dropCode(address: number, length: number): void {
    if (length === 0) return;
    const last = Math.floor((address + length - 1) / PAGE);
    for (let page = Math.floor(address / PAGE); page <= last; page++) {
      if (this.codeChunks[2 * page] | this.codeChunks[2 * page + 1]) this.listener.invalidateCode(page);
    }
  }
}
