// Disks of a machine in the browser, as the I/O worker has them: what the line names, opened; an overlay over it for what the guest writes.

import type { BlockBackend, BlockError } from '../../devices/interfaces.ts';
import type { MachineFailure } from '../../machine/protocol.ts';
import { openBlob } from './blob-storage.ts';
import { DiskFailure, diskFailure } from './failure.ts';
import { type Fingerprint, openHttp } from './http-storage.ts';
import { ImageDisk } from './image.ts';
import { type Io, runLater, type Storage } from './io.ts';
import { MemoryStorage } from './memory-storage.ts';
import type { Format } from './formats.ts';
import { openImage } from './open.ts';
import { OverlayDisk } from './overlay.ts';
import { IndexedDbStore, lockFile } from './overlay-store.ts';

/** Where the bytes of a file are. */
export type DiskSource = { bytes: Uint8Array } | { url: string } | { blob: Blob };

/** A disk that the machine line names. */
export interface DiskRequest {
  /** Its name in the line: under this its changes are kept. */
  file: string;
  source: DiskSource;
  format?: Format;
  readOnly: boolean;
  /** What the guest writes is not kept: nothing is stored, nobody else is kept out. The machine holds it in memory. */
  snapshot: boolean;
}

export interface DiskInfo {
  size: number;
  readOnly: boolean;
  format: string;
}

export interface OpenedDisk {
  disk: BlockBackend;
  info: DiskInfo;
  /** Let go of it: others may have it then. What was not flushed is lost. */
  close(): void;
}

interface Found {
  storage: Storage;
  fingerprint: Fingerprint;
  url?: string;
}

async function openSource(source: DiskSource, name: string): Promise<Found> {
  if ('bytes' in source) return { storage: new MemoryStorage(source.bytes, true), fingerprint: { size: source.bytes.length, version: '' } };
  if ('blob' in source) {
    const version = source.blob instanceof File ? String(source.blob.lastModified) : '';
    return { storage: openBlob(source.blob, name), fingerprint: { size: source.blob.size, version } };
  }
  return { ...(await openHttp(source.url, name)), url: source.url };
}

/** Open what a file holds, without any changes to it. Rejects with a DiskFailure. */
export async function openBase(request: Pick<DiskRequest, 'file' | 'source' | 'format'>): Promise<{ base: ImageDisk; fingerprint: Fingerprint; format: string }> {
  const { file, source, format } = request;
  try {
    const found = await openSource(source, file);
    const { image } = await runLater(
      openImage(found.storage, {
        readOnly: true,
        format,
        name: found.url,
        // Images beside this one on the same server; of a file that was dropped nothing else is known.
        ...(found.url === undefined ? {} : { openFile: (name: string, from: string): Io<{ name: string; storage: Storage }> => openBeside(name, from) }),
      }),
    );
    return { base: new ImageDisk(image), fingerprint: found.fingerprint, format: image.format };
  } catch (error) {
    throw diskFailure(error, `The disk ${file} cannot be used`, 'Check that it is a whole disk image; format= in the machine line says which format it is, if that was guessed wrongly.');
  }
}

/** A backing image or extent: only from where the image that names it comes. */
function* openBeside(name: string, from: string): Io<{ name: string; storage: Storage }> {
  const url = new URL(name, from);
  const folder = new URL('.', from);
  if (!url.href.startsWith(folder.href)) throw new DiskFailure({ what: `${from} cannot be used`, why: `it needs ${name}, which is not beside it`, advice: 'Put both files into one folder of the server.' });
  let found: Storage | undefined;
  yield (done) => {
    openHttp(url.href, name).then(
      ({ storage }) => {
        found = storage;
        done(null);
      },
      (error: unknown) => done(diskFailure(error, `${name} cannot be read`, 'Check the address.')),
    );
  };
  return { name: url.href, storage: found! };
}

/** How long a failure that comes again and again is not told again, ms. */
const TOLD_MS = 60_000;

/** A disk whose user hears why it cannot be read: its guest only sees that. */
function telling(base: BlockBackend, file: string, warn: (failure: MachineFailure) => void): BlockBackend {
  const told = new Map<string, number>();
  const tell = (error: BlockError): void => {
    const { failure } = diskFailure(error, `The disk ${file} cannot be read`, 'The guest sees a disk error.');
    const now = performance.now();
    if (now - (told.get(failure.why) ?? -Infinity) < TOLD_MS) return;
    // Messages may have numbers in them.
    if (told.size > 100) told.clear();
    told.set(failure.why, now);
    warn(failure);
  };
  return {
    size: base.size,
    readOnly: base.readOnly,
    read: (offset, into, done) => base.read(offset, into, (error) => {
      if (error) tell(error);
      done(error);
    }),
    write: (offset, data, done) => base.write(offset, data, done),
    flush: (done) => base.flush(done),
    discard: (offset, length, done) => base.discard(offset, length, done),
    writeZeroes: (offset, length, mayUnmap, done) => base.writeZeroes(offset, length, mayUnmap, done),
  };
}

/**
 * Open a disk for a machine. Rejects with a DiskFailure.
 * @param warn told when it cannot be read, and when changes cannot be stored, and undefined when they can again
 */
export async function openDisk(request: DiskRequest, warn: (failure: MachineFailure | undefined) => void): Promise<OpenedDisk> {
  const { file, readOnly, snapshot } = request;
  const lock = snapshot ? undefined : await lockFile(file, readOnly);
  try {
    const { base: image, fingerprint, format } = await openBase(request);
    const base = telling(image, file, warn);
    const close = (): void => lock?.release();
    if (snapshot) return { disk: base, info: { size: base.size, readOnly: true, format }, close };
    if (readOnly) {
      const existing = await IndexedDbStore.openExisting(file);
      if (!existing) return { disk: base, info: { size: base.size, readOnly: true, format }, close };
      existing.store.close();
    }
    const store = await IndexedDbStore.open(file, fingerprint, base.size, format);
    let troubled = false;
    const disk = await OverlayDisk.open(base, store, (error) => {
      if (error !== null) {
        troubled = true;
        warn(storeFailure(file, error));
      } else if (troubled) {
        troubled = false;
        warn(undefined);
      }
    });
    return {
      disk,
      info: { size: disk.size, readOnly, format },
      close: () => {
        store.close();
        close();
      },
    };
  } catch (error) {
    lock?.release();
    throw diskFailure(error, `The changes to ${file} cannot be kept`, 'The browser may not store data for this page: allow it, or open the disk with snapshot=on.');
  }
}

function storeFailure(file: string, error: unknown): MachineFailure {
  const full = error instanceof DOMException && error.name === 'QuotaExceededError';
  return {
    what: `Changes to ${file} could not be stored`,
    why: full ? 'The browser gives this page no more room' : error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    advice: full
      ? 'The guest sees a disk error. Make room on this computer, or discard changes to other disks under Disks; what was written since is kept in memory and stored at the guest’s next flush.'
      : 'The guest sees a disk error. What was written since is kept in memory as long as this page is open, and stored at the guest’s next flush if that is possible.',
  };
}
