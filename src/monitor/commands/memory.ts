// memsave, pmemsave, sum, gva2gpa: more about memory.

import { command, MonitorError } from '../command.ts';
import { readMemory, translate } from '../memory.ts';
import { long, integer, text } from '../parameters.ts';
import type { MonitorTarget } from '../../machine/monitor-target.ts';
import { save } from '../save.ts';

async function saveMemory(target: MonitorTarget, address: bigint, size: number, file: string, physical: boolean): Promise<string> {
  const length = size >>> 0;
  if (length > target.machine.config.ramSize) throw new MonitorError(`Error: ${length} bytes are more than the guest's memory has`);
  const bytes = readMemory(target.machine, address, length, physical);
  if (!bytes) throw new MonitorError(`Error: Invalid addr 0x${BigInt.asUintN(64, address).toString(16).padStart(16, '0')}/size ${length} specified`);
  await save(target, file, bytes);
  return '';
}

export const memsave = command({
  names: ['memsave'],
  parameters: { address: long(), size: integer(), file: text() },
  usage: 'addr size file',
  help: "save to disk virtual memory dump starting at 'addr' of size 'size'",
  run: ({ target }, { address, size, file }) => saveMemory(target, address, size, file, false),
});

export const pmemsave = command({
  names: ['pmemsave'],
  parameters: { address: long(), size: integer(), file: text() },
  usage: 'addr size file',
  help: "save to disk physical memory dump starting at 'addr' of size 'size'",
  run: ({ target }, { address, size, file }) => saveMemory(target, address, size, file, true),
});

export const sum = command({
  names: ['sum'],
  parameters: { address: integer(), size: integer() },
  usage: 'addr size',
  help: 'compute the checksum of a memory region',
  run({ target: { machine } }, { address, size }) {
    const length = size >>> 0;
    const bytes = length <= machine.config.ramSize ? readMemory(machine, BigInt(address >>> 0), length, true) : undefined;
    if (!bytes) throw new MonitorError('Cannot access memory');
    // The BSD checksum, in 16 bits.
    let value = 0;
    for (const byte of bytes) value = (((value >> 1) | (value << 15)) + byte) & 0xffff;
    return String(value).padStart(5, '0');
  },
});

export const gva2gpa = command({
  names: ['gva2gpa'],
  parameters: { address: long() },
  usage: 'addr',
  help: 'print the guest physical address corresponding to a guest virtual address',
  run({ target: { machine } }, { address }) {
    const physical = translate(machine, address);
    return physical === undefined ? 'Unmapped' : `gpa: 0x${physical.toString(16)}`;
  },
});
