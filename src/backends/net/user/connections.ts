// The connections of a user-mode network as text, as QEMU's `info usernet` prints them (libslirp, misc.c, slirp_connection_info): forwarded
// ports, TCP connections, UDP flows, the newest first as there. The column FD stays empty: the host's sockets are in another thread.

import type { Forward } from './host.ts';

export interface TcpRow {
  state: string;
  /** It came through a forwarded port: that is its source, and the guest its destination. */
  isIncoming: boolean;
  guest: string;
  guestPort: number;
  far: string;
  farPort: number;
  /** Bytes that wait: from the guest for the host, from the host for the guest. */
  received: number;
  unsent: number;
}

export interface UdpRow {
  guest: string;
  guestPort: number;
  /** Where the guest has sent to last. */
  far: string;
  farPort: number;
  /** Seconds until it is closed if nothing more comes. */
  left: number;
}

const HEAD = '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n';

const row = (what: string, source: string, sourcePort: number, destination: string, destinationPort: number, received: number, unsent: number): string =>
  `${`  ${what}`.padEnd(19)}   - ${source.padStart(15)} ${String(sourcePort).padStart(5)} ${destination.padStart(15)} ${String(destinationPort).padStart(5)} ${String(received).padStart(5)} ${String(unsent).padStart(5)}\n`;

/** slirp's names of states that have others here: it answers a SYN's sender only when the host is connected, too. */
const STATES: Readonly<Record<string, string>> = { CONNECTING: 'SYN_RCVD', SYN_RECEIVED: 'SYN_RCVD' };

function tcpRow(one: TcpRow, forwards: readonly Forward[]): string {
  const what = `TCP[${STATES[one.state] ?? one.state}]`;
  if (!one.isIncoming) return row(what, one.guest, one.guestPort, one.far, one.farPort, one.received, one.unsent);
  const forward = forwards.find(({ protocol, guestAddress, guestPort }) => protocol === 'tcp' && guestAddress === one.guest && guestPort === one.guestPort);
  return row(what, forward?.hostAddress || '*', forward?.hostPort ?? 0, one.guest, one.guestPort, one.received, one.unsent);
}

export function connectionsText(forwards: readonly Forward[], tcp: readonly TcpRow[], udp: readonly UdpRow[]): string {
  const forwarded = (wanted: Forward['protocol']): string => forwards.filter(({ protocol }) => protocol === wanted)
    .map(({ protocol, hostAddress, hostPort, guestAddress, guestPort }) => row(`${protocol.toUpperCase()}[HOST_FORWARD]`, hostAddress || '*', hostPort, guestAddress, guestPort, 0, 0)).join('');
  return HEAD
    + tcp.map((one) => tcpRow(one, forwards)).reverse().join('') + forwarded('tcp')
    + udp.map(({ guest, guestPort, far, farPort, left }) => row(`UDP[${left} sec]`, guest, guestPort, far, farPort, 0, 0)).reverse().join('') + forwarded('udp');
}
