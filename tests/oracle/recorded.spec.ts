// The recorded set: what the real processor did with each case, the emulator must do (README.md), interpreted and compiled.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe as group, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { compare, describe } from './compare.ts';
import { EmulatedProcessor, loadModules } from './emulator.ts';
import { makeCase } from './generate.ts';
import { formatCase, parseCase } from './recorded.ts';

const folder = join(import.meta.dirname, 'recorded');
const files = readdirSync(folder).sort();
const linesOf = (file: string) => readFileSync(join(folder, file), 'utf8').trimEnd().split('\n').filter((l) => !l.startsWith('#'));

group.each([['interpreted', null], ['compiled', { threshold: 1 }]])('the emulator does what the processor did, %s', (_name, compile) => {
  let emulator: EmulatedProcessor;
  beforeAll(async () => {
    await buildIfOlder();
    emulator = new EmulatedProcessor(loadModules(), compile);
  }, 120_000);

  for (const file of files) {
    it(file, { timeout: 300_000 }, () => {
      const wrong: string[] = [];
      for (const line of linesOf(file)) {
        const { case: c, outcome } = parseCase(line);
        const got = emulator.run(c);
        const differences = got ? compare(c, outcome, got) : ['it never ended'];
        if (differences.length > 0) wrong.push(`${describe(c)}: ${differences.join('; ')}`);
      }
      expect(wrong).toEqual([]);
    });
  }
});

group('the recorded set', () => {
  it('belongs to the generator as it is', () => {
    for (const file of files) {
      for (const line of linesOf(file).filter((_, n) => n % 50 === 0)) {
        const { case: c, outcome } = parseCase(line);
        const made = makeCase(c.form, c.mode, c.seed);
        expect(made && formatCase(made, outcome)).toBe(line);
      }
    }
  });
});
