// A tree of files that the host gives to a guest, as a device sees it. Names and numbers are Linux's.
//
// Paths are lists of names from the root of the tree, which is []; no name is empty, "." or "..", or has a "/" or a zero byte in it.
// No method follows a symbolic link, wherever in the path it stands, and none leaves the tree. What the host can do at once
// comes as a value; what takes its time, as a promise. What fails is an FsError, thrown or rejected.

export type Path = readonly string[];
export type Maybe<T> = T | Promise<T>;

/** errno of Linux. */
export const enum Errno {
  EPERM = 1,
  ENOENT = 2,
  EIO = 5,
  EBADF = 9,
  EACCES = 13,
  EBUSY = 16,
  EEXIST = 17,
  EXDEV = 18,
  ENOTDIR = 20,
  EISDIR = 21,
  EINVAL = 22,
  ENFILE = 23,
  EFBIG = 27,
  ENOSPC = 28,
  EROFS = 30,
  ENAMETOOLONG = 36,
  ENOTEMPTY = 39,
  ELOOP = 40,
  EPROTO = 71,
  EOPNOTSUPP = 95,
}

export class FsError extends Error {
  constructor(
    readonly errno: number,
    message = `errno ${errno}`,
  ) {
    super(message);
    this.name = 'FsError';
  }
}

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** Bytes of a name at most. */
export const NAME_MAX = 255;

export interface FileStat {
  /** Tells this file from all others of the tree, 64 bits. */
  id: bigint;
  /** Type and permissions. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  /** Bytes. */
  size: number;
  /** Nanoseconds since 1970. */
  atime: bigint;
  mtime: bigint;
  ctime: bigint;
}

/** What is to become another. Times in nanoseconds since 1970. */
export interface StatChange {
  /** Permissions. */
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: bigint;
  mtime?: bigint;
}

export interface DirectoryEntry {
  name: string;
  id: bigint;
  /** Type; permissions do not count. */
  mode: number;
}

export interface OpenMode {
  read: boolean;
  write: boolean;
  /** Every write goes to the end. */
  append?: boolean;
  truncate?: boolean;
}

/** An open file: it lasts when its name is gone. */
export interface OpenFile {
  /** Bytes from `offset` on, fewer where the file ends. */
  read(offset: number, length: number): Maybe<Uint8Array>;
  /** @returns bytes written */
  write(offset: number, bytes: Uint8Array): Maybe<number>;
  stat(): Maybe<FileStat>;
  resize(size: number): Maybe<void>;
  /** When it is done, what was written before is safe. */
  sync(): Maybe<void>;
  close(): Maybe<void>;
}

/** Sizes in blocks of `blockSize` bytes. */
export interface FileSystemSize {
  blockSize: number;
  blocks: number;
  free: number;
  available: number;
  files: number;
  freeFiles: number;
}

export interface FileSystem {
  readonly readOnly: boolean;
  stat(path: Path): Maybe<FileStat>;
  change(path: Path, change: StatChange): Maybe<void>;
  list(path: Path): Maybe<DirectoryEntry[]>;
  open(path: Path, mode: OpenMode): Maybe<OpenFile>;
  /** @param exclusive fail if there is one of this name  @param permissions of a new file */
  create(path: Path, mode: OpenMode, exclusive: boolean, permissions: number): Maybe<OpenFile>;
  makeDirectory(path: Path, permissions: number): Maybe<void>;
  makeLink(path: Path, existing: Path): Maybe<void>;
  makeSymlink(path: Path, target: string): Maybe<void>;
  readSymlink(path: Path): Maybe<string>;
  rename(from: Path, to: Path): Maybe<void>;
  /** Of anything but a directory. */
  unlink(path: Path): Maybe<void>;
  removeDirectory(path: Path): Maybe<void>;
  size(): Maybe<FileSystemSize>;
}
