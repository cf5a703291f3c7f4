// The floppy controller, with two drives.
// Intel 82077AA datasheet (290166): section 2 (registers), 4 (phases), 5 (commands), 6 (status bytes). Seeks take no time.
//
// Sectors are moved one by one: from the medium through DMA channel 2, or through the FIFO when SPECIFY has chosen no DMA.

import type { AccessSize, BlockError, IrqLine, PortDevice, Snapshotable } from '../interfaces.ts';
import type { DmaChannel } from '../i8237.ts';
import type { FloppyDrive } from './drive.ts';

export const FLOPPY_PORTS = 0x3f0;
export const FLOPPY_IRQ = 6;
export const FLOPPY_DMA = 2;
const SRA = 0;
const SRB = 1;
const DOR = 2;
const TDR = 3;
const MSR = 4;
const DSR = 4;
const FIFO = 5;
const DIR = 7;
const CCR = 7;

const DOR_NOT_RESET = 0x04;
const DOR_DMA_GATE = 0x08;
const DSR_SOFTWARE_RESET = 0x80;
const MSR_RQM = 0x80;
const MSR_DIO = 0x40;
const MSR_NON_DMA = 0x20;
const MSR_BUSY = 0x10;
const DIR_DISK_CHANGE = 0x80;
const SRA_INTPEND = 0x80;

const ST0_SEEK_END = 0x20;
const ST0_ABNORMAL = 0x40;
const ST0_INVALID = 0x80;
const ST0_READY_CHANGED = 0xc0;
const ST1_MISSING_ADDRESS_MARK = 0x01;
const ST1_NOT_WRITABLE = 0x02;
const ST1_NO_DATA = 0x04;
const ST1_DATA_ERROR = 0x20;
const ST1_END_OF_CYLINDER = 0x80;
const ST2_SCAN_NOT_SATISFIED = 0x04;
const ST2_SCAN_EQUAL_HIT = 0x08;
const ST2_DATA_ERROR = 0x20;

const SECTOR = 512;
/** N of sectors with 512 bytes. */
const SIZE_CODE = 2;
const MULTI_TRACK = 0x80;

type Work = 'read' | 'write' | 'verify' | 'format' | 'scan-equal' | 'scan-low' | 'scan-high';

/** A data command in its execution phase. */
interface Transfer {
  work: Work;
  drive: number;
  track: number;
  head: number;
  sector: number;
  /** Last sector of a track, and whether the other side follows. */
  last: number;
  multiTrack: boolean;
  /** Sectors to go by count (VERIFY with EC, FORMAT), or Infinity. */
  left: number;
  /** Filler of FORMAT. */
  filler: number;
  /** The sector's bytes, how many have gone, and whether they are from the medium already. */
  data: Uint8Array<ArrayBuffer>;
  at: number;
  loaded: boolean;
  /** The backend has been asked and has not answered. */
  asked: 'read' | 'write' | '';
  /** Terminal count has been reached. */
  tc: boolean;
  scanEqual: boolean;
}

interface State {
  dor: number;
  tdr: number;
  rate: number;
  interrupt: boolean;
  /** Bytes of the command so far, or of the result that are left. */
  command: number[];
  result: number[];
  /** ST0 of a seek that SENSE INTERRUPT STATUS will tell of; -1 none. */
  seekStatus: number;
  /** Drives whose state after reset is still to be told. */
  resetStatus: number;
  specify: [number, number];
  configure: number;
  precompensation: number;
  lock: boolean;
  transfer: Transfer | null;
}

const powerOn = (): State => ({
  dor: DOR_NOT_RESET | DOR_DMA_GATE, tdr: 0, rate: 2, interrupt: false, command: [], result: [], seekStatus: -1, resetStatus: 0, specify: [0, 0], configure: 0x20,
  precompensation: 0, lock: false, transfer: null,
});

