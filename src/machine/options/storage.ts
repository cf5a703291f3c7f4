// The drives of the board: what sits on the IDE channels and at the floppy controller. QEMU: -drive if=ide and if=floppy, -device ide-hd,
// ide-cd, floppy, and the CD-ROM and floppy drive that every PC has unless the line says otherwise.

import { SECTOR } from '../../devices/ide/ata.ts';
import { BLOCK_SIZES, sectorSizes } from './block-sizes.ts';
import type { FloppyConfig, IdeConfig } from './config.ts';
import type { Draft } from './draft.ts';
import { OptionError } from './error.ts';
import { number } from './values.ts';

export const BOOTINDEX = { bootindex: 'turn among what the firmware tries to boot, from 0' };
export const IDE_PROPERTIES = {
  drive: 'id of a -drive with if=none', bus: 'ide.0 or ide.1 (default)', unit: '0 master, 1 slave', serial: 'serial number, up to 20 bytes',
  model: 'name of the model, up to 40 bytes', ...BLOCK_SIZES, logical_block_size: 'bytes of a sector: 512', ...BOOTINDEX,
};
export const FLOPPY_PROPERTIES = {
  drive: 'id of a -drive with if=none', unit: '0 drive A, 1 drive B', 'drive-type': '120, 144, 288 or auto', ...BLOCK_SIZES, logical_block_size: 'bytes of a sector: 512',
  physical_block_size: 'the same: 512',
};

/** A drive that -device asks for. */
export interface BoardDeviceRequest {
  kind: 'hd' | 'cd' | 'floppy';
  id?: string;
  driveId?: string;
  bus?: number;
  unit?: number;
  serial?: string;
  model?: string;
  bootindex?: number;
  physicalBlockSize?: number;
  type: FloppyConfig['type'];
  written: string;
}

export function bootindex(fields: Map<string, string>, written: string): { bootindex?: number } {
  const text = fields.get('bootindex');
  return text === undefined ? {} : { bootindex: number(text, written) };
}

function request(draft: Draft, fields: Map<string, string>, written: string): Omit<BoardDeviceRequest, 'kind' | 'type'> {
  const id = fields.get('id');
  if (id !== undefined && [...draft.boardDevices, ...draft.devices.map(({ device }) => device)].some((other) => other.id === id)) {
    throw new OptionError(written, `there is a device with id "${id}" already`);
  }
  const unit = fields.get('unit');
  if (unit !== undefined && !/^[01]$/.test(unit)) throw new OptionError(written, 'unit must be 0 or 1');
  return { id, driveId: fields.get('drive'), unit: unit === undefined ? undefined : Number(unit), written };
}

export function applyIde(draft: Draft, fields: Map<string, string>, written: string): void {
  const kind = fields.get('driver') === 'ide-cd' ? 'cd' : 'hd';
  const bus = /^ide\.([01])$/.exec(fields.get('bus') ?? 'ide.1');
  if (!bus) throw new OptionError(written, 'the bus must be ide.0 or ide.1');
  const serial = fields.get('serial');
  const model = fields.get('model');
  if (serial !== undefined && serial.length > 20) throw new OptionError(written, 'a serial number has 20 bytes at most');
  if (model !== undefined && model.length > 40) throw new OptionError(written, 'a model has 40 bytes at most');
  // An ATA disk has no words for how much is best moved at once.
  const { physical } = sectorSizes(fields, written);
  draft.boardDevices.push({
    ...request(draft, fields, written), ...bootindex(fields, written), ...(kind === 'hd' && physical !== SECTOR ? { physicalBlockSize: physical } : {}), kind, serial, model, type: 'auto', bus: Number(bus[1]),
  });
}

export function applyFloppy(draft: Draft, fields: Map<string, string>, written: string): void {
  const type = fields.get('drive-type') ?? 'auto';
  if (type !== 'auto' && type !== '120' && type !== '144' && type !== '288') throw new OptionError(written, 'drive-type must be 120, 144, 288 or auto');
  sectorSizes(fields, written, SECTOR);
  draft.boardDevices.push({ ...request(draft, fields, written), kind: 'floppy', type });
}

