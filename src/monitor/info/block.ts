// info block: drives and what is in them. QEMU, block/monitor/block-hmp-cmds.c.

import type { Machine } from '../../machine/machine.ts';
import type { DriveConfig } from '../../machine/options/index.ts';
import { command, MonitorError } from '../command.ts';
import { optionalText } from '../parameters.ts';

interface Drive {
  name: string;
  /** Bus and place on it. */
  at: string;
  medium: DriveConfig | undefined;
}

function drives({ config, drives: board }: Machine): Drive[] {
  const medium = (name: string, index: number | undefined): DriveConfig | undefined =>
    (board.removable.has(name) ? board.media.get(name) : index === undefined ? undefined : config.drives[index]);
  const all: Drive[] = [];
  config.ide.forEach((drive, n) => {
    if (drive) all.push({ name: drive.name, at: `ide.${n >> 1} unit ${n & 1}`, medium: medium(drive.name, drive.drive) });
  });
  config.floppies.forEach((drive, n) => {
    if (drive) all.push({ name: drive.name, at: `floppy-bus.0 unit ${n}`, medium: medium(drive.name, drive.drive) });
  });
  let virtio = 0;
  for (const device of config.devices) {
    if (device.driver !== 'virtio-blk-pci') continue;
    const drive = config.drives[device.drive];
    all.push({ name: drive.id ?? `virtio${virtio}`, at: 'virtio-blk-pci', medium: drive });
    virtio++;
  }
  return all;
}

/** Names of all drives. */
export const driveNames = (machine: Machine): string[] => drives(machine).map(({ name }) => name);

function show(machine: Machine, { name, at, medium }: Drive): string {
  const removable = machine.drives.removable.get(name);
  const lines = [
    medium ? `${name}: ${medium.file} (${[medium.format ?? 'by contents', ...(medium.readOnly ? ['read-only'] : []), ...(medium.snapshot ? ['snapshot'] : [])].join(', ')})` : `${name}: [not inserted]`,
    `    Attached to:      ${at}`,
  ];
  if (removable) lines.push(`    Removable device: ${removable.locked ? '' : 'not '}locked, tray ${removable.trayOpen ? 'open' : 'closed'}`);
  return lines.join('\n');
}

export const block = command({
  names: ['block'],
  parameters: { device: optionalText(({ target }) => driveNames(target.machine)) },
  usage: '[device]',
  help: 'show info of one block device or all block devices',
  run({ target: { machine } }, { device }) {
    const all = drives(machine).filter(({ name }) => device === undefined || name === device);
    if (device !== undefined && all.length === 0) throw new MonitorError(`Device '${device}' not found`);
    return all.map((drive) => show(machine, drive)).join('\n\n');
  },
});
