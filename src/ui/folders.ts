// Folders that the user picks or drops: their files, with the names that lead to them.

import type { GivenFile } from '../machine/protocol.ts';

/** More than this is hardly meant, and would take minutes to list. */
export const MAX_FILES = 50_000;

/** Of an <input webkitdirectory>: the first name of each path is the folder's own. */
export function pickedFiles(files: Iterable<File>): GivenFile[] {
  return [...files].map((file) => ({ path: file.webkitRelativePath.split('/').slice(1), blob: file, modified: file.lastModified }));
}

/** Of a drop: all folders in it, as one. Call it while the event is being handled. Rejects with an Error that says what cannot be read. */
export async function droppedFiles(items: DataTransferItemList): Promise<GivenFile[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const folders = entries.filter((entry): entry is FileSystemDirectoryEntry => entry.isDirectory);
  if (folders.length === 0) throw new Error('That is not a folder');
  const files: GivenFile[] = [];
  for (const folder of folders) await gather(folder, [], files);
  return files;
}

async function gather(folder: FileSystemDirectoryEntry, path: string[], files: GivenFile[]): Promise<void> {
  const reader = folder.createReader();
  for (;;) {
    // It gives some at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.isDirectory) {
        await gather(entry as FileSystemDirectoryEntry, [...path, entry.name], files);
        continue;
      }
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      files.push({ path: [...path, entry.name], blob: file, modified: file.lastModified });
      if (files.length > MAX_FILES) throw new Error(`The folder has more than ${MAX_FILES} files`);
    }
  }
}
