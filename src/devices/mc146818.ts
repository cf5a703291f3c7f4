// Real-time clock and CMOS memory.
// Motorola MC146818A datasheet (address map, registers A-D); the PC's use of ports 70h/71h and of the memory: 82371AB datasheet,
// section 9, and QEMU's pc machine for the memory sizes.
//
// Date and flags are computed from the clock when they are looked at; a timer is armed only for an interrupt that is enabled.

import type { AccessSize, Clock, IrqLine, PortDevice, Snapshotable, Timer } from './interfaces.ts';

export const RTC_INDEX = 0x70;
export const RTC_DATA = 0x71;

export const SECONDS = 0x00;
export const SECONDS_ALARM = 0x01;
export const MINUTES = 0x02;
export const MINUTES_ALARM = 0x03;
export const HOURS = 0x04;
export const HOURS_ALARM = 0x05;
export const DAY_OF_WEEK = 0x06;
export const DAY_OF_MONTH = 0x07;
export const MONTH = 0x08;
export const YEAR = 0x09;
export const REGISTER_A = 0x0a;
export const REGISTER_B = 0x0b;
export const REGISTER_C = 0x0c;
export const REGISTER_D = 0x0d;
/** As the ACPI FADT's CENTURY field says. */
export const CENTURY = 0x32;
/** Where PS/2 machines kept it: the same byte under another number. */
const PS2_CENTURY = 0x37;

const A_UIP = 0x80;
const A_DV = 0x70;
/** Divider value for a 32.768 kHz crystal: the clock runs. */
const A_DV_32KHZ = 0x20;
const A_RS = 0x0f;
const B_SET = 0x80;
const B_PIE = 0x40;
const B_AIE = 0x20;
const B_UIE = 0x10;
const B_DM = 0x04;
const B_24H = 0x02;
const C_IRQF = 0x80;
const C_PF = 0x40;
const C_AF = 0x20;
const C_UF = 0x10;
const D_VRT = 0x80;

const SECOND = 1e9;
/** UIP is set this long before an update (t_BUC, 244 us), in ns. */
const UPDATE_NOTICE = 244_000;
const CRYSTAL = 32768;

/** A date and time as the registers hold it, in binary. */
interface Fields {
  seconds: number;
  minutes: number;
  hours: number;
  dayOfWeek: number;
  day: number;
  month: number;
  year: number;
}

interface State {
  index: number;
  nmiMasked: boolean;
  cmos: Uint8Array;
  /** Wall-clock time in ms since 1970 (as the guest's calendar shows it) at clock time `offsetNs`; the seconds tick at offsetNs + k * 1 s. */
  baseMs: number;
  offsetNs: number;
  /** Time up to which register C's flags have been worked out. */
  seenNs: number;
}

/** What the machine puts into the CMOS memory for its firmware. */
export interface CmosContents {
  /** Bytes of RAM below 4 GiB, from address 0. */
  ramBelow4G: number;
  /** Bytes of RAM from 4 GiB up. */
  ramAbove4G: number;
  cpus: number;
}

export class Mc146818 implements PortDevice, Snapshotable {
  private s: State;
  private readonly timer: Timer;

  /**
   * @param wallClockMs the date at power-on: milliseconds since 1970-01-01 as the guest's calendar is to show it (UTC, or local time)
   */
  constructor(
    private readonly clock: Clock,
    private readonly irq8: IrqLine,
    wallClockMs: number,
  ) {
    this.s = {
      index: 0,
      nmiMasked: false,
      cmos: new Uint8Array(128),
      baseMs: Math.floor(wallClockMs / 1000) * 1000,
      // The seconds of clock and calendar tick together.
      offsetNs: clock.now() - Math.floor((wallClockMs % 1000) * 1e6),
      seenNs: clock.now(),
    };
    this.s.cmos[REGISTER_A] = A_DV_32KHZ | 6;
    this.s.cmos[REGISTER_B] = B_24H;
    this.timer = clock.timer('mc146818', () => this.update());
  }

  /** Bit 7 of port 70h masks NMI. */
  get nmiMasked(): boolean {
    return this.s.nmiMasked;
  }

