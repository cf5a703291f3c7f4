import { beforeEach, describe, expect, it } from 'vitest';
import {
  CONFIG_ACTUAL, CONFIG_NUM_PAGES, CONFIG_POISON_VAL, DEFLATE, INFLATE, REPORTING, STATS, VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_REPORTING, VIRTIO_BALLOON_F_STATS_VQ, VirtioBalloon, type VirtioBalloonOptions,
} from './balloon.ts';
import { CONFIG_GENERATION, DEVICE, DEVICE_FEATURE, NUM_QUEUES } from './pci.ts';
import { type TestDriver, TestMemory, TestSlot } from './testing.ts';

const RAM = 64 << 20;
const MIB = 1 << 20;
const DATA = 0x10000;
const ALL = VIRTIO_BALLOON_F_STATS_VQ | VIRTIO_BALLOON_F_PAGE_POISON | VIRTIO_BALLOON_F_REPORTING;
let memory: TestMemory;
let balloon: VirtioBalloon;
let slot: TestSlot;
let queues: TestDriver[];

function build(options: Partial<VirtioBalloonOptions> = { freePageReporting: true, statsInterval: 2 }): void {
  memory = new TestMemory(0x40000);
  balloon = new VirtioBalloon({ ramSize: RAM, ...options });
  slot = new TestSlot(balloon, memory);
}

beforeEach(() => {
  build();
  queues = slot.start(ALL, 4);
});

function statistics(...list: [tag: number, value: bigint][]): void {
  list.forEach(([tag, value], i) => {
    memory.write16(DATA + 10 * i, tag);
    memory.write(DATA + 10 * i + 2, new Uint8Array(new BigUint64Array([value]).buffer));
  });
  queues[STATS].add([{ address: DATA, length: 10 * list.length }], []);
  slot.kick(STATS);
}

const later = (seconds: number) => {
  slot.clock.advance(seconds * 1e9);
  slot.clock.runExpired();
};

