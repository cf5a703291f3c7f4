// What a user does to keyboard and mouse, on its way to the machine's devices. The page puts events into a bounded ring in the shared
// memory (InputSender); the machine worker takes them out before each slice and gives them to the devices (MachineInput), where the
// monitor's commands arrive too. Which device gets the pointer is decided as QEMU does: the guest's vmmouse driver, if it asked for
// events, else the PS/2 mouse.

import type { Clock, Timer } from '../devices/interfaces.ts';
import { KEYS, keyNamed, keyOfCode, usKey } from '../devices/keys.ts';
import type { Ps2Keyboard } from '../devices/ps2-keyboard.ts';
import type { Ps2Mouse } from '../devices/ps2-mouse.ts';
import type { VmPort } from '../devices/vmport.ts';
import { ByteRing, Control, ringDoorbell } from './protocol.ts';

export { KEYS, keyNamed, keyOfCode, usKey };

/** Mouse buttons by number, as the PS/2 mouse and the monitor's mouse_button have them in bits: 0 left, 1 right, 2 middle, 3 side, 4 extra. */
export const enum Button {
  LEFT = 0,
  RIGHT = 1,
  MIDDLE = 2,
  SIDE = 3,
  EXTRA = 4,
}

/** Where the pointer's absolute coordinates end: the right and the lower edge of the screen. */
export const POINTER_MAX = 0x7fff;

/** What the guest wants of the pointer: Control.POINTER. */
const enum Pointer {
  NONE = 0,
  ABSOLUTE = 1,
  RELATIVE = 2,
}

const enum Event {
  KEY = 1,
  MOVE_BY = 2,
  MOVE_TO = 3,
  BUTTON = 4,
  WHEEL = 5,
}

/** Bytes of an event in the ring: kind, down, then two signed words of 16 bits, low byte first, and two bytes of nothing. */
const EVENT_SIZE = 8;

/** Time between the events of keys that a program presses, ns, as QEMU's default hold time; and of typed text. */
const HOLD_NS = 100_000_000;
const TYPING_NS = 20_000_000;
/** Most characters of text that wait to be typed. */
export const MAX_TEXT = 1 << 16;
/** Most key events of programs that wait, as in QEMU. */
const MAX_QUEUE = 1024;

/** The user's side. */
export class InputSender {
  private readonly ring: ByteRing;
  private readonly words: Int32Array;

  constructor(private readonly buffer: ArrayBufferLike) {
    this.ring = new ByteRing(buffer, Control.INPUT_RING, Control.INPUT_RING_SIZE);
    this.words = new Int32Array(buffer, Control.POINTER, 2);
  }

  /** Does the guest take the pointer's place on the screen, so that it needs no capture? */
  get isAbsolute(): boolean {
    return Atomics.load(this.words, 0) === Pointer.ABSOLUTE;
  }

  /** Does the guest listen to movement? */
  get isMouseWanted(): boolean {
    return Atomics.load(this.words, 0) === Pointer.RELATIVE;
  }

  /** Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
  get leds(): number {
    return Atomics.load(this.words, 1);
  }

  /** A key by its number in KEYS. Every method is false when the machine has not taken what came before, and this is lost. */
  key(key: number, down: boolean): boolean {
    return this.send(Event.KEY, down, key, 0);
  }

  /** Counts, y downwards. */
  moveBy(dx: number, dy: number): boolean {
    return this.send(Event.MOVE_BY, false, dx, dy);
  }

  /** 0 to POINTER_MAX from the left and from the top. */
  moveTo(x: number, y: number): boolean {
    return this.send(Event.MOVE_TO, false, x, y);
  }

  button(button: Button, down: boolean): boolean {
    return this.send(Event.BUTTON, down, button, 0);
  }

  /** Steps, positive towards the user. */
  wheel(steps: number): boolean {
    return this.send(Event.WHEEL, false, steps, 0);
  }

  private send(kind: Event, down: boolean, a: number, b: number): boolean {
    if (this.ring.room < EVENT_SIZE) return false;
    this.ring.write(Uint8Array.of(kind, down ? 1 : 0, a & 0xff, (a >> 8) & 0xff, b & 0xff, (b >> 8) & 0xff, 0, 0));
    ringDoorbell(this.buffer);
    return true;
  }
}

/** The devices that input goes to. */
export interface InputDevices {
  keyboard: Ps2Keyboard;
  mouse: Ps2Mouse;
  vmport?: VmPort;
}

type Step = { key: number; down: boolean } | { wait: number };

/** The machine's side. */
export class MachineInput {
  private readonly ring: ByteRing;
  private readonly words: Int32Array;
  private readonly timer: Timer;
  private buttons = 0;
  /** Keys that a program presses, with the pauses between; and text that is to be typed when they are done. */
  private steps: Step[] = [];
  private text: string[] = [];
  private waiting = false;

  constructor(buffer: ArrayBufferLike, private readonly clock: Clock, private readonly devices: InputDevices) {
    this.ring = new ByteRing(buffer, Control.INPUT_RING, Control.INPUT_RING_SIZE);
    this.words = new Int32Array(buffer, Control.POINTER, 2);
    this.timer = clock.timer('input', () => {
      this.waiting = false;
      this.step();
    });
  }

