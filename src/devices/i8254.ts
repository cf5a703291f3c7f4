// The PC's interval timer, and port 61h, through which software gates its channel 2 and reads its output.
// Intel 8254 datasheet (231164); port 61h: 82371SB (PIIX) datasheet, section 2.5.5 (NMI status and control).
//
// A channel is not stepped: what it shows is computed from the clock, in periods of its CLK input, counted since power-on.

import type { AccessSize, Clock, IrqLine, PortDevice, Snapshotable, Timer } from './interfaces.ts';

export const COUNTER0 = 0x40;
export const COUNTER1 = 0x41;
export const COUNTER2 = 0x42;
export const CONTROL_WORD = 0x43;
export const PORT_B = 0x61;

/** CLK of all three channels, Hz. */
export const PIT_FREQUENCY = 1193182;

const PORT_B_GATE2 = 0x01;
const PORT_B_SPEAKER = 0x02;
/** Gate, speaker and the two NMI masks: what a write keeps. */
const PORT_B_WRITABLE = 0x0f;
const PORT_B_REFRESH = 0x10;
const PORT_B_OUT2 = 0x20;
/** Time between two toggles of the refresh bit, ns. */
const REFRESH_PERIOD = 15085;

/** CLK periods since power-on at a time in ns. */
function clockTicks(ns: number): number {
  return Math.floor((ns * PIT_FREQUENCY) / 1e9);
}

/** First time in ns at which clockTicks() gives this number. */
function tickTime(tick: number): number {
  let ns = Math.ceil((tick * 1e9) / PIT_FREQUENCY);
  while (clockTicks(ns) < tick) ns++;
  return ns;
}

interface ChannelState {
  mode: number;
  bcd: boolean;
  /** RW bits of the control word: 1 low byte, 2 high byte, 3 low then high. */
  access: number;
  gate: boolean;
  /** The count in force (1 to 65536), 0 before the first one. */
  count: number;
  /** A count that modes 2 and 3 load when the current period ends, or 1 and 5 at the next trigger; 0 for none. */
  nextCount: number;
  /** CLK tick at which the counting element got `count`; counting has not begun while it is Infinity. */
  start: number;
  /** Ticks counted when the gate stopped the counting; -1 while it runs. */
  stopped: number;
  /** Low byte written first, waiting for the high one; -1 for none. */
  lowByte: number;
  /** The next read gives the high byte. */
  readHigh: boolean;
  /** Latched count and status, -1 for none. */
  latchedCount: number;
  latchedStatus: number;
}

function powerOnChannel(gate: boolean): ChannelState {
  return {
    mode: 3,
    bcd: false,
    access: 3,
    gate,
    count: 0,
    nextCount: 0,
    start: Infinity,
    stopped: -1,
    lowByte: -1,
    readHigh: false,
    latchedCount: -1,
    latchedStatus: -1,
  };
}

class Channel {
  s: ChannelState;
  /** Tick at which nextCount was written. */
  private writeTick = 0;

  constructor(private readonly initialGate: boolean) {
    this.s = powerOnChannel(initialGate);
  }

  reset(): void {
    this.s = powerOnChannel(this.initialGate);
  }

  private get periodic(): boolean {
    return this.s.mode === 2 || this.s.mode === 3;
  }

  /** CLK ticks that the counting element has seen since it was loaded; -1 if not loaded. */
  private elapsed(tick: number): number {
    const s = this.s;
    if (s.stopped >= 0) return s.stopped;
    if (tick < s.start) return -1;
    return tick - s.start;
  }

  /** Take over a waiting count at the end of the period in which it was written. */
  private sync(tick: number): void {
    const s = this.s;
    if (!this.periodic || s.nextCount === 0 || s.stopped >= 0 || s.start === Infinity || tick < s.start) return;
    const periodStart = s.start + Math.floor((tick - s.start) / s.count) * s.count;
    if (periodStart > s.start && this.writeTick < periodStart) {
      // The period that ran when the count was written ended here, or periods ago.
      const first = s.start + (Math.floor((this.writeTick - s.start) / s.count) + 1) * s.count;
      s.start = first;
      s.count = s.nextCount;
      s.nextCount = 0;
    }
  }

