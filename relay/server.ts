// The relay: a WebSocket server (RFC 6455) whose rooms are Ethernet segments. One binary message is one frame, both ways, as with the
// relays of v86 and jor1k. The room is the path of the address.
//
// A client that breaks the rules is disconnected, and it alone: what it sent malformed or too long, or does not read, is not passed on,
// and what it has in memory is bounded. One that sends faster than its rate is not read from for a while, which TCP passes on to it.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { MIN_FRAME } from '../src/devices/interfaces.ts';
import { Metrics } from './metrics.ts';
import { clientOf, PendingConnections } from './pending.ts';
import { Switch, type SwitchPort } from './switch.ts';

export interface RelayOptions {
  host: string;
  port: number;
  /** Longest frame, bytes. */
  maxFrame: number;
  /** Bytes a second that a client may send, and how many at once; 0: any number. */
  rate: number;
  burst: number;
  /** Bytes that may wait for a client; frames beyond are dropped. */
  buffered: number;
  /** A client that has them full for this long, ms, is disconnected. */
  slowMs: number;
  /** A client that sends nothing for this long, ms, is disconnected; 0: never. */
  idleMs: number;
  /** Time between pings, ms; a client that does not answer one by the next is gone. */
  pingMs: number;
  maxClients: number;
  maxRoomClients: number;
  /** Of one address; of IPv6, of one /64. */
  maxAddressClients: number;
  /** Connections that are no clients yet, in all and of one address (pending.ts). */
  maxPending: number;
  maxAddressPending: number;
  /** Tokens by room; '' is that of all other rooms. Without one a room is open. */
  tokens: ReadonlyMap<string, string>;
  /** Rooms that are there; undefined: any name. */
  rooms?: ReadonlySet<string>;
  /** Origins of pages that may connect; '*' is any. Programs, which send none, always may. */
  origins: readonly string[];
  /** Who may read /metrics beside this machine: everybody. */
  publicMetrics: boolean;
  /** Plug more into a new room: the way out. @returns what takes it out */
  furnish(room: string, segment: Switch, metrics: Metrics): (() => void)[];
  log(text: string): void;
}

export const DEFAULTS: RelayOptions = {
  host: '127.0.0.1', port: 8086, maxFrame: 1518 + 4, rate: 0, burst: 1 << 20, buffered: 1 << 20, slowMs: 10_000, idleMs: 600_000, pingMs: 30_000, maxClients: 2000, maxRoomClients: 1000,
  maxAddressClients: 0, maxPending: 1024, maxAddressPending: 256, tokens: new Map(), origins: [], publicMetrics: false, furnish: () => [], log: () => {},
};

/** A room's name, which is the address's path. */
const ROOM = /^[\w.-]{0,64}$/;
/** RFC 6455, 7.4.1. */
const CLOSE_GOING_AWAY = 1001;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_POLICY = 1008;
const SWEEP_MS = 1000;
const SHUTDOWN_MS = 3000;
/** A client that was told to go and does not answer is cut off after this long. */
const CLOSE_MS = 2000;

interface Room {
  segment: Switch;
  clients: number;
  /** Attached for good: the room stays when it is empty. */
  stays: boolean;
  leave: (() => void)[];
}

class Client implements SwitchPort {
  lastFrame = Date.now();
  fullSince = 0;
  isAlive = true;
  private tokens: number;
  private refilledAt = performance.now();
  isPaused = false;

  constructor(
    readonly socket: WebSocket,
    readonly room: Room,
    readonly address: string,
    private readonly options: RelayOptions,
    private readonly metrics: Metrics,
  ) {
    this.tokens = options.burst;
  }

  deliver(frame: Uint8Array): void {
    const { socket, metrics } = this;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount + frame.length > this.options.buffered) {
      this.fullSince ||= Date.now();
      metrics.add('frames_dropped_total');
      return;
    }
    // ws masks nothing on a server's side and keeps the bytes until they are sent: they must be its own.
    socket.send(Uint8Array.prototype.slice.call(frame), { binary: true });
    metrics.add('frames_sent_total');
    metrics.add('bytes_sent_total', frame.length);
  }

  /** Take so much of the client's rate; hold it up if there is none left. */
  spend(bytes: number): void {
    const { rate, burst } = this.options;
    if (rate === 0) return;
    const now = performance.now();
    this.tokens = Math.min(burst, this.tokens + ((now - this.refilledAt) / 1000) * rate) - bytes;
    this.refilledAt = now;
    if (this.tokens >= 0 || this.isPaused) return;
    this.isPaused = true;
    this.socket.pause();
    this.metrics.add('throttled_total');
    setTimeout(() => {
      this.isPaused = false;
      if (this.socket.readyState === this.socket.OPEN) this.socket.resume();
    }, (-this.tokens / rate) * 1000).unref();
  }
}

