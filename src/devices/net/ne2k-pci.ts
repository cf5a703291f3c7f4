// NE2000 on a PCI card, Realtek RTL8029AS (QEMU's ne2k_pci): a DP8390 with 32 KiB of memory of its own and a data port to it.
// National Semiconductor, "DP8390D/NS32490D NIC Network Interface Controller" data sheet, 10 (Internal Registers), 7 (Packet
// Reception), 12 (Loopback); Realtek, "RTL8029AS Data Sheet", 5 (Register Descriptions).

import type { AccessSize } from '../interfaces.ts';
import { PciFunction } from '../pci.ts';
import { crc32 } from './crc.ts';
import { type Nic, type NicOptions, NicPort, UNPLUGGED } from './port.ts';

const IO_SIZE = 0x100;
/** Behind the DP8390's 16 registers: the data port, and a port whose reading resets. */
const DATA_PORT = 0x10;
const RESET_PORT = 0x1f;

/** The card's memory as the DP8390 sees it: the PROM at 0, 32 KiB of RAM from 4000h on. */
const RAM_START = 0x4000;
const RAM_END = 0xc000;
const PAGE = 256;

/** Command register. */
const CR = 0x00;
const CR_STP = 0x01;
const CR_STA = 0x02;
const CR_TXP = 0x04;
const CR_RD = 0x38;
const CR_RD_SEND = 0x18;
const CR_RD_ABORT = 0x20;

/** Page 0; read and write differ. */
const PSTART = 0x01;
const PSTOP = 0x02;
const BNRY = 0x03;
const TPSR = 0x04;
const TSR = 0x04;
const TBCR0 = 0x05;
const TBCR1 = 0x06;
const ISR = 0x07;
const RSAR0 = 0x08;
const RSAR1 = 0x09;
const RBCR0 = 0x0a;
const RBCR1 = 0x0b;
const RCR = 0x0c;
const RSR = 0x0c;
const TCR = 0x0d;
const DCR = 0x0e;
const IMR = 0x0f;

export const ISR_PRX = 0x01;
export const ISR_PTX = 0x02;
export const ISR_OVW = 0x10;
export const ISR_RDC = 0x40;
export const ISR_RST = 0x80;

const RCR_AR = 0x02;
const RCR_AB = 0x04;
const RCR_AM = 0x08;
const RCR_PRO = 0x10;
const RCR_MON = 0x20;
const RSR_PRX = 0x01;
const RSR_PHY = 0x20;
const TSR_PTX = 0x01;
const TCR_LB = 0x06;
/** Word-wide transfers. */
const DCR_WTS = 0x01;

/** A frame with its FCS; the shortest there is on the wire. */
const FCS = 4;
const MIN_LENGTH = 60;
const MAX_LENGTH = 1518;

interface Registers {
  cr: number;
  pstart: number;
  pstop: number;
  bnry: number;
  curr: number;
  tpsr: number;
  tsr: number;
  tbcr: number;
  isr: number;
  /** Remote DMA: start address and count as written, which move on while data goes through the port. */
  rsar: number;
  rbcr: number;
  rcr: number;
  rsr: number;
  tcr: number;
  dcr: number;
  imr: number;
}

interface State {
  function: unknown;
  s: Registers;
  par: Uint8Array;
  mar: Uint8Array;
  ram: Uint8Array;
}

const resetRegisters = (): Registers => ({
  cr: CR_STP | CR_RD_ABORT, pstart: 0, pstop: 0, bnry: 0, curr: 0, tpsr: 0, tsr: 0, tbcr: 0, isr: ISR_RST, rsar: 0, rbcr: 0, rcr: 0, rsr: 0, tcr: 0, dcr: 0, imr: 0,
});

export class Ne2kPci extends PciFunction implements Nic {
  readonly model = 'ne2k_pci';
  readonly mac: Uint8Array;
  readonly port: NicPort;
  private s = resetRegisters();
  private readonly par = new Uint8Array(6);
  private readonly mar = new Uint8Array(8);
  private readonly prom = new Uint8Array(32);
  private readonly ram = new Uint8Array(RAM_END - RAM_START);

