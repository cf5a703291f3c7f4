// An IDE channel: command and control block, with the two drives that share them.
// ATA/ATAPI-6 (T13/1410D), sections 5.2 (signals), 7 (registers) and 9.2, 9.3 (resets).

import type { AccessSize, GuestMemory, IrqLine, PortDevice, Snapshotable } from '../interfaces.ts';
import { ATA_COMMAND, ATA_DATA, ATA_DEVICE, ATA_LBA_MID, ATA_STATUS, CONTROL_HOB, CONTROL_NIEN, CONTROL_SRST, DEVICE_DEV, STATUS_BSY, STATUS_DRQ } from './ata.ts';
import { BusMaster } from './bus-master.ts';
import type { DriveHost, IdeDrive } from './drive.ts';

/** Legacy ports and interrupts of the two channels: 82371SB datasheet, section 3.3. */
export const IDE_CHANNELS = [
  { command: 0x1f0, control: 0x3f6, irq: 14 },
  { command: 0x170, control: 0x376, irq: 15 },
] as const;

interface State {
  unit: number;
  control: number;
  irq: boolean;
}

export class IdeChannel implements PortDevice, DriveHost, Snapshotable {
  readonly dma: BusMaster;
  private s: State = { unit: 0, control: 0, irq: false };

  /**
   * @param command first port of the command block
   * @param drives device 0 and 1
   */
  constructor(
    private readonly commandBlock: number,
    private readonly irq: IrqLine,
    memory: GuestMemory,
    readonly drives: readonly [IdeDrive | null, IdeDrive | null],
    isMaster?: () => boolean,
  ) {
    this.dma = new BusMaster(memory, {
      start: () => this.drives.find((drive) => drive?.dmaWaits)?.dmaStarted(),
      stop: () => this.drives.forEach((drive) => drive?.dmaStopped()),
    }, isMaster);
    for (const drive of drives) drive?.attach(this);
  }

  private get isEmpty(): boolean {
    return !this.drives[0] && !this.drives[1];
  }

  private get selected(): IdeDrive | null {
    return this.drives[this.s.unit];
  }

  interrupt(): void {
    if (this.s.control & CONTROL_NIEN) return;
    this.setIrq(true);
    this.dma.interrupted();
  }

  private setIrq(level: boolean): void {
    this.s.irq = level;
    this.irq.set(level);
  }

  readPort(port: number, size: AccessSize): number {
    const register = port - this.commandBlock;
    if (register === ATA_DATA) return this.selected?.readData(size) ?? 0;
    if (size > 1) {
      // Registers have 8 bits: wider accesses are several of them.
      let value = 0;
      for (let i = 0; i < size && register + i <= ATA_STATUS; i++) value |= this.readPort(port + i, 1) << (8 * i);
      return value >>> 0;
    }
    // The control block: alternate status, which leaves the interrupt alone.
    if (register > ATA_STATUS) return this.status();
    if (register !== ATA_STATUS) return this.readRegister(register);
    const status = this.status();
    this.setIrq(false);
    return status;
  }

  private status(): number {
    return this.selected?.readRegister(ATA_STATUS, false) ?? 0;
  }

  private readRegister(register: number): number {
    const hob = (this.s.control & CONTROL_HOB) !== 0;
    if (this.selected) return this.selected.readRegister(register, hob);
    if (this.isEmpty) return 0;
    // Device 0 answers for a device 1 that is not there (9.16.1), and what was written last is on the bus if it is the other way around.
    const other = this.drives[1 - this.s.unit]!;
    if (register === ATA_DEVICE || this.s.unit === 1) return register === 1 ? 0 : other.readRegister(register, hob);
    return register >= ATA_LBA_MID ? 0xff : register === 1 ? 0 : other.readRegister(register, hob);
  }

  writePort(port: number, size: AccessSize, value: number): void {
    const register = port - this.commandBlock;
    if (register === ATA_DATA) return void this.selected?.writeData(size, value);
    if (size > 1) {
      for (let i = 0; i < size && register + i <= ATA_STATUS; i++) this.writePort(port + i, 1, (value >>> (8 * i)) & 0xff);
      return;
    }
    if (register > ATA_STATUS) return this.writeControl(value);
    const { s, selected } = this;
    // A device that works on a command takes nothing else, 7.
    if (register !== ATA_COMMAND && selected && selected.t.status & (STATUS_BSY | STATUS_DRQ)) return;
    s.control &= ~CONTROL_HOB;
    if (register === ATA_COMMAND) {
      this.setIrq(false);
      selected?.execute(value);
      return;
    }
    // Both devices see all writes.
    for (const drive of this.drives) drive?.writeRegister(register, value);
    if (register === ATA_DEVICE) s.unit = value & DEVICE_DEV ? 1 : 0;
  }

  private writeControl(value: number): void {
    const { s } = this;
    const before = s.control;
    s.control = value & (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB);
    if (value & CONTROL_NIEN) this.irq.set(false);
    else this.irq.set(s.irq);
    if (value & CONTROL_SRST) {
      if (!(before & CONTROL_SRST)) for (const drive of this.drives) drive?.holdInReset();
    } else if (before & CONTROL_SRST) {
      this.resetDrives();
    }
  }

  private resetDrives(): void {
    this.s.unit = 0;
    this.setIrq(false);
    for (const drive of this.drives) drive?.reset();
  }

  /** RESET#. */
  reset(): void {
    this.s.control = 0;
    this.dma.reset();
    this.resetDrives();
  }

  save(): unknown {
    return { ...this.s, dma: this.dma.save(), drives: this.drives.map((drive) => drive?.save()) };
  }

  load(state: unknown): void {
    const { unit, control, irq, dma, drives } = state as State & { dma: unknown; drives: unknown[] };
    this.s = { unit, control, irq };
    this.irq.set(irq && !(control & CONTROL_NIEN));
    this.dma.load(dma);
    this.drives.forEach((drive, n) => drive?.load(drives[n]));
  }
}
