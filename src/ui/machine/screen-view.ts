// Draws a machine's screen on a canvas: looks at the card's registers and video memory in shared memory once a frame of the display,
// and draws the lines that have changed. No more of them at once than a few milliseconds allow; the rest follows with the next frame.

import { Control } from '../../machine/protocol.ts';
import { ScreenPainter, ScreenReader, screenText, textScreen, type VgaView } from '../../machine/screen-block.ts';

/** Longest time for drawing in one frame, ms. */
const BUDGET_MS = 8;
/** The cursor is on for 16 frames of a 70 Hz screen and off for 16; blinking text is twice as slow. */
const CURSOR_MS = 229;

export interface ScreenSize {
  /** Dots. */
  width: number;
  height: number;
  /** How much wider than high the whole picture is on a monitor. */
  aspect: number;
}

export class ScreenView {
  private readonly reader: ScreenReader;
  private readonly painter = new ScreenPainter();
  private readonly icount: BigUint64Array;
  private readonly context: CanvasRenderingContext2D;
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)');
  private image: ImageData | undefined;
  private size: ScreenSize = { width: 0, height: 0, aspect: 4 / 3 };
  private frame = 0;
  /** What was looked at last: when none of it has changed, nothing on the screen has. */
  private seen = { generation: -1, icount: -1n, blink: -1 };
  private unfinished = false;

  constructor(private readonly canvas: HTMLCanvasElement, memory: SharedArrayBuffer, private readonly onSize: (size: ScreenSize) => void) {
    this.reader = new ScreenReader(memory);
    this.icount = new BigUint64Array(memory, Control.ICOUNT, 1);
    this.context = canvas.getContext('2d', { alpha: false })!;
  }

  start(): void {
    const next = () => {
      this.draw();
      this.frame = requestAnimationFrame(next);
    };
    next();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
  }

  /** The text on the screen; empty in graphics modes. */
  text(): string {
    const view = this.reader.read();
    const screen = view && textScreen(view);
    return screen ? screenText(screen) : '';
  }

  /** The picture as a PNG file, with the dots that the guest drew. */
  png(): Promise<Blob | null> {
    return new Promise((done) => this.canvas.toBlob(done, 'image/png'));
  }

  /** The picture, small, in the shape it has on a monitor; null before there is one. */
  thumbnail(width: number): Promise<Blob | null> {
    if (!this.size.width) return Promise.resolve(null);
    const small = document.createElement('canvas');
    small.width = width;
    small.height = Math.max(1, Math.round(width / this.size.aspect));
    const context = small.getContext('2d', { alpha: false })!;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.canvas, 0, 0, small.width, small.height);
    return new Promise((done) => small.toBlob(done, 'image/webp', 0.85));
  }

  private draw(): void {
    const blink = this.still.matches ? 0 : Math.floor(performance.now() / CURSOR_MS) & 3;
    const { seen } = this;
    const { generation } = this.reader;
    const icount = Atomics.load(this.icount, 0);
    if (!this.unfinished && generation === seen.generation && icount === seen.icount && blink === seen.blink) return;
    const view = this.reader.read();
    if (!view) return;
    this.seen = { generation, icount, blink };
    const until = performance.now() + BUDGET_MS;
    this.unfinished = false;
    const painted = this.painter.update(view, { cursor: (blink & 1) === 0, text: blink < 2 }, () => (this.unfinished = performance.now() > until));
    this.fit(view);
    if (!painted || !this.image) return;
    this.context.putImageData(this.image, 0, 0, 0, painted.top, this.image.width, painted.bottom - painted.top);
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
