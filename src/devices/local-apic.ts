// The local APIC of one CPU, and the bus on which local APICs and I/O APIC exchange interrupt messages.
// Intel SDM volume 3, chapter "Advanced programmable interrupt controller (APIC)"; xAPIC mode, no x2APIC.

import type { AccessSize, Clock, CpuPort, MmioDevice, Snapshotable, Timer } from './interfaces.ts';

export const APIC_DEFAULT_BASE = 0xfee00000;

// Register offsets, SDM table "Local APIC Register Address Map".
export const APIC_ID = 0x020;
export const APIC_VERSION = 0x030;
export const APIC_TPR = 0x080;
export const APIC_APR = 0x090;
export const APIC_PPR = 0x0a0;
export const APIC_EOI = 0x0b0;
export const APIC_RRD = 0x0c0;
export const APIC_LDR = 0x0d0;
export const APIC_DFR = 0x0e0;
export const APIC_SVR = 0x0f0;
export const APIC_ISR = 0x100;
export const APIC_TMR = 0x180;
export const APIC_IRR = 0x200;
export const APIC_ESR = 0x280;
export const APIC_ICR_LOW = 0x300;
export const APIC_ICR_HIGH = 0x310;
export const APIC_LVT_TIMER = 0x320;
export const APIC_LVT_THERMAL = 0x330;
export const APIC_LVT_PERFORMANCE = 0x340;
export const APIC_LVT_LINT0 = 0x350;
export const APIC_LVT_LINT1 = 0x360;
export const APIC_LVT_ERROR = 0x370;
export const APIC_INITIAL_COUNT = 0x380;
export const APIC_CURRENT_COUNT = 0x390;
export const APIC_DIVIDE = 0x3e0;

/** An integrated APIC with six local vectors. */
const VERSION = 0x00050014;
/** IA32_APIC_BASE bits. */
const BASE_BSP = 0x100n;
const BASE_EXTD = 0x400n;
const BASE_ENABLE = 0x800n;

const SVR_ENABLE = 0x100;
const SVR_FOCUS = 0x200;
const LVT_MASKED = 0x10000;
const LVT_LEVEL = 0x8000;
const LVT_LOW_ACTIVE = 0x2000;
const LVT_TIMER_MODE = 0x60000;
const TIMER_PERIODIC = 0x20000;
const TIMER_TSC_DEADLINE = 0x40000;
const ICR_LEVEL_ASSERT = 0x4000;
const ICR_LEVEL_TRIGGER = 0x8000;
const ICR_LOGICAL = 0x800;
const ESR_SEND_ILLEGAL = 0x20;
const ESR_RECEIVE_ILLEGAL = 0x40;
const ESR_ILLEGAL_REGISTER = 0x80;

/** Delivery modes of ICR, LVT and I/O APIC entries. */
export const enum DeliveryMode {
  FIXED = 0,
  LOWEST = 1,
  SMI = 2,
  NMI = 4,
  INIT = 5,
  STARTUP = 6,
  EXTINT = 7,
}

/** The timer counts the bus clock, which is 1 GHz as in QEMU: one count is one nanosecond, before the divider. */
export const APIC_BUS_FREQUENCY = 1e9;

/** A message on the APIC bus. */
export interface ApicMessage {
  destination: number;
  logical: boolean;
  mode: number;
  vector: number;
  level: boolean;
}

/** Highest set bit of a 256-bit map, -1 if none. */
function highest(map: Uint32Array): number {
  for (let i = 7; i >= 0; i--) if (map[i]) return i * 32 + 31 - Math.clz32(map[i]);
  return -1;
}

const test = (map: Uint32Array, vector: number) => (map[vector >> 5] & (1 << (vector & 31))) !== 0;
const setBit = (map: Uint32Array, vector: number) => (map[vector >> 5] |= 1 << (vector & 31));
const clearBit = (map: Uint32Array, vector: number) => (map[vector >> 5] &= ~(1 << (vector & 31)));

/** Addresses that interrupt messages are written to; SDM, section "Message Signalled Interrupts". */
const MSI_ADDRESS = 0xfee00000;
const MSI_ADDRESS_MASK = 0xfff00000;
const MSI_LOGICAL = 0x4;

/** All local APICs of the machine. */
export class ApicBus {
  readonly apics: LocalApic[] = [];
  /** Called when a level-triggered interrupt was ended by its CPU. */
  onEoi: (vector: number) => void = () => {};

