// Replays lines of x87.c or sse.c from standard input against core.wasm, any number of them:
//   ./x87 SEED COUNT | node --import tsx tests/oracle/fp/replay.ts
//   ./sse SEED COUNT | node --import tsx tests/oracle/fp/replay.ts
// Prints the forms that differ, with examples, and how many transcendental results are one unit in the last place off.

import { createInterface } from 'node:readline';
import { Cpu, Mem } from '../../../src/core/layout.ts';
import { CPU, TestCpu } from '../../../src/core/testing.ts';
import { executeNumeric } from './numeric-x87.ts';
import { replaySseLine } from './replay-sse.ts';
import { replayLine, type Guest } from './replay-x87.ts';

const EXAMPLES = 3;

const t = await TestCpu.create();
t.set64(Cpu.CR0, 0x11n);
t.set64(Cpu.CR4, 0x600n);
t.core.update_mode(CPU);
const guest: Guest = { view: t.view, core: t.core as unknown as Guest['core'], linear: 0x9000, host: Mem.RAM + 0x9000 };

interface Tally {
  lines: number;
  wrong: number;
  ulps: number;
  examples: string[];
}
const forms = new Map<string, Tally>();
let wrong = 0;
let lines = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const name = line.slice(0, line.indexOf(' '));
  const tally = forms.get(name) ?? { lines: 0, wrong: 0, ulps: 0, examples: [] };
  forms.set(name, tally);
  tally.lines++;
  lines++;
  // x87 forms begin with an escape opcode, SSE forms with a prefix or 0F.
  const x87 = /^d[89a-f]/.test(name);
  const { differences, ulps } = x87 ? replayLine(guest, line) : { differences: replaySseLine(guest, line), ulps: 0 };
  if (x87) differences.push(...replayLine(guest, line, executeNumeric).differences.map((it) => `compiled: ${it}`));
  if (ulps) tally.ulps++;
  if (differences.length === 0) continue;
  wrong++;
  tally.wrong++;
  if (tally.examples.length < EXAMPLES) tally.examples.push(`${line}\n        ${differences.join('; ')}`);
}
for (const [name, tally] of forms) {
  if (tally.wrong === 0 && tally.ulps === 0) continue;
  console.log(`${name}: ${tally.wrong} of ${tally.lines} differ${tally.ulps ? `, ${tally.ulps} by one unit in the last place` : ''}`);
  for (const example of tally.examples) console.log(`    ${example}`);
}
console.log(`${lines} lines, ${wrong} differ`);
process.exitCode = wrong ? 1 : 0;
