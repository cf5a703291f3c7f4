// bin/tabvisor (or another program of the same manners) as a process whose stdin and stdout are pipes, and what the kernel says of it.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const TABVISOR = join(root, 'bin/tabvisor');

/** Longest wait for anything; how long things should take is the benchmark's matter. */
export const PATIENCE_MS = 300_000;

export interface Ending {
  /** Exit status; null when a signal ended it. */
  status: number | null;
  out: string;
  err: string;
}

export class Running {
  /** All of stdout so far, carriage returns taken out. */
  out = '';
  err = '';
  readonly ended: Promise<Ending>;
  private readonly child: ChildProcess;
  private readonly waiting = new Set<() => void>();
  private hasEnded = false;

  /** @param cwd folder to run in */
  constructor(args: readonly string[], program = TABVISOR, cwd = root) {
    // It ends with this process, however that ends: a guest that nobody waits for any more would keep a processor busy.
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { cwd, stdio: 'pipe' });
    this.child.stdout!.setEncoding('latin1').on('data', (text: string) => this.took(text.replaceAll('\r', '')));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.err += text; });
    // A guest that ends does not wait for its input.
    this.child.stdin!.on('error', () => {});
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (status) => {
        this.hasEnded = true;
        resolve({ status, out: this.out, err: this.err });
        this.took('');
      });
    });
    live.add(this);
    void this.ended.finally(() => live.delete(this)).catch(() => {});
  }

  get pid(): number {
    return this.child.pid!;
  }

  private took(text: string): void {
    this.out += text;
    for (const look of [...this.waiting]) look();
  }

  /** Until stdout matches from this place on; gives the match's end in `out`. */
  until(pattern: RegExp, from = 0): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (act: () => void) => {
        clearTimeout(timer);
        this.waiting.delete(look);
        act();
      };
      const fail = (why: string) => done(() => reject(new Error(`${why} ${pattern}; it wrote ${JSON.stringify(this.out.slice(from).slice(-1500))}, and to stderr ${JSON.stringify(this.err.slice(-1500))}`)));
      const look = () => {
        const match = pattern.exec(this.out.slice(from));
        if (match) done(() => resolve(from + match.index + match[0].length));
        else if (this.hasEnded) fail('it ended before');
      };
      const timer = setTimeout(() => fail(`${PATIENCE_MS / 1000} s were not enough for`), PATIENCE_MS);
      this.waiting.add(look);
      look();
    });
  }

  type(text: string): void {
    this.child.stdin!.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.child.kill('SIGKILL');
    await this.ended.catch(() => {});
  }
}

const live = new Set<Running>();

/** End what a failed test left running. */
export async function killAll(): Promise<void> {
  await Promise.all([...live].map((running) => running.kill()));
}

/** Run to the end. */
export function run(args: readonly string[], program?: string, cwd?: string): Promise<Ending> {
  return new Running(args, program, cwd).ended;
}

/** CPU time of a process, seconds, all its threads together (proc(5)). */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  // utime and stime are fields 14 and 15, in clock ticks; Linux shows 100 a second on every architecture that Node runs on.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A bundled guest (guests/README.md). */
export interface Guest {
  name: string;
  machine: string;
  release: string;
  append: string;
  ready: string;
  kernel: string;
  initrd: string;
  /** The line that boots it to its shell, without -nographic. */
  args: readonly string[];
}

export function guest(name: string): Guest {
  const folder = join(root, 'guests/out', name);
  const file = join(folder, 'guest.json');
  if (!existsSync(file)) throw new Error(`the guest ${name} is not made: run "npm run guests" first`);
  const json = JSON.parse(readFileSync(file, 'utf8')) as Omit<Guest, 'kernel' | 'initrd' | 'args'> & { args: string[]; memory: number } & Record<'kernel' | 'initrd', { file: string }>;
  const kernel = join(folder, json.kernel.file);
  const initrd = join(folder, json.initrd.file);
  return { ...json, kernel, initrd, args: json.args.map((word) => (word === json.kernel.file ? kernel : word === json.initrd.file ? initrd : word)) };
}

/** The line of a guest that runs one busybox command instead of an init, and no more. */
export function commandLine({ kernel, initrd, append }: Guest, command: string): string[] {
  return ['-m', '256', '-kernel', kernel, '-initrd', initrd, '-append', `${append} rdinit=/bin/busybox -- ${command}`];
}

const PROMPT = /(^|\n)~ # (\x1b\[6n)?$/;

/** A guest at its shell. */
export class Shell {
  private constructor(readonly running: Running) {}

  static async boot(it: Guest, more: readonly string[] = []): Promise<Shell> {
    const running = new Running(['-nographic', ...it.args, ...more]);
    const at = await running.until(new RegExp(it.ready));
    await running.until(PROMPT, at);
    const shell = new Shell(running);
    // Wide enough for the longest command, which the shell's line editor would break otherwise.
    await shell.command('stty columns 1000');
    return shell;
  }

  /** What a command writes, its last line end taken off. */
  async command(text: string): Promise<string> {
    const from = this.running.out.length;
    this.running.type(`${text}\n`);
    const end = await this.running.until(PROMPT, from);
    const shown = this.running.out.slice(from, end);
    // The first line is the echo of the command, however long; the last the prompt.
    return shown.slice(shown.indexOf('\n') + 1).replace(PROMPT, '').replace(/\n$/, '');
  }

  /** Type a command that ends the guest. */
  last(text: string): Promise<Ending> {
    this.running.type(`${text}\n`);
    return this.running.ended;
  }
}

/** A folder for the tests of a file, with the multiboot guests assembled into it. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), 'tabvisor-headless-'));

  path(name: string): string {
    return join(this.folder, name);
  }

  /** @returns the path of the ELF file made from tests/headless/NAME.asm */
  assemble(name: string): string {
    const output = this.path(`${name}.elf`);
    execFileSync('nasm', ['-f', 'bin', '-I', join(root, 'tests/guests/'), '-I', join(root, 'tests/headless/'), '-o', output, join(root, 'tests/headless', `${name}.asm`)], { stdio: ['ignore', 'inherit', 'inherit'] });
    return output;
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'latin1').replaceAll('\r', '');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The lines after "; expect:" in the header of tests/headless/NAME.asm: what its guest shows on COM1. */
export function expected(name: string): string {
  const lines = readFileSync(join(root, 'tests/headless', `${name}.asm`), 'utf8').split('\n');
  const from = lines.indexOf('; expect:') + 1;
  if (from === 0) throw new Error(`${name}.asm says not what it expects`);
  const end = lines.findIndex((line, index) => index >= from && !line.startsWith(';   '));
  return lines.slice(from, end).map((line) => `${line.slice(4)}\n`).join('');
}
