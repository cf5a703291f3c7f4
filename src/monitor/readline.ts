// A line editor for a terminal that only shows bytes: keys in, echo out. QEMU, util/readline.c, whose keys and escapes these are.
// It knows no monitor, so that the page and the runner can have it without one.

const MAX_LINE = 4095;
const MAX_HISTORY = 64;
const COLUMNS = 80;

export interface ReadlineHost {
  /** Show text; lines end in \r\n. */
  write(text: string): void;
  /** Do what a line says; its answer is shown, then the prompt. */
  execute(line: string): Promise<string>;
  /** What the last word of the text before the cursor can become. */
  complete(text: string): Promise<readonly string[]>;
}

/** Keys that come as escape sequences. */
const SEQUENCES: Readonly<Record<string, string>> = {
  '[A': '\x10', '[B': '\x0e', '[C': 'right', '[D': 'left', '[H': '\x01', '[F': '\x05', '[1~': '\x01', '[3~': 'delete', '[4~': '\x05', '[7~': '\x01', '[8~': '\x05',
  OA: '\x10', OB: '\x0e', OC: 'right', OD: 'left', OH: '\x01', OF: '\x05',
};

export class Readline {
  private line = '';
  private cursor = 0;
  /** What the terminal shows of the line, and where its cursor is. */
  private shown = '';
  private shownCursor = 0;
  private readonly history: string[] = [];
  /** Place in the history; its length: the line being typed. */
  private place = 0;
  private kept = '';
  /** An escape sequence that is not complete. */
  private sequence: string | undefined;
  /** What was typed while a command ran. */
  private waiting = '';
  private isBusy = false;

  constructor(
    private readonly host: ReadlineHost,
    private readonly prompt = '(qemu) ',
  ) {}

  /** Begin a new line. */
  start(): void {
    this.line = this.shown = '';
    this.cursor = this.shownCursor = 0;
    this.place = this.history.length;
    this.host.write(this.prompt);
  }

  /** Keys, as a terminal sends them. */
  input(text: string): void {
    this.waiting += text;
    while (!this.isBusy && this.waiting !== '') {
      const [char] = this.waiting;
      this.waiting = this.waiting.slice(char.length);
      this.key(char);
    }
    // Once for all of a paste.
    if (!this.isBusy) this.update();
  }

  private key(char: string): void {
    if (this.sequence !== undefined) {
      this.sequence += char;
      if (/^(\[[\d;]*|O)$/.test(this.sequence)) return;
      const key = SEQUENCES[this.sequence];
      this.sequence = undefined;
      if (key !== undefined) this.act(key);
    } else if (char === '\x1b') {
      this.sequence = '';
      return;
    } else if (char >= ' ' && char !== '\x7f') {
      if (this.line.length + char.length <= MAX_LINE) this.insert(char);
    } else {
      this.act(char);
    }
  }

  private act(key: string): void {
    switch (key) {
      case '\x01':
        this.cursor = 0;
        break;
      case '\x05':
        this.cursor = this.line.length;
        break;
      case 'left':
      case '\x02':
        this.cursor -= this.before(1);
        break;
      case 'right':
      case '\x06':
        this.cursor += this.after();
        break;
      case '\x04':
      case 'delete':
        this.remove(this.cursor, this.cursor + this.after());
        break;
      case '\b':
      case '\x7f':
        this.remove(this.cursor - this.before(1), this.cursor);
        break;
      case '\x0b':
        this.remove(this.cursor, this.line.length);
        break;
      case '\x15':
        this.remove(0, this.cursor);
        break;
      case '\x17':
        this.remove(this.line.slice(0, this.cursor).replace(/\S*\s*$/, '').length, this.cursor);
        break;
      case '\x0c':
        this.host.write(`\x1b[2J\x1b[1;1H${this.prompt}`);
        this.shown = '';
        this.shownCursor = 0;
        break;
      case '\x10':
        this.recall(this.place - 1);
        break;
      case '\x0e':
        this.recall(this.place + 1);
        break;
      case '\t':
        this.update();
        void this.run(() => this.tab());
        break;
      case '\r':
      case '\n':
        this.cursor = this.line.length;
        this.update();
        this.host.write('\r\n');
        void this.run(() => this.enter());
        break;
    }
  }

  /** Code units of the character before the cursor; one that a terminal shows may have two. */
  private before(characters: number): number {
    return [...this.line.slice(0, this.cursor)].slice(-characters).join('').length;
  }

  private after(): number {
    return [...this.line.slice(this.cursor)][0]?.length ?? 0;
  }

  private insert(text: string): void {
    this.line = this.line.slice(0, this.cursor) + text + this.line.slice(this.cursor);
    this.cursor += text.length;
  }

  private remove(from: number, to: number): void {
    this.line = this.line.slice(0, from) + this.line.slice(to);
    this.cursor = from;
  }

  private recall(place: number): void {
    if (place < 0 || place > this.history.length || place === this.place) return;
    if (this.place === this.history.length) this.kept = this.line;
    this.place = place;
    this.line = place === this.history.length ? this.kept : this.history[place];
    this.cursor = this.line.length;
  }

  /** Bring the terminal in line. */
  private update(): void {
    const width = (text: string): number => [...text].length;
    let out = '';
    if (this.line !== this.shown) {
      out += `${'\x1b[D'.repeat(width(this.shown.slice(0, this.shownCursor)))}${this.line}\x1b[K`;
      this.shown = this.line;
      this.shownCursor = this.line.length;
    }
    const [from, to] = [this.shownCursor, this.cursor].map((index) => width(this.line.slice(0, index)));
    out += to > from ? '\x1b[C'.repeat(to - from) : '\x1b[D'.repeat(from - to);
    this.shownCursor = this.cursor;
    if (out !== '') this.host.write(out);
  }

  /** Do something that takes time; keys wait for it. */
  private async run(action: () => Promise<void>): Promise<void> {
    this.isBusy = true;
    try {
      await action();
    } finally {
      this.isBusy = false;
    }
    this.input('');
  }

  private async enter(): Promise<void> {
    const { line } = this;
    if (line.trim() !== '') {
      const same = this.history.indexOf(line);
      if (same >= 0) this.history.splice(same, 1);
      this.history.push(line);
      if (this.history.length > MAX_HISTORY) this.history.shift();
      const answer = await this.host.execute(line);
      this.host.write(answer.replace(/\r?\n/g, '\r\n'));
    }
    this.start();
  }

  private async tab(): Promise<void> {
    const text = this.line.slice(0, this.cursor);
    const word = /\S*$/.exec(text)![0];
    const candidates = await this.host.complete(text);
    if (candidates.length === 0) return;
    if (candidates.length === 1) {
      this.insert(`${candidates[0].slice(word.length)} `);
      this.update();
      return;
    }
    let common = candidates[0];
    for (const candidate of candidates) while (!candidate.startsWith(common)) common = common.slice(0, -1);
    if (common.length > word.length) this.insert(common.slice(word.length));
    const width = Math.min(COLUMNS, Math.max(10, ...candidates.map((candidate) => candidate.length + 2)));
    const perLine = Math.floor(COLUMNS / width);
    const rows: string[] = [];
    for (let at = 0; at < candidates.length; at += perLine) rows.push(candidates.slice(at, at + perLine).map((candidate) => candidate.padEnd(width)).join('').trimEnd());
    this.host.write(`\r\n${rows.join('\r\n')}\r\n${this.prompt}`);
    this.shown = '';
    this.shownCursor = 0;
    this.update();
  }
}
