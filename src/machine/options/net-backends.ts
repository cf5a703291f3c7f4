// Far ends that lead out of the machine: the user-mode network, hubs of several machines, relays. QEMU: -netdev user; the others are
// Tabvisor's own (docs/network.md).

import { USER_NET_KEYS, userNetConfig, UserNetError } from '../../backends/net/user/options.ts';
import type { NetdevConfig } from './config.ts';
import { OptionError } from './error.ts';

type Parsed<T extends NetdevConfig['type']> = Omit<Extract<NetdevConfig, { type: T }>, 'id'>;

const USER_HELP: Readonly<Record<(typeof USER_NET_KEYS)[number], string>> = {
  ipv4: 'on|off (default on)',
  net: 'ADDRESS/BITS: the network (default 10.0.2.0/24)',
  host: 'the router, which is the host (default: number 2 of the network)',
  dns: 'the name server (default: number 3)',
  dhcpstart: 'first of the 16 addresses that DHCP gives (default: number 15)',
  ipv6: 'on|off (default on)',
  'ipv6-net': 'PREFIX/BITS (default fec0::/64)',
  'ipv6-prefix': 'the prefix alone',
  'ipv6-prefixlen': 'its bits alone',
  'ipv6-host': 'the router (default: number 2 of the network)',
  'ipv6-dns': 'the name server (default: number 3)',
  restrict: 'on|off: the guest reaches nobody but by hostfwd (default off)',
  hostname: 'name that DHCP gives the guest',
  domainname: 'domain that DHCP gives',
  dnssearch: 'domain to search; may come several times',
  tftp: 'folder whose files TFTP gives out',
  bootfile: 'file that DHCP tells PXE to boot',
  'tftp-server-name': 'name of another TFTP server',
  hostfwd: '[tcp|udp]:[HOSTADDRESS]:PORT-[GUESTADDRESS]:PORT: a port of the host leads to the guest; may come several times',
};

export const USER_PROPERTIES: Readonly<Record<string, string>> = { ...USER_HELP, guestfwd: 'not supported', smb: 'not supported', smbserver: 'not supported' };

export function parseUser(_fields: ReadonlyMap<string, string>, written: string, pairs: readonly [string, string][]): Parsed<'user'> {
  try {
    return { type: 'user', user: userNetConfig(pairs.filter(([key]) => key !== 'type')) };
  } catch (error) {
    if (error instanceof UserNetError) throw new OptionError(written, error.message, error.advice);
    throw error;
  }
}

export const HUB_PROPERTIES: Readonly<Record<string, string>> = { name: 'name of the segment; all machines of this browser that give the same one are on it' };

export function parseHub(fields: ReadonlyMap<string, string>, written: string): Parsed<'hub'> {
  const name = fields.get('name') ?? 'default';
  if (!/^[\w.-]{1,64}$/.test(name)) throw new OptionError(written, `"${name}" is not a name`, 'Write letters, digits, ".", "-" and "_", at most 64.');
  return { type: 'hub', name };
}

export const RELAY_PROPERTIES: Readonly<Record<string, string>> = { url: 'ws:// or wss:// address of the relay' };

export function parseRelay(fields: ReadonlyMap<string, string>, written: string): Parsed<'relay'> {
  const url = fields.get('url');
  if (!url) throw new OptionError(written, 'url= is missing', 'Write url=wss://HOST/ROOM.');
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new OptionError(written, `"${url}" is not an address`, 'Write url=wss://HOST/ROOM.');
  }
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:') throw new OptionError(written, 'a relay\'s address begins with ws:// or wss://');
  if (parsed.hash) throw new OptionError(written, 'a relay\'s address has no "#" in it');
  return { type: 'relay', url };
}