  /** Store memory sizes and equipment where firmware looks for them. */
  setContents({ ramBelow4G, ramAbove4G, cpus }: CmosContents): void {
    const cmos = this.s.cmos;
    const set16 = (at: number, value: number) => {
      cmos[at] = value & 0xff;
      cmos[at + 1] = value >> 8;
    };
    set16(0x15, 640);
    const extendedKiB = Math.min(0xffff, Math.max(0, ramBelow4G / 1024 - 1024));
    set16(0x17, extendedKiB);
    set16(0x30, extendedKiB);
    set16(0x34, Math.min(0xffff, Math.max(0, ramBelow4G / 65536 - 256)));
    set16(0x5b, Math.floor(ramAbove4G / 65536) & 0xffff);
    cmos[0x5d] = Math.floor(ramAbove4G / 65536) >> 16;
    cmos[0x5f] = cpus - 1;
    // Equipment: x87 and a PS/2 mouse.
    cmos[0x14] = 0x06;
    // Boot order: disk, then floppy, then CD-ROM (QEMU's "cad", drive letters as in DOS), unless the machine says otherwise.
    cmos[0x3d] = 0x12;
    cmos[0x38] = 0x30;
  }

  /** Floppy drives A and B, by the types that CMOS has for them; 0: none. */
  setFloppies(a: number, b: number): void {
    const { cmos } = this.s;
    cmos[0x10] = (a << 4) | b;
    const count = Number(a !== 0) + Number(b !== 0);
    // Equipment: a drive, and in the top bits how many more.
    cmos[0x14] = (cmos[0x14] & 0x3e) | (count > 0 ? 1 | ((count - 1) << 6) : 0);
  }

  /** A byte of the CMOS memory, for the machine. */
  setCmos(index: number, value: number): void {
    this.s.cmos[index & 0x7f] = value;
  }

  private get running(): boolean {
    return (this.s.cmos[REGISTER_A] & A_DV) <= A_DV_32KHZ && !(this.s.cmos[REGISTER_B] & B_SET);
  }

  /** The guest's calendar at a clock time, in ms since 1970, to the second. */
  private calendar(now: number): number {
    return this.s.baseMs + Math.floor((now - this.s.offsetNs) / SECOND) * 1000;
  }

  /** First update (tick of the seconds) after the given time. */
  private nextUpdate(now: number): number {
    return this.s.offsetNs + (Math.floor((now - this.s.offsetNs) / SECOND) + 1) * SECOND;
  }

  /** Ticks of the periodic interrupt's divider, and of the crystal in each; 0 for none. */
  private periodicTicks(): number {
    const rate = this.s.cmos[REGISTER_A] & A_RS;
    if (rate === 0) return 0;
    // Rates 1 and 2 with this crystal are those of 8 and 9.
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
  }

  private crystalTicks(now: number): number {
    return Math.floor((now * CRYSTAL) / SECOND);
  }

  private encode(value: number): number {
    return this.s.cmos[REGISTER_B] & B_DM ? value : Math.floor(value / 10) * 16 + (value % 10);
  }

  private decode(value: number): number {
    return this.s.cmos[REGISTER_B] & B_DM ? value : (value >> 4) * 10 + (value & 15);
  }

  private encodeHours(hours: number): number {
    if (this.s.cmos[REGISTER_B] & B_24H) return this.encode(hours);
    return this.encode(hours % 12 === 0 ? 12 : hours % 12) | (hours >= 12 ? 0x80 : 0);
  }

  private decodeHours(value: number): number {
    if (this.s.cmos[REGISTER_B] & B_24H) return this.decode(value);
    return (this.decode(value & 0x7f) % 12) + (value & 0x80 ? 12 : 0);
  }

  /** Copy the calendar into the time registers. */
  private showTime(now: number): void {
    const date = new Date(this.calendar(now));
    const cmos = this.s.cmos;
    cmos[SECONDS] = this.encode(date.getUTCSeconds());
    cmos[MINUTES] = this.encode(date.getUTCMinutes());
    cmos[HOURS] = this.encodeHours(date.getUTCHours());
    cmos[DAY_OF_WEEK] = this.encode(date.getUTCDay() + 1);
    cmos[DAY_OF_MONTH] = this.encode(date.getUTCDate());
    cmos[MONTH] = this.encode(date.getUTCMonth() + 1);
    const year = date.getUTCFullYear();
    cmos[YEAR] = this.encode(year % 100);
    cmos[CENTURY] = this.encode(Math.floor(year / 100));
  }

