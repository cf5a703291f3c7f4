// What disks hold, and where they are plugged in. QEMU: -drive, its short forms -hda … -hdd -cdrom -fda -fdb, and -snapshot.
// The drives themselves are made in storage.ts and device.ts.

import { FORMATS, isFormat } from '../../backends/block/formats.ts';
import type { DriveConfig } from './config.ts';
import type { Draft, Options } from './draft.ts';
import { notYet, OptionError, unknownKey } from './error.ts';
import { keyValues, number, onOff } from './values.ts';

type Interface = 'ide' | 'floppy' | 'virtio' | 'none';

/** One -drive. */
export interface DriveRequest extends Omit<DriveConfig, 'file'> {
  /** None: a drive without a medium. */
  file?: string;
  interface: Interface;
  media: 'disk' | 'cdrom';
  /** Where, for ide and floppy: channel, and drive on it. */
  bus: number;
  unit: number;
  serial?: string;
  written: string;
  /** In MachineConfig.drives, once that is known; undefined without a file. */
  index?: number;
}

/** Drives that a bus of an interface takes; others have no places. */
const UNITS: Partial<Record<Interface, { buses: number; units: number }>> = { ide: { buses: 2, units: 2 }, floppy: { buses: 1, units: 2 } };

const disk = (index: number, name: string) => ({
  argument: 'FILE', help: `${name} (-drive if=ide,index=${index})`, apply: (draft: Draft, file: string, written: string) => addDrive(draft, { file, index }, written),
});
const floppy = (index: number, name: string) => ({
  argument: 'FILE', help: `diskette in drive ${name} (-drive if=floppy,index=${index})`,
  apply: (draft: Draft, file: string, written: string) => addDrive(draft, { file, index, interface: 'floppy' }, written),
});

export const DRIVE_OPTIONS: Options = {
  drive: {
    argument: '[file=FILE][,if=ide|floppy|virtio|none][,index=N|bus=N,unit=N][,media=disk|cdrom][,format=FORMAT][,readonly=on][,snapshot=on][,id=ID][,serial=TEXT]',
    help: 'a drive and what is in it; if=none: for a -device with drive=ID', apply: applyDrive,
  },
  hda: disk(0, 'first hard disk'),
  hdb: disk(1, 'second hard disk'),
  hdc: disk(2, 'third hard disk, in place of the CD-ROM drive'),
  hdd: disk(3, 'fourth hard disk'),
  cdrom: { argument: 'FILE', help: 'CD-ROM (-drive if=ide,index=2,media=cdrom)', apply: (draft, file, written) => addDrive(draft, { file, index: 2, media: 'cdrom' }, written) },
  fda: floppy(0, 'A'),
  fdb: floppy(1, 'B'),
  snapshot: { help: 'what the guest writes to disks is gone when the machine is', apply: (draft) => void (draft.snapshotAll = true) },
};

export function finishDrives({ config, drives, snapshotAll }: Draft): void {
  for (const drive of drives) {
    if (drive.file === undefined) continue;
    if (snapshotAll && !drive.readOnly) drive.snapshot = true;
    const writes = ({ readOnly, snapshot }: DriveRequest) => !readOnly && !snapshot;
    const same = drives.find((other) => other !== drive && other.index !== undefined && other.file === drive.file && (writes(other) || writes(drive)));
    if (same) throw new OptionError(drive.written, `${drive.file} is open already`, 'Only drives that are all readonly=on can share a file.');
    drive.index = config.drives.length;
    const { id, file, format, readOnly, snapshot } = drive;
    config.drives.push({ file, readOnly, ...(id === undefined ? {} : { id }), ...(format === undefined ? {} : { format }), ...(snapshot ? { snapshot } : {}) });
  }
}

/** Properties of QEMU's -drive beside those that applyDrive() reads. */
const QEMU_DRIVE_KEYS = 'cache aio discard detect-zeroes copy-on-read rerror werror driver node-name cyls heads secs trans addr'.split(' ');
const KEYS = 'file id if format media readonly read-only index bus unit snapshot serial'.split(' ');

