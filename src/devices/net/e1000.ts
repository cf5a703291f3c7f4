// Intel 82540EM Gigabit Ethernet controller (QEMU's e1000): PCI function, registers, EEPROM, PHY, interrupts.
// Intel, "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (317453). Frames go out in
// e1000-transmit.ts and come in in e1000-receive.ts.

import type { AccessSize, Clock, MmioDevice, Timer } from '../interfaces.ts';
import { COMMAND_MASTER, PciFunction } from '../pci.ts';
import { Dma } from './dma.ts';
import * as R from './e1000-registers.ts';
import { E1000Receiver } from './e1000-receive.ts';
import { E1000Transmitter } from './e1000-transmit.ts';
import { Eeprom93c46 } from './eeprom93c46.ts';
import { type Nic, type NicOptions, NicPort, UNPLUGGED } from './port.ts';

const MMIO_SIZE = 0x20000;
const IO_SIZE = 0x40;
/** The register space that has anything in it. */
const REGISTERS = 0x6000;
/** I/O ports, 13.2.2: an address, and a window on the register there. */
const IOADDR = 0;
const IODATA = 4;
/** Units of ITR, and of the delay timers; ns. */
const ITR_UNIT = 256;
const DELAY_UNIT = 1024;

/** What a snapshot keeps. */
interface State {
  function: unknown;
  r: Uint32Array;
  phy: Uint16Array;
  eeprom: unknown;
  ioAddress: number;
  quietUntil: number;
  throttle: number;
  rxDelay: { since: number; deadline: number };
  txDelay: { since: number; deadline: number };
  raised: boolean;
  tx: unknown;
}

/** EEPROM, 5.6: address, PCI identity, and a checksum that makes the sum of all words BABAh. */
function eepromWords(mac: Uint8Array): number[] {
  const words = Array.from({ length: 64 }, () => 0xffff);
  for (let i = 0; i < 3; i++) words[i] = mac[2 * i] | (mac[2 * i + 1] << 8);
  words[0x03] = words[0x04] = 0;
  words[0x0a] = 0x6403; // Initialization Control 1: load identity and subsystem
  words[0x0b] = 0x1100; // subsystem, its vendor
  words[0x0c] = 0x1af4;
  words[0x0d] = 0x100e;
  words[0x0e] = 0x8086;
  words[0x0f] = 0x3040; // Initialization Control 2: pause both ways
  words[0x10] = words[0x11] = 0;
  words[0x3f] = 0;
  words[0x3f] = (0xbaba - words.reduce((sum, word) => sum + word, 0)) & 0xffff;
  return words;
}

/** A cause of interrupts that waits a little for more of its kind: RDTR with RADV, TIDV with TADV (13.4.30, 13.4.44). */
class Delay {
  private readonly timer: Timer;
  private since = -1;

  constructor(
    private readonly clock: Clock,
    name: string,
    fire: () => void,
  ) {
    this.timer = clock.timer(name, () => {
      this.since = -1;
      fire();
    });
  }

  /** @param delay after the last event, `absolute` after the first (0: no limit); units of DELAY_UNIT */
  start(delay: number, absolute: number): void {
    const now = this.clock.now();
    if (this.since < 0) this.since = now;
    const deadline = now + delay * DELAY_UNIT;
    this.timer.arm(absolute > 0 ? Math.min(deadline, this.since + absolute * DELAY_UNIT) : deadline);
  }

  cancel(): void {
    this.since = -1;
    this.timer.disarm();
  }

  save(): { since: number; deadline: number } {
    return { since: this.since, deadline: this.timer.deadline };
  }

  load({ since, deadline }: { since: number; deadline: number }): void {
    this.since = since;
    this.timer.arm(deadline);
  }
}

export class E1000 extends PciFunction implements Nic {
  readonly model = 'e1000';
  readonly mac: Uint8Array;
  readonly port: NicPort;
  readonly dma: Dma;
  /** Registers by dword. */
  readonly r = new Uint32Array(REGISTERS / 4);
  private phy = new Uint16Array(32);
  private readonly eeprom: Eeprom93c46;
  private ioAddress = 0;
  /** Interrupt throttling: no interrupt before this time. */
  private quietUntil = 0;
  private readonly throttle: Timer;
  private readonly rxDelay: Delay;
  private readonly txDelay: Delay;
  private raised = false;
  private readonly tx: E1000Transmitter;
  private readonly rx: E1000Receiver;

