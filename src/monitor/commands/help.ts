// help: all commands, or one.

import { type Command, command, fullName, MonitorError, type Session } from '../command.ts';
import { rest } from '../parameters.ts';

const line = (it: Command, prefix: string): string => `${prefix}${fullName(it)} ${it.usage} -- ${it.help}`;

/** All commands of a table, by name. */
export function helpOf(commands: readonly Command[], prefix = ''): string {
  return [...commands].sort((a, b) => (a.names[0] < b.names[0] ? -1 : 1)).map((it) => line(it, prefix)).join('\n');
}

const names = (session: Session): readonly string[] => session.commands.flatMap((it) => it.names);

export const help = command({
  names: ['help', '?'],
  parameters: { name: rest(names) },
  usage: '[cmd]',
  help: 'show the help',
  run(session, { name }) {
    let commands = session.commands;
    if (name === '') return helpOf(commands);
    let prefix = '';
    for (const word of name.split(/\s+/)) {
      const found = commands.find((it) => it.names.includes(word));
      if (!found) throw new MonitorError(`unknown command: '${word}'`);
      if (!found.children || name.endsWith(word)) return found.children ? helpOf(found.children, `${prefix}${word} `) : line(found, prefix);
      prefix += `${word} `;
      commands = found.children;
    }
    return '';
  },
});
