// What the benchmarks ask of a machine, whichever it is.

import type { Guest } from '../guests.ts';

/** Guest instructions so far, and how long the machine's thread has run rather than slept, s; undefined where it does not tell. */
export interface Counters {
  instructions?: number;
  busyS?: number;
  deviceExits?: number;
}

/** A machine that runs a guest. */
export interface Run {
  /** Seconds from the start until the serial port's output had this text. Rejects when the machine ends, or after the time-out. */
  untilText(text: string, timeoutS: number): Promise<number>;
  /** The counters as they were when the text came that start() was given. */
  counters(): Promise<Counters>;
  /** The counters shortly after each line "mark NAME" of the serial port's output, of those machines that tell them. */
  marks(): { mark: string; deviceExits: number }[];
  /** Times, in seconds from the start, at which the dots of the serial port's output came. */
  dots(): Promise<number[]>;
  /** Everything the serial port has shown. */
  text(): Promise<string>;
  /** What else is worth telling of the run, of those machines that have something. */
  notes?(): Promise<string[]>;
  /** The process, where the machine has one of its own. */
  readonly pid?: number;
  stop(): Promise<void>;
}

export interface Peer {
  /** As in the tables and behind --peers. */
  readonly name: string;
  readonly title: string;
  /** Why it cannot be measured here; undefined: it can. */
  missing(): string | undefined;
  /** Why it cannot run this guest. */
  refuses(guest: Guest): string | undefined;
  version(): string;
  /** Start the guest, from nothing: program, browser, files. `until` is the text at which the counters are taken. */
  start(guest: Guest, until?: string): Promise<Run>;
}
