// A machine line as fields of a form: each reads one option of the line and writes it back; all else in the line stays as it is. So the
// form and the line always say the same.

/** The last value of an option, as QEMU takes it; '' if the line has none. */
export function optionOf(words: readonly string[], names: readonly string[]): string {
  const at = lastIndex(words, names);
  return at < 0 ? '' : (words[at + 1] ?? '');
}

/** The words with this value for the option; '' takes it out. It is written by the first of its names where it is new. */
export function withOption(words: readonly string[], names: readonly string[], value: string): string[] {
  const at = lastIndex(words, names);
  // Earlier ones would not count, and would show if the last one went.
  const others = words.filter((_, n) => !isPart(words, names, n) || (value !== '' && (n === at || n === at + 1)));
  if (value === '') return others;
  const place = lastIndex(others, names);
  return place < 0 ? [...others, names[0], value] : others.map((word, n) => (n === place + 1 ? value : word));
}

function lastIndex(words: readonly string[], names: readonly string[]): number {
  let found = -1;
  for (let n = 0; n < words.length; n++) {
    if (!isOption(words, n)) continue;
    if (names.includes(plain(words[n]))) found = n;
  }
  return found;
}

const plain = (word: string) => word.replace(/^--/, '-');

/** Is word n an option, not the value of the one before? Values may begin with a dash, but those of the form's options do not. */
const isOption = (words: readonly string[], n: number) => words[n].startsWith('-') && words[n].length > 1 && !(n > 0 && TAKES_TEXT.includes(plain(words[n - 1])));
const TAKES_TEXT = ['-append', '-name', '-kernel', '-initrd'];

/** Word n is one of these options, or its value. */
function isPart(words: readonly string[], names: readonly string[], n: number): boolean {
  if (isOption(words, n) && names.includes(plain(words[n]))) return true;
  return n > 0 && isOption(words, n - 1) && names.includes(plain(words[n - 1]));
}
