// info: its subcommands stand in ../info.

import type { Command, Parameter } from '../command.ts';
import { INFO } from '../info/table.ts';
import { helpOf } from './help.ts';

const subcommand: Parameter<string> = { parse: () => '', complete: () => INFO.flatMap(({ names }) => names) };

export const info: Command = {
  names: ['info'],
  usage: '[subcommand]',
  help: 'show various information about the system state',
  parameters: [subcommand],
  children: INFO,
  prepare: () => () => helpOf(INFO, 'info '),
};
