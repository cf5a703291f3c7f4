// Ten thousand cases over all virtio devices, the same ones each time unless FUZZ_SEED gives others; "npm run fuzz" runs a million.

import { describe, it } from 'vitest';
import { fuzzSeeded } from '../../../src/virtio/testing.ts';
import { fuzz } from './harness.ts';
import { TARGETS } from './targets.ts';

const CASES = 10_000;

describe.each(TARGETS)('$name', (target) => {
  it(`stands ${Math.ceil(CASES / TARGETS.length)} hostile drivers`, () => fuzzSeeded((seed) => fuzz(target, Math.ceil(CASES / TARGETS.length), seed), 20260801), 120_000);
});
