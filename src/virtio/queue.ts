// The split virtqueue, as the device sees it.
// Virtio 1.2, section 2.7 (Split Virtqueues); indirect descriptors 2.7.5.3, notification suppression 2.7.7 and 2.7.10.
//
// A guest is not trusted. Every field is read from guest memory once, checked, and kept: what the guest changes afterwards has no
// effect on what was checked. A ring or chain that breaks the rules breaks the queue: it calls onBroken and gives no more
// chains. No method throws for anything that a guest does.

import { type GuestMemory, GuestMemoryError } from '../devices/interfaces.ts';
import { copyBytes } from '../devices/shared-copy.ts';

/** Entries of a queue at most (2.7: "maximum Queue Size value is 32768"); QEMU's limit, which bounds a chain too. */
export const MAX_QUEUE_SIZE = 1024;

export const VIRTQ_DESC_F_NEXT = 1;
export const VIRTQ_DESC_F_WRITE = 2;
export const VIRTQ_DESC_F_INDIRECT = 4;
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** Bytes of a descriptor: le64 addr, le32 len, le16 flags, le16 next. */
const DESCRIPTOR = 16;
/** Offset of the entries in the available and used ring, behind flags and idx. */
const RING = 4;

/** The driver broke a rule; the message says which. */
export class VirtqueueError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'VirtqueueError';
  }
}

/** A piece of guest RAM: guest-physical address and bytes. */
export interface Segment {
  address: number;
  length: number;
}

/** Go through `length` bytes of a list of segments from `offset` on, as much as there is: each piece with its place among these bytes. */
function eachPiece(segments: readonly Segment[], offset: number, length: number, piece: (address: number, at: number, length: number) => void): void {
  let at = 0;
  for (const segment of segments) {
    if (at >= length) return;
    if (offset >= segment.length) {
      offset -= segment.length;
      continue;
    }
    const n = Math.min(segment.length - offset, length - at);
    piece(segment.address + offset, at, n);
    at += n;
    offset = 0;
  }
}

const total = (segments: readonly Segment[]): number => segments.reduce((sum, { length }) => sum + length, 0);

/** One buffer of the driver: what the device reads, then what it writes. Addresses were inside RAM when it was taken, and are checked again at each access. */
export class Chain {
  /** Bytes. */
  readonly readableLength: number;
  readonly writableLength: number;

  constructor(
    private readonly memory: GuestMemory,
    /** Index of the first descriptor: the buffer's name in the used ring. */
    readonly head: number,
    readonly readable: readonly Segment[],
    readonly writable: readonly Segment[],
  ) {
    this.readableLength = total(readable);
    this.writableLength = total(writable);
  }

  /** A copy of `length` bytes of the readable part, from `offset`; shorter where it ends. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.readableLength - offset)));
    eachPiece(this.readable, offset, bytes.length, (address, at, n) => copyBytes(bytes.subarray(at), this.memory.bytes(address, n)));
    return bytes;
  }

  /** Fill `into` from `offset` of the readable part. */
  readInto(offset: number, into: Uint8Array): void {
    eachPiece(this.readable, offset, into.length, (address, at, n) => copyBytes(into.subarray(at), this.memory.bytes(address, n)));
  }

  /** The readable part as it lies in guest memory, which the guest may change while it is looked at. */
  readableViews(offset: number, length: number): Uint8Array[] {
    const views: Uint8Array[] = [];
    eachPiece(this.readable, offset, length, (address, _at, n) => views.push(this.memory.bytes(address, n)));
    return views;
  }

  /** The writable part, to be written to at once; then wrote() must be called. */
  writableViews(offset: number, length: number): Uint8Array[] {
    const views: Uint8Array[] = [];
    eachPiece(this.writable, offset, length, (address, _at, n) => views.push(this.memory.bytes(address, n)));
    return views;
  }

  wrote(offset: number, length: number): void {
    eachPiece(this.writable, offset, length, (address, _at, n) => this.memory.written(address, n));
  }

  /** Copy bytes to `offset` of the writable part. @returns how many fitted */
  write(offset: number, data: Uint8Array): number {
    let written = 0;
    eachPiece(this.writable, offset, data.length, (address, at, n) => {
      this.memory.write(address, data.subarray(at, at + n));
      written += n;
    });
    return written;
  }
}

/** What a snapshot keeps of a queue. */
export interface VirtqueueState {
  size: number;
  desc: number;
  driver: number;
  device: number;
  enabled: boolean;
  broken: boolean;
  lastAvail: number;
  usedIndex: number;
  /** used idx at the last interrupt, -1 if there was none. */
  signalled: number;
  suppressed: boolean;
  /** Heads of buffers that the device has taken and not given back: after load() they are to be had once more. */
  inFlight: number[];
}

export class Virtqueue {
  private s: Omit<VirtqueueState, 'inFlight'>;
  /** Buffers that the device holds, by head. A buffer of before a reset is not among them. */
  private readonly inFlight = new Map<number, Chain>();
  /** Heads of buffers that were held when the state was saved. */
  private again: number[] = [];
  /** VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX were negotiated. */
  indirectDesc = false;
  eventIdx = false;

