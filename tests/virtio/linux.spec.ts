// Debian's kernels with their own virtio drivers: entropy, disks with verification, drivers that come and go.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { Folder } from '../../src/backends/fs/folder-node.ts';
import { RawMemory } from '../../src/backends/block/raw-memory.ts';
import type { BlockDone } from '../../src/devices/interfaces.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { FIRST_CHARDEV_RING } from '../../src/machine/protocol.ts';
import { openFileDisk } from '../../src/backends/block/disk-node.ts';
import { loadModules } from '../oracle/emulator.ts';
import { LinuxConsole } from './linux.ts';

const MIB = 1 << 20;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** Bytes without a pattern that repeats from sector to sector. */
const pattern = (length: number) => new Uint8Array(length).map((_, i) => Math.imul(i ^ (i >> 9), 0x9e3779b1) >>> 24);

let modules: VcpuModules;
const folder = mkdtempSync(join(tmpdir(), 'virtio-'));
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** Memory that goes and comes; ports and balloon survive their drivers. */
function exerciseBalloonAndPorts(linux: LinuxConsole): void {
  const balloon = linux.machine.balloon!;
  const memory = () => Number(/MemTotal: +(\d+) kB/.exec(linux.run('grep MemTotal /proc/meminfo'))![1]) * 1024;
  const full = balloon.actual;
  const port = linux.port(FIRST_CHARDEV_RING);
  for (const round of [1, 2]) {
    expect(linux.run('modprobe -a virtio_balloon virtio_console')).toBe('done 0');
    const before = memory();
    balloon.setTarget(full - 24 * MIB);
    linux.run('sleep 1');
    expect(balloon.actual).toBe(full - 24 * MIB);
    expect(balloon.inflated).toBe((24 * MIB) / 4096);
    // Without deflate-on-oom the guest counts it as gone.
    expect(before - memory()).toBe(24 * MIB);
    expect(balloon.statistics.get('stat-total-memory')).toBe(BigInt(before - 24 * MIB));
    balloon.setTarget(full);
    linux.run('sleep 1');
    expect(balloon.actual).toBe(full);
    expect(memory()).toBe(before);
    expect(linux.run(`for p in /dev/vport*p1; do echo round ${round} > $p; done`)).toBe('done 0');
    expect(port.received.toString()).toMatch(new RegExp(`round ${round}\n$`));
    // The driver gives all back when it goes.
    balloon.setTarget(full - 8 * MIB);
    linux.run('sleep 1');
    expect(linux.run('modprobe -r virtio_balloon virtio_console; grep -E "^virtio_(balloon|console)" /proc/modules')).toBe('done 1');
    expect(balloon.actual).toBe(full);
    expect(memory()).toBe(before);
    balloon.setTarget(full);
  }
  expect(balloon.reported).toBeGreaterThan(0);
}

/** A folder of the host, mounted: what either side writes the other reads. */
function exerciseFolder(linux: LinuxConsole, path: string): void {
  const text = pattern(5 * MIB + 123);
  writeFileSync(join(path, 'from host'), text);
  for (const round of [1, 2]) {
    expect(linux.run('modprobe -a 9pnet_virtio 9p; mkdir -p /mnt; mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt')).toBe('done 0');
    expect(linux.run('sha256sum < "/mnt/from host"')).toContain(sha256(text));
    const sum = /^([0-9a-f]{64}) /m.exec(linux.run(`dd if=/dev/urandom of=/mnt/big bs=100k count=30 conv=fsync 2>/dev/null; sha256sum < /mnt/big`))![1];
    expect(sha256(readFileSync(join(path, 'big')))).toBe(sum);
    expect(linux.run('cd /mnt; mkdir -p a/b; mv big a/b/moved; ln a/b/moved hard; ln -s a/b/moved soft; chmod 640 hard; truncate -s 10 a/b/moved; touch -d 2001-02-03 hard; cd')).toBe('done 0');
    expect(statSync(join(path, 'hard'))).toMatchObject({ size: 10, nlink: 2, mode: 0o100640 });
    expect(readlinkSync(join(path, 'soft'))).toBe('a/b/moved');
    // Within the guest a link leads to where the guest says.
    expect(linux.run('stat -c "%s %h %a %y" /mnt/hard; stat -L -c %s /mnt/soft; ls -1 /mnt')).toMatch(/^10 2 640 2001-02-03 .*\n10\na\nfrom host\nhard\nsoft\ndone 0$/s);
    expect(linux.run('rmdir /mnt/a 2>&1; cat /mnt/none 2>&1')).toMatch(/not empty[^]*No such file/);
    expect(linux.run(`for i in $(seq 300); do echo $i > /mnt/a/$i; done; ls /mnt/a | wc -l; cat /mnt/a/?00 | sort -u | wc -l; df /mnt | grep -c share; rm -r /mnt/a /mnt/hard /mnt/soft; ls /mnt`)).toBe('301\n3\n1\nfrom host\ndone 0');
    expect(linux.run('umount /mnt; modprobe -r 9p 9pnet_virtio; grep ^9p /proc/modules')).toBe('done 1');
    expect(readdirSync(path)).toEqual(['from host']);
    if (round === 2) expect(linux.run('dmesg | grep -iE "9p.*(fail|error|bad)"')).toBe('done 1');
  }
}

