// What specs of NICs and backends build on: a cable between two NICs, and a far end that writes down what it gets.

import type { Clock, FrameOffload, NetBackend, NetOffloads, NetReceiver, Timer } from '../interfaces.ts';
import { Bus } from '../../machine/bus.ts';
import { VirtualClock } from '../../machine/clock.ts';
import { TestMemory } from '../../virtio/testing.ts';
import { PciBus, type PciFunction } from '../pci.ts';
import { ALL_OFFLOADS, NO_OFFLOADS, pseudoHeaderSum } from './offload.ts';
import type { Nic } from './port.ts';

export const TEST_MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
export const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);

/** A frame whose bytes count up; VLAN tag first if one is given. */
export function testFrame(length = 60, to: ArrayLike<number> = TEST_MAC, vlan?: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, i) => i * 3);
  frame.set(to);
  frame.set(vlan === undefined ? [8, 0] : [0x81, 0, vlan >> 8, vlan & 0xff, 8, 0], 12);
  return frame;
}

/** A TCP segment over IPv4 with this much payload, the sum of the pseudo header in the place of its checksum. */
export function testTcp(payload: number): Uint8Array {
  const frame = testFrame(54 + payload);
  const view = new DataView(frame.buffer);
  frame.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  view.setUint16(16, 40 + payload);
  view.setUint32(46, 0x5018_ffff);
  view.setUint32(50, 0);
  view.setUint16(50, pseudoHeaderSum(frame, { network: 14, version: 4 }, 6, 20 + payload));
  return frame;
}

/** A card in slot 3 of a bus of its own, at the end of a test cable, with its BARs placed as firmware would. */
export class NicSlot<T extends PciFunction & Nic> {
  readonly bus = new Bus();
  readonly clock = new VirtualClock(0);
  readonly net: TestNet;
  readonly memory = new TestMemory(1 << 20);
  readonly card: T;
  intx = false;
  /** Rising edges of INTx. */
  interrupts = 0;

  constructor(make: (parts: { memory: TestMemory; clock: Clock; mac: Uint8Array; backend: TestNet }) => T, accepts?: NetOffloads) {
    this.net = new TestNet(accepts);
    const pci = new PciBus(this.bus, (_pirq, level) => {
      if (level && !this.intx) this.interrupts++;
      this.intx = level;
    });
    this.card = make({ memory: this.memory, clock: this.clock, mac: TEST_MAC, backend: this.net });
    pci.add(3, 0, this.card);
    this.place();
  }

  /** What firmware does. Ports from C000h, memory from E0000000h. */
  place(): void {
    for (const { register, kind } of this.card.resources) this.card.writeConfig(register, 4, kind === 'io' ? 0xc000 : 0xe0000000);
    this.card.writeConfig(4, 2, 7);
  }

  in(port: number, size: 1 | 2 | 4 = 1): number {
    const value = this.bus.ioRead(0xc000 + port, size);
    return size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff);
  }

  out(port: number, value: number, size: 1 | 2 | 4 = 1): void {
    this.bus.ioWrite(0xc000 + port, size, value >>> 0);
  }

  read(offset: number): number {
    return this.bus.mmioRead(0xe0000000 + offset, 4) >>> 0;
  }

  write(offset: number, value: number): void {
    this.bus.mmioWrite(0xe0000000 + offset, 4, value >>> 0);
  }
}

/** A far end that keeps what was sent, and lets the spec send. */
export class TestNet implements NetBackend {
  receiver: NetReceiver | undefined;
  readonly sent: { frame: Uint8Array; offload?: FrameOffload }[] = [];
  bytesSent = 0;
  /** Calls of ready(). */
  readies = 0;
  canSend = true;
  linkUp = true;
  /** Called with each frame from the guest. */
  onSend: (frame: Uint8Array, offload?: FrameOffload) => void = () => {};

  constructor(readonly accepts: NetOffloads = ALL_OFFLOADS) {}

  attach(receiver: NetReceiver): void {
    this.receiver = receiver;
  }

  send(frame: Uint8Array, offload?: FrameOffload): void {
    this.sent.push({ frame: frame.slice(), offload });
    this.bytesSent += frame.length;
    this.onSend(frame, offload);
  }

  /** Called when there is room again. */
  onReady: () => void = () => {};

  ready(): void {
    this.readies++;
    this.onReady();
  }

  describe(): string {
    return 'type=test';
  }

  /** To the guest. */
  give(frame: Uint8Array, offload?: FrameOffload): boolean {
    return this.receiver!.receive(frame, offload);
  }

  plug(up: boolean): void {
    this.linkUp = up;
    this.receiver?.linkChanged(up);
  }

  drain(): void {
    this.canSend = true;
    this.receiver?.drained();
  }
}

/** One end of a cable between two NICs of one clock. What a NIC has no room for waits, `limit` frames of it. */
export class CableEnd implements NetBackend {
  readonly accepts = NO_OFFLOADS;
  readonly linkUp = true;
  private other: CableEnd | undefined;
  private receiver: NetReceiver | undefined;
  private readonly waiting: Uint8Array[] = [];
  private readonly timer: Timer;
  dropped = 0;

  private constructor(
    private readonly clock: Clock,
    private readonly limit: number,
  ) {
    this.timer = clock.timer('cable', () => this.deliver());
  }

  static pair(clock: Clock, limit = 64): [CableEnd, CableEnd] {
    const a = new CableEnd(clock, limit);
    const b = new CableEnd(clock, limit);
    a.other = b;
    b.other = a;
    return [a, b];
  }

  attach(receiver: NetReceiver): void {
    this.receiver = receiver;
  }

  get canSend(): boolean {
    return this.other!.waiting.length < this.limit;
  }

  send(frame: Uint8Array): void {
    const other = this.other!;
    if (!this.canSend) {
      this.dropped++;
      return;
    }
    other.waiting.push(frame.slice());
    other.timer.arm(this.clock.now());
  }

  ready(): void {
    this.deliver();
  }

  private deliver(): void {
    const full = !this.other!.canSend;
    while (this.waiting.length > 0 && this.receiver?.receive(this.waiting[0])) this.waiting.shift();
    if (full && this.other!.canSend) this.other!.receiver?.drained();
  }

  describe(): string {
    return 'type=cable';
  }
}