  /** Deliver a message to all it is meant for. Returns false if nobody took it. */
  deliver(message: ApicMessage): boolean {
    const targets = this.apics.filter((apic) => apic.isAddressed(message.destination, message.logical));
    return this.deliverTo(targets, message);
  }

  /** A message-signalled interrupt: what a device writes, and where. Elsewhere than at the APICs' addresses it is lost. */
  deliverMsi(address: number, data: number): void {
    if ((address & MSI_ADDRESS_MASK) >>> 0 !== MSI_ADDRESS) return;
    this.deliver({
      destination: (address >>> 12) & 0xff,
      // As in QEMU: the manual lets the bit count only with the redirection hint, but kernels set it without.
      logical: (address & MSI_LOGICAL) !== 0,
      mode: (data >>> 8) & 7,
      vector: data & 0xff,
      // Bit 15: level-triggered.
      level: (data & 0x8000) !== 0,
    });
  }

  deliverTo(targets: LocalApic[], { mode, vector, level }: ApicMessage): boolean {
    if (mode === DeliveryMode.LOWEST) {
      // One of them, the one that does the least important work.
      let best: LocalApic | undefined;
      for (const apic of targets) if (apic.accepts && (!best || apic.ppr < best.ppr)) best = apic;
      if (!best) return false;
      best.receive(DeliveryMode.FIXED, vector, level);
      return true;
    }
    for (const apic of targets) apic.receive(mode, vector, level);
    return targets.length > 0;
  }
}

interface State {
  base: bigint;
  id: number;
  tpr: number;
  ldr: number;
  dfr: number;
  svr: number;
  isr: Uint32Array;
  tmr: Uint32Array;
  irr: Uint32Array;
  /** Errors since the last write to ESR, and those it shows. */
  errors: number;
  esr: number;
  icrLow: number;
  icrHigh: number;
  lvtTimer: number;
  lvtThermal: number;
  lvtPerformance: number;
  lvtLint0: number;
  lvtLint1: number;
  lvtError: number;
  initialCount: number;
  divide: number;
  /** Clock time at which the timer was last loaded. */
  loadTime: number;
  tscDeadline: bigint;
  /** An ExtINT message has come: the 8259 has the vector. */
  extInt: boolean;
  /** Levels of the LINT pins. */
  lint0: boolean;
  lint1: boolean;
}

function resetState(index: number, base: bigint): State {
  return {
    base,
    id: index,
    tpr: 0,
    ldr: 0,
    dfr: 0xffffffff,
    svr: 0xff,
    isr: new Uint32Array(8),
    tmr: new Uint32Array(8),
    irr: new Uint32Array(8),
    errors: 0,
    esr: 0,
    icrLow: 0,
    icrHigh: 0,
    lvtTimer: LVT_MASKED,
    lvtThermal: LVT_MASKED,
    lvtPerformance: LVT_MASKED,
    // Firmware leaves the boot processor's LINT0 as ExtINT ("virtual wire mode"), and a kernel that is booted without firmware
    // relies on it as well; QEMU resets to the same value.
    lvtLint0: index === 0 ? DeliveryMode.EXTINT << 8 : LVT_MASKED,
    lvtLint1: LVT_MASKED,
    lvtError: LVT_MASKED,
    initialCount: 0,
    divide: 0,
    loadTime: 0,
    tscDeadline: 0n,
    extInt: false,
    lint0: false,
    lint1: false,
  };
}

export class LocalApic implements MmioDevice, Snapshotable {
  private s: State;
  private readonly timer: Timer;
  /** Globally enabled (IA32_APIC_BASE bit 11). */
  enabled = true;
  /** Guest-physical address of the register page, -1 if disabled or above 4 GiB. */
  address = APIC_DEFAULT_BASE;

  /**
   * @param index number of the CPU; 0 is the boot processor. Also the initial APIC ID
   * @param tscFrequency Hz
   * @param onChange called after every change that may alter interruptRequest()
   */
  constructor(
    readonly index: number,
    private readonly clock: Clock,
    private readonly bus: ApicBus,
    private readonly cpu: CpuPort,
    private readonly tscFrequency: number,
    private readonly onChange: () => void,
    /** Bits of a physical address. */
    private readonly physicalBits = 40,
  ) {
    this.s = resetState(index, this.resetBase());
    this.timer = clock.timer(`local-apic-${index}`, () => this.timerExpired());
    bus.apics.push(this);
  }

