// What all virtio devices share, whatever bus they sit on: features, status, queues, configuration space.
// Virtio 1.2, chapter 2 (Basic Facilities) and section 3.1 (Device Initialization).
//
// A device extends VirtioDevice: it says what it is, and what it does when its driver has put buffers into a queue.

import type { AccessSize, Clock, GuestMemory, Snapshotable, Timer } from '../devices/interfaces.ts';
import { type Chain, Virtqueue, type VirtqueueState } from './queue.ts';

/** Device types, chapter 5. */
export const enum VirtioType {
  NET = 1,
  BLOCK = 2,
  CONSOLE = 3,
  ENTROPY = 4,
  BALLOON = 5,
  TRANSPORT_9P = 9,
}

/** Device status bits, 2.1. */
export const STATUS_ACKNOWLEDGE = 1;
export const STATUS_DRIVER = 2;
export const STATUS_DRIVER_OK = 4;
export const STATUS_FEATURES_OK = 8;
export const STATUS_NEEDS_RESET = 64;
export const STATUS_FAILED = 128;

/** Feature bits of every device, chapter 6; the first two belong to the legacy interface (6.3). */
export const VIRTIO_F_NOTIFY_ON_EMPTY = 1n << 24n;
export const VIRTIO_F_ANY_LAYOUT = 1n << 27n;
export const VIRTIO_F_INDIRECT_DESC = 1n << 28n;
export const VIRTIO_F_EVENT_IDX = 1n << 29n;
export const VIRTIO_F_VERSION_1 = 1n << 32n;
export const VIRTIO_F_RING_RESET = 1n << 40n;

/** Those of them that can be left out, by QEMU's names of the properties that do so. */
export const COMMON_FEATURES = {
  indirect_desc: VIRTIO_F_INDIRECT_DESC, event_idx: VIRTIO_F_EVENT_IDX, queue_reset: VIRTIO_F_RING_RESET,
  notify_on_empty: VIRTIO_F_NOTIFY_ON_EMPTY, any_layout: VIRTIO_F_ANY_LAYOUT,
} as const;
export type CommonFeature = keyof typeof COMMON_FEATURES;

export interface VirtioIdentity {
  /** QEMU's name of the device, "virtio-rng". */
  name: string;
  type: VirtioType;
  /** Base class and subclass of the PCI function. */
  pciClass: number;
  /** Sizes of the queues, powers of two. */
  queues: readonly number[];
  /** Features of this device type, beside the common ones. */
  features?: bigint;
  /** Bytes of the configuration space. */
  configLength?: number;
}

/** What a device asks of its transport. */
export interface VirtioTransport {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  /** Whether the device may reach guest memory by itself: bus mastering is on. */
  readonly mastering: boolean;
  /** Tell the driver that queue `index` has used buffers. */
  queueInterrupt(index: number): void;
  /** Tell the driver that configuration space or status has changed. */
  configInterrupt(): void;
}

/** What a snapshot keeps of every device. */
interface State {
  status: number;
  features: bigint;
  broken: boolean;
  generation?: number;
  queues: VirtqueueState[];
  config: Uint8Array;
  device: unknown;
}

/** An answer of serve(): none yet. */
export const NOT_NOW = -1;

/** Bytes that may move for one notification, about: more would hold the machine up. */
const BATCH = 16 << 20;

export abstract class VirtioDevice implements Snapshotable {
  /** Configuration space, little endian. Change it through changeConfig() once the driver may look. */
  readonly config: Uint8Array;
  /** Changes whenever the device changes `config` (2.5.1). */
  configGeneration = 0;
  queues: readonly Virtqueue[] = [];
  private transport: VirtioTransport | undefined;
  private later: Timer | undefined;
  /** Bytes that the batch being served has moved. */
  private moved = 0;
  /** A queue is being served: it interrupts at the end, for all that was answered. */
  private serving = false;
  private s = { status: 0, features: 0n, broken: false };
  /** Common features that are not offered. */
  private withheld = 0n;
  /** Why the device stopped, for whoever looks for the reason. */
  failure: string | undefined;

  constructor(readonly identity: VirtioIdentity) {
    this.config = new Uint8Array(identity.configLength ?? 0);
  }

  /** Called by the transport. */
  attach(transport: VirtioTransport): void {
    this.transport = transport;
    this.queues = this.identity.queues.map((size) => new Virtqueue(transport.memory, size, (error) => this.needsReset(error.message)));
    this.later = transport.clock.timer(this.identity.name, () => this.notifyAll());
  }

  // For the transport

  /** Do not offer these. */
  withhold(features: readonly CommonFeature[]): void {
    for (const name of features) this.withheld |= COMMON_FEATURES[name];
  }

  /** Features that the device offers. */
  get offered(): bigint {
    return ((this.identity.features ?? 0n) | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_RESET) & ~this.withheld;
  }

  /** What it offers through the legacy interface: from virtio 1.0 on a driver may lay requests out as it likes, and NOTIFY_ON_EMPTY is no more. */
  get offeredLegacy(): bigint {
    return this.offered | ((VIRTIO_F_NOTIFY_ON_EMPTY | VIRTIO_F_ANY_LAYOUT) & ~this.withheld);
  }

  /** Features that the driver took. */
  get features(): bigint {
    return this.s.features;
  }

  setFeatures(features: bigint): void {
    this.s.features = features;
    for (const queue of this.queues) {
      queue.indirectDesc = (features & VIRTIO_F_INDIRECT_DESC) !== 0n;
      queue.eventIdx = (features & VIRTIO_F_EVENT_IDX) !== 0n;
      queue.notifyOnEmpty = (features & VIRTIO_F_NOTIFY_ON_EMPTY) !== 0n;
    }
  }

