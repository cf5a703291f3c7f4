// The options of a line being collected: the configuration so far, and what a topic has to remember until the line is complete.

import type { DriveRequest } from './drive.ts';
import type { BoardDeviceRequest } from './storage.ts';
import { type LogItem, type MachineConfig, type NetdevConfig, newConfig, type PciDevice, type PciDeviceConfig, type SerialConfig } from './config.ts';
import type { NicModel } from './nic.ts';

export class Draft {
  readonly config: MachineConfig = newConfig();
  // boot.ts
  appendGiven = false;
  // display.ts
  vga?: MachineConfig['vga'];
  // chardev.ts
  readonly serial: (SerialConfig | undefined)[] = [];
  serialGiven = false;
  readonly chardevs = new Map<string, SerialConfig>();
  debugconGiven = false;
  debugconIobase?: number;
  debugconTo?: SerialConfig;
  /** What -device isa-debugcon names, for when all chardevs are known. */
  debugconChardev?: { id: string; written: string };
  // object.ts: sources of random numbers
  readonly rngs = new Set<string>();
  // virtio-balloon.ts
  hasBalloon = false;
  // virtio-serial.ts: the buses, with the ports that they have got
  readonly serialBuses: SerialBus[] = [];
  // monitor.ts
  monitor?: 'stdio' | 'vc' | 'none';
  // drive.ts
  readonly drives: DriveRequest[] = [];
  snapshotAll = false;
  // storage.ts
  readonly boardDevices: BoardDeviceRequest[] = [];
  // device.ts: devices, some of which need what stands elsewhere in the line
  readonly devices: { device: PciDevice; resolve(config: MachineConfig): PciDeviceConfig }[] = [];
  // net.ts: far ends with what they were written as, cards of the board, and which far ends have a card
  readonly netdevs: { id: string; written: string; resolve(draft: Draft): NetdevConfig }[] = [];
  readonly boardNics: { model: NicModel; fields: Map<string, string>; written: string }[] = [];
  readonly connected = new Set<string>();
  readonly macs: (readonly number[])[] = [];
  hubPorts = 0;
  /** An option of the network was given: there is no default card. */
  netGiven = false;
  // log.ts
  readonly logItems = new Set<LogItem>();
  logFile?: string;
  // run.ts
  noDefaults = false;
}

/** A virtio-serial-pci and its ports. */
export interface SerialBus {
  id?: string;
  maxPorts: number;
  ports: { nr: number; console: boolean; id?: string; name?: string; chardev?: string; written: string }[];
}

export interface Option {
  /** How the argument is called in the help; none: the option takes no argument. */
  argument?: string;
  help: string;
  /** `written` is the option as the user wrote it, for errors. */
  apply(draft: Draft, value: string, written: string): void;
}

/** The options of a topic, by name. */
export type Options = Readonly<Record<string, Option>>;
