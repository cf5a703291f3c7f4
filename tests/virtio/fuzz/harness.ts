// Fuzzing of virtio devices behind their PCI function: chains that mean something beside broken ones, rings, registers, time, and
// descriptors that change while they are read. What must hold: no exception, no access outside the memory, an end to every step, and a
// device that works after a reset.

import fc from 'fast-check';
import { COMMON_FEATURES, type CommonFeature, STATUS_NEEDS_RESET, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_VERSION_1 } from '../../../src/virtio/device.ts';
import { DEVICE } from '../../../src/virtio/pci.ts';
import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '../../../src/virtio/queue.ts';
import { type TestDriver, TestMemory, TestSlot } from '../../../src/virtio/testing.ts';
import { chooser, type Target } from './targets.ts';

const RAM = 0x20000;
/** Queue n has 0x1000 bytes from here on; then indirect tables, and data. */
const QUEUES = 0x1000;
const TABLES = 0xa000;
const DATA = 0x10000;

const place = fc.oneof(fc.constantFrom(0, QUEUES, QUEUES + 0x400, QUEUES + 0x800, TABLES, TABLES + 16, DATA, RAM - 1, RAM - 16, RAM, 0xfffffff0), fc.nat(RAM), fc.nat());
const size = fc.oneof(fc.constantFrom(0, 1, 15, 16, 32, 48, 4096, RAM, 0x80000000, 0xffffffff), fc.nat(256));
const value = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 11, 15, 0x1000, 0x1400, 0x1800, 0xffff, 0xffffffff), fc.nat(0xffffffff));
const index = fc.nat(9);

function steps(target: Target) {
  // Mostly one that there is.
  const queue = fc.oneof({ weight: 9, arbitrary: fc.nat(target.queues - 1) }, { weight: 1, arbitrary: fc.nat(target.queues) });
  const buffer = fc.record({ length: fc.nat(600), write: fc.boolean() });
  const room = fc.oneof(fc.constantFrom(0, 1, 513, 4096, 4097, 4096, 4097, 4096), fc.nat(2000));
  // What a driver would do: payload in pieces, then room for an answer.
  const polite = fc.oneof(
    { weight: 8, arbitrary: fc.record({ op: fc.constant('request' as const), queue, payload: target.payload, cut: fc.nat(40), room, indirect: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('time' as const), ns: fc.nat(2_000_000_000) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('poll' as const) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('host' as const), what: fc.nat(255) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('save' as const) }) },
    // Of the configuration space: fields that some drivers write.
    { weight: 2, arbitrary: fc.record({ op: fc.constant('configure' as const), at: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(32, 32, 32, 0, 4, 8) }, { weight: 1, arbitrary: fc.nat(63) }), value: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 0, 1) }, { weight: 1, arbitrary: fc.nat(255) }) }) },
  );
  const hostile = fc.oneof(
    { weight: 20, arbitrary: polite },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('start' as const), features: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), plain: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('buffers' as const), queue, list: fc.array(buffer, { minLength: 1, maxLength: 6 }) }) },
    { weight: 5, arbitrary: fc.record({
      op: fc.constant('descriptor' as const), queue, inTable: fc.boolean(), index, address: place, length: size, flags: fc.oneof(fc.nat(7), fc.nat(0xffff)), next: fc.oneof(index, fc.nat(0xffff)), go: fc.boolean(),
    }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('itself' as const), queue, next: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('ring' as const), queue, at: fc.nat(0x3ff), value: fc.oneof(index, fc.nat(0xffff)), device: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('offer' as const), queue, index }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('kick' as const), queue }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('reset queue' as const), queue, again: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({
      op: fc.constant('register' as const), where: fc.constantFrom('common' as const, 'structures' as const, 'legacy' as const, 'config' as const, 'table' as const),
      offset: fc.oneof(fc.nat(0x3f), fc.nat(0x3fff)), size: fc.constantFrom(1 as const, 2 as const, 4 as const), write: fc.boolean(), value,
    }) },
    // From here to the end of the case another CPU changes each descriptor and ring entry behind the one that reads it.
    { weight: 1, arbitrary: fc.record({ op: fc.constant('race' as const), seed: fc.nat(0xffffffff) }) },
  );
  const list = <T>(step: fc.Arbitrary<T>) => fc.array(step, { minLength: 1, maxLength: 24, size: 'max' });
  return fc.oneof(list(polite), list(hostile));
}

