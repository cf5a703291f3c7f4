// The PC's two cascaded programmable interrupt controllers.
// Intel 8259A datasheet (231468); edge/level registers ELCR: 82371SB (PIIX) datasheet, section 2.5.10.

import type { AccessSize, IrqLine, PortDevice, Snapshotable } from './interfaces.ts';

export const MASTER_COMMAND = 0x20;
export const MASTER_DATA = 0x21;
export const SLAVE_COMMAND = 0xa0;
export const SLAVE_DATA = 0xa1;
export const ELCR1 = 0x4d0;
export const ELCR2 = 0x4d1;

const ICW1 = 0x10;
const ICW1_IC4 = 0x01;
const ICW1_SNGL = 0x02;
const ICW1_LTIM = 0x08;
const ICW4_AEOI = 0x02;
const ICW4_SFNM = 0x10;
const OCW3 = 0x08;
const OCW3_RIS = 0x01;
const OCW3_RR = 0x02;
const OCW3_P = 0x04;
const OCW3_SMM = 0x20;
const OCW3_ESMM = 0x40;

/** Pin of the first controller to which the second one's INT is wired. */
const CASCADE = 2;

interface State {
  /** Levels of the eight pins. */
  pins: number;
  irr: number;
  isr: number;
  imr: number;
  /** Pins that are level-triggered. */
  elcr: number;
  /** ICW2: upper five bits of the vectors. */
  vectorBase: number;
  /** The pin of highest priority; the others follow in a circle. */
  highest: number;
  /** Initialisation word expected next at the data port: 0 for none, or 2, 3, 4. */
  expectedIcw: number;
  icw4Expected: boolean;
  single: boolean;
  levelTriggered: boolean;
  autoEoi: boolean;
  rotateOnAutoEoi: boolean;
  specialFullyNested: boolean;
  specialMask: boolean;
  readIsr: boolean;
  poll: boolean;
}

function powerOnState(): State {
  return {
    pins: 0,
    irr: 0,
    isr: 0,
    imr: 0,
    elcr: 0,
    vectorBase: 0,
    highest: 0,
    expectedIcw: 0,
    icw4Expected: false,
    single: false,
    levelTriggered: false,
    autoEoi: false,
    rotateOnAutoEoi: false,
    specialFullyNested: false,
    specialMask: false,
    readIsr: false,
    poll: false,
  };
}

/** One 8259A. */
class Chip {
  s = powerOnState();
  /** Level of the INT output. */
  output = false;
  /** How often each pin went up, for the user. */
  readonly counts = new Uint32Array(8);

  constructor(
    private readonly master: boolean,
    /** Pins that ELCR may make level-triggered. */
    readonly elcrMask: number,
    private readonly onOutput: (level: boolean) => void,
  ) {}

  private isLevel(bit: number): boolean {
    return this.s.levelTriggered || (this.s.elcr & bit) !== 0;
  }

  setPin(pin: number, level: boolean): void {
    const s = this.s;
    const bit = 1 << pin;
    if (level && !(s.pins & bit)) this.counts[pin]++;
    if (this.isLevel(bit)) {
      if (level) s.irr |= bit;
      else s.irr &= ~bit;
    } else if (level) {
      if (!(s.pins & bit)) s.irr |= bit;
    } else {
      // The request must stay until it is acknowledged; one that goes away early ends as a spurious IRQ7.
      s.irr &= ~bit;
    }
    s.pins = level ? s.pins | bit : s.pins & ~bit;
    this.update();
  }

  /** Priority (0 the highest) of the most important set bit, 8 if there is none. */
  private priority(mask: number): number {
    if (mask === 0) return 8;
    let priority = 0;
    while (!(mask & (1 << ((priority + this.s.highest) & 7)))) priority++;
    return priority;
  }

