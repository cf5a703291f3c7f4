// ARP for IPv4 over Ethernet (RFC 826): messages, and the table of who was heard of.

import { type IpAddress } from './address.ts';
import { equalBytes, get16, set16 } from './bytes.ts';
import { BROADCAST, ETHERNET_HEADER, ETHERNET_MIN, ETHERTYPE_ARP, ETHERTYPE_IPV4, isGroup, writeEthernet } from './ethernet.ts';

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
const HARDWARE_ETHERNET = 1;
const ARP_LENGTH = 28;

export interface ArpMessage {
  operation: number;
  senderMac: Uint8Array;
  senderIp: IpAddress;
  targetIp: IpAddress;
}

/** @returns undefined if it is not ARP for IPv4 over Ethernet */
export function parseArp(frame: Uint8Array): ArpMessage | undefined {
  const at = ETHERNET_HEADER;
  if (frame.length < at + ARP_LENGTH) return undefined;
  if (get16(frame, at) !== HARDWARE_ETHERNET || get16(frame, at + 2) !== ETHERTYPE_IPV4 || frame[at + 4] !== 6 || frame[at + 5] !== 4) return undefined;
  return {
    operation: get16(frame, at + 6),
    senderMac: frame.slice(at + 8, at + 14),
    senderIp: frame.slice(at + 14, at + 18),
    targetIp: frame.slice(at + 24, at + 28),
  };
}

/** @param targetMac whom a reply goes to; a request goes to all */
export function buildArp(operation: number, senderMac: Uint8Array, senderIp: IpAddress, targetIp: IpAddress, targetMac?: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_MIN);
  writeEthernet(frame, targetMac ?? BROADCAST, senderMac, ETHERTYPE_ARP);
  const at = ETHERNET_HEADER;
  set16(frame, at, HARDWARE_ETHERNET);
  set16(frame, at + 2, ETHERTYPE_IPV4);
  frame[at + 4] = 6;
  frame[at + 5] = 4;
  set16(frame, at + 6, operation);
  frame.set(senderMac, at + 8);
  frame.set(senderIp, at + 14);
  if (targetMac) frame.set(targetMac, at + 18);
  frame.set(targetIp, at + 24);
  return frame;
}

/** Link-layer addresses of neighbours by IP address, IPv4 and IPv6. The oldest are forgotten when there are too many. */
export class Neighbours {
  private readonly table = new Map<string, Uint8Array>();
  /** Whom the last packet was from or for, as the table has it: most of the time the next one's too. */
  private last: { address: IpAddress; mac: Uint8Array } | undefined;

  constructor(private readonly limit = 1024) {}

  learn(address: IpAddress, mac: Uint8Array): void {
    if (isGroup(mac)) return;
    const known = this.get(address);
    if (known) {
      known.set(mac);
      return;
    }
    if (this.table.size >= this.limit) this.table.delete(this.table.keys().next().value!);
    this.last = undefined;
    this.table.set(address.join(), mac.slice());
  }

  get(address: IpAddress): Uint8Array | undefined {
    if (this.last && equalBytes(this.last.address, address)) return this.last.mac;
    const mac = this.table.get(address.join());
    if (mac) this.last = { address: address.slice(), mac };
    return mac;
  }

  save(): [string, Uint8Array][] {
    return [...this.table].map(([key, mac]) => [key, mac.slice()]);
  }

  load(state: [string, Uint8Array][]): void {
    this.table.clear();
    this.last = undefined;
    for (const [key, mac] of state) this.table.set(key, mac.slice());
  }
}
