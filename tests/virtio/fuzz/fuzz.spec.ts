// Ten thousand cases over all virtio devices; "npm run fuzz" runs a million.

import { describe, it } from 'vitest';
import { fuzz } from './harness.ts';
import { TARGETS } from './targets.ts';

const CASES = 10_000;

describe.each(TARGETS)('$name', (target) => {
  it(`stands ${Math.ceil(CASES / TARGETS.length)} hostile drivers`, () => fuzz(target, Math.ceil(CASES / TARGETS.length), 20260801), 120_000);
});