type Step = ReturnType<typeof steps> extends fc.Arbitrary<(infer T)[]> ? T : never;

/** A device, and the machine around it, through many cases. */
class Rig {
  readonly memory = new TestMemory(RAM);
  readonly slot: TestSlot;
  private readonly host: (what: number) => void;
  private drivers: TestDriver[] = [];
  private nextTable = 0;

  /** What a driver that keeps to the rules takes. */
  readonly features: bigint;

  /** @param form how the device is made, by its number */
  constructor(
    private readonly target: Target,
    form: number,
  ) {
    const choose = chooser(form);
    const { device, host } = target.make(choose);
    device.withhold((Object.keys(COMMON_FEATURES) as CommonFeature[]).filter(() => choose(false, false, true)));
    this.features = choose(VIRTIO_F_INDIRECT_DESC, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, -1n);
    this.slot = new TestSlot(device, this.memory, { vectors: choose(undefined, undefined, 0, 2) });
    this.host = host;
  }

  /** From reset to DRIVER_OK on clean rings. */
  start(features: bigint): void {
    this.memory.onRead = () => {};
    this.memory.all.fill(0, 0, DATA);
    // A guest may have taken bus mastering and the BARs away.
    this.slot.fn.writeConfig(0x10, 4, 0xc000);
    this.slot.fn.writeConfig(0x14, 4, 0xe1000000);
    this.slot.fn.writeConfig(0x20, 4, 0xe0000000);
    this.slot.fn.writeConfig(0x24, 4, 0);
    this.slot.fn.writeConfig(0x04, 2, 7);
    const offered = this.slot.fn.device.offered | VIRTIO_F_VERSION_1;
    this.drivers = this.slot.start(features & offered, this.target.queues, QUEUES);
    for (const message of this.target.prelude ?? []) this.request(0, message, 0, 4096);
  }

  private request(queue: number, payload: Uint8Array, cut: number, room: number, indirect?: number): void {
    const { memory, slot, drivers } = this;
    memory.write(DATA, payload);
    const readable = [
      { address: DATA, length: Math.min(cut, payload.length) }, { address: DATA + cut, length: payload.length - cut },
    ].filter(({ length }) => length > 0);
    const driver = drivers[queue] as TestDriver | undefined;
    const add = () => driver?.add(readable, room ? [{ address: DATA + 0x4000, length: room }] : [], indirect);
    if (add() === -1) {
      driver!.used();
      add();
    }
    slot.kick(queue);
  }

  run(list: readonly Step[]): void {
    this.nextTable = 0;
    this.memory.onRead = () => {};
    for (const step of list) this.step(step);
    this.memory.onRead = () => {};
  }

  private table(): number {
    return TABLES + 0x100 * (this.nextTable++ % 0x40);
  }