function applyDrive(draft: Draft, value: string, written: string): void {
  const fields = keyValues(value, 'file', written);
  for (const key of fields.keys()) {
    if (KEYS.includes(key)) continue;
    throw QEMU_DRIVE_KEYS.includes(key) || /^(throttling|iops|bps)/.test(key) ? notYet(written, `${key}=`) : unknownKey(written, key);
  }
  const kind = fields.get('if') ?? 'ide';
  if (kind !== 'ide' && kind !== 'floppy' && kind !== 'virtio' && kind !== 'none') throw notYet(written, `if=${kind}`, 'Interfaces are ide, floppy, virtio and none.');
  const format = fields.get('format');
  if (format !== undefined && !isFormat(format)) throw notYet(written, `format=${format}`, `Formats are ${FORMATS.join(', ')}.`);
  const media = fields.get('media') ?? 'disk';
  if (media !== 'disk' && media !== 'cdrom') throw new OptionError(written, `media "${media}" does not exist`, 'Write media=disk or media=cdrom.');
  const place = (key: string): number | undefined => {
    const text = fields.get(key);
    return text === undefined ? undefined : number(text, written);
  };
  addDrive(draft, {
    file: fields.get('file'), interface: kind, format, media, id: fields.get('id'), serial: fields.get('serial'), index: place('index'), bus: place('bus'), unit: place('unit'),
    readOnly: onOff(fields.get('readonly') ?? fields.get('read-only') ?? 'off', written, 'readonly'),
    snapshot: onOff(fields.get('snapshot') ?? 'off', written, 'snapshot'),
  }, written);
}

interface NewDrive extends Partial<Omit<DriveRequest, 'written' | 'index'>> {
  index?: number;
}

/** Find a drive its place. */
export function addDrive(draft: Draft, { interface: kind = 'ide', media = 'disk', index, bus, unit, ...rest }: NewDrive, written: string): void {
  const { file, id, serial } = rest;
  const readOnly = (rest.readOnly ?? false) || media === 'cdrom';
  if (file === '') throw new OptionError(written, 'the name of the file is missing');
  if (file === undefined && media === 'disk' && (kind === 'ide' || kind === 'virtio')) throw new OptionError(written, 'file=FILE is missing', 'A hard disk needs a file; only CD-ROM and floppy drives can be empty.');
  if (media === 'cdrom' && kind !== 'ide' && kind !== 'none') throw new OptionError(written, `media=cdrom does not go with if=${kind}`, 'CD-ROM drives are on IDE channels.');
  if (kind === 'ide' && media === 'disk' && readOnly) throw new OptionError(written, 'a hard disk cannot be read-only', 'Write snapshot=on to leave the file as it is.');
  if (id !== undefined && draft.drives.some((drive) => drive.id === id)) throw new OptionError(written, `there is a drive with id "${id}" already`);
  if (serial !== undefined && new TextEncoder().encode(serial).length > 20) throw new OptionError(written, 'a serial number has 20 bytes at most');
  const at = findPlace(draft, kind, { index, bus, unit }, written);
  draft.drives.push({ ...rest, readOnly, interface: kind, media, ...at, written });
}

/** As QEMU counts: an index goes through the drives of a bus, and then on to the next bus. */
function findPlace(draft: Draft, kind: Interface, { index, bus, unit }: { index?: number; bus?: number; unit?: number }, written: string): { bus: number; unit: number } {
  const size = UNITS[kind];
  if (!size) {
    if (bus !== undefined || unit !== undefined) throw new OptionError(written, `if=${kind} has no places: bus= and unit= do not go with it`);
    return { bus: 0, unit: index ?? draft.drives.filter((drive) => drive.interface === kind).length };
  }
  if (index !== undefined) {
    if (bus !== undefined || unit !== undefined) throw new OptionError(written, 'index= cannot be used with bus= and unit=');
    bus = Math.floor(index / size.units);
    unit = index % size.units;
  }
  bus ??= 0;
  const taken = (at: { bus: number; unit: number }): DriveRequest | undefined => draft.drives.find((drive) => drive.interface === kind && drive.bus === at.bus && drive.unit === at.unit);
  if (unit === undefined) {
    unit = 0;
    while (bus < size.buses && taken({ bus, unit })) {
      if (++unit < size.units) continue;
      unit = 0;
      bus++;
    }
  }
  if (bus >= size.buses || unit >= size.units) throw new OptionError(written, `there is no place for it: ${size.buses * size.units} drives at most`);
  const other = taken({ bus, unit });
  if (other) throw new OptionError(written, `${other.written} is in its place already`, 'Give it another index=.');
  return { bus, unit };
}
