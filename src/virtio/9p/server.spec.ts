import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryFolder } from '../../backends/fs/memory.ts';
import { Errno, type FileSystem, FsError, type OpenFile } from '../../devices/file-system.ts';
import { Session } from './server.ts';
import { Client, ClientError, O_EXCL, O_RDWR } from './testing.ts';
import { Message, NOFID, Writer } from './wire.ts';

const NOW = 1_700_000_000_000_000_000n;
let folder: MemoryFolder;
let session: Session;
let client: Client;

function build(fs: FileSystem = (folder = new MemoryFolder({ now: () => NOW }))): void {
  session = new Session(fs, () => NOW);
  client = new Client((message) => {
    let answer: Uint8Array | undefined;
    session.request(message, 1 << 20, (reply) => (answer = reply));
    return answer!;
  });
}

beforeEach(() => {
  build();
  client.start();
});

const errno = (action: () => unknown): number => {
  try {
    action();
  } catch (error) {
    if (error instanceof ClientError) return error.errno;
    throw error;
  }
  return 0;
};

describe('a 9P2000.L session', () => {
  it('agrees on a version, and forgets all fids then', () => {
    expect(client.version(8192)).toEqual([8192, '9P2000.L']);
    expect(client.version(2 ** 31)).toEqual([1 << 20, '9P2000.L']);
    expect(client.version(8192, '9P2000.u')).toEqual([8192, 'unknown']);
    expect(errno(() => client.version(1000))).toBe(Errno.EINVAL);
    expect(errno(() => client.walk(''))).toBe(Errno.EBADF);
    expect(errno(() => client.call(Message.Tauth))).toBe(Errno.EOPNOTSUPP);
    expect(errno(() => client.call(Message.Tattach, (w) => w.u32(0).u32(3).text('').text('').u32(0)))).toBe(Errno.EINVAL);
  });

  it('walks as far as there are names', () => {
    client.mkdir('a');
    client.mkdir('a/b');
    const answer = client.raw(Message.Twalk, (w) => w.u32(0).u32(50).u16(3).text('a').text('b').text('c'));
    expect(answer.body.u16()).toBe(2);
    // Not all: no fid.
    expect(errno(() => client.statFid(50))).toBe(Errno.EBADF);
    expect(errno(() => client.walk('x/y'))).toBe(Errno.ENOENT);
    // Above the root there is the root.
    expect(client.statFid(client.walk('a/b/../../../..')).path).toBe(client.stat('').path);
    expect(errno(() => client.call(Message.Twalk, (w) => w.u32(0).u32(51).u16(17)))).toBe(Errno.EINVAL);
    client.walk('a');
    // In use, or no number.
    for (const fid of [0, NOFID]) expect(errno(() => client.call(Message.Twalk, (w) => w.u32(client.walk('a')).u32(fid).u16(0)))).toBe(Errno.EINVAL);
  });

  it('refuses names that are none', () => {
    for (const [name, expected] of [['', Errno.ENOENT], ['a/b', Errno.ENOENT], ['a\0', Errno.ENOENT], ['.', Errno.EEXIST], ['..', Errno.EEXIST], ['x'.repeat(256), Errno.ENAMETOOLONG]] as const) {
      expect(errno(() => client.call(Message.Tmkdir, (w) => w.u32(0).text(name).u32(0o755).u32(0))), name).toBe(expected);
      if (name !== '..') expect(errno(() => client.call(Message.Twalk, (w) => w.u32(0).u32(60).u16(1).text(name)))).toBe(expected);
    }
    expect(errno(() => client.call(Message.Tmkdir, (w) => w.u32(0).u16(2).u8(0xc3).u8(0x28).u32(0o755).u32(0)))).toBe(Errno.EINVAL);
    let path = '';
    for (let n = 0; n < 128; n++) client.mkdir((path += '/d'));
    expect(errno(() => client.mkdir(`${path}/d`))).toBe(Errno.ENAMETOOLONG);
  });

  it('fids follow when something is renamed, and files outlive their names', () => {
    client.mkdir('a');
    client.put('a/f', 'text');
    const fid = client.walk('a/f');
    const opened = client.open('a/f', O_RDWR);
    client.rename('a', 'b');
    expect(client.statFid(fid).size).toBe(4);
    client.call(Message.Tremove, (w) => w.u32(fid));
    expect(errno(() => client.statFid(fid))).toBe(Errno.EBADF);
    expect(client.list('b')).toEqual(['../', './']);
    expect(client.write(opened, 4, Buffer.from(' more'))).toBe(5);
    expect(Buffer.from(client.read(opened)).toString()).toBe('text more');
    expect(client.statFid(opened).nlink).toBe(0);
    expect(errno(() => client.rename('b', 'b/c'))).toBe(Errno.EINVAL);
    client.call(Message.Trename, (w) => w.u32(client.walk('b')).u32(0).text('z'));
    expect(client.list('')).toEqual(['../', './', 'z/']);
  });

  it('gives no more than there is room for', () => {
    client.version(8192);
    client.attach();
    const fid = client.create('f');
    client.write(fid, 0, new Uint8Array(20_000));
    expect(client.read(fid, 0, 100_000).length).toBe(8192 - 24);
    expect(client.read(fid, 19_990, 100).length).toBe(10);
    expect(client.read(fid, 2 ** 52, 100).length).toBe(0);
    expect(errno(() => client.call(Message.Tread, (w) => w.u32(fid).u64(2n ** 63n).u32(1)))).toBe(Errno.EINVAL);
    expect(errno(() => client.call(Message.Twrite, (w) => w.u32(fid).u64(2n ** 63n).u32(0)))).toBe(Errno.EFBIG);
    for (let n = 0; n < 300; n++) client.put(`file-${n}`, '');
    expect(client.list('', 200)).toHaveLength(303);
    let reply: Uint8Array | undefined;
    session.request(new Writer().u32(fid).u64(0).u32(500).finish(Message.Tread, 1), 100, (it) => (reply = it));
    expect(reply!.length).toBe(100);
  });

  it('keeps to how a file was opened', () => {
    client.put('f', 'abc');
    const reading = client.open('f');
    expect(errno(() => client.write(reading, 0, Buffer.from('x')))).toBe(Errno.EBADF);
    const writing = client.open('f', 1);
    expect(errno(() => client.read(writing))).toBe(Errno.EBADF);
    const appending = client.open('f', 1 | 0o2000);
    client.write(appending, 0, Buffer.from('def'));
    expect(client.get('f')).toBe('abcdef');
    expect(errno(() => client.open('f', 3))).toBe(Errno.EINVAL);
    expect(errno(() => client.open('', 2))).toBe(Errno.EISDIR);
    expect(errno(() => client.open('f', 0o200000))).toBe(Errno.ENOTDIR);
    expect(errno(() => client.create('f', O_RDWR | O_EXCL))).toBe(Errno.EEXIST);
    expect(errno(() => client.call(Message.Tlopen, (w) => w.u32(reading).u32(0)))).toBe(Errno.EINVAL);
    expect(errno(() => client.call(Message.Treaddir, (w) => w.u32(reading).u64(0).u32(100)))).toBe(Errno.EBADF);
    client.call(Message.Tfsync, (w) => w.u32(writing).u32(0));
    expect(errno(() => client.call(Message.Tfsync, (w) => w.u32(0).u32(0)))).toBe(Errno.EBADF);
  });

  it('has locks and sizes as QEMU, no devices and no extended attributes', () => {
    client.put('f', '');
    const fid = client.open('f', O_RDWR);
    expect(client.call(Message.Tlock, (w) => w.u32(fid).u8(1).u32(1).u64(0).u64(0).u32(9).text('me')).u8()).toBe(0);
    const lock = client.call(Message.Tgetlock, (w) => w.u32(fid).u8(1).u64(3).u64(4).u32(9).text('me'));
    expect([lock.u8(), lock.u64(), lock.u64(), lock.u32(), lock.text()]).toEqual([2, 3n, 4n, 9, 'me']);
    expect(client.call(Message.Tstatfs, (w) => w.u32(0)).u32()).toBe(0x01021997);
    expect(errno(() => client.call(Message.Txattrwalk, (w) => w.u32(fid).u32(99).text('user.x')))).toBe(Errno.EOPNOTSUPP);
    expect(errno(() => client.call(Message.Tmknod, (w) => w.u32(0).text('dev').u32(0o060644).u32(8).u32(0).u32(0)))).toBe(Errno.EPERM);
    client.call(Message.Tmknod, (w) => w.u32(0).text('plain').u32(0o100600).u32(0).u32(0).u32(0));
    expect(client.stat('plain').mode).toBe(0o100600);
  });

  it('changes nothing where it must not', () => {
    client.put('f', 'x');
    build(Object.defineProperty(folder, 'readOnly', { value: true }));
    client.start();
    const fid = client.walk('f');
    for (const action of [
      () => client.open('f', 1), () => client.open('f', 0o1000), () => client.create('g'), () => client.mkdir('d'), () => client.symlink('l', 'f'), () => client.link('l', 'f'),
      () => client.rename('f', 'g'), () => client.unlink('f'), () => client.setattr('f', 1, { mode: 0 }), () => client.call(Message.Tremove, (w) => w.u32(fid)),
      () => client.call(Message.Tmknod, (w) => w.u32(0).text('g').u32(0o100600).u32(0).u32(0).u32(0)),
    ]) expect(errno(action)).toBe(Errno.EROFS);
    expect(client.get('f')).toBe('x');
  });

  it('answers messages that are cut off at any place', () => {
    const whole = new Writer().u32(0).u32(70).u16(1).text('f').finish(Message.Twalk, 3);
    for (let length = 7; length < whole.length; length++) {
      let type = 0;
      session.request(whole.subarray(0, length), 4096, (reply) => (type = reply[4]));
      expect(type).toBe(Message.Rlerror);
    }
    for (let type = 0; type < 256; type++) expect([type + 1, Message.Rlerror]).toContain(client.raw(type).type);
  });

  it('holds a bounded number of fids', () => {
    let made = 0;
    expect(errno(() => {
      for (; made < 100_000; made++) client.walk('');
    })).toBe(Errno.ENFILE);
    expect(made).toBe(65535);
  }, 60_000);

  it('goes on from a saved state', () => {
    client.put('f', 'abc');
    client.mkdir('d');
    const file = client.open('f', O_RDWR);
    const directory = client.walk('d');
    const gone = client.open('f');
    const saved = structuredClone(session.save());
    const old = client;
    build(folder);
    session.load(saved);
    expect(Buffer.from(client.read(file)).toString()).toBe('abc');
    expect(client.statFid(directory).mode & 0o170000).toBe(0o040000);
    old.unlink('f');
    session.load(saved);
    expect(errno(() => client.read(gone))).toBe(Errno.EBADF);
  });
});

