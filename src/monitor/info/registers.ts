// info registers: QEMU, hmp_info_registers and target/i386/cpu-dump.c.

import { command, MonitorError } from '../command.ts';
import { flag, optionalInteger } from '../parameters.ts';

export const registers = command({
  names: ['registers'],
  parameters: { all: flag('a'), cpu: optionalInteger() },
  usage: '[-a|vcpu]',
  help: 'show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; show the current CPU\'s registers if no argument is specified)',
  run({ target: { machine } }, { cpu }) {
    const index = cpu ?? 0;
    if (index !== machine.vcpu.index) throw new MonitorError(`CPU#${index} not available`);
    return `\nCPU#${index}\n${machine.registers()}`;
  },
});
