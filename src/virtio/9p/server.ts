// A 9P2000.L server: a client's session on a file system.
// Plan 9 manual, section 5; diod, protocol.md (the dialect .L); what the answers are where these leave it open: QEMU, hw/9pfs/9p.c.
//
// A fid is a name that the client gave to a path. As in QEMU it follows when the server renames; a file that is open lasts when its name
// is gone. The client is a guest: each of its messages is checked, and what it holds is bounded.

import {
  Errno, type DirectoryEntry, FsError, type FileStat, type FileSystem, type Maybe, NAME_MAX, type OpenFile, type OpenMode, type Path, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG,
  type StatChange,
} from '../../devices/file-system.ts';
import { HEADER, MAX_WALK, Message, NOFID, QID, type Qid, QTDIR, QTFILE, QTSYMLINK, Reader, textLength, Writer } from './wire.ts';

/** Bytes of a message: QEMU's least, and the most that is agreed on. */
const MIN_MSIZE = 4096;
const MAX_MSIZE = 1 << 20;
/** Bytes of Rread and Rreaddir before their data; Linux's P9_IOHDRSZ, which Twrite's header fits into, too. */
const IO_HEADER = 24;
const MAX_FIDS = 1 << 16;
/** Names in a path. */
const MAX_DEPTH = 128;
/** Entries of directories that are kept for fids that read them; the fid that has waited longest reads anew. */
const MAX_ENTRIES = 1 << 20;

/** Flags of Tlopen and Tlcreate: Linux's. */
const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_DIRECTORY = 0o200000;

/** valid of Rgetattr: all but btime, gen and data_version. */
const GETATTR_BASIC = 0x7ffn;
/** valid of Tsetattr. */
const SETATTR_MODE = 0x01;
const SETATTR_UID = 0x02;
const SETATTR_GID = 0x04;
const SETATTR_SIZE = 0x08;
const SETATTR_ATIME = 0x10;
const SETATTR_MTIME = 0x20;
const SETATTR_ATIME_SET = 0x80;
const SETATTR_MTIME_SET = 0x100;
const AT_REMOVEDIR = 0x200;
const V9FS_MAGIC = 0x01021997;
const LOCK_TYPE_UNLCK = 2;
const SECOND = 1_000_000_000n;

interface Fid {
  path: Path;
  file?: OpenFile;
  mode?: OpenMode;
  /** A directory that is open, and what was in it when it was read from its start. */
  directory?: boolean;
  entries?: DirectoryEntry[];
}

/** What save() keeps. */
export interface SessionState {
  msize: number;
  fids: [fid: number, path: Path, mode: OpenMode | undefined, directory: boolean][];
}

/** The work on a message: it yields the promises that it waits for. */
type Work<T> = Generator<Promise<unknown>, T, unknown>;

/** The value, or the work of waiting for it. */
function* wait<T>(value: Maybe<T>): Work<T> {
  return value instanceof Promise ? (yield value) as T : value;
}

/** Do it: at once as far as nothing has to be waited for. */
function carryOut(work: Work<Uint8Array>, done: (reply: Uint8Array) => void): void {
  const step = (next: () => IteratorResult<Promise<unknown>, Uint8Array>): void => {
    const result = next();
    if (result.done) done(result.value);
    else result.value.then((value) => step(() => work.next(value)), (error: unknown) => step(() => work.throw(error)));
  };
  step(() => work.next());
}

export class Session {
  private msize = 0;
  private fids = new Map<number, Fid>();
  /** Tags of messages that are not answered yet, with what to do then. */
  private readonly pending = new Map<number, (() => void)[]>();
  /** Fids that have entries, the oldest first. */
  private readonly listed = new Set<Fid>();
  /** Of reset(): what was begun before it changes no fid any more. */
  private generation = 0;

  constructor(
    private readonly fs: FileSystem,
    /** Nanoseconds since 1970. */
    private readonly now: () => bigint,
  ) {}

  /** Close all that is open. */
  reset(): void {
    this.generation++;
    this.pending.clear();
    this.clunkAll();
    this.msize = 0;
  }

  private clunkAll(): void {
    const { fids } = this;
    this.fids = new Map();
    for (const fid of fids.values()) this.close(fid);
  }

