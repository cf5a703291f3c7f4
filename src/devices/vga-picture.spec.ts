import { beforeEach, describe, expect, it } from 'vitest';
import { drawScreen, type Phase, toPpm, type VgaView } from './vga-picture.ts';

// What QEMU's card shows too is compared with it in tests/devices/vga.spec.ts.

type Writable<T> = { -readonly [K in keyof T]: T[K] };
let view: Writable<VgaView>;
const VISIBLE: Phase = { cursor: true, text: true };

beforeEach(() => {
  view = {
    enabled: true, vram: new Uint8Array(0x40000), sequencer: new Uint8Array(8), graphics: new Uint8Array(16), crtc: new Uint8Array(32), attributes: new Uint8Array(32),
    palette: new Uint8Array(768), pelMask: 0xff, dac8: true, vbe: null,
  };
  for (let i = 0; i < 16; i++) view.attributes[i] = i;
  view.attributes[0x12] = 0x0f;
  // Colour n is as red as n.
  for (let n = 0; n < 256; n++) view.palette[3 * n] = n;
  view.crtc.set([0, 1], 0);
  view.crtc[0x13] = 1;
  view.crtc[0x17] = 0xe3;
  view.crtc[0x18] = 0xff;
  view.crtc[0x07] = 0x10;
  view.crtc[0x09] = 0x40;
});

/** Lines of the red components, one hexadecimal digit a dot. */
function draw(phase = VISIBLE): string[] {
  const { width, height, rgba } = drawScreen(view, phase);
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => (rgba[4 * (y * width + x)] & 15).toString(16)).join(''));
}

describe('text', () => {
  beforeEach(() => {
    // Two columns of two lines, eight dots; A is 10101010 in its first line.
    view.sequencer[1] = 1;
    view.crtc[0x09] |= 1;
    view.crtc[0x12] = 1;
    view.crtc[0x0a] = 0x20;
    view.vram[4 * 65 * 32 + 2] = 0xaa;
    view.vram[4 * 0xc4 * 32 + 2] = 0x01;
    view.vram.set([65, 0x1f, 0, 0, 0xc4, 0x2e, 0, 0], 0);
  });

  it('has the attribute\'s colours', () => {
    expect(draw()).toEqual(['f1f1f1f12222222e', '1111111122222222']);
  });

  it('has a ninth dot, which line characters repeat', () => {
    view.sequencer[1] = 0;
    view.attributes[0x13] = 8;
    view.attributes[0x10] = 4;
    expect(draw()[0]).toBe('f1f1f1f112222222ee');
    view.attributes[0x10] = 0;
    expect(draw()[0]).toBe('f1f1f1f112222222e2');
  });

  it('has a cursor that blinks', () => {
    view.crtc.set([1, 1], 0x0a);
    view.crtc[0x0f] = 1;
    expect(draw()[1]).toBe('11111111eeeeeeee');
    expect(draw({ cursor: false, text: true })[1]).toBe('1111111122222222');
  });

  it('blinks where bit 7 of the attribute says so, if it is not a colour', () => {
    view.vram[1] = 0x9f;
    expect(draw()[0].slice(0, 8)).toBe('f9f9f9f9');
    view.attributes[0x10] = 8;
    expect(draw()[0].slice(0, 8)).toBe('f1f1f1f1');
    expect(draw({ cursor: true, text: false })[0].slice(0, 8)).toBe('11111111');
  });

  it('underlines in monochrome', () => {
    view.vram[1] = 0x01;
    view.attributes[0x10] = 2;
    view.crtc[0x14] = 1;
    expect(draw()[1].slice(0, 8)).toBe('11111111');
  });

  it('scrolls by lines and dots', () => {
    view.crtc[0x08] = 1;
    expect(draw()[0]).toBe('1111111122222222');
    view.crtc[0x08] = 0;
    view.attributes[0x13] = 3;
    expect(draw()[0]).toBe('1f1f12222222e000');
    view.sequencer[1] = 0;
    view.attributes[0x13] = 8;
    expect(draw()[0].slice(0, 9)).toBe('f1f1f1f11');
    view.attributes[0x13] = 0;
    expect(draw()[0].slice(0, 9)).toBe('1f1f1f112');
  });
});

describe('graphics', () => {
  beforeEach(() => {
    view.graphics[6] = 1;
    view.crtc[0x12] = 3;
  });

  it('pans the part above the split only, if it is told to', () => {
    view.crtc[0x18] = 1;
    view.crtc[0x07] = 0;
    view.crtc[0x09] = 0;
    view.crtc[0x13] = 1;
    view.vram.set([0x80, 0, 0, 0], 0);
    view.attributes[0x13] = 1;
    expect(draw().map((line) => line.slice(0, 2))).toEqual(['00', '00', '00', '00']);
    view.attributes[0x10] = 0x20;
    expect(draw().map((line) => line.slice(0, 2))).toEqual(['00', '00', '10', '00']);
  });

  it('masks colours by planes and by the DAC\'s mask', () => {
    view.vram.set([0xf0, 0xcc, 0xaa, 0x00], 0);
    expect(draw()[0].slice(0, 8)).toBe('73516240');
    view.attributes[0x12] = 5;
    expect(draw()[0].slice(0, 8)).toBe('51514040');
    view.pelMask = 1;
    expect(draw()[0].slice(0, 8)).toBe('11110000');
  });
});

it('VBE with four bits has planes', () => {
  view.vbe = { width: 8, height: 1, bpp: 4, start: 4, pitch: 4 };
  view.vram.set([0xf0, 0xcc, 0xaa, 0x01], 4);
  expect(draw()).toEqual(['73516248']);
});

it('colours of six bits fill eight', () => {
  view.dac8 = false;
  view.vbe = { width: 8, height: 1, bpp: 8, start: 0, pitch: 8 };
  view.vram.set([0, 1, 0x20, 0x3f], 0);
  const { rgba } = drawScreen(view, VISIBLE);
  expect([0, 1, 2, 3].map((x) => rgba[4 * x])).toEqual([0, 7, 0x80, 0xff]);
});

it('is written as a portable pixmap', () => {
  const file = toPpm({ width: 2, height: 1, rgba: Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255) });
  expect(Buffer.from(file).toString('latin1')).toBe('P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06');
});
