// Numbers in network byte order, and the Internet checksum (RFC 1071).

import { internetSum as sum16 } from '../../../devices/net/offload.ts';

export { sum16 };

export const get16 = (b: Uint8Array, at: number): number => (b[at] << 8) | b[at + 1];
export const get32 = (b: Uint8Array, at: number): number => ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0;

export function set16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

export function set32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** The checksum of a range: what to put into its checksum field, which must be 0, or 0 if a checksum in it is right. */
export function checksum(b: Uint8Array, from: number, to: number, initial = 0): number {
  return ~sum16(b, from, to, initial) & 0xffff;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let n = 0; n < a.length; n++) if (a[n] !== b[n]) return false;
  return true;
}