  private resetBase(): bigint {
    return BigInt(APIC_DEFAULT_BASE) | BASE_ENABLE | (this.index === 0 ? BASE_BSP : 0n);
  }

  reset(): void {
    const { lint0, lint1 } = this.s;
    this.s = { ...resetState(this.index, this.resetBase()), lint0, lint1 };
    this.baseChanged();
    this.timer.disarm();
    this.onChange();
  }

  /** INIT: as reset, but ID and base stay. */
  private initReset(): void {
    const { base, id, lint0, lint1 } = this.s;
    this.s = { ...resetState(this.index, base), id, lint0, lint1 };
    this.timer.disarm();
    this.onChange();
  }

  // Base register

  /** IA32_APIC_BASE. */
  get base(): bigint {
    return this.s.base;
  }

  /** Write IA32_APIC_BASE; false for a value that must raise #GP. */
  writeBase(value: bigint): boolean {
    const valid = ((1n << BigInt(this.physicalBits)) - 1n) & ~0xfffn;
    if (value & ~(valid | BASE_ENABLE | BASE_BSP) || value & BASE_EXTD) return false;
    const wasEnabled = this.enabled;
    this.s.base = (value & ~BASE_BSP) | (this.s.base & BASE_BSP);
    this.baseChanged();
    // Once disabled, the APIC comes back as after power-on.
    if (wasEnabled && !this.enabled) this.initReset();
    else this.onChange();
    return true;
  }

  /** `enabled` and `address` are asked for at every access: they are kept as plain values. */
  private baseChanged(): void {
    const { base } = this.s;
    this.enabled = (base & BASE_ENABLE) !== 0n;
    this.address = this.enabled && base >> 32n === 0n ? Number(base & 0xfffff000n) : -1;
  }

  /** Enabled by software (SVR bit 8). */
  get accepts(): boolean {
    return this.enabled && (this.s.svr & SVR_ENABLE) !== 0;
  }

  get id(): number {
    return this.s.id;
  }

  // Priorities

  /** Processor priority register. */
  get ppr(): number {
    const s = this.s;
    const inService = highest(s.isr);
    const isrClass = inService < 0 ? 0 : inService & 0xf0;
    return (s.tpr & 0xf0) >= isrClass ? s.tpr : isrClass;
  }

  /** CR8: the task priority's class. */
  get cr8(): number {
    return this.s.tpr >> 4;
  }

  set cr8(value: number) {
    this.writeTpr((value & 0xf) << 4);
  }

  private writeTpr(value: number): void {
    this.s.tpr = value;
    this.onChange();
  }

  /** Vector that the CPU should take now, or -1. */
  interruptRequest(): number {
    if (!this.accepts) return -1;
    const vector = highest(this.s.irr);
    return vector >= 0 && (vector & 0xf0) > (this.ppr & 0xf0) ? vector : -1;
  }

  /** Whether this CPU takes interrupts of the 8259 while its INTR is up: APIC off, LINT0 as ExtINT, or an ExtINT message. */
  acceptsPic(): boolean {
    if (!this.enabled) return this.index === 0;
    const lint0 = this.s.lvtLint0;
    return (!(lint0 & LVT_MASKED) && ((lint0 >> 8) & 7) === DeliveryMode.EXTINT) || this.s.extInt;
  }

  /** The CPU takes the interrupt: IRR to ISR. Returns the vector, -1 if there is none. */
  acknowledge(): number {
    const vector = this.interruptRequest();
    if (vector < 0) return -1;
    clearBit(this.s.irr, vector);
    setBit(this.s.isr, vector);
    this.onChange();
    return vector;
  }

  /** The CPU took a vector from the 8259. */
  picAcknowledged(): void {
    this.s.extInt = false;
  }

  private endOfInterrupt(): void {
    const vector = highest(this.s.isr);
    if (vector < 0) return;
    clearBit(this.s.isr, vector);
    if (test(this.s.tmr, vector)) this.bus.onEoi(vector);
    this.onChange();
  }

  // Messages

  isAddressed(destination: number, logical: boolean): boolean {
    const s = this.s;
    if (!logical) return destination === 0xff || destination === s.id;
    if (destination === 0xff) return true;
    const ldr = s.ldr >>> 24;
    if (s.dfr >>> 28 === 0xf) return (ldr & destination) !== 0;
    if (s.dfr >>> 28 === 0) return ldr >> 4 === destination >> 4 && (ldr & destination & 15) !== 0;
    return false;
  }

