// I/O APIC with 24 pins.
// Intel 82093AA datasheet (290566); version 20h's EOI register as in the 82801 (ICH) datasheets, and as QEMU has it.

import type { AccessSize, MmioDevice, Snapshotable } from './interfaces.ts';
import { type ApicBus, DeliveryMode } from './local-apic.ts';

export const IOAPIC_ADDRESS = 0xfec00000;

export const IOREGSEL = 0x00;
export const IOWIN = 0x10;
export const EOI = 0x40;

export const IOAPICID = 0x00;
export const IOAPICVER = 0x01;
export const IOAPICARB = 0x02;
export const IOREDTBL = 0x10;

export const PINS = 24;
export const VERSION = 0x20;

const VECTOR = 0xff;
const DESTMOD = 0x800;
const DELIVERY_STATUS = 0x1000;
const REMOTE_IRR = 0x4000;
const TRIGGER_LEVEL = 0x8000;
const MASKED = 0x10000;

interface State {
  select: number;
  id: number;
  /** Redirection entries: low words and high words. */
  low: Uint32Array;
  high: Uint32Array;
  /** Levels of the pins, and requests that wait. */
  pins: number;
  irr: number;
}

export class IoApic implements MmioDevice, Snapshotable {
  private s = this.powerOn();
  /** How often each pin went up since power-on, for the user. */
  readonly counts = new Uint32Array(PINS);

  constructor(private readonly bus: ApicBus) {
    bus.onEoi = (vector) => this.endOfInterrupt(vector);
  }

  private powerOn(): State {
    return { select: 0, id: 0, low: new Uint32Array(PINS).fill(MASKED), high: new Uint32Array(PINS), pins: 0, irr: 0 };
  }

  reset(): void {
    const pins = this.s.pins;
    this.s = { ...this.powerOn(), pins };
  }

  /** Set the level of a pin; true is active, whatever polarity the entry gives, as on QEMU's pc. */
  setPin(pin: number, level: boolean): void {
    const s = this.s;
    const bit = 1 << pin;
    const was = (s.pins & bit) !== 0;
    s.pins = level ? s.pins | bit : s.pins & ~bit;
    if (level && !was) this.counts[pin]++;
    const low = s.low[pin];
    if (low & TRIGGER_LEVEL) {
      s.irr = level ? s.irr | bit : s.irr & ~bit;
      if (level) this.service(pin);
    } else if (level && !was && !(low & MASKED)) {
      // An edge at a masked pin is lost, says the datasheet.
      s.irr |= bit;
      this.service(pin);
    }
  }

  /** Send the pin's message if it has a request that may go. */
  private service(pin: number): void {
    const s = this.s;
    const bit = 1 << pin;
    const low = s.low[pin];
    if (!(s.irr & bit) || low & MASKED) return;
    const level = (low & TRIGGER_LEVEL) !== 0;
    if (level) {
      if (low & REMOTE_IRR) return;
    } else {
      s.irr &= ~bit;
    }
    const mode = (low >> 8) & 7;
    // Only fixed and lowest-priority interrupts have an EOI to wait for.
    const waits = level && (mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST);
    if (waits) s.low[pin] |= REMOTE_IRR;
    this.bus.deliver({ destination: s.high[pin] >>> 24, logical: (low & DESTMOD) !== 0, mode, vector: low & VECTOR, level: waits });
  }

  /** The EOI message of a local APIC, or a write to the EOI register. */
  private endOfInterrupt(vector: number): void {
    const s = this.s;
    for (let pin = 0; pin < PINS; pin++) {
      const low = s.low[pin];
      if ((low & VECTOR) !== vector || !(low & TRIGGER_LEVEL) || !(low & REMOTE_IRR)) continue;
      s.low[pin] &= ~REMOTE_IRR;
      this.service(pin);
    }
  }

  private readRegister(): number {
    const s = this.s;
    switch (s.select) {
      case IOAPICID:
      case IOAPICARB:
        return (s.id << 24) >>> 0;
      case IOAPICVER:
        return VERSION | ((PINS - 1) << 16);
    }
    const entry = s.select - IOREDTBL;
    if (entry < 0 || entry >= 2 * PINS) return 0;
    return entry & 1 ? s.high[entry >> 1] : s.low[entry >> 1];
  }

  private writeRegister(value: number): void {
    const s = this.s;
    if (s.select === IOAPICID) {
      s.id = (value >>> 24) & 0xf;
      return;
    }
    const entry = s.select - IOREDTBL;
    if (entry < 0 || entry >= 2 * PINS) return;
    const pin = entry >> 1;
    if (entry & 1) {
      s.high[pin] = (value & 0xff000000) >>> 0;
      return;
    }
    const before = s.low[pin];
    const readOnly = DELIVERY_STATUS | REMOTE_IRR;
    let low = (value & 0x1afff) | (before & readOnly);
    // An entry made edge-triggered has no EOI to wait for: Linux clears a stuck remote IRR this way.
    if (!(low & TRIGGER_LEVEL)) low &= ~REMOTE_IRR;
    s.low[pin] = low;
    const bit = 1 << pin;
    if (low & TRIGGER_LEVEL) s.irr = s.pins & bit ? s.irr | bit : s.irr & ~bit;
    else if (before & TRIGGER_LEVEL) s.irr &= ~bit;
    this.service(pin);
  }

  readMmio(offset: number, _size: AccessSize): number {
    switch (offset) {
      case IOREGSEL:
        return this.s.select;
      case IOWIN:
        return this.readRegister();
    }
    return 0;
  }

  writeMmio(offset: number, _size: AccessSize, value: number): void {
    switch (offset) {
      case IOREGSEL:
        this.s.select = value & 0xff;
        break;
      case IOWIN:
        this.writeRegister(value);
        break;
      case EOI:
        this.endOfInterrupt(value & 0xff);
        break;
    }
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
  }
}