  writeControl(value: number): void {
    const s = this.s;
    s.access = (value >> 4) & 3;
    s.mode = (value >> 1) & 7;
    if (s.mode > 5) s.mode -= 4;
    s.bcd = (value & 1) !== 0;
    s.count = 0;
    s.nextCount = 0;
    s.start = Infinity;
    s.stopped = -1;
    s.lowByte = -1;
    s.readHigh = false;
    s.latchedCount = -1;
    s.latchedStatus = -1;
  }

  write(value: number, tick: number): void {
    const s = this.s;
    this.sync(tick);
    switch (s.access) {
      case 1:
        this.loadCount(value, tick);
        break;
      case 2:
        this.loadCount(value << 8, tick);
        break;
      case 3:
        if (s.lowByte < 0) {
          s.lowByte = value;
          // Mode 0: the first byte stops the counting and sets OUT low.
          if (s.mode === 0) {
            s.start = Infinity;
            s.stopped = -1;
          }
        } else {
          this.loadCount((value << 8) | s.lowByte, tick);
          s.lowByte = -1;
        }
        break;
    }
  }

  private loadCount(raw: number, tick: number): void {
    const s = this.s;
    let count = raw;
    if (s.bcd) count = (raw >> 12) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15);
    if (count === 0) count = s.bcd ? 10000 : 65536;
    if (s.mode === 1 || s.mode === 5) {
      s.nextCount = count;
    } else if (this.periodic && s.start !== Infinity) {
      s.nextCount = count;
      this.writeTick = tick;
    } else {
      s.count = count;
      s.nextCount = 0;
      s.start = tick + 1;
      s.stopped = s.gate ? -1 : 0;
    }
  }

  setGate(level: boolean, tick: number): void {
    const s = this.s;
    if (s.gate === level) return;
    this.sync(tick);
    s.gate = level;
    switch (s.mode) {
      case 0:
      case 4:
        if (s.start === Infinity) return;
        if (!level) {
          s.stopped = Math.max(0, tick - s.start);
        } else if (s.stopped >= 0) {
          s.start = tick - s.stopped;
          s.stopped = -1;
        }
        break;
      case 2:
      case 3:
        if (s.start === Infinity) return;
        if (!level) {
          s.stopped = 0;
        } else {
          // A rising gate reloads the counter.
          if (s.nextCount) {
            s.count = s.nextCount;
            s.nextCount = 0;
          }
          s.start = tick + 1;
          s.stopped = -1;
        }
        break;
      case 1:
      case 5:
        if (!level) return;
        if (s.nextCount) {
          s.count = s.nextCount;
          s.nextCount = 0;
        }
        if (s.count) s.start = tick + 1;
        break;
    }
  }

  out(tick: number): boolean {
    const s = this.s;
    this.sync(tick);
    const elapsed = this.elapsed(tick);
    switch (s.mode) {
      case 0:
        return elapsed >= s.count && s.start !== Infinity;
      case 1:
        return s.start === Infinity || (elapsed >= 0 ? elapsed >= s.count : true);
      case 2:
        return elapsed < 0 || s.stopped >= 0 || elapsed % s.count !== s.count - 1;
      case 3:
        return elapsed < 0 || s.stopped >= 0 || elapsed % s.count < (s.count + 1) >> 1;
      default: // 4 and 5: low for one tick when the count has run out
        return elapsed !== s.count || s.start === Infinity;
    }
  }

  /** What the counting element holds. */
  private countAt(tick: number): number {
    const s = this.s;
    this.sync(tick);
    const elapsed = Math.max(0, this.elapsed(tick));
    const modulus = s.bcd ? 10000 : 65536;
    let value: number;
    switch (s.mode) {
      case 2:
        value = s.count ? s.count - (elapsed % s.count) : 0;
        break;
      case 3: {
        // Counts down by two, twice a period; an odd count starts one lower.
        const phase = s.count ? elapsed % s.count : 0;
        const half = (s.count + 1) >> 1;
        value = (s.count & ~1) - 2 * (phase < half ? phase : phase - half);
        if (value < 0) value = 0;
        break;
      }
      default: // one-shot modes go on counting down after the end
        value = s.start === Infinity ? s.count : s.count - elapsed;
    }
    value = ((value % modulus) + modulus) % modulus;
    if (!s.bcd) return value;
    return Math.floor(value / 1000) * 0x1000 + (Math.floor(value / 100) % 10) * 0x100 + (Math.floor(value / 10) % 10) * 0x10 + (value % 10);
  }

  latchCount(tick: number): void {
    if (this.s.latchedCount < 0) this.s.latchedCount = this.countAt(tick);
  }

  latchStatus(tick: number): void {
    const s = this.s;
    if (s.latchedStatus >= 0) return;
    const out = this.out(tick);
    const nullCount = s.start === Infinity || s.nextCount !== 0 || tick < s.start;
    s.latchedStatus = (out ? 0x80 : 0) | (nullCount ? 0x40 : 0) | (s.access << 4) | (s.mode << 1) | (s.bcd ? 1 : 0);
  }

  read(tick: number): number {
    const s = this.s;
    if (s.latchedStatus >= 0) {
      const status = s.latchedStatus;
      s.latchedStatus = -1;
      return status;
    }
    const value = s.latchedCount >= 0 ? s.latchedCount : this.countAt(tick);
    if (s.access === 1 || s.access === 2) {
      s.latchedCount = -1;
      return s.access === 1 ? value & 0xff : value >> 8;
    }
    if (!s.readHigh) {
      s.readHigh = true;
      return value & 0xff;
    }
    s.readHigh = false;
    s.latchedCount = -1;
    return value >> 8;
  }

  /** First tick after the given one at which OUT changes, Infinity if it never does. */
  nextChange(tick: number): number {
    const s = this.s;
    this.sync(tick);
    if (s.start === Infinity || s.stopped >= 0 || s.count === 0) return Infinity;
    if (tick < s.start) {
      // Modes 1: OUT falls when the count is loaded.
      if (s.mode === 1) return s.start;
      tick = s.start;
    }
    const elapsed = tick - s.start;
    switch (s.mode) {
      case 0:
      case 1:
        return elapsed < s.count ? s.start + s.count : Infinity;
      case 2:
      case 3: {
        const phase = elapsed % s.count;
        const period = tick - phase;
        const edge = s.mode === 2 ? s.count - 1 : (s.count + 1) >> 1;
        return phase < edge ? period + edge : period + s.count;
      }
      default:
        if (elapsed < s.count) return s.start + s.count;
        return elapsed === s.count ? s.start + s.count + 1 : Infinity;
    }
  }

  /** Ticks of a period in mode 2 or 3, 0 in others. */
  get period(): number {
    return this.periodic ? this.s.count : 0;
  }

  save(): { s: ChannelState; writeTick: number } {
    return { s: { ...this.s }, writeTick: this.writeTick };
  }

  load(state: { s: ChannelState; writeTick: number }): void {
    this.s = { ...state.s };
    this.writeTick = state.writeTick;
  }
}

