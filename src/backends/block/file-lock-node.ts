// Locks of image files between processes, which are QEMU's, so that QEMU and Tabvisor keep out of each other's images too: block/file-posix.c
// (raw_apply_lock_bytes, raw_check_lock_bytes). Each process holds a read lock on a byte for everything it does to the image, and on another
// for everything nobody else may do; then it looks whether anybody holds the opposite.
//
// They are Linux's open file description locks (fcntl(2), F_OFD_SETLK), which Node has no call for. They belong to the open file, not to a process: Perl,
// which is in every Debian, sets them on a descriptor that it inherits, and they stay until that file is closed here.

import { spawnSync } from 'node:child_process';

/** QEMU's permissions (include/block/block-common.h: BLK_PERM_), as bit numbers. */
const CONSISTENT_READ = 0;
const WRITE = 1;
const RESIZE = 3;
const NAMES: Readonly<Record<number, string>> = { [CONSISTENT_READ]: 'consistent read', [WRITE]: 'write', [RESIZE]: 'resize' };

/** First bytes of the locks for what is done, and for what others may not do. */
const PERM_BASE = 100;
const SHARED_BASE = 200;

/** Arguments: bytes to lock, a comma, bytes that nobody else may hold. Writes the first that somebody does. struct flock is that of 64-bit Linux. */
const SCRIPT = `
use constant { F_OFD_GETLK => 36, F_OFD_SETLK => 37, F_RDLCK => 0, F_WRLCK => 1, F_UNLCK => 2 };
open(my $file, '+<&=', 3) or open($file, '<&=', 3) or die "$!\n";
my ($hold, $test) = map { [split / /] } split /,/, $ARGV[0];
for (@$hold) { fcntl($file, F_OFD_SETLK, pack('ssx4qqlx4', F_RDLCK, 0, $_, 1, 0)) or die "byte $_ cannot be locked: $!\n" }
for (@$test) {
  my $lock = pack('ssx4qqlx4', F_WRLCK, 0, $_, 1, 0);
  fcntl($file, F_OFD_GETLK, $lock) or die "byte $_ cannot be looked at: $!\n";
  if (unpack('s', $lock) != F_UNLCK) { print $_; exit }
}
`;

/** Somebody else has the image. The message is QEMU's. */
export class ImageInUse extends Error {}

/**
 * Lock an open image file until it is closed. Several may read it, or one may write it.
 * @param file its descriptor
 * @returns why there are no locks here, undefined if it is locked
 * @throws ImageInUse
 */
export function lockImageFile(file: number, path: string, writes: boolean): string | undefined {
  if (process.platform !== 'linux') return `there are no such locks on ${process.platform}`;
  const does = writes ? [CONSISTENT_READ, WRITE, RESIZE] : [CONSISTENT_READ];
  const excludes = [WRITE, RESIZE];
  const bytes = (base: number, permissions: readonly number[]): number[] => permissions.map((bit) => base + bit);
  const holds = [...bytes(PERM_BASE, does), ...bytes(SHARED_BASE, excludes)];
  const tests = [...bytes(SHARED_BASE, does), ...bytes(PERM_BASE, excludes)];
  const { status, stdout, stderr, error } = spawnSync('perl', ['-e', SCRIPT, `${holds.join(' ')},${tests.join(' ')}`], { stdio: ['ignore', 'pipe', 'pipe', file], encoding: 'utf8' });
  if (error) return error.message;
  if (status !== 0) return stderr.trim();
  if (stdout === '') return undefined;
  const byte = Number(stdout);
  const name = NAMES[byte % 100];
  throw new ImageInUse(`Failed to get ${byte < SHARED_BASE ? 'shared ' : ''}"${name}" lock\nIs another process using the image [${path}]?`);
}
