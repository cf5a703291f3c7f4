import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { RepeatableEntropy } from '../machine/entropy.ts';
import { STATUS_NEEDS_RESET, VirtioDevice, VirtioType, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from './device.ts';
import {
  COMMON, CONFIG_GENERATION, CONFIG_MSIX_VECTOR, DEVICE, DEVICE_FEATURE, DEVICE_FEATURE_SELECT, ISR, LEGACY_CONFIG_MSIX_VECTOR, LEGACY_DEVICE_FEATURES,
  LEGACY_DEVICE_STATUS, LEGACY_DRIVER_FEATURES, LEGACY_ISR_STATUS, LEGACY_QUEUE_ADDRESS, LEGACY_QUEUE_MSIX_VECTOR, LEGACY_QUEUE_NOTIFY, LEGACY_QUEUE_SELECT,
  LEGACY_QUEUE_SIZE, NOTIFY, NUM_QUEUES, QUEUE_DESC, QUEUE_ENABLE, QUEUE_MSIX_VECTOR, QUEUE_NOTIFY_OFF, QUEUE_RESET, QUEUE_SELECT, QUEUE_SIZE,
} from './pci.ts';
import { VirtioRng } from './rng.ts';
import { TestDriver, TestMemory, TestSlot } from './testing.ts';

/** Copies what it is given, upside down, and counts in its configuration. */
class Mirror extends VirtioDevice {
  resets = 0;
  constructor() {
    super({ name: 'virtio-mirror', type: VirtioType.CONSOLE, pciClass: 0x0780, queues: [8, 16], features: 1n << 3n, configLength: 10 });
    this.config.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  }
  protected notified(index: number): void {
    this.serve(index, (chain) => chain.write(0, chain.read(0, chain.readableLength).reverse()));
  }
  protected override onReset(): void {
    this.resets++;
  }
  bump(): void {
    this.changeConfig((config) => config.setUint16(8, config.getUint16(8, true) + 1, true));
  }
}

const RAM = 0x20000;
const DATA = 0x10000;
let memory: TestMemory;
let device: Mirror;
let slot: TestSlot;

beforeEach(() => {
  memory = new TestMemory(RAM);
  device = new Mirror();
  slot = new TestSlot(device, memory);
});

const roundTrip = (driver: TestDriver, kick: () => void) => {
  memory.write(DATA, Uint8Array.of(1, 2, 3));
  memory.write(DATA + 16, new Uint8Array(3));
  const head = driver.add([{ address: DATA, length: 3 }], [{ address: DATA + 16, length: 8 }]);
  kick();
  expect(driver.used()).toEqual([{ head, written: 3 }]);
  expect([...memory.bytes(DATA + 16, 3)]).toEqual([3, 2, 1]);
};

describe('identity', () => {
  it('transitional, legacy or modern, as QEMU numbers them', () => {
    const identity = ({ fn }: TestSlot) => [fn.get16(0), fn.get16(2), fn.config[8], fn.get16(0x2c), fn.get16(0x2e), fn.resources.map(({ register }) => register)];
    expect(identity(slot)).toEqual([0x1af4, 0x1003, 0, 0x1af4, 3, [0x10, 0x14, 0x20]]);
    expect(identity(new TestSlot(new Mirror(), memory, { legacy: false }))).toEqual([0x1af4, 0x1043, 1, 0x1af4, 0x1100, [0x14, 0x20]]);
    expect(identity(new TestSlot(new Mirror(), memory, { modern: false, vectors: 0 }))).toEqual([0x1af4, 0x1003, 0, 0x1af4, 3, [0x10]]);
    expect(() => new TestSlot(new Mirror(), memory, { legacy: false, modern: false })).toThrow('needs');
  });

  it('has a capability for each structure', () => {
    const { fn } = slot;
    const found = slot.capabilities().filter(({ id }) => id === 9).map(({ type, at }) => [type, fn.config[at + 2], fn.config[at + 4], fn.get32(at + 8)]);
    expect(found).toEqual([[1, 16, 4, COMMON], [3, 16, 4, ISR], [4, 16, 4, DEVICE], [2, 20, 4, NOTIFY], [5, 20, 0, 0]]);
    // No configuration, no structure for it.
    expect(new TestSlot(new VirtioRng(new RepeatableEntropy()), memory).capabilities().map(({ type }) => type)).not.toContain(4);
  });
});

describe('the modern interface', () => {
  it('offers features by halves', () => {
    const features = [0, 1, 2, 0xffffffff].map((select) => {
      slot.modern.write(DEVICE_FEATURE_SELECT, 4, select);
      return slot.modern.read(DEVICE_FEATURE, 4);
    });
    expect(features).toEqual([0x30000008, 0x101, 0, 0]);
  });

  it('does not offer what its user has switched off, on either interface', () => {
    const without = new TestSlot(new Mirror(), memory, { withheld: ['event_idx'] });
    without.modern.write(DEVICE_FEATURE_SELECT, 4, 0);
    expect(without.modern.read(DEVICE_FEATURE, 4)).toBe(0x10000008);
    expect(without.legacy.read(LEGACY_DEVICE_FEATURES, 4)).toBe(0x19000008);
    expect(without.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX)).toBe(false);
    expect(without.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC)).toBe(true);
  });

  it('agrees only on what it offered, and on VERSION_1', () => {
    expect(slot.negotiate(VIRTIO_F_VERSION_1)).toBe(true);
    expect(slot.negotiate(8n | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX)).toBe(true);
    expect(device.features).toBe(8n | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX);
    expect(slot.negotiate(8n)).toBe(false);
    expect(slot.status).toBe(3);
    expect(slot.negotiate(VIRTIO_F_VERSION_1 | 4n)).toBe(false);
    expect(slot.negotiate(VIRTIO_F_VERSION_1 | (1n << 34n))).toBe(false);
    expect(device.features).toBe(0n);
  });

  it('runs a queue from set-up to interrupt', () => {
    const [driver] = slot.start(VIRTIO_F_INDIRECT_DESC);
    roundTrip(driver, () => slot.kick(0));
    expect(slot.intx).toBe(true);
    expect(slot.fn.get16(6) & 8).toBe(8);
    expect(slot.modern.read(ISR, 1)).toBe(1);
    expect(slot.intx).toBe(false);
    expect(slot.modern.read(ISR, 1)).toBe(0);
  });

  it('shows its queues', () => {
    expect(slot.modern.read(NUM_QUEUES, 2)).toBe(2);
    slot.start(0n, 1, 0x4000);
    const read = () => [QUEUE_SIZE, QUEUE_ENABLE, QUEUE_NOTIFY_OFF, QUEUE_MSIX_VECTOR].map((register) => slot.modern.read(register, 2));
    expect(read()).toEqual([8, 1, 0, 1]);
    expect(slot.modern.read(QUEUE_DESC, 4)).toBe(0x4000);
    // What is enabled stays.
    slot.modern.write(QUEUE_DESC, 4, 0x5000);
    slot.modern.write(QUEUE_ENABLE, 2, 0);
    slot.modern.write(QUEUE_SIZE, 2, 4);
    expect(read()).toEqual([8, 1, 0, 1]);
    expect(slot.modern.read(QUEUE_DESC, 4)).toBe(0x4000);
    slot.modern.write(QUEUE_SELECT, 2, 1);
    expect(read()).toEqual([16, 0, 1, 0xffff]);
    slot.modern.write(QUEUE_SELECT, 2, 2);
    expect(read()).toEqual([0, 0, 0, 0xffff]);
    slot.status = 0;
    expect(slot.modern.read(QUEUE_SELECT, 2)).toBe(0);
    expect(read()).toEqual([8, 0, 0, 0xffff]);
  });

  it('consumes nothing before DRIVER_OK, without bus mastering, or after a reset', () => {
    slot.negotiate(VIRTIO_F_VERSION_1);
    const driver = slot.setUpQueue(0, { size: 8, desc: 0x1000, driver: 0x1400, device: 0x1800 });
    driver.add([{ address: DATA, length: 1 }], [{ address: DATA, length: 1 }]);
    slot.kick(0);
    expect(driver.used()).toEqual([]);
    // What waits is taken then.
    slot.status = 15;
    expect(driver.used()).toHaveLength(1);
    driver.add([{ address: DATA, length: 1 }], [{ address: DATA, length: 1 }]);
    slot.fn.writeConfig(4, 2, 3);
    slot.kick(0);
    expect(driver.used()).toEqual([]);
    slot.fn.writeConfig(4, 2, 7);
    slot.kick(1);
    slot.kick(2);
    slot.kick(1000);
    expect(driver.used()).toEqual([]);
    slot.kick(0);
    expect(driver.used()).toHaveLength(1);
    slot.status = 0;
    expect(slot.status).toBe(0);
    driver.add([{ address: DATA, length: 1 }], []);
    slot.kick(0);
    expect(driver.used()).toEqual([]);
  });

  it('enables no queue before the features are agreed on', () => {
    slot.status = 3;
    slot.setUpQueue(0, { size: 8, desc: 0x1000, driver: 0x1400, device: 0x1800 });
    expect(slot.modern.read(QUEUE_ENABLE, 2)).toBe(0);
  });

  it('changes its generation with its configuration, and says so', () => {
    slot.start(0n);
    expect(slot.modern.read(DEVICE, 4)).toBe(0x04030201);
    expect(slot.modern.read(DEVICE + 8, 2)).toBe(0x0a09);
    expect(slot.modern.read(DEVICE + 9, 4)).toBe(0x0a);
    const before = slot.modern.read(CONFIG_GENERATION, 1);
    device.bump();
    expect(slot.modern.read(CONFIG_GENERATION, 1)).not.toBe(before);
    expect(slot.modern.read(DEVICE + 8, 2)).toBe(0x0a0a);
    expect(slot.intx).toBe(true);
    expect(slot.modern.read(ISR, 1)).toBe(2);
    slot.status = 0;
    device.bump();
    expect(slot.intx).toBe(false);
  });

  it('resets a queue, and leaves the others (2.6.1)', () => {
    const { modern } = slot;
    const [first, second] = slot.start(VIRTIO_F_RING_RESET, 2);
    roundTrip(first, () => slot.kick(0));
    roundTrip(second, () => slot.kick(1));
    const state = (queue: number): number[] => {
      modern.write(QUEUE_SELECT, 2, queue);
      return [modern.read(QUEUE_ENABLE, 2), modern.read(QUEUE_SIZE, 2), modern.read(QUEUE_MSIX_VECTOR, 2), modern.read(QUEUE_DESC, 4), modern.read(QUEUE_RESET, 2)];
    };
    expect(state(1)).toEqual([1, 8, 2, 0x2000, 0]);
    // Nothing but 1 does it.
    for (const value of [0, 2, 0xfffe]) modern.write(QUEUE_RESET, 2, value);
    expect(state(1)).toEqual([1, 8, 2, 0x2000, 0]);
    modern.write(QUEUE_RESET, 2, 1);
    expect(state(1)).toEqual([0, 16, 0xffff, 0, 0]);
    second.add([{ address: DATA, length: 1 }], []);
    slot.kick(1);
    expect(second.used()).toEqual([]);
    expect([state(0), slot.status, device.resets]).toEqual([[1, 8, 1, 0x1000, 0], 15, 2]);
    roundTrip(first, () => slot.kick(0));
    // It begins anew, elsewhere and larger, with the features that were agreed on.
    const again = slot.setUpQueue(1, { size: 16, desc: 0x4000, driver: 0x4400, device: 0x4800 });
    for (let n = 0; n < 40; n++) roundTrip(again, () => slot.kick(1));
    // One that was broken does not make the device whole.
    again.offer(99);
    slot.kick(1);
    expect(state(1)[0]).toBe(1);
    modern.write(QUEUE_RESET, 2, 1);
    slot.setUpQueue(1, { size: 16, desc: 0x5000, driver: 0x5400, device: 0x5800 });
    expect(slot.status).toBe(15 | STATUS_NEEDS_RESET);
  });

  it('resets no queue of a driver that did not take RING_RESET, and offers it unless told not to', () => {
    const [driver] = slot.start(0n);
    slot.modern.write(QUEUE_SELECT, 2, 0);
    slot.modern.write(QUEUE_RESET, 2, 1);
    roundTrip(driver, () => slot.kick(0));
    expect(new TestSlot(new Mirror(), memory, { withheld: ['queue_reset'] }).negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)).toBe(false);
    expect(slot.negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)).toBe(true);
  });

  it('stops with NEEDS_RESET when the driver breaks a queue, until a reset', () => {
    const [driver] = slot.start(0n);
    driver.offer(99);
    slot.kick(0);
    expect(slot.status).toBe(15 | STATUS_NEEDS_RESET);
    expect(slot.modern.read(ISR, 1)).toBe(2);
    expect(device.failure).toContain('descriptor 99');
    // Not cleared by writing, and nothing works meanwhile.
    slot.status = 15;
    expect(slot.status).toBe(15 | STATUS_NEEDS_RESET);
    slot.kick(0);
    expect(slot.intx).toBe(false);
    const resets = device.resets;
    memory.all.fill(0);
    const [again] = slot.start(0n);
    expect(device.resets).toBe(resets + 1);
    roundTrip(again, () => slot.kick(0));
  });

  it('can be reached through configuration space', () => {
    const { at } = slot.capabilities().find(({ id, type }) => id === 9 && type === 5)!;
    const { fn } = slot;
    const select = (bar: number, offset: number, length: number) => {
      fn.writeConfig(at + 4, 1, bar);
      fn.writeConfig(at + 8, 4, offset);
      fn.writeConfig(at + 12, 4, length);
    };
    select(4, DEVICE + 4, 4);
    expect(fn.readConfig(at + 16, 4)).toBe(0x08070605);
    select(4, NUM_QUEUES, 2);
    expect(fn.readConfig(at + 16, 2)).toBe(2);
    select(4, 0x14, 1);
    fn.writeConfig(at + 16, 1, 3);
    expect(slot.status).toBe(3);
    for (const [bar, offset, length] of [[0, 0x14, 1], [4, 0x14, 3], [4, 0x15, 2], [4, 0x4000, 4], [4, 0xfffffffc, 4]]) {
      select(bar, offset, length);
      fn.writeConfig(at + 16, 4, 0);
      fn.readConfig(at + 16, 4);
      expect(slot.status).toBe(3);
    }
  });
});

