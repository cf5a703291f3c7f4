// info block: drives and what is in them. QEMU, block/monitor/block-hmp-cmds.c. Where QEMU has paths of its object model, this says the bus.

import { IdeDisk } from '../../devices/ide/disk.ts';
import type { Machine } from '../../machine/machine.ts';
import type { DriveConfig } from '../../machine/options/index.ts';
import { command, MonitorError } from '../command.ts';
import { optionalText } from '../parameters.ts';

interface Drive {
  name: string;
  /** Bus and place on it. */
  at: string;
  medium: DriveConfig | undefined;
  /** The guest has its write cache switched off. */
  writesThrough?: boolean;
}

const isWriteThrough = (drive: unknown): boolean => drive instanceof IdeDisk && !drive.writeCache;

function drives({ config, drives: board }: Machine): Drive[] {
  const medium = (name: string, index: number | undefined): DriveConfig | undefined =>
    (board.removable.has(name) ? board.media.get(name) : index === undefined ? undefined : config.drives[index]);
  const all: Drive[] = [];
  config.ide.forEach((drive, n) => {
    if (drive) all.push({ name: drive.name, at: `ide.${n >> 1} unit ${n & 1}`, medium: medium(drive.name, drive.drive), writesThrough: isWriteThrough(board.ide[n]) });
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

function show(machine: Machine, { name, at, medium, writesThrough }: Drive): string {
  const removable = machine.drives.removable.get(name);
  const lines = [
    medium ? `${name}: ${medium.file} (${[medium.format ?? 'by contents', ...(medium.readOnly ? ['read-only'] : []), ...(medium.snapshot ? ['snapshot'] : [])].join(', ')})` : `${name}: [not inserted]`,
    `    Attached to:      ${at}`,
  ];
  if (removable) lines.push(`    Removable device: ${removable.locked ? '' : 'not '}locked, tray ${removable.trayOpen ? 'open' : 'closed'}`);
  if (medium) lines.push(`    Cache mode:       ${writesThrough ? 'writethrough' : 'writeback'}`);
  return lines.join('\n');
}

export const block = command({
  names: ['block'],
  parameters: { device: optionalText(({ target }) => driveNames(target.machine)) },
  usage: '[device]',
  help: 'show info of one block device or all block devices',
  run({ target: { machine } }, { device }) {
    // An empty line is before each drive that is not QEMU's first, whether the first is shown or not.
    const all = drives(machine).map((drive, n) => ({ name: drive.name, text: `${n ? '\n' : ''}${show(machine, drive)}` }));
    const asked = all.filter(({ name }) => device === undefined || name === device);
    if (device !== undefined && asked.length === 0) throw new MonitorError(`Device '${device}' not found`);
    return asked.map(({ text }) => text).join('\n');
  },
});
