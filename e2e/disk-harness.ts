// A page without a machine: the I/O worker's disks, asked by a script. Bundled by disk-server.ts.

import { proxy, wrap } from 'comlink';
import { DiskRing } from '../src/backends/block/disk-ring.ts';
import { exportDisk } from '../src/backends/block/export.ts';
import { discardOverlay, listOverlays, renameOverlay } from '../src/backends/block/overlay-store.ts';
import type { BlockBackend, BlockDone } from '../src/devices/interfaces.ts';
import type { MachineFailure } from '../src/machine/protocol.ts';
import type { IoApi } from '../workers/io.ts';

export const SECTOR = 512;

const request = (action: (done: BlockDone) => void): Promise<void> => new Promise((resolve, reject) => action((error) => (error ? reject(error) : resolve())));

/** The sector of a record: its number again and again. */
function sectorOf(record: number): Uint8Array {
  const words = new Uint32Array(SECTOR / 4).fill(record);
  return new Uint8Array(words.buffer);
}

class Harness {
  disk: BlockBackend | undefined;
  /** The last record whose flush was answered. */
  synced = 0;
  readonly warnings: (MachineFailure | undefined)[] = [];
  private ring = new DiskRing();
  private readonly api = wrap<IoApi>(new Worker('io.js', { type: 'module' }));

  constructor() {
    void this.api.serve(this.ring.buffer);
  }

  /** @returns what went wrong, as one text */
  async open(file: string, snapshot = false): Promise<string> {
    try {
      const source = { url: new URL('disk.img', location.href).href };
      const { number, info } = await this.api.open({ file, source, readOnly: false, snapshot }, proxy((failure) => { this.warnings.push(failure); }));
      this.disk = this.ring.disk(number, info.size, info.readOnly);
      return '';
    } catch (error) {
      const { what, why, advice } = error as MachineFailure;
      return `${what}: ${why}. ${advice}`;
    }
  }

  /** Where a record is: all over the disk, and no two in the first thousands at one place. */
  place(record: number): number {
    return ((record * 613) % Math.floor(this.disk!.size / SECTOR)) * SECTOR;
  }

  /** Write records, each safe before the next, for ever. */
  async writeOn(from: number): Promise<void> {
    const { disk } = this;
    for (let record = from; ; record++) {
      await request((done) => disk!.write(this.place(record), sectorOf(record), done));
      await request((done) => disk!.flush(done));
      this.synced = record;
    }
  }

  /** Records up to this one that are not there. */
  async lost(upTo: number): Promise<number[]> {
    const lost = [];
    for (let record = 1; record <= upTo; record++) {
      const sector = new Uint8Array(SECTOR);
      await request((done) => this.disk!.read(this.place(record), sector, done));
      if (sector.some((byte, n) => byte !== sectorOf(record)[n])) lost.push(record);
    }
    return lost;
  }

  async write(offset: number, length: number, fill: number): Promise<string> {
    return request((done) => this.disk!.write(offset, new Uint8Array(length).fill(fill), done)).then(() => '', String);
  }

  /** Sectors that begin with this byte, the rest noise: the browser's store compresses what it can. */
  async writeNoise(offset: number, length: number, fill: number): Promise<string> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65536)));
    for (let at = 0; at < length; at += SECTOR) bytes[at] = fill;
    return request((done) => this.disk!.write(offset, bytes, done)).then(() => '', String);
  }

  async flush(): Promise<string> {
    return request((done) => this.disk!.flush(done)).then(() => '', String);
  }

  async byteAt(offset: number): Promise<number> {
    const sector = new Uint8Array(SECTOR);
    await request((done) => this.disk!.read(offset, sector, done));
    return sector[0];
  }

  list = listOverlays;
  rename = renameOverlay;
  discard = (file: string): Promise<string> => discardOverlay(file).then(() => '', String);

  /** An export, sent to the server. */
  async export(file: string, as: 'raw' | 'qcow2'): Promise<string> {
    try {
      const { length, stream } = await exportDisk({ file, source: { url: new URL('disk.img', location.href).href } }, as);
      const blob = await new Response(stream).blob();
      if (blob.size !== length) return `${blob.size} bytes came, ${length} were said`;
      await fetch('upload', { method: 'POST', body: blob });
      return '';
    } catch (error) {
      return String(error);
    }
  }
}

declare global {
  interface Window {
    harness: Harness;
  }
}
window.harness = new Harness();