/** Put all drives in their places. */
export function finishStorage(draft: Draft): void {
  const { config, drives, boardDevices } = draft;
  const ide: (IdeConfig | undefined)[] = [undefined, undefined, undefined, undefined];
  const floppies: (FloppyConfig | undefined)[] = [undefined, undefined];
  const serialOf = (slot: number): string => `QM${String(slot + 1).padStart(5, '0')}`;
  const with_ = (drive: number | undefined) => (drive === undefined ? {} : { drive });
  for (const { interface: kind, media, bus, unit, id, index, serial } of drives) {
    if (kind === 'ide') {
      const type = media === 'cdrom' ? 'cd' : 'hd';
      ide[2 * bus + unit] = { kind: type, name: id ?? `ide${bus}-${type}${unit}`, serial: serial ?? serialOf(2 * bus + unit), ...with_(index) };
    } else if (kind === 'floppy') {
      floppies[unit] = { name: id ?? `floppy${unit}`, type: 'auto', ...with_(index) };
    }
  }
  // Drives that are there without being asked for, unless -device brings one.
  if (!draft.noDefaults) {
    if (!boardDevices.some(({ kind }) => kind !== 'floppy')) ide[2] ??= { kind: 'cd', name: 'ide1-cd0', serial: serialOf(2) };
    if (!boardDevices.some(({ kind }) => kind === 'floppy')) floppies[0] ??= { name: 'floppy0', type: 'auto' };
  }
  for (const device of boardDevices) {
    const drive = mediumOf(draft, device);
    const { id, driveId, unit, serial, model, physicalBlockSize, written, kind } = device;
    if (kind === 'floppy') {
      const at = unit ?? floppies.findIndex((other) => !other);
      if (at < 0 || floppies[at]) throw new OptionError(written, `floppy unit ${at < 0 ? 2 : at} is in use`, 'A PC has two floppy drives; unit= chooses.');
      floppies[at] = { name: driveId ?? id ?? `floppy${at}`, type: device.type, ...with_(drive) };
      continue;
    }
    // Without a place QEMU takes the secondary channel.
    const bus = device.bus ?? 1;
    const at = unit ?? (ide[2 * bus] ? 1 : 0);
    const slot = 2 * bus + at;
    if (ide[slot]) throw new OptionError(written, `IDE unit ${at} of ide.${bus} is in use`, 'Choose another with bus= and unit=.');
    ide[slot] = {
      kind, name: driveId ?? id ?? `ide${bus}-${kind}${at}`, serial: serial ?? serialOf(slot), ...(model === undefined ? {} : { model }), ...with_(drive),
      ...(device.bootindex === undefined ? {} : { bootindex: device.bootindex }), ...(physicalBlockSize === undefined ? {} : { physicalBlockSize }),
    };
  }
  config.ide = ide;
  config.floppies = floppies;
}

/** What is in the drive of a -device: an index in MachineConfig.drives. */
function mediumOf({ drives, boardDevices }: Draft, device: BoardDeviceRequest): number | undefined {
  const { kind, driveId, written } = device;
  if (driveId === undefined) {
    if (kind === 'hd') throw new OptionError(written, 'drive=ID is missing', 'Add -drive if=none,id=ID,file=FILE and name its ID.');
    return undefined;
  }
  const drive = drives.find(({ id }) => id === driveId);
  if (!drive || drive.interface !== 'none') throw new OptionError(written, `there is no drive with id "${driveId}" and if=none`, `Add -drive if=none,id=${driveId},file=FILE.`);
  if (boardDevices.some((other) => other !== device && other.driveId === driveId)) throw new OptionError(written, `the drive "${driveId}" has a device already`);
  if (kind === 'hd' && drive.index === undefined) throw new OptionError(written, 'its drive is empty', 'A hard disk needs a file.');
  if (kind === 'hd' && drive.readOnly) throw new OptionError(written, 'a hard disk cannot be read-only', 'Write snapshot=on to leave the file as it is.');
  return drive.index;
}
