// The command line of tabvisor-relay.

import { parseArgs } from 'node:util';
import { parseNetwork, type Network } from './policy.ts';
import { DEFAULTS, type RelayOptions } from './server.ts';

export interface CommandLine {
  help: boolean;
  relay: Partial<RelayOptions>;
  nat: boolean;
  passt: boolean;
  allow: Network[];
  allowHost: boolean;
  maxSockets: number;
  streams: { room: string; where: string }[];
  taps: { room: string; name: string }[];
}

/** Something on the command line that cannot be done. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

const DEFAULT_MAX_SOCKETS = 4096;

const OPTIONS = {
  help: { type: 'boolean', short: 'h', help: 'print this help' },
  host: { type: 'string', argument: 'ADDRESS', help: `address to listen at (default ${DEFAULTS.host}: this machine only)` },
  port: { type: 'string', short: 'p', argument: 'PORT', help: `port to listen at (default ${DEFAULTS.port})` },
  room: { type: 'string', multiple: true, argument: 'NAME[:TOKEN]', help: 'a room, perhaps with a token of its own; with this only the rooms named are there' },
  token: { type: 'string', argument: 'TOKEN', help: 'token of all rooms that have none of their own (in the address: ?token=TOKEN)' },
  origin: { type: 'string', multiple: true, argument: 'ORIGIN', help: 'pages of this origin may connect, "*" for all (default: those that localhost serves)' },
  'no-nat': { type: 'boolean', help: 'rooms have no way out' },
  passt: { type: 'boolean', help: 'each room\'s way out is a passt of its own (Debian package passt), instead of the built-in one; none of the rules about destinations here hold for it' },
  allow: { type: 'string', multiple: true, argument: 'NETWORK', help: 'guests may reach this network although it is private, for example 192.168.1.0/24' },
  'allow-host': { type: 'boolean', help: 'guests may reach this machine, as the router\'s address and by its own' },
  'max-sockets': { type: 'string', argument: 'N', help: `sockets that guests of all rooms may have by the built-in way out (default ${DEFAULT_MAX_SOCKETS})` },
  stream: { type: 'string', multiple: true, argument: '[ROOM=]PATH|HOST:PORT', help: 'plug what connects there into a room: QEMU\'s -netdev stream, passt and the like' },
  tap: { type: 'string', multiple: true, argument: '[ROOM=]NAME', help: 'plug a TAP interface of this machine into a room (Linux, root, program socat)' },
  rate: { type: 'string', argument: 'BYTES', help: 'bytes a second that a client may send, with suffix K, M, G (default: any number)' },
  'max-frame': { type: 'string', argument: 'BYTES', help: `longest frame (default ${DEFAULTS.maxFrame})` },
  'max-clients': { type: 'string', argument: 'N', help: `clients in all (default ${DEFAULTS.maxClients})` },
  'max-room-clients': { type: 'string', argument: 'N', help: `clients in a room (default ${DEFAULTS.maxRoomClients})` },
  'max-address-clients': { type: 'string', argument: 'N', help: 'clients from one address; of IPv6, from one /64 (default: any number)' },
  'max-pending': { type: 'string', argument: 'N', help: `connections whose handshake is not done (default ${DEFAULTS.maxPending}); beyond, who has most loses the oldest` },
  'max-address-pending': { type: 'string', argument: 'N', help: `the same from one address or /64 (default ${DEFAULTS.maxAddressPending}); more behind a proxy, which is one address` },
  idle: { type: 'string', argument: 'SECONDS', help: `a client that sends nothing for so long is disconnected; 0: never (default ${DEFAULTS.idleMs / 1000})` },
  'public-metrics': { type: 'boolean', help: '/metrics is for everybody, not for this machine alone' },
} as const;

interface OptionText {
  type: string;
  short?: string;
  argument?: string;
  help: string;
}

export function helpText(): string {
  const lines = Object.entries<OptionText>(OPTIONS).map(([name, { short, argument, help }]) => {
    const usage = `  ${short ? `-${short}, ` : ''}--${name}${argument ? ` ${argument}` : ''}`;
    return usage.length < 32 ? `${usage.padEnd(32)} ${help}` : `${usage}\n${''.padEnd(32)} ${help}`;
  });
  return `tabvisor-relay: Ethernet segments for virtual machines in browsers, over WebSockets\n\nusage: tabvisor-relay [options]\n\n${lines.join('\n')}\n
A machine joins a room with -netdev relay,id=n0,url=ws://HOST:PORT/ROOM. Each room is a segment of its own, with DHCP, a name
server and a way out at 10.0.2.2. Counters are at http://HOST:PORT/metrics. SIGINT and SIGTERM end it.
`;
}

function number(text: string | undefined, name: string, most = 2 ** 31): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,10})([KMG]?)$/i.exec(text);
  const value = match ? Number(match[1]) * { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[match[2].toUpperCase() as '' | 'K' | 'M' | 'G'] : NaN;
  if (!(value <= most)) throw new UsageError(`--${name} ${text}: a number up to ${most} is wanted`);
  return value;
}

/** "room=rest", or the rest alone for the room without a name. */
function roomAnd(text: string): { room: string; rest: string } {
  const match = /^([\w.-]*)=(.*)$/.exec(text);
  return match ? { room: match[1], rest: match[2] } : { room: '', rest: text };
}

