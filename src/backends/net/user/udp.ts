// UDP (RFC 768): datagrams, and the flows between guests' ports and the host's sockets.

import type { UdpRow } from './connections.ts';
import { formatAddress, type IpAddress } from './address.ts';
import { get16, set16, sum16 } from './bytes.ts';
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
  set16(b, 0, sourcePort);
  set16(b, 2, destinationPort);
  set16(b, 4, b.length);
  b.set(data, UDP_HEADER);
  const sum = ~sum16(b, 0, b.length, pseudoHeaderSum(source, destination, PROTOCOL_UDP, b.length)) & 0xffff;
  set16(b, 6, sum === 0 ? 0xffff : sum);
  return b;
}

interface Flow {
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
  now(): number;
  /** An answer from the host's name or the far end's address. */
  answer(guest: IpAddress, guestPort: number, from: string, fromPort: number, data: Uint8Array): void;
}

/** One socket of the host for each port of a guest that sends; the one idle longest goes when there are too many. */
export class UdpTable {
  private readonly flows = new Map<string, Flow>();

  constructor(
    private readonly host: HostNetwork,
    private readonly link: UdpFlows,
  ) {}

  /** @param far, to the far end as the guest and as the host know it  @returns false if there is no socket to be had */
  send(guest: IpAddress, guestPort: number, far: IpAddress, to: string, port: number, data: Uint8Array): boolean {
    const now = this.link.now();
    const key = `${formatAddress(guest)} ${guestPort}`;
    let flow = this.flows.get(key);
    if (flow) {
      // The table's order is that of use.
      this.flows.delete(key);
    } else {
      this.makeRoom(now);
      const own = guest.slice();
      const socket = this.host.udp((address, fromPort, answer) => this.link.answer(own, guestPort, address, fromPort, answer));
      if (!socket) return false;
      flow = { socket, usedAt: now, far: own, farPort: 0, isBound: false };
    }
    flow.usedAt = now;
    flow.far = far.slice();
    flow.farPort = port;
    this.flows.set(key, flow);
    flow.socket.send(to, port, data);
    return true;
  }

  /** A port of the host leads to a port of a guest. @returns false if there is no such port to be had */
  bind(guest: IpAddress, guestPort: number, hostAddress: string, hostPort: number): boolean {
    const receive = (address: string, fromPort: number, data: Uint8Array): void => this.link.answer(guest, guestPort, address, fromPort, data);
    const socket = this.host.udp(receive, { address: hostAddress, port: hostPort });
    if (!socket) return false;
    this.flows.set(`${formatAddress(guest)} ${guestPort}`, { socket, usedAt: 0, far: guest, farPort: 0, isBound: true });
    return true;
  }

  private makeRoom(now: number): void {
    for (const [key, flow] of this.flows) {
      if (now - flow.usedAt < IDLE_NS && this.flows.size < MAX_FLOWS) return;
      if (flow.isBound) continue;
      this.flows.delete(key);
      flow.socket.close();
    }
  }

  list(): UdpRow[] {
    return [...this.flows].flatMap(([key, { usedAt, far, farPort, isBound }]) => {
      const [guest, guestPort] = key.split(' ');
      return isBound ? [] : [{ guest, guestPort: Number(guestPort), far: formatAddress(far), farPort, left: Math.max(0, Math.round((IDLE_NS - this.link.now() + usedAt) / 1e9)) }];
    });
  }

  /** End all flows but those of forwarded ports. */
  closeAll(): void {
    for (const [key, flow] of this.flows) {
      if (flow.isBound) continue;
      this.flows.delete(key);
      flow.socket.close();
    }
  }
}
