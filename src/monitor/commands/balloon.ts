// balloon, info balloon: how much memory the guest is to have. QEMU, softmmu/balloon.c.

import type { VirtioBalloon } from '../../virtio/balloon.ts';
import { type Session, command, MonitorError } from '../command.ts';
import { infoCommand } from '../info/info-command.ts';
import { megabytes } from '../parameters.ts';

const MIB = 1 << 20;

function deviceOf({ target }: Session): VirtioBalloon {
  const device = target.machine.balloon;
  if (!device) throw new MonitorError('Error: No balloon device has been activated');
  return device;
}

export const balloon = command({
  names: ['balloon'],
  parameters: { target: megabytes() },
  usage: 'target',
  help: 'request VM to change its memory allocation (in MB)',
  run(session, { target }) {
    const device = deviceOf(session);
    if (target === 0) throw new MonitorError('Error: Parameter \'target\' expects a size');
    device.setTarget(target);
    return '';
  },
});

export const infoBalloon = infoCommand('balloon', 'show balloon information', (session) => `balloon: actual=${Math.floor(deviceOf(session).actual / MIB)}`);
