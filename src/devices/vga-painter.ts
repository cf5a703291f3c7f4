// Keeps a VGA card's picture up to date, drawing only the lines whose video memory or registers have changed since.
// The card's memory is written by the guest directly and leaves no trace but its bytes; so they are compared with a copy, at
// the display's rate: text and VGA graphics by cells of four planes, VBE modes line by line.

import { drawLines, type Phase, screenSize, type VgaView } from './vga-picture.ts';

/** The VGA's modes see 64 Ki addresses of four planes. */
const ADDRESSES = 0x10000;
/** Eight addresses are marked as changed together. */
const CHUNKS = ADDRESSES >> 3;

/** Lines that were drawn: from top up to, not including, bottom. */
export interface Painted {
  top: number;
  bottom: number;
}

export class ScreenPainter {
  width = 0;
  height = 0;
  /** Red, green, blue, 255 for each dot; another array when the size has changed. */
  rgba = new Uint8ClampedArray(0);
  private pixels = new Uint32Array(0);
  /** What of the registers decides about the whole picture. */
  private registers = new Uint8Array(0);
  /** Video memory as it was drawn: all addresses, or the lines of a VBE mode. */
  private shadow = new Uint32Array(0);
  private readonly changed = new Uint8Array(CHUNKS);
  private cursor = -1;
  private cursorShape = -1;
  private phase: Phase = { cursor: true, text: true };
  /** The line to go on with, after time was up. */
  private next = 0;

  /**
   * Draw what has changed.
   * @param timeIsUp asked now and then; what is not drawn when it says so comes with the next call
   * @returns the lines to show, or null if there are none
   */
  update(view: VgaView, phase: Phase, timeIsUp: () => boolean = () => false): Painted | null {
    const whole = this.registersChanged(view);
    if (whole) this.resize(view);
    const painted = view.vbe && view.enabled ? this.updateVbe(view, whole, timeIsUp) : this.updateVga(view, phase, whole);
    return painted.top < painted.bottom ? painted : null;
  }

  private registersChanged(view: VgaView): boolean {
    const now = signature(view);
    const old = this.registers;
    if (old.length === now.length && now.every((byte, i) => byte === old[i])) return false;
    this.registers = now;
    return true;
  }

  private resize(view: VgaView): void {
    const { width, height } = screenSize(view);
    if (width !== this.width || height !== this.height) {
      this.width = width;
      this.height = height;
      this.pixels = new Uint32Array(width * height);
      this.rgba = new Uint8ClampedArray(this.pixels.buffer);
    }
    const length = view.vbe ? height * (wordsOf(view) + 1) : ADDRESSES;
    if (this.shadow.length !== length) this.shadow = new Uint32Array(length);
    this.next = 0;
  }

  // VBE

  private updateVbe(view: VgaView, whole: boolean, timeIsUp: () => boolean): Painted {
    const { shadow, height } = this;
    const words = new Uint32Array(view.vram.buffer, view.vram.byteOffset, view.vram.length >> 2);
    // Of which lines nothing is known the first word says what memory cannot say: each has a word of its own in front.
    const stride = wordsOf(view) + 1;
    if (whole) for (let y = 0; y < height; y++) shadow[y * stride] = 0;
    const painted: Painted = { top: height, bottom: 0 };
    const from = this.next;
    this.next = 0;
    let stopped = false;
    drawLines(view, this.phase, this.pixels, (y, start, length) => {
      if (y < from || stopped) return false;
      if ((y & 15) === 0 && y > from && timeIsUp()) {
        stopped = true;
        this.next = y;
        return false;
      }
      const first = start >> 2;
      const count = Math.min(words.length, (start + length + 3) >> 2) - first;
      const at = y * stride;
      if (shadow[at] === 1 && same(words, first, shadow, at + 1, count)) return false;
      // Before the line is drawn: what the guest writes in between is found the next time.
      shadow[at] = 1;
      shadow.set(words.subarray(first, first + count), at + 1);
      painted.top = Math.min(painted.top, y);
      painted.bottom = y + 1;
      return true;
    });
    return painted;
  }

  // Text and VGA graphics

