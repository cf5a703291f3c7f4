// Keyboard controller: the interface to keyboard and mouse, the A20 gate and the CPU's reset line.
// IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller"; UPI-41AH (8042) datasheet.

import type { AccessSize, IrqLine, PortDevice, Snapshotable } from './interfaces.ts';
import { SET2_TO_SET1 } from './scan-codes.ts';

export const DATA = 0x60;
export const STATUS_COMMAND = 0x64;

const STATUS_OBF = 0x01;
const STATUS_SYS = 0x04;
const STATUS_CMD = 0x08;
const STATUS_UNLOCKED = 0x10;
const STATUS_AUX = 0x20;
const STATUS_TIMEOUT = 0x40;

/** Bits of the command byte. */
const CB_KBD_INT = 0x01;
const CB_AUX_INT = 0x02;
const CB_SYS = 0x04;
const CB_KBD_DISABLE = 0x10;
const CB_AUX_DISABLE = 0x20;
const CB_TRANSLATE = 0x40;

/** Bits of the output port. */
const OUT_RESET = 0x01;
const OUT_A20 = 0x02;
const OUT_OBF = 0x10;
const OUT_AUX_OBF = 0x20;
/** Keyboard clock and data, and two pins that nothing pulls down. */
const OUT_ONES = 0xcc;

/** Answers of the controller's own that are kept while the host does not read them. */
const QUEUE_SIZE = 16;

/** What hosts get for an answer that never comes. */
const RESEND = 0xfe;

/** A keyboard or mouse on a PS/2 connector. */
export interface Ps2Device extends Snapshotable {
  /** A byte from the host. */
  write(byte: number): void;
  /** Next byte for the host, -1 if there is none. */
  read(): number;
  /** Set by the controller: called when read() may have something. */
  onData: () => void;
  reset(): void;
}

type Source = 'controller' | 'keyboard' | 'aux';

interface State {
  commandByte: number;
  outputPort: number;
  /** Command that waits for its data byte, 0 for none. */
  command: number;
  lastWriteWasCommand: boolean;
  /** The self-test has been passed. */
  tested: boolean;
  /** The output buffer, -1 when empty, whose byte it is, and whether it stands for a timeout. */
  output: number;
  source: Source;
  timeout: boolean;
  /** Bytes of the controller's own that wait for the buffer. */
  queue: { byte: number; source: Source; timeout: boolean }[];
  /** The translator has seen F0h: the next scan code is a release. */
  translateBreak: boolean;
  ram: Uint8Array;
}

const powerOn = (): State => ({
  commandByte: CB_KBD_INT | CB_AUX_INT,
  outputPort: OUT_ONES | OUT_RESET | OUT_A20,
  command: 0,
  lastWriteWasCommand: true,
  tested: false,
  output: -1,
  source: 'controller',
  timeout: false,
  queue: [],
  translateBreak: false,
  ram: new Uint8Array(32),
});

export class I8042 implements PortDevice, Snapshotable {
  private s = powerOn();
  /** What the output buffer held last. */
  private last = 0;

  /**
   * @param irq1 keyboard interrupt
   * @param irq12 interrupt of the auxiliary device
   * @param onReset called when the CPU's reset line is pulsed
   */
  constructor(
    private readonly irq1: IrqLine,
    private readonly irq12: IrqLine,
    private readonly setA20: (enabled: boolean) => void,
    private readonly onReset: () => void,
    private readonly keyboard?: Ps2Device,
    private readonly aux?: Ps2Device,
  ) {
    if (keyboard) keyboard.onData = () => this.fill();
    if (aux) aux.onData = () => this.fill();
  }

  /** Move the next byte into the empty output buffer. */
  private fill(): void {
    const s = this.s;
    if (s.output >= 0) return;
    const own = s.queue.shift();
    if (own) {
      this.output(own.byte, own.source, own.timeout);
      return;
    }
    if (this.keyboard && !(s.commandByte & CB_KBD_DISABLE)) {
      for (let byte = this.keyboard.read(); byte >= 0; byte = this.keyboard.read()) {
        const code = this.translate(byte);
        if (code < 0) continue;
        this.output(code, 'keyboard', false);
        return;
      }
    }
    if (this.aux && !(s.commandByte & CB_AUX_DISABLE)) {
      const byte = this.aux.read();
      if (byte >= 0) this.output(byte, 'aux', false);
    }
  }

  /** Scan code as the host gets it; -1 for a prefix that is kept for the next one. */
  private translate(byte: number): number {
    const s = this.s;
    if (!(s.commandByte & CB_TRANSLATE)) return byte;
    if (byte === 0xf0) {
      s.translateBreak = true;
      return -1;
    }
    const code = SET2_TO_SET1[byte];
    if (!s.translateBreak) return code;
    s.translateBreak = false;
    return code | 0x80;
  }

  private output(byte: number, source: Source, timeout: boolean): void {
    const s = this.s;
    s.output = byte;
    s.source = source;
    s.timeout = timeout;
    this.drive();
  }

  /** A byte of the controller's own, or one it says a device sent. */
  private respond(byte: number, source: Source = 'controller', timeout = false): void {
    if (this.s.queue.length < QUEUE_SIZE) this.s.queue.push({ byte, source, timeout });
    this.fill();
  }

