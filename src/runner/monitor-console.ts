// The monitor on the terminal: a line editor here, the commands in the machine's worker.

import type { MachineClient } from '../machine/client.ts';
import { VERSION } from '../machine/options/index.ts';
import { Readline } from '../monitor/readline.ts';

export class MonitorConsole {
  private readonly readline: Readline;
  private readonly decoder = new TextDecoder();
  private readonly machine: Promise<MachineClient>;
  /** The machine is there: commands that wait go on. */
  connect!: (machine: MachineClient) => void;
  private wasShown = false;
  private isStopped = false;

  constructor(private readonly show: (text: string) => void) {
    this.machine = new Promise((resolve) => { this.connect = resolve; });
    this.readline = new Readline({
      write: (text) => this.write(text),
      execute: async (line) => {
        const machine = await this.machine;
        // A worker that was ended answers no more, and its end is told elsewhere.
        return machine.monitor(line).catch((error: Error) => `${error.message}\n`);
      },
      complete: async (text) => (await this.machine).monitorCompletions(text).catch(() => []),
    });
  }

  /** The machine has ended: answers that are still to come are not for anybody. */
  stop(): void {
    this.isStopped = true;
  }

  private write(text: string): void {
    if (!this.isStopped) this.show(text);
  }

  /** The keys are the monitor's from now on. */
  focus(): void {
    if (this.wasShown) this.write('\r\n');
    else this.write(`Tabvisor ${VERSION} monitor - type 'help' for more information\r\n`);
    this.wasShown = true;
    this.readline.start();
  }

  input(bytes: Uint8Array): void {
    this.readline.input(this.decoder.decode(bytes, { stream: true }));
  }
}