  constructor(options: NicOptions) {
    super('ne2k_pci', { vendor: 0x10ec, device: 0x8029, class: 0x0200, interruptPin: 1 });
    this.mac = options.mac.slice();
    // On word-wide cards each byte stands twice; the two "W" say so.
    const prom = [...this.mac, ...Array.from({ length: 8 }, () => 0), 0x57, 0x57];
    for (let i = 0; i < 32; i++) this.prom[i] = prom[i >> 1];
    this.addBar(0, {
      kind: 'io',
      size: IO_SIZE,
      device: {
        readPort: (port, size) => this.readPort(port, size),
        writePort: (port, size, value) => this.writePort(port, size, value),
      },
    });
    if (options.rom) this.addRom(options.rom);
    this.port = new NicPort(options.backend ?? UNPLUGGED, {
      receive: (frame) => this.receive(frame),
      drained: () => this.transmit(),
      // The card has nothing to see it by.
      linkChanged: () => {},
    });
    this.resetChip();
  }

  // Ports

  private readPort(port: number, size: AccessSize): number {
    if (port < DATA_PORT) return this.readRegister(port) & 0xff;
    if (port === RESET_PORT) {
      this.resetChip();
      return 0;
    }
    if (port < RESET_PORT) return this.readData(size);
    // Realtek's own registers begin at 20h in page 3; there is nothing.
    return 0;
  }

  private writePort(port: number, size: AccessSize, value: number): void {
    if (port < DATA_PORT) this.writeRegister(port, value & 0xff);
    else if (port < RESET_PORT) this.writeData(size, value);
    // A write to the reset port ends the reset that a read of it began: both take no time.
  }

  private get page(): number {
    return this.s.cr >> 6;
  }

  private readRegister(at: number): number {
    const { s } = this;
    if (at === CR) return s.cr;
    if (this.page === 1) return at <= 6 ? this.par[at - 1] : at === 7 ? s.curr : this.mar[at - 8];
    if (this.page === 2) return [0, s.pstart, s.pstop, 0, s.tpsr, 0, 0, 0, 0, 0, 0, 0, s.rcr, s.tcr, s.dcr, s.imr][at];
    if (this.page === 3) return at === 3 ? 0x40 : at === 5 ? 0x40 : at === 6 ? 0x40 : 0; // CONFIG0, 2 and 3 of the 8029: full duplex
    switch (at) {
      // CLDA: where the local DMA stands, which nobody looks at between frames.
      case 1:
        return 0;
      case 2:
        return s.curr;
      case BNRY:
        return s.bnry;
      case TSR:
        return s.tsr;
      case ISR:
        return s.isr;
      case RSAR0:
        return s.rsar & 0xff;
      case RSAR1:
        return s.rsar >> 8;
      // 8029ID0 and ID1: "PC"
      case 0x0a:
        return 0x50;
      case 0x0b:
        return 0x43;
      case RSR:
        return s.rsr;
    }
    // Collisions and tallies of errors: there are none.
    return 0;
  }