const sameSecret = (a: string, b: string): boolean => timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());

export class Relay {
  readonly metrics = new Metrics();
  private readonly options: RelayOptions;
  private readonly http: Server;
  private readonly sockets: WebSocketServer;
  private readonly rooms = new Map<string, Room>();
  private readonly clients = new Set<Client>();
  private readonly byAddress = new Map<string, number>();
  /** All that are open, also those that are no clients yet, or never become any. */
  private readonly connections = new Set<Socket>();
  private readonly pending: PendingConnections<Socket>;
  private readonly timers: NodeJS.Timeout[] = [];
  private isEnding = false;

  constructor(options: Partial<RelayOptions> = {}) {
    this.options = { ...DEFAULTS, ...options };
    // A handshake is short; who does not send it is cut off.
    this.http = createServer({ headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 2000 }, (request, response) => this.answer(request, response));
    // closeTimeout is missing in the types of ws.
    const settings: ServerOptions & { closeTimeout: number } = {
      noServer: true, maxPayload: this.options.maxFrame, perMessageDeflate: false, clientTracking: false, skipUTF8Validation: true, closeTimeout: CLOSE_MS,
    };
    this.sockets = new WebSocketServer(settings);
    this.pending = new PendingConnections(this.options.maxPending, this.options.maxAddressPending, (count, cut) => {
      this.metrics.add('pending', count - this.metrics.get('pending'));
      this.metrics.add('pending_cut_total', cut);
    });
    this.http.on('connection', (socket: Socket) => {
      const client = clientOf(socket.remoteAddress ?? '');
      this.connections.add(socket);
      socket.on('close', () => {
        this.connections.delete(socket);
        this.pending.remove(client, socket);
      });
      this.pending.add(client, socket);
    });
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    this.http.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Rejects with the system's error if it cannot listen. @returns the port */
  async listen(): Promise<number> {
    const { host, port, pingMs } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.http.once('error', reject);
      this.http.listen({ host, port, backlog: 1024 }, () => {
        this.http.off('error', reject);
        resolve();
      });
    });
    this.timers.push(setInterval(() => this.sweep(), SWEEP_MS), setInterval(() => this.ping(), pingMs));
    return (this.http.address() as { port: number }).port;
  }

  /** The segment of a room that stays, for what is attached to it by hand. */
  segment(name: string): Switch {
    const room = this.room(name);
    room.stays = true;
    return room.segment;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    // Not by URL, which throws at much that a client may send.
    const [path] = (request.url ?? '/').split('?', 1);
    const isLocal = /^(127\.|::1$|::ffff:127\.)/.test(request.socket.remoteAddress ?? '');
    if (path === '/metrics' && (isLocal || this.options.publicMetrics)) {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(this.metrics.text());
    } else if (path === '/healthz') {
      response.writeHead(this.isEnding ? 503 : 200, { 'content-type': 'text/plain' }).end(this.isEnding ? 'ending\n' : 'ok\n');
    } else {
      response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' }).end('This is a relay for Ethernet frames: connect by WebSocket.\n');
    }
  }

  // ---- connecting

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {});
    const address = clientOf(request.socket.remoteAddress ?? '');
    const refuse = (status: number, text: string): void => {
      this.metrics.add('refused_total');
      // The server no longer looks after a connection that asked for an upgrade; the other end may never close its side.
      socket.once('finish', () => socket.destroy());
      socket.end(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    };
    let url: URL;
    let name: string;
    try {
      url = new URL(request.url ?? '/', 'http://relay');
      name = decodeURIComponent(url.pathname.slice(1));
    } catch {
      return refuse(400, 'Bad Request');
    }
    const { options } = this;
    if (this.isEnding) return refuse(503, 'Service Unavailable');
    if (!ROOM.test(name) || (options.rooms && !options.rooms.has(name))) return refuse(404, 'No such room');
    if (!this.isOriginAllowed(request.headers.origin)) return refuse(403, 'Origin not allowed');
    const wanted = options.tokens.get(name) ?? options.tokens.get('');
    const given = url.searchParams.get('token') ?? /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const isFull = this.clients.size >= options.maxClients || (this.rooms.get(name)?.clients ?? 0) >= options.maxRoomClients
      || (options.maxAddressClients > 0 && (this.byAddress.get(address) ?? 0) >= options.maxAddressClients);
    if (isFull) return refuse(503, 'Too many clients');
    const isWrongToken = wanted !== undefined && !sameSecret(given, wanted);
    this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (isWrongToken) {
        // A page learns of a refused handshake only that it failed; a close code tells it not to try again.
        this.metrics.add('refused_total');
        webSocket.on('error', () => webSocket.terminate());
        webSocket.close(CLOSE_POLICY, 'wrong token');
        return;
      }
      this.pending.remove(address, request.socket);
      this.join(webSocket, name, address);
    });
  }

  private isOriginAllowed(origin: string | undefined): boolean {
    if (origin === undefined) return true;
    const { origins } = this.options;
    if (origins.length > 0) return origins.includes('*') || origins.includes(origin);
    // By default only pages that this machine itself serves: any page could otherwise use a relay on a visitor's machine.
    try {
      return /^(localhost|127\.0\.0\.1|\[::1\])$/.test(new URL(origin).hostname);
    } catch {
      return false;
    }
  }

  private room(name: string): Room {
    let room = this.rooms.get(name);
    if (!room) {
      const segment = new Switch();
      room = { segment, clients: 0, stays: false, leave: this.options.furnish(name, segment, this.metrics) };
      this.rooms.set(name, room);
      this.metrics.add('rooms');
    }
    return room;
  }

  private join(socket: WebSocket, name: string, address: string): void {
    const { metrics } = this;
    const room = this.room(name);
    const client = new Client(socket, room, address, this.options, metrics);
    room.clients++;
    room.segment.add(client);
    this.clients.add(client);
    this.byAddress.set(address, (this.byAddress.get(address) ?? 0) + 1);
    metrics.add('connections_total');
    metrics.add('clients');
    socket.on('message', (data: Buffer, isBinary) => this.receive(client, data, isBinary));
    socket.on('pong', () => { client.isAlive = true; });
    // Too long, or no WebSocket frames: ws closes it with the code for that.
    socket.on('error', () => {
      metrics.add('malformed_total');
      socket.terminate();
    });
    socket.on('close', () => this.leave(client, name));
  }

  private receive(client: Client, data: Buffer, isBinary: boolean): void {
    const { metrics } = this;
    if (!isBinary || data.length < MIN_FRAME) {
      metrics.add('malformed_total');
      client.socket.close(CLOSE_UNSUPPORTED, isBinary ? 'a frame has 14 bytes at least' : 'frames are binary messages');
      // What it sent behind that is not passed on.
      client.socket.removeAllListeners('message');
      client.room.segment.remove(client);
      return;
    }
    client.lastFrame = Date.now();
    // The answer to a ping stands behind all that is still to be read of one that sends faster than its rate.
    client.isAlive = true;
    metrics.add('frames_received_total');
    metrics.add('bytes_received_total', data.length);
    client.room.segment.forward(client, data);
    client.spend(data.length);
  }

  private leave(client: Client, name: string): void {
    if (!this.clients.delete(client)) return;
    const { room, address } = client;
    this.metrics.add('clients', -1);
    const rest = (this.byAddress.get(address) ?? 1) - 1;
    if (rest > 0) this.byAddress.set(address, rest);
    else this.byAddress.delete(address);
    room.segment.remove(client);
    room.clients--;
    if (room.clients === 0 && !room.stays) this.closeRoom(name, room);
  }

  private closeRoom(name: string, room: Room): void {
    for (const leave of room.leave) leave();
    if (this.rooms.delete(name)) this.metrics.add('rooms', -1);
  }

  // ---- watching

  private sweep(): void {
    const now = Date.now();
    const { slowMs, idleMs, buffered } = this.options;
    for (const client of this.clients) {
      // Less than half full: it reads.
      if (client.fullSince && client.socket.bufferedAmount < buffered / 2) client.fullSince = 0;
      if (client.fullSince && now - client.fullSince > slowMs) {
        this.metrics.add('slow_total');
        client.socket.terminate();
      } else if (idleMs > 0 && now - client.lastFrame > idleMs) {
        this.metrics.add('idle_total');
        client.socket.close(CLOSE_GOING_AWAY, 'idle');
        client.lastFrame = now;
      }
    }
  }

  private ping(): void {
    for (const client of this.clients) {
      // One that is held up by its rate cannot answer.
      if (!client.isAlive && !client.isPaused) {
        client.socket.terminate();
        continue;
      }
      client.isAlive = false;
      client.socket.ping();
    }
  }

  /** Tell all clients, wait for them a little, and end. */
  async close(): Promise<void> {
    if (this.isEnding) return;
    this.isEnding = true;
    for (const timer of this.timers) clearInterval(timer);
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    for (const { socket } of this.clients) socket.close(CLOSE_GOING_AWAY, 'the relay ends');
    const cut = setTimeout(() => {
      for (const socket of this.connections) socket.destroy();
    }, SHUTDOWN_MS);
    this.http.closeIdleConnections();
    await closed;
    clearTimeout(cut);
    for (const [name, room] of this.rooms) this.closeRoom(name, room);
  }
}
