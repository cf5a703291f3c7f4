// The host's sockets over a channel: RemoteSockets stands in the machine's worker for a HostNetwork that SocketServer drives in the I/O
// worker. Bytes in flight are bounded by credit both ways, so that what waits for room in the rings is bounded too.

import { type ChannelEnd, MAX_PAYLOAD, type Message, Outbox } from './channel.ts';
import { get16, set16 } from './user/bytes.ts';
import { type Accepted, type HostNetwork, type HostStream, type HostStreamEvents, type HostUdp, STREAM_CREDIT, type StreamError, type UdpReceiver } from './user/host.ts';

const enum Type {
  // Machine to host
  CONNECT = 1,
  WRITE = 2,
  END = 3,
  ABORT = 4,
  TAKEN = 5,
  UDP_OPEN = 6,
  UDP_SEND = 7,
  UDP_CLOSE = 8,
  // Host to machine
  OPENED = 16,
  DATA = 17,
  ENDED = 18,
  FAILED = 19,
  /** The machine may write this many bytes more. */
  CREDIT = 20,
  UDP_RECEIVED = 21,
  ACCEPTED = 22,
}

const ERRORS: readonly StreamError[] = ['refused', 'unreachable', 'timeout', 'reset', 'forbidden'];
/** Pieces of a stream in one message. */
const PIECE = 64 * 1024;
/** The host is told of so many bytes that were taken: it may wait only while far more are on their way, and each message may have to wake it. */
const TELL = STREAM_CREDIT / 4;
/** Ids of streams that the host opens (forwarded ports). */
const HOST_IDS = 0x8000_0000;
/** A datagram of IPv4 has no more data. */
const MAX_DATAGRAM = 65507;
/** Messages that one look takes, so that the machine runs on. */
const LOOK = 512;

/** Address and port in front of data. */
function withAddress(address: string, port: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(address);
  const out = new Uint8Array(1 + text.length + 2 + data.length);
  out[0] = text.length;
  out.set(text, 1);
  set16(out, 1 + text.length, port);
  out.set(data, 3 + text.length);
  return out;
}

function splitAddress(payload: Uint8Array): { address: string; port: number; rest: Uint8Array } {
  const length = payload[0];
  return { address: new TextDecoder().decode(payload.slice(1, 1 + length)), port: get16(payload, 1 + length), rest: payload.subarray(3 + length) };
}

/** Datagrams that go one way through a channel: most have the same address as the one before, which is then neither written nor read again. */
class DatagramWriter {
  private readonly bytes = new Uint8Array(MAX_PAYLOAD);
  private address: string | undefined;
  private port = 0;
  private head = 0;

  /** @param data at most MAX_DATAGRAM bytes  @returns the message's payload, good until the next one */
  message(address: string, port: number, data: Uint8Array): Uint8Array {
    if (address !== this.address || port !== this.port) {
      const head = withAddress(address, port);
      this.bytes.set(head);
      [this.address, this.port, this.head] = [address, port, head.length];
    }
    this.bytes.set(data, this.head);
    return this.bytes.subarray(0, this.head + data.length);
  }
}

class DatagramReader {
  private head = new Uint8Array(0);
  private address = '';
  private port = 0;

  read(payload: Uint8Array, receive: UdpReceiver): void {
    if (!this.isSame(payload)) {
      const { address, port, rest } = splitAddress(payload);
      [this.address, this.port, this.head] = [address, port, payload.slice(0, payload.length - rest.length)];
    }
    receive(this.address, this.port, payload.subarray(this.head.length));
  }

  private isSame(payload: Uint8Array): boolean {
    const { head } = this;
    if (head.length === 0) return false;
    for (let n = 0; n < head.length; n++) if (payload[n] !== head[n]) return false;
    return true;
  }
}

function inPieces(data: Uint8Array, send: (piece: Uint8Array) => void): void {
  for (let at = 0; at < data.length; at += PIECE) send(data.subarray(at, at + PIECE));
}

class RemoteStream implements HostStream {
  room = STREAM_CREDIT;
  events!: HostStreamEvents;
  /** Bytes that have been taken, and the host does not know. */
  private untold = 0;
  /** Both directions have ended: nothing follows. */
  private hasEnded = false;
  private farEnded = false;

