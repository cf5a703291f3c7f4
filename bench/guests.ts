// The guests that are benchmarked: the bundled Linux guests, and the loops of guest/loop.asm and guest/real.asm.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The repository's folder, from bench/ as from build/bench. */
export const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(join(folder, '..'));
})(import.meta.dirname);

/** What a machine is given, whichever machine it is. */
export interface Guest {
  name: string;
  bits: Bits;
  memory: number;
  /** Paths. */
  kernel: string;
  initrd?: string;
  append: string;
  /** Options that QEMU and Tabvisor spell alike. */
  more?: readonly string[];
  /** Options of v86's constructor; a value {file} is the content of a file. */
  v86?: Record<string, unknown>;
  /** Options that only Tabvisor gets. */
  tabvisor?: readonly string[];
}

export interface LinuxGuest extends Guest {
  initrd: string;
  /** In the serial port's output just before the shell's prompt. */
  ready: string;
}

/** The first line of a Linux kernel, which it writes when its console is there. */
export const FIRST_LINE = 'Linux version';

interface Description {
  name: string;
  arch: string;
  kernel: { file: string };
  initrd: { file: string };
  memory: number;
  append: string;
  ready: string;
}

/** A bundled guest (guests/out/NAME). @throws where it has not been made */
export function linuxGuest(name: 'amd64' | 'i386'): LinuxGuest {
  const folder = join(root, 'guests/out', name);
  if (!existsSync(join(folder, 'guest.json'))) throw new Error(`there is no guest ${name}: run "npm run guests"`);
  const it = JSON.parse(readFileSync(join(folder, 'guest.json'), 'utf8')) as Description;
  return {
    name, bits: it.arch === 'amd64' ? 64 : 32, memory: it.memory, append: it.append, ready: it.ready,
    kernel: join(folder, it.kernel.file), initrd: join(folder, it.initrd.file),
  };
}

/** Those of guest/real.asm, and of guest/loop.asm. */
export const LOOPS: Record<Bits, readonly Loop[]> = { 16: ['alu', 'memory', 'string', 'calls', 'far'], 32: ['alu', 'memory', 'calls', 'large'], 64: ['alu', 'memory', 'calls', 'large'] };
export type Loop = 'alu' | 'memory' | 'string' | 'calls' | 'large' | 'far';
/** 16: real mode. */
export type Bits = 16 | 32 | 64;

/** Assemble a loop into build/bench. */
export function loopGuest(loop: Loop, bits: Bits): Guest {
  const folder = join(root, 'build/bench');
  mkdirSync(folder, { recursive: true });
  const name = `loop-${loop}-${bits}`;
  const kernel = join(folder, `${name}.elf`);
  try {
    execFileSync('nasm', ['-f', 'bin', '-I', join(root, 'bench/guest/'), `-DBITS=${bits}`, `-DLOOP=${loop}`, '-o', kernel, join(root, 'bench/guest', bits === 16 ? 'real.asm' : 'loop.asm')], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    throw new Error((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'nasm is not installed' : (error as Error).message);
  }
  return { name, bits, memory: 64, kernel, append: '' };
}