/** By the low 5 bits, or all 8 where those do not tell: bytes of the command. */
const COMMAND_LENGTHS: readonly [mask: number, code: number, length: number][] = [
  [0x1f, 0x06, 9], // READ DATA
  [0x1f, 0x0c, 9], // READ DELETED DATA
  [0x3f, 0x05, 9], // WRITE DATA
  [0x3f, 0x09, 9], // WRITE DELETED DATA
  [0x9f, 0x02, 9], // READ TRACK
  [0x1f, 0x16, 9], // VERIFY
  [0xbf, 0x0d, 6], // FORMAT TRACK
  [0x1f, 0x11, 9], // SCAN EQUAL
  [0x1f, 0x19, 9], // SCAN LOW OR EQUAL
  [0x1f, 0x1d, 9], // SCAN HIGH OR EQUAL
  [0xff, 0x07, 2], // RECALIBRATE
  [0xff, 0x08, 1], // SENSE INTERRUPT STATUS
  [0xff, 0x03, 3], // SPECIFY
  [0xff, 0x04, 2], // SENSE DRIVE STATUS
  [0xff, 0x8e, 6], // DRIVE SPECIFICATION
  [0xff, 0x0f, 3], // SEEK
  [0xff, 0x8f, 3], // RELATIVE SEEK out
  [0xff, 0xcf, 3], // RELATIVE SEEK in
  [0xff, 0x13, 4], // CONFIGURE
  [0xff, 0x0e, 1], // DUMPREG
  [0xbf, 0x0a, 2], // READ ID
  [0xff, 0x12, 2], // PERPENDICULAR MODE
  [0x7f, 0x14, 1], // LOCK
  [0xff, 0x10, 1], // VERSION
  [0xff, 0x18, 1], // PART ID
];

function commandOf(code: number): { code: number; length: number } | null {
  const found = COMMAND_LENGTHS.find(([mask, value]) => (code & mask) === value);
  return found ? { code: found[1], length: found[2] } : null;
}

export class I82077 implements PortDevice, Snapshotable {
  private s = powerOn();

  constructor(
    private readonly irq: IrqLine,
    private readonly dma: DmaChannel,
    readonly drives: readonly [FloppyDrive | null, FloppyDrive | null],
  ) {
    dma.onReady = () => this.advance();
  }

  // Registers

  readPort(port: number, _size: AccessSize): number {
    const { s } = this;
    const drive = this.drives[s.dor & 3] ?? null;
    switch (port - FLOPPY_PORTS) {
      case SRA:
        // PS/2 mode: INTPEND, and from the drive DRV2#, TRK0#, HDSEL, INDX#, WP#
        return (s.interrupt ? SRA_INTPEND : 0) | (this.drives[1] ? 0 : 0x40) | (drive?.track === 0 ? 0 : 0x10) | ((drive?.head ?? 0) << 3) | (drive?.writeProtected ? 0 : 0x02);
      case SRB:
        return 0xc0 | (s.dor & 1 ? 0x20 : 0) | ((s.dor >> 4) & 3);
      case DOR:
        return s.dor;
      case TDR:
        return s.tdr;
      case MSR:
        return this.mainStatus();
      case FIFO:
        return this.readFifo();
      case DIR:
        return drive && !drive.changed ? 0 : drive ? DIR_DISK_CHANGE : 0;
    }
    return 0xff;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const { s } = this;
    switch (port - FLOPPY_PORTS) {
      case DOR: {
        const before = s.dor;
        s.dor = value;
        if (!(value & DOR_NOT_RESET)) this.softwareReset();
        else if (!(before & DOR_NOT_RESET)) this.leaveReset();
        this.drive();
        this.advance();
        return;
      }
      case TDR:
        s.tdr = value & 3;
        return;
      case DSR:
        s.rate = value & 3;
        if (value & DSR_SOFTWARE_RESET) {
          this.softwareReset();
          this.leaveReset();
        }
        return;
      case FIFO:
        return this.writeFifo(value);
      case CCR:
        s.rate = value & 3;
    }
  }

  private mainStatus(): number {
    const { s } = this;
    if (!(s.dor & DOR_NOT_RESET)) return 0;
    const { transfer } = s;
    if (transfer) {
      if (this.usesDma) return MSR_BUSY;
      const waits = transfer.asked === '' ? MSR_RQM : 0;
      return MSR_BUSY | MSR_NON_DMA | waits | (transfer.work === 'read' ? MSR_DIO : 0);
    }
    return MSR_RQM | (s.result.length > 0 ? MSR_DIO | MSR_BUSY : s.command.length > 0 ? MSR_BUSY : 0);
  }