  /** A message has come for this APIC. */
  receive(mode: number, vector: number, level: boolean): void {
    switch (mode) {
      case DeliveryMode.FIXED:
      case DeliveryMode.LOWEST:
        this.setInterrupt(vector, level);
        break;
      case DeliveryMode.NMI:
        this.cpu.nmi();
        break;
      case DeliveryMode.INIT:
        this.initReset();
        this.cpu.init();
        break;
      case DeliveryMode.STARTUP:
        this.cpu.sipi(vector);
        break;
      case DeliveryMode.EXTINT:
        this.s.extInt = true;
        this.onChange();
        break;
      // SMI: this machine has no system management mode, and nothing that its firmware would do there.
    }
  }

  private setInterrupt(vector: number, level: boolean): void {
    if (!this.accepts) return;
    if (vector < 16) {
      this.error(ESR_RECEIVE_ILLEGAL);
      return;
    }
    setBit(this.s.irr, vector);
    if (level) setBit(this.s.tmr, vector);
    else clearBit(this.s.tmr, vector);
    this.onChange();
  }

  private error(bits: number): void {
    const s = this.s;
    const fresh = (s.errors | bits) !== s.errors;
    s.errors |= bits;
    // An error of the error vector itself must not go round in circles.
    if (fresh && (s.lvtError & 0xff) >= 16) this.deliverLocal(s.lvtError);
  }

  /** Deliver a local interrupt as its LVT entry says. */
  private deliverLocal(lvt: number): void {
    if (lvt & LVT_MASKED || !this.enabled) return;
    this.receive((lvt >> 8) & 7, lvt & 0xff, false);
  }

  /** INT of the 8259 pair, wired to LINT0 of all CPUs. */
  setLint0(level: boolean): void {
    const s = this.s;
    const rising = level && !s.lint0;
    s.lint0 = level;
    const lvt = s.lvtLint0;
    if (lvt & LVT_MASKED) return;
    if (((lvt >> 8) & 7) === DeliveryMode.FIXED && lvt & LVT_LEVEL) {
      if (level) this.setInterrupt(lvt & 0xff, true);
      else {
        clearBit(s.irr, lvt & 0xff);
        this.onChange();
      }
    } else if (((lvt >> 8) & 7) !== DeliveryMode.EXTINT && rising) {
      this.deliverLocal(lvt);
    }
  }

  /** The NMI line, wired to LINT1 of all CPUs. */
  setLint1(level: boolean): void {
    const rising = level && !this.s.lint1;
    this.s.lint1 = level;
    if (rising) {
      if (this.enabled) this.deliverLocal(this.s.lvtLint1);
      else this.cpu.nmi();
    }
  }

  private sendIpi(): void {
    const { icrLow, icrHigh } = this.s;
    const mode = (icrLow >> 8) & 7;
    const vector = icrLow & 0xff;
    const level = (icrLow & ICR_LEVEL_TRIGGER) !== 0;
    // INIT level de-assert only synchronises arbitration IDs, which this bus has no use for.
    if (mode === DeliveryMode.INIT && level && !(icrLow & ICR_LEVEL_ASSERT)) return;
    if ((mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST) && vector < 16) {
      this.error(ESR_SEND_ILLEGAL);
      return;
    }
    const message = { destination: icrHigh >>> 24, logical: (icrLow & ICR_LOGICAL) !== 0, mode, vector, level: false };
    switch ((icrLow >> 18) & 3) {
      case 0:
        this.bus.deliver(message);
        break;
      case 1:
        this.bus.deliverTo([this], message);
        break;
      case 2:
        this.bus.deliverTo(this.bus.apics, message);
        break;
      case 3:
        this.bus.deliverTo(
          this.bus.apics.filter((apic) => apic !== this),
          message,
        );
        break;
    }
  }

  // Timer

  /** log2 of the divider. */
  private get shift(): number {
    const divide = this.s.divide;
    return ((((divide >> 1) & 4) | (divide & 3)) + 1) & 7;
  }

  private get timerMode(): number {
    return this.s.lvtTimer & LVT_TIMER_MODE;
  }

  private currentCount(): number {
    const s = this.s;
    if (s.initialCount === 0 || this.timerMode === TIMER_TSC_DEADLINE) return 0;
    const counts = Math.floor((this.clock.now() - s.loadTime) / 2 ** this.shift);
    if (this.timerMode === TIMER_PERIODIC) return s.initialCount - (counts % s.initialCount);
    return Math.max(0, s.initialCount - counts);
  }

