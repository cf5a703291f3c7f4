// Images of every variant that qemu-img makes (Debian's package qemu-utils), read, written and given back to it.

import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockError } from '../../devices/interfaces.ts';
import { FileStorage } from './file-node.ts';
import { type Image, ImageDisk } from './image.ts';
import { ImageError, runNow } from './io.ts';
import { openImage, type OpenOptions } from './open.ts';
import { now } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'images-'));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** 9 MiB and a bit: text, noise, zeros, holes. An odd number of sectors, and not a whole number of anybody's blocks. */
const SIZE = 9 * (1 << 20) + 3 * 512;
const contents = Buffer.alloc(SIZE);
for (let n = 0; n < SIZE; n++) {
  const megabyte = n >> 20;
  contents[n] = megabyte === 1 || megabyte === 5 || megabyte === 6 ? 0 : megabyte === 3 ? Math.imul(n, 0x9e3779b1) >>> 24 : 97 + ((n ^ (n >> 9)) % 13);
}

const files: FileStorage[] = [];
function open(name: string, options: Partial<OpenOptions> = {}): Image {
  const readOnly = options.readOnly ?? true;
  const file = (full: string, only: boolean) => {
    const storage = new FileStorage(full, only);
    files.push(storage);
    return storage;
  };
  return runNow(openImage(file(path(name), readOnly), {
    readOnly,
    name: path(name),
    *openFile(wanted, from, only) {
      const full = join(dirname(from), wanted);
      return { name: full, storage: file(full, only) };
    },
    ...options,
  })).image;
}
function close(): void {
  for (const file of files.splice(0)) file.close();
}

function readAll(image: Image): Buffer {
  const all = Buffer.alloc(image.size);
  for (let at = 0; at < all.length; at += 300_000) runNow(image.read(at, all.subarray(at, Math.min(all.length, at + 300_000))));
  return all;
}

/** Variants: name, format, options of qemu-img convert. */
const VARIANTS: [string, string, string[]][] = [
  ['raw', 'raw', []],
  ['qcow2', 'qcow2', []],
  ['qcow2 v2', 'qcow2', ['-o', 'compat=0.10']],
  ['qcow2 512-byte clusters', 'qcow2', ['-o', 'cluster_size=512']],
  ['qcow2 2 MiB clusters', 'qcow2', ['-o', 'cluster_size=2M']],
  ['qcow2 1-bit refcounts', 'qcow2', ['-o', 'refcount_bits=1']],
  ['qcow2 64-bit refcounts', 'qcow2', ['-o', 'refcount_bits=64']],
  ['qcow2 preallocated', 'qcow2', ['-o', 'preallocation=metadata']],
  ['qcow2 lazy refcounts', 'qcow2', ['-o', 'lazy_refcounts=on']],
  ['qcow2 zlib', 'qcow2', ['-c']],
  ['qcow2 zlib v2, 4 KiB clusters', 'qcow2', ['-c', '-o', 'compat=0.10,cluster_size=4k']],
  ['qcow2 zstd', 'qcow2', ['-c', '-o', 'compression_type=zstd']],
  ['qcow2 zstd, 2 MiB clusters', 'qcow2', ['-c', '-o', 'compression_type=zstd,cluster_size=2M']],
  ['vmdk sparse', 'vmdk', []],
  ['vmdk flat', 'vmdk', ['-o', 'subformat=monolithicFlat']],
  ['vmdk 2gb flat', 'vmdk', ['-o', 'subformat=twoGbMaxExtentFlat']],
  ['vmdk 2gb sparse', 'vmdk', ['-o', 'subformat=twoGbMaxExtentSparse']],
  ['vmdk zeroed grains', 'vmdk', ['-o', 'zeroed_grain=on']],
  ['vmdk stream', 'vmdk', ['-o', 'subformat=streamOptimized']],
  ['vdi', 'vdi', []],
  ['vdi fixed', 'vdi', ['-o', 'static=on']],
  ['vpc', 'vpc', ['-o', 'force_size=on']],
  ['vpc geometry', 'vpc', []],
  ['vpc fixed', 'vpc', ['-o', 'subformat=fixed,force_size=on']],
  ['vhdx', 'vhdx', []],
  ['vhdx fixed', 'vhdx', ['-o', 'subformat=fixed,block_size=1M']],
];
const fileOf = (variant: string) => `${variant.replaceAll(/[ ,]/g, '-')}.img`;
const WRITABLE = VARIANTS.filter(([name, format]) => format !== 'vhdx' && name !== 'vmdk stream');

beforeAll(() => {
  writeFileSync(path('source'), contents);
  for (const [variant, format, options] of VARIANTS) qemuImg('convert', '-f', 'raw', '-O', format, ...options, 'source', fileOf(variant));
}, 120_000);

