// ICMPv6: echo and errors (RFC 4443), neighbour discovery (RFC 4861), router advertisements with the name server (RFC 8106).

import { equalBytes, set16, set32, sum16 } from './bytes.ts';
import { type IpAddress } from './address.ts';
import { type IpPacket, PROTOCOL_ICMPV6, pseudoHeaderSum } from './ipv4.ts';
import { IPV6_HEADER } from './ipv6.ts';

export const UNREACHABLE = 1;
export const ECHO_REQUEST = 128;
export const ECHO_REPLY = 129;
export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const CODE_PROHIBITED = 1;
export const CODE_PORT = 4;

const OPTION_SOURCE_MAC = 1;
const OPTION_TARGET_MAC = 2;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const OPTION_RDNSS = 25;
/** A neighbour message that came over a router is none (RFC 4861, 7.1.1). */
const NEIGHBOUR_HOPS = 255;
/** RFC 4443, 2.4 c. */
const MIN_MTU = 1280;

/** ff02::1 */
export const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** The group that listens for solicitations of an address (RFC 4291, 2.7.1). */
export function solicitedNode(address: IpAddress): IpAddress {
  return Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address[13], address[14], address[15]);
}

export function isIntact(packet: IpPacket): boolean {
  const { source, destination, payload } = packet;
  return payload.length >= 8 && sum16(payload, 0, payload.length, pseudoHeaderSum(source, destination, PROTOCOL_ICMPV6, payload.length)) === 0xffff;
}

function finish(message: Uint8Array, source: IpAddress, destination: IpAddress): Uint8Array {
  set16(message, 2, 0);
  set16(message, 2, ~sum16(message, 0, message.length, pseudoHeaderSum(source, destination, PROTOCOL_ICMPV6, message.length)) & 0xffff);
  return message;
}

export function echoReply6(packet: IpPacket, source: IpAddress): Uint8Array {
  const reply = packet.payload.slice();
  reply[0] = ECHO_REPLY;
  reply[1] = 0;
  return finish(reply, source, packet.source);
}

/** "Destination unreachable" about a packet; undefined where an error must not be answered with another (RFC 4443, 2.4 e). */
export function unreachable6(packet: IpPacket, code: number, source: IpAddress): Uint8Array | undefined {
  const { whole, protocol, payload } = packet;
  if (!whole || (protocol === PROTOCOL_ICMPV6 && payload[0] < ECHO_REQUEST)) return undefined;
  const quoted = whole.subarray(0, MIN_MTU - IPV6_HEADER - 8);
  const message = new Uint8Array(8 + quoted.length);
  message[0] = UNREACHABLE;
  message[1] = code;
  message.set(quoted, 8);
  return finish(message, source, packet.source);
}

export interface Solicitation {
  target: IpAddress;
  /** Link-layer address of who asks, if it is told. */
  sourceMac?: Uint8Array;
}

/** Options are type, length in units of 8 bytes, value. @returns undefined if the message has to be dropped (RFC 4861, 7.1.1) */
function option(payload: Uint8Array, from: number, wanted: number): Uint8Array | undefined | null {
  let found: Uint8Array | null = null;
  for (let at = from; at < payload.length; ) {
    const length = payload[at + 1] * 8;
    if (at + 1 >= payload.length || length === 0 || at + length > payload.length) return undefined;
    if (payload[at] === wanted && length === 8) found = payload.slice(at + 2, at + 8);
    at += length;
  }
  return found;
}

export function parseNeighbourSolicitation(packet: IpPacket): Solicitation | undefined {
  const { payload, ttl } = packet;
  if (ttl !== NEIGHBOUR_HOPS || payload[1] !== 0 || payload.length < 24) return undefined;
  const mac = option(payload, 24, OPTION_SOURCE_MAC);
  return mac === undefined ? undefined : { target: payload.slice(8, 24), ...(mac ? { sourceMac: mac } : {}) };
}

/** What a neighbour tells of itself. */
export function parseNeighbourAdvertisement(packet: IpPacket): { target: IpAddress; mac: Uint8Array } | undefined {
  const { payload, ttl } = packet;
  if (ttl !== NEIGHBOUR_HOPS || payload[1] !== 0 || payload.length < 24) return undefined;
  const mac = option(payload, 24, OPTION_TARGET_MAC);
  return mac ? { target: payload.slice(8, 24), mac } : undefined;
}

export function isRouterSolicitation(packet: IpPacket): boolean {
  return packet.payload[0] === ROUTER_SOLICITATION && packet.ttl === NEIGHBOUR_HOPS && option(packet.payload, 8, OPTION_SOURCE_MAC) !== undefined;
}

const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;

export function buildNeighbourAdvertisement(target: IpAddress, mac: Uint8Array, source: IpAddress, destination: IpAddress): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = NEIGHBOUR_ADVERTISEMENT;
  message[4] = FLAG_ROUTER | FLAG_OVERRIDE | (equalBytes(destination, ALL_NODES) ? 0 : FLAG_SOLICITED);
  message.set(target, 8);
  message[24] = OPTION_TARGET_MAC;
  message[25] = 1;
  message.set(mac, 26);
  return finish(message, source, destination);
}

export function buildNeighbourSolicitation(target: IpAddress, mac: Uint8Array, source: IpAddress): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = NEIGHBOUR_SOLICITATION;
  message.set(target, 8);
  message[24] = OPTION_SOURCE_MAC;
  message[25] = 1;
  message.set(mac, 26);
  return finish(message, source, solicitedNode(target));
}

export interface Advertised {
  mac: Uint8Array;
  /** 0: no default route. */
  lifetimeSeconds: number;
  prefix: IpAddress;
  prefixLength: number;
  nameServer: IpAddress;
  mtu: number;
}

/** Lifetimes of the prefix, as QEMU's slirp gives them: a day, four hours. */
const VALID_SECONDS = 86400;
const PREFERRED_SECONDS = 14400;

export function buildRouterAdvertisement(a: Advertised, source: IpAddress, destination: IpAddress): Uint8Array {
  const message = new Uint8Array(16 + 8 + 8 + 32 + 24);
  message[0] = ROUTER_ADVERTISEMENT;
  message[4] = 64;
  set16(message, 6, a.lifetimeSeconds);
  let at = 16;
  message[at] = OPTION_SOURCE_MAC;
  message[at + 1] = 1;
  message.set(a.mac, at + 2);
  at += 8;
  message[at] = OPTION_MTU;
  message[at + 1] = 1;
  set32(message, at + 4, a.mtu);
  at += 8;
  message[at] = OPTION_PREFIX;
  message[at + 1] = 4;
  message[at + 2] = a.prefixLength;
  // On link, and good for addresses that guests make themselves.
  message[at + 3] = 0xc0;
  set32(message, at + 4, VALID_SECONDS);
  set32(message, at + 8, PREFERRED_SECONDS);
  message.set(a.prefix, at + 16);
  at += 32;
  message[at] = OPTION_RDNSS;
  message[at + 1] = 3;
  set32(message, at + 4, VALID_SECONDS);
  message.set(a.nameServer, at + 8);
  return finish(message, source, destination);
}

/** The type of a message; its length is at least 8 after isIntact(). */
export const typeOf = (packet: IpPacket): number => packet.payload[0];
