// Locks of image files beside QEMU's own: whom QEMU keeps out Tabvisor does, and each the other.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileDisk } from './disk-node.ts';
import { FileStorage } from './file-node.ts';
import { ImageInUse } from './file-lock-node.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-lock-'));
const path = join(folder, 'disk.img');
const overlay = join(folder, 'disk.qcow2');
afterAll(() => rmSync(folder, { recursive: true }));

const WRITE = `Failed to get "write" lock\nIs another process using the image [${path}]?`;
const SHARED = `Failed to get shared "write" lock\nIs another process using the image [${path}]?`;

beforeEach(() => {
  writeFileSync(path, new Uint8Array(1 << 20));
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', path, '-F', 'raw', overlay]);
});

/** What keeps somebody from opening it, '' if nothing does; it is closed again. */
type Opener = (writes: boolean) => string;
const ours: Opener = (writes) => {
  try {
    const file = new FileStorage(path, !writes);
    try {
      expect(file.lock()).toBeUndefined();
    } finally {
      file.close();
    }
    return '';
  } catch (error) {
    if (!(error instanceof ImageInUse)) throw error;
    return error.message;
  }
};
const theirs: Opener = (writes) => {
  const [program, ...args] = writes ? ['qemu-io', '-f', 'raw', '-c', 'write 0 512', path] : ['qemu-img', 'convert', '-f', 'raw', path, `${path}.copy`];
  return spawnSync(program, args, { encoding: 'utf8' }).stderr.trim().replace(/^qemu-\w+: (can't open( device .*?)?: |Could not open '.*?': )?/, '');
};

let qemu: ChildProcess | undefined;
afterEach(() => {
  qemu?.kill('SIGKILL');
  qemu = undefined;
});

/** Bytes of a file that somebody has locked, as the kernel lists them. */
function locked(file: string): string[] {
  const inode = String(statSync(file).ino);
  return readFileSync('/proc/locks', 'utf8').split('\n').filter((line) => line.includes(`:${inode} `)).map((line) => line.trim().split(/\s+/)).map((words) => `${words[1]} ${words[3]} ${words.slice(-2).join('-')}`).sort();
}

/** QEMU with the image in a drive; resolves when it has its locks. */
async function startQemu(drive: string): Promise<void> {
  qemu = spawn('qemu-system-x86_64', ['-accel', 'tcg', '-S', '-display', 'none', '-nodefaults', '-monitor', 'stdio', '-drive', drive], { stdio: 'pipe' });
  // It prompts before it has its drives, and answers after.
  qemu.stdin!.write('info status\n');
  await new Promise<void>((resolve, reject) => {
    qemu!.stdout!.on('data', (text: Buffer) => { if (String(text).includes('VM status')) resolve(); });
    qemu!.on('exit', () => reject(new Error('QEMU ended')));
  });
}

describe('as QEMU', { timeout: 60_000 }, () => {
  it('locks the bytes that it locks', async () => {
    await startQemu(`file=${path},format=raw,if=floppy`);
    const floppy = locked(path);
    qemu!.kill('SIGKILL');
    await new Promise((resolve) => qemu!.once('exit', resolve));
    expect(floppy).toEqual(['OFDLCK READ 100-101', 'OFDLCK READ 201-201', 'OFDLCK READ 203-203']);
    const disk = openFileDisk(path, { readOnly: false });
    // A raw image that grows is an overlay's matter to QEMU; ours may always.
    expect(locked(path)).toEqual(['OFDLCK READ 100-101', 'OFDLCK READ 103-103', 'OFDLCK READ 201-201', 'OFDLCK READ 203-203']);
    disk.close();
    expect(locked(path)).toEqual([]);
  });

  it('several read, or one writes: QEMU against Tabvisor and the other way round', async () => {
    for (const [writes, drive] of [[true, 'if=ide'], [false, 'if=ide,media=cdrom'], [false, 'if=ide,snapshot=on']] as const) {
      await startQemu(`file=${path},format=raw,${drive}`);
      for (const open of [ours, theirs]) {
        expect(open(true), `to write beside QEMU's ${drive}`).toBe(WRITE);
        expect(open(false), `to read beside QEMU's ${drive}`).toBe(writes ? SHARED : '');
      }
      qemu!.kill('SIGKILL');
      await new Promise((resolve) => qemu!.once('exit', resolve));
    }
    for (const writes of [true, false]) {
      const disk = openFileDisk(path, { readOnly: !writes });
      for (const open of [ours, theirs]) {
        expect(open(true), `to write beside our ${writes}`).toBe(WRITE);
        expect(open(false), `to read beside our ${writes}`).toBe(writes ? SHARED : '');
      }
      disk.close();
      for (const open of [ours, theirs]) expect(open(true)).toBe('');
    }
  });

  it('an overlay reads the image that it builds on: nobody writes that meanwhile', () => {
    const disk = openFileDisk(overlay, { readOnly: false });
    expect(theirs(true)).toBe(WRITE);
    expect(ours(false)).toBe('');
    disk.close();
    const base = openFileDisk(path, { readOnly: false });
    expect(() => openFileDisk(overlay, { readOnly: false })).toThrow(SHARED);
    base.close();
    // What was opened before the refusal is not kept.
    openFileDisk(overlay, { readOnly: false }).close();
  });

  it('an image that a killed process had is anybody\'s', async () => {
    await startQemu(`file=${path},format=raw,if=ide`);
    expect(ours(true)).toBe(WRITE);
    qemu!.kill('SIGKILL');
    await new Promise((resolve) => qemu!.once('exit', resolve));
    expect(ours(true)).toBe('');
  });
});
