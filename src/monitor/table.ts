// All commands of the monitor. To add one: a file in commands/, and a line here; under "info": a file in info/, and a line in info/table.ts.

import type { Command } from './command.ts';
import { cpu } from './commands/cpu.ts';
import { help } from './commands/help.ts';
import { info } from './commands/info.ts';
import { gva2gpa, memsave, pmemsave, sum } from './commands/memory.ts';
import { i, o } from './commands/ports.ts';
import { print } from './commands/print.ts';
import { cont, nmi, quit, stop, systemPowerdown, systemReset } from './commands/run-state.ts';
import { x, xp } from './commands/x.ts';

export const COMMANDS: readonly Command[] = [
  cont, cpu, gva2gpa, help, i, info, memsave, nmi, o, pmemsave, print, quit, stop, sum, systemPowerdown, systemReset, x, xp,
];
