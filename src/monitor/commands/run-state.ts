// stop, cont, system_reset, system_powerdown, quit, nmi: what the machine does.

import { RunState } from '../../machine/protocol.ts';
import { command, MonitorError } from '../command.ts';

export const stop = command({
  names: ['stop', 's'],
  parameters: {},
  usage: '',
  help: 'stop emulation',
  async run({ target }) {
    await target.pause();
    return '';
  },
});

export const cont = command({
  names: ['cont', 'c'],
  parameters: {},
  usage: '',
  help: 'resume emulation',
  async run({ target }) {
    if (target.state === RunState.OFF || target.state === RunState.FAILED || target.machine.isPoweredOff) throw new MonitorError('Error: Resetting the Virtual Machine is required');
    await target.resume();
    return '';
  },
});

export const systemReset = command({
  names: ['system_reset'],
  parameters: {},
  usage: '',
  help: 'reset the system',
  async run({ target }) {
    await target.reset();
    return '';
  },
});

export const systemPowerdown = command({
  names: ['system_powerdown'],
  parameters: {},
  usage: '',
  help: 'send system power down event',
  async run({ target }) {
    await target.powerButton();
    return '';
  },
});

export const quit = command({
  names: ['quit', 'q'],
  parameters: {},
  usage: '',
  help: 'quit the emulator',
  async run({ target }) {
    await target.quit();
    return '';
  },
});

export const nmi = command({
  names: ['nmi'],
  parameters: {},
  usage: '',
  help: 'inject an NMI',
  run({ target }) {
    target.machine.pc.nmi();
    return '';
  },
});
