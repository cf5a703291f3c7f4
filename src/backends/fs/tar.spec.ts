import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeTar } from './tar.ts';

it('tar unpacks an archive: contents, directories, modes, long and foreign names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabvisor-tar-'));
  try {
    const long = 'n'.repeat(150);
    writeFileSync(join(folder, 'a.tar'), makeTar([
      { path: ['dir'], mtime: 1_000_000_000, mode: 0o755 },
      { path: ['dir', 'file'], bytes: new Uint8Array(1000).fill(65), mtime: 1_000_000_000, mode: 0o640 },
      { path: ['dir', long], bytes: Uint8Array.of(66), mtime: 0, mode: 0o644 },
      { path: ['dir', 'größe'], bytes: new Uint8Array(512).fill(67), mtime: 0, mode: 0o644 },
      { path: ['empty'], bytes: new Uint8Array(0), mtime: 0, mode: 0o644 },
    ]));
    execFileSync('tar', ['xf', 'a.tar'], { cwd: folder });
    expect(readFileSync(join(folder, 'dir/file'), 'latin1')).toBe('A'.repeat(1000));
    expect([statSync(join(folder, 'dir/file')).mode & 0o777, statSync(join(folder, 'dir/file')).mtimeMs]).toEqual([0o640, 1e12]);
    expect(readFileSync(join(folder, 'dir', long), 'latin1')).toBe('B');
    expect(readFileSync(join(folder, 'dir/größe')).length).toBe(512);
    expect(statSync(join(folder, 'empty')).size).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
