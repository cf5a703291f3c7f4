// Golden files of emitted code: what each form becomes, as text, in golden/. Code that got longer shows as a difference, with no clock
// involved. UPDATE_GOLDEN=1 writes them anew; look at the difference before you commit it.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { emitted, InstructionCompiler } from './emitted.ts';
import { bytesOf, encodings, FORMS } from './golden-forms.ts';

const folder = join(import.meta.dirname, 'golden');
function compareWithFile(name: string, text: string): void {
  const path = join(folder, `${name}.txt`);
  if (process.env.UPDATE_GOLDEN) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, text);
  } else expect(text).toBe(readFileSync(path, 'utf8'));
}

describe('emitted code is as in the golden files', () => {
  beforeAll(async () => void (await buildIfOlder()), 120_000);

  for (const [name, forms] of Object.entries(FORMS)) {
    it(name, { timeout: 180_000 }, () => {
      const text = forms.map(([title, bits, hex]) => {
        const { module, text: body } = emitted(bits, bytesOf(hex));
        return `# ${title}\n# ${hex}, ${bits}-bit code: ${module.length} bytes of module\n${body}\n`;
      }).join('\n');
      compareWithFile(name, text);
    });
  }

  it.each([64, 32] as const)('each form of the oracle, %i bits', { timeout: 180_000 }, (bits) => {
    const compiler = new InstructionCompiler(bits);
    const parts = [...encodings(bits)].map(({ title, code }) => `# ${title}\n${compiler.text(code) ?? 'interpreted'}\n`);
    compareWithFile(`forms-${bits}`, parts.join(''));
  });
});