  private writeRegister(at: number, value: number): void {
    const { s } = this;
    if (at === CR) {
      this.writeCommand(value);
      return;
    }
    if (this.page === 1) {
      if (at <= 6) this.par[at - 1] = value;
      else if (at === 7) s.curr = value;
      else this.mar[at - 8] = value;
      return;
    }
    if (this.page !== 0) return;
    switch (at) {
      case PSTART:
        s.pstart = value;
        return;
      case PSTOP:
        s.pstop = value;
        return;
      case BNRY:
        s.bnry = value;
        this.port.ready();
        return;
      case TPSR:
        s.tpsr = value;
        return;
      case TBCR0:
        s.tbcr = (s.tbcr & 0xff00) | value;
        return;
      case TBCR1:
        s.tbcr = (s.tbcr & 0xff) | (value << 8);
        return;
      case ISR: // ones clear, but RST follows the command register
        s.isr &= ~(value & 0x7f);
        if (value & ISR_PRX) this.goOn();
        this.updateInterrupt();
        return;
      case RSAR0:
        s.rsar = (s.rsar & 0xff00) | value;
        return;
      case RSAR1:
        s.rsar = (s.rsar & 0xff) | (value << 8);
        return;
      case RBCR0:
        s.rbcr = (s.rbcr & 0xff00) | value;
        return;
      case RBCR1:
        s.rbcr = (s.rbcr & 0xff) | (value << 8);
        return;
      case RCR:
        s.rcr = value & 0x3f;
        this.port.ready();
        return;
      case TCR:
        s.tcr = value & 0x1f;
        return;
      case DCR:
        s.dcr = value & 0x7f;
        return;
      case IMR:
        s.imr = value & 0x7f;
        this.updateInterrupt();
        return;
    }
  }

  private writeCommand(value: number): void {
    const { s } = this;
    // TXP is cleared by the chip alone.
    s.cr = (value & ~CR_TXP) | (s.cr & CR_TXP);
    if (value & CR_STP) {
      s.cr &= ~CR_TXP;
      s.isr |= ISR_RST;
      return;
    }
    if (!(value & CR_STA)) return;
    s.isr &= ~ISR_RST;
    // Send packet: the frame at BNRY goes through the data port.
    if ((value & CR_RD) === CR_RD_SEND) {
      s.rsar = s.bnry * PAGE;
      s.rbcr = this.peek(s.rsar + 2) | (this.peek(s.rsar + 3) << 8);
    }
    // A remote operation of no bytes is over at once.
    if (s.rbcr === 0 && value & 0x18) {
      s.isr |= ISR_RDC;
      this.updateInterrupt();
    }
    if (value & CR_TXP) {
      s.cr |= CR_TXP;
      this.transmit();
    }
    this.port.ready();
  }

  // The card's memory, and the port to it ("remote DMA")

  private peek(address: number): number {
    address &= 0xffff;
    if (address < this.prom.length) return this.prom[address];
    return address >= RAM_START && address < RAM_END ? this.ram[address - RAM_START] : 0xff;
  }

  private poke(address: number, value: number): void {
    address &= 0xffff;
    if (address >= RAM_START && address < RAM_END) this.ram[address - RAM_START] = value;
  }

  private step(bytes: number): void {
    const { s } = this;
    s.rsar = (s.rsar + bytes) & 0xffff;
    // The ring goes round for the reader, too.
    if (s.rsar === s.pstop * PAGE && s.pstop > s.pstart) s.rsar = s.pstart * PAGE;
    s.rbcr = Math.max(0, s.rbcr - bytes);
    if (s.rbcr > 0) return;
    s.isr |= ISR_RDC;
    this.updateInterrupt();
  }

  /** Bytes that one access of the data port moves: a word at least with DCR.WTS, of which a byte's access sees the low half. */
  private width(size: AccessSize): number {
    return this.s.dcr & DCR_WTS ? Math.max(2, size) : 1;
  }

  private readData(size: AccessSize): number {
    let value = 0;
    const width = this.width(size);
    for (let i = 0; i < width; i++) {
      value |= this.peek(this.s.rsar) << (8 * i);
      if (this.s.rbcr > 0) this.step(1);
    }
    return value >>> 0;
  }

  private writeData(size: AccessSize, value: number): void {
    const width = this.width(size);
    for (let i = 0; i < width && this.s.rbcr > 0; i++) {
      this.poke(this.s.rsar, (value >>> (8 * i)) & 0xff);
      this.step(1);
    }
  }

  // Transmission

  private transmit(): void {
    const { s } = this;
    if (!(s.cr & CR_TXP)) return;
    const loopback = (s.tcr & TCR_LB) !== 0;
    if (!loopback && !this.port.canSend) return;
    const frame = Uint8Array.from({ length: s.tbcr }, (_, i) => this.peek(s.tpsr * PAGE + i));
    s.cr &= ~CR_TXP;
    if (loopback) this.receive(frame);
    else this.port.send(frame);
    s.tsr = TSR_PTX;
    s.isr |= ISR_PTX;
    this.updateInterrupt();
  }

