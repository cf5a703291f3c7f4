// The host side of a user-mode network under Node: real TCP and UDP sockets (node:net, node:dgram), as an ordinary user.

import { createSocket, type Socket as UdpSocket, type SocketType } from 'node:dgram';
import { getServers } from 'node:dns';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { parseAddress } from './user/address.ts';
import { type Accepted, type Forward, HOST_ADDRESS, type HostNetwork, type HostStream, type HostStreamEvents, type HostUdp, NAME_SERVER, STREAM_CREDIT, type StreamError, type UdpReceiver } from './user/host.ts';

const DNS_PORT = 53;
/** Longest piece that a socket gives at once. */
const CHUNK = 64 * 1024;
const LOOPBACK = '127.0.0.1';
/** A datagram of IPv4 has no more data. */
const MAX_DATAGRAM = 65507;

/** How many sockets several networks may have together: descriptors are the process's, and it needs some itself. */
export class SocketBudget {
  private used = 0;
  /** Told of each change, and of who got none. */
  changed: (used: number) => void = () => {};
  refused: () => void = () => {};

  constructor(private readonly most: number) {}

  take(): boolean {
    if (this.used >= this.most) {
      this.refused();
      return false;
    }
    this.changed(++this.used);
    return true;
  }

  give(): void {
    this.changed(--this.used);
  }
}

export interface SocketOptions {
  /** False: a guest may not go there. Asked with the address that a socket would connect to, HOST_ADDRESS and NAME_SERVER resolved. */
  allow?(address: string, port: number, protocol: 'tcp' | 'udp', name: string): boolean;
  /** Instead of the host's own name server. */
  nameServer?: { address: string; port: number };
  /** Sockets that may be opened; without it as many as the host lets. */
  budget?: SocketBudget;
  /** Bytes that went out and came in, for who counts. */
  moved?(sent: number, received: number): void;
}

/** An address of the host's name server, as Node writes it: "10.0.0.1", "10.0.0.1:5353", "[::1]:53". */
function systemNameServer(): { address: string; port: number } {
  const text = getServers()[0] ?? LOOPBACK;
  const match = /^\[(.*)\]:(\d+)$/.exec(text) ?? /^([\d.]+):(\d+)$/.exec(text);
  return match ? { address: match[1], port: Number(match[2]) } : { address: text, port: DNS_PORT };
}

function errorOf(error: NodeJS.ErrnoException): StreamError {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ENETUNREACH': case 'EHOSTUNREACH': case 'EADDRNOTAVAIL': case 'EACCES': case 'EPERM': case 'EINVAL':
      return 'unreachable';
    default:
      return 'reset';
  }
}

const reading = new Uint8Array(CHUNK);

/** Blocks for what is being written. Making one of 64 KiB takes ten times as long as filling it. */
const BLOCK = 64 * 1024;
const SMALLEST_IN_BLOCK = 4096;
const MAX_BLOCKS = 64;
const blocks: ArrayBuffer[] = [];

/** A copy of bytes in a block; undefined where they are few, or too many. */
function takeBlock(data: Uint8Array): Uint8Array | undefined {
  if (data.length < SMALLEST_IN_BLOCK || data.length > BLOCK) return undefined;
  const block = new Uint8Array(blocks.pop() ?? new ArrayBuffer(BLOCK), 0, data.length);
  block.set(data);
  return block;
}

function giveBlock(block: Uint8Array): void {
  if (blocks.length < MAX_BLOCKS) blocks.push(block.buffer as ArrayBuffer);
}

class SocketStream implements HostStream {
  private unsent = 0;
  private untaken = 0;
  private isOver = false;

  constructor(
    private readonly socket: Socket,
    public events: HostStreamEvents,
    private readonly moved: (sent: number, received: number) => void,
  ) {
    socket.setNoDelay(true);
    socket.on('connect', () => this.events.opened());
    socket.on('data', (data: Buffer) => this.received(data));
    socket.on('end', () => this.events.ended());
    socket.on('error', (error) => this.fail(errorOf(error)));
    // Both ends were closed, or it broke without an error.
    socket.on('close', () => {
      if (!socket.readableEnded || !socket.writableFinished) this.fail('reset');
      this.isOver = true;
    });
  }

