// npm run fuzz [-- CASES [SEED [DEVICE]]]: hostile drivers against every virtio device and every emulated network card, a million cases
// in all unless told otherwise.
// What fails is printed with its seed and its steps, the fewest that fail.

import { fuzzNic, NIC_TARGETS } from '../tests/network/fuzz/cards.ts';
import { fuzz } from '../tests/virtio/fuzz/harness.ts';
import { TARGETS } from '../tests/virtio/fuzz/targets.ts';

const [cases = '1000000', seed = String(Date.now() & 0x7fffffff), name] = process.argv.slice(2);
type Fuzz = (cases: number, seed: number, progress: (done: number) => void) => void;
const all: { name: string; fuzz: Fuzz }[] = [
  ...TARGETS.map((target) => ({ name: target.name, fuzz: ((...how) => fuzz(target, ...how)) as Fuzz })),
  ...Object.keys(NIC_TARGETS).map((card) => ({ name: card, fuzz: ((...how) => fuzzNic(card, ...how)) as Fuzz })),
];
const targets = all.filter((target) => name === undefined || target.name.startsWith(name));
if (!/^\d+$/.test(cases) || !/^\d+$/.test(seed) || targets.length === 0) {
  console.error(`fuzz: npm run fuzz -- CASES SEED DEVICE; devices are ${all.map((target) => target.name).join('; ')}`);
  process.exit(2);
}
const each = Math.ceil(Number(cases) / targets.length);
let failed = 0;
for (const target of targets) {
  const began = performance.now();
  try {
    target.fuzz(each, Number(seed), (done) => process.stderr.write(`\r${target.name}: ${done}`));
    console.log(`\r${target.name}: ${each} cases, ${((performance.now() - began) / 1000).toFixed(0)} s`);
  } catch (error) {
    failed++;
    console.error(`\n${target.name}, seed ${seed}: ${error instanceof Error ? `${error.message}\n${String(error.cause ?? '')}` : String(error)}`);
  }
}
process.exitCode = failed ? 1 : 0;
