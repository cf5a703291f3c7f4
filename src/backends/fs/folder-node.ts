// A folder of the host as a guest sees it, under Node. QEMU: -fsdev local, with the security models none and passthrough.
//
// A guest is hostile, and so may be others that share the folder: no symbolic link is followed, at any place of a path, even one that
// somebody puts there at this very moment. Node has no openat(2), but Linux shows open directories as /proc/self/fd/N: each name
// of a path is opened on its own, as a directory and no link (O_PATH, O_NOFOLLOW), and the next one is looked up in there.

import {
  chmodSync, closeSync, constants, fchmodSync, fstatSync, fsyncSync, ftruncateSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, readdirSync, readlinkSync,
  readSync, realpathSync, renameSync, rmdirSync, statSync, statfsSync, symlinkSync, unlinkSync, writeSync, type BigIntStats,
} from 'node:fs';
import { constants as os } from 'node:os';
import {
  type DirectoryEntry, Errno, type FileStat, type FileSystem, type FileSystemSize, FsError, type OpenFile, type OpenMode, type Path, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type StatChange,
} from '../../devices/file-system.ts';

/** Linux's: a place in the tree, whatever its permissions. Not among Node's constants. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND, O_TRUNC } = constants;
const NS = 1e9;

export interface FolderOptions {
  readOnly: boolean;
  /** none: what the guest's root may, but not the host's user (owners), is passed over; passthrough: it is an error. */
  securityModel: 'none' | 'passthrough';
}

/** The host's errors are the guest's. */
function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof FsError || code === undefined) throw error;
    throw new FsError((os.errno as Record<string, number>)[code] ?? Errno.EIO, message);
  }
}

export class Folder implements FileSystem {
  readonly readOnly: boolean;
  private readonly root: number;
  /** Devices of the host's file systems below the folder, whose inode numbers may be the same. */
  private readonly devices = new Map<bigint, bigint>();

