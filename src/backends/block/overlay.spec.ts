import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLUSTER, type ClusterStore, OverlayDisk } from './overlay.ts';
import { RawMemory } from './raw-memory.ts';
import { later } from './testing.ts';

/** A store that answers late, keeps what it promised, and can be full. */
class TestStore implements ClusterStore {
  readonly safe = new Map<number, Uint8Array>();
  full = false;
  puts = 0;
  private async turn(): Promise<void> {
    for (let n = 0; n < 3; n++) await Promise.resolve();
  }
  async keys(): Promise<number[]> {
    await this.turn();
    return [...this.safe.keys()];
  }
  async get(clusters: number[]): Promise<(Uint8Array | undefined)[]> {
    await this.turn();
    return clusters.map((cluster) => this.safe.get(cluster)?.slice());
  }
  async put(entries: [number, Uint8Array][]): Promise<void> {
    await this.turn();
    this.puts++;
    const copies = entries.map(([cluster, bytes]) => [cluster, bytes.slice()] as const);
    await this.turn();
    if (this.full) throw new DOMException('no room', 'QuotaExceededError');
    for (const [cluster, bytes] of copies) this.safe.set(cluster, bytes);
  }
}

const SIZE = 5 * CLUSTER + 1024;
const base = () => new RawMemory(new Uint8Array(SIZE).map((_, n) => (n * 7 + (n >> 9)) & 0xff), true);
const readAll = async (disk: OverlayDisk) => {
  const all = new Uint8Array(SIZE);
  await later((done) => disk.read(0, all, done));
  return all;
};

describe('overlay', () => {
  it('what was flushed is there when the disk is opened again; the base is as it was', { timeout: 60_000 }, async () => {
    const store = new TestStore();
    const below = base();
    const disk = await OverlayDisk.open(below, store);
    await later((done) => disk.write(1000, new Uint8Array(CLUSTER).fill(1), done));
    await later((done) => disk.writeZeroes(2 * CLUSTER, 3 * CLUSTER + 1024, true, done));
    expect(store.safe.size).toBe(0);
    await later((done) => disk.flush(done));
    await later((done) => disk.write(0, new Uint8Array(512).fill(9), done));
    const expected = base().bytes;
    expected.fill(1, 1000, 1000 + CLUSTER);
    expected.fill(0, 2 * CLUSTER);
    // The last write was not flushed: the process ends.
    expect(Buffer.compare(await readAll(await OverlayDisk.open(below, store)), expected)).toBe(0);
    expect(Buffer.compare(below.bytes, base().bytes)).toBe(0);
    // Clusters of zeros take no room.
    expect([...store.safe.values()].filter((bytes) => bytes.length > 0)).toHaveLength(2);
  });

  it('a store that is full: flush and then writes fail, all reads stay right, and later all is stored', { timeout: 60_000 }, async () => {
    const store = new TestStore();
    const told: unknown[] = [];
    const disk = await OverlayDisk.open(new RawMemory(new Uint8Array(1200 * CLUSTER), true), store, (error) => told.push(error));
    await later((done) => disk.write(0, new Uint8Array(512).fill(1), done));
    await later((done) => disk.flush(done));
    store.full = true;
    await later((done) => disk.write(0, new Uint8Array(512).fill(2), done));
    await expect(later((done) => disk.flush(done))).rejects.toThrow('QuotaExceededError');
    expect(told).toEqual([null, expect.objectContaining({ name: 'QuotaExceededError' })]);
    expect(store.safe.get(0)![0]).toBe(1);
    const sector = new Uint8Array(512);
    await later((done) => disk.read(0, sector, done));
    expect(sector[0]).toBe(2);
    // Memory is bounded: at some point writes are refused too.
    let refused = 0;
    for (let n = 1; n < 1200; n++) await later((done) => disk.write(n * CLUSTER, new Uint8Array(CLUSTER).fill(n), done)).catch(() => refused++);
    expect(refused).toBeGreaterThan(50);
    store.full = false;
    await later((done) => disk.flush(done));
    expect(store.safe.get(0)![0]).toBe(2);
    expect(store.safe.get(500)![0]).toBe(500 & 0xff);
    expect(told.at(-1)).toBeNull();
  });

  it('stores what waits too long, and flushes that come together once', async () => {
    const store = new TestStore();
    const disk = await OverlayDisk.open(base(), store);
    await Promise.all(Array.from({ length: 8 }, (_, n) => later((done) => disk.write(n * 4096, new Uint8Array(4096).fill(n), done))));
    await Promise.all(Array.from({ length: 8 }, () => later((done) => disk.flush(done))));
    expect(store.puts).toBe(1);
    await later((done) => disk.write(0, new Uint8Array(512).fill(3), done));
    await expect.poll(() => store.safe.get(0)?.[0], { timeout: 10_000 }).toBe(3);
  });

  it('is a disk, whatever is asked of it at the same time', { timeout: 60_000 }, async () => {
    const part = fc.record({ kind: fc.nat(5), at: fc.nat(SIZE - 1), length: fc.oneof(fc.nat(2000), fc.nat(2 * CLUSTER)), fill: fc.nat(255), wait: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 25 }), async (steps) => {
        const store = new TestStore();
        let disk = await OverlayDisk.open(base(), store);
        const model = base().bytes;
        let open: { from: number; to: number; end: Promise<void> }[] = [];
        for (const step of steps) {
          const at = step.at;
          const length = Math.min(step.length, SIZE - at);
          // A driver lets no two overlap.
          await Promise.all(open.filter(({ from, to }) => at < to && from < at + length).map(({ end }) => end));
          let end: Promise<void>;
          if (step.kind === 0) {
            const into = new Uint8Array(length);
            const expected = model.slice(at, at + length);
            end = later((done) => disk.read(at, into, done)).then(() => expect(Buffer.compare(into, expected)).toBe(0));
          } else if (step.kind === 1) {
            model.fill(0, at, at + length);
            end = later((done) => disk.writeZeroes(at, length, true, done));
          } else if (step.kind === 2) {
            end = later((done) => disk.flush(done));
          } else if (step.kind === 3) {
            await Promise.all(open.map((one) => one.end));
            await later((done) => disk.flush(done));
            disk = await OverlayDisk.open(base(), store);
            open = [];
            continue;
          } else {
            model.fill(step.fill, at, at + length);
            end = later((done) => disk.write(at, new Uint8Array(length).fill(step.fill), done));
          }
          open.push({ from: at, to: at + length, end });
          if (step.wait) await end;
        }
        await Promise.all(open.map(({ end }) => end));
        expect(Buffer.compare(await readAll(disk), model)).toBe(0);
        await later((done) => disk.flush(done));
        expect(Buffer.compare(await readAll(await OverlayDisk.open(base(), store)), model)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
