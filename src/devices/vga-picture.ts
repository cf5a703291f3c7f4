// The picture that a VGA card sends to its screen, as pixels: text with the fonts in plane 2, planar 16 colours, CGA's packed pixels,
// 256 colours, and the VBE modes. IBM, "Personal System/2 Hardware Interface Technical Reference", Video Subsystem: CRT controller
// (addresses, line compare, row scan), attribute controller (palette, panning, blinking, ninth dot).

/** What of the card the picture depends on. Arrays are live. */
export interface VgaView {
  /** The attribute controller shows the palette's colours (its index register, bit 5); without it the screen is dark. */
  readonly enabled: boolean;
  /** Byte 4 * a + p is address a of plane p. */
  readonly vram: Uint8Array;
  readonly sequencer: Uint8Array;
  readonly graphics: Uint8Array;
  readonly crtc: Uint8Array;
  readonly attributes: Uint8Array;
  /** 256 colours of three components, of 6 bits unless dac8. */
  readonly palette: Uint8Array;
  readonly pelMask: number;
  readonly dac8: boolean;
  /** A VBE mode: first byte of the picture, bytes of a line; null if the VGA's registers decide. */
  readonly vbe: { width: number; height: number; bpp: number; start: number; pitch: number } | null;
}

export interface Picture {
  width: number;
  height: number;
  /** Red, green, blue, 255 for each pixel, from the top left. */
  rgba: Uint8ClampedArray;
}

/** What blinks, and whether it can be seen now. */
export interface Phase {
  cursor: boolean;
  /** Characters whose attribute says that they blink. */
  text: boolean;
}

/** A vertical number of the CRTC: its low 8 bits, and bits 8 and 9 from bits of other registers. */
const vertical = (crtc: Uint8Array, register: number, bit8: number, bit9: number) =>
  crtc[register] | (((crtc[0x07] >> bit8) & 1) << 8) | (((crtc[0x07] >> bit9) & 1) << 9);

const six = (value: number) => ((value & 0x3f) << 2) | ((value & 1) * 3);
/** To 8 bits: the highest bits again below. */
const scale = (value: number, bits: number) => (value << (8 - bits)) | (value >> (2 * bits - 8));
/** Red lowest, as in the bytes of RGBA. */
const pixel = (r: number, g: number, b: number) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;

/** Most dots of a picture: a guest can ask for more than a host can show. */
const MAX_DOTS = 1 << 24;
const BLACK = 0xff000000;

/** Size of the picture, dots. */
export function screenSize({ vbe, crtc, graphics, sequencer }: VgaView): { width: number; height: number } {
  const size = vbe
    ? { width: vbe.width, height: vbe.height }
    : {
        width: (crtc[0x01] + 1) * dotsOf(graphics, sequencer) * (sequencer[0x01] & 0x08 ? 2 : 1),
        height: vertical(crtc, 0x12, 1, 6) + 1,
      };
  return { width: size.width, height: Math.min(size.height, Math.floor(MAX_DOTS / size.width)) };
}

/** Dots of a character. */
function dotsOf(graphics: Uint8Array, sequencer: Uint8Array): number {
  return !(graphics[0x06] & 1) && !(sequencer[0x01] & 1) ? 9 : 8;
}

/** Asked before a line is drawn: is it wanted? It depends on `length` bytes of video memory from `start`, modulo 256 KiB in the VGA's modes. */
export type Wants = (y: number, start: number, length: number) => boolean;

export function drawScreen(view: VgaView, phase: Phase): Picture {
  const { width, height } = screenSize(view);
  const pixels = new Uint32Array(width * height);
  drawLines(view, phase, pixels, () => true);
  return { width, height, rgba: new Uint8ClampedArray(pixels.buffer) };
}

/**
 * Draw the lines that are wanted.
 * @param pixels of screenSize()
 */
export function drawLines(view: VgaView, phase: Phase, pixels: Uint32Array, wants: Wants): void {
  if (!view.enabled) {
    pixels.fill(BLACK);
    return;
  }
  const colors = Uint32Array.from({ length: 256 }, (_, index) => {
    const at = 3 * (index & view.pelMask);
    const [r, g, b] = view.palette.subarray(at, at + 3);
    return view.dac8 ? pixel(r, g, b) : pixel(six(r), six(g), six(b));
  });
  if (view.vbe) drawVbe(view, view.vbe, colors, pixels, wants);
  else drawVga(view, colors, phase, pixels, wants);
}

function drawVbe(view: VgaView, vbe: NonNullable<VgaView['vbe']>, colors: Uint32Array, pixels: Uint32Array, wants: Wants): void {
  const { width, bpp, start, pitch } = vbe;
  const { height } = screenSize(view);
  const color = palette16(view, colors);
  const bytes = bpp === 4 ? 4 * Math.ceil(width / 8) : width * ((bpp + 7) >> 3);
  const words = new Uint32Array(view.vram.buffer, view.vram.byteOffset, view.vram.length >> 2);
  for (let y = 0; y < height; y++) {
    const line = start + y * pitch;
    if (!wants(y, line, bytes)) continue;
    const out = pixels.subarray(y * width, (y + 1) * width);
    if (bpp === 32 && (line & 3) === 0) lineOfWords(words.subarray(line >> 2, (line >> 2) + width), out);
    else lineVbe(view, bpp, line, colors, color, out);
  }
}