  private startTimer(): void {
    const s = this.s;
    s.loadTime = this.clock.now();
    if (s.initialCount === 0) this.timer.disarm();
    else this.timer.arm(s.loadTime + s.initialCount * 2 ** this.shift);
  }

  private timerExpired(): void {
    const s = this.s;
    if (this.timerMode === TIMER_TSC_DEADLINE) {
      // The deadline was rounded to nanoseconds.
      if (this.cpu.tsc() < s.tscDeadline) {
        this.armTscDeadline();
        return;
      }
      s.tscDeadline = 0n;
    } else if (this.timerMode === TIMER_PERIODIC) {
      const period = s.initialCount * 2 ** this.shift;
      // Periods that nobody could see are left out.
      s.loadTime += Math.max(1, Math.floor((this.clock.now() - s.loadTime) / period)) * period;
      this.timer.arm(s.loadTime + period);
    }
    if (!(s.lvtTimer & LVT_MASKED)) this.setInterrupt(s.lvtTimer & 0xff, false);
  }

  private armTscDeadline(): void {
    const deadline = this.s.tscDeadline;
    if (deadline === 0n) {
      this.timer.disarm();
      return;
    }
    const cycles = Number(deadline - this.cpu.tsc());
    const now = this.clock.now();
    this.timer.arm(cycles <= 0 ? now : now + Math.max(1, Math.ceil((cycles * 1e9) / this.tscFrequency)));
    // A deadline in the past fires at once, not when the clock is next looked at.
    if (cycles <= 0) {
      this.timer.disarm();
      this.timerExpired();
    }
  }

  /** IA32_TSC_DEADLINE. */
  get tscDeadline(): bigint {
    return this.timerMode === TIMER_TSC_DEADLINE ? this.s.tscDeadline : 0n;
  }

  set tscDeadline(value: bigint) {
    if (this.timerMode !== TIMER_TSC_DEADLINE) return;
    this.s.tscDeadline = value;
    this.armTscDeadline();
  }

  private writeLvtTimer(value: number): void {
    const s = this.s;
    const before = this.timerMode;
    s.lvtTimer = this.lvt(value, 0x700ff);
    if (this.timerMode === before) return;
    // Changing to or from TSC-deadline mode disarms the timer.
    if (before === TIMER_TSC_DEADLINE || this.timerMode === TIMER_TSC_DEADLINE) {
      s.tscDeadline = 0n;
      s.initialCount = 0;
      this.timer.disarm();
    } else if (s.initialCount) {
      // The count goes on, under the other mode.
      const count = this.currentCount();
      if (count && this.timer.deadline === Infinity) this.timer.arm(this.clock.now() + count * 2 ** this.shift);
    }
  }

  /** An LVT value as it is stored: masked while the APIC is disabled by software. */
  private lvt(value: number, writable: number): number {
    const stored = value & writable;
    return this.s.svr & SVR_ENABLE ? stored : stored | LVT_MASKED;
  }

  private writeSvr(value: number): void {
    const s = this.s;
    s.svr = value & (SVR_ENABLE | SVR_FOCUS | 0xff);
    if (!(s.svr & SVR_ENABLE)) {
      s.lvtTimer |= LVT_MASKED;
      s.lvtThermal |= LVT_MASKED;
      s.lvtPerformance |= LVT_MASKED;
      s.lvtLint0 |= LVT_MASKED;
      s.lvtLint1 |= LVT_MASKED;
      s.lvtError |= LVT_MASKED;
    }
    this.onChange();
  }

  // Registers

  readMmio(offset: number, _size: AccessSize): number {
    // Registers are 32 bits on boundaries of 16 bytes; reading a part of one is undefined, here it gives that part.
    if (offset & 0xc) return 0;
    return this.readRegister(offset & 0xff0) >>> ((offset & 3) * 8);
  }

