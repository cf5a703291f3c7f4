import { describe, it, expect } from 'vitest';
import { PROBES } from './browser-status.ts';

describe('feature probes', () => {
  it('are valid where the feature exists', () => {
    for (const [name, probe] of Object.entries(PROBES)) {
      expect(WebAssembly.validate(probe as BufferSource), name).toBe(true);
    }
  });
});