describe('a host that takes its time', () => {
  /** All that is asked of it waits for release(). */
  class Slow {
    waiting: (() => void)[] = [];
    constructor(private readonly inner: MemoryFolder) {}
    later<T>(action: () => T): Promise<T> {
      return new Promise((resolve, reject) => this.waiting.push(() => {
        try {
          resolve(action());
        } catch (error) {
          reject(error);
        }
      }));
    }
    get fs(): FileSystem {
      return new Proxy(this.inner, {
        get: (target, key) => {
          const value = Reflect.get(target, key) as unknown;
          return typeof value === 'function' ? (...args: unknown[]) => this.later(() => (value as (...args: unknown[]) => unknown).apply(target, args)) : value;
        },
      }) as unknown as FileSystem;
    }
    async release(): Promise<void> {
      for (let turns = 0; turns < 20; turns++) {
        for (const go of this.waiting.splice(0)) go();
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  }

  it('is answered later, in any order; a flush after what it flushes', async () => {
    const slow = new Slow(new MemoryFolder({ now: () => NOW }));
    build(slow.fs);
    const answers: [tag: number, type: number][] = [];
    const send = (tag: number, type: number, fill: (w: Writer) => void) => {
      const writer = new Writer();
      fill(writer);
      session.request(writer.finish(type, tag), 65536, (reply) => answers.push([reply[5], reply[4]]));
    };
    send(1, Message.Tversion, (w) => w.u32(65536).text('9P2000.L'));
    send(2, Message.Tattach, (w) => w.u32(0).u32(NOFID).text('').text('').u32(0));
    expect(answers).toEqual([[1, 101]]);
    await slow.release();
    send(3, Message.Tlcreate, (w) => w.u32(0).text('f').u32(2).u32(0o644).u32(0));
    send(4, Message.Tflush, (w) => w.u16(3));
    send(5, Message.Tflush, (w) => w.u16(99));
    expect(answers.slice(1)).toEqual([[2, 105], [5, 109]]);
    await slow.release();
    expect(answers.slice(3)).toEqual([[3, 15], [4, 109]]);
  });

  it('a file that opens after its fid is gone is closed', async () => {
    const slow = new Slow(new MemoryFolder({ now: () => NOW }));
    let closed = 0;
    const { fs } = slow;
    const open = fs.create.bind(fs);
    build(new Proxy(fs, {
      get: (target, key) => key === 'create'
        ? (...args: Parameters<FileSystem['create']>) => (open(...args) as Promise<OpenFile>).then((file) => ({ ...file, close: () => void closed++ }))
        : Reflect.get(target, key),
    }));
    const errors: number[] = [];
    const send = (type: number, fill: (w: Writer) => void) => {
      const writer = new Writer();
      fill(writer);
      session.request(writer.finish(type, 1), 65536, (reply) => errors.push(reply[4]));
    };
    send(Message.Tversion, (w) => w.u32(65536).text('9P2000.L'));
    send(Message.Tattach, (w) => w.u32(0).u32(NOFID).text('').text('').u32(0));
    await slow.release();
    send(Message.Tlcreate, (w) => w.u32(0).text('f').u32(2).u32(0o644).u32(0));
    session.reset();
    await slow.release();
    expect(errors.at(-1)).toBe(Message.Rlerror);
    expect(closed).toBe(1);
  });

  it('what the host cannot do is an error of the guest\'s', () => {
    const failing = new Proxy(new MemoryFolder({ now: () => NOW }), {
      get: (target, key) => key === 'list' ? () => { throw new FsError(Errno.EIO); } : Reflect.get(target, key),
    });
    build(failing);
    client.start();
    expect(errno(() => client.list(''))).toBe(Errno.EIO);
  });
});
