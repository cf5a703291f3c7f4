// What a disk and a CD-ROM drive have in common: the task file, data that goes through the data port, and the way to an interrupt.
// ATA/ATAPI-6 (T13/1410D), sections 7 (registers) and 9 (protocols).
//
// A drive works at once: when its backend answers before the call returns, a command has ended before the next access to the channel.
// Until a backend has answered, the drive shows BSY.

import type { Snapshotable } from '../interfaces.ts';
import { ATA_DEVICE, ATA_ERROR, ATA_FEATURES, ATA_LBA_HIGH, ATA_LBA_LOW, ATA_LBA_MID, ATA_SECTOR_COUNT, Command, DEVICE_DEV, DEVICE_ONES, ERROR_ABRT, STATUS_BSY, STATUS_DRDY, STATUS_DRQ, STATUS_DSC, STATUS_ERR } from './ata.ts';

/** The bus-master engine of a channel, as the drive that has a command for it sees it. */
export interface DriveDma {
  /** Software has started it. */
  readonly started: boolean;
  /** Bytes that the rest of the PRD table describes, at most `limit`. */
  capacity(limit: number): number;
  /** Copy into guest memory, on from where the last transfer ended. False: it is not all RAM, and the engine has stopped with an error. */
  toMemory(data: Uint8Array): boolean;
  /** Fill from guest memory. */
  fromMemory(into: Uint8Array): boolean;
  /** Go to the start of the PRD table again. */
  rewind(): void;
  /** The command has ended. */
  finish(failed: boolean): void;
}

/** What a drive sees of its channel. */
export interface DriveHost {
  /** Assert INTRQ, unless nIEN forbids it. */
  interrupt(): void;
  readonly dma: DriveDma;
}

/** Task file: registers with, for 48-bit addresses, what was written to each before. */
interface TaskFile {
  features: number;
  count: number;
  lbaLow: number;
  lbaMid: number;
  lbaHigh: number;
  hobFeatures: number;
  hobCount: number;
  hobLbaLow: number;
  hobLbaMid: number;
  hobLbaHigh: number;
  device: number;
  error: number;
  status: number;
}

const emptyTaskFile = (): TaskFile => ({
  features: 0, count: 0, lbaLow: 0, lbaMid: 0, lbaHigh: 0, hobFeatures: 0, hobCount: 0, hobLbaLow: 0, hobLbaMid: 0, hobLbaHigh: 0,
  device: DEVICE_ONES, error: 0, status: 0,
});

interface SavedDrive {
  taskFile: TaskFile;
  data: Uint8Array;
  position: number;
  dmaWaits: boolean;
  words: [number, number, number];
}

export abstract class IdeDrive implements Snapshotable {
  protected host!: DriveHost;
  readonly t: TaskFile = emptyTaskFile();
  /** Data on its way through the data port, while DRQ is set. */
  protected data = new Uint8Array(0);
  protected position = 0;
  /** A command waits for the bus master to be started, or for its backend while it runs. */
  dmaWaits = false;
  /** IDENTIFY words 62, 63 and 88: DMA modes, the chosen one in the high byte. */
  protected modes: [single: number, multi: number, ultra: number] = [0x07, 0x07, 0x203f];
  /** Counts up when what was asked of the backend is of no interest any more. */
  private generation = 0;

  /** Called by the channel that the drive is plugged into. */
  attach(host: DriveHost): void {
    this.host = host;
    this.reset();
  }

  /** Which command was written. */
  abstract command(code: number): void;
  /** The last of `data` has been read or written. */
  protected abstract pioEnded(): void;
  /** The bus master has been started, and this drive's command waits for it. */
  abstract dmaStarted(): void;
  /** LBA mid and high of the signature. */
  protected abstract readonly signature: readonly [mid: number, high: number];
  /** Drop the command that runs. */
  protected abstract drop(): void;
  /** Ask the backend again for what it had not answered when the state was saved. */
  protected abstract askAgain(): void;

  /** Hardware or software reset: 9.2, 9.12 (signature). */
  reset(): void {
    this.cancel();
    Object.assign(this.t, emptyTaskFile());
    this.t.status = STATUS_DRDY | STATUS_DSC;
    this.setSignature();
  }

  /** While SRST is set. */
  holdInReset(): void {
    this.cancel();
    this.t.status = STATUS_BSY;
  }

  protected cancel(): void {
    this.generation++;
    this.dmaWaits = false;
    this.data = new Uint8Array(0);
    this.position = 0;
    this.drop();
  }

  protected setSignature(): void {
    const { t } = this;
    t.device &= ~0x0f;
    t.count = t.lbaLow = t.error = 1;
    [t.lbaMid, t.lbaHigh] = this.signature;
  }

  /** Call back only if neither a reset nor a stopped DMA has come between. */
  protected ifWanted<T extends unknown[]>(action: (...args: T) => void): (...args: T) => void {
    const { generation } = this;
    return (...args) => {
      if (generation === this.generation) action(...args);
    };
  }

  // What the channel calls

  readRegister(register: number, hob: boolean): number {
    const { t } = this;
    switch (register) {
      case ATA_ERROR:
        return hob ? t.hobFeatures : t.error;
      case ATA_SECTOR_COUNT:
        return hob ? t.hobCount : t.count;
      case ATA_LBA_LOW:
        return hob ? t.hobLbaLow : t.lbaLow;
      case ATA_LBA_MID:
        return hob ? t.hobLbaMid : t.lbaMid;
      case ATA_LBA_HIGH:
        return hob ? t.hobLbaHigh : t.lbaHigh;
      case ATA_DEVICE:
        return t.device;
    }
    return t.status;
  }

