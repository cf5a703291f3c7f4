// Makes a Debian system on a disk image: guests/out/disk/debian.img, raw, with a partition table, GRUB in the master boot record, and
// one ext4 file system with Debian's stock kernel and systemd. Login: root, password "tabvisor", on tty1 and ttyS0.
//
// Needs root, because the system's packages run their scripts in a chroot (mmdebstrap), and files keep their owners in the image.
// Needs the Debian packages mmdebstrap and e2fsprogs, and 2 GB of room. Not part of `npm start` and `npm test`.
// Usage: sudo node guests/make.mjs disk

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join, relative } from 'node:path';
import { GuestError, needProgram, PackageSource } from './apt.mjs';
import { disk, release } from './recipes.mjs';

const SECTOR = 512;
/** The partition begins at 1 MiB, as partitioning programs have it; GRUB's core lies before it. */
const PARTITION_START = 2048;
/** Code in the master boot record ends where the disk's signature and partition table begin. */
const BOOT_CODE = 440;

const grubConfig = (append) => `serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
menuentry "Debian" {
  search --no-floppy --set=root --label ${disk.label}
  linux /vmlinuz root=LABEL=${disk.label} ro ${append}
  initrd /initrd.img
}
`;

/** @param here the folder guests  @param out folder of the image  @param log takes progress lines */
export async function makeDisk({ here, out, log }) {
  if (process.getuid() !== 0) throw new GuestError('Making the disk image needs root: sudo node guests/make.mjs disk');
  await needProgram('mmdebstrap', 'mmdebstrap');
  await needProgram('chroot', 'coreutils');
  const cache = join(here, 'cache', disk.arch);
  // Its package lists say where the host's mirrors are.
  await new PackageSource({ dir: cache, arch: disk.arch, release, log }).update();
  const sources = readdirSync(join(cache, 'sources.d')).map((name) => join(cache, 'sources.d', name));
  const root = join(cache, 'disk-root');
  rmSync(root, { recursive: true, force: true });
  log(`disk: installing ${disk.packages.join(', ')} and what they need`);
  run('mmdebstrap', [
    `--architectures=${disk.arch}`, '--variant=minbase',
    // A fresh image needs no file safe on the host's disk one by one, and nobody reads manuals there.
    '--dpkgopt=force-unsafe-io', ...['man', 'doc', 'locale', 'info'].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
    `--include=${disk.packages.join(',')}`, '--quiet',
    // The kernel's first initramfs is made anew below: let it be small.
    '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
    '--essential-hook=printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/conf.d/tabvisor"',
    release, root, ...sources,
  ]);
  const write = (path, text, mode) => writeFileSync(join(root, path), text, mode ? { mode } : {});
  const inside = (...words) => run('chroot', [root, ...words]);
  write('etc/hostname', 'debian\n');
  write('etc/hosts', '127.0.0.1 localhost debian\n');
  write('etc/fstab', `LABEL=${disk.label} / ext4 defaults 0 1\n`);
  write('etc/initramfs-tools/modules', `${disk.modules.join('\n')}\n`);
  inside('update-initramfs', '-u');
  execFileSync('chroot', [root, 'chpasswd'], { input: 'root:tabvisor\n' });
  mkdirSync(join(root, 'boot/grub'), { recursive: true });
  write('boot/grub/grub.cfg', grubConfig(disk.append));
  inside('grub-mkimage', '-O', 'i386-pc', '-p', '(hd0,msdos1)/boot/grub', '-o', '/boot/grub/core.img', ...disk.grubModules);
  run('cp', ['-r', join(root, 'usr/lib/grub/i386-pc'), join(root, 'boot/grub/')]);
  const core = readFileSync(join(root, 'boot/grub/core.img'));
  const boot = readFileSync(join(root, 'usr/lib/grub/i386-pc/boot.img'));
  if (core.length > (PARTITION_START - 1) * SECTOR) throw new GuestError(`GRUB's core of ${core.length} bytes does not fit before the partition.`);
  rmSync(join(root, 'var/cache/apt'), { recursive: true, force: true });
  mkdirSync(join(root, 'var/cache/apt/archives/partial'), { recursive: true });

  log('disk: writing the image');
  const fresh = `${out}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const image = join(fresh, 'debian.img');
  writeFileSync(image, '');
  truncateSync(image, disk.mebibytes << 20);
  const kibibytes = (disk.mebibytes << 10) - (PARTITION_START * SECTOR) / 1024;
  run('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', disk.label, '-d', root, '-E', `offset=${PARTITION_START * SECTOR}`, image, `${kibibytes}K`]);
  const file = openSync(image, 'r+');
  writeSync(file, masterBootRecord(boot, (disk.mebibytes << 11) - PARTITION_START), 0, SECTOR, 0);
  // boot.img looks for the core in sector 1, and the core for its rest behind itself.
  writeSync(file, core, 0, core.length, SECTOR);
  closeSync(file);
  const kernel = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-')).slice('vmlinuz-'.length);
  writeFileSync(join(fresh, 'disk.json'), `${JSON.stringify({ image: 'debian.img', release, kernel, login: 'root', password: 'tabvisor' }, null, 2)}\n`);
  rmSync(out, { recursive: true, force: true });
  renameSync(fresh, out);
  rmSync(root, { recursive: true, force: true });
  log(`disk: ready in ${relative(process.cwd(), out) || out}: Debian ${release}, Linux ${kernel}`);
}

/** GRUB's boot code, and one active Linux partition up to the disk's end. */
function masterBootRecord(boot, sectors) {
  const mbr = Buffer.alloc(SECTOR);
  boot.copy(mbr, 0, 0, BOOT_CODE);
  const entry = 446;
  mbr[entry] = 0x80;
  // CHS does not reach: its largest address says so.
  mbr.set([0xfe, 0xff, 0xff], entry + 1);
  mbr[entry + 4] = 0x83;
  mbr.set([0xfe, 0xff, 0xff], entry + 5);
  mbr.writeUInt32LE(PARTITION_START, entry + 8);
  mbr.writeUInt32LE(sectors, entry + 12);
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

function run(program, args) {
  try {
    execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 1 << 26, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' } });
  } catch (error) {
    const said = String(error.stderr ?? error.message).trim().split('\n').slice(-8).join('\n    ');
    throw new GuestError(`${program} failed:\n    ${said}`);
  }
}
