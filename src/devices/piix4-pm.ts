// ACPI power management: events, SCI, sleep, the PM timer, general-purpose events, and the SMI command port.
// Intel 82371AB (PIIX4) datasheet (290562), section 7 (power management); ACPI specification 6.x, section 4.8 (fixed hardware).
// The general-purpose event block is where QEMU's pc has it, at AFE0h.

import type { AccessSize, Clock, IrqLine, PortDevice, Timer } from './interfaces.ts';
import { type PciAddressSpaces, PciFunction } from './pci.ts';

export const PMBASE = 0x40;
export const PMREGMISC = 0x80;
/** Device activity B: SMI enables. */
const DEVACTB = 0x58;
const DEVACTB_APMC_EN = 1 << 25;
const PMREGMISC_PMIOSE = 0x01;

/** Offsets from PMBASE. */
export const PM1_STS = 0x00;
export const PM1_EN = 0x02;
export const PM1_CNT = 0x04;
export const PM_TMR = 0x08;
const PM_LENGTH = 64;

export const GPE0_BASE = 0xafe0;
export const GPE0_LENGTH = 4;

export const SMI_COMMAND = 0xb2;
export const SMI_STATUS = 0xb3;
/** What ACPI tables give as ACPI_ENABLE and ACPI_DISABLE. */
export const ACPI_ENABLE = 0xf1;
export const ACPI_DISABLE = 0xf0;

const TMROF_STS = 0x0001;
const GBL_STS = 0x0020;
const PWRBTN_STS = 0x0100;
const RTC_STS = 0x0400;
const WAK_STS = 0x8000;
/** Events that raise SCI. */
const EVENTS = TMROF_STS | GBL_STS | PWRBTN_STS | RTC_STS;
const SCI_EN = 0x0001;
const SLP_EN = 0x2000;
const SLP_TYP_SHIFT = 10;
/** SLP_TYP of soft-off in the PIIX4; the DSDT's \_S5 says the same. */
export const SLP_TYP_S5 = 0;

export const PM_TIMER_FREQUENCY = 3579545;
/** The counter has 24 bits; TMROF is set whenever the highest of them changes. */
const PM_TIMER_MASK = 0xffffff;
const PM_TIMER_HALF = 0x800000;

interface State {
  sts: number;
  en: number;
  cnt: number;
  gpeSts: number;
  gpeEn: number;
  apmCommand: number;
  apmStatus: number;
  /** Overflows (changes of the highest bit) of the timer that have been taken into TMROF. */
  overflows: number;
}

const powerOn = (): State => ({ sts: 0, en: 0, cnt: 0, gpeSts: 0, gpeEn: 0, apmCommand: 0, apmStatus: 0, overflows: 0 });

export class Piix4Pm extends PciFunction implements PortDevice {
  private s = powerOn();
  private readonly timer: Timer;
  /** Where the registers are mapped, 0 if they are not. */
  private mappedAt = 0;

  /**
   * @param sci the system control interrupt (IRQ 9)
   * @param onPowerOff called when the guest enters S5
   */
  constructor(
    private readonly clock: Clock,
    private readonly sci: IrqLine,
    private readonly spaces: Pick<PciAddressSpaces, 'mapPorts' | 'unmapPorts'>,
    private readonly onPowerOff: () => void,
  ) {
    super('piix4-pm', { vendor: 0x8086, device: 0x7113, class: 0x0680, revision: 3, interruptPin: 1 });
    this.writable[PMBASE] = 0xc0;
    this.writable[PMBASE + 1] = 0xff;
    this.writable.fill(0xff, 0x44, 0x60);
    this.writable[PMREGMISC] = 0x01;
    this.writable.fill(0xff, 0x90, 0x94);
    this.writable[0xd2] = 0xff;
    this.timer = clock.timer('piix4-pm', () => this.update());
    this.reset();
  }

  override reset(): void {
    super.reset();
    this.s = powerOn();
    this.s.overflows = Math.floor(this.ticks() / PM_TIMER_HALF);
    this.set16(0x06, 0x0280);
    this.config.fill(0, 0x40);
    this.config[PMBASE] = 0x01;
    // APMC_EN, as QEMU has it without system management mode: tells firmware that SMIs are taken care of.
    this.config[DEVACTB + 3] = DEVACTB_APMC_EN >>> 24;
    // The interrupt pin is fixed to IRQ 9, as QEMU's configuration space shows it.
    this.map();
    this.update();
  }

  protected override onConfigWrite(): void {
    this.config[PMBASE] |= 0x01;
    this.map();
  }

  private map(): void {
    const base = this.config[PMREGMISC] & PMREGMISC_PMIOSE ? this.get16(PMBASE) & 0xffc0 : 0;
    if (base === this.mappedAt) return;
    if (this.mappedAt) this.spaces.unmapPorts(this.mappedAt, PM_LENGTH);
    this.mappedAt = base;
    if (base) {
      const registers: PortDevice = {
        readPort: (port, size) => this.readRegister(port - base, size),
        writePort: (port, size, value) => this.writeRegister(port - base, size, value),
      };
      this.spaces.mapPorts('acpi-pm', registers, base, PM_LENGTH, 4);
    }
  }

