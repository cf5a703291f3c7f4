import { beforeEach, describe, expect, it } from 'vitest';
import { RepeatableEntropy } from '../machine/entropy.ts';
import { STATUS_NEEDS_RESET } from './device.ts';
import { VirtioRng } from './rng.ts';
import { type TestDriver, TestMemory, TestSlot } from './testing.ts';

let memory: TestMemory;
let slot: TestSlot;
let driver: TestDriver;

beforeEach(() => {
  memory = new TestMemory(0x40000);
  slot = new TestSlot(new VirtioRng(new RepeatableEntropy()), memory);
  [driver] = slot.start(0n);
});

describe('virtio-rng', () => {
  it('fills a buffer', () => {
    const head = driver.add([], [{ address: 0x4000, length: 40 }, { address: 0x5000, length: 24 }]);
    slot.kick(0);
    expect(driver.used()).toEqual([{ head, written: 64 }]);
    const expected = new Uint8Array(64);
    new RepeatableEntropy().fill(expected);
    expect([...memory.bytes(0x4000, 40), ...memory.bytes(0x5000, 24)]).toEqual([...expected]);
    expect(memory.read8(0x4028)).toBe(0);
  });

  it('gives at most 64 KiB at once', () => {
    const head = driver.add([], [{ address: 0x10000, length: 0x20000 }]);
    slot.kick(0);
    expect(driver.used()).toEqual([{ head, written: 65536 }]);
  });

  it('goes on with its sequence from a saved state', () => {
    const next = (s: TestSlot) => {
      driver.add([], [{ address: 0x4000, length: 16 }]);
      s.kick(0);
      driver.used();
      return [...memory.bytes(0x4000, 16)];
    };
    next(slot);
    const saved = structuredClone(slot.fn.save());
    const ring = memory.all.slice();
    const expected = next(slot);
    memory.all.set(ring);
    const other = new TestSlot(new VirtioRng(new RepeatableEntropy()), memory);
    other.fn.load(saved);
    driver = Object.assign(driver, { availIndex: 1, usedSeen: 1 });
    expect(next(other)).toEqual(expected);
  });

  it('gives no more than max-bytes in a period, which begins with a buffer', () => {
    slot = new TestSlot(new VirtioRng(new RepeatableEntropy(), { maxBytes: 100, period: 1000 }), memory);
    memory.all.fill(0);
    [driver] = slot.start(0n);
    slot.clock.advance(5e8);
    const add = () => driver.add([], [{ address: 0x4000, length: 64 }]);
    const written = () => driver.used().map((used) => used.written);
    const later = (ms: number) => {
      slot.clock.advance(ms * 1e6);
      slot.clock.runExpired();
    };
    add();
    add();
    add();
    slot.kick(0);
    expect(written()).toEqual([64, 36]);
    later(999);
    expect(written()).toEqual([]);
    const saved = structuredClone(slot.fn.save());
    later(1);
    expect(written()).toEqual([64]);
    // Nobody waits: no period runs on.
    later(1000);
    expect(slot.clock.nextDeadline()).toBe(Infinity);
    slot.fn.load(saved);
    expect((slot.fn.save() as { device: { device: unknown } }).device.device).toMatchObject({ quota: 0, deadline: 1.5e9 });
  });

  it('stops at a buffer that it should read', () => {
    driver.add([{ address: 0x4000, length: 1 }], [{ address: 0x5000, length: 1 }]);
    slot.kick(0);
    expect(slot.status & STATUS_NEEDS_RESET).toBe(STATUS_NEEDS_RESET);
    expect(driver.used()).toEqual([]);
  });
});
