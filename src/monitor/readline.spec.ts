import { beforeEach, describe, expect, it } from 'vitest';
import { Readline } from './readline.ts';

let out: string;
let lines: string[];
let readline: Readline;
beforeEach(() => {
  out = '';
  lines = [];
  readline = new Readline({
    write: (text) => { out += text; },
    execute: async (line) => { lines.push(line); return `did ${line}\n`; },
    complete: async (text) => ['screendump', 'sendkey', 'stop', 'system_reset', 'system_powerdown'].filter((name) => name.startsWith(text)),
  });
  readline.start();
});

/** Promises that are due. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** What a terminal of one long line shows, its lines one by one. */
function screen(): string[] {
  const rows: string[][] = [[]];
  let at = 0;
  for (const [token] of out.matchAll(/\x1b\[(\d|;)*[A-Z]|[^]/gu)) {
    const row = rows.at(-1)!;
    if (token === '\x1b[D') at--;
    else if (token === '\x1b[C') at++;
    else if (token === '\x1b[K') row.length = at;
    else if (token === '\r') at = 0;
    else if (token === '\n') rows.push([]);
    else if (token.length < 3) row[at++] = token;
  }
  return rows.map((row) => row.join(''));
}

async function type(...keys: string[]): Promise<void> {
  for (const key of keys) readline.input(key);
  await settle();
}

describe('Readline', () => {
  it('echoes as QEMU does', async () => {
    await type('a', 'b', '\r');
    // Recorded from qemu-system-x86_64 7.2 -monitor stdio.
    expect(out).toBe('(qemu) a\x1b[K\x1b[Dab\x1b[K\r\ndid ab\r\n(qemu) ');
  });

  it('edits', async () => {
    await type('stip', '\x1b[D', '\x7f', 'o', '\x01', 'X', '\x1b[3~', 's', '\x05', '!', '\b', '\r');
    expect(lines).toEqual(['Xstop']);
    await type('one two  ', '\x17', 'x', '\x1b[H', '\x0b', 'y z', '\x1bOD', '\x15', '\r');
    expect(lines).toEqual(['Xstop', 'z']);
    expect(screen().at(-1)).toBe('(qemu) ');
  });

  it('shows what it has', async () => {
    await type('hello', '\x1b[D', '\x1b[D', '\x7f', 'é😀');
    expect(screen()).toEqual(['(qemu) heé😀lo']);
    await type('\x7f', '\x1b[D', '\x1b[D', '\x0b');
    expect(screen()).toEqual(['(qemu) h']);
  });

  it('remembers lines, each once', async () => {
    await type('a\rb\ra\r', 'new', '\x10', '\x10', '\r');
    expect(lines).toEqual(['a', 'b', 'a', 'b']);
    await type('kept', '\x1b[A', '\x1b[A', '\x1b[A', '\x1b[B', '\x1b[B', '\x1b[B', '\r');
    expect(lines.at(-1)).toBe('kept');
  });

  it('completes', async () => {
    await type('se', '\t', 'a\r');
    expect(lines).toEqual(['sendkey a']);
    await type('sys', '\t');
    expect(screen().slice(-3)).toEqual(['(qemu) sys', 'system_reset      system_powerdown', '(qemu) system_']);
    await type('r\t\r', 'nothing\t\r');
    expect(lines.slice(1)).toEqual(['system_reset ', 'nothing']);
  });

  it('keeps keys until the answer has come', async () => {
    let answer!: (text: string) => void;
    readline = new Readline({ write: (text) => { out += text; }, execute: () => new Promise((resolve) => { answer = resolve; }), complete: async () => [] });
    out = '';
    readline.start();
    await type('slow\r', 'next');
    expect(out).not.toContain('n\x1b');
    answer('');
    await settle();
    expect(screen()).toEqual(['(qemu) slow', '(qemu) next']);
  });

  it('has an end', async () => {
    await type('x'.repeat(10_000), '\r');
    expect(lines[0].length).toBe(4095);
  });

  it('takes escape sequences in pieces, and forgets those it does not know', async () => {
    await type('ab', '\x1b', '[', '1', ';', '5', 'Q', '\x1b', '[', 'D', 'c\r');
    expect(lines).toEqual(['acb']);
  });
});
