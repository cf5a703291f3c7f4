// An ATAPI CD-ROM drive: PACKET and the way its data takes, tray and medium. What the packets mean is in mmc.ts.
// ATA/ATAPI-6 (T13/1410D), sections 8.23 (PACKET) and 9.8, 9.9 (protocols).

import type { BlockBackend, BlockError, RemovableDrive } from '../interfaces.ts';
import { Command, REASON_CD, REASON_IO, STATUS_BSY, STATUS_DRDY, STATUS_DRQ, STATUS_DSC, STATUS_ERR } from './ata.ts';
import { IdeDrive } from './drive.ts';
import { identifyPacketDevice } from './identify.ts';
import { CD_SECTOR, type CdState, Mmc, type PacketResult, RAW_SECTOR, rawSector, type Sense } from './mmc.ts';

const PACKET_BYTES = 12;
/** Sectors that one request to the backend has at most. */
const CHUNK_SECTORS = 64;
const FEATURE_DMA = 0x01;
const FEATURE_OVERLAP = 0x02;

/** What PACKET is at. */
interface State extends CdState {
  phase: 'none' | 'packet' | 'data' | 'sectors';
  dma: boolean;
  /** Host's limit of bytes between two interrupts. */
  limit: number;
  /** Data that was asked for and not yet offered: bytes, or sectors of the medium. */
  answer: Uint8Array<ArrayBuffer>;
  answerAt: number;
  lba: number;
  sectorsLeft: number;
  raw: boolean;
  asked: boolean;
}

export interface IdeCdOptions {
  serial: string;
  model?: string;
}

export class IdeCd extends IdeDrive implements RemovableDrive {
  private s: State = {
    phase: 'none', dma: false, limit: 0, answer: new Uint8Array(0), answerAt: 0, lba: 0, sectorsLeft: 0, raw: false, asked: false,
    senseKey: 0, asc: 0, trayOpen: false, locked: false, changed: 0, newMedia: false, ejectRequest: false,
  };
  private readonly serial: string;
  private readonly mmc: Mmc;
  protected readonly signature = [0x14, 0xeb] as const;

  constructor(
    public medium: BlockBackend | null,
    { serial, model = 'QEMU DVD-ROM' }: IdeCdOptions,
  ) {
    super();
    this.serial = serial;
    this.model = model;
    this.mmc = new Mmc(model, () => this.sectors);
  }
  private readonly model: string;

  /** Sectors of 2048 bytes on the medium; 0 without one. */
  private get sectors(): number {
    return this.s.trayOpen || !this.medium ? 0 : Math.floor(this.medium.size / CD_SECTOR);
  }

  get locked(): boolean {
    return this.s.locked;
  }

  get trayOpen(): boolean {
    return this.s.trayOpen;
  }

  insert(medium: BlockBackend): void {
    this.medium = medium;
    this.s.trayOpen = false;
    this.s.ejectRequest = false;
    this.mediumChanged();
  }

  eject(force = false): boolean {
    if (this.s.locked && !force && !this.s.trayOpen) {
      this.s.ejectRequest = true;
      return false;
    }
    this.medium = null;
    this.s.trayOpen = true;
    this.s.locked = false;
    this.mediumChanged();
    return true;
  }

  private mediumChanged(): void {
    // A transfer from the medium that was there ends in an error.
    if (this.s.phase === 'sectors') this.check([0x02, 0x3a]);
    this.s.changed = 1;
    this.s.newMedia = true;
  }

  override reset(): void {
    const { s } = this;
    s.senseKey = s.asc = s.changed = 0;
    super.reset();
    // 9.12: a packet device shows nothing but its signature.
    this.t.status = 0;
  }

  protected drop(): void {
    Object.assign(this.s, { phase: 'none', answer: new Uint8Array(0), answerAt: 0, sectorsLeft: 0, asked: false });
  }

  protected get givesData(): boolean {
    return this.s.phase !== 'packet';
  }

  protected override takesWhileBusy(code: number): boolean {
    return code === Command.DEVICE_RESET;
  }

  command(code: number): void {
    const { s, t } = this;
    switch (code) {
      case Command.DEVICE_RESET:
        this.cancel();
        this.setSignature();
        t.status = 0;
        return;
      case Command.EXECUTE_DEVICE_DIAGNOSTIC:
        this.setSignature();
        t.status = 0;
        this.host.interrupt();
        return;
      case Command.IDENTIFY_PACKET_DEVICE:
        this.startPio(identifyPacketDevice(this.serial, this.model, this.modes));
        this.host.interrupt();
        return;
      case Command.IDENTIFY_DEVICE:
      case Command.READ_SECTORS:
        // 8.15.5.2, 8.27: how software sees that this is a packet device.
        this.setSignature();
        t.error = 0;
        return this.fail();
      case Command.SET_FEATURES:
        if (t.features === 0x03 ? this.setTransferMode(t.count) : [0x66, 0xcc].includes(t.features)) this.complete();
        else this.fail();
        return;
      case Command.PACKET:
        if (t.features & FEATURE_OVERLAP) return this.fail();
        s.dma = (t.features & FEATURE_DMA) !== 0;
        s.limit = t.lbaMid | (t.lbaHigh << 8);
        s.phase = 'packet';
        t.count = REASON_CD;
        // Word 0 of IDENTIFY says that no interrupt asks for the packet.
        return this.startPio(new Uint8Array(PACKET_BYTES));
    }
    if (!this.commonCommand(code)) this.fail();
  }

