// Keyboard and pointer over the machine's screen, as the machine's input. Keys go by their places on the keyboard (KeyboardEvent.code), text of
// phones' keyboards by what it is; the mouse goes by its place if the guest takes that, else it is captured by a click.

import { Button, keyNamed, keyOfCode, POINTER_MAX, type InputSender } from '../../machine/input.ts';
import type { StickyKeys } from './sticky-keys.ts';
import { TouchPointer } from './touch-pointer.ts';
import { edits, KEPT, keysWithoutPlace } from './typed-text.ts';

export interface ScreenInputEvents {
  /** The user did something that leaving would lose. */
  onUsed(): void;
  /** The user wants to leave the screen by key. */
  onLeave(): void;
  /** A text to be typed was pasted. */
  onPaste(text: string): void;
  /** The mouse was captured, or came free. */
  onCapture(captured: boolean): void;
  /** Characters that no key types. */
  onUnknown(characters: string): void;
}

/** MouseEvent.button to the machine's. */
const BUTTONS = [Button.LEFT, Button.MIDDLE, Button.RIGHT, Button.SIDE, Button.EXTRA];
/** Pixels of the wheel for a step. */
const STEP_PX = 100;
/** On a touch screen a finger's way across is shorter than a mouse's. */
const TOUCH_SPEED = 1.6;
/** Longest text in the field before it is emptied. */
const FIELD_LENGTH = 200;