  private get usesDma(): boolean {
    return !(this.s.specify[1] & 1);
  }

  // Interrupt and reset

  private interrupt(level: boolean): void {
    this.s.interrupt = level;
    this.drive();
  }

  private drive(): void {
    this.irq.set(this.s.interrupt && (this.s.dor & DOR_DMA_GATE) !== 0);
  }

  private softwareReset(): void {
    const { s } = this;
    Object.assign(s, { command: [], result: [], transfer: null, seekStatus: -1, resetStatus: 0 });
    // Unlocked, what CONFIGURE has set goes too.
    if (!s.lock) Object.assign(s, { configure: 0x20, precompensation: 0 });
    this.interrupt(false);
  }

  /** Polling finds all four drives changed, 5.2.5. */
  private leaveReset(): void {
    this.s.resetStatus = 4;
    this.interrupt(true);
  }

  /** The reset line. */
  reset(): void {
    this.s = powerOn();
    this.drive();
    for (const drive of this.drives) {
      if (!drive) continue;
      drive.track = drive.head = 0;
      drive.changed = true;
      drive.perpendicular = false;
    }
  }

  // FIFO

  private readFifo(): number {
    const { s } = this;
    const { transfer } = s;
    if (transfer) {
      if (this.usesDma || transfer.work !== 'read' || transfer.asked) return 0;
      this.interrupt(false);
      const byte = transfer.data[transfer.at++];
      if (transfer.at === transfer.data.length) this.sectorDone();
      return byte;
    }
    this.interrupt(false);
    return s.result.shift() ?? 0;
  }

  private writeFifo(value: number): void {
    const { s } = this;
    if (!(s.dor & DOR_NOT_RESET)) return;
    const { transfer } = s;
    if (transfer) {
      if (this.usesDma || transfer.work === 'read' || transfer.asked) return;
      this.interrupt(false);
      transfer.data[transfer.at++] = value;
      if (transfer.at === transfer.data.length) this.dataComplete();
      return;
    }
    if (s.result.length > 0) return;
    s.command.push(value);
    const known = commandOf(s.command[0]);
    if (!known) {
      s.command = [];
      s.result = [ST0_INVALID];
    } else if (s.command.length === known.length) {
      const bytes = s.command;
      s.command = [];
      this.execute(known.code, bytes);
    }
  }

  // Commands

  private execute(code: number, bytes: readonly number[]): void {
    const { s } = this;
    const unit = bytes[1] & 3;
    const head = (bytes[1] >> 2) & 1;
    const drive = this.drives[unit] ?? null;
    switch (code) {
      case 0x06:
      case 0x0c:
        return this.begin('read', bytes);
      case 0x02:
        return this.begin('read', [bytes[0] & ~MULTI_TRACK, bytes[1], bytes[2], bytes[3], 1, ...bytes.slice(5)]);
      case 0x05:
      case 0x09:
        return this.begin('write', bytes);
      case 0x16:
        return this.begin('verify', bytes);
      case 0x0d:
        return this.begin('format', bytes);
      case 0x11:
        return this.begin('scan-equal', bytes);
      case 0x19:
        return this.begin('scan-low', bytes);
      case 0x1d:
        return this.begin('scan-high', bytes);
      case 0x07:
        return this.seekTo(unit, head, 0);
      case 0x0f:
        return this.seekTo(unit, head, bytes[2]);
      case 0x8f:
        return this.seekTo(unit, head, Math.max(0, (drive?.track ?? 0) - bytes[2]));
      case 0xcf:
        return this.seekTo(unit, head, Math.min(255, (drive?.track ?? 0) + bytes[2]));
      case 0x08:
        return this.senseInterrupt();
      case 0x03:
        s.specify = [bytes[1], bytes[2]];
        return;
      case 0x04: {
        // ST3: write protect, track 0, two sides
        const flags = drive ? (drive.writeProtected ? 0x40 : 0) | (drive.track === 0 ? 0x10 : 0) | 0x08 : 0;
        s.result = [flags | 0x20 | (head << 2) | unit];
        return;
      }
      case 0x8e:
        // Ends without a result when bit 7 of the last byte says so.
        if (!(bytes[5] & 0x80)) s.result = [0, 0];
        return;
      case 0x13:
        s.configure = bytes[2];
        s.precompensation = bytes[3];
        return;
      case 0x0e:
        s.result = [
          ...[0, 1].map((n) => this.drives[n]?.track ?? 0), 0, 0, ...s.specify, this.drives[s.dor & 1]?.format?.sectors ?? 0,
          (s.lock ? 0x80 : 0) | this.drives.reduce((bits, each, n) => bits | (each?.perpendicular ? 4 << n : 0), 0), s.configure, s.precompensation,
        ];
        return;
      case 0x0a:
        return this.readId(unit, head);
      case 0x12:
        // OW: the drive bits count.
        if (bytes[1] & 0x80) this.drives.forEach((each, n) => each && (each.perpendicular = (bytes[1] & (4 << n)) !== 0));
        return;
      case 0x14:
        s.lock = (bytes[0] & 0x80) !== 0;
        s.result = [s.lock ? 0x10 : 0];
        return;
      case 0x10:
        s.result = [0x90]; // enhanced controller
        return;
      case 0x18:
        s.result = [0x41]; // an 82078, as QEMU says
    }
  }