/** A disk that counts flushes. */
class CountingDisk extends RawMemory {
  flushes = 0;
  override flush(done: BlockDone): void {
    this.flushes++;
    done(null);
  }
}

/** vdc has larger blocks, is the third function of a slot, and the guest switches its cache. */
function exerciseBlocksAndCache(linux: LinuxConsole, vdc: CountingDisk): void {
  expect(linux.run('cd /sys/block/vdc; readlink -f device | grep -o 0000:00:08..; cat size queue/*_block_size queue/*_io_size cache_type; cd')).toBe('0000:00:08.2\n2048\n4096\n8192\n16384\n1048576\nwrite back\ndone 0');
  const flushes = (): number => {
    const before = vdc.flushes;
    // The last one to close it writes what is in the page cache, and does not flush.
    expect(linux.run('echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/urandom of=/dev/vdc bs=5000 count=20 2>/dev/null')).toBe('done 0');
    return vdc.flushes - before;
  };
  expect(flushes()).toBe(0);
  expect(linux.run('echo "write through" > /sys/block/vdc/cache_type; cat /sys/block/vdc/cache_type')).toBe('write through\ndone 0');
  expect(flushes()).toBeGreaterThan(0);
  expect(linux.run('echo "write back" > /sys/block/vdc/cache_type; cat /sys/block/vdc/cache_type')).toBe('write back\ndone 0');
  expect(flushes()).toBe(0);
  expect(linux.run('sha256sum < /dev/vdc')).toContain(sha256(vdc.bytes));
}

/** What every guest does with the devices: vda is writable and 4 MiB, vdb is read-only. */
function exercise(linux: LinuxConsole, vda: () => Uint8Array, vdb: Uint8Array): void {
  expect(linux.run('modprobe -a virtio_pci virtio_blk virtio_rng')).toBe('done 0');
  expect(linux.run('dd if=/dev/hwrng bs=64 count=4 2>/dev/null | sha256sum')).toMatch(/^(?!e3b0c442)[0-9a-f]{64} /);
  expect(linux.run('cat /sys/block/vda/size /sys/block/vda/ro /sys/block/vda/serial; echo; cat /sys/block/vdb/ro')).toBe('8192\n0\nTV-1\n1\ndone 0');
  expect(linux.run('sha256sum < /dev/vdb')).toContain(sha256(vdb));
  expect(linux.run('dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync')).toContain('done 1');

  // Writing, past the page cache and back.
  expect(linux.run('dd if=/dev/vdb of=/dev/vda bs=64k count=16 seek=3 conv=fsync 2>/dev/null')).toBe('done 0');
  expect(sha256(vda().subarray(3 * 65536, 19 * 65536))).toBe(sha256(vdb.subarray(0, MIB)));
  expect(linux.run('echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=64k skip=3 count=16 2>/dev/null | sha256sum')).toContain(sha256(vdb.subarray(0, MIB)));
  expect(linux.run('cat /sys/block/vda/queue/discard_max_bytes; cat /sys/block/vda/queue/write_zeroes_max_bytes')).toBe(`${0x3fffff * 512}\n${16 * MIB}\ndone 0`);
  expect(linux.run('blkdiscard -o 1048576 -l 65536 /dev/vda')).toBe('done 0');

  // Drivers come and go; what is on the disk stays. The status of busybox's modprobe -r also tells that modules beneath are in use.
  expect(linux.run('for n in 1 2 3; do modprobe -r virtio_blk virtio_rng; grep -E "^virtio_(blk|rng)" /proc/modules; modprobe -a virtio_blk virtio_rng || echo failed; done')).toBe('done 0');
  expect(linux.run('modprobe -r virtio_blk virtio_rng virtio_pci; grep virtio /proc/modules')).toBe('done 1');
  expect(linux.run('modprobe -a virtio_pci virtio_blk virtio_rng')).toBe('done 0');
  expect(linux.run('dd if=/dev/vda bs=64k skip=3 count=8 2>/dev/null | sha256sum')).toContain(sha256(vda().subarray(3 * 65536, 11 * 65536)));
  expect(linux.run('dd if=/dev/hwrng bs=16 count=1 2>/dev/null | wc -c')).toBe('16\ndone 0');
  expect(linux.run('dmesg | grep -iE "i/o error|virtio.*(fail|error|bad)" | grep -v vdb')).toBe('done 1');
}