/** 32 bits a pixel: blue lowest, to red lowest. */
function lineOfWords(words: Uint32Array, out: Uint32Array): void {
  for (let x = 0; x < words.length; x++) {
    const word = words[x];
    out[x] = BLACK | (word & 0xff00) | ((word >>> 16) & 0xff) | ((word & 0xff) << 16);
  }
}

/** @param color of planes' bits, through the attribute controller; others go to the DAC as they are */
function lineVbe({ vram }: VgaView, bpp: number, line: number, colors: Uint32Array, color: Uint32Array, out: Uint32Array): void {
  const width = out.length;
  switch (bpp) {
    case 4:
      // Planes: eight pixels to an address, which is four bytes.
      for (let x = 0; x < width; x++) out[x] = color[planar(vram, line + 4 * (x >> 3), 7 - (x & 7))];
      break;
    case 8:
      for (let x = 0; x < width; x++) out[x] = colors[vram[line + x]];
      break;
    case 15:
      for (let x = 0, at = line; x < width; x++, at += 2) {
        const value = vram[at] | (vram[at + 1] << 8);
        out[x] = pixel(scale((value >> 10) & 31, 5), scale((value >> 5) & 31, 5), scale(value & 31, 5));
      }
      break;
    case 16:
      for (let x = 0, at = line; x < width; x++, at += 2) {
        const value = vram[at] | (vram[at + 1] << 8);
        out[x] = pixel(scale(value >> 11, 5), scale((value >> 5) & 63, 6), scale(value & 31, 5));
      }
      break;
    default:
      for (let x = 0, at = line; x < width; x++, at += bpp >> 3) out[x] = pixel(vram[at + 2], vram[at + 1], vram[at]);
  }
}

/** A bit of each of the four planes at a cell. */
function planar(vram: Uint8Array, cell: number, bit: number): number {
  return ((vram[cell] >> bit) & 1) | (((vram[cell + 1] >> bit) & 1) << 1) | (((vram[cell + 2] >> bit) & 1) << 2) | (((vram[cell + 3] >> bit) & 1) << 3);
}

function drawVga(view: VgaView, colors: Uint32Array, phase: Phase, pixels: Uint32Array, wants: Wants): void {
  const { crtc, graphics, sequencer, attributes } = view;
  const isText = !(graphics[0x06] & 1);
  const isHalf = (sequencer[0x01] & 0x08) !== 0;
  const dots = dotsOf(graphics, sequencer);
  const cells = crtc[0x01] + 1;
  const is256 = !isText && (graphics[0x05] & 0x40) !== 0;
  const { width, height } = screenSize(view);
  const compare = vertical(crtc, 0x18, 4, 5) & 0x1ff | (((crtc[0x09] >> 6) & 1) << 9);
  const rowLines = crtc[0x09] & 0x1f;
  const isDoubled = (crtc[0x09] & 0x80) !== 0;
  const pitch = 2 * crtc[0x13];
  // Panning in dots: in nine-dot text 8 stands for none, and in 256 colours a pixel is two dots.
  const panning = attributes[0x13] & 0x0f;
  let pan = dots === 9 ? (panning >= 8 ? 0 : panning + 1) : panning & 7;
  pan *= isHalf ? 2 : 1;

  const color = palette16(view, colors);
  // One cell more than can be seen, for panning.
  const line = new Uint32Array((cells + 1) * dots * (isHalf ? 2 : 1));
  // An address is four bytes; in 256 colours that is four pixels of two dots.
  const bytes = is256 ? 4 * (Math.ceil(line.length / (isHalf ? 16 : 8)) + 1) : 4 * (cells + 1);
  const text = isText ? textDrawer(view, color, phase, dots) : null;
  let address = ((crtc[0x0c] << 8) | crtc[0x0d]) + ((crtc[0x08] >> 5) & 3);
  let scan = crtc[0x08] & 0x1f;
  for (let y = 0; y < height; y++) {
    const from = isText ? address : cgaAddress(crtc, address, scan);
    if (wants(y, (4 * from) & 0x3ffff, bytes)) {
      if (text) text(line, from, scan, cells + 1);
      else if (is256) line256(view, colors, line, from, isHalf);
      else line16(view, color, line, from, (graphics[0x05] & 0x20) !== 0);
      if (isHalf && !is256) for (let x = line.length - 1; x >= 0; x--) line[x] = line[x >> 1];
      pixels.set(line.subarray(pan, pan + width), y * width);
    }
    if (y === compare) {
      // The split screen below shows memory from its start.
      address = 0;
      scan = 0;
      if (attributes[0x10] & 0x20) pan = 0;
    } else if (!isDoubled || y & 1) {
      if (scan === rowLines) {
        scan = 0;
        address += pitch;
      } else {
        scan = (scan + 1) & 0x1f;
      }
    }
  }
}

