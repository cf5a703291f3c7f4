// What specs of NICs and backends build on: a cable between two NICs, and a far end that writes down what it gets.

import type { Clock, FrameOffload, NetBackend, NetOffloads, NetReceiver, Timer } from '../interfaces.ts';
import { ALL_OFFLOADS, NO_OFFLOADS } from './offload.ts';

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

  ready(): void {
    this.readies++;
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
