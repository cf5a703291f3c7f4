// Reads a monitor line from left to right. QEMU, monitor/hmp.c.

/** The line is no command as it should be. The text is QEMU's. */
export class ParseError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ParseError';
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', '\\': '\\', "'": "'", '"': '"' };

export class Scanner {
  at = 0;

  constructor(readonly text: string) {}

  /** The next character, '' at the end. */
  get next(): string {
    return this.text.charAt(this.at);
  }

  skipSpaces(): void {
    while (/\s/.test(this.next)) this.at++;
  }

  /** Take what matches here; '' if nothing does. @param pattern sticky */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text)?.[0] ?? '';
    this.at += match.length;
    return match;
  }

  /** A word, or text in double quotes with escapes; undefined at the end of the line. */
  string(): string | undefined {
    this.skipSpaces();
    if (this.next === '') return undefined;
    if (this.text.charAt(this.at) !== '"') return this.take(/\S+/y);
    this.at++;
    let value = '';
    for (;;) {
      const char: string = this.text.charAt(this.at);
      if (char === '') throw new ParseError('unterminated string');
      this.at++;
      if (char === '"') return value;
      if (char !== '\\') {
        value += char;
        continue;
      }
      const escape = this.next;
      if (!Object.hasOwn(ESCAPES, escape)) throw new ParseError(`unsupported escape code: '\\${escape}'`);
      value += ESCAPES[escape];
      this.at++;
    }
  }

  /** There must be no more. */
  end(command: string): void {
    this.skipSpaces();
    if (this.next !== '') throw new ParseError(`${command}: extraneous characters at the end of line`);
  }
}
