// What regions tell V8 of their branches (docs/compiler.md, A region's function): exits, which are half of the code, are seldom taken.

import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { generateInterpreter } from '../../src/engine/interpret.ts';
import { emitted } from './emitted.ts';
import { bytesOf, FORMS } from './golden-forms.ts';
import { hintsOf } from './hints.ts';

describe('branch hints of regions', () => {
  beforeAll(() => buildIfOlder(), 120_000);

  it.each(Object.entries(FORMS))('tell of each exit: %s', (_, forms) => {
    const branches = forms.flatMap(([, bits, hex]) => hintsOf(emitted(bits, bytesOf(hex)).module)).flat();
    expect(branches.filter((branch) => branch === 'exit seldom').length).toBeGreaterThan(forms.length - 1);
    expect(branches.filter((branch) => /exit$|exit mostly/.test(branch))).toEqual([]);
  });

  it('tell of what core does in rare cases', () => {
    // cli; sti; swapgs; fwait; popf
    for (const hex of ['fa', 'fb', '0f01f8', '9b', '9d']) expect(hintsOf(emitted(64, bytesOf(hex)).module)[0], hex).toContain('if exit seldom');
  });

  it('tell of guest branches to code that was never executed', () => {
    const [jz, jmp] = [[0x74, 0x40], [0xeb, 0xfa]];
    // again: dec ecx; jz away; jmp again, of which "away" is nothing that was ever decoded.
    const [branches] = hintsOf(emitted(32, [0xff, 0xc9, ...jz, ...jmp]).module);
    expect(branches).toContain('if exit seldom');
  });

  it('are in the interpreter\'s dispatch function, which has most of its branches', () => {
    const dispatch = hintsOf(generateInterpreter()).sort((a, b) => b.length - a.length)[0];
    expect(dispatch.filter((branch) => branch.includes(' ')).length).toBeGreaterThan(200);
  });
});
