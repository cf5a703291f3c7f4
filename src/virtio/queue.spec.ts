import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Chain, MAX_QUEUE_SIZE, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE, Virtqueue } from './queue.ts';
import { type QueuePlaces, TestDriver, TestMemory } from './testing.ts';

const RAM = 0x10000;
const PLACES: QueuePlaces = { size: 8, desc: 0x1000, driver: 0x2000, device: 0x3000 };
const DATA = 0x4000;
const TABLE = 0x8000;

let memory: TestMemory;
let driver: TestDriver;
let queue: Virtqueue;
let errors: string[];

function build(places = PLACES, features: { indirect?: boolean; event?: boolean } = { indirect: true }): void {
  memory = new TestMemory(RAM);
  driver = new TestDriver(memory, places);
  errors = [];
  queue = new Virtqueue(memory, 256, (error) => errors.push(error.message));
  queue.indirectDesc = features.indirect ?? false;
  queue.eventIdx = features.event ?? false;
  queue.configure(places);
  queue.enable();
}

beforeEach(() => build());

const bytes = (...values: number[]) => Uint8Array.from(values);

describe('Virtqueue', () => {
  it('takes buffers in order and gives them back in any', () => {
    memory.write(DATA, bytes(1, 2, 3, 4, 5));
    const a = driver.add([{ address: DATA, length: 2 }, { address: DATA + 2, length: 3 }], [{ address: DATA + 0x100, length: 4 }, { address: DATA + 0x200, length: 4 }]);
    const b = driver.add([], [{ address: DATA + 0x300, length: 1 }]);
    expect(queue.available).toBe(2);
    const first = queue.pop()!;
    const second = queue.pop()!;
    expect(queue.pop()).toBeUndefined();
    expect([first.head, second.head]).toEqual([a, b]);
    expect(first.readableLength).toBe(5);
    expect([...first.read(0, 100)]).toEqual([1, 2, 3, 4, 5]);
    expect([...first.read(1, 3)]).toEqual([2, 3, 4]);
    expect(first.read(9, 3).length).toBe(0);
    expect(first.write(2, bytes(7, 8, 9, 10))).toBe(4);
    expect(first.write(6, bytes(1, 2, 3))).toBe(2);
    expect([...memory.bytes(DATA + 0x100, 4)]).toEqual([0, 0, 7, 8]);
    expect([...memory.bytes(DATA + 0x200, 4)]).toEqual([9, 10, 1, 2]);
    queue.push(second, 1);
    queue.push(first, 8);
    expect(driver.used()).toEqual([{ head: b, written: 1 }, { head: a, written: 8 }]);
    expect(errors).toEqual([]);
  });

  it('follows an indirect table, also behind ordinary descriptors, and ignores its WRITE flag', () => {
    driver.add([{ address: DATA, length: 3 }], [{ address: DATA + 16, length: 5 }], TABLE);
    expect(queue.pop()).toMatchObject({ readableLength: 3, writableLength: 5 });
    driver.descriptor(PLACES.desc, 5, { address: DATA, length: 7 }, VIRTQ_DESC_F_NEXT, 6);
    driver.descriptor(PLACES.desc, 6, { address: TABLE, length: 32 }, VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE);
    driver.offer(5);
    expect(queue.pop()).toMatchObject({ head: 5, readableLength: 10, writableLength: 5 });
    expect(errors).toEqual([]);
  });

  it('takes a full ring, and more over time than an index can count', () => {
    for (let round = 0; round < 9000; round++) {
      for (let i = 0; i < 8; i++) driver.add([{ address: DATA + i, length: 1 }], []);
      for (let i = 0; i < 8; i++) queue.push(queue.pop()!, 0);
      expect(driver.used().length).toBe(8);
    }
    expect(errors).toEqual([]);
  });

  it('gives nothing before it is enabled, and its state can be put aside', () => {
    driver.add([{ address: DATA, length: 1 }], []);
    driver.add([{ address: DATA, length: 2 }], []);
    queue.push(queue.pop()!, 0);
    const other = new Virtqueue(memory, 256, () => {});
    expect(other.pop()).toBeUndefined();
    other.load(structuredClone(queue.save()));
    expect(other.pop()!.readableLength).toBe(2);
    other.reset();
    expect(other.pop()).toBeUndefined();
    expect(other.size).toBe(256);
  });

  describe('notifications', () => {
    it('by flags', () => {
      expect(queue.shouldInterrupt()).toBe(false);
      driver.add([{ address: DATA, length: 1 }], []);
      queue.push(queue.pop()!, 0);
      expect(queue.shouldInterrupt()).toBe(true);
      expect(queue.shouldInterrupt()).toBe(false);
      driver.availFlags = 1;
      driver.add([{ address: DATA, length: 1 }], []);
      queue.push(queue.pop()!, 0);
      expect(queue.shouldInterrupt()).toBe(false);
      queue.setNotification(false);
      expect(driver.usedFlags).toBe(1);
      queue.setNotification(true);
      expect(driver.usedFlags).toBe(0);
    });

    it('by NOTIFY_ON_EMPTY, when nothing waits and nothing is held', () => {
      queue.notifyOnEmpty = true;
      driver.availFlags = 1;
      for (let n = 0; n < 3; n++) driver.add([{ address: DATA, length: 1 }], []);
      const [first, second] = [queue.pop()!, queue.pop()!];
      queue.push(first, 0);
      expect(queue.shouldInterrupt()).toBe(false);
      const third = queue.pop()!;
      queue.push(second, 0);
      expect(queue.shouldInterrupt()).toBe(false);
      queue.push(third, 0);
      expect(queue.shouldInterrupt()).toBe(true);
      expect(queue.shouldInterrupt()).toBe(false);
      queue.reset();
      expect(queue.notifyOnEmpty).toBe(false);
    });

    it('by EVENT_IDX, across the wrap of the index', () => {
      build(PLACES, { event: true });
      let interrupts = 0;
      for (let n = 1; n <= 70_000; n++) {
        // Every fourth buffer.
        driver.usedEvent = ((n - 1) | 3) & 0xffff;
        driver.add([{ address: DATA, length: 1 }], []);
        queue.push(queue.pop()!, 0);
        driver.used();
        if (queue.shouldInterrupt()) interrupts++;
        if (n % 10_000 === 0) expect(driver.availEvent).toBe(n & 0xffff);
      }
      // One for the first, which nothing was asked for.
      expect(interrupts).toBe(1 + 70_000 / 4);
      expect(driver.usedFlags).toBe(0);
      queue.setNotification(false);
      const before = driver.availEvent;
      driver.add([{ address: DATA, length: 1 }], []);
      queue.pop();
      expect(driver.availEvent).toBe(before);
      queue.setNotification(true);
      expect(driver.availEvent).toBe(before + 1);
    });
  });

  describe('breaks, once, and gives no more', () => {
    const descriptor = (index: number, address: number, length: number, flags = 0, next = 0, table = PLACES.desc) =>
      driver.descriptor(table, index, { address, length }, flags, next);
    const N = VIRTQ_DESC_F_NEXT;
    const W = VIRTQ_DESC_F_WRITE;
    const I = VIRTQ_DESC_F_INDIRECT;
    const cases: Record<string, [message: RegExp, make: () => void]> = {
      'a chain that points to itself': [/loop/, () => descriptor(0, DATA, 1, N, 0)],
      'a loop of two': [/loop/, () => (descriptor(0, DATA, 1, N, 1), descriptor(1, DATA, 1, N, 0))],
      'a next outside the table': [/descriptor 8 in a table of 8/, () => descriptor(0, DATA, 1, N, 8)],
      'a buffer outside RAM': [/not RAM/, () => descriptor(0, RAM - 1, 2)],
      'a buffer that wraps': [/not RAM/, () => descriptor(0, 0xffffffff, 0xffffffff)],
      'a buffer of no bytes': [/zero bytes/, () => descriptor(0, DATA, 0)],
      'an address beyond 4 GiB': [/not RAM/, () => (descriptor(0, DATA, 1), memory.write32(PLACES.desc + 4, 1))],
      'readable behind writable': [/behind a writable/, () => (descriptor(0, DATA, 1, N | W, 1), descriptor(1, DATA, 1))],
      'an indirect table in itself': [/in an indirect table/, () => (descriptor(0, TABLE, 16, I), descriptor(0, TABLE, 16, I, 0, TABLE))],
      'a loop in an indirect table': [/loop/, () => (descriptor(0, TABLE, 32, I), descriptor(0, DATA, 1, N, 1, TABLE), descriptor(1, DATA, 1, N, 0, TABLE))],
      'a next outside an indirect table': [/table of 2/, () => (descriptor(0, TABLE, 32, I), descriptor(0, DATA, 1, N, 2, TABLE))],
      'INDIRECT with NEXT': [/with NEXT/, () => descriptor(0, TABLE, 16, I | N, 1)],
      'an indirect table of 17 bytes': [/17 bytes/, () => descriptor(0, TABLE, 17, I)],
      'an empty indirect table': [/0 bytes/, () => descriptor(0, TABLE, 0, I)],
      'an indirect table that is too long': [/1025 descriptors/, () => descriptor(0, 0, 16 * (MAX_QUEUE_SIZE + 1), I)],
      'an indirect table outside RAM': [/not RAM/, () => descriptor(0, RAM - 16, 32, I)],
      'INDIRECT that was not negotiated': [/without/, () => ((queue.indirectDesc = false), descriptor(0, TABLE, 16, I))],
    };
    for (const [name, [message, make]] of Object.entries(cases)) {
      it(name, () => {
        make();
        driver.offer(0);
        expect(queue.pop()).toBeUndefined();
        expect(errors).toHaveLength(1);
        expect(errors[0]).toMatch(message);
        descriptor(0, DATA, 1);
        driver.offer(0);
        expect(queue.pop()).toBeUndefined();
        expect(queue.available).toBe(0);
        expect(queue.shouldInterrupt()).toBe(false);
        queue.setNotification(false);
        queue.fail('again');
        expect(errors).toHaveLength(1);
        // A reset makes it whole.
        queue.reset();
        queue.configure(PLACES);
        queue.enable();
        expect(queue.pop()).toBeDefined();
      });
    }

    it('a head outside the table, an idx too far ahead', () => {
      driver.offer(8);
      expect(queue.pop()).toBeUndefined();
      expect(errors[0]).toMatch(/descriptor 8/);
      build();
      memory.write16(PLACES.driver + 2, 9);
      expect(queue.available).toBe(0);
      expect(errors[0]).toMatch(/9 ahead/);
    });

    it('a chain of 4 GiB or more', () => {
      // Segments may lie over one another: 0x10000 entries would be needed here, so RAM of a size that only says it is there.
      const large = new TestMemory(RAM);
      large.check = () => {};
      queue = new Virtqueue(large, 8, (error) => errors.push(error.message));
      queue.configure(PLACES);
      queue.enable();
      driver = new TestDriver(large, PLACES);
      driver.add([{ address: 0, length: 0x80000000 }], [{ address: 0, length: 0x80000000 }]);
      expect(queue.pop()).toBeUndefined();
      expect(errors[0]).toMatch(/4 GiB/);
    });

    it('wrong sizes and places', () => {
      for (const change of [{ size: 0 }, { size: 7 }, { size: 512 }, { desc: 0x1008 }, { driver: 0x2001 }, { device: 0x3002 }, { desc: RAM - 16 }, { driver: RAM }, { device: Infinity }]) {
        const before = errors.length;
        const wrong = new Virtqueue(memory, 256, (error) => errors.push(error.message));
        wrong.configure({ ...PLACES, ...change });
        wrong.enable();
        expect(errors.length).toBe(before + 1);
        expect(wrong.pop()).toBeUndefined();
      }
    });
  });

  it('reads each field once: a guest that changes a descriptor after the check gains nothing', () => {
    driver.add([{ address: DATA, length: 4 }], [{ address: DATA + 8, length: 4 }], TABLE);
    const reads = new Map<number, number>();
    memory.onRead = (address) => {
      reads.set(address, (reads.get(address) ?? 0) + 1);
      // The other CPU: what was read becomes an attack at once.
      if (address >= TABLE || (address >= PLACES.desc && address < PLACES.driver)) memory.write32(address, 0xfffffff0);
    };
    const chain = queue.pop()!;
    expect([...reads.values()].every((count) => count === 1)).toBe(true);
    memory.onRead = () => {};
    memory.all.fill(0xff, TABLE, TABLE + 64);
    memory.all.fill(0xff, PLACES.desc, PLACES.desc + 128);
    expect(chain.readable).toEqual([{ address: DATA, length: 4 }]);
    expect(chain.writable).toEqual([{ address: DATA + 8, length: 4 }]);
    chain.write(0, bytes(1, 2, 3, 4, 5, 6));
    expect([...memory.bytes(DATA + 8, 6)]).toEqual([1, 2, 3, 4, 0, 0]);
  });

  it('behaves as a list of buffers, whatever the driver offers and whenever (10,000 cases)', () => {
    const segment = fc.record({ address: fc.integer({ min: DATA, max: DATA + 0x1000 }), length: fc.integer({ min: 1, max: 64 }) });
    const buffer = fc.record({ readable: fc.array(segment, { maxLength: 3 }), writable: fc.array(segment, { maxLength: 3 }), indirect: fc.boolean() })
      .filter(({ readable, writable }) => readable.length + writable.length > 0);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), buffer }),
      fc.record({ kind: fc.constant('pop' as const) }),
      fc.record({ kind: fc.constant('push' as const), which: fc.nat(), written: fc.nat(200) }),
      fc.record({ kind: fc.constant('used' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, event) => {
        build(PLACES, { indirect: true, event });
        const waiting: { head: number; readable: unknown; writable: unknown }[] = [];
        const taken: Chain[] = [];
        const given: { head: number; written: number }[] = [];
        let table = TABLE;
        for (const it of steps) {
          if (it.kind === 'add') {
            const { readable, writable, indirect } = it.buffer;
            const head = driver.add(readable, writable, indirect ? table : undefined);
            table += 0x80;
            if (head >= 0) waiting.push({ head, readable, writable });
          } else if (it.kind === 'pop') {
            const chain = queue.pop();
            const expected = waiting.shift();
            expect(chain && { head: chain.head, readable: chain.readable, writable: chain.writable }).toEqual(expected);
            if (chain) taken.push(chain);
          } else if (it.kind === 'push') {
            if (taken.length === 0) continue;
            const [chain] = taken.splice(it.which % taken.length, 1);
            queue.push(chain, it.written);
            given.push({ head: chain.head, written: it.written });
          } else {
            expect(driver.used()).toEqual(given.splice(0));
          }
          expect(queue.available).toBe(waiting.length);
        }
        expect(errors).toEqual([]);
      }),
      { numRuns: 10_000 },
    );
  }, 120_000);

  it('survives hostile rings (10,000 cases)', () => {
    // Addresses near the ends of RAM, in the rings themselves, and anywhere.
    const address = fc.oneof(fc.constantFrom(0, PLACES.desc, PLACES.driver, PLACES.device, TABLE, TABLE + 16, RAM - 1, RAM - 16, RAM, 0xfffffff0), fc.nat(RAM), fc.nat());
    const length = fc.oneof(fc.constantFrom(0, 1, 15, 16, 32, 48, 4096, RAM, 0x80000000, 0xffffffff), fc.nat(256));
    const flags = fc.oneof(fc.nat(7), fc.nat(0xffff));
    const entry = fc.record({ high: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1), address, length, flags, next: fc.oneof(fc.nat(9), fc.nat(0xffff)) });
    const table = fc.array(entry, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(table, table, fc.array(fc.nat(9), { maxLength: 10 }), fc.nat(12), fc.boolean(), fc.boolean(), (direct, indirect, heads, index, event, allowed) => {
        build(PLACES, { indirect: allowed, event });
        for (const [where, entries] of [[PLACES.desc, direct], [TABLE, indirect]] as const) {
          entries.forEach((it, i) => {
            driver.descriptor(where, i, it, it.flags, it.next);
            memory.write32(where + 16 * i + 4, it.high);
          });
        }
        heads.forEach((head, i) => memory.write16(PLACES.driver + 4 + 2 * (i & 7), head));
        memory.write16(PLACES.driver + 2, index);
        let popped = 0;
        for (let chain = queue.pop(); chain; chain = queue.pop()) {
          for (const { address: at, length: n } of [...chain.readable, ...chain.writable]) {
            expect(n).toBeGreaterThan(0);
            expect(at + n).toBeLessThanOrEqual(RAM);
          }
          // What is written may hit the rings themselves.
          chain.write(0, chain.read(0, 512));
          queue.push(chain, 1);
          queue.shouldInterrupt();
          queue.setNotification(popped % 2 === 0);
          if (++popped > 100) break;
        }
        expect(errors.length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 10_000 },
    );
  }, 120_000);
});
