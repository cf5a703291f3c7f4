// DHCP server (RFC 2131, options RFC 2132, 3397) and BOOTP (RFC 951): an address, the router, the name server, and what to boot.

import { type IpAddress } from './address.ts';
import { equalBytes, get16, get32, set32 } from './bytes.ts';
import { formatMac } from './ethernet.ts';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const FIXED = 236;
const COOKIE = 0x63825363;
/** RFC 1542, 2.1: no message is shorter. */
const MIN_MESSAGE = 300;
const FLAG_BROADCAST = 0x8000;

const OPTION_PAD = 0;
const OPTION_NETMASK = 1;
const OPTION_ROUTER = 3;
const OPTION_DNS = 6;
const OPTION_HOST_NAME = 12;
const OPTION_DOMAIN_NAME = 15;
const OPTION_REQUESTED = 50;
const OPTION_LEASE = 51;
const OPTION_TYPE = 53;
const OPTION_SERVER = 54;
const OPTION_TFTP_SERVER = 66;
const OPTION_BOOT_FILE = 67;
const OPTION_SEARCH = 119;
const OPTION_END = 255;

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const DECLINE = 4;
const ACKNOWLEDGE = 5;
const REFUSE = 6;
const RELEASE = 7;
const INFORM = 8;

const LEASE_SECONDS = 86400;

export interface DhcpOptions {
  /** Address and netmask of the network; who answers. */
  host: IpAddress;
  netmask: IpAddress;
  dns: IpAddress;
  /** False: guests learn of no way out (restrict=on). */
  hasRouter: boolean;
  hostname?: string;
  domainname?: string;
  dnssearch: readonly string[];
  bootfile?: string;
  tftpServerName?: string;
  /** First address that guests get, and how many there are. */
  first: IpAddress;
  count: number;
}

export interface DhcpAnswer {
  message: Uint8Array;
  /** The guest's address; undefined for a refusal. */
  address?: IpAddress;
  mac: Uint8Array;
  /** Whom it goes to. */
  destination: IpAddress;
}

const ALL = Uint8Array.of(255, 255, 255, 255);

export class DhcpServer {
  /** By MAC; the order is that of use. */
  private readonly leases = new Map<string, number>();

  constructor(private readonly options: DhcpOptions) {}

  /** @returns what to answer, or undefined for what is malformed or wants no answer */
  answer(request: Uint8Array): DhcpAnswer | undefined {
    if (request.length < FIXED || request[0] !== BOOTREQUEST || request[1] !== 1 || request[2] !== 6) return undefined;
    const mac = request.slice(28, 34);
    const fields = parseOptions(request);
    const type = fields.get(OPTION_TYPE)?.[0];
    const server = fields.get(OPTION_SERVER);
    const { host } = this.options;
    const ciaddr = request.slice(12, 16);
    switch (type) {
      case undefined: {
        const address = this.lease(mac, undefined);
        return address && this.reply(request, mac, undefined, address);
      }
      case DISCOVER: {
        const address = this.lease(mac, fields.get(OPTION_REQUESTED));
        return address && this.reply(request, mac, OFFER, address);
      }
      case REQUEST: {
        // Another server was chosen.
        if (server && !equalBytes(server, host)) return undefined;
        const wanted = fields.get(OPTION_REQUESTED) ?? ciaddr;
        const address = this.lease(mac, wanted);
        return address && equalBytes(address, wanted) ? this.reply(request, mac, ACKNOWLEDGE, address) : this.reply(request, mac, REFUSE);
      }
      case INFORM:
        return this.reply(request, mac, ACKNOWLEDGE, undefined, ciaddr);
      case DECLINE:
      case RELEASE:
        this.leases.delete(formatMac(mac));
    }
    return undefined;
  }