  private fields(): Fields {
    const cmos = this.s.cmos;
    return {
      seconds: this.decode(cmos[SECONDS]),
      minutes: this.decode(cmos[MINUTES]),
      hours: this.decodeHours(cmos[HOURS]),
      dayOfWeek: this.decode(cmos[DAY_OF_WEEK]),
      day: this.decode(cmos[DAY_OF_MONTH]),
      month: this.decode(cmos[MONTH]),
      year: this.decode(cmos[CENTURY]) * 100 + this.decode(cmos[YEAR]),
    };
  }

  /** Take the time registers as the calendar's new time; the next update comes half a second later, as after leaving the divider's reset. */
  private takeTime(now: number, phaseNs: number): void {
    const { year, month, day, hours, minutes, seconds } = this.fields();
    this.s.baseMs = Date.UTC(year, month - 1, day, hours, minutes, seconds);
    this.s.offsetNs = now - phaseNs;
  }

  /** Does the alarm match this moment (ms since 1970)? Alarm bytes from C0h up match everything. */
  private alarmMatches(ms: number): boolean {
    const cmos = this.s.cmos;
    const date = new Date(ms);
    return (
      (cmos[SECONDS_ALARM] >= 0xc0 || this.decode(cmos[SECONDS_ALARM]) === date.getUTCSeconds()) &&
      (cmos[MINUTES_ALARM] >= 0xc0 || this.decode(cmos[MINUTES_ALARM]) === date.getUTCMinutes()) &&
      ((cmos[HOURS_ALARM] & 0xc0) === 0xc0 || this.decodeHours(cmos[HOURS_ALARM]) === date.getUTCHours())
    );
  }

  /** Clock time of the first alarm after the given time, and not after `limit`; Infinity if there is none. */
  private nextAlarm(now: number, limit: number): number {
    const cmos = this.s.cmos;
    // An alarm repeats daily at the latest: going through its seconds, by the smallest part that is fixed.
    const second = cmos[SECONDS_ALARM] >= 0xc0 ? -1 : this.decode(cmos[SECONDS_ALARM]);
    let at = this.nextUpdate(now);
    const end = Math.min(limit, at + 86401 * SECOND);
    while (at <= end) {
      const ms = this.calendar(at);
      if (this.alarmMatches(ms)) return at;
      const here = Math.floor(ms / 1000) % 60;
      const step = second < 0 ? 1 : second > here ? second - here : 60 - here + second;
      if (second > 59) return Infinity;
      at += step * SECOND;
    }
    return Infinity;
  }

  /** Set the flags of all that happened up to now, drive IRQ8, and arm the timer for the next enabled event. */
  private update(): void {
    const s = this.s;
    const now = this.clock.now();
    const cmos = s.cmos;
    let flags = cmos[REGISTER_C] & (C_PF | C_AF | C_UF);
    let next = Infinity;
    const period = this.periodicTicks();
    if (period && (cmos[REGISTER_A] & A_DV) <= A_DV_32KHZ) {
      const done = Math.floor(this.crystalTicks(now) / period);
      if (done > Math.floor(this.crystalTicks(s.seenNs) / period)) flags |= C_PF;
      if (cmos[REGISTER_B] & B_PIE && !(flags & C_PF)) {
        const target = (done + 1) * period;
        next = Math.ceil((target * SECOND) / CRYSTAL);
        while (this.crystalTicks(next) < target) next++;
      }
    }
    if (this.running) {
      if (this.nextUpdate(s.seenNs) <= now) {
        flags |= C_UF;
        if (!(flags & C_AF) && this.nextAlarm(s.seenNs, now) <= now) flags |= C_AF;
      }
      if (cmos[REGISTER_B] & B_UIE && !(flags & C_UF)) next = Math.min(next, this.nextUpdate(now));
      if (cmos[REGISTER_B] & B_AIE && !(flags & C_AF)) next = Math.min(next, this.nextAlarm(now, Infinity));
    }
    s.seenNs = now;
    const irq = (flags & cmos[REGISTER_B] & (C_PF | C_AF | C_UF)) !== 0;
    cmos[REGISTER_C] = flags | (irq ? C_IRQF : 0);
    this.irq8.set(irq);
    this.timer.arm(next);
  }