  constructor(private readonly options: NicOptions) {
    super('e1000', { vendor: 0x8086, device: 0x100e, class: 0x0200, revision: 3, interruptPin: 1 });
    const { memory, clock } = options;
    this.mac = options.mac.slice();
    this.dma = new Dma(memory, () => (this.command & COMMAND_MASTER) !== 0);
    this.eeprom = new Eeprom93c46(eepromWords(this.mac));
    this.throttle = clock.timer('e1000 itr', () => this.updateInterrupt());
    this.rxDelay = new Delay(clock, 'e1000 rdtr', () => this.interrupt(R.INT_RXT0));
    this.txDelay = new Delay(clock, 'e1000 tidv', () => this.interrupt(R.INT_TXDW));
    this.tx = new E1000Transmitter(this, clock);
    this.rx = new E1000Receiver(this);
    this.addBar(0, { kind: 'memory', size: MMIO_SIZE, device: this.registers });
    this.addBar(1, {
      kind: 'io',
      size: IO_SIZE,
      device: {
        readPort: (port, size) => this.readIo(port, size),
        writePort: (port, size, value) => this.writeIo(port, size, value),
      },
    });
    if (options.rom) this.addRom(options.rom);
    this.port = new NicPort(options.backend ?? UNPLUGGED, {
      receive: (frame, offload) => this.rx.receive(frame, offload?.verified ?? false),
      drained: () => this.tx.run(),
      linkChanged: () => {
        this.updateLink();
        this.interrupt(R.INT_LSC);
      },
    });
    this.resetController();
  }

  // For both directions

  get(register: number): number {
    return this.r[register >> 2];
  }

  set(register: number, value: number): void {
    this.r[register >> 2] = value;
  }

  /** A counter, which stays at its greatest value. */
  count(register: number, by = 1): void {
    this.set(register, Math.min(0xffffffff, this.get(register) + by));
  }

  /** A counter of 64 bits in two registers. */
  count64(low: number, by: number): void {
    const sum = this.get(low) + by;
    this.set(low, sum % 2 ** 32);
    if (sum >= 2 ** 32) this.count(low + 4);
  }

  /** Counters of frames by length, six registers from `first` on. */
  countSize(first: number, length: number): void {
    const band = length <= 64 ? 0 : Math.min(5, Math.floor(Math.log2(length)) - 5);
    this.count(first + 4 * band);
  }

  clockNow(): number {
    return this.options.clock.now();
  }

  /** Frames come back to their sender. */
  get loopback(): boolean {
    return (this.get(R.RCTL) & R.RCTL_LBM) !== 0 || (this.phy[R.PHY_CTRL] & R.PHY_CTRL_LOOPBACK) !== 0;
  }

  /** A frame that goes nowhere but back. */
  loop(frame: Uint8Array): void {
    this.rx.receive(frame, false);
  }

  // Interrupts, 13.4.17 and on

  interrupt(causes: number): void {
    this.r[R.ICR >> 2] |= causes & R.INT_ALL;
    this.updateInterrupt();
  }

  /** A frame has come in. */
  interruptReceived(): void {
    const delay = this.get(R.RDTR);
    if (delay === 0) this.interrupt(R.INT_RXT0);
    else this.rxDelay.start(delay, this.get(R.RADV));
  }

  /** Descriptors have been written back. @param delayed the last asked for it (IDE) */
  interruptSent(delayed: boolean): void {
    if (delayed && this.get(R.TIDV) > 0) this.txDelay.start(this.get(R.TIDV), this.get(R.TADV));
    else this.interrupt(R.INT_TXDW);
  }

  private updateInterrupt(): void {
    const pending = (this.get(R.ICR) & this.get(R.IMS)) !== 0;
    if (pending === this.raised) return;
    if (pending) {
      const now = this.options.clock.now();
      if (now < this.quietUntil) {
        this.throttle.arm(this.quietUntil);
        return;
      }
      this.quietUntil = now + this.get(R.ITR) * ITR_UNIT;
    }
    this.raised = pending;
    this.intx.set(pending);
  }

