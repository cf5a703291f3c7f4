// What specs of the user-mode network build on: a guest at the end of the cable that makes and reads packets, and a host that is a script.

import type { FrameOffload, NetOffloads, NetReceiver } from '../../../devices/interfaces.ts';
import { NO_OFFLOADS } from '../../../devices/net/offload.ts';
import { VirtualClock } from '../../../machine/clock.ts';
import { parseIpv4, parseAddress, type IpAddress } from './address.ts';
import { buildArp, ARP_REQUEST } from './arp.ts';
import { set16, sum16 } from './bytes.ts';
import { BROADCAST, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethertypeOf, writeEthernet } from './ethernet.ts';
import type { Accepted, HostNetwork, HostStream, HostStreamEvents, HostUdp, UdpReceiver } from './host.ts';
import { parseIpv4Packet, PROTOCOL_TCP, PROTOCOL_UDP, pseudoHeaderSum, writeIpv4, type IpPacket } from './ipv4.ts';
import { parseIpv6Packet, writeIpv6 } from './ipv6.ts';
import { UserNetwork } from './network.ts';
import { userNetConfig } from './options.ts';
import { parseSegment, type Segment, segmentHeaderLength, writeSegmentHeader } from './tcp-segment.ts';
import type { TftpFiles } from './tftp.ts';
import { buildUdp, parseUdp } from './udp.ts';

export const GUEST_MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
export const ip = (text: string): IpAddress => parseAddress(text)!;

/** A stream of the host: what the guest wrote, and room that the spec gives. */
export class TestStream implements HostStream {
  room = 256 * 1024;
  readonly written: number[] = [];
  log: string[] = [];
  takenBytes = 0;

  constructor(
    readonly address: string,
    readonly port: number,
    readonly events: HostStreamEvents,
  ) {}

  write(data: Uint8Array): void {
    if (data.length > this.room) throw new Error(`${data.length} bytes for a room of ${this.room}`);
    this.room -= data.length;
    for (const byte of data) this.written.push(byte);
  }
  end(): void {
    this.log.push('end');
  }
  abort(): void {
    this.log.push('abort');
  }
  taken(bytes: number): void {
    this.takenBytes += bytes;
  }
  get text(): string {
    return String.fromCharCode(...this.written);
  }
}

export class TestHost implements HostNetwork {
  readonly streams: TestStream[] = [];
  readonly datagrams: { address: string; port: number; data: number[]; receive: UdpReceiver }[] = [];
  readonly bound: { address: string; port: number; receive: UdpReceiver }[] = [];
  openUdp = 0;
  onAccept: (accepted: Accepted) => HostStreamEvents | undefined = () => undefined;

  connect(address: string, port: number, events: HostStreamEvents): HostStream {
    const stream = new TestStream(address, port, events);
    this.streams.push(stream);
    return stream;
  }
  udp(receive: UdpReceiver, bound?: { address: string; port: number }): HostUdp {
    if (bound) this.bound.push({ ...bound, receive });
    this.openUdp++;
    return {
      send: (address, port, data) => void this.datagrams.push({ address, port, data: [...data], receive }),
      close: () => void this.openUdp--,
    };
  }
}

/** A network with a guest that the spec plays. */
export class TestGuest implements NetReceiver {
  accepts: NetOffloads = NO_OFFLOADS;
  readonly clock = new VirtualClock(0);
  readonly host = new TestHost();
  readonly network: UserNetwork;
  /** Frames that have come and were not looked at. */
  frames: Uint8Array[] = [];
  offloads: (FrameOffload | undefined)[] = [];
  /** Frames that the NIC takes before it is full. */
  room = Infinity;
  address = parseIpv4('10.0.2.15')!;

  constructor(options: [string, string][] = [], files?: TftpFiles) {
    this.network = new UserNetwork(userNetConfig(options), this.clock, this.host, files);
    this.network.attach(this);
  }

