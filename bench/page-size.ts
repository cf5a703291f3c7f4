// What a visitor's browser fetches for the page itself: the built files without the guests, each compressed by gzip.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './guests.ts';
import { figure, table } from './statistics.ts';

export interface FileSize {
  file: string;
  bytes: number;
  compressed: number;
}

export function pageSize(): FileSize[] {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) throw new Error('the page is not built: npm run build');
  return readdirSync(dist, { recursive: true, withFileTypes: true })
    .filter((it) => it.isFile())
    .map((it) => relative(dist, join(it.parentPath, it.name)))
    .filter((file) => !file.startsWith('guests/') && !file.endsWith('.map'))
    .map((file) => {
      const bytes = readFileSync(join(dist, file));
      return { file, bytes: bytes.length, compressed: gzipSync(bytes).length };
    })
    .sort((a, b) => b.compressed - a.compressed);
}

export function pageTable(files: readonly FileSize[]): string {
  const sum = (key: 'bytes' | 'compressed') => files.reduce((total, file) => total + file[key], 0);
  const row = (name: string, bytes: number, compressed: number) => [name, figure(bytes / 1000, 0), figure(compressed / 1000, 0)];
  const largest = files.filter((file) => file.compressed > 10_000);
  return table(['page without guests', 'KB', 'compressed, KB'], [
    ...largest.map((file) => row(file.file, file.bytes, file.compressed)), row('all', sum('bytes'), sum('compressed')),
  ]);
}