  /** Nobody hears of what goes wrong. */
  private close(fid: Fid): void {
    const { file } = fid;
    fid.file = undefined;
    this.listed.delete(fid);
    if (!file) return;
    try {
      const closing = file.close();
      if (closing instanceof Promise) closing.catch(() => {});
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
  }

  /**
   * Answer a message.
   * @param message with its header  @param room bytes that an answer may have
   * @param done called once, perhaps before this returns
   */
  request(message: Uint8Array, room: number, done: (reply: Uint8Array) => void): void {
    const head = new Reader(message);
    head.u32();
    const type = head.u8();
    const tag = head.u16();
    const { generation } = this;
    const waiting: (() => void)[] = [];
    // A tag that is in use already is the client's mistake; both are answered.
    const isNew = !this.pending.has(tag);
    if (isNew) this.pending.set(tag, waiting);
    carryOut(this.answer(type, tag, new Reader(message.subarray(HEADER)), room), (reply) => {
      if (isNew && this.generation === generation) this.pending.delete(tag);
      done(reply);
      for (const go of waiting) go();
    });
  }

  private *answer(type: number, tag: number, body: Reader, room: number): Work<Uint8Array> {
    const reply = new Writer();
    try {
      yield* this.perform(type, tag, body, reply, room);
      return reply.finish(type + 1, tag);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return new Writer().u32(error.errno).finish(Message.Rlerror, tag);
    }
  }

  private *perform(type: number, tag: number, body: Reader, reply: Writer, room: number): Work<void> {
    switch (type) {
      case Message.Tversion: return this.version(body, reply);
      case Message.Tattach: return yield* this.attach(body, reply);
      case Message.Tflush: return yield* this.flush(body, tag);
      case Message.Twalk: return yield* this.walk(body, reply);
      case Message.Tlopen: return yield* this.lopen(body, reply);
      case Message.Tlcreate: return yield* this.lcreate(body, reply);
      case Message.Tread: return yield* this.read(body, reply, room);
      case Message.Twrite: return yield* this.write(body, reply);
      case Message.Tclunk: return yield* this.clunk(body);
      case Message.Tremove: return yield* this.remove(body);
      case Message.Tgetattr: return yield* this.getattr(body, reply);
      case Message.Tsetattr: return yield* this.setattr(body);
      case Message.Treaddir: return yield* this.readdir(body, reply, room);
      case Message.Tfsync: return yield* this.fsync(body);
      case Message.Tmkdir: return yield* this.mkdir(body, reply);
      case Message.Tsymlink: return yield* this.symlink(body, reply);
      case Message.Treadlink: return yield* this.readlink(body, reply);
      case Message.Tlink: return yield* this.link(body);
      case Message.Tmknod: return yield* this.mknod(body, reply);
      case Message.Trename: return yield* this.rename(body);
      case Message.Trenameat: return yield* this.renameat(body);
      case Message.Tunlinkat: return yield* this.unlinkat(body);
      case Message.Tstatfs: return yield* this.statfs(body, reply);
      // As QEMU: locks are the guest's own affair, and always granted.
      case Message.Tlock: this.fid(body.u32()); return void reply.u8(0);
      case Message.Tgetlock: return this.getlock(body, reply);
      // No extended attributes, no authentication.
      default: throw new FsError(Errno.EOPNOTSUPP);
    }
  }

  // Fids and names

  private fid(number: number): Fid {
    const fid = this.fids.get(number);
    if (!fid) throw new FsError(Errno.EBADF);
    return fid;
  }

  private open(number: number): { fid: Fid; file: OpenFile } {
    const fid = this.fid(number);
    if (!fid.file) throw new FsError(Errno.EBADF);
    return { fid, file: fid.file };
  }

  /** A new fid; the client must not have given the number to anything else. */
  private bind(number: number, fid: Fid): void {
    if (number === NOFID || this.fids.has(number)) throw new FsError(Errno.EINVAL);
    if (this.fids.size >= MAX_FIDS) throw new FsError(Errno.ENFILE);
    this.fids.set(number, fid);
  }

  /** The path of a name in a directory, which may be a new one. */
  private child(directory: Path, name: string): Path {
    if (name === '' || name.includes('/') || name.includes('\0')) throw new FsError(Errno.ENOENT);
    if (name === '.' || name === '..') throw new FsError(Errno.EEXIST);
    if (textLength(name) - 2 > NAME_MAX) throw new FsError(Errno.ENAMETOOLONG);
    if (directory.length >= MAX_DEPTH) throw new FsError(Errno.ENAMETOOLONG);
    return [...directory, name];
  }

  private qid({ id, mode, mtime, size }: Pick<FileStat, 'id' | 'mode'> & Partial<FileStat>): Qid {
    const kind = mode & S_IFMT;
    return {
      type: kind === S_IFDIR ? QTDIR : kind === S_IFLNK ? QTSYMLINK : QTFILE,
      // Anything that changes when the file does.
      version: Number(BigInt.asUintN(32, (mtime ?? 0n) ^ BigInt(size ?? 0))),
      path: id,
    };
  }

  /** A file that is open may have no name any more. */
  private *statOf(fid: Fid): Work<FileStat> {
    return yield* wait(fid.file ? fid.file.stat() : this.fs.stat(fid.path));
  }

  private mustBeWritable(): void {
    if (this.fs.readOnly) throw new FsError(Errno.EROFS);
  }

  // The session

  private version(body: Reader, reply: Writer): void {
    const msize = body.u32();
    const version = body.text();
    this.clunkAll();
    const known = version === '9P2000.L';
    if (known && msize < MIN_MSIZE) throw new FsError(Errno.EINVAL);
    this.msize = Math.min(msize, MAX_MSIZE);
    reply.u32(this.msize).text(known ? version : 'unknown');
  }

  private *attach(body: Reader, reply: Writer): Work<void> {
    const number = body.u32();
    const afid = body.u32();
    if (afid !== NOFID) throw new FsError(Errno.EINVAL);
    const stat = yield* wait(this.fs.stat([]));
    this.bind(number, { path: [] });
    reply.qid(this.qid(stat));
  }

  /** Answered when the other message has been. */
  private *flush(body: Reader, tag: number): Work<void> {
    const old = body.u16();
    const others = old === tag ? undefined : this.pending.get(old);
    if (others) yield* wait(new Promise<void>((resolve) => others.push(resolve)));
  }

  private *walk(body: Reader, reply: Writer): Work<void> {
    const number = body.u32();
    const target = body.u32();
    const count = body.u16();
    if (count > MAX_WALK) throw new FsError(Errno.EINVAL);
    const names = Array.from({ length: count }, () => body.text());
    const fid = this.fid(number);
    if (fid.file || fid.directory) throw new FsError(Errno.EINVAL);
    const qids: Qid[] = [];
    let { path } = fid;
    for (const name of names) {
      try {
        // Above the root there is the root.
        path = name === '..' ? path.slice(0, -1) : this.child(path, name);
        qids.push(this.qid(yield* wait(this.fs.stat(path))));
      } catch (error) {
        // Only the first name's failure is an error; later ones show in how many there are.
        if (!(error instanceof FsError) || qids.length === 0) throw error;
        break;
      }
    }
    if (qids.length === count) {
      if (target === number) fid.path = path;
      else this.bind(target, { path });
    }
    reply.u16(qids.length);
    for (const qid of qids) reply.qid(qid);
  }

  private *clunk(body: Reader): Work<void> {
    const number = body.u32();
    const fid = this.fid(number);
    const { file } = fid;
    this.fids.delete(number);
    this.listed.delete(fid);
    if (file) yield* wait(file.close());
  }

  /** Whatever happens, the fid is gone. */
  private *remove(body: Reader): Work<void> {
    const number = body.u32();
    const fid = this.fid(number);
    this.fids.delete(number);
    this.close(fid);
    this.mustBeWritable();
    if (fid.path.length === 0) throw new FsError(Errno.EBUSY);
    const { mode } = yield* wait(this.fs.stat(fid.path));
    yield* wait((mode & S_IFMT) === S_IFDIR ? this.fs.removeDirectory(fid.path) : this.fs.unlink(fid.path));
  }

  // Files

  private openMode(flags: number): OpenMode {
    const access = flags & O_ACCMODE;
    if (access === O_ACCMODE) throw new FsError(Errno.EINVAL);
    const mode = { read: access !== O_WRONLY, write: access === O_WRONLY || access === O_RDWR, append: (flags & O_APPEND) !== 0, truncate: (flags & O_TRUNC) !== 0 };
    if (mode.write || mode.truncate) this.mustBeWritable();
    return mode;
  }

  /** The client may have clunked the fid, or the driver reset the device, while the file was being opened. */
  private keep(number: number, fid: Fid, file: OpenFile, mode: OpenMode): void {
    if (this.fids.get(number) === fid && !fid.file) {
      fid.file = file;
      fid.mode = { ...mode, truncate: false };
      return;
    }
    this.close({ path: fid.path, file });
    throw new FsError(Errno.EBADF);
  }

  private *lopen(body: Reader, reply: Writer): Work<void> {
    const number = body.u32();
    const flags = body.u32();
    const fid = this.fid(number);
    if (fid.file || fid.directory) throw new FsError(Errno.EINVAL);
    const stat = yield* wait(this.fs.stat(fid.path));
    const kind = stat.mode & S_IFMT;
    if (kind === S_IFDIR) {
      if (flags & O_ACCMODE) throw new FsError(Errno.EISDIR);
      fid.directory = true;
    } else {
      if (flags & O_DIRECTORY) throw new FsError(Errno.ENOTDIR);
      // Pipes, sockets and devices are the host's.
      if (kind !== S_IFREG) throw new FsError(kind === S_IFLNK ? Errno.ELOOP : Errno.EPERM);
      const mode = this.openMode(flags);
      this.keep(number, fid, yield* wait(this.fs.open(fid.path, mode)), mode);
    }
    reply.qid(this.qid(stat)).u32(0);
  }

  private *lcreate(body: Reader, reply: Writer): Work<void> {
    const number = body.u32();
    const name = body.text();
    const flags = body.u32();
    const permissions = body.u32() & 0o7777;
    const fid = this.fid(number);
    if (fid.file || fid.directory) throw new FsError(Errno.EINVAL);
    this.mustBeWritable();
    const mode = this.openMode(flags);
    const path = this.child(fid.path, name);
    const file = yield* wait(this.fs.create(path, mode, (flags & O_EXCL) !== 0, permissions));
    this.keep(number, fid, file, mode);
    fid.path = path;
    reply.qid(this.qid(yield* wait(file.stat()))).u32(0);
  }

  /** Bytes of data that an answer may have, at most as many as were asked for. */
  private room(count: number, room: number): number {
    return Math.max(0, Math.min(count, this.msize - IO_HEADER, room - HEADER - 4));
  }

  private *read(body: Reader, reply: Writer, room: number): Work<void> {
    const { fid, file } = this.open(body.u32());
    const offset = Number(body.u64());
    const count = this.room(body.u32(), room);
    if (!fid.mode?.read) throw new FsError(Errno.EBADF);
    if (offset > Number.MAX_SAFE_INTEGER) throw new FsError(Errno.EINVAL);
    const bytes = yield* wait(file.read(offset, count));
    reply.u32(bytes.length).data(bytes);
  }

  private *write(body: Reader, reply: Writer): Work<void> {
    const { fid, file } = this.open(body.u32());
    const offset = Number(body.u64());
    const bytes = body.data(body.u32());
    if (!fid.mode?.write) throw new FsError(Errno.EBADF);
    if (offset + bytes.length > Number.MAX_SAFE_INTEGER) throw new FsError(Errno.EFBIG);
    reply.u32(yield* wait(file.write(offset, bytes)));
  }

  private *fsync(body: Reader): Work<void> {
    const fid = this.fid(body.u32());
    // A directory's entries are as safe as the host makes them.
    if (fid.directory) return;
    const { file } = fid;
    if (!file) throw new FsError(Errno.EBADF);
    yield* wait(file.sync());
  }

  private *getattr(body: Reader, reply: Writer): Work<void> {
    const fid = this.fid(body.u32());
    const mask = body.u64();
    const stat = yield* this.statOf(fid);
    const time = (value: bigint) => reply.u64(value / SECOND).u64(value % SECOND);
    reply.u64(mask & GETATTR_BASIC).qid(this.qid(stat)).u32(stat.mode).u32(stat.uid).u32(stat.gid).u64(stat.nlink).u64(0).u64(stat.size);
    reply.u64(4096).u64(Math.ceil(stat.size / 512));
    time(stat.atime);
    time(stat.mtime);
    time(stat.ctime);
    // btime, gen, data_version.
    reply.u64(0).u64(0).u64(0).u64(0);
  }

  private *setattr(body: Reader): Work<void> {
    const fid = this.fid(body.u32());
    this.mustBeWritable();
    const valid = body.u32();
    const mode = body.u32();
    const uid = body.u32();
    const gid = body.u32();
    const size = body.u64();
    const atime = body.u64() * SECOND + body.u64();
    const mtime = body.u64() * SECOND + body.u64();
    const now = this.now();
    const change: StatChange = {
      ...(valid & SETATTR_MODE ? { mode: mode & 0o7777 } : {}),
      ...(valid & SETATTR_UID ? { uid } : {}),
      ...(valid & SETATTR_GID ? { gid } : {}),
      ...(valid & SETATTR_ATIME ? { atime: valid & SETATTR_ATIME_SET ? atime : now } : {}),
      ...(valid & SETATTR_MTIME ? { mtime: valid & SETATTR_MTIME_SET ? mtime : now } : {}),
    };
    if (valid & SETATTR_SIZE) {
      if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new FsError(Errno.EFBIG);
      if (fid.file && fid.mode?.write) yield* wait(fid.file.resize(Number(size)));
      else change.size = Number(size);
    }
    if (Object.keys(change).length > 0) yield* wait(this.fs.change(fid.path, change));
  }

  // Directories

  private *readdir(body: Reader, reply: Writer, room: number): Work<void> {
    const fid = this.fid(body.u32());
    const offset = Number(body.u64());
    const count = this.room(body.u32(), room);
    if (!fid.directory) throw new FsError(Errno.EBADF);
    if (!fid.entries || offset === 0) {
      const self = yield* wait(this.fs.stat(fid.path));
      const parent = yield* wait(this.fs.stat(fid.path.slice(0, -1)));
      const entries = yield* wait(this.fs.list(fid.path));
      this.keepEntries(fid, [{ name: '.', ...self }, { name: '..', ...parent }, ...entries]);
    }
    const known = fid.entries ?? [];
    const list = new Writer();
    for (let n = offset; n < known.length; n++) {
      const { name, mode, id } = known[n];
      if (list.length - HEADER + QID + 8 + 1 + textLength(name) > count) break;
      // An entry's offset is that of the next one; its type that of struct dirent (DT_…).
      list.qid(this.qid({ id, mode })).u64(n + 1).u8((mode & S_IFMT) >> 12).text(name);
    }
    const bytes = list.finish(0, 0).subarray(HEADER);
    reply.u32(bytes.length).data(bytes);
  }

  private keepEntries(fid: Fid, entries: DirectoryEntry[]): void {
    this.listed.delete(fid);
    this.listed.add(fid);
    fid.entries = entries;
    let total = 0;
    for (const { entries } of this.listed) total += entries?.length ?? 0;
    for (const oldest of this.listed) {
      if (total <= MAX_ENTRIES || oldest === fid) break;
      total -= oldest.entries?.length ?? 0;
      oldest.entries = undefined;
      this.listed.delete(oldest);
    }
  }

  private *mkdir(body: Reader, reply: Writer): Work<void> {
    const { path } = this.fid(body.u32());
    const name = body.text();
    const permissions = body.u32() & 0o7777;
    this.mustBeWritable();
    const made = this.child(path, name);
    yield* wait(this.fs.makeDirectory(made, permissions));
    reply.qid(this.qid(yield* wait(this.fs.stat(made))));
  }

  private *symlink(body: Reader, reply: Writer): Work<void> {
    const { path } = this.fid(body.u32());
    const name = body.text();
    const target = body.text();
    this.mustBeWritable();
    if (target === '' || target.includes('\0')) throw new FsError(Errno.EINVAL);
    const made = this.child(path, name);
    yield* wait(this.fs.makeSymlink(made, target));
    reply.qid(this.qid(yield* wait(this.fs.stat(made))));
  }

  private *readlink(body: Reader, reply: Writer): Work<void> {
    const { path } = this.fid(body.u32());
    reply.text(yield* wait(this.fs.readSymlink(path)));
  }

  private *link(body: Reader): Work<void> {
    const { path } = this.fid(body.u32());
    const existing = this.fid(body.u32()).path;
    const name = body.text();
    this.mustBeWritable();
    yield* wait(this.fs.makeLink(this.child(path, name), existing));
  }

  /** Plain files only: a guest makes no devices on its host. */
  private *mknod(body: Reader, reply: Writer): Work<void> {
    const { path } = this.fid(body.u32());
    const name = body.text();
    const mode = body.u32();
    this.mustBeWritable();
    const kind = mode & S_IFMT;
    if (kind !== S_IFREG && kind !== 0) throw new FsError(Errno.EPERM);
    const made = this.child(path, name);
    const file = yield* wait(this.fs.create(made, { read: false, write: true }, true, mode & 0o7777));
    const stat = yield* wait(file.stat());
    yield* wait(file.close());
    reply.qid(this.qid(stat));
  }

  private *rename(body: Reader): Work<void> {
    const { path } = this.fid(body.u32());
    const directory = this.fid(body.u32()).path;
    const name = body.text();
    yield* this.move(path, this.child(directory, name));
  }

  private *renameat(body: Reader): Work<void> {
    const from = this.fid(body.u32()).path;
    const oldName = body.text();
    const to = this.fid(body.u32()).path;
    const newName = body.text();
    yield* this.move(this.child(from, oldName), this.child(to, newName));
  }

  private *move(from: Path, to: Path): Work<void> {
    this.mustBeWritable();
    if (from.length === 0) throw new FsError(Errno.EBUSY);
    // Into itself.
    if (to.length > from.length && startsWith(to, from)) throw new FsError(Errno.EINVAL);
    yield* wait(this.fs.rename(from, to));
    for (const fid of this.fids.values()) if (startsWith(fid.path, from)) fid.path = [...to, ...fid.path.slice(from.length)];
  }

  private *unlinkat(body: Reader): Work<void> {
    const { path } = this.fid(body.u32());
    const name = body.text();
    const flags = body.u32();
    this.mustBeWritable();
    if (flags & ~AT_REMOVEDIR) throw new FsError(Errno.EINVAL);
    const gone = this.child(path, name);
    yield* wait(flags & AT_REMOVEDIR ? this.fs.removeDirectory(gone) : this.fs.unlink(gone));
  }

  private *statfs(body: Reader, reply: Writer): Work<void> {
    this.fid(body.u32());
    const { blockSize, blocks, free, available, files, freeFiles } = yield* wait(this.fs.size());
    reply.u32(V9FS_MAGIC).u32(blockSize).u64(blocks).u64(free).u64(available).u64(files).u64(freeFiles).u64(0).u32(NAME_MAX);
  }

  private getlock(body: Reader, reply: Writer): void {
    this.fid(body.u32());
    body.u8();
    const start = body.u64();
    const length = body.u64();
    const process = body.u32();
    reply.u8(LOCK_TYPE_UNLCK).u64(start).u64(length).u32(process).text(body.text());
  }

  // Snapshots

  save(): SessionState {
    return { msize: this.msize, fids: [...this.fids].map(([number, { path, mode, directory }]) => [number, path, mode, directory ?? false]) };
  }

  /** Files are opened anew; one that is gone gives EBADF from then on. */
  load({ msize, fids }: SessionState): void {
    this.reset();
    this.msize = msize;
    for (const [number, path, mode, directory] of fids) {
      const fid: Fid = { path, ...(directory ? { directory } : {}) };
      this.fids.set(number, fid);
      if (mode) carryOut(this.reopen(number, fid, mode), () => {});
    }
  }

  private *reopen(number: number, fid: Fid, mode: OpenMode): Work<Uint8Array> {
    try {
      this.keep(number, fid, yield* wait(this.fs.open(fid.path, mode)), mode);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
    return new Uint8Array();
  }
}

const startsWith = (path: Path, start: Path): boolean => path.length >= start.length && start.every((name, n) => path[n] === name);