  receive(frame: Uint8Array, offload?: FrameOffload): boolean {
    if (this.room <= 0) return false;
    this.room--;
    this.frames.push(frame.slice());
    this.offloads.push(offload);
    return true;
  }
  drained(): void {}
  linkChanged(): void {}

  /** Let the network answer. @param ns time that passes */
  settle(ns = 0): void {
    this.clock.advance(ns);
  }

  /** All frames that came, after the network has answered. */
  take(): Uint8Array[] {
    this.settle();
    const frames = this.frames;
    this.frames = [];
    this.offloads = [];
    return frames;
  }

  /** Packets that came, of one protocol. */
  takePackets(protocol: number): IpPacket[] {
    return this.take().flatMap((frame) => {
      const type = ethertypeOf(frame);
      const packet = type === ETHERTYPE_IPV4 ? parseIpv4Packet(frame.subarray(14)) : type === ETHERTYPE_IPV6 ? parseIpv6Packet(frame.subarray(14)) : undefined;
      return packet?.protocol === protocol ? [packet] : [];
    });
  }

  arp(target: string): void {
    this.network.send(buildArp(ARP_REQUEST, GUEST_MAC, this.address, ip(target)));
  }

  /** Send an IP packet with this payload. */
  sendIp(to: IpAddress, protocol: number, payload: Uint8Array, from = to.length === 4 ? this.address : ip('fec0::15'), hops = 64): void {
    const header = to.length === 4 ? 20 : 40;
    const frame = new Uint8Array(14 + header + payload.length);
    const mac = to.length === 4 && to[0] < 224 ? Uint8Array.of(0x52, 0x55, 10, 0, 2, 2) : to.length === 16 ? Uint8Array.of(0x52, 0x56, 0, 0, 0, 2) : BROADCAST;
    writeEthernet(frame, mac, GUEST_MAC, to.length === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (to.length === 4) writeIpv4(frame, 14, from, to, protocol, payload.length, 1);
    else writeIpv6(frame, 14, from, to, protocol, payload.length, hops);
    frame.set(payload, 14 + header);
    this.network.send(frame);
  }

  sendUdp(to: string, toPort: number, data: Uint8Array, fromPort = 40000, from?: IpAddress): void {
    const [a, b] = [from ?? (to.includes(':') ? ip('fec0::15') : this.address), ip(to)];
    this.sendIp(b, PROTOCOL_UDP, buildUdp(a, fromPort, b, toPort, data), a);
  }

  takeUdp(): { from: IpAddress; to: IpAddress; fromPort: number; toPort: number; data: Uint8Array }[] {
    return this.takePackets(PROTOCOL_UDP).map((packet) => {
      const datagram = parseUdp(packet, false);
      if (!datagram) throw new Error('a datagram that came is damaged');
      return { from: packet.source, to: packet.destination, fromPort: datagram.sourcePort, toPort: datagram.destinationPort, data: datagram.data };
    });
  }

  sendTcp(to: string, segment: Partial<Segment> & { destinationPort: number }): void {
    const full = { sourcePort: 50000, seq: 0, ack: 0, flags: 0, window: 65535, data: new Uint8Array(0), ...segment };
    const [a, b] = [to.includes(':') ? ip('fec0::15') : this.address, ip(to)];
    const payload = new Uint8Array(segmentHeaderLength(full) + full.data.length);
    const length = writeSegmentHeader(payload, 0, full);
    payload.set(full.data, length);
    set16(payload, 16, ~sum16(payload, 0, payload.length, pseudoHeaderSum(a, b, PROTOCOL_TCP, payload.length)) & 0xffff);
    this.sendIp(b, PROTOCOL_TCP, payload, a);
  }

  takeTcp(): (Segment & { from: IpAddress })[] {
    return this.takePackets(PROTOCOL_TCP).map((packet) => {
      const { payload, source, destination } = packet;
      if (sum16(payload, 0, payload.length, pseudoHeaderSum(source, destination, PROTOCOL_TCP, payload.length)) !== 0xffff) throw new Error('a segment that came is damaged');
      return { ...parseSegment(payload)!, from: source };
    });
  }
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
