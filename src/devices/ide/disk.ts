// An ATA hard disk: IDE's ide-hd.
// ATA/ATAPI-6 (T13/1410D), section 8 (commands) and 9 (protocols); where it leaves a choice, as QEMU chooses.

import type { BlockBackend, BlockError } from '../interfaces.ts';
import { Command, DEVICE_HEAD, DEVICE_LBA, ERROR_ABRT, ERROR_UNC, SECTOR, STATUS_BSY, STATUS_DRDY, STATUS_DRQ, STATUS_DSC } from './ata.ts';
import { IdeDrive } from './drive.ts';
import type { Geometry } from './geometry.ts';
import { identifyDisk, MAX_MULTIPLE } from './identify.ts';
import { smartCommand } from './smart.ts';

/** Sectors that one request to the backend has at most, in DMA. */
const DMA_SECTORS = 512;

export interface IdeDiskOptions {
  serial: string;
  model?: string;
  /** Bytes, a power of two from SECTOR on: what lies beneath the sectors, which the guest is only told. */
  physicalBlockSize?: number;
  geometry: Geometry;
}

/** How a command takes its address and count. */
type Addressing = 'lba28' | 'lba48';

/** A read or write that is under way. */
interface Transfer {
  kind: 'pio-read' | 'pio-write' | 'dma-read' | 'dma-write' | 'dma-trim';
  lba: number;
  left: number;
  addressing: Addressing;
  /** Sectors of a block that is moved without an interrupt. */
  block: number;
}

interface State {
  transfer: Transfer | null;
  /** What the backend has not answered yet: the transfer's next sectors, or a flush. */
  asked: '' | 'transfer' | 'flush';
  multiple: number;
  writeCache: boolean;
  smart: boolean;
  smartAutosave: boolean;
  current: Geometry;
}

export class IdeDisk extends IdeDrive {
  private s: State;
  /** Whole sectors. */
  private readonly sectors: number;
  private readonly serial: string;
  private readonly model: string;
  private readonly physicalBlockSize: number;
  readonly geometry: Geometry;
  protected readonly signature = [0, 0] as const;
  /** For DMA, while no request has it: fresh memory costs more than what it is filled with. */
  private buffer: Uint8Array<ArrayBuffer> | undefined;

  constructor(
    private readonly disk: BlockBackend,
    { serial, model = 'QEMU HARDDISK', physicalBlockSize = SECTOR, geometry }: IdeDiskOptions,
  ) {
    super();
    this.sectors = Math.floor(disk.size / SECTOR);
    this.serial = serial;
    this.model = model;
    this.physicalBlockSize = physicalBlockSize;
    this.geometry = geometry;
    this.s = { transfer: null, asked: '', multiple: MAX_MULTIPLE, writeCache: true, smart: true, smartAutosave: true, current: geometry };
  }

  /** Writes end before they are safe; a guest switches this off and on (SET FEATURES 82h, 02h). */
  get writeCache(): boolean {
    return this.s.writeCache;
  }

  override reset(): void {
    this.s.multiple = MAX_MULTIPLE;
    this.s.current = this.geometry;
    super.reset();
  }

  protected drop(): void {
    this.s.transfer = null;
    this.s.asked = '';
  }

  protected get givesData(): boolean {
    return this.s.transfer?.kind !== 'pio-write';
  }

