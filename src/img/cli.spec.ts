// tabvisor-img beside qemu-img: what it makes, qemu-img takes; what both say of an image is the same.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../scripts/build-node.mjs';
import { parseSize, sizeText } from './text.ts';

const folder = mkdtempSync(join(tmpdir(), 'img-'));
const program = join(import.meta.dirname, '../../bin/tabvisor-img');
const path = (name: string) => join(folder, name);
const run = (tool: string, args: string[]) => {
  const { status, stdout, stderr } = spawnSync(tool, args, { cwd: folder, encoding: 'utf8' });
  return { status, stdout, stderr };
};
const ours = (...args: string[]) => run(process.execPath, [program, ...args]);
const theirs = (...args: string[]) => run('qemu-img', args);
const good = ({ status, stdout, stderr }: ReturnType<typeof run>) => {
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
};

/** 5 MiB and a sector: text, noise, and more than half of it empty. */
const SIZE = 5 * (1 << 20) + 512;
const contents = Buffer.alloc(SIZE);
for (let n = 0; n < SIZE; n++) {
  if (n < 1 << 20) contents[n] = 97 + ((n ^ (n >> 9)) % 13);
  else if (n >= 3 << 20 && n < (3 << 20) + 300_000) contents[n] = Math.imul(n, 0x9e3779b1) >>> 24;
}
contents[SIZE - 1] = 1;