  get status(): number {
    return this.s.status;
  }

  /** The driver writes to configuration space: ignored, unless the device has a field that it may write. */
  writeConfig(_offset: number, _size: AccessSize, _value: number): void {}

  /** Device status as the driver writes it; 0 is a reset. NEEDS_RESET goes only by a reset. */
  setStatus(status: number): void {
    if (status === 0) this.reset();
    else this.s.status = status | (this.s.status & STATUS_NEEDS_RESET);
  }

  /** The driver notifies that queue `index` has buffers. */
  notify(index: number): void {
    if (!this.s.broken && index < this.queues.length && this.queues[index].enabled) this.notified(index);
  }

  /** The driver takes queue `index` back, with all buffers of it that the device has (2.6.1): none of them is answered any more. */
  resetQueue(index: number): void {
    this.queues[index].disable();
    this.onQueueReset(index);
  }

  /** Look at what the host has for the device, or has room for: called before each slice of the machine. */
  poll(): void {}

  reset(): void {
    this.s = { status: 0, features: 0n, broken: false };
    this.failure = undefined;
    this.later?.disarm();
    for (const queue of this.queues) queue.reset();
    this.onReset();
  }

  // For the device

  /** Queue `index` has buffers. */
  protected abstract notified(index: number): void;

  /** Back to the state after power-on. */
  protected onReset(): void {}

  /** What the device keeps of the buffers of queue `index` goes, beside what Virtqueue.holds() says. */
  protected onQueueReset(_index: number): void {}

  protected saveDevice(): unknown {
    return undefined;
  }

  protected loadDevice(_state: unknown): void {}

  /** Whether the device may use its queues without being notified: its driver is there, and it is not broken. */
  protected get live(): boolean {
    return !this.s.broken && (this.s.status & STATUS_DRIVER_OK) !== 0 && this.transport!.mastering;
  }

  protected get clock(): Clock {
    return this.transport!.clock;
  }

  /**
   * Answer the buffers of a queue, at most as many as it has entries, because what an answer writes may be the ring itself, and
   * no more once BATCH is reached. The rest waits until the guest has run again.
   * @param answer gives the number of bytes that it wrote; or undefined: then it, or something later, calls finish(); or NOT_NOW:
   * this buffer and those behind it stay in the queue
   * @param quiet the driver need not say when it has put more there: the device will look again
   */
  protected serve(index: number, answer: (chain: Chain, queue: Virtqueue) => number | undefined, quiet = false): void {
    const queue = this.queues[index];
    queue.setNotification(false);
    this.moved = 0;
    this.serving = true;
    let waits = false;
    for (let left = queue.size; left > 0 && this.moved < BATCH; left--) {
      const chain = queue.pop();
      if (!chain) break;
      this.charge(chain.readableLength);
      const written = answer(chain, queue);
      if (written === NOT_NOW) {
        queue.unpop(chain);
        waits = true;
        break;
      }
      this.charge(written ?? chain.writableLength);
      if (written !== undefined) queue.push(chain, written);
    }
    this.serving = false;
    if (!quiet) queue.setNotification(true);
    if (!waits && queue.available > 0) this.later?.arm(this.clock.now() + 1);
    this.interrupt(index);
  }

  /** Give back a buffer that serve() left open. If the driver has reset the device meanwhile, nothing happens. */
  protected finish(index: number, chain: Chain, written: number): void {
    const queue = this.queues[index];
    if (!queue.holds(chain)) return;
    queue.push(chain, written);
    if (!this.serving) this.interrupt(index);
  }

  /** Count work that shows in no buffer's length, in bytes. */
  protected charge(bytes: number): void {
    this.moved += bytes;
  }

  /** Interrupt for what was pushed to a queue, if the driver wants it. */
  protected interrupt(index: number): void {
    if (this.queues[index].shouldInterrupt()) this.transport?.queueInterrupt(index);
  }

  /** Change configuration space, and tell the driver. */
  protected changeConfig(change: (config: DataView) => void): void {
    change(new DataView(this.config.buffer));
    this.configGeneration = (this.configGeneration + 1) & 0xff;
    if (this.s.status & STATUS_DRIVER_OK) this.transport?.configInterrupt();
  }

  /** The driver did what cannot be answered: stop until it resets the device (2.1.2). */
  private needsReset(why: string): void {
    this.failure = why;
    this.s.broken = true;
    // The legacy interface has no such bit.
    if (!(this.s.features & VIRTIO_F_VERSION_1)) return;
    const running = this.s.status & STATUS_DRIVER_OK;
    this.s.status |= STATUS_NEEDS_RESET;
    if (running) this.transport?.configInterrupt();
  }

  private notifyAll(): void {
    for (let index = 0; index < this.queues.length; index++) if (this.queues[index].available > 0) this.notify(index);
  }

  save(): unknown {
    return { ...this.s, generation: this.configGeneration, queues: this.queues.map((queue) => queue.save()), config: this.config.slice(), device: this.saveDevice() } satisfies State;
  }

  load(state: unknown): void {
    const { status, features, broken, generation = 0, queues, config, device } = state as State;
    this.reset();
    this.configGeneration = generation;
    this.setFeatures(features);
    this.s = { status, features, broken };
    this.queues.forEach((queue, index) => queue.load(queues[index]));
    this.config.set(config);
    this.loadDevice(device);
    // What was left for later.
    if (status & STATUS_DRIVER_OK) this.later?.arm(this.clock.now() + 1);
  }
}
