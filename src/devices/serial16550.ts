// Serial port: a UART with 16-byte FIFOs.
// National Semiconductor PC16550D datasheet (TL/C/8652), section 8 (registers).
//
// As in QEMU, a byte written is sent at once; the line's speed only decides how long the receiver waits before it reports a
// FIFO below its trigger level. Nothing is lost on the way in: bytes stay with the backend until there is room.

import type { AccessSize, CharBackend, Clock, IrqLine, PortDevice, Snapshotable, Timer } from './interfaces.ts';

/** I/O base and ISA interrupt of COM1-COM4. */
export const SERIAL_PORTS: readonly { base: number; irq: number }[] = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
];

/** Register offsets. */
export const RBR_THR = 0;
export const IER = 1;
export const IIR_FCR = 2;
export const LCR = 3;
export const MCR = 4;
export const LSR = 5;
export const MSR = 6;
export const SCR = 7;

const IER_RDI = 0x01;
const IER_THRI = 0x02;
const IER_RLSI = 0x04;
const IER_MSI = 0x08;

const IIR_NO_INT = 0x01;
const IIR_MSI = 0x00;
const IIR_THRI = 0x02;
const IIR_RDI = 0x04;
const IIR_RLSI = 0x06;
const IIR_CTI = 0x0c;
const IIR_FIFO = 0xc0;

const FCR_ENABLE = 0x01;
const FCR_CLEAR_RCVR = 0x02;
const FCR_CLEAR_XMIT = 0x04;

const LCR_DLAB = 0x80;

const MCR_DTR = 0x01;
const MCR_RTS = 0x02;
const MCR_OUT1 = 0x04;
const MCR_OUT2 = 0x08;
const MCR_LOOP = 0x10;

const LSR_DR = 0x01;
const LSR_OE = 0x02;
const LSR_BI = 0x10;
const LSR_THRE = 0x20;
const LSR_TEMT = 0x40;
const LSR_ERRORS = 0x1e;

const MSR_DCTS = 0x01;
const MSR_DDSR = 0x02;
const MSR_TERI = 0x04;
const MSR_DDCD = 0x08;
const MSR_CTS = 0x10;
const MSR_DSR = 0x20;
const MSR_RI = 0x40;
const MSR_DCD = 0x80;

const FIFO_SIZE = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14];
/** Marks a received break in the FIFO. */
const BREAK = 0x100;
/** Input clock divided by 16: the highest baud rate. */
const BAUD_BASE = 115200;

interface State {
  divisor: number;
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  /** Error bits of LSR; the others are worked out. */
  errors: number;
  /** Delta bits of MSR, and the modem lines as last seen. */
  msrDelta: number;
  msrLines: number;
  scr: number;
  receive: number[];
  transmit: number[];
  threPending: boolean;
  timeoutPending: boolean;
  timeoutAt: number;
  retryAt: number;
}

const powerOn = (): State => ({
  divisor: 12,
  ier: 0,
  fcr: 0,
  lcr: 0,
  mcr: MCR_OUT2,
  errors: 0,
  msrDelta: 0,
  msrLines: MSR_DCD | MSR_DSR | MSR_CTS,
  scr: 0,
  receive: [],
  transmit: [],
  threPending: false,
  timeoutPending: false,
  timeoutAt: Infinity,
  retryAt: Infinity,
});

export class Serial16550 implements PortDevice, Snapshotable {
  private s = powerOn();
  private readonly timeout: Timer;
  private readonly retry: Timer;

  constructor(
    name: string,
    private readonly clock: Clock,
    private readonly irq: IrqLine,
    private readonly backend: CharBackend,
  ) {
    this.timeout = clock.timer(`${name}-timeout`, () => {
      if (this.s.receive.length === 0) return;
      this.s.timeoutPending = true;
      this.update();
    });
    this.retry = clock.timer(`${name}-transmit`, () => this.send());
  }

