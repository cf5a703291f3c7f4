// A floppy drive: where its head is, and what lies in it.

import type { BlockBackend, RemovableDrive } from '../interfaces.ts';
import { type DriveType, type FloppyFormat, formatOf } from './formats.ts';

/** The drive of a PC without a diskette, as QEMU has it. */
const EMPTY_DRIVE: DriveType = '288';

export class FloppyDrive implements RemovableDrive {
  readonly type: DriveType;
  track = 0;
  head = 0;
  sector = 1;
  perpendicular = false;
  /** Disk change line: set when the medium was taken out, until the head is moved with one in. */
  changed = true;
  format: FloppyFormat | null = null;
  readonly locked = false;
  readonly trayOpen = false;
  /** Called when the medium has come or gone. */
  onChange: () => void = () => {};

  /** @param type 'auto': made for the medium that is in it first */
  constructor(
    public medium: BlockBackend | null,
    type: DriveType | 'auto' = 'auto',
  ) {
    this.type = type !== 'auto' ? type : medium ? formatOf(medium.size, 'auto').drive : EMPTY_DRIVE;
    this.findFormat();
  }

  get writeProtected(): boolean {
    return this.medium?.readOnly ?? false;
  }

  private findFormat(): void {
    this.format = this.medium && formatOf(this.medium.size, this.type);
  }

  insert(medium: BlockBackend): void {
    this.medium = medium;
    this.findFormat();
    this.changed = true;
    this.onChange();
  }

  eject(): boolean {
    this.medium = null;
    this.format = null;
    this.changed = true;
    this.onChange();
    return true;
  }

  /** Move the head. */
  seek(track: number): void {
    if (track !== this.track && this.medium) this.changed = false;
    this.track = track;
  }

  /** Number of a sector from the start of the image, or -1 if the format has none there. */
  sectorAt(track: number, head: number, sector: number): number {
    const { format } = this;
    if (!format || track >= format.cylinders || head >= format.heads || sector < 1 || sector > format.sectors) return -1;
    return (track * format.heads + head) * format.sectors + sector - 1;
  }

  save(): unknown {
    const { track, head, sector, perpendicular, changed } = this;
    return { track, head, sector, perpendicular, changed };
  }

  load(state: unknown): void {
    Object.assign(this, state as object);
  }
}
