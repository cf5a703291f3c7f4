import { describe, expect, it } from 'vitest';
import { type BlockDone, BlockError } from '../../devices/interfaces.ts';
import { Control } from '../../machine/protocol.ts';
import { DiskRing, serveDiskRing } from './disk-ring.ts';
import { RawMemory } from './raw-memory.ts';
import { later } from './testing.ts';

const SIZE = 3 << 20;

/** A disk that answers later, in any order. */
class SlowDisk extends RawMemory {
  override read(offset: number, into: Uint8Array, done: BlockDone): void {
    setTimeout(() => super.read(offset, into, done), (offset >> 9) % 7);
  }
  override flush(done: BlockDone): void {
    done(new BlockError(`no flush – ${'x'.repeat(1000)}`));
  }
}

function build(): { ring: DiskRing; below: SlowDisk; memory: SharedArrayBuffer } {
  const below = new SlowDisk(new Uint8Array(SIZE).map((_, n) => (n * 7 + (n >> 9)) & 0xff));
  const ring = new DiskRing();
  const memory = new SharedArrayBuffer(Control.DOORBELL + 4096);
  void serveDiskRing(ring.buffer, [new RawMemory(new Uint8Array(512)), below], () => memory);
  return { ring, below, memory };
}

describe('disk ring', () => {
  it('carries requests and data both ways, more than it has room for at once, and rings the doorbell', { timeout: 30_000 }, async () => {
    const { ring, below, memory } = build();
    const disk = ring.disk(1, SIZE, false);
    const parts = Array.from({ length: 200 }, (_, n) => ({ offset: n * 4096, into: new Uint8Array(4096) }));
    await Promise.all(parts.map(({ offset, into }) => later((done) => disk.read(offset, into, done))));
    for (const { offset, into } of parts) expect(Buffer.compare(into, below.bytes.subarray(offset, offset + 4096))).toBe(0);
    expect(new Int32Array(memory)[Control.DOORBELL >> 2]).toBeGreaterThanOrEqual(200);
    // Longer than a slot.
    const data = new Uint8Array(700_000).fill(0x5a);
    await later((done) => disk.write(512, data, done));
    expect(Buffer.compare(below.bytes.subarray(512, 512 + data.length), data)).toBe(0);
    const back = new Uint8Array(data.length);
    await later((done) => disk.read(512, back, done));
    expect(Buffer.compare(back, data)).toBe(0);
    await later((done) => disk.writeZeroes(0, 2 << 20, true, done));
    expect(below.bytes.subarray(0, 2 << 20).every((byte) => byte === 0)).toBe(true);
  });

  it('carries errors, and refuses what cannot be', async () => {
    const { ring } = build();
    const disk = ring.disk(1, SIZE, true);
    await expect(later((done) => disk.flush(done))).rejects.toThrow('no flush – xxx');
    await expect(later((done) => disk.write(0, new Uint8Array(512), done))).rejects.toThrow('read-only');
    await expect(later((done) => disk.read(SIZE - 511, new Uint8Array(512), done))).rejects.toThrow('not on a disk');
    await later((done) => disk.read(0, new Uint8Array(512), done));
  });
});