  command(code: number): void {
    if (this.commonCommand(code)) return;
    const { s, t } = this;
    switch (code) {
      case Command.READ_SECTORS:
      case Command.READ_SECTORS_NO_RETRY:
        return this.begin('pio-read', 'lba28', 1);
      case Command.READ_SECTORS_EXT:
        return this.begin('pio-read', 'lba48', 1);
      case Command.READ_MULTIPLE:
        return s.multiple ? this.begin('pio-read', 'lba28', s.multiple) : this.fail();
      case Command.READ_MULTIPLE_EXT:
        return s.multiple ? this.begin('pio-read', 'lba48', s.multiple) : this.fail();
      case Command.WRITE_SECTORS:
      case Command.WRITE_SECTORS_NO_RETRY:
      case Command.WRITE_VERIFY:
        return this.begin('pio-write', 'lba28', 1);
      case Command.WRITE_SECTORS_EXT:
        return this.begin('pio-write', 'lba48', 1);
      case Command.WRITE_MULTIPLE:
        return s.multiple ? this.begin('pio-write', 'lba28', s.multiple) : this.fail();
      case Command.WRITE_MULTIPLE_EXT:
        return s.multiple ? this.begin('pio-write', 'lba48', s.multiple) : this.fail();
      case Command.READ_DMA:
      case Command.READ_DMA_NO_RETRY:
        return this.begin('dma-read', 'lba28', DMA_SECTORS);
      case Command.READ_DMA_EXT:
        return this.begin('dma-read', 'lba48', DMA_SECTORS);
      case Command.WRITE_DMA:
      case Command.WRITE_DMA_NO_RETRY:
        return this.begin('dma-write', 'lba28', DMA_SECTORS);
      case Command.WRITE_DMA_EXT:
        return this.begin('dma-write', 'lba48', DMA_SECTORS);
      case Command.READ_VERIFY:
      case Command.READ_VERIFY_NO_RETRY:
        return this.verify('lba28');
      case Command.READ_VERIFY_EXT:
        return this.verify('lba48');
      case Command.DATA_SET_MANAGEMENT:
        // TRIM is the only function; its ranges come by DMA, in blocks of 512 bytes.
        if (t.features !== 1 || this.disk.readOnly) return this.fail();
        return this.start({ kind: 'dma-trim', lba: 0, left: this.count('lba48'), addressing: 'lba48', block: 1 });
      case Command.SEEK:
      case Command.RECALIBRATE:
        return this.complete();
      case Command.FLUSH_CACHE:
      case Command.FLUSH_CACHE_EXT:
        return this.flush();
      case Command.IDENTIFY_DEVICE:
        this.give(identifyDisk({ ...s, serial: this.serial, model: this.model, physicalBlockSize: this.physicalBlockSize, geometry: this.geometry, sectors: this.sectors, modes: this.modes }));
        return;
      case Command.INITIALIZE_DEVICE_PARAMETERS:
        return this.setGeometry((t.device & DEVICE_HEAD) + 1, t.count);
      case Command.SET_MULTIPLE_MODE:
        // A power of two; 0 turns the commands off.
        if (t.count > MAX_MULTIPLE || t.count & (t.count - 1)) return this.fail();
        s.multiple = t.count;
        return this.complete();
      case Command.SET_FEATURES:
        return this.setFeatures();
      case Command.READ_NATIVE_MAX_ADDRESS:
        this.showAddress(Math.min(this.sectors, 0x10000000) - 1, 'lba28');
        return this.complete();
      case Command.READ_NATIVE_MAX_ADDRESS_EXT:
        this.showAddress(this.sectors - 1, 'lba48');
        return this.complete();
      case Command.SMART: {
        const answer = smartCommand(t, s);
        if (answer === 'refused') return this.fail();
        if (answer === 'done') return this.complete();
        return this.give(answer);
      }
    }
    // Security, HPA, CFA and what else there is: not supported, 8.x "ABRT shall be set".
    this.fail();
  }

  /** Offer bytes that need no disk. */
  private give(bytes: Uint8Array<ArrayBuffer>): void {
    this.startPio(bytes);
    this.host.interrupt();
  }

  private setGeometry(heads: number, sectors: number): void {
    if (sectors === 0 || sectors > 63) return this.fail();
    this.s.current = { ...this.s.current, heads, sectors, cylinders: Math.min(65535, Math.floor(this.sectors / (heads * sectors))) };
    this.complete();
  }

  private setFeatures(): void {
    const { s, t } = this;
    switch (t.features) {
      case 0x02:
        s.writeCache = true;
        return this.complete();
      case 0x82:
        s.writeCache = false;
        return this.flush();
      case 0x03:
        return this.setTransferMode(t.count) ? this.complete() : this.fail();
      case 0xaa: // look-ahead on
      case 0x55: // look-ahead off
      case 0x05: // advanced power management
      case 0x85:
      case 0x42: // acoustic management
      case 0xc2:
      case 0x66: // keep settings over a software reset, or not
      case 0xcc:
      case 0x67: // ECC
      case 0x69:
        return this.complete();
    }
    this.fail();
  }

  // Addresses, 6.2 and 6.3

