// fw_cfg: how the emulator hands tables, files and settings to the firmware in the guest.
// QEMU, docs/specs/fw_cfg.rst; items and their numbers as in include/standard-headers/linux/qemu_fw_cfg.h.

import { type AccessSize, type GuestMemory, GuestMemoryError, type PortDevice, type Snapshotable } from './interfaces.ts';

export const FW_CFG_SELECTOR = 0x510;
/** Selector at 510h, data at 511h. */
export const FW_CFG_LENGTH = 2;
export const FW_CFG_DMA = 0x514;
export const FW_CFG_DMA_LENGTH = 8;

/** Numbers of items. */
export const FW_CFG_SIGNATURE = 0x00;
export const FW_CFG_ID = 0x01;
export const FW_CFG_RAM_SIZE = 0x03;
export const FW_CFG_NOGRAPHIC = 0x04;
export const FW_CFG_NB_CPUS = 0x05;
export const FW_CFG_BOOT_MENU = 0x0e;
export const FW_CFG_MAX_CPUS = 0x0f;
export const FW_CFG_FILE_DIR = 0x19;
export const FW_CFG_FILE_FIRST = 0x20;
/** Items of the architecture have this bit. */
export const FW_CFG_ARCH_LOCAL = 0x8000;
/** Formerly "write to the item"; is no part of its number. */
const FW_CFG_WRITE_CHANNEL = 0x4000;
const FW_CFG_FILE_SLOTS = 0x20;
const FW_CFG_INVALID = 0xffff;

/** Item FW_CFG_ID: the traditional interface, and DMA. */
const FW_CFG_VERSION = 0x01;
const FW_CFG_VERSION_DMA = 0x02;

const FW_CFG_DMA_CTL_ERROR = 0x01;
const FW_CFG_DMA_CTL_READ = 0x02;
const FW_CFG_DMA_CTL_SKIP = 0x04;
const FW_CFG_DMA_CTL_SELECT = 0x08;
const FW_CFG_DMA_CTL_WRITE = 0x10;
/** FWCfgDmaAccess: control, length, address. */
const DMA_ACCESS_BYTES = 16;
const DMA_SIGNATURE = 'QEMU CFG';

/** Bytes of one entry of the directory, and of the file's name in it, its zero included. */
const FILE_ENTRY_BYTES = 64;
const FILE_NAME_BYTES = 56;

/** Whether a file can have this name. */
export const isFirmwareFile = (name: string): boolean => name.length < FILE_NAME_BYTES && /^[\x20-\x7e]+$/.test(name);

interface State {
  /** The item's number, FW_CFG_INVALID if there is no such item. */
  selected: number;
  offset: number;
  /** High half of the DMA address, written first. */
  dmaHigh: number;
}

export class FwCfg implements PortDevice, Snapshotable {
  private readonly items = new Map<number, Uint8Array>();
  private readonly files = new Map<string, Uint8Array>();
  private s: State = { selected: 0, offset: 0, dmaHigh: 0 };

  constructor(private readonly memory: GuestMemory) {
    this.add(FW_CFG_SIGNATURE, Uint8Array.from('QEMU', (c) => c.charCodeAt(0)));
    this.addInteger(FW_CFG_ID, FW_CFG_VERSION | FW_CFG_VERSION_DMA, 4);
    this.writeDirectory();
  }

  /** Set an item by its number. */
  add(key: number, bytes: Uint8Array): void {
    this.items.set(key, bytes);
  }

