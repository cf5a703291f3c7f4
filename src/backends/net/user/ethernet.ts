// Ethernet II frames (IEEE 802.3, 3.2), without FCS.

import { get16, set16 } from './bytes.ts';

export const ETHERNET_HEADER = 14;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
/** Shortest frame on a wire, without FCS. */
export const ETHERNET_MIN = 60;

export const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

export const destinationOf = (frame: Uint8Array): Uint8Array => frame.subarray(0, 6);
export const sourceOf = (frame: Uint8Array): Uint8Array => frame.subarray(6, 12);
export const ethertypeOf = (frame: Uint8Array): number => get16(frame, 12);
/** Group bit: broadcast and multicast. */
export const isGroup = (mac: Uint8Array): boolean => (mac[0] & 1) !== 0;

export function writeEthernet(frame: Uint8Array, destination: Uint8Array, source: Uint8Array, ethertype: number): void {
  frame.set(destination, 0);
  frame.set(source, 6);
  set16(frame, 12, ethertype);
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
