// The human monitor: takes a line, finds the command, gives its text. QEMU, docs/system/monitor.rst and monitor/hmp.c.

import type { MonitorCalls, MonitorTarget } from '../machine/monitor-target.ts';
import { type Command, MonitorError, type Session } from './command.ts';
import { ParseError, Scanner } from './scanner.ts';
import { COMMANDS } from './table.ts';

/** Longest answer, characters: a dump of all memory would be gigabytes of text. */
const MAX_ANSWER = 1 << 24;

const find = (commands: readonly Command[], name: string): Command | undefined => commands.find(({ names }) => names.includes(name));

export class Monitor implements MonitorCalls {
  private readonly session: Session;

  constructor(target: MonitorTarget) {
    this.session = { target, format: 'x', size: 4, commands: COMMANDS, history: [] };
  }

  /** Do what a line says. @returns the answer, with its line ends */
  async execute(line: string): Promise<string> {
    if (line.trim() === '') return '';
    this.session.history.push(line);
    if (this.session.history.length > 64) this.session.history.shift();
    try {
      const answer = await this.prepare(line)();
      if (answer.length > MAX_ANSWER) return 'the answer is too long\n';
      return answer === '' || answer.endsWith('\n') ? answer : `${answer}\n`;
    } catch (error) {
      if (error instanceof MonitorError || error instanceof ParseError) return `${error.message}\n`;
      throw error;
    }
  }

  private prepare(line: string): () => string | Promise<string> {
    const scanner = new Scanner(line);
    scanner.skipSpaces();
    const start = scanner.at;
    let commands: readonly Command[] = COMMANDS;
    for (;;) {
      const name = scanner.take(/[^\s/]*/y);
      const command = find(commands, name);
      if (!command) throw new MonitorError(`unknown command: '${line.slice(start, scanner.at)}'`);
      const end = scanner.at;
      scanner.skipSpaces();
      if (command.children && scanner.next !== '') {
        commands = command.children;
        continue;
      }
      try {
        return command.prepare(scanner, this.session);
      } catch (error) {
        if (error instanceof ParseError) throw new MonitorError(`${error.message}\nTry "help ${line.slice(start, end)}" for more information`);
        throw error;
      }
    }
  }

  /** What the last word of a line, which may be empty, can become. */
  complete(line: string): string[] {
    const words = line.trimStart().split(/\s+/);
    const last = words.pop()!;
    let commands: readonly Command[] = COMMANDS;
    while (words.length > 0) {
      const command = find(commands, words[0].replace(/\/.*/, ''));
      if (!command) return [];
      words.shift();
      if (command.children) {
        commands = command.children;
        continue;
      }
      // Flags can stand anywhere.
      const index = words.filter((word) => !/^[-/]/.test(word)).length;
      const all = command.parameters.filter((parameter) => !parameter.isFlag)[index]?.complete;
      return (all?.(this.session) ?? []).filter((word) => word.startsWith(last));
    }
    return commands.flatMap(({ names }) => names).filter((name) => name.startsWith(last)).sort();
  }
}