  /** Ticks of the PM timer since power-on, all bits. */
  private ticks(): number {
    return Math.floor((this.clock.now() * PM_TIMER_FREQUENCY) / 1e9);
  }

  /** Work out TMROF, SCI and the next overflow to wait for. */
  private update(): void {
    const s = this.s;
    const overflows = Math.floor(this.ticks() / PM_TIMER_HALF);
    if (overflows !== s.overflows) {
      s.overflows = overflows;
      s.sts |= TMROF_STS;
    }
    const event = (s.sts & s.en & EVENTS) !== 0 || (s.gpeSts & s.gpeEn) !== 0;
    this.sci.set(event && (s.cnt & SCI_EN) !== 0);
    if (s.en & TMROF_STS && !(s.sts & TMROF_STS)) {
      const due = Math.ceil(((overflows + 1) * PM_TIMER_HALF * 1e9) / PM_TIMER_FREQUENCY);
      // Rounding may put `due` a hair before the overflow: then it is looked at again.
      this.timer.arm(Math.max(due, this.clock.now() + 1));
    } else {
      this.timer.disarm();
    }
  }

  private readRegister(offset: number, size: AccessSize): number {
    if (offset === PM_TMR && size === 4) return this.ticks() & PM_TIMER_MASK;
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  private readByte(offset: number): number {
    const s = this.s;
    const shift = (offset & 1) * 8;
    switch (offset & ~1) {
      case PM1_STS:
        this.update();
        return (s.sts >> shift) & 0xff;
      case PM1_EN:
        return (s.en >> shift) & 0xff;
      case PM1_CNT:
        return (s.cnt >> shift) & 0xff;
      case PM_TMR:
      case PM_TMR + 2:
        return ((this.ticks() & PM_TIMER_MASK) >> ((offset - PM_TMR) * 8)) & 0xff;
    }
    return 0;
  }

  private writeRegister(offset: number, size: AccessSize, value: number): void {
    // Registers have 16 bits; bytes and double words are put together from them.
    if (size === 4) {
      this.writeRegister(offset, 2, value & 0xffff);
      this.writeRegister(offset + 2, 2, value >>> 16);
      return;
    }
    const s = this.s;
    const shift = (offset & 1) * 8;
    const mask = size === 2 ? 0xffff : 0xff << shift;
    const bits = (value << shift) & mask;
    switch (offset & ~1) {
      case PM1_STS:
        this.update();
        s.sts &= ~bits;
        break;
      case PM1_EN:
        s.en = (s.en & ~mask) | bits;
        break;
      case PM1_CNT:
        this.writeControl((s.cnt & ~mask) | bits);
        break;
    }
    this.update();
  }

  private writeControl(value: number): void {
    // SLP_EN is a command and reads as 0. SCI_EN belongs to the firmware on real boards; QEMU lets software write it.
    this.s.cnt = value & ~SLP_EN;
    if (value & SLP_EN && ((value >> SLP_TYP_SHIFT) & 7) === SLP_TYP_S5) this.onPowerOff();
  }

  /** Ports of the general-purpose events and of the SMI command. */
  readPort(port: number, _size: AccessSize): number {
    const s = this.s;
    switch (port) {
      case GPE0_BASE:
        return s.gpeSts & 0xff;
      case GPE0_BASE + 1:
        return s.gpeSts >> 8;
      case GPE0_BASE + 2:
        return s.gpeEn & 0xff;
      case GPE0_BASE + 3:
        return s.gpeEn >> 8;
      case SMI_COMMAND:
        return s.apmCommand;
      case SMI_STATUS:
        return s.apmStatus;
    }
    return 0xff;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const s = this.s;
    switch (port) {
      case GPE0_BASE:
        s.gpeSts &= ~value;
        break;
      case GPE0_BASE + 1:
        s.gpeSts &= ~(value << 8);
        break;
      case GPE0_BASE + 2:
        s.gpeEn = (s.gpeEn & 0xff00) | value;
        break;
      case GPE0_BASE + 3:
        s.gpeEn = (s.gpeEn & 0xff) | (value << 8);
        break;
      case SMI_COMMAND:
        s.apmCommand = value;
        // What firmware's SMI handler would do.
        if (value === ACPI_ENABLE) s.cnt |= SCI_EN;
        else if (value === ACPI_DISABLE) s.cnt &= ~SCI_EN;
        break;
      case SMI_STATUS:
        s.apmStatus = value;
        break;
    }
    this.update();
  }

  /** The user presses the power button. */
  powerButton(): void {
    this.s.sts |= PWRBTN_STS;
    this.update();
  }

  /** Raise a general-purpose event. */
  raiseGpe(number: number): void {
    this.s.gpeSts |= 1 << number;
    this.update();
  }

  /** The machine comes back from a sleep. */
  wake(): void {
    this.s.sts |= WAK_STS;
    this.update();
  }

  override save(): unknown {
    return { function: super.save(), registers: { ...this.s } };
  }

  override load(state: unknown): void {
    const saved = state as { function: unknown; registers: State };
    super.load(saved.function);
    this.s = { ...saved.registers };
    this.map();
    this.update();
  }
}
