// A tree of files in memory, gone when the machine is: empty, or filled from what the user gave to the page (Contents that are read when
// they are needed, and copied when the guest writes to them).

import {
  type DirectoryEntry, Errno, type FileStat, type FileSystem, type FileSystemSize, FsError, type OpenFile, type OpenMode, type Path, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG,
  type StatChange,
} from '../../devices/file-system.ts';

/** What a file begins with. */
export interface Contents {
  /** Bytes. */
  readonly size: number;
  /** A copy of bytes within it. @throws FsError EIO */
  read(offset: number, length: number): Uint8Array;
}

const CHUNK = 65536;
const BLOCK = 4096;
/** Files and directories at most. */
const MAX_FILES = 1 << 18;

/** Bytes of a file: what was written, in chunks, over what it began with. Places that nobody wrote are zeros and take no room. */
export class Data {
  private readonly chunks = new Map<number, Uint8Array>();
  size: number;
  /** Bytes of `base` that still count. */
  private baseSize: number;
  /** Counts changes. */
  version = 0;

  constructor(private base?: Contents) {
    this.size = base?.size ?? 0;
    this.baseSize = this.size;
  }

  get allocated(): number {
    return this.chunks.size * CHUNK;
  }

  private original(n: number): Uint8Array {
    const chunk = new Uint8Array(CHUNK);
    const at = n * CHUNK;
    const length = Math.min(CHUNK, this.baseSize - at);
    if (length > 0) chunk.set(this.base!.read(at, length));
    return chunk;
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    for (let at = 0; at < bytes.length; ) {
      const n = Math.floor((offset + at) / CHUNK);
      const from = (offset + at) % CHUNK;
      const part = Math.min(CHUNK - from, bytes.length - at);
      const chunk = this.chunks.get(n);
      if (chunk) bytes.set(chunk.subarray(from, from + part), at);
      else {
        const known = Math.min(part, this.baseSize - offset - at);
        if (known > 0) bytes.set(this.base!.read(offset + at, known), at);
      }
      at += part;
    }
    return bytes;
  }

  /** Chunks that a write would need anew. */
  missing(offset: number, length: number): number {
    let count = 0;
    for (let n = Math.floor(offset / CHUNK); n * CHUNK < offset + length; n++) if (!this.chunks.has(n)) count++;
    return count;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.version++;
    for (let at = 0; at < bytes.length; ) {
      const n = Math.floor((offset + at) / CHUNK);
      const from = (offset + at) % CHUNK;
      const part = Math.min(CHUNK - from, bytes.length - at);
      let chunk = this.chunks.get(n);
      if (!chunk) this.chunks.set(n, (chunk = this.original(n)));
      chunk.set(bytes.subarray(at, at + part), from);
      at += part;
    }
    this.size = Math.max(this.size, offset + bytes.length);
  }

  holdAll(): void {
    for (let n = 0; n * CHUNK < this.size; n++) if (!this.chunks.has(n)) this.chunks.set(n, this.original(n));
    this.baseSize = 0;
  }

  beginAnew(contents: Contents): void {
    this.chunks.clear();
    this.base = contents;
    this.size = this.baseSize = contents.size;
  }

  resize(size: number): void {
    this.version++;
    if (size < this.size) {
      this.baseSize = Math.min(this.baseSize, size);
      const last = Math.ceil(size / CHUNK);
      for (const n of this.chunks.keys()) if (n >= last) this.chunks.delete(n);
      this.chunks.get(last - 1)?.fill(0, size - (last - 1) * CHUNK);
    }
    this.size = size;
  }
}

export interface Inode {
  id: bigint;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  atime: bigint;
  mtime: bigint;
  ctime: bigint;
  data?: Data;
  entries?: Map<string, Inode>;
  target?: string;
}

export interface MemoryFolderOptions {
  /** Nanoseconds since 1970. */
  now(): bigint;
  /** Bytes that files written by the guest may have. */
  capacity?: number;
  readOnly?: boolean;
}

export class MemoryFolder implements FileSystem {
  readonly readOnly: boolean;
  private readonly now: () => bigint;
  private readonly capacity: number;
  private nextId = 1n;
  private files = 0;
  /** Bytes allocated. */
  private used = 0;
  private readonly root: Inode;

  constructor({ now, capacity = 256 << 20, readOnly = false }: MemoryFolderOptions) {
    this.now = now;
    this.capacity = capacity;
    this.readOnly = readOnly;
    this.root = this.inode(S_IFDIR | 0o755);
  }

