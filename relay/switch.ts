// A segment: an Ethernet switch that learns which MAC address is behind which port (IEEE 802.1D, 7.8 and 7.9; no spanning tree, as
// there are no loops). Frames for addresses it has not heard of, and for groups, go to all other ports.

export interface SwitchPort {
  /** A frame for what is at this port. Not the port's to keep: copied, or sent before this returns. */
  deliver(frame: Uint8Array): void;
}

/** Addresses remembered, over all ports, and how long (802.1D, 7.9.2: ageing time). One port alone cannot push out all others' with made-up ones and so hear what is sent to them. */
const MAX_ADDRESSES = 4096;
const MAX_PORT_ADDRESSES = 512;
const AGEING_MS = 300_000;

export class Switch {
  readonly ports = new Set<SwitchPort>();
  /** In the order of use: the oldest is first. */
  private readonly addresses = new Map<number, { port: SwitchPort; seenAt: number }>();
  /** The same by port. */
  private readonly byPort = new Map<SwitchPort, Set<number>>();

  constructor(private readonly now: () => number = () => Date.now()) {}

  add(port: SwitchPort): void {
    this.ports.add(port);
  }

  remove(port: SwitchPort): void {
    this.ports.delete(port);
    for (const address of this.byPort.get(port) ?? []) this.addresses.delete(address);
    this.byPort.delete(port);
  }

  /** A frame that came in at a port; at least 14 bytes. @returns how many ports it went to */
  forward(from: SwitchPort, frame: Uint8Array): number {
    if (isReserved(frame)) return 0;
    const now = this.now();
    const isGroupSource = (frame[6] & 1) !== 0;
    if (!isGroupSource) this.learn(addressAt(frame, 6), from, now);
    if ((frame[0] & 1) === 0) {
      const known = this.addresses.get(addressAt(frame, 0));
      if (known && now - known.seenAt < AGEING_MS) {
        if (known.port === from) return 0;
        known.port.deliver(frame);
        return 1;
      }
    }
    let count = 0;
    for (const port of this.ports) {
      if (port === from) continue;
      port.deliver(frame);
      count++;
    }
    return count;
  }

  private learn(address: number, port: SwitchPort, now: number): void {
    this.forget(address);
    let own = this.byPort.get(port);
    if (!own) this.byPort.set(port, (own = new Set()));
    if (own.size >= MAX_PORT_ADDRESSES) this.forget(own.values().next().value!);
    else if (this.addresses.size >= MAX_ADDRESSES) this.forget(this.addresses.keys().next().value!);
    own.add(address);
    this.addresses.set(address, { port, seenAt: now });
  }

  private forget(address: number): void {
    const entry = this.addresses.get(address);
    if (!entry) return;
    this.addresses.delete(address);
    this.byPort.get(entry.port)?.delete(address);
  }
}

/** 01-80-C2-00-00-00 to -0F: spanning tree, PAUSE and the like are for this end of the cable alone (802.1D, 7.12.6). */
function isReserved(frame: Uint8Array): boolean {
  return frame[0] === 0x01 && frame[1] === 0x80 && frame[2] === 0xc2 && frame[3] === 0 && frame[4] === 0 && frame[5] < 0x10;
}

/** Six bytes as a number below 2^48. */
function addressAt(frame: Uint8Array, at: number): number {
  return ((frame[at] << 8) | frame[at + 1]) * 2 ** 32 + (((frame[at + 2] << 24) | (frame[at + 3] << 16) | (frame[at + 4] << 8) | frame[at + 5]) >>> 0);
}