describe('Debian\'s kernels', () => {
  it('amd64: transitional and modern devices, MSI-X; a disk in a file', { timeout: 300_000 }, () => {
    const vdb = pattern(2 * MIB);
    const path = join(folder, 'disk.img');
    writeFileSync(path, new Uint8Array(4 * MIB));
    const file = openFileDisk(path, { format: 'raw', readOnly: false });
    const linux = new LinuxConsole('amd64', modules, [
      '-device', 'virtio-blk-pci,drive=a,serial=TV-1', '-drive', `if=none,id=a,file=${path},format=raw`,
      '-drive', 'if=none,id=b,file=b,format=raw,readonly=on', '-device', 'virtio-blk-pci,drive=b,disable-modern=on',
      '-device', 'virtio-rng-pci,disable-legacy=on',
      // Linux reports free pages where there are more than 64 MiB of them.
      '-m', '192', '-device', 'virtio-balloon-pci,free-page-reporting=on,guest-stats-polling-interval=1',
      '-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=c', '-chardev', 'vc,id=c',
    ], { disks: [file, new RawMemory(vdb, true)] });
    exercise(linux, () => new Uint8Array(readFileSync(path)), vdb);
    exerciseBalloonAndPorts(linux);
    expect(linux.run('cat /proc/interrupts')).toMatch(/[1-9]\d* +PCI-MSI \d+-edge +virtio\d-req.0/);
    expect(linux.run('cat /sys/bus/virtio/devices/virtio*/features | cut -c33,41')).toBe('11\n00\n11\n11\n11\ndone 0');
    file.close();
  });

  it('i386: INTx, shared', { timeout: 300_000 }, () => {
    const share = join(folder, 'share');
    mkdirSync(share);
    const vda = new Uint8Array(4 * MIB);
    const vdb = pattern(2 * MIB);
    const vdc = new CountingDisk(new Uint8Array(MIB));
    const linux = new LinuxConsole('i386', modules, [
      '-device', 'virtio-blk-pci,drive=a,serial=TV-1,vectors=0,addr=4,event_idx=off,queue-size=64', '-drive', 'if=none,id=a,file=a,format=raw',
      '-drive', 'if=none,id=b,file=b,format=raw,readonly=on', '-device', 'virtio-blk-pci,drive=b,vectors=0,addr=8,indirect_desc=off,multifunction=on',
      '-drive', 'if=none,id=c,file=c,format=raw', '-device', 'virtio-blk-pci,drive=c,vectors=0,addr=8.2,logical_block_size=4k,physical_block_size=8192,min_io_size=16k,opt_io_size=1M',
      '-device', 'virtio-rng-pci,vectors=0,disable-modern=on,addr=c,indirect_desc=off', '-virtfs', 'local,path=share,mount_tag=share,security_model=none',
    ], { disks: [new RawMemory(vda), new RawMemory(vdb, true), vdc], folders: [new Folder(share, { readOnly: false, securityModel: 'none' })] });
    exercise(linux, () => vda, vdb);
    exerciseFolder(linux, share);
    // What each device offers of INDIRECT_DESC and EVENT_IDX.
    expect(linux.run('cat /sys/bus/virtio/devices/virtio*/features | cut -c29,30')).toBe('11\n10\n01\n11\n01\ndone 0');
    exerciseBlocksAndCache(linux, vdc);
    expect(linux.run('cat /proc/interrupts')).toMatch(/[1-9]\d* +IO-APIC +11-fasteoi +virtio\d, virtio\d, virtio\d/);
  });
});
