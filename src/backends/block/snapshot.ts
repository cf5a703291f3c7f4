// A disk whose changes are kept in memory, and are gone with the machine: QEMU's snapshot=on. What lies beneath stays as it is.

import { type BlockBackend, type BlockDone, BlockError } from '../../devices/interfaces.ts';

const SECTOR = 512;
const CLUSTER_SECTORS = 128;
const CLUSTER = SECTOR * CLUSTER_SECTORS;

/** Changed sectors of a cluster. */
interface Cluster {
  data: Uint8Array;
  /** One byte a sector: 1 if it has been written. */
  written: Uint8Array;
}

/** A whole cluster of zeros, shared until somebody writes to it. */
const ZEROS: Cluster = { data: new Uint8Array(CLUSTER), written: new Uint8Array(CLUSTER_SECTORS).fill(1) };

export class SnapshotDisk implements BlockBackend {
  readonly readOnly = false;
  private readonly clusters = new Map<number, Cluster>();

  constructor(private readonly base: BlockBackend) {}

  get size(): number {
    return this.base.size;
  }

  /** Go through a range cluster by cluster. Devices ask for whole sectors only. */
  private range(offset: number, length: number, done: BlockDone, part: (cluster: number, from: number, at: number, bytes: number) => void): boolean {
    if (offset % SECTOR || length % SECTOR || offset < 0 || offset + length > this.size) {
      done(new BlockError(`${length} bytes at ${offset} are no sectors of a disk of ${this.size} bytes`));
      return false;
    }
    for (let at = 0; at < length; ) {
      const cluster = Math.floor((offset + at) / CLUSTER);
      const from = offset + at - cluster * CLUSTER;
      const bytes = Math.min(CLUSTER - from, length - at);
      part(cluster, from, at, bytes);
      at += bytes;
    }
    return true;
  }

  read(offset: number, into: Uint8Array, done: BlockDone): void {
    let missing = false;
    const whole = this.range(offset, into.length, done, (cluster, from, _at, bytes) => {
      const found = this.clusters.get(cluster);
      missing ||= !found || found.written.subarray(from / SECTOR, (from + bytes) / SECTOR).includes(0);
    });
    if (!whole) return;
    const overlay = (): void => {
      this.range(offset, into.length, done, (cluster, from, at, bytes) => {
        const found = this.clusters.get(cluster);
        if (!found) return;
        for (let n = 0; n < bytes; n += SECTOR) {
          if (found.written[(from + n) / SECTOR]) into.set(found.data.subarray(from + n, from + n + SECTOR), at + n);
        }
      });
      done(null);
    };
    if (missing) this.base.read(offset, into, (error) => (error ? done(error) : overlay()));
    else overlay();
  }

  private writable(cluster: number): Cluster {
    let found = this.clusters.get(cluster);
    if (!found || found === ZEROS) {
      found = found ? { data: new Uint8Array(CLUSTER), written: ZEROS.written.slice() } : { data: new Uint8Array(CLUSTER), written: new Uint8Array(CLUSTER_SECTORS) };
      this.clusters.set(cluster, found);
    }
    return found;
  }

  write(offset: number, data: Uint8Array, done: BlockDone): void {
    const whole = this.range(offset, data.length, done, (cluster, from, at, bytes) => {
      const into = this.writable(cluster);
      into.data.set(data.subarray(at, at + bytes), from);
      into.written.fill(1, from / SECTOR, (from + bytes) / SECTOR);
    });
    if (whole) done(null);
  }

  flush(done: BlockDone): void {
    done(null);
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.writeZeroes(offset, length, true, done);
  }

  close(): void | Promise<void> {
    return this.base.close?.();
  }

  writeZeroes(offset: number, length: number, _mayUnmap: boolean, done: BlockDone): void {
    const whole = this.range(offset, length, done, (cluster, from, _at, bytes) => {
      if (bytes === CLUSTER) {
        this.clusters.set(cluster, ZEROS);
        return;
      }
      const into = this.writable(cluster);
      into.data.fill(0, from, from + bytes);
      into.written.fill(1, from / SECTOR, (from + bytes) / SECTOR);
    });
    if (whole) done(null);
  }
}
