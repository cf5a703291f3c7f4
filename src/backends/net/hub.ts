// A hub within one machine: what comes in at one port goes out at all others. QEMU's -netdev hubport, and what -net joins.
// Each port leads to a NIC, or to another backend that is plugged in there.

import type { Clock, NetBackend, NetReceiver, Timer } from '../../devices/interfaces.ts';
import { NO_OFFLOADS } from '../../devices/net/offload.ts';

/** Frames that wait at a port for a NIC or backend without room. More are dropped, as on any switch. */
const WAITING = 256;

export class Hub {
  private readonly ports: HubPort[] = [];

  constructor(readonly id: number) {}

  add(port: HubPort): void {
    this.ports.push(port);
  }

  forward(from: HubPort, frame: Uint8Array): void {
    for (const port of this.ports) if (port !== from) port.put(frame);
  }

  /** Whether a frame from this port would get anywhere. */
  hasRoom(from: HubPort): boolean {
    return this.ports.length < 2 || this.ports.some((port) => port !== from && port.hasRoom);
  }

  /** A port that was full has room. */
  drained(at: HubPort): void {
    for (const port of this.ports) if (port !== at) port.othersDrained();
  }
}

/** A port; towards a NIC a backend, towards a backend that is plugged in a receiver. */
export class HubPort implements NetBackend, NetReceiver {
  /** A frame goes to several ends, some of which may need it finished. */
  readonly accepts = NO_OFFLOADS;
  private nic: NetReceiver | undefined;
  private readonly waiting: Uint8Array[] = [];
  private readonly later: Timer;

  /** @param far a backend that is plugged in here, instead of a NIC */
  constructor(
    private readonly hub: Hub,
    private readonly clock: Clock,
    private readonly far?: NetBackend,
  ) {
    this.later = clock.timer('hub', () => this.deliver());
    hub.add(this);
    far?.attach(this);
  }

  // Towards the hub

  get hasRoom(): boolean {
    return this.waiting.length < WAITING;
  }

  /** A frame for this port's end. It leaves from a timer, because its sender is in the middle of sending. */
  put(frame: Uint8Array): void {
    // Nobody there.
    if (!this.nic && !this.far) return;
    if (!this.hasRoom) return;
    this.waiting.push(frame.slice());
    this.later.arm(this.clock.now());
  }

  private deliver(): void {
    const full = !this.hasRoom;
    while (this.waiting.length > 0) {
      if (this.far) {
        if (!this.far.canSend) break;
        this.far.send(this.waiting[0]);
      } else if (!this.nic!.receive(this.waiting[0])) {
        break;
      }
      this.waiting.shift();
    }
    if (full && this.hasRoom) this.hub.drained(this);
  }

  /** Another port has room again: whoever sends here may go on. */
  othersDrained(): void {
    if (this.far) this.far.ready();
    else this.nic?.drained();
  }

  // Towards a NIC

  attach(receiver: NetReceiver): void {
    this.nic = receiver;
  }

  get canSend(): boolean {
    return this.hub.hasRoom(this);
  }

  send(frame: Uint8Array): void {
    this.hub.forward(this, frame);
  }

  ready(): void {
    this.deliver();
  }

  readonly linkUp = true;

  describe(): string {
    return `type=hubport,hubid=${this.hub.id}`;
  }

  // Towards a backend

  receive(frame: Uint8Array): boolean {
    if (!this.hub.hasRoom(this)) return false;
    this.hub.forward(this, frame);
    return true;
  }

  drained(): void {
    this.deliver();
  }

  /** The other ports' links stay up: they lead to the hub. */
  linkChanged(): void {}
}
