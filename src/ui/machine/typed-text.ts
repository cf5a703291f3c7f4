// What a phone's keyboard has done to a text field, as keys. Such keyboards send no key events but change the text, and change words
// that they have put there already: so what was and what is there are compared. Keys that change no text come as key events, but have a name only
// and no place (KeyboardEvent.code is empty: UI Events, 4.3.2).

import { KEYS, keyOfCode, usKey } from '../../machine/input.ts';

/** Text that the field always has in front, so that there is something to delete. */
export const KEPT = '  ';

/** How `before` became `after`: characters deleted at the end, and what was typed then. */
export function edits(before: string, after: string): { deleted: number; typed: string } {
  let same = 0;
  while (same < before.length && same < after.length && before[same] === after[same]) same++;
  // Not between the halves of a character.
  if (same > 0 && /[\ud800-\udbff]/.test(before[same - 1])) same--;
  return { deleted: [...before.slice(same)].length, typed: after.slice(same) };
}

/**
 * The keys to press together for one that has a name but no place, as keyboards on phones send them; undefined: it changes the field's text, and is
 * known from that (letters, Enter, Backspace), or it is nothing by itself.
 */
export function keysWithoutPlace({ key, ctrlKey, altKey, metaKey, shiftKey }: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey' | 'shiftKey'>): string[] | undefined {
  const held = [ctrlKey && 'ctrl', altKey && 'alt', metaKey && 'meta_l'].filter((it) => it !== false);
  const changesText = key === 'Enter' || key === 'Backspace' || [...key].length === 1;
  // With Control or Alt a letter types nothing.
  if (changesText && held.length === 0) return undefined;
  const typed = [...key].length === 1 ? usKey(key) : undefined;
  // Keys that type nothing have the same names as places.
  const number = typed?.key ?? keyOfCode(key);
  if (number === undefined) return undefined;
  return [...held, ...(typed?.shift ?? shiftKey ? ['shift'] : []), KEYS[number].name];
}
