import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinLine, QuotingError, splitLine } from './words.ts';

describe('splitLine', () => {
  it('splits at blanks and keeps quoted ones', () => {
    expect(splitLine('  -m 512\t-append "console=ttyS0 quiet" \n')).toEqual(['-m', '512', '-append', 'console=ttyS0 quiet']);
    expect(splitLine(`a'b c'd "" ''`)).toEqual(['ab cd', '', '']);
  });

  it('takes backslashes as a shell does', () => {
    expect(splitLine('a\\ b "x\\"y" "\\n" \'\\\'')).toEqual(['a b', 'x"y', '\\n', '\\']);
    expect(splitLine('-m \\\n 512')).toEqual(['-m', '512']);
  });

  it('refuses open quotes', () => {
    for (const line of ['"abc', "'abc", 'abc\\', '"abc\\']) expect(() => splitLine(line)).toThrow(QuotingError);
  });

  it('is the inverse of joinLine', () => {
    fc.assert(fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
      expect(splitLine(joinLine(words))).toEqual(words);
    }));
    fc.assert(fc.property(fc.array(fc.string({ unit: fc.constantFrom(...`ab '"\\$\n\t`) })), (words) => {
      expect(splitLine(joinLine(words))).toEqual(words);
    }));
  });

  it('never throws anything but a QuotingError', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...`a '"\\$\n`) }), (line) => {
      try {
        splitLine(line);
      } catch (error) {
        expect(error).toBeInstanceOf(QuotingError);
      }
    }));
  });
});
