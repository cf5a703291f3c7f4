import { describe, expect, it } from 'vitest';
import { allText, lastLines } from './terminal-text.ts';

/** Rows of a terminal; `+` begins one that was wrapped. Counts the rows whose text is asked for. */
function terminal(...texts: string[]) {
  const it = {
    read: 0,
    length: texts.length,
    getLine: (row: number) => texts[row] === undefined ? undefined : {
      isWrapped: texts[row].startsWith('+'),
      translateToString: () => {
        it.read++;
        return texts[row].replace(/^\+/, '');
      },
    },
  };
  return it;
}

const FLOOD = Array.from({ length: 10_000 }, (_, n) => `line ${n}`);

describe('text of a terminal', () => {
  it('is its rows, wrapped ones as one line, without what is empty below', () => {
    expect(allText(terminal('one', 'two', '+and more', '', '~ #', '', ''))).toBe('one\ntwoand more\n\n~ #');
  });

  it('of the last lines is what the whole text ends with', () => {
    for (const rows of [['one', 'two', '+and more', '', '~ #', '', ''], ['+of a line that scrolled away', 'two'], ['', ''], [], ['one'], FLOOD]) {
      for (const count of [1, 3, 18]) {
        expect(lastLines(terminal(...rows), count, 9)).toBe(allText(terminal(...rows)).split('\n').slice(-count).map((row) => row.slice(0, 9)).join('\n'));
      }
    }
  });

  it('of the last lines does not read the rows before them, nor the rest of an endless line', () => {
    const flood = terminal(...FLOOD, '', '');
    expect(lastLines(flood, 2, 80)).toBe('line 9998\nline 9999');
    expect(flood.read).toBeLessThan(10);
    const endless = terminal('dots', ...Array<string>(10_000).fill('+....'), '~ #');
    expect(lastLines(endless, 18, 8)).toBe('dots....\n~ #');
    expect(endless.read).toBeLessThan(10);
  });
});
