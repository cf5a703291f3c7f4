// Realtek RTL8139C+ Fast Ethernet controller (QEMU's rtl8139): PCI function, registers, EEPROM, PHY, timer, interrupts.
// Realtek, "RTL8139C(L)+ Datasheet". Frames go out and come in in rtl8139-rings.ts.

import type { AccessSize, Timer } from '../interfaces.ts';
import { COMMAND_MASTER, PciFunction } from '../pci.ts';
import { Dma } from './dma.ts';
import { Eeprom93c46 } from './eeprom93c46.ts';
import { type Nic, type NicOptions, NicPort, UNPLUGGED } from './port.ts';
import { RegisterFile } from './registers.ts';
import * as R from './rtl8139-registers.ts';
import { Rtl8139Rings } from './rtl8139-rings.ts';

const SIZE = 256;
const REVISION = 0x20;
/** TCTR counts the PCI clock, 33 MHz: ns a tick. */
const TICK = 1000 / 33;

interface State {
  function: unknown;
  r: Uint8Array;
  eeprom: unknown;
  timerStart: number;
  timer: number;
  rings: unknown;
}

/** EEPROM, chapter 7: signature, PCI identity, and the address in words 7 to 9. */
function eepromWords(mac: Uint8Array): number[] {
  const words = Array.from({ length: 64 }, () => 0);
  [words[0], words[1], words[2]] = [0x8129, 0x10ec, 0x8139];
  for (let i = 0; i < 3; i++) words[7 + i] = mac[2 * i] | (mac[2 * i + 1] << 8);
  return words;
}

/** Whether an access touches a register. */
const touches = (at: number, size: number, register: number, length: number): boolean => at < register + length && at + size > register;

export class Rtl8139 extends PciFunction implements Nic {
  readonly model = 'rtl8139';
  readonly mac: Uint8Array;
  readonly port: NicPort;
  readonly dma: Dma;
  readonly reg = new RegisterFile(SIZE);
  /** Bytes that keep what is written. */
  private readonly plain = new Uint8Array(SIZE);
  private readonly eeprom: Eeprom93c46;
  private readonly timer: Timer;
  /** Time at which TCTR was 0. */
  private timerStart = 0;
  private readonly rings: Rtl8139Rings;

  constructor(private readonly options: NicOptions) {
    super('rtl8139', { vendor: 0x10ec, device: 0x8139, class: 0x0200, revision: REVISION, interruptPin: 1 });
    const { memory, clock } = options;
    this.mac = options.mac.slice();
    for (const [start, length] of R.PLAIN) this.plain.fill(1, start, start + length);
    this.dma = new Dma(memory, () => (this.command & COMMAND_MASTER) !== 0);
    this.eeprom = new Eeprom93c46(eepromWords(this.mac));
    this.timer = clock.timer('rtl8139 timer', () => this.timeout());
    this.rings = new Rtl8139Rings(this, clock);
    this.addBar(0, { kind: 'io', size: SIZE, device: { readPort: (port, size) => this.read(port, size), writePort: (port, size, value) => this.write(port, size, value) } });
    this.addBar(1, { kind: 'memory', size: SIZE, device: { readMmio: (offset, size) => this.read(offset, size), writeMmio: (offset, size, value) => this.write(offset, size, value) } });
    if (options.rom) this.addRom(options.rom);
    this.port = new NicPort(options.backend ?? UNPLUGGED, {
      receive: (frame, offload) => this.rings.receive(frame, offload?.verified ?? false),
      drained: () => this.rings.transmit(),
      linkChanged: () => {
        this.updateLink();
        this.interrupt(R.INT_LINKCHG);
      },
    });
    this.resetChip();
  }

  // For the rings

  clockNow(): number {
    return this.options.clock.now();
  }
  get canSend(): boolean {
    return this.port.canSend || (this.reg.get32(R.TCR) & R.TCR_LBK) === R.TCR_LBK;
  }

  interrupt(causes: number): void {
    this.reg.set16(R.ISR, this.reg.get16(R.ISR) | (causes & R.INT_ALL));
    this.updateInterrupt();
  }

  private updateInterrupt(): void {
    this.intx.set((this.reg.get16(R.ISR) & this.reg.get16(R.IMR)) !== 0);
  }

  // Registers

