// The firmware that v86 needs beside the kernel: SeaBIOS and its VGA BIOS, from Debian's package seabios.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../guests.ts';

export interface Firmware {
  bios: string;
  vgaBios: string;
  missing?: string;
}

let found: Firmware | undefined;

/** Paths of the two images: installed, or unpacked from the downloaded package into build/bench. */
export function firmware(): Firmware {
  found ??= look('/usr/share/seabios') ?? fetched() ?? { bios: '', vgaBios: '', missing: 'there is no SeaBIOS: install Debian\'s package seabios' };
  return found;
}

function look(folder: string): Firmware | undefined {
  const bios = join(folder, 'bios.bin');
  const vgaBios = join(folder, 'vgabios-stdvga.bin');
  return existsSync(bios) && existsSync(vgaBios) ? { bios, vgaBios } : undefined;
}

function fetched(): Firmware | undefined {
  const folder = join(root, 'build/bench/seabios');
  const unpacked = join(folder, 'usr/share/seabios');
  if (!existsSync(unpacked)) {
    mkdirSync(folder, { recursive: true });
    if (spawnSync('apt-get', ['download', 'seabios'], { cwd: folder }).status !== 0) return undefined;
    const file = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (!file || spawnSync('dpkg-deb', ['-x', join(folder, file), folder]).status !== 0) return undefined;
  }
  return look(unpacked);
}
