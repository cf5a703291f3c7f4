// cpu: which CPU other commands mean.

import { command, MonitorError } from '../command.ts';
import { integer } from '../parameters.ts';

export const cpu = command({
  names: ['cpu'],
  parameters: { index: integer() },
  usage: 'index',
  help: 'set the default CPU',
  run({ target }, { index }) {
    if (index < 0 || index >= target.machine.config.cpus) throw new MonitorError('invalid CPU index');
    return '';
  },
});