describe('the legacy interface', () => {
  const start = (features = 0x10000000) => {
    const { legacy } = slot;
    legacy.write(LEGACY_DEVICE_STATUS, 1, 0);
    legacy.write(LEGACY_DEVICE_STATUS, 1, 1);
    legacy.write(LEGACY_DEVICE_STATUS, 1, 3);
    legacy.write(LEGACY_DRIVER_FEATURES, 4, features);
    legacy.write(LEGACY_QUEUE_SELECT, 2, 0);
    const size = legacy.read(LEGACY_QUEUE_SIZE, 2);
    legacy.write(LEGACY_QUEUE_ADDRESS, 4, 2);
    return new TestDriver(memory, { size, desc: 0x2000, driver: 0x2000 + 16 * size, device: 0x3000 });
  };

  it('runs a queue, also before DRIVER_OK', () => {
    const { legacy } = slot;
    expect(legacy.read(LEGACY_DEVICE_FEATURES, 4)).toBe(0x39000008);
    const driver = start();
    expect(legacy.read(LEGACY_QUEUE_ADDRESS, 4)).toBe(2);
    expect(legacy.read(LEGACY_DRIVER_FEATURES, 4)).toBe(0x10000000);
    roundTrip(driver, () => legacy.write(LEGACY_QUEUE_NOTIFY, 2, 0));
    legacy.write(LEGACY_DEVICE_STATUS, 1, 7);
    roundTrip(driver, () => legacy.write(LEGACY_QUEUE_NOTIFY, 2, 0));
    expect(slot.intx).toBe(true);
    expect(legacy.read(LEGACY_ISR_STATUS, 1)).toBe(1);
    expect(slot.intx).toBe(false);
    expect(legacy.read(LEGACY_DEVICE_STATUS, 1)).toBe(7);
    legacy.write(LEGACY_QUEUE_ADDRESS, 4, 0);
    expect(legacy.read(LEGACY_QUEUE_ADDRESS, 4)).toBe(0);
  });

  it('has MSI-X vectors only while MSI-X is enabled, and the configuration behind', () => {
    const { legacy } = slot;
    expect(legacy.read(0x14, 4)).toBe(0x04030201);
    slot.enableMsix();
    expect(legacy.read(0x18, 4)).toBe(0x04030201);
    const driver = start();
    expect(legacy.read(LEGACY_QUEUE_MSIX_VECTOR, 2)).toBe(0xffff);
    legacy.write(LEGACY_QUEUE_MSIX_VECTOR, 2, 2);
    legacy.write(LEGACY_CONFIG_MSIX_VECTOR, 2, 7);
    expect(legacy.read(LEGACY_QUEUE_MSIX_VECTOR, 2)).toBe(2);
    expect(legacy.read(LEGACY_CONFIG_MSIX_VECTOR, 2)).toBe(0xffff);
    roundTrip(driver, () => legacy.write(LEGACY_QUEUE_NOTIFY, 2, 0));
    expect(slot.messages).toEqual([2]);
    expect(slot.intx).toBe(false);
  });

  it('has no NEEDS_RESET: a broken device says nothing', () => {
    const driver = start();
    slot.legacy.write(LEGACY_DEVICE_STATUS, 1, 7);
    driver.offer(99);
    slot.legacy.write(LEGACY_QUEUE_NOTIFY, 2, 0);
    expect(slot.legacy.read(LEGACY_DEVICE_STATUS, 1)).toBe(7);
    expect(device.failure).toBeDefined();
    memory.all.fill(0);
    roundTrip(start(), () => slot.legacy.write(LEGACY_QUEUE_NOTIFY, 2, 0));
  });
});

