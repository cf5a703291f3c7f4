import { beforeEach, describe, expect, it } from 'vitest';
import { ScreenPainter } from './vga-painter.ts';
import { drawScreen, type Phase, type VgaView } from './vga-picture.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };
let view: Writable<VgaView>;
let painter: ScreenPainter;
const SHOWN: Phase = { cursor: true, text: true };

let seed = 7;
const random = (below: number) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};

beforeEach(() => {
  seed = 7;
  view = {
    enabled: true, vram: new Uint8Array(0x100000), sequencer: new Uint8Array(8), graphics: new Uint8Array(16), crtc: new Uint8Array(32),
    attributes: new Uint8Array(32), palette: Uint8Array.from({ length: 768 }, () => random(256)), pelMask: 0xff, dac8: true, vbe: null,
  };
  view.attributes.set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0, 0x0f, 0, 0]);
  for (let i = 0; i < view.vram.length; i++) view.vram[i] = random(256);
  // 20 by 4 characters of 16 lines.
  view.crtc.set([0, 19, 0, 0, 0, 0, 0, 0x10, 0, 0x4f, 0x0d, 0x0e]);
  view.crtc[0x12] = 63;
  view.crtc[0x13] = 10;
  view.crtc[0x17] = 0xe3;
  view.crtc[0x18] = 0xff;
  painter = new ScreenPainter();
});

const same = (phase: Phase) => {
  painter.update(view, phase);
  const { width, height, rgba } = drawScreen(view, phase);
  expect([painter.width, painter.height]).toEqual([width, height]);
  expect(Buffer.compare(Buffer.from(painter.rgba.buffer), Buffer.from(rgba.buffer))).toBe(0);
};

/** What guests do between two looks: a few bytes of memory, a register, the cursor, a colour; and the phase of what blinks. */
function disturb(): Phase {
  for (let n = random(4); n > 0; n--) view.vram[random(2) ? random(20 * 4 * 8) : random(0x40000)] = random(256);
  switch (random(8)) {
    case 0: view.crtc[0x0f] = random(100); break;
    case 1: view.crtc[0x0d] = random(40); break;
    case 2: view.palette[random(768)] = random(256); break;
    case 3: view.attributes[random(16)] = random(64); break;
    case 4: view.crtc[0x0a] = random(64); break;
    case 5: view.enabled = random(3) > 0; break;
    case 6: view.crtc[0x12] = 40 + random(24); break;
  }
  return { cursor: random(2) === 0, text: random(2) === 0 };
}

describe('what the painter keeps is the picture', () => {
  const MODES: [string, () => void][] = [
    ['text', () => {}],
    ['16 colours', () => { view.graphics[6] = 1; view.crtc[0x09] = 0; }],
    ['four colours', () => { view.graphics[6] = 1; view.graphics[5] = 0x20; view.crtc[0x17] = 0xa2; view.crtc[0x09] = 1; }],
    ['256 colours', () => { view.graphics[6] = 1; view.graphics[5] = 0x40; view.crtc[0x09] = 0x41; }],
    ['split screen', () => { view.graphics[6] = 1; view.crtc[0x09] = 0; view.crtc[0x18] = 20; view.crtc[0x07] = 0; }],
  ];
  for (const [name, set] of MODES) {
    it(name, () => {
      set();
      same(SHOWN);
      for (let n = 0; n < 200; n++) same(disturb());
    });
  }

  it('VBE modes of every depth', () => {
    for (const bpp of [4, 8, 15, 16, 24, 32]) {
      const pitch = (64 * (bpp === 15 ? 16 : bpp)) / 8;
      view.vbe = { width: 48, height: 30, bpp, start: bpp === 8 ? 3 : 0, pitch };
      same(SHOWN);
      for (let n = 0; n < 50; n++) {
        for (let k = random(5); k > 0; k--) view.vram[random(pitch * 31)] = random(256);
        same(SHOWN);
      }
    }
    view.vbe = null;
    same(SHOWN);
  });
});

describe('it draws only what has changed', () => {
  it('a character: the lines of its row', () => {
    painter.update(view, SHOWN);
    expect(painter.update(view, SHOWN)).toBeNull();
    view.vram[4 * 25] ^= 0xff;
    expect(painter.update(view, SHOWN)).toEqual({ top: 16, bottom: 32 });
    expect(painter.update(view, SHOWN)).toBeNull();
  });

  it('the cursor: its old row and its new one', () => {
    painter.update(view, SHOWN);
    view.crtc[0x0f] = 79;
    expect(painter.update(view, SHOWN)).toEqual({ top: 0, bottom: 64 });
    expect(painter.update(view, { cursor: false, text: true })).toEqual({ top: 48, bottom: 64 });
  });

  it('a pixel of a framebuffer: its line', () => {
    view.vbe = { width: 64, height: 40, bpp: 32, start: 0, pitch: 256 };
    expect(painter.update(view, SHOWN)).toEqual({ top: 0, bottom: 40 });
    view.vram[256 * 7 + 12] ^= 1;
    expect(painter.update(view, SHOWN)).toEqual({ top: 7, bottom: 8 });
    view.vram[256 * 7 + 255] ^= 1;
    view.vram[256 * 39] ^= 1;
    expect(painter.update(view, SHOWN)).toEqual({ top: 7, bottom: 40 });
    expect(painter.update(view, SHOWN)).toBeNull();
  });

  it('as much as there is time for, and the rest the next time', () => {
    view.vbe = { width: 64, height: 40, bpp: 32, start: 0, pitch: 256 };
    expect(painter.update(view, SHOWN, () => true)).toEqual({ top: 0, bottom: 16 });
    expect(painter.update(view, SHOWN, () => true)).toEqual({ top: 16, bottom: 32 });
    expect(painter.update(view, SHOWN, () => true)).toEqual({ top: 32, bottom: 40 });
    expect(painter.update(view, SHOWN)).toBeNull();
    same(SHOWN);
  });
});
