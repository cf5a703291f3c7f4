// Both kinds of folders by the same rules, which are Linux's: the host's, and the one in memory. A guest's requests come through the 9P server.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Errno, type FileSystem, FsError } from '../../devices/file-system.ts';
import { Client, ClientError, O_EXCL, O_RDWR, O_TRUNC } from '../../virtio/9p/testing.ts';
import { Session } from '../../virtio/9p/server.ts';
import { Folder } from './folder-node.ts';
import { MemoryFolder } from './memory.ts';

const base = mkdtempSync(join(tmpdir(), 'folders-'));
afterAll(() => rmSync(base, { recursive: true }));
let count = 0;
const now = () => BigInt(Date.now()) * 1_000_000n;

function clientOf(fs: FileSystem): Client {
  const session = new Session(fs, now);
  return new Client((message) => {
    let answer: Uint8Array | undefined;
    session.request(message, 1 << 20, (reply) => (answer = reply));
    return answer!;
  }).start();
}

/** A new folder of the host, and what shares it. */
function hostFolder(options: Partial<ConstructorParameters<typeof Folder>[1]> = {}): { path: string; client: Client } {
  const path = join(base, `shared-${count++}`);
  mkdirSync(path);
  return { path, client: clientOf(new Folder(path, { readOnly: false, securityModel: 'none', ...options })) };
}

const errno = (action: () => unknown): number => {
  try {
    action();
  } catch (error) {
    if (error instanceof ClientError || error instanceof FsError) return error.errno;
    throw error;
  }
  return 0;
};

describe.each(['host', 'memory'] as const)('a folder: %s', (kind) => {
  let client: Client;
  beforeEach(() => {
    client = kind === 'host' ? hostFolder().client : clientOf(new MemoryFolder({ now }));
  });

  it('has files that are written, read, cut and extended', () => {
    const fid = client.create('f', O_RDWR, 0o640);
    const bytes = new Uint8Array(300_000).map((_, i) => Math.imul(i ^ (i >> 9), 0x9e3779b1) >>> 24);
    for (let at = 0; at < bytes.length; at += 50_000) expect(client.write(fid, at, bytes.subarray(at, at + 50_000))).toBe(50_000);
    expect(client.statFid(fid)).toMatchObject({ size: 300_000, mode: 0o100640, nlink: 1 });
    const got = new Uint8Array(300_000);
    for (let at = 0; at < bytes.length; at += 60_000) got.set(client.read(fid, at, 60_000), at);
    expect(Buffer.compare(got, bytes)).toBe(0);
    client.setattr('f', 8, { size: 100_001 });
    client.setattr('f', 8, { size: 200_000 });
    expect([...client.read(fid, 100_000, 3)]).toEqual([bytes[100_000], 0, 0]);
    expect(client.read(fid, 199_999, 10).length).toBe(1);
    // A hole.
    client.write(fid, 1 << 30, Uint8Array.of(1));
    expect(client.stat('f').size).toBe((1 << 30) + 1);
    expect([...client.read(fid, 1 << 29, 2)]).toEqual([0, 0]);
    client.clunk(fid);
    client.clunk(client.open('f', O_RDWR | O_TRUNC));
    expect(client.stat('f').size).toBe(0);
  });

  it('has directories, links and symbolic links', () => {
    client.mkdir('d', 0o700);
    client.put('d/f', 'one');
    client.link('d/g', 'd/f');
    client.symlink('d/l', '../outside');
    expect(client.list('d')).toEqual(['../', './', 'f', 'g', 'l@']);
    expect(client.stat('d/f').nlink).toBe(2);
    expect(client.stat('d/f').path).toBe(client.stat('d/g').path);
    expect(client.readlink('d/l')).toBe('../outside');
    expect(client.stat('d/l').mode).toBe(0o120777);
    expect(client.stat('d').mode).toBe(0o040700);
    client.unlink('d/f');
    expect(client.get('d/g')).toBe('one');
    expect(errno(() => client.unlink('d', 0x200))).toBe(Errno.ENOTEMPTY);
    expect(errno(() => client.unlink('d/g', 0x200))).toBe(Errno.ENOTDIR);
    expect(errno(() => client.unlink('d'))).toBe(Errno.EISDIR);
    expect(errno(() => client.unlink('x'))).toBe(Errno.ENOENT);
    expect(errno(() => client.mkdir('d'))).toBe(Errno.EEXIST);
    expect(errno(() => client.link('e', 'd'))).toBe(Errno.EPERM);
    expect(errno(() => client.create('d/g', O_RDWR | O_EXCL))).toBe(Errno.EEXIST);
    expect(errno(() => client.create('d/g/x'))).toBe(Errno.ENOTDIR);
    expect(errno(() => client.readlink('d/g'))).toBe(Errno.EINVAL);
    for (const name of ['d/g', 'd/l']) client.unlink(name);
    client.unlink('d', 0x200);
    expect(client.list('')).toEqual(['../', './']);
  });

  it('renames over what is there', () => {
    client.put('a', 'a');
    client.put('b', 'b');
    client.mkdir('d');
    client.mkdir('e');
    client.put('e/f', 'f');
    const old = client.open('b');
    client.rename('a', 'b');
    expect(client.get('b')).toBe('a');
    expect(Buffer.from(client.read(old)).toString()).toBe('b');
    expect(errno(() => client.rename('b', 'd'))).toBe(Errno.EISDIR);
    expect(errno(() => client.rename('d', 'b'))).toBe(Errno.ENOTDIR);
    expect(errno(() => client.rename('d', 'e'))).toBe(Errno.ENOTEMPTY);
    // A file over the directory that it lies in.
    expect(errno(() => client.rename('e/f', 'e'))).toBe(Errno.ENOTEMPTY);
    expect(errno(() => client.rename('x', 'y'))).toBe(Errno.ENOENT);
    client.rename('e', 'd');
    expect(client.get('d/f')).toBe('f');
    client.rename('b', 'd/b');
    expect(client.list('')).toEqual(['../', './', 'd/']);
  });

  it('keeps permissions, owners and times', () => {
    client.put('f', '');
    client.setattr('f', 1, { mode: 0o000 });
    client.setattr('f', 1, { mode: 0o4755 });
    expect(client.stat('f').mode).toBe(0o104755);
    client.setattr('f', 0x20 | 0x100, { mtime: 1_234_567_890 });
    expect(client.stat('f').mtime).toBe(1_234_567_890);
    client.setattr('f', 0x20, {});
    expect(Math.abs(client.stat('f').mtime - Date.now() / 1000)).toBeLessThan(100);
  });

  it('follows no symbolic link', () => {
    client.mkdir('d');
    client.put('d/f', 'inside');
    client.symlink('l', 'd');
    client.symlink('m', 'd/f');
    expect(errno(() => client.walk('l/f'))).not.toBe(0);
    expect(errno(() => client.open('m'))).toBe(Errno.ELOOP);
    expect(errno(() => client.setattr('m', 8, { size: 0 }))).not.toBe(0);
    expect(client.get('d/f')).toBe('inside');
  });
});

