import { expect, it } from 'vitest';
import { edits } from './typed-text.ts';

it('finds what was deleted and typed', () => {
  expect(edits('  ', '  l')).toEqual({ deleted: 0, typed: 'l' });
  expect(edits('  ls', '  l')).toEqual({ deleted: 1, typed: '' });
  // A keyboard that corrects the word.
  expect(edits('  teh', '  the ')).toEqual({ deleted: 2, typed: 'he ' });
  expect(edits('  ', ' ')).toEqual({ deleted: 1, typed: '' });
  expect(edits('  \u{1f600}', '  \u{1f601}')).toEqual({ deleted: 1, typed: '\u{1f601}' });
});
