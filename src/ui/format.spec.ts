import { describe, it, expect } from 'vitest';
import { ago, bytes, millions, percent } from './format.ts';

describe('numbers as people read them', () => {
  it('keeps three digits', () => {
    expect([0, 999, 1000, 14186432, 999_600, 123_456_789_000].map(bytes)).toEqual(
      ['0 bytes', '999 bytes', '1.00 kB', '14.2 MB', '1.00 MB', '123 GB']);
    expect([0, 420_000, 182_400_000].map(millions)).toEqual(['0', '0.42', '182']);
    expect(percent(0.374)).toBe('37 %');
  });

  it('says how long ago something was', () => {
    const now = Date.UTC(2024, 5, 15);
    expect([0, 5, 120, 60 * 24, 60 * 24 * 6, 60 * 24 * 100].map((minutes) => ago(now - minutes * 60_000, now))).toEqual(
      ['just now', '5 minutes ago', '2 hours ago', 'yesterday', '6 days ago', expect.stringMatching(/^Mar \d+, 2024$/)]);
  });
});