/** Addresses of graphics lines: bits that CGA and Hercules modes take from the line in the row. */
function cgaAddress(crtc: Uint8Array, address: number, scan: number): number {
  if (!(crtc[0x17] & 1)) {
    const bit = 1 << (12 + ((crtc[0x17] >> 6) & 1));
    address = (address & ~bit) | (scan & 1 ? bit : 0);
  }
  if (!(crtc[0x17] & 2)) address = (address & ~0x2000) | (scan & 2 ? 0x2000 : 0);
  return address;
}

/** Colours of the 16 values a pixel can have, through the attribute controller's palette. */
function palette16({ attributes }: VgaView, colors: Uint32Array): Uint32Array {
  const select = attributes[0x14];
  return Uint32Array.from({ length: 16 }, (_, value) => {
    const entry = attributes[value & attributes[0x12]];
    return colors[attributes[0x10] & 0x80 ? ((select & 0x0f) << 4) | (entry & 0x0f) : ((select & 0x0c) << 4) | (entry & 0x3f)];
  });
}

function line256({ vram }: VgaView, colors: Uint32Array, line: Uint32Array, address: number, isHalf: boolean): void {
  const first = 4 * (address & 0xffff);
  const dots = isHalf ? 4 : 2;
  for (let x = 0; x < line.length; x++) line[x] = colors[vram[(first + Math.floor(x / dots)) & 0x3ffff]];
}

function line16({ vram }: VgaView, color: Uint32Array, line: Uint32Array, address: number, isPacked: boolean): void {
  for (let x = 0; x < line.length; x++) {
    const cell = 4 * ((address + (x >> 3)) & 0xffff);
    if (!isPacked) {
      line[x] = color[planar(vram, cell, 7 - (x & 7))];
    } else {
      // Two bits a pixel: four from planes 0 and 2, then four from 1 and 3.
      const plane = (x >> 2) & 1;
      const shift = 6 - 2 * (x & 3);
      line[x] = color[((vram[cell + plane] >> shift) & 3) | (((vram[cell + plane + 2] >> shift) & 3) << 2)];
    }
  }
}

function textDrawer({ vram, crtc, sequencer, attributes }: VgaView, color: Uint32Array, phase: Phase, dots: number) {
  const select = sequencer[0x03];
  /** Fonts of 8 KiB in plane 2: that of attribute bit 3 clear, and set. */
  const fonts = [((select >> 4) & 1) | ((select << 1) & 6), ((select >> 5) & 1) | ((select >> 1) & 6)];
  const mode = attributes[0x10];
  const cursor = (crtc[0x0e] << 8) | crtc[0x0f];
  const cursorFirst = crtc[0x0a] & 0x1f;
  const cursorLast = crtc[0x0b] & 0x1f;
  const hasCursor = phase.cursor && !(crtc[0x0a] & 0x20);
  return (line: Uint32Array, row: number, scan: number, cells: number): void => {
    for (let n = 0; n < cells; n++) {
      const address = (row + n) & 0xffff;
      const code = vram[4 * address];
      const attribute = vram[4 * address + 1];
      let bits = vram[4 * (fonts[(attribute >> 3) & 1] * 0x2000 + code * 32 + scan) + 2] << 1;
      // The ninth dot repeats the eighth for the characters that draw lines.
      if (mode & 0x04 && code >= 0xc0 && code <= 0xdf) bits |= (bits >> 1) & 1;
      if (mode & 0x02 && (attribute & 7) === 1 && scan === (crtc[0x14] & 0x1f)) bits = 0x1ff;
      const blinks = (mode & 0x08) !== 0;
      if (blinks && attribute & 0x80 && !phase.text) bits = 0;
      if (hasCursor && address === cursor && scan >= cursorFirst && scan <= cursorLast) bits = 0x1ff;
      const foreground = color[attribute & 0x0f];
      const background = color[(attribute >> 4) & (blinks ? 7 : 15)];
      for (let x = 0; x < dots; x++) line[n * dots + x] = bits & (0x100 >> x) ? foreground : background;
    }
  };
}

/** A picture as a file: portable pixmap, "P6". */
export function toPpm({ width, height, rgba }: Picture): Uint8Array {
  const header = Uint8Array.from(`P6\n${width} ${height}\n255\n`, (c) => c.charCodeAt(0));
  const file = new Uint8Array(header.length + 3 * width * height);
  file.set(header);
  for (let i = 0, at = header.length; i < rgba.length; i += 4) {
    file[at++] = rgba[i];
    file[at++] = rgba[i + 1];
    file[at++] = rgba[i + 2];
  }
  return file;
}
