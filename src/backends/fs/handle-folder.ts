// A folder of the user's that a page may write (File System Standard; "File System Access" of the WICG): what the guest changed goes there.
// A file is replaced as a whole when all of it has come, so that it is never half written. Names come from a guest: the browser itself
// refuses "..", "/" and what its system has no name for.

import type { Path } from '../../devices/file-system.ts';

export class HandleFolder {
  private open: { path: Path; file: FileSystemFileHandle; stream: FileSystemWritableFileStream } | undefined;

  constructor(private readonly root: FileSystemDirectoryHandle) {}

  private async directory(path: Path): Promise<FileSystemDirectoryHandle> {
    let directory = this.root;
    for (const name of path) directory = await directory.getDirectoryHandle(name);
    return directory;
  }

  async makeDirectory(path: Path): Promise<void> {
    const parent = await this.directory(path.slice(0, -1));
    const name = path.at(-1)!;
    // A file of this name was there before.
    await parent.getDirectoryHandle(name, { create: true }).catch(async (error: DOMException) => {
      if (error.name !== 'TypeMismatchError') throw error;
      await parent.removeEntry(name);
      await parent.getDirectoryHandle(name, { create: true });
    });
  }

  async remove(path: Path): Promise<void> {
    try {
      await (await this.directory(path.slice(0, -1))).removeEntry(path.at(-1)!, { recursive: true });
    } catch (error) {
      // It went with its directory, or was never brought.
      if (!['NotFoundError', 'TypeMismatchError'].includes((error as DOMException).name)) throw error;
    }
  }

  async begin(path: Path): Promise<void> {
    await this.open?.stream.abort().catch(() => {});
    this.open = undefined;
    const parent = await this.directory(path.slice(0, -1));
    const name = path.at(-1)!;
    const file = await parent.getFileHandle(name, { create: true }).catch(async (error: DOMException) => {
      if (error.name !== 'TypeMismatchError') throw error;
      await parent.removeEntry(name, { recursive: true });
      return parent.getFileHandle(name, { create: true });
    });
    this.open = { path, file, stream: await file.createWritable() };
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.open!.stream.write(bytes);
  }

  /** @returns the file as it is now */
  async end(): Promise<File> {
    const { file, stream } = this.open!;
    this.open = undefined;
    await stream.close();
    return file.getFile();
  }
}
