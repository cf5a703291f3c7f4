// VMware's backdoor port and its absolute pointer, as QEMU's pc has them (vmport, vmmouse): a guest reads a port with a magic number in
// EAX and a command in ECX, and finds answers in its registers. open-vm-tools, backdoor_def.h (port, magic, commands);
// Linux, drivers/input/mouse/vmmouse.c (the pointer's commands and its queue of four words an event).

import type { AccessSize, PortDevice, Snapshotable } from './interfaces.ts';

export const VMPORT = 0x5658;
/** The port is as wide as the access. */
export const VMPORT_LENGTH = 4;
const MAGIC = 0x564d5868;

/** Commands in ECX. */
const GET_VERSION = 10;
const GET_RAM_SIZE = 20;
const ABSPOINTER_DATA = 39;
const ABSPOINTER_STATUS = 40;
const ABSPOINTER_COMMAND = 41;

const VMX_VERSION = 6;
const VMX_TYPE_SCALABLE_SERVER = 2;
const RAM_SIZE_ANSWER = 0x1177;

/** Commands of the pointer, in EBX. */
const DISABLE = 0xf5;
const READ_ID = 0x45414552;
const REQUEST_RELATIVE = 0x4c455252;
const REQUEST_ABSOLUTE = 0x53424152;

const POINTER_VERSION = 0x3442554a;
const STATUS_ERROR = 0xffff;
/** Words. */
const QUEUE_SIZE = 1024;
const EVENT_WORDS = 4;

const LEFT = 0x20;
const RIGHT = 0x10;
const MIDDLE = 0x08;

/** Registers of the CPU that reads the port, by number: 0 EAX, 1 ECX, 2 EDX, 3 EBX, 6 ESI, 7 EDI. Setting one clears bits 32-63. */
export interface CpuRegisters {
  get(register: number): number;
  set(register: number, value: number): void;
}

const [EAX, ECX, EDX, EBX, ESI, EDI] = [0, 1, 2, 3, 6, 7];
/** In the order in which they carry words of the pointer. */
const WORDS = [EAX, EBX, ECX, EDX, ESI, EDI];

export type PointerMode = 'off' | 'relative' | 'absolute';

interface State {
  queue: number[];
  status: number;
  mode: PointerMode;
  /** As in ps2-mouse.ts. */
  buttons: number;
  x: number;
  y: number;
}

const powerOn = (): State => ({ queue: [], status: STATUS_ERROR, mode: 'off', buttons: 0, x: 0, y: 0 });

export class VmPort implements PortDevice, Snapshotable {
  private s = powerOn();

  /**
   * @param onEvent called when the driver has something to read, which it notices by a packet of the PS/2 mouse
   */
  constructor(
    private readonly registers: CpuRegisters,
    private readonly ramSize: number,
    private readonly onEvent: () => void,
  ) {}

  get mode(): PointerMode {
    return this.s.mode;
  }

  /** The pointer is at x and y (0 to 7FFFh over the screen) or, in relative mode, has moved by that. */
  move(x: number, y: number): void {
    this.s.x = x;
    this.s.y = y;
    this.queue(0);
  }

  /** Buttons that are held, bits as in ps2-mouse.ts. */
  press(buttons: number): void {
    this.s.buttons = buttons;
    if (this.s.mode === 'relative') this.s.x = this.s.y = 0;
    this.queue(0);
  }

  /** Wheel steps, positive towards the user. */
  wheel(dz: number): void {
    if (this.s.mode === 'relative') this.s.x = this.s.y = 0;
    this.queue(dz);
  }

  private queue(dz: number): void {
    const { s } = this;
    if (s.mode === 'off' || s.queue.length > QUEUE_SIZE - EVENT_WORDS) return;
    const scale = s.mode === 'absolute' ? 2 : 1;
    const buttons = (s.buttons & 1 ? LEFT : 0) | (s.buttons & 2 ? RIGHT : 0) | (s.buttons & 4 ? MIDDLE : 0);
    s.queue.push(buttons, (s.x * scale) >>> 0, (s.y * scale) >>> 0, dz >>> 0);
    this.onEvent();
  }

  readPort(port: number, _size: AccessSize): number {
    const { registers } = this;
    if (port !== VMPORT || registers.get(EAX) >>> 0 !== MAGIC) return 0xffffffff;
    switch (registers.get(ECX) & 0xffff) {
      case GET_VERSION:
        registers.set(EBX, MAGIC);
        registers.set(ECX, VMX_TYPE_SCALABLE_SERVER);
        return VMX_VERSION;
      case GET_RAM_SIZE:
        registers.set(EBX, RAM_SIZE_ANSWER);
        return this.ramSize >>> 0;
      case ABSPOINTER_STATUS:
        return ((this.s.status << 16) | this.s.queue.length) >>> 0;
      case ABSPOINTER_COMMAND:
        this.command(registers.get(EBX) >>> 0);
        return MAGIC;
      case ABSPOINTER_DATA:
        return this.data(registers.get(EBX) >>> 0);
    }
    return 0xffffffff;
  }

  writePort(port: number, size: AccessSize, _value: number): void {
    // OUT has the same effects, and its answer in EAX.
    this.registers.set(EAX, this.readPort(port, size));
  }

  private command(command: number): void {
    const { s } = this;
    switch (command) {
      case DISABLE:
        s.status = STATUS_ERROR;
        s.mode = 'off';
        // What was left would be taken for the answer to the next READ_ID.
        s.queue = [];
        break;
      case READ_ID:
        if (s.queue.length >= QUEUE_SIZE) break;
        s.queue.push(POINTER_VERSION);
        s.status = 0;
        break;
      case REQUEST_RELATIVE:
        s.mode = 'relative';
        break;
      case REQUEST_ABSOLUTE:
        s.mode = 'absolute';
        break;
    }
  }

  /** Words of the queue into registers; gives that for EAX. */
  private data(count: number): number {
    const { s, registers } = this;
    if (count > WORDS.length || count > s.queue.length) {
      s.status = STATUS_ERROR;
      return registers.get(EAX) >>> 0;
    }
    const words = s.queue.splice(0, count);
    words.forEach((word, i) => registers.set(WORDS[i], word));
    return words.length ? words[0] : registers.get(EAX) >>> 0;
  }

  reset(): void {
    this.s = powerOn();
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
  }
}