  private get fifos(): boolean {
    return (this.s.fcr & FCR_ENABLE) !== 0;
  }

  private get capacity(): number {
    return this.fifos ? FIFO_SIZE : 1;
  }

  /** Time of one character on the line, ns. */
  private characterTime(): number {
    const { lcr, divisor } = this.s;
    const bits = 1 + 5 + (lcr & 3) + (lcr & 8 ? 1 : 0) + (lcr & 4 ? 2 : 1);
    return Math.ceil((bits * 1e9 * (divisor || 1)) / BAUD_BASE);
  }

  /** The interrupt to be shown: IIR without its FIFO bits. */
  private interrupt(): number {
    const s = this.s;
    if (s.ier & IER_RLSI && s.errors) return IIR_RLSI;
    if (s.ier & IER_RDI) {
      if (s.timeoutPending) return IIR_CTI;
      if (s.receive.length > 0 && (!this.fifos || s.receive.length >= TRIGGER_LEVELS[s.fcr >> 6])) return IIR_RDI;
    }
    if (s.ier & IER_THRI && s.threPending) return IIR_THRI;
    if (s.ier & IER_MSI && s.msrDelta) return IIR_MSI;
    return IIR_NO_INT;
  }

  private update(): void {
    this.irq.set(this.interrupt() !== IIR_NO_INT);
  }

  // Receiving

  /** Take what the backend has, as far as there is room. To be called when it may have got something. */
  poll(): void {
    if (this.s.mcr & MCR_LOOP) return;
    while (this.s.receive.length < this.capacity) {
      const byte = this.backend.read();
      if (byte < 0) break;
      this.receiveByte(byte);
    }
  }

  /** The line is held in break. */
  receiveBreak(): void {
    this.receiveByte(BREAK);
  }

  private receiveByte(byte: number): void {
    const s = this.s;
    if (s.receive.length >= this.capacity) {
      s.errors |= LSR_OE;
      // Without FIFO the new character replaces the old one, with it the new one is lost.
      if (!this.fifos) s.receive[0] = byte;
    } else {
      s.receive.push(byte);
    }
    this.headErrors();
    if (this.fifos) this.timeout.arm(this.clock.now() + 4 * this.characterTime());
    this.update();
  }

  /** A break is reported when its character comes to the top of the FIFO. */
  private headErrors(): void {
    const s = this.s;
    if (s.receive.length > 0 && s.receive[0] >= BREAK) {
      s.receive[0] &= 0xff;
      s.errors |= LSR_BI;
    }
  }

  private readData(): number {
    const s = this.s;
    if (s.receive.length === 0) return 0;
    const byte = s.receive.shift()!;
    s.timeoutPending = false;
    if (s.receive.length === 0) this.timeout.disarm();
    else if (this.fifos) this.timeout.arm(this.clock.now() + 4 * this.characterTime());
    this.headErrors();
    this.poll();
    this.update();
    return byte;
  }

  // Transmitting

  private writeData(value: number): void {
    const s = this.s;
    s.threPending = false;
    if (s.mcr & MCR_LOOP) {
      s.threPending = true;
      this.receiveByte(value & (0xff >> (3 - (s.lcr & 3))));
      return;
    }
    // A full FIFO takes no more; software that looks at THRE never gets there.
    if (s.transmit.length < this.capacity) s.transmit.push(value);
    this.send();
  }

  private send(): void {
    const s = this.s;
    let sent = 0;
    while (sent < s.transmit.length && this.backend.write(s.transmit[sent])) sent++;
    s.transmit.splice(0, sent);
    if (s.transmit.length > 0) {
      this.retry.arm(this.clock.now() + this.characterTime());
    } else {
      this.retry.disarm();
      s.threPending = true;
    }
    this.update();
  }

  // Modem lines

