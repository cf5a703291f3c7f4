// A disk as the guest has it, image and changes in one, as a stream of bytes for a download.

import type { BlockBackend } from '../../devices/interfaces.ts';
import { type DiskRequest, openBase } from './browser-disks.ts';
import { DiskFailure } from './failure.ts';
import type { Image } from './image.ts';
import { runLater } from './io.ts';
import { OverlayDisk } from './overlay.ts';
import { IndexedDbStore, lockFile } from './overlay-store.ts';
import { CLUSTER, layoutQcow2 } from './qcow2-stream.ts';

/** Bytes that are read at once. */
const STEP = 1 << 20;

export interface DiskExport {
  /** Bytes that will come. */
  length: number;
  /** To be read to its end, or cancelled: until then no machine can have the disk. */
  stream: ReadableStream<Uint8Array>;
}

const read = (disk: BlockBackend, offset: number, length: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const bytes = new Uint8Array(length);
    disk.read(offset, bytes, (error) => (error ? reject(error) : resolve(bytes)));
  });

/** Which clusters of a disk hold data: those that the base has, and those that were changed. */
export async function presentClusters(base: Image, changed: Iterable<number>): Promise<Uint8Array> {
  const present = new Uint8Array(Math.ceil(base.size / CLUSTER));
  for (let at = 0; at < base.size; ) {
    const extent = await runLater(base.status(at, base.size - at));
    if (extent.kind === 'data') present.fill(1, Math.floor(at / CLUSTER), Math.ceil((at + extent.length) / CLUSTER));
    at += extent.length;
  }
  for (const cluster of changed) present[cluster] = 1;
  return present;
}

/** The bytes of an image of a disk, in order. */
export async function* diskBytes(disk: BlockBackend, layout: { tables(): Iterable<Uint8Array> } | undefined, present: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  if (!layout || !present) {
    for (let at = 0; at < disk.size; at += STEP) yield await read(disk, at, Math.min(STEP, disk.size - at));
    return;
  }
  yield* layout.tables();
  for (let n = 0; n < present.length; n++) {
    if (!present[n]) continue;
    const start = n * CLUSTER;
    const bytes = await read(disk, start, Math.min(CLUSTER, disk.size - start));
    if (bytes.length === CLUSTER) yield bytes;
    else {
      const whole = new Uint8Array(CLUSTER);
      whole.set(bytes);
      yield whole;
    }
  }
}

/** Begin to write out a disk. Rejects with a DiskFailure, also while a machine has it open. */
export async function exportDisk(request: Pick<DiskRequest, 'file' | 'source' | 'format'>, as: 'raw' | 'qcow2'): Promise<DiskExport> {
  const lock = await lockFile(request.file, true);
  let store: IndexedDbStore | undefined;
  const end = (): void => {
    store?.close();
    lock.release();
  };
  try {
    const { base, fingerprint } = await openBase(request);
    let disk: BlockBackend = base;
    let changed: number[] = [];
    const existing = await IndexedDbStore.openExisting(request.file);
    if (existing) {
      store = existing.store;
      if (existing.base.fingerprint.size !== fingerprint.size || existing.base.fingerprint.version !== fingerprint.version) {
        throw new DiskFailure({
          what: `The changes to ${request.file} belong to another version of it`, why: 'The file was changed since the guest wrote to it',
          advice: 'Bring back the old file, or discard the changes.',
        });
      }
      changed = await store.keys();
      disk = await OverlayDisk.open(base, store);
    }
    const present = as === 'qcow2' ? await presentClusters(base.image, changed) : undefined;
    const layout = present && layoutQcow2(disk.size, present);
    const bytes = diskBytes(disk, layout, present);
    return {
      length: layout?.length ?? disk.size,
      stream: new ReadableStream<Uint8Array>({
        async pull(controller) {
          try {
            const { value, done } = await bytes.next();
            if (!done) return controller.enqueue(value);
            end();
            controller.close();
          } catch (error) {
            end();
            controller.error(error);
          }
        },
        cancel: end,
      }),
    };
  } catch (error) {
    end();
    throw error;
  }
}