  private drive(): void {
    const s = this.s;
    const full = s.output >= 0;
    // As in QEMU, answers of the controller to a host that has shut the keyboard out interrupt nobody.
    this.irq1.set(full && s.source !== 'aux' && (s.commandByte & (CB_KBD_INT | CB_KBD_DISABLE)) === CB_KBD_INT);
    this.irq12.set(full && s.source === 'aux' && (s.commandByte & CB_AUX_INT) !== 0);
  }

  readPort(port: number, _size: AccessSize): number {
    const s = this.s;
    if (port === STATUS_COMMAND) {
      return (
        (s.output >= 0 ? STATUS_OBF : 0) |
        (s.tested || s.commandByte & CB_SYS ? STATUS_SYS : 0) |
        (s.lastWriteWasCommand ? STATUS_CMD : 0) |
        STATUS_UNLOCKED |
        (s.output >= 0 && s.source === 'aux' ? STATUS_AUX : 0) |
        (s.output >= 0 && s.timeout ? STATUS_TIMEOUT : 0)
      );
    }
    // An empty buffer shows its last byte.
    const value = s.output >= 0 ? s.output : this.last;
    this.last = value;
    s.output = -1;
    this.drive();
    this.fill();
    return value;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const s = this.s;
    s.lastWriteWasCommand = port === STATUS_COMMAND;
    if (port === STATUS_COMMAND) {
      s.command = 0;
      this.command(value);
      return;
    }
    const command = s.command;
    s.command = 0;
    if (command) this.commandData(command, value);
    else this.toKeyboard(value);
  }

  private toKeyboard(value: number): void {
    // A byte for the keyboard enables its interface.
    this.s.commandByte &= ~CB_KBD_DISABLE;
    if (this.keyboard) this.keyboard.write(value);
    else this.respond(RESEND, 'keyboard', true);
    this.fill();
  }

  private command(value: number): void {
    const s = this.s;
    if (value >= 0x20 && value < 0x40) {
      this.respond(value === 0x20 ? s.commandByte : s.ram[value & 0x1f]);
      return;
    }
    if ((value >= 0x60 && value < 0x80) || (value >= 0xd1 && value <= 0xd4)) {
      s.command = value;
      return;
    }
    if (value >= 0xf0) {
      // Pulse the low bits that are 0; bit 0 is the CPU's reset.
      if (!(value & OUT_RESET)) this.onReset();
      return;
    }
    switch (value) {
      case 0xa7:
        s.commandByte |= CB_AUX_DISABLE;
        break;
      case 0xa8:
        s.commandByte &= ~CB_AUX_DISABLE;
        this.fill();
        break;
      case 0xa9: // test of the auxiliary interface
      case 0xab: // test of the keyboard's
        this.respond(0x00);
        break;
      case 0xaa: // self-test
        s.tested = true;
        this.respond(0x55);
        break;
      case 0xad:
        s.commandByte |= CB_KBD_DISABLE;
        break;
      case 0xae:
        s.commandByte &= ~CB_KBD_DISABLE;
        this.fill();
        break;
      case 0xc0: // input port: keyboard not locked
        this.respond(0x80);
        break;
      case 0xd0: {
        const obf = s.output < 0 ? 0 : s.source === 'aux' ? OUT_AUX_OBF : OUT_OBF;
        this.respond((s.outputPort & ~(OUT_OBF | OUT_AUX_OBF)) | obf);
        break;
      }
      case 0xdd:
        this.writeOutputPort(s.outputPort & ~OUT_A20);
        break;
      case 0xdf:
        this.writeOutputPort(s.outputPort | OUT_A20);
        break;
      // Others do nothing, as in QEMU.
    }
  }

  private commandData(command: number, value: number): void {
    const s = this.s;
    switch (command) {
      case 0x60:
        s.commandByte = value;
        this.drive();
        this.fill();
        break;
      case 0xd1:
        this.writeOutputPort(value);
        break;
      case 0xd2:
        this.respond(value, 'keyboard');
        break;
      case 0xd3:
        this.respond(value, 'aux');
        break;
      case 0xd4:
        s.commandByte &= ~CB_AUX_DISABLE;
        if (this.aux) this.aux.write(value);
        else this.respond(RESEND, 'aux', true);
        this.fill();
        break;
      default:
        s.ram[command & 0x1f] = value;
    }
  }

  private writeOutputPort(value: number): void {
    this.s.outputPort = value;
    this.setA20((value & OUT_A20) !== 0);
    if (!(value & OUT_RESET)) this.onReset();
  }

  reset(): void {
    this.s = powerOn();
    this.last = 0;
    this.keyboard?.reset();
    this.aux?.reset();
    this.drive();
  }

  save(): unknown {
    return { controller: structuredClone(this.s), last: this.last, keyboard: this.keyboard?.save(), aux: this.aux?.save() };
  }

  load(state: unknown): void {
    const saved = state as { controller: State; last: number; keyboard: unknown; aux: unknown };
    this.s = structuredClone(saved.controller);
    this.last = saved.last;
    this.keyboard?.load(saved.keyboard);
    this.aux?.load(saved.aux);
    this.drive();
  }
}
