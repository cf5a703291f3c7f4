import { describe, it, expect } from 'vitest';
import { withModifiers } from './touch-keys.tsx';

describe('sticky modifiers', () => {
  it('make the codes that a terminal sends', () => {
    expect(withModifiers('c', { ctrl: true, alt: false })).toBe('\x03');
    expect(withModifiers('[', { ctrl: true, alt: false })).toBe('\x1b');
    expect(withModifiers('b', { ctrl: false, alt: true })).toBe('\x1bb');
    expect(withModifiers('1', { ctrl: true, alt: false })).toBe('1');
  });
});
