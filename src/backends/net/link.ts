// A cable whose far end is in the I/O worker: frames go over a channel as they are. LinkBackend is the machine's end; the other is a
// FrameCarrier, which some transport (a BroadcastChannel, a relay's WebSocket) fills and empties.

import type { FrameOffload, NetBackend, NetOffloads, NetReceiver } from '../../devices/interfaces.ts';
import { NO_OFFLOADS } from '../../devices/net/offload.ts';
import type { ChannelEnd } from './channel.ts';

const enum Type {
  FRAME = 1,
  /** argument: 1 the link is up, 0 down; payload: the state in words. */
  STATE = 2,
}

/** How soon a state that found no room is sent again. */
const RETRY_MS = 100;

/** Frames that one look takes, so that the machine runs on. */
const LOOK = 256;

export class LinkBackend implements NetBackend {
  readonly accepts: NetOffloads = NO_OFFLOADS;
  linkUp = false;
  private receiver: NetReceiver | undefined;
  private isFull = false;
  /** A frame that the NIC had no room for. */
  private held: Uint8Array | undefined;
  private state = 'connecting';

  /** @param kind and what leads to it, for describe(): "relay,url=wss://…" */
  constructor(
    private readonly end: ChannelEnd,
    private readonly kind: string,
  ) {}

  attach(receiver: NetReceiver): void {
    this.receiver = receiver;
  }

  get canSend(): boolean {
    return !this.isFull;
  }

  send(frame: Uint8Array, _offload?: FrameOffload): void {
    if (!this.linkUp) return;
    this.isFull = !this.end.send(Type.FRAME, 0, 0, frame);
  }

  ready(): void {
    this.poll();
  }

  poll(): void {
    if (this.isFull) {
      this.isFull = false;
      this.receiver?.drained();
    }
    if (this.held) {
      if (!this.receiver?.receive(this.held)) return;
      this.held = undefined;
    }
    for (let n = 0; n < LOOK; n++) {
      const message = this.end.receive();
      if (!message) return;
      if (message.type === Type.STATE) this.changed(message.argument === 1, new TextDecoder().decode(message.payload));
      else if (this.receiver && !this.receiver.receive(message.payload)) {
        this.held = message.payload.slice();
        return;
      }
    }
  }

  lost(): void {
    this.changed(false, 'lost');
  }

  private changed(up: boolean, state: string): void {
    this.state = state;
    if (up === this.linkUp) return;
    this.linkUp = up;
    this.receiver?.linkChanged(up);
  }

  describe(): string {
    return `type=${this.kind},state=${this.state}`;
  }
}

/** The I/O worker's end. */
export class FrameCarrier {
  /** Frames from the guest; false: keep it, the transport calls look() when it has room. */
  onFrame: (frame: Uint8Array<ArrayBuffer>) => void = () => {};
  /** Whether the transport takes a frame now. */
  hasRoom: () => boolean = () => true;

  constructor(private readonly end: ChannelEnd) {}

  /** Take what the guest has sent, while there is room. */
  look(): void {
    while (this.hasRoom()) {
      const message = this.end.receive();
      if (!message) return;
      if (message.type === Type.FRAME) this.onFrame(message.payload.slice());
    }
  }

  /** A frame for the guest; lost if the ring is full, as on a wire. */
  deliver(frame: Uint8Array): void {
    this.end.send(Type.FRAME, 0, 0, frame);
  }

  private pending: { up: boolean; text: string } | undefined;
  private isRetrying = false;

  /** Told of each state, for whoever shows it. */
  onState: (up: boolean, text: string) => void = () => {};

  /** Tell the guest of the link, and people in words. */
  state(up: boolean, text: string): void {
    this.onState(up, text);
    this.put(up, text);
  }

  private put(up: boolean, text: string): void {
    this.pending = this.end.send(Type.STATE, 0, up ? 1 : 0, new TextEncoder().encode(text)) ? undefined : { up, text };
    if (!this.pending || this.isRetrying) return;
    this.isRetrying = true;
    setTimeout(() => {
      this.isRetrying = false;
      if (this.pending) this.put(this.pending.up, this.pending.text);
    }, RETRY_MS);
  }
}
