// The VGA card's registers in the shared memory: the machine worker puts them there after each slice in which they changed, and
// the worker that draws the screen (workers/screen.ts) finds them there beside video memory. A counter that is odd while they are being
// written tells the reader to look again later (a sequence lock).

import { Mem } from '../core/layout.ts';
import type { VgaView } from '../devices/vga-picture.ts';
import { Control } from './protocol.ts';

export { ScreenPainter } from '../devices/vga-painter.ts';
export type { VgaView } from '../devices/vga-picture.ts';
export { screenText, textScreen } from '../devices/vga-text.ts';

/** Offsets in the block, bytes. */
const enum Block {
  /** u32: how often it was written, twice; 0: there is no card. */
  SEQUENCE = 0x00,
  /** u8: enabled, dac8, pelMask, VBE mode. */
  FLAGS = 0x04,
  /** u32: width, height, bits, start and pitch of a VBE mode. */
  VBE = 0x08,
  SEQUENCER = 0x20,
  GRAPHICS = 0x28,
  CRTC = 0x38,
  ATTRIBUTES = 0x58,
  PALETTE = 0x78,
  SIZE = 0x378,
}

/** What the publisher needs of the card. */
interface Card {
  /** Counts changes of the registers. */
  readonly changes: number;
  readonly view: VgaView;
}

/** The worker's side. */
export class ScreenPublisher {
  private published = -1;
  private readonly sequence: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(buffer: ArrayBufferLike, private readonly card: Card) {
    this.sequence = new Int32Array(buffer, Control.SCREEN + Block.SEQUENCE, 1);
    this.bytes = new Uint8Array(buffer, Control.SCREEN, Block.SIZE);
    this.view = new DataView(buffer, Control.SCREEN, Block.SIZE);
  }

  /** Put the registers there, if they have changed. */
  publish(): void {
    const { card, bytes } = this;
    if (card.changes === this.published) return;
    this.published = card.changes;
    const { enabled, dac8, pelMask, vbe, sequencer, graphics, crtc, attributes, palette } = card.view;
    Atomics.add(this.sequence, 0, 1);
    bytes.set([enabled ? 1 : 0, dac8 ? 1 : 0, pelMask, vbe ? 1 : 0], Block.FLAGS);
    const words = vbe ? [vbe.width, vbe.height, vbe.bpp, vbe.start, vbe.pitch] : [];
    words.forEach((word, i) => this.view.setUint32(Block.VBE + 4 * i, word, true));
    bytes.set(sequencer.subarray(0, 8), Block.SEQUENCER);
    bytes.set(graphics.subarray(0, 16), Block.GRAPHICS);
    bytes.set(crtc.subarray(0, 32), Block.CRTC);
    bytes.set(attributes.subarray(0, 32), Block.ATTRIBUTES);
    bytes.set(palette, Block.PALETTE);
    Atomics.add(this.sequence, 0, 1);
  }
}

/** The side that draws. */
export class ScreenReader {
  private readonly sequence: Int32Array;
  private readonly shared: Uint8Array;
  private readonly copy = new Uint8Array(Block.SIZE);
  private readonly words = new DataView(this.copy.buffer);
  private readonly vram: Uint8Array;
  private seen = 0;
  private last: VgaView | undefined;

  constructor(buffer: ArrayBufferLike) {
    this.sequence = new Int32Array(buffer, Control.SCREEN + Block.SEQUENCE, 1);
    this.shared = new Uint8Array(buffer, Control.SCREEN, Block.SIZE);
    this.vram = new Uint8Array(buffer, Mem.VRAM, Mem.VRAM_SIZE);
  }

  /** Grows when the registers have changed. */
  get generation(): number {
    return Atomics.load(this.sequence, 0);
  }

  /** The card as it is, or was a moment ago while the worker writes; undefined before there is one. */
  read(): VgaView | undefined {
    const before = this.generation;
    if (before === this.seen || before & 1) return this.last;
    this.copy.set(this.shared);
    if (this.generation !== before) {
      // Half of it may be new; what stands in the copy is not shown.
      this.seen = 0;
      return this.last;
    }
    this.seen = before;
    const { copy, words } = this;
    const word = (n: number) => words.getUint32(Block.VBE + 4 * n, true);
    const [enabled, dac8, pelMask, vbe] = copy.subarray(Block.FLAGS, Block.FLAGS + 4);
    // A view keeps what it shows: the next one has arrays of its own.
    const part = (from: number, to: number) => copy.slice(from, to);
    this.last = {
      vram: this.vram,
      enabled: enabled !== 0,
      dac8: dac8 !== 0,
      pelMask,
      vbe: vbe ? { width: word(0), height: word(1), bpp: word(2), start: word(3), pitch: word(4) } : null,
      sequencer: part(Block.SEQUENCER, Block.GRAPHICS),
      graphics: part(Block.GRAPHICS, Block.CRTC),
      crtc: part(Block.CRTC, Block.ATTRIBUTES),
      attributes: part(Block.ATTRIBUTES, Block.PALETTE),
      palette: part(Block.PALETTE, Block.SIZE),
    };
    return this.last;
  }
}
