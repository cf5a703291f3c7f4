import { describe, it, expect } from 'vitest';
import { Control } from '../../machine/protocol.ts';
import { FigureSampler } from './figures.ts';

describe('FigureSampler', () => {
  const buffer = new SharedArrayBuffer(Control.SERIAL_RINGS);
  const words = new BigUint64Array(buffer);
  const set = (icount: number, busyMs: number, guestMs: number) => {
    words[Control.ICOUNT / 8] = BigInt(icount);
    words[Control.BUSY_NS / 8] = BigInt(busyMs * 1e6);
    words[Control.GUEST_NS / 8] = BigInt(guestMs * 1e6);
  };

  it('gives rates over the last second, and starts again after a reset', () => {
    let now = 0;
    const sampler = new FigureSampler(buffer, () => now);
    expect(sampler.sample()).toEqual({ instructions: 0, guest: 0, host: 0 });
    now = 500; set(50_000_000, 250, 200);
    expect(sampler.sample()).toEqual({ instructions: 100e6, guest: 0.4, host: 0.5 });
    now = 1000; sampler.sample();
    now = 1500; set(150_000_000, 750, 600);
    expect(sampler.sample()).toEqual({ instructions: 100e6, guest: 0.4, host: 0.5 });
    now = 2000; set(10, 0, 0);
    expect(sampler.sample()).toEqual({ instructions: 0, guest: 0, host: 0 });
  });
});
