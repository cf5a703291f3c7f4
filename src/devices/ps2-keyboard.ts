// A PS/2 keyboard: its command protocol, and keys as scan codes of the set that the host chose, repeated while a key is held.
// IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101/102-key)".

import type { Clock, Timer } from './interfaces.ts';
import type { Ps2Device } from './i8042.ts';
import { type Key, KEYS, keyNamed } from './keys.ts';
import { SET2_TO_SET1 } from './scan-codes.ts';

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const ECHO = 0xee;
/** Identification of an MF2 keyboard. */
const ID = [0xab, 0x83];
/** Bytes of keys that the keyboard keeps while the host does not take them, and room for answers behind them. */
const BUFFER_SIZE = 256;
const ANSWERS_SIZE = 64;
/** 10.9 keys a second after half a second. */
const DEFAULT_TYPEMATIC = 0x2b;
/** Unit of the typematic rate, ns, and of its delay. */
const RATE_NS = 4_170_000;
const DELAY_NS = 250_000_000;

const PAUSE = keyNamed('pause')!;
/** The same key, by its two names. */
const PRINTS = [keyNamed('print')!, keyNamed('sysrq')!];
const SHIFTS = [keyNamed('shift')!, keyNamed('shift_r')!];
const CTRLS = [keyNamed('ctrl')!, keyNamed('ctrl_r')!];
const ALTS = [keyNamed('alt')!, keyNamed('alt_r')!];

interface State {
  queue: number[];
  /** Command that waits for its parameter, 0 for none. */
  command: number;
  scanning: boolean;
  leds: number;
  scanCodeSet: number;
  typematic: number;
  lastSent: number;
  /** Keys that are held, by number in KEYS. */
  held: number[];
  /** The key that repeats, -1 for none, and when it does next. */
  repeating: number;
  repeatAt: number;
}

const powerOn = (): State => ({
  queue: [], command: 0, scanning: true, leds: 0, scanCodeSet: 2, typematic: DEFAULT_TYPEMATIC, lastSent: 0, held: [], repeating: -1, repeatAt: 0,
});

export class Ps2Keyboard implements Ps2Device {
  private s = powerOn();
  private readonly timer: Timer;
  onData: () => void = () => {};

  constructor(private readonly clock: Clock) {
    this.timer = clock.timer('ps2-keyboard', (now) => this.repeat(now));
  }

  /** A key, by its number in KEYS, goes down or up. */
  key(number: number, down: boolean): void {
    const { s } = this;
    if (!KEYS[number]) return;
    s.held = s.held.filter((other) => other !== number);
    if (down) s.held.push(number);
    this.send(this.scanCodes(number, down));
    if (down && number !== PAUSE) {
      s.repeating = number;
      this.armRepeat(this.clock.now() + (1 + ((s.typematic >> 5) & 3)) * DELAY_NS);
    } else if (!down && number === s.repeating) {
      this.stopRepeat();
    }
  }

  /** Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
  get leds(): number {
    return this.s.leds;
  }

  /** The host has not yet taken all bytes. */
  get isBusy(): boolean {
    return this.s.queue.length > 0;
  }

  private repeat(now: number): void {
    const { s } = this;
    if (s.repeating < 0) return;
    // A host that does not read finds one repetition, not all.
    if (s.queue.length === 0) this.send(this.scanCodes(s.repeating, true));
    this.armRepeat(now + (8 + (s.typematic & 7)) * 2 ** ((s.typematic >> 3) & 3) * RATE_NS);
  }

  private armRepeat(at: number): void {
    this.s.repeatAt = at;
    this.timer.arm(at);
  }

  private stopRepeat(): void {
    this.s.repeating = -1;
    this.timer.disarm();
  }

  /** Dropped whole when the buffer is full or scanning is off. */
  private send(scanCodes: readonly number[]): void {
    const s = this.s;
    if (!s.scanning || s.queue.length + scanCodes.length > BUFFER_SIZE) return;
    s.queue.push(...scanCodes);
    this.onData();
  }

  private isHeld(keys: readonly number[]): boolean {
    return this.s.held.some((key) => keys.includes(key));
  }