  // Registers

  private readonly registers: MmioDevice = {
    readMmio: (offset) => this.read(offset & ~3) >>> (8 * (offset & 3)),
    // Registers are written whole (13.2.1). What is narrower is taken as if the rest were zeroes, as QEMU does.
    writeMmio: (offset, _size, value) => this.write(offset & ~3, (value << (8 * (offset & 3))) >>> 0),
  };

  private read(register: number): number {
    if (register >= REGISTERS) return 0;
    if (register >= R.STATISTICS && register < R.STATISTICS_END) {
      const value = this.get(register);
      this.set(register, 0);
      return value;
    }
    switch (register) {
      case R.ICR: {
        const value = this.get(R.ICR);
        this.set(R.ICR, 0);
        this.updateInterrupt();
        return value;
      }
      case R.ICS:
      case R.IMC:
        return 0;
      case R.EECD:
        return this.get(R.EECD) | R.EECD_PRES | (this.get(R.EECD) & R.EECD_REQ ? R.EECD_GNT : 0) | (this.eeprom.dataOut ? R.EECD_DO : 0);
    }
    return this.get(register);
  }

  private write(register: number, value: number): void {
    if (register >= REGISTERS) return;
    const mask = R.PLAIN.get(register);
    if (mask !== undefined) {
      this.set(register, value & mask);
      return;
    }
    if ((register >= R.MTA && register < R.MTA + 0x200) || (register >= R.RAL0 && register < R.RAL0 + 0x80) || (register >= R.VFTA && register < R.VFTA + 0x200)) {
      this.set(register, value);
      return;
    }
    switch (register) {
      case R.CTRL:
        if (value & R.CTRL_RST) {
          this.resetController();
          return;
        }
        if (value & R.CTRL_PHY_RST) this.resetPhy();
        this.set(R.CTRL, value & ~R.CTRL_PHY_RST);
        this.updateLink();
        return;
      case R.EECD:
        this.set(R.EECD, value & (R.EECD_SK | R.EECD_CS | R.EECD_DI | R.EECD_FWE_MASK | R.EECD_REQ));
        this.eeprom.setPins((value & R.EECD_CS) !== 0, (value & R.EECD_SK) !== 0, (value & R.EECD_DI) !== 0);
        return;
      case R.EERD:
        if (value & R.EERD_START) {
          const word = this.eeprom.words[(value >>> 8) & 0x3f];
          this.set(R.EERD, (word << 16) | (value & 0xff00) | R.EERD_DONE);
        }
        return;
      case R.MDIC:
        this.writeMdic(value);
        return;
      case R.ITR:
        this.set(R.ITR, value & 0xffff);
        return;
      case R.ICR: // ones clear
        this.set(R.ICR, this.get(R.ICR) & ~value);
        this.updateInterrupt();
        return;
      case R.ICS:
        this.interrupt(value);
        return;
      case R.IMS:
        this.set(R.IMS, this.get(R.IMS) | (value & R.INT_ALL));
        this.updateInterrupt();
        return;
      case R.IMC:
        this.set(R.IMS, this.get(R.IMS) & ~value);
        this.updateInterrupt();
        return;
      case R.RCTL:
        this.set(R.RCTL, value);
        if (value & R.RCTL_EN) this.port.ready();
        return;
      case R.TCTL:
        this.set(R.TCTL, value);
        this.tx.run();
        return;
      case R.RDT:
        this.set(R.RDT, value & 0xffff);
        if (this.get(R.RCTL) & R.RCTL_EN) this.port.ready();
        return;
      case R.TDT:
        this.set(R.TDT, value & 0xffff);
        this.tx.run();
        return;
      case R.RDTR: {
        this.set(R.RDTR, value & 0xffff);
        // FPD: what waits goes out now.
        if (value >>> 31) {
          this.rxDelay.cancel();
          this.interrupt(R.INT_RXT0);
        }
        return;
      }
    }
  }

  private readIo(port: number, size: AccessSize): number {
    if (port < IODATA) return (this.ioAddress >>> (8 * (port - IOADDR))) >>> 0;
    return port < IODATA + 4 ? this.registers.readMmio(this.ioAddress + port - IODATA, size) : 0;
  }

