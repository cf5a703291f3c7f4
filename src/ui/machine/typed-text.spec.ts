import { expect, it } from 'vitest';
import { edits, keysWithoutPlace } from './typed-text.ts';

it('finds what was deleted and typed', () => {
  expect(edits('  ', '  l')).toEqual({ deleted: 0, typed: 'l' });
  expect(edits('  ls', '  l')).toEqual({ deleted: 1, typed: '' });
  // A keyboard that corrects the word.
  expect(edits('  teh', '  the ')).toEqual({ deleted: 2, typed: 'he ' });
  expect(edits('  ', ' ')).toEqual({ deleted: 1, typed: '' });
  expect(edits('  \u{1f600}', '  \u{1f601}')).toEqual({ deleted: 1, typed: '\u{1f601}' });
});

it('knows keys that have a name and no place from those that change the text', () => {
  const none = { ctrlKey: false, altKey: false, metaKey: false, shiftKey: false };
  const keys = (key: string, held: Partial<typeof none> = {}) => keysWithoutPlace({ key, ...none, ...held });
  for (const key of ['a', ' ', 'Enter', 'Backspace', 'Unidentified', 'Process', 'Shift', 'Control', '\u00e4', '\u{1f600}']) expect(keys(key), key).toBeUndefined();
  expect(keys('ArrowUp')).toEqual(['up']);
  expect(keys('F10')).toEqual(['f10']);
  expect(keys('Tab', { shiftKey: true })).toEqual(['shift', 'tab']);
  expect(keys('c', { ctrlKey: true })).toEqual(['ctrl', 'c']);
  expect(keys('C', { ctrlKey: true, shiftKey: true })).toEqual(['ctrl', 'shift', 'c']);
  expect(keys('Delete', { ctrlKey: true, altKey: true })).toEqual(['ctrl', 'alt', 'delete']);
  expect(keys('Enter', { altKey: true })).toEqual(['alt', 'ret']);
  expect(keys('\u00e4', { ctrlKey: true })).toBeUndefined();
});