  private modemLines(): number {
    const { mcr } = this.s;
    if (!(mcr & MCR_LOOP)) return MSR_DCD | MSR_DSR | MSR_CTS;
    return (
      (mcr & MCR_DTR ? MSR_DSR : 0) | (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0)
    );
  }

  private modemChanged(): void {
    const s = this.s;
    const lines = this.modemLines();
    const changed = lines ^ s.msrLines;
    if (changed & MSR_CTS) s.msrDelta |= MSR_DCTS;
    if (changed & MSR_DSR) s.msrDelta |= MSR_DDSR;
    if (changed & MSR_DCD) s.msrDelta |= MSR_DDCD;
    if (changed & MSR_RI && !(lines & MSR_RI)) s.msrDelta |= MSR_TERI;
    s.msrLines = lines;
  }

  // Registers

  readPort(port: number, _size: AccessSize): number {
    const s = this.s;
    switch (port & 7) {
      case RBR_THR:
        return s.lcr & LCR_DLAB ? s.divisor & 0xff : this.readData();
      case IER:
        return s.lcr & LCR_DLAB ? s.divisor >> 8 : s.ier;
      case IIR_FCR: {
        const interrupt = this.interrupt();
        if (interrupt === IIR_THRI) {
          s.threPending = false;
          this.update();
        }
        return interrupt | (this.fifos ? IIR_FIFO : 0);
      }
      case LCR:
        return s.lcr;
      case MCR:
        return s.mcr;
      case LSR: {
        const empty = s.transmit.length === 0;
        const value = (s.receive.length > 0 ? LSR_DR : 0) | s.errors | (empty ? LSR_THRE | LSR_TEMT : 0);
        if (s.errors & LSR_ERRORS) {
          s.errors = 0;
          this.update();
        }
        return value;
      }
      case MSR: {
        const value = s.msrLines | s.msrDelta;
        if (s.msrDelta) {
          s.msrDelta = 0;
          this.update();
        }
        return value;
      }
      default:
        return s.scr;
    }
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const s = this.s;
    switch (port & 7) {
      case RBR_THR:
        if (s.lcr & LCR_DLAB) s.divisor = (s.divisor & 0xff00) | value;
        else this.writeData(value);
        break;
      case IER:
        if (s.lcr & LCR_DLAB) {
          s.divisor = (s.divisor & 0xff) | (value << 8);
        } else {
          // Enabling the transmitter's interrupt with an empty holding register raises it.
          if (value & ~s.ier & IER_THRI && s.transmit.length === 0) s.threPending = true;
          s.ier = value & 0x0f;
          this.update();
        }
        break;
      case IIR_FCR:
        this.writeFcr(value);
        break;
      case LCR:
        s.lcr = value;
        break;
      case MCR:
        s.mcr = value & 0x1f;
        this.modemChanged();
        this.poll();
        this.update();
        break;
      case SCR:
        s.scr = value;
        break;
      // LSR and MSR: writing is for factory tests.
    }
  }

  private writeFcr(value: number): void {
    const s = this.s;
    // Switching the FIFOs on or off clears them.
    const toggled = ((value ^ s.fcr) & FCR_ENABLE) !== 0;
    if (toggled || value & FCR_CLEAR_RCVR) {
      s.receive = [];
      s.errors &= ~LSR_BI;
      s.timeoutPending = false;
      this.timeout.disarm();
    }
    if (toggled || value & FCR_CLEAR_XMIT) {
      s.transmit = [];
      s.threPending = true;
      this.retry.disarm();
    }
    // The other bits can be written only while FIFO enable is set.
    s.fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    this.poll();
    this.update();
  }

  reset(): void {
    this.s = powerOn();
    this.timeout.disarm();
    this.retry.disarm();
    this.update();
  }

  save(): State {
    return structuredClone({ ...this.s, timeoutAt: this.timeout.deadline, retryAt: this.retry.deadline });
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
    this.timeout.arm(this.s.timeoutAt);
    this.retry.arm(this.s.retryAt);
    this.update();
  }
}