  /**
   * @param maxSize entries that the device offers, a power of two
   * @param onBroken called once when the driver breaks a rule; the device has to be reset
   */
  constructor(
    private readonly memory: GuestMemory,
    readonly maxSize: number,
    private readonly onBroken: (error: Error) => void,
  ) {
    if (maxSize < 1 || maxSize > MAX_QUEUE_SIZE || maxSize & (maxSize - 1)) throw new RangeError(`a queue of ${maxSize} entries`);
    this.s = this.resetState();
  }

  private resetState(): Omit<VirtqueueState, 'inFlight'> {
    this.inFlight.clear();
    this.again = [];
    return {
      size: this.maxSize, desc: 0, driver: 0, device: 0, enabled: false, broken: false, lastAvail: 0, usedIndex: 0, signalled: -1, suppressed: false,
    };
  }

  reset(): void {
    this.s = this.resetState();
    this.indirectDesc = false;
    this.eventIdx = false;
  }

  /** Entries in use. */
  get size(): number {
    return this.s.size;
  }

  /** Guest-physical addresses of descriptor table, available ring ("driver area") and used ring ("device area"). */
  get desc(): number {
    return this.s.desc;
  }

  get driver(): number {
    return this.s.driver;
  }

  get device(): number {
    return this.s.device;
  }

  get enabled(): boolean {
    return this.s.enabled;
  }

  /** Set size and places. Ignored while the queue is enabled. */
  configure(change: Partial<Pick<VirtqueueState, 'size' | 'desc' | 'driver' | 'device'>>): void {
    if (!this.s.enabled) Object.assign(this.s, change);
  }

  /** Start to use the rings. Wrong sizes and places break the queue. */
  enable(): void {
    if (this.s.enabled) return;
    this.s.enabled = true;
    this.guard(undefined, () => {
      const { size, desc, driver, device } = this.s;
      if (size < 1 || size > this.maxSize || size & (size - 1)) throw new VirtqueueError(`the queue size ${size} is not a power of two up to ${this.maxSize}`);
      // Alignments: 2.7, table "Virtqueue part".
      if (desc % 16 || driver % 2 || device % 4) throw new VirtqueueError('a part of the queue is not aligned');
      this.memory.check(desc, DESCRIPTOR * size);
      this.memory.check(driver, RING + 2 * size + 2);
      this.memory.check(device, RING + 8 * size + 2);
    });
  }

  /** The driver took the queue back (legacy interface). */
  disable(): void {
    this.s = this.resetState();
  }

  /** Break the queue: the device found something in a buffer that it cannot answer. */
  fail(message: string): void {
    this.guard(undefined, () => {
      throw new VirtqueueError(message);
    });
  }

  private get usable(): boolean {
    return this.s.enabled && !this.s.broken;
  }

  /** Turn what a guest can cause into a broken queue. */
  private guard<T>(otherwise: T, action: () => T): T {
    if (!this.usable) return otherwise;
    try {
      return action();
    } catch (error) {
      if (!(error instanceof VirtqueueError) && !(error instanceof GuestMemoryError)) throw error;
      this.s.broken = true;
      this.onBroken(error);
      return otherwise;
    }
  }

  /** Buffers that wait. */
  get available(): number {
    return this.guard(0, () => this.again.length + this.waiting());
  }

  private waiting(): number {
    const { driver, lastAvail, size } = this.s;
    const waiting = (this.memory.read16(driver + 2) - lastAvail) & 0xffff;
    if (waiting > size) throw new VirtqueueError(`the available ring's idx went ${waiting} ahead in a queue of ${size}`);
    return waiting;
  }

  /** The next buffer of the driver, undefined if there is none. Each must be given back by push(), in any order and at any time, or at once by unpop(). */
  pop(): Chain | undefined {
    return this.guard(undefined, () => {
      const held = this.again.shift();
      if (held !== undefined) return this.take(held);
      if (this.waiting() === 0) return undefined;
      const { driver, lastAvail, size } = this.s;
      const head = this.memory.read16(driver + RING + 2 * (lastAvail & (size - 1)));
      const chain = this.take(head);
      this.s.lastAvail = (lastAvail + 1) & 0xffff;
      // With EVENT_IDX the driver notifies when it passes avail_event.
      if (this.eventIdx && !this.s.suppressed) this.writeAvailEvent();
      return chain;
    });
  }

  /** Heads are below the queue's size, so that no more buffers are held than it has entries. */
  private take(head: number): Chain {
    if (this.inFlight.has(head)) throw new VirtqueueError(`descriptor ${head} is offered again while the device has it`);
    const chain = this.walk(head);
    this.inFlight.set(head, chain);
    return chain;
  }

  /** Take back the last pop(): the buffer stays in the queue, and its descriptors are looked at anew the next time. */
  unpop(chain: Chain): void {
    if (this.inFlight.delete(chain.head)) this.again.unshift(chain.head);
  }