interface State {
  channels: ReturnType<Channel['save']>[];
  portB: number;
}

/** The timer and port 61h. */
export class I8254 implements PortDevice, Snapshotable {
  private readonly channels = [new Channel(true), new Channel(true), new Channel(false)];
  private portB = 0;
  private readonly timer: Timer;
  /** Tick at which channel 0's timer is due. */
  private periodEnd = Infinity;

  /**
   * @param irq0 OUT of channel 0
   * @param onSpeaker called when the speaker's data bit or channel 2 changes: whether it sounds, and at which frequency (Hz)
   */
  constructor(
    private readonly clock: Clock,
    private readonly irq0: IrqLine,
    private readonly onSpeaker: (on: boolean, frequency: number) => void = () => {},
  ) {
    this.timer = clock.timer('i8254', () => this.update());
  }

  private tick(): number {
    return clockTicks(this.clock.now());
  }

  /** Bring IRQ0 to the level of OUT 0 and wait for its next change. */
  private update(): void {
    const channel = this.channels[0];
    const tick = this.tick();
    const out = channel.out(tick);
    if (channel.s.mode === 2) {
      // The low pulse of one tick is not waited for: it is shown together with its end, at which the interrupt is due.
      if (this.periodEnd <= tick) {
        this.irq0.set(false);
        this.irq0.set(true);
      } else {
        this.irq0.set(true);
      }
      let next = channel.nextChange(tick);
      if (next !== Infinity && !channel.out(next)) next++;
      this.periodEnd = next;
    } else {
      this.irq0.set(out);
      this.periodEnd = channel.nextChange(tick);
    }
    if (this.periodEnd === Infinity) this.timer.disarm();
    else this.timer.arm(tickTime(this.periodEnd));
  }

