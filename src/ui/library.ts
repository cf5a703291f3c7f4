// The user's machines: the lines that were started in this browser, with what they showed last. They are kept in IndexedDB.

import { createStore, del, entries, get, set, type UseStore } from 'idb-keyval';
import { databasesReady } from '../backends/block/databases.ts';

export interface SavedMachine {
  line: string;
  title: string;
  /** When it ran last, ms since 1970. */
  used: number;
  /** What was on its screen last, or the last lines of its console. */
  picture?: Blob;
  text?: string;
}

/** Most machines that are remembered; the one not used for longest goes first. */
const MOST = 30;

let opened: UseStore | undefined;

/** `action` on the store, or `otherwise` where the browser has no place for it. */
async function stored<T>(action: (store: UseStore) => Promise<T>, otherwise: T): Promise<T> {
  try {
    await databasesReady();
    return await action(opened ??= createStore('tabvisor-machines', 'machines'));
  } catch {
    return otherwise;
  }
}

/** Those used last first. */
export async function savedMachines(): Promise<SavedMachine[]> {
  const all = await stored((store) => entries<string, SavedMachine>(store), []);
  return all.map(([, machine]) => machine).sort((a, b) => b.used - a.used);
}

/** A machine has started. A name that the user gave it stays. */
export async function noteMachine(line: string, title: string): Promise<void> {
  await stored(async (store) => {
    const known = await get<SavedMachine>(line, store);
    await set(line, { ...known, line, title: known?.title ?? title, used: Date.now() }, store);
    for (const { line: old } of (await savedMachines()).slice(MOST)) await del(old, store);
  }, undefined);
}

/** What a machine shows now; one that was removed meanwhile stays removed. */
export async function noteLook(line: string, look: Pick<SavedMachine, 'picture' | 'text'>): Promise<void> {
  await stored(async (store) => {
    const known = await get<SavedMachine>(line, store);
    if (known) await set(line, { ...known, picture: undefined, text: undefined, ...look, used: Date.now() }, store);
  }, undefined);
}

export async function renameMachine(line: string, title: string): Promise<void> {
  await stored(async (store) => {
    const known = await get<SavedMachine>(line, store);
    if (known) await set(line, { ...known, title }, store);
  }, undefined);
}

export async function removeMachine(line: string): Promise<void> {
  await stored((store) => del(line, store), undefined);
}

/** Take back a removal. */
export async function restoreMachine(machine: SavedMachine): Promise<void> {
  await stored((store) => set(machine.line, machine, store), undefined);
}
