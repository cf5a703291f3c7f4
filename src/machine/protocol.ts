// What passes between the machine worker and whoever shows the machine (the page, the headless runner).
// Control is method calls (comlink); data is bytes in the shared memory: a control block of words, and rings.

import { Mem } from '../core/layout.ts';

/** Where the machine is in its life. Also the value of Control.STATE. */
export const enum RunState {
  /** Nothing loaded yet. */
  EMPTY = 0,
  LOADING = 1,
  RUNNING = 2,
  /** QEMU's "paused". */
  PAUSED = 3,
  /** The guest powered itself off, or the user did. */
  OFF = 4,
  /** Triple fault, or an error of Tabvisor's own; MachineEvents.failed carries the text. */
  FAILED = 5,
}

/** Byte offsets in the shared memory of the control block's words (u32 unless said). Written by the worker, read by all, but for DOORBELL. */
export const enum Control {
  /** Bumped and notified by anybody who wants the machine worker to wake: input in a ring, a command on its way. */
  DOORBELL = Mem.CONTROL + 0x00,
  /** Commands posted and not yet answered: while it is not 0 the worker does not block in Atomics.wait. */
  COMMANDS = Mem.CONTROL + 0x04,
  STATE = Mem.CONTROL + 0x08,
  /** Bumped by the worker whenever a ring towards the UI got bytes; the runner may wait on it. */
  OUTPUT = Mem.CONTROL + 0x0c,
  /** Guest instructions since reset (u64, 8-aligned). */
  ICOUNT = Mem.CONTROL + 0x10,
  /** Nanoseconds the worker has spent running or emulating (u64), and sleeping (u64). */
  BUSY_NS = Mem.CONTROL + 0x18,
  IDLE_NS = Mem.CONTROL + 0x20,
  /** Nanoseconds of BUSY_NS in which guest code ran (u64): guest CPU use. */
  GUEST_NS = Mem.CONTROL + 0x28,
  /** Exits to devices: port and MMIO accesses (u64). */
  DEVICE_EXITS = Mem.CONTROL + 0x30,

  /** Rings of serial port n (n < 4), and of the debug port (n = 4): RING_SIZE bytes each at SERIAL_RINGS + n * 2 * RING_SIZE: first guest-to-host, then host-to-guest. */
  SERIAL_RINGS = Mem.CONTROL + 0x1000,
  /** Bytes of one ring, its header of 16 bytes (write index u32, read index u32, terminal's size u32, breaks sent u32) included. */
  RING_SIZE = 0x2000,
  RING_HEADER = 16,

  /** Registers of the VGA card, for whoever draws its screen: screen-block.ts. */
  SCREEN = Mem.CONTROL + 0x1f000,

  /** Events of keyboard and mouse, towards the machine: input.ts. */
  INPUT_RING = Mem.CONTROL + 0x1e000,
  INPUT_RING_SIZE = 0xf00,
  /** 1: the guest takes the pointer's place on the screen, 2: its movement, 0: neither (u32). The keyboard's lamps: bit 0 Scroll, 1 Num, 2 Caps Lock (u32). */
  POINTER = Mem.CONTROL + 0x1ef00,
  LEDS = Mem.CONTROL + 0x1ef04,
}

/** A file the machine line names, under the name it has there. */
export interface MachineFile {
  name: string;
  /** Its bytes, or where to fetch them; with `early` somebody has asked for them already (response-port.ts). */
  source: { bytes: Uint8Array } | { url: string; early?: MessagePort } | { blob: Blob };
}

/** One file of a folder that the user gave to the page: the names that lead to it, and when it was changed, ms since 1970. */
export interface GivenFile {
  path: string[];
  blob: Blob;
  modified: number;
}

/** A folder that the user gave to the page, under its path in the line. */
export interface GivenFolder {
  path: string;
  files: GivenFile[];
  /** Where what the guest writes goes, if the user allowed it. */
  handle?: FileSystemDirectoryHandle;
}

/** A folder that the guest may mount, in a page. */
export interface FolderView {
  path: string;
  /** What the guest writes goes back into it; stays in memory; or it writes nothing. */
  kept: 'written' | 'memory' | 'readonly';
  /** Files and directories that the guest has changed, and those of them that are not in the folder yet. */
  changes: number;
  waiting: number;
}

