import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { BlockError } from '../../devices/interfaces.ts';
import { now } from './testing.ts';
import { FileStorage } from './file-node.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-node-'));
const path = join(folder, 'disk.img');

beforeEach(() => writeFileSync(path, new Uint8Array(3 << 20).fill(7)));
afterAll(() => rmSync(folder, { recursive: true }));

describe('FileStorage', () => {
  it('is the file', () => {
    const disk = new FileStorage(path, false);
    expect(disk.size).toBe(3 << 20);
    now((done) => disk.write(512, Uint8Array.of(1, 2, 3), done));
    now((done) => disk.writeZeroes(1 << 20, (2 << 20) - 1, false, done));
    now((done) => disk.discard(0, 512, done));
    now((done) => disk.flush(done));
    const bytes = new Uint8Array(5);
    now((done) => disk.read(511, bytes, done));
    expect([...bytes]).toEqual([7, 1, 2, 3, 7]);
    disk.close();
    const all = readFileSync(path);
    expect(all.length).toBe(3 << 20);
    expect([...all.subarray(511, 516)]).toEqual([7, 1, 2, 3, 7]);
    expect(all.subarray(1 << 20, -1).every((byte) => byte === 0)).toBe(true);
    expect(all.at(-1)).toBe(7);
  });

  it('moves pieces of shared memory, more than one system call takes', () => {
    const disk = new FileStorage(path, false);
    const shared = new Uint8Array(new SharedArrayBuffer(1 << 20)).map((_, n) => (n * 31 + (n >> 8)) & 0xff);
    // Of 1 to 300 bytes, with gaps between them.
    const pieces: Uint8Array[] = [];
    for (let at = 0, n = 0; n < 2500; at += 2 * (n % 300) + 1, n++) pieces.push(shared.subarray(at, at + 1 + (n % 300)));
    const flat = Buffer.concat(pieces);
    now((done) => disk.writev(777, pieces, done));
    const all = readFileSync(path);
    expect(Buffer.compare(all.subarray(777, 777 + flat.length), flat)).toBe(0);
    expect([all[776], all[777 + flat.length]]).toEqual([7, 7]);
    const copy = pieces.map((piece) => new Uint8Array(new SharedArrayBuffer(piece.length)));
    now((done) => disk.readv(777, copy, done));
    expect(Buffer.compare(Buffer.concat(copy), flat)).toBe(0);
    truncateSync(path, 1000);
    expect(() => now((done) => disk.readv(777, copy, done))).toThrow('shorter');
    disk.close();
    const closed = new FileStorage(path, true);
    expect(() => now((done) => closed.writev(0, pieces, done))).toThrow('read-only');
    closed.close();
  });

  it('turns what goes wrong into I/O errors', () => {
    const disk = new FileStorage(path, false);
    truncateSync(path, 100);
    expect(() => now((done) => disk.read(50, new Uint8Array(100), done))).toThrow(BlockError);
    disk.close();
    expect(() => now((done) => disk.read(0, new Uint8Array(1), done))).toThrow(BlockError);
    expect(() => now((done) => disk.flush(done))).toThrow(BlockError);
  });

  it('can be read-only, and must be a plain file', () => {
    const disk = new FileStorage(path, true);
    expect(() => now((done) => disk.write(0, new Uint8Array(1), done))).toThrow('read-only');
    now((done) => disk.flush(done));
    disk.close();
    expect(() => new FileStorage(join(folder, 'none'), true)).toThrow('ENOENT');
    expect(() => new FileStorage(folder, true)).toThrow('plain file');
  });
});
