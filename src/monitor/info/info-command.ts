// What all subcommands of info are made by: those that take no parameters need a name, a help text and a function.

import { type Command, command, type Session } from '../command.ts';

export function infoCommand(name: string, help: string, run: (session: Session) => string): Command {
  return command({ names: [name], parameters: {}, usage: '', help, run });
}
