// Debian's kernels with their own drivers for the board's drives: ata_piix, sr_mod and floppy read and write, by DMA and by PIO, and what they
// wrote is looked at from outside.

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { RawMemory } from '../../src/backends/block/raw-memory.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { loadModules } from '../oracle/emulator.ts';
import { LinuxConsole } from '../virtio/linux.ts';

const MIB = 1 << 20;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** Bytes without a pattern that repeats from sector to sector. */
const pattern = (length: number, seed: number) => new Uint8Array(length).map((_, i) => Math.imul(i ^ (i >> 9) ^ seed, 0x9e3779b1) >>> 24);

let modules: VcpuModules;
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
}, 120_000);

/** Drives of a guest, and what it says of them. */
function boot(name: string, line: readonly string[], disks: Uint8Array[], more = '') {
  const linux = new LinuxConsole(name, modules, ['-accel', 'jit', ...line], { disks: disks.map((bytes) => new RawMemory(bytes)) });
  linux.run(`modprobe -a ata_piix sd_mod sr_mod isofs ${more}`);
  return linux;
}

describe('Linux', () => {
  it('amd64: reads and writes IDE disks by DMA, and a CD', { timeout: 400_000 }, () => {
    const disk = pattern(12 * MIB, 1);
    const source = pattern(3 * MIB, 2);
    const cd = pattern(2 * MIB, 3);
    const linux = boot('amd64', ['-hda', 'a', '-hdb', 'b', '-cdrom', 'c'], [disk, source, cd]);
    expect(linux.run('dmesg')).toMatch(/ata1\.00: ATA-7: QEMU HARDDISK/);
    expect(linux.run('cat /sys/class/ata_device/dev*/dma_mode')).toMatch(/DMA[^]*DMA[^]*DMA/);
    expect(linux.run('cat /sys/block/sda/size /sys/block/sdb/size /sys/block/sr0/size')).toBe(`${24 * 1024}\n${6 * 1024}\n${4 * 1024}\ndone 0`);
    for (const [device, bytes] of [['sda', disk], ['sdb', source], ['sr0', cd]] as const) expect(linux.run(`sha256sum < /dev/${device}`)).toContain(sha256(bytes));
    // Two disks at once on one channel, and a flush.
    expect(linux.run('dd if=/dev/sdb of=/dev/sda bs=64k seek=32 conv=fsync 2>/dev/null')).toBe('done 0');
    expect(Buffer.compare(disk.subarray(2 * MIB, 5 * MIB), source)).toBe(0);
    expect(Buffer.compare(disk.subarray(5 * MIB), pattern(12 * MIB, 1).subarray(5 * MIB))).toBe(0);
    expect(linux.run('dmesg | grep -iE "error|exception|failed" | grep -i ata')).toBe('done 1');
  });

  it('i386: by PIO, a CD that changes and that the guest keeps in and lets out, and a floppy', { timeout: 600_000 }, () => {
    const disk = pattern(4 * MIB, 4);
    const floppy = pattern(1440 * 1024, 5);
    const linux = boot('i386', ['-append', 'console=ttyS0 cryptomgr.notests noisapnp quiet libata.dma=0', '-hda', 'a', '-fda', 'f'], [disk, floppy], 'floppy');
    expect(linux.run('cat /sys/class/ata_device/dev*/dma_mode')).not.toMatch(/DMA_/);
    expect(linux.run('sha256sum < /dev/sda')).toContain(sha256(disk));
    expect(linux.run('dd if=/dev/sda of=/dev/sda bs=32k count=10 seek=100 conv=fsync 2>/dev/null')).toBe('done 0');
    expect(Buffer.compare(disk.subarray(100 * 32768, 110 * 32768), disk.subarray(0, 10 * 32768))).toBe(0);
    // The floppy, by DMA channel 2: the first cylinders, because Linux waits for motors and heads.
    expect(linux.run('dd if=/dev/fd0 bs=18k count=3 2>/dev/null | sha256sum')).toContain(sha256(floppy.subarray(0, 3 * 18432)));
    expect(linux.run('dd if=/dev/sda of=/dev/fd0 bs=512 count=20 seek=70 conv=fsync 2>/dev/null')).toBe('done 0');
    expect(Buffer.compare(floppy.subarray(70 * 512, 90 * 512), disk.subarray(0, 20 * 512))).toBe(0);
    // An empty CD-ROM drive gets a disc, and another.
    const cd = linux.machine.drives.removable.get('ide1-cd0')!;
    expect(linux.run('head -c 2048 /dev/sr0 2>&1')).toContain('No medium');
    for (const seed of [6, 7]) {
      const disc = pattern(256 * 1024, seed);
      cd.eject(true);
      cd.insert(new RawMemory(disc, true));
      // Linux fails the first read of a disc of which it has just heard that it is another.
      linux.run('head -c 1 /dev/sr0');
      expect(linux.run('sha256sum < /dev/sr0')).toContain(sha256(disc));
    }
    // While it is open Linux keeps it in; the user's wish is told.
    linux.run('sleep 100000 < /dev/sr0 & echo $! > /tmp/sleeper; head -c 1 /dev/sr0 | wc -c');
    expect([cd.locked, cd.eject(), cd.trayOpen]).toEqual([true, false, false]);
    linux.run('kill $(cat /tmp/sleeper); wait');
    expect(cd.locked).toBe(false);
    // The guest opens the tray, with the disc on it, and closes it.
    linux.run('echo 1 > /proc/sys/dev/cdrom/autoeject; head -c 1 /dev/sr0');
    expect([cd.trayOpen, cd.medium === null]).toEqual([true, false]);
    expect(linux.run('echo 0 > /proc/sys/dev/cdrom/autoeject; head -c 1 /dev/sr0 > /dev/null; sha256sum < /dev/sr0')).toContain(sha256(pattern(256 * 1024, 7)));
    expect(cd.trayOpen).toBe(false);
  });
});