  /** @throws what opening the folder throws, and an Error where the host cannot keep a guest inside it */
  constructor(
    path: string,
    private readonly options: FolderOptions,
  ) {
    this.readOnly = options.readOnly;
    if (process.platform !== 'linux') throw new Error('folders can be shared on Linux only: elsewhere Node has no way to keep a guest inside');
    // The user may name a link; from there on none is followed.
    this.root = openSync(realpathSync(path), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }

  close(): void {
    closeSync(this.root);
  }

  /** Do something in a directory, which is named as Linux names what is open. */
  private inside<T>(directory: Path, action: (path: string) => T): T {
    return attempt(() => {
      let fd = this.root;
      try {
        for (const name of directory) {
          const next = openSync(`/proc/self/fd/${fd}/${name}`, O_PATH | O_DIRECTORY | O_NOFOLLOW);
          if (fd !== this.root) closeSync(fd);
          fd = next;
        }
        return action(`/proc/self/fd/${fd}`);
      } finally {
        if (fd !== this.root) closeSync(fd);
      }
    });
  }

  /** Do something with a name in its directory. The root's name is ".", which is no link. */
  private at<T>(path: Path, action: (place: string) => T): T {
    return this.inside(path.slice(0, -1), (directory) => action(`${directory}/${path.at(-1) ?? '.'}`));
  }

  /** The root has no name to be moved or removed by. */
  private named<T>(path: Path, action: (place: string) => T): T {
    if (this.readOnly) throw new FsError(Errno.EROFS);
    if (path.length === 0) throw new FsError(Errno.EBUSY);
    return this.at(path, action);
  }

  private id({ dev, ino }: { dev: bigint; ino: bigint }): bigint {
    let number = this.devices.get(dev);
    if (number === undefined) this.devices.set(dev, (number = BigInt(this.devices.size)));
    return BigInt.asUintN(64, ino ^ (number << 48n));
  }

  private statOf(stat: BigIntStats): FileStat {
    return {
      id: this.id(stat), mode: Number(stat.mode), uid: Number(stat.uid), gid: Number(stat.gid), nlink: Number(stat.nlink), size: Number(stat.size),
      atime: stat.atimeNs, mtime: stat.mtimeNs, ctime: stat.ctimeNs,
    };
  }

  stat(path: Path): FileStat {
    return this.at(path, (place) => this.statOf(lstatSync(place, { bigint: true })));
  }

  change(path: Path, { mode, uid, gid, size, atime, mtime }: StatChange): void {
    if (this.readOnly) throw new FsError(Errno.EROFS);
    this.at(path, (place) => {
      if (size !== undefined) {
        const fd = this.openAt(place, O_WRONLY);
        try {
          ftruncateSync(fd, size);
        } finally {
          closeSync(fd);
        }
      }
      if (uid !== undefined || gid !== undefined) {
        const now = lstatSync(place);
        this.owner(() => lchownSync(place, uid ?? now.uid, gid ?? now.gid));
      }
      // chmod follows links, and fchmod needs a file that can be read.
      if (mode !== undefined) this.withPlace(place, (known) => chmodSync(known, mode));
      if (atime !== undefined || mtime !== undefined) {
        const now = lstatSync(place, { bigint: true });
        lutimesSync(place, Number(atime ?? now.atimeNs) / NS, Number(mtime ?? now.mtimeNs) / NS);
      }
    });
  }

  private owner(change: () => void): void {
    try {
      change();
    } catch (error) {
      if (this.options.securityModel === 'passthrough' || (error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    }
  }

  /** Do something with what stands there now, whatever may stand there a moment later. */
  private withPlace<T>(place: string, action: (known: string) => T): T {
    const fd = openSync(place, O_PATH | O_NOFOLLOW);
    try {
      return action(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  }

  /** Files only: to open a pipe may wait for ever, to open a device may do anything. */
  private openAt(place: string, flags: number): number {
    return this.withPlace(place, (known) => {
      const kind = statSync(known).mode & S_IFMT;
      if (kind !== S_IFREG) throw new FsError(kind === S_IFLNK ? Errno.ELOOP : kind === S_IFDIR ? Errno.EISDIR : Errno.EPERM);
      return openSync(known, flags);
    });
  }

  list(path: Path): DirectoryEntry[] {
    return this.inside(path, (directory) => {
      const entries: DirectoryEntry[] = [];
      // Names that are not UTF-8 cannot be written to the guest, nor asked for by it.
      for (const bytes of readdirSync(directory, { encoding: 'buffer' })) {
        const name = bytes.toString();
        if (!Buffer.from(name).equals(bytes)) continue;
        const stat = lstatSync(`${directory}/${name}`, { bigint: true, throwIfNoEntry: false });
        if (stat) entries.push({ name, id: this.id(stat), mode: Number(stat.mode) });
      }
      return entries;
    });
  }

  private flags({ read, write, append, truncate }: OpenMode): number {
    if (this.readOnly && (write || truncate)) throw new FsError(Errno.EROFS);
    return (write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY) | (append ? O_APPEND : 0) | (truncate ? O_TRUNC : 0);
  }

  open(path: Path, mode: OpenMode): OpenFile {
    return this.at(path, (place) => this.handle(this.openAt(place, this.flags(mode)), mode));
  }

  create(path: Path, mode: OpenMode, exclusive: boolean, permissions: number): OpenFile {
    return this.named(path, (place) => {
      let fd: number;
      try {
        fd = openSync(place, this.flags(mode) | O_CREAT | O_EXCL, permissions);
      } catch (error) {
        if (exclusive || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        return this.handle(this.openAt(place, this.flags(mode)), mode);
      }
      // The guest has a umask of its own.
      fchmodSync(fd, permissions);
      return this.handle(fd, mode);
    });
  }

  private handle(fd: number, { append }: OpenMode): OpenFile {
    let isOpen = true;
    const file = <T>(action: () => T): T => {
      if (!isOpen) throw new FsError(Errno.EBADF);
      return attempt(action);
    };
    return {
      read: (offset, length) => file(() => {
        const bytes = new Uint8Array(length);
        let at = 0;
        while (at < length) {
          const n = readSync(fd, bytes, at, length - at, offset + at);
          if (n === 0) break;
          at += n;
        }
        return bytes.subarray(0, at);
      }),
      write: (offset, bytes) => file(() => {
        let at = 0;
        while (at < bytes.length) at += writeSync(fd, bytes, at, bytes.length - at, append ? null : offset + at);
        return at;
      }),
      stat: () => file(() => this.statOf(fstatSync(fd, { bigint: true }))),
      resize: (size) => file(() => ftruncateSync(fd, size)),
      sync: () => file(() => fsyncSync(fd)),
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        attempt(() => closeSync(fd));
      },
    };
  }

  makeDirectory(path: Path, permissions: number): void {
    this.named(path, (place) => {
      mkdirSync(place, permissions);
      this.withPlace(place, (known) => chmodSync(known, permissions));
    });
  }

  /** link(2) follows no link at its end. */
  makeLink(path: Path, existing: Path): void {
    this.named(path, (place) => this.named(existing, (known) => linkSync(known, place)));
  }

  makeSymlink(path: Path, target: string): void {
    this.named(path, (place) => symlinkSync(target, place));
  }

  readSymlink(path: Path): string {
    return this.at(path, (place) => readlinkSync(place));
  }

  rename(from: Path, to: Path): void {
    this.named(to, (target) => this.named(from, (place) => renameSync(place, target)));
  }

  unlink(path: Path): void {
    this.named(path, (place) => unlinkSync(place));
  }

  removeDirectory(path: Path): void {
    this.named(path, (place) => rmdirSync(place));
  }

  size(): FileSystemSize {
    return attempt(() => {
      const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(`/proc/self/fd/${this.root}`);
      return { blockSize: bsize, blocks, free: bfree, available: bavail, files, freeFiles: ffree };
    });
  }
}
