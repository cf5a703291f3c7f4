// A folder in memory that knows what the guest has changed in it, and can bring that to where the files came from.
//
// What is brought is the state of a path, not what was done to it: a file, a directory, or nothing. So changes to one path run together, and
// one that failed may be brought again. Directories come before what is in them. While files are written back, they are held in memory as a
// whole, since what they began with changes under them; when they are back, they begin anew from there.

import { Errno, FsError, type OpenFile, type OpenMode, type Path, S_IFLNK, S_IFMT, type StatChange } from '../../devices/file-system.ts';
import { type Contents, type Inode, MemoryFolder, type MemoryFolderOptions } from './memory.ts';
import { makeTar, type TarEntry } from './tar.ts';

/** Where changes go. Calls follow one another; each rejects with an Error that says why it failed. */
export interface FolderTarget {
  makeDirectory(path: Path): Promise<void>;
  /** Whatever is there, with all that is in it; nothing may be there. */
  remove(path: Path): Promise<void>;
  /** A file's beginning, its bytes in order, and its end, which gives the file as it is now. */
  begin(path: Path): Promise<void>;
  append(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  end(): Promise<Contents>;
}

/** What has become of a path. */
export interface Change {
  path: Path;
  kind: 'file' | 'directory' | 'removed';
}

/** Bytes in one call of append(). */
const PIECE = 1 << 20;

export class TrackedFolder extends MemoryFolder {
  /** Paths whose state is not where it belongs, in the order in which they were changed first. */
  private readonly dirty = new Map<string, Path>();
  /** All that were changed, for whoever brings them nowhere. */
  private readonly ever = new Map<string, Path>();
  private readonly openFiles = new Set<{ path: Path }>();
  private bringing: Promise<void> = Promise.resolve();
  /** A turn that brings all of `dirty` waits behind the present one. */
  private isQueued = false;
  /** What went wrong with a path since the guest was last told. */
  private failed: Error | undefined;
  private hasComplained = false;

  /** @param target where changes go: undefined, nowhere  @param onChange told that there is something to bring, or to show */
  constructor(
    options: MemoryFolderOptions,
    private readonly target: FolderTarget | undefined,
    private readonly onChange: () => void = () => {},
    /** Told of what could not be brought, once until it works again. */
    private readonly onFailure: (error: Error) => void = () => {},
  ) {
    super(options);
  }

  /** What the guest has changed so far, in order of the paths. */
  get changes(): Change[] {
    return [...this.ever.values()].map((path) => ({ path, kind: this.kindOf(path) })).sort((a, b) => (a.path.join('/') < b.path.join('/') ? -1 : 1));
  }

  get isWrittenBack(): boolean {
    return this.target !== undefined;
  }

  /** What the guest has changed, as a tar archive; what it removed stands in a list at its end. */
  changesArchive(): Uint8Array<ArrayBuffer> {
    const { changes } = this;
    const entries = changes.flatMap(({ path, kind }): TarEntry[] => {
      if (kind === 'removed') return [];
      const { mode, mtime } = this.stat(path);
      if ((mode & S_IFMT) === S_IFLNK) return [];
      return [{ path, mode, mtime: Number(mtime / 1_000_000_000n), ...(kind === 'file' ? { bytes: this.read(path) } : {}) }];
    });
    const removed = changes.filter(({ kind }) => kind === 'removed').map(({ path }) => `${path.join('/')}\n`).join('');
    if (removed) entries.push({ path: ['removed by the guest.txt'], mode: 0o644, mtime: 0, bytes: new TextEncoder().encode(removed) });
    return makeTar(entries);
  }

  /** Paths that wait to be brought. */
  get waiting(): number {
    return this.dirty.size;
  }

  private kindOf(path: Path): Change['kind'] {
    try {
      return this.find(path).entries ? 'directory' : 'file';
    } catch (error) {
      if (error instanceof FsError) return 'removed';
      throw error;
    }
  }

  private mark(path: Path): void {
    const key = path.join('/');
    this.dirty.set(key, path);
    this.ever.set(key, path);
    this.onChange();
  }

  /** A path and all that is below it. */
  private markTree(path: Path): void {
    this.mark(path);
    const { entries } = this.find(path);
    for (const name of entries?.keys() ?? []) this.markTree([...path, name]);
  }

  // ---- what the guest does

  override change(path: Path, change: StatChange): void {
    if (change.size !== undefined && this.target) this.holdAll(this.file(path));
    super.change(path, change);
    // Permissions and owners have no place where the files are.
    if (change.size !== undefined) this.mark(path);
    this.bringSoon();
  }

  private file(path: Path): Inode {
    const inode = this.find(path);
    if (!inode.data) throw new FsError(inode.entries ? Errno.EISDIR : Errno.ELOOP);
    return inode;
  }

