// Millions of random cases by hand: node --import tsx tests/decoder/bulk.ts [cases] [seed]

import { compareRandom } from './compare.ts';

const count = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? 1);
const start = performance.now();
const found = compareRandom(seed, count);
for (const [key, { text }] of found) console.log(`${key}\n    ${text}`);
console.log(`${count} cases, seed ${seed}: ${found.size} causes of differences, ${((performance.now() - start) / 1000).toFixed(1)} s`);
process.exitCode = found.size > 0 ? 1 : 0;