  /** The pin whose request should interrupt now, or -1. */
  request(): number {
    const s = this.s;
    const priority = this.priority(s.irr & ~s.imr);
    if (priority === 8) return -1;
    let inService = s.isr;
    // Special mask mode: levels in service that are masked don't inhibit others.
    if (s.specialMask) inService &= ~s.imr;
    // Special fully nested mode: the slave may interrupt its own service.
    if (s.specialFullyNested && this.master) inService &= ~(1 << CASCADE);
    return priority < this.priority(inService) ? (priority + s.highest) & 7 : -1;
  }

  update(): void {
    const level = this.request() >= 0;
    if (level !== this.output) {
      this.output = level;
      this.onOutput(level);
    }
  }

  /** INTA for the given pin. */
  acknowledgePin(pin: number): void {
    const s = this.s;
    const bit = 1 << pin;
    if (!this.isLevel(bit)) s.irr &= ~bit;
    if (!s.autoEoi) s.isr |= bit;
    else if (s.rotateOnAutoEoi) s.highest = (pin + 1) & 7;
    this.update();
  }

  /** ICW1 and power-on. */
  private initialise(value: number): void {
    const { elcr, pins } = this.s;
    this.s = {
      ...powerOnState(),
      elcr,
      pins,
      expectedIcw: 2,
      icw4Expected: (value & ICW1_IC4) !== 0,
      single: (value & ICW1_SNGL) !== 0,
      levelTriggered: (value & ICW1_LTIM) !== 0,
    };
    // The edge sense circuit is reset: a pin needs a new rising edge. Level requests stand as long as their pins.
    this.s.irr = this.s.levelTriggered ? pins : pins & elcr;
    this.update();
  }

  reset(): void {
    const { pins } = this.s;
    this.s = { ...powerOnState(), pins };
    this.update();
  }

  writeCommand(value: number): void {
    const s = this.s;
    if (value & ICW1) {
      this.initialise(value);
    } else if (value & OCW3) {
      if (value & OCW3_P) s.poll = true;
      if (value & OCW3_RR) s.readIsr = (value & OCW3_RIS) !== 0;
      if (value & OCW3_ESMM) {
        s.specialMask = (value & OCW3_SMM) !== 0;
        this.update();
      }
    } else {
      this.operate(value >> 5, value & 7);
    }
  }

  /** OCW2: R, SL and EOI in `command`. */
  private operate(command: number, level: number): void {
    const s = this.s;
    switch (command) {
      case 0: // rotate in AEOI mode: clear
        s.rotateOnAutoEoi = false;
        break;
      case 4: // rotate in AEOI mode: set
        s.rotateOnAutoEoi = true;
        break;
      case 1: // non-specific EOI
      case 5: {
        // rotate on non-specific EOI
        const priority = this.priority(s.isr);
        if (priority !== 8) {
          const pin = (priority + s.highest) & 7;
          s.isr &= ~(1 << pin);
          if (command === 5) s.highest = (pin + 1) & 7;
        }
        break;
      }
      case 3: // specific EOI
        s.isr &= ~(1 << level);
        break;
      case 7: // rotate on specific EOI
        s.isr &= ~(1 << level);
        s.highest = (level + 1) & 7;
        break;
      case 6: // set priority
        s.highest = (level + 1) & 7;
        break;
      // 2: no operation
    }
    this.update();
  }

  writeData(value: number): void {
    const s = this.s;
    switch (s.expectedIcw) {
      case 0:
        s.imr = value;
        this.update();
        break;
      case 2:
        s.vectorBase = value & 0xf8;
        s.expectedIcw = !s.single ? 3 : s.icw4Expected ? 4 : 0;
        break;
      case 3: // the cascade is wired as it is
        s.expectedIcw = s.icw4Expected ? 4 : 0;
        break;
      case 4:
        s.specialFullyNested = (value & ICW4_SFNM) !== 0;
        s.autoEoi = (value & ICW4_AEOI) !== 0;
        s.expectedIcw = 0;
        this.update();
        break;
    }
  }