  private speakerChanged(): void {
    const period = this.channels[2].period;
    const on = (this.portB & (PORT_B_GATE2 | PORT_B_SPEAKER)) === (PORT_B_GATE2 | PORT_B_SPEAKER) && period > 0;
    this.onSpeaker(on, on ? PIT_FREQUENCY / period : 0);
  }

  readPort(port: number, _size: AccessSize): number {
    switch (port) {
      case COUNTER0:
      case COUNTER1:
      case COUNTER2:
        return this.channels[port - COUNTER0].read(this.tick());
      case PORT_B: {
        const now = this.clock.now();
        const refresh = Math.floor(now / REFRESH_PERIOD) & 1 ? PORT_B_REFRESH : 0;
        const out2 = this.channels[2].out(clockTicks(now)) ? PORT_B_OUT2 : 0;
        return this.portB | refresh | out2;
      }
    }
    // The control word register cannot be read; QEMU reads it as 0.
    return port === CONTROL_WORD ? 0 : 0xff;
  }

  writePort(port: number, _size: AccessSize, value: number): void {
    const tick = this.tick();
    switch (port) {
      case COUNTER0:
      case COUNTER1:
      case COUNTER2:
        this.channels[port - COUNTER0].write(value, tick);
        break;
      case CONTROL_WORD:
        this.writeControlWord(value, tick);
        break;
      case PORT_B:
        this.portB = value & PORT_B_WRITABLE;
        this.channels[2].setGate((value & PORT_B_GATE2) !== 0, tick);
        break;
    }
    if (port === COUNTER0 || port === CONTROL_WORD) this.update();
    if (port !== COUNTER0 && port !== COUNTER1) this.speakerChanged();
  }

  private writeControlWord(value: number, tick: number): void {
    const select = value >> 6;
    if (select === 3) {
      // Read-back command: bits 5 and 4 are active low.
      for (let i = 0; i < 3; i++) {
        if (!(value & (2 << i))) continue;
        if (!(value & 0x20)) this.channels[i].latchCount(tick);
        if (!(value & 0x10)) this.channels[i].latchStatus(tick);
      }
    } else if ((value & 0x30) === 0) {
      this.channels[select].latchCount(tick);
    } else {
      this.channels[select].writeControl(value);
      if (select === 0) this.periodEnd = Infinity;
    }
  }

  reset(): void {
    for (const channel of this.channels) channel.reset();
    this.portB = 0;
    this.periodEnd = Infinity;
    this.timer.disarm();
    this.irq0.set(false);
    this.speakerChanged();
  }

  save(): State & { periodEnd: number } {
    return { channels: this.channels.map((channel) => channel.save()), portB: this.portB, periodEnd: this.periodEnd };
  }

  load(state: unknown): void {
    const { channels, portB, periodEnd } = state as State & { periodEnd: number };
    channels.forEach((channel, i) => this.channels[i].load(channel));
    this.portB = portB;
    this.periodEnd = periodEnd;
    this.irq0.set(this.channels[0].s.mode === 2 || this.channels[0].out(this.tick()));
    this.timer.arm(periodEnd === Infinity ? Infinity : tickTime(periodEnd));
  }
}
