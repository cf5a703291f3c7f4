// What a death of the browser does to the log of its databases, done on purpose. The log is LevelDB's (doc/log_format.md): blocks of 32 KiB, in them
// records of a checksum (4 bytes), a length (2), a type (1) and the data.

import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 32 << 10;
const HEADER = 7;
/** Type of a record that is whole. */
const FULL = 1;
/** Of the record that was to be written, and what of it was. */
const WANTED = 1000;
const WRITTEN = 100;

/** The log that is written to: the one with the highest number. */
export function newestLog(profile: string): string {
  const databases = join(profile, 'Default/IndexedDB');
  const logs = readdirSync(databases).filter((name) => name.endsWith('.leveldb'))
    .flatMap((name) => readdirSync(join(databases, name)).filter((file) => /^\d+\.log$/.test(file)).map((file) => join(databases, name, file)));
  const number = (path: string) => Number(/(\d+)\.log$/.exec(path)![1]);
  const newest = logs.sort((a, b) => number(b) - number(a))[0];
  if (!newest) throw new Error(`there is no log in ${databases}`);
  return newest;
}

/** The last record was being written when the browser died. Nobody has been told that what is in it is safe. @returns the log's path */
export function tearLog(profile: string): string {
  const log = newestLog(profile);
  // A record does not cross the end of a block.
  const room = BLOCK - (statSync(log).size % BLOCK) - HEADER;
  if (room <= WRITTEN) throw new Error(`only ${room} bytes are left in the block: let the test write more before`);
  const record = Buffer.alloc(HEADER + WRITTEN, 0x5a);
  record.writeUInt16LE(Math.min(WANTED, room), 4);
  record[6] = FULL;
  appendFileSync(log, record);
  return log;
}

/** A record within the log is not what was written. */
export function damageLog(profile: string): void {
  const log = newestLog(profile);
  const bytes = readFileSync(log);
  bytes[HEADER] ^= 0xff;
  writeFileSync(log, bytes);
}
