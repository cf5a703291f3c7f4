// What a user-mode network needs of its host: TCP streams and UDP sockets. Node's sockets, a browser's fetch and tests implement it.

/** Why a stream could not be opened, or ended. */
export type StreamError = 'refused' | 'unreachable' | 'timeout' | 'reset' | 'forbidden';

/** The host's end of a TCP connection. Bytes in flight are bounded both ways by credit. */
export interface HostStream {
  /** Bytes that write() takes now. Shrinks only by writing. */
  readonly room: number;
  /** At most `room` bytes; copied before it returns. */
  write(data: Uint8Array): void;
  /** The guest sends no more. */
  end(): void;
  /** Drop it at once; no event follows. */
  abort(): void;
  /** This many bytes that came by data() have gone on: as many more may come. */
  taken(bytes: number): void;
}

/** Most bytes that a stream's data() may have brought and taken() not yet answered. */
export const STREAM_CREDIT = 512 * 1024;

export interface HostStreamEvents {
  opened(): void;
  /** Bytes from the far end; copied before it returns. */
  data(bytes: Uint8Array): void;
  /** The far end sends no more. */
  ended(): void;
  /** It could not be opened, or broke. Nothing follows. */
  failed(error: StreamError): void;
  /** `room` has grown. */
  writable(): void;
}

/** A UDP socket: one for each port of a guest that sends, so that whoever was written to can answer. */
export interface HostUdp {
  /** Lost in silence where it cannot be sent. */
  send(address: string, port: number, data: Uint8Array): void;
  close(): void;
}

export type UdpReceiver = (address: string, port: number, data: Uint8Array) => void;

/** Where a port of the host leads (hostfwd). */
export interface Forward {
  protocol: 'tcp' | 'udp';
  /** '' is all addresses of the host. */
  hostAddress: string;
  hostPort: number;
  guestAddress: string;
  guestPort: number;
}

/** Somebody has connected to a port of the host that leads to a guest. */
export interface Accepted {
  guestAddress: string;
  guestPort: number;
  /** Who connects, as the host sees it; HOST_ADDRESS for the host itself. */
  address: string;
  port: number;
  stream: HostStream;
}

/**
 * Addresses are text. Two names stand for what the host knows better than its guest: HOST_ADDRESS for the host itself, and
 * NAME_SERVER for its name server.
 */
export interface HostNetwork {
  /** Begin to connect. No event comes before this returns. */
  connect(address: string, port: number, events: HostStreamEvents): HostStream;
  /**
   * @param bound a port of the host that others may send to; without it, any free one
   * @returns undefined if there is no socket to be had
   */
  udp(receive: UdpReceiver, bound?: { address: string; port: number }): HostUdp | undefined;
  /** Called for each connection to a forwarded port. @returns undefined: refused */
  onAccept: (accepted: Accepted) => HostStreamEvents | undefined;
  /** Take what has come since the last call, where it does not come by itself. */
  poll?(): void;
}

export const HOST_ADDRESS = 'host';
export const NAME_SERVER = 'nameserver';