  override open(path: Path, mode: OpenMode): OpenFile {
    const inode = this.file(path);
    const before = inode.data!.size;
    const file = super.open(path, mode);
    const place = { path };
    if (mode.truncate && before > 0) this.mark(path);
    // fsync of a descriptor that only reads brings what was written through others.
    if (!mode.write) return { ...file, sync: () => this.bring() };
    this.openFiles.add(place);
    const changed = (): void => {
      if (inode.nlink > 0) this.mark(place.path);
    };
    return {
      ...file,
      write: (offset, bytes) => {
        if (this.target) this.holdAll(inode);
        const written = file.write(offset, bytes) as number;
        changed();
        return written;
      },
      resize: (size) => {
        if (this.target) this.holdAll(inode);
        file.resize(size);
        changed();
      },
      sync: () => this.bring(),
      close: () => {
        this.openFiles.delete(place);
        this.bringSoon();
      },
    };
  }

  override create(path: Path, mode: OpenMode, exclusive: boolean, permissions: number): OpenFile {
    const file = super.create(path, mode, exclusive, permissions);
    this.mark(path);
    return file;
  }

  override makeDirectory(path: Path, permissions: number): void {
    super.makeDirectory(path, permissions);
    this.mark(path);
    this.bringSoon();
  }

  override makeLink(path: Path, existing: Path): void {
    if (this.target) throw new FsError(Errno.EPERM, 'the folder cannot keep links');
    super.makeLink(path, existing);
    this.mark(path);
  }

  override makeSymlink(path: Path, target: string): void {
    if (this.target) throw new FsError(Errno.EPERM, 'the folder cannot keep links');
    super.makeSymlink(path, target);
    this.mark(path);
  }

  override rename(from: Path, to: Path): void {
    // Before what it began with is gone from its place.
    if (this.target) this.holdTree(from);
    super.rename(from, to);
    for (const place of this.openFiles) if (from.every((name, n) => place.path[n] === name)) place.path = [...to, ...place.path.slice(from.length)];
    this.mark(from);
    this.markTree(to);
    this.bringSoon();
  }

  private holdTree(path: Path): void {
    const inode = this.find(path);
    if (inode.data) this.holdAll(inode);
    for (const name of inode.entries?.keys() ?? []) this.holdTree([...path, name]);
  }

  override unlink(path: Path): void {
    super.unlink(path);
    this.mark(path);
    this.bringSoon();
  }

  override removeDirectory(path: Path): void {
    super.removeDirectory(path);
    this.mark(path);
    this.bringSoon();
  }

  // ---- where changes go

  /**
   * Bring all that has changed to where it belongs. Resolves when it is there; without a target, at once.
   * Rejects with an FsError if something could not be brought; it is tried again with the next change.
   */
  bring(): Promise<void> {
    const { target } = this;
    if (!target) {
      this.dirty.clear();
      return Promise.resolve();
    }
    this.isQueued = true;
    const turn = this.bringing.then(() => this.bringAll(target));
    this.bringing = turn.catch(() => {});
    return turn.then(() => {
      const { failed } = this;
      this.failed = undefined;
      if (failed) throw new FsError(Errno.EIO, failed.message);
    });
  }

  /** What no fsync follows, since it is not a file's bytes (or the guest does not care), goes there as well, as soon as its turn comes. */
  private bringSoon(): void {
    if (!this.isQueued) void this.bring().catch(() => {});
  }

  private async bringAll(target: FolderTarget): Promise<void> {
    this.isQueued = false;
    const paths = [...this.dirty.values()];
    this.dirty.clear();
    if (paths.length === 0) return;
    const removed = paths.filter((path) => this.kindOf(path) === 'removed');
    const kept = paths.filter((path) => !removed.includes(path)).sort((a, b) => a.length - b.length);
    let isWell = true;
    for (const path of [...removed, ...kept]) {
      try {
        await this.bringOne(path, target);
      } catch (error) {
        isWell = false;
        this.failed = error instanceof Error ? error : new Error(String(error));
        if (!this.hasComplained) this.onFailure(this.failed);
        this.hasComplained = true;
        this.dirty.set(path.join('/'), path);
      }
    }
    if (isWell) this.hasComplained = false;
    this.onChange();
  }

  private async bringOne(path: Path, target: FolderTarget): Promise<void> {
    // It may have changed again, while others were brought.
    const kind = this.kindOf(path);
    if (kind === 'removed') return target.remove(path);
    if (kind === 'directory') return target.makeDirectory(path);
    const inode = this.find(path);
    const data = inode.data!;
    await target.begin(path);
    const { version } = data;
    for (let at = 0; at < data.size && data.version === version; at += PIECE) await target.append(data.read(at, PIECE).slice());
    const contents = await target.end();
    // Changed meanwhile: it waits to be brought again, and what was read of it stays held.
    if (data.version === version && this.kindOf(path) === 'file' && this.find(path) === inode) this.beginAnew(inode, contents);
  }

  /** Bytes of a changed file, for who takes them away. */
  read(path: Path): Uint8Array {
    const { data } = this.file(path);
    return data!.read(0, data!.size);
  }
}