  /** Put a file in before the guest looks, with the directories that lead to it. @param mtime ms since 1970 */
  add(path: Path, contents: Contents, mtime: number): void {
    let directory = this.root;
    for (const name of path.slice(0, -1)) {
      let next = directory.entries!.get(name);
      if (!next) directory.entries!.set(name, (next = this.inode(S_IFDIR | 0o755)));
      if (!next.entries) throw new FsError(Errno.ENOTDIR);
      directory = next;
    }
    const file = this.inode(S_IFREG | 0o644);
    file.data = new Data(contents);
    file.mtime = file.ctime = file.atime = BigInt(Math.round(mtime)) * 1_000_000n;
    directory.entries!.set(path.at(-1)!, file);
  }

  private inode(mode: number): Inode {
    if (this.files >= MAX_FILES) throw new FsError(Errno.ENOSPC);
    this.files++;
    const time = this.now();
    const kind = mode & S_IFMT;
    return {
      id: this.nextId++, mode, uid: 0, gid: 0, nlink: kind === S_IFDIR ? 2 : 1, atime: time, mtime: time, ctime: time,
      ...(kind === S_IFREG ? { data: new Data() } : {}), ...(kind === S_IFDIR ? { entries: new Map() } : {}),
    };
  }

  protected find(path: Path): Inode {
    let inode: Inode | undefined = this.root;
    for (const name of path) {
      if (!inode.entries) throw new FsError(Errno.ENOTDIR);
      inode = inode.entries.get(name);
      if (!inode) throw new FsError(Errno.ENOENT);
    }
    return inode;
  }

  /** The directory of a name, and what the name is now. */
  private place(path: Path): { entries: Map<string, Inode>; name: string; known: Inode | undefined; directory: Inode } {
    const directory = this.find(path.slice(0, -1));
    const name = path.at(-1);
    if (!directory.entries) throw new FsError(Errno.ENOTDIR);
    // The root is in no directory.
    if (name === undefined) throw new FsError(Errno.EBUSY);
    return { entries: directory.entries, name, known: directory.entries.get(name), directory };
  }

  private touch(inode: Inode): void {
    inode.mtime = inode.ctime = this.now();
  }

  private put(path: Path, make: () => Inode): Inode {
    const { entries, name, known, directory } = this.place(path);
    if (known) throw new FsError(Errno.EEXIST);
    const inode = make();
    entries.set(name, inode);
    this.touch(directory);
    return inode;
  }

  /** A name is gone. */
  private drop(inode: Inode): void {
    inode.nlink--;
    inode.ctime = this.now();
    if (inode.nlink > 0 && !inode.entries) return;
    this.files--;
    // Files that are open keep their bytes; the room counts as free all the same.
    if (inode.data) this.used -= inode.data.allocated;
  }

  private statOf({ id, mode, uid, gid, nlink, data, target, atime, mtime, ctime }: Inode): FileStat {
    return { id, mode, uid, gid, nlink, size: data?.size ?? target?.length ?? BLOCK, atime, mtime, ctime };
  }

  /** Chunks that would be needed to hold all of a file. */
  private missing(data: Data): number {
    return data.missing(0, data.size) * CHUNK;
  }

  /**
   * Hold all of a file here: what it began with is about to change. Files of which nothing is held, and that begin with nothing, cost nothing.
   * @throws FsError ENOSPC
   */
  protected holdAll(inode: Inode): void {
    const data = inode.data!;
    const added = this.missing(data);
    if (added === 0) return;
    if (this.used + added > this.capacity) throw new FsError(Errno.ENOSPC, 'it is too large to be changed here');
    data.holdAll();
    if (inode.nlink > 0) this.used += added;
  }

  /** The file is as `contents` now: what is held of it may go. */
  protected beginAnew(inode: Inode, contents: Contents): void {
    if (inode.nlink > 0) this.used -= inode.data!.allocated;
    inode.data!.beginAnew(contents);
  }

  stat(path: Path): FileStat {
    return this.statOf(this.find(path));
  }

  change(path: Path, { mode, size, ...change }: StatChange): void {
    const inode = this.find(path);
    if (size !== undefined) {
      if (!inode.data) throw new FsError(inode.entries ? Errno.EISDIR : Errno.ELOOP);
      this.resize(inode, size);
    }
    if (mode !== undefined) inode.mode = (inode.mode & S_IFMT) | mode;
    Object.assign(inode, change);
    inode.ctime = this.now();
  }