/** What to run: a QEMU command line, split into words, and the files it names. */
export interface MachineSpec {
  args: string[];
  files: MachineFile[];
  /** In the page, the folders that it names, under their paths there. */
  folders?: GivenFolder[];
}

/** Progress of a boot: phase, and bytes of the phase's file. total is 0 where it is not known. */
export interface BootProgress {
  phase: 'engine' | 'firmware' | 'kernel' | 'initrd' | 'loading' | 'started';
  /** What is being loaded, as the user would name it. */
  name: string;
  loaded: number;
  total: number;
}

/** A failure worth showing: what happened, why, and what to do about it. */
export interface MachineFailure {
  what: string;
  why: string;
  /** Advice, one sentence. */
  advice: string;
  /** Registers, code and stack as text, when the guest failed. */
  details?: string;
}

/** Calls from the machine worker to its owner (pass with comlink's proxy()). */
export interface MachineEvents {
  progress(progress: BootProgress): void;
  state(state: RunState): void;
  failed(failure: MachineFailure): void;
  /** A file that the user asked for (screendump, pmemsave); only where the worker has no files of its own. */
  saved?(name: string, bytes: Uint8Array<ArrayBuffer>): void;
  /** The guest asked to end with this exit status (isa-debug-exit, -no-reboot, power-off = 0). */
  exited(status: number): void;
  /** The machine goes on, but its user should know of this. */
  warned?(failure: MachineFailure): void;
}

/** A drive of the machine's board, and what is in it. */
export interface DriveView {
  /** As the monitor calls it: ide1-cd0, floppy0. */
  name: string;
  kind: 'disk' | 'cdrom' | 'floppy';
  /** The file of its medium; undefined: it is empty. */
  file?: string;
  /** The guest keeps the medium in. */
  locked: boolean;
  /** Of the medium: bytes; what the guest writes is stored; the guest cannot write. */
  size?: number;
  kept?: boolean;
  readOnly?: boolean;
}

/** Control of one machine, in its worker. All but create() act on the machine that create() made. */
export interface MachineApi {
  /** Load what the spec names and build the machine; it starts at once unless -S is among the options. Rejects with a MachineFailure-shaped error. */
  create(spec: MachineSpec, events: MachineEvents): Promise<{ memory: SharedArrayBuffer }>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** The reset button: as a cold start, keeping what was loaded. */
  reset(): Promise<void>;
  /** The ACPI power button: asks the guest to shut down. */
  powerButton(): Promise<void>;
  /** Pull the plug. */
  powerOff(): Promise<void>;
  /** Registers of a vCPU as text, as QEMU's "info registers" prints them. */
  registers(cpu: number): Promise<string>;
  drives(): Promise<DriveView[]>;
  /** Put a file into a CD-ROM or floppy drive, in place of what is there. Rejects when it cannot be opened, or the guest keeps the old one in. */
  insert(drive: string, file: MachineFile, raw: boolean): Promise<void>;
  /** Take the medium out. Rejects when the guest keeps it in and it is not forced; the guest is told that the user wants it. */
  eject(drive: string, force: boolean): Promise<void>;
  /** Type a text on the machine's keyboard, as on a US one. The characters that no key types, each once, and how many there was no room for. */
  typeText(text: string): Promise<{ unknown: string[]; refused: number }>;
  /** The picture on the machine's screen as a file. */
  screendump(format: 'ppm' | 'png'): Promise<Uint8Array>;
  /** Do what a line of the monitor says; gives the text that answers it. Also while the machine is paused, off or has failed. */
  monitor(line: string): Promise<string>;
  /** What the last word of a monitor's line can become. */
  monitorCompletions(line: string): Promise<string[]>;
  /** In the page: the folders of the line, and an archive (tar) of what the guest has changed in one. */
  folders(): Promise<FolderView[]>;
  folderChanges(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** In the page: the other end of this port gets the machine's network to see and to ask (NetworkPortApi in network-io.ts). */
  connectNetwork(port: MessagePort): Promise<void>;
  /** Hash (hex) of RAM and CPU state, and the instruction count; the machine should be paused or off. */
  stateHash(): Promise<{ icount: number; hash: string }>;
}

/** Rings of chardevs have numbers from here on: so many pairs fit at Mem.CHARDEV_RINGS. */
export const FIRST_CHARDEV_RING = 8;
export const MAX_CHARDEVS = Mem.CHARDEV_RINGS_SIZE / (2 * Control.RING_SIZE);

/** A single-producer, single-consumer byte ring in the shared memory. */
export class ByteRing {
  private readonly words: Int32Array;
  private readonly data: Uint8Array;
  private readonly capacity: number;