  // Reception

  private get running(): boolean {
    return (this.s.cr & (CR_STP | CR_STA)) === CR_STA;
  }

  /**
   * A driver that takes only some frames at a time (Linux: nine) acknowledges PRX with others still there, and counts on the next frame to
   * interrupt. On a wire there is one soon; here it may have come at once with the others, or wait outside for room. So those that are
   * there speak up again. Where BNRY stands in an empty ring is the driver's affair: at CURR, or one page before it.
   */
  private goOn(): void {
    const { s } = this;
    if (!this.running) return;
    this.port.ready();
    const behind = s.bnry + 1 >= s.pstop ? s.pstart : s.bnry + 1;
    if (s.pstop > s.pstart && s.curr !== s.bnry && s.curr !== behind) s.isr |= ISR_PRX;
  }

  /** @returns false if there is no room */
  private receive(frame: Uint8Array): boolean {
    const { s } = this;
    if (!this.running) return false;
    if (frame.length < MIN_LENGTH - FCS && s.tcr & TCR_LB && !(s.rcr & RCR_AR)) return true;
    if (frame.length > MAX_LENGTH || !this.passes(frame) || s.rcr & RCR_MON) return true;
    const ring = s.pstop - s.pstart;
    // What is no ring, or lies outside, takes nothing: the driver is not there yet.
    if (ring <= 0 || s.curr < s.pstart || s.curr >= s.pstop) return true;
    const length = Math.max(MIN_LENGTH, frame.length) + FCS;
    const pages = Math.ceil((length + 4) / PAGE);
    const room = s.bnry > s.curr ? s.bnry - s.curr : ring - (s.curr - s.bnry);
    // curr equal to bnry: empty, so one page stays free.
    if (room <= pages) return false;
    let next = s.curr + pages;
    if (next >= s.pstop) next -= ring;
    s.rsr = RSR_PRX | (frame[0] & 1 ? RSR_PHY : 0);
    const header = [s.rsr, next, length & 0xff, length >> 8];
    let at = s.curr * PAGE;
    for (let i = 0; i < length + 4 - FCS; i++) {
      this.poke(at, i < 4 ? header[i] : (frame[i - 4] ?? 0));
      if (++at === s.pstop * PAGE) at = s.pstart * PAGE;
    }
    s.curr = next;
    s.isr |= ISR_PRX;
    this.updateInterrupt();
    return true;
  }

  private passes(frame: Uint8Array): boolean {
    const { rcr } = this.s;
    if (rcr & RCR_PRO) return true;
    if (!(frame[0] & 1)) return this.par.every((byte, i) => byte === frame[i]);
    if (frame.subarray(0, 6).every((byte) => byte === 0xff)) return (rcr & RCR_AB) !== 0;
    const hash = crc32(frame.subarray(0, 6)) >>> 26;
    return (rcr & RCR_AM) !== 0 && (this.mar[hash >> 3] & (1 << (hash & 7))) !== 0;
  }

  private updateInterrupt(): void {
    this.intx.set((this.s.isr & this.s.imr & 0x7f) !== 0);
  }

  // Reset

  private resetChip(): void {
    this.s = resetRegisters();
    this.updateInterrupt();
  }

  override reset(): void {
    super.reset();
    this.par.fill(0);
    this.mar.fill(0);
    this.ram.fill(0);
    this.resetChip();
  }

  override save(): State {
    return { function: super.save(), s: { ...this.s }, par: this.par.slice(), mar: this.mar.slice(), ram: this.ram.slice() };
  }

  override load(state: unknown): void {
    const saved = state as State;
    super.load(saved.function);
    this.s = { ...saved.s };
    this.par.set(saved.par);
    this.mar.set(saved.mar);
    this.ram.set(saved.ram);
  }
}
