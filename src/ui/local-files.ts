// Disks, CDs, floppies, kernels and initramfs files that the user gave. A machine line names them local/NAME. They are kept in this browser
// (IndexedDB), so that reloading the page, or coming back to it, boots the machine again; they go nowhere else.

import { createStore, del, entries, get, set, type UseStore } from 'idb-keyval';
import { databasesReady } from '../backends/block/databases.ts';
import type { Role } from './recognise.ts';

export const LOCAL_PREFIX = 'local/';

export interface LocalFile {
  /** With its prefix, as the machine line has it. */
  name: string;
  role: Exclude<Role, 'other'>;
  /** What it is, in words. */
  words: string;
  /** A disk whose bytes are the file's. */
  raw?: true;
  blob: Blob;
  added: number;
}

/** Files of this visit: also where they are when the browser refuses to keep them (private windows, full disk). */
const visit = new Map<string, LocalFile>();

let opened: UseStore | undefined;

/** `action` on the kept files, or `otherwise` where the browser has no place for them. */
async function kept<T>(action: (store: UseStore) => Promise<T>, otherwise: T): Promise<T> {
  try {
    await databasesReady();
    return await action(opened ??= createStore('tabvisor-files', 'files'));
  } catch {
    return otherwise;
  }
}

/** Largest file that is kept: the browser makes a copy. */
const MOST_BYTES = 2 ** 30;

/** @returns false if it is known for this visit only */
export async function keepLocalFile(file: LocalFile): Promise<boolean> {
  visit.set(file.name, file);
  if (file.blob.size > MOST_BYTES) return false;
  return kept(async (store) => {
    await set(file.name, file, store);
    return true;
  }, false);
}

export async function localFile(name: string): Promise<LocalFile | undefined> {
  return visit.get(name) ?? await kept((store) => get<LocalFile>(name, store), undefined);
}

/** Newest first. */
export async function localFiles(): Promise<LocalFile[]> {
  const all = new Map([...await kept((store) => entries<string, LocalFile>(store), []), ...visit]);
  return [...all.values()].sort((a, b) => b.added - a.added);
}

export async function forgetLocalFile(name: string): Promise<void> {
  visit.delete(name);
  await kept((store) => del(name, store), undefined);
}

/** A name for a dropped file that reads well in a line. */
export function localName(fileName: string): string {
  return LOCAL_PREFIX + fileName.replace(/[^\w.+-]+/g, '_');
}

/** Where the contents of a disk are that a machine line names. Rejects with an Error where a file is not here. */
export async function diskSource(name: string): Promise<{ blob: Blob } | { url: string }> {
  if (!name.startsWith(LOCAL_PREFIX)) return { url: new URL(name, document.baseURI).href };
  const file = await localFile(name);
  if (!file) throw new Error(`${name.slice(LOCAL_PREFIX.length)} is not here: drop it on the page again`);
  return { blob: file.blob };
}
