// Disks in one guest: the emulated one (IDE) and the paravirtual one (virtio-blk), in Tabvisor, v86 and QEMU. guest/mix/disk.c is what runs.

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deviceGuest } from './device-guest.ts';
import { type LinuxGuest, root } from './guests.ts';
import type { Peer } from './peers/peer.ts';
import { figure, medianOf, table } from './statistics.ts';

export const DISK_MIB = 64;
const BLOCK = 4096;
const TIMEOUT_S = 300;
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

export interface DiskTest {
  test: string;
  requests: number;
  bytes: number;
  ns: number;
  medianNs: number;
  p99Ns: number;
  /** Accesses to device registers, of a machine that tells. */
  exits?: number;
}

export function readTests(output: string, marks: readonly { mark: string; deviceExits: number }[]): DiskTest[] {
  const text = output.replaceAll('\r', '');
  if (!/^ended 0$/m.test(text)) throw new Error(`the disk program has gone wrong: ${/^.*FAILED.*$/m.exec(text)?.[0] ?? text.slice(-300)}`);
  const between = (name: string) => {
    const at = marks.findIndex((it) => it.mark === name);
    return at < 0 || at + 1 >= marks.length ? undefined : marks[at + 1].deviceExits - marks[at].deviceExits;
  };
  // What the marks themselves cost: writing their line, and the time that is waited.
  const idle = between('nothing') ?? 0;
  return [...text.matchAll(/^disk (\S+) (\d+) (\d+) (\d+) (\d+) (\d+)$/gm)].map(([, test, ...numbers]) => {
    const [requests, bytes, ns, medianNs, p99Ns] = numbers.map(Number);
    const exits = between(test);
    return { test, requests, bytes, ns, medianNs, p99Ns, exits: exits === undefined ? undefined : Math.max(0, exits - idle) };
  });
}

export interface DiskResult {
  peer: string;
  title: string;
  device: Device;
  runs: DiskTest[][];
  why?: string;
}

export async function benchDisk(peers: readonly Peer[], runs: number, timeS: number, say: (text: string) => void): Promise<DiskResult[]> {
  const image = join(root, 'build/bench/disk.img');
  const results: DiskResult[] = [];
  for (const device of DEVICES) {
    const guest = diskGuest(device, image, Math.round(timeS * 1000));
    const here = peers.map((peer) => {
      const why = peer.name.includes('chromium') ? 'the figures of disks are taken under Node' : peer.name.startsWith('v86') && device !== 'ide' ? 'v86 has no virtio-blk' : peer.refuses(guest);
      return { peer, result: { peer: peer.name, title: peer.title, device, runs: [], why } as DiskResult };
    });
    results.push(...here.map((it) => it.result));
    for (let n = 1; n <= runs; n++) {
      for (const { peer, result } of here) {
        if (result.why !== undefined) continue;
        makeImage(image, DISK_MIB);
        const run = await peer.start(guest);
        try {
          await run.untilText('\nended ', TIMEOUT_S);
          // The rest of the line, and the counters of the last mark.
          await new Promise((resolve) => setTimeout(resolve, 500));
          result.runs.push(readTests(`${await run.text()}\n`, run.marks()));
          say(`disk ${device}, ${peer.title}, run ${n}: right data`);
        } catch (error) {
          result.why = (error as Error).message;
          say(`disk ${device}, ${peer.title}: ${result.why}`);
        } finally {
          await run.stop();
        }
      }
    }
  }
  return results;
}

type Figure = (test: DiskTest) => number | undefined;
const megabytes: Figure = (test) => test.bytes / 1e6 / (test.ns / 1e9);
const operations: Figure = (test) => test.requests / (test.ns / 1e9);
const exits: Figure = (test) => test.exits === undefined ? undefined : test.exits / test.requests;

const COLUMNS: readonly { title: string; test: string; of: Figure; decimals: number }[] = [
  { title: 'read, MB/s', test: 'read', of: megabytes, decimals: 1 },
  { title: 'write, MB/s', test: 'write', of: megabytes, decimals: 1 },
  { title: '4 KiB reads/s', test: 'read-4k', of: operations, decimals: 0 },
  { title: 'median, µs', test: 'read-4k', of: (test) => test.medianNs / 1000, decimals: 0 },
  { title: 'p99, µs', test: 'read-4k', of: (test) => test.p99Ns / 1000, decimals: 0 },
  { title: '4 KiB writes/s', test: 'write-4k', of: operations, decimals: 0 },
  { title: 'reads/s, 32 under way', test: 'read-4k-32', of: operations, decimals: 0 },
  { title: 'writes/s, 32', test: 'write-4k-32', of: operations, decimals: 0 },
  { title: 'exits a read', test: 'read-4k', of: exits, decimals: 2 },
  { title: 'exits a read, 32', test: 'read-4k-32', of: exits, decimals: 2 },
  { title: 'exits a 256 KiB read', test: 'read', of: exits, decimals: 2 },
];
/** What ratios are taken of. */
const SPEEDS = ['read', 'write', 'read-4k', 'write-4k', 'read-4k-32', 'write-4k-32'];

const at = (run: DiskTest[] | undefined, test: string) => run?.find((it) => it.test === test);
const times = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(2)}×`);

export interface DiskRatio {
  what: string;
  /** Speed against speed, for each of SPEEDS. */
  ratios: Record<string, number | undefined>;
}

/** The emulated device and the paravirtual one of a machine, and each against the peers' own; run by run, medians. */
export function diskRatios(results: readonly DiskResult[]): DiskRatio[] {
  const pairs: [DiskResult, DiskResult][] = [];
  const there = results.filter((it) => it.runs.length);
  for (const own of there.filter((it) => it.peer.startsWith('tabvisor'))) {
    for (const other of there) {
      if (other.peer === own.peer ? own.device === 'virtio-blk' && other.device === 'ide' : !other.peer.startsWith('tabvisor') && other.device === own.device) pairs.push([own, other]);
    }
  }
  return pairs.map(([own, other]) => ({
    what: `${own.title}, ${own.device} : ${other.title}, ${other.device}`,
    ratios: Object.fromEntries(SPEEDS.map((test) => [test, medianOf(own.runs.map((run, n) => {
      const a = at(run, test);
      const b = at(other.runs[n], test);
      return a && b ? operations(a)! / operations(b)! : undefined;
    }))])),
  }));
}

export function diskTables(results: readonly DiskResult[]): string {
  const rows = results.filter((it) => it.runs.length).map((it) => [
    `${it.title}, ${it.device}`,
    ...COLUMNS.map(({ test, of, decimals }) => figure(medianOf(it.runs.map((run) => at(run, test)).map((found) => found && of(found))), decimals)),
  ]);
  const ratios = diskRatios(results).map(({ what, ratios: them }) => [what, ...SPEEDS.map((test) => times(them[test]))]);
  return `${table([`disk, ${ARCH}`, ...COLUMNS.map((it) => it.title)], rows)}\n\n${table(['disk, ratios of speed', ...SPEEDS], ratios)}`;
}