  private address(addressing: Addressing): number {
    const { t } = this;
    if (!(t.device & DEVICE_LBA)) {
      const { heads, sectors } = this.s.current;
      const cylinder = (t.lbaHigh << 8) | t.lbaMid;
      // Sectors of CHS count from 1: 0 gives an address that does not exist.
      return (cylinder * heads + (t.device & DEVICE_HEAD)) * sectors + t.lbaLow - 1;
    }
    const low = t.lbaLow | (t.lbaMid << 8) | (t.lbaHigh << 16);
    if (addressing === 'lba28') return low + (t.device & DEVICE_HEAD) * 0x1000000;
    return low + t.hobLbaLow * 0x1000000 + (t.hobLbaMid | (t.hobLbaHigh << 8)) * 0x100000000;
  }

  private count(addressing: Addressing): number {
    const { t } = this;
    if (addressing === 'lba28') return t.count || 256;
    return (t.hobCount << 8) | t.count || 65536;
  }

  private showAddress(lba: number, addressing: Addressing): void {
    const { t } = this;
    if (!(t.device & DEVICE_LBA)) {
      const { heads, sectors } = this.s.current;
      const cylinder = Math.floor(lba / (heads * sectors));
      t.lbaLow = (lba % sectors) + 1;
      t.lbaMid = cylinder & 0xff;
      t.lbaHigh = (cylinder >> 8) & 0xff;
      t.device = (t.device & ~DEVICE_HEAD) | (Math.floor(lba / sectors) % heads);
      return;
    }
    const low = lba % 0x1000000;
    const high = Math.floor(lba / 0x1000000);
    t.lbaLow = low & 0xff;
    t.lbaMid = (low >> 8) & 0xff;
    t.lbaHigh = low >> 16;
    if (addressing === 'lba28') {
      t.device = (t.device & ~DEVICE_HEAD) | (high & DEVICE_HEAD);
    } else {
      t.hobLbaLow = high & 0xff;
      t.hobLbaMid = Math.floor(high / 0x100) & 0xff;
      t.hobLbaHigh = Math.floor(high / 0x10000) & 0xff;
    }
  }

  private onDisk(lba: number, count: number): boolean {
    return lba >= 0 && lba + count <= this.sectors;
  }

  // Reads and writes

  private begin(kind: Transfer['kind'], addressing: Addressing, block: number): void {
    const lba = this.address(addressing);
    const left = this.count(addressing);
    if (!this.onDisk(lba, left)) return this.fail();
    if (kind.endsWith('write') && this.disk.readOnly) return this.fail();
    this.start({ kind, lba, left, addressing, block });
  }

  private start(transfer: Transfer): void {
    const { kind, left, block } = transfer;
    this.s.transfer = transfer;
    switch (kind) {
      case 'pio-read':
        return this.ask();
      case 'pio-write':
        // 9.6: no interrupt before the first block.
        return this.startPio(new Uint8Array(SECTOR * Math.min(left, block)));
      default:
        this.t.status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
        this.dmaWaits = true;
        if (this.host.dma.started) this.dmaStarted();
    }
  }

  /**
   * Ask the backend for the transfer's next block, or give it that.
   * @param again `data` holds what is to be written already
   */
  private ask(again = false): void {
    const { s, t, host } = this;
    const transfer = s.transfer!;
    const sectors = Math.min(transfer.left, transfer.block);
    const offset = transfer.lba * SECTOR;
    const buffer = transfer.kind === 'dma-read' || (transfer.kind === 'dma-write' && !again) ? (this.buffer ?? new Uint8Array(DMA_SECTORS * SECTOR)) : undefined;
    if (buffer) this.buffer = undefined;
    const bytes = buffer?.subarray(0, sectors * SECTOR) ?? (transfer.kind === 'pio-write' || again ? this.data : new Uint8Array(sectors * SECTOR));
    const wanted = this.ifWanted((error: BlockError | null) => {
      s.asked = '';
      this.answered(sectors, bytes, error);
    });
    const answered = (error: BlockError | null): void => {
      // What was read is copied before the next part takes it.
      if (buffer) this.buffer = buffer;
      wanted(error);
    };
    s.asked = 'transfer';
    if (transfer.kind.startsWith('pio')) t.status = STATUS_DRDY | STATUS_DSC | STATUS_BSY;
    if ((transfer.kind === 'dma-write' || transfer.kind === 'dma-trim') && !again) {
      if (!host.dma.fromMemory(bytes)) return this.end(ERROR_ABRT);
      this.data = bytes;
    }
    if (transfer.kind === 'dma-trim') this.trim(bytes, 0, answered);
    else if (transfer.kind.endsWith('read')) this.disk.read(offset, bytes, answered);
    else this.disk.write(offset, bytes, answered);
  }

