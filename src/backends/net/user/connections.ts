// The connections of a user-mode network as text, as QEMU's `info usernet` prints them (libslirp, misc.c, slirp_connection_info): forwarded
// ports, TCP connections, UDP flows. The column FD stays empty: the host's sockets are in another thread.

import type { Forward } from './host.ts';

export interface TcpRow {
  state: string;
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
  /** Seconds until it is closed if nothing more comes. */
  left: number;
}

const HEAD = '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n';

const row = (what: string, source: string, sourcePort: number, destination: string, destinationPort: number, received: number, unsent: number): string =>
  `${`  ${what}`.padEnd(19)}   - ${source.padStart(15)} ${String(sourcePort).padStart(5)} ${destination.padStart(15)} ${String(destinationPort).padStart(5)} ${String(received).padStart(5)} ${String(unsent).padStart(5)}\n`;

export function connectionsText(forwards: readonly Forward[], tcp: readonly TcpRow[], udp: readonly UdpRow[]): string {
  const forwarded = (wanted: Forward['protocol']): string => forwards.filter(({ protocol }) => protocol === wanted)
    .map(({ protocol, hostAddress, hostPort, guestAddress, guestPort }) => row(`${protocol.toUpperCase()}[HOST_FORWARD]`, hostAddress || '*', hostPort, guestAddress, guestPort, 0, 0)).join('');
  return HEAD
    + forwarded('tcp') + tcp.map((one) => row(`TCP[${one.state}]`, one.guest, one.guestPort, one.far, one.farPort, one.received, one.unsent)).join('')
    + forwarded('udp') + udp.map(({ guest, guestPort, left }) => row(`UDP[${left} sec]`, guest, guestPort, '*', 0, 0, 0)).join('');
}
