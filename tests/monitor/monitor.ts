// A monitor on the stdin and stdout of bin/tabvisor or of QEMU, and the guest that brings both into the same state.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { root, Running, TABVISOR } from '../headless/runner.ts';

export const PROGRAMS = { tabvisor: TABVISOR, qemu: 'qemu-system-x86_64' } as const;
/** What state.asm leaves here when it is done. */
const MARKER = 'xp /1wx 0x7000';

/** @param mode 32, 36 (PAE), 64 @returns the path of the kernel */
export function assembleState(folder: string, mode: number): string {
  const output = join(folder, `state${mode}.elf`);
  execFileSync('nasm', ['-f', 'bin', `-DMODE=${mode}`, '-I', join(root, 'tests/guests/'), '-o', output, join(root, 'tests/monitor/state.asm')], { stdio: ['ignore', 'inherit', 'inherit'] });
  return output;
}

export class Monitor {
  readonly running: Running;

  constructor(program: keyof typeof PROGRAMS, args: readonly string[], folder?: string) {
    const own = program === 'qemu' ? ['-accel', 'tcg'] : [];
    this.running = new Running([...own, '-m', '64', '-display', 'none', '-net', 'none', '-serial', 'null', '-monitor', 'stdio', ...args], PROGRAMS[program], folder);
  }

  async start(): Promise<this> {
    await this.running.until(/\(qemu\) $/);
    return this;
  }

  /** What a command answers. */
  async ask(command: string): Promise<string> {
    const from = this.running.out.length;
    this.running.type(`${command}\n`);
    const end = await this.running.until(/\n\(qemu\) $/, from);
    // The first line is the echo.
    return this.running.out.slice(from, end).replace(/^[^\n]*\n/, '').replace(/\(qemu\) $/, '');
  }

  /** Until state.asm is where it stays. */
  async ready(): Promise<void> {
    while (!(await this.ask(MARKER)).includes('0x600dcafe')) await new Promise((resolve) => setTimeout(resolve, 20));
    // The marker comes a few instructions before the end.
    for (let last = '', now = await this.ask('info registers'); now !== last; ) [last, now] = [now, await this.ask('info registers')];
  }

  async end(): Promise<void> {
    this.running.type('quit\n');
    await this.running.ended;
  }
}
