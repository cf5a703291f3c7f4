// change, eject: what is in CD-ROM and floppy drives. QEMU, blockdev.c (qmp_blockdev_change_medium, qmp_eject).

import { FORMATS, isFormat } from '../../backends/block/formats.ts';
import type { DriveConfig } from '../../machine/options/index.ts';
import type { MachineFailure } from '../../machine/protocol.ts';
import { command, MonitorError, type Session } from '../command.ts';
import { driveNames } from '../info/block.ts';
import { flag, optionalText, text } from '../parameters.ts';

const removable = ({ target }: Session): readonly string[] => [...target.machine.drives.removable.keys()];

/** Empty a drive, or say as QEMU does why not. */
function empty({ target: { machine } }: Session, device: string, force: boolean): void {
  if (!machine.drives.removable.has(device)) {
    throw new MonitorError(`Error: Device '${device}' ${driveNames(machine).includes(device) ? 'is not removable' : 'not found'}`);
  }
  if (!machine.drives.eject(device, force)) {
    throw new MonitorError(`Error: Device '${device}' is locked and force was not specified, wait for tray to open and try again`);
  }
}

export const eject = command({
  names: ['eject'],
  parameters: { force: flag('f'), device: text('device', removable) },
  usage: '[-f] device',
  help: 'eject a removable medium (use -f to force it)',
  run(session, { force, device }) {
    empty(session, device, force);
    return '';
  },
});

const MODES = ['retain', 'read-only', 'read-write'];

export const change = command({
  names: ['change'],
  parameters: { device: text('device', removable), force: flag('f'), file: text('filename'), format: optionalText(() => FORMATS), mode: optionalText(() => MODES) },
  usage: 'device [-f] filename [format [read-only-mode]]',
  help: 'change a removable medium, optional format, use -f to force the operation',
  async run(session, { device, force, file, format, mode = 'retain' }) {
    const { target } = session;
    const { drives, config } = target.machine;
    if (!MODES.includes(mode)) throw new MonitorError(`Error: invalid parameter value: ${mode}`);
    if (format !== undefined && !isFormat(format)) throw new MonitorError(`Error: Unknown driver '${format}'`);
    const isFloppy = config.floppies.some((drive) => drive?.name === device);
    const readOnly = !isFloppy || mode === 'read-only' || (mode === 'retain' && (drives.media.get(device)?.readOnly ?? false));
    if (drives.removable.has(device)) {
      const what = { file, readOnly, ...(format === undefined ? {} : { format }) } satisfies DriveConfig;
      // The medium that is in it already would find itself in use.
      const isSame = drives.media.get(device)?.file === file;
      if (isSame) empty(session, device, force);
      // First, so that a file that is not there leaves the old one in.
      const medium = await target.openDisk(what).catch((error: Error & Partial<MachineFailure>) => {
        const why = error.why ?? error.message;
        throw new MonitorError(error.what?.endsWith(' is in use') ? `Error: ${why}` : `Error: Could not open '${file}': ${why}`);
      });
      try {
        if (!isSame) empty(session, device, force);
      } catch (error) {
        target.closeDisk(medium);
        throw error;
      }
      drives.insert(device, medium, what);
    } else {
      empty(session, device, force);
    }
    return '';
  },
});