  private seekTo(unit: number, head: number, track: number): void {
    const drive = this.drives[unit] ?? null;
    if (drive) {
      drive.head = head;
      // RECALIBRATE steps 80 times at most, and the heads stop at their end.
      drive.seek(track);
    }
    this.s.seekStatus = ST0_SEEK_END | unit;
    this.interrupt(true);
  }

  private senseInterrupt(): void {
    const { s } = this;
    if (s.resetStatus > 0) {
      const unit = 4 - s.resetStatus--;
      s.result = [ST0_READY_CHANGED | unit, this.drives[unit]?.track ?? 0];
    } else if (s.seekStatus >= 0) {
      s.result = [s.seekStatus, this.drives[s.seekStatus & 3]?.track ?? 0];
      s.seekStatus = -1;
    } else {
      s.result = [ST0_INVALID];
    }
    this.interrupt(false);
  }

  private readId(unit: number, head: number): void {
    const drive = this.drives[unit] ?? null;
    const { format } = drive ?? {};
    if (!drive || !format || format.rate !== this.s.rate || drive.track >= format.cylinders || head >= format.heads) {
      return this.finish(unit, head, ST0_ABNORMAL, ST1_MISSING_ADDRESS_MARK, 0, [drive?.track ?? 0, head, 1, SIZE_CODE]);
    }
    drive.head = head;
    drive.sector = (drive.sector % format.sectors) + 1;
    this.finish(unit, head, 0, 0, 0, [drive.track, head, drive.sector, SIZE_CODE]);
  }

  // Data

  private begin(work: Work, bytes: readonly number[]): void {
    const unit = bytes[1] & 3;
    const drive = this.drives[unit] ?? null;
    const formats = work === 'format';
    const head = formats ? (bytes[1] >> 2) & 1 : bytes[3] & 1;
    const track = formats ? (drive?.track ?? 0) : bytes[2];
    const transfer: Transfer = {
      work, drive: unit, track, head,
      sector: formats ? 1 : bytes[4],
      last: formats ? bytes[3] : bytes[6],
      multiTrack: !formats && (bytes[0] & MULTI_TRACK) !== 0,
      left: formats ? bytes[3] : work === 'verify' && bytes[1] & 0x80 ? bytes[8] || 256 : Infinity,
      filler: bytes[5], data: new Uint8Array(formats ? 4 : SECTOR), at: 0, loaded: false, asked: '', tc: false, scanEqual: true,
    };
    this.s.transfer = transfer;
    const size = formats ? bytes[2] : bytes[5];
    if (!drive?.format || drive.format.rate !== this.s.rate) return this.stop(ST1_MISSING_ADDRESS_MARK);
    if ((work === 'write' || formats) && drive.writeProtected) return this.stop(ST1_NOT_WRITABLE);
    // N = 0 with a length is how some software asks for whole sectors; others do not exist on the media here.
    if (size > SIZE_CODE || (formats && size !== SIZE_CODE)) return this.stop(ST1_NO_DATA);
    // As in QEMU, a drive goes where it is sent even without implied seeks.
    drive.head = head;
    if (!formats) drive.seek(track);
    if (formats && transfer.left === 0) return this.stop();
    if (!this.usesDma && work === 'write') this.interrupt(true);
    this.advance();
  }

