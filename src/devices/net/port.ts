// The socket of a NIC: its cable, whether the link is up, and how much has passed. What all NICs have in common towards the network.

import { type Clock, type FrameOffload, type GuestMemory, MAX_FRAME, MIN_FRAME, type NetBackend, type NetOffloads, type NetReceiver } from '../interfaces.ts';
import { ALL_OFFLOADS, finishChecksum, NO_OFFLOADS, takes, transmit } from './offload.ts';

/** The end of a cable that leads nowhere, for a NIC without netdev=. As in QEMU its link is up, and everything sent is lost. */
export const UNPLUGGED: NetBackend = {
  accepts: ALL_OFFLOADS,
  attach() {},
  canSend: true,
  send() {},
  ready() {},
  linkUp: true,
  describe: () => 'type=none',
};

/** What a NIC does about what comes in. */
export interface NicSide {
  /** What its driver takes unfinished; without it, nothing. */
  accepts?(): NetOffloads;
  /** False: no room now. */
  receive(frame: Uint8Array, offload?: FrameOffload): boolean;
  /** Frames that waited for the backend can go. */
  drained?(): void;
  linkChanged(up: boolean): void;
}

/** Frames and bytes. */
export interface PortCounters {
  sentFrames: number;
  sentBytes: number;
  receivedFrames: number;
  receivedBytes: number;
  /** Frames of the guest that made no sense, or met a link that was down. */
  dropped: number;
}

/** A network card, for the monitor and for benchmarks. */
export interface Nic {
  readonly port: NicPort;
  /** QEMU's name of the model. */
  readonly model: string;
  /** The address that it was made with. */
  readonly mac: Uint8Array;
}

/** What an emulated card is built on. */
export interface NicOptions {
  memory: GuestMemory;
  clock: Clock;
  /** Six bytes. */
  mac: Uint8Array;
  /** Where the cable leads; without it, nowhere. */
  backend?: NetBackend;
  /** Option ROM. */
  rom?: Uint8Array;
}

export class NicPort implements NetReceiver {
  readonly counters: PortCounters = { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, dropped: 0 };
  /** False: the monitor pulled the plug (set_link NAME off). */
  private plugged = true;
  private backendUp: boolean;

  constructor(
    private readonly backend: NetBackend,
    private readonly side: NicSide,
  ) {
    this.backendUp = backend.linkUp;
    backend.attach(this);
  }

  // For the NIC

  get linkUp(): boolean {
    return this.plugged && this.backendUp;
  }

  get canSend(): boolean {
    return this.backend.canSend;
  }

  /** Send a frame of MIN_FRAME to MAX_FRAME bytes; others are dropped. It must not lie in shared memory, and may be written to. @returns frames on the wire */
  send(frame: Uint8Array, offload?: FrameOffload): number {
    const sent = this.linkUp && frame.length >= MIN_FRAME && frame.length <= MAX_FRAME ? transmit(this.backend, frame, offload) : 0;
    if (sent === 0) {
      this.counters.dropped++;
      return 0;
    }
    this.counters.sentFrames += sent;
    this.counters.sentBytes += frame.length;
    return sent;
  }

  /** There is room again. */
  ready(): void {
    this.backend.ready();
  }

  /** What `info network` says of the backend. */
  describe(): string {
    return this.backend.describe();
  }

  // For the monitor

  /** Pull the plug, or put it back. */
  setLink(up: boolean): void {
    this.change(() => (this.plugged = up));
  }

  private change(action: () => void): void {
    const before = this.linkUp;
    action();
    if (this.linkUp !== before) this.side.linkChanged(this.linkUp);
  }

  // For the backend

  get accepts(): NetOffloads {
    return this.side.accepts?.() ?? NO_OFFLOADS;
  }

  receive(frame: Uint8Array, offload?: FrameOffload): boolean {
    if (!this.linkUp || frame.length < MIN_FRAME || frame.length > MAX_FRAME) return true;
    if (offload && !takes(this.accepts, offload)) {
      // It waited while the driver changed its mind. What must be cut is lost, as on a wire; TCP sends it again.
      if (offload.gso) return true;
      frame = frame.slice();
      if (offload.csum && !finishChecksum(frame, offload.csum)) return true;
      offload = undefined;
    }
    if (!this.side.receive(frame, offload)) return false;
    this.counters.receivedFrames++;
    this.counters.receivedBytes += frame.length;
    return true;
  }

  drained(): void {
    this.side.drained?.();
  }

  linkChanged(up: boolean): void {
    this.change(() => (this.backendUp = up));
  }
}