  /** Set an item that is a little-endian number of 2, 4 or 8 bytes. */
  addInteger(key: number, value: number, size: 2 | 4 | 8): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    this.add(key, bytes.slice(0, size));
  }

  /** Set a file. Files' numbers follow the order of their names, so they are settled when the firmware begins to look. */
  addFile(name: string, bytes: Uint8Array): void {
    if (!isFirmwareFile(name)) throw new RangeError(`fw_cfg: "${name}" is no name for a file: at most ${FILE_NAME_BYTES - 1} ASCII characters`);
    if (!this.files.has(name) && this.files.size === FW_CFG_FILE_SLOTS) throw new RangeError(`fw_cfg: ${name} would be file ${FW_CFG_FILE_SLOTS + 1}, one too many`);
    this.files.set(name, bytes);
    this.writeDirectory();
  }

  /** Names and bytes of the files, sorted. */
  list(): [name: string, bytes: Uint8Array][] {
    return [...this.files].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  private writeDirectory(): void {
    const files = this.list();
    const directory = new Uint8Array(4 + FILE_ENTRY_BYTES * files.length);
    const view = new DataView(directory.buffer);
    view.setUint32(0, files.length);
    files.forEach(([name, bytes], i) => {
      const at = 4 + FILE_ENTRY_BYTES * i;
      view.setUint32(at, bytes.length);
      view.setUint16(at + 4, FW_CFG_FILE_FIRST + i);
      for (let n = 0; n < name.length; n++) directory[at + 8 + n] = name.charCodeAt(n);
      this.items.set(FW_CFG_FILE_FIRST + i, bytes);
    });
    this.items.set(FW_CFG_FILE_DIR, directory);
  }

  private select(key: number): void {
    const s = this.s;
    s.offset = 0;
    const number = key & ~(FW_CFG_WRITE_CHANNEL | FW_CFG_ARCH_LOCAL);
    s.selected = number >= FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS ? FW_CFG_INVALID : key & ~FW_CFG_WRITE_CHANNEL;
  }

  private get item(): Uint8Array | undefined {
    return this.items.get(this.s.selected);
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= FW_CFG_DMA) {
      let value = 0;
      for (let i = 0; i < size; i++) value |= DMA_SIGNATURE.charCodeAt(port - FW_CFG_DMA + i) << (8 * i);
      return value >>> 0;
    }
    // The data register is one byte wide; 510h reads it too.
    const { item, s } = this;
    return item && s.offset < item.length ? item[s.offset++] : 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port >= FW_CFG_DMA) {
      if (size !== 4) return;
      const half = swap32(value);
      if (port === FW_CFG_DMA) this.s.dmaHigh = half;
      else if (port === FW_CFG_DMA + 4) this.transfer(half);
    } else if (port === FW_CFG_SELECTOR && size === 2) {
      this.select(value);
    }
    // Writes to the data register have had no effect since QEMU 2.4.
  }

  /** Do what the FWCfgDmaAccess at a guest-physical address says. */
  private transfer(addressLow: number): void {
    const high = this.s.dmaHigh;
    this.s.dmaHigh = 0;
    const at = high * 2 ** 32 + addressLow;
    try {
      const access = this.memory.bytes(at, DMA_ACCESS_BYTES).slice();
      const view = new DataView(access.buffer);
      const ok = this.access(view.getUint32(0), view.getUint32(4), Number(view.getBigUint64(8)));
      this.memory.write32(at, ok ? 0 : swap32(FW_CFG_DMA_CTL_ERROR));
    } catch (error) {
      // There is no place to report that the access itself is nowhere.
      if (!(error instanceof GuestMemoryError)) throw error;
    }
  }

  /** False if it failed; what lies before the failure may have been done. */
  private access(control: number, length: number, address: number): boolean {
    const { s } = this;
    if (control & FW_CFG_DMA_CTL_SELECT) this.select(control >>> 16);
    const left = Math.max(0, (this.item?.length ?? 0) - s.offset);
    const present = Math.min(length, left);
    try {
      if (control & FW_CFG_DMA_CTL_READ) {
        if (present > 0) this.memory.write(address, this.item!.subarray(s.offset, s.offset + present));
        s.offset += present;
        if (length > present) {
          this.memory.bytes(address + present, length - present).fill(0);
          this.memory.written(address + present, length - present);
        }
      } else if (control & FW_CFG_DMA_CTL_WRITE) {
        // No item can be written to.
        return length === 0;
      } else if (control & FW_CFG_DMA_CTL_SKIP) {
        s.offset += present;
      }
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
      return false;
    }
    return true;
  }

  reset(): void {
    this.s = { selected: 0, offset: 0, dmaHigh: 0 };
  }

  save(): unknown {
    return { ...this.s };
  }

  load(state: unknown): void {
    this.s = { ...(state as State) };
  }
}

function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
