// All TCP connections of a network: finds a segment's connection, opens new ones, answers what belongs to none (RFC 9293, 3.10.7.1).

import type { Clock } from '../../../devices/interfaces.ts';

import { formatAddress, type IpAddress } from './address.ts';
import { equalBytes, sum16 } from './bytes.ts';
import { type HostStream, type HostStreamEvents, STREAM_CREDIT } from './host.ts';
import { type IpPacket, PROTOCOL_TCP, pseudoHeaderSum } from './ipv4.ts';
import type { TcpRow } from './connections.ts';
import type { SendBuffer } from './tcp-buffers.ts';
import { type SegmentHeader, TcpConnection, type TcpLink } from './tcp-connection.ts';
import { ACK, FIN, parseSegment, RST, type Segment, seqAdd, SYN } from './tcp-segment.ts';

const MAX_CONNECTIONS = 512;
/** When there are too many, one that nothing has come or gone by for so long may go: its guest may have left without a word (a relay's room). */
const IDLE_NS = 240e9;
/** RFC 9293, 3.4.1: initial sequence numbers go with a clock of 4 us; each connection adds some so that two never meet. */
const ISS_TICK_NS = 4000;
const ISS_STEP = 64000;
const FIRST_EPHEMERAL = 49152;

/** Where a connection's segments go. */
export interface TcpOutput {
  readonly clock: Clock;
  /** For a family of addresses, 4 or 16 bytes: largest segment, and how much the NIC cuts by itself (0: nothing). */
  mss(addressBytes: number): number;
  maxBurst(addressBytes: number): number;
  readonly canSend: boolean;
  /** Send a segment from the far end to the guest. */
  segment(from: IpAddress, to: IpAddress, header: SegmentHeader & { sourcePort: number; destinationPort: number }, data: SendBuffer | null, offset: number, length: number, mss: number): void;
}

interface Entry {
  connection: TcpConnection;
  guest: IpAddress;
  guestPort: number;
  far: IpAddress;
  farPort: number;
  isIncoming: boolean;
  /** When the guest was heard last. */
  usedAt: number;
}

export class TcpTable {
  private readonly entries = new Map<string, Entry>();
  private readonly byConnection = new Map<TcpConnection, Entry>();
  /** Those that would send if the queue were not full. */
  private readonly waiting = new Set<TcpConnection>();
  /** While hold() is in force: those that have something to send. */
  private held: Set<TcpConnection> | undefined;
  private opened = 0;
  /** The entry found last: most segments follow one of their own connection. */
  private recent: Entry | undefined;

