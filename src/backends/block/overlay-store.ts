// Overlays in IndexedDB, through idb-keyval: a database for each, and one that lists them. What people do with them: list, rename, discard.
//
// A transaction is strict: it is complete once the browser has handed it to the disk (IndexedDB 3.0, "durability hint"). Only one page at a time may
// have an overlay open, by Web Locks; the lock goes with the page or worker that holds it, however it ends.

import { del, entries, get, getMany, keys, set, setMany, type UseStore } from 'idb-keyval';
import { databasesReady } from './databases.ts';
import { DiskFailure } from './failure.ts';
import type { Fingerprint } from './http-storage.ts';
import { CLUSTER, type ClusterStore } from './overlay.ts';

const LIST = 'tabvisor-overlays';
const PREFIX = 'tabvisor-overlay:';
const STORE = 'clusters';
/** Key of the cluster store's entry that says what it belongs to; clusters have numbers. */
const BASE = 'base';

/** What the list keeps of an overlay. */
interface Entry {
  /** As its user calls it. */
  title: string;
  /** ms since 1970. */
  created: number;
}

/** What an overlay's own database keeps of the disk beneath. */
interface Base {
  fingerprint: Fingerprint;
  /** Bytes of the guest's disk. */
  size: number;
  format: string;
  changed: number;
}

/** An overlay, as a list of them shows it. */
export interface OverlayInfo {
  /** The file of the machine line whose changes it holds. */
  file: string;
  title: string;
  created: number;
  /** When it was opened last. */
  changed: number;
  /** Bytes that it takes in the browser's storage, about. */
  bytes: number;
  /** Bytes of the guest's disk. */
  size: number;
  /** A machine has it open, here or in another tab. */
  inUse: boolean;
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** A store of idb-keyval whose writing transactions are strict, and the way to close its database. */
async function openStore(name: string): Promise<{ use: UseStore; db: IDBDatabase }> {
  await databasesReady();
  const request = indexedDB.open(name);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const db = await settled(request);
  // Somebody discards it: let go.
  db.onversionchange = () => db.close();
  return {
    db,
    use: async (mode, callback) => callback(db.transaction(STORE, mode, { durability: 'strict' }).objectStore(STORE)),
  };
}

async function withStore<T>(name: string, action: (use: UseStore) => Promise<T>): Promise<T> {
  const { use, db } = await openStore(name);
  try {
    return await action(use);
  } finally {
    db.close();
  }
}

export const lockName = (file: string): string => `tabvisor-disk:${file}`;

/**
 * Take the lock of a file until this worker or page ends, or release() is called. Rejects with a DiskFailure if another tab has it.
 * @param shared several may read it, none write
 */
export async function lockFile(file: string, shared: boolean): Promise<{ release: () => void }> {
  let release!: () => void;
  const held = new Promise<void>((resolve) => (release = resolve));
  const got = await new Promise<boolean>((resolve, reject) => {
    navigator.locks
      .request(lockName(file), { mode: shared ? 'shared' : 'exclusive', ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock ? held : undefined;
      })
      .catch(reject);
  });
  if (got) return { release };
  throw new DiskFailure({
    what: `The disk ${file} is in use`,
    why: 'Another machine has it open, in this tab or another, and two that write to one disk would destroy it',
    advice: 'Switch that machine off or close its tab, then try again; or open the disk with snapshot=on, so that changes are not kept.',
  });
}

/** The clusters of an overlay. */
export class IndexedDbStore implements ClusterStore {
  private constructor(
    private readonly use: UseStore,
    private readonly db: IDBDatabase,
  ) {}

  /**
   * The overlay of a file, made if there is none. The caller holds the file's lock. Rejects with a DiskFailure if the file is not the one that the
   * overlay belongs to.
   */
  static async open(file: string, fingerprint: Fingerprint, size: number, format: string): Promise<IndexedDbStore> {
    const { use, db } = await openStore(PREFIX + file);
    try {
      const base = await get<Base>(BASE, use);
      if (base && (base.fingerprint.size !== fingerprint.size || base.fingerprint.version !== fingerprint.version || base.size !== size)) {
        throw new DiskFailure({
          what: `The changes to ${file} belong to another version of it`,
          why: 'The file was changed since the guest wrote to it, and the two together would be a broken disk',
          advice: 'Bring back the old file, or discard the changes under Disks; or open the disk with snapshot=on, without them.',
        });
      }
      await set(BASE, { fingerprint, size, format, changed: Date.now() } satisfies Base, use);
      await withStore(LIST, async (list) => {
        if (!(await get<Entry>(file, list))) await set(file, { title: file, created: Date.now() } satisfies Entry, list);
      });
      return new IndexedDbStore(use, db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** An overlay that is there, to be read only; undefined if there is none. */
  static async openExisting(file: string): Promise<{ store: IndexedDbStore; base: Base } | undefined> {
    if (!(await listed()).has(file)) return undefined;
    const { use, db } = await openStore(PREFIX + file);
    const base = await get<Base>(BASE, use);
    if (base) return { store: new IndexedDbStore(use, db), base };
    db.close();
    return undefined;
  }

  close(): void {
    this.db.close();
  }

  async keys(): Promise<number[]> {
    return (await keys<number | string>(this.use)).filter((key) => typeof key === 'number');
  }

  get(clusters: number[]): Promise<(Uint8Array | undefined)[]> {
    return getMany<Uint8Array>(clusters, this.use);
  }

  put(clusters: [number, Uint8Array][]): Promise<void> {
    return setMany(clusters, this.use);
  }
}

async function listed(): Promise<Map<string, Entry>> {
  return new Map(await withStore(LIST, (list) => entries<string, Entry>(list)));
}

/** All overlays, those changed last first. */
export async function listOverlays(): Promise<OverlayInfo[]> {
  const { held } = await navigator.locks.query();
  const inUse = new Set(held?.map(({ name }) => name));
  const infos: OverlayInfo[] = [];
  for (const [file, { title, created }] of await listed()) {
    const info = await withStore(PREFIX + file, async (use) => {
      const base = await get<Base>(BASE, use);
      const count = await use('readonly', (store) => settled(store.count()));
      return { bytes: Math.max(0, count - 1) * CLUSTER, size: base?.size ?? 0, changed: base?.changed ?? created };
    });
    infos.push({ file, title, created, ...info, inUse: inUse.has(lockName(file)) });
  }
  return infos.sort((a, b) => b.changed - a.changed);
}

/** Call an overlay otherwise. The machine line goes on naming its file. */
export async function renameOverlay(file: string, title: string): Promise<void> {
  await withStore(LIST, async (list) => {
    const entry = await get<Entry>(file, list);
    if (entry) await set(file, { ...entry, title }, list);
  });
}

/** Forget all changes to a file. Rejects with a DiskFailure while a machine has it open. */
export async function discardOverlay(file: string): Promise<void> {
  const { release } = await lockFile(file, false);
  try {
    await settled(indexedDB.deleteDatabase(PREFIX + file));
    await withStore(LIST, (list) => del(file, list));
  } finally {
    release();
  }
}

/** Ask the browser not to clear away what is stored. @returns whether it will not */
export async function keepStorage(): Promise<boolean> {
  return (await navigator.storage?.persist?.().catch(() => false)) ?? false;
}
