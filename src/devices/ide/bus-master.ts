// The bus-master engine of an IDE channel: its registers, and the walk along the table of physical region descriptors.
// Intel 82371SB (PIIX3) datasheet (290550), sections 2.7 (registers) and 3.4 (operation); Programming Interface for Bus Master IDE Controller 1.0.

import type { AccessSize, GuestMemory, PortDevice, Snapshotable } from '../interfaces.ts';
import { GuestMemoryError } from '../interfaces.ts';
import type { DriveDma } from './drive.ts';

/** Registers of one channel. */
export const BMIC = 0;
export const BMIS = 2;
export const BMIDTP = 4;
export const BUS_MASTER_LENGTH = 8;

export const BMIC_START = 0x01;
/** Set: to memory. QEMU and Linux go by the command instead, as this does. */
export const BMIC_TO_MEMORY = 0x08;
export const BMIS_ACTIVE = 0x01;
export const BMIS_ERROR = 0x02;
export const BMIS_INTERRUPT = 0x04;
/** DMA capable, for the two drives: bits for software. */
const BMIS_CAPABLE = 0x60;

const PRD_EOT = 0x80000000;
/** Bytes of a table at most; as in QEMU, so that one without an end has one. */
const MAX_TABLE = 4096;

interface State {
  command: number;
  status: number;
  table: number;
  /** Bytes of the table that have been read. */
  at: number;
  /** What is left of the region that was read last. */
  address: number;
  left: number;
  last: boolean;
}

const powerOn = (): State => ({ command: 0, status: 0, table: 0, at: 0, address: 0, left: 0, last: false });

export class BusMaster implements PortDevice, DriveDma, Snapshotable {
  private s = powerOn();

  constructor(
    private readonly memory: GuestMemory,
    private readonly drive: { start(): void; stop(): void },
    /** The PCI function may be a bus master. */
    private readonly enabled: () => boolean = () => true,
  ) {}

  get started(): boolean {
    return (this.s.command & BMIC_START) !== 0 && (this.s.status & BMIS_ACTIVE) !== 0;
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= BMIDTP) return this.s.table >>> (8 * (port - BMIDTP));
    if (size !== 1) return 0xffffffff;
    return port === BMIC ? this.s.command : port === BMIS ? this.s.status : 0xff;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    const { s } = this;
    if (port >= BMIDTP) {
      const shift = 8 * (port - BMIDTP);
      const mask = size === 4 ? 0xffffffff : ((1 << (8 * size)) - 1) << shift;
      s.table = ((s.table & ~mask) | ((value << shift) & mask & ~3)) >>> 0;
    } else if (size === 1 && port === BMIC) {
      const changes = (value ^ s.command) & BMIC_START;
      s.command = value & (BMIC_START | BMIC_TO_MEMORY);
      if (changes) this.startOrStop();
    } else if (size === 1 && port === BMIS) {
      s.status = (value & BMIS_CAPABLE) | (s.status & BMIS_ACTIVE) | (s.status & ~value & (BMIS_ERROR | BMIS_INTERRUPT));
    }
  }

  private startOrStop(): void {
    const { s } = this;
    if (s.command & BMIC_START) {
      this.rewind();
      s.status |= BMIS_ACTIVE;
      this.drive.start();
    } else {
      s.status &= ~BMIS_ACTIVE;
      this.drive.stop();
    }
  }

  /** INTRQ has risen. */
  interrupted(): void {
    this.s.status |= BMIS_INTERRUPT;
  }

  rewind(): void {
    Object.assign(this.s, { at: 0, address: 0, left: 0, last: false });
  }

  /** Go to the next region. False at the end of the table. */
  private next(s: Pick<State, 'table' | 'at' | 'address' | 'left' | 'last'>): boolean {
    if (s.last || s.at >= MAX_TABLE || !this.enabled()) return false;
    s.address = this.memory.read32(s.table + s.at);
    const count = this.memory.read32(s.table + s.at + 4);
    s.left = count & 0xfffe || 0x10000;
    s.last = (count & PRD_EOT) !== 0;
    s.at += 8;
    return true;
  }

  capacity(limit: number): number {
    const walk = { ...this.s };
    let bytes = walk.left;
    try {
      while (bytes < limit && this.next(walk)) bytes += walk.left;
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
    }
    return Math.min(bytes, limit);
  }

  /** Go along the regions for so many bytes. False: they are not there, or not RAM. */
  private walk(length: number, region: (address: number, from: number, bytes: number) => void): boolean {
    const { s } = this;
    try {
      for (let done = 0; done < length; ) {
        if (s.left === 0 && !this.next(s)) return this.error();
        const bytes = Math.min(s.left, length - done);
        region(s.address, done, bytes);
        s.address += bytes;
        s.left -= bytes;
        done += bytes;
      }
      return true;
    } catch (error) {
      if (!(error instanceof GuestMemoryError)) throw error;
      return this.error();
    }
  }

  private error(): false {
    this.s.status = (this.s.status & ~BMIS_ACTIVE) | BMIS_ERROR;
    return false;
  }

  toMemory(data: Uint8Array): boolean {
    return this.walk(data.length, (address, from, bytes) => this.memory.write(address, data.subarray(from, from + bytes)));
  }

  fromMemory(into: Uint8Array): boolean {
    return this.walk(into.length, (address, from, bytes) => into.set(this.memory.bytes(address, bytes), from));
  }

  finish(failed: boolean): void {
    const { s } = this;
    // 3.4: a table that describes more than the drive had leaves the engine active.
    if (failed || (s.left === 0 && (s.last || s.at >= MAX_TABLE))) s.status &= ~BMIS_ACTIVE;
  }

  reset(): void {
    this.s = powerOn();
  }

  save(): unknown {
    return { ...this.s };
  }

  load(state: unknown): void {
    this.s = { ...(state as State) };
  }
}
