// The split virtqueue, as the device sees it.
// Virtio 1.2, section 2.7 (Split Virtqueues); indirect descriptors 2.7.5.3, notification suppression 2.7.7 and 2.7.10.
//
// A guest is not trusted. Every field is read from guest memory once, checked, and kept: what the guest changes afterwards has no
// effect on what was checked. A ring or chain that breaks the rules breaks the queue: it calls onBroken and gives no more
// chains. No method throws for anything that a guest does.

import { type GuestMemory, GuestMemoryError } from '../devices/interfaces.ts';
import { copyBytesTo } from '../devices/shared-copy.ts';

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

/** One buffer of the driver: what the device reads, then what it writes. Addresses were inside RAM when it was taken, and are checked again at each access. */
export class Chain {
  constructor(
    private readonly memory: GuestMemory,
    /** Index of the first descriptor: the buffer's name in the used ring. */
    readonly head: number,
    readonly readable: readonly Segment[],
    readonly writable: readonly Segment[],
    /** Bytes. */
    readonly readableLength: number,
    readonly writableLength: number,
  ) {}

  /** A copy of `length` bytes of the readable part, from `offset`; shorter where it ends. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.readableLength - offset)));
    this.readInto(offset, bytes);
    return bytes;
  }

  /** Fill `into` from `offset` of the readable part. */
  readInto(offset: number, into: Uint8Array): void {
    eachPiece(this.readable, offset, into.length, (address, at, n) => copyBytesTo(into, at, this.memory.bytes(address, n)));
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
      this.memory.write(address, n === data.length ? data : data.subarray(at, at + n));
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
  /** Buffers that the device holds, by head. A buffer of before a reset is not among them. No Map: one that is emptied again and again makes a new table each time. */
  private readonly inFlight: (Chain | undefined)[];
  /** Heads of buffers that were held when the state was saved. */
  private again: number[] = [];
  /** VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX and VIRTIO_F_NOTIFY_ON_EMPTY were negotiated. */
  indirectDesc = false;
  eventIdx = false;
  notifyOnEmpty = false;

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
    this.inFlight = new Array<Chain | undefined>(maxSize).fill(undefined);
    this.s = this.resetState();
  }

  private resetState(): Omit<VirtqueueState, 'inFlight'> {
    this.inFlight.fill(undefined);
    this.again = [];
    return {
      size: this.maxSize, desc: 0, driver: 0, device: 0, enabled: false, broken: false, lastAvail: 0, usedIndex: 0, signalled: -1, suppressed: false,
    };
  }

  reset(): void {
    this.s = this.resetState();
    this.indirectDesc = false;
    this.eventIdx = false;
    this.notifyOnEmpty = false;
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
    this.guard(() => {
      const { size, desc, driver, device } = this.s;
      if (size < 1 || size > this.maxSize || size & (size - 1)) throw new VirtqueueError(`the queue size ${size} is not a power of two up to ${this.maxSize}`);
      // Alignments: 2.7, table "Virtqueue part".
      if (desc % 16 || driver % 2 || device % 4) throw new VirtqueueError('a part of the queue is not aligned');
      this.memory.check(desc, DESCRIPTOR * size);
      this.memory.check(driver, RING + 2 * size + 2);
      this.memory.check(device, RING + 8 * size + 2);
    });
  }

  /** The driver took the queue back: all is as before it was set up, and what the device holds it holds no more. */
  disable(): void {
    this.s = this.resetState();
  }

  /** Break the queue: the device found something in a buffer that it cannot answer. */
  fail(message: string): void {
    this.guard(() => {
      throw new VirtqueueError(message);
    });
  }

  private get usable(): boolean {
    return this.s.enabled && !this.s.broken;
  }

  /** Turn what a guest can cause into a broken queue. What is done for each buffer has its own `try`, and makes no function each time. */
  private guard(action: () => void): void {
    if (!this.usable) return;
    try {
      action();
    } catch (error) {
      this.broke(error);
    }
  }

  private broke(error: unknown): void {
    if (!(error instanceof VirtqueueError) && !(error instanceof GuestMemoryError)) throw error;
    this.s.broken = true;
    this.onBroken(error);
  }

  /** Buffers that wait. */
  get available(): number {
    if (!this.usable) return 0;
    try {
      return this.again.length + this.waiting();
    } catch (error) {
      this.broke(error);
      return 0;
    }
  }

  private waiting(): number {
    const { driver, lastAvail, size } = this.s;
    const waiting = (this.memory.read16(driver + 2) - lastAvail) & 0xffff;
    if (waiting > size) throw new VirtqueueError(`the available ring's idx went ${waiting} ahead in a queue of ${size}`);
    return waiting;
  }

  /** The next buffer of the driver, undefined if there is none. Each must be given back by push(), in any order and at any time, or at once by unpop(). */
  pop(): Chain | undefined {
    if (!this.usable) return undefined;
    try {
      const held = this.again.length > 0 ? this.again.shift() : undefined;
      if (held !== undefined) return this.take(held);
      if (this.waiting() === 0) return undefined;
      const { driver, lastAvail, size } = this.s;
      const head = this.memory.read16(driver + RING + 2 * (lastAvail & (size - 1)));
      const chain = this.take(head);
      this.s.lastAvail = (lastAvail + 1) & 0xffff;
      // With EVENT_IDX the driver notifies when it passes avail_event.
      if (this.eventIdx && !this.s.suppressed) this.writeAvailEvent();
      return chain;
    } catch (error) {
      this.broke(error);
      return undefined;
    }
  }

