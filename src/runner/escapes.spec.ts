import { beforeEach, describe, expect, it } from 'vitest';
import { Escapes, Timestamps } from './escapes.ts';

describe('Escapes', () => {
  let log: string[];
  let passed: string;
  let escapes: Escapes;
  beforeEach(() => {
    log = [];
    passed = '';
    escapes = new Escapes({
      pass: (bytes) => { passed += new TextDecoder().decode(bytes); },
      toggleMonitor: () => void log.push(`monitor after ${passed}`),
      quit: () => void log.push('quit'), say: (text) => void log.push(text.trim()), sendBreak: () => void log.push('break'), toggleTimestamps: () => void log.push('stamps'),
    });
  });
  const type = (text: string): string => {
    passed = '';
    escapes.input(new TextEncoder().encode(text));
    return passed;
  };

  it('passes everything else on, Ctrl-C too', () => {
    expect(type('ls\r\x03é')).toBe('ls\r\x03é');
    expect(log).toEqual([]);
  });

  it('acts on keys after Ctrl-A', () => {
    expect(type('a\x01xb\x01bc\x01t')).toBe('abc');
    expect(log).toEqual(['quit', 'break', 'stamps']);
    type('\x01h');
    expect(log.at(-1)).toContain('C-a x    exit emulator');
    type('abc\x01cdef');
    expect(log.at(-1)).toBe('monitor after abc');
  });

  it('sends Ctrl-A for two of them, and swallows unknown keys', () => {
    expect(type('\x01\x01')).toBe('\x01');
    expect(type('\x01q!')).toBe('!');
  });

  it('remembers Ctrl-A from one read to the next', () => {
    expect(type('\x01')).toBe('');
    expect(type('x')).toBe('');
    expect(log).toEqual(['quit']);
  });
});

describe('Timestamps', () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const bytes = (line: string) => new TextEncoder().encode(line);

  it('stamps the lines that begin after it was switched on', () => {
    const stamps = new Timestamps();
    expect(text(stamps.output(bytes('a\nb'), 5))).toBe('a\nb');
    stamps.toggle(1000);
    expect(text(stamps.output(bytes('c\nd'), 2500))).toBe('c\n[00:00:01.500] d');
    expect(text(stamps.output(bytes('e\n'), 2600))).toBe('e\n');
    expect(text(stamps.output(bytes('f\n'), 1000 + 3_723_004))).toBe('[01:02:03.004] f\n');
    stamps.toggle(9e9);
    expect(text(stamps.output(bytes('g\n'), 9e9))).toBe('g\n');
  });
});