describe('virtio-balloon', () => {
  it('asks for pages through its configuration, and hears what it got', () => {
    slot.enableMsix();
    slot.modern.write(0x10, 2, 0);
    const generation = slot.modern.read(CONFIG_GENERATION, 1);
    balloon.setTarget(48 * MIB);
    expect(slot.modern.read(DEVICE + CONFIG_NUM_PAGES, 4)).toBe((16 * MIB) / 4096);
    expect(slot.modern.read(CONFIG_GENERATION, 1)).not.toBe(generation);
    expect(slot.messages).toEqual([0]);
    expect(balloon.actual).toBe(RAM);
    slot.modern.write(DEVICE + CONFIG_ACTUAL, 4, 1024);
    expect(balloon.actual).toBe(60 * MIB);
    // Only these two are the driver's.
    slot.modern.write(DEVICE + CONFIG_NUM_PAGES, 4, 1);
    expect(slot.modern.read(DEVICE + CONFIG_NUM_PAGES, 4)).toBe(4096);
    slot.modern.write(DEVICE + CONFIG_POISON_VAL, 4, 0xaaaaaaaa);
    expect(slot.modern.read(DEVICE + CONFIG_POISON_VAL, 4)).toBe(0xaaaaaaaa);
    slot.modern.write(DEVICE + CONFIG_ACTUAL + 2, 4, 0xffffffff);
    expect(balloon.actual).toBe(60 * MIB);
    slot.modern.write(DEVICE + CONFIG_ACTUAL, 4, 0xffffffff);
    expect(balloon.actual).toBe(0);
    balloon.setTarget(1e15);
    expect(slot.modern.read(DEVICE + CONFIG_NUM_PAGES, 4)).toBe(0);
  });

  it('takes lists of pages and passes over what is no RAM', () => {
    const list = (queue: number, ...pages: number[]) => {
      pages.forEach((page, i) => memory.write32(DATA + 4 * i, page));
      queues[queue].add([{ address: DATA, length: 4 * pages.length + 3 }], []);
      slot.kick(queue);
      expect(queues[queue].used()).toEqual([{ head: expect.any(Number), written: 0 }]);
    };
    list(INFLATE, 1, 2, 3, RAM / 4096, 0xffffffff);
    expect(balloon.inflated).toBe(3);
    list(DEFLATE, 2);
    expect(balloon.inflated).toBe(2);
    list(INFLATE, ...Array.from({ length: 5000 }, (_, i) => i));
    expect(balloon.inflated).toBe(5002);
    slot.fn.reset();
    expect(balloon.inflated).toBe(0);
  });

  it('keeps the buffer for statistics until it wants new ones', () => {
    later(1);
    statistics([4, 123n], [5, 2n ** 63n], [77, 1n], [0, 9n]);
    expect([...balloon.statistics]).toEqual([['stat-free-memory', 123n], ['stat-total-memory', 2n ** 63n], ['stat-swap-in', 9n]]);
    expect(balloon.statisticsUpdated).toBe(1e9);
    expect(queues[STATS].used()).toEqual([]);
    later(1.9);
    expect(queues[STATS].used()).toEqual([]);
    later(0.1);
    expect(queues[STATS].used()).toHaveLength(1);
    statistics([4, 456n]);
    expect(balloon.statistics.get('stat-free-memory')).toBe(456n);
    // Another one, unasked: the first comes back.
    statistics([4, 789n]);
    expect(queues[STATS].used()).toHaveLength(1);
    expect(balloon.statistics.get('stat-free-memory')).toBe(789n);
    slot.fn.reset();
    expect(slot.clock.nextDeadline()).toBe(Infinity);
  });

  it('asks for none unless it is told how often', () => {
    build({});
    queues = slot.start(VIRTIO_BALLOON_F_STATS_VQ, 3);
    statistics([4, 1n]);
    expect(slot.clock.nextDeadline()).toBe(Infinity);
  });

  it('asks as often as it is told later: first at once, and no more with 0', () => {
    build({});
    queues = slot.start(VIRTIO_BALLOON_F_STATS_VQ, 3);
    statistics([4, 1n]);
    balloon.statsInterval = 5;
    later(0);
    expect(queues[STATS].used()).toHaveLength(1);
    statistics([4, 2n]);
    balloon.statsInterval = 2;
    later(1.9);
    expect(queues[STATS].used()).toHaveLength(0);
    const state = balloon.save();
    later(0.1);
    expect(queues[STATS].used()).toHaveLength(1);
    statistics([4, 3n]);
    balloon.statsInterval = 0;
    expect(slot.clock.nextDeadline()).toBe(Infinity);
    balloon.load(state);
    expect(balloon.statsInterval).toBe(2);
  });

  it('hears of free pages', () => {
    queues[REPORTING].add([], [{ address: 0x20000, length: 0x2000 }, { address: 0x30000, length: 0x1000 }]);
    slot.kick(REPORTING);
    expect(queues[REPORTING].used()).toHaveLength(1);
    expect(balloon.reported).toBe(0x3000);
  });

  it('offers what it was made for', () => {
    const offered = () => slot.modern.read(DEVICE_FEATURE, 4) & 0x3f;
    expect(offered()).toBe(Number(ALL));
    expect(slot.modern.read(NUM_QUEUES, 2)).toBe(4);
    build({ pagePoison: false, deflateOnOom: true });
    expect(offered()).toBe(Number(VIRTIO_BALLOON_F_STATS_VQ | VIRTIO_BALLOON_F_DEFLATE_ON_OOM));
    expect(slot.modern.read(NUM_QUEUES, 2)).toBe(3);
    slot.modern.write(DEVICE + CONFIG_POISON_VAL, 4, 1);
    expect(slot.modern.read(DEVICE + CONFIG_POISON_VAL, 4)).toBe(0);
  });

  it('goes on from a saved state', () => {
    statistics([4, 123n]);
    balloon.setTarget(32 * MIB);
    later(1);
    const saved = structuredClone(slot.fn.save());
    const before = balloon;
    build();
    memory = slot.memory as TestMemory;
    expect(before.statistics.size).toBe(1);
    slot.clock.advance(1e9);
    slot.fn.load(saved);
    expect(balloon.statistics.get('stat-free-memory')).toBe(123n);
    expect(slot.clock.nextDeadline()).toBeLessThanOrEqual(2e9);
    expect(slot.modern.read(DEVICE + CONFIG_NUM_PAGES, 4)).toBe((32 * MIB) / 4096);
  });
});
