// Where guests of a relay may connect to: not to the relay's own machine and networks around it, unless it is allowed
// (IANA's special-purpose address registries, RFC 6890).

import { inNetwork, type IpAddress, parseAddress } from '../src/backends/net/user/address.ts';

export interface Network {
  address: IpAddress;
  bits: number;
}

/** "10.0.0.0/8", "fd00::/8", "192.168.1.5". @returns undefined if it is none */
export function parseNetwork(text: string): Network | undefined {
  const [addressText, bitsText, ...more] = text.split('/');
  const address = parseAddress(addressText);
  if (!address || more.length > 0) return undefined;
  const most = address.length * 8;
  const bits = bitsText === undefined ? most : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : NaN;
  return bits <= most ? { address, bits } : undefined;
}

/**
 * Not for everybody. Of IPv4: this host, private and shared networks, links, documentation and tests, multicast, reserved. Of IPv6: all but
 * 2000::/3, which alone is global unicast (so neither the names of IPv4 addresses, whatever translates them, nor sites and links), and of
 * that the tunnels and documentation.
 */
const SPECIAL: readonly Network[] = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16',
  '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4',
  '::/3', '4000::/2', '8000::/1', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20',
].map((text) => parseNetwork(text)!);

/** @param allowed networks that are allowed although they are special; "0.0.0.0/0" and "::/0" allow everything */
export function isAllowed(address: string, allowed: readonly Network[]): boolean {
  const bytes = parseAddress(address);
  if (!bytes) return false;
  const isIn = (network: Network): boolean => inNetwork(bytes, network.address, network.bits);
  return allowed.some(isIn) || !SPECIAL.some(isIn);
}
