// What a monitor can do to a machine, and what the machine's owner can ask of a monitor. The monitor itself (src/monitor) is handed in by
// the worker's entry point, so that the machine knows none.

import type { BlockBackend } from '../devices/interfaces.ts';
import type { Machine } from './machine.ts';
import type { DriveConfig } from './options/index.ts';
import type { RunState } from './protocol.ts';

/** The machine as the monitor sees it. */
export interface MonitorTarget {
  readonly machine: Machine;
  readonly state: RunState;
  /** Nothing has run since power-on or the last reset. */
  readonly isFresh: boolean;
  pause(): Promise<void>;
  resume(): Promise<void>;
  reset(): Promise<void>;
  /** The ACPI power button. */
  powerButton(): Promise<void>;
  /** End the run with exit status 0. */
  quit(): Promise<void>;
  /** The contents of a disk. Rejects with an Error that says why not. */
  openDisk(drive: DriveConfig): Promise<BlockBackend>;
  /** Let go of one that no drive got. */
  closeDisk(disk: BlockBackend): void;
  /** Put bytes into a file: of the host under Node, a download in the page. Rejects with an Error that says why not. */
  saveFile(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** A monitor as the machine's worker sees it. */
export interface MonitorCalls {
  /** Do what a line says, and give the text that answers it, with its line ends. */
  execute(line: string): Promise<string>;
  /** What the last word of a line can become. */
  complete(line: string): string[];
}