  /** Connect. What comes is read into one buffer for all sockets: Node would make one of 64 KiB for each read. */
  static connect(address: string, port: number, events: HostStreamEvents, moved: (sent: number, received: number) => void, closed: () => void): SocketStream {
    let stream: SocketStream;
    const onread = {
      buffer: reading,
      callback: (length: number) => {
        stream.received(reading.subarray(0, length));
        return true;
      },
    };
    const socket = connect({ host: address, port, allowHalfOpen: true, onread });
    socket.once('close', closed);
    stream = new SocketStream(socket, events, moved);
    return stream;
  }

  /** @param data good until this returns */
  private received(data: Uint8Array): void {
    this.untaken += data.length;
    if (this.untaken + CHUNK > STREAM_CREDIT) this.socket.pause();
    this.moved(0, data.length);
    this.events.data(data);
  }

  private fail(error: StreamError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.socket.destroy();
    this.events.failed(error);
  }

  get room(): number {
    return Math.max(0, STREAM_CREDIT - this.unsent);
  }

  write(data: Uint8Array): void {
    if (this.isOver) return;
    this.unsent += data.length;
    const block = takeBlock(data);
    this.socket.write(block ?? Buffer.from(data), () => {
      if (block) giveBlock(block);
      this.unsent -= data.length;
      this.moved(data.length, 0);
      if (!this.isOver) this.events.writable();
    });
  }

  end(): void {
    if (!this.isOver) this.socket.end();
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    // Before it is connected there is nothing to reset.
    if (this.socket.connecting) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  taken(bytes: number): void {
    this.untaken -= bytes;
    if (!this.isOver && this.socket.isPaused() && this.untaken + CHUNK <= STREAM_CREDIT) this.socket.resume();
  }
}

/** Says no, and afterwards nothing. */
class RefusedStream implements HostStream {
  readonly room = 0;
  private isAborted = false;

  constructor(events: HostStreamEvents, error: StreamError) {
    setImmediate(() => {
      if (!this.isAborted) events.failed(error);
    });
  }
  write(): void {}
  end(): void {}
  abort(): void {
    this.isAborted = true;
  }
  taken(): void {}
}

export class NodeSockets implements HostNetwork {
  onAccept: (accepted: Accepted) => HostStreamEvents | undefined = () => undefined;
  private readonly servers: Server[] = [];
  private readonly nameServer: { address: string; port: number };

  constructor(private readonly options: SocketOptions = {}) {
    this.nameServer = options.nameServer ?? systemNameServer();
  }

  /** The real address behind a name. */
  private resolve(name: string, port: number): { address: string; port: number } {
    if (name === HOST_ADDRESS) return { address: LOOPBACK, port };
    return name === NAME_SERVER ? this.nameServer : { address: name, port };
  }

  private allows(name: string, address: string, port: number, protocol: 'tcp' | 'udp'): boolean {
    return parseAddress(address) !== undefined && (this.options.allow?.(address, port, protocol, name) ?? true);
  }

  private readonly moved = (sent: number, received: number): void => this.options.moved?.(sent, received);

  connect(name: string, wantedPort: number, events: HostStreamEvents): HostStream {
    const { address, port } = this.resolve(name, wantedPort);
    if (port === 0 || !this.allows(name, address, port, 'tcp')) return new RefusedStream(events, 'forbidden');
    const { budget } = this.options;
    if (budget && !budget.take()) return new RefusedStream(events, 'refused');
    return SocketStream.connect(address, port, events, this.moved, () => budget?.give());
  }

