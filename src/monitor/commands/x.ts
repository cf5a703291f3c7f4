// x, xp: memory by linear and by physical address.

import { command } from '../command.ts';
import { dumpMemory } from '../format.ts';
import { format, long } from '../parameters.ts';

export const x = command({
  names: ['x'],
  parameters: { format: format(), address: long() },
  usage: '/fmt addr',
  help: "virtual memory dump starting at 'addr'",
  run: ({ target }, { format: shown, address }) => dumpMemory(target.machine, shown, address, false),
});

export const xp = command({
  names: ['xp'],
  parameters: { format: format(), address: long() },
  usage: '/fmt addr',
  help: "physical memory dump starting at 'addr'",
  run: ({ target }, { format: shown, address }) => dumpMemory(target.machine, shown, address, true),
});