  /** @param address byte offset of the ring's header in the memory */
  constructor(buffer: ArrayBufferLike, address: number, size: number = Control.RING_SIZE) {
    this.words = new Int32Array(buffer, address, 4);
    this.capacity = size - Control.RING_HEADER;
    this.data = new Uint8Array(buffer, address + Control.RING_HEADER, this.capacity);
  }

  /** Bytes ready to be read. */
  get available(): number {
    const used = Atomics.load(this.words, 0) - Atomics.load(this.words, 1);
    return used < 0 ? used + this.capacity : used;
  }

  /** Bytes that can be written now. */
  get room(): number {
    return this.capacity - 1 - this.available;
  }

  /** Write one byte; false when the ring is full. */
  push(byte: number): boolean {
    const at = Atomics.load(this.words, 0);
    const next = at + 1 === this.capacity ? 0 : at + 1;
    if (next === Atomics.load(this.words, 1)) return false;
    this.data[at] = byte;
    Atomics.store(this.words, 0, next);
    return true;
  }

  /** Write as many bytes as fit; returns how many. */
  write(bytes: Uint8Array): number {
    const n = Math.min(bytes.length, this.room);
    const at = Atomics.load(this.words, 0);
    const first = Math.min(n, this.capacity - at);
    this.data.set(bytes.subarray(0, first), at);
    this.data.set(bytes.subarray(first, n), 0);
    Atomics.store(this.words, 0, (at + n) % this.capacity);
    return n;
  }

  /** Read one byte, or -1. */
  shift(): number {
    const at = Atomics.load(this.words, 1);
    if (at === Atomics.load(this.words, 0)) return -1;
    const byte = this.data[at];
    Atomics.store(this.words, 1, at + 1 === this.capacity ? 0 : at + 1);
    return byte;
  }

  /** Towards the guest: hold the line in break for a moment. */
  sendBreak(): void {
    Atomics.add(this.words, 3, 1);
  }

  /** True once for every break that was sent. */
  takeBreak(): boolean {
    if (Atomics.load(this.words, 3) === 0) return false;
    Atomics.sub(this.words, 3, 1);
    return true;
  }

  /** Towards the guest: characters that the terminal at this end can show, both below 65536; 0 while nobody knows. */
  get size(): { cols: number; rows: number } {
    const word = Atomics.load(this.words, 2);
    return { cols: word & 0xffff, rows: word >>> 16 };
  }

  set size({ cols, rows }) {
    Atomics.store(this.words, 2, (rows << 16) | cols);
  }

  /** Read all that is there (a copy, not a view of shared memory). */
  read(): Uint8Array {
    const out = new Uint8Array(this.available);
    const at = Atomics.load(this.words, 1);
    const first = Math.min(out.length, this.capacity - at);
    out.set(this.data.subarray(at, at + first));
    out.set(this.data.subarray(0, out.length - first), first);
    Atomics.store(this.words, 1, (at + out.length) % this.capacity);
    return out;
  }
}

/** The two rings of serial port n, or of chardev n - FIRST_CHARDEV_RING. */
export function serialRings(buffer: ArrayBufferLike, port: number): { toHost: ByteRing; toGuest: ByteRing } {
  const [start, n] = port < FIRST_CHARDEV_RING ? [Control.SERIAL_RINGS, port] : [Mem.CHARDEV_RINGS, port - FIRST_CHARDEV_RING];
  const base = start + n * 2 * Control.RING_SIZE;
  return { toHost: new ByteRing(buffer, base), toGuest: new ByteRing(buffer, base + Control.RING_SIZE) };
}

/** Wake the machine worker. */
export function ringDoorbell(buffer: ArrayBufferLike): void {
  doorbell(buffer)();
}

/** The same for who does it often. */
export function doorbell(buffer: ArrayBufferLike): () => void {
  const words = new Int32Array(buffer, Control.DOORBELL, 1);
  return () => {
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
  };
}