export class ScreenInput {
  private readonly held = new Set<number>();
  private readonly buttons = new Set<Button>();
  private readonly abort = new AbortController();
  private readonly touch: TouchPointer;
  private before = KEPT;
  private composes = false;
  private turned = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly field: HTMLTextAreaElement,
    private readonly sender: InputSender,
    private readonly sticky: StickyKeys,
    private readonly events: ScreenInputEvents,
  ) {
    const { signal } = this.abort;
    const on = <T extends EventTarget, E extends Event>(target: T, type: string, listener: (event: E) => void, passive = false) =>
      target.addEventListener(type, listener as EventListener, { signal, passive });
    on(field, 'keydown', (event: KeyboardEvent) => this.keyDown(event));
    on(field, 'keyup', (event: KeyboardEvent) => this.keyUp(event));
    on(field, 'input', () => this.textChanged());
    on(field, 'compositionstart', () => (this.composes = true));
    on(field, 'compositionend', () => {
      this.composes = false;
      this.emptyField();
    });
    on(document, 'selectionchange', () => this.caretMoved());
    on(field, 'paste', (event: ClipboardEvent) => {
      event.preventDefault();
      this.releaseKeys();
      events.onPaste(event.clipboardData?.getData('text/plain') ?? '');
    });
    // Keys that go up elsewhere would stay down for the guest.
    on(field, 'blur', () => this.releaseAll());
    on(document, 'visibilitychange', () => { if (document.hidden) this.releaseAll(); });
    on(canvas, 'pointerdown', (event: PointerEvent) => this.pointerDown(event));
    on(canvas, 'pointermove', (event: PointerEvent) => this.pointerMove(event));
    on(canvas, 'pointerup', (event: PointerEvent) => this.pointerUp(event));
    on(canvas, 'pointercancel', (event: PointerEvent) => { if (event.pointerType === 'touch') this.touch.cancel(); });
    on(canvas, 'wheel', (event: WheelEvent) => this.wheel(event));
    on(canvas, 'contextmenu', (event: Event) => event.preventDefault());
    on(document, 'pointerlockchange', () => {
      const captured = this.isCaptured;
      if (!captured) this.releaseButtons();
      events.onCapture(captured);
    });
    this.touch = new TouchPointer({
      get isAbsolute() { return sender.isAbsolute; },
      moveTo: (x, y) => this.moveTo(x, y),
      moveBy: (dx, dy) => sender.moveBy(Math.round(dx * TOUCH_SPEED), Math.round(dy * TOUCH_SPEED)),
      button: (button, down) => sender.button(button === 'left' ? Button.LEFT : Button.RIGHT, down),
      wheel: (steps) => sender.wheel(steps),
    });
    this.emptyField();
  }

  dispose(): void {
    this.abort.abort();
    if (this.isCaptured) document.exitPointerLock();
    this.releaseAll();
  }

  private get isCaptured(): boolean {
    return document.pointerLockElement === this.canvas;
  }

  // Keys

  private keyDown(event: KeyboardEvent): void {
    if (event.ctrlKey && event.shiftKey && !event.altKey && !event.metaKey) {
      if (event.code === 'KeyL') {
        event.preventDefault();
        this.releaseKeys();
        this.events.onLeave();
        return;
      }
      // The browser pastes, and that is typed.
      if (event.code === 'KeyV') return;
    }
    const key = keyOfCode(event.code);
    if (event.isComposing) return;
    if (key === undefined) {
      const keys = event.code === '' ? keysWithoutPlace(event) : undefined;
      if (!keys) return;
      event.preventDefault();
      this.sticky.press(this.sender, ...keys);
      this.events.onUsed();
      return;
    }
    event.preventDefault();
    // The machine's keyboard repeats by itself.
    if (event.repeat) return;
    // Windows sends Control with AltGr.
    if (event.code === 'AltRight' && event.key === 'AltGraph') this.release(keyNamed('ctrl')!);
    this.held.add(key);
    this.sender.key(key, true);
    this.events.onUsed();
  }

  private keyUp(event: KeyboardEvent): void {
    const key = keyOfCode(event.code);
    if (key === undefined) return;
    event.preventDefault();
    this.release(key);
    // Apple's systems tell of no key that goes up while Command is down.
    if (event.code.startsWith('Meta')) this.releaseKeys();
  }

  private release(key: number): void {
    if (this.held.delete(key)) this.sender.key(key, false);
  }

  private releaseKeys(): void {
    for (const key of [...this.held]) this.release(key);
  }

  private releaseButtons(): void {
    for (const button of [...this.buttons]) {
      this.buttons.delete(button);
      this.sender.button(button, false);
    }
  }

  private releaseAll(): void {
    this.releaseKeys();
    this.releaseButtons();
    this.touch.cancel();
  }

  // Text of keyboards that have no keys

  private textChanged(): void {
    const after = this.field.value;
    const { deleted, typed } = edits(this.before, after);
    this.before = after;
    for (let n = 0; n < deleted; n++) this.sticky.press(this.sender, 'backspace');
    const unknown = this.sticky.type(this.sender, typed);
    if (unknown) this.events.onUnknown(unknown);
    this.events.onUsed();
    if (after.length > FIELD_LENGTH || after.length < KEPT.length || typed.includes('\n')) this.emptyField();
  }

  /** Some keyboards move the caret by a finger's way over them. What is typed is looked for at the end, so it goes back there. */
  private caretMoved(): void {
    const { field, before } = this;
    if (this.composes || document.activeElement !== field || field.value !== before || field.selectionStart !== field.selectionEnd) return;
    const moved = [...before.slice(field.selectionStart)].length;
    if (moved === 0) return;
    for (let n = 0; n < moved; n++) this.sticky.press(this.sender, 'left');
    field.setSelectionRange(before.length, before.length);
    this.events.onUsed();
  }

  private emptyField(): void {
    this.field.value = KEPT;
    this.before = KEPT;
    this.field.setSelectionRange(KEPT.length, KEPT.length);
  }

  // Pointer

  private pointerDown(event: PointerEvent): void {
    event.preventDefault();
    this.field.focus({ preventScroll: true });
    // A locked pointer cannot be captured (Pointer Events 3, setPointerCapture); its events come here anyway.
    if (!this.isCaptured) this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === 'touch') {
      this.touch.down(event.pointerId, event.clientX, event.clientY, event.timeStamp);
      return;
    }
    if (!this.sender.isAbsolute && !this.isCaptured) {
      // Only for a guest that listens: who clicks on a text screen wants the keyboard there, not to lose the mouse.
      if (this.sender.isMouseWanted) void this.capture();
      return;
    }
    if (this.sender.isAbsolute) this.moveTo(event.clientX, event.clientY);
    this.changeButtons(event);
  }

  /** Rejects where the user has just left the last capture: browsers allow the next only after a moment. */
  private async capture(): Promise<void> {
    await Promise.resolve(this.canvas.requestPointerLock()).catch(() => {});
  }

  private pointerMove(event: PointerEvent): void {
    if (event.pointerType === 'touch') {
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.touch.move(event.pointerId, part.clientX, part.clientY);
      return;
    }
    // A second button comes as a movement.
    if (this.isCaptured || this.sender.isAbsolute) this.changeButtons(event);
    if (this.isCaptured) this.sender.moveBy(event.movementX, event.movementY);
    else if (this.sender.isAbsolute) this.moveTo(event.clientX, event.clientY);
  }

  private pointerUp(event: PointerEvent): void {
    if (event.pointerType === 'touch') this.touch.up(event.pointerId, event.timeStamp);
    else this.changeButtons(event);
  }

  /** Tell of the buttons that changed. PointerEvent.buttons has a bit for each: left, right, middle, back, forward. */
  private changeButtons(event: PointerEvent): void {
    [0, 2, 1, 3, 4].forEach((button, bit) => {
      const it = BUTTONS[button];
      const down = (event.buttons & (1 << bit)) !== 0;
      if (down === this.buttons.has(it)) return;
      if (down) this.buttons.add(it);
      else this.buttons.delete(it);
      this.sender.button(it, down);
      this.events.onUsed();
    });
  }

  private moveTo(x: number, y: number): void {
    const box = this.canvas.getBoundingClientRect();
    const place = (at: number, size: number) => Math.max(0, Math.min(POINTER_MAX, Math.round((at / size) * POINTER_MAX)));
    this.sender.moveTo(place(x - box.left, box.width), place(y - box.top, box.height));
  }

  private wheel(event: WheelEvent): void {
    if (!this.isCaptured && !this.sender.isAbsolute) return;
    event.preventDefault();
    this.turned += event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / STEP_PX : event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY / 3 : event.deltaY;
    const steps = Math.trunc(this.turned);
    this.turned -= steps;
    if (steps) this.sender.wheel(Math.max(-20, Math.min(20, steps)));
  }
}
