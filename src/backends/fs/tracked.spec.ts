import { describe, expect, it } from 'vitest';
import { Errno, FsError } from '../../devices/file-system.ts';
import type { Contents } from './memory.ts';
import { type FolderTarget, TrackedFolder } from './tracked.ts';

/** A folder elsewhere, as a map of paths; files it gave can no longer be read once it has changed them, as a browser's. */
class Elsewhere implements FolderTarget {
  readonly entries = new Map<string, Uint8Array | 'directory'>();
  readonly log: string[] = [];
  private readonly versions = new Map<string, number>();
  private open: { name: string; parts: Uint8Array[] } | undefined;
  /** Called before each step. */
  before: (step: string) => void = () => {};

  contents(name: string): Contents {
    const bytes = this.entries.get(name) as Uint8Array;
    const version = this.versions.get(name) ?? 0;
    return {
      size: bytes.length,
      read: (offset, length) => {
        if ((this.versions.get(name) ?? 0) !== version) throw new FsError(Errno.EIO, 'stale');
        return bytes.slice(offset, offset + length);
      },
    };
  }
  private async step(what: string): Promise<void> {
    this.before(what);
    await Promise.resolve();
    this.log.push(what);
  }
  private parentOf(name: string): void {
    const parent = name.split('/').slice(0, -1).join('/');
    if (parent && this.entries.get(parent) !== 'directory') throw new Error(`${parent} is no directory`);
  }
  async makeDirectory(path: readonly string[]): Promise<void> {
    await this.step(`mkdir ${path.join('/')}`);
    this.parentOf(path.join('/'));
    this.entries.set(path.join('/'), 'directory');
  }
  async remove(path: readonly string[]): Promise<void> {
    const name = path.join('/');
    await this.step(`rm ${name}`);
    for (const key of [...this.entries.keys()]) if (key === name || key.startsWith(`${name}/`)) this.entries.delete(key);
  }
  async begin(path: readonly string[]): Promise<void> {
    const name = path.join('/');
    await this.step(`write ${name}`);
    this.parentOf(name);
    this.open = { name, parts: [] };
  }
  async append(bytes: Uint8Array): Promise<void> {
    await this.step('bytes');
    this.open!.parts.push(bytes);
  }
  async end(): Promise<Contents> {
    await this.step('end');
    const { name, parts } = this.open!;
    this.entries.set(name, Uint8Array.from(parts.flatMap((part) => [...part])));
    this.versions.set(name, (this.versions.get(name) ?? 0) + 1);
    return this.contents(name);
  }
  text(name: string): string {
    const entry = this.entries.get(name);
    return entry instanceof Uint8Array ? new TextDecoder().decode(entry) : String(entry);
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function setUp(): { folder: TrackedFolder; there: Elsewhere } {
  const there = new Elsewhere();
  there.entries.set('sub', 'directory');
  there.entries.set('a.txt', bytes('old words'));
  there.entries.set('sub/b.txt', bytes('b'));
  const folder = new TrackedFolder({ now: () => 1n }, there);
  folder.add(['a.txt'], there.contents('a.txt'), 0);
  folder.add(['sub', 'b.txt'], there.contents('sub/b.txt'), 0);
  return { folder, there };
}
const rw = { read: true, write: true };

describe('a folder whose changes go back', () => {
  it('is the same there, once it was synchronised: files, directories, names', async () => {
    const { folder, there } = setUp();
    const file = folder.open(['a.txt'], rw);
    file.write(4, bytes('bytes!'));
    await file.sync();
    expect(there.text('a.txt')).toBe('old bytes!');
    // What it began with has changed under it, and is read all the same.
    expect(new TextDecoder().decode(folder.open(['a.txt'], rw).read(0, 99) as Uint8Array)).toBe('old bytes!');
    file.write(0, bytes('OLD'));
    await file.sync();
    expect(there.text('a.txt')).toBe('OLD bytes!');
    folder.makeDirectory(['new'], 0o755);
    folder.create(['new', 'c'], rw, true, 0o644).write(0, bytes('c'));
    folder.rename(['sub'], ['new', 'moved']);
    folder.unlink(['a.txt']);
    await folder.bring();
    expect([...there.entries.keys()].sort()).toEqual(['new', 'new/c', 'new/moved', 'new/moved/b.txt']);
    expect(there.text('new/moved/b.txt')).toBe('b');
    expect(folder.waiting).toBe(0);
  });

  it('has names and lengths there though nothing is synchronised, each once', async () => {
    const { folder, there } = setUp();
    folder.makeDirectory(['new'], 0o755);
    folder.rename(['sub'], ['new', 'moved']);
    folder.change(['a.txt'], { size: 3 });
    await expect.poll(() => folder.waiting).toBe(0);
    await expect.poll(() => there.text('a.txt')).toBe('old');
    expect([...there.entries.keys()].sort()).toEqual(['a.txt', 'new', 'new/moved', 'new/moved/b.txt']);
    expect(there.log.filter((step) => /^(mkdir|rm) /.test(step)).sort()).toEqual(['mkdir new', 'mkdir new/moved', 'rm sub']);
    folder.unlink(['a.txt']);
    await expect.poll(() => there.entries.has('a.txt')).toBe(false);
    folder.unlink(['new', 'moved', 'b.txt']);
    folder.removeDirectory(['new', 'moved']);
    await expect.poll(() => there.entries.has('new/moved')).toBe(false);
  });

  it('brings what was written when a descriptor that only reads is synchronised', async () => {
    const { folder, there } = setUp();
    folder.open(['a.txt'], rw).write(0, bytes('new'));
    await folder.open(['a.txt'], { read: true, write: false }).sync();
    expect(there.text('a.txt')).toBe('new words');
  });

  it('follows an open file to its new name, and forgets one that has none', async () => {
    const { folder, there } = setUp();
    const file = folder.open(['a.txt'], rw);
    folder.rename(['a.txt'], ['z.txt']);
    file.write(0, bytes('new'));
    await folder.bring();
    expect([there.entries.has('a.txt'), there.text('z.txt')]).toEqual([false, 'new words']);
    folder.unlink(['z.txt']);
    file.write(0, bytes('gone'));
    await folder.bring();
    expect(there.entries.has('z.txt')).toBe(false);
  });

  it('loses nothing that is written while it is brought', async () => {
    const { folder, there } = setUp();
    const file = folder.open(['a.txt'], rw);
    file.write(0, bytes('one'));
    there.before = (step) => {
      if (step !== 'bytes') return;
      there.before = () => {};
      file.write(0, bytes('two'));
    };
    await folder.bring();
    expect(folder.waiting).toBe(1);
    await file.sync();
    expect([there.text('a.txt'), folder.waiting]).toEqual(['two words', 0]);
  });

  it('tells the guest when it cannot be kept, and tries again', async () => {
    const { folder, there } = setUp();
    const file = folder.open(['a.txt'], rw);
    file.write(0, bytes('new'));
    there.before = () => { throw new Error('no permission'); };
    await expect(file.sync()).rejects.toMatchObject({ errno: Errno.EIO, message: 'no permission' });
    there.before = () => {};
    await file.sync();
    expect(there.text('a.txt')).toBe('new words');
    expect(() => folder.makeSymlink(['l'], 'a.txt')).toThrow(FsError);
  });
});

it('a folder that goes nowhere says what was changed in it', async () => {
  const folder = new TrackedFolder({ now: () => 1n }, undefined);
  folder.add(['a'], { size: 3, read: (at, length) => bytes('abc').slice(at, at + length) }, 0);
  folder.add(['b'], { size: 3, read: () => bytes('abc') }, 0);
  folder.open(['a'], rw).write(1, bytes('X'));
  folder.makeDirectory(['d'], 0o755);
  folder.create(['d', 'e'], rw, true, 0o644);
  folder.unlink(['b']);
  folder.open(['a'], { read: true, write: false }).close();
  await folder.bring();
  expect(folder.changes).toEqual([{ path: ['a'], kind: 'file' }, { path: ['b'], kind: 'removed' }, { path: ['d'], kind: 'directory' }, { path: ['d', 'e'], kind: 'file' }]);
  expect(new TextDecoder().decode(folder.read(['a']))).toBe('aXc');
});
