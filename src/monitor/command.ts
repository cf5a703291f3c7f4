// What a monitor command is: its names, its parameters with their types, its help, and what it does.
// QEMU, hmp-commands.hx and docs/devel/writing-monitor-commands.rst. A command is one file of commands/ or info/, and one line in table.ts.

import type { MonitorTarget } from '../machine/monitor-target.ts';
import type { Format } from './parameters.ts';
import type { Scanner } from './scanner.ts';

/** A command could not do what it was asked to: this text is the answer. */
export class MonitorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MonitorError';
  }
}

/** What a command works on, and what stays from one command to the next. */
export interface Session {
  readonly target: MonitorTarget;
  /** Format and size of x, xp and print where they give none: those given last. */
  format: Format['letter'];
  /** Bytes. */
  size: number;
  /** Of all commands, for help. */
  readonly commands: readonly Command[];
  /** What was typed so far, newest last. */
  readonly history: string[];
}

/** One parameter of a command. */
export interface Parameter<T> {
  /** Take it from the line. @throws ParseError, whose text QEMU would print */
  parse(scanner: Scanner, command: string, session: Session): T;
  /** What can stand here, for completion. */
  complete?(session: Session): readonly string[];
  /** It is no word of its own place: -x, /fmt. */
  isFlag?: boolean;
}

type Values<P> = { [K in keyof P]: P[K] extends Parameter<infer T> ? T : never };

interface Definition<P> {
  /** The name, and others for the same. */
  names: readonly [string, ...string[]];
  /** In the order of the line. */
  parameters: P;
  /** The parameters as help shows them. */
  usage: string;
  help: string;
  run(session: Session, values: Values<P>): string | Promise<string>;
}

export interface Command {
  readonly names: readonly string[];
  readonly usage: string;
  readonly help: string;
  readonly parameters: readonly Parameter<unknown>[];
  /** Commands that this one's first word chooses among ("info"). */
  readonly children?: readonly Command[];
  /** Take the parameters from the line, then do it. @throws ParseError before anything is done, MonitorError */
  prepare(scanner: Scanner, session: Session): () => string | Promise<string>;
}

/** How QEMU calls a command in messages: all its names. */
export const fullName = (command: Pick<Command, 'names'>): string => command.names.join('|');

export function command<P extends Record<string, Parameter<unknown>>>(definition: Definition<P>): Command {
  const { names, usage, help, parameters } = definition;
  return {
    names,
    usage,
    help,
    parameters: Object.values(parameters),
    prepare(scanner, session) {
      const values: Record<string, unknown> = {};
      for (const [key, parameter] of Object.entries(parameters)) values[key] = parameter.parse(scanner, fullName(definition), session);
      scanner.end(fullName(definition));
      return () => definition.run(session, values as Values<P>);
    },
  };
}