  /** A read after the poll command acts as INTA: bit 7 and the pin number, or 0. */
  private pollRead(): number {
    const pin = this.request();
    this.s.poll = false;
    if (pin < 0) return 0;
    this.acknowledgePin(pin);
    return 0x80 | pin;
  }

  readCommand(): number {
    if (this.s.poll) return this.pollRead();
    return this.s.readIsr ? this.s.isr : this.s.irr;
  }

  readData(): number {
    return this.s.poll ? this.pollRead() : this.s.imr;
  }

  writeElcr(value: number): void {
    const s = this.s;
    s.elcr = value & this.elcrMask;
    s.irr |= s.pins & s.elcr;
    this.update();
  }
}

/** Both controllers. */
export class I8259 implements PortDevice, Snapshotable {
  private readonly master: Chip;
  private readonly slave: Chip;

  /** @param intr the INT output of the first controller */
  constructor(intr: IrqLine) {
    this.master = new Chip(true, 0xf8, (level) => intr.set(level));
    this.slave = new Chip(false, 0xde, (level) => this.master.setPin(CASCADE, level));
  }

  /** Level of the INT output. */
  get intr(): boolean {
    return this.master.output;
  }

  /** Set the level of interrupt request 0-15; 2 is the cascade and not wired to any device. */
  setIrq(irq: number, level: boolean): void {
    if (irq >= 8) this.slave.setPin(irq - 8, level);
    else if (irq !== CASCADE) this.master.setPin(irq, level);
  }

  /** The interrupt acknowledge cycle: returns the vector. With no request left it is the spurious one, IRQ7's or IRQ15's. */
  acknowledge(): number {
    const pin = this.master.request();
    if (pin < 0) return this.master.s.vectorBase + 7;
    if (pin !== CASCADE) {
      this.master.acknowledgePin(pin);
      return this.master.s.vectorBase + pin;
    }
    const slavePin = this.slave.request();
    this.master.acknowledgePin(CASCADE);
    if (slavePin < 0) return this.slave.s.vectorBase + 7;
    this.slave.acknowledgePin(slavePin);
    return this.slave.s.vectorBase + slavePin;
  }

  /** Whether IRQ n is level-triggered. */
  isLevelTriggered(irq: number): boolean {
    return irq < 8 ? (this.master.s.elcr & (1 << irq)) !== 0 : (this.slave.s.elcr & (1 << (irq - 8))) !== 0;
  }

  readPort(port: number, _size: AccessSize): number {
    switch (port) {
      case MASTER_COMMAND:
        return this.master.readCommand();
      case MASTER_DATA:
        return this.master.readData();
      case SLAVE_COMMAND:
        return this.slave.readCommand();
      case SLAVE_DATA:
        return this.slave.readData();
      case ELCR1:
        return this.master.s.elcr;
      case ELCR2:
        return this.slave.s.elcr;
    }
    return 0xff;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    switch (port) {
      case MASTER_COMMAND:
        return this.master.writeCommand(value);
      case MASTER_DATA:
        return this.master.writeData(value);
      case SLAVE_COMMAND:
        return this.slave.writeCommand(value);
      case SLAVE_DATA:
        return this.slave.writeData(value);
      case ELCR1:
        return this.master.writeElcr(value);
      case ELCR2:
        return this.slave.writeElcr(value);
    }
  }

  reset(): void {
    this.slave.reset();
    this.master.reset();
  }

  /** How often each of the 16 interrupts was raised since power-on; 2 is the slave's. */
  get counts(): number[] {
    return [...this.master.counts, ...this.slave.counts];
  }

  save(): { master: State; slave: State } {
    return structuredClone({ master: this.master.s, slave: this.slave.s });
  }

  load(state: unknown): void {
    const { master, slave } = structuredClone(state as { master: State; slave: State });
    this.slave.s = slave;
    this.slave.output = this.slave.request() >= 0;
    this.master.s = master;
    this.master.update();
  }
}
