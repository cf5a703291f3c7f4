// Folders that the user picks or drops: their files, with the names that lead to them.

import type { GivenFile } from '../machine/protocol.ts';

/** More than this is hardly meant, and would take minutes to list. */
export const MAX_FILES = 50_000;

/** What the user gave: its files as they are, and where changes to it go, if the browser can write there and the user allows it. */
export interface Gift {
  files: GivenFile[];
  handle?: FileSystemDirectoryHandle;
}

/** File System Access (WICG), which TypeScript's library does not have. */
type Picker = (options: { id?: string; mode: 'read' | 'readwrite' }) => Promise<FileSystemDirectoryHandle>;
interface Permitted { requestPermission?(options: { mode: 'readwrite' }): Promise<PermissionState> }

const picker = (): Picker | undefined => (globalThis as { showDirectoryPicker?: Picker }).showDirectoryPicker;

/** The browser can write into a folder that the user picks. */
export const canWriteBack = (): boolean => picker() !== undefined;

/** Ask the user for a folder. Undefined: they want none after all. Rejects with an Error that says what cannot be read. */
export async function pickFolder(readOnly: boolean): Promise<Gift | undefined> {
  let handle: FileSystemDirectoryHandle;
  try {
    handle = await picker()!({ mode: readOnly ? 'read' : 'readwrite' });
  } catch (error) {
    if ((error as DOMException).name === 'AbortError') return undefined;
    throw error;
  }
  return { files: await filesIn(handle), ...(readOnly ? {} : { handle }) };
}

async function filesIn(folder: FileSystemDirectoryHandle, path: string[] = [], files: GivenFile[] = []): Promise<GivenFile[]> {
  // Empty folders are there for the guest as well.
  for await (const [name, entry] of folder as unknown as AsyncIterable<[string, FileSystemHandle]>) {
    if (entry.kind === 'directory') await filesIn(entry as FileSystemDirectoryHandle, [...path, name], files);
    else {
      const file = await (entry as FileSystemFileHandle).getFile();
      files.push({ path: [...path, name], blob: file, modified: file.lastModified });
    }
    if (files.length > MAX_FILES) throw new Error(`The folder has more than ${MAX_FILES} files`);
  }
  return files;
}

/** Of an <input webkitdirectory>: the first name of each path is the folder's own. */
export function pickedFiles(files: Iterable<File>): GivenFile[] {
  return [...files].map((file) => ({ path: file.webkitRelativePath.split('/').slice(1), blob: file, modified: file.lastModified }));
}

/** Of a drop: one folder, which may be written where the browser can and the user agrees. Call it while the event is being handled. Rejects as droppedFiles() does. */
export async function droppedFolder(items: DataTransferItemList, readOnly: boolean): Promise<Gift> {
  const [item] = items;
  const getHandle = (item as unknown as { getAsFileSystemHandle?(): Promise<FileSystemHandle | null> } | undefined)?.getAsFileSystemHandle;
  if (readOnly || items.length !== 1 || !getHandle) return { files: await droppedFiles(items) };
  // Both must be asked for before the event is over.
  const [handle, files] = await Promise.all([getHandle.call(item), droppedFiles(items)]);
  if (handle?.kind !== 'directory') return { files };
  const allowed = await (handle as Permitted).requestPermission?.({ mode: 'readwrite' }).catch(() => 'denied');
  return allowed === 'granted' ? { files, handle: handle as FileSystemDirectoryHandle } : { files };
}

/** Of a drop: all folders in it, as one. Call it while the event is being handled. Rejects with an Error that says what cannot be read. */
async function droppedFiles(items: DataTransferItemList): Promise<GivenFile[]> {
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
