// info status, version, name, cpus, history: the machine in a line.

import { Cpu } from '../../core/layout.ts';
import { VERSION } from '../../machine/options/index.ts';
import { RunState } from '../../machine/protocol.ts';
import { hex } from '../format.ts';
import { programCounter } from '../registers.ts';
import { infoCommand } from './info-command.ts';

export const status = infoCommand('status', 'show the current VM status (running|paused)', ({ target }) => {
  const { state, machine } = target;
  if (state === RunState.RUNNING) return 'VM status: running';
  if (state === RunState.FAILED) return 'VM status: paused (internal-error)';
  if (state === RunState.OFF || machine.isPoweredOff) return 'VM status: paused (shutdown)';
  return target.isFresh ? 'VM status: paused (prelaunch)' : 'VM status: paused';
});

export const version = infoCommand('version', 'show the version', () => VERSION);

export const name = infoCommand('name', 'show the current VM name', ({ target }) => target.machine.config.name);

export const cpus = infoCommand('cpus', 'show infos for each CPU', ({ target: { machine: { vcpu } } }) => {
  const halted = vcpu.get32(Cpu.HALTED) !== 0 ? ' (halted)' : '';
  return `* CPU #${vcpu.index}: pc=0x${hex(programCounter(vcpu), 16)}${halted}`;
});

export const history = infoCommand('history', 'show the command line history', (session) =>
  session.history.map((line, index) => `${index}: '${line}'`).join('\n'));