  protected pioEnded(): void {
    const { s, t } = this;
    if (s.phase === 'none') {
      t.status = STATUS_DRDY | STATUS_DSC;
      return;
    }
    if (s.phase === 'packet') {
      t.status = STATUS_DRDY | STATUS_BSY;
      s.phase = 'none';
      this.result(this.mmc.execute(this.data, s, this.medium !== null));
      return;
    }
    this.offer();
  }

  /** Do with a packet's result what the protocol says. */
  private result(result: PacketResult): void {
    const { s } = this;
    switch (result.kind) {
      case 'error':
        return this.check(result.sense);
      case 'done':
        return this.ok();
      case 'data':
        s.phase = 'data';
        s.answer = result.bytes;
        s.answerAt = 0;
        if (result.bytes.length === 0) return this.ok();
        break;
      case 'sectors':
        Object.assign(s, { phase: 'sectors', lba: result.lba, sectorsLeft: result.count, raw: result.raw, answer: new Uint8Array(0), answerAt: 0 });
    }
    // The limit must allow something to be sent, 8.23.5.
    if (!s.dma && s.limit === 0) return this.fail();
    if (s.dma) {
      this.t.status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
      this.dmaWaits = true;
      if (this.host.dma.started) this.dmaStarted();
    } else {
      this.offer();
    }
  }

  /** Success: 9.8, completion phase. */
  private ok(): void {
    this.finishDma(false);
    this.drop();
    this.t.count = (this.t.count & ~7) | REASON_IO | REASON_CD;
    this.complete();
  }

  /** CHECK CONDITION. */
  private check([key, asc]: Sense): void {
    const { s, t } = this;
    this.finishDma(true);
    this.cancel();
    s.senseKey = key;
    s.asc = asc;
    t.error = key << 4;
    t.count = (t.count & ~7) | REASON_IO | REASON_CD;
    t.status = STATUS_DRDY | STATUS_ERR;
    this.host.interrupt();
  }

  private finishDma(failed: boolean): void {
    if (this.dmaWaits) this.host.dma.finish(failed);
    this.dmaWaits = false;
  }

  /** Give the host its next bytes through the data port. */
  private offer(): void {
    const { s, t } = this;
    const left = s.answer.length - s.answerAt;
    if (left === 0) {
      if (s.sectorsLeft > 0) return this.fetch();
      return this.ok();
    }
    // A sector's end may lie inside a block: only the last block may be odd.
    let limit = s.limit === 0xffff ? 0xfffe : s.limit;
    const more = left > limit;
    if (more && limit > 1) limit &= ~1;
    const size = Math.min(left, limit);
    const part = s.answer.slice(s.answerAt, s.answerAt + size);
    s.answerAt += size;
    t.lbaMid = size & 0xff;
    t.lbaHigh = size >> 8;
    t.count = (t.count & ~7) | REASON_IO;
    this.startPio(part);
    this.host.interrupt();
  }

  dmaStarted(): void {
    const { s } = this;
    const left = s.answer.length - s.answerAt;
    if (left === 0) {
      if (s.sectorsLeft > 0) return this.fetch();
      return this.ok();
    }
    // A table that is too short takes what fits, and the command ends, as in QEMU.
    const size = this.host.dma.capacity(left);
    if (!this.host.dma.toMemory(s.answer.subarray(s.answerAt, s.answerAt + size))) return this.check([0x0b, 0]);
    s.answerAt += size;
    if (size < left) return this.ok();
    this.dmaStarted();
  }

  /** Read the next sectors of the medium. */
  private fetch(): void {
    const { s, t } = this;
    const count = Math.min(s.sectorsLeft, CHUNK_SECTORS);
    const bytes = new Uint8Array(count * CD_SECTOR);
    if (!this.medium || s.lba + count > this.sectors) return this.check([0x05, 0x21]);
    s.asked = true;
    if (!s.dma) t.status = STATUS_DRDY | STATUS_DSC | STATUS_BSY;
    this.medium.read(
      s.lba * CD_SECTOR,
      bytes,
      this.ifWanted((error: BlockError | null) => {
        s.asked = false;
        if (error) return this.check([0x03, 0x11]); // medium error, unrecovered read
        s.answer = s.raw ? withHeaders(bytes, s.lba) : bytes;
        s.answerAt = 0;
        s.lba += count;
        s.sectorsLeft -= count;
        if (s.dma) this.dmaStarted();
        else this.offer();
      }),
    );
  }

  protected askAgain(): void {
    if (this.s.asked) this.fetch();
  }

  override dmaStopped(): void {
    super.dmaStopped();
    this.s.asked = false;
  }

  /** The medium is not part of the state. */
  override save(): unknown {
    return { drive: super.save(), cd: structuredClone(this.s) };
  }

  override load(state: unknown): void {
    const saved = state as { drive: unknown; cd: State };
    super.load(saved.drive);
    this.s = structuredClone(saved.cd);
    this.askAgain();
  }
}

/** Sectors of 2048 bytes as the 2352 bytes that are on the disc. */
function withHeaders(bytes: Uint8Array, lba: number): Uint8Array<ArrayBuffer> {
  const count = bytes.length / CD_SECTOR;
  const raw = new Uint8Array(count * RAW_SECTOR);
  for (let n = 0; n < count; n++) rawSector(raw.subarray(n * RAW_SECTOR), lba + n, bytes.subarray(n * CD_SECTOR, (n + 1) * CD_SECTOR));
  return raw;
}
