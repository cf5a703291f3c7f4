// Hostile drivers against the emulated cards: cards.ts. FUZZ_SEED=N repeats a run whose failure named its seed.

import { it } from 'vitest';
import { fuzzRuns, fuzzSeeded } from '../../../src/virtio/testing.ts';
import { fuzzNic, NIC_TARGETS } from './cards.ts';

for (const name of Object.keys(NIC_TARGETS)) {
  const runs = fuzzRuns(2000);
  it(`${name}: no driver, however odd, harms the machine`, { timeout: runs * 60 + 60_000 }, () => fuzzSeeded((seed) => fuzzNic(name, runs, seed)));
}
