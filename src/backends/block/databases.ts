// What has to be done before anything is written into the browser's databases (IndexedDB), so that a second death of the browser takes nothing away.
//
// Chromium keeps the databases of a page in one LevelDB. When the browser is killed in the middle of a record, LevelDB opens the next time, leaves that
// record out, and writes on behind it, into the same log (its option reuse_logs; google/leveldb issue 1287). At the opening after that, the torn
// record is followed by others, which makes it damage in place of an end: Chromium then throws all databases of the page away. So a log that an earlier
// browser may have torn must not be used for long: deleting a database makes LevelDB compact, for which it begins another log. That takes some
// 30 ms; only a browser that is killed within them, after one that tore a record, can still lose what it has.

const SCRATCH = 'tabvisor-scratch';

let ready: Promise<string | undefined> | undefined;

const settled = (request: IDBRequest): Promise<void> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });

async function beginLog(): Promise<string | undefined> {
  let lost: string | undefined;
  try {
    const request = indexedDB.open(SCRATCH);
    request.onupgradeneeded = (event) => {
      // Chromium's own attributes: what became of the databases that were there before.
      const { dataLoss, dataLossMessage } = event as IDBVersionChangeEvent & { dataLoss?: string; dataLossMessage?: string };
      if (dataLoss === 'total') lost = dataLossMessage || 'no reason given';
      // A database without anything in it would leave nothing to be compacted.
      request.result.createObjectStore(SCRATCH);
    };
    await settled(request);
    request.result.close();
    await settled(indexedDB.deleteDatabase(SCRATCH));
  } catch {
    // Where nothing can be stored (a full disk, a private window) there is nothing to be torn; who wants to store will hear of it.
  }
  return lost;
}

/**
 * To be awaited before a page or worker first opens a database; does its work once in each of them.
 * @returns why the browser has thrown away what it had stored, if it has. It says so once, to the page or worker that asks first.
 */
export function databasesReady(): Promise<string | undefined> {
  return (ready ??= beginLog());
}
