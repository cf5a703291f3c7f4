// A PS/2 keyboard: its command protocol, and scan codes of set 2 on their way to the host.
// IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101/102-key)".

import type { Ps2Device } from './i8042.ts';

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const ECHO = 0xee;
/** Identification of an MF2 keyboard. */
const ID = [0xab, 0x83];
/** Bytes the keyboard keeps while the host does not take them. */
const BUFFER_SIZE = 256;

interface State {
  queue: number[];
  /** Command that waits for its parameter, 0 for none. */
  command: number;
  scanning: boolean;
  leds: number;
  scanCodeSet: number;
  typematic: number;
  lastSent: number;
}

const powerOn = (): State => ({ queue: [], command: 0, scanning: true, leds: 0, scanCodeSet: 2, typematic: 0x2b, lastSent: 0 });

export class Ps2Keyboard implements Ps2Device {
  private s = powerOn();
  onData: () => void = () => {};

  /** @param onLeds bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock */
  constructor(private readonly onLeds: (leds: number) => void = () => {}) {}

  /** Scan codes of a key that was pressed or released (set 2, with prefixes). Dropped whole when the buffer is full or scanning is off. */
  send(scanCodes: readonly number[]): void {
    const s = this.s;
    if (!s.scanning || s.queue.length + scanCodes.length > BUFFER_SIZE) return;
    s.queue.push(...scanCodes);
    this.onData();
  }

  private reply(...bytes: number[]): void {
    this.s.queue.push(...bytes);
    this.onData();
  }

  write(byte: number): void {
    const s = this.s;
    const command = s.command;
    s.command = 0;
    switch (command) {
      case 0xed:
        s.leds = byte & 7;
        this.onLeds(s.leds);
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
        s.typematic = 0x2b;
        this.reply(ACK);
        break;
      case 0xf7: // typematic and make/break settings of set 3: accepted, of no effect in set 2
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
    this.onLeds(0);
  }

  save(): State {
    return structuredClone(this.s);
  }

  load(state: unknown): void {
    this.s = structuredClone(state as State);
    this.onLeds(this.s.leds);
  }
}
