// Draws a machine's screen on a canvas, in a worker of its own (workers/screen.ts): looks at the card's registers and video memory in shared memory
// once a frame of the display, and draws the lines that have changed. No more of them at once than a few milliseconds allow; the rest follows with the
// next frame. While the guest draws nothing it looks less often and asks for no frames: each keeps the browser's compositor awake (a page at rest had
// 7.5 % of a processor with them, and has 5.6).

import { Control } from '../../machine/protocol.ts';
import { ScreenPainter, ScreenReader, type VgaView } from '../../machine/screen-block.ts';

/** Longest time for drawing in one frame, ms. */
const BUDGET_MS = 8;
/** The cursor is on for 16 frames of a 70 Hz screen and off for 16; blinking text is twice as slow. */
const CURSOR_MS = 229;
/** The guest has drawn nothing in so many frames: from then on a look at each REST_MS. */
const RESTING_AFTER = 8;
/** So late at most is the first change after a rest seen. */
const REST_MS = 33;

export interface ScreenSize {
  /** Dots. */
  width: number;
  height: number;
  /** How much wider than high the whole picture is on a monitor. */
  aspect: number;
}

/** What the page asks of the worker. */
export interface ScreenApi {
  /** Draw on this canvas from now on. Once only: a canvas is handed over once. */
  begin(canvas: OffscreenCanvas, onSize: (size: ScreenSize) => void): void;
  /** The screen of the machine that has this memory; without one the last picture stays. */
  show(memory: SharedArrayBuffer | undefined): void;
  /** Does nothing blink? */
  still(isStill: boolean): void;
  png(): Promise<Blob | null>;
  thumbnail(width: number): Promise<Blob | null>;
}

export class ScreenView {
  /** Nothing blinks. */
  isStill = false;
  private reader: ScreenReader | undefined;
  private icount: BigUint64Array = new BigUint64Array(1);
  private readonly painter = new ScreenPainter();
  private readonly context: OffscreenCanvasRenderingContext2D;
  private image: ImageData | undefined;
  private size: ScreenSize = { width: 0, height: 0, aspect: 4 / 3 };
  private frame = 0;
  private rest: ReturnType<typeof setTimeout> | undefined;
  /** What was looked at last: when none of it has changed, nothing on the screen has. */
  private seen = { generation: -1, icount: -1n, blink: -1 };
  private unfinished = false;

  constructor(private readonly canvas: OffscreenCanvas, private readonly onSize: (size: ScreenSize) => void) {
    this.context = canvas.getContext('2d', { alpha: false })!;
  }

  /** @param memory of the machine whose screen it is now; without one the last picture stays */
  show(memory: SharedArrayBuffer | undefined): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.rest);
    this.reader = memory && new ScreenReader(memory);
    if (!memory) return;
    this.icount = new BigUint64Array(memory, Control.ICOUNT, 1);
    this.seen = { generation: -1, icount: -1n, blink: -1 };
    let unchanged = 0;
    const next = () => {
      unchanged = this.draw() ? 0 : unchanged + 1;
      if (unchanged < RESTING_AFTER) this.frame = requestAnimationFrame(next);
      else this.rest = setTimeout(next, REST_MS);
    };
    next();
  }

  /** The picture as a PNG file, with the dots that the guest drew; null before there is one. */
  async png(): Promise<Blob | null> {
    return this.size.width ? this.canvas.convertToBlob({ type: 'image/png' }) : null;
  }

  /** The picture, small, in the shape it has on a monitor; null before there is one. */
  async thumbnail(width: number): Promise<Blob | null> {
    if (!this.size.width) return null;
    const small = new OffscreenCanvas(width, Math.max(1, Math.round(width / this.size.aspect)));
    const context = small.getContext('2d', { alpha: false })!;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.canvas, 0, 0, small.width, small.height);
    return small.convertToBlob({ type: 'image/webp', quality: 0.85 });
  }

  /** @returns whether there will be something to draw in the next frame: the guest has drawn, which a cursor that blinks is not */
  private draw(): boolean {
    const blink = this.isStill ? 0 : Math.floor(performance.now() / CURSOR_MS) & 3;
    const { seen } = this;
    const { generation } = this.reader!;
    const icount = Atomics.load(this.icount, 0);
    if (!this.unfinished && generation === seen.generation && icount === seen.icount && blink === seen.blink) return false;
    const view = this.reader!.read();
    if (!view) return false;
    const isBlink = blink !== seen.blink;
    this.seen = { generation, icount, blink };
    const until = performance.now() + BUDGET_MS;
    this.unfinished = false;
    const painted = this.painter.update(view, { cursor: (blink & 1) === 0, text: blink < 2 }, () => (this.unfinished = performance.now() > until));
    this.fit(view);
    if (!painted || !this.image) return this.unfinished;
    this.context.putImageData(this.image, 0, 0, 0, painted.top, this.image.width, painted.bottom - painted.top);
    return this.unfinished || !isBlink;
  }

  private fit({ vbe }: VgaView): void {
    const { rgba, width, height } = this.painter;
    if (this.image?.data !== rgba) {
      this.image = new ImageData(rgba, width, height);
      this.canvas.width = width;
      this.canvas.height = height;
    }
    // A monitor stretches the VGA's own modes to its shape; dots of VBE modes are square.
    const aspect = vbe ? width / height : 4 / 3;
    if (this.size.width === width && this.size.height === height && this.size.aspect === aspect) return;
    this.size = { width, height, aspect };
    this.onSize(this.size);
  }
}