  /** Take what the user has sent. */
  poll(): void {
    const { ring } = this;
    while (ring.available >= EVENT_SIZE) {
      const bytes = Array.from({ length: EVENT_SIZE }, () => ring.shift());
      const word = (at: number) => ((bytes[at] | (bytes[at + 1] << 8)) << 16) >> 16;
      const [kind, down] = bytes;
      if (kind === Event.KEY) this.key(word(2), down !== 0);
      else if (kind === Event.MOVE_BY) this.moveBy(word(2), word(4));
      else if (kind === Event.MOVE_TO) this.moveTo(word(2), word(4));
      else if (kind === Event.BUTTON) this.button(word(2) as Button, down !== 0);
      else if (kind === Event.WHEEL) this.wheel(word(2));
    }
    // The guest's wishes, for the user's side.
    const { vmport, mouse } = this.devices;
    const pointer = vmport?.mode === 'absolute' ? Pointer.ABSOLUTE : vmport?.mode === 'relative' || mouse.isEnabled ? Pointer.RELATIVE : Pointer.NONE;
    Atomics.store(this.words, 0, pointer);
    Atomics.store(this.words, 1, this.devices.keyboard.leds);
  }

  /** A key by its number in KEYS. */
  key(key: number, down: boolean): void {
    this.devices.keyboard.key(key, down);
  }

  /** Movement in counts, y downwards. */
  moveBy(dx: number, dy: number): void {
    const { vmport, mouse } = this.devices;
    if (vmport?.mode === 'relative') vmport.move(dx, dy);
    else mouse.move(dx, dy);
  }

  /** The pointer's place, 0 to POINTER_MAX. Lost where no device takes it. */
  moveTo(x: number, y: number): void {
    const { vmport } = this.devices;
    const inside = (value: number) => Math.max(0, Math.min(POINTER_MAX, value));
    if (vmport?.mode === 'absolute') vmport.move(inside(x), inside(y));
  }

  button(button: Button, down: boolean): void {
    this.setButtons(down ? this.buttons | (1 << button) : this.buttons & ~(1 << button));
  }

  /** All buttons at once, a bit each by their numbers. */
  setButtons(buttons: number): void {
    const { vmport, mouse } = this.devices;
    this.buttons = buttons & 0x1f;
    if (vmport && vmport.mode !== 'off') vmport.press(this.buttons);
    else mouse.press(this.buttons);
  }

  wheel(steps: number): void {
    const { vmport, mouse } = this.devices;
    if (vmport && vmport.mode !== 'off') vmport.wheel(steps);
    else mouse.move(0, 0, steps);
  }

  /**
   * Press keys one after another, hold them, and release them in the other order: QEMU's sendkey.
   * @param keys numbers in KEYS
   * @returns false if too many wait already
   */
  sendKeys(keys: readonly number[], holdNs = HOLD_NS): boolean {
    if (this.steps.length + 4 * keys.length > MAX_QUEUE) return false;
    for (const key of keys) this.steps.push({ key, down: true }, { wait: holdNs });
    for (const key of [...keys].reverse()) this.steps.push({ key, down: false }, { wait: holdNs });
    this.step();
    return true;
  }

  /**
   * Type a text on the keys of a US keyboard, as fast as programs in a BIOS keep up with.
   * @returns the characters that no key types, each once, and how many characters there was no room for; both are left out
   */
  type(text: string): { unknown: string[]; refused: number } {
    // Keys that came before it are in the ring: Ctrl and Shift of the paste go up first.
    this.poll();
    const all = [...text.replaceAll('\r\n', '\n').replaceAll('\r', '\n')];
    const known = all.filter((character) => usKey(character));
    const unknown = [...new Set(all.filter((character) => !usKey(character)))];
    const taken = known.slice(0, MAX_TEXT - this.text.length);
    for (const character of taken) this.text.push(character);
    this.step();
    return { unknown, refused: known.length - taken.length };
  }

  /** Do what is due. */
  private step(): void {
    while (!this.waiting) {
      if (!this.steps.length && !this.nextCharacter()) return;
      const step = this.steps.shift()!;
      if ('wait' in step) {
        this.waiting = true;
        this.timer.arm(this.clock.now() + step.wait);
      } else {
        this.key(step.key, step.down);
      }
    }
  }

  /** The next character's key presses; or, while the guest has not taken the last one's, a pause. False: there is none. */
  private nextCharacter(): boolean {
    const character = this.text[0];
    if (character === undefined) return false;
    if (this.devices.keyboard.isBusy) {
      this.steps.push({ wait: TYPING_NS });
      return true;
    }
    this.text.shift();
    const { key, shift } = usKey(character)!;
    const hold = keyNamed('shift')!;
    if (shift) this.steps.push({ key: hold, down: true });
    this.steps.push({ key, down: true }, { key, down: false });
    if (shift) this.steps.push({ key: hold, down: false });
    this.steps.push({ wait: TYPING_NS });
    return true;
  }

  /** The machine's reset: what was to be typed is forgotten; what is held stays held. */
  reset(): void {
    this.steps = [];
    this.text = [];
    this.waiting = false;
    this.timer.disarm();
  }
}
