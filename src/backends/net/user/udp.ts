// UDP (RFC 768): datagrams, and the flows between guests' ports and the host's sockets.

import type { Clock, Timer } from '../../../devices/interfaces.ts';
import type { UdpRow } from './connections.ts';
import { formatAddress, type IpAddress } from './address.ts';
import { equalBytes, get16, set16, sum16 } from './bytes.ts';
import type { HostNetwork, HostUdp } from './host.ts';
import { type IpPacket, PROTOCOL_UDP, pseudoHeaderSum } from './ipv4.ts';

export const UDP_HEADER = 8;

export interface Datagram {
  sourcePort: number;
  destinationPort: number;
  data: Uint8Array;
}

/** @param verified the checksum need not be looked at  @returns undefined for what is malformed or damaged */
export function parseUdp(packet: IpPacket, verified: boolean): Datagram | undefined {
  const { source, destination, payload } = packet;
  if (payload.length < UDP_HEADER) return undefined;
  const length = get16(payload, 4);
  if (length < UDP_HEADER || length > payload.length) return undefined;
  const sum = get16(payload, 6);
  // 0 is "none", which IPv6 does not allow (RFC 8200, 8.1).
  if (sum === 0 && source.length === 16) return undefined;
  if (!verified && sum !== 0 && sum16(payload, 0, length, pseudoHeaderSum(source, destination, PROTOCOL_UDP, length)) !== 0xffff) return undefined;
  return { sourcePort: get16(payload, 0), destinationPort: get16(payload, 2), data: payload.subarray(UDP_HEADER, length) };
}

/** Header and data with their checksum, as IP's payload. */
export function buildUdp(source: IpAddress, sourcePort: number, destination: IpAddress, destinationPort: number, data: Uint8Array): Uint8Array {
  const b = new Uint8Array(UDP_HEADER + data.length);
  writeUdp(b, 0, source, sourcePort, destination, destinationPort, data);
  return b;
}

/** The same into a frame, whose checksum field is 0. */
export function writeUdp(b: Uint8Array, at: number, source: IpAddress, sourcePort: number, destination: IpAddress, destinationPort: number, data: Uint8Array): void {
  const length = UDP_HEADER + data.length;
  set16(b, at, sourcePort);
  set16(b, at + 2, destinationPort);
  set16(b, at + 4, length);
  b.set(data, at + UDP_HEADER);
  const sum = ~sum16(b, at, at + length, pseudoHeaderSum(source, destination, PROTOCOL_UDP, length)) & 0xffff;
  set16(b, at + 6, sum === 0 ? 0xffff : sum);
}

interface Flow {
  key: string;
  /** The guest's end. */
  guest: IpAddress;
  guestPort: number;
  socket: HostUdp;
  usedAt: number;
  /** Where it has sent to last, as the guest knows it. */
  far: IpAddress;
  farPort: number;
  /** A port of the host leads to it (hostfwd): it stays. */
  isBound: boolean;
}

const MAX_FLOWS = 256;
/** As QEMU's slirp. */
const IDLE_NS = 240e9;

/** What a flow is told by, and how its answers go back. */
export interface UdpFlows {
  readonly clock: Clock;
  /** An answer from the host's name or the far end's address. */
  answer(guest: IpAddress, guestPort: number, from: string, fromPort: number, data: Uint8Array): void;
}

/** One socket of the host for each port of a guest that sends; idle ones go, and the one idle longest when there are too many. */
export class UdpTable {
  private readonly flows = new Map<string, Flow>();
  /** The one used last, which is the table's last. */
  private last: Flow | undefined;
  private readonly idleTimer: Timer;

  constructor(
    private readonly host: HostNetwork,
    private readonly link: UdpFlows,
  ) {
    this.idleTimer = link.clock.timer('udp idle', (now) => this.removeIdle(now));
  }

  /** @param far, to the far end as the guest and as the host know it  @returns false if there is no socket to be had */
  send(guest: IpAddress, guestPort: number, far: IpAddress, to: string, port: number, data: Uint8Array): boolean {
    const now = this.link.clock.now();
    let flow = this.last;
    if (!flow || flow.guestPort !== guestPort || !equalBytes(flow.guest, guest)) {
      flow = this.use(guest, guestPort, now);
      if (!flow) return false;
      this.last = flow;
    }
    flow.usedAt = now;
    if (!equalBytes(flow.far, far)) flow.far = far.slice();
    flow.farPort = port;
    flow.socket.send(to, port, data);
    return true;
  }

  /** Find a flow or make it, and put it at the table's end: the table's order is that of use. */
  private use(guest: IpAddress, guestPort: number, now: number): Flow | undefined {
    const key = `${formatAddress(guest)} ${guestPort}`;
    let flow = this.flows.get(key);
    if (flow) this.flows.delete(key);
    else {
      this.makeRoom();
      const own = guest.slice();
      const socket = this.host.udp((address, fromPort, answer) => this.link.answer(own, guestPort, address, fromPort, answer));
      if (!socket) return undefined;
      flow = { key, guest: own, guestPort, socket, usedAt: now, far: own, farPort: 0, isBound: false };
    }
    this.flows.set(key, flow);
    if (this.idleTimer.deadline === Infinity) this.idleTimer.arm(now + IDLE_NS);
    return flow;
  }

  /** Nobody else looks at a socket that nothing is sent by: it would stay for as long as the network. */
  private removeIdle(now: number): void {
    for (const flow of [...this.flows.values()]) {
      if (flow.isBound) continue;
      if (now - flow.usedAt < IDLE_NS) return this.idleTimer.arm(flow.usedAt + IDLE_NS);
      this.remove(flow);
    }
  }

  private remove(flow: Flow): void {
    if (this.last === flow) this.last = undefined;
    this.flows.delete(flow.key);
    flow.socket.close();
  }

  /** A port of the host leads to a port of a guest. @returns false if there is no such port to be had */
  bind(guest: IpAddress, guestPort: number, hostAddress: string, hostPort: number): boolean {
    const receive = (address: string, fromPort: number, data: Uint8Array): void => this.link.answer(guest, guestPort, address, fromPort, data);
    const socket = this.host.udp(receive, { address: hostAddress, port: hostPort });
    if (!socket) return false;
    const key = `${formatAddress(guest)} ${guestPort}`;
    this.flows.set(key, { key, guest, guestPort, socket, usedAt: 0, far: guest, farPort: 0, isBound: true });
    return true;
  }

  private makeRoom(): void {
    for (const flow of this.flows.values()) {
      if (this.flows.size < MAX_FLOWS) return;
      if (!flow.isBound) this.remove(flow);
    }
  }

  list(): UdpRow[] {
    return [...this.flows.values()].flatMap(({ guest, guestPort, usedAt, far, farPort, isBound }) => {
      return isBound ? [] : [{ guest: formatAddress(guest), guestPort, far: formatAddress(far), farPort, left: Math.max(0, Math.round((IDLE_NS - this.link.clock.now() + usedAt) / 1e9)) }];
    });
  }

  /** End all flows; those of forwarded ports too, if the network itself is at its end. */
  closeAll(isEnd = false): void {
    for (const flow of [...this.flows.values()]) if (isEnd || !flow.isBound) this.remove(flow);
    this.idleTimer.disarm();
  }
}