beforeAll(async () => {
  await build();
  writeFileSync(path('source'), contents);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe('tabvisor-img convert', { timeout: 120_000 }, () => {
  const targets: [string, string[], string[]][] = [
    ['raw', [], []],
    ['qcow2', [], []],
    ['qcow2', [], ['-o', 'compat=0.10,cluster_size=512']],
    ['qcow2', [], ['-o', 'refcount_bits=1,cluster_size=2M']],
    ['qcow2', ['-c'], []],
    ['qcow2', ['-c'], ['-o', 'cluster_size=4k']],
    ['vmdk', [], []],
    ['vdi', [], []],
    ['vdi', [], ['-o', 'static=on']],
    ['vpc', [], []],
    ['vpc', [], ['-o', 'subformat=fixed']],
  ];
  for (const [format, flags, options] of targets) {
    it(`to ${[format, ...flags, ...options].join(' ')}: qemu-img finds the same disk, and it whole`, () => {
      const checkable = format === 'qcow2' || format === 'vdi' || format === 'vmdk';
      good(ours('convert', '-f', 'raw', '-O', format, ...flags, ...options, 'source', 'made'));
      expect(good(theirs('compare', '-f', 'raw', '-F', format, 'source', 'made'))).toContain('identical');
      if (checkable) good(theirs('check', '-f', format, 'made'));
      if (checkable) good(ours('check', '-f', format, 'made'));
      // And back, by content.
      good(ours('convert', 'made', 'back'));
      expect(Buffer.compare(readFileSync(path('back')), contents)).toBe(0);
    });
  }

  it('leaves empty what is empty', () => {
    good(ours('create', '-f', 'qcow2', 'large.qcow2', '64G'));
    good(ours('convert', '-O', 'qcow2', 'large.qcow2', 'copy.qcow2'));
    expect(readFileSync(path('copy.qcow2')).length).toBeLessThan(1 << 20);
    expect(good(theirs('compare', 'large.qcow2', 'copy.qcow2'))).toContain('identical');
  });

  it('from gzip and zstd, from a snapshot, from a chain', () => {
    writeFileSync(path('source.gz'), gzipSync(contents));
    execFileSync('zstd', ['-q', '-f', 'source'], { cwd: folder });
    for (const name of ['source.gz', 'source.zst']) {
      good(ours('convert', '-O', 'qcow2', name, 'made'));
      expect(good(theirs('compare', '-f', 'raw', 'source', 'made'))).toContain('identical');
    }
    good(theirs('convert', '-f', 'raw', '-O', 'qcow2', 'source', 'base.qcow2'));
    good(theirs('snapshot', '-c', 'before', 'base.qcow2'));
    execFileSync('qemu-io', ['-c', 'write -P 7 0 2M', path('base.qcow2')]);
    good(ours('convert', '-l', 'before', '-O', 'raw', 'base.qcow2', 'made'));
    expect(Buffer.compare(readFileSync(path('made')), contents)).toBe(0);
    expect(good(ours('snapshot', '-l', 'base.qcow2'))).toBe(good(theirs('snapshot', '-l', 'base.qcow2')));
    good(ours('create', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'top.qcow2'));
    expect(good(theirs('compare', 'base.qcow2', 'top.qcow2'))).toContain('identical');
    good(theirs('check', 'top.qcow2'));
    expect(good(ours('info', 'top.qcow2'))).toBe(good(theirs('info', 'top.qcow2')));
  });
});

describe('tabvisor-img info and check', { timeout: 120_000 }, () => {
  it('say what qemu-img says', () => {
    const variants: [string, string[]][] = [
      ['raw', []], ['qcow2', []], ['qcow2', ['-c']], ['qcow2', ['-o', 'compat=0.10']], ['qcow2', ['-o', 'refcount_bits=32,lazy_refcounts=on']], ['vdi', []], ['vpc', []], ['vhdx', []],
    ];
    for (const [format, options] of variants) {
      good(theirs('convert', '-f', 'raw', '-O', format, ...options, 'source', 'image'));
      expect(good(ours('info', 'image'))).toBe(good(theirs('info', 'image')));
      expect(JSON.parse(good(ours('info', '--output=json', 'image')))).toEqual(JSON.parse(good(theirs('info', '--output=json', 'image'))));
      if (format === 'qcow2') expect(good(ours('check', 'image'))).toBe(good(theirs('check', 'image')));
    }
    expect(ours('check', '-f', 'raw', 'source')).toMatchObject({ status: 63 });
  });

  it('find leaks and errors, with qemu-img\'s statuses', () => {
    good(theirs('convert', '-f', 'raw', '-O', 'qcow2', 'source', 'image'));
    const whole = readFileSync(path('image'));
    const block = Number(whole.readBigUInt64BE(Number(whole.readBigUInt64BE(48))));
    // A cluster that nobody uses, and one that is used but free.
    for (const [cluster, count, users, status] of [[Math.ceil(whole.length / 65536), 1, 0, 3], [7, 0, 1, 2]]) {
      const bad = Buffer.concat([whole, Buffer.alloc(Math.ceil(whole.length / 65536) * 65536 - whole.length + 65536)]);
      bad.writeUInt16BE(count, block + 2 * cluster);
      writeFileSync(path('bad'), bad);
      const answer = ours('check', 'bad');
      expect(answer.status).toBe(status);
      expect(theirs('check', 'bad').status).toBe(status);
      expect(answer.stdout).toContain(`cluster ${cluster} refcount=${count} reference=${users}`);
    }
  });

  it('say what is wrong with an image or with the line', () => {
    good(theirs('convert', '-f', 'raw', '-O', 'qcow2', 'source', 'cut'));
    truncateSync(path('cut'), 700_000);
    for (const [args, message] of [
      [['convert', 'cut', 'made'], 'cut off'],
      [['check', 'cut'], ''],
      [['info', 'nowhere'], "Could not open 'nowhere'"],
      [['info', '-f', 'vdi', 'source'], 'not a VDI image'],
      [['info', '-f', 'cow', 'source'], "Unknown file format 'cow'"],
      [['convert', '-O', 'vhdx', 'source', 'made'], 'cannot be made'],
      [['convert', '-c', '-O', 'vdi', 'source', 'made'], 'Compression is not supported'],
      [['convert', '-n', 'source', 'made'], '-n is not supported'],
      [['create', '-f', 'qcow2', '-o', 'encryption=on', 'made', '1M'], "'encryption' is not supported"],
      [['create', '-f', 'qcow2', 'made', 'many'], 'Invalid image size'],
      [['create', '-f', 'qcow2', 'made'], 'needs a size'],
      [['amend', 'source'], 'Command not found'],
    ] as const) {
      const answer = ours(...args);
      expect(answer.status, args.join(' ')).not.toBe(0);
      if (message) expect(answer.stderr).toMatch(/^tabvisor-img: /);
      expect(answer.stderr).toContain(message);
      expect(answer.stderr).not.toContain('    at ');
    }
    expect(good(ours('--help'))).toContain('usage: tabvisor-img');
    expect(good(ours('create', '-f', 'qcow2', '-o', 'help'))).toContain('cluster_size=');
  });
});

describe('sizes', () => {
  it('in words and back', () => {
    expect([0, 999, 1000, 1023, 2293248, 64 * 2 ** 30, 1.5 * 2 ** 40].map(sizeText)).toEqual(['0 B', '999 B', '0.977 KiB', '0.999 KiB', '2.19 MiB', '64 GiB', '1.5 TiB']);
    expect(['512', '10M', '1.5G', '2k', 'x', '-1', '1Z'].map(parseSize)).toEqual([512, 10 << 20, 1.5 * 2 ** 30, 2048, undefined, undefined, undefined]);
  });
});
