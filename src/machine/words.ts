// A machine line as one text, and its words: quoting as a POSIX shell reads it (POSIX.1-2017, XCU 2.2 Quoting),
// without expansions. Used for the part of a link after '#', and wherever a line is shown to be copied.

/** A text whose quoting is not complete. */
export class QuotingError extends Error {}

/** The words of a line. @throws QuotingError */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  const closing = (quote: string) => {
    const end = line.indexOf(quote, at);
    if (end < 0) throw new QuotingError(`a ${quote} is opened and never closed`);
    return end;
  };
  while (at < line.length) {
    const c = line[at++];
    if (c === ' ' || c === '\t' || c === '\n' || c === '\r') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (c === "'") {
      const end = closing("'");
      word = (word ?? '') + line.slice(at, end);
      at = end + 1;
    } else if (c === '"') {
      word ??= '';
      for (;;) {
        if (at >= line.length) closing('"');
        const inner = line[at++];
        if (inner === '"') break;
        // Between double quotes a backslash is special only before these (XCU 2.2.3).
        if (inner === '\\' && at < line.length && '$`"\\\n'.includes(line[at])) {
          if (line[at] !== '\n') word += line[at];
          at++;
        } else {
          word += inner;
        }
      }
    } else if (c === '\\') {
      if (at >= line.length) throw new QuotingError('the line ends in a backslash');
      // A backslash before a line's end continues the line (XCU 2.2.1).
      if (line[at] !== '\n') word = (word ?? '') + line[at];
      at++;
    } else {
      word = (word ?? '') + c;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** The line that splits into these words, also in a shell. */
export function joinLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}
