import { describe, it, expect } from 'vitest';
import { bytes, millions, percent } from './format.ts';

describe('numbers as people read them', () => {
  it('keeps three digits', () => {
    expect([0, 999, 1000, 14186432, 999_600, 123_456_789_000].map(bytes)).toEqual(
      ['0 bytes', '999 bytes', '1.00 kB', '14.2 MB', '1.00 MB', '123 GB']);
    expect([0, 420_000, 182_400_000].map(millions)).toEqual(['0', '0.42', '182']);
    expect(percent(0.374)).toBe('37 %');
  });
});