  private read(at: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size && at + i < SIZE; i++) value |= this.readByte(at + i) << (8 * i);
    return value >>> 0;
  }

  private readByte(at: number): number {
    switch (at) {
      case R.CR:
        return this.reg.get8(at) | (this.rings.bufferEmpty ? R.CR_BUFE : 0);
      case R.EECR:
        return (this.reg.get8(at) & ~R.EECR_DO) | (this.eeprom.dataOut ? R.EECR_DO : 0);
      case R.TCTR:
      case R.TCTR + 1:
      case R.TCTR + 2:
      case R.TCTR + 3:
        return (this.ticks() / 2 ** (8 * (at - R.TCTR))) & 0xff;
      case R.TSAD: // OWN and TABT of the four buffers
        return [0, 1, 2, 3].reduce((bits, n) => bits | (this.reg.get32(R.TSD0 + 4 * n) & R.TSD_OWN ? 1 << n : 0), 0);
      case R.TSAD + 1: // TUN and TOK
        return [0, 1, 2, 3].reduce((bits, n) => bits | (this.reg.get32(R.TSD0 + 4 * n) & R.TSD_TOK ? 16 << n : 0), 0);
    }
    return this.reg.get8(at);
  }

  private write(at: number, size: AccessSize, value: number): void {
    const { reg } = this;
    const isrBefore = reg.get16(R.ISR);
    const cpcrBefore = reg.get16(R.CPCR);
    for (let i = 0; i < size && at + i < SIZE; i++) this.writeByte(at + i, (value >>> (8 * i)) & 0xff);
    const touched = (register: number, length: number): boolean => touches(at, size, register, length);
    if (touched(R.ISR, 2) || touched(R.IMR, 2)) {
      this.updateInterrupt();
      // A driver that has seen to what it was told of has given descriptors back: nothing else says so.
      if (isrBefore !== reg.get16(R.ISR) || touched(R.IMR, 2)) this.port.ready();
    }
    if (touched(R.CR, 1)) this.commanded();
    else if (touched(R.CAPR, 2) || touched(R.RCR, 4)) this.port.ready();
    if (touched(R.TSD0, 16)) {
      if (!this.cplus) this.rings.transmit();
      else if (reg.get8(R.DTCCR) & R.DTCCR_CMD) this.dumpCounters();
    }
    if (touched(R.TNPDS, 8)) this.rings.restartTransmit();
    if (touched(R.RDSAR, 8)) this.rings.restartReceive();
    if (touched(R.TPPOLL, 1)) this.polled();
    if (touched(R.CPCR, 2) && cpcrBefore !== reg.get16(R.CPCR)) this.port.ready();
    if (touched(R.TCTR, 4)) {
      this.timerStart = this.clockNow();
      this.armTimer();
    }
    if (touched(R.TIMERINT, 4)) this.armTimer();
    if (touched(R.BMCR, 2)) this.writeBmcr();
  }

  private writeByte(at: number, value: number): void {
    const { reg } = this;
    if (at < 6) {
      // The address is locked as the configuration is.
      if ((reg.get8(R.EECR) & R.EECR_MODE) === R.EECR_CONFIG) reg.set8(at, value);
      return;
    }
    if (this.plain[at]) {
      reg.set8(at, value);
      return;
    }
    if (R.LOCKED.includes(at)) {
      if ((reg.get8(R.EECR) & R.EECR_MODE) === R.EECR_CONFIG) reg.set8(at, at === R.CONFIG0 ? reg.get8(at) : value);
      return;
    }
    if (at >= R.TSD0 && at < R.TSD0 + 16) {
      if (this.cplus) {
        reg.set8(at, value);
        return;
      }
      // The chip's own bits are cleared: TOK and the collisions above; OWN and the size below are the driver's.
      const masks = [0xff, 0x3f, 0x3f, 0x00];
      reg.set8(at, value & masks[at & 3]);
      return;
    }
    switch (at) {
      case R.CR:
        reg.set8(at, value & (R.CR_TE | R.CR_RE | R.CR_RST));
        return;
      case R.CAPR:
      case R.CAPR + 1:
      case R.IMR:
      case R.BMCR:
      case R.TPPOLL:
      case R.CPCR:
      case R.CPCR + 1:
        reg.set8(at, value);
        return;
      case R.IMR + 1:
        reg.set8(at, value & (R.INT_ALL >> 8));
        return;
      case R.BMCR + 1:
        reg.set8(at, value);
        return;
      case R.ISR: // ones clear
      case R.ISR + 1:
        reg.set8(at, reg.get8(at) & ~value);
        return;
      case R.TCR:
      case R.TCR + 1:
      case R.TCR + 2:
      case R.TCR + 3: {
        const mask = (R.TCR_WRITABLE >>> (8 * (at & 3))) & 0xff;
        reg.set8(at, (reg.get8(at) & ~mask) | (value & mask));
        return;
      }
      case R.MPC: // any write clears it
        reg.set32(R.MPC, 0);
        return;
      case R.EECR:
        this.writeEecr(value);
        return;
    }
  }

  private writeEecr(value: number): void {
    const mode = value & R.EECR_MODE;
    this.reg.set8(R.EECR, value & (R.EECR_MODE | R.EECR_CS | R.EECR_SK | R.EECR_DI));
    if (mode === R.EECR_PROGRAM) this.eeprom.setPins((value & R.EECR_CS) !== 0, (value & R.EECR_SK) !== 0, (value & R.EECR_DI) !== 0);
    else this.eeprom.setPins(false, false, false);
    // Auto-load: the address comes from the EEPROM again.
    if (mode === 0x40) {
      this.loadAddress();
      this.reg.set8(R.EECR, 0);
    }
  }

  private commanded(): void {
    if (this.reg.get8(R.CR) & R.CR_RST) {
      this.resetChip();
      return;
    }
    // A receiver or transmitter that is off begins anew.
    if (!(this.reg.get8(R.CR) & R.CR_RE)) this.rings.restartReceive();
    if (!(this.reg.get8(R.CR) & R.CR_TE)) this.rings.restartTransmit();
    if (!this.cplus) this.rings.transmit();
    this.port.ready();
  }

  private polled(): void {
    const value = this.reg.get8(R.TPPOLL);
    this.reg.set8(R.TPPOLL, value & R.TPPOLL_NPQ);
    if (value & R.TPPOLL_FSWINT) this.interrupt(R.INT_SWINT);
    if (value & (R.TPPOLL_NPQ | R.TPPOLL_HPQ)) this.rings.transmit();
  }

  /** C+ mode: registers 10h to 17h are those of the counters. */
  private get cplus(): boolean {
    return (this.reg.get16(R.CPCR) & (R.CPCR_TXENB | R.CPCR_RXENB)) !== 0;
  }

  /** The tally counters, 6.28: 64 bytes to the address in DTCCR. On this wire nothing collides or gets lost. */
  private dumpCounters(): void {
    const { sentFrames, receivedFrames, dropped } = this.port.counters;
    const view = new DataView(new ArrayBuffer(64));
    view.setBigUint64(0, BigInt(sentFrames), true);
    view.setBigUint64(8, BigInt(receivedFrames), true);
    view.setBigUint64(16, BigInt(dropped), true);
    view.setUint16(28, Math.min(0xffff, this.reg.get32(R.MPC)), true);
    this.dma.write(((this.reg.get32(R.DTCCR) & ~63) >>> 0) + this.reg.get32(R.DTCCR + 4) * 2 ** 32, new Uint8Array(view.buffer));
    this.reg.set8(R.DTCCR, this.reg.get8(R.DTCCR) & ~R.DTCCR_CMD);
  }

  // Timer

  private ticks(): number {
    return Math.floor((this.clockNow() - this.timerStart) / TICK) % 2 ** 32;
  }

  private armTimer(): void {
    const at = this.reg.get32(R.TIMERINT);
    if (at === 0) {
      this.timer.disarm();
      return;
    }
    // The next time that the counter, which wraps, comes by.
    const left = (at - this.ticks() + 2 ** 32) % 2 ** 32 || 2 ** 32;
    this.timer.arm(this.clockNow() + Math.ceil(left * TICK));
  }

  private timeout(): void {
    this.interrupt(R.INT_TIMEOUT);
    this.armTimer();
  }

  // PHY

  private writeBmcr(): void {
    let value = this.reg.get16(R.BMCR);
    if (value & 0x8000) value = 0x3100;
    // Negotiation is over as soon as it has begun.
    this.reg.set16(R.BMCR, value & ~0x0200);
  }

  private updateLink(): void {
    const up = this.port.linkUp;
    // 10 and 100 Mb/s, half and full duplex, extended registers; link, negotiation done.
    this.reg.set16(R.BMSR, 0x7809 | (up ? 0x0024 : 0));
    this.reg.set16(R.ANLPAR, up ? 0x45e1 : 0);
    this.reg.set16(R.ANER, up ? 1 : 0);
    this.reg.set8(R.MSR, 0xd0 | (up ? 0 : R.MSR_LINKB));
  }

  // Reset

  private loadAddress(): void {
    const { words } = this.eeprom;
    for (let i = 0; i < 3; i++) this.reg.set16(R.IDR0 + 2 * i, words[7 + i]);
  }

  private resetChip(): void {
    const { reg } = this;
    const { bytes } = reg;
    // CR.RST leaves the multicast filter and the configuration alone.
    const kept = bytes.slice();
    bytes.fill(0);
    for (const at of R.LOCKED) bytes[at] = kept[at];
    this.loadAddress();
    for (let n = 0; n < 4; n++) reg.set32(R.TSD0 + 4 * n, R.TSD_OWN);
    reg.set32(R.TCR, R.TCR_VERSION);
    // Empty: the driver's pointer is 16 behind.
    reg.set16(R.CAPR, 0xfff0);
    reg.set8(R.CONFIG1, 0x0c); // memory and I/O mapped
    reg.set8(R.RERID, REVISION);
    reg.set16(R.BMCR, 0x3100); // 100 Mb/s, full duplex, auto-negotiation
    reg.set16(R.ANAR, 0x05e1);
    reg.set16(R.CSCR, 0x73c8);
    this.timerStart = this.clockNow();
    this.timer.disarm();
    this.rings.reset();
    this.updateLink();
    this.updateInterrupt();
  }

  override reset(): void {
    super.reset();
    this.reg.bytes.fill(0);
    this.resetChip();
  }

  override save(): State {
    return { function: super.save(), r: this.reg.bytes.slice(), eeprom: this.eeprom.save(), timerStart: this.timerStart, timer: this.timer.deadline, rings: this.rings.save() };
  }

  override load(state: unknown): void {
    const saved = state as State;
    super.load(saved.function);
    this.reg.bytes.set(saved.r);
    this.eeprom.load(saved.eeprom);
    this.timerStart = saved.timerStart;
    this.timer.arm(saved.timer);
    this.rings.load(saved.rings);
    this.updateLink();
  }
}
