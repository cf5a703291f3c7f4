// The options of a user-mode network, by QEMU's names (QEMU, "Invocation": -netdev user), and QEMU's defaults.

import { hostAddress, inNetwork, type IpAddress, netmaskBits, parseAddress, parseIpv4, parseIpv6 } from './address.ts';
import { get32 } from './bytes.ts';
import type { Forward } from './host.ts';

export interface UserNetConfig {
  ipv4: boolean;
  net: IpAddress;
  netBits: number;
  host: IpAddress;
  dns: IpAddress;
  dhcpStart: IpAddress;
  /** Addresses that DHCP gives away. */
  dhcpCount: number;
  ipv6: boolean;
  prefix6: IpAddress;
  prefix6Bits: number;
  host6: IpAddress;
  dns6: IpAddress;
  /** Guests reach nobody but by forwarded ports. */
  restrict: boolean;
  hostname?: string;
  domainname?: string;
  dnssearch: string[];
  /** Folder of the TFTP server, as the line names it. */
  tftp?: string;
  bootfile?: string;
  tftpServerName?: string;
  forwards: Forward[];
}

/** An option that cannot be used: why, and what to do. */
export class UserNetError extends Error {
  constructor(
    why: string,
    readonly advice: string,
  ) {
    super(why);
    this.name = 'UserNetError';
  }
}

/** Keys that are understood, for whoever reads the line. */
export const USER_NET_KEYS = [
  'ipv4', 'net', 'host', 'dns', 'dhcpstart', 'ipv6', 'ipv6-net', 'ipv6-prefix', 'ipv6-prefixlen', 'ipv6-host', 'ipv6-dns', 'restrict', 'hostname', 'domainname', 'dnssearch',
  'tftp', 'bootfile', 'tftp-server-name', 'hostfwd',
] as const;
/** Keys of QEMU's that are not. */
export const USER_NET_OTHER_KEYS = ['guestfwd', 'smb', 'smbserver'] as const;

/** As many as QEMU's slirp gives away. */
const DHCP_COUNT = 16;
const DEFAULTS = { net: '10.0.2.0/24', host: 2, dns: 3, dhcp: 15, prefix6: 'fec0::', bits6: 64 };

/**
 * @param fields key and value as they stand in the line, in its order; dnssearch and hostfwd may come more than once
 * @throws UserNetError
 */
export function userNetConfig(fields: Iterable<readonly [string, string]>): UserNetConfig {
  const single = new Map<string, string>();
  const dnssearch: string[] = [];
  const forwardTexts: string[] = [];
  for (const [key, value] of fields) {
    if (key === 'dnssearch') dnssearch.push(value);
    else if (key === 'hostfwd') forwardTexts.push(value);
    else if ((USER_NET_OTHER_KEYS as readonly string[]).includes(key)) throw new UserNetError(`${key}= is not supported yet`, `Leave out ${key}=.`);
    else if ((USER_NET_KEYS as readonly string[]).includes(key)) single.set(key, value);
    else throw new UserNetError(`a user-mode network has no setting "${key}"`, `Its settings are ${USER_NET_KEYS.join(', ')}.`);
  }
  const [net, netBits] = network4(single.get('net') ?? DEFAULTS.net);
  const address4 = (key: string, host: number): IpAddress => {
    const text = single.get(key);
    const address = text === undefined ? hostAddress(net, netBits, host) : parseIpv4(text);
    if (!address) throw new UserNetError(`${key}=${text} is not an IPv4 address`, `Write it as ${key}=10.0.2.${host}.`);
    if (!inNetwork(address, net, netBits)) throw new UserNetError(`${key}=${text} is not in the network`, 'It has to lie in net=.');
    return address;
  };
  const host = address4('host', DEFAULTS.host);
  const dns = address4('dns', DEFAULTS.dns);
  const dhcpStart = address4('dhcpstart', DEFAULTS.dhcp);
  if (get32(host, 0) === get32(dns, 0)) throw new UserNetError('host= and dns= are the same address', 'Give them different ones.');
  // The last address is the broadcast's.
  const last = get32(hostAddress(net, netBits, 0), 0) + 2 ** (32 - netBits) - 2;
  const dhcpCount = Math.min(DHCP_COUNT, last - get32(dhcpStart, 0) + 1);
  const clashes = [host, dns].some((own) => get32(own, 0) >= get32(dhcpStart, 0) && get32(own, 0) < get32(dhcpStart, 0) + dhcpCount);
  if (dhcpCount < 1 || clashes) throw new UserNetError('dhcpstart= leaves no room for guests', `${DHCP_COUNT} addresses from there on must be free of host= and dns=.`);

  const [prefix6, prefix6Bits] = network6(single);
  const address6 = (key: string, hostNumber: number): IpAddress => {
    const text = single.get(key);
    const address = text === undefined ? hostAddress(prefix6, prefix6Bits, hostNumber) : parseIpv6(text);
    if (!address) throw new UserNetError(`${key}=${text} is not an IPv6 address`, `Write it as ${key}=fec0::${hostNumber}.`);
    if (!inNetwork(address, prefix6, prefix6Bits)) throw new UserNetError(`${key}=${text} is not in the network`, 'It has to lie in ipv6-net=.');
    return address;
  };
  const text = (key: string, most: number): string | undefined => {
    const value = single.get(key);
    if (value !== undefined && new TextEncoder().encode(value).length > most) throw new UserNetError(`${key}= is too long`, `It has ${most} bytes at most.`);
    return value;
  };
  const ipv4 = onOff(single, 'ipv4', true);
  const ipv6 = onOff(single, 'ipv6', true);
  if (!ipv4 && !ipv6) throw new UserNetError('neither IPv4 nor IPv6 is left', 'Leave out ipv4=off or ipv6=off.');
  const hostname = text('hostname', 255);
  const domainname = text('domainname', 255);
  const bootfile = text('bootfile', 127);
  const tftpServerName = text('tftp-server-name', 255);
  const tftp = single.get('tftp');
  return {
    ipv4, net: hostAddress(net, netBits, 0), netBits, host, dns, dhcpStart, dhcpCount, ipv6, prefix6, prefix6Bits, host6: address6('ipv6-host', 2), dns6: address6('ipv6-dns', 3),
    restrict: onOff(single, 'restrict', false), dnssearch, forwards: forwardTexts.map((one) => parseForward(one, dhcpStart.join('.'))),
    ...(hostname === undefined ? {} : { hostname }), ...(domainname === undefined ? {} : { domainname }), ...(bootfile === undefined ? {} : { bootfile }),
    ...(tftpServerName === undefined ? {} : { tftpServerName }), ...(tftp === undefined ? {} : { tftp }),
  };
}