/** @throws UsageError */
export function parseCommandLine(args: readonly string[]): CommandLine {
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const tokens = new Map<string, string>();
  const rooms = new Set<string>();
  for (const text of values.room ?? []) {
    const [name, ...token] = text.split(':');
    if (!/^[\w.-]{1,64}$/.test(name)) throw new UsageError(`--room ${text}: "${name}" is not a name of letters, digits, ".", "-" and "_"`);
    rooms.add(name);
    if (token.length > 0) tokens.set(name, token.join(':'));
  }
  if (values.token !== undefined) tokens.set('', values.token);
  const allow = (values.allow ?? []).map((text) => {
    const network = parseNetwork(text);
    if (!network) throw new UsageError(`--allow ${text}: it is not a network; write it as 192.168.1.0/24`);
    return network;
  });
  if (values.passt && values['no-nat']) throw new UsageError('--passt and --no-nat contradict each other');
  const rate = number(values.rate, 'rate', 2 ** 40);
  const relay: Partial<RelayOptions> = { tokens, origins: values.origin ?? [], publicMetrics: values['public-metrics'] ?? false };
  const set = <K extends keyof RelayOptions>(key: K, value: RelayOptions[K] | undefined): void => {
    if (value !== undefined) relay[key] = value;
  };
  const atLeastOne = (name: 'max-pending' | 'max-address-pending'): number | undefined => {
    const value = number(values[name], name);
    // None could ever come in.
    if (value === 0) throw new UsageError(`--${name} 0: one at least is wanted`);
    return value;
  };
  set('host', values.host);
  set('port', number(values.port, 'port', 65535));
  set('rooms', rooms.size > 0 ? rooms : undefined);
  set('rate', rate);
  if (rate) relay.burst = Math.max(rate, 65536);
  set('maxFrame', number(values['max-frame'], 'max-frame', 65553));
  set('maxClients', number(values['max-clients'], 'max-clients'));
  set('maxRoomClients', number(values['max-room-clients'], 'max-room-clients'));
  set('maxAddressClients', number(values['max-address-clients'], 'max-address-clients'));
  set('maxPending', atLeastOne('max-pending'));
  set('maxAddressPending', atLeastOne('max-address-pending'));
  const idle = number(values.idle, 'idle', 10 ** 7);
  set('idleMs', idle === undefined ? undefined : idle * 1000);
  return {
    help: values.help ?? false, relay, nat: !values['no-nat'] && !values.passt, passt: values.passt ?? false, allow, allowHost: values['allow-host'] ?? false,
    maxSockets: number(values['max-sockets'], 'max-sockets', 10 ** 6) ?? DEFAULT_MAX_SOCKETS,
    streams: (values.stream ?? []).map(roomAnd).map(({ room, rest }) => ({ room, where: rest })),
    taps: (values.tap ?? []).map(roomAnd).map(({ room, rest }) => ({ room, name: rest })),
  };
}
