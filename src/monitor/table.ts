// All commands of the monitor. To add one: a file in commands/, and a line here; under "info": a file in info/, and a line in info/table.ts.

import type { Command } from './command.ts';
import { balloon } from './commands/balloon.ts';
import { cpu } from './commands/cpu.ts';
import { help } from './commands/help.ts';
import { info } from './commands/info.ts';
import { mouseButton, mouseMove, sendkey } from './commands/input.ts';
import { change, eject } from './commands/media.ts';
import { gva2gpa, memsave, pmemsave, sum } from './commands/memory.ts';
import { setLink } from './commands/network.ts';
import { i, o } from './commands/ports.ts';
import { print } from './commands/print.ts';
import { cont, nmi, quit, stop, systemPowerdown, systemReset } from './commands/run-state.ts';
import { qomGet, qomSet } from './commands/qom.ts';
import { region } from './commands/region.ts';
import { screendump } from './commands/screendump.ts';
import { x, xp } from './commands/x.ts';

export const COMMANDS: readonly Command[] = [
  balloon, change, cont, cpu, eject, gva2gpa, help, i, info, memsave, mouseButton, mouseMove, nmi, o, pmemsave, print, qomGet, qomSet, quit, region, screendump, sendkey, setLink, stop, sum,
  systemPowerdown, systemReset, x, xp,
];
