// Virtio devices beside QEMU's, register by register, with a CPU that does nothing (qtest): what they offer, what stands in their configuration
// space, and how they take rings that break the rules.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildIfOlder } from '../../scripts/build-core.mjs';
import { RawMemory } from '../../src/backends/block/raw-memory.ts';
import type { VcpuModules } from '../../src/engine/vcpu.ts';
import { Machine } from '../../src/machine/machine.ts';
import { parse } from '../../src/machine/options/index.ts';
import { STATUS_ACKNOWLEDGE, STATUS_DRIVER, STATUS_DRIVER_OK, STATUS_FEATURES_OK, STATUS_NEEDS_RESET, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_NOTIFY_ON_EMPTY } from '../../src/virtio/device.ts';
import {
  DEVICE_FEATURE, DEVICE_FEATURE_SELECT, DEVICE_STATUS, DRIVER_FEATURE, DRIVER_FEATURE_SELECT, LEGACY_DEVICE_FEATURES, LEGACY_DEVICE_STATUS, LEGACY_DRIVER_FEATURES, LEGACY_ISR_STATUS,
  LEGACY_QUEUE_ADDRESS, LEGACY_QUEUE_NOTIFY, LEGACY_QUEUE_SIZE, NUM_QUEUES, QUEUE_DESC, QUEUE_DEVICE, QUEUE_DRIVER, QUEUE_ENABLE, QUEUE_NOTIFY_OFF, QUEUE_SELECT, QUEUE_SIZE,
} from '../../src/virtio/pci.ts';
import { VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '../../src/virtio/queue.ts';
import { startQemu, type Target } from '../devices/qtest-qemu.ts';
import { loadModules } from '../oracle/emulator.ts';

const SLOT = 5;
const LEGACY_PORTS = 0xc000;
const STRUCTURES = 0xfe00_0000;
/** A queue's places for the modern interface. */
const DESC = 0x10_0000;
const DRIVER = 0x10_1000;
const DEVICE = 0x10_2000;
const BUFFER = 0x20_0000;
const TABLE = 0x30_0000;
/** Of a legacy queue, whose rings follow its table. */
const LEGACY_QUEUE = 0x40_0000;
const DISK_BYTES = 20 << 20;
/** Behind them are the limits of discarding and of writing zeroes, where ours are others on purpose. */
const CONFIG_COMPARED = 36;
/** What QEMU offers to find legacy drivers that take all that they are offered. */
const BAD_FEATURE = 1 << 30;
/** The interrupt was for configuration or status; QEMU says that a queue has something, too. */
const ISR_CONFIG = 2;

let modules: VcpuModules;
const folder = mkdtempSync(join(tmpdir(), 'qtest-'));
beforeAll(async () => {
  await buildIfOlder();
  modules = loadModules();
  writeFileSync(join(folder, 'disk.img'), disk());
  // Its CPU executes HLT, and nothing wakes it: virtio-rng gives nothing while the machine is stopped.
  writeFileSync(join(folder, 'halt.bin'), new Uint8Array(1 << 16).fill(0xf4));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** Its partition table was written for 5 heads of 17 sectors. */
function disk(): Uint8Array {
  const bytes = new Uint8Array(DISK_BYTES);
  bytes.set([0x80, 1, 1, 0, 0x83, 4, 17, 9], 0x1be);
  new DataView(bytes.buffer).setUint32(0x1be + 8, 17, true);
  new DataView(bytes.buffer).setUint32(0x1be + 12, 833, true);
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

function tabvisor(device: string, withDisk: boolean): Target {
  const words = withDisk ? ['-drive', 'file=disk.img,format=raw,if=none,id=d'] : [];
  const machine = new Machine({
    config: parse(['-m', '64', '-kernel', 'none', '-display', 'none', '-icount', 'shift=3', ...words, '-device', device]),
    modules, files: new Map([['none', multiboot()]]), disks: withDisk ? [new RawMemory(disk())] : [], hostNow: () => 0, date: { epochMs: 0, offsetMs: 0 }, log: null,
  });
  const { pc } = machine;
  const isRam = (address: number): boolean => address < pc.memory.size;
  return {
    in: async (port, size) => pc.ioRead(port, size),
    out: async (port, size, value) => pc.ioWrite(port, size, value),
    read: async (address, size = 4) => {
      if (!isRam(address)) return pc.mmioRead(address | 0, 0, size) >>> 0;
      return size === 4 ? pc.memory.read32(address) >>> 0 : size === 2 ? pc.memory.read16(address) : pc.memory.read8(address);
    },
    write: async (address, value, size = 4) => {
      if (!isRam(address)) return pc.mmioWrite(address | 0, 0, size, value);
      if (size === 4) pc.memory.write32(address, value);
      else if (size === 2) pc.memory.write16(address, value);
      else pc.memory.write8(address, value);
    },
  };
}

/** A kernel that is never started: the smallest that a machine takes. */
function multiboot(): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  const flags = 0x1_0000;
  [0x1bad_b002, flags, -(0x1bad_b002 + flags), 0x10_0000, 0x10_0000, 0, 0, 0x10_0000].forEach((word, n) => view.setInt32(n * 4, word | 0, true));
  return new Uint8Array(view.buffer);
}

/** A driver of one device, whoever has that device. */
class Driver {
  private readonly structures = new Map<number, { at: number; multiplier: number }>();

  private constructor(readonly target: Target) {}

  static async start(target: Target): Promise<Driver> {
    const driver = new Driver(target);
    const put = async (register: number, value: number): Promise<void> => {
      await driver.selectRegister(register);
      await target.out(0xcfc, 4, value >>> 0);
    };
    await put(0x10, LEGACY_PORTS);
    await put(0x20, STRUCTURES);
    await put(0x24, 0);
    // Ports, memory, bus mastering.
    await put(0x04, 7);
    for (let at = (await driver.register(0x34)) & 0xff; at !== 0; ) {
      const head = await driver.register(at);
      if ((head & 0xff) === 0x09) driver.structures.set(head >>> 24, { at: STRUCTURES + (await driver.register(at + 8)), multiplier: await driver.register(at + 16) });
      at = (head >>> 8) & 0xff;
    }
    return driver;
  }

  private selectRegister(register: number): Promise<void> {
    return this.target.out(0xcf8, 4, (0x8000_0000 | (SLOT << 11) | register) >>> 0);
  }

  private async register(register: number): Promise<number> {
    await this.selectRegister(register);
    return this.target.in(0xcfc, 4);
  }

  get(register: number, size: 1 | 2 | 4): Promise<number> {
    return this.target.read(this.structures.get(1)!.at + register, size);
  }

  set(register: number, size: 1 | 2 | 4, value: number): Promise<void> {
    return this.target.write(this.structures.get(1)!.at + register, value, size);
  }

  isr(): Promise<number> {
    return this.target.read(this.structures.get(3)!.at, 1);
  }

  config(at: number): Promise<number> {
    return this.target.read(this.structures.get(4)!.at + at, 1);
  }

  async offered(): Promise<bigint> {
    let out = 0n;
    for (const half of [0, 1]) {
      await this.set(DEVICE_FEATURE_SELECT, 4, half);
      out |= BigInt(await this.get(DEVICE_FEATURE, 4)) << BigInt(32 * half);
    }
    return out;
  }

  /** From reset to DRIVER_OK, with queue 0 at the places above. */
  async begin(features: bigint): Promise<void> {
    await this.set(DEVICE_STATUS, 1, 0);
    await this.isr();
    await this.set(DEVICE_STATUS, 1, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    for (const half of [0, 1]) {
      await this.set(DRIVER_FEATURE_SELECT, 4, half);
      await this.set(DRIVER_FEATURE, 4, Number(((features | (1n << 32n)) >> BigInt(32 * half)) & 0xffff_ffffn));
    }
    await this.set(DEVICE_STATUS, 1, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    for (let n = 0; n < 0x4000; n += 4) await this.target.write(DESC + n, 0);
    await this.set(QUEUE_SELECT, 2, 0);
    for (const [register, address] of [[QUEUE_DESC, DESC], [QUEUE_DRIVER, DRIVER], [QUEUE_DEVICE, DEVICE]]) {
      await this.set(register, 4, address);
      await this.set(register + 4, 4, 0);
    }
    await this.set(QUEUE_ENABLE, 2, 1);
    await this.set(DEVICE_STATUS, 1, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
  }

  async descriptor(n: number, [address, length, flags = VIRTQ_DESC_F_WRITE, next = 0]: Descriptor, table = DESC): Promise<void> {
    const at = table + 16 * n;
    for (const [offset, value] of [[0, address], [4, 0], [8, length], [12, flags | (next << 16)]]) await this.target.write(at + offset, value >>> 0);
  }

  /** Buffers by their first descriptors, from entry 0 of the ring on, and what its idx says; then the bell. */
  async offer(heads: readonly number[], idx: number): Promise<void> {
    for (let n = 0; n < heads.length; n++) await this.target.write(DRIVER + 4 + 2 * n, heads[n], 2);
    await this.target.write(DRIVER + 2, idx, 2);
    const { at, multiplier } = this.structures.get(2)!;
    await this.target.write(at + (await this.get(QUEUE_NOTIFY_OFF, 2)) * multiplier, 0, 2);
    await settled(this.target);
  }

  used(): Promise<number> {
    return this.target.read(DEVICE + 2, 2);
  }
}

type Descriptor = readonly [address: number, length: number, flags?: number, next?: number];

/** QEMU's entropy comes from its main loop, not with the bell; each command here is at least one turn of that. */
async function settled(target: Target): Promise<void> {
  for (let n = 0; n < 20; n++) await target.read(BUFFER);
}

/** The same with QEMU's device and with ours. */
async function beside<T>(device: string, withDisk: boolean, probe: (driver: Driver) => Promise<T>): Promise<{ qemu: T; tabvisor: T }> {
  const drive = withDisk ? ['-drive', `file=${join(folder, 'disk.img')},format=raw,if=none,id=d,snapshot=on`] : [];
  // Without another thread that the bell wakes, QEMU has answered when the bell has been rung.
  const { target, end } = startQemu(['-m', '64', '-bios', join(folder, 'halt.bin'), '-serial', 'null', ...drive, '-device', `${device},ioeventfd=off`]);
  try {
    return { qemu: await probe(await Driver.start(target)), tabvisor: await probe(await Driver.start(tabvisor(device, withDisk))) };
  } finally {
    end();
  }
}

const RNG = `virtio-rng-pci,addr=${SLOT}`;

/** A name, features, descriptors by their numbers, those of a table elsewhere, and the ring. */
const BROKEN: readonly [string, bigint, Record<number, Descriptor>, readonly Descriptor[], readonly number[], number][] = [
  ['an idx far ahead', 0n, { 0: [BUFFER, 16] }, [], [0], 1000],
  ['a head outside the table', 0n, { 0: [BUFFER, 16] }, [], [200], 1],
  ['a next outside the table', 0n, { 0: [BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 200] }, [], [0], 1],
  ['a chain that bites its tail', 0n, { 0: [BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 1], 1: [BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 0] }, [], [0], 1],
  ['a buffer of nothing', 0n, { 0: [BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 1], 1: [BUFFER, 0] }, [], [0], 1],
  ['a readable buffer behind a writable one', 0n, { 0: [BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 1], 1: [BUFFER, 16, 0] }, [], [0], 1],
  ['an indirect table of half descriptors', VIRTIO_F_INDIRECT_DESC, { 0: [TABLE, 24, VIRTQ_DESC_F_INDIRECT] }, [[BUFFER, 16]], [0], 1],
  ['an indirect table of nothing', VIRTIO_F_INDIRECT_DESC, { 0: [TABLE, 0, VIRTQ_DESC_F_INDIRECT] }, [], [0], 1],
  ['a next outside an indirect table', VIRTIO_F_INDIRECT_DESC, { 0: [TABLE, 16, VIRTQ_DESC_F_INDIRECT] }, [[BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 1]], [0], 1],
  ['an indirect table that bites its tail', VIRTIO_F_INDIRECT_DESC, { 0: [TABLE, 16, VIRTQ_DESC_F_INDIRECT] }, [[BUFFER, 16, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 0]], [0], 1],
];

describe('virtio devices beside QEMU', () => {
  it.each([
    ['a disk', `virtio-blk-pci,addr=${SLOT},drive=d`], ['one with larger blocks', `virtio-blk-pci,addr=${SLOT},drive=d,logical_block_size=4096,physical_block_size=4096`],
    ['one that offers less', `virtio-blk-pci,addr=${SLOT},drive=d,notify_on_empty=off,any_layout=off,event_idx=off,discard=off,write-zeroes=off,config-wce=off,queue-size=64`],
  ])('offer the same: %s', { timeout: 60_000 }, async (_, device) => {
    const { qemu, tabvisor } = await beside(device, true, async (driver) => {
      const { target } = driver;
      await driver.set(QUEUE_SELECT, 2, 0);
      const config: number[] = [];
      for (let at = 0; at < CONFIG_COMPARED; at++) config.push(await driver.config(at));
      return {
        legacy: ((await target.in(LEGACY_PORTS + LEGACY_DEVICE_FEATURES, 4)) & ~BAD_FEATURE).toString(16), modern: (await driver.offered()).toString(16),
        queues: [await driver.get(NUM_QUEUES, 2), await driver.get(QUEUE_SIZE, 2)], config: Buffer.from(config).toString('hex').replace(/(.{8})/g, '$1 '),
      };
    });
    expect(tabvisor).toEqual(qemu);
  });

  it.each(BROKEN)('take what breaks the rules as QEMU does: %s', { timeout: 60_000 }, async (_, features, descriptors, table, heads, idx) => {
    const { qemu, tabvisor } = await beside(RNG, false, async (driver) => {
      await driver.begin(features);
      for (const [n, it] of Object.entries(descriptors)) await driver.descriptor(Number(n), it);
      for (const [n, it] of table.entries()) await driver.descriptor(n, it, TABLE);
      await driver.offer(heads, idx);
      const seen = { status: await driver.get(DEVICE_STATUS, 1), isr: (await driver.isr()) & ISR_CONFIG, used: await driver.used() };
      // Nothing is served until it is reset, and then all is.
      await driver.descriptor(2, [BUFFER, 16]);
      await driver.offer([2, 2], 1);
      const dead = { status: await driver.get(DEVICE_STATUS, 1), used: await driver.used() };
      await driver.begin(features);
      const fresh = await driver.get(DEVICE_STATUS, 1);
      await driver.descriptor(0, [BUFFER, 16]);
      await driver.offer([0], 1);
      return { seen, dead, fresh, again: { status: await driver.get(DEVICE_STATUS, 1), isr: await driver.isr(), used: await driver.used() } };
    });
    expect(tabvisor).toEqual(qemu);
    expect(qemu.seen.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
    expect(qemu.again).toMatchObject({ isr: 1, used: 1 });
  });

  it('take a buffer outside RAM for broken, which QEMU fills with nobody there', { timeout: 60_000 }, async () => {
    const { qemu, tabvisor } = await beside(RNG, false, async (driver) => {
      await driver.begin(0n);
      await driver.descriptor(0, [0x8000_0000, 16]);
      await driver.offer([0], 1);
      return [(await driver.get(DEVICE_STATUS, 1)) & STATUS_NEEDS_RESET, await driver.used()];
    });
    expect([qemu, tabvisor]).toEqual([[0, 1], [STATUS_NEEDS_RESET, 0]]);
  });

  it.each([['asked for', VIRTIO_F_NOTIFY_ON_EMPTY], ['not asked for', 0n], ['with EVENT_IDX', VIRTIO_F_NOTIFY_ON_EMPTY | VIRTIO_F_EVENT_IDX]])(
    'interrupt a legacy driver that wants none when the queue is empty: %s', { timeout: 60_000 }, async (_, features) => {
      const { qemu, tabvisor } = await beside(RNG, false, async ({ target }) => {
        const set = (register: number, size: 1 | 2 | 4, value: number): Promise<void> => target.out(LEGACY_PORTS + register, size, value);
        await set(LEGACY_DEVICE_STATUS, 1, 0);
        await set(LEGACY_DEVICE_STATUS, 1, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
        await set(LEGACY_DRIVER_FEATURES, 4, Number(features));
        const size = await target.in(LEGACY_PORTS + LEGACY_QUEUE_SIZE, 2);
        const available = LEGACY_QUEUE + 16 * size;
        const used = (available + 6 + 2 * size + 4095) & ~4095;
        for (let at = LEGACY_QUEUE; at < used + 4096; at += 4) await target.write(at, 0);
        // Two buffers of 16 bytes, and no interrupt wanted, by either way to say so.
        for (const n of [0, 1]) for (const [at, value] of [[0, BUFFER + 64 * n], [8, 16], [12, VIRTQ_DESC_F_WRITE]]) await target.write(LEGACY_QUEUE + 16 * n + at, value);
        await target.write(available, VIRTQ_AVAIL_F_NO_INTERRUPT, 2);
        await target.write(available + 6, 1, 2);
        await target.write(available + 4 + 2 * size, 1000, 2);
        await set(LEGACY_QUEUE_ADDRESS, 4, LEGACY_QUEUE >> 12);
        await set(LEGACY_DEVICE_STATUS, 1, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK);
        const seen: number[][] = [];
        for (const idx of [1, 2]) {
          await target.write(available + 2, idx, 2);
          await set(LEGACY_QUEUE_NOTIFY, 2, 0);
          await settled(target);
          seen.push([await target.read(used + 2, 2), await target.in(LEGACY_PORTS + LEGACY_ISR_STATUS, 1)]);
        }
        return seen;
      });
      expect(tabvisor).toEqual(qemu);
      const wants = features & VIRTIO_F_NOTIFY_ON_EMPTY ? 1 : 0;
      expect(qemu[1]).toEqual([2, wants]);
    });
});