  /** The address of a guest: the one it has, the one it asks for if it is free, or the first that is. The lease used longest ago goes when there are too many. */
  private lease(mac: Uint8Array, wanted: Uint8Array | undefined): IpAddress | undefined {
    const { first, count } = this.options;
    const key = formatMac(mac);
    let index = this.leases.get(key);
    if (index === undefined) {
      const taken = new Set(this.leases.values());
      const asked = wanted?.length === 4 ? get32(wanted, 0) - get32(first, 0) : -1;
      if (asked >= 0 && asked < count && !taken.has(asked)) index = asked;
      else for (let n = 0; n < count && index === undefined; n++) if (!taken.has(n)) index = n;
      if (index === undefined) {
        const [oldest, value] = this.leases.entries().next().value!;
        this.leases.delete(oldest);
        index = value;
      }
    }
    this.leases.delete(key);
    this.leases.set(key, index);
    const address = new Uint8Array(4);
    set32(address, 0, get32(first, 0) + index);
    return address;
  }

  private reply(request: Uint8Array, mac: Uint8Array, type?: number, address?: IpAddress, informed?: IpAddress): DhcpAnswer {
    const o = this.options;
    const message = new Uint8Array(1024);
    message[0] = BOOTREPLY;
    message[1] = 1;
    message[2] = 6;
    message.set(request.subarray(4, 8), 4);
    message.set(request.subarray(10, 12), 10);
    if (informed) message.set(informed, 12);
    if (address) message.set(address, 16);
    message.set(o.host, 20);
    message.set(request.subarray(24, 28), 24);
    message.set(request.subarray(28, 44), 28);
    set32(message, FIXED, COOKIE);
    let at = FIXED + 4;
    const put = (code: number, value: ArrayLike<number>): void => {
      // Room for the end is kept; what is too long for an option is cut.
      const length = Math.min(value.length, 255, message.length - at - 3);
      if (length <= 0) return;
      message[at] = code;
      message[at + 1] = length;
      for (let n = 0; n < length; n++) message[at + 2 + n] = value[n];
      at += 2 + length;
    };
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    const number = (value: number): Uint8Array => {
      const bytes = new Uint8Array(4);
      set32(bytes, 0, value);
      return bytes;
    };
    if (type !== undefined) {
      put(OPTION_TYPE, [type]);
      put(OPTION_SERVER, o.host);
    }
    if (type !== REFUSE) {
      put(OPTION_NETMASK, o.netmask);
      if (o.hasRouter) put(OPTION_ROUTER, o.host);
      put(OPTION_DNS, o.dns);
      if (!informed) put(OPTION_LEASE, number(LEASE_SECONDS));
      if (o.hostname) put(OPTION_HOST_NAME, text(o.hostname));
      if (o.domainname) put(OPTION_DOMAIN_NAME, text(o.domainname));
      if (o.tftpServerName) put(OPTION_TFTP_SERVER, text(o.tftpServerName));
      if (o.bootfile) {
        message.set(text(o.bootfile).subarray(0, 127), 108);
        put(OPTION_BOOT_FILE, text(o.bootfile));
      }
      if (o.dnssearch.length > 0) put(OPTION_SEARCH, o.dnssearch.flatMap(encodeName));
    }
    message[at++] = OPTION_END;
    // A guest without an address can be reached by broadcast only (RFC 2131, 4.1), and asks for it where unicast by MAC does not reach it.
    const broadcast = type === REFUSE || (get16(request, 10) & FLAG_BROADCAST) !== 0;
    const destination = informed ?? (broadcast ? ALL : address!);
    return { message: message.slice(0, Math.max(at, MIN_MESSAGE)), mac, destination, ...(address ? { address } : {}) };
  }

  save(): [string, number][] {
    return [...this.leases];
  }

  load(state: [string, number][]): void {
    this.leases.clear();
    for (const [key, index] of state) this.leases.set(key, index);
  }
}

/** A domain name in DNS's notation (RFC 1035, 3.1), labels of at most 63 bytes. */
function encodeName(name: string): number[] {
  const labels = name.split('.').filter((label) => label !== '');
  return [...labels.flatMap((label) => {
    const bytes = new TextEncoder().encode(label).subarray(0, 63);
    return [bytes.length, ...bytes];
  }), 0];
}

function parseOptions(request: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  if (request.length < FIXED + 4 || get32(request, FIXED) !== COOKIE) return fields;
  for (let at = FIXED + 4; at < request.length && request[at] !== OPTION_END; ) {
    if (request[at] === OPTION_PAD) {
      at++;
      continue;
    }
    const length = request[at + 1];
    if (at + 1 >= request.length || at + 2 + length > request.length) break;
    fields.set(request[at], request.slice(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return fields;
}
