// The machine line: a QEMU command line as it stands after the # of a link, and its words.

/** What stands after the #: a room of the page. */
export type Room = { kind: 'home' } | { kind: 'help' } | { kind: 'machine'; line: string };

/** The room that a location's hash names. */
export function roomOf(hash: string): Room {
  const raw = hash.replace(/^#/, '');
  let text = raw;
  try {
    text = decodeURIComponent(raw);
  } catch {
    // A lone % of a line typed by hand: taken as it stands.
  }
  text = text.trim();
  if (text === '') return { kind: 'home' };
  if (text === 'help') return { kind: 'help' };
  return { kind: 'machine', line: text };
}

/** The link (from # on) to a machine line, readable, and safe to paste into other texts. */
export function hashOf(line: string): string {
  return '#' + encodeURI(line).replace(/[#'()]/g, (c) => '%' + c.charCodeAt(0).toString(16));
}

/** A line whose quoting is not complete. */
export class LineError extends Error {}

/**
 * The words of a line, split as a POSIX shell does (XCU 2.2 Quoting): blanks, '…', "…" and backslash; nothing is expanded.
 * A leading program name is dropped, so that a line copied from a terminal works.
 */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quote === "'") {
      if (c === "'") quote = '';
      else word += c;
    } else if (c === '\\') {
      const next = line[++i];
      if (next === undefined) throw new LineError('The line ends in a backslash.');
      if (next === '\n') continue;
      word = (word ?? '') + (quote && !'"\\$`'.includes(next) ? '\\' + next : next);
    } else if (quote) {
      if (c === '"') quote = '';
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + c;
    }
  }
  if (quote) throw new LineError(`A ${quote} is opened and never closed.`);
  if (word !== undefined) words.push(word);
  if (words.length && /^(?:\S*\/)?(?:qemu-system-(?:x86_64|i386)|tabvisor|kvm)$/.test(words[0])) words.shift();
  return words;
}

/** The line that splits into these words. */
export function joinWords(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./~-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, '\\$&')}"`).join(' ');
}

/** The value of the last `-option` among the words (with one or two dashes, as QEMU takes them). */
export function optionValue(words: readonly string[], option: string): string | undefined {
  let value: string | undefined;
  words.forEach((word, i) => {
    if (word === `-${option}` || word === `--${option}`) value = words[i + 1];
  });
  return value;
}

/** The files that a line names, in the order in which they load, each once. */
export function filesOf(words: readonly string[]): { role: 'kernel' | 'initrd'; name: string }[] {
  const files: { role: 'kernel' | 'initrd'; name: string }[] = [];
  for (const role of ['kernel', 'initrd'] as const) {
    const value = optionValue(words, role);
    if (value && !files.some((file) => file.name === value)) files.push({ role, name: value });
  }
  return files;
}

/** How many serial ports the line asks for: one by default, as in QEMU; "-serial none" takes the place of one and is none. */
export function serialPorts(words: readonly string[]): number[] {
  const values = words.filter((_, i) => i > 0 && /^--?serial$/.test(words[i - 1]));
  if (!values.length) return [0];
  return values.flatMap((value, port) => value === 'none' || port > 3 ? [] : [port]);
}
