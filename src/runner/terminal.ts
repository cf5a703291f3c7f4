// The terminal the runner was started in: raw while the guest has it, and as it was however the runner ends.

import type { Readable } from 'node:stream';
import type { ReadStream } from 'node:tty';

export class Terminal {
  private isRaw = false;
  private readonly restoreAtExit = () => this.restore();
  private readonly rawAfterStop = () => this.takeBack();

  constructor(private readonly stdin: Readable) {}

  /** Every key goes to the reader, nothing is echoed. Without a terminal this does nothing. */
  raw(): void {
    if (!this.tty || this.isRaw) return;
    this.isRaw = true;
    this.tty.setRawMode(true);
    process.on('exit', this.restoreAtExit);
    process.on('SIGCONT', this.rawAfterStop);
  }

  restore(): void {
    if (!this.isRaw) return;
    this.isRaw = false;
    process.off('exit', this.restoreAtExit);
    process.off('SIGCONT', this.rawAfterStop);
    try {
      this.tty?.setRawMode(false);
    } catch {
      // The terminal is gone (its window was closed): there is nothing to restore.
    }
  }

  /** Ctrl-Z: stop, with the terminal as the shell expects it. */
  suspend(): void {
    try {
      this.tty?.setRawMode(false);
    } finally {
      process.kill(process.pid, 'SIGSTOP');
    }
  }

  /** A shell that continues us has put the terminal in its own mode. */
  private takeBack(): void {
    if (!this.isRaw) return;
    this.tty?.setRawMode(false);
    this.tty?.setRawMode(true);
  }

  private get tty(): ReadStream | undefined {
    const stream = this.stdin as Readable as ReadStream;
    return stream.isTTY ? stream : undefined;
  }
}