  /** Heads are below the queue's size, so that no more buffers are held than it has entries. */
  private take(head: number): Chain {
    if (head < this.maxSize && this.inFlight[head]) throw new VirtqueueError(`descriptor ${head} is offered again while the device has it`);
    const chain = this.walk(head);
    this.inFlight[head] = chain;
    return chain;
  }

  /** Take back the last pop(): the buffer stays in the queue, and its descriptors are looked at anew the next time. */
  unpop(chain: Chain): void {
    if (!this.inFlight[chain.head]) return;
    this.inFlight[chain.head] = undefined;
    this.again.unshift(chain.head);
  }

  private walk(head: number): Chain {
    const { memory, indirectDesc } = this;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.s.desc;
    let size = this.s.size;
    let inside = false;
    let index = head;
    let readableLength = 0;
    let writableLength = 0;
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
      // 2.7.5.2: the driver must not make a chain of more than 2^32 bytes; used elements have 32 bits for it.
      if (readableLength + writableLength + length > 0xffffffff) throw new VirtqueueError('a chain of 4 GiB or more');
      memory.check(address, length);
      if (flags & VIRTQ_DESC_F_WRITE) {
        writable.push({ address, length });
        writableLength += length;
      } else {
        if (writable.length > 0) throw new VirtqueueError('a readable descriptor behind a writable one');
        readable.push({ address, length });
        readableLength += length;
      }
      if (!(flags & VIRTQ_DESC_F_NEXT)) return new Chain(memory, head, readable, writable, readableLength, writableLength);
      index = control >>> 16;
    }
  }

  /** Whether the driver still waits for this buffer: it did not take the queue back meanwhile. A device writes to no other. */
  holds(chain: Chain): boolean {
    return this.usable && this.inFlight[chain.head] === chain;
  }

  /** Give a buffer back; one from before a reset is dropped. @param written bytes that the device wrote to its start */
  push(chain: Chain, written: number): void {
    if (!this.usable) return;
    try {
      this.use(chain, written);
      this.publish();
    } catch (error) {
      this.broke(error);
    }
  }

  /** Give buffers back, all of which the driver sees at once. */
  pushAll(buffers: readonly { chain: Chain; written: number }[]): void {
    if (!this.usable) return;
    try {
      for (const { chain, written } of buffers) this.use(chain, written);
      this.publish();
    } catch (error) {
      this.broke(error);
    }
  }

  private use(chain: Chain, written: number): void {
    if (this.inFlight[chain.head] !== chain) return;
    this.inFlight[chain.head] = undefined;
    const { device, size, usedIndex } = this.s;
    const at = device + RING + 8 * (usedIndex & (size - 1));
    this.memory.write32(at, chain.head);
    this.memory.write32(at + 4, written);
    this.s.usedIndex = (usedIndex + 1) & 0xffff;
  }

  private publish(): void {
    this.memory.write16(this.s.device + 2, this.s.usedIndex);
  }

  /** Nothing waits, and the device holds nothing. */
  private get isIdle(): boolean {
    return this.again.length === 0 && this.waiting() === 0 && this.inFlight.every((chain) => chain === undefined);
  }

  /** Whether the driver wants an interrupt for what was pushed since this was asked last (2.7.7.2). */
  shouldInterrupt(): boolean {
    if (!this.usable) return false;
    try {
      const { signalled, usedIndex, driver, size } = this.s;
      if (signalled === usedIndex || (signalled < 0 && usedIndex === 0)) return false;
      this.s.signalled = usedIndex;
      // Legacy (6.3): when the device has used all that there was, whatever the driver has suppressed.
      if (this.notifyOnEmpty && this.isIdle) return true;
      if (!this.eventIdx) return (this.memory.read16(driver) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
      if (signalled < 0) return true;
      const usedEvent = this.memory.read16(driver + RING + 2 * size);
      return ((usedIndex - usedEvent - 1) & 0xffff) < ((usedIndex - signalled) & 0xffff);
    } catch (error) {
      this.broke(error);
      return false;
    }
  }

  /** Whether the driver should notify about new buffers (2.7.10). After switching on, look at `available` again: some may have come unannounced. */
  setNotification(wanted: boolean): void {
    if (!this.usable) return;
    try {
      this.s.suppressed = !wanted;
      if (!this.eventIdx) this.memory.write16(this.s.device, wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY);
      else if (wanted) this.writeAvailEvent();
    } catch (error) {
      this.broke(error);
    }
  }

  private writeAvailEvent(): void {
    this.memory.write16(this.s.device + RING + 8 * this.s.size, this.s.lastAvail);
  }

  save(): VirtqueueState {
    return { ...this.s, inFlight: [...this.again, ...this.inFlight.flatMap((chain) => (chain ? [chain.head] : []))] };
  }

  load({ inFlight, ...state }: VirtqueueState): void {
    this.inFlight.fill(undefined);
    this.s = { ...state };
    this.again = [...inFlight];
  }
}
