// Fingers on the screen as a mouse. One finger moves the pointer, to where it is if the guest takes places, else by as much; a tap clicks;
// a tap and then a finger that moves drags; two fingers scroll, and a tap of two is the right button.

/** What fingers do to the machine. */
export interface TouchTarget {
  /** Does the guest take the pointer's place? */
  readonly isAbsolute: boolean;
  /** To a place on the page, CSS pixels. */
  moveTo(x: number, y: number): void;
  /** CSS pixels. */
  moveBy(dx: number, dy: number): void;
  button(button: 'left' | 'right', down: boolean): void;
  wheel(steps: number): void;
}

/** A tap: shorter than this, ms, and not further, CSS pixels. */
const TAP_MS = 250;
const TAP_PX = 10;
/** A finger that comes so soon after a tap, ms, drags. */
const DRAG_MS = 300;
/** CSS pixels of two fingers for a step of the wheel. */
const STEP_PX = 28;

interface Finger { x: number; y: number; startX: number; startY: number }

export class TouchPointer {
  private readonly fingers = new Map<number, Finger>();
  private began = 0;
  private most = 0;
  private moved = false;
  private lastTap = -Infinity;
  private dragging = false;
  private scrolled = 0;

  constructor(private readonly target: TouchTarget) {}

  /** @param now ms */
  down(id: number, x: number, y: number, now: number): void {
    if (this.fingers.size === 0) {
      this.began = now;
      this.most = 0;
      this.moved = false;
      this.scrolled = 0;
      if (now - this.lastTap < DRAG_MS) {
        if (this.target.isAbsolute) this.target.moveTo(x, y);
        this.dragging = true;
        this.target.button('left', true);
      }
    }
    this.fingers.set(id, { x, y, startX: x, startY: y });
    this.most = Math.max(this.most, this.fingers.size);
  }

  move(id: number, x: number, y: number): void {
    const finger = this.fingers.get(id);
    if (!finger) return;
    const [dx, dy] = [x - finger.x, y - finger.y];
    finger.x = x;
    finger.y = y;
    // A finger that lies still trembles.
    if (!this.moved && Math.hypot(x - finger.startX, y - finger.startY) < TAP_PX) return;
    this.moved = true;
    if (this.most > 1) {
      // The content goes with the fingers: they go up, the wheel goes towards the user.
      this.scrolled -= dy / this.fingers.size;
      const steps = Math.trunc(this.scrolled / STEP_PX);
      if (steps) this.target.wheel(steps);
      this.scrolled -= steps * STEP_PX;
    } else if (this.target.isAbsolute) {
      this.target.moveTo(x, y);
    } else {
      this.target.moveBy(dx, dy);
    }
  }

  up(id: number, now: number): void {
    const finger = this.fingers.get(id);
    if (!finger) return;
    this.fingers.delete(id);
    if (this.fingers.size > 0) return;
    const tapped = !this.moved && now - this.began < TAP_MS;
    if (this.dragging) {
      this.dragging = false;
      this.target.button('left', false);
      // Two taps are two clicks.
      this.lastTap = tapped ? now : -Infinity;
    } else if (tapped) {
      if (this.target.isAbsolute) this.target.moveTo(finger.startX, finger.startY);
      const button = this.most > 1 ? 'right' : 'left';
      this.target.button(button, true);
      this.target.button(button, false);
      this.lastTap = button === 'left' ? now : -Infinity;
    }
  }

  /** The system took the fingers away. */
  cancel(): void {
    this.fingers.clear();
    if (this.dragging) this.target.button('left', false);
    this.dragging = false;
  }
}