  udp(receive: UdpReceiver, bound?: { address: string; port: number }): HostUdp {
    const sockets = new Map<SocketType, UdpSocket>();
    /** Where the last datagram went. */
    let to: { name: string; wantedPort: number; address: string; port: number; socket: UdpSocket } | undefined;
    let isClosed = false;
    const { budget } = this.options;
    const open = (type: SocketType): UdpSocket | undefined => {
      if (budget && !budget.take()) return undefined;
      // Addresses are numbers here: without this Node asks a resolver, whose answer comes in a later turn, for each datagram.
      const lookup = (address: string, _options: unknown, found: (error: null, address: string, family: number) => void): void => found(null, address, type === 'udp6' ? 6 : 4);
      const socket = createSocket({ type, lookup: lookup as never });
      // What cannot be sent or bound is lost, as datagrams may be.
      socket.on('error', () => {});
      socket.once('close', () => budget?.give());
      socket.on('message', (data, { address, port }) => {
        if (isClosed) return;
        this.moved(0, data.length);
        const { nameServer } = this;
        if (address === nameServer.address && port === nameServer.port) receive(NAME_SERVER, DNS_PORT, data);
        else receive(address === LOOPBACK ? HOST_ADDRESS : address, port, data);
      });
      if (bound) socket.bind(bound.port, bound.address || undefined);
      sockets.set(type, socket);
      return socket;
    };
    if (bound) open(bound.address.includes(':') ? 'udp6' : 'udp4');
    return {
      send: (name, wantedPort, data) => {
        if (isClosed || data.length > MAX_DATAGRAM) return;
        // What a name leads to, and whether it may, does not change from one datagram to the next.
        if (!to || to.name !== name || to.wantedPort !== wantedPort) {
          const { address, port } = this.resolve(name, wantedPort);
          if (port === 0 || !this.allows(name, address, port, 'udp')) return;
          const type = address.includes(':') ? 'udp6' : 'udp4';
          const socket = sockets.get(type) ?? open(type);
          if (!socket) return;
          to = { name, wantedPort, address, port, socket };
        }
        to.socket.send(Buffer.from(data), to.port, to.address);
        this.moved(data.length, 0);
      },
      close: () => {
        isClosed = true;
        for (const socket of sockets.values()) socket.close();
        sockets.clear();
      },
    };
  }

  /**
   * Open the TCP ports that lead to guests, and see whether those of UDP, which udp() opens, are free. Rejects with the system's error
   * of the first that cannot be opened.
   */
  async listen(forwards: readonly Forward[]): Promise<void> {
    for (const forward of forwards) {
      if (forward.protocol === 'udp') {
        await tryUdp(forward);
        continue;
      }
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.accepted(socket, forward));
      this.servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port: forward.hostPort, host: forward.hostAddress || '0.0.0.0' }, () => {
          server.off('error', reject);
          server.on('error', () => {});
          resolve();
        });
      });
    }
  }

  private accepted(socket: Socket, { guestAddress, guestPort }: Forward): void {
    const stream = new SocketStream(socket, NO_EVENTS, this.moved);
    const address = socket.remoteAddress ?? '';
    const events = this.onAccept({ guestAddress, guestPort, address: address === LOOPBACK ? HOST_ADDRESS : address, port: socket.remotePort ?? 0, stream });
    if (!events) {
      stream.abort();
      return;
    }
    stream.events = events;
    socket.resume();
  }

  /** Ports that listen() has opened, in its order: where 0 was asked for, which one it became. */
  get ports(): number[] {
    return this.servers.map((server) => (server.address() as { port: number }).port);
  }

  close(): void {
    for (const server of this.servers) server.close();
    this.servers.length = 0;
  }
}

/** Have a port for a moment. */
async function tryUdp({ hostAddress, hostPort }: Forward): Promise<void> {
  const socket = createSocket(hostAddress.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(hostPort, hostAddress || undefined, resolve);
  });
  await new Promise<void>((resolve) => socket.close(() => resolve()));
}

const NO_EVENTS: HostStreamEvents = { opened() {}, data() {}, ended() {}, failed() {}, writable() {} };
