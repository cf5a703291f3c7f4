// Writes the recorded set: `node --import tsx tests/oracle/native/record.ts`. Deterministic up to the processor's own
// undefined results. See ../README.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { forms, makeCase, type TestCase } from '../generate.ts';
import { formatCase, parseCase } from '../recorded.ts';
import { compare } from '../compare.ts';
import { NativeProcessor } from './run.ts';

const folder = join(import.meta.dirname, '..', 'recorded');
const SEED = 0x2026_0000;

const group = (c: TestCase) => (c.form.x87 ? 'x87' : c.form.size === 'x' ? 'vector' : `integer${c.mode}`);

function casesFor(mode: 16 | 32 | 64, form: (typeof forms)[number]): number {
  const vector = form.size === 'x' || form.x87;
  const intricate = form.setup !== 'none' && !vector;
  if (mode === 64) return intricate ? 18 : vector ? 8 : 11;
  if (mode === 32) return vector ? 2 : intricate ? 14 : 8;
  return vector ? 1 : intricate ? 8 : 4;
}

const cases: TestCase[] = [];
let seed = SEED;
for (const form of forms) {
  for (const mode of [64, 32, 16] as const) {
    for (let n = casesFor(mode, form); n > 0; n--) {
      const c = makeCase(form, mode, seed++);
      if (c) cases.push(c);
    }
  }
}
const processor = new NativeProcessor();
const outcomes = processor.run(cases);
processor.close();
const files = new Map<string, string[]>();
let dropped = 0;
cases.forEach((c, i) => {
  const o = outcomes[i];
  // Linux hides whether a kernel address was mapped.
  if (!o || o.cr2 >= 0x7fff_ffff_f000n) {
    dropped++;
    return;
  }
  const line = formatCase(c, o);
  const again = parseCase(line);
  const lost = compare(c, o, again.outcome);
  if (lost.length > 0 || formatCase(again.case, again.outcome) !== line) throw new Error(`Not kept by the text form: ${line}\n${lost.join('\n')}`);
  const g = group(c);
  if (!files.has(g)) files.set(g, []);
  files.get(g)!.push(line);
});
mkdirSync(folder, { recursive: true });
let bytes = 0;
for (const [g, lines] of files) {
  const text = `# Recorded on ${cpus()[0].model.trim()} by tests/oracle/native/record.ts; ${lines.length} cases.\n${lines.join('\n')}\n`;
  bytes += text.length;
  writeFileSync(join(folder, `${g}.txt`), text);
}
console.log(`${cases.length - dropped} cases of ${forms.length} forms, ${dropped} dropped, ${bytes} bytes`);
