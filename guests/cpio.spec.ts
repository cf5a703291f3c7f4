import { describe, expect, it } from 'vitest';
import { CpioArchive } from './cpio.mjs';

/** Reads an archive back: the fields of each header, as buffer-format.rst names them. */
function read(bytes: Buffer) {
  const entries: { name: string; mode: number; uid: number; ino: number; mtime: number; rdev: [number, number]; data: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(at % 4).toBe(0);
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701');
    const field = (n: number) => parseInt(bytes.toString('latin1', at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const name = bytes.toString('utf8', at + 110, at + 110 + field(11) - 1);
    expect(bytes[at + 110 + field(11) - 1]).toBe(0);
    const start = (at + 110 + field(11) + 3) & ~3;
    const entry = { name, mode: field(1), uid: field(2), ino: field(0), mtime: field(5), rdev: [field(9), field(10)] as [number, number], data: bytes.subarray(start, start + field(6)) };
    entries.push(entry);
    at = (start + field(6) + 3) & ~3;
    if (name === 'TRAILER!!!') expect(at).toBe(bytes.length);
  }
  return entries;
}

describe('CpioArchive', () => {
  it('writes what Linux reads', () => {
    const archive = new CpioArchive();
    archive.directory('dev');
    archive.characterDevice('/dev/console', 5, 1);
    archive.file('init', Buffer.from('#!/bin/sh\n'), 0o755);
    archive.symlink('bin', 'usr/bin');
    const entries = read(archive.bytes());
    expect(entries.map((entry) => [entry.name, entry.mode.toString(8)])).toEqual([['dev', '40755'], ['dev/console', '20600'], ['init', '100755'], ['bin', '120777'], ['TRAILER!!!', '0']]);
    expect(entries[1].rdev).toEqual([5, 1]);
    expect(entries[2].data.toString()).toBe('#!/bin/sh\n');
    expect(entries[3].data.toString()).toBe('usr/bin');
    expect(entries.every((entry) => entry.uid === 0 && entry.mtime === 0)).toBe(true);
    expect(new Set(entries.slice(0, 4).map((entry) => entry.ino)).size).toBe(4);
  });

  it('gives the same bytes for the same input', () => {
    const make = () => {
      const archive = new CpioArchive();
      for (const name of ['a', 'bb', 'ccc', 'dddd']) archive.file(name, Buffer.from(name));
      return archive.bytes();
    };
    expect(make().equals(make())).toBe(true);
    expect(read(make()).map((entry) => entry.data.toString())).toEqual(['a', 'bb', 'ccc', 'dddd', '']);
  });
});
