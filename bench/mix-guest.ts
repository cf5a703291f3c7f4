// The guests of the CPU mix: a bundled guest's kernel with a program of guest/mix as its first process, and nothing else.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CpioArchive } from '../guests/cpio.mjs';
import { type LinuxGuest, linuxGuest, root } from './guests.ts';

export type Arch = 'amd64' | 'i386';
export const ARCHES: readonly Arch[] = ['i386', 'amd64'];

const FOLDER = join(root, 'build/bench');
const SOURCES = join(root, 'bench/guest/mix');
const SHARED = ['system.c'];
/** Programs, and the files of each beside the shared ones. */
const PROGRAMS = {
  disk: ['disk.c'],
  net: ['net.c'],
  records: ['records.c'],
  events: ['events.c'],
  mix: ['mix.c', 'integer.c', 'float.c', 'memory.c', 'branches.c', 'kernel.c'],
  code: ['code.c'],
  processes: ['processes.c'],
} as const;
export type Program = keyof typeof PROGRAMS;

/** i386 is what Debian compiles it for: an i686 with x87 and without SSE. */
const TARGET: Record<Arch, readonly string[]> = { amd64: ['-m64'], i386: ['-m32', '-march=i686'] };
const FLAGS = [
  '-O2', '-static', '-nostdlib', '-ffreestanding', '-fno-pic', '-no-pie', '-fno-stack-protector', '-fno-asynchronous-unwind-tables', '-fno-math-errno',
  '-Wall', '-Wextra', '-Werror', '-Wl,--build-id=none', '-s',
];

export interface BuiltProgram {
  name: Program;
  arch: Arch;
  path: string;
  sha256: string;
}

const built = new Map<string, BuiltProgram>();

/** Compile a program into build/bench. @throws where there is no gcc */
export function buildProgram(name: Program, arch: Arch): BuiltProgram {
  const known = built.get(`${name}-${arch}`);
  if (known) return known;
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${name}-${arch}`);
  const sources = [...SHARED, ...PROGRAMS[name]].map((file) => join(SOURCES, file));
  try {
    execFileSync('gcc', [...TARGET[arch], ...FLAGS, '-o', path, ...sources], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  } catch (error) {
    throw new Error((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'gcc is not installed' : (error as { stderr: string }).stderr);
  }
  const it = { name, arch, path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') };
  built.set(`${name}-${arch}`, it);
  return it;
}

/** A program and its arguments. */
export type Command = readonly [Program, ...string[]];

/**
 * The guest that runs programs one after the other, as process 1 and while each ends well, and then ends. The kernel speaks only of errors.
 * @param name of the files that it is made of
 */
export function programGuest(name: string, arch: Arch, commands: readonly Command[]): LinuxGuest {
  const guest = linuxGuest(arch);
  const archive = new CpioArchive();
  archive.directory('dev');
  archive.characterDevice('dev/console', 5, 1);
  for (const program of new Set(commands.map((it) => it[0]))) archive.file(program, readFileSync(buildProgram(program, arch).path), 0o755);
  const initrd = join(FOLDER, `${name}-${arch}.cpio`);
  writeFileSync(initrd, archive.bytes());
  const words = commands.map(([program, ...args], n) => (n ? [`then=/${program}`, ...args] : args).join(' '));
  return { ...guest, name: `${name}-${arch}`, initrd, append: `${guest.append} loglevel=3 rdinit=/${commands[0][0]} -- ${words.join(' ')}`, ready: 'ended ' };
}

/** Run a program on this computer. @returns what it writes; undefined where its kernel does not run such programs */
export function runNative(program: BuiltProgram, args: readonly string[]): string | undefined {
  const { stdout, error, status } = spawnSync(program.path, args, { encoding: 'utf8' });
  // What a kernel does not run is given to a shell (execvp(3)), which makes nothing of it.
  if (!error && !stdout.startsWith(`${program.name}: start\n`)) return undefined;
  if (error || status !== 0) throw new Error(`${program.path} on this computer: ${error?.message ?? `${stdout.slice(-300)} (status ${status})`}`);
  return stdout;
}

/** A line of the mix. */
export interface PartResult {
  name: string;
  units: number;
  ns: number;
  sum: string;
  bestUnits: number;
  bestNs: number;
  lastUnits: number;
  lastNs: number;
}

/** The lines of an output that are of parts. @throws where it says that something was wrong, or has not ended */
export function readParts(output: string): PartResult[] {
  const text = output.replaceAll('\r', '');
  if (!/^ended 0$/m.test(text) || /^FAILED/m.test(text)) throw new Error(`the mix has gone wrong: ${/^.*FAILED.*$/m.exec(text)?.[0] ?? text.slice(-300)}`);
  return [...text.matchAll(/^([a-z]\w*) (\d+) (\d+) ([0-9a-f]{16}) (\d+) (\d+) (\d+) (\d+)$/gm)].map(([, name, units, ns, sum, bestUnits, bestNs, lastUnits, lastNs]) => ({
    name, units: Number(units), ns: Number(ns), sum, bestUnits: Number(bestUnits), bestNs: Number(bestNs), lastUnits: Number(lastUnits), lastNs: Number(lastNs),
  }));
}

/** The names of the parts, from the table in mix.c. */
export function partNames(): { computing: string[]; system: string[] } {
  const table = [...readFileSync(join(SOURCES, 'mix.c'), 'utf8').matchAll(/^ {2}\{"(\w+)", ([01]),/gm)];
  const of = (isSystem: string) => table.filter((row) => row[2] === isSystem).map((row) => row[1]);
  return { computing: of('0'), system: of('1') };
}

let sums: Map<string, string> | undefined;

/** The right sum of every part: this computer's own, of one unit. They are the same for i386. */
export function nativeSums(): Map<string, string> {
  if (sums) return sums;
  const output = runNative(buildProgram('mix', 'amd64'), ['units=1']);
  if (output === undefined) throw new Error('this computer runs no 64-bit programs of Linux, so there is nothing to compare the sums with');
  sums = new Map(readParts(output).map((part) => [part.name, part.sum]));
  return sums;
}

/** @throws unless these are the wanted parts, each with the right sum */
export function checkParts(parts: readonly PartResult[], wanted: readonly string[]): void {
  const right = nativeSums();
  for (const name of wanted) {
    const part = parts.find((it) => it.name === name);
    if (!part) throw new Error(`the mix did not tell of ${name}`);
    if (part.sum !== right.get(name)) throw new Error(`${name} gave ${part.sum}, this computer ${right.get(name)}`);
  }
}

/** The mix as a guest. */
export function mixGuest(arch: Arch, parts: readonly string[], how: string): LinuxGuest {
  return programGuest('mix', arch, [['mix', how, `parts=${parts.join(',')}`]]);
}

