// What a phone's keyboard has done to a text field, as keys. Such keyboards send no key events but change the text, and change words
// that they have put there already: so what was and what is there are compared.

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
