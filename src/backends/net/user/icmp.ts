// ICMP for IPv4 (RFC 792): echo, and the errors that a router sends (RFC 1812, 4.3.2).

import { checksum, set16, set32 } from './bytes.ts';
import { IPV4_HEADER, type IpPacket, PROTOCOL_ICMP } from './ipv4.ts';

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_ECHO = 8;
export const CODE_PORT_UNREACHABLE = 3;
/** "Communication administratively prohibited" (RFC 1812, 5.2.7.1). */
export const CODE_PROHIBITED = 13;
const ICMP_HEADER = 8;
/** RFC 1812, 4.3.2.3: as much of the packet as fits into 576 bytes. */
const QUOTED = 576 - IPV4_HEADER - ICMP_HEADER;

/** @returns the answer to an echo request, or undefined if the message is none */
export function echoReply(packet: IpPacket): Uint8Array | undefined {
  const { payload } = packet;
  if (payload.length < ICMP_HEADER || payload[0] !== ICMP_ECHO || payload[1] !== 0 || checksum(payload, 0, payload.length) !== 0) return undefined;
  const reply = payload.slice();
  reply[0] = ICMP_ECHO_REPLY;
  set16(reply, 2, 0);
  set16(reply, 2, checksum(reply, 0, reply.length));
  return reply;
}

/** "Destination unreachable" about a packet; undefined where an error must not be answered with another. */
export function unreachable(packet: IpPacket, code: number): Uint8Array | undefined {
  const { whole, protocol, payload } = packet;
  if (!whole) return undefined;
  if (protocol === PROTOCOL_ICMP && payload[0] !== ICMP_ECHO) return undefined;
  const quoted = whole.subarray(0, QUOTED);
  const message = new Uint8Array(ICMP_HEADER + quoted.length);
  message[0] = ICMP_UNREACHABLE;
  message[1] = code;
  set32(message, 4, 0);
  message.set(quoted, ICMP_HEADER);
  set16(message, 2, checksum(message, 0, message.length));
  return message;
}
