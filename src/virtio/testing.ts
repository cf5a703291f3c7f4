// What the specs here build on: guest memory of its own, the driver's side of a split virtqueue (Virtio 1.2, section 2.7) and of
// a PCI function (section 4.1).

import fc from 'fast-check';
import { type GuestMemory, GuestMemoryError } from '../devices/interfaces.ts';
import { PciBus } from '../devices/pci.ts';
import { Bus } from '../machine/bus.ts';
import { VirtualClock } from '../machine/clock.ts';
import type { VirtioDevice } from './device.ts';
import {
  DEVICE_STATUS, DRIVER_FEATURE, DRIVER_FEATURE_SELECT, NOTIFY, NOTIFY_OFF_MULTIPLIER, QUEUE_DESC, QUEUE_ENABLE, QUEUE_MSIX_VECTOR,
  QUEUE_RESET, QUEUE_SELECT, QUEUE_SIZE, VirtioPci, type VirtioPciOptions,
} from './pci.ts';
import { type Segment, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from './queue.ts';

/** RAM from address 0, checked as the machine's. */
export class TestMemory implements GuestMemory {
  readonly all: Uint8Array;
  private readonly view: DataView;
  /** Called after each read by number, as another CPU that looks on would be. */
  onRead: (address: number) => void = () => {};

  constructor(readonly size: number) {
    this.all = new Uint8Array(size);
    this.view = new DataView(this.all.buffer);
  }

  private at(address: number, length: number): number {
    if (!(address >= 0 && address + length <= this.size)) throw new GuestMemoryError(address, length);
    return address;
  }

  private seen<T>(address: number, value: T): T {
    this.onRead(address);
    return value;
  }

  read8(address: number): number {
    return this.seen(address, this.view.getUint8(this.at(address, 1)));
  }
  read16(address: number): number {
    return this.seen(address, this.view.getUint16(this.at(address, 2), true));
  }
  read32(address: number): number {
    return this.seen(address, this.view.getUint32(this.at(address, 4), true));
  }
  read64(address: number): bigint {
    return this.seen(address, this.view.getBigUint64(this.at(address, 8), true));
  }
  write8(address: number, value: number): void {
    this.view.setUint8(this.at(address, 1), value);
  }
  write16(address: number, value: number): void {
    this.view.setUint16(this.at(address, 2), value, true);
  }
  write32(address: number, value: number): void {
    this.view.setUint32(this.at(address, 4), value, true);
  }
  write64(address: number, value: bigint): void {
    this.view.setBigUint64(this.at(address, 8), value, true);
  }
  bytes(address: number, length: number): Uint8Array {
    return this.all.subarray(this.at(address, length), address + length);
  }
  write(address: number, data: Uint8Array): void {
    this.bytes(address, data.length).set(data);
  }
  written(): void {}
  check(address: number, length: number): void {
    this.at(address, length);
  }
}

/** Places of a queue's parts. */
export interface QueuePlaces {
  size: number;
  desc: number;
  driver: number;
  device: number;
}

/** A driver that keeps to the rules. */
export class TestDriver {
  private free: number[];
  private readonly held = new Map<number, number[]>();
  private availIndex = 0;
  private usedSeen = 0;

  constructor(
    private readonly memory: GuestMemory,
    readonly places: QueuePlaces,
  ) {
    this.free = Array.from({ length: places.size }, (_, i) => i);
  }

  descriptor(table: number, index: number, { address, length }: Segment, flags: number, next = 0): void {
    const at = table + 16 * index;
    this.memory.write64(at, BigInt(address));
    this.memory.write32(at + 8, length);
    this.memory.write16(at + 12, flags);
    this.memory.write16(at + 14, next);
  }

  private link(table: number, indices: readonly number[], readable: readonly Segment[], writable: readonly Segment[]): void {
    const all = [...readable, ...writable];
    all.forEach((segment, i) => {
      const flags = (i >= readable.length ? VIRTQ_DESC_F_WRITE : 0) | (i + 1 < all.length ? VIRTQ_DESC_F_NEXT : 0);
      this.descriptor(table, indices[i], segment, flags, indices[i + 1] ?? 0);
    });
  }

  /** Offer a buffer; with `indirect`, the address of a table for it. @returns its head, or -1 if there is no room */
  add(readable: readonly Segment[], writable: readonly Segment[], indirect?: number): number {
    const count = readable.length + writable.length;
    const needed = indirect === undefined ? count : 1;
    if (this.free.length < needed) return -1;
    const taken = this.free.splice(0, needed);
    if (indirect === undefined) {
      this.link(this.places.desc, taken, readable, writable);
    } else {
      this.link(indirect, Array.from({ length: count }, (_, i) => i), readable, writable);
      this.descriptor(this.places.desc, taken[0], { address: indirect, length: 16 * count }, VIRTQ_DESC_F_INDIRECT);
    }
    this.held.set(taken[0], taken);
    this.offer(taken[0]);
    return taken[0];
  }

  /** Put a head into the available ring. */
  offer(head: number): void {
    const { driver, size } = this.places;
    this.memory.write16(driver + 4 + 2 * (this.availIndex & (size - 1)), head);
    this.availIndex = (this.availIndex + 1) & 0xffff;
    this.memory.write16(driver + 2, this.availIndex);
  }

  /** Buffers that have come back since the last call. */
  used(): { head: number; written: number }[] {
    const { device, size } = this.places;
    const result = [];
    while (this.usedSeen !== this.memory.read16(device + 2)) {
      const at = device + 4 + 8 * (this.usedSeen & (size - 1));
      const head = this.memory.read32(at);
      result.push({ head, written: this.memory.read32(at + 4) });
      this.free.push(...(this.held.get(head) ?? []));
      this.held.delete(head);
      this.usedSeen = (this.usedSeen + 1) & 0xffff;
    }
    return result;
  }

  /** used_event (2.7.7.1): interrupt when the used ring's idx passes this. */
  set usedEvent(index: number) {
    this.memory.write16(this.places.driver + 4 + 2 * this.places.size, index);
  }

  get availEvent(): number {
    return this.memory.read16(this.places.device + 4 + 8 * this.places.size);
  }

  set availFlags(flags: number) {
    this.memory.write16(this.places.driver, flags);
  }

  get usedFlags(): number {
    return this.memory.read16(this.places.device);
  }
}

/** The places of a transitional device's registers: what a driver finds through configuration space. */
export interface Registers {
  read(offset: number, size: 1 | 2 | 4): number;
  write(offset: number, size: 1 | 2 | 4, value: number): void;
}

/** A virtio PCI function in slot 4 of a bus of its own, with BARs at fixed places, and what a driver does to it. */
export class TestSlot {
  readonly bus = new Bus();
  readonly clock = new VirtualClock(0);
  readonly messages: number[] = [];
  readonly pci: PciBus;
  intx = false;
  readonly fn: VirtioPci;
  /** I/O ports of the legacy interface, and the structures. */
  readonly legacy: Registers = {
    read: (offset, size) => this.bus.ioRead(0xc000 + offset, size),
    write: (offset, size, value) => this.bus.ioWrite(0xc000 + offset, size, value),
  };
  readonly modern: Registers = {
    read: (offset, size) => this.bus.mmioRead(0xe0000000 + offset, size),
    write: (offset, size, value) => this.bus.mmioWrite(0xe0000000 + offset, size, value),
  };
  private readonly table = 0xe1000000;

  constructor(
    device: VirtioDevice,
    readonly memory: GuestMemory,
    options: Partial<VirtioPciOptions> = {},
  ) {
    this.pci = new PciBus(this.bus, (_pirq, level) => (this.intx = level));
    this.pci.onMessage = (_address, data) => this.messages.push(data);
    this.fn = new VirtioPci(device, { memory, clock: this.clock, ...options });
    this.pci.add(4, 0, this.fn);
    this.fn.writeConfig(0x10, 4, 0xc000);
    this.fn.writeConfig(0x14, 4, this.table);
    this.fn.writeConfig(0x20, 4, 0xe0000000);
    this.fn.writeConfig(0x04, 2, 7);
  }

  /** Let every vector's message be its number, and use them. */
  enableMsix(): void {
    const at = this.capabilities().find(({ id }) => id === 0x11)!.at;
    for (let vector = 0; vector <= (this.fn.get16(at + 2) & 0x7ff); vector++) {
      this.bus.mmioWrite(this.table + 16 * vector, 4, 0xfee00000);
      this.bus.mmioWrite(this.table + 16 * vector + 8, 4, vector);
      this.bus.mmioWrite(this.table + 16 * vector + 12, 4, 0);
    }
    this.fn.writeConfig(at + 2, 2, 0x8000);
  }

  capabilities(): { id: number; type: number; at: number }[] {
    const found = [];
    for (let at = this.fn.config[0x34]; at !== 0; at = this.fn.config[at + 1]) found.push({ id: this.fn.config[at], type: this.fn.config[at + 3], at });
    return found;
  }

  get status(): number {
    return this.modern.read(DEVICE_STATUS, 1);
  }

  set status(value: number) {
    this.modern.write(DEVICE_STATUS, 1, value);
  }

  /** Take features as a modern driver. @returns whether the device agreed */
  negotiate(features: bigint): boolean {
    this.status = 0;
    this.status = 1;
    this.status = 3;
    for (const select of [0, 1]) {
      this.modern.write(DRIVER_FEATURE_SELECT, 4, select);
      this.modern.write(DRIVER_FEATURE, 4, Number((features >> BigInt(32 * select)) & 0xffffffffn));
    }
    this.status = 11;
    return (this.status & 8) !== 0;
  }

  /** Set up a queue, as a modern driver. */
  setUpQueue(index: number, { size, desc, driver, device }: QueuePlaces): TestDriver {
    this.modern.write(QUEUE_SELECT, 2, index);
    this.modern.write(QUEUE_SIZE, 2, size);
    [desc, driver, device].forEach((address, n) => {
      this.modern.write(QUEUE_DESC + 8 * n, 4, address);
      this.modern.write(QUEUE_DESC + 8 * n + 4, 4, 0);
    });
    this.modern.write(QUEUE_MSIX_VECTOR, 2, index + 1);
    this.modern.write(QUEUE_ENABLE, 2, 1);
    return new TestDriver(this.memory, { size, desc, driver, device });
  }

  /** Take a queue back (2.6.1), as a driver that has RING_RESET. */
  resetQueue(index: number): void {
    this.modern.write(QUEUE_SELECT, 2, index);
    this.modern.write(QUEUE_RESET, 2, 1);
  }

  kick(index: number): void {
    this.modern.write(NOTIFY + NOTIFY_OFF_MULTIPLIER * index, 2, index);
  }

  /** From reset to DRIVER_OK with one queue after the other from `base` on, 0x1000 bytes each, of 8 entries if there are as many. */
  start(features: bigint, queues = 1, base = 0x1000): TestDriver[] {
    if (!this.negotiate(features | (1n << 32n))) throw new Error('the device did not agree on features');
    const drivers = Array.from({ length: queues }, (_, n) => {
      this.modern.write(QUEUE_SELECT, 2, n);
      const size = Math.min(8, this.modern.read(QUEUE_SIZE, 2) || 8);
      return this.setUpQueue(n, { size, desc: base + 0x1000 * n, driver: base + 0x1000 * n + 0x400, device: base + 0x1000 * n + 0x800 });
    });
    this.status = 15;
    return drivers;
  }
}

/** Cases of a fuzzing spec: `usual` in `npm test`; `npm run fuzz` asks for a million. */
export function fuzzRuns(usual: number): number {
  const runs = Number(process.env.FUZZ_RUNS ?? usual);
  return Number.isInteger(runs) && runs > 0 ? runs : usual;
}

/**
 * Run a fuzzing spec by its seed: FUZZ_SEED, or `usual`, which is another one each time unless told otherwise. What fails says how to have
 * it again; the number of cases (FUZZ_RUNS) must be the same or more, as one case finds what those before it left.
 */
export function fuzzSeeded(run: (seed: number) => void, usual = Date.now() & 0x7fffffff): void {
  const seed = Number(process.env.FUZZ_SEED || usual);
  if (!Number.isInteger(seed) || seed !== (seed | 0)) throw new Error(`FUZZ_SEED=${process.env.FUZZ_SEED} is not an integer of 32 bits`);
  try {
    run(seed);
  } catch (error) {
    throw new Error(`with FUZZ_SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** What a hostile driver does to a device whose queues start() has set up. */
export type HostileStep =
  /** A descriptor of a queue; `place` counts in eighths of RAM and may lie outside. */
  | { kind: 'descriptor'; queue: number; index: number; place: number; length: number; flags: number; next: number }
  /** An indirect table that lies in the descriptor table itself: `at` 0 bites its own tail. */
  | { kind: 'indirect'; queue: number; index: number; at: number; entries: number }
  | { kind: 'offer'; queue: number; head: number }
  /** The idx of the available ring. */
  | { kind: 'idx'; queue: number; value: number }
  | { kind: 'kick'; queue: number }
  | { kind: 'write'; place: number; bytes: Uint8Array }
  | { kind: 'register'; offset: number; size: 1 | 2 | 4; value: number }
  | { kind: 'time'; ns: number };

const eighth = (memory: GuestMemory, place: number): number => Math.floor((memory.size / 8) * place);

/** Steps for a device with so many queues of 8 entries. `payload` gives bytes that mean something to the device. */
export function hostileSteps(queues: number, payload: fc.Arbitrary<Uint8Array>): fc.Arbitrary<HostileStep> {
  const queue = fc.nat(queues - 1);
  const index = fc.oneof({ weight: 9, arbitrary: fc.nat(7) }, fc.nat(0xffff));
  const place = fc.oneof({ weight: 9, arbitrary: fc.nat(7) }, fc.constantFrom(8, 7.9999, 1e6, 0.05));
  const value = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 7, 11, 15, 0xff, 0xffff, 0xffffffff), fc.nat(0xffffffff));
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('descriptor' as const), queue, index, place, next: index,
        length: fc.oneof(fc.constantFrom(0, 1, 2, 10, 12, 60, 1526, 65562, 0xffffffff), fc.nat(4096)),
        flags: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, fc.nat(0xffff)),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('indirect' as const), queue, index: fc.nat(7), at: fc.nat(7), entries: fc.constantFrom(0, 1, 2, 8, 1024, 1025) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('offer' as const), queue, head: index }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('idx' as const), queue, value: fc.nat(0xffff) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('kick' as const), queue }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('write' as const), place: fc.nat(7), bytes: payload }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('register' as const), offset: fc.oneof(fc.nat(0x3b), fc.nat(0x3fff)), size: fc.constantFrom(1 as const, 2 as const, 4 as const), value }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), ns: fc.nat(1000) }) },
  );
}

/** Do a step. `drivers` are those that start() gave. */
export function hostile(slot: TestSlot, drivers: readonly TestDriver[], step: HostileStep): void {
  const { memory } = slot;
  const driver = 'queue' in step ? drivers[step.queue] : drivers[0];
  const table = driver.places.desc;
  switch (step.kind) {
    case 'descriptor':
      driver.descriptor(table, step.index & 7, { address: eighth(memory, step.place), length: step.length }, step.flags, step.next);
      return;
    case 'indirect':
      driver.descriptor(table, step.index, { address: table + 16 * step.at, length: 16 * step.entries }, VIRTQ_DESC_F_INDIRECT);
      return;
    case 'offer':
      driver.offer(step.head & 0xffff);
      return;
    case 'idx':
      memory.write16(driver.places.driver + 2, step.value);
      return;
    case 'kick':
      slot.kick(step.queue);
      return;
    case 'write':
      memory.write(eighth(memory, step.place), step.bytes);
      return;
    case 'register':
      slot.modern.write(step.offset, step.size, step.value);
      slot.modern.read(step.offset, step.size);
      return;
    case 'time':
      slot.clock.advance(step.ns);
  }
}
