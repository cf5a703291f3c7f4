import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { BlockError } from '../src/devices/interfaces.ts';
import { RawFile } from './raw-file-node.ts';

const folder = mkdtempSync(join(tmpdir(), 'raw-file-'));
const path = join(folder, 'disk.img');

beforeEach(() => writeFileSync(path, new Uint8Array(3 << 20).fill(7)));
afterAll(() => rmSync(folder, { recursive: true }));

describe('RawFile', () => {
  it('is the file', () => {
    const disk = new RawFile(path, false);
    expect(disk.size).toBe(3 << 20);
    disk.write(512, Uint8Array.of(1, 2, 3));
    disk.writeZeroes(1 << 20, (2 << 20) - 1);
    disk.discard();
    disk.flush();
    const bytes = new Uint8Array(5);
    disk.read(511, bytes);
    expect([...bytes]).toEqual([7, 1, 2, 3, 7]);
    disk.close();
    const all = readFileSync(path);
    expect(all.length).toBe(3 << 20);
    expect([...all.subarray(511, 516)]).toEqual([7, 1, 2, 3, 7]);
    expect(all.subarray(1 << 20, -1).every((byte) => byte === 0)).toBe(true);
    expect(all.at(-1)).toBe(7);
  });

  it('turns what goes wrong into I/O errors', () => {
    const disk = new RawFile(path, false);
    expect(() => disk.write((3 << 20) - 1, new Uint8Array(2))).toThrow(BlockError);
    truncateSync(path, 100);
    expect(() => disk.read(50, new Uint8Array(100))).toThrow(BlockError);
    disk.close();
    expect(() => disk.read(0, new Uint8Array(1))).toThrow(BlockError);
    expect(() => disk.flush()).toThrow(BlockError);
  });

  it('can be read-only, and must be a plain file', () => {
    const disk = new RawFile(path, true);
    expect(() => disk.write(0, new Uint8Array(1))).toThrow('read-only');
    disk.flush();
    disk.close();
    expect(() => new RawFile(join(folder, 'none'), true)).toThrow('ENOENT');
    expect(() => new RawFile(folder, true)).toThrow('plain file');
  });
});