  readPort(port: number, _size: AccessSize): number {
    // The index register is write-only; QEMU reads it as all ones.
    if (port === RTC_INDEX) return 0xff;
    const s = this.s;
    const index = s.index;
    switch (index) {
      case SECONDS:
      case MINUTES:
      case HOURS:
      case DAY_OF_WEEK:
      case DAY_OF_MONTH:
      case MONTH:
      case YEAR:
      case CENTURY:
        if (this.running) this.showTime(this.clock.now());
        return s.cmos[index];
      case REGISTER_A: {
        const now = this.clock.now();
        const uip = this.running && this.nextUpdate(now) - now <= UPDATE_NOTICE;
        return (s.cmos[REGISTER_A] & ~A_UIP) | (uip ? A_UIP : 0);
      }
      case REGISTER_C: {
        this.update();
        const value = s.cmos[REGISTER_C];
        s.cmos[REGISTER_C] = 0;
        this.update();
        return value;
      }
      case REGISTER_D:
        return D_VRT;
    }
    return s.cmos[index];
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const s = this.s;
    if (port === RTC_INDEX) {
      s.index = value & 0x7f;
      if (s.index === PS2_CENTURY) s.index = CENTURY;
      s.nmiMasked = (value & 0x80) !== 0;
      return;
    }
    const index = s.index;
    const now = this.clock.now();
    switch (index) {
      case SECONDS:
      case MINUTES:
      case HOURS:
      case DAY_OF_WEEK:
      case DAY_OF_MONTH:
      case MONTH:
      case YEAR:
      case CENTURY:
        if (this.running) {
          // Written while the clock runs: it goes on from the new time without losing its place in the second.
          this.update();
          this.showTime(now);
          s.cmos[index] = value;
          this.takeTime(now, (((now - s.offsetNs) % SECOND) + SECOND) % SECOND);
          this.update();
        } else {
          s.cmos[index] = value;
        }
        break;
      case SECONDS_ALARM:
      case MINUTES_ALARM:
      case HOURS_ALARM:
        this.update();
        s.cmos[index] = value;
        this.update();
        break;
      case REGISTER_A:
      case REGISTER_B: {
        this.update();
        const wasRunning = this.running;
        if (wasRunning) this.showTime(now);
        const phase = (((now - s.offsetNs) % SECOND) + SECOND) % SECOND;
        const dividerWasReset = (s.cmos[REGISTER_A] & A_DV) > A_DV_32KHZ;
        s.cmos[index] = index === REGISTER_A ? value & ~A_UIP : value & B_SET ? value & ~B_UIE : value;
        if (!wasRunning && this.running) {
          // Leaving the divider's reset, the first update comes half a second later; after SET the seconds go on as before.
          this.takeTime(now, dividerWasReset ? SECOND / 2 : phase);
          s.seenNs = now;
        } else if (wasRunning && this.running && index === REGISTER_B && !(value & B_SET)) {
          // The data mode may have changed: the calendar is the same.
          this.showTime(now);
        }
        this.update();
        break;
      }
      case REGISTER_C:
      case REGISTER_D:
        break; // read-only
      default:
        s.cmos[index] = value;
    }
  }

  /** The reset line: interrupts off, flags clear; calendar and memory are kept by the battery. */
  reset(): void {
    const s = this.s;
    s.index = 0;
    s.nmiMasked = false;
    s.cmos[REGISTER_B] &= ~(B_PIE | B_AIE | B_UIE);
    s.cmos[REGISTER_C] = 0;
    s.seenNs = this.clock.now();
    this.update();
  }

  /** The guest's calendar now, ms since 1970. */
  get wallClock(): number {
    return this.s.baseMs + (this.clock.now() - this.s.offsetNs) / 1e6;
  }

  save(): State {
    this.update();
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
    this.update();
  }
}