  private updateVga(view: VgaView, phase: Phase, whole: boolean): Painted {
    const isText = !(view.graphics[0x06] & 1);
    const fonts = this.compare(view);
    if (isText) this.markBlinking(view, phase);
    this.phase = phase;
    // In text plane 2 holds the fonts.
    const all = whole || (isText && (fonts & 0x00ff0000) !== 0);
    const painted: Painted = { top: this.height, bottom: 0 };
    if (!view.enabled) {
      if (whole) drawLines(view, phase, this.pixels, () => false);
      return whole ? { top: 0, bottom: this.height } : painted;
    }
    if (!all && !this.changed.includes(1)) return painted;
    drawLines(view, phase, this.pixels, (y, start, length) => {
      if (!all && !this.hasChanged(start >> 2, length >> 2)) return false;
      painted.top = Math.min(painted.top, y);
      painted.bottom = y + 1;
      return true;
    });
    this.changed.fill(0);
    return painted;
  }

  /** Mark what differs from the shadow, and take it over; gives the bits that differ anywhere. */
  private compare({ vram }: VgaView): number {
    const words = new Uint32Array(vram.buffer, vram.byteOffset, ADDRESSES);
    const { shadow, changed } = this;
    if (shadow.length !== ADDRESSES) return 0;
    let differences = 0;
    for (let i = 0; i < ADDRESSES; i++) {
      const word = words[i];
      if (word === shadow[i]) continue;
      differences |= word ^ shadow[i];
      shadow[i] = word;
      changed[i >> 3] = 1;
    }
    return differences;
  }

  /** Mark the cells where the cursor was and is, and those that blink, if they look different now. */
  private markBlinking({ crtc, attributes }: VgaView, phase: Phase): void {
    const { changed, shadow } = this;
    const cursor = (crtc[0x0e] << 8) | crtc[0x0f];
    const shape = (crtc[0x0a] << 8) | crtc[0x0b];
    if (cursor !== this.cursor || shape !== this.cursorShape || phase.cursor !== this.phase.cursor) {
      if (this.cursor >= 0) changed[this.cursor >> 3] = 1;
      changed[cursor >> 3] = 1;
      this.cursor = cursor;
      this.cursorShape = shape;
    }
    if (phase.text === this.phase.text || !(attributes[0x10] & 0x08)) return;
    for (let i = 0; i < ADDRESSES; i++) if (shadow[i] & 0x8000) changed[i >> 3] = 1;
  }

  private hasChanged(first: number, count: number): boolean {
    const last = (first + count - 1) >> 3;
    for (let chunk = first >> 3; chunk <= last; chunk++) if (this.changed[chunk & (CHUNKS - 1)]) return true;
    return false;
  }
}

/** Words of video memory that a line of a VBE mode can touch. */
function wordsOf({ vbe }: VgaView): number {
  return vbe ? ((vbe.width * Math.max(4, vbe.bpp === 15 ? 16 : vbe.bpp)) >> 5) + 2 : 0;
}

function same(a: Uint32Array, atA: number, b: Uint32Array, atB: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

/** All registers that the view shows, but for where and how the cursor is. */
function signature({ enabled, sequencer, graphics, crtc, attributes, palette, pelMask, dac8, vbe }: VgaView): Uint8Array<ArrayBuffer> {
  const size = new Uint32Array(vbe ? [vbe.width, vbe.height, vbe.bpp, vbe.start, vbe.pitch] : []);
  const registers = Uint8Array.of(
    enabled ? 1 : 0, dac8 ? 1 : 0, pelMask, sequencer[0x01], sequencer[0x03], graphics[0x05], graphics[0x06], vbe ? 1 : 0,
    ...crtc.subarray(0, 0x0a), ...crtc.subarray(0x0c, 0x0e), ...crtc.subarray(0x10, 0x19), ...attributes.subarray(0, 0x15),
  );
  const all = new Uint8Array(registers.length + palette.length + size.byteLength);
  all.set(registers);
  all.set(palette, registers.length);
  all.set(new Uint8Array(size.buffer), registers.length + palette.length);
  return all;
}
