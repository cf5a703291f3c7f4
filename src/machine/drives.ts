// The drives of the board, made from the configuration: IDE disks, CD-ROM and floppy drives, and what in them can be changed.

import { FloppyDrive } from '../devices/floppy/drive.ts';
import { IdeCd } from '../devices/ide/atapi.ts';
import { SECTOR } from '../devices/ide/ata.ts';
import { IdeDisk } from '../devices/ide/disk.ts';
import type { IdeDrive } from '../devices/ide/drive.ts';
import { type Geometry, guessGeometry } from '../devices/ide/geometry.ts';
import type { BlockBackend, RemovableDrive } from '../devices/interfaces.ts';
import type { DriveConfig, MachineConfig, PciDeviceConfig } from './options/index.ts';

/** Read the first sector of a disk; undefined if the backend has not answered when this returns. */
export function bootSectorNow(disk: BlockBackend): Uint8Array | undefined {
  const bytes = new Uint8Array(SECTOR);
  if (disk.size < SECTOR) return bytes;
  let answered = false;
  // A disk that cannot be read has no partition table to go by; the guest will see the error.
  disk.read(0, bytes, () => (answered = true));
  return answered ? bytes : undefined;
}

/** The same for a disk that takes its time. */
export function bootSector(disk: BlockBackend): Promise<Uint8Array> {
  const bytes = new Uint8Array(SECTOR);
  return disk.size < SECTOR ? Promise.resolve(bytes) : new Promise((resolve) => disk.read(0, bytes, () => resolve(bytes)));
}

export class BoardDrives {
  readonly ide: readonly (IdeDrive | null)[];
  readonly floppies: readonly [FloppyDrive | null, FloppyDrive | null];
  /** CD-ROM and floppy drives, by the names that the monitor has for them. */
  readonly removable = new Map<string, RemovableDrive>();
  /** What is in them. */
  readonly media = new Map<string, DriveConfig>();
  /** Called with a medium that has been taken out. Nobody hears of a failure then: the guest that wrote has not asked. */
  onEjected: (medium: BlockBackend) => void = (medium) => medium.flush(() => {});

  /**
   * @param disks one for each of MachineConfig.drives
   * @param bootSectors the first sectors of those that do not answer at once
   */
  constructor(config: MachineConfig, private readonly disks: readonly BlockBackend[], private readonly bootSectors: readonly (Uint8Array | undefined)[]) {
    const medium = (drive: number | undefined): BlockBackend | null => (drive === undefined ? null : disks[drive]);
    this.ide = config.ide.map((drive) => {
      if (!drive) return null;
      const { serial, model, physicalBlockSize } = drive;
      if (drive.kind === 'cd') {
        const cd = new IdeCd(medium(drive.drive), { serial, model });
        this.removable.set(drive.name, cd);
        return cd;
      }
      return new IdeDisk(disks[drive.drive!], { serial, model, physicalBlockSize, geometry: this.geometry(drive.drive!) });
    });
    const floppy = (n: number): FloppyDrive | null => {
      const drive = config.floppies[n];
      if (!drive) return null;
      const made = new FloppyDrive(medium(drive.drive), drive.type);
      this.removable.set(drive.name, made);
      return made;
    };
    this.floppies = [floppy(0), floppy(1)];
    for (const drive of [...config.ide, ...config.floppies]) {
      if (drive?.drive !== undefined && this.removable.has(drive.name)) this.media.set(drive.name, config.drives[drive.drive]);
    }
  }

  /** How old systems divide the hard disk in drive n of MachineConfig.drives. */
  geometry(n: number): Geometry {
    const disk = this.disks[n];
    const boot = this.bootSectors[n] ?? bootSectorNow(disk);
    if (!boot) throw new Error(`the first sector of drive ${n} has to be read before the machine is made`);
    return guessGeometry(Math.floor(disk.size / SECTOR), boot);
  }

  /**
   * Take the medium out of a drive.
   * @param force even if the guest has locked it
   * @returns false if it is locked: the guest is told that the user wants it out
   */
  eject(name: string, force: boolean): boolean {
    const drive = this.removable.get(name);
    if (!drive) throw new RangeError(`${name} is no drive for removable media`);
    const { medium } = drive;
    if (!drive.eject(force)) return false;
    this.media.delete(name);
    if (medium) this.onEjected(medium);
    return true;
  }

  /** Put a medium into a drive that eject() has emptied. */
  insert(name: string, medium: BlockBackend, what: DriveConfig): void {
    this.removable.get(name)!.insert(medium);
    this.media.set(name, what);
  }
}

/**
 * Open Firmware paths of what has a bootindex, in its order (QEMU, softmmu/bootdevice.c; SeaBIOS, src/boot.c).
 * @param places where on the PCI bus the devices were plugged in
 */
export function bootDevicePaths(config: MachineConfig, places: ReadonlyMap<PciDeviceConfig, { slot: number; fn: number }>): string[] {
  const paths: [index: number, path: string][] = [];
  config.ide.forEach((drive, n) => {
    if (drive?.bootindex !== undefined) paths.push([drive.bootindex, `/pci@i0cf8/ide@1,1/drive@${n >> 1}/disk@${n & 1}`]);
  });
  for (const [device, { slot, fn }] of places) {
    if (!('bootindex' in device) || device.bootindex === undefined) continue;
    const at = `${slot.toString(16)}${fn === 0 ? '' : `,${fn}`}`;
    const place = device.driver === 'virtio-blk-pci' ? `scsi@${at}/disk@0,0` : `ethernet@${at}/ethernet-phy@0`;
    paths.push([device.bootindex, `/pci@i0cf8/${place}`]);
  }
  return paths.sort(([a], [b]) => a - b).map(([, path]) => path);
}