  private writeIo(port: number, size: AccessSize, value: number): void {
    if (port === IOADDR) this.ioAddress = value & (MMIO_SIZE - 1);
    else if (port === IODATA) this.registers.writeMmio(this.ioAddress, size, value);
  }

  // PHY, 13.4.3 (MDIC)

  private writeMdic(value: number): void {
    const register = (value >>> 16) & 31;
    let result = (value & 0x23ffffff) | R.MDIC_READY;
    // The PHY has address 1.
    if (((value >>> 21) & 31) !== 1) result |= R.MDIC_E;
    else if ((value >>> 26 & 3) === 2) result = (result & ~0xffff) | this.phy[register];
    else if ((value >>> 26 & 3) === 1) this.writePhy(register, value & 0xffff);
    this.set(R.MDIC, result | (value & (3 << 26)));
    if (value & R.MDIC_I) this.interrupt(R.INT_MDAC);
  }

  private writePhy(register: number, value: number): void {
    if (!R.PHY_WRITABLE.includes(register)) return;
    if (register === R.PHY_CTRL) {
      if (value & R.PHY_CTRL_RESET) {
        this.resetPhy();
        return;
      }
      // Negotiation is over as soon as it has begun.
      value &= ~R.PHY_CTRL_RESTART;
    }
    this.phy[register] = value;
    this.updateLink();
  }

  private resetPhy(): void {
    for (let n = 0; n < 32; n++) this.phy[n] = R.PHY_DEFAULTS[n] ?? 0;
    this.updateLink();
  }

  private updateLink(): void {
    const up = this.port.linkUp;
    this.set(R.STATUS, R.STATUS_FD | R.STATUS_1000 | (up ? R.STATUS_LU : 0));
    const done = R.PHY_STATUS_LINK | R.PHY_STATUS_ANEG_DONE;
    this.phy[R.PHY_STATUS] = (this.phy[R.PHY_STATUS] & ~done) | (up ? done : 0);
    // The partner can do everything.
    this.phy[R.PHY_LP_ABILITY] = up ? 0xcde1 : 0;
    this.phy[R.PHY_1000T_STATUS] = up ? 0x3c00 : 0;
    // 1000 Mb/s, full duplex, resolved, link
    this.phy[R.PHY_SPECIFIC_STATUS] = up ? 0xac00 : 0;
  }

  // Reset

  /** CTRL.RST, and power-on. */
  private resetController(): void {
    this.r.fill(0);
    this.set(R.CTRL, R.CTRL_FD | R.CTRL_SLU);
    this.set(R.PBA, 0x30);
    this.set(R.VET, 0x8100);
    this.set(R.LEDCTL, 0x07068302);
    this.set(R.TXDCTL, 0);
    this.set(R.RXDCTL, 0x10000);
    const { words } = this.eeprom;
    this.set(R.RAL0, words[0] | (words[1] << 16));
    this.set(R.RAL0 + 4, words[2] | R.RAH_AV);
    this.throttle.disarm();
    this.rxDelay.cancel();
    this.txDelay.cancel();
    this.quietUntil = 0;
    this.tx.reset();
    this.resetPhy();
    this.updateInterrupt();
  }

  override reset(): void {
    super.reset();
    this.ioAddress = 0;
    this.raised = false;
    this.resetController();
  }

  override save(): State {
    return {
      function: super.save(), r: this.r.slice(), phy: this.phy.slice(), eeprom: this.eeprom.save(), ioAddress: this.ioAddress, quietUntil: this.quietUntil, throttle: this.throttle.deadline,
      rxDelay: this.rxDelay.save(), txDelay: this.txDelay.save(), raised: this.raised, tx: this.tx.save(),
    };
  }

  override load(state: unknown): void {
    const saved = state as State;
    super.load(saved.function);
    this.r.set(saved.r);
    this.phy.set(saved.phy);
    this.eeprom.load(saved.eeprom);
    this.ioAddress = saved.ioAddress;
    this.quietUntil = saved.quietUntil;
    this.throttle.arm(saved.throttle);
    this.rxDelay.load(saved.rxDelay);
    this.txDelay.load(saved.txDelay);
    this.raised = saved.raised;
    this.tx.load(saved.tx);
    this.updateLink();
  }
}