describe('MSI-X', () => {
  it('has a vector for each queue and for the configuration', () => {
    slot.enableMsix();
    slot.negotiate(VIRTIO_F_VERSION_1);
    const first = slot.setUpQueue(0, { size: 8, desc: 0x1000, driver: 0x1400, device: 0x1800 });
    const second = slot.setUpQueue(1, { size: 8, desc: 0x2000, driver: 0x2400, device: 0x2800 });
    slot.modern.write(CONFIG_MSIX_VECTOR, 2, 0);
    slot.status = 15;
    roundTrip(second, () => slot.kick(1));
    roundTrip(first, () => slot.kick(0));
    device.bump();
    expect(slot.messages).toEqual([2, 1, 0]);
    expect(slot.intx).toBe(false);
  });

  it('reads back "no vector" for one it does not have', () => {
    slot.modern.write(CONFIG_MSIX_VECTOR, 2, 3);
    expect(slot.modern.read(CONFIG_MSIX_VECTOR, 2)).toBe(0xffff);
    slot.modern.write(CONFIG_MSIX_VECTOR, 2, 2);
    expect(slot.modern.read(CONFIG_MSIX_VECTOR, 2)).toBe(2);
  });
});

it('leaves buffers that appear without end for later', () => {
  // Each answer writes its own data over the available ring: idx goes on for ever.
  const places = { size: 8, desc: 0x1000, driver: 0x1400, device: 0x1800 };
  slot.negotiate(VIRTIO_F_VERSION_1);
  const driver = slot.setUpQueue(0, places);
  slot.status = 15;
  let reads = 0;
  memory.onRead = (address) => {
    if (address !== places.driver + 2) return;
    reads++;
    memory.write16(places.driver + 2, (memory.read16(places.device + 2) + 2) & 0xffff);
  };
  // onRead reads nothing itself through the hook's own address.
  driver.add([{ address: DATA, length: 1 }], [{ address: DATA, length: 1 }]);
  slot.kick(0);
  expect(reads).toBeLessThan(30);
  const before = reads;
  slot.clock.advance(1);
  slot.clock.runExpired();
  expect(reads).toBeGreaterThan(before);
  slot.fn.reset();
  expect(slot.clock.nextDeadline()).toBe(Infinity);
});