  private walk(head: number): Chain {
    const { memory, indirectDesc } = this;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.s.desc;
    let size = this.s.size;
    let inside = false;
    let index = head;
    let bytes = 0;
    for (let left = size; ; left--) {
      if (index >= size) throw new VirtqueueError(`descriptor ${index} in a table of ${size}`);
      // More steps than entries: the chain bites its own tail.
      if (left === 0) throw new VirtqueueError('a descriptor chain has a loop');
      const at = table + DESCRIPTOR * index;
      const length = memory.read32(at + 8);
      const control = memory.read32(at + 12);
      const flags = control & 0xffff;
      const address = memory.read32(at + 4) === 0 ? memory.read32(at) : Infinity;
      if (flags & VIRTQ_DESC_F_INDIRECT) {
        if (!indirectDesc) throw new VirtqueueError('an indirect descriptor without VIRTIO_F_INDIRECT_DESC');
        if (inside) throw new VirtqueueError('an indirect descriptor in an indirect table');
        if (flags & VIRTQ_DESC_F_NEXT) throw new VirtqueueError('an indirect descriptor with NEXT');
        if (length === 0 || length % DESCRIPTOR) throw new VirtqueueError(`an indirect table of ${length} bytes`);
        const entries = length / DESCRIPTOR;
        // A driver must stay within the queue size (2.7.5.3.1); QEMU takes as much as its largest queue, and so do we.
        if (entries > MAX_QUEUE_SIZE) throw new VirtqueueError(`an indirect table of ${entries} descriptors`);
        memory.check(address, length);
        inside = true;
        table = address;
        size = entries;
        // The loop's own step takes one off.
        left = entries + 1;
        index = 0;
        continue;
      }
      if (length === 0) throw new VirtqueueError('a buffer of zero bytes');
      bytes += length;
      // 2.7.5.2: the driver must not make a chain of more than 2^32 bytes; used elements have 32 bits for it.
      if (bytes > 0xffffffff) throw new VirtqueueError('a chain of 4 GiB or more');
      memory.check(address, length);
      if (flags & VIRTQ_DESC_F_WRITE) writable.push({ address, length });
      else if (writable.length > 0) throw new VirtqueueError('a readable descriptor behind a writable one');
      else readable.push({ address, length });
      if (!(flags & VIRTQ_DESC_F_NEXT)) return new Chain(memory, head, readable, writable);
      index = control >>> 16;
    }
  }

  /** Whether the driver still waits for this buffer: it did not take the queue back meanwhile. A device writes to no other. */
  holds(chain: Chain): boolean {
    return this.usable && this.inFlight.get(chain.head) === chain;
  }

  /** Give a buffer back; one from before a reset is dropped. @param written bytes that the device wrote to its start */
  push(chain: Chain, written: number): void {
    this.pushAll([{ chain, written }]);
  }

  /** Give buffers back, all of which the driver sees at once. */
  pushAll(buffers: readonly { chain: Chain; written: number }[]): void {
    this.guard(undefined, () => {
      const { device, size } = this.s;
      for (const { chain, written } of buffers) {
        if (!this.holds(chain)) continue;
        this.inFlight.delete(chain.head);
        const at = device + RING + 8 * (this.s.usedIndex & (size - 1));
        this.memory.write32(at, chain.head);
        this.memory.write32(at + 4, written);
        this.s.usedIndex = (this.s.usedIndex + 1) & 0xffff;
      }
      this.memory.write16(device + 2, this.s.usedIndex);
    });
  }

  /** Whether the driver wants an interrupt for what was pushed since this was asked last (2.7.7.2). */
  shouldInterrupt(): boolean {
    return this.guard(false, () => {
      const { signalled, usedIndex, driver, size } = this.s;
      if (signalled === usedIndex || (signalled < 0 && usedIndex === 0)) return false;
      this.s.signalled = usedIndex;
      if (!this.eventIdx) return (this.memory.read16(driver) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
      if (signalled < 0) return true;
      const usedEvent = this.memory.read16(driver + RING + 2 * size);
      return ((usedIndex - usedEvent - 1) & 0xffff) < ((usedIndex - signalled) & 0xffff);
    });
  }

  /** Whether the driver should notify about new buffers (2.7.10). After switching on, look at `available` again: some may have come unannounced. */
  setNotification(wanted: boolean): void {
    this.guard(undefined, () => {
      this.s.suppressed = !wanted;
      if (!this.eventIdx) this.memory.write16(this.s.device, wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY);
      else if (wanted) this.writeAvailEvent();
    });
  }

  private writeAvailEvent(): void {
    this.memory.write16(this.s.device + RING + 8 * this.s.size, this.s.lastAvail);
  }

  save(): VirtqueueState {
    return { ...this.s, inFlight: [...this.again, ...this.inFlight.keys()] };
  }

  load({ inFlight, ...state }: VirtqueueState): void {
    this.inFlight.clear();
    this.s = { ...state };
    this.again = [...inFlight];
  }
}
