import { describe, expect, it } from 'vitest';
import { HostEntropy, RepeatableEntropy } from './entropy.ts';

const take = (source: { fill(bytes: Uint8Array<ArrayBuffer>): void }, length: number) => {
  const bytes = new Uint8Array(length);
  source.fill(bytes);
  return bytes;
};

describe('entropy', () => {
  it('repeats under -icount, and goes on from its saved state', () => {
    const a = new RepeatableEntropy();
    const b = new RepeatableEntropy();
    expect(take(a, 1001)).toEqual(take(b, 1001));
    const saved = structuredClone(a.save());
    const next = take(a, 64);
    expect(next).not.toEqual(take(new RepeatableEntropy(), 64));
    const c = new RepeatableEntropy();
    c.load(saved);
    expect(take(c, 64)).toEqual(next);
  });

  it('is spread evenly', () => {
    const ones = take(new RepeatableEntropy(), 65536).reduce((sum, byte) => sum + [...byte.toString(2)].filter((bit) => bit === '1').length, 0);
    expect(Math.abs(ones / (8 * 65536) - 0.5)).toBeLessThan(0.005);
  });

  it('is the host\'s otherwise', () => {
    expect(take(new HostEntropy(), 64)).not.toEqual(take(new HostEntropy(), 64));
  });
});