  constructor(private readonly id: number, private readonly outbox: Outbox, private readonly forget: () => void) {}

  write(data: Uint8Array): void {
    this.room -= data.length;
    inPieces(data, (piece) => this.outbox.send(Type.WRITE, this.id, 0, piece));
  }
  end(): void {
    this.outbox.send(Type.END, this.id);
    this.hasEnded = true;
    if (this.farEnded) this.forget();
  }
  ended(): void {
    this.farEnded = true;
    if (this.hasEnded) this.forget();
    this.events.ended();
  }
  abort(): void {
    this.forget();
    this.outbox.send(Type.ABORT, this.id);
  }
  taken(bytes: number): void {
    this.untold += bytes;
    if (this.untold < TELL) return;
    this.outbox.send(Type.TAKEN, this.id, this.untold);
    this.untold = 0;
  }
}

/** The machine's end. */
export class RemoteSockets implements HostNetwork {
  onAccept: (accepted: Accepted) => HostStreamEvents | undefined = () => undefined;
  private readonly outbox: Outbox;
  private readonly streams = new Map<number, RemoteStream>();
  private readonly sockets = new Map<number, UdpReceiver>();
  private readonly writer = new DatagramWriter();
  private readonly reader = new DatagramReader();
  private nextId = 1;

  constructor(private readonly end: ChannelEnd) {
    this.outbox = new Outbox(end);
  }

  private newId(): number {
    const id = this.nextId;
    this.nextId = id + 1 === HOST_IDS ? 1 : id + 1;
    return id;
  }

  connect(address: string, port: number, events: HostStreamEvents): HostStream {
    const id = this.newId();
    const stream = new RemoteStream(id, this.outbox, () => this.streams.delete(id));
    stream.events = events;
    this.streams.set(id, stream);
    this.outbox.send(Type.CONNECT, id, 0, withAddress(address, port));
    return stream;
  }

  udp(receive: UdpReceiver, bound?: { address: string; port: number }): HostUdp {
    const id = this.newId();
    this.sockets.set(id, receive);
    this.outbox.send(Type.UDP_OPEN, id, 0, bound ? withAddress(bound.address, bound.port) : undefined);
    return {
      // Datagrams may be lost; they do not wait.
      send: (address, port, data) => void (this.outbox.isEmpty && data.length <= MAX_DATAGRAM && this.end.send(Type.UDP_SEND, id, 0, this.writer.message(address, port, data))),
      close: () => {
        this.sockets.delete(id);
        this.outbox.send(Type.UDP_CLOSE, id);
      },
    };
  }

  poll(): void {
    this.outbox.flush();
    for (let n = 0; n < LOOK; n++) {
      const message = this.end.receive();
      if (!message) return;
      this.take(message);
    }
  }

  private take({ type, id, argument, payload }: Message): void {
    if (type === Type.UDP_RECEIVED) {
      const receive = this.sockets.get(id);
      if (receive) this.reader.read(payload, receive);
      return;
    }
    if (type === Type.ACCEPTED) return this.accepted(id, payload);
    const stream = this.streams.get(id);
    if (!stream) return;
    const { events } = stream;
    switch (type) {
      case Type.OPENED: return events.opened();
      case Type.DATA: return events.data(payload);
      case Type.ENDED: return stream.ended();
      case Type.CREDIT:
        stream.room += argument;
        return events.writable();
      case Type.FAILED:
        this.streams.delete(id);
        return events.failed(ERRORS[argument]);
    }
  }

  private accepted(id: number, payload: Uint8Array): void {
    const guest = splitAddress(payload);
    const { address, port } = splitAddress(guest.rest);
    const stream = new RemoteStream(id, this.outbox, () => this.streams.delete(id));
    const events = this.onAccept({ guestAddress: guest.address, guestPort: guest.port, address, port, stream });
    if (!events) {
      this.outbox.send(Type.ABORT, id);
      return;
    }
    stream.events = events;
    this.streams.set(id, stream);
  }
}