  constructor(
    private readonly out: TcpOutput,
    /** Connect to where the guest wants to; undefined: refused at once. */
    private readonly connect: (far: IpAddress, port: number, events: HostStreamEvents) => HostStream | undefined,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  /** @param verified the checksum need not be looked at */
  receive(packet: IpPacket, verified: boolean): void {
    const { source, destination, payload } = packet;
    const segment = parseSegment(payload);
    if (!segment) return;
    if (!verified && sum16(payload, 0, payload.length, pseudoHeaderSum(source, destination, PROTOCOL_TCP, payload.length)) !== 0xffff) return;
    const entry = this.find(source, segment.sourcePort, destination, segment.destinationPort);
    if (entry && !((segment.flags & (SYN | ACK | RST)) === SYN && entry.connection.mayReopen(segment))) {
      entry.usedAt = this.out.clock.now();
      entry.connection.receive(segment);
      return;
    }
    if (entry) this.forget(entry.connection);
    if ((segment.flags & (SYN | ACK | RST)) === SYN) this.open(source, destination, segment);
    else this.refuse(source, destination, segment);
  }

  private find(guest: IpAddress, guestPort: number, far: IpAddress, farPort: number): Entry | undefined {
    const r = this.recent;
    if (r && r.guestPort === guestPort && r.farPort === farPort && equalBytes(r.guest, guest) && equalBytes(r.far, far)) return r;
    const entry = this.entries.get(keyOf(guest, guestPort, far, farPort));
    if (entry) this.recent = entry;
    return entry;
  }

  private open(guest: IpAddress, far: IpAddress, segment: Segment): void {
    if (!this.hasRoom()) return this.refuse(guest, far, segment);
    const connection = this.add(guest, segment.sourcePort, far, segment.destinationPort, 'passive');
    connection.acceptSyn(segment);
    const stream = this.connect(far, segment.destinationPort, eventsOf(connection));
    if (!stream) {
      this.forget(connection);
      this.refuse(guest, far, segment);
    } else {
      connection.stream = stream;
    }
  }

  /** Somebody connects to a guest. @param far who, as the guest shall see it  @returns undefined if there are too many */
  accept(guest: IpAddress, guestPort: number, far: IpAddress, wantedPort: number, stream: HostStream): HostStreamEvents | undefined {
    if (!this.hasRoom()) return undefined;
    let port = wantedPort;
    for (let n = 0; this.entries.has(keyOf(guest, guestPort, far, port)); n++) port = FIRST_EPHEMERAL + ((this.opened + n) & 0x3fff);
    const connection = this.add(guest, guestPort, far, port, 'active');
    connection.stream = stream;
    connection.sendSyn();
    return eventsOf(connection);
  }

  /** True if one more fits; a connection that only waits out its time makes room, or else the one idle longest if it is idle for long. */
  private hasRoom(): boolean {
    if (this.entries.size < MAX_CONNECTIONS) return true;
    let idlest: Entry | undefined;
    for (const entry of this.entries.values()) {
      if (entry.connection.state === 'TIME_WAIT') {
        this.forget(entry.connection);
        return true;
      }
      if (!idlest || entry.usedAt < idlest.usedAt) idlest = entry;
    }
    if (!idlest || this.out.clock.now() - idlest.usedAt < IDLE_NS) return false;
    idlest.connection.abort();
    return true;
  }

  private add(guest: IpAddress, guestPort: number, far: IpAddress, farPort: number, opening: 'passive' | 'active'): TcpConnection {
    const { out, waiting } = this;
    const key = keyOf(guest, guestPort, far, farPort);
    const link: TcpLink = {
      clock: out.clock,
      mss: out.mss(guest.length),
      get maxBurst() { return out.maxBurst(guest.length); },
      isHeld: (connection) => this.held?.add(connection) !== undefined,
      canSend(connection) {
        if (!out.canSend) waiting.add(connection);
        return out.canSend;
      },
      transmit(connection, header, data, offset, length) {
        out.segment(far, guest, { ...header, sourcePort: farPort, destinationPort: guestPort }, data, offset, length, connection.mss);
      },
      closed: (connection) => this.forget(connection),
    };
    const iss = (Math.floor(out.clock.now() / ISS_TICK_NS) + this.opened++ * ISS_STEP) >>> 0;
    const connection = new TcpConnection(key, link, iss, opening);
    const entry = { connection, guest: guest.slice(), guestPort, far: far.slice(), farPort, isIncoming: opening === 'active', usedAt: out.clock.now() };
    this.entries.set(key, entry);
    this.byConnection.set(connection, entry);
    return connection;
  }

  private forget(connection: TcpConnection): void {
    if (!this.byConnection.delete(connection)) return;
    this.entries.delete(connection.key);
    this.waiting.delete(connection);
    if (this.recent?.connection === connection) this.recent = undefined;
    connection.dispose();
  }

  /** RST, for a segment that belongs to no connection. */
  private refuse(guest: IpAddress, far: IpAddress, segment: Segment): void {
    const { flags } = segment;
    if (flags & RST) return;
    const length = segment.data.length + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
    const header = flags & ACK
      ? { seq: segment.ack, ack: 0, flags: RST }
      : { seq: 0, ack: seqAdd(segment.seq, length), flags: RST | ACK };
    this.out.segment(far, guest, { ...header, window: 0, sourcePort: segment.destinationPort, destinationPort: segment.sourcePort }, null, 0, 0, 0);
  }

  /** The host brings more than one thing: what belongs together goes together. Until release(). */
  hold(): void {
    this.held = new Set();
  }

  release(): void {
    const { held } = this;
    this.held = undefined;
    for (const connection of held ?? []) connection.output();
  }

  list(): TcpRow[] {
    return [...this.entries.values()].map(({ connection, guest, guestPort, far, farPort, isIncoming }) => ({
      state: connection.state, isIncoming, guest: formatAddress(guest), guestPort, far: formatAddress(far), farPort,
      received: Math.max(0, STREAM_CREDIT - (connection.stream?.room ?? STREAM_CREDIT)), unsent: connection.unacknowledged,
    }));
  }

  /** The queue has room again. */
  ready(): void {
    for (const connection of [...this.waiting]) {
      if (!this.out.canSend) return;
      this.waiting.delete(connection);
      connection.output();
    }
  }

  /** Break all connections, without a word to the guest. */
  abortAll(): void {
    for (const connection of [...this.byConnection.keys()]) connection.abort();
  }
}

const keyOf = (guest: IpAddress, guestPort: number, far: IpAddress, farPort: number): string => `${formatAddress(guest)} ${guestPort} ${formatAddress(far)} ${farPort}`;

function eventsOf(connection: TcpConnection): HostStreamEvents {
  return {
    opened: () => connection.opened(),
    data: (bytes) => connection.hostData(bytes),
    ended: () => connection.hostEnd(),
    failed: (error) => connection.hostFailed(error),
    writable: () => connection.hostWritable(),
  };
}