function onOff(fields: ReadonlyMap<string, string>, key: string, otherwise: boolean): boolean {
  const text = fields.get(key);
  if (text === undefined) return otherwise;
  if (/^(on|yes|true|y)$/.test(text)) return true;
  if (/^(off|no|false|n)$/.test(text)) return false;
  throw new UserNetError(`${key}=${text} is neither on nor off`, `Write ${key}=on or ${key}=off.`);
}

/** "10.0.2.0/24", "10.0.2.0/255.255.255.0", or an address of a class. */
function network4(text: string): [IpAddress, number] {
  const wrong = (): UserNetError => new UserNetError(`net=${text} is not a network`, 'Write it as net=10.0.2.0/24.');
  const [addressText, maskText, ...more] = text.split('/');
  const address = parseIpv4(addressText);
  if (!address || more.length > 0) throw wrong();
  let bits: number | undefined;
  if (maskText === undefined) bits = address[0] < 128 ? 8 : address[0] < 192 ? 16 : 24;
  else if (/^\d{1,2}$/.test(maskText)) bits = Number(maskText);
  else {
    const mask = parseIpv4(maskText);
    bits = mask && netmaskBits(mask);
  }
  if (bits === undefined || bits > 32) throw wrong();
  if (bits < 4 || bits > 28) throw new UserNetError(`net=${text} has no room, or too much`, 'A network has between 4 and 28 bits, as in net=10.0.2.0/24.');
  return [address, bits];
}

function network6(fields: ReadonlyMap<string, string>): [IpAddress, number] {
  const net = fields.get('ipv6-net');
  const [fromNet, bitsFromNet] = (net ?? '').split('/');
  const text = fields.get('ipv6-prefix') ?? (net === undefined ? DEFAULTS.prefix6 : fromNet);
  const bitsText = fields.get('ipv6-prefixlen') ?? bitsFromNet ?? String(DEFAULTS.bits6);
  const address = parseIpv6(text);
  const bits = /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : NaN;
  if (!address || !(bits >= 0 && bits <= 126)) throw new UserNetError(`${text}/${bitsText} is not an IPv6 network`, 'Write it as ipv6-net=fec0::/64.');
  return [hostAddress(address, bits, 0), bits];
}

/** "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport"; IPv6 addresses in square brackets. */
function parseForward(text: string, firstGuest: string): Forward {
  const wrong = (why: string): UserNetError => new UserNetError(`hostfwd=${text}: ${why}`, 'Write it as hostfwd=tcp:127.0.0.1:8080-:80.');
  const match = /^(tcp|udp|):(\[[0-9a-f:.]+\]|[^:\[\]]*):(\d{1,5})-(\[[0-9a-f:.]+\]|[^:\[\]]*):(\d{1,5})$/i.exec(text);
  if (!match) throw wrong('it is not a forwarding rule');
  const [, protocol, hostText, hostPortText, guestText, guestPortText] = match;
  const bare = (address: string): string => address.replace(/^\[|\]$/g, '');
  for (const address of [hostText, guestText]) if (address !== '' && !parseAddress(bare(address))) throw wrong(`"${address}" is not an address`);
  const [hostPort, guestPort] = [Number(hostPortText), Number(guestPortText)];
  if (hostPort > 65535 || guestPort > 65535 || guestPort === 0) throw wrong('a port has a number from 1 to 65535');
  return { protocol: protocol === 'udp' ? 'udp' : 'tcp', hostAddress: bare(hostText), hostPort, guestAddress: bare(guestText) || firstGuest, guestPort };
}