  private resize(inode: Inode, size: number): void {
    const before = inode.data!.allocated;
    inode.data!.resize(size);
    if (inode.nlink > 0) this.used += inode.data!.allocated - before;
    this.touch(inode);
  }

  private write(inode: Inode, offset: number, bytes: Uint8Array): number {
    const data = inode.data!;
    const added = data.missing(offset, bytes.length) * CHUNK;
    if (this.used + added > this.capacity) throw new FsError(Errno.ENOSPC);
    data.write(offset, bytes);
    if (inode.nlink > 0) this.used += added;
    this.touch(inode);
    return bytes.length;
  }

  list(path: Path): DirectoryEntry[] {
    const { entries } = this.find(path);
    if (!entries) throw new FsError(Errno.ENOTDIR);
    return [...entries].map(([name, { id, mode }]) => ({ name, id, mode }));
  }

  open(path: Path, mode: OpenMode): OpenFile {
    const inode = this.find(path);
    if (!inode.data) throw new FsError(inode.entries ? Errno.EISDIR : Errno.ELOOP);
    if (mode.truncate) this.resize(inode, 0);
    return {
      read: (offset, length) => inode.data!.read(offset, length),
      write: (offset, bytes) => this.write(inode, mode.append ? inode.data!.size : offset, bytes),
      stat: () => this.statOf(inode),
      resize: (size) => this.resize(inode, size),
      sync: () => {},
      close: () => {},
    };
  }

  create(path: Path, mode: OpenMode, exclusive: boolean, permissions: number): OpenFile {
    const { known } = this.place(path);
    if (!known) this.put(path, () => this.inode(S_IFREG | permissions));
    else if (exclusive) throw new FsError(Errno.EEXIST);
    return this.open(path, mode);
  }

  makeDirectory(path: Path, permissions: number): void {
    this.put(path, () => this.inode(S_IFDIR | permissions));
  }

  makeLink(path: Path, existing: Path): void {
    const inode = this.find(existing);
    this.put(path, () => {
      if (inode.entries) throw new FsError(Errno.EPERM);
      return inode;
    });
    inode.nlink++;
    inode.ctime = this.now();
  }

  makeSymlink(path: Path, target: string): void {
    this.put(path, () => ({ ...this.inode(S_IFLNK | 0o777), target }));
  }

  readSymlink(path: Path): string {
    const { target } = this.find(path);
    if (target === undefined) throw new FsError(Errno.EINVAL);
    return target;
  }

  rename(from: Path, to: Path): void {
    const source = this.place(from);
    const target = this.place(to);
    const moved = source.known;
    if (!moved) throw new FsError(Errno.ENOENT);
    if (target.known === moved) return;
    // Before anything else, as Linux: a directory that the source lies in has it as an entry.
    if (to.length < from.length && to.every((name, n) => name === from[n])) throw new FsError(Errno.ENOTEMPTY);
    if (target.known) {
      if (target.known.entries && !moved.entries) throw new FsError(Errno.EISDIR);
      if (!target.known.entries && moved.entries) throw new FsError(Errno.ENOTDIR);
      if (target.known.entries && target.known.entries.size > 0) throw new FsError(Errno.ENOTEMPTY);
      this.drop(target.known);
    }
    source.entries.delete(source.name);
    target.entries.set(target.name, moved);
    this.touch(source.directory);
    this.touch(target.directory);
  }

  unlink(path: Path): void {
    const { entries, name, known, directory } = this.place(path);
    if (!known) throw new FsError(Errno.ENOENT);
    if (known.entries) throw new FsError(Errno.EISDIR);
    entries.delete(name);
    this.drop(known);
    this.touch(directory);
  }

  removeDirectory(path: Path): void {
    const { entries, name, known, directory } = this.place(path);
    if (!known) throw new FsError(Errno.ENOENT);
    if (!known.entries) throw new FsError(Errno.ENOTDIR);
    if (known.entries.size > 0) throw new FsError(Errno.ENOTEMPTY);
    entries.delete(name);
    this.drop(known);
    this.touch(directory);
  }

  size(): FileSystemSize {
    const blocks = Math.floor(this.capacity / BLOCK);
    const free = Math.max(0, Math.floor((this.capacity - this.used) / BLOCK));
    return { blockSize: BLOCK, blocks, free, available: free, files: MAX_FILES, freeFiles: MAX_FILES - this.files };
  }
}