  /** Go on as far as medium and DMA let it. */
  private advance(): void {
    for (let more = true; more; ) more = this.step();
  }

  /** One step of the transfer. False: there is nothing to do, or something has to be waited for. */
  private step(): boolean {
    const { transfer } = this.s;
    if (!transfer || transfer.asked !== '') return false;
    const { work } = transfer;
    const drive = this.drives[transfer.drive];
    const number = drive?.sectorAt(transfer.track, transfer.head, transfer.sector) ?? -1;
    if (work !== 'format' && (number < 0 || (number + 1) * SECTOR > drive!.medium!.size)) {
      this.stop(ST1_NO_DATA);
      return false;
    }
    if (work === 'read' && !transfer.loaded) {
      this.fetch(number);
      return this.s.transfer === transfer && transfer.asked === '' && this.usesDma;
    }
    if (work === 'verify') {
      this.fetch(number);
      return false;
    }
    // From here on bytes have to move.
    if (!this.usesDma || !(this.s.dor & DOR_DMA_GATE) || !this.dma.ready) return false;
    const part = transfer.data.subarray(transfer.at);
    const { moved, tc } = work === 'read' ? this.dma.write(part) : this.dma.read(part);
    // A channel that is set up for the other direction.
    if (moved === 0) return false;
    transfer.at += moved;
    transfer.tc = tc;
    if (transfer.at < transfer.data.length && !tc) return true;
    if (work === 'read') return this.sectorDone();
    // What is missing of a sector is written as zeros, 5.1.3.
    transfer.data.fill(0, transfer.at);
    this.dataComplete();
    return this.s.transfer === transfer && transfer.asked === '';
  }

  /** Read the sector that comes next. */
  private fetch(number: number): void {
    const transfer = this.s.transfer!;
    const medium = this.drives[transfer.drive]!.medium!;
    transfer.asked = 'read';
    transfer.data = new Uint8Array(SECTOR);
    let returned = false;
    medium.read(number * SECTOR, transfer.data, (error: BlockError | null) => {
      if (this.s.transfer !== transfer) return;
      transfer.asked = '';
      if (error) return this.stop(ST1_DATA_ERROR, ST2_DATA_ERROR);
      transfer.at = 0;
      transfer.loaded = true;
      if (transfer.work === 'verify') {
        if (this.sectorDone()) this.advance();
      } else if (transfer.work !== 'read') {
        this.compare();
      } else {
        if (!this.usesDma) this.interrupt(true);
        if (returned) this.advance();
      }
    });
    returned = true;
  }

  /** The sector's bytes have come from the host. */
  private dataComplete(): void {
    const transfer = this.s.transfer!;
    const drive = this.drives[transfer.drive]!;
    let at = { track: transfer.track, head: transfer.head, sector: transfer.sector };
    let bytes = transfer.data;
    if (transfer.work === 'format') {
      const [track, head, sector] = transfer.data;
      at = { track, head, sector };
      bytes = new Uint8Array(SECTOR).fill(transfer.filler);
    }
    const number = drive.sectorAt(at.track, at.head, at.sector);
    if (number < 0 || (number + 1) * SECTOR > drive.medium!.size) return this.stop(ST1_NO_DATA);
    if (transfer.work.startsWith('scan')) {
      this.hostData = transfer.data;
      this.fetch(number);
      return;
    }
    transfer.asked = 'write';
    drive.medium!.write(number * SECTOR, bytes, (error: BlockError | null) => {
      if (this.s.transfer !== transfer) return;
      transfer.asked = '';
      if (error) return this.stop(ST1_DATA_ERROR, ST2_DATA_ERROR);
      if (this.sectorDone()) {
        if (!this.usesDma) this.interrupt(true);
        this.advance();
      }
    });
  }