  private readRegister(register: number): number {
    const s = this.s;
    switch (register) {
      case APIC_ID:
        return (s.id << 24) >>> 0;
      case APIC_VERSION:
        return VERSION;
      case APIC_TPR:
        return s.tpr;
      case APIC_APR:
      case APIC_RRD:
      case APIC_EOI:
        return 0;
      case APIC_PPR:
        return this.ppr;
      case APIC_LDR:
        return s.ldr;
      case APIC_DFR:
        return s.dfr;
      case APIC_SVR:
        return s.svr;
      case APIC_ESR:
        return s.esr;
      case APIC_ICR_LOW:
        return s.icrLow;
      case APIC_ICR_HIGH:
        return s.icrHigh;
      case APIC_LVT_TIMER:
        return s.lvtTimer;
      case APIC_LVT_THERMAL:
        return s.lvtThermal;
      case APIC_LVT_PERFORMANCE:
        return s.lvtPerformance;
      case APIC_LVT_LINT0:
        return s.lvtLint0;
      case APIC_LVT_LINT1:
        return s.lvtLint1;
      case APIC_LVT_ERROR:
        return s.lvtError;
      case APIC_INITIAL_COUNT:
        return s.initialCount;
      case APIC_CURRENT_COUNT:
        return this.currentCount();
      case APIC_DIVIDE:
        return s.divide;
    }
    if (register >= APIC_ISR && register < APIC_TMR) return s.isr[(register - APIC_ISR) >> 4];
    if (register >= APIC_TMR && register < APIC_IRR) return s.tmr[(register - APIC_TMR) >> 4];
    if (register >= APIC_IRR && register < APIC_ESR) return s.irr[(register - APIC_IRR) >> 4];
    this.error(ESR_ILLEGAL_REGISTER);
    return 0;
  }

  writeMmio(offset: number, _size: AccessSize, value: number): void {
    const s = this.s;
    if (offset & 0xf) return;
    switch (offset & 0xff0) {
      case APIC_EOI:
        this.endOfInterrupt();
        break;
      case APIC_INITIAL_COUNT:
        if (this.timerMode === TIMER_TSC_DEADLINE) break;
        s.initialCount = value;
        this.startTimer();
        break;
      case APIC_ICR_LOW:
        s.icrLow = value & 0x000ccfff;
        this.sendIpi();
        break;
      case APIC_ICR_HIGH:
        s.icrHigh = (value & 0xff000000) >>> 0;
        break;
      case APIC_TPR:
        this.writeTpr(value & 0xff);
        break;
      case APIC_ID:
        s.id = value >>> 24;
        break;
      case APIC_LDR:
        s.ldr = (value & 0xff000000) >>> 0;
        break;
      case APIC_DFR:
        s.dfr = (value | 0x0fffffff) >>> 0;
        break;
      case APIC_SVR:
        this.writeSvr(value);
        break;
      case APIC_ESR:
        s.esr = s.errors;
        s.errors = 0;
        break;
      case APIC_LVT_TIMER:
        this.writeLvtTimer(value);
        break;
      case APIC_LVT_THERMAL:
        s.lvtThermal = this.lvt(value, 0x107ff);
        break;
      case APIC_LVT_PERFORMANCE:
        s.lvtPerformance = this.lvt(value, 0x107ff);
        break;
      case APIC_LVT_LINT0: {
        s.lvtLint0 = this.lvt(value, LVT_MASKED | LVT_LEVEL | LVT_LOW_ACTIVE | 0x7ff);
        // A level that was there already counts now.
        if (s.lint0 && s.lvtLint0 & LVT_LEVEL) this.setLint0(true);
        this.onChange();
        break;
      }
      case APIC_LVT_LINT1:
        s.lvtLint1 = this.lvt(value, LVT_MASKED | LVT_LEVEL | LVT_LOW_ACTIVE | 0x7ff);
        break;
      case APIC_LVT_ERROR:
        s.lvtError = this.lvt(value, 0x100ff);
        break;
      case APIC_DIVIDE: {
        const count = this.currentCount();
        s.divide = value & 0xb;
        // The rest of the count goes on at the new rate.
        if (count && this.timerMode !== TIMER_TSC_DEADLINE) {
          s.loadTime = this.clock.now() - (s.initialCount - count) * 2 ** this.shift;
          this.timer.arm(s.loadTime + s.initialCount * 2 ** this.shift);
        }
        break;
      }
      case APIC_VERSION:
      case APIC_APR:
      case APIC_PPR:
      case APIC_RRD:
      case APIC_CURRENT_COUNT:
        break; // read-only
      default:
        if (offset >= APIC_ISR && offset < APIC_ESR) break;
        this.error(ESR_ILLEGAL_REGISTER);
    }
  }

  save(): State & { deadline: number } {
    return structuredClone({ ...this.s, deadline: this.timer.deadline });
  }

  load(state: unknown): void {
    const { deadline, ...rest } = structuredClone(state as State & { deadline: number });
    this.s = rest;
    this.baseChanged();
    this.timer.arm(deadline);
    this.onChange();
  }
}