  /** What the keyboard sends for a key in the chosen set. */
  private scanCodes(number: number, down: boolean): number[] {
    const key = KEYS[number];
    if (this.s.scanCodeSet === 3) return key.set3 === 0 ? [] : down ? [key.set3] : [0xf0, key.set3];
    const codes = this.set2(key, number, down);
    return this.s.scanCodeSet === 1 ? inSet1(codes) : codes;
  }

  private set2(key: Key, number: number, down: boolean): number[] {
    if (number === PAUSE) {
      // It has no release; with Ctrl it is Break.
      if (!down) return [];
      return this.isHeld(CTRLS) ? [0xe0, 0x7e, 0xe0, 0xf0, 0x7e] : [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77];
    }
    if (PRINTS.includes(number)) {
      // SysRq: the keyboard lets go of Alt for a moment, as in QEMU.
      for (const alt of ALTS) {
        if (!this.isHeld([alt])) continue;
        const again = [...this.set2(KEYS[alt], alt, false), ...this.set2(KEYS[alt], alt, true)];
        return down ? [...again, 0x84] : [0xf0, 0x84, ...again];
      }
      if (this.isHeld(SHIFTS) || this.isHeld(CTRLS)) return down ? [0xe0, 0x7c] : [0xe0, 0xf0, 0x7c];
      return down ? [0xe0, 0x12, 0xe0, 0x7c] : [0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12];
    }
    const prefix = key.set2 > 0xff ? [0xe0] : [];
    return down ? [...prefix, key.set2 & 0xff] : [...prefix, 0xf0, key.set2 & 0xff];
  }

  private reply(...bytes: number[]): void {
    if (this.s.queue.length + bytes.length <= BUFFER_SIZE + ANSWERS_SIZE) this.s.queue.push(...bytes);
    this.onData();
  }

  write(byte: number): void {
    const s = this.s;
    const command = s.command;
    s.command = 0;
    switch (command) {
      case 0xed:
        s.leds = byte & 7;
        this.reply(ACK);
        return;
      case 0xf0:
        if (byte === 0) this.reply(ACK, s.scanCodeSet);
        else if (byte <= 3) {
          s.scanCodeSet = byte;
          this.reply(ACK);
        } else this.reply(RESEND);
        return;
      case 0xf3:
        s.typematic = byte & 0x7f;
        this.reply(ACK);
        return;
    }
    switch (byte) {
      case 0xed:
      case 0xf0:
      case 0xf3:
        s.command = byte;
        this.reply(ACK);
        break;
      case 0xee:
        this.reply(ECHO);
        break;
      case 0xf2:
        this.reply(ACK, ...ID);
        break;
      case 0xf4: // enable
        s.queue = [];
        s.scanning = true;
        this.reply(ACK);
        break;
      case 0xf5: // defaults, and stop
      case 0xf6: // defaults
        s.queue = [];
        s.scanning = byte === 0xf6;
        s.scanCodeSet = 2;
        s.typematic = DEFAULT_TYPEMATIC;
        this.stopRepeat();
        this.reply(ACK);
        break;
      case 0xf7: // typematic and make/break settings of set 3: accepted, of no effect, as in QEMU
      case 0xf8:
      case 0xf9:
      case 0xfa:
        this.reply(ACK);
        break;
      case 0xfe:
        this.reply(s.lastSent);
        break;
      case 0xff:
        this.reset();
        this.reply(ACK, SELF_TEST_PASSED);
        break;
      default:
        this.reply(RESEND);
    }
  }

  read(): number {
    const byte = this.s.queue.shift();
    if (byte === undefined) return -1;
    this.s.lastSent = byte;
    return byte;
  }

  reset(): void {
    this.s = powerOn();
    this.timer.disarm();
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
    if (this.s.repeating >= 0) this.timer.arm(this.s.repeatAt);
    else this.timer.disarm();
  }
}

/** Codes of set 2 in set 1: F0h becomes bit 7 of what follows. */
function inSet1(codes: readonly number[]): number[] {
  const out: number[] = [];
  let release = 0;
  for (const code of codes) {
    if (code === 0xf0) release = 0x80;
    else if (code === 0xe0 || code === 0xe1) out.push(code);
    else {
      // The keys Lang1 and Lang2 are not in the table.
      out.push((code === 0xf1 || code === 0xf2 ? code & 0x7f : SET2_TO_SET1[code]) | release);
      release = 0;
    }
  }
  return out;
}