describe('a folder of the host', () => {
  it('lets nobody out: links and names, of the guest\'s and of others', () => {
    const { path, client } = hostFolder();
    const secret = join(base, 'secret');
    mkdirSync(secret, { recursive: true });
    writeFileSync(join(secret, 'key'), 'secret');
    client.symlink('absolute', secret);
    client.symlink('relative', '../secret');
    client.symlink('file', '../secret/key');
    client.symlink('root', '/');
    symlinkSync('/proc/self/cwd', join(path, 'magic'));
    for (const name of ['absolute/key', 'relative/key', 'root/etc', 'magic/package.json']) {
      expect(errno(() => client.walk(name)), name).not.toBe(0);
      expect(errno(() => client.create(`${name}/new`)), name).not.toBe(0);
      expect(errno(() => client.rename('file', name)), name).not.toBe(0);
    }
    expect(errno(() => client.open('file'))).toBe(Errno.ELOOP);
    expect(errno(() => client.create('file', O_RDWR))).not.toBe(0);
    expect(errno(() => client.create('file', O_RDWR | O_TRUNC))).not.toBe(0);
    for (const valid of [1, 8]) expect(errno(() => client.setattr('file', valid, { mode: 0, size: 0 }))).not.toBe(0);
    client.setattr('file', 2 | 0x20 | 0x100, { uid: 0, mtime: 5 });
    client.link('hard', 'file');
    expect(lstatSync(join(path, 'hard')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(secret, 'key'), 'utf8')).toBe('secret');
    expect(lstatSync(join(secret, 'key')).mtimeMs).toBeGreaterThan(10_000);
    expect(readdirSync(secret)).toEqual(['key']);
    // A directory that somebody replaces by a link while a fid names it.
    client.mkdir('turned');
    client.put('turned/key', 'mine');
    const fid = client.walk('turned/key');
    const directory = client.walk('turned');
    renameSync(join(path, 'turned'), join(path, 'away'));
    symlinkSync(secret, join(path, 'turned'));
    expect(errno(() => client.call(12, (w) => w.u32(fid).u32(0)))).toBe(Errno.ENOTDIR);
    expect(errno(() => client.call(14, (w) => w.u32(directory).text('new').u32(1).u32(0o644).u32(0)))).toBe(Errno.ENOTDIR);
    expect(readdirSync(secret)).toEqual(['key']);
    unlinkSync(join(path, 'turned'));
  });

  it('opens no pipes, sockets or devices', () => {
    const { path, client } = hostFolder();
    execFileSync('mkfifo', [join(path, 'pipe')]);
    for (const flags of [0, 1, 2]) expect(errno(() => client.open('pipe', flags))).toBe(Errno.EPERM);
    expect(errno(() => client.create('pipe'))).toBe(Errno.EPERM);
    client.unlink('pipe');
    expect(existsSync(join(path, 'pipe'))).toBe(false);
  });

  it('is what the host has, and passes over names that are not UTF-8', () => {
    const { path, client } = hostFolder();
    client.put('f', 'text');
    expect(readFileSync(join(path, 'f'), 'utf8')).toBe('text');
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0x41])]), '');
    writeFileSync(join(path, 'ä'), '');
    expect(client.list('')).toEqual(['../', './', 'f', 'ä']);
    expect(() => new Folder(join(path, 'nowhere'), { readOnly: true, securityModel: 'none' })).toThrow('ENOENT');
    expect(() => new Folder(join(path, 'f'), { readOnly: true, securityModel: 'none' })).toThrow('ENOTDIR');
    const readOnly = new Folder(path, { readOnly: true, securityModel: 'none' });
    expect(errno(() => readOnly.unlink(['f']))).toBe(Errno.EROFS);
    expect(errno(() => readOnly.open(['f'], { read: true, write: true }))).toBe(Errno.EROFS);
    expect(errno(() => readOnly.change(['f'], { mode: 0 }))).toBe(Errno.EROFS);
    readOnly.close();
  });

  it('and one in memory answer alike, whatever is asked of them (300 sequences)', () => {
    const name = fc.constantFrom('a', 'b', 'd', 'd/a', 'd/b', 'd/e', 'd/e/a', 'l');
    const step = fc.oneof(
      fc.record({ op: fc.constantFrom('put', 'get', 'mkdir', 'unlink', 'rmdir', 'list', 'stat', 'symlink', 'readlink', 'truncate', 'exclusive') , a: name, b: name }),
      fc.record({ op: fc.constantFrom('rename', 'link'), a: name, b: name }),
    );
    const act = (client: Client, { op, a, b }: { op: string; a: string; b: string }): unknown => {
      try {
        switch (op) {
          case 'put': return client.put(a, b);
          case 'get': return client.get(a);
          case 'mkdir': return client.mkdir(a);
          case 'unlink': return client.unlink(a);
          case 'rmdir': return client.unlink(a, 0x200);
          case 'list': return client.list(a);
          case 'stat': { const { mode, nlink, size } = client.stat(a); return mode >> 12 === 4 ? { mode } : { mode, nlink, size }; }
          case 'symlink': return client.symlink(a, b);
          case 'readlink': return client.readlink(a);
          case 'truncate': return client.setattr(a, 8, { size: 3 });
          case 'exclusive': return client.clunk(client.create(a, O_RDWR | O_EXCL));
          case 'rename': return client.rename(a, b);
          default: return client.link(a, b);
        }
      } catch (error) {
        if (error instanceof ClientError) return `errno ${error.errno}`;
        throw error;
      }
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const host = hostFolder().client;
      const memory = clientOf(new MemoryFolder({ now }));
      for (const it of steps) expect(act(memory, it), JSON.stringify(it)).toEqual(act(host, it));
    }), { numRuns: 300 });
  }, 60_000);
});

