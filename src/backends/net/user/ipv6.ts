// IPv6 (RFC 8200): headers in and out. Extension headers are skipped; fragments are not put together (as in QEMU's slirp).

import { type IpAddress } from './address.ts';
import { get16, set16 } from './bytes.ts';
import type { IpPacket } from './ipv4.ts';

export const IPV6_HEADER = 40;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const DESTINATION_OPTIONS = 60;
/** More extension headers than any honest packet has. */
const MAX_EXTENSIONS = 8;
const DEFAULT_HOPS = 64;

/** @param packet from the IP header on, perhaps with padding behind it  @returns undefined for what is malformed or a fragment */
export function parseIpv6Packet(packet: Uint8Array): IpPacket | undefined {
  if (packet.length < IPV6_HEADER || packet[0] >> 4 !== 6) return undefined;
  const end = IPV6_HEADER + get16(packet, 4);
  if (end > packet.length) return undefined;
  let protocol = packet[6];
  let at = IPV6_HEADER;
  for (let n = 0; protocol === HOP_BY_HOP || protocol === ROUTING || protocol === DESTINATION_OPTIONS; n++) {
    if (n === MAX_EXTENSIONS || at + 8 > end) return undefined;
    protocol = packet[at];
    at += (packet[at + 1] + 1) * 8;
  }
  if (at > end) return undefined;
  return {
    source: packet.slice(8, 24),
    destination: packet.slice(24, 40),
    protocol,
    ttl: packet[7],
    payload: packet.subarray(at, end),
    whole: packet.subarray(0, end),
  };
}

/** @param length bytes behind the header */
export function writeIpv6(b: Uint8Array, at: number, source: IpAddress, destination: IpAddress, protocol: number, length: number, hops = DEFAULT_HOPS): void {
  b[at] = 0x60;
  b[at + 1] = b[at + 2] = b[at + 3] = 0;
  set16(b, at + 4, length);
  b[at + 6] = protocol;
  b[at + 7] = hops;
  b.set(source, at + 8);
  b.set(destination, at + 24);
}
