// Exported disks, as qemu-img finds them.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { diskBytes, presentClusters } from './export.ts';
import { ImageDisk } from './image.ts';
import { runNow } from './io.ts';
import { MemoryStorage } from './memory-storage.ts';
import { openImage } from './open.ts';
import { CLUSTER, OverlayDisk } from './overlay.ts';
import { createQcow2 } from './qcow2-create.ts';
import { layoutQcow2 } from './qcow2-stream.ts';
import { later } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'export-'));
afterAll(() => rmSync(folder, { recursive: true }));
const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { cwd: folder, encoding: 'utf8' });

describe('an exported disk', () => {
  it('is image and changes in one, as raw and as qcow2', { timeout: 60_000 }, async () => {
    const size = 560 * (1 << 20) + 512;
    const storage = new MemoryStorage();
    runNow(createQcow2(storage, size));
    const { image } = runNow(openImage(storage, { readOnly: false }));
    for (const at of [0, 5 << 20, 530 * (1 << 20) + 1000]) runNow(image.write(at, new Uint8Array(100_000).fill(7)));
    runNow(image.flush());
    const kept = new Map<number, Uint8Array>();
    const overlay = await OverlayDisk.open(new ImageDisk(image), {
      keys: async () => [...kept.keys()],
      get: async (keys) => keys.map((key) => kept.get(key)),
      put: async (entries) => void entries.forEach(([key, bytes]) => kept.set(key, bytes.slice())),
    });
    await later((done) => overlay.write(5 << 20, new Uint8Array(512).fill(1), done));
    await later((done) => overlay.write(size - 512, new Uint8Array(512).fill(2), done));
    await later((done) => overlay.writeZeroes(0, CLUSTER, true, done));
    await later((done) => overlay.flush(done));

    const present = await presentClusters(image, kept.keys());
    const layout = layoutQcow2(size, present);
    const parts = [];
    for await (const part of diskBytes(overlay, layout, present)) parts.push(part.slice());
    const qcow2 = Buffer.concat(parts);
    expect(qcow2.length).toBe(layout.length);
    expect(qcow2.length).toBeLessThan(2 << 20);
    writeFileSync(join(folder, 'out.qcow2'), qcow2);
    expect(qemuImg('check', 'out.qcow2')).toContain('No errors');

    const file = join(folder, 'out.raw');
    writeFileSync(file, '');
    for await (const part of diskBytes(overlay, undefined, undefined)) writeFileSync(file, part, { flag: 'a' });
    expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', 'out.raw', 'out.qcow2')).toContain('identical');
    const sector = new Uint8Array(512);
    await later((done) => overlay.read(5 << 20, sector, done));
    expect(sector[0]).toBe(1);
  });
});