/** What qemu-img check says, where it can. */
function check(file: string, format: string): void {
  if (format !== 'qcow2' && format !== 'vdi' && format !== 'vmdk') return;
  const { status, stdout, stderr } = spawnSync('qemu-img', ['check', '-f', format, path(file)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`qemu-img check: ${stdout}${stderr}`);
}

describe('images made by qemu-img', () => {
  for (const [variant, format] of VARIANTS) {
    it(`${variant}: read, and recognised by content`, { timeout: 60_000 }, () => {
      const image = open(fileOf(variant));
      expect(image.format).toBe(format);
      expect(image.size).toBe(variant === 'vpc geometry' ? Math.ceil(SIZE / 512 / 17 / 4) * 17 * 4 * 512 : SIZE);
      const all = readAll(image);
      expect(Buffer.compare(all.subarray(0, SIZE), contents)).toBe(0);
      expect(all.subarray(SIZE).every((byte) => byte === 0)).toBe(true);
      // What it says to be empty is.
      for (let at = 0; at < image.size; ) {
        const extent = runNow(image.status(at, image.size - at));
        expect(extent.length).toBeGreaterThan(0);
        if (extent.kind !== 'data') expect(all.subarray(at, at + extent.length).every((byte) => byte === 0)).toBe(true);
        at += extent.length;
      }
      close();
    });
  }

  for (const [variant, format] of WRITABLE) {
    it(`${variant}: written, and still whole`, { timeout: 120_000 }, () => {
      const file = `written-${fileOf(variant)}`;
      // Where the extents are other files, the copy is only of the descriptor.
      copyFileSync(path(fileOf(variant)), path(file));
      const image = open(file, { readOnly: false });
      const disk = new ImageDisk(image);
      const model = Buffer.alloc(image.size);
      contents.copy(model);
      let seed = 7;
      const random = (n: number) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % n;
      for (let n = 0; n < 60; n++) {
        const at = random(image.size >> 9) * 512;
        const length = Math.min(image.size - at, [512, 4096, 65536, 200 * 512, 1 << 19][random(5)]);
        const kind = random(8);
        if (kind === 0) {
          now((done) => disk.writeZeroes(at, length, n % 2 === 0, done));
          model.fill(0, at, at + length);
        } else if (kind === 1) {
          now((done) => disk.discard(at, length, done));
          // Whatever is there now stays.
          now((done) => disk.read(at, model.subarray(at, at + length), done));
        } else if (kind === 2) now((done) => disk.flush(done));
        else {
          const data = Buffer.alloc(length, random(256));
          for (let k = 0; k < length; k += 100) data[k] = random(256);
          now((done) => disk.write(at, data, done));
          data.copy(model, at);
        }
      }
      expect(Buffer.compare(readAll(image), model)).toBe(0);
      now((done) => disk.flush(done));
      close();
      check(file, format);
      writeFileSync(path('model'), model);
      const fmt = variant === 'vpc fixed' ? 'vpc' : format;
      expect(qemuImg('compare', '-f', fmt, '-F', 'raw', file, 'model')).toContain('identical');
      const again = open(file);
      expect(Buffer.compare(readAll(again), model)).toBe(0);
      close();
    });
  }
});

describe('qcow2', () => {
  it('chains of backing images, shorter and longer ones, of several formats', { timeout: 60_000 }, () => {
    qemuImg('create', '-f', 'qcow2', '-b', fileOf('vdi'), '-F', 'vdi', 'middle.qcow2', String(SIZE));
    execFileSync('qemu-io', ['-c', 'write -P 1 64k 64k', '-c', 'write -z 2M 128k', path('middle.qcow2')]);
    qemuImg('create', '-f', 'qcow2', '-b', 'middle.qcow2', '-F', 'qcow2', 'top.qcow2', String(SIZE + (5 << 20)));
    execFileSync('qemu-io', ['-c', 'write -P 2 96k 64k', '-c', 'write -P 3 12M 512', path('top.qcow2')]);
    const image = open('top.qcow2');
    qemuImg('convert', '-O', 'raw', 'top.qcow2', 'top.raw');
    expect(Buffer.compare(readAll(image), readFileSync(path('top.raw')))).toBe(0);
    expect(image.details()).toMatchObject({ backingFile: 'middle.qcow2', backingFormat: 'qcow2', clusterSize: 65536 });
    close();
    // Writing on top, with what lies beneath around it.
    const written = open('top.qcow2', { readOnly: false });
    const model = readFileSync(path('top.raw'));
    for (const [at, length] of [[512, 512], [1 << 20, 100_352], [SIZE - 512, 4096], [3 << 20, 131_072]]) {
      runNow(written.write(at, Buffer.alloc(length, 0xab)));
      model.fill(0xab, at, at + length);
    }
    runNow(written.writeZeroes(70_144, 300_032, true));
    model.fill(0, 70_144, 370_176);
    expect(Buffer.compare(readAll(written), model)).toBe(0);
    runNow(written.flush());
    close();
    check('top.qcow2', 'qcow2');
    writeFileSync(path('model'), model);
    expect(qemuImg('compare', 'top.qcow2', 'model')).toContain('identical');
  });

  it('internal snapshots: read, and left alone by what is written', { timeout: 60_000 }, () => {
    copyFileSync(path(fileOf('qcow2 zlib')), path('snapshots.qcow2'));
    qemuImg('snapshot', '-c', 'first', 'snapshots.qcow2');
    execFileSync('qemu-io', ['-c', 'write -P 9 0 3M', path('snapshots.qcow2')]);
    qemuImg('snapshot', '-c', 'second', 'snapshots.qcow2');
    const image = open('snapshots.qcow2', { readOnly: false });
    for (let at = 0; at < SIZE - 8192; at += 700_416) runNow(image.write(at, Buffer.alloc(8192, 0x77)));
    runNow(image.writeZeroes(5 << 20, 1 << 20, true));
    runNow(image.flush());
    expect(image.details().snapshots).toMatchObject([{ id: '1', name: 'first', vmStateSize: 0 }, { id: '2', name: 'second' }]);
    const present = readAll(image);
    close();
    check('snapshots.qcow2', 'qcow2');
    expect(Buffer.compare(readAll(open('snapshots.qcow2', { snapshot: 'first' })), contents)).toBe(0);
    const second = Buffer.from(contents).fill(9, 0, 3 << 20);
    expect(Buffer.compare(readAll(open('snapshots.qcow2', { snapshot: '2' })), second)).toBe(0);
    expect(() => open('snapshots.qcow2', { snapshot: 'third' })).toThrow('no snapshot "third"');
    close();
    writeFileSync(path('model'), present);
    expect(qemuImg('compare', 'snapshots.qcow2', 'model')).toContain('identical');
  });

  it('the refcount table grows with the image', { timeout: 120_000 }, () => {
    // 512-byte clusters with refcounts of 64 bits: a block counts 64 clusters, and the table is full after 2 MiB.
    qemuImg('create', '-f', 'qcow2', '-o', 'cluster_size=512,refcount_bits=64', 'growing.qcow2', '16M');
    const image = open('growing.qcow2', { readOnly: false });
    const model = Buffer.alloc(16 << 20);
    for (let at = 0; at < 5 << 20; at += 65536) {
      runNow(image.write(at, Buffer.alloc(65536, at >> 16)));
      model.fill(at >> 16, at, at + 65536);
    }
    runNow(image.flush());
    close();
    check('growing.qcow2', 'qcow2');
    writeFileSync(path('model'), model);
    expect(qemuImg('compare', 'growing.qcow2', 'model')).toContain('identical');
  });

  it('a crash leaves an image that is whole up to the last flush', { timeout: 60_000 }, () => {
    qemuImg('create', '-f', 'qcow2', '-o', 'cluster_size=4k', 'crash.qcow2', '8M');
    const image = open('crash.qcow2', { readOnly: false });
    const model = Buffer.alloc(8 << 20);
    for (let n = 0; n < 40; n++) {
      const at = (n * 37) % 120 * 65536;
      runNow(image.write(at, Buffer.alloc(20_480, n + 1)));
      model.fill(n + 1, at, at + 20_480);
      if (n % 5 === 4) runNow(image.flush());
      if (n % 5 === 0) runNow(image.writeZeroes(at, 8192, true));
      if (n % 5 === 0) model.fill(0, at, at + 8192);
      if (n % 5 !== 1) continue;
      // As if the process ended here: clusters may be lost, but nothing is wrong.
      const { status } = spawnSync('qemu-img', ['check', path('crash.qcow2')]);
      expect([0, 3]).toContain(status);
    }
    runNow(image.flush());
    close();
    check('crash.qcow2', 'qcow2');
    writeFileSync(path('model'), model);
    expect(qemuImg('compare', 'crash.qcow2', 'model')).toContain('identical');
  });

  it('64 GiB: only what is touched is read and written', { timeout: 60_000 }, () => {
    for (const [format, options] of [['qcow2', []], ['vdi', []], ['vmdk', []], ['vpc', ['-o', 'force_size=on']]] as const) {
      const file = `large.${format}`;
      qemuImg('create', '-f', format, ...options, file, '64G');
      const image = open(file, { readOnly: false });
      expect(image.size).toBe(64 * 2 ** 30);
      const data = Buffer.from('far away'.repeat(512));
      for (const at of [0, 40 * 2 ** 30, 64 * 2 ** 30 - 4096]) runNow(image.write(at, data));
      runNow(image.flush());
      const back = Buffer.alloc(4096);
      runNow(image.read(40 * 2 ** 30, back));
      expect(Buffer.compare(back, data)).toBe(0);
      close();
      check(file, format);
      expect(statSync(path(file)).blocks * 512).toBeLessThan(40 << 20);
      const again = open(file);
      runNow(again.read(64 * 2 ** 30 - 4096, back));
      expect(Buffer.compare(back, data)).toBe(0);
      close();
    }
  });
});

describe('wrong images', () => {
  const attempt = (file: string, format?: OpenOptions['format']) => {
    try {
      const image = open(file, { format, readOnly: true });
      // A size that is wrong may be anything: a part at each end is enough.
      const part = Buffer.alloc(65536);
      for (const at of [0, 1 << 20, Math.max(0, image.size - 65536)]) {
        const length = Math.max(0, Math.min(part.length, image.size - at));
        runNow(image.read(at, part.subarray(0, length)));
        if (length) runNow(image.status(at, length));
      }
    } finally {
      close();
    }
  };

  it('that are cut off anywhere give an error that says so', { timeout: 60_000 }, () => {
    for (const [variant, format] of VARIANTS) {
      if (format === 'raw' || variant.includes('2gb') || variant === 'vmdk flat') continue;
      const whole = statSync(path(fileOf(variant))).size;
      for (const length of [0, 3, 100, 600, 70_000, Math.floor(whole / 2)]) {
        copyFileSync(path(fileOf(variant)), path('cut'));
        truncateSync(path('cut'), length);
        expect(() => {
          const image = open('cut', { format: format as OpenOptions['format'] });
          readAll(image);
        }, `${variant} cut to ${length} of ${whole}`).toThrow(ImageError);
        close();
      }
    }
  });

  it('that are damaged in their tables give an error or some bytes, and take neither time nor memory', { timeout: 120_000 }, () => {
    const victims = VARIANTS.filter(([variant, format]) => format !== 'raw' && !variant.includes('2 MiB'));
    fc.assert(
      fc.property(
        fc.constantFrom(...victims),
        fc.array(fc.record({ at: fc.oneof({ weight: 4, arbitrary: fc.nat(600) }, { weight: 2, arbitrary: fc.nat(262_144) }, fc.nat(400_000)), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }), { minLength: 1, maxLength: 4 }),
        ([variant, format], changes) => {
          copyFileSync(path(fileOf(variant)), path('damaged'));
          const file = openSync(path('damaged'), 'r+');
          for (const { at, bytes } of changes) writeSync(file, bytes, 0, bytes.length, at);
          closeSync(file);
          try {
            attempt('damaged', format as OpenOptions['format']);
          } catch (error) {
            if (!(error instanceof BlockError) && !/ENOENT|EISDIR|plain file|null bytes/.test(String(error))) throw error;
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('that build on themselves or on nothing', { timeout: 60_000 }, () => {
    qemuImg('create', '-f', 'qcow2', '-u', '-b', 'loop-b.qcow2', '-F', 'qcow2', 'loop-a.qcow2', '1M');
    qemuImg('create', '-f', 'qcow2', '-u', '-b', 'loop-a.qcow2', '-F', 'qcow2', 'loop-b.qcow2', '1M');
    expect(() => attempt('loop-a.qcow2')).toThrow('images build on each other');
    expect(() => open('loop-a.qcow2', { openFile: undefined })).toThrow('it needs the file loop-b.qcow2');
    close();
  });

  it('with features that are not here are refused by name', { timeout: 60_000 }, () => {
    qemuImg('create', '-f', 'qcow2', '-o', 'extended_l2=on', 'extended.qcow2', '1M');
    expect(() => attempt('extended.qcow2')).toThrow('subclusters');
    qemuImg('create', '-f', 'qcow2', '-o', 'data_file=outside', 'data-file.qcow2', '1M');
    expect(() => attempt('data-file.qcow2')).toThrow('external data file');
    qemuImg('create', '-f', 'vmdk', '-b', fileOf('vmdk sparse'), '-F', 'vmdk', 'child.vmdk');
    expect(() => attempt('child.vmdk')).toThrow('parent');
    const luks = readFileSync(path(fileOf('qcow2')));
    luks[35] = 2;
    writeFileSync(path('luks.qcow2'), luks);
    expect(() => attempt('luks.qcow2')).toThrow('LUKS');
  });
});