  /** SCAN: what the host gave, while the medium's sector is on its way. */
  private hostData = new Uint8Array(0);

  /** SCAN, 5.1.6: FFh from either side matches everything. */
  private compare(): void {
    const transfer = this.s.transfer!;
    const satisfied = this.hostData.every((host, i) => {
      const disk = transfer.data[i];
      if (host === disk || host === 0xff || disk === 0xff) return true;
      transfer.scanEqual = false;
      return transfer.work === 'scan-low' ? disk <= host : transfer.work === 'scan-high' ? disk >= host : false;
    });
    if (satisfied) return this.stop(0, transfer.scanEqual ? ST2_SCAN_EQUAL_HIT : 0);
    transfer.scanEqual = true;
    transfer.loaded = false;
    if (transfer.sector >= transfer.last || transfer.tc) return this.stop(0, ST2_SCAN_NOT_SATISFIED);
    transfer.sector++;
    transfer.at = 0;
    transfer.data = new Uint8Array(SECTOR);
    this.advance();
  }

  /** A sector has been moved: on to the next. False: the command has ended. */
  private sectorDone(): boolean {
    const transfer = this.s.transfer!;
    transfer.at = 0;
    transfer.loaded = false;
    transfer.left--;
    transfer.data = new Uint8Array(transfer.work === 'format' ? 4 : SECTOR);
    const endOfTrack = transfer.sector === transfer.last;
    const endOfCylinder = endOfTrack && !(transfer.multiTrack && transfer.head === 0);
    // Where the result says that the next sector would be, table 5-? of 5.1.1.
    if (endOfTrack) {
      transfer.sector = 1;
      if (transfer.multiTrack) {
        transfer.head ^= 1;
        if (transfer.head === 0) transfer.track++;
      } else {
        transfer.track++;
      }
    } else {
      transfer.sector = (transfer.sector + 1) & 0xff;
    }
    if (transfer.tc || transfer.left <= 0) {
      this.stop();
      return false;
    }
    if (endOfCylinder) {
      // Without terminal count the controller wants to go on where there is nothing; VERIFY has none.
      if (transfer.work === 'verify') this.stop();
      else this.stop(ST1_END_OF_CYLINDER);
      return false;
    }
    if (transfer.work === 'read') {
      if (this.usesDma) return true;
      this.advance();
      return false;
    }
    return true;
  }

  /** The end of a data command. */
  private stop(st1 = 0, st2 = 0): void {
    const transfer = this.s.transfer!;
    this.s.transfer = null;
    const { drive, head, track, sector } = transfer;
    this.finish(drive, head, st1 ? ST0_ABNORMAL : 0, st1, st2, [track, head, sector, SIZE_CODE]);
  }

  private finish(unit: number, head: number, st0: number, st1: number, st2: number, id: number[]): void {
    this.s.result = [st0 | (head << 2) | unit, st1, st2, ...id];
    this.interrupt(true);
  }

  save(): unknown {
    return { controller: structuredClone(this.s), drives: this.drives.map((drive) => drive?.save()), hostData: this.hostData.slice() };
  }

  load(state: unknown): void {
    const saved = state as { controller: State; drives: unknown[]; hostData: Uint8Array };
    this.s = structuredClone(saved.controller);
    this.hostData = saved.hostData.slice();
    this.drives.forEach((drive, n) => drive?.load(saved.drives[n]));
    this.drive();
    // What a backend had not answered is asked again.
    const { transfer } = this.s;
    if (transfer?.asked === 'read') {
      transfer.asked = '';
      this.fetchAgain();
    } else if (transfer?.asked === 'write') {
      transfer.asked = '';
      this.dataComplete();
    }
  }

  private fetchAgain(): void {
    const { drive, track, head, sector } = this.s.transfer!;
    this.fetch(this.drives[drive]!.sectorAt(track, head, sector));
  }
}
