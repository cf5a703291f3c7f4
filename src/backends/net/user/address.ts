// IPv4 and IPv6 addresses as bytes (4 or 16) and as text (RFC 791; RFC 4291, section 2.2; RFC 5952), and networks of them.

export type IpAddress = Uint8Array;

/** @returns undefined if the text is not a dotted address of four numbers */
export function parseIpv4(text: string): IpAddress | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const parts = match?.slice(1).map(Number);
  return parts?.every((part) => part <= 255) ? Uint8Array.from(parts) : undefined;
}

/** @returns undefined if the text is not an IPv6 address; zones (%eth0) are none */
export function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = (half: string): number[] | undefined => {
    if (half === '') return [];
    const out: number[] = [];
    const parts = half.split(':');
    for (const [n, part] of parts.entries()) {
      const v4 = n === parts.length - 1 && part.includes('.') ? parseIpv4(part) : undefined;
      if (v4) out.push((v4[0] << 8) | v4[1], (v4[2] << 8) | v4[3]);
      else if (/^[0-9a-f]{1,4}$/i.test(part)) out.push(parseInt(part, 16));
      else return undefined;
    }
    return out;
  };
  const head = groups(halves[0]);
  const tail = halves.length === 2 ? groups(halves[1]) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

export const parseAddress = (text: string): IpAddress | undefined => (text.includes(':') ? parseIpv6(text) : parseIpv4(text));

export function formatAddress(address: IpAddress): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, n) => (address[2 * n] << 8) | address[2 * n + 1]);
  // The first of the longest runs of zero groups, if it has two or more, is "::".
  let best = 0;
  let bestLength = 1;
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > bestLength) [best, bestLength] = [at, length];
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  return bestLength > 1 ? `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}` : hex(groups);
}

/** True if the first `bits` bits agree. */
export function inNetwork(address: IpAddress, network: IpAddress, bits: number): boolean {
  if (address.length !== network.length) return false;
  for (let n = 0; n < address.length && bits > 0; n++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if ((address[n] ^ network[n]) & mask) return false;
  }
  return true;
}

/** The network part, and behind it a host's number (at most 32 bits). */
export function hostAddress(network: IpAddress, bits: number, host: number): IpAddress {
  const out = network.slice();
  for (let n = out.length - 1, rest = bits; n >= 0; n--) {
    const kept = Math.max(0, Math.min(8, rest - n * 8));
    out[n] &= (0xff << (8 - kept)) & 0xff;
  }
  for (let n = out.length - 1, value = host; n >= 0 && value > 0; n--, value = Math.floor(value / 256)) out[n] |= value & 0xff;
  return out;
}

/** An IPv4 netmask. */
export function netmask(bits: number): IpAddress {
  return Uint8Array.from([0, 8, 16, 24], (from) => (bits >= from + 8 ? 0xff : bits <= from ? 0 : (0xff << (8 - (bits - from))) & 0xff));
}

/** Bits of a netmask written as an address; undefined if it has holes. */
export function netmaskBits(mask: IpAddress): number | undefined {
  const text = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(text) ? text.replace(/0/g, '').length : undefined;
}

/** Multicast, or IPv4's broadcast to all. */
export const isMulticast = (a: IpAddress): boolean => (a.length === 16 ? a[0] === 0xff : a[0] >= 224);
export const isUnspecified = (a: IpAddress): boolean => a.every((byte) => byte === 0);
/** fe80::/10. */
export const isLinkLocal = (a: IpAddress): boolean => a.length === 16 && a[0] === 0xfe && (a[1] & 0xc0) === 0x80;
