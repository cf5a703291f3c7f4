// balloon, info balloon: how much memory the guest is to have. QEMU, softmmu/balloon.c.

import type { VirtioBalloon } from '../../virtio/balloon.ts';
import { type Session, command, MonitorError } from '../command.ts';
import { infoCommand } from '../info/info-command.ts';
import { integer } from '../parameters.ts';

const MIB = 1 << 20;

function deviceOf({ target }: Session): VirtioBalloon {
  const device = target.machine.balloon;
  if (!device) throw new MonitorError('Error: No balloon device has been activated');
  return device;
}

export const balloon = command({
  names: ['balloon'],
  parameters: { target: integer() },
  usage: 'target',
  help: 'request VM to change its memory allocation (in MB)',
  run(session, { target }) {
    if (target <= 0) throw new MonitorError('Error: Parameter \'target\' expects a size');
    deviceOf(session).setTarget(target * MIB);
    return '';
  },
});

export const infoBalloon = infoCommand('balloon', 'show balloon information', (session) => `balloon: actual=${deviceOf(session).actual / MIB}`);
