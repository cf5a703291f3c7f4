// Disks in one guest: the emulated one (IDE) and the paravirtual one (virtio-blk), in Tabvisor, v86 and QEMU. guest/mix/disk.c is what runs.

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deviceGuest } from './device-guest.ts';
import {
  benchDevices, type Column, type DeviceCase, type DeviceRatio, deviceRatios, type DeviceResult, deviceTables, exits, medianMicroseconds, megabytes, operations,
  p99Microseconds,
} from './device-tests.ts';
import { type LinuxGuest, root } from './guests.ts';
import type { Peer } from './peers/peer.ts';

export const DISK_MIB = 64;
const BLOCK = 4096;
/** Where v86 can take part. */
const ARCH = 'i386';

type Device = 'ide' | 'virtio-blk';
const DEVICES: readonly Device[] = ['ide', 'virtio-blk'];

/** Each block of 4 KiB begins with its number times this, as disk.c has it. */
const FACTOR = 0x9e3779b97f4a7c15n;

/** The disk's image, made anew. */
export function makeImage(file: string, mib: number): void {
  mkdirSync(dirname(file), { recursive: true });
  const blocks = new DataView(new ArrayBuffer(mib * 2 ** 20));
  for (let n = 0; n < blocks.byteLength / BLOCK; n++) blocks.setBigUint64(n * BLOCK, BigInt.asUintN(64, BigInt(n + 1) * FACTOR), true);
  const fd = openSync(file, 'w');
  writeSync(fd, blocks);
  closeSync(fd);
}

const MODULES: Record<Device, readonly string[]> = { ide: ['ata_piix', 'sd_mod'], 'virtio-blk': ['virtio_pci', 'virtio_blk'] };

export function diskGuest(device: Device, image: string, ms: number, arch: 'amd64' | 'i386' = ARCH): LinuxGuest {
  const path = device === 'ide' ? '/dev/sda' : '/dev/vda';
  return {
    ...deviceGuest(`disk-${device}`, arch, MODULES[device], [], 'disk', [`dev=${path}`, `mib=${DISK_MIB}`, `ms=${ms}`]),
    more: ['-drive', `file=${image},format=raw,if=${device === 'ide' ? 'ide' : 'virtio'}`],
    v86: { hda: { file: image } },
  };
}

export function benchDisk(peers: readonly Peer[], runs: number, timeS: number, say: (text: string) => void): Promise<DeviceResult[]> {
  const image = join(root, 'build/bench/disk.img');
  const cases = DEVICES.map((device): DeviceCase => ({
    device,
    guest: diskGuest(device, image, Math.round(timeS * 1000)),
    refuses: (peer) => (peer.name.includes('chromium') ? 'the figures of disks are taken under Node' : peer.name.startsWith('v86') && device !== 'ide' ? 'v86 has no virtio-blk' : undefined),
    prepare: () => makeImage(image, DISK_MIB),
  }));
  return benchDevices('disk', cases, peers, runs, say);
}

const COLUMNS: readonly Column[] = [
  { title: 'read, MB/s', test: 'read', of: megabytes, decimals: 1 },
  { title: 'write, MB/s', test: 'write', of: megabytes, decimals: 1 },
  { title: '4 KiB reads/s', test: 'read-4k', of: operations, decimals: 0 },
  { title: 'median, µs', test: 'read-4k', of: medianMicroseconds, decimals: 0 },
  { title: 'p99, µs', test: 'read-4k', of: p99Microseconds, decimals: 0 },
  { title: '4 KiB writes/s', test: 'write-4k', of: operations, decimals: 0 },
  { title: 'reads/s, 32 under way', test: 'read-4k-32', of: operations, decimals: 0 },
  { title: 'writes/s, 32', test: 'write-4k-32', of: operations, decimals: 0 },
  { title: 'exits a read', test: 'read-4k', of: exits, decimals: 2 },
  { title: 'exits a read, 32', test: 'read-4k-32', of: exits, decimals: 2 },
  { title: 'exits a 256 KiB read', test: 'read', of: exits, decimals: 2 },
];
const SPEEDS = ['read', 'write', 'read-4k', 'write-4k', 'read-4k-32', 'write-4k-32'];

export const diskRatios = (results: readonly DeviceResult[]): DeviceRatio[] => deviceRatios(results, SPEEDS, 'virtio-blk');
export const diskTables = (results: readonly DeviceResult[]): string => deviceTables(`disk, ${ARCH}`, results, COLUMNS, SPEEDS, 'virtio-blk');
