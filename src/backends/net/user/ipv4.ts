// IPv4 (RFC 791): headers in and out, fragments put together (RFC 815's result, by a simpler way) and made.

import { type IpAddress } from './address.ts';
import { checksum, get16, set16, sum16 } from './bytes.ts';

export const IPV4_HEADER = 20;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ICMPV6 = 58;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;
const DEFAULT_TTL = 64;

/** An IP packet without its header: what all protocols above see, for IPv4 and IPv6. */
export interface IpPacket {
  source: IpAddress;
  destination: IpAddress;
  protocol: number;
  ttl: number;
  /** A view of the frame, good until the frame is given back. */
  payload: Uint8Array;
  /** The packet from its IP header on, for ICMP errors; absent where it came in fragments. */
  whole?: Uint8Array;
}

export interface Ipv4Header extends IpPacket {
  id: number;
  /** Bytes. */
  fragmentOffset: number;
  moreFragments: boolean;
}

/** @param packet from the IP header on, perhaps with padding behind it  @returns undefined for what is malformed or damaged */
export function parseIpv4Packet(packet: Uint8Array): Ipv4Header | undefined {
  if (packet.length < IPV4_HEADER || packet[0] >> 4 !== 4) return undefined;
  const header = (packet[0] & 15) * 4;
  const total = get16(packet, 2);
  if (header < IPV4_HEADER || total < header || total > packet.length) return undefined;
  if (checksum(packet, 0, header) !== 0) return undefined;
  const fragment = get16(packet, 6);
  return {
    source: packet.slice(12, 16),
    destination: packet.slice(16, 20),
    protocol: packet[9],
    ttl: packet[8],
    id: get16(packet, 4),
    fragmentOffset: (fragment & OFFSET_MASK) * 8,
    moreFragments: (fragment & MORE_FRAGMENTS) !== 0,
    payload: packet.subarray(header, total),
    whole: packet.subarray(0, total),
  };
}

/** Writes a header without options. @param length bytes behind the header */
export function writeIpv4(b: Uint8Array, at: number, source: IpAddress, destination: IpAddress, protocol: number, length: number, id: number, fragmentOffset = 0, moreFragments = false): void {
  b[at] = 0x45;
  b[at + 1] = 0;
  set16(b, at + 2, IPV4_HEADER + length);
  set16(b, at + 4, id);
  set16(b, at + 6, (fragmentOffset >> 3) | (moreFragments ? MORE_FRAGMENTS : 0));
  b[at + 8] = DEFAULT_TTL;
  b[at + 9] = protocol;
  set16(b, at + 10, 0);
  b.set(source, at + 12);
  b.set(destination, at + 16);
  set16(b, at + 10, checksum(b, at, at + IPV4_HEADER));
}

/** Sum of the pseudo header that TCP's and UDP's checksums begin with (RFC 9293, 3.1; IPv6: RFC 8200, 8.1). */
export function pseudoHeaderSum(source: IpAddress, destination: IpAddress, protocol: number, length: number): number {
  let sum = sum16(source, 0, source.length);
  sum = sum16(destination, 0, destination.length, sum) + protocol + (length & 0xffff) + (length >>> 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** A datagram of which not all fragments have come. */
interface Assembly {
  parts: { offset: number; data: Uint8Array }[];
  bytes: number;
  /** Known when the last fragment is there. */
  total: number;
  since: number;
}

const MAX_ASSEMBLIES = 16;
const MAX_PARTS = 64;
/** RFC 791 asks for 15 s at least. */
const ASSEMBLY_NS = 30e9;

/** Puts fragments together: at most 16 datagrams at a time, each of at most 64 fragments, for 30 s. Fragments that overlap spoil theirs. */
export class Reassembly {
  private readonly assemblies = new Map<string, Assembly>();

  /** @returns the whole packet when this fragment was the last one missing */
  add(fragment: Ipv4Header, now: number): IpPacket | undefined {
    const { source, destination, protocol, id, fragmentOffset: offset, moreFragments, payload } = fragment;
    const key = `${source.join()} ${destination.join()} ${protocol} ${id}`;
    for (const [other, { since }] of this.assemblies) if (now - since > ASSEMBLY_NS) this.assemblies.delete(other);
    let assembly = this.assemblies.get(key);
    if (!assembly) {
      if (this.assemblies.size >= MAX_ASSEMBLIES) this.assemblies.delete(this.assemblies.keys().next().value!);
      this.assemblies.set(key, (assembly = { parts: [], bytes: 0, total: -1, since: now }));
    }
    const end = offset + payload.length;
    const isBad = payload.length === 0 || end > 65535 - IPV4_HEADER || (moreFragments && payload.length % 8 !== 0)
      || (!moreFragments && assembly.total >= 0 && assembly.total !== end) || assembly.parts.length >= MAX_PARTS
      || (assembly.total >= 0 && end > assembly.total);
    // A fragment that was sent twice is no overlap.
    if (!isBad && assembly.parts.some((part) => part.offset === offset && part.data.length === payload.length)) return undefined;
    const overlaps = assembly.parts.some((part) => offset < part.offset + part.data.length && part.offset < end);
    if (isBad || overlaps) {
      this.assemblies.delete(key);
      return undefined;
    }
    if (!moreFragments) assembly.total = end;
    assembly.parts.push({ offset, data: payload.slice() });
    assembly.bytes += payload.length;
    if (assembly.total < 0 || assembly.bytes < assembly.total) return undefined;
    this.assemblies.delete(key);
    if (assembly.bytes > assembly.total) return undefined;
    const whole = new Uint8Array(assembly.total);
    for (const part of assembly.parts) whole.set(part.data, part.offset);
    return { source, destination, protocol, ttl: fragment.ttl, payload: whole };
  }
}
