// `npm run oracle`: fresh random cases, run on this machine's processor and on the emulator, and compared.
//   --cases N (100,000)  --seed N (random)  --form NAME (regular expression)  --kind integer|x87|vector  --mode 16|32|64
//   --show N (examples a form, 1)  --compiled (by compiled code, much slower)

import { parseArgs } from 'node:util';
import { compare, describe } from './compare.ts';
import { EmulatedProcessor, loadModules } from './emulator.ts';
import { forms, makeCase, type TestCase } from './generate.ts';
import { NativeProcessor } from './native/run.ts';
import type { CodeMode } from './space.ts';

/** Linux hides whether a kernel address was mapped. */
const TASK_SIZE = 0x7fff_ffff_f000n;

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '100000' }, seed: { type: 'string' }, form: { type: 'string' }, mode: { type: 'string' }, kind: { type: 'string' }, show: { type: 'string', default: '1' }, compiled: { type: 'boolean' } },
});
const total = +values.cases;
let seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : +values.seed;
const name = new RegExp(values.form ?? '');
const modes = (values.mode ? [+values.mode] : [64, 32, 64, 16]) as CodeMode[];
const chosen = forms.filter((f) => name.test(f.name) && (!values.kind || values.kind === (f.x87 ? 'x87' : f.size === 'x' ? 'vector' : 'integer')));
if (chosen.length === 0) throw new Error(`No form is called ${values.form}`);
console.log(`${total} cases of ${chosen.length} forms, seed ${seed}`);

const processor = new NativeProcessor();
const emulator = new EmulatedProcessor(loadModules(), values.compiled ? { threshold: 1 } : null);
const wrong = new Map<string, { count: number; examples: string[] }>();
let done = 0;
let mismatches = 0;
while (done < total) {
  const batch: TestCase[] = [];
  while (batch.length < 10_000 && done + batch.length < total) {
    const n = seed++;
    const c = makeCase(chosen[(n >>> 2) % chosen.length], modes[n & (modes.length - 1)], n);
    if (c) batch.push(c);
  }
  const outcomes = processor.run(batch);
  batch.forEach((c, i) => {
    const want = outcomes[i];
    if (!want || want.cr2 >= TASK_SIZE) return;
    let differences: string[];
    try {
      const got = emulator.run(c);
      differences = got ? compare(c, want, got) : ['it never ended'];
    } catch (error) {
      differences = [`stopped: ${error}`];
    }
    if (differences.length === 0) return;
    mismatches++;
    const key = `${c.form.name} ${c.form.opcode.map((b) => b.toString(16)).join(' ')}${c.form.digit >= 0 ? `/${c.form.digit}` : ''}`;
    const entry = wrong.get(key) ?? { count: 0, examples: [] };
    wrong.set(key, entry);
    entry.count++;
    if (entry.examples.length < +values.show) entry.examples.push(`${describe(c)}: ${differences.join('; ')}`);
  });
  done += batch.length;
}
processor.close();
for (const [key, { count, examples }] of [...wrong].sort((a, b) => b[1].count - a[1].count)) {
  console.log(`${count} × ${key}`);
  for (const e of examples) console.log(`    ${e}`);
}
console.log(`${done} cases, ${mismatches} differ`);
process.exitCode = mismatches ? 1 : 0;
