// What specs of IDE need: a channel with ports as a driver uses them.

import { TestLine } from '../testing.ts';
import type { GuestMemory } from '../interfaces.ts';
import { type BlockBackend, BlockError, type BlockDone } from '../interfaces.ts';
import { ATA_COMMAND, ATA_DEVICE, ATA_ERROR, ATA_LBA_HIGH, ATA_LBA_LOW, ATA_LBA_MID, ATA_SECTOR_COUNT, ATA_STATUS, STATUS_BSY, STATUS_DRQ } from './ata.ts';
import { BMIC, BMIC_START, BMIDTP } from './bus-master.ts';
import { IdeChannel } from './channel.ts';
import type { IdeDrive } from './drive.ts';

export const BASE = 0x1f0;
const CONTROL = 0x3f6;

/** A driver of a channel with its drives. */
export class TestChannel {
  readonly irq = new TestLine();
  readonly channel: IdeChannel;

  constructor(memory: GuestMemory, master: IdeDrive | null, slave: IdeDrive | null = null) {
    this.channel = new IdeChannel(BASE, this.irq, memory, [master, slave]);
    this.channel.reset();
  }

  in(register: number): number {
    return this.channel.readPort(BASE + register, 1) & 0xff;
  }

  out(register: number, value: number): void {
    this.channel.writePort(BASE + register, 1, value & 0xff);
  }

  control(value: number): void {
    this.channel.writePort(CONTROL, 1, value);
  }

  get alternateStatus(): number {
    return this.channel.readPort(CONTROL, 1) & 0xff;
  }

  get error(): number {
    return this.in(ATA_ERROR);
  }

  /** Write the task file and a command. Registers that are not given stay. */
  command(code: number, { device = 0xe0, features, count, lba }: { device?: number; features?: number; count?: number; lba?: number } = {}): number {
    this.out(ATA_DEVICE, lba === undefined ? device : device | ((lba >>> 24) & 0x0f));
    if (features !== undefined) this.out(ATA_ERROR, features);
    if (count !== undefined) this.out(ATA_SECTOR_COUNT, count);
    if (lba !== undefined) this.address(lba);
    this.out(ATA_COMMAND, code);
    return this.alternateStatus;
  }

  /** The 48-bit form: each register twice, high part first. */
  command48(code: number, lba: number, count: number): number {
    this.out(ATA_DEVICE, 0xe0);
    const high = Math.floor(lba / 0x1000000);
    this.out(ATA_SECTOR_COUNT, count >> 8);
    this.out(ATA_LBA_LOW, high);
    this.out(ATA_LBA_MID, Math.floor(high / 0x100));
    this.out(ATA_LBA_HIGH, Math.floor(high / 0x10000));
    this.out(ATA_SECTOR_COUNT, count);
    this.address(lba);
    this.out(ATA_COMMAND, code);
    return this.alternateStatus;
  }

  private address(lba: number): void {
    this.out(ATA_LBA_LOW, lba);
    this.out(ATA_LBA_MID, lba >>> 8);
    this.out(ATA_LBA_HIGH, lba >>> 16);
  }

  /** Bytes from the data port, as words. */
  read(bytes: number): Uint8Array {
    const data = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 2) {
      const word = this.channel.readPort(BASE, 2);
      data[at] = word & 0xff;
      data[at + 1] = (word >> 8) & 0xff;
    }
    return data;
  }

  write(data: Uint8Array): void {
    for (let at = 0; at < data.length; at += 2) this.channel.writePort(BASE, 2, data[at] | (data[at + 1] << 8));
  }

  /** Interrupts so far; reading the status takes the last one back. */
  takeInterrupt(): { edges: number; status: number } {
    const { edges } = this.irq;
    return { edges, status: this.in(ATA_STATUS) };
  }

  /** Start the bus master with a table at an address. */
  startDma(table: number, direction: number): void {
    const { dma } = this.channel;
    dma.writePort(BMIC, 1, 0);
    dma.writePort(BMIDTP, 4, table);
    dma.writePort(2, 1, 0x06);
    dma.writePort(BMIC, 1, direction | BMIC_START);
  }

  /** Send a packet, and take what comes by PIO. */
  packet(bytes: number[], { limit = 0xfffe }: { limit?: number } = {}): { data: Uint8Array; status: number; error: number; blocks: number[] } {
    this.out(ATA_DEVICE, 0xa0);
    this.out(ATA_ERROR, 0);
    this.out(ATA_LBA_MID, limit & 0xff);
    this.out(ATA_LBA_HIGH, limit >> 8);
    this.out(ATA_COMMAND, 0xa0);
    const packet = new Uint8Array(12);
    packet.set(bytes);
    this.write(packet);
    const parts: Uint8Array[] = [];
    const blocks: number[] = [];
    while (this.in(ATA_STATUS) & STATUS_DRQ) {
      const length = this.in(ATA_LBA_MID) | (this.in(ATA_LBA_HIGH) << 8);
      blocks.push(length);
      parts.push(this.read(length + (length & 1)).slice(0, length));
    }
    return { data: Uint8Array.from(parts.flatMap((part) => [...part])), status: this.alternateStatus, error: this.error, blocks };
  }

  get busy(): boolean {
    return (this.alternateStatus & STATUS_BSY) !== 0;
  }
}

/** A disk that answers only when it is told to. */
export class SlowDisk implements BlockBackend {
  readonly waiting: (() => void)[] = [];
  flushes = 0;
  /** What requests fail with. */
  error: BlockError | null = null;

  constructor(
    readonly bytes: Uint8Array,
    readonly readOnly = false,
  ) {}

  get size(): number {
    return this.bytes.length;
  }

  private later(done: BlockDone, action: () => void): void {
    this.waiting.push(() => {
      if (!this.error) action();
      done(this.error);
    });
  }

  /** Answer all that was asked, and what follows from it. */
  answer(): void {
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) next();
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    this.later(done, () => into.set(this.bytes.subarray(offset, offset + into.length)));
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    this.later(done, () => this.bytes.set(data, offset));
  }

  flush(done: BlockDone): void {
    this.later(done, () => this.flushes++);
  }

  discard(_offset: number, _length: number, done: BlockDone): void {
    this.later(done, () => {});
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    this.later(done, () => this.bytes.fill(0, offset, offset + length));
  }
}