interface Served {
  stream: HostStream;
  /** Bytes that the machine may still write, as it knows. */
  credit: number;
  /** Directions that have ended: after both the stream ends by itself. */
  ends: number;
}

/** The host's end: drives a HostNetwork as the messages say. */
export class SocketServer {
  private readonly outbox: Outbox;
  private readonly streams = new Map<number, Served>();
  private readonly sockets = new Map<number, HostUdp>();
  private readonly writer = new DatagramWriter();
  private readonly reader = new DatagramReader();
  private nextId = HOST_IDS;

  constructor(
    private readonly end: ChannelEnd,
    private readonly network: HostNetwork,
  ) {
    this.outbox = new Outbox(end);
    network.onAccept = (accepted) => this.accepted(accepted);
  }

  /** Do what has been asked for since the last call. */
  look(): void {
    this.outbox.flush();
    for (let message = this.end.receive(); message; message = this.end.receive()) this.take(message);
  }

  private take({ type, id, argument, payload }: Message): void {
    switch (type) {
      case Type.CONNECT: {
        const { address, port } = splitAddress(payload);
        const served: Served = { stream: undefined as unknown as HostStream, credit: STREAM_CREDIT, ends: 0 };
        this.streams.set(id, served);
        served.stream = this.network.connect(address, port, this.eventsOf(id, served));
        return;
      }
      case Type.UDP_OPEN: {
        const bound = payload.length > 0 ? splitAddress(payload) : undefined;
        const socket = this.network.udp((address, port, data) => {
          if (this.outbox.isEmpty && data.length <= MAX_DATAGRAM) this.end.send(Type.UDP_RECEIVED, id, 0, this.writer.message(address, port, data));
        }, bound);
        if (socket) this.sockets.set(id, socket);
        return;
      }
      case Type.UDP_SEND: {
        const socket = this.sockets.get(id);
        if (socket) this.reader.read(payload, (address, port, data) => socket.send(address, port, data));
        return;
      }
      case Type.UDP_CLOSE:
        this.sockets.get(id)?.close();
        this.sockets.delete(id);
        return;
    }
    const served = this.streams.get(id);
    if (!served) return;
    switch (type) {
      case Type.WRITE:
        served.credit -= payload.length;
        return served.stream.write(payload);
      case Type.END:
        this.endOne(id, served);
        return served.stream.end();
      case Type.TAKEN: return served.stream.taken(argument);
      case Type.ABORT:
        this.streams.delete(id);
        return served.stream.abort();
    }
  }

  private endOne(id: number, served: Served): void {
    if (++served.ends === 2) this.streams.delete(id);
  }

  private eventsOf(id: number, served: Served): HostStreamEvents {
    return {
      opened: () => this.outbox.send(Type.OPENED, id),
      data: (bytes) => inPieces(bytes, (piece) => this.outbox.send(Type.DATA, id, 0, piece)),
      ended: () => {
        this.endOne(id, served);
        this.outbox.send(Type.ENDED, id);
      },
      failed: (error) => {
        if (!this.streams.delete(id)) return;
        this.outbox.send(Type.FAILED, id, ERRORS.indexOf(error));
      },
      writable: () => {
        const more = served.stream.room - served.credit;
        // Worth a message if it is much, or if the machine has little left.
        if (more <= 0 || (more < PIECE && served.credit > STREAM_CREDIT / 2)) return;
        served.credit += more;
        this.outbox.send(Type.CREDIT, id, more);
      },
    };
  }

  /** Streams and sockets that are open, for tests. */
  get open(): number {
    return this.streams.size + this.sockets.size;
  }

  private accepted({ guestAddress, guestPort, address, port, stream }: Accepted): HostStreamEvents {
    const id = this.nextId;
    this.nextId = id === 0xffff_ffff ? HOST_IDS : id + 1;
    const served: Served = { stream, credit: STREAM_CREDIT, ends: 0 };
    this.streams.set(id, served);
    this.outbox.send(Type.ACCEPTED, id, 0, withAddress(guestAddress, guestPort, withAddress(address, port)));
    return this.eventsOf(id, served);
  }
}