  /** Discard the ranges of a block: 48 bits of address, 16 of length, each. */
  private trim(bytes: Uint8Array, at: number, done: (error: BlockError | null) => void): void {
    const view = new DataView(bytes.buffer);
    for (; at < SECTOR; at += 8) {
      const lba = view.getUint32(at, true) + view.getUint16(at + 4, true) * 2 ** 32;
      const count = view.getUint16(at + 6, true);
      if (count === 0) continue;
      if (!this.onDisk(lba, count)) return this.end(ERROR_ABRT);
      const next = at + 8;
      this.disk.discard(lba * SECTOR, count * SECTOR, this.ifWanted((error: BlockError | null) => (error ? done(error) : this.trim(bytes, next, done))));
      return;
    }
    done(null);
  }

  private answered(sectors: number, bytes: Uint8Array<ArrayBuffer>, error: BlockError | null): void {
    const { host } = this;
    const transfer = this.s.transfer!;
    const reads = transfer.kind.endsWith('read');
    if (error) return this.end(reads ? ERROR_UNC : ERROR_ABRT);
    if (transfer.kind === 'dma-read' && !host.dma.toMemory(bytes)) return this.end(ERROR_ABRT);
    transfer.lba += sectors;
    transfer.left -= sectors;
    if (transfer.kind !== 'dma-trim') this.showAddress(transfer.lba, transfer.addressing);
    this.t.count = transfer.left & 0xff;
    this.t.hobCount = (transfer.left >> 8) & 0xff;
    if (transfer.kind === 'pio-read') {
      this.give(bytes);
    } else if (transfer.left === 0) {
      // What was written without a write cache is safe when the command ends.
      if (reads || this.s.writeCache) this.end();
      else this.flush();
    } else if (transfer.kind === 'pio-write') {
      this.startPio(new Uint8Array(SECTOR * Math.min(transfer.left, transfer.block)));
      host.interrupt();
    } else {
      this.dmaStarted();
    }
  }

  protected pioEnded(): void {
    const { transfer } = this.s;
    // What needs no disk (IDENTIFY), and the last block of a read, end without an interrupt.
    if (!transfer || (transfer.kind === 'pio-read' && transfer.left === 0)) {
      this.s.transfer = null;
      return;
    }
    this.ask();
  }

  dmaStarted(): void {
    const { host } = this;
    const bytes = this.s.transfer!.left * SECTOR;
    if (host.dma.capacity(bytes) < bytes) {
      // 3.4 of the 82371SB: the table is too short. The engine stops, the drive waits for ever; as QEMU does it, it gives up without an interrupt.
      this.cancel();
      this.t.status = STATUS_DRDY | STATUS_DSC;
      host.dma.finish(true);
      return;
    }
    this.ask();
  }

  /** The command has ended. */
  private end(error = 0): void {
    const dma = this.dmaWaits;
    this.dmaWaits = false;
    this.drop();
    if (dma) this.host.dma.finish(error !== 0);
    if (error) this.fail(error);
    else this.complete();
  }

  private flush(): void {
    this.s.asked = 'flush';
    this.t.status |= STATUS_BSY;
    this.disk.flush(this.ifWanted((error: BlockError | null) => this.end(error ? ERROR_ABRT : 0)));
  }

  /** READ VERIFY reads nothing here: a backend that cannot give a sector says so when it is asked for it. */
  private verify(addressing: Addressing): void {
    if (this.onDisk(this.address(addressing), this.count(addressing))) this.complete();
    else this.fail();
  }

  protected askAgain(): void {
    if (this.s.asked === 'flush') this.flush();
    else if (this.s.asked === 'transfer') this.ask(this.s.transfer?.kind === 'dma-write' || this.s.transfer?.kind === 'dma-trim');
  }

  /** Stopped and started again, a transfer goes on at the PRD table's start with what is left. */
  override dmaStopped(): void {
    super.dmaStopped();
    this.s.asked = '';
  }

  override save(): unknown {
    return { drive: super.save(), disk: structuredClone(this.s) };
  }

  override load(state: unknown): void {
    const saved = state as { drive: unknown; disk: State };
    super.load(saved.drive);
    this.s = structuredClone(saved.disk);
    this.askAgain();
  }
}