describe('a folder in memory', () => {
  const contents = (bytes: Uint8Array) => ({ size: bytes.length, read: (offset: number, length: number) => bytes.slice(offset, offset + length) });

  it('begins with what it was given, and copies what is written to', () => {
    const bytes = new Uint8Array(200_000).fill(7);
    const folder = new MemoryFolder({ now });
    folder.add(['d', 'e', 'f'], contents(bytes), 1_600_000_000_000);
    const client = clientOf(folder);
    expect(client.stat('d/e/f')).toMatchObject({ size: 200_000, mtime: 1_600_000_000 });
    const fid = client.open('d/e/f', O_RDWR);
    client.write(fid, 70_000, Uint8Array.of(1, 2));
    expect([...client.read(fid, 69_999, 4)]).toEqual([7, 1, 2, 7]);
    expect(bytes[70_000]).toBe(7);
    client.setattr('d/e/f', 8, { size: 10 });
    client.setattr('d/e/f', 8, { size: 100_000 });
    expect([...client.read(fid, 8, 4)]).toEqual([7, 7, 0, 0]);
  });

  it('has an end', () => {
    const client = clientOf(new MemoryFolder({ now, capacity: 1 << 20 }));
    const fid = client.create('f');
    let at = 0;
    expect(errno(() => {
      for (;; at += 65536) client.write(fid, at, new Uint8Array(65536));
    })).toBe(Errno.ENOSPC);
    expect(at).toBe(1 << 20);
    client.setattr('f', 8, { size: 0 });
    expect(client.write(fid, 0, new Uint8Array(10))).toBe(10);
    // A size alone takes no room.
    client.setattr('f', 8, { size: 2 ** 50 });
    expect(client.stat('f').size).toBe(2 ** 50);
    client.unlink('f');
    client.put('g', 'x'.repeat(50_000));
  });
});