  writeRegister(register: number, value: number): void {
    const { t } = this;
    switch (register) {
      case ATA_FEATURES:
        t.hobFeatures = t.features;
        t.features = value;
        break;
      case ATA_SECTOR_COUNT:
        t.hobCount = t.count;
        t.count = value;
        break;
      case ATA_LBA_LOW:
        t.hobLbaLow = t.lbaLow;
        t.lbaLow = value;
        break;
      case ATA_LBA_MID:
        t.hobLbaMid = t.lbaMid;
        t.lbaMid = value;
        break;
      case ATA_LBA_HIGH:
        t.hobLbaHigh = t.lbaHigh;
        t.lbaHigh = value;
        break;
      case ATA_DEVICE:
        t.device = value | DEVICE_ONES;
        break;
    }
  }

  /** Direction of the data port: true while the device gives. */
  protected abstract readonly givesData: boolean;

  /** Read the data port; 0 when there is nothing. */
  readData(size: 1 | 2 | 4): number {
    if (!(this.t.status & STATUS_DRQ) || !this.givesData || this.dmaWaits) return 0;
    const { data } = this;
    let value = 0;
    for (let i = 0; i < size; i++) value |= (data[this.position + i] ?? 0) << (8 * i);
    this.position += size;
    if (this.position >= data.length) this.endPio();
    return value >>> 0;
  }

  writeData(size: 1 | 2 | 4, value: number): void {
    if (!(this.t.status & STATUS_DRQ) || this.givesData || this.dmaWaits) return;
    const { data } = this;
    for (let i = 0; i < size && this.position + i < data.length; i++) data[this.position + i] = value >>> (8 * i);
    this.position += size;
    if (this.position >= data.length) this.endPio();
  }

  private endPio(): void {
    this.t.status &= ~STATUS_DRQ;
    this.position = 0;
    this.pioEnded();
  }

  /** A command is written. Only DEVICE RESET is taken while one runs, and only by packet devices. */
  execute(code: number): void {
    const { t } = this;
    if (t.status & (STATUS_BSY | STATUS_DRQ) && !this.takesWhileBusy(code)) return;
    t.status = STATUS_DRDY | STATUS_BSY;
    t.error = 0;
    this.command(code);
  }

  protected takesWhileBusy(_code: number): boolean {
    return false;
  }

  /** The guest has stopped the bus master in the middle of a command: the drive waits for it to start again, or for a reset. */
  dmaStopped(): void {
    if (this.dmaWaits) this.generation++;
  }

  // What commands end with

  /** Success. */
  protected complete(): void {
    this.t.error = 0;
    this.t.status = STATUS_DRDY | STATUS_DSC;
    this.host.interrupt();
  }

  /** Failure. */
  protected fail(error = ERROR_ABRT): void {
    this.cancel();
    this.t.error = error;
    this.t.status = STATUS_DRDY | STATUS_ERR;
    this.host.interrupt();
  }

  /** Offer the data port `data`, to be read or filled. The interrupt is the caller's. */
  protected startPio(data: Uint8Array<ArrayBuffer>): void {
    this.data = data;
    this.position = 0;
    this.t.status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
  }

  /** Commands that both kinds of drive have. @returns false if this is none of them */
  protected commonCommand(code: number): boolean {
    const { t } = this;
    switch (code) {
      case Command.EXECUTE_DEVICE_DIAGNOSTIC:
        this.setSignature();
        this.complete();
        t.error = 1;
        return true;
      case Command.STANDBY_IMMEDIATE:
      case Command.STANDBY_IMMEDIATE_2:
      case Command.IDLE_IMMEDIATE:
      case Command.IDLE_IMMEDIATE_2:
      case Command.STANDBY:
      case Command.STANDBY_2:
      case Command.IDLE:
      case Command.IDLE_2:
      case Command.SLEEP:
      case Command.SLEEP_2:
        this.complete();
        return true;
      case Command.CHECK_POWER_MODE:
      case Command.CHECK_POWER_MODE_2:
        t.count = 0xff; // active or idle
        this.complete();
        return true;
      case Command.NOP:
        this.fail();
        return true;
    }
    return false;
  }

  /** SET FEATURES 03h, set transfer mode (8.46.11). @returns false for a mode that there is not */
  protected setTransferMode(count: number): boolean {
    const mode = count & 7;
    const chosen = 1 << (mode + 8);
    switch (count >> 3) {
      case 0: // PIO, default
      case 1: // PIO with flow control
        this.modes = [0x07, 0x07, 0x3f];
        return true;
      case 2:
        if (mode > 2) return false;
        this.modes = [0x07 | chosen, 0x07, 0x3f];
        return true;
      case 4:
        if (mode > 2) return false;
        this.modes = [0x07, 0x07 | chosen, 0x3f];
        return true;
      case 8:
        if (mode > 5) return false;
        this.modes = [0x07, 0x07, 0x3f | chosen];
        return true;
    }
    return false;
  }

  /** The drive's number on its channel, as its device register shows it. */
  protected get unit(): number {
    return this.t.device & DEVICE_DEV ? 1 : 0;
  }

  save(): unknown {
    return { taskFile: { ...this.t }, data: this.data.slice(), position: this.position, dmaWaits: this.dmaWaits, words: [...this.modes] } satisfies SavedDrive;
  }

  load(state: unknown): void {
    const saved = state as SavedDrive;
    this.generation++;
    Object.assign(this.t, saved.taskFile);
    this.data = saved.data.slice();
    this.position = saved.position;
    this.dmaWaits = saved.dmaWaits;
    this.modes = [...saved.words];
  }
}