it('goes on from a saved state in another machine', () => {
  slot.enableMsix();
  const [driver] = slot.start(VIRTIO_F_EVENT_IDX);
  roundTrip(driver, () => slot.kick(0));
  slot.messages.length = 0;
  const saved = structuredClone(slot.fn.save());
  const other = new TestSlot(new Mirror(), memory);
  other.fn.load(saved);
  expect(other.fn.save()).toEqual(saved);
  expect(other.status).toBe(15);
  driver.usedEvent = 1;
  roundTrip(driver, () => other.kick(0));
  expect(other.messages).toEqual([1]);
});

it('no access of a guest, however odd, harms the machine (10,000 cases)', () => {
  const at = fc.oneof(
    fc.tuple(fc.constant('common' as const), fc.nat(0x3b)),
    fc.tuple(fc.constant('structures' as const), fc.nat(0x3fff)),
    fc.tuple(fc.constant('notify' as const), fc.nat(3)),
    fc.tuple(fc.constant('legacy' as const), fc.nat(0x3f)),
    fc.tuple(fc.constant('config' as const), fc.integer({ min: 0x40, max: 0xff })),
    fc.tuple(fc.constant('table' as const), fc.nat(0xfff)),
    fc.tuple(fc.constant('ram' as const), fc.nat(0x1fff)),
  );
  const value = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 11, 15, 0x1000, 0x1400, 0x1800, 0xffff, 0xffffffff), fc.nat(0xffffffff));
  const access = fc.tuple(at, fc.constantFrom(1 as const, 2 as const, 4 as const), fc.boolean(), value);
  // A machine for all cases: each goes on where the last one ended.
  let cases = 0;
  fc.assert(
    fc.property(fc.array(access, { minLength: 1, maxLength: 20 }), fc.nat(3), (accesses, how) => {
      cases++;
      if (how) slot.start(how === 1 ? 0n : VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 2);
      for (const [[where, offset], size, write, data] of accesses) {
        if (where === 'ram') memory.write16(0x1000 + (offset & ~1), data & 0xffff);
        else if (where === 'config') write ? slot.fn.writeConfig(offset, size, data) : slot.fn.readConfig(offset, size);
        else if (where === 'legacy') write ? slot.legacy.write(offset, size, data) : slot.legacy.read(offset, size);
        else if (where === 'table') slot.bus.mmioWrite(0xe1000000 + offset, size, data);
        else if (where === 'notify') slot.kick(offset);
        else write ? slot.modern.write(offset, size, data) : slot.modern.read(offset, size);
      }
      slot.clock.advance(2);
      slot.clock.runExpired();
      if (cases % 100 === 0) {
        memory.all.fill(0);
        roundTrip(slot.start(0n)[0], () => slot.kick(0));
      }
    }),
    { numRuns: 10_000 },
  );
}, 120_000);