  private step(step: Step): void {
    const { memory, slot, drivers } = this;
    switch (step.op) {
      case 'start':
        return this.start(step.plain ? VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX : step.features);
      case 'request':
        // What a driver would do, too.
        if (slot.status & STATUS_NEEDS_RESET) this.start(this.features);
        return this.request(step.queue, step.payload, step.cut, step.room, step.indirect ? this.table() : undefined);
      case 'buffers':
        drivers[step.queue]?.add(
          step.list.filter(({ write }) => !write).map(({ length }, n) => ({ address: DATA + 700 * n, length })),
          step.list.filter(({ write }) => write).map(({ length }, n) => ({ address: DATA + 0x8000 + 700 * n, length })),
        );
        return;
      case 'descriptor': {
        const table = step.inTable ? TABLES : QUEUES + 0x1000 * step.queue;
        drivers[0]?.descriptor(table, step.index, step, step.flags, step.next);
        if (!step.go) return;
        drivers[step.queue]?.offer(step.index);
        return slot.kick(step.queue);
      }
      case 'itself': {
        const at = QUEUES + 0x1000 * step.queue;
        drivers[step.queue]?.descriptor(at, 0, { address: at, length: 128 }, VIRTQ_DESC_F_INDIRECT | (step.next ? VIRTQ_DESC_F_NEXT : 0), 0);
        drivers[step.queue]?.offer(0);
        return slot.kick(step.queue);
      }
      case 'ring':
        return memory.write16(QUEUES + 0x1000 * step.queue + (step.device ? 0x800 : 0x400) + (step.at & (step.at > 64 ? 6 : 62)), step.value);
      case 'offer':
        return drivers[step.queue]?.offer(step.index);
      case 'kick':
        return slot.kick(step.queue);
      case 'reset queue': {
        // What the device has of the old one is there no more; the new one may lie in its place.
        slot.resetQueue(step.queue);
        if (step.again && drivers[step.queue]) drivers[step.queue] = slot.setUpQueue(step.queue, drivers[step.queue].places);
        return;
      }
      case 'register': {
        const { where, offset, size, write, value } = step;
        if (where === 'config') write ? slot.fn.writeConfig(offset & 0xff & -size, size, value) : slot.fn.readConfig(offset & 0xff & -size, size);
        else if (where === 'table') slot.bus.mmioWrite(0xe1000000 + (offset & 0xfff & -size), size, value);
        else {
          const registers = where === 'legacy' ? slot.legacy : slot.modern;
          const at = where === 'legacy' ? offset & 0x3f : where === 'common' ? offset & 0x3f : offset;
          write ? registers.write(at, size, value) : registers.read(at, size);
        }
        return;
      }
      case 'time':
        slot.clock.advance(step.ns);
        return slot.clock.runExpired();
      case 'poll':
        return slot.fn.poll();
      case 'host':
        return this.host(step.what);
      case 'race': {
        let state = step.seed | 1;
        const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
        memory.onRead = (address) => {
          if (address < QUEUES || address >= DATA || next() & 0x300) return;
          const attack = [0, 7, 0xffffffff, address, RAM - 1, VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE, next()][next() % 7];
          memory.write16(address & ~1, attack & 0xffff);
        };
        return;
      }
      case 'configure':
        return slot.modern.write(DEVICE + step.at, 1, step.value);
      case 'save':
        return slot.fn.load(structuredClone(slot.fn.save()));
    }
  }

  /** After all that: a driver that keeps to the rules gets its answer. */
  prove(): void {
    this.slot.fn.reset();
    this.start(0n);
    const { queue, readable, writable } = this.target.probe;
    this.memory.write(DATA, readable);
    this.drivers[queue].used();
    const before = this.memory.read16(this.drivers[queue].places.device + 2);
    this.drivers[queue].add(readable.length ? [{ address: DATA, length: readable.length }] : [], writable ? [{ address: DATA + 0x4000, length: writable }] : []);
    this.slot.kick(queue);
    // A far end that is busy, or a rate, may hold it up.
    for (let n = 0; n < 8 && this.memory.read16(this.drivers[queue].places.device + 2) === before; n++) {
      this.host(0);
      this.slot.fn.poll();
      this.slot.clock.advance(1e9);
      this.slot.clock.runExpired();
    }
    if (this.memory.read16(this.drivers[queue].places.device + 2) !== before + 1) throw new Error(`${this.target.name} does not answer any more: status ${this.slot.status}, ${this.slot.fn.device.failure}`);
  }
}

/** Cases between two looks at whether the device still works; the next are at another form of it. */
const CASES_OF_A_FORM = 50;

/** @param seed of the random cases; the same one gives the same cases  @throws what fast-check throws, with the steps that failed */
export function fuzz(target: Target, cases: number, seed: number, progress: (done: number) => void = () => {}): void {
  let form = 0;
  let rig = new Rig(target, form);
  let done = 0;
  let hasFailed = false;
  fc.assert(
    fc.property(steps(target), (list) => {
      rig.start(rig.features);
      try {
        rig.run(list);
        if (++done % CASES_OF_A_FORM === 0) {
          rig.prove();
          if (!hasFailed) rig = new Rig(target, ++form);
        }
      } catch (error) {
        // The next attempt, of a shorter case, shall not find what this one left, and is made at the same form of the device.
        hasFailed = true;
        rig = new Rig(target, form);
        throw new Error(`form ${form} of ${target.name}`, { cause: error });
      }
      if (done % 10_000 === 0) progress(done);
    }),
    { numRuns: cases, seed },
  );
  rig.prove();
}
