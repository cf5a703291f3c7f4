// Processes of the benchmarks: what they write with the time it came, and what the kernel says of them (proc(5)).

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

/** A line of a process' stderr that starts so is a message to the benchmark: JSON. */
export const MESSAGE = '@bench ';

/** Bytes that came at a time. */
interface Piece {
  at: number;
  end: number;
}

/** A process whose output is a guest's serial port. */
export class Watched {
  /** Everything it has written to stdout. */
  output = '';
  readonly messages: Record<string, unknown>[] = [];
  private readonly started = performance.now();
  private readonly child: ChildProcess;
  private readonly pieces: Piece[] = [];
  private readonly waiting = new Set<() => void>();
  private readonly exited: Promise<void>;
  private errors = '';
  private hasEnded = false;

  constructor(readonly command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('latin1').on('data', (text: string) => {
      this.output += text;
      this.pieces.push({ at: (performance.now() - this.started) / 1000, end: this.output.length });
      this.wake();
    });
    let rest = '';
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith(MESSAGE)) this.messages.push(JSON.parse(line.slice(MESSAGE.length)) as Record<string, unknown>);
        else this.errors += `${line}\n`;
      }
      this.wake();
    });
    this.exited = new Promise((resolve) => {
      const end = (why: string) => {
        this.errors += rest + why;
        this.hasEnded = true;
        this.wake();
        resolve();
      };
      this.child.on('error', (error) => end(error.message));
      this.child.on('close', (code, signal) => end(signal ? '' : `(ended with status ${code})`));
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  private wake(): void {
    for (const look of [...this.waiting]) look();
  }

  /** Seconds from the start at which the byte at this place of the output came. */
  timeOf(place: number): number {
    return this.pieces.find((piece) => piece.end > place)!.at;
  }

  /** Wait until `find` gives something. Rejects when the process ends before, or the time is over. */
  until<T>(what: string, find: () => T | undefined, timeoutS: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(look);
      };
      const fail = (why: string) => {
        done();
        const last = this.output.slice(-300).trim();
        reject(new Error(`${why} ${what}${last ? `; the last it wrote: ${last}` : ''}${this.errors.trim() ? `; stderr: ${this.errors.trim().slice(-1500)}` : ''}`));
      };
      const look = () => {
        const found = find();
        if (found !== undefined) {
          done();
          resolve(found);
        } else if (this.hasEnded) fail('it ended without');
      };
      const timer = setTimeout(() => fail(`${timeoutS} s were not enough for`), timeoutS * 1000);
      this.waiting.add(look);
      look();
    });
  }

  /** Seconds from the start until the output has this text. */
  untilText(text: string, timeoutS: number): Promise<number> {
    return this.until(`"${text}"`, () => {
      const place = this.output.indexOf(text);
      return place < 0 ? undefined : this.timeOf(place + text.length - 1);
    }, timeoutS);
  }

  /** The first message that has this key. */
  untilMessage(key: string, timeoutS: number): Promise<Record<string, unknown>> {
    return this.until(`message "${key}"`, () => this.messages.find((message) => key in message), timeoutS);
  }

  type(text: string): void {
    this.child.stdin!.write(text);
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** Linux shows so many clock ticks a second on every architecture that Node runs on. */
const TICKS = 100;

/** The fields of /proc/PID/stat from the third on. */
function statFields(pid: number): string[] {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^[^]*\) /, '').split(' ');
}

/** CPU time of a process, seconds, all its threads together. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  // utime and stime are fields 14 and 15.
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** CPU time of this process and all below it, also of those that have ended, seconds. */
function ownSeconds(): number {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!pid) continue;
    try {
      const fields = statFields(pid);
      parents.set(pid, Number(fields[1]));
      // utime, stime, and those of children that it has waited for.
      ticks.set(pid, fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0));
    } catch {
      // It has ended meanwhile.
    }
  }
  let sum = 0;
  for (const [pid, own] of ticks) {
    let above: number | undefined = pid;
    while (above && above !== process.pid) above = parents.get(above);
    if (above) sum += own;
  }
  return sum / TICKS;
}

/** Time of all processors together since the computer's start, seconds: all, and that in which they were not idle. */
function processorSeconds(): { all: number; busy: number } {
  // user nice system idle iowait irq softirq steal; the two behind them are in the first two.
  const fields = /^cpu +(.*)/.exec(readFileSync('/proc/stat', 'utf8'))![1].split(' ').slice(0, 8).map(Number);
  const all = fields.reduce((sum, field) => sum + field, 0) / TICKS;
  return { all, busy: all - (fields[3] + fields[4]) / TICKS };
}

/** Watches what other programs, and other virtual machines, take of the processors. @returns asks for their share since the start, of 1 */
export function watchOthers(): () => number {
  const from = { ...processorSeconds(), own: ownSeconds() };
  return () => {
    const { all, busy } = processorSeconds();
    const others = busy - from.busy - (ownSeconds() - from.own);
    return Math.min(1, Math.max(0, others / (all - from.all)));
  };
}

/** More than this, and what was measured is the computer's load. */
const MUCH_TO_OTHERS = 0.1;

/** A warning for who reads a figure; nothing where others took little. */
export function othersWarning(share: number): string {
  return share > MUCH_TO_OTHERS ? `; BUT others had ${(share * 100).toFixed(0)} % of the processors` : '';
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

interface Mapping {
  start: number;
  bytes: number;
  writable: boolean;
}

/** Writable mappings of a process, largest first; neighbours with the same rights count as one. */
export function mappings(pid: number): Mapping[] {
  const found: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S)(\S)/.exec(line);
    if (!match || match[4] !== 'w') continue;
    const start = Number.parseInt(match[1], 16);
    const bytes = Number.parseInt(match[2], 16) - start;
    const last = found[found.length - 1];
    if (last && last.start + last.bytes === start) last.bytes += bytes;
    else found.push({ start, bytes, writable: true });
  }
  return found.sort((a, b) => b.bytes - a.bytes);
}

const PAGE = 4096;
/** Bit 63 of a pagemap entry: the page is in memory. */
const PRESENT_BYTE = 7;
const PRESENT = 0x80;

/** How much of an address range of a process is in memory, bytes (Documentation/admin-guide/mm/pagemap.rst). */
export function presentBytes(pid: number, start: number, bytes: number): number {
  const file = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    const entries = Buffer.alloc((bytes / PAGE) * 8);
    const read = readSync(file, entries, 0, entries.length, (start / PAGE) * 8);
    let present = 0;
    for (let at = PRESENT_BYTE; at < read; at += 8) if (entries[at] & PRESENT) present++;
    return present * PAGE;
  } finally {
    closeSync(file);
  }
}
