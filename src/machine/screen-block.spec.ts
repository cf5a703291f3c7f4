import { expect, it } from 'vitest';
import { Mem } from '../core/layout.ts';
import type { VgaView } from '../devices/vga-picture.ts';
import { Control } from './protocol.ts';
import { ScreenPublisher, ScreenReader } from './screen-block.ts';

const registers = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => first + i);

it('the reader finds the card as it was published, and knows when it has changed', () => {
  const buffer = new SharedArrayBuffer(Mem.VRAM + Mem.VRAM_SIZE);
  const view: { -readonly [K in keyof VgaView]: VgaView[K] } = {
    enabled: true, vram: new Uint8Array(buffer, Mem.VRAM, Mem.VRAM_SIZE), sequencer: registers(8, 1), graphics: registers(16, 2), crtc: registers(256, 3),
    attributes: registers(32, 4), palette: registers(768, 5), pelMask: 0xf0, dac8: false, vbe: null,
  };
  const card = { changes: 1, view };
  const publisher = new ScreenPublisher(buffer, card);
  const reader = new ScreenReader(buffer);
  expect(reader.read()).toBeUndefined();
  publisher.publish();
  const first = reader.generation;
  // Without video memory, whose 16 MiB take minutes to compare.
  const { vram, ...rest } = reader.read()!;
  expect(vram.byteOffset).toBe(Mem.VRAM);
  expect(rest).toEqual({ ...view, vram: undefined, crtc: registers(32, 3) });
  publisher.publish();
  expect(reader.generation).toBe(first);

  card.changes++;
  view.vbe = { width: 1024, height: 768, bpp: 32, start: 12, pitch: 4096 };
  view.dac8 = true;
  publisher.publish();
  expect(reader.generation).toBeGreaterThan(first);
  const seen = reader.read()!;
  expect([seen.vbe, seen.dac8, seen.enabled]).toEqual([view.vbe, true, true]);

  // The worker is in the middle of writing: what was read before stands.
  Atomics.add(new Int32Array(buffer, Control.SCREEN, 1), 0, 1);
  expect(reader.read() === seen).toBe(true);
});
