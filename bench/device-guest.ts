// The guests of the device benchmarks: a bundled guest with more of its kernel's modules, which loads them and runs a program of guest/mix.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CpioArchive } from '../guests/cpio.mjs';
import { dependencies, findModules } from '../guests/modules.mjs';
import { type LinuxGuest, linuxGuest, root } from './guests.ts';
import { type Arch, buildProgram, type Program } from './mix-guest.ts';

/** The modules of a guest's kernel, from the Debian package that the guest was made from, in the order in which they load. */
function kernelModules(arch: Arch, names: readonly string[]): { file: string; bytes: Buffer }[] {
  const { kernel } = JSON.parse(readFileSync(join(root, 'guests/out', arch, 'guest.json'), 'utf8')) as { kernel: { package: string; version: string } };
  const folder = join(root, 'build/bench/modules', `${kernel.package}_${kernel.version}`);
  if (!existsSync(folder)) {
    const deb = join(root, 'guests/cache', arch, 'debs', `${kernel.package}_${kernel.version}_${arch}.deb`);
    if (!existsSync(deb)) throw new Error(`the kernel's package is not in guests/cache: run "npm run guests -- --force ${arch}"`);
    const fresh = `${folder}.new`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    execFileSync('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar x -C "$2" ./lib/modules', 'sh', deb, fresh]);
    renameSync(fresh, folder);
  }
  return dependencies(findModules(folder), names).map((module) => ({ file: module.file, bytes: readFileSync(module.path) }));
}

/**
 * @param modules to load, beside what they need
 * @param setup lines of a shell script, before the program
 */
export function deviceGuest(name: string, arch: Arch, modules: readonly string[], setup: readonly string[], program: Program, args: readonly string[]): LinuxGuest {
  const guest = linuxGuest(arch);
  const archive = new CpioArchive();
  archive.directory('bench');
  const loads = kernelModules(arch, modules).map(({ file, bytes }) => {
    archive.file(`bench/${file}`, bytes);
    return `insmod /bench/${file}`;
  });
  archive.file(`bench/${program}`, readFileSync(buildProgram(program, arch).path), 0o755);
  const script = ['#!/bin/sh', 'export PATH=/bin:/sbin', 'mount -t proc proc /proc', 'mount -t devtmpfs dev /dev', ...loads, ...setup, `exec /bench/${program} ${args.join(' ')}`];
  archive.file('bench/run', Buffer.from(`${script.join('\n')}\n`), 0o755);
  const initrd = join(root, 'build/bench', `${name}-${arch}.cpio`);
  // Archives behind one another are unpacked one after the other.
  writeFileSync(initrd, Buffer.concat([readFileSync(guest.initrd), archive.bytes()]));
  return { ...guest, name: `${name}-${arch}`, initrd, append: `${guest.append} loglevel=3 rdinit=/bench/run`, ready: 'ended ' };
}
